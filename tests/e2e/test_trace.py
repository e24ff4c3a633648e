"""A trace for a time: comet-cli trace, and POST /goim/trace, which reaches all comets; and the line of a connection's end.

SPDX-License-Identifier: MIT"""
import re
import subprocess
import time

import pytest

from client import V2, Client, TcpCodec, Way
from server import BUILD
from waiting import TIMEOUT, wait_until

TCP = Way("tcp-v2", "tcp", TcpCodec, V2)
pytestmark = pytest.mark.own_house


def come(house, **who):
    return Client(TCP, house.address("tcp")).auth(**who)


def ask(house, status=200, **params):
    reply = house.backend.request("POST", "/goim/trace", **params)
    assert reply.status == status, reply
    return reply.json().get("data")


def traced(house, key):
    return len(re.findall(rf" trace conn=\w+ key={key} ", house.log()))


def test_user_is_traced_who_is_there_and_who_comes(house):
    ann, bob = come(house, mid=7, key="ann"), come(house, mid=8, key="bob")
    data = ask(house, mids="7", **{"for": "1m"})
    assert [c["key"] for c in data["connections"]] == ["ann"] and data["silent"] == []
    tablet = come(house, mid=7, key="tablet")
    for client in (ann, bob, tablet):
        client.heartbeat()
    wait_until(lambda: traced(house, "ann") and traced(house, "tablet"), "their lines")
    assert not traced(house, "bob")
    assert "event=trace_changed user=7 names=1 for_s=60" in house.log()
    before = traced(house, "ann")
    assert [c["key"] for c in ask(house, users="7", **{"for": "0"})["connections"]] == ["ann", "tablet"]
    ann.heartbeat()
    assert traced(house, "ann") == before
    assert "event=http_changed method=POST path=/goim/trace targets=1 code=0" in house.logic_log()


def test_trace_of_a_key_ends_by_itself(house):
    ann = come(house, mid=7, key="ann")
    assert [c["key"] for c in ask(house, keys=["ann", "nobody"], **{"for": "1"})["connections"]] == ["ann"]
    ann.heartbeat()
    wait_until(lambda: traced(house, "ann"), "its lines")
    time.sleep(1.1)  # it is a time that is tested
    before = traced(house, "ann")
    ann.heartbeat()
    come(house, mid=7, key="ann").heartbeat()
    assert traced(house, "ann") == before


def test_filtered_push_leaves_a_line(house, backend):
    client = come(house, mid=7, key="ann", accepts=[1000])
    ask(house, keys="ann")
    backend.push_mids([7], "no", op=1005)
    wait_until(lambda: "event=trace_filtered op=1005" in house.log(), house.log)
    client.close()


@pytest.mark.parametrize("params", [{}, {"keys": ""}, {"mids": "x"}, {"keys": "a", "for": "soon"}, {"keys": "a", "mids": "7"}, {"keys": [str(i) for i in range(101)]}, {"keys": "k" * 256}])
def test_wrong_calls_are_told(house, params):
    ask(house, 400, **params)


def test_cli_says_where_to_look(house):
    client = come(house, mid=7, key="ann")
    host, port = house.backend.address
    run = [BUILD / "comet-cli", "trace", "--http", f"{host}:{port}"]
    said = subprocess.run([*run, "user", "7", "--for", "1m"], capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout
    assert re.fullmatch(r"traced for 1m, 1 connection now: .*\nkey ann is on \S+\n", said), said
    client.heartbeat()
    wait_until(lambda: traced(house, "ann"), "its lines")
    said = subprocess.run([*run, "user", "7", "--for", "0"], capture_output=True, text=True, timeout=TIMEOUT, check=True).stdout
    assert said.startswith("traced no longer\n")
    assert subprocess.run([*run, "room", "x"], capture_output=True, timeout=TIMEOUT, check=False).returncode == 2


# ---- the line of the end


@pytest.mark.settings("log.level=debug", "protocol.svr_proto=2", "tcp.sndbuf=4608")
def test_end_of_a_connection_says_where_it_was_and_what_it_got(house, backend):
    client = come(house, mid=7, key="ann", room="live://1")
    for text in ("one", "two", "three"):
        backend.push_mids([7], text)
        client.expect(1000)
    client.close()
    wait_until(lambda: "event=connection_closed" in house.log(), "it is closed")
    line = next(line for line in house.log().splitlines() if "event=connection_closed" in line)
    assert re.search(r" reason=client_\w+ mid=7 over=tcp age_s=\d+ room=live://1 delivered=3 dropped=0$", line), line
    slow = come(house, mid=8, key="slow")
    def overflows():
        backend.push_mids([8], "x" * 100000)
        return "reason=slow_consumer" in house.log()

    wait_until(overflows, "it does not read")
    line = next(line for line in house.log().splitlines() if "reason=slow_consumer" in line and "event=connection_closed" in line)
    assert " room=" not in line and int(re.search(r" dropped=(\d+)", line)[1]) > 0, line
    slow.close()
