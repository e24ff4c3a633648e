"""A token that grants rooms and operations is a fence: nobody enters others, however the connection comes, stays or is renewed.

SPDX-License-Identifier: MIT"""
import json
import random

import pytest

import tokens
from client import WAYS, Client, Op
from test_auth_webhook import Hook
from tokens import hs256
from waiting import scaled

TCP = next(way for way in WAYS if way.name == "tcp-v2")
FENCED = ("auth.rooms=token", "auth.rooms_open=live://*, lobby", "auth.ops=token", "auth.ops_open=5, 77*")
two_ways = pytest.mark.ways("tcp-v2", "ws-v2")
fenced = pytest.mark.settings(*FENCED)


@pytest.fixture
def house(launch):
    return launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}"})


def come(connect, body=None, **claims):
    client = connect.raw()
    client.send(Op.AUTH, body or hs256(**claims), seq=1)
    client.expect(Op.AUTH_REPLY, b"", seq=1)
    return client


def enter(client, room):
    """The room that the server says it is in now."""
    return client.request(Op.CHANGE_ROOM, room.encode()).body.decode()


def not_granted(house, at):
    return house.metrics()("comet_not_granted_total", at=at)


def expect_nothing(client):
    """No push has come before this answer."""
    client.send(Op.HEARTBEAT, seq=99)
    assert client.recv().op == Op.HEARTBEAT_REPLY


@fenced
@two_ways
def test_room_that_is_not_granted_is_not_entered_and_the_one_before_is_left(connect, house, backend):
    client = come(connect, key="guest", rooms=["team-7://*", "private://mine"], accepts=[5])
    for room in ("team-7://a", "private://mine", "live://1", "lobby", "team-7://"):
        assert enter(client, room) == room
    for room in ("private://boss", "private://mine2", "team-7:/", "team-70://a", "lobby2", "*", "Lobby"):
        assert enter(client, "team-7://a") == "team-7://a"
        assert enter(client, room) == ""
        if "://" in room:
            backend.push_room(room, "secret")
        backend.push_room("team-7://a", "left")
        backend.push_keys(["guest"], "after it", op=5)
        client.expect_push(5, b"after it")
    assert enter(client, "") == ""
    assert not_granted(house, "room") == 7
    assert "event=room_not_granted" in house.log() and "private://boss" in house.log()


@fenced
@two_ways
def test_room_of_auth_that_is_not_granted_is_not_entered_and_the_client_is_in(connect, house, backend):
    client = come(connect, key="guest", room_id="private://boss", rooms=["team-7://*"])
    backend.push_room("private://boss", "secret")
    expect_nothing(client)
    assert not_granted(house, "auth_room") == 1
    inside = come(connect, key="member", room_id="team-7://a", rooms=["team-7://*"])
    backend.push_room("team-7://a", "to the team")
    inside.expect_push(1000, b"to the team")
    none = come(connect, key="none", room_id="team-7://a")  # no claim grants nothing
    backend.push_room("team-7://a", "again")
    expect_nothing(none)
    assert not_granted(house, "auth_room") == 2


@fenced
@two_ways
def test_operations_that_are_not_granted_are_not_accepted(connect, house, backend):
    client = come(connect, key="k", accepts=[1000, 2000, 7701, 5], ops=[1000, "30*"])
    client.request(Op.SUB, b"2000,3001,300,31,1001")
    for op in (2000, 31, 1001):
        backend.push_all(f"not {op}", op=op)
    for op in (1000, 7701, 5, 3001, 300):
        backend.push_all(f"yes {op}", op=op)
        client.expect_push(op, b"yes %d" % op)
    assert not_granted(house, "auth_ops") == 1 and not_granted(house, "ops") == 1


