"""Hostile callers of the HTTP API: what each of them sees, what is counted, and that a good caller is served right after. And
those who are slow, at every stage of every listener, all at once: each ends at its deadline.

SPDX-License-Identifier: MIT"""
import collections
import os
import re
import socket
import ssl
import time

import pytest

from client import WAYS, Client, Op, Packet
from test_scale import limits_in_the_way
from test_tls import context
from waiting import SCALE, SPARE_BYTES, TIMEOUT, scaled, wait_until
from wire import Opcode, frame, upgrade

# The counters are the comet's own; comet-logic serves the same code.
pytestmark = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="the comet's HTTP counters")

PUSH = b"POST /goim/push/all?operation=1000 HTTP/1.1\r\nHost: localhost\r\n"
GET = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def http_socket(house):
    return socket.create_connection(house.address("http"), timeout=TIMEOUT)


def hear(sock):
    """All that comes until the end."""
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionError:
        pass
    return data


def statuses(data):
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", data)]


def say(house, *parts):
    """Say this on one connection; the statuses that come back until the server closes it."""
    with http_socket(house) as sock:
        try:
            for part in parts:
                sock.sendall(part)
            sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # it has closed already
        return statuses(hear(sock))


def good_call(house):
    assert house.backend.push_all("good") is None


