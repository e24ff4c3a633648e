"""Bans in a cluster: made at any logic they count at each comet and logic within a second, and whatever breaks meanwhile, none is lost: not
by a takeover, not by a comet or Redis that stands still, not with Redis's data.

SPDX-License-Identifier: MIT"""
import random
import threading

import pytest

from client import V2, Client, Op, TcpCodec, Way
from waiting import scaled, wait_until

TCP = Way("tcp-v2", "tcp", TcpCodec, V2)
KICKED, NO_LOGIC, BANNED = 1, 6, 24
SOON = 3  # seconds: half of one between two questions, and what a machine under load adds


def ban(house, logic="logic-1", **who):
    return house.backend(logic).post("/goim/kick", **who, **{"for": "1h"}).json()


def lift(house, logic="logic-1", **who):
    assert house.backend(logic).request("DELETE", "/goim/bans", **who).json()["code"] == 0


def wait_known(house, *users_and_keys):
    """Each logic has just these bans. One logic may answer all comets, or they take turns: the other may need half a second until it
    knows, and till then a newcomer's fate hangs on whom it meets."""
    for logic in ("logic-1", "logic-2"):
        wait_until(lambda logic=logic: sorted(one.get("user") or one["key"] for one in house.backend(logic).data("/goim/bans"))
                   == sorted(users_and_keys), f"{logic} knows just {users_and_keys}", SOON)


def shows(house, comet, **who):
    client = Client(TCP, house.address(comet, "tcp"))
    client.send_auth(**who)
    return client


def comes(house, comet, **who):
    client = shows(house, comet, **who)
    client.expect(Op.AUTH_REPLY, b"")
    return client


def answer(house, comet, **who):
    """The code of the goodbye that a newcomer gets, or 0: it is in."""
    client = shows(house, comet, **who)
    try:
        packet = client.recv()
        return packet.json()["code"] if packet.op == Op.DISCONNECT else 0
    finally:
        client.close()


def is_out_everywhere(house, **who):
    return all(answer(house, comet, **who) == BANNED for comet in house.names("comet"))


def is_in_everywhere(house, **who):
    return all(answer(house, comet, **who) == 0 for comet in house.names("comet"))


def expect_end(client):
    packets = client.expect_closed()
    assert packets and packets[-1].op == Op.DISCONNECT and packets[-1].json()["code"] in (KICKED, BANNED), packets
    client.close()


def test_a_ban_counts_everywhere_within_a_moment(house):
    clients = [comes(house, comet, mid=7) for comet in house.names("comet")]
    others = [comes(house, comet, mid=8) for comet in house.names("comet")]
    networks = Client(TCP, house.address("comet-3", "tcp"), source="127.0.5.1")
    networks.auth(mid=9)
    assert ban(house, "logic-1", mids=7)["code"] == 0
    assert ban(house, "logic-2", networks="127.0.5.0/24")["code"] == 0
    for client in (*clients, networks):
        expect_end(client)
    wait_until(lambda: is_out_everywhere(house, mid=7), "no comet lets it in", SOON)
    for logic in ("logic-1", "logic-2"):
        wait_until(lambda logic=logic: len(house.backend(logic).data("/goim/bans")) == 2, f"{logic} lists both", SOON)
    lift(house, "logic-2", mids=7)
    wait_until(lambda: is_in_everywhere(house, mid=7), "each comet lets it in", SOON)
    for client in others:
        client.heartbeat()
        client.close()


def test_redis_that_is_away_takes_no_ban_and_lets_nobody_in(house):
    client = comes(house, "comet-1", mid=7)
    house.freeze("redis")
    assert ban(house, mids=7)["code"] != 0
    assert answer(house, "comet-2", mid=7) == NO_LOGIC
    client.heartbeat()
    house.thaw("redis")
    wait_until(lambda: ban(house, mids=7)["code"] == 0, "it is taken")
    expect_end(client)
    wait_until(lambda: is_out_everywhere(house, mid=7), "no comet lets it in")


def test_a_comet_that_stood_still_applies_it_afterwards(house):
    clients = [comes(house, comet, mid=7) for comet in ("comet-1", "comet-2")]
    house.freeze("comet-2")
    assert ban(house, mids=7)["code"] == 0
    expect_end(clients[0])
    house.thaw("comet-2")
    expect_end(clients[1])
    wait_until(lambda: is_out_everywhere(house, mid=7), "no comet lets it in")


def test_bans_outlast_redis_data_and_each_program(house):
    assert ban(house, mids=[7, 8])["code"] == 0
    lift(house, mids=8)
    wait_known(house, "7")
    assert is_out_everywhere(house, mid=7) and is_in_everywhere(house, mid=8)
    house.kill("redis")
    house.start("redis")
    house.wait_ready()
    assert answer(house, "comet-1", mid=7) == BANNED
    wait_until(lambda: house.redis().hlen("comet:bans") == 2, "they are written again")
    for name in ("logic-1", "logic-2", "comet-1"):
        house.kill(name)
        house.start(name)
        house.wait_ready()
    wait_until(lambda: is_out_everywhere(house, mid=7), "no comet lets it in")
    wait_until(lambda: is_in_everywhere(house, mid=8), "who was let in again stays so")


def test_a_ban_during_a_takeover_is_not_lost(house):
    """The key goes from one comet to another, and the ban comes before, between or after: in the end nobody has it."""
    for turn in range(scaled(30, 8)):
        old = comes(house, "comet-1", mid=100 + turn, key=f"k{turn}")
        new = shows(house, "comet-2", mid=100 + turn, key=f"k{turn}")
        thread = threading.Timer(random.random() / 100, ban, (house, f"logic-{1 + turn % 2}"), {"mids": 100 + turn})
        thread.start()
        for client in (old, new):
            packets = client.expect_closed()
            assert packets[-1].op == Op.DISCONNECT, packets
            client.close()
        thread.join()
    wait_until(lambda: sum(house.metrics(comet)("comet_online") for comet in house.names("comet")) == 0, "nobody is online")


@pytest.mark.parametrize("seed", [16])
def test_random_bans_and_clients(house, seed):
    """A model beside them: after a moment, who is banned is out at each comet, and who is not is in."""
    dice = random.Random(seed)
    users, keys = range(200, 204), ("a", "b", "c")
    out = {("mids", str(user)): False for user in users} | {("keys", key): False for key in keys}
    clients = []
    for _ in range(scaled(25, 6)):
        who = dice.choice(list(out))
        logic = dice.choice(("logic-1", "logic-2"))
        out[who] = dice.random() < 0.6
        if out[who]:
            assert ban(house, logic, **{who[0]: who[1]})["code"] == 0
        else:
            lift(house, logic, **{who[0]: who[1]})
        wait_known(house, *(name for (_, name), is_out in out.items() if is_out))
        user, key, comet = dice.choice(users), dice.choice(keys), dice.choice(house.names("comet"))
        expected = BANNED if out["mids", str(user)] or out["keys", key] else 0
        assert answer(house, comet, mid=user, key=key) == expected, f"{user} {key} at {comet} gets {expected}"
        if expected == 0 and dice.random() < 0.5:
            clients.append((comes(house, comet, mid=user, key=f"{key}-{len(clients)}"), user))
    for client, user in clients:
        if out["mids", str(user)]:
            expect_end(client)
        else:
            client.close()
