"""What is pushed to a user is kept, and nobody who comes back misses it: docs/protocol.md, section 5, *Streams*.

SPDX-License-Identifier: MIT"""
import json
import random
import struct

import pytest

import tokens
from beside import at_once, going_on
from client import Closed, Op
from streams import Push, arrive, expect_push, push_of
from waiting import scaled, wait_until

KEPT = ("stream.users=50/24h", "stream.users_open=yes")
pytestmark = [pytest.mark.ways("tcp-v2", "ws-v2"), pytest.mark.settings(*KEPT)]
one_way = pytest.mark.ways("tcp-v2")
ACK = struct.Struct(">Q")


@pytest.fixture
def mid():
    """A user whom no other test of this house has."""
    return random.randrange(10**6, 10**12)


def come(connect, user=None, **who):
    """AUTH; the client, and what op 8 says of its user's stream."""
    client = connect.raw()
    said = arrive(client, {} if user is None else {"user": user}, **who)
    return client, said.get("user")


def push(backend, mid, body, **params):
    """Its number."""
    reply = backend.post("/goim/push/mids", body, operation=1000, mids=mid, **params)
    assert reply.json()["code"] == 0, reply
    return int(reply.headers.get("comet-position", 0))


def acks(backend, **who):
    return backend.data("/goim/stream/acks", **who)


def confirm(client, position):
    client.send(Op.ACK, ACK.pack(position))
    assert client.heartbeat()  # which comes behind it


def confirm_when_there(client, position):
    """Nobody confirms what has not come, and what a comet does not know yet it cuts off."""
    while push_of(client.recv()).number < position:
        pass
    confirm(client, position)


# live

def test_pushes_have_numbers_that_follow_each_other(connect, backend, mid):
    client, own = come(connect, mid=mid)
    assert not own["gap"] and own["replay"] == 0 and own["at"] > 10**15
    for i in range(3):
        assert push(backend, mid, f"{i}") == own["at"] + 1 + i
        expect_push(client, "", b"%d" % i, own["at"] + 1 + i)


def test_user_with_a_name_has_one_too(backend, mid):
    name = f"An n_% {mid}"
    reply = backend.post("/goim/push/users", "hello", operation=1000, users=name)
    number = int(reply.headers["comet-position"])
    assert backend.data("/goim/stream", user=name)["messages"] == [{"n": number, "op": 1000, "body": "hello"}]
    assert backend.data("/goim/stream/position", users=[name, "7"])[name] == number


def test_each_device_has_it_and_each_client_in_its_way(connect, backend, mid):
    plain, (phone, own), (pad, _) = connect(mid=mid, key="plain", accepts=[1000]), come(connect, mid=mid, key="phone"), come(connect, mid=mid, key="pad")
    without, none = come(connect, False, mid=mid, key="without", accepts=[1000])
    deaf = connect(mid=mid, key="deaf", accepts=[2000])
    assert none is None
    number = push(backend, mid, "hello")
    assert number == own["at"] + 1
    plain.expect(1000, b"hello", seq=0, ver=1)
    for client in (phone, pad):
        expect_push(client, "", b"hello", number)
    expect_push(without, "", b"hello", 0)
    backend.push_keys(["deaf"], "another", op=2000)
    deaf.expect(2000, b"another")


def test_operations_that_are_not_accepted_come_too(connect, backend, mid):
    """They would be missing in the stream."""
    client, _ = come(connect, mid=mid, accepts=[2000])
    reply = backend.post("/goim/push/mids", "hello", operation=1000, mids=mid)
    expect_push(client, "", b"hello", int(reply.headers["comet-position"]))
    assert reply.headers.get("comet-filtered", "0") == "0"


def test_push_that_is_not_kept_has_number_0_and_is_filtered(connect, backend, mid):
    client, own = come(connect, mid=mid, accepts=[1000])
    assert push(backend, mid, "a", keep="no") == 0
    expect_push(client, "", b"a", 0)
    assert backend.data("/goim/stream/position", mids=mid) == {str(mid): own["at"]}
    backend.accepted("/goim/push/mids", "b", operation=2000, mids=mid, keep="no")
    push(backend, mid, "c")
    expect_push(client, "", b"c", own["at"] + 1)


def test_what_goes_to_its_key_has_number_0(connect, backend, mid):
    client, _ = come(connect, mid=mid, key="k", accepts=[1000])
    backend.push_keys(["k"], "to the key")
    expect_push(client, "", b"to the key", 0)


def test_nobody_has_no_stream(connect, backend):
    assert come(connect, 5, mid=0)[1] is None
    reply = backend.post("/goim/push/mids", "x", operation=1000, mids="0,-1", positions=1)
    assert reply.json()["data"]["positions"] == {"0": 0, "-1": 0}


