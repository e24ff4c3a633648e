"""Limits refuse the newcomer with a word and a number; those online are not touched; what is given back is used again.

SPDX-License-Identifier: MIT"""
import json
import os
import select
import socket
import time

import pytest

from client import Op, Packet
from conftest import Connect
from waiting import TIMEOUT, Deadline, wait_until


def expect_refused(client, code):
    """Each transport says it in its own words; before a TLS handshake there are none."""
    if client.way.listener == "websocket":
        head, _, body = client.expect_bytes_to_the_end().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 503 ") and json.loads(body)["code"] == code, (head, body)
        return
    if client.way.listener.endswith("-tls"):
        assert client.expect_bytes_to_the_end() == b""
        return
    packets = client.expect_closed()
    assert [p.op for p in packets] == [Op.DISCONNECT], packets
    assert packets[0].json()["code"] == code, packets
    client.close()


@pytest.mark.settings("limits.connections=5")
def test_one_too_many_is_refused_with_words(connect, house):
    clients = [connect(mid=i) for i in range(5)]
    for n in range(1, 4):
        expect_refused(connect.raw(), code=7)
        house.wait_metric("comet_refused_total", n, reason="connections")
    for client in clients:
        client.heartbeat()
    assert "limits.connections" in house.log()
    clients.pop().close()
    house.wait_metric("comet_connections", 4)
    connect(mid=9).heartbeat()


@pytest.mark.settings("limits.per_ip=3")
def test_too_many_from_one_address_are_refused(connect, house):
    here = [connect(source="127.0.0.2", mid=i) for i in range(3)]
    expect_refused(connect.raw(source="127.0.0.2"), code=8)
    house.wait_metric("comet_refused_total", 1, reason="per_ip")
    elsewhere = connect(source="127.0.0.3", mid=9)
    here.pop().close()
    house.wait_metric("comet_connections", 3)
    connect(source="127.0.0.2", mid=10).heartbeat()
    expect_refused(connect.raw(source="127.0.0.2"), code=8)
    elsewhere.heartbeat()
    assert "limits.per_ip" in house.log()


@pytest.mark.settings("limits.per_ip=2", "protocol.handshake_timeout=2s")
def test_handshakes_count_against_the_limit_and_give_it_back(connect, house):
    connect.raw(), connect.raw()
    house.wait_metric("comet_connections", 2)
    expect_refused(connect.raw(), code=8)
    house.wait_metric("comet_closed_total", 2, reason="handshake_timeout")
    house.wait_empty()
    connect(mid=7).heartbeat()


@pytest.mark.settings("limits.handshakes=2")
def test_too_many_handshakes_at_a_time_are_refused(connect, house):
    online = [connect(mid=i) for i in range(4)]  # through: they count no more
    for client in online:
        client.heartbeat()  # AUTH_REPLY comes just before that
    half = [connect.raw(), connect.raw()]
    house.wait_metric("comet_connections", 6)
    expect_refused(connect.raw(), code=20)
    house.wait_metric("comet_refused_total", 1, reason="handshakes")
    assert "limits.handshakes" in house.log()
    half.pop().close()
    house.wait_metric("comet_connections", 5)
    connect(mid=9).heartbeat()
    half.pop().auth(mid=10).heartbeat()
    for client in online:
        client.heartbeat()


@pytest.mark.settings("limits.connects=1", "limits.burst=3s")
@pytest.mark.ways("tcp-v2", "wss-v2")
def test_more_new_connections_a_second_than_may_are_refused(connect, house):
    # On a machine this slow one more may be due; not so many.
    clients = [connect.raw(source=f"127.0.0.{i + 1}") for i in range(30)]
    wait_until(lambda: house.metrics()("comet_refused_total", reason="connects") >= 3, "some are refused")
    assert house.metrics()("comet_connections") >= 3
    assert "limits.connects" in house.log()
    for client in clients:
        client.close()
    wait_until(lambda: can_come_in(connect), "a good client comes in once it is time", pause=0.2)


def can_come_in(connect, **how):
    client = connect.raw(**how)
    try:
        client.auth(mid=7).heartbeat()
        return True
    except (AssertionError, ConnectionError):
        return False
    finally:
        client.close()


@pytest.mark.settings("limits.connects_per_ip=1", "limits.burst=5s")
def test_more_new_connections_a_second_from_one_address_are_refused_and_no_other(connect, house):
    clients = [connect.raw(source="127.0.0.2") for i in range(30)]
    wait_until(lambda: house.metrics()("comet_refused_total", reason="connects_per_ip") >= 3, "some are refused")
    for i in range(5):
        connect(source="127.0.0.3", mid=i + 1).heartbeat()
    assert "limits.connects_per_ip" in house.log()
    for client in clients:
        client.close()
    wait_until(lambda: can_come_in(connect, source="127.0.0.2"), "the greedy one once it is time", pause=0.2)


