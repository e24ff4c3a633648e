"""A client with streams is in several rooms, and either misses nothing or is told: docs/protocol.md, section 5, *Streams*.

SPDX-License-Identifier: MIT"""
import json
import random
import time

import pytest

import streams
import tokens
from beside import at_once, going_on
from client import Closed, Op
from streams import Push, Streamer, arrive, ask, expect_push, join, leave, push_of
from waiting import scaled, wait_until

KEPT = "stream.rooms=chat:100/10m"
pytestmark = [pytest.mark.ways("tcp-v2", "ws-v2", "tls-v2"), pytest.mark.settings(KEPT)]
one_way = pytest.mark.ways("tcp-v2")
two_ways = pytest.mark.ways("tcp-v2", "ws-v2")


def come(connect, streams=None, **who):
    client = connect.raw()
    arrive(client, streams, **who)
    return client


# asking for it

def test_answer_to_auth_tells_the_limits(connect):
    client = connect.raw()
    assert arrive(client, mid=1) == {"v": 1, "max_body": 4096, "max_rooms": 100}


@pytest.mark.parametrize("what", [5, None, True, "{}", []])
def test_streams_that_are_no_object_are_none(connect, backend, what):
    client = connect.raw()
    seq = client.send(Op.AUTH, json.dumps({"mid": 1, "key": "k", "streams": what, "accepts": [1000]}).encode())
    client.expect(Op.AUTH_REPLY, b"", seq=seq)
    backend.push_keys(["k"], "as ever")
    client.expect_push(1000, b"as ever")
    assert client.request(Op.JOIN, b'{"rooms":[]}').body == b""  # an application's own operation


def test_later_auth_changes_nothing(connect):
    client = connect(mid=1, key="plain")
    client.send(Op.AUTH, b'{"mid":1,"key":"plain","streams":{}}', seq=9)
    client.expect(Op.AUTH, b"", seq=9)
    assert client.request(Op.JOIN, b'{"rooms":[]}').op == Op.JOIN


def test_place_for_users_is_left_alone(connect):
    client = connect.raw()
    assert "user" not in arrive(client, {"user": 7}, mid=1)


def test_answers_have_version_1_whatever_was_sent(connect):
    client = come(connect, mid=1)
    for op, body in [(Op.HEARTBEAT, b""), (Op.CHANGE_ROOM, b"live://1"), (Op.SUB, b"1000"), (4096, b"x"), (Op.JOIN, b'{"rooms":[]}')]:
        client.send(op, body, seq=5, ver=4)
        packet = client.recv()
        assert (packet.ver, packet.seq) == (1, 5), packet


@pytest.mark.parametrize("op", [3, 8, 13, 19, 21, 22, 28])
def test_push_is_a_push_whatever_its_operation(connect, backend, op):
    client = come(connect, mid=1, key="k", accepts=[op])
    join(client, "live://1")
    reply = backend.post("/goim/push/room", b'{"room":"","at":7,"gap":false}', operation=op, type="live", room="1")
    if reply.json()["code"] == 0:
        assert push_of(client.recv()) == Push("live://1", 0, op, b'{"room":"","at":7,"gap":false}')
    else:
        assert op in (3, 8, 13)  # which no client may be sent


def test_client_without_streams_gets_what_it_always_got(connect, backend):
    plain, other = connect(mid=1, key="plain", room="chat://1", accepts=[19]), come(connect, mid=2)
    join(other, "chat://1")
    backend.push_room("chat://1", "hello")
    plain.expect(1000, b"hello", seq=0, ver=1)
    backend.push_keys(["plain"], "to a key", op=19)
    plain.expect(19, b"to a key", seq=0, ver=1)
    expect_push(other, "chat://1", b"hello")
    for op in (Op.JOIN, Op.LEAVE):
        assert plain.request(op, b'{"rooms":[{"id":"chat://1"}]}')[:2] == (op, b"")


# rooms

def test_several_rooms_and_each_push_says_which(connect, backend, house):
    client = come(connect, mid=1, key="k", accepts=[1000])
    assert [member["id"] for member in join(client, "live://1", "live://2", "chat://3")] == ["live://1", "live://2", "chat://3"]
    backend.push_room("live://2", "two")
    assert expect_push(client, "live://2", b"two") == 0
    backend.push_room("chat://3", "three")
    assert expect_push(client, "chat://3", b"three") > 10**15
    backend.push_room("live://9", "not here")
    backend.push_keys(["k"], "to the key")
    assert expect_push(client, "", b"to the key") == 0
    assert house.metrics()("comet_rooms") == 3
    assert leave(client, "live://2", "live://77") == 1
    backend.push_room("live://2", "left")
    backend.push_room("live://1", "one")
    expect_push(client, "live://1", b"one")
    assert leave(client) == 2
    wait_until(lambda: house.metrics()("comet_rooms") == 0, "all rooms are empty")


