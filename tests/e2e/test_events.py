"""Back ends ask who came and who went: docs/http-api.md, GET /goim/events. A comet alone, and a cluster with COMET_TEST_HOUSE=cluster.

SPDX-License-Identifier: MIT"""
import os
import socket
import struct
import threading
import time

import pytest

from client import Op
from streams import arrive, expect_push
from waiting import wait_until

pytestmark = [pytest.mark.ways("tcp-v2"), pytest.mark.settings("events.kinds=online,offline")]
ACK = struct.Struct(">Q")


class Listener:
    """Reads on from where it was."""

    def __init__(self, backend, after=None):
        self.backend = backend
        self.after = after if after is not None else self._newest()
        self.got = []

    def _newest(self):
        events = self.ask(after="0")
        while len(events) == 1000:
            events = self.ask(after=events[-1]["id"])
        return events[-1]["id"] if events else "0"

    def ask(self, **params):
        return self.backend.data("/goim/events", **params)

    def read(self, n, wait=10000):
        """At least n more."""
        before, deadline = len(self.got), time.monotonic() + wait / 1000
        while len(self.got) < before + n and time.monotonic() < deadline:
            for event in self.ask(after=self.after, wait=1000):
                assert int(event["id"]) > int(self.after)
                self.after = event["id"]
                self.got.append(event)
        assert len(self.got) == before + n, self.got[before:]
        return self.got[before:]


def essence(events):
    return [(event["kind"], event["key"], event["mid"]) for event in events]


def test_who_comes_and_goes_is_told_in_order(connect, backend):
    listener = Listener(backend)
    client = connect(mid=7, key="phone")
    came = listener.read(1)[0]
    assert set(came) == {"id", "kind", "time", "key", "mid", "session", "comet"}
    assert (came["kind"], came["key"], came["mid"]) == ("online", "phone", 7)
    assert abs(came["time"] / 1000 - time.time()) < 60 and came["comet"] and 0 < came["session"] < 2**53
    client.close()
    gone = listener.read(1)[0]
    assert gone["kind"] == "offline" and gone["session"] == came["session"] and gone["comet"] == came["comet"]
    assert int(gone["id"]) == int(came["id"]) + 1


def test_end_of_one_that_was_replaced_is_told_by_its_session(connect, backend):
    listener = Listener(backend)
    first = connect(mid=7, key="phone")
    second = connect(mid=8, key="phone")
    first.expect_closed()
    events = listener.read(3)
    assert essence(events) == [("online", "phone", 7), ("offline", "phone", 7), ("online", "phone", 8)]
    assert events[0]["session"] == events[1]["session"] < events[2]["session"]
    backend.kick(keys="phone")
    second.expect_closed()
    assert essence(listener.read(1)) == [("offline", "phone", 8)]


def test_reader_waits_for_the_next_one(connect, backend):
    listener = Listener(backend)
    start = time.monotonic()
    assert listener.ask(after=listener.after, wait=300) == []
    assert time.monotonic() - start >= 0.3
    got = []
    waiter = threading.Thread(target=lambda: got.extend(listener.ask(after=listener.after, wait=15000)))
    waiter.start()
    client = connect(mid=7, key="phone")
    waiter.join()
    assert essence(got) == [("online", "phone", 7)]
    client.close()
    listener.read(2)
    first = listener.ask(after=str(int(listener.after) - 2), limit=1)
    assert essence(first) == [("online", "phone", 7)]


@pytest.mark.settings("events.kinds=offline", "events.length=100")
def test_what_is_gone_before_it_was_read_is_told_and_counted(connect, backend, house):
    """More than a node of a Redis stream beyond the length: it is trimmed by whole nodes."""
    listener = Listener(backend)
    connect(mid=1, key="first").close()
    listener.read(1)
    many = 320
    for i in range(many):
        connect(mid=1, key=f"k{i % 5}").close()
    wait_until(lambda: int(newest(listener)) >= int(listener.after) + many, "all have gone")
    events = listener.ask(after=listener.after)
    assert events[0]["kind"] == "lost"
    assert events[0]["lost"] == int(events[0]["id"]) - int(listener.after) == many - (len(events) - 1)
    assert 99 <= len(events) - 1 <= 220
    assert {event["kind"] for event in events[1:]} == {"offline"}
    assert listener.ask(after=events[0]["id"])[0] == events[1]
    assert listener.ask(after="5")[0]["lost"] == -1  # of another life
    assert listener.ask(after="0")[0] == events[1]


