"""POST /goim/kick tells a client why (op 6), closes it, and leaves everybody else alone.

SPDX-License-Identifier: MIT"""
import pytest

from client import Op
from waiting import scaled, wait_until


def expect_kicked(client):
    goodbye = client.expect_goodbye()
    assert goodbye == {"code": 1, "reason": "kicked"}
    client.close()


@pytest.mark.ways("v2")
def test_kick_by_key(connect, backend, house):
    clients = [connect(mid=i, key=f"k{i}") for i in range(1, 5)]
    backend.kick(keys=["k1", "k3", "nobody"])
    expect_kicked(clients[0])
    expect_kicked(clients[2])
    clients[1].heartbeat()
    clients[3].heartbeat()
    house.wait_metric("comet_closed_total", 2, reason="kicked")
    house.wait_metric("comet_online", 2)


def test_kick_by_user(connect, backend, house):
    kicked = [connect(mid=7), connect(mid=7)]
    other = connect(mid=8)
    backend.kick(mids=[7])
    for client in kicked:
        expect_kicked(client)
    other.heartbeat()
    house.wait_metric("comet_closed_total", 2, reason="kicked")


def test_what_was_pushed_before_comes_before(connect, backend):
    client = connect(mid=7)
    for i in range(20):
        backend.push_mids([7], str(i))
    backend.kick(mids=[7])
    packets = client.expect_closed()
    assert [p.body for p in packets[:-1]] == [b"%d" % i for i in range(20)]
    assert packets[-1].op == Op.DISCONNECT


def test_kicked_client_may_come_back(connect, backend, house):
    for _ in range(5):
        client = connect(mid=7, key="k")
        backend.kick(mids=[7])
        expect_kicked(client)
    client = connect(mid=7, key="k")
    backend.push_mids([7], "back")
    client.expect_push(1000, b"back")


def test_kicked_client_that_does_not_close_is_closed_after_a_second(connect, backend, house):
    for _ in range(2):
        client = connect(mid=7)
        backend.kick(mids=[7])
        client.expect(Op.DISCONNECT)
        house.wait_empty(timeout=5)  # although our side is still open


def test_kick_of_nobody_is_accepted(backend):
    backend.kick(keys=["nobody"])
    backend.kick(mids=[12345])


def test_kick_without_a_name_is_an_error(backend):
    for params in ({}, {"mids": "x"}, {"mids": "1,x"}):
        reply = backend.post("/goim/kick", **params)
        assert reply.status == 400 and reply.json()["code"] == -400, reply


def test_kick_races_with_the_clients_own_leaving(connect, backend, house):
    for i in range(100):
        client = connect(mid=7)
        client.close()
        backend.kick(mids=[7])
    house.wait_empty()
    metrics = house.metrics()
    assert metrics.total("comet_closed_total") == 100


@pytest.mark.ways("tcp-v2")
def test_who_was_counted_as_kicked_is_gone(connect, backend, house):
    """Also who was between logic, which knew it, and the bucket, where kicks look for it."""
    tries, kicked = scaled(1000, 100), 0
    with backend.kept_alive():
        for i in range(tries):
            client = connect.raw()
            client.send_auth(mid=7, key=f"k{i}")
            met = backend.post("/goim/kick", keys=[f"k{i}"]).json()["data"]["kicked"]
            client.expect(Op.AUTH_REPLY, b"")
            if met:
                assert client.expect_goodbye()["code"] == 1
                kicked += 1
            client.close()
    house.wait_empty()
    house.wait_metric("comet_closed_total", kicked, reason="kicked")


def test_kick_during_auth_ends_in_a_clean_close_or_a_session(connect, backend, house):
    for i in range(100):
        client = connect.raw()
        client.send_auth(mid=7)
        backend.kick(mids=[7])
        client.expect(Op.AUTH_REPLY, b"")
        backend.kick(mids=[7])
        assert client.expect_goodbye()["code"] == 1
        client.close()
    house.wait_empty()
    wait_until(lambda: house.metrics().total("comet_closed_total") == 100, "each end is counted once")
