"""Numbered streams over the HTTP API: docs/streams.md. A comet alone, and a cluster with COMET_TEST_HOUSE=cluster.

SPDX-License-Identifier: MIT"""
import concurrent.futures
import os
import threading

import pytest

from waiting import wait_until

KEPT = "stream.rooms=chat:5/10m, live:3/1s, score:1/24h"
pytestmark = pytest.mark.settings(KEPT)

END = 2**53
CLUSTER = os.environ.get("COMET_TEST_HOUSE") == "cluster"


def push(backend, body, room="1", kind="chat", key=None, **more):
    headers = {"Idempotency-Key": key} if key is not None else {}
    reply = backend.request("POST", "/goim/push/room", body, headers, operation=1000, type=kind, room=room, **more)
    assert (reply.status, reply.json()["code"]) == (200, 0), reply
    return int(reply.headers.get("comet-position", 0))


def history(backend, room="1", kind="chat", **more):
    reply = backend.get("/goim/stream", type=kind, room=room, **more)
    assert (reply.status, reply.json()["code"]) == (200, 0), reply
    return reply.json()["data"]


def positions(backend, *rooms, kind="chat"):
    return backend.get("/goim/stream/position", type=kind, rooms=rooms).json()["data"]


def bodies(data):
    """Consecutive from `at`, and the newest last, or the test ends here."""
    assert [m["n"] for m in data["messages"]] == list(range(data["at"] + 1, data["newest"] + 1))
    return [m["body"] for m in data["messages"]]


def test_kept_pushes_have_consecutive_numbers_and_others_none(backend):
    first = push(backend, "a", "consecutive")
    assert 10**15 < first < END
    assert [push(backend, "b", "consecutive") for _ in range(20)] == list(range(first + 1, first + 21))
    assert push(backend, "c", "consecutive", keep="no") == 0
    assert push(backend, "d", "consecutive", keep="yes") == first + 21
    assert push(backend, "e", "1", kind="other") == 0
    assert push(backend, "f", "other") != first + 22


def test_history_is_read_from_a_position(backend):
    at = positions(backend, "read")["chat://read"]
    assert bodies(history(backend, "read", since=at)) == []
    for i in range(8):
        assert push(backend, f"{i}", "read") == at + 1 + i
    assert bodies(history(backend, "read")) == ["3", "4", "5", "6", "7"]
    assert bodies(history(backend, "read", since=0)) == ["3", "4", "5", "6", "7"]
    assert bodies(history(backend, "read", since=at + 3)) == ["3", "4", "5", "6", "7"]
    assert bodies(history(backend, "read", since=at + 6)) == ["6", "7"]
    assert bodies(history(backend, "read", since=at + 8)) == []
    assert bodies(history(backend, "read", last=2)) == ["6", "7"]
    assert bodies(history(backend, "read", last=0)) == []
    for data in (history(backend, "read", since=at + 3), history(backend, "read", since=0, last=3)):
        assert not data["gap"]


def test_position_that_proves_nothing_is_a_gap(backend):
    at = [push(backend, f"{i}", "gap") for i in range(8)][-1]
    for since in (1, at - 6, at + 1, END - 1):
        data = history(backend, "gap", since=since)
        assert (data["gap"], data["at"], data["newest"], data["messages"]) == (True, at, at, []), since
    data = history(backend, "gap", since=1, last=2)
    assert data["gap"] and bodies(data) == ["6", "7"]


def test_body_that_is_no_text_comes_as_hex(backend):
    at = push(backend, b"\xff\x00", "hex")
    assert history(backend, "hex")["messages"] == [{"n": at, "op": 1000, "body_hex": "ff00"}]
    push(backend, b"", "hex")
    assert history(backend, "hex", last=1)["messages"][0]["body"] == ""


def test_room_that_is_not_kept_has_no_positions(backend):
    assert history(backend, kind="other") == {"at": 0, "newest": 0, "gap": False, "messages": []}
    assert history(backend, kind="other", since=5)["gap"]
    assert positions(backend, "1", "2", kind="other") == {"other://1": 0, "other://2": 0}
    assert backend.post("/goim/stream/clear", type="other", room="1").status == 400