def newest(listener):
    events = listener.ask(after="0")
    return events[-1]["id"] if events else "0"


def test_bad_questions_are_told(backend):
    for params in ({"after": "x"}, {"after": "-1"}, {"wait": 60001}, {"limit": 0}, {"limit": 1001}):
        reply = backend.get("/goim/events", **params)
        assert (reply.status, reply.json()["code"]) == (400, -400), params


@pytest.mark.settings("events.kinds=")
def test_where_no_kind_is_named_nothing_is_kept(backend):
    reply = backend.get("/goim/events")
    assert (reply.status, reply.json()["code"]) == (400, -400) and "events.kinds" in reply.json()["message"]


def test_named_users_have_their_names(connect, backend):
    listener = Listener(backend)
    connect(mid=7, key="phone").close()
    assert all("user" not in event for event in listener.read(2))
    client = connect.raw()
    client.request(Op.AUTH, b'{"user":"ann","key":"pad"}')
    client.close()
    assert [(event["kind"], event["user"]) for event in listener.read(2)] == [("online", "ann"), ("offline", "ann")]


UNACKED = ("events.kinds=unacked", "stream.users=50/24h", "stream.users_open=yes", "logic.renew_online=100ms")


def push(backend, body="x", status=200, path="/goim/push/mids", **params):
    """Its number."""
    reply = backend.post(path, body, operation=1000, **params)
    assert reply.status == status and (status != 200 or reply.json()["code"] == 0), reply
    return int(reply.headers.get("comet-position", 0))


@pytest.mark.settings(*UNACKED)
def test_push_that_no_device_confirms_in_time_is_told_once(connect, backend):
    listener = Listener(backend)
    phone, deaf = connect.raw(), connect.raw()
    arrive(phone, {}, mid=7, key="phone")
    arrive(deaf, {}, mid=8, key="deaf")
    push(backend, mids=8)
    confirmed = push(backend, mids=7, confirm="3s")
    expect_push(phone, "", b"x", confirmed)
    phone.send(Op.ACK, ACK.pack(confirmed))
    late = push(backend, mids=7, confirm="3s")
    deaf_one = push(backend, mids=8, confirm="4s")
    away = push(backend, path="/goim/push/users", users="ann b", confirm="5s")
    events = listener.read(3, 30000)
    assert [(e["kind"], e["mid"], e["n"], e.get("user")) for e in events] == \
        [("unacked", 7, late, None), ("unacked", 8, deaf_one, None), ("unacked", events[2]["mid"], away, "ann b")]
    assert set(events[0]) == {"id", "kind", "time", "mid", "n"}
    phone.send(Op.ACK, ACK.pack(late))
    # What is told next is the next one that is not confirmed, and nothing twice.
    last = push(backend, mids=8, confirm="1s")
    assert [e["n"] for e in listener.read(1, 30000)] == [last]


@pytest.mark.settings(*UNACKED)
def test_push_that_comes_again_is_told_once(backend):
    listener = Listener(backend)
    for _ in range(2):
        for i in range(2):
            reply = backend.request("POST", "/goim/push/mids", "x", {"Idempotency-Key": f"once{i}"}, operation=1000, mids=9, confirm="1s")
            assert reply.json()["code"] == 0
        if not listener.got:
            listener.read(2, 30000)
    number = push(backend, mids=9, confirm="1s")
    assert [e["n"] for e in listener.read(1, 30000)] == [number]


