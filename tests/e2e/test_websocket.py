"""WebSocket at its edges: the handshake, frames as RFC 6455 allows and forbids them, messages that are no packets. What is
the same on every transport stands in the other files, which run over WebSocket too.

SPDX-License-Identifier: MIT"""
import asyncio
import json
import select
import socket
import ssl
import struct
import time

import pytest
import websockets

from client import WAYS, Client, Closed, Op, Packet, dial
from waiting import TIMEOUT, Deadline, wait_until
from wire import Frames, Opcode, close_payload, frame, upgrade

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
AUTH = Packet(Op.AUTH, b"7", seq=1).encode()
AUTH_REPLY = Packet(Op.AUTH_REPLY, b"", seq=1).encode()


def tls_context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    return made


class Bare:
    """A socket to the WebSocket port, or that for TLS, that says exactly what it is told."""

    def __init__(self, house, listener="websocket"):
        self.sock = dial(house.address(listener))
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(house.address(listener))
        if listener == "websocket-tls":
            self.sock = tls_context().wrap_socket(self.sock)
        self.frames = Frames(KEY)
        self.messages = []

    def say(self, data):
        self.sock.sendall(data)

    def open(self):
        self.say(upgrade(key=KEY))
        while self.frames.response is None:
            self._take()
        return self

    def auth(self):
        self.say(frame(Opcode.BINARY, AUTH))
        assert self.hear() == (Opcode.BINARY, AUTH_REPLY)
        return self

    def _take(self):
        data = self.sock.recv(65536)
        if not data:
            raise Closed("closed")
        self.messages.extend(self.frames.feed(data))

    def hear(self):
        while not self.messages:
            self._take()
        return self.messages.pop(0)

    def hear_code(self):
        """The code of the server's close frame; None where it closes without one."""
        try:
            while self.frames.close_code is None:
                self._take()
        except (Closed, ConnectionError):
            return None
        return self.frames.close_code

    def hear_close(self):
        """The same, and an answer to it, and the end."""
        if self.hear_code() is None:
            return None
        try:
            self.say(self.frames.owed)
            while self.sock.recv(65536):
                pass
        except ConnectionError:
            pass
        return self.frames.close_code

    def response(self):
        """The status of the HTTP answer that comes in place of a handshake, None for none."""
        return self.answer()[0]

    def answer(self):
        """The same, and its header and its body."""
        data = b""
        try:
            while more := self.sock.recv(65536):
                data += more
        except ConnectionError:
            pass
        head, _, body = data.partition(b"\r\n\r\n")
        return int(data.split(b" ", 2)[1]) if data else None, head.decode(), body.decode()


@pytest.fixture
def bare(house):
    made = []

    def make(*listener):
        made.append(Bare(house, *listener))
        return made[-1]

    yield make
    for one in made:
        one.sock.close()


# ---- the handshake


def test_query_is_ignored(bare):
    client = bare()
    client.say(upgrade("/sub?room=1&x=%20", key=KEY))
    client.auth()


@pytest.mark.parametrize("request_bytes", [
    upgrade("http://comet.test/sub?x", key=KEY),
    upgrade(key=KEY, Connection="keep-alive, Upgrade", Upgrade="WebSocket"),
    upgrade(key=KEY, Cookie="c" * 16000),
], ids=["a target with a host", "as Firefox says it", "large cookies"])
def test_handshake_may_be_said_in_several_ways(bare, request_bytes):
    client = bare()
    client.say(request_bytes)
    client.auth()


def test_no_subprotocol_is_chosen(bare):
    """As goim has it, and as RFC 6455 allows."""
    client = bare()
    client.say(upgrade(key=KEY, **{"Sec-WebSocket-Protocol": "chat, mqtt"}))
    client.auth()
    assert "protocol:" not in client.frames.response.lower()


