"""Sentinels: the master dies, a replica takes over, comets and logics follow, and pushes go on.

SPDX-License-Identifier: MIT"""
import itertools
import signal

import pytest

from history import assert_agreed
from house import House
from redis_servers import SENTINEL, cut_off, replicated
from server import free_port
from waiting import wait_until


@pytest.fixture
def servers(tmp_path):
    with replicated(tmp_path, SENTINEL, sentinels=1) as running:
        yield running


@pytest.fixture
def house(request, servers, tmp_path):
    # The first sentinel of the list is one that does not answer.
    one = House(tmp_path / "cluster", comets=2, logics=2, redis_addr="127.0.0.1:1", settings={
        "redis.sentinels": f"127.0.0.1:{free_port()},127.0.0.1:{servers[2].port}", "redis.master": "house"})
    yield one
    one.end(getattr(request.node, "failed", False))


def test_the_cluster_follows_the_master(servers, house, crowd, pushes):
    master, replica, _ = servers
    for comet in ("comet-1", "comet-2"):
        for i in range(3):
            crowd.join(comet, f"{comet}/{i}", "live://1")
    pushes.start("key", "/goim/push/keys?operation=1000&keys=comet-1/1", lambda p: p.key == "comet-1/1", 100)
    pushes.start("room", "/goim/push/room?operation=1000&type=live&room=1", lambda p: True, 50, logic=1)
    pushes.wait_accepted(50)
    # Replication does not wait: what has not reached the replica when the master dies would be lost with it.
    pushes.stop()
    assert_agreed(crowd, pushes)
    assert master.client.wait(1, 5000) == 1
    master.stop(signal.SIGKILL)
    wait_until(replica.is_master, "the replica is promoted", 30)

    pushes.begin_again()
    pushes.start("key2", "/goim/push/keys?operation=1000&keys=comet-1/1", lambda p: p.key == "comet-1/1", 100)
    pushes.start("room2", "/goim/push/room?operation=1000&type=live&room=1", lambda p: True, 50, logic=1)
    pushes.wait_accepted(50)
    # Until its connections to Redis are all up again, a comet refuses newcomers in words.
    wait_until(lambda: crowd.comes_in("comet-2"), "a client comes in")
    pushes.stop()
    assert_agreed(crowd, pushes)


def test_a_master_that_is_behind_is_read_again_without_duplicates(servers, house, crowd):
    """The stream on the new master ends before what was read: comets go back, and writers' numbers tell what they had."""
    master, replica, _ = servers
    person = crowd.join("comet-1", "k")
    backend = house.backend()
    for number in range(1, 11):
        backend.push_keys(["k"], f"x#{number}")
    assert master.client.wait(1, 5000) == 1
    cut_off(replica)
    for number in range(11, 21):
        backend.push_keys(["k"], f"x#{number}")
    wait_until(lambda: person.received["x"] == list(range(1, 21)), "all arrive")
    master.stop(signal.SIGKILL)
    replica.process.send_signal(signal.SIGCONT)
    wait_until(replica.is_master, "the replica is promoted", 30)

    numbers = itertools.count(21)

    def goes_through():
        number = next(numbers)  # one that was not accepted may arrive all the same
        reply = backend.post("/goim/push/keys", f"x#{number}", operation=1000, keys="k")
        return number if reply.json()["code"] == 0 else None

    accepted = wait_until(goes_through, "a push is accepted", 20)
    wait_until(lambda: person.received["x"][-1] == accepted, "and arrives")
    got = person.received["x"]
    assert got[:20] == list(range(1, 21)) and got == sorted(set(got))
    assert "event=stream_read_again" in house.log("comet-1")
    assert house.metrics("comet-1")("comet_push_duplicates_total") >= 10