@fenced
@two_ways
def test_new_token_widens_and_narrows(connect, house, backend):
    client = come(connect, key="k", room_id="a://1", accepts=[1000, 2000], rooms=["a://*"], ops=[1000, 2000])
    backend.push_room("a://1", "one")
    client.expect_push(1000, b"one")
    assert enter(client, "b://1") == ""
    assert client.request(Op.AUTH, hs256(key="k", rooms=["a://*", "b://*"], ops=["*"])).op == Op.AUTH_REPLY
    assert enter(client, "b://1") == "b://1"
    backend.push_all("still", op=2000)
    client.expect_push(2000, b"still")
    assert client.request(Op.AUTH, hs256(key="k", rooms=["a://*"], ops=[1000])).op == Op.AUTH_REPLY
    backend.push_room("b://1", "secret")
    backend.push_all("no longer", op=2000)
    backend.push_all("as before", op=1000)
    client.expect_push(1000, b"as before")
    assert not_granted(house, "renewed_room") == 1
    assert enter(client, "b://1") == "" and enter(client, "a://2") == "a://2"
    # A token without grants grants nothing.
    assert client.request(Op.AUTH, hs256(key="k")).op == Op.AUTH_REPLY
    backend.push_room("a://2", "secret")
    expect_nothing(client)


@fenced
@pytest.mark.ways("tcp-v1", "ws-v1-json")
def test_client_of_version_1_gets_what_is_granted(connect, house, backend):
    def come_v1(**claims):
        client = connect.raw()
        token = json.dumps({"token": hs256(**claims).decode(), "dialect": 1}).encode()
        client.send(Op.AUTH, token, seq=1)
        client.expect(Op.AUTH_REPLY, seq=1)
        return client

    some = come_v1(key="some", ops=[1000], room_id="live://7")
    every = come_v1(key="every", ops=["*"], room_id="private://x")
    for op in (1000, 2000, 5):
        backend.push_all(f'"{op}"', op=op)
    for op in (1000, 5):
        some.expect_push(op, b'"%d"' % op)
    for op in (1000, 2000, 5):
        every.expect_push(op, b'"%d"' % op)
    backend.push_room("private://x", '"secret"')
    backend.push_room("live://7", '"live"')
    some.expect_push(1000, b'"live"')
    expect_nothing(every)


@two_ways
def test_grants_that_are_none_refuse_the_token(connect, house):
    for claim, bad in (("rooms", "live://1"), ("rooms", [1]), ("rooms", [""]), ("rooms", ["a\n"]), ("rooms", ["r" * 256]),
                       ("rooms", ["a"] * 257), ("rooms", {}), ("ops", [1.5]), ("ops", [None]), ("ops", 1000), ("ops", [1] * 257)):
        client = connect.raw()
        client.send(Op.AUTH, hs256(**{claim: bad}))
        goodbye = client.expect_goodbye()
        assert goodbye == {"code": 5, "reason": claim + " is not a list of at most 256 names"}, bad
        client.close()
    come(connect, rooms=["r" * 255] + ["a"] * 255, ops=["1*"] * 256).heartbeat()


@two_ways
def test_by_default_nothing_is_fenced_and_a_line_says_so(connect, house, backend):
    client = come(connect, key="k", room_id="any://room", accepts=[4711], rooms=["other"], ops=[1])
    backend.push_room("any://room", "in")
    client.expect_push(1000, b"in")
    backend.push_all("all", op=4711)
    client.expect_push(4711, b"all")
    assert enter(client, "another://room") == "another://room"
    assert "event=rooms_open" in house.log()


@fenced
@two_ways
def test_clients_own_words_beside_the_token_grant_nothing(connect, house):
    client = connect.raw()
    client.send(Op.AUTH, json.dumps({"token": hs256(key="k").decode(), "rooms": ["*"], "ops": ["*"],
                                     "grants": {"rooms": ["*"]}}).encode(), seq=1)
    client.expect(Op.AUTH_REPLY)
    assert enter(client, "private://boss") == ""


def test_answer_of_a_back_end_grants(launch):
    hook = Hook()
    hook.answers = (200, {"allow": True, "mid": 7, "key": "k", "room_id": "a://1", "rooms": ["a://*"], "ops": [1000]})
    house = launch({"auth.mode": "webhook", "auth.url": hook.url, "auth.rooms": "token", "auth.ops": "token"})
    client = Client(TCP, house.address("tcp"))
    client.send(Op.AUTH, b"a token", seq=1)
    client.expect(Op.AUTH_REPLY)
    house.backend.push_room("a://1", "in")
    client.expect_push(1000, b"in")
    assert enter(client, "b://1") == "" and enter(client, "a://2") == "a://2"
    client.close()
    hook.close()


