"""The data in Redis have a layout, and the layout has a number: programs of another one leave them alone.

SPDX-License-Identifier: MIT"""
import subprocess

import pytest

from server import BUILD
from waiting import wait_until

TOO_OLD = "event=layout_too_new"
OTHERS_TOO_OLD = "event=layout_too_old"
SECONDS = 30


def start(house, program, name):
    """Exit status and words of a program that does not start, whose lease is a short one."""
    host, port = house.address("redis", "redis")
    settings = {"logic.mode": "redis", "redis.addr": f"{host}:{port}", "redis.lease": "600ms", "server.id": name,
                "logic.id": name, "tcp.bind": "127.0.0.1:0", "websocket.bind": "", "http.bind": "127.0.0.1:0"}
    arguments = [argument for key, value in settings.items() for argument in ("-o", f"{key}={value}")]
    done = subprocess.run([BUILD / program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=SECONDS)
    return done.returncode, done.stdout


def has_ended(house, name):
    return house.log(name).rstrip().endswith("event=program_stopped")


@pytest.mark.house(comets=1, logics=1)
def test_data_of_a_newer_layout_are_left_alone(house):
    redis = house.redis()
    assert redis.get("comet:schema") == b"1"
    redis.set("comet:schema", 2)
    for program in ("comet", "comet-logic"):
        status, said = start(house, program, "second")
        assert status == 2 and TOO_OLD in said and "listening" not in said
    for name in ("comet-1", "logic-1"):
        wait_until(lambda name=name: has_ended(house, name), f"{name} goes")
        assert TOO_OLD in house.log(name)
    assert redis.get("comet:schema") == b"2"
    assert not redis.exists("comet:server:second") and redis.zscore("comet:logics", "second") is None
    redis.set("comet:schema", 1)
    house.start("logic-1")
    house.start("comet-1")
    house.wait_ready()


@pytest.mark.house(comets=1, logics=1, settings={"redis.lease": "600ms"})
def test_while_older_programs_run_no_newer_one_starts(house):
    """And none that runs renews its lease."""
    redis = house.redis()
    redis.zadd("comet:logics", {"old": (redis.time()[0] + SECONDS) * 1000})
    redis.set("comet:schema", 0)
    for program in ("comet", "comet-logic"):
        status, said = start(house, program, "second")
        assert status == 2 and OTHERS_TOO_OLD in said and "listening" not in said
    for name in ("comet-1", "logic-1"):
        wait_until(lambda name=name: OTHERS_TOO_OLD in house.log(name), f"{name} says so")
        wait_until(lambda name=name: not house.is_ready(name), f"{name} is not ready")
    redis.zrem("comet:logics", "old")
    house.wait_ready()
    assert redis.get("comet:schema") == b"1"


@pytest.mark.house(comets=1, logics=1)
def test_a_number_that_was_lost_comes_back(house):
    house.redis().flushall()
    wait_until(lambda: house.redis().get("comet:schema") == b"1", "it is there again")
    house.wait_ready()


@pytest.mark.house(comets=1, logics=1)
def test_data_without_a_number_are_of_the_first_layout(house, crowd):
    """As 0.1.0 leaves them."""
    house.redis().delete("comet:schema")
    first = crowd.join("comet-1", "k")
    house.backend().push_keys(["k"], "x#1")
    wait_until(lambda: first.received["x"] == [1], "it is reached")
    wait_until(lambda: house.redis().get("comet:schema") == b"1", "the number is written")
