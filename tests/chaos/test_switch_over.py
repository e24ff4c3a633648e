"""SENTINEL FAILOVER: an operator asks for another master. The old one goes on taking writes for ten seconds, and all of them are thrown
away when it becomes a replica: nobody who came in meanwhile is lost, and what was accepted arrives or is counted.

SPDX-License-Identifier: MIT"""
import time

import pytest

from history import Crowd, Pushes
from house import House
from life import begin_life
from redis_servers import replicated
from test_back_in_time import assert_reached, push_to_each, settle, wait_found
from waiting import TIMEOUT, wait_until

SECONDS = 14  # until the old master has become a replica
SENTINEL = """sentinel monitor house 127.0.0.1 {port} 2
sentinel down-after-milliseconds house 30000
sentinel failover-timeout house 20000
"""


@pytest.fixture
def servers(tmp_path):
    with replicated(tmp_path, SENTINEL, sentinels=3) as running:
        yield running


@pytest.fixture
def house(request, servers, tmp_path):
    one = House(tmp_path / "cluster", comets=2, logics=2, redis_addr="127.0.0.1:1", settings={
        "redis.sentinels": ",".join(f"127.0.0.1:{s.port}" for s in servers[2:]), "redis.master": "house"})
    yield one
    one.end(getattr(request.node, "failed", False))


def come_in(crowd, number):
    """Somebody new, if a comet lets him in."""
    try:
        return crowd.join(f"comet-{number % 2 + 1}", f"late:{number}", f"late://{number}", mid=1000 + number)
    except OSError:
        return None


def test_an_operator_switches_over(servers, house, crowd, pushes):
    master, replica, *sentinels = servers
    begin_life(house, crowd, pushes)
    sentinels[0].client.execute_command("SENTINEL", "FAILOVER", "house")
    begun = time.monotonic()
    people, number = [], 0
    while time.monotonic() < begun + SECONDS or not replica.is_master() or master.is_master():
        people.append(come_in(crowd, number))
        number += 1
        time.sleep(0.05)
        assert time.monotonic() < begun + 3 * TIMEOUT
    people = [person for person in people if person is not None]
    assert len(people) > 50
    accepted = push_to_each(house, people, "first")
    assert_reached(accepted, "first")
    wait_found(house, people)
    settle(house, crowd, pushes)
    for name in ("comet-1", "logic-2"):
        assert "event=redis_master_switched" in house.log(name)


def test_they_do_not_go_back_to_the_one_that_was_left(servers, house):
    """A Sentinel that is behind names it, and it says itself that it is a master."""
    master, replica, *sentinels = servers
    for sentinel in sentinels[1:]:
        sentinel.process.send_signal(19)  # SIGSTOP: they hear of nothing
    try:
        crowd, pushes = Crowd(house), Pushes(house)
        begin_life(house, crowd, pushes)
        lost = house.metrics("comet-1")("comet_redis_connected_total")
        sentinels[0].client.execute_command("SENTINEL", "FAILOVER", "house")
        wait_until(lambda: "event=redis_master_switched" in house.log("comet-1"), "it is followed", 30)
    finally:
        for sentinel in sentinels[1:]:
            sentinel.process.send_signal(18)
    wait_until(replica.is_master, "the replica is the master", 30)
    time.sleep(3)  # for those that are behind to do harm
    settle(house, crowd, pushes)
    crowd.close()
    # Requests, replies and pushes, once each.
    assert house.metrics("comet-1")("comet_redis_connected_total") <= lost + 6