@pytest.mark.settings(*UNACKED, "events.length=100")
def test_of_too_many_that_wait_those_due_next_are_told_too_early(backend):
    listener = Listener(backend)
    for user in range(1000, 1150):
        push(backend, mids=user, confirm="1h")
    assert [e["mid"] for e in listener.read(50, 30000)] == list(range(1000, 1050))


@pytest.mark.settings(*UNACKED)
def test_time_to_confirm_that_is_none_is_refused(backend):
    for wrong in ({"confirm": "0"}, {"confirm": "x"}, {"confirm": ""}, {"confirm": "25h"}, {"confirm": "1s", "keep": "no"}):
        push(backend, status=400, mids=7, **wrong)


def test_nobody_waits_for_what_is_not_told(backend):
    push(backend, status=400, mids=7, confirm="1s")


@pytest.mark.settings("events.kinds=occupied,vacated", "logic.renew_online=100ms")
def test_room_has_its_first_member_and_loses_its_last(connect, backend):
    listener = Listener(backend)
    first, second = connect(mid=1, room="live://1"), connect(mid=2, room="live://1")
    came = listener.read(1)[0]
    assert set(came) == {"id", "kind", "time", "room", "comet"} and (came["kind"], came["room"]) == ("occupied", "live://1")
    first.close()
    second.request(12, b"live://2")
    assert {(e["kind"], e["room"]) for e in listener.read(2)} == {("occupied", "live://2"), ("vacated", "live://1")}
    backend.accepted("/goim/room/join", type="live", rooms="3", mids=2)
    assert {(e["kind"], e["room"]) for e in listener.read(2)} == {("occupied", "live://3"), ("vacated", "live://2")}
    second.close()
    assert [(e["kind"], e["room"]) for e in listener.read(1)] == [("vacated", "live://3")]


@pytest.mark.settings("events.kinds=occupied,vacated", "logic.renew_online=100ms")
def test_room_that_no_client_can_name_is_refused_and_stops_no_reader(connect, backend):
    """JSON has no words for it: whoever read events was told of no later one."""
    listener = Listener(backend)
    client = connect(mid=7, key="phone")
    for names in ({"type": "live", "rooms": b"\xff"}, {"type": b"\xff", "rooms": "1"}):
        reply = backend.post("/goim/room/join", keys="phone", **names)
        assert (reply.status, reply.json()["code"]) == (400, -400) and "UTF-8" in reply.json()["message"], reply
    backend.accepted("/goim/room/join", type="live", rooms="1", keys="phone")
    assert [(e["kind"], e["room"]) for e in listener.read(1)] == [("occupied", "live://1")]
    client.close()
    assert [(e["kind"], e["room"]) for e in listener.read(1)] == [("vacated", "live://1")]


@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") != "cluster", reason="Redis keeps them")
@pytest.mark.settings("events.kinds=occupied,vacated", "logic.renew_online=100ms")
def test_entry_that_json_has_no_words_for_is_told_as_lost(connect, backend, house):
    """As older releases let it in."""
    listener = Listener(backend)
    clients = [connect(mid=7, room="live://before")]
    at = int(listener.read(1)[0]["id"])
    host, port = house.redis.split(":")
    with socket.create_connection((host, int(port)), 10) as redis, redis.makefile("rb") as answers:
        redis.sendall(b"GET comet:events:n\r\n")
        numbers = (answers.readline(), answers.readline())[1].split()
        assert int(numbers[0]) == at
        redis.sendall(b'XADD comet:events %d-0 kind occupied time 1 room "live://\\xff" server c\r\n' % (at + 1) +
                      b'SET comet:events:n "%d %s %s"\r\n' % (at + 1, numbers[1], numbers[2]))
        assert [answers.readline()[:1] for _ in range(3)] == [b"$", b"%d" % ((at + 1) // 10 ** (len(str(at + 1)) - 1)), b"+"]
    clients.append(connect(mid=8, room="live://behind"))
    events = listener.read(2)
    assert events[0] == {"kind": "lost", "lost": 1, "id": str(at + 1)} and events[1]["room"] == "live://behind"
    for client in clients:
        client.close()
    assert {e["kind"] for e in listener.read(2)} == {"vacated"}