@pytest.mark.settings("limits.packets=20", "limits.burst=500ms")
@pytest.mark.ways("tcp-v2", "tls-v2", "ws-v2", "ws-v1-json")
def test_flood_of_packets_is_held_back_and_answered_in_full(connect, house):
    """TCP makes the client wait; nothing is lost, and others notice nothing."""
    good, flood = connect(mid=8), connect(mid=7)
    start = time.monotonic()
    flood.send_packets(*(Packet(Op.HEARTBEAT, seq=i) for i in range(40)))
    good.heartbeat()
    assert [p.seq for p in flood.recv_many(40)] == list(range(40))
    assert time.monotonic() - start > 1.4  # 40 less the burst of 10, at 20 a second
    assert house.metrics()("comet_limited_total", limit="packets") >= 15  # fewer where it is slow itself
    assert "limits.packets" in house.log() and "key=" in house.log()


@pytest.mark.settings("limits.packets=10", "limits.burst=100ms", "logic.heartbeat=1s")
@pytest.mark.ways("tcp-v2", "ws-v2")
def test_who_is_held_back_misses_no_heartbeat(connect, house):
    """They wait behind what it has sent."""
    flood = connect(mid=7)
    flood.send_packets(*(Packet(2000, seq=i) for i in range(30)), Packet(Op.HEARTBEAT, seq=30))
    assert [p.seq for p in flood.recv_many(31)] == list(range(31))
    assert house.metrics()("comet_limited_total", limit="packets") >= 20
    flood.expect_goodbye()  # who stays silent then has a heartbeat's time, as ever
    house.wait_metric("comet_closed_total", 1, reason="heartbeat_timeout")


@pytest.mark.settings("limits.bytes=4k", "limits.burst=500ms")
@pytest.mark.ways("tcp-v2", "wss-v2")
def test_flood_of_bytes_is_held_back(connect, house, backend):
    good, flood = connect(mid=8), connect(mid=7)
    start = time.monotonic()
    flood.send_packets(*(Packet(2000, b"x" * 1000, seq=i) for i in range(8)))
    good.heartbeat()
    flood.recv_many(8)
    assert time.monotonic() - start > 0.9  # 8 KiB less a burst of 2, at 4 a second, the last not waited for
    assert house.metrics()("comet_limited_total", limit="bytes") >= 4


@pytest.mark.settings("protocol.handshake_timeout=1s")
@pytest.mark.ways("tcp-v2", "tls-v2", "ws-v2", "ws-v1-json")
def test_flood_before_auth_is_held_back_and_ends_at_its_deadline(connect, house):
    flood, good = connect.raw(), connect.raw()
    flood.send_packets(*(Packet(Op.HEARTBEAT, seq=i) for i in range(500)))
    good.send_packets(*(Packet(Op.HEARTBEAT, seq=i) for i in range(5)))
    good.auth(mid=7).heartbeat()
    assert flood.expect_closed() == []
    house.wait_metric("comet_closed_total", 1, reason="handshake_timeout")
    assert 1 <= house.metrics()("comet_limited_total", limit="before_auth") <= 20  # ten a second are read, after the first ten
    good.heartbeat()


@pytest.mark.settings("limits.packets=1", "server.drain_timeout=0")
@pytest.mark.ways("tcp-v2")
def test_held_back_client_is_kicked_at_once(connect, house, backend):
    flood = connect(mid=7)
    flood.send_packets(*(Packet(Op.HEARTBEAT, seq=i) for i in range(500)))
    wait_until(lambda: house.metrics()("comet_limited_total", limit="packets") >= 1, "it is held back")
    backend.kick(mids=7)
    assert flood.expect_goodbye(timeout=5)["code"] == 1


@pytest.mark.settings("limits.accepts=3")
@pytest.mark.ways("tcp-v2")
def test_more_operations_than_may_are_left_out_or_refused(connect, house, backend):
    client = connect(mid=7, accepts=(1000, 1001))
    client.request(Op.SUB, b"1002")
    client.request(Op.SUB, b"1003")  # answered as any other; the list stays as it was
    for op in (1003, 1002):
        backend.push_mids([7], f"{op}", op=op)
    client.expect_push(1002, b"1002")
    assert house.metrics()("comet_limited_total", limit="accepts") == 1
    greedy = connect.raw()
    greedy.send_auth(mid=8, accepts=(1, 2, 3, 4))
    assert greedy.expect_goodbye()["code"] == 23
    greedy.close()
    house.wait_metric("comet_closed_total", 1, reason="accepts")
    assert "limits.accepts" in house.log()