def test_rooms_are_counted_for_who_asks(connect, backend):
    clients = [come(connect, mid=i) for i in (1, 2)]
    join(clients[0], "live://1", "live://2")
    join(clients[1], "live://2")
    wait_until(lambda: backend.data("/goim/online/room", type="live", rooms=[1, 2]) == {"1": 1, "2": 2}, "both are counted")
    clients[0].close()
    wait_until(lambda: backend.data("/goim/online/room", type="live", rooms=[1, 2]) == {"1": 0, "2": 1}, "one has gone")


def test_errors_are_of_one_room_or_of_all(connect):
    client = come(connect, mid=1)
    members = join(client, {"id": "chat://1", "since": -1}, {"id": "chat://2", "last": 1.5}, {"id": "a\nb"}, {}, 5,
                   {"id": "live://1"}, {"id": "live://1"}, {"id": "live://2", "more": [1]})
    assert [(m.get("error"), m.get("reason")) for m in members] == [
        (400, "since"), (400, "last"), (400, "id"), (400, "id"), (400, "id"), (None, None), (400, "twice"), (None, None)]
    for body in (b"", b"[]", b"{}", b'{"rooms":{}}', b'{"rooms":[{"id":"a","since":99999999999999999999}]}', b"\xff"):
        for op in (Op.JOIN, Op.LEAVE):
            answer = client.request(op, body)
            assert (answer.op, answer.json()["error"]) == (op + 1, 400)
    assert leave(client) == 2


@pytest.mark.settings("limits.rooms=3", "limits.joins=0")
def test_more_rooms_than_allowed_are_not_joined(connect):
    client = come(connect, mid=1)
    members = join(client, *(f"live://{i}" for i in range(5)))
    assert [m.get("reason") for m in members] == [None, None, None, "rooms", "rooms"]
    assert leave(client, "live://0") == 1
    assert "error" not in join(client, "live://4")


@one_way
@pytest.mark.own_house
@pytest.mark.settings("stream.new=1", "limits.joins=0")
def test_numbers_that_joining_makes_are_bounded(connect):
    """10,000 at once; who is refused one is not in the room, and is told when to try again."""
    client = come(connect, mid=1)
    errors = []
    for i in range(105):
        members = join(client, *(f"chat://{i}-{k}" for k in range(100)))
        refused = [m for m in members if "error" in m]
        assert leave(client) == 100 - len(refused)
        errors += refused
    assert 300 < len(errors) <= 500 and len(refused) > 90
    assert all((m["error"], m["reason"]) == (429, "rate") and m["retry_ms"] >= 0 for m in errors)
    assert "error" not in join(client, "chat://0-0")  # which has its number


@two_ways
def test_body_of_a_join_is_as_long_as_any_other(connect, house):
    client = come(connect, mid=1)
    body = b'{"rooms":[{"id":"live://1"}]}'
    assert "error" not in client.request(Op.JOIN, body.ljust(4096)).json()["rooms"][0]
    client.send(Op.JOIN, body.ljust(4097))
    assert client.expect_closed() == []
    house.wait_metric("comet_closed_total", 1, reason="packet_body")


@one_way
@pytest.mark.settings("limits.rooms=5", "limits.joins=5", "limits.burst=100ms")
def test_who_joins_too_fast_is_read_more_slowly(connect, house):
    client = come(connect, mid=1)
    start = time.monotonic()
    for _ in range(3):
        join(client, *(f"live://{i}" for i in range(5)))
    assert client.heartbeat()
    assert 1.5 < time.monotonic() - start < 10
    assert house.metrics()("comet_limited_total", limit="joins") >= 1


@two_ways
def test_room_of_op_12_is_one_more(connect, backend):
    client = come(connect, mid=1, room="chat://1")
    assert client.room_count() == 1
    backend.push_room("chat://1", "a")
    assert expect_push(client, "chat://1", b"a") == 0
    assert join(client, "chat://1", last=1)["replay"] == 1
    assert expect_push(client, "chat://1", b"a") > 0
    assert client.room_count() == 0
    assert client.request(Op.CHANGE_ROOM, b"chat://1").body == b"chat://1"
    assert client.room_count() == 0
    client.request(Op.CHANGE_ROOM, b"chat://2")
    backend.push_room("chat://1", "b")
    assert expect_push(client, "chat://1", b"b") > 0
    assert leave(client) == 1
    backend.push_room("chat://1", "c")
    backend.push_room("chat://2", "d")
    assert expect_push(client, "chat://2", b"d") == 0


