"""A back end leads connections into rooms and out of them: docs/http-api.md, *Rooms*. A comet alone, and a cluster with
COMET_TEST_HOUSE=cluster.

SPDX-License-Identifier: MIT"""
import json
import os
import random
import time

import pytest

import tokens
from backend import Backend
from beside import going_on
from client import Op
from streams import PUSH_VER, Reader, arrive, expect_push, join, leave, push_of
from waiting import scaled, wait_until

pytestmark = [pytest.mark.ways("tcp-v2", "ws-v2"), pytest.mark.settings("stream.rooms=chat:100/10m")]
one_way = pytest.mark.ways("tcp-v2")


def come(connect, **who):
    client = connect.raw()
    arrive(client, **who)
    return client


def lead(backend, rooms, kind="chat", **who):
    return backend.accepted("/goim/room/join", type=kind, rooms=rooms, **who)["joined"]


def unlead(backend, rooms, kind="chat", **who):
    return backend.accepted("/goim/room/leave", type=kind, rooms=rooms, **who)["left"]


def expect_led(client, room):
    """The NOTICE of it; where its pushes go on."""
    notice = client.expect(Op.NOTICE, seq=0, ver=1).json()
    assert notice == {"room": room, "at": notice["at"], "by": "server"}
    return notice["at"]


def test_what_is_pushed_next_comes_to_who_was_led_in(connect, backend):
    clients = [come(connect, mid=7, key=key, accepts=[1000]) for key in ("a", "b")] + [come(connect, mid=8, key="c")]
    backend.push_room("chat://1", "before")
    assert lead(backend, ["1", "2"], mids=7) == 2
    backend.push_room("chat://1", "one")
    backend.push_room("chat://2", "two")
    assert lead(backend, "3", "live", keys=["a", "c", "nobody", "a"]) == 2
    backend.push_room("live://3", "three")
    for client in clients[:2]:
        at = [expect_led(client, f"chat://{i}") for i in (1, 2)]
        expect_push(client, "chat://1", b"one", at[0] + 1)
        expect_push(client, "chat://2", b"two", at[1] + 1)
    for client in (clients[0], clients[2]):
        assert expect_led(client, "live://3") == 0
        expect_push(client, "live://3", b"three", 0)
    assert unlead(backend, "1", mids=7) == 2
    backend.push_room("chat://1", "not for them")
    backend.push_room("chat://2", "for them")
    for client in clients[:2]:
        client.expect(Op.NOTICE, json.dumps({"room": "chat://1", "left": "kicked"}, separators=(",", ":")).encode())
        expect_push(client, "chat://2", b"for them", None)


def test_named_users_are_led_as_well(connect, backend, house):
    client = come(connect, mid=5)
    assert lead(backend, "1", users=["5", "nobody"]) == 1
    expect_led(client, "chat://1")
    assert lead(backend, "1", users="5") == 1  # it is in already, and is told nothing
    backend.push_room("chat://1", "x")
    expect_push(client, "chat://1", b"x", None)
    assert unlead(backend, "9", users="5") == 1  # it never was
    assert leave(client, "chat://1") == 1  # a client may go by itself
    house.wait_metric("comet_rooms", 0)


def test_who_has_an_older_position_joins_from_it(connect, backend):
    client = come(connect, mid=5)
    position = join(client, "chat://1")["at"]
    leave(client)
    for body in "ab":
        backend.push_room("chat://1", body)
    lead(backend, "1", mids=5)
    assert expect_led(client, "chat://1") == position + 2
    backend.push_room("chat://1", "c")
    expect_push(client, "chat://1", b"c", position + 3)
    answer = join(client, "chat://1", since=position)
    assert (answer["at"], answer["gap"], answer["replay"]) == (position, False, 3)
    for n, body in enumerate((b"a", b"b", b"c")):
        expect_push(client, "chat://1", body, position + 1 + n)


@pytest.mark.ways("tcp-v2", "ws-v2")
def test_client_without_streams_changes_its_one_room(connect, backend):
    client = connect(mid=5, room="live://0")
    assert lead(backend, "1", mids=5) == 1
    backend.push_room("live://0", "not for it")
    backend.push_room("chat://1", "for it")
    client.expect_push(1000, b"for it")
    assert client.room_count() == 1
    assert unlead(backend, "2", mids=5) == 1  # another one
    assert client.room_count() == 1
    assert unlead(backend, "1", mids=5) == 1
    wait_until(lambda: client.room_count() == 0, "it is in no room")
    assert lead(backend, "1", mids=5) == 1
    wait_until(lambda: client.room_count() == 1, "it is there")
    client.request(Op.CHANGE_ROOM, b"live://0")
    backend.push_room("chat://1", "not for it")
    backend.push_room("live://0", "for it")
    client.expect_push(1000, b"for it")


