"""A client that vanishes without a word, as a phone in a lift or behind a NAT that forgot it: it is not taken for there for long.

SPDX-License-Identifier: MIT"""
import re
import subprocess
import time

import pytest

from client import Client
from network import own_network, vanish
from server import BUILD
from waiting import TIMEOUT

ADDRESS = "127.0.0.9"
WAYS = pytest.mark.ways("tcp-v2", "tls-v2", "ws-v2", "wss-v2")


@pytest.fixture
def alone():
    with own_network():
        yield


@pytest.fixture
def come(alone, launch, way):
    """A client of a house with these settings, at an address of its own; it is there."""
    def come(**settings):
        house = launch({f"tcp.{key}": value for key, value in settings.items()})
        client = Client(way, house.address(way.listener), source=ADDRESS).auth(mid=7)
        client.heartbeat()
        time.sleep(0.2)  # until its system has said that the answer has come
        return house, client

    return come


def assert_cut(house, begun, at_least, at_most):
    house.wait_metric("comet_closed_total", 1, reason="client_cut", timeout=at_most + TIMEOUT)
    took = time.monotonic() - begun
    assert at_least <= took <= at_most, f"it took {took:.1f} s"
    house.wait_empty()
    assert "write_timeout" not in house.log()


@WAYS
def test_silent_client_that_has_vanished_is_asked_and_closed(come):
    house, client = come(keepalive_idle="1s", keepalive_interval="1s", keepalive_count=3, user_timeout=0)
    begun = time.monotonic()
    vanish(ADDRESS)
    assert_cut(house, begun, 3, 9)
    client.close()


@WAYS
def test_silent_client_that_answers_is_left_alone(come):
    house, client = come(keepalive_idle="1s", keepalive_interval="1s", keepalive_count=1, user_timeout="1s")
    time.sleep(4)  # of many questions
    client.heartbeat()
    assert house.metrics()("comet_connections") == 1
    client.close()


@WAYS
def test_pushes_to_who_has_vanished_are_delivered_for_no_longer_than_user_timeout(come):
    house, client = come(keepalive="off", user_timeout="2s")
    vanish(ADDRESS)
    begun = time.monotonic()
    house.backend.push_mids([7], b"into the void")
    assert_cut(house, begun, 1.5, 9)
    before = house.metrics()("comet_delivered_total")
    house.backend.push_mids([7], b"to nobody")
    house.wait_metric("comet_pushes_to_nobody_total", 1)
    assert house.metrics()("comet_delivered_total") == before
    client.close()


@WAYS
def test_client_that_comes_back_in_time_gets_what_was_pushed_meanwhile(come):
    house, client = come()
    vanish(ADDRESS)
    house.backend.push_mids([7], b"meanwhile")
    time.sleep(1)
    subprocess.run(["nft", "flush", "ruleset"], check=True)
    client.expect_push(1000, b"meanwhile")
    client.close()


def test_defaults_end_who_has_vanished_within_two_minutes():
    said = subprocess.run([BUILD / "comet", "-t"], capture_output=True, text=True, check=True).stdout
    tcp = dict(re.findall(r"^(\w+) = (\S+)$", said.split("[tcp]")[1].split("[websocket]")[0], re.M))
    seconds = {"s": 1, "m": 60}
    idle, interval, user = (int(tcp[key][:-1]) * seconds[tcp[key][-1]]
                            for key in ("keepalive_idle", "keepalive_interval", "user_timeout"))
    assert tcp["keepalive"] == "yes"
    assert idle + interval * int(tcp["keepalive_count"]) <= 120
    # The kernel goes by this one where it is set: not before the last question, or one lost packet would end a connection.
    assert idle + interval * int(tcp["keepalive_count"]) <= user <= 120
