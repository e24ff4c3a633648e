"""What is left of the cases that docs/hostile-cases.md lists, where no other file has a place for it: each says what the client
sees and which counter moves, and a good client works meanwhile and afterwards.

SPDX-License-Identifier: MIT"""
import itertools
import signal
import socket
import ssl
import struct
import threading

import pytest

from client import HEAD, WAYS, Client, Op, Packet
from swarm import Swarm
from test_malformed import CANARY, HEAD_LENGTHS, LENGTHS, causes_of
from test_tls import context
from test_websocket import AUTH, AUTH_REPLY, KEY, Bare, bare  # noqa: F401  a fixture
from waiting import SCALE, SPARE_BYTES, TIMEOUT, scaled, wait_until
from wire import Opcode, frame, upgrade

BY_NAME = {way.name: way for way in WAYS}


@pytest.fixture
def good(house):
    """Somebody who is there all the time, over each door."""
    clients = [Client(BY_NAME[name], house.address(BY_NAME[name].listener)).auth(mid=1000) for name in ("tcp-v2", "ws-v2")]
    yield clients
    for client in clients:
        client.heartbeat()
        client.close()


# ---- 1: every valid packet cut in two at every byte

EVERY_PACKET = {
    "heartbeat": (Packet(Op.HEARTBEAT, seq=9), Op.HEARTBEAT_REPLY),
    "change room": (Packet(Op.CHANGE_ROOM, b"live://1", seq=9), Op.CHANGE_ROOM_REPLY),
    "sub": (Packet(Op.SUB, b"1001,1002", seq=9), Op.SUB_REPLY),
    "unsub": (Packet(Op.UNSUB, b"1001", seq=9), Op.UNSUB_REPLY),
    "application": (Packet(4711, b"\0\1\2", seq=9), 4711),
}


def rounds_of_everybody(good):
    """Whoever could be read before these asked was read before they are answered: each door has one thread that reads."""
    for _ in range(2):
        for client in good:
            client.heartbeat()


@pytest.mark.parametrize("packet, reply", EVERY_PACKET.values(), ids=EVERY_PACKET.keys())
@pytest.mark.one_core
@pytest.mark.ways("tcp-v2", "ws-v2")
def test_packet_cut_in_two_segments_at_every_byte(connect, house, good, packet, reply):
    clients = [connect(mid=i) for i in range(1, len(packet.encode()) + 6)]
    said = clients[0].encode(packet)
    whole = [client.encode(packet) for client in clients[:len(said) - 1]]  # each has its own mask
    for cut, (client, data) in enumerate(zip(clients, whole), 1):
        client.send_bytes(data[:cut])
    rounds_of_everybody(good)
    for cut, (client, data) in enumerate(zip(clients, whole), 1):
        client.send_bytes(data[cut:])
    for client in clients[:len(said) - 1]:
        assert client.recv().op == reply
    assert house.metrics().total("comet_closed_total") == 0


@pytest.mark.parametrize("packet, reply", [*EVERY_PACKET.values(), (Packet(Op.AUTH, b"7", seq=9), Op.AUTH_REPLY)],
                         ids=[*EVERY_PACKET.keys(), "auth"])
def test_packet_cut_in_two_frames_at_every_byte(bare, house, packet, reply):  # noqa: F811
    said = packet.encode()
    token = BY_NAME["ws-v2"].dialect.token(mid=7)
    for cut in range(len(said) + 1):
        client = bare().open()
        if packet.op != Op.AUTH:
            client.say(frame(Opcode.BINARY, Packet(Op.AUTH, token, seq=1).encode()))
            client.hear()
        client.say(frame(Opcode.BINARY, said[:cut], fin=False) + frame(Opcode.CONTINUATION, said[cut:]))
        opcode, payload = client.hear()
        assert opcode == Opcode.BINARY and HEAD.unpack_from(payload)[3:] == (reply, 9)
        client.sock.close()
    house.wait_empty()
    assert house.metrics().total("comet_closed_total") == house.metrics()("comet_closed_total", reason="client_cut")


JSON_AUTH, JSON_AUTH_REPLY = b'{"ver":1,"op":7,"seq":1,"body":7}', b'[{"ver":1,"op":8,"seq":1,"body":{}}]\n'