def test_room_of_op_12_becomes_one_with_numbers(connect, backend):
    client = come(connect, mid=5, room="chat://1")
    assert client.room_count() == 1
    lead(backend, "1", mids=5)
    at = expect_led(client, "chat://1")
    assert client.room_count() == 0
    backend.push_room("chat://1", "x")
    expect_push(client, "chat://1", b"x", at + 1)
    client.request(Op.CHANGE_ROOM, b"chat://2")
    unlead(backend, ["1", "2"], mids=5)
    for room in ("chat://1", "chat://2"):
        assert client.expect(Op.NOTICE).json() == {"room": room, "left": "kicked"}
    assert client.room_count() == 0


@pytest.mark.settings("auth.mode=jwt", f"auth.jwt_keys=HS256:{tokens.secret_file()}", "auth.rooms=token")
def test_token_has_no_say_in_it(connect, backend, house):
    def token(**more):
        return tokens.hs256(key="k", mid=5, exp=int(time.time()) + 600, **more).decode()

    client = connect.raw()
    client.send(Op.AUTH, json.dumps({"token": token(rooms=["team://*"]), "streams": {}}).encode(), seq=1)
    client.expect(Op.AUTH_REPLY, seq=1)
    assert join(client, "chat://1")["error"] == 403
    lead(backend, "1", mids=5)
    at = expect_led(client, "chat://1")
    backend.push_room("chat://1", "a")
    expect_push(client, "chat://1", b"a", at + 1)
    client.send(Op.AUTH, token().encode(), seq=2)  # which grants nothing
    client.expect(Op.AUTH_REPLY, b"", seq=2)
    answer = join(client, "chat://1", since=at)
    assert (answer["gap"], answer["replay"]) == (False, 1)
    expect_push(client, "chat://1", b"a", at + 1)
    unlead(backend, "1", mids=5)
    client.expect(Op.NOTICE)
    assert join(client, "chat://1")["error"] == 403


@one_way
@pytest.mark.settings("auth.mode=jwt", f"auth.jwt_keys=HS256:{tokens.secret_file()}", "auth.rooms=token")
def test_token_of_a_client_without_streams_has_none_either(connect, backend):
    client = connect.raw()
    fence = {"key": "k", "mid": 5, "exp": int(time.time()) + 600}
    client.send(Op.AUTH, tokens.hs256(**fence), seq=1)
    client.expect(Op.AUTH_REPLY, seq=1)
    lead(backend, "1", "live", mids=5)
    client.send(Op.AUTH, tokens.hs256(**fence), seq=2)
    client.expect(Op.AUTH_REPLY, seq=2)
    wait_until(lambda: client.room_count() == 1, "it is there")
    # It is where it asks to be, and stays there, with this token and the next.
    assert client.request(Op.CHANGE_ROOM, b"live://1").body == b"live://1"
    client.send(Op.AUTH, tokens.hs256(**fence), seq=3)
    client.expect(Op.AUTH_REPLY, seq=3)
    assert client.room_count() == 1
    assert client.request(Op.CHANGE_ROOM, b"live://2").body == b""
    assert client.room_count() == 0
    assert client.request(Op.CHANGE_ROOM, b"live://1").body == b""


@one_way
@pytest.mark.settings("auth.mode=jwt", f"auth.jwt_keys=HS256:{tokens.secret_file()}", "auth.rooms=token")
def test_who_asks_for_the_room_that_it_was_led_to_stays_there(connect, backend):
    """Though the token that granted it is followed by one that does not."""
    client = connect.raw()
    fence = {"key": "k", "mid": 5, "exp": int(time.time()) + 600}
    client.send(Op.AUTH, tokens.hs256(rooms=["live://1"], **fence), seq=1)
    client.expect(Op.AUTH_REPLY, seq=1)
    lead(backend, "1", "live", mids=5)
    wait_until(lambda: client.room_count() == 1, "it is there")
    assert client.request(Op.CHANGE_ROOM, b"live://1").body == b"live://1"
    client.send(Op.AUTH, tokens.hs256(**fence), seq=2)
    client.expect(Op.AUTH_REPLY, seq=2)
    assert client.room_count() == 1
    assert unlead(backend, "1", "live", mids=5) == 1
    wait_until(lambda: client.room_count() == 0, "it is out")