# The statuses that it gets, and the counters that move by one.
BROKEN = {
    "two lengths": (PUSH + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", [400], {"requests": "4xx"}),
    "length and chunked": (PUSH + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400], {"requests": "4xx"}),
    "broken encoding": (b"POST /goim/push/all?operation=%zz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", [400], {"requests": "4xx"}),
    "a zero in a parameter": (b"POST /goim/push/all?operation=1%00 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", [400], {"requests": "4xx"}),
    "an unknown method": (b"BREW /goim/kick HTTP/1.1\r\nHost: localhost\r\n\r\n", [405], {"requests": "4xx"}),
    "a body beyond the limit": (PUSH + b"Content-Length: 3000\r\n\r\n" + b"x" * 3000, [413], {"refused": "body"}),
    "chunks beyond the limit": (PUSH + b"Transfer-Encoding: chunked\r\n\r\n" + b"400\r\n" + b"x" * 1024 + b"\r\n400\r\n" +
                                b"x" * 1024 + b"\r\n400\r\n" + b"x" * 1024 + b"\r\n0\r\n\r\n", [413], {"refused": "body"}),
    "who asks before a body beyond the limit": (PUSH + b"Content-Length: 3000\r\nExpect: 100-continue\r\n\r\n", [413], {"refused": "body"}),
    "a negative length": (PUSH + b"Content-Length: -1\r\n\r\n", [400], {"requests": "4xx"}),
    "a length beyond all numbers": (PUSH + b"Content-Length: 99999999999999999999\r\n\r\n", [413], {"refused": "body"}),
    "a length and chunks that are not the last coding": (PUSH + b"Transfer-Encoding: chunked, gzip\r\n\r\n", [501], {"requests": "5xx"}),
    "compressed chunks": (PUSH + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", [501], {"requests": "5xx"}),
    "a compressed body": (PUSH + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", [415], {"requests": "4xx"}),
    "a folded header": (PUSH + b"X: y\r\n z\r\nContent-Length: 0\r\n\r\n", [400], {"requests": "4xx"}),
    "a bare line feed": (PUSH + b"X: y\nContent-Length: 0\r\n\r\n", [400], {"requests": "4xx"}),
    "a zero in a header": (PUSH + b"X: y\0\r\nContent-Length: 0\r\n\r\n", [400], {"requests": "4xx"}),
    "a space before a colon": (PUSH + b"Content-Length : 0\r\n\r\n", [400], {"requests": "4xx"}),
    "a chunk without a length": (PUSH + b"Transfer-Encoding: chunked\r\n\r\nxyz\r\n", [400], {"requests": "4xx"}),
    "half a body": (PUSH + b"Content-Length: 100\r\n\r\nhalf", [], {"unanswered": None}),
    "half a header": (PUSH[:30], [], {"unanswered": None}),
    "10,000 parameters": (b"GET /goim/online/total?" + b"&".join(b"p%d=1" % i for i in range(10000)) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                          [200], {"requests": "2xx"}),
    "a request line of 1.1 MB": (b"GET /goim/online/total?" + b"x" * 1100000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", [414], {"requests": "4xx"}),
    "a header of 64 KiB": (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"h" * 65536 + b"\r\n\r\n", [431], {"requests": "4xx"}),
    "what is no HTTP": (b"\x00\x01\x02\x03" * 50 + b"\r\n\r\n", [400], {"requests": "4xx"}),
}


def counted(metrics, what, label):
    return {"requests": lambda: metrics("comet_http_requests_total", status=label),
            "refused": lambda: metrics("comet_http_refused_total", reason=label),
            "unanswered": lambda: metrics("comet_http_unanswered_total")}[what]()


@pytest.mark.parametrize("said, answers, counts", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.settings("http.max_body=2k", "http.timeout=2s")
def test_broken_request_is_answered_or_closed_and_counted(house, said, answers, counts):
    before = house.metrics()
    assert say(house, said) == answers
    for what, label in counts.items():
        wait_until(lambda: counted(house.metrics(), what, label) >= counted(before, what, label) + 1,
                   f"{what} {label} grows")
    assert house.metrics()("comet_pushes_total", target="all") == before("comet_pushes_total", target="all")
    good_call(house)


def test_post_without_a_length_has_no_body(house):
    assert say(house, PUSH + b"\r\n") == [200]
    good_call(house)


def test_thousand_pipelined_requests_are_answered_one_by_one(house):
    n = scaled(1000, 100)
    with http_socket(house) as sock:
        sock.sendall(GET * n + b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert statuses(hear(sock)) == [200] * n + [404]
    good_call(house)


@pytest.mark.ways("tcp-v2")
def test_pushes_to_hundred_thousand_at_once(connect, house, backend):
    """In a body they go, in a query as far as a request line of 1 MiB holds them; beyond that nothing is pushed."""
    client = connect(mid=7, key="k")
    n = scaled(100_000, 10_000)
    backend.v1_pushs(list(range(8, 8 + n)) + [7], {"m": 1})
    client.send(Op.SUB, b"5")
    for many, status in ((n // 2, 200), (100_000, 414)):
        query = b"&".join(b"mids=%d" % i for i in range(8, 8 + many))
        assert say(house, b"POST /goim/push/mids?operation=1000&" + query +
                   b"&mids=7 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nlist") == [status]
    backend.push_mids([7], "good")
    packets = []
    while not packets or packets[-1].body != b"good":
        packets.append(client.recv())
    assert [packet.body for packet in packets].count(b"list") == 1
    # As many as the request line holds are taken.
    some = ",".join(f"key-{i}" for i in range(2000))
    backend.push_keys([some, "k"], "to many")
    client.expect_push(1000, b"to many")


def stages():
    """Where clients stop: listener, what they have said until then, and the counter of their end. Half a TLS hello, half a
    request, half a body, half a WebSocket handshake, half an AUTH, half a packet after it, and nothing at all."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context().wrap_bio(incoming, outgoing).do_handshake()
    hello = outgoing.read()
    auth, half = Packet(Op.AUTH, b'{"mid":1}').encode(), Packet(Op.HEARTBEAT, b"x" * 40).encode()[:30]
    before = [("tcp", b""), ("tcp", auth[:7]), ("tcp", auth[:-1]), ("tcp-tls", b""), ("tcp-tls", hello[:50]), ("tcp-tls", hello),
              ("websocket", b""), ("websocket", upgrade()[:40]), ("websocket", upgrade()), ("websocket-tls", hello[:50])]
    after = [("tcp", auth + half), ("websocket", upgrade() + frame(Opcode.BINARY, auth) + frame(Opcode.BINARY, half, fin=False))]
    callers = [("http", b""), ("http", PUSH[:20]), ("http", PUSH + b"Content-Length: 9\r\n\r\nhalf"), ("http-tls", hello[:50]),
               ("http-tls", hello)]
    return ([(*one, "handshake_timeout") for one in before] + [(*one, "heartbeat_timeout") for one in after] +
            [(*one, None) for one in callers])


class SlowCrowd:
    """So many who are slow, spread over the stages."""

    def __init__(self, house, n):
        self.house = house
        where = stages()
        self.ends = collections.Counter()
        self.sockets = []
        for i in range(n):
            listener, said, reason = where[i % len(where)]
            sock = socket.create_connection(house.address(listener), timeout=TIMEOUT)
            sock.sendall(said)
            self.sockets.append(sock)
            self.ends[reason] += 1

    def are_all_ended(self, before):
        metrics = self.house.metrics()
        return (metrics("comet_http_late_total") == before("comet_http_late_total") + self.ends[None] and
                all(metrics("comet_closed_total", reason=reason) == before("comet_closed_total", reason=reason) + n
                    for reason, n in self.ends.items() if reason is not None))

    def close(self):
        for sock in self.sockets:
            sock.close()


def good_moment(house, good):
    good.heartbeat()
    good_call(house)
    good.recv()


@pytest.mark.keeps(160)
@pytest.mark.settings("http.callers=2000", "http.tls_bind=127.0.0.1:0", "log.level=error")
def test_thousands_who_are_slow_at_every_stage_all_end_at_their_deadline(launch):
    """On every listener at once, while a good client and a good caller are served, who have to be in time themselves."""
    patience = "8s"
    house = launch({"http.timeout": patience, "protocol.handshake_timeout": patience, "logic.heartbeat": patience})
    good = Client(WAYS[0], house.address("tcp")).auth(mid=7)
    house.backend.get("/healthz")
    files, memory = house.files(), []
    n = scaled(3000, 300)
    for _ in range(3):
        before = house.metrics()
        crowd = SlowCrowd(house, n)
        wait_until(lambda: good.heartbeat() and crowd.are_all_ended(before), f"all end: {crowd.ends}", 4 * TIMEOUT, pause=0.1)
        good_moment(house, good)
        crowd.close()
        house.wait_metric("comet_connections", 1)
        wait_until(lambda: house.files() <= files + 5 and house.threads() == (0 if house.parks else 2), "files and threads are given back")
        memory.append(house.rss_bytes())
    # What malloc keeps grows less and less, to an end; a connection that left 8 KiB behind would show. LeakSanitizer sees less.
    assert memory[2] - memory[1] < SPARE_BYTES + n * 8192, memory
    good.close()


@pytest.mark.keeps(320)
@pytest.mark.skipif(SCALE < 1, reason="load")
@pytest.mark.settings("http.callers=5000", "http.tls_bind=127.0.0.1:0", "log.level=error", "http.timeout=15s",
                      "protocol.handshake_timeout=15s", "logic.heartbeat=15s")
def test_ten_thousand_half_open_handshakes_at_once(house):
    forbidden = limits_in_the_way(10_000)
    if forbidden:
        pytest.skip("NOT TESTED: 10,000 half-open handshakes at once, because " + "; ".join(forbidden))
    good = Client(WAYS[0], house.address("tcp")).auth(mid=7)
    before = house.metrics()
    crowd = SlowCrowd(house, 10_000)
    clients = 1 + sum(n for reason, n in crowd.ends.items() if reason is not None)
    house.wait_metric("comet_connections", clients)
    if house.parks:
        assert house.threads() == 0 and house.thread_names().count("waiter") <= os.cpu_count() + 2, "no thread for strangers"
    good_moment(house, good)
    wait_until(lambda: good.heartbeat() and crowd.are_all_ended(before), f"all end: {crowd.ends}", 4 * TIMEOUT, pause=0.2)
    good_moment(house, good)
    crowd.close()
    house.wait_metric("comet_connections", 1)
    good.close()


@pytest.mark.own_house
@pytest.mark.ways("tcp-v2", "tls-v2", "ws-v2", "wss-v2")
@pytest.mark.settings("limits.queued_bytes=1m", "protocol.svr_proto=65536", "protocol.slow_consumer=drop",
                      "protocol.write_timeout=60s", "tcp.sndbuf=16k")
def test_memory_of_those_who_never_read_is_bounded(connect, house, backend):
    never, good = [connect(mid=7, key=f"k{i}", rcvbuf=4096) for i in range(4)], connect(mid=8)
    body = b"x" * 100_000
    before = house.rss_bytes()
    with backend.kept_alive():
        for i in range(scaled(600, 150)):
            backend.push_mids([7], body)
            if i % 50 == 0:
                backend.push_mids([8], f"{i}")
                good.expect_push(1000, f"{i}".encode())
    wait_until(lambda: house.metrics()("comet_dropped_total", reason="queue_full") > 100, "most of them were dropped")
    # Shared by the four, 60 MB were pushed to each.
    assert house.rss_bytes() - before < (8 << 20) + SPARE_BYTES
    good.heartbeat()
    for client in never:
        client.close()
    house.wait_metric("comet_connections", 1)
    # They went with bytes unread: whether a read or a write meets that first is luck.
    assert sum(house.metrics()("comet_closed_total", reason=reason) for reason in ("client_left", "client_cut", "write_failed")) == len(never)


@pytest.mark.settings("http.timeout=1s", "http.max_body=64m")
def test_caller_that_drips_its_body_is_cut_off_and_pushes_nothing(house):
    with http_socket(house) as sock:
        sock.sendall(PUSH + b"Content-Length: 1000000\r\n\r\n")
        try:
            while house.metrics()("comet_http_late_total") == 0:
                sock.sendall(b"x")
        except ConnectionError:
            pass
        assert statuses(hear(sock)) == []
    house.wait_metric("comet_http_late_total", 1)
    assert house.metrics()("comet_pushes_total", target="all") == 0
    good_call(house)


class Dripper:
    """One host with so many connections that send a byte now and then; one that is cut off comes again."""

    def __init__(self, address, n, source):
        self.address, self.source = address, source
        self.sockets = [self.dial() for _ in range(n)]
        self.cut = 0

    def dial(self):
        sock = socket.create_connection(self.address, timeout=TIMEOUT, source_address=(self.source, 0))
        sock.setblocking(False)
        return sock

    def drip(self):
        for i, sock in enumerate(self.sockets):
            try:
                sock.send(b"G" if i % 2 else b"x")
                if sock.recv(100):
                    continue
            except BlockingIOError:
                continue
            except OSError:
                pass
            sock.close()
            self.cut += 1
            self.sockets[i] = self.dial()


@pytest.mark.parametrize("probed_from", ["127.0.0.1", "127.0.0.2"], ids=["another host", "the same host"])
@pytest.mark.settings("http.callers=128", "log.level=error")
def test_probe_is_answered_at_once_while_one_host_holds_more_connections_than_there_are_places(house, probed_from):
    crowd = Dripper(house.address("http"), 300, "127.0.0.2")
    longest = 0
    for _ in range(10):
        crowd.drip()
        started = time.monotonic()
        with socket.create_connection(house.address("http"), timeout=TIMEOUT, source_address=(probed_from, 0)) as sock:
            sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert statuses(hear(sock)) == [200]
        longest = max(longest, time.monotonic() - started)
    assert longest < 0.5, longest
    assert crowd.cut > 0
    for sock in crowd.sockets:
        sock.close()
    good_call(house)


@pytest.mark.settings("http.callers=16", "log.level=error")
def test_probe_is_answered_while_one_host_takes_none_of_its_answers(house):
    """One after the other, so that each has its place before the next one comes: all places, those for probes included."""
    crowd = []
    for _ in range(16 + 64):
        crowd.append(socket.create_connection(house.address("http"), timeout=TIMEOUT, source_address=("127.0.0.2", 0)))
        crowd[-1].sendall(b"GET /comet.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1500)
        time.sleep(0.03)
    time.sleep(1.1)
    with http_socket(house) as sock:
        sock.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert statuses(hear(sock)) == [200]
    for sock in crowd:
        sock.close()
    good_call(house)


@pytest.mark.settings("http.idle_timeout=1s")
def test_idle_caller_is_told_how_long_it_is_kept_and_then_closed(house):
    with http_socket(house) as sock:
        started = time.monotonic()
        sock.sendall(GET)
        said = hear(sock)
        assert b"\r\nKeep-Alive: timeout=1\r\n" in said
        assert 0.9 < time.monotonic() - started < 1 + TIMEOUT / 2
    assert house.metrics()("comet_http_late_total") == 0


def test_caller_that_does_not_take_its_answer_holds_up_nobody(house):
    with http_socket(house) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        try:
            for _ in range(3000):
                sock.send(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n" * 10)
        except BlockingIOError:
            pass
        for _ in range(20):
            good_call(house)