EVERY_TEXT = {
    "auth": (JSON_AUTH, JSON_AUTH_REPLY),
    "heartbeat": (b'{"ver":1,"op":2,"seq":9,"body":{}}', b'[{"ver":1,"op":3,"seq":9,"body":{}}]\n'),
    "send": ('{"ver":1,"op":4,"seq":9,"body":"grüße \\u20ac €"}'.encode(),
             '[{"ver":1,"op":5,"seq":9,"body":"grüße \\u20ac €"}]\n'.encode()),
    "test": (b'{"ver":1,"op":254,"seq":9,"body":{}}', b'[{"ver":1,"op":255,"seq":9,"body":{"test":"come on"}}]\n'),
}


@pytest.mark.parametrize("said, reply", EVERY_TEXT.values(), ids=EVERY_TEXT.keys())
@pytest.mark.one_core
def test_text_message_cut_at_every_byte_in_frames_and_in_segments(bare, house, good, said, reply):  # noqa: F811
    """In frames also inside a character of UTF-8."""
    def come_in():
        client = bare().open()
        if said != JSON_AUTH:
            client.say(frame(Opcode.TEXT, JSON_AUTH))
            assert client.hear() == (Opcode.TEXT, JSON_AUTH_REPLY)
        return client

    for cut in range(len(said) + 1):
        client = come_in()
        client.say(frame(Opcode.TEXT, said[:cut], fin=False) + frame(Opcode.CONTINUATION, said[cut:]))
        assert client.hear() == (Opcode.TEXT, reply), cut
        client.sock.close()
    whole = frame(Opcode.TEXT, said)
    clients = [come_in() for _ in range(1, len(whole))]
    for cut, client in enumerate(clients, 1):
        client.say(whole[:cut])
    rounds_of_everybody(good)
    for cut, client in enumerate(clients, 1):
        client.say(whole[cut:])
        assert client.hear() == (Opcode.TEXT, reply), cut
    metrics = house.metrics()
    assert metrics.total("comet_closed_total") == metrics("comet_closed_total", reason="client_cut")


# ---- 2: lengths and header lengths over WebSocket; test_malformed.py has them over TCP


def test_every_wrong_header_over_websocket_is_closed_and_counted(bare, house, good):  # noqa: F811
    filled = bare().open().auth()
    filled.say(frame(Opcode.BINARY, Packet(Op.SEND, CANARY * 400, seq=1).encode()))
    assert filled.hear()[1].endswith(CANARY)
    for length, head in itertools.product(LENGTHS, HEAD_LENGTHS):
        body = b"payload of the peer"
        # What its length promises beyond the message is not there; what follows a good packet is none.
        whole = (length, head) == (16, 16)
        causes = causes_of(length, head) or ({"packet_header"} if whole else {"packet_length"})
        before = {cause: house.metrics()("comet_closed_total", reason=cause) for cause in
                  ("packet_length", "packet_body", "packet_header")}
        client = bare().open().auth()
        client.say(frame(Opcode.BINARY, HEAD.pack(length, head, 1, Op.SEND, 1) + body))
        assert client.hear_close() in (1008, 1009), (length, head)
        assert client.messages == [(Opcode.BINARY, Packet(Op.SEND_REPLY, seq=1).encode())] * whole, (length, head)

        def moved(before=before):
            metrics = house.metrics()
            return [cause for cause, count in before.items() if metrics("comet_closed_total", reason=cause) == count + 1]

        assert set(wait_until(moved, f"a counter for {length}, {head}")) <= causes, (length, head)
        client.sock.close()


# ---- 4 and 5: frames and handshakes


def test_frame_that_is_not_masked_is_closed(bare, house, good):  # noqa: F811
    client = bare().open()
    client.say(frame(Opcode.BINARY, AUTH, masked=False))
    assert client.hear_close() == 1002
    house.wait_metric("comet_closed_total", 1, reason="websocket_frame")


def test_frame_in_the_segment_of_the_request_is_read(bare):  # noqa: F811
    client = bare()
    client.say(upgrade(key=KEY) + frame(Opcode.BINARY, AUTH))
    assert client.hear() == (Opcode.BINARY, AUTH_REPLY)


@pytest.mark.parametrize("headers", [{"Content-Length": "5"}, {"Transfer-Encoding": "chunked"},
                                     {"Content-Length": "5", "Transfer-Encoding": "chunked"}],
                         ids=["length", "chunked", "both"])
