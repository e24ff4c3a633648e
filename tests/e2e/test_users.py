"""Users by name: a user is a string, and goim's numbers are those whose strings are decimals. With COMET_TEST_HOUSE=cluster the same
through Redis.

SPDX-License-Identifier: MIT"""
import json

import pytest

import tokens
from client import Op
from tokens import hs256

NAMES = ("auth0|5f7c8ec7c33c6c004bbafe82", "user@example.com", "a_b%5F:c/d", "100% _", "-07", "007", "ser://5", "nan", "0x10",
         "Jürgen 😀", "a,b", "9223372036854775808", "n" * 128)

two_ways = pytest.mark.ways("tcp-v2", "ws-v2")
over_tcp = pytest.mark.ways("tcp-v2")


@pytest.fixture
def house(launch):
    secret = tokens.secret_file()
    return launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{secret}, partner=HS256:{secret}",
                   "auth.user_prefix": "partner=partner:"})


def come(connect, token, **beside):
    client = connect.raw()
    body = json.dumps({"token": token.decode(), "accepts": [1000], **beside}).encode()
    client.send(Op.AUTH, body, seq=1)
    client.expect(Op.AUTH_REPLY, b"", seq=1)
    return client


def named(name, **more):
    return hs256(mid=None, sub=name, **more)


def push_users(backend, users, body):
    backend.accepted("/goim/push/users", body, operation=1000, users=users)


@two_ways
def test_each_name_is_a_user_of_its_own(connect, backend):
    clients = {name: come(connect, named(name)) for name in (*NAMES, "7", "5")}
    for name in clients:
        push_users(backend, [name], f"to {name}")
    backend.push_mids([7], "to the number")
    backend.push_all("to all")
    for name, client in clients.items():
        client.expect_push(1000, f"to {name}".encode())
        if name == "7":
            client.expect_push(1000, b"to the number")
        client.expect_push(1000, b"to all")
    assert backend.accepted("/goim/kick", users=NAMES) == {"kicked": len(NAMES)}
    clients["7"].heartbeat()
    assert clients["007"].expect_goodbye()["code"] == 1


@over_tcp
def test_user_and_room_of_one_name_are_two(connect, backend):
    in_room, user = come(connect, named("ann", room_id="ser://5")), come(connect, named("ser://5"))
    backend.push_room("ser://5", "to the room")
    push_users(backend, ["ser://5"], "to the user")
    in_room.expect_push(1000, b"to the room")
    user.expect_push(1000, b"to the user")
    backend.push_all("end")
    in_room.expect_push(1000, b"end")
    user.expect_push(1000, b"end")


@over_tcp
def test_chosen_keys_of_two_users_never_meet(connect, backend):
    first, second = come(connect, named("a_b"), key="c"), come(connect, named("a"), key="b_c")
    backend.push_keys(["a%5Fb_c"], "a_b's c")
    backend.push_keys(["a_b_c"], "a's b_c")
    first.expect_push(1000, b"a_b's c")
    second.expect_push(1000, b"a's b_c")
    again = come(connect, named("a_b"), key="c")
    assert first.expect_goodbye()["code"] == 2
    again.heartbeat()
    second.heartbeat()


@over_tcp
def test_one_user_has_many_connections_and_loses_them_one_by_one(connect, backend):
    first, second = come(connect, named("user@example.com")), come(connect, named("user@example.com"))
    push_users(backend, ["user@example.com"], "both")
    first.expect_push(1000, b"both")
    second.expect_push(1000, b"both")
    first.close()
    second.heartbeat()
    push_users(backend, ["user@example.com"], "one")
    second.expect_push(1000, b"one")


@over_tcp
def test_packets_of_a_name_say_so(connect, backend):
    client, number = come(connect, named("auth0|5f")), come(connect, hs256())
    for sender in (client, number):
        sender.send(4096, b"score", seq=9)
        sender.expect(4096, seq=9)
    entries = backend.data("/goim/upstream", after=0, wait=5000)
    assert [(entry["mid"], entry.get("user"), entry["body"]) for entry in entries] == [(0, "auth0|5f", "score"), (7, None, "score")]


@over_tcp
def test_renewal_is_for_the_same_name(connect):
    client = come(connect, named("ann"))
    client.send(Op.AUTH, named("ann"), seq=2)
    client.expect(Op.AUTH_REPLY, b"", seq=2)
    client.send(Op.AUTH, named("Ann"), seq=3)
    assert client.expect_goodbye()["code"] == 5


@pytest.mark.parametrize("name", ["", "a\nb", "a\x7f", "a\u0085b", "n" * 129, "ü" * 65])
@over_tcp
def test_what_is_no_user_is_refused(connect, backend, name):
    client = connect.raw()
    client.send(Op.AUTH, named(name))
    assert client.expect_goodbye()["code"] == 5
    for path in ("/goim/push/users", "/goim/kick"):
        reply = backend.post(path, b"x", operation=1000, users=[name])
        assert (reply.status, reply.json()["code"]) == (400, -400), (path, name)


@pytest.mark.parametrize("claims", [{"mid": 7}, {"mid": None, "sub": "7"}, {"mid": 7, "key": "phone"}], ids=str)
@over_tcp
def test_partner_names_no_user_and_no_key_of_ours(connect, backend, claims):
    ours = come(connect, hs256(mid=7, key="phone"))
    theirs = come(connect, hs256(header={"kid": "partner"}, **claims))
    push_users(backend, ["partner:7"], "theirs")
    backend.push_mids([7], "ours")
    backend.push_keys(["phone"], "ours, too")
    backend.push_all("to all")
    for client, pushes in ((theirs, (b"theirs", b"to all")), (ours, (b"ours", b"ours, too", b"to all"))):
        for push in pushes:
            client.expect_push(1000, push)
