"""All come back to a numbered room at once: each has what it missed, Redis is read once for each comet, and who reads slowly
harms nobody. SPDX-License-Identifier: MIT"""
import contextlib
import json
import os
import pathlib
import time

import pytest

from client import Op, Packet
from streams import PUSH_VER, push_of
from swarm import Swarm
from waiting import scaled, wait_until
from walkers import TCP

ROOM = "chat://1"
HERD, MISSED = scaled(9999, 300), 20
LONG = 200  # messages of the slow reader's replay


class Streams(TCP.dialect):
    @staticmethod
    def token(**who):
        return json.dumps({**json.loads(TCP.dialect.token(**who)), "streams": {}}).encode()


WAY = TCP._replace(dialect=Streams)


def push(house, body):
    """Its number."""
    reply = house.backend().request("POST", "/goim/push/room", body, operation=1000, type="chat", room=1)
    assert reply.json()["code"] == 0, reply
    return int(reply.headers["comet-position"])


def push_many(house, n, body):
    """The position before all of them."""
    first = push(house, body)
    assert [push(house, body) for _ in range(n)] == list(range(first + 1, first + 1 + n))
    return first


def join(member, since):
    body = json.dumps({"rooms": [{"id": ROOM, "since": since}]}).encode()
    member.sock.send(member.codec.encode(Packet(Op.JOIN, body, seq=2)))


def assert_has_all(member, since, n):
    """The answer, and behind it each push once, in order."""
    answer, *pushes = member.packets
    assert answer.op == Op.JOIN_REPLY and answer.ver != PUSH_VER, answer
    said = answer.json()["rooms"][0]
    assert (said["at"], said["gap"]) == (since, False), said
    assert [push_of(packet).number for packet in pushes] == list(range(since + 1, since + 1 + n)), member.number


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def reads(house):
    """How often a history was read in Redis: only the script that does so asks for a length."""
    return house.redis().info("commandstats").get("cmdstat_llen", {"calls": 0})["calls"]


@pytest.mark.house(settings={"stream.rooms": "chat:500/10m"})
def test_the_herd_has_what_it_missed_by_one_read_for_each_comet(house):
    comets = house.names("comet")
    since = push_many(house, MISSED, "x" * 100)
    with contextlib.ExitStack() as stack:
        swarms = [stack.enter_context(Swarm(WAY, house.address(comet, "tcp"), HERD // len(comets),
                                            lambda i, c=c: {"mid": 1 + i, "key": f"{c}/{i}"}))
                  for c, comet in enumerate(comets)]
        for swarm in swarms:
            swarm.connect()
        before = reads(house)
        cpu = [cpu_seconds(house.pid(comet)) for comet in comets]
        begin = time.monotonic()
        for swarm in swarms:
            for member in swarm.members:
                join(member, since)
        for swarm in swarms:
            swarm.pump_received(len(swarm.members) * (1 + MISSED))
        took = time.monotonic() - begin
        cpu = [cpu_seconds(house.pid(comet)) - was for comet, was in zip(comets, cpu)]
        for swarm in swarms:
            for member in swarm.members:
                assert_has_all(member, since, MISSED)
        print(f"{HERD} clients have {MISSED} pushes each after {took:.1f} s; CPU of the comets: {sum(cpu):.1f} s")
        assert reads(house) - before == len(comets)
    for comet in comets:
        assert house.metrics(comet).total("comet_stream_gaps_total") == 0


@pytest.mark.house(comets=1, settings={"stream.rooms": "chat:500/10m"})
def test_who_reads_slowly_in_its_replay_harms_nobody(house):
    since = push_many(house, LONG, "x" * 4000)
    with Swarm(WAY, house.address("comet-1", "tcp"), scaled(50, 10), lambda i: {"mid": 1 + i, "key": f"k{i}"}, rcvbuf=4096) as swarm:
        swarm.connect()
        slow, *others = swarm.members
        swarm.stall(slow)
        for member in swarm.members:
            join(member, since)
        swarm.pump_received(len(others) * (1 + LONG))
        # What comes while the slow one still has most of its replay before it.
        begin = time.monotonic()
        newest = push(house, "new")
        swarm.pump_received(len(others) * (2 + LONG))
        assert time.monotonic() - begin < 5
        assert len(slow.packets) == 0
        swarm.resume(slow)
        swarm.pump_received(len(swarm.members) * (2 + LONG))
        for member in swarm.members:
            assert_has_all(member, since, newest - since)
            assert not member.closed
    wait_until(lambda: house.metrics("comet-1")("comet_connections") == 0, "all are gone")
