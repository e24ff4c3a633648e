"""All come back at once, to a numbered room or to their own streams: each has what it missed, Redis is read once for each comet and
room, or user, and who reads slowly harms nobody. SPDX-License-Identifier: MIT"""
import json
import os
import pathlib
import subprocess

import pytest

from client import Op, Packet
from server import BUILD
from streams import PUSH_VER, push_of
from swarm import Swarm
from waiting import SPARE_BYTES, TIMEOUT, scaled, wait_until
from walkers import TCP

ROOM = "chat://1"
HERD, MISSED, OWN_MISSED = scaled(10000, 300), 20, 10
LONG = 200  # messages of the slow reader's replay


class Streams(TCP.dialect):
    @staticmethod
    def token(**who):
        return json.dumps({**json.loads(TCP.dialect.token(**who)), "streams": {}}).encode()


WAY = TCP._replace(dialect=Streams)


def push(house, body):
    return house.backend().numbered("/goim/push/room", body, operation=1000, type="chat", room=1)


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


def come_back(house, room, positions, missed):
    """Clients with these positions by their mids come to all comets at once, and each gets so many pushes. How often Redis was read."""
    comets, before, ports = house.names("comet"), reads(house), [str(house.address(name, "tcp")[1]) for name in house.names("comet")]
    cpu = {name: cpu_seconds(house.pid(name)) for name in house.members()}
    lines = "".join(f"{mid} {position}\n" for mid, position in positions.items())
    run = subprocess.run([BUILD / "tests/herd_load", room, str(missed), *ports], input=lines, capture_output=True, text=True,
                         timeout=8 * TIMEOUT, check=True)
    herd = json.loads(run.stdout)
    assert (herd["whole"], herd["failed"]) == (len(positions), 0), herd
    cpu = {name: cpu_seconds(house.pid(name)) - was for name, was in cpu.items()}
    print(f"{len(positions)} clients are in after {herd['online_s']:.1f} s and have {missed} pushes each after {herd['whole_s']:.1f} s; "
          "CPU: " + ", ".join(f"{sum(s for name, s in cpu.items() if name.startswith(kind)):.1f} s {kind}"
                              for kind in ("comet", "logic", "redis")) + f", {herd['cpu_s']:.1f} s clients")
    for comet in comets:
        assert house.metrics(comet).total("comet_stream_gaps_total") == 0
    return reads(house) - before


@pytest.mark.house(settings={"stream.rooms": "chat:500/10m"})
def test_the_herd_has_what_it_missed_by_one_read_for_each_comet(house):
    since = push_many(house, MISSED, "x" * 100)
    assert come_back(house, ROOM, {mid: since for mid in range(1, HERD + 1)}, MISSED) == len(house.names("comet"))


@pytest.mark.house(settings={"stream.users": "50/10m", "stream.users_open": "yes"})
def test_the_herd_has_what_each_missed_of_its_own_by_one_read_each(house):
    positions = push_to_users(house)
    for n in range(OWN_MISSED):
        assert push_to_users(house) == {mid: position + 1 + n for mid, position in positions.items()}
    assert come_back(house, "", positions, OWN_MISSED) == HERD


def push_to_users(house):
    """mid -> number, of a push to each of the herd."""
    numbers = {}
    for first in range(1, HERD + 1, 1000):
        mids = ",".join(map(str, range(first, min(first + 1000, HERD + 1))))
        data = house.backend().accepted("/goim/push/mids", "x" * 100, operation=1000, mids=mids, positions=1)
        numbers.update((int(mid), number) for mid, number in data["positions"].items())
    return numbers


def resident_bytes(pid):
    return int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.house(comets=1, settings={"stream.rooms": "chat:500/10m"})
def test_who_reads_slowly_in_its_replay_harms_nobody(house):
    since = push_many(house, LONG, "x" * 4000)
    with Swarm(WAY, house.address("comet-1", "tcp"), scaled(60, 12), lambda i: {"mid": 1 + i, "key": f"k{i}"}, rcvbuf=4096) as swarm:
        swarm.connect()
        slow, others = swarm.members[::2], swarm.members[1::2]
        for member in others:
            join(member, since)
        swarm.pump_received(len(others) * (1 + LONG))
        before = resident_bytes(house.pid("comet-1"))
        for member in slow:
            swarm.stall(member)
            join(member, since)
        wait_until(lambda: house.metrics("comet-1").total("comet_joins_total") == len(swarm.members), "all have joined")
        # What comes while the slow ones still have most of their replay before them.
        newest = push(house, "new")
        swarm.pump_received(len(others) * (2 + LONG))
        assert not any(member.packets for member in slow)
        grown = resident_bytes(house.pid("comet-1")) - before
        print(f"{len(slow)} slow readers of {LONG * 4000} bytes each cost the comet {grown} bytes")
        assert grown < len(slow) * LONG * 4000 / 4 + SPARE_BYTES
        for member in slow:
            swarm.resume(member)
        swarm.pump_received(len(swarm.members) * (2 + LONG))
        for member in swarm.members:
            assert_has_all(member, since, newest - since)
            assert not member.closed
    wait_until(lambda: house.metrics("comet-1")("comet_connections") == 0, "all are gone")