@pytest.mark.settings("stream.users=")
def test_without_the_setting_nothing_is_kept(connect, backend, mid):
    client, own = come(connect, 5, mid=mid, key="k", accepts=[1000])
    assert own is None
    assert push(backend, mid, "a") == 0
    expect_push(client, "", b"a", 0)
    assert backend.data("/goim/stream/position", mids=mid) == {str(mid): 0}


# coming back

def test_who_comes_back_gets_what_it_missed_before_what_is_new(connect, backend, mid):
    client, own = come(connect, mid=mid)
    client.close()
    for i in range(49):  # with the new one as many as are kept: of more the first would be gone, were it not on its way yet
        push(backend, mid, f"{i}")
    client, again = come(connect, own["at"], mid=mid)
    assert again == {"at": own["at"], "gap": False, "replay": 49}
    push(backend, mid, "new")
    for i in range(49):
        expect_push(client, "", b"%d" % i, own["at"] + 1 + i)
    expect_push(client, "", b"new", own["at"] + 50)


def test_older_than_the_history_is_a_gap_and_so_is_a_number_that_is_none(connect, backend, mid):
    _, own = come(connect, mid=mid)
    for i in range(51):
        push(backend, mid, f"{i}")
    for since in (own["at"], own["at"] + 52, 1, 2**53 - 1):
        client, said = come(connect, since, mid=mid)
        assert (said["at"], said["gap"], said["replay"]) == (own["at"] + 51, True, 0) and 0 <= said["reload_ms"] < 5000
    number = push(backend, mid, "on")
    expect_push(client, "", b"on", number)


@pytest.mark.parametrize("since", [-1, 1.5, "soon", None, 2**53, True])
def test_position_that_is_none_is_as_if_absent(connect, since, mid):
    said = come(connect, since, mid=mid)[1]
    assert not said["gap"] and said["replay"] == 0


def test_history_is_the_back_ends_too(connect, backend, mid):
    numbers = [push(backend, mid, f"{i}") for i in range(3)]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    found = backend.data("/goim/stream", mid=mid, since=numbers[0])
    assert [m["body"] for m in found["messages"]] == ["1", "2"] and not found["gap"]
    assert backend.data("/goim/stream/position", mids=f"{mid},8")[str(mid)] == numbers[2]
    for wrong in ({"mid": 0}, {"mid": "x"}, {"user": ""}, {"mid": mid, "type": "chat", "room": "1"}, {"mid": mid, "user": "a"}):
        assert backend.get("/goim/stream", **wrong).status == 400, wrong


def test_cleared_history_is_a_notice_and_a_gap(connect, backend, mid):
    client, own = come(connect, mid=mid)
    push(backend, mid, "a")
    expect_push(client, "", b"a")
    reply = backend.post("/goim/stream/clear", mid=mid)
    notice = client.expect(Op.NOTICE, seq=0, ver=1).json()
    assert notice["room"] == "" and notice["gap"] and notice["at"] == int(reply.headers["comet-position"])
    assert push(backend, mid, "b") == notice["at"] + 1
    expect_push(client, "", b"b", notice["at"] + 1)
    assert come(connect, own["at"], mid=mid)[1]["gap"]


# what a back end is told

def test_several_users_and_each_has_its_number(backend, mid):
    reply = backend.post("/goim/push/mids", "x", operation=1000, mids=f"{mid},8,{mid}", positions=1)
    positions = reply.json()["data"]["positions"]
    assert sorted(positions) == sorted([str(mid), "8"]) and "comet-position" not in reply.headers
    assert backend.data("/goim/stream/position", mids=f"{mid},8") == positions
    assert len(backend.data("/goim/stream", mid=mid)["messages"]) >= 1
    assert backend.post("/goim/push/mids", "y", operation=1000, mids=f"{mid},8,{mid}", positions=1).json()["data"]["positions"] == \
        {mid: number + 1 for mid, number in positions.items()}


def test_repeated_push_gets_its_first_number_and_comes_once(connect, backend, mid):
    client, own = come(connect, mid=mid)
    name = f"once-{mid}"
    for body in ("first", "again"):
        reply = backend.request("POST", "/goim/push/mids", body, {"Idempotency-Key": name}, operation=1000, mids=mid)
        assert int(reply.headers["comet-position"]) == own["at"] + 1
    reply = backend.request("POST", "/goim/push/mids", "other", {"Idempotency-Key": name}, operation=1000, mids="8")
    assert reply.json()["code"] == 0
    expect_push(client, "", b"first", own["at"] + 1)
    push(backend, mid, "next")
    expect_push(client, "", b"next", own["at"] + 2)
    assert backend.request("POST", "/goim/push/mids", "x", {"Idempotency-Key": "two"}, operation=1000, mids=mid, keep="no").status == 400