@pytest.mark.settings("limits.queued_bytes=64k", "tcp.sndbuf=4k", "protocol.write_timeout=60s")
@pytest.mark.ways("tcp-v2", "tls-v2", "ws-v2", "wss-v1-json")
def test_bytes_that_wait_for_a_client_are_bounded(connect, house, backend):
    """By far fewer messages than protocol.svr_proto: the bound is the bytes."""
    slow, good = connect(mid=7, rcvbuf=4096), connect(mid=8)
    body = "x" * 20000
    deadline = Deadline()
    n = 0
    with backend.kept_alive():
        while house.metrics()("comet_dropped_total", reason="queue_full") == 0:
            assert not deadline.passed() and n < 500, f"{n} pushes, and none was too many"
            backend.push_mids([7, 8], body)
            good.recv()
            n += 1
    assert slow.expect_closed()[-1].json()["code"] == 3
    slow.close()
    house.wait_metric("comet_closed_total", 1, reason="slow_consumer")
    backend.push_mids([8], body * 10)  # more than the bound: but nothing waits before it
    good.expect_push(1000, body.encode() * 10)


@pytest.mark.settings("limits.upstream_bytes=64k")
@pytest.mark.ways("tcp-v2")
@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="redis.upstream_length bounds it there")
def test_packets_for_a_back_end_are_bounded_by_bytes(connect, house, backend):
    client = connect(mid=7)
    for i in range(40):
        client.request(2000, f"{i:04}".encode() + b"x" * 3000)
    kept = [int(entry["body"][:4]) for entry in backend.data("/goim/upstream")]
    assert kept == list(range(40))[-len(kept):] and 10 <= len(kept) <= 21
    assert house.metrics()("comet_upstream_dropped_total") == 40 - len(kept)


@pytest.mark.ways("v2")
def test_packets_for_a_back_end_are_held_back_by_default(connect, house):
    client = connect(mid=7)
    began = time.monotonic()
    sent = 0

    def is_held_back():
        nonlocal sent
        for _ in range(150):
            client.send(2000, b"")
        sent += 150
        return house.metrics()("comet_limited_total", limit="upstream") > 0

    wait_until(is_held_back, "more come than are let through")
    client.recv_many(sent, sent / 100 + TIMEOUT)
    assert time.monotonic() - began > (sent - 100) / 100 - 0.1  # 100 at once, and then 100 a second
    assert "limits.upstream" in house.log()


@pytest.mark.settings("limits.upstream_ops=2000-2999,4")
@pytest.mark.ways("tcp-v2", "ws-v2")
def test_operations_that_the_back_end_does_not_want_are_answered_and_dropped(connect, house, backend):
    client = connect(mid=7, key="ops")
    for op in (1999, 2000, 4, 2999, 3000, -7):
        assert client.request(op, b"body").op == op
    wait_until(lambda: len(backend.data("/goim/upstream")) == 3, "three of them go up")
    assert [entry["op"] for entry in backend.data("/goim/upstream")] == [2000, 4, 2999]
    assert house.metrics()("comet_upstream_unwanted_total") == 3


@pytest.mark.settings("limits.upstream_bytes=128k", "limits.upstream=0")
@pytest.mark.ways("tcp-v2")
@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="of a comet alone")
def test_one_clients_packets_push_out_nobody_elses(connect, house, backend):
    quiet, loud = connect(mid=7), connect(mid=8)
    quiet.request(2000, b"before the flood")
    for _ in range(50):
        for _ in range(100):
            loud.send(2000, b"")
        loud.recv_many(100)
    quiet.request(2000, b"after the flood")
    dropped = house.metrics()("comet_upstream_dropped_total")
    assert dropped > 4000
    found, after = [], 0
    while entries := backend.data("/goim/upstream", after=after):
        found += entries
        after = entries[-1]["id"]
    assert [entry["body"] for entry in found if entry["mid"] == 7] == ["before the flood", "after the flood"]
    ids = [int(entry["id"]) for entry in found]
    assert ids[-1] - ids[0] + 1 - len(ids) == dropped  # what is lost shows in the ids