# ---- any grants, any rooms ----

def packet_is_own(op):
    return op in (2, 3, 254, 255) or 6 <= op <= 17


def matches(pattern, name):
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern


class Random:
    def __init__(self, seed):
        self.r = random.Random(seed)

    def word(self):
        return "".join(self.r.choice("ab*:/1") for _ in range(self.r.randint(1, 5)))

    def patterns(self):
        return [self.word() + self.r.choice(("", "", "*")) for _ in range(self.r.randint(0, 6))]

    def op(self):
        return self.r.choice((1, 12, 123, 1234, 77, 770, 9, 95, 999, 1000, 5, -1))

    def op_patterns(self):
        return [self.r.choice((self.op(), str(self.op()), str(self.op())[:1] + "*", "*" if self.r.random() < 0.1 else "1"))
                for _ in range(self.r.randint(0, 4))]


@fenced
@pytest.mark.ways("tcp-v2")
def test_a_client_enters_if_and_only_if_the_grant_says_so(connect, house, backend):
    """Random grants, tickets, room ids and operations, with renewals that widen and narrow. Who has entered by a ticket stays."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    r = Random(seed)
    opened, opened_ops = ("live://*", "lobby"), ("5", "77*")

    def may(rooms, room):
        return room == "" or any(matches(p, room) for p in (*rooms, *opened))

    def may_op(ops, op):
        return any(matches(str(p), str(op)) for p in (*ops, *opened_ops))

    def entered(room):
        """The room that it is in now, and whether its ticket alone has opened it."""
        granted = may(rooms, room)
        return room if granted or room in tickets else "", not granted and room in tickets

    def words(**claims):
        """The body of AUTH, and the rooms that its ticket opens, if that is any good."""
        claims = {"key": f"k{i}", "rooms": rooms, "ops": ops, **claims}
        opens, bad = [r.word() for _ in range(r.r.randint(0, 3))], r.r.random() < 0.2
        ticket = hs256(ticket=opens, **(r.r.choice(({"mid": 8}, {"expires": -100}, {"secret": tokens.OTHER_SECRET})) if bad else {}))
        if r.r.random() < 0.4:
            return hs256(**claims), []
        return json.dumps({"token": hs256(**claims).decode(), "ticket": ticket.decode()}).encode(), [] if bad else opens

    for i in range(scaled(60)):
        rooms, ops = r.patterns(), r.op_patterns()
        room, accepted = r.word(), {5, *(r.op() for _ in range(4))}
        body, tickets = words(room_id=room, accepts=sorted(accepted))
        client = come(connect, body)
        inside, by_ticket = entered(room)
        accepted = {op for op in accepted if may_op(ops, op)}
        for _ in range(8):
            what = r.r.random()
            if what < 0.5:
                room = r.r.choice((r.word(), "live://1", "lobby", "lobbyx", "", *tickets, *(p.rstrip("*") + "a" for p in rooms)))
                inside, by_ticket = entered(room)
                assert enter(client, room) == inside, (rooms, tickets, room)
            elif what < 0.92:
                asked = {r.op() for _ in range(3)}
                client.request(Op.SUB, ",".join(map(str, sorted(asked))).encode())
                accepted |= {op for op in asked if may_op(ops, op)}
            else:
                rooms, ops = r.patterns(), r.op_patterns()
                body, tickets = words()
                assert client.request(Op.AUTH, body).op == Op.AUTH_REPLY
                if may(rooms, inside):
                    by_ticket = False
                elif not by_ticket:
                    inside, by_ticket = entered(inside)
                accepted = {op for op in accepted if may_op(ops, op)}
            while packet_is_own(op := r.op()):
                pass
            backend.push_keys([f"k{i}"], f"op {op}", op=op)
            backend.push_keys([f"k{i}"], "after it", op=5)
            if op in accepted:
                client.expect_push(op, b"op %d" % op)
            client.expect_push(5, b"after it")
        client.send(Op.HEARTBEAT, seq=7)
        answer = client.recv()
        assert answer.op == Op.HEARTBEAT_REPLY and (answer.body != b"\0\0\0\0") == (inside != ""), (rooms, tickets, inside)
        client.close()
