"""While pushes with sequence numbers run, something breaks. Every accepted push reaches every target that stayed connected,
once and in order; no connection on a comet that survives drops; heartbeats are answered all the time; and 5 s after the
fault's end pushes are accepted and new clients come in again. SPDX-License-Identifier: MIT"""
import os
import time

import pytest

from history import assert_agreed, assert_hearts_beat
from waiting import SCALE, scaled, wait_until

RECOVERY_SECONDS = 5 / min(1, 4 * SCALE)  # sanitizer builds may take longer
A_SECOND = 1000 * SCALE
HEARTBEAT_LIMIT = 2.0 / min(1, 4 * SCALE)


@pytest.fixture
def life(house, crowd, pushes):
    """Six clients on each comet in two rooms, and pushes to keys, rooms and all: about A_SECOND of them."""
    for comet in house.names("comet"):
        for i in range(6):
            crowd.join(comet, f"{comet}/{i}", f"live://{i % 2}", mid=i + 1)
    for i, key in enumerate(["comet-1/0", "comet-2/1", "comet-2/2", "comet-3/3"]):
        pushes.start(f"key{i}", f"/goim/push/keys?operation=1000&keys={key}", lambda p, key=key: p.key == key,
                     0.18 * A_SECOND, logic=i)
    pushes.start("some", "/goim/push/keys?operation=1000&keys=comet-1/5&keys=comet-3/5&keys=comet-2/5",
                 lambda p: p.key.endswith("/5"), 0.08 * A_SECOND)
    for i in range(2):
        pushes.start(f"room{i}", f"/goim/push/room?operation=1000&type=live&room={i}",
                     lambda p, i=i: p.room == f"live://{i}", 0.07 * A_SECOND, logic=i)
    pushes.start("all", "/goim/push/all?operation=1000", lambda p: True, 0.05 * A_SECOND)
    pushes.wait_accepted(scaled(50, 5))
    return house


def assert_recovered(house, crowd, pushes, since, comets=None):
    """The fault ended at `since`: pushes and new clients."""
    pushes.wait_accepted(5, since + RECOVERY_SECONDS - time.monotonic())
    for comet in comets or house.names("comet"):
        wait_until(lambda comet=comet: crowd.comes_in(comet), f"a client comes in at {comet}",
                   since + RECOVERY_SECONDS - time.monotonic())


def finish(crowd, pushes, people=None):
    pushes.wait_accepted(scaled(50, 5))
    pushes.stop()
    assert_agreed(crowd, pushes, people)
    assert_hearts_beat(people or crowd.people, HEARTBEAT_LIMIT)


def test_nothing_breaks(life, crowd, pushes):
    pushes.wait_accepted(scaled(200, 5))
    finish(crowd, pushes)
    assert not any(stream.unknown for stream in pushes.streams)


def test_redis_killed_and_started_again(life, crowd, pushes):
    life.kill("redis")
    life.start("redis")
    assert_recovered(life, crowd, pushes, time.monotonic())
    finish(crowd, pushes)


@pytest.mark.parametrize("seconds", [1, 10, pytest.param(60, marks=pytest.mark.skipif(
    os.environ.get("COMET_TEST_FAULTS") != "all", reason="COMET_TEST_FAULTS=all asks for it"))])
def test_redis_stopped_for_some_seconds(life, crowd, pushes, seconds):
    life.freeze("redis")
    time.sleep(seconds)  # the fault itself
    life.thaw("redis")
    assert_recovered(life, crowd, pushes, time.monotonic())
    finish(crowd, pushes)


def test_all_connections_to_redis_cut(life, crowd, pushes):
    for _ in range(5):
        before = pushes.accepted()
        client = life.redis()
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        wait_until(lambda before=before: pushes.accepted() > before + 50, "pushes go on")
    assert_recovered(life, crowd, pushes, time.monotonic())
    finish(crowd, pushes)


def test_one_logic_of_two_killed(life, crowd, pushes):
    life.kill("logic-1")
    assert_recovered(life, crowd, pushes, time.monotonic())
    life.start("logic-1")
    finish(crowd, pushes)


def test_one_comet_of_three_killed_and_started_again(life, crowd, pushes):
    survivors = crowd.on("comet-1", "comet-2")
    life.kill("comet-3")
    pushes.wait_accepted(scaled(20, 5))
    life.start("comet-3")
    assert_recovered(life, crowd, pushes, time.monotonic())
    pushes.wait_accepted(scaled(50, 5))
    pushes.stop()
    assert_agreed(crowd, pushes, survivors)


def test_no_logic_lives_for_a_while(life, crowd, pushes):
    """New clients are refused in words; those online stay, and those who leave meanwhile are told to logic later."""
    for logic in life.names("logic"):
        life.kill(logic)
    with pytest.raises(ConnectionError, match="no logic"):
        crowd.join("comet-1", "nobody", timeout=15)
    gone = crowd.people.pop(0)
    crowd.leave(gone)
    session = f"comet:session:{gone.key}"
    for logic in life.names("logic"):
        life.start(logic)
    started = time.monotonic()
    assert_recovered(life, crowd, pushes, started)
    wait_until(lambda: b" 0 " in (life.redis().get(session) or b" 0 "), "the disconnect is told")
    finish(crowd, pushes)


def test_a_logic_stopped_answers_late_and_harms_nobody(life, crowd, pushes):
    """What it read before it was stopped is over by the time it goes on: nobody is registered twice."""
    life.freeze("logic-2")
    late = [crowd.join(comet, f"during/{comet}") for comet in life.names("comet")]
    pushes.wait_accepted(5, 30)
    life.thaw("logic-2")
    life.wait_ready()
    backend = life.backend("logic-1")
    for person in late:
        backend.push_keys([person.key], f"hello {person.key}")
    for person in late:
        wait_until(lambda person=person: [p.body.decode() for p in person.others] == [f"hello {person.key}"],
                   f"{person.key} is reached")
    for person in late:
        crowd.people.remove(person)
        crowd.leave(person)
    finish(crowd, pushes)
