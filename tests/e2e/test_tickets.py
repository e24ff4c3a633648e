"""A ticket opens rooms for one user until its end, beside what the token grants.

SPDX-License-Identifier: MIT"""
import json

import pytest

import tokens
from client import Op
from test_grants import enter, expect_nothing, not_granted
from streams import expect_push, join, leave
from tokens import hs256
from waiting import wait_until

two_ways = pytest.mark.ways("tcp-v2", "ws-v2")
VIP = "vip://1"


@pytest.fixture
def house(launch):
    return launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}", "auth.rooms": "token", "auth.leeway": 0,
                   "auth.rooms_open": "lobby"})


def ticket(room=VIP, **claims):
    return hs256(ticket=room, **claims).decode()


def auth(with_ticket, **claims):
    return json.dumps({"token": hs256(**claims).decode(), "ticket": with_ticket}).encode()


def come(connect, with_ticket, **claims):
    client = connect.raw()
    client.send(Op.AUTH, auth(with_ticket, **claims), seq=1)
    client.expect(Op.AUTH_REPLY, seq=1)
    return client


@two_ways
def test_ticket_opens_its_rooms_at_auth_and_later(connect, house, backend):
    client = come(connect, ticket(), room_id=VIP)
    backend.push_room(VIP, "one")
    client.expect_push(1000, b"one")
    assert enter(client, "lobby") == "lobby" and enter(client, VIP) == VIP
    backend.push_room(VIP, "two")
    client.expect_push(1000, b"two")
    assert enter(client, "vip://2") == ""
    several = come(connect, ticket(["a", "b"]), key="several", rooms=["c"])
    assert [enter(several, room) for room in "abcd"] == ["a", "b", "c", ""]


@two_ways
def test_room_is_left_when_its_ticket_ends_and_no_push_comes_later(connect, house, backend):
    client = come(connect, ticket(expires=1.5), key="k", room_id=VIP, accepts=[1000, 5])
    backend.push_room(VIP, "before")
    client.expect_push(1000, b"before")
    wait_until(lambda: pushed(backend, client) is None, "the end of the ticket")
    assert not_granted(house, "expired_room") == 0  # it has said nothing yet
    expect_nothing(client)  # the first packet after the end takes it out
    assert not_granted(house, "expired_room") == 1
    assert enter(client, VIP) == "" and enter(client, "lobby") == "lobby"
    wait_until(lambda: backend.data("/goim/online/room", type="vip", rooms="1") == {"1": 0}, "nobody is counted in the room")


def pushed(backend, client):
    """The push to the room that the client gets before one to its key, or None."""
    backend.push_room(VIP, "in the room")
    backend.push_keys(["k"], "after it", op=5)
    first = client.recv()
    if first.op == 5:
        return None
    client.expect_push(5, b"after it")
    return first.body


@two_ways
def test_new_ticket_with_a_new_token_goes_on_and_without_one_the_old_lasts_to_its_end(connect, house, backend):
    client = come(connect, ticket(expires=2), key="k", room_id=VIP, accepts=[1000, 5])
    assert client.request(Op.AUTH, hs256(key="k")).op == Op.AUTH_REPLY
    assert pushed(backend, client) == b"in the room"
    assert client.request(Op.AUTH, auth(ticket(expires=3600), key="k")).op == Op.AUTH_REPLY
    client.request(Op.HEARTBEAT)
    short = come(connect, ticket(expires=2), key="short", room_id=VIP)
    wait_until(lambda: enter(short, VIP) == "", "the end of a ticket of two seconds")
    assert pushed(backend, client) == b"in the room"
    assert not_granted(house, "renewed_room") == 0


@two_ways
def test_tickets_that_are_no_good_open_nothing_and_the_client_is_in(connect, house, backend):
    bad = {"other": ticket(mid=8), "expired": ticket(expires=-1), "signature": hs256(tokens.OTHER_SECRET, ticket=VIP).decode(),
           "claims": ticket(expires=None), "malformed": "x"}
    for cause, one in bad.items():
        client = come(connect, one, key=cause, room_id=VIP)
        backend.push_room(VIP, "secret")
        expect_nothing(client)
        assert enter(client, VIP) == ""
    assert not_granted(house, "auth_room") == len(bad)


@two_ways
def test_ticket_is_no_token(connect, house):
    client = connect.raw()
    client.send(Op.AUTH, ticket().encode(), seq=1)
    assert client.expect_goodbye() == {"code": 5, "reason": "a ticket lets nobody in; it stands beside a token"}


# ---- JOIN ----

def come_with_streams(connect, **claims):
    client = connect.raw()
    client.send(Op.AUTH, json.dumps({"token": hs256(**claims).decode(), "streams": {}}).encode(), seq=1)
    client.expect(Op.AUTH_REPLY, seq=1)
    return client


@two_ways
def test_join_brings_a_ticket_for_each_room_that_needs_one(connect, house, backend):
    client = come_with_streams(connect, key="k", rooms=["c"])
    wishes = [{"id": VIP, "ticket": ticket()}, {"id": "b", "ticket": ticket(["a", "b"])}, "a", "c", {"id": "d", "ticket": ticket("e")},
              {"id": "f", "ticket": ticket("f", mid=8)}, {"id": "g", "ticket": 5}, {"id": "h", "ticket": "x"}]
    answers = join(client, *wishes)
    assert [a.get("error", 0) for a in answers] == [0, 0, 0, 0, 403, 403, 400, 403], answers
    backend.push_room(VIP, "in")
    expect_push(client, VIP, b"in")
    # A ticket of JOIN is for this JOIN.
    assert leave(client, VIP) and join(client, VIP)["error"] == 403
    assert not_granted(house, "join") == 4


@two_ways
def test_joined_room_is_left_when_its_ticket_ends_unless_join_brings_another(connect, house, backend):
    client = come_with_streams(connect, key="k")
    assert "error" not in join(client, VIP, ticket=ticket(expires=2))
    assert "error" not in join(client, "longer://1", ticket=ticket("longer://1", expires=2))
    assert "error" not in join(client, "longer://1", ticket=ticket("longer://1", expires=3600))
    left = []
    wait_until(lambda: left.extend(p.json() for p in beat(client) if p.op == Op.NOTICE) or left, "the notice")
    assert [(n["room"], n["left"]) for n in left] == [(VIP, "expired")]
    backend.push_room(VIP, "secret")
    backend.push_room("longer://1", "to those who stay")
    expect_push(client, "longer://1", b"to those who stay")


def beat(client):
    """A heartbeat; what came before its answer."""
    client.send(Op.HEARTBEAT)
    before = []
    while (packet := client.recv()).op != Op.HEARTBEAT_REPLY:
        before.append(packet)
    return before
