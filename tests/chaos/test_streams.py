"""Clients come and go, from comet to comet: what they get of a room is consecutive, or they are told; and without a loss of data nobody is
told of a gap. SPDX-License-Identifier: MIT"""
import contextlib
import signal
import time

import pytest

from redis_servers import SENTINEL, replicated
from waiting import TIMEOUT, scaled, wait_until
from walkers import Talker, Walker

ROOM = "chat://1"
SETTINGS = {"stream.rooms": "chat:5000/10m"}
USERS = {"stream.users": "5000/24h", "stream.users_open": "yes"}
TIMES = scaled(8, 4)  # that each walker joins


@contextlib.contextmanager
def life_in(house, room=ROOM):
    walkers = [Walker(house, i + 1, room, pause=1.5, stay=1.0) for i in range(8)]
    talkers = [Talker(house, logic, room, 0.01) for logic in house.names("logic")]
    try:
        yield house, walkers, talkers
    finally:
        for one in (*walkers, *talkers):
            one.over.set()
        for one in (*walkers, *talkers):
            one.stop()


@pytest.fixture
def life(house):
    with life_in(house) as one:
        yield one


def finish(life):
    """Everybody comes once more, and has all. How many gaps were told."""
    _, walkers, talkers = life
    wait_until(lambda: sum(len(talker.accepted) for talker in talkers) > 100, "enough was pushed", 3 * TIMEOUT)
    for one in (*talkers, *walkers):
        one.stop()
    accepted = {}
    for talker in talkers:
        assert not accepted.keys() & talker.accepted.keys(), "a number was given twice"
        accepted.update(talker.accepted)
    newest = max(accepted)
    for walker in walkers:
        wait_until(lambda w=walker: w.visit(0.3) and w.position >= newest, lambda w=walker: f"{w.position} of {newest}")
        assert walker.bad == []
        for number, body in walker.got.items():
            assert accepted.get(number, body) == body, number
    assert sum(len(w.got) for w in walkers) > len(accepted) / 2
    return sum(len(w.gaps) for w in walkers)


def walk(life, times):
    """Until each walker has joined so many times more."""
    _, walkers, _ = life
    due = [walker.joins + times for walker in walkers]
    wait_until(lambda: all(walker.joins >= joins for walker, joins in zip(walkers, due)),
               lambda: f"walkers have joined {[walker.joins for walker in walkers]} times of {due}", 3 * TIMEOUT)


def walk_while_comets_die(life):
    house, _, _ = life
    for name in ("comet-1", "comet-2"):
        walk(life, TIMES / 4)
        house.kill(name)
        walk(life, TIMES / 8)
        house.start(name)
    walk(life, TIMES / 4)


def walk_while_redis_dies(life):
    house, _, _ = life
    walk(life, TIMES / 4)
    house.kill("redis")
    time.sleep(0.5)  # the fault itself: Redis is away
    house.start("redis")
    walk(life, TIMES / 2)


@pytest.mark.house(settings=SETTINGS)
def test_nothing_breaks_and_nobody_is_told_of_a_gap(life):
    walk(life, TIMES)
    assert finish(life) == 0


@pytest.mark.house(settings=SETTINGS)
def test_comet_killed_and_nobody_is_told_of_a_gap(life):
    walk_while_comets_die(life)
    assert finish(life) == 0


@pytest.mark.house(settings=SETTINGS)
def test_comet_frozen_and_nobody_is_told_of_a_gap(life):
    house, _, _ = life
    walk(life, TIMES / 4)
    house.freeze("comet-1")
    time.sleep(2)  # the fault itself: who goes there gets no answer
    house.thaw("comet-1")
    walk(life, TIMES / 4)
    assert finish(life) == 0


@pytest.mark.house(settings=SETTINGS)
def test_redis_killed_with_a_log_and_all_are_told(life):
    """The log of a second may be lost."""
    _, walkers, _ = life
    walk_while_redis_dies(life)
    assert finish(life) >= len(walkers)


@pytest.mark.house(settings=SETTINGS, snapshots=True)
def test_redis_killed_without_a_log_and_all_are_told(life):
    _, walkers, _ = life
    walk_while_redis_dies(life)
    assert finish(life) >= len(walkers)


@pytest.mark.house(settings={**SETTINGS, "redis.durable": "yes"})
def test_redis_killed_that_loses_nothing_and_nobody_is_told_of_a_gap(life):
    house, _, _ = life
    house.redis().config_set("appendfsync", "always")
    walk_while_redis_dies(life)
    assert finish(life) == 0


@pytest.mark.house(settings=SETTINGS)
def test_all_data_are_flushed_and_all_are_told(life):
    house, walkers, _ = life
    walk(life, TIMES / 4)
    house.redis().flushall()
    walk(life, TIMES / 2)
    assert finish(life) >= len(walkers)


@pytest.mark.house(settings=SETTINGS)
def test_single_keys_are_evicted_and_all_are_told_where_the_number_is_gone(life):
    """Without its history a room goes on, and comets have what is in their memory."""
    house, walkers, _ = life
    for key in ("h", "n"):
        walk(life, TIMES / 4)
        assert house.redis().delete(f"comet:{key}:r:{{{ROOM}}}") == 1
    walk(life, TIMES / 2)
    assert finish(life) >= len(walkers)


@pytest.fixture
def servers(tmp_path):
    with replicated(tmp_path, SENTINEL, sentinels=1) as running:
        yield running


def test_replica_that_was_cut_off_takes_over_and_all_are_told(servers, build_house):
    master, replica, sentinel = servers
    house = build_house(redis_addr="127.0.0.1:1", settings={
        **SETTINGS, "redis.sentinels": f"127.0.0.1:{sentinel.port}", "redis.master": "house"})
    with life_in(house) as life:
        walk(life, TIMES / 4)
        replica.client.replicaof("127.0.0.1", "1")
        replica.process.send_signal(signal.SIGSTOP)
        walk(life, TIMES / 4)
        master.stop(signal.SIGKILL)
        replica.process.send_signal(signal.SIGCONT)
        wait_until(replica.is_master, "the replica is promoted", 30)
        walk(life, TIMES / 2)
        assert finish(life) >= len(life[1])


# the stream of a user with eight devices, each now on this comet and now on that

@pytest.fixture
def user(house):
    with life_in(house, "") as one:
        yield one


@pytest.mark.house(settings=USERS)
def test_nobody_is_told_of_a_gap_in_a_user_s_stream(user):
    walk(user, TIMES)
    assert finish(user) == 0


@pytest.mark.house(settings=USERS)
def test_comet_killed_and_no_device_is_told_of_a_gap(user):
    walk_while_comets_die(user)
    assert finish(user) == 0


@pytest.mark.house(settings=USERS)
def test_redis_killed_without_its_data_and_all_devices_are_told(user):
    _, walkers, _ = user
    walk_while_redis_dies(user)
    assert finish(user) >= len(walkers)