def test_no_room_is_a_user_s_stream(connect, backend, mid):
    """A key that may push to rooms only would read it, write into it and empty it. No client can be in a room with such an id."""
    number = backend.numbered("/goim/push/users", "mine", operation=1000, users=f"chat://{mid}")
    client = connect(mid=7)
    room = {"type": "\1chat", "room": str(mid)}
    calls = [("POST", "/goim/push/room", {**room, "operation": 1000}), ("POST", "/goim/stream/clear", room), ("GET", "/goim/stream", room),
             ("GET", "/goim/stream/position", {"type": "\1chat", "rooms": str(mid)}), ("POST", "/goim/room/join", {"type": "chat", "rooms": "1\n", "mids": 7}),
             ("POST", "/goim/room/leave", {"type": "chat", "rooms": "1\x7f", "mids": 7}), ("GET", "/goim/room/members", room), ("GET", "/goim/connections", room)]
    for method, path, params in calls:
        reply = backend.request(method, path, "not mine" if method == "POST" else None, **params)
        assert (reply.status, reply.json()["code"]) == (400, -400), (path, reply)
    line = json.dumps({**room, "operation": 1000, "body": "not mine"})
    assert json.loads(backend.post("/goim/batch", line).body)["code"] == -400
    history = backend.data("/goim/stream", user=f"chat://{mid}")
    assert [(push["n"], push["body"]) for push in history["messages"]] == [(number, "mine")]
    client.heartbeat()


@pytest.mark.settings("stream.mids_max=3", "stream.bytes=1k")
def test_too_many_users_and_too_long_a_body_are_refused_unless_not_kept(backend):
    assert backend.post("/goim/push/mids", "x", operation=1000, mids="1,2,3,4").status == 400
    assert backend.post("/goim/push/mids", "x" * 1025, operation=1000, mids="1").status == 413
    push(backend, "1,2,3,4", "x" * 1025, keep="no")
    push(backend, "1,2,3", "x" * 1024)


# confirming

def test_confirmed_position_is_kept_by_key_and_told(connect, backend, mid):
    phone, own = come(connect, mid=mid, key="phone")
    pad, _ = come(connect, mid=mid, key="pad")
    numbers = [push(backend, mid, f"{i}") for i in range(3)]
    confirm_when_there(phone, numbers[2])
    confirm_when_there(pad, numbers[0])
    wait_until(lambda: acks(backend, mid=mid) == {"at": numbers[2], "keys": {"phone": numbers[2], "pad": numbers[0]}},
               lambda: acks(backend, mid=mid), 20)
    assert own["at"] + 3 == numbers[2]


@one_way
def test_what_is_confirmed_is_known_soon_though_the_client_says_nothing_more(connect, backend, mid):
    phone, _ = come(connect, mid=mid, key="phone")
    for i in range(3):
        number = push(backend, mid, f"{i}")
        expect_push(phone, "", b"%d" % i, number)
        phone.send(Op.ACK, ACK.pack(number))
        wait_until(lambda n=number: acks(backend, mid=mid)["keys"] == {"phone": n}, lambda: acks(backend, mid=mid), 20)


@one_way
def test_confirmations_that_are_none_are_counted_and_change_nothing(connect, backend, house, mid):
    client, own = come(connect, mid=mid, key="k")
    number = push(backend, mid, "x")
    expect_push(client, "", b"x", number)
    for body in (b"", b"1234567", b"123456789", ACK.pack(0), ACK.pack(2**63)):
        client.send(Op.ACK, body)
    assert client.heartbeat()
    assert house.metrics()("comet_acks_bad_total") == 5
    wait_until(lambda: acks(backend, mid=mid)["keys"] == {"k": number}, "the last one was cut off at the stream's number", 20)
    confirm(client, own["at"])
    assert house.metrics()("comet_acks_bad_total") == 6
    confirm(client, number)
    assert house.metrics()("comet_acks_total") == 1
    stranger, _ = come(connect, False, mid=8)
    stranger.send(Op.ACK, ACK.pack(number))
    assert stranger.heartbeat()
    assert house.metrics()("comet_acks_bad_total") == 7


def test_who_never_asked_for_streams_sends_op_24_to_the_back_end(connect, mid):
    client = connect(mid=mid, key="k")
    assert client.request(Op.ACK, ACK.pack(1))[:2] == (Op.ACK, b"")


