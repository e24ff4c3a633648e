"""Clients come and go, from comet to comet, those of a room, and a user's devices: what they get is consecutive, or they are told; and
without a loss of data nobody is told of a gap. test_streams_random.py does all of it at random. SPDX-License-Identifier: MIT"""
import select
import signal
import time

import pytest

from client import Client
from redis_servers import SENTINEL, cut_off, replicated
from streams import arrive, join, push_of
from waiting import TIMEOUT, scaled, wait_until
from walkers import HISTORY, TCP, Life

SETTINGS = {"stream.rooms": f"chat:{HISTORY}/10m", "stream.users": f"{HISTORY}/24h", "stream.users_open": "yes"}
ROOMS_AND_USERS = [pytest.param("chat://1", id="room"), pytest.param("", id="user")]
TIMES = scaled(8, 4)  # that each walker joins


@pytest.fixture(params=ROOMS_AND_USERS)
def life(request, house):
    one = Life(house, request.param)
    yield one
    one.stop()


def walk_while_comets_die(life):
    for name in ("comet-1", "comet-2"):
        life.walk(TIMES / 4)
        life.house.kill(name)
        life.walk(TIMES / 8)
        life.house.start(name)
    life.walk(TIMES / 4)


def walk_while_redis_dies(life):
    life.walk(TIMES / 4)
    life.house.kill("redis")
    time.sleep(0.5)  # the fault itself: Redis is away
    life.house.start("redis")
    life.walk(TIMES / 2)


def walk_while_frozen(life, name):
    life.walk(TIMES / 4)
    life.house.freeze(name)
    time.sleep(2)  # the fault itself: who goes there gets no answer
    life.house.thaw(name)
    life.walk(TIMES / 4)


def assert_all_were_told(life):
    assert life.finish() >= len(life.walkers)


@pytest.mark.house(settings=SETTINGS)
def test_nothing_breaks_and_nobody_is_told_of_a_gap(life):
    life.walk(TIMES)
    assert life.finish() == 0


@pytest.mark.house(settings=SETTINGS)
def test_comet_killed_and_nobody_is_told_of_a_gap(life):
    walk_while_comets_die(life)
    assert life.finish() == 0


@pytest.mark.house(settings=SETTINGS)
@pytest.mark.parametrize("name", ["comet-1", "redis"])
def test_frozen_and_nobody_is_told_of_a_gap(life, name):
    walk_while_frozen(life, name)
    assert life.finish() == 0


@pytest.mark.house(settings=SETTINGS)
def test_redis_killed_with_a_log_and_all_are_told(life):
    """The log of a second may be lost."""
    walk_while_redis_dies(life)
    assert_all_were_told(life)


@pytest.mark.house(settings=SETTINGS, snapshots=True)
def test_redis_killed_without_a_log_and_all_are_told(life):
    walk_while_redis_dies(life)
    assert_all_were_told(life)


@pytest.mark.house(settings={**SETTINGS, "redis.durable": "yes"})
def test_redis_killed_that_loses_nothing_and_nobody_is_told_of_a_gap(life):
    life.house.redis().config_set("appendfsync", "always")
    walk_while_redis_dies(life)
    assert life.finish() == 0


@pytest.mark.house(settings=SETTINGS)
def test_all_data_are_flushed_and_all_are_told(life):
    life.walk(TIMES / 4)
    life.house.redis().flushall()
    life.walk(TIMES / 2)
    assert_all_were_told(life)


@pytest.mark.house(settings=SETTINGS)
def test_single_keys_are_evicted_and_all_are_told_where_the_number_is_gone(life):
    """Without its history a stream goes on, and comets have a room's in their memory."""
    life.walk(TIMES / 4)
    wait_until(lambda: life.house.redis().exists(life.key("h")), "something was pushed")  # walkers may come before it
    assert life.take_history_away()
    life.walk(TIMES / 4)
    assert life.house.redis().delete(life.key("n")) == 1
    life.walk(TIMES / 2)
    assert_all_were_told(life)


@pytest.fixture
def servers(tmp_path):
    with replicated(tmp_path, SENTINEL, sentinels=1) as running:
        yield running


@pytest.mark.parametrize("room", ROOMS_AND_USERS)
def test_replica_that_was_cut_off_takes_over_and_all_are_told(servers, build_house, room):
    master, replica, sentinel = servers
    house = build_house(redis_addr="127.0.0.1:1", settings={
        **SETTINGS, "redis.sentinels": f"127.0.0.1:{sentinel.port}", "redis.master": "house"})
    life = Life(house, room)
    try:
        life.walk(TIMES / 4)
        cut_off(replica)
        life.walk(TIMES / 4)
        master.stop(signal.SIGKILL)
        replica.process.send_signal(signal.SIGCONT)
        wait_until(replica.is_master, "the replica is promoted", 30)
        life.walk(TIMES / 2)
        assert_all_were_told(life)
    finally:
        life.stop()


# a comet that is a moment behind

def push(house, room):
    path, to = ("/goim/push/room", {"type": "chat", "room": 1}) if room else ("/goim/push/mids", {"mids": 77})
    return house.backend().numbered(path, "x", operation=1000, **to)


def come(house, comet, room, position=None):
    """A client, and what it is told of the stream."""
    client = Client(TCP, house.address(comet, "tcp"))
    since = {"since": position} if position else {}
    said = arrive(client, {"user": position} if position and not room else {}, mid=77, key=f"{comet}/{position}")
    return client, join(client, room, **since) if room else said["user"]


@pytest.mark.house(settings=SETTINGS)
@pytest.mark.parametrize("room", ROOMS_AND_USERS)
def test_comet_that_is_behind_tells_nobody_of_a_gap_who_is_ahead_of_it(behind_a_proxy, room):
    house, proxy = behind_a_proxy
    members = {comet: come(house, comet, room)[0] for comet in house.names("comet")}
    proxy.hold(b"XREAD")
    number = push(house, room)  # when a comet has it, it asks for more, and one of them is not heard
    wait_until(proxy.holds, "a comet reads no pushes")
    for client in members.values():
        assert push_of(client.recv()).number == number
    newest = push(house, room)
    readable, _, _ = select.select([client.sock for client in members.values()], [], [], TIMEOUT)
    behind = next(comet for comet, client in members.items() if client.sock not in readable)
    client, said = come(house, behind, room, newest)
    assert (said["at"], said["gap"]) == (newest, False), said
    assert push(house, room) == newest + 1
    proxy.release()
    assert push_of(client.recv()).number == newest + 1
    assert [push_of(members[behind].recv()).number for _ in range(2)] == [newest, newest + 1]
    for one in (client, *members.values()):
        one.close()


@pytest.mark.house(settings=SETTINGS)
def test_numbers_of_many_new_rooms_cost_one_way_to_redis_and_back(behind_a_proxy):
    house, proxy = behind_a_proxy
    proxy.delay_s = 0.01  # 100 ways, one after the other, would take longer than redis.timeout
    rooms = [f"far-{i}" for i in range(100)]
    reply = house.backend().get("/goim/stream/position", type="chat", rooms=rooms)
    proxy.delay_s = 0
    assert reply.json()["code"] == 0, reply
    assert len(reply.json()["data"]) == 100 and 0 not in reply.json()["data"].values()