@one_way
@pytest.mark.settings("limits.rooms=2")
def test_back_end_may_lead_into_twice_as_many_rooms(connect, backend, house):
    client = come(connect, mid=5)
    join(client, "chat://a", "chat://b")
    assert lead(backend, ["1", "2", "3"], mids=5) == 1
    for room in ("chat://1", "chat://2"):
        expect_led(client, room)
    assert client.heartbeat()
    house.wait_metric("comet_led_total", 1, result="too_many")
    assert join(client, "chat://c")["reason"] == "rooms"


@one_way
def test_bad_calls_are_told(backend):
    for params in [{}, {"type": "chat"}, {"type": "chat", "rooms": "1"}, {"rooms": "1", "mids": 5}, {"type": "chat", "mids": 5},
                   {"type": "chat", "rooms": "1", "mids": "five"}, {"type": "chat", "rooms": "1", "mids": 5, "keys": "k"},
                   {"type": "chat", "rooms": "x" * 260, "mids": 5}, {"type": "chat", "rooms": [str(i) for i in range(101)], "mids": 5}]:
        for path in ("/goim/room/join", "/goim/room/leave"):
            reply = backend.post(path, **params)
            assert (reply.status, reply.json()["code"]) == (400, -400), (params, reply)
    assert lead(backend, "1", keys="nobody") == 0


@one_way
def test_key_of_the_api_is_a_fence(launch, tmp_path):
    file = tmp_path / "keys"
    file.write_text("desk kick k-desk\nrooms push:rooms k-rooms rooms=chat://*\n")
    file.chmod(0o600)
    house = launch({"http.keys_file": str(file), "http.api_key": "k-one"})

    def status(key, kind):
        return Backend(house.backend.address, key).post("/goim/room/join", type=kind, rooms="1", mids=5).status

    assert [status("k-desk", "chat"), status("k-rooms", "dm"), status("k-rooms", "chat")] == [403, 403, 200]
    if os.environ.get("COMET_TEST_HOUSE") != "cluster":  # there it is in the log of logic
        assert "api_key=rooms" in house.log()
        assert "method=POST path=/goim/room/join targets=1 code=0" in house.log()


@pytest.mark.settings("limits.joins=0")
def test_both_may_join_and_leave_at_once(connect, backend):
    """A client joins, leaves and joins again where it is, while the back end leads it in and out, and pushes run: each number follows the
    one before, or it was told."""
    client, room = come(connect, mid=5), "chat://1"
    reader, joined, numbers, asked = Reader(), False, 0, {}
    mine = random.Random(6)

    def take(packet):
        nonlocal joined, numbers
        if packet.ver == PUSH_VER:
            if joined:
                reader.pushed(push_of(packet).number)
                numbers += 1
        elif packet.op == Op.NOTICE:
            notice = packet.json()
            joined = "left" not in notice
            if notice.get("by") == "server":
                reader.answered({"at": notice["at"], "gap": False}, None)
            else:
                reader.noticed(notice)
        elif packet.op == Op.JOIN_REPLY:
            member = packet.json()["rooms"][0]
            joined = True
            reader.answered(member, asked.pop(packet.seq))
        elif packet.op == Op.LEAVE_REPLY:
            joined = False

    dice = random.Random(5)
    with Backend(backend.address, backend.api_key).kept_alive() as pusher, Backend(backend.address, backend.api_key).kept_alive() as leader, \
            going_on(lambda: pusher.push_room(room, "x"), lambda: (lead if dice.random() < 0.6 else unlead)(leader, "1", mids=5)):
        for _ in range(scaled(300, 30)):
            if mine.random() < 0.6:
                since = reader.position if mine.random() < 0.7 else None
                wish = {"id": room, "since": since} if since else {"id": room}
                asked[client.send(Op.JOIN, json.dumps({"rooms": [wish]}).encode())] = since
            else:
                client.send(Op.LEAVE, json.dumps({"rooms": [room]}).encode())
            for _ in range(mine.randrange(5)):
                take(client.recv())
    while asked:
        take(client.recv())
    assert numbers > 0
