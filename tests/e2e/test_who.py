"""Who is online: users, connections and members of rooms, in pages; in a cluster by asking the comets, of which one that does not
answer is named.

SPDX-License-Identifier: MIT"""
import json
import os
import time

import pytest

import streams
import tokens
from backend import Backend
from client import Client, Op
from server import Comet
from tokens import hs256
from waiting import TIMEOUT, wait_until

CLUSTER = os.environ.get("COMET_TEST_HOUSE") == "cluster"
in_a_cluster = pytest.mark.skipif(not CLUSTER, reason="there is one comet")
pytestmark = pytest.mark.ways("tcp-v2")


@pytest.fixture
def connect_to(way):
    """connect_to(house) gives a client that has said nothing yet."""
    clients = []

    def make(house):
        clients.append(Client(way, house.address(way.listener)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def ask(backend, path, **params):
    reply = backend.request("GET", path, **params)
    assert (reply.status, reply.json()["code"]) == (200, 0), reply
    return reply.json()["data"]


def connections(backend, **params):
    return ask(backend, "/goim/connections", **params)


def keys(page, name="connections"):
    return [connection["key"] for connection in page[name]]


def test_users_are_counted(connect, backend):
    for key in "abc":
        connect(mid=7, key=key)
    connect(mid=8, key="d")
    assert ask(backend, "/goim/online/users", mids="7,8,9") == {"7": 3, "8": 1, "9": 0}
    assert ask(backend, "/goim/online/users", users=["7", "ann", "7"]) == {"7": 3, "ann": 0}


@pytest.mark.ways("tcp-v2", "ws-v2")
def test_all_that_is_known_of_a_connection(connect, backend, house, way):
    before = time.time() * 1000
    client = connect(mid=7, key="a", room="live://1", accepts=[1001, 1000])
    page = ask(backend, "/goim/online/users", mids="7", detail=1)
    (found,) = page["connections"]
    assert before - 1000 <= found.pop("since_ms") <= time.time() * 1000 + 1000
    assert found.pop("address") == "{}:{}".format(*client.sock.getsockname())
    assert found.pop("comet")
    assert found == {"key": "a", "user": "7", "mid": 7, "rooms": ["live://1"], "operations": [1000, 1001], "queued": 0,
                     "transport": "tcp" if way.listener == "tcp" else "websocket"}
    assert page["counts"] == {"7": 1} and page["silent"] == [] and "next" not in page
    assert connections(backend, keys=["a", "x"])["connections"][0]["key"] == "a"


def test_rooms_that_were_joined_are_told(connect, backend):
    client = connect.raw()
    streams.arrive(client, mid=7, key="a", room="live://1")
    streams.join(client, "live://1", "chat://x", "chat://y")
    assert sorted(connections(backend, keys="a")["connections"][0]["rooms"]) == ["chat://x", "chat://y", "live://1"]
    streams.leave(client, "chat://x")
    assert sorted(connections(backend, keys="a")["connections"][0]["rooms"]) == ["chat://y", "live://1"]
    assert keys(connections(backend, type="chat", room="y")) == ["a"]
    assert keys(ask(backend, "/goim/room/members", type="live", room="1"), "members") == ["a"]
    assert keys(connections(backend, type="chat", room="x")) == []


@pytest.mark.settings("protocol.max_body=64k", "limits.joins=0")
def test_rooms_with_long_names_make_no_long_pages(connect, backend):
    rooms = [f"chat://{i:03}-{'x' * 230}" for i in range(100)]
    for i in range(60):
        client = connect.raw()
        streams.arrive(client, mid=7, key=f"k{i:02}")
        streams.join(client, *rooms)
    reply = backend.request("GET", "/goim/connections", limit=1000)
    assert len(reply.body) < 1200000
    found = reply.json()["data"]["connections"]
    assert len(found) == 60 and len(found[0]["rooms"]) == 100
    assert all(len(c["rooms"]) + c.get("rooms_more", 0) == 100 for c in found)


def test_members_of_a_room_in_pages(connect, backend):
    for i in range(7):
        connect(mid=i + 1, key=f"k{i}", room="live://1" if i < 5 else "live://2")
    members = ask(backend, "/goim/room/members", type="live", room="1", limit=2)
    assert [(m["key"], m["mid"], m["user"]) for m in members["members"]] == [("k0", 1, "1"), ("k1", 2, "2")]
    assert members["next"] == "k1" and all(set(m) == {"key", "mid", "user", "comet"} for m in members["members"])
    members = ask(backend, "/goim/room/members", type="live", room="1", limit=10, after="k1")
    assert keys(members, "members") == ["k2", "k3", "k4"] and "next" not in members


def test_all_in_pages_none_is_missing_and_none_comes_twice(connect, backend):
    for i in range(100):
        connect(mid=i % 5 + 1, key=f"key-{i:03}")
    for limit in (1, 7, 50, 99, 100, 101):
        seen, after = [], ""
        while after is not None:
            page = connections(backend, limit=limit, after=after)
            assert len(page["connections"]) <= limit
            seen += keys(page)
            after = page.get("next")
        assert seen == [f"key-{i:03}" for i in range(100)], limit
    page = ask(backend, "/goim/online/users", mids="1,2", detail=1, limit=3, after="key-005")
    assert keys(page) == ["key-006", "key-010", "key-011"] and page["next"] == "key-011" and page["counts"] == {"1": 20, "2": 20}


def test_page_of_keys_that_has_nobody_on_it_says_where_the_next_begins(connect, backend):
    for i in range(3):
        connect(mid=7, key=f"k{i}")
    page = connections(backend, keys=["k0", "k1", "k2"], queued=1, limit=2)
    assert page["connections"] == [] and page["next"] == "k1"
    page = ask(backend, "/goim/online/users", mids="7", detail=1, queued=1, limit=2, after="k1")
    assert page["connections"] == [] and "next" not in page


@pytest.mark.settings("protocol.svr_proto=2000", "protocol.max_body=64k")
def test_who_reads_slowly_is_found(connect, backend):
    connect(mid=7, key="slow")
    connect(mid=8, key="idle")
    assert connections(backend, queued=1)["connections"] == []

    def found():
        backend.push_keys(["slow"], b"x" * 60000)
        return connections(backend, queued=3)["connections"]

    (slow,) = wait_until(found, "messages wait")
    assert slow["key"] == "slow" and slow["queued"] >= 3
    assert connections(backend, queued=slow["queued"] + 1000)["connections"] == []
    assert backend.request("GET", "/goim/connections", queued=-1).status == 400


@pytest.mark.ways("tcp-v1")
def test_v1_client_accepts_all(connect, backend):
    connect(mid=7)
    (found,) = ask(backend, "/goim/online/users", mids="7", detail=1)["connections"]
    assert "operations" not in found


def test_users_by_name(launch, connect_to):
    secret = tokens.secret_file()
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{secret}"})
    names = ("a,b", "007", "-07", "Jürgen 😀", "a_b%5F:c/d", "100% _")
    for name in names:
        client = connect_to(house)
        client.send(Op.AUTH, json.dumps({"token": hs256(mid=None, sub=name).decode()}).encode(), seq=1)
        client.expect(Op.AUTH_REPLY, b"", seq=1)
    assert ask(house.backend, "/goim/online/users", users=names) == {name: 1 for name in names}
    found = ask(house.backend, "/goim/online/users", users=names, detail=1)["connections"]
    assert sorted(connection["user"] for connection in found) == sorted(names)
    assert not any("mid" in connection for connection in found)


@pytest.mark.parametrize("path, params", [
    ("online/users", {}), ("online/users", {"mids": "x"}), ("online/users", {"mids": "1", "users": "1"}), ("connections", {"limit": 0}),
    ("connections", {"limit": 1001}), ("connections", {"limit": "many"}), ("connections", {"type": "live"}), ("connections", {"keys": ""}),
    ("connections", {"after": "k" * 256}), ("online/users", {"mids": "1", "detail": "1", "after": "k" * 256}),
    ("room/members", {"type": "live"}), ("room/members", {"room": "1"})])
def test_wrong_questions(backend, path, params):
    reply = backend.request("GET", f"/goim/{path}", **params)
    assert reply.status == 400 and reply.json()["code"] == -400


def test_scopes_and_rooms_of_a_key(launch, connect_to, tmp_path):
    file = tmp_path / "keys"
    file.write_text("shop push k-shop\nlive online,push:rooms k-live rooms=live://*\nboss all k-boss\n")
    file.chmod(0o600)
    house = launch({"http.keys_file": str(file), "http.api_key": "k-one"})
    client = connect_to(house)
    streams.arrive(client, mid=7, key="a", room="live://1")
    streams.join(client, "dm://7")
    shop, live, boss = (Backend(house.backend.address, key) for key in ("k-shop", "k-live", "k-boss"))
    assert shop.request("GET", "/goim/connections").status == 403
    assert shop.request("GET", "/goim/online/users", mids="7").status == 403
    refused = live.request("GET", "/goim/connections")
    assert refused.status == 403 and b"name one of them" in refused.body, refused.body
    assert live.request("GET", "/goim/room/members", type="dm", room="7").status == 403
    assert [c["rooms"] for c in connections(live, type="live", room="1")["connections"]] == [["live://1"]]
    assert [c["rooms"] for c in ask(live, "/goim/online/users", mids="7", detail=1)["connections"]] == [["live://1"]]
    assert [sorted(c["rooms"]) for c in connections(boss)["connections"]] == [["dm://7", "live://1"]]
    streams.arrive(connect_to(house), mid=8, key="b", room="dm://8")
    assert keys(connections(live, keys=["a", "b"])) == keys(ask(live, "/goim/online/users", mids="7,8", detail=1)) == ["a"]
    assert keys(connections(boss, keys=["a", "b"])) == ["a", "b"]


@in_a_cluster
def test_two_comets_and_one_that_is_silent(launch, connect_to, tmp_path):
    house = launch({"server.id": "one", "logic.timeout": "400ms", "redis.lease": "5s"})
    directory = tmp_path / "two"
    directory.mkdir()
    other = Comet(directory, {"server.id": "two", "logic.mode": "redis", "redis.addr": house.redis, "logic.timeout": "400ms", "redis.lease": "5s"})
    try:
        wait_until(lambda: other.backend.get("/readyz").status == 200, "the other comet has found logic")
        connect_to(house).auth(mid=7, key="a", room="live://1")
        connect_to(other).auth(mid=7, key="b", room="live://1")
        page = connections(house.backend)
        assert [(c["key"], c["comet"]) for c in page["connections"]] == [("a", "one"), ("b", "two")] and page["silent"] == []
        assert keys(ask(house.backend, "/goim/room/members", type="live", room="1"), "members") == ["a", "b"]
        assert keys(connections(house.backend, limit=1)) == ["a"]
        assert connections(house.backend, limit=1)["next"] == "a"
        other.freeze()
        began = time.monotonic()
        page = connections(house.backend)
        assert (keys(page), page["silent"]) == (["a"], ["two"]) and 0.3 < time.monotonic() - began < TIMEOUT
        page = ask(house.backend, "/goim/online/users", mids="7", detail=1)
        assert (page["counts"], keys(page), page["silent"]) == ({"7": 2}, ["a"], ["two"])
        assert ask(house.backend, "/goim/online/users", mids="7") == {"7": 2}
        other.thaw()
        wait_until(lambda: connections(house.backend)["silent"] == [], "the comet answers again")
    finally:
        other.kill()