@two_ways
@pytest.mark.settings("auth.mode=jwt", f"auth.jwt_keys=HS256:{tokens.secret_file()}", "auth.rooms=token")
def test_what_a_token_does_not_grant_is_refused_or_left(connect, backend, house):
    client = connect.raw()
    token = tokens.hs256(key="k", rooms=["team://*", "chat://*"], exp=int(time.time()) + 600).decode()
    client.send(Op.AUTH, json.dumps({"token": token, "streams": {}}).encode(), seq=1)
    assert client.expect(Op.AUTH_REPLY, seq=1).json()["v"] == 1
    assert join(client, "private://1")["error"] == 403
    join(client, "team://1", "chat://1")
    less = tokens.hs256(key="k", rooms=["chat://*"], exp=int(time.time()) + 600)
    client.send(Op.AUTH, less, seq=2)
    packets = {packet.op: packet for packet in client.recv_many(2)}
    assert packets[Op.NOTICE].json() == {"room": "team://1", "left": "not_granted"}
    assert packets[Op.AUTH_REPLY].body == b""
    backend.push_room("team://1", "not for it")
    backend.push_room("chat://1", "for it")
    expect_push(client, "chat://1", b"for it")
    assert house.metrics()("comet_not_granted_total", at="join") == 1


# what was missed

def test_who_comes_back_gets_what_it_missed_before_what_is_new(connect, backend):
    first = come(connect, mid=1)
    at = join(first, "chat://1")["at"]
    first.close()
    for i in range(50):
        backend.push_room("chat://1", f"{i}")
    second = come(connect, mid=1)
    answer = join(second, "chat://1", since=at)
    assert answer == {"id": "chat://1", "at": at, "gap": False, "replay": 50}
    backend.push_room("chat://1", "new")
    for i in range(50):
        expect_push(second, "chat://1", b"%d" % i, at + 1 + i)
    expect_push(second, "chat://1", b"new", at + 51)


def test_gap_is_told_and_the_last_may_follow(connect, backend):
    client = come(connect, mid=1)
    at = join(client, "chat://1")["at"]
    leave(client)
    for i in range(110):
        backend.push_room("chat://1", f"{i}")
    answer = join(client, "chat://1", since=at + 5)
    assert (answer["at"], answer["gap"], answer["replay"]) == (at + 110, True, 0) and 0 <= answer["reload_ms"] < 5000
    answer = join(client, "chat://1", since=at + 5, last=3)
    assert (answer["at"], answer["gap"], answer["replay"]) == (at + 107, True, 3)
    for i in range(3):
        expect_push(client, "chat://1", b"%d" % (107 + i), at + 108 + i)
    assert join(client, "chat://1", since=at + 1000)["gap"]
    assert join(client, "chat://1", since=2**53 - 1)["gap"]
    assert not join(client, "chat://1", since=at + 110)["gap"]
    assert join(client, "chat://1", last=1000)["replay"] == 100
    assert [push_of(p).number for p in client.recv_many(100)] == list(range(at + 11, at + 111))


def test_cleared_history_is_a_notice_for_members_and_a_gap_for_others(connect, backend):
    member = come(connect, mid=1)
    at = join(member, "chat://1")["at"]
    backend.accepted("/goim/stream/clear", type="chat", room="1")
    notice = member.expect(Op.NOTICE, seq=0, ver=1).json()
    assert notice["room"] == "chat://1" and notice["gap"] and notice["at"] > at and 0 <= notice["reload_ms"] < 5000
    backend.push_room("chat://1", "after")
    expect_push(member, "chat://1", b"after", notice["at"] + 1)
    other = come(connect, mid=2)
    assert join(other, "chat://1", since=at)["gap"]


@one_way
@pytest.mark.settings("stream.rooms=chat:200/10m", "protocol.svr_proto=16", "tcp.sndbuf=16k", "protocol.write_timeout=10s")
def test_slow_reader_of_a_replay_gets_all_and_harms_nobody(connect, backend, house):
    """60 times what its queue may hold; the live pushes of another of its rooms find space all the while."""
    client = connect.raw(rcvbuf=8192)
    arrive(client, mid=1)
    at = join(client, "chat://1")["at"]
    leave(client)
    body = "x" * 4000
    with backend.kept_alive():
        for _ in range(200):
            backend.push_room("chat://1", body)
    other = come(connect, mid=2)
    join(other, "chat://1", "live://1")
    client.send(Op.JOIN, json.dumps({"rooms": [{"id": "chat://1", "since": at}, {"id": "live://1"}]}).encode(), seq=7)
    wait_until(lambda: backend.data("/goim/online/room", type="live", rooms=1) == {"1": 2}, "it has joined")
    for i in range(5):
        backend.push_room("live://1", f"{i}")
        expect_push(other, "live://1", b"%d" % i)
    got = [client.recv()]
    assert got[0].op == Op.JOIN_REPLY and not got[0].json()["rooms"][0]["gap"]
    numbers, live = [], 0
    while len(numbers) < 200 or live < 5:
        push = push_of(client.recv())
        live += push.room == "live://1"
        numbers += [push.number] if push.room == "chat://1" else []
    assert numbers == list(range(at + 1, at + 201))
    assert client.heartbeat()
    assert house.metrics()("comet_closed_total", reason="slow_consumer") == 0