@pytest.mark.settings("tcp.proxy_protocol=yes", "limits.per_ip=2")
@pytest.mark.ways("tcp-v2")
def test_network_of_ipv6_counts_as_one_address_and_a_mapped_address_as_ipv4(connect, house):
    def come(source):
        client = connect.raw()
        family = "TCP6" if ":" in source else "TCP4"
        client.send_bytes(f"PROXY {family} {source} {'::1' if ':' in source else '127.0.0.1'} 1000 3101\r\n".encode())
        return client

    here = [come(f"2001:db8:1:2::{i}").auth(mid=i) for i in (1, 2)]
    expect_refused(come("2001:db8:1:2:ffff::3"), code=8)
    come("2001:db8:1:3::1").auth(mid=4).heartbeat()
    come("::ffff:192.0.2.1").auth(mid=5), come("192.0.2.1").auth(mid=6)
    expect_refused(come("::ffff:192.0.2.1"), code=8)
    assert house.metrics()("comet_refused_total", reason="per_ip") == 2
    here.pop().close()
    house.wait_metric("comet_connections", 4)
    come("2001:db8:1:2::9").auth(mid=9).heartbeat()


@pytest.mark.ways("tcp-v2")
def test_out_of_files_pauses_accepting_says_so_once_and_recovers(way, launch):
    house = launch({"limits.connections": 1000}, files=100)
    connect = Connect(way, house)
    online = []
    # Where the files run out depends on what the house keeps for itself.
    for mid in range(1, 100):
        client = connect.raw()
        client.send_auth(mid=mid)
        wait_until(lambda: select.select([client.sock], [], [], 0)[0] or "event=accept_paused" in house.log(), "it is let in, or none is")
        if not select.select([client.sock], [], [], 0)[0]:
            break
        client.expect(Op.AUTH_REPLY)
        online.append(client)
    assert 10 < len(online) < 99
    wait_until(lambda: "event=accept_paused" in house.log(), "the log says why")
    assert "RLIMIT_NOFILE=100" in house.log() and "limits.connections" in house.log()
    online[0].heartbeat()
    online[-1].heartbeat()
    waiting = client
    for gone in online[:10]:
        gone.close()
    waiting.expect(Op.AUTH_REPLY)  # it waited in the kernel and is let in now
    assert house.metrics()("comet_accept_paused_total") > 0
    assert house.log().count("event=accept_paused") < 10
    connect.close()
    house.wait_empty()


@pytest.mark.ways("tcp-v2")
def test_default_limit_is_what_the_machine_allows(way, launch):
    house = launch(files=200)  # 100 are the house's own, and half of the rest is for HTTP callers
    connect = Connect(way, house)
    clients = [connect(mid=i + 1) for i in range(50)]
    expect_refused(connect.raw(), code=7)
    house.wait_metric("comet_refused_total", 1, reason="connections")
    assert 'reason=connections raise="limits.connections, or the machine\'s limits" limit=50' in house.log()
    for client in clients:
        client.heartbeat()
    connect.close()


def test_out_of_files_pauses_http_says_so_and_recovers(launch):
    house = launch({"limits.connections": 1}, files=100)
    idle = [socket.create_connection(house.address("http"), timeout=TIMEOUT) for _ in range(120)]
    wait_until(lambda: "event=http_accept_paused" in house.log(), "the log says why")
    assert "files_allowed=100" in house.log()
    before = house.cpu_ticks()
    # Its pauses grow to a second: the watched time is one of them.
    paused = house.log().count("event=http_accept_paused")
    with pytest.raises(TimeoutError):
        late = socket.create_connection(house.address("http"), timeout=1.0)
        late.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        late.recv(1)
    assert house.cpu_ticks() - before < 20, "it does not go round and round"
    # On a busy machine a file may come free for a moment, and the next pause is a new one: but not one a try.
    assert house.log().count("event=http_accept_paused") <= paused + 3, "not said again and again"
    for sock in idle:
        sock.close()
    assert house.backend.get("/healthz").status == 200
    assert house.metrics()("comet_accept_paused_total") > 0
    wait_until(lambda: "event=http_accept_resumed" in house.log(), "the log says that it is over")


@pytest.mark.settings("http.callers=4", "http.timeout=1s")
def test_more_http_callers_than_allowed_wait(house):
    slow = [socket.create_connection(house.address("http"), timeout=TIMEOUT) for _ in range(4)]
    for sock in slow:
        sock.sendall(b"GET /hea")
    assert house.backend.get("/healthz").status == 200  # once those are cut off
    for sock in slow:
        assert sock.recv(1) == b""
        sock.close()


@pytest.mark.settings("http.callers=4")
def test_http_callers_that_are_idle_make_room(house):
    idle = []
    for _ in range(4):
        idle.append(socket.create_connection(house.address("http"), timeout=TIMEOUT))
        idle[-1].sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
        assert idle[-1].recv(4096).startswith(b"HTTP/1.1 200")
    assert house.backend.get("/healthz").status == 200  # they may stay for far longer where nobody waits
    for sock in idle:
        sock.close()
