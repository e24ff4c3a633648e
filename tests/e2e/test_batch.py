"""A batch: many pushes in one call, each as its own call would be, in their order.

SPDX-License-Identifier: MIT"""
import json

import pytest

from waiting import scaled

pytestmark = pytest.mark.ways("v2")


def batch(backend, lines):
    """The lines as JSON, or as they are; the answer's lines."""
    body = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    reply = backend.request("POST", "/goim/batch", body, headers={"Content-Type": "application/x-ndjson"})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-ndjson"), reply
    answers = [json.loads(line) for line in reply.body.splitlines()]
    assert len(answers) == len(lines)
    return answers


def test_order_is_that_of_the_lines(connect, backend):
    """To one client by every kind of push in turn, also where the first has not arrived when the last sets off."""
    n = scaled(2000)
    client = connect(mid=7, key="k", room="live://1")
    kinds = ({"mids": [7]}, {"keys": "k"}, {"users": ["7"]}, {"type": "live", "room": "1"}, {"all": True})
    answers = batch(backend, [{"operation": 1000, "body": f"#{i}", **kinds[i % len(kinds)]} for i in range(n)])
    assert answers == [{"code": 0, "message": ""}] * n
    for i in range(n):
        client.expect_push(1000, f"#{i}".encode())


def test_bad_lines_are_answered_and_the_others_done(connect, backend):
    client = connect(mid=7)
    good = {"operation": 1000, "mids": 7, "body": "good"}
    answers = batch(backend, [good, "", "{", {"operation": 6, "mids": 7}, {"mids": 7}, {"operation": 1000, "body": "x"}, good,
                              {"operation": 1000, "mids": "x", "body": "x"}, good])
    assert [answer["code"] for answer in answers] == [0, -400, -400, -400, -400, -400, 0, -400, 0]
    for _ in range(3):
        client.expect_push(1000, b"good")
    backend.push_mids([7], "last")
    client.expect_push(1000, b"last")


def test_line_that_says_no_to_all_is_not_for_all(connect, backend):
    """A back end that writes out each member, of which the list is empty."""
    client = connect(mid=7, key="k")
    line = {"operation": 1000, "body": "x"}
    answers = batch(backend, [{**line, "users": [], "all": False}, {**line, "all": "no"}, {**line, "all": 0},
                              {**line, "keys": ["k"], "all": False, "body": "to k"}])
    assert [answer["code"] for answer in answers] == [-400, -400, -400, 0]
    client.expect_push(1000, b"to k")
    assert batch(backend, [{**line, "all": 1}])[0]["code"] == 0
    client.expect_push(1000, b"x")


def test_line_tells_what_became_of_it(connect, backend):
    connect(mid=7, key="a")
    answers = batch(backend, [{"operation": 1000, "mids": [7, 8], "tell": True, "body": ""},
                              {"operation": 1000, "keys": ["a", "b"], "offline": True, "body": ""}, {"operation": 1000, "mids": [7], "body": ""}])
    assert (answers[0]["data"]["online"], answers[0]["data"]["offline"]) == (1, 1)
    assert answers[1]["data"]["offline_keys"] == ["b"]
    assert answers[2] == {"code": 0, "message": ""}


@pytest.mark.settings("stream.users=5000/1h", "stream.users_open=yes")
def test_lines_to_users_who_are_kept_keep_their_order(connect, backend):
    """Though the next ones set off before the first has its number."""
    n = scaled(1500)
    client = connect(mid=7, key="k")
    line = {"operation": 1000, "body": "x"}
    lines = [[{**line, "mids": [7], "body": f"#{i}"}, {**line, "users": "8"}, {**line, "mids": [7, 8], "positions": True, "body": f"#{i}"}][i % 3]
             for i in range(n)]
    answers = batch(backend, lines)
    assert [answer["code"] for answer in answers] == [0] * n
    to_7 = [answer["data"]["positions"]["7"] if "data" in answer else answer["position"] for i, answer in enumerate(answers) if i % 3 != 1]
    to_8 = [answer["data"]["positions"]["8"] if "data" in answer else answer["position"] for i, answer in enumerate(answers) if i % 3 != 0]
    assert to_7 == list(range(to_7[0], to_7[0] + len(to_7))) and to_8 == list(range(to_8[0], to_8[0] + len(to_8)))
    for i in range(n):
        if i % 3 != 1:
            client.expect_push(1000, f"#{i}".encode())
    named = {**line, "mids": 7, "idempotency_key": f"once-{to_7[0]}"}
    first, second = batch(backend, [named, named])
    assert first == second and first["position"] == to_7[-1] + 1


@pytest.mark.settings("stream.rooms=chat:50/1h")
def test_kept_pushes_have_their_positions_and_names_make_them_once(backend):
    line = {"operation": 1000, "type": "chat", "room": "batch", "body": "x"}
    positions = [answer["position"] for answer in batch(backend, [line] * 3)]
    assert positions == list(range(positions[0], positions[0] + 3))
    named = {**line, "idempotency_key": "once"}
    first, second = batch(backend, [named, named])
    again, = batch(backend, [named])
    assert first == second == again and first["position"] == positions[2] + 1
    unkept, = batch(backend, [{**line, "keep": "no"}])
    assert "position" not in unkept


def test_long_list_of_users_keeps_its_place(connect, backend):
    """A push to more users than one step finds goes between two that one step writes."""
    client = connect(mid=7)
    many = {"operation": 1000, "mids": [*range(1000, 1600), 7], "body": "many"}
    one = {"operation": 1000, "mids": 7, "body": "one"}
    assert [answer["code"] for answer in batch(backend, [one, many, one])] == [0, 0, 0]
    for body in (b"one", b"many", b"one"):
        client.expect_push(1000, body)