def test_history_goes_after_its_time_and_the_position_stays(backend):
    at = push(backend, "gone soon", "brief", kind="live")
    wait_until(lambda: history(backend, "brief", kind="live")["messages"] == [], "the history goes")
    assert not history(backend, "brief", kind="live", since=at)["gap"]
    assert history(backend, "brief", kind="live", since=at - 1)["gap"]
    assert push(backend, "next", "brief", kind="live") == at + 1


def test_positions_of_rooms_are_made_and_stay(backend):
    names = [f"made-{i}" for i in range(100)]
    made = positions(backend, *names)
    assert all(10**15 < n < END for n in made.values()) and len(made) == 100
    assert positions(backend, *names) == made
    assert push(backend, "x", names[0]) == made["chat://made-0"] + 1
    assert backend.get("/goim/stream/position", type="chat", rooms=[*names, "1"]).status == 400


def test_clear_empties_and_jumps(backend):
    at = push(backend, "secret", "clear")
    reply = backend.post("/goim/stream/clear", type="chat", room="clear")
    assert (reply.status, reply.json()["code"]) == (200, 0), reply
    new = int(reply.headers["comet-position"])
    assert new > at + 10**7
    for since in (at, at - 1):
        assert history(backend, "clear", since=since)["gap"]
    assert history(backend, "clear", since=new) == {"at": new, "newest": new, "gap": False, "messages": []}
    assert push(backend, "next", "clear") == new + 1


def test_clear_of_what_nobody_has_asked_for_says_where_it_goes_on(backend):
    reply = backend.post("/goim/stream/clear", type="chat", room="clear-unknown")
    assert reply.json()["code"] == 0
    assert int(reply.headers["comet-position"]) == positions(backend, "clear-unknown")["chat://clear-unknown"]


def test_bad_questions_are_told(backend):
    for path, params in (("/goim/stream", {"type": "chat"}), ("/goim/stream", {"room": "1"}),
                         ("/goim/stream", {"type": "chat", "room": "1", "since": "x"}),
                         ("/goim/stream", {"type": "chat", "room": "1", "since": "-1"}),
                         ("/goim/stream", {"type": "chat", "room": "1", "since": str(END)}),
                         ("/goim/stream", {"type": "chat", "room": "1", "since": "1e3"}),
                         ("/goim/stream", {"type": "chat", "room": "1", "last": ""}),
                         ("/goim/stream", {"type": "chat", "room": "r" * 260}),
                         ("/goim/stream/position", {"type": "chat"}), ("/goim/stream/position", {"rooms": "1"})):
        reply = backend.get(path, **params)
        assert reply.status == 400 and reply.json()["code"] == -400 and reply.json()["message"], (path, params)
    assert backend.post("/goim/stream/clear", type="chat").status == 400
    for keep in ("maybe", "0", "NO"):
        reply = backend.post("/goim/push/room", b"x", operation=1000, type="chat", room="1", keep=keep)
        assert reply.status == 400 and "keep" in reply.json()["message"]


@pytest.mark.settings("stream.bytes=2k")
def test_body_too_long_to_be_kept_is_refused_unless_it_is_not_to_be_kept(backend):
    reply = backend.post("/goim/push/room", b"x" * 2049, operation=1000, type="chat", room="long")
    assert reply.status == 413 and reply.json()["code"] == -413 and "keep=no" in reply.json()["message"]
    assert push(backend, b"x" * 2049, "long", keep="no") == 0
    assert push(backend, b"x" * 2049, "long", kind="other") == 0
    at = push(backend, b"x" * 2048, "long")
    push(backend, b"y", "long")
    assert bodies(history(backend, "long")) == ["y"] and history(backend, "long", since=at - 1)["gap"]