@one_way
@pytest.mark.settings("limits.replay=200k", "stream.bytes=128k")
def test_replays_have_a_pace(connect, backend):
    client = come(connect, mid=1)
    at = join(client, "chat://1")["at"]
    leave(client)
    for _ in range(60):
        backend.push_room("chat://1", "x" * 1000)
    start = time.monotonic()
    for _ in range(4):
        client.send(Op.JOIN, json.dumps({"rooms": [{"id": "chat://1", "since": at}]}).encode())
        client.recv_many(61)
    assert client.heartbeat()
    assert 0.4 < time.monotonic() - start < 10  # 240 kB, of which 128 at once


@two_ways
@pytest.mark.settings("protocol.svr_proto=4", "protocol.slow_consumer=drop", "tcp.sndbuf=8k")
def test_numbered_push_is_never_dropped_in_silence(connect, backend):
    client = connect.raw(rcvbuf=4096)
    arrive(client, mid=1)
    join(client, "chat://1")
    for _ in range(200):
        backend.push_room("chat://1", "x" * 4000)
    packets = client.expect_closed()
    numbers = [push_of(p).number for p in packets if p.ver == streams.PUSH_VER]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert packets[-1].op == Op.DISCONNECT and packets[-1].json()["code"] == 3


# all at once

@pytest.mark.settings("stream.rooms=chat:300/10m", "limits.joins=0")
def test_whoever_comes_and_goes_while_pushes_run_misses_nothing_or_is_told(connect, backend):
    """Clients that join, leave, join again where they are, and come back on new connections."""
    rooms = [f"chat://{i}" for i in range(3)]
    sent, numbers = dict.fromkeys(rooms, 0), random.Random(1)

    def push_one():
        room = numbers.choice(rooms)
        pusher.push_room(room, "x")
        sent[room] += 1

    def keep_coming(seed):
        dice, readers, rounds = random.Random(seed), {}, 0
        while rounds < scaled(12, 3) or (sum(sent.values()) <= 20 and not pushing.done()):
            rounds += 1
            client = Streamer(connect.raw(), mid=seed)
            client.readers = readers
            for _ in range(dice.randrange(1, 8)):
                chosen = dice.sample(rooms, dice.randrange(1, 4))
                client.join(*chosen)
                if dice.random() < 0.4:
                    seq = client.client.send(Op.LEAVE, b'{"rooms":[]}')
                    client.read_until(lambda p, seq=seq: p.op == Op.LEAVE_REPLY and p.seq == seq)
            client.client.close()
        assert sum(len(reader.got) for reader in readers.values()) > 0

    with type(backend)(backend.address, backend.api_key).kept_alive() as pusher, going_on(push_one) as (pushing,):
        at_once(keep_coming, range(1, 5))
    assert sum(sent.values()) > 20


@one_way
def test_many_come_back_at_once_and_have_all(connect, backend):
    """A small herd; the whole one is a measurement."""
    first = come(connect, mid=1)
    at = join(first, "chat://herd")["at"]
    for i in range(20):
        backend.push_room("chat://herd", f"{i}")
    clients = [come(connect, mid=i, key=f"k{i}") for i in range(scaled(100, 20))]
    for client in clients:
        client.send(Op.JOIN, json.dumps({"rooms": [{"id": "chat://herd", "since": at}]}).encode())
    for client in clients:
        assert client.recv().json()["rooms"][0]["replay"] == 20
        assert [push_of(p).number for p in client.recv_many(20)] == list(range(at + 1, at + 21))


def test_connection_that_ends_in_the_middle_leaves_nothing(connect, backend, house):
    """Its reader may be anywhere in a replay."""
    for i in range(20):
        backend.push_room("chat://1", "x" * 2000)
    for _ in range(10):
        client = come(connect, mid=1)
        client.send(Op.JOIN, json.dumps({"rooms": [{"id": "chat://1", "last": 20}]}).encode())
        client.close()
    house.wait_empty()
    wait_until(lambda: house.metrics()("comet_rooms") == 0, "no room is left")
    with pytest.raises(Closed):
        client = come(connect, mid=1, key="k")
        join(client, "chat://1", last=20)
        backend.accepted("/goim/kick", keys=["k"])
        while True:
            client.recv()