def test_key_of_the_servers_own_making_is_not_kept(connect, backend, mid):
    client, own = come(connect, mid=mid)
    number = push(backend, mid, "x")
    confirm_when_there(client, number)
    named, _ = come(connect, mid=mid, key="named")
    confirm(named, number)
    wait_until(lambda: acks(backend, mid=mid)["keys"] == {"named": number}, lambda: acks(backend, mid=mid), 20)
    assert own["at"] + 1 == number


@one_way
def test_of_many_keys_the_highest_are_kept(connect, backend, mid):
    numbers = [push(backend, mid, "x") for _ in range(20)]
    for i, number in enumerate(numbers):
        client, _ = come(connect, mid=mid, key=f"k{i}")
        confirm(client, number)
        client.close()
    wait_until(lambda: acks(backend, mid=mid)["keys"] == {f"k{i}": n for i, n in enumerate(numbers) if i >= 4},
               lambda: acks(backend, mid=mid), 20)


def test_unacked_is_what_this_key_has_not_confirmed(connect, backend, mid):
    client, own = come(connect, mid=mid, key="phone")
    numbers = [push(backend, mid, f"{i}") for i in range(5)]
    confirm_when_there(client, numbers[1])
    client.close()
    wait_until(lambda: acks(backend, mid=mid)["keys"] == {"phone": numbers[1]}, "it is known", 20)
    client, said = come(connect, "unacked", mid=mid, key="phone")
    assert said == {"at": numbers[1], "gap": False, "replay": 3}
    for i in (2, 3, 4):
        expect_push(client, "", b"%d" % i, numbers[i])
    other, said = come(connect, "unacked", mid=mid, key="new")  # an entry that was lost looks like one that never was
    assert (said["at"], said["gap"], said["replay"]) == (numbers[1], True, 3)
    expect_push(other, "", b"2", numbers[2])
    assert own["at"] == numbers[0] - 1


def test_unacked_older_than_the_history_is_all_of_it_with_a_gap(connect, backend, mid):
    client, own = come(connect, mid=mid, key="phone")
    confirm_when_there(client, push(backend, mid, "x"))
    for i in range(60):
        push(backend, mid, f"{i}")
    wait_until(lambda: acks(backend, mid=mid)["keys"] == {"phone": own["at"] + 1}, "it is known", 20)
    for key in ("phone", "new"):
        _, said = come(connect, "unacked", mid=mid, key=key)
        assert (said["at"], said["gap"], said["replay"]) == (own["at"] + 11, True, 50)


# all at once

@pytest.mark.settings("stream.users=5000/24h", "stream.users_open=yes")
def test_whoever_comes_and_goes_while_pushes_run_has_all_of_them(connect, backend, mid):
    sent = []

    def keep_coming(key):
        position, got = None, 0
        for _ in range(scaled(40, 8)):
            client, said = come(connect, position, mid=mid, key=key)
            assert position is None or (said["at"] == position and not said["gap"]), (position, said)
            position = said["at"]
            for _ in range(5):
                try:
                    number = push_of(client.recv()).number
                except Closed:
                    break
                assert number == position + 1
                position = number
                got += 1
            client.close()
        assert got > 20

    with type(backend)(backend.address, backend.api_key).kept_alive() as pusher, going_on(lambda: sent.append(push(pusher, mid, "x"))):
        at_once(keep_coming, ["k0", "k1", "k2"])
    assert sent == list(range(sent[0], sent[0] + len(sent)))


@one_way
def test_many_come_back_to_their_own(connect, backend, mid):
    users = range(mid, mid + scaled(200, 20))
    positions = {}
    for user in users:
        client, own = come(connect, mid=user, key=f"k{user}")
        positions[user] = own["at"]
        client.close()
    for _ in range(10):
        for user in users:
            push(backend, user, "x")
    for user in users:
        client, own = come(connect, positions[user], mid=user, key=f"k{user}")
        assert own["replay"] == 10
        assert [push_of(p).number for p in client.recv_many(10)] == list(range(own["at"] + 1, own["at"] + 11))


# who may

@one_way
@pytest.mark.settings("stream.users_open=no", "auth.mode=jwt", f"auth.jwt_keys=HS256:{tokens.secret_file()}")
def test_with_tokens_everybody_has_his_own(connect, backend, mid):
    client = connect.raw()
    token = tokens.hs256(mid=mid, key="k").decode()
    client.send(Op.AUTH, json.dumps({"token": token, "streams": {}}).encode(), seq=1)
    own = client.expect(Op.AUTH_REPLY, seq=1).json()["user"]
    number = push(backend, mid, "hello")
    assert push_of(client.recv()) == Push("", own["at"] + 1, 1000, b"hello") and number == own["at"] + 1