@pytest.mark.ways("v2")
def test_push_with_a_name_is_made_once(backend, connect, way):
    room = f"once-{way.name}"
    client = connect(mid=1, room=f"chat://{room}")
    first = push(backend, "once", room, key="order-17")
    for _ in range(3):
        assert push(backend, "another body", room, key="order-17") == first
    assert push(backend, "twice", room, key="order-18") == first + 1
    push(backend, "other room", f"{room}-2", key="order-17")
    client.expect_push(1000, b"once")
    client.expect_push(1000, b"twice")
    assert bodies(history(backend, room)) == ["once", "twice"]


@pytest.mark.ways("v2")
def test_push_that_is_not_kept_is_made_once_as_well(backend, connect, way):
    room = f"once-{way.name}"
    client = connect(mid=1, room=f"other://{room}")
    for _ in range(3):
        assert push(backend, "once", room, kind="other", key="k" * 64) == 0
    push(backend, "end", room, kind="other")
    client.expect_push(1000, b"once")
    client.expect_push(1000, b"end")


def test_same_name_from_many_at_once_is_one_push(backend):
    barrier = threading.Barrier(8)

    def one(_):
        barrier.wait()
        reply = backend.request("POST", "/goim/push/room", "x", {"Idempotency-Key": "herd"}, operation=1000,
                                type="chat", room="herd")
        return reply.json()["code"], reply.headers.get("comet-position")

    at = positions(backend, "herd")["chat://herd"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(one, range(8)))
    assert (0, str(at + 1)) in answers and answers <= {(0, str(at + 1)), (-500, None)}
    assert positions(backend, "herd")["chat://herd"] == at + 1


def test_names_that_are_none_are_told(backend):
    def ask(path, key, **params):
        return backend.request("POST", path, "x", {"Idempotency-Key": key}, operation=1000, **params)

    for key in ("", "k" * 65):
        assert ask("/goim/push/room", key, type="chat", room="1").status == 400
    for path, params in (("/goim/push/keys", {"keys": "k"}), ("/goim/push/mids", {"mids": 1}), ("/goim/push/all", {})):
        reply = ask(path, "k", **params)
        assert reply.status == 400 and "/goim/push/room" in reply.json()["message"]


def test_numbers_stay_consecutive_when_many_push_at_once(backend):
    at = positions(backend, "many")["chat://many"]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        numbers = sorted(pool.map(lambda i: push(backend, str(i), "many"), range(400)))
    assert numbers == list(range(at + 1, at + 401))


@pytest.mark.own_house
@pytest.mark.settings("stream.new=1")
def test_numbers_that_asking_makes_are_bounded(backend):
    codes = []
    with backend.kept_alive():
        for i in range(105):
            rooms = [f"{i}-{k}" for k in range(100)]
            codes.append(backend.get("/goim/stream/position", type="chat", rooms=rooms).json()["code"])
    assert codes[:99] == [0] * 99 and codes[-1] == -429
    assert backend.get("/goim/stream", type="chat", room="new").status == 429
    assert positions(backend, "0-0")["chat://0-0"] > 0  # this one has a number
    push(backend, "x", "pushes make numbers all the same")


@pytest.mark.ways("v2")
def test_clients_that_know_nothing_of_streams_get_the_same_bytes(connect, backend):
    packets = []
    for kind in ("chat", "other"):
        client = connect(mid=1, room=f"{kind}://same")
        push(backend, '{"test":1}', "same", kind=kind)
        packets.append(client.recv().encode())
    assert packets[0] == packets[1]


@pytest.mark.skipif(CLUSTER, reason="histories are Redis's")
@pytest.mark.own_house
@pytest.mark.settings("stream.memory=1m", "stream.bytes=64k")
def test_memory_is_bounded_and_the_longest_unused_go(backend, house):
    with backend.kept_alive():
        numbers = [push(backend, b"x" * 30000, f"m-{i}") for i in range(60)]
    metrics = house.metrics()
    assert metrics("comet_stream_bytes") <= 1 << 20
    assert metrics("comet_streams_given_up_total") >= 25
    assert history(backend, "m-0", since=numbers[0] - 1)["gap"]
    assert len(history(backend, "m-59", since=numbers[59] - 1)["messages"]) == 1
