"""What pushes cost Redis: entries that a comet has read go after seconds, and those of a comet that does not read are bounded in bytes;
what is lost by that is counted. SPDX-License-Identifier: MIT"""
import pytest

from history import assert_agreed
from waiting import TIMEOUT, wait_until

KIB = 1024
PUSHES = 3000
A_NODE = 100      # entries that Redis drops together
KEPT_SECONDS = 10  # of redis_pushes.c


def push_many(house, n, body_bytes):
    """Numbered as those of a stream of history.py: x#1, x#2, ..."""
    backend = house.backend()
    with backend.kept_alive():
        for number in range(1, n + 1):
            reply = backend.post("/goim/push/keys", f"x#{number}".ljust(body_bytes), operation=1000, keys="k")
            assert reply.json()["code"] == 0
    return number


def took(person):
    return [int(number) for number in person.received["x"]]


@pytest.mark.house(comets=1, logics=1)
def test_what_a_comet_has_read_does_not_stay(house, crowd):
    person, redis = crowd.join("comet-1", "k"), house.redis()
    push_many(house, PUSHES, KIB)
    wait_until(lambda: len(took(person)) == PUSHES, "all arrive")
    wait_until(lambda: redis.xlen("comet:push:comet-1") <= A_NODE, "they go", KEPT_SECONDS + TIMEOUT)
    assert redis.xlen("comet:push:comet-1") > 0
    assert redis.memory_usage("comet:push:comet-1", samples=0) < A_NODE * 2 * KIB
    # The place in the stream is found again on a new connection, and nothing comes twice.
    redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    house.wait_ready()
    house.backend().push_keys(["k"], f"x#{PUSHES + 1}")
    wait_until(lambda: took(person)[-1] == PUSHES + 1, "the next arrives")
    assert took(person) == list(range(1, PUSHES + 2))
    assert "event=stream_read_again" not in house.log("comet-1")
    assert house.metrics("comet-1")("comet_push_gap_total") == 0


@pytest.mark.house(comets=1, logics=1, settings={"redis.stream_bytes": "1m", "redis.forget": "1h"})
def test_a_comet_that_does_not_read_is_bounded_in_bytes(house, crowd):
    person, redis = crowd.join("comet-1", "k"), house.redis()
    house.freeze("comet-1")
    push_many(house, PUSHES, KIB)
    assert redis.memory_usage("comet:push:comet-1", samples=0) < 1200 * KIB
    house.thaw("comet-1")
    wait_until(lambda: took(person)[-1:] == [PUSHES], "the last arrives")
    # The first was on its way already.
    assert took(person) == [1, *range(PUSHES - len(took(person)) + 2, PUSHES + 1)]
    assert len(took(person)) >= 500
    assert house.metrics("comet-1")("comet_push_gap_total") == PUSHES - len(took(person))
    assert "raise redis.stream_length" in house.log("comet-1")


@pytest.mark.house(comets=1, logics=1)
def test_a_full_redis_has_space_again_by_what_was_read(house, crowd, pushes):
    """Twice as much goes through as it can hold."""
    redis = house.redis()
    for i in range(3):
        crowd.join("comet-1", f"k{i}", "live://1")
    redis.config_set("maxmemory", redis.info("memory")["used_memory"] + 8 * KIB * KIB)
    sent = 0
    backend = house.backend()
    with backend.kept_alive():
        for _ in range(4):
            for _ in range(900):
                sent += backend.post("/goim/push/room", "y#0".ljust(4 * KIB), operation=2000, type="live", room=1).json()["code"] == 0
            wait_until(lambda: redis.xlen("comet:push:comet-1") <= A_NODE, "they go", KEPT_SECONDS + TIMEOUT)
    assert sent == 3600
    pushes.start("room", "/goim/push/room?operation=1000&type=live&room=1", lambda p: True, 50)
    pushes.wait_accepted(50)
    pushes.stop()
    assert_agreed(crowd, pushes)