@pytest.mark.settings("protocol.handshake_timeout=1s")
def test_handshake_with_a_body_smuggles_nothing(bare, house, good, headers):  # noqa: F811
    """What follows the request is frames or the end of the connection, never a second request."""
    client = bare()
    client.say(upgrade(key=KEY, **headers) + b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
    heard = b""
    try:
        while more := client.sock.recv(65536):
            heard += more
    except ConnectionError:
        pass
    assert heard.count(b"HTTP/1.1 ") == 1 and heard.startswith(b"HTTP/1.1 101 ") and b"comet_" not in heard, heard
    house.wait_metric("comet_closed_total", 1, reason="websocket_frame")
    house.wait_metric("comet_connections", len(good))
    assert house.metrics()("comet_authenticated_total") == len(good)


def test_tls_to_the_plain_port_is_closed(house, good):
    for listener, reason in (("tcp", "packet_header"), ("websocket", "websocket_upgrade")):
        with socket.create_connection(house.address(listener), timeout=TIMEOUT) as sock:
            sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
            try:
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
            house.wait_metric("comet_closed_total", 1, reason=reason)  # not cut by us, who are still there
    house.wait_metric("comet_connections", len(good))
    assert house.metrics()("comet_authenticated_total") == len(good)


# ---- 7: PROXY headers that other files do not have

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


@pytest.mark.settings("tcp.proxy_protocol=on", "websocket.proxy_protocol=on", "protocol.handshake_timeout=1s")
def test_proxy_header_of_a_family_without_addresses_is_skipped(house):
    unix = SIGNATURE + b"\x21\x31" + struct.pack(">H", 216) + bytes(216)
    unknown = SIGNATURE + b"\x21\xf5" + struct.pack(">H", 7) + b"unknown"
    for header in (unix, unknown):
        for name in ("tcp-v2", "ws-v2"):
            client = Client(BY_NAME[name], house.address(BY_NAME[name].listener))
            client.send_bytes(header)
            client.auth(mid=7).heartbeat()
            client.close()


@pytest.mark.settings("tcp.proxy_protocol=on", "websocket.proxy_protocol=on", "protocol.handshake_timeout=1s")
def test_proxy_header_and_websocket_request_may_come_together(house):
    client = Bare(house)
    client.say(SIGNATURE + b"\x20\0\0\0" + upgrade(key=KEY) + frame(Opcode.BINARY, AUTH))
    assert client.hear() == (Opcode.BINARY, AUTH_REPLY)
    client.sock.close()


@pytest.mark.settings("tcp.proxy_protocol=on", "websocket.proxy_protocol=on", "protocol.handshake_timeout=1s")
def test_proxy_header_cut_at_every_byte_by_the_end_of_the_stream_is_refused(house):
    binary = SIGNATURE + b"\x21\x11\0\x0c" + bytes((192, 0, 2, 7, 10, 0, 0, 1)) + struct.pack(">HH", 51234, 3101)
    refused = 0
    for header in (binary, b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 3101\r\n"):
        for cut in range(len(header)):
            with socket.create_connection(house.address("tcp"), timeout=TIMEOUT) as sock:
                sock.sendall(header[:cut])
                sock.shutdown(socket.SHUT_WR)
                try:
                    assert sock.recv(100) == b""
                except ConnectionError:
                    pass
            refused += 1
    house.wait_metric("comet_refused_total", refused, reason="proxy_header")
    house.wait_empty()


# ---- 14: a million packets, a million pings


@pytest.mark.own_house
@pytest.mark.settings("protocol.write_timeout=60s", "tcp.sndbuf=256k", "tcp.rcvbuf=256k")
def test_million_packets_without_reading_a_reply_are_all_answered_later(house, good):
    """Meanwhile the server holds back: neither its memory nor what is in the sockets grows with them."""
    n = scaled(1_000_000)
    client = Client(BY_NAME["tcp-v2"], house.address("tcp"), rcvbuf=1 << 18).auth(mid=7)
    before = house.rss_bytes()
    many = b"".join(Packet(Op.HEARTBEAT, seq=i).encode() for i in range(1000))
    sent = []

    def send():
        for _ in range(n // 1000):
            client.sock.sendall(many)
        sent.append(True)

    client.sock.settimeout(4 * TIMEOUT)
    sender = threading.Thread(target=send)
    sender.start()
    read_before = []

    def is_held_back():
        read_before.append(house.metrics()("comet_bytes_in_total"))
        return len(read_before) > 3 and read_before[-1] == read_before[-4]

    wait_until(is_held_back, "the server stops reading", pause=0.05)
    assert SCALE < 1 or not sent, "fewer find room in the sockets"
    assert house.rss_bytes() - before < SPARE_BYTES
    for other in good:
        other.heartbeat()
    answered, data = 0, b""
    while answered < n:
        data += client.sock.recv(1 << 20)
        whole = len(data) // 20 * 20
        for length, head, ver, op, seq, people in struct.iter_unpack(">ihhiii", data[:whole]):
            assert (length, head, ver, op, seq) == (20, 16, 1, Op.HEARTBEAT_REPLY, answered % 1000)
            answered += 1
        data = data[whole:]
    sender.join()
    assert data == b"" and house.rss_bytes() - before < SPARE_BYTES
    client.heartbeat()
    client.close()


@pytest.mark.own_house
@pytest.mark.parametrize("name", ["ws-v2", "ws-v1-json"])
@pytest.mark.settings("protocol.write_timeout=60s", "tcp.sndbuf=256k", "tcp.rcvbuf=256k")
def test_million_messages_without_reading_a_reply_are_all_answered_later(house, good, name):
    """The same over WebSocket, in both kinds of messages."""
    json = name == "ws-v1-json"
    n, at_once = scaled(200_000 if json else 1_000_000), 1000
    client = Bare(house).open()
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 18)
    if json:
        client.say(frame(Opcode.TEXT, b'{"ver":1,"op":7,"seq":1,"body":7}'))
        asked = b"".join(frame(Opcode.TEXT, b'{"ver":1,"op":2,"seq":%d,"body":{}}' % i) for i in range(at_once))
        wanted = [(Opcode.TEXT, b'[{"ver":1,"op":3,"seq":%d,"body":{}}]\n' % i) for i in range(at_once)]
    else:
        client.say(frame(Opcode.BINARY, Packet(Op.AUTH, BY_NAME[name].dialect.token(mid=7), seq=1).encode()))
        asked = b"".join(frame(Opcode.BINARY, Packet(Op.HEARTBEAT, seq=i).encode()) for i in range(at_once))
        wanted = [(Opcode.BINARY, Packet(Op.HEARTBEAT_REPLY, bytes(4), seq=i).encode()) for i in range(at_once)]
    client.hear()
    before = house.rss_bytes()
    client.sock.settimeout(4 * TIMEOUT)
    sender = threading.Thread(target=lambda: [client.sock.sendall(asked) for _ in range(n // at_once)])
    sender.start()
    read = []

    def is_held_back():
        read.append(house.metrics()("comet_bytes_in_total"))
        return len(read) > 3 and read[-1] == read[-4]

    wait_until(is_held_back, "the server stops reading", pause=0.05)
    assert SCALE < 1 or sender.is_alive(), "fewer find room in the sockets"
    assert house.rss_bytes() - before < 2 * SPARE_BYTES
    for other in good:
        other.heartbeat()
    reply = b"".join(bytes([0x80 | opcode, len(payload)]) + payload for opcode, payload in wanted)
    left, data = n // at_once, client.frames.unfinished()
    while left > 0:
        data += client.sock.recv(1 << 20)
        while len(data) >= len(reply) and left > 0:
            assert data.startswith(reply), "the answers, in order, each in a frame of its own"
            data, left = data[len(reply):], left - 1
    sender.join()
    assert data == b"" and house.rss_bytes() - before < 2 * SPARE_BYTES
    client.sock.close()


@pytest.mark.own_house
def test_million_pings_hold_the_client_back_and_cost_nothing_else(house, good):
    """A thousand pings are answered at once, and then a hundred a second, however many wait."""
    n = scaled(1_000_000)
    client = Bare(house).open().auth()
    before, ticks = house.rss_bytes(), house.cpu_ticks()
    many = frame(Opcode.PING, b"") * 1000

    def send():
        try:
            for _ in range(n // 1000):
                client.sock.sendall(many)
        except OSError:
            pass  # the test is over

    sender = threading.Thread(target=send)
    sender.start()
    received = 0
    while received < 2 * 1200:
        pongs = client.sock.recv(1 << 20)
        assert pongs.strip(b"\x8a\x00") == b"", "nothing but pongs comes"
        received += len(pongs)
    assert house.metrics()("comet_limited_total", limit="frames") > 0
    assert house.rss_bytes() - before < SPARE_BYTES
    assert house.cpu_ticks() - ticks < 200
    client.sock.shutdown(socket.SHUT_RDWR)
    sender.join()
    client.sock.close()


# ---- 18: kick and reload at the wrong moment


@pytest.mark.ways("tcp-v2", "ws-v2", "tls-v2")
def test_flood_after_the_goodbye_is_not_read_to_its_end(connect, backend, house):
    flooder, other = connect(mid=7, key="flooder"), connect(mid=8)
    packets = flooder.encode(*[Packet(Op.HEARTBEAT)] * 4096)
    before = house.metrics()("comet_bytes_in_total")
    backend.kick(keys="flooder")
    flooder.sock.settimeout(TIMEOUT)
    with pytest.raises(OSError):
        while True:
            flooder.sock.sendall(packets)
    other.heartbeat()
    house.wait_metric("comet_connections", 1)
    assert house.metrics()("comet_bytes_in_total") - before < 20 << 20


@pytest.mark.ways("tcp-v2", "ws-v2", "tls-v2")
@pytest.mark.settings("tcp.sndbuf=4k", "protocol.write_timeout=2s")
def test_kick_while_its_dispatcher_is_stuck_in_a_write(connect, backend, house):
    stuck, other = connect(mid=7, key="stuck", rcvbuf=4096), connect(mid=8)
    for _ in range(20):
        backend.push_keys(["stuck"], "x" * 40000)
    backend.kick(keys="stuck")
    other.heartbeat()
    house.wait_metric("comet_connections", 1)
    metrics = house.metrics()
    assert metrics("comet_closed_total", reason="kicked") + metrics("comet_closed_total", reason="write_timeout") == 1
    again = connect(mid=7, key="stuck")
    backend.push_keys(["stuck"], "welcome back")
    again.expect_push(1000, b"welcome back")
    stuck.close()


class HalfInTls:
    """A client that has said its hello and has not answered the server's."""

    def __init__(self, house, way):
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context().wrap_bio(self.incoming, self.outgoing)
        self.way = way
        self.sock = socket.create_connection(house.address(way.listener), timeout=TIMEOUT)
        with pytest.raises(ssl.SSLWantReadError):
            self.tls.do_handshake()
        self.sock.sendall(self.outgoing.read())
        self.incoming.write(self.sock.recv(1 << 16))  # the server's half

    def come_in(self, **who):
        """The rest of the handshake, and AUTH; the first packet that comes."""
        codec = self.way.codec()._inner
        said = codec.encode(Packet(Op.AUTH, self.way.dialect.token(**who), seq=1))
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                self.incoming.write(self.sock.recv(1 << 16))
        packets = []
        while not packets:
            self.tls.write(said) if said else None
            self.sock.sendall(self.outgoing.read())
            self.incoming.write(self.sock.recv(1 << 16))
            try:
                packets = codec.feed(self.tls.read(1 << 16))
            except ssl.SSLWantReadError:
                pass
            said = codec.owed()
        return packets[0]


@pytest.mark.parametrize("name", ["tls-v2", "wss-v2"])
def test_kick_during_a_tls_handshake_does_not_touch_who_has_no_key_yet(house, good, backend, name):
    """The key is not known before AUTH, so a kick ends who has it, and whoever is on the way in comes in."""
    way = BY_NAME[name]
    there = Client(way, house.address(way.listener)).auth(mid=7, key="k")
    half = [HalfInTls(house, way) for _ in range(scaled(20, 5))]
    backend.kick(keys="k")
    backend.kick(mids=[7])
    assert there.expect_goodbye()["code"] == 1
    there.close()
    for i, one in enumerate(half):
        assert one.come_in(mid=7, key=f"k{i}" if i else "k") == Packet(Op.AUTH_REPLY, b"", seq=1)
    house.wait_metric("comet_connections", len(good) + len(half))
    assert house.metrics()("comet_closed_total", reason="kicked") == 1
    assert house.metrics().total("comet_closed_total") == 1
    for one in half:
        one.sock.close()


@pytest.mark.own_house
@pytest.mark.keeps(32)
def test_reload_while_very_many_come_in(house):
    stop = threading.Event()

    def reload():
        while not stop.wait(0.01):
            house.process.send_signal(signal.SIGHUP)

    thread = threading.Thread(target=reload)
    thread.start()
    try:
        for name in ("tls-v2", "wss-v2", "tcp-v2"):
            way = BY_NAME[name]
            n = scaled(300, 20)
            with Swarm(way, house.address(way.listener), n, lambda i: {"mid": i + 1}) as crowd:
                crowd.connect()
                assert len(crowd.alive()) == n
    finally:
        stop.set()
        thread.join()
    house.wait_empty()
    assert "event=reload_done" in house.log() and "reload_failed" not in house.log()