REFUSED = {
    "another path": (upgrade("/"), 404),
    "a path below": (upgrade("/sub/x"), 404),
    "a path with dots": (upgrade("/sub/../x"), 404),
    "version 12": (upgrade(**{"Sec-WebSocket-Version": "12"}), 426),
    "no version": (upgrade(**{"Sec-WebSocket-Version": None}), 426),
    "no key": (upgrade(**{"Sec-WebSocket-Key": None}), 400),
    "a key too short": (upgrade(**{"Sec-WebSocket-Key": "c2hvcnQ="}), 400),
    "a key that is no base64": (upgrade(**{"Sec-WebSocket-Key": "!" * 24}), 400),
    "no host": (upgrade(Host=None), 400),
    "two keys": (upgrade().replace(b"\r\n\r\n", b"\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"), 400),
    "two hosts": (upgrade().replace(b"\r\n\r\n", b"\r\nHost: y\r\n\r\n"), 400),
    "Connection without Upgrade": (upgrade(Connection="keep-alive"), 400),
    "no upgrade": (b"GET /sub HTTP/1.1\r\nHost: x\r\n\r\n", 426),
    "HTTP/1.0": (upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    "HTTP/2": (upgrade(Upgrade="h2c", HTTP2_Settings="AAMAAABkAAQAAP__"), 400),
    "a page": (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 404),
    "POST": (upgrade().replace(b"GET", b"POST"), 405),
}


@pytest.mark.parametrize("request_bytes, status", REFUSED.values(), ids=REFUSED.keys())
def test_handshake_that_is_none_is_refused_with_a_status(bare, house, request_bytes, status):
    client = bare()
    client.say(request_bytes)
    got, head, body = client.answer()
    assert got == status
    assert body.endswith("\n") and body.count("\n") == 1 and len(body) > 20, "a line of text says what is wrong"
    assert ("Sec-WebSocket-Version: 13" in head) == (status == 426)
    house.wait_metric("comet_closed_total", 1, reason="websocket_upgrade")
    house.wait_metric("comet_websocket_refused_total", 1, status=str(status))
    house.wait_empty()
    assert house.threads() == 0


BROKEN = {
    "garbage": (b"\x16\x03\x01\x00\xff garbage\r\n\r\n", 400),
    "a line of 64 KiB": (b"GET /sub HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 65536 + b"\r\n\r\n", 431),
    "10,000 headers": (b"GET /sub HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 10000 + b"\r\n", 431),
    "a lone line end": (b"\r\n\r\n\r\n", 400),
    "a bare line end": (upgrade().replace(b"\r\n", b"\n"), 400),
    "a header that goes on in the next line": (upgrade(X="a\r\n b"), 400),
    "a space before a colon": (upgrade(**{"X ": "a"}), 400),
    "a zero byte": (upgrade(X="\0"), 400),
}


@pytest.mark.settings("protocol.handshake_timeout=1s")
@pytest.mark.parametrize("request_bytes, status", BROKEN.values(), ids=BROKEN.keys())
def test_request_that_is_broken_is_answered_and_closed(bare, house, request_bytes, status):
    client = bare()
    try:
        client.say(request_bytes)
    except ConnectionError:
        pass
    assert client.response() == status
    house.wait_metric("comet_closed_total", 1, reason="websocket_upgrade")
    house.wait_metric("comet_websocket_refused_total", 1, status=str(status))
    house.wait_empty()
    bare().open().auth()


@pytest.mark.own_house
@pytest.mark.settings("server.addrs=comet.test")  # a comet of a cluster warns where it has none
@pytest.mark.parametrize("said", [b"", b"GET /sub HTTP/1.1\r\nHo"], ids=["at once", "in a header"])
def test_who_leaves_before_the_handshake_is_cut_and_nothing_else(house, said):
    """As a balancer does that looks whether the port is open."""
    for turn, listener in enumerate(("websocket", "websocket-tls") * 5, 1):
        with dial(house.address(listener)) as sock:
            sock.settimeout(TIMEOUT)
            sock.connect(house.address(listener))
            sock.sendall(said if listener == "websocket" else b"")
        house.wait_metric("comet_closed_total", turn, reason="client_cut")
    house.wait_empty()
    assert " warn " not in house.log()


@pytest.mark.settings("server.addrs=comet.test")
def test_probe_of_a_balancer_is_answered_and_is_no_reason_to_warn(house):
    for i, probe in enumerate((b"GET / HTTP/1.0\r\n\r\n", b"GET /sub HTTP/1.1\r\nHost: x\r\n\r\n",
                               b"HEAD /sub HTTP/1.1\r\nHost: x\r\n\r\n"), 1):
        client = Bare(house)
        client.say(probe)
        status, _, body = client.answer()
        assert status == (404 if i == 1 else 426) and bool(body) == (i < 3)
        client.sock.close()
        house.wait_metric("comet_closed_total", i, reason="websocket_upgrade")
    assert " warn " not in house.log()
    client = Bare(house)
    client.say(upgrade("/elsewhere"))
    assert client.response() == 404
    client.sock.close()
    (line,) = [line for line in house.log().splitlines() if " warn " in line]
    assert "status=404" in line and "/sub" in line


@pytest.mark.settings("protocol.handshake_timeout=500ms", "log.level=error")
def test_slow_handshakes_cost_a_reader_each_no_cpu_and_end_at_their_deadline(bare, house):
    clients = [bare() for _ in range(50)]
    for i, client in enumerate(clients):
        client.say(upgrade(key=KEY)[:i * 3])
    assert house.threads() <= 50
    house.wait_metric("comet_closed_total", 50, reason="handshake_timeout")
    for client in clients:
        client.response()
    assert house.cpu_ticks() < 40, "half a handshake keeps a thread busy"
    house.wait_empty()


@pytest.mark.settings("protocol.handshake_timeout=11s")
def test_handshake_may_take_as_long_as_is_set(bare, house):
    """There is no other deadline, of 10 s say, that comes first."""
    clients = [bare() for _ in range(3)]
    clients[1].say(upgrade(key=KEY)[:40])
    silent = [Client(WAYS[0], house.address("websocket-tls")) for _ in range(2)]  # no TLS handshake either
    clients += silent
    house.wait_metric("comet_closed_total", len(clients), reason="handshake_timeout", timeout=30)
    assert house.metrics()("comet_closed_total", reason="client_cut") == 0


def assert_let_in(bare, origins):
    for origin, welcome in origins:
        client = bare()
        client.say(upgrade(key=KEY, Origin=origin))
        if welcome:
            client.auth()
        else:
            status, _, body = client.answer()
            assert status == 403 and "websocket.origins" in body, origin


@pytest.mark.settings("websocket.origins=https://good.test, http://127.0.0.1:3111, https://*.good.test")
def test_only_listed_origins_may_connect(bare, house):
    assert_let_in(bare, (("https://good.test", True), ("HTTPS://GOOD.TEST", True), (None, True), ("https://a.b.good.test", True),
                         ("http://127.0.0.1:3111", True), ("https://evil.test", False), ("null", False),
                         ("https://good.test.evil.test", False), ("x" * 1000, False)))
    house.wait_metric("comet_closed_total", 4, reason="websocket_origin")
    house.wait_metric("comet_websocket_refused_total", 4, status="403")
    line = [line for line in house.log().splitlines() if " warn " in line][0]
    assert "websocket.origins" in line and "origin=https://evil.test" in line


def test_where_anybody_is_believed_only_pages_of_this_machine_may_connect(bare):
    """Or any page could be any user there. The Host of upgrade() is comet.test."""
    assert_let_in(bare, (("http://localhost:8080", True), ("https://127.0.0.1", True), ("http://[::1]:3111", True), (None, True),
                         ("https://comet.test:8443", True), ("https://evil.test", False), ("null", False),
                         ("https://comet.test.evil.test", False), ("http://localhost.evil.test", False)))


@pytest.mark.settings("websocket.origins=*")
def test_all_pages_may_connect_where_that_is_said(bare):
    assert_let_in(bare, (("https://evil.test", True), ("null", True), (None, True)))


@pytest.mark.settings("auth.allow_open=yes", "websocket.bind=0.0.0.0:0")
def test_where_all_can_connect_so_may_their_pages(bare):
    assert_let_in(bare, (("https://evil.test", True), ("null", True), (None, True)))


def test_two_origins_are_none(bare, house):
    client = bare()
    client.say(upgrade(key=KEY, Origin="http://localhost\r\nOrigin: http://localhost"))
    status, _, body = client.answer()
    assert status == 400 and "Origin" in body
    house.wait_metric("comet_closed_total", 1, reason="websocket_upgrade")


# ---- pings of the server


PINGS = ("websocket.ping=500ms", "websocket.pong_timeout=500ms")


def pings(house):
    return house.metrics()("comet_websocket_pings_total")


def answer_ping(client):
    assert client.hear() == (Opcode.PING, b"")
    client.say(client.frames.owed)
    client.frames.owed = b""


@pytest.mark.parametrize("listener", ["websocket", "websocket-tls"])
@pytest.mark.parametrize("baton", [pytest.param(baton, marks=pytest.mark.settings(f"protocol.baton={baton}", *PINGS))
                                   for baton in ("on", "off")])
def test_who_is_silent_is_pinged_and_who_answers_stays(bare, house, listener, baton):
    client = bare(listener).open().auth()
    for _ in range(4):
        answer_ping(client)
    house.wait_metric("comet_websocket_pings_total", 4)
    client.say(frame(Opcode.BINARY, Packet(Op.HEARTBEAT, b"", seq=2).encode()))
    assert client.hear()[0] == Opcode.BINARY


@pytest.mark.settings(*PINGS)
def test_who_answers_no_ping_is_closed_and_counted(bare, house):
    client = bare().open().auth()
    assert client.hear_close() == 1001 and client.frames.close_reason == b"pong_timeout"
    house.wait_metric("comet_closed_total", 1, reason="pong_timeout")
    assert pings(house) == 1
    (line,) = [line for line in house.log().splitlines() if " warn " in line]
    assert "reason=pong_timeout" in line


@pytest.mark.settings("websocket.ping=1s", "websocket.pong_timeout=500ms")
def test_who_speaks_is_not_pinged(bare, house):
    client = bare().open().auth()
    for seq in range(2, 22):
        client.say(frame(Opcode.BINARY, Packet(Op.SEND, b"x", seq=seq).encode()))
        assert client.hear()[0] == Opcode.BINARY
        time.sleep(0.1)
    assert pings(house) == 0


@pytest.mark.settings("websocket.ping=300ms", "logic.heartbeat_v1=1500ms")
def test_pong_is_no_heartbeat(bare, house):
    client = bare().open().auth()
    with pytest.raises(Closed):
        while True:
            if client.hear()[0] == Opcode.PING:
                client.say(client.frames.owed)
                client.frames.owed = b""
    assert client.frames.close_reason == b"heartbeat_timeout" and pings(house) >= 2


@pytest.mark.settings("websocket.ping=0", "websocket.pong_timeout=50ms")
def test_without_pings_silence_is_the_clients(bare, house):
    client = bare().open().auth()
    time.sleep(1)
    client.say(frame(Opcode.BINARY, Packet(Op.HEARTBEAT, b"", seq=2).encode()))
    assert client.hear()[0] == Opcode.BINARY
    assert pings(house) == 0


@pytest.mark.settings("websocket.ping=200ms", "websocket.pong_timeout=200ms", "limits.packets=5", "limits.burst=1s")
def test_who_is_made_to_wait_is_not_taken_for_gone(bare, house):
    """Its pongs are in the socket or in the buffer, behind all else that it sent."""
    client = bare().open().auth()
    client.say(b"".join(frame(Opcode.BINARY, Packet(Op.SEND, b"x", seq=seq).encode()) for seq in range(2, 17)))
    answered = 0
    while answered < 15:
        answered += client.hear()[0] == Opcode.BINARY
        client.say(client.frames.owed)
        client.frames.owed = b""
    assert house.metrics()("comet_closed_total", reason="pong_timeout") == 0


# ---- frames


def test_frames_cut_at_every_byte(bare):
    said = frame(Opcode.BINARY, AUTH) + frame(Opcode.BINARY, Packet(Op.SEND, b"x" * 200, seq=2).encode())
    for cut in range(1, len(said)):
        client = bare().open()
        client.say(said[:cut])
        client.say(said[cut:])
        assert client.hear() == (Opcode.BINARY, AUTH_REPLY)
        assert client.hear() == (Opcode.BINARY, Packet(Op.SEND_REPLY, b"x" * 200, seq=2).encode())
        client.sock.close()


def test_frames_byte_by_byte(bare):
    client = bare().open()
    for byte in frame(Opcode.BINARY, AUTH):
        client.say(bytes([byte]))
    assert client.hear() == (Opcode.BINARY, AUTH_REPLY)


def test_fragments_with_a_ping_in_between_are_one_message(bare):
    client = bare().open()
    client.say(frame(Opcode.BINARY, AUTH[:5], fin=False) + frame(Opcode.PING, b"are you there") +
               frame(Opcode.CONTINUATION, AUTH[5:9], fin=False) + frame(Opcode.CONTINUATION, AUTH[9:]))
    assert sorted([client.hear(), client.hear()]) == [(Opcode.BINARY, AUTH_REPLY), (Opcode.PONG, b"are you there")]


def test_thousand_fragments_are_one_message(bare):
    client = bare().open().auth()
    packet = Packet(Op.SEND, bytes(range(256)) * 4, seq=2).encode()
    client.say(frame(Opcode.BINARY, packet[:40], fin=False) +
               b"".join(frame(Opcode.CONTINUATION, packet[i:i + 1], fin=False) for i in range(40, len(packet))) +
               frame(Opcode.CONTINUATION))
    assert client.hear() == (Opcode.BINARY, Packet(Op.SEND_REPLY, bytes(range(256)) * 4, seq=2).encode())


def test_pings_are_answered_with_what_they_carry(bare):
    client = bare().open().auth()
    for payload in (b"", b"x", b"y" * 125):
        client.say(frame(Opcode.PING, payload))
        assert client.hear() == (Opcode.PONG, payload)
    client.say(frame(Opcode.PONG, b"unasked"))
    client.say(frame(Opcode.BINARY, Packet(Op.HEARTBEAT, seq=3).encode()))
    assert client.hear() == (Opcode.BINARY, Packet(Op.HEARTBEAT_REPLY, seq=3).encode())


@pytest.mark.own_house
@pytest.mark.settings("limits.connections=1")
def test_who_is_turned_away_with_large_cookies_is_not_reset(bare, house):
    """A close with unread bytes is a reset, which may overtake the answer on its way."""
    bare().open()
    house.freeze()
    client = bare()
    client.say(upgrade(key=KEY, Cookie="x" * 8000))
    house.thaw()
    data = b""
    while more := client.sock.recv(65536):
        data += more
    assert data.startswith(b"HTTP/1.1 503 ")
    poll = select.poll()
    poll.register(client.sock, 0)
    assert poll.poll(200) == []  # no error, no hang-up: this side may still write


@pytest.mark.settings("tcp.sndbuf=4k", "protocol.write_timeout=500ms", "protocol.handshake_timeout=1m")
def test_stranger_who_pings_and_takes_no_pong_is_a_write_timeout(bare, house):
    client = bare().open()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.say(frame(Opcode.PING, b"x" * 125) * 900)
    house.wait_metric("comet_closed_total", 1, reason="write_timeout")


@pytest.mark.parametrize("said", [frame(Opcode.PONG), frame(Opcode.CONTINUATION, b"x", fin=False)], ids=["pongs", "fragments"])
def test_who_floods_with_what_is_no_packet_is_held_back(bare, house, said):
    """A thousand at once, and then a hundred a second; its packets wait behind them."""
    client = bare().open().auth()
    packet = Packet(Op.SEND, b"x" * 2000, seq=2).encode()
    client.say(frame(Opcode.BINARY, packet[:16], fin=False))
    client.say(said * 1100)
    wait_until(lambda: house.metrics()("comet_limited_total", limit="frames") > 0, "held back")
    client.say(frame(Opcode.CONTINUATION, (packet[16:] if said[0] == 0x8a else b"x" * 900)))
    assert client.hear() == (Opcode.BINARY, Packet(Op.SEND_REPLY, b"x" * 2000, seq=2).encode())
    assert house.cpu_ticks() < 100


@pytest.mark.settings("limits.packets=20")
def test_pings_are_packets_for_limits_packets_and_bytes_for_limits_bytes(bare, house):
    client = bare().open().auth()
    client.say(frame(Opcode.PING, b"x") * 40)
    wait_until(lambda: house.metrics()("comet_limited_total", limit="packets") > 0, "held back")
    for _ in range(40):
        assert client.hear() == (Opcode.PONG, b"x")


@pytest.mark.settings("limits.bytes=1000")
def test_every_byte_off_the_socket_counts_for_limits_bytes(bare, house):
    client = bare().open().auth()
    client.say(frame(Opcode.PONG, b"x" * 100) * 15)
    wait_until(lambda: house.metrics()("comet_limited_total", limit="bytes") > 0, "held back")


def test_more_than_64_empty_fragments_are_refused(bare, house):
    client = bare().open()
    client.say(frame(Opcode.BINARY, b"", fin=False) + frame(Opcode.CONTINUATION, b"", fin=False) * 64)
    assert client.hear_close() == 1008
    house.wait_metric("comet_closed_total", 1, reason="websocket_frame")


FORBIDDEN = {
    "no mask": (frame(Opcode.BINARY, AUTH, masked=False), 1002),
    "a length longer than it has to be": (bytes([0x82, 0xfe, 0, 16]) + bytes(4) + AUTH, 1002),
    "reserved bit 1": (frame(Opcode.BINARY, AUTH, rsv=4), 1002),
    "reserved bit 2": (frame(Opcode.BINARY, AUTH, rsv=2), 1002),
    "reserved bit 3": (frame(Opcode.BINARY, AUTH, rsv=1), 1002),
    **{f"opcode {opcode}": (frame(opcode, b"x"), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "a fragmented ping": (frame(Opcode.PING, b"x", fin=False), 1002),
    "a ping of 126 bytes": (frame(Opcode.PING, b"x" * 126), 1002),
    "a ping that announces 65536 bytes": (frame(Opcode.PING, b"x", length=65536), 1002),
    "a fragmented pong": (frame(Opcode.PONG, b"x", fin=False), 1002),
    "a pong of 126 bytes": (frame(Opcode.PONG, b"x" * 126), 1002),
    "a fragmented close": (frame(Opcode.CLOSE, close_payload(1000), fin=False), 1002),
    "a close of 126 bytes": (frame(Opcode.CLOSE, close_payload(1000, b"x" * 124)), 1002),
    "a close that announces 65536 bytes": (frame(Opcode.CLOSE, b"x", length=65536), 1002),
    "a continuation of nothing": (frame(Opcode.CONTINUATION, b"x"), 1002),
    "a new message inside one": (frame(Opcode.BINARY, b"x", fin=False) + frame(Opcode.BINARY, b"x"), 1002),
    "a length with the top bit": (frame(Opcode.BINARY, b"", length=1 << 63), 1002),
    "a length of 2^62": (frame(Opcode.BINARY, b"x", length=1 << 62), 1009),
    "a message of 17000": (frame(Opcode.BINARY, b"x" * 17000), 1009),
    "text that is no UTF-8": (frame(Opcode.TEXT, b'"\xff"'), 1007),
    "text cut in a character": (frame(Opcode.TEXT, b'"\xc3'), 1007),
    "text no UTF-8 across fragments": (frame(Opcode.TEXT, b"\xe2", fin=False) + frame(Opcode.CONTINUATION, b"x"), 1007),
    "text that is no packet": (frame(Opcode.TEXT, b"{}"), 1008),
    "text without an operation": (frame(Opcode.TEXT, b'{"ver":1,"seq":1,"body":7}'), 1008),
    "text after binary": (frame(Opcode.BINARY, Packet(Op.HEARTBEAT).encode()) + frame(Opcode.TEXT, b"{}"), 1003),
}


REASONS = {1002: "websocket_frame", 1003: "websocket_frame", 1007: "websocket_frame", 1008: "packet_json",
           1009: "packet_body"}


@pytest.mark.parametrize("said, code", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_frame_that_is_forbidden_closes_with_its_code(bare, house, said, code):
    client = bare().open()
    client.say(said)
    assert client.hear_close() == code
    assert client.messages == []
    house.wait_metric("comet_closed_total", 1, reason=REASONS[code])
    house.wait_empty()
    bare().open().auth()


CLOSES = {
    "no code": (b"", (1000, 1005)),
    "1000": (close_payload(1000), (1000,)),
    "with words": (close_payload(1001, b"bye"), (1001,)),
    "an own code": (close_payload(4000), (4000,)),
    "one byte": (b"\x03", (1002,)),
    "words that are no UTF-8": (close_payload(1000, b"\xff"), (1007,)),
    "a code of a library": (close_payload(3000), (3000,)),
    **{f"code {code}, which nobody may send": (close_payload(code), (1002,))
       for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000)},
}


@pytest.mark.parametrize("payload, codes", CLOSES.values(), ids=CLOSES.keys())
def test_close_is_answered(bare, house, payload, codes):
    client = bare().open().auth()
    client.say(frame(Opcode.CLOSE, payload))
    assert client.hear_close() in codes
    house.wait_metric("comet_closed_total", 1, reason="client_left")
    house.wait_empty()


def test_forbidden_frames_and_closes_get_the_same_over_tls(bare, house):
    good = bare("websocket-tls").open().auth()
    counts = dict.fromkeys((*REASONS.values(), "client_left"), 0)
    for said, codes, reason in [*((said, (code,), REASONS[code]) for said, code in FORBIDDEN.values()),
                                *((frame(Opcode.CLOSE, payload), codes, "client_left") for payload, codes in CLOSES.values())]:
        client = bare("websocket-tls").open()
        client.say(said)
        assert client.hear_code() in codes, said
        client.sock.close()
        counts[reason] += 1
        house.wait_metric("comet_closed_total", counts[reason], reason=reason)
    good.say(frame(Opcode.BINARY, Packet(Op.HEARTBEAT, seq=3).encode()))
    assert good.hear() == (Opcode.BINARY, Packet(Op.HEARTBEAT_REPLY, seq=3).encode())
    house.wait_metric("comet_connections", 1)


# ---- messages


CANARY = b"\xca\xfe" * 2000


@pytest.mark.parametrize("length, has", [(16 + 100, 0), (16 + 100, 99), (16 + 4000, 8),
                                         (15, 0), (0, 0), (-1, 0), (-2**31, 0), (2**31 - 1, 0)])
def test_message_that_is_not_its_packet_is_closed_and_nothing_foreign_comes_back(bare, house, length, has):
    filled = bare().open().auth()  # bytes that must not turn up elsewhere
    filled.say(frame(Opcode.BINARY, Packet(Op.SEND, CANARY, seq=1).encode()))
    assert filled.hear() == (Opcode.BINARY, Packet(Op.SEND_REPLY, CANARY, seq=1).encode())
    client = bare().open().auth()
    client.say(frame(Opcode.BINARY, struct.pack(">ihhii", length, 16, 1, Op.SEND, 2) + b"b" * has))
    cause, code = ("packet_body", 1009) if length > 16 + 4096 else ("packet_length", 1008)
    assert client.hear_close() == code
    assert client.messages == []
    house.wait_metric("comet_closed_total", 1, reason=cause)
    house.wait_metric("comet_online", 1)
    filled.say(frame(Opcode.BINARY, Packet(Op.HEARTBEAT, seq=3).encode()))
    assert filled.hear() == (Opcode.BINARY, Packet(Op.HEARTBEAT_REPLY, b"", seq=3).encode())


def test_several_packets_in_one_message_are_each_answered(bare):
    client = bare().open()
    client.say(frame(Opcode.BINARY, AUTH + Packet(Op.HEARTBEAT, seq=2).encode() * 2))
    assert client.hear() == (Opcode.BINARY, AUTH_REPLY)
    for _ in range(2):
        assert client.hear() == (Opcode.BINARY, Packet(Op.HEARTBEAT_REPLY, seq=2).encode())


@pytest.mark.parametrize("rest", [1, 2, 15])
def test_few_bytes_behind_a_packet_are_ignored_and_counted(bare, house, rest):
    """As npm goimprotocol sends them."""
    client = bare().open().auth()
    for turn in range(1, 4):
        client.say(frame(Opcode.BINARY, Packet(Op.SEND, b"body", seq=2).encode() + b"\xff" * rest))
        assert client.hear() == (Opcode.BINARY, Packet(Op.SEND_REPLY, b"body", seq=2).encode())
        house.wait_metric("comet_websocket_trailing_total", turn)


def test_packets_may_come_in_text_messages_and_are_answered_in_binary(bare, backend):
    client = bare().open()
    client.say(frame(Opcode.TEXT, AUTH))
    assert client.hear() == (Opcode.BINARY, AUTH_REPLY)
    body = bytes(range(256))  # no UTF-8
    client.say(frame(Opcode.TEXT, Packet(Op.SEND, body, seq=2).encode()))
    assert client.hear() == (Opcode.BINARY, Packet(Op.SEND_REPLY, body, seq=2).encode())
    client.say(frame(Opcode.BINARY, Packet(Op.HEARTBEAT, seq=3).encode()))
    assert client.hear() == (Opcode.BINARY, Packet(Op.HEARTBEAT_REPLY, seq=3).encode())
    backend.push_mids([7], "pushed")
    assert client.hear()[0] == Opcode.BINARY


def test_push_comes_in_a_wrapper(house, backend):
    way = next(way for way in WAYS if way.name == "ws-v2")
    client = Client(way, house.address(way.listener)).auth(mid=7, accepts=[1000])
    backend.push_mids([7], "alone")
    opcode, payload = first_message(client)
    assert opcode == Opcode.BINARY
    assert payload == Packet(Op.RAW, Packet(1000, b"alone", 0).encode(), 0).encode()
    client.close()


def first_message(client):
    deadline = Deadline()
    while True:
        messages = client._codec.frames.feed(client._recv_bytes(deadline))
        if messages:
            return messages[0]


def test_json_is_to_the_letter(bare, backend):
    client = bare().open()
    client.say(frame(Opcode.TEXT, b'{"ver":1,"op":7,"seq":1,"body":7}'))
    assert client.hear() == (Opcode.TEXT, b'[{"ver":1,"op":8,"seq":1,"body":{}}]\n')
    client.say(frame(Opcode.TEXT, b' {"body":{},"seq":2,"op":2,"ver":1,"more":[]} '))
    assert client.hear() == (Opcode.TEXT, b'[{"ver":1,"op":3,"seq":2,"body":{}}]\n')
    backend.push_mids([7], '{"test": 1}')
    assert client.hear() == (Opcode.TEXT, b'[{"ver":0,"op":5,"seq":0,"body":{"test": 1}}]')
    backend.push_mids([7], 'say "hi"')
    assert client.hear() == (Opcode.TEXT, b'[{"ver":0,"op":5,"seq":0,"body":"say \\"hi\\""}]')


def test_json_may_leave_ver_and_seq_out(bare):
    client = bare().open()
    client.say(frame(Opcode.TEXT, b'{"op":7,"body":7}'))
    assert client.hear() == (Opcode.TEXT, b'[{"ver":0,"op":8,"seq":0,"body":{}}]\n')
    client.say(frame(Opcode.TEXT, b'{"ver":null,"op":2,"seq":null,"body":null}'))
    assert client.hear() == (Opcode.TEXT, b'[{"ver":0,"op":3,"seq":0,"body":{}}]\n')


# ---- the end


def close_of(client):
    """The code and the words of the server's close frame."""
    heard = []
    take = client.frames._take

    def listen(fin, opcode, payload):
        if opcode == Opcode.CLOSE:
            heard.append(payload[2:].decode())
        return take(fin, opcode, payload)

    client.frames._take = listen
    return client.hear_close(), heard[0]


@pytest.mark.settings("protocol.handshake_timeout=20s")
def test_close_frame_says_by_code_and_name_why(bare, house, backend):
    """1000 is for what is meant: after that clients' libraries do not come again, and after a drain they must."""
    kicked = bare().open().auth()
    backend.kick(mids=7)
    assert close_of(kicked) == (1000, "kicked")
    refused = bare().open()
    refused.say(frame(Opcode.BINARY, Packet(Op.AUTH, b'{"mid":"x"}', seq=1).encode()))
    assert close_of(refused) == (1008, "auth_refused")
    broken = bare().open().auth()
    broken.say(frame(Opcode.BINARY, b"x", rsv=4))
    assert close_of(broken) == (1002, "websocket_frame")
    long = bare().open().auth()
    long.say(frame(Opcode.BINARY, b"x" * 17000))
    assert close_of(long) == (1009, "packet_body")
    drained = bare().open().auth()
    house.terminate()
    assert close_of(drained) == (1001, "draining")
    assert house.wait() == 0


@pytest.mark.settings("logic.heartbeat_v1=1s")
def test_close_frame_of_a_missed_heartbeat_lets_clients_come_again(bare):
    assert close_of(bare().open().auth()) == (1001, "heartbeat_timeout")


# ---- other people's clients


async def talk(uri, backend, **options):
    async with websockets.connect(uri, **options) as client:
        await client.send('{"ver":1,"op":7,"seq":1,"body":7}')
        assert json.loads(await client.recv()) == [{"ver": 1, "op": 8, "seq": 1, "body": {}}]
        loop = asyncio.get_running_loop()
        long = {"text": "all work and no play " * 500}
        await loop.run_in_executor(None, backend.push_mids, [7], json.dumps(long))
        assert json.loads(await client.recv()) == [{"ver": 0, "op": 5, "seq": 0, "body": long}]
        await client.send(json.dumps({"ver": 1, "op": 4, "seq": 2, "body": "y" * 4000}))
        assert json.loads(await client.recv())[0]["body"] == "y" * 4000
        await (await client.ping(b"there?"))
        return client.response_headers.get("Sec-WebSocket-Extensions", "")


@pytest.mark.settings("websocket.deflate=no")
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_python_websockets(house, compression):
    host, port = house.address("websocket")
    extensions = asyncio.run(asyncio.wait_for(talk(f"ws://{host}:{port}/sub", house.backend, compression=compression),
                                              TIMEOUT))
    assert extensions == ""


def test_python_websocket_client_sends_packets_as_text(house):
    """As it does by default, whatever bytes these are."""
    websocket = pytest.importorskip("websocket")
    host, port = house.address("websocket")
    client = websocket.create_connection(f"ws://{host}:{port}/sub", timeout=TIMEOUT)
    for packet, reply in ((Packet(Op.AUTH, b"7", seq=1), Packet(Op.AUTH_REPLY, seq=1)),
                          (Packet(Op.HEARTBEAT, seq=2), Packet(Op.HEARTBEAT_REPLY, seq=2)),
                          (Packet(Op.SEND, b"\xff" * 300, seq=3), Packet(Op.SEND_REPLY, b"\xff" * 300, seq=3))):
        client.send(packet.encode().decode("latin-1") if max(packet.encode()) < 128 else packet.encode(),
                    opcode=websocket.ABNF.OPCODE_TEXT)
        assert client.recv_data() == (websocket.ABNF.OPCODE_BINARY, reply.encode())
    client.ping("there?")
    client.sock.settimeout(TIMEOUT)
    assert client.recv_data(control_frame=True) == (websocket.ABNF.OPCODE_PONG, b"there?")
    client.close(timeout=TIMEOUT)
