"""client: a client of the protocol, written from docs/protocol.md and from nothing else.

A codec turns packets into the bytes of one transport and back and does no input or output itself, so that one blocking
Client and the Swarm of thousands share it. A dialect knows how v1 and v2 clients differ. A way is a transport and a
dialect together: tests run over every way, and a new transport is a new codec and a new row in WAYS.

SPDX-License-Identifier: MIT"""
import collections
import enum
import json
import socket
import struct
import typing

import wire
from waiting import TIMEOUT, Deadline

HEAD = struct.Struct(">ihhii")
HEAD_BYTES = 16
LONGEST_BODY = 64 << 20  # of a packet from the server: more than any test pushes, so more means garbage


# table: from common/wire/ops.def by `make docs`
class Op(enum.IntEnum):
    HEARTBEAT = 2
    HEARTBEAT_REPLY = 3
    SEND = 4
    SEND_REPLY = 5
    DISCONNECT = 6
    AUTH = 7
    AUTH_REPLY = 8
    RAW = 9
    CHANGE_ROOM = 12
    CHANGE_ROOM_REPLY = 13
    SUB = 14
    SUB_REPLY = 15
    UNSUB = 16
    UNSUB_REPLY = 17
    JOIN = 18
    JOIN_REPLY = 19
    LEAVE = 20
    LEAVE_REPLY = 21
    NOTICE = 22
    ACK = 24
    TEST = 254
    TEST_REPLY = 255
# end of table


class Packet(typing.NamedTuple):
    op: int
    body: bytes = b""
    seq: int = 0
    ver: int = 1

    def encode(self):
        return HEAD.pack(HEAD_BYTES + len(self.body), HEAD_BYTES, self.ver, self.op, self.seq) + self.body

    def json(self):
        return json.loads(self.body)


class ProtocolError(AssertionError):
    """The server sent what the protocol does not know."""


class Closed(AssertionError):
    """The server closed the connection where a packet was due."""


class TcpCodec:
    """Packets as they are on TCP: one after another."""
    over = False     # the end is the socket's to tell
    waiting = False  # nothing that was encoded waits for a handshake

    def __init__(self):
        self._bytes = bytearray()

    def encode(self, *packets):
        return b"".join(p.encode() for p in packets)

    def feed(self, data):
        """Take what arrived; return the packets that are now whole."""
        self._bytes += data
        packets = []
        at = 0
        while len(self._bytes) - at >= HEAD_BYTES:
            length, head, ver, op, seq = HEAD.unpack_from(self._bytes, at)
            if head != HEAD_BYTES or not HEAD_BYTES <= length <= HEAD_BYTES + LONGEST_BODY:
                raise ProtocolError(f"header from the server: {bytes(self._bytes[at:at + HEAD_BYTES]).hex(' ')}")
            if len(self._bytes) - at < length:
                break
            packets.append(Packet(op, bytes(self._bytes[at + HEAD_BYTES:at + length]), seq, ver))
            at += length
        del self._bytes[:at]
        return packets

    def unfinished(self):
        """The bytes of a packet that is not whole yet."""
        return bytes(self._bytes)

    @staticmethod
    def owed():
        """Bytes that have to go back to the server at once."""
        return b""


class V2:
    """Dialect v2: the token is JSON, pushes come with their own operation, rooms are `type://id`."""
    name = "v2"
    push_op = 1000
    fence_op = 9999
    room = "live://1000"
    heartbeat_setting = "logic.heartbeat"

    @staticmethod
    def token(mid=0, key="", room="", accepts=(Op.SEND_REPLY, 1000, 1001, 1002, 9999), platform="test"):
        return json.dumps({"mid": mid, "key": key, "room_id": room, "platform": platform,
                           "accepts": [int(op) for op in accepts]}).encode()

    @staticmethod
    def arrives_as(op):
        """Operation and version that a push of `op` arrives with."""
        return op, 1

    @staticmethod
    def is_heartbeat_body(body):
        return len(body) == 4


    @staticmethod
    def body_arrives_as(body):
        return body


class V1:
    """Dialect v1: the token is a decimal user id, pushes come as op 5, everybody is in room 1 and accepts all."""
    name = "v1"
    push_op = int(Op.SEND_REPLY)
    fence_op = int(Op.SEND_REPLY)
    room = "1"
    heartbeat_setting = "logic.heartbeat_v1"

    @staticmethod
    def token(mid=0, **_):
        return str(mid).encode()

    @staticmethod
    def arrives_as(_op):
        return int(Op.SEND_REPLY), 0

    @staticmethod
    def is_heartbeat_body(body):
        return body == b""

    @staticmethod
    def body_arrives_as(body):
        return body


class V1Json(V1):
    """Version 1 in JSON, where a body that is none comes as a string: see wire.V1JsonCodec."""

    @staticmethod
    def body_arrives_as(body):
        try:
            value = json.loads(body.decode())
        except ValueError:
            value = body.decode(errors="replace")
        return value.encode() if isinstance(value, str) else body


class Way(typing.NamedTuple):
    """How a client reaches the house."""
    name: str
    listener: str  # the word in the line "listening <word> <address>"
    codec: typing.Callable
    dialect: type
    leaves_as: str = "client_left"  # how the server counts a client that just closes its socket


def binary():
    return wire.WebSocketCodec(Packet)


def v1_json():
    return wire.V1JsonCodec(Packet)


WAYS = [
    Way("tcp-v2", "tcp", TcpCodec, V2),
    Way("tcp-v1", "tcp", TcpCodec, V1),
    Way("ws-v2", "websocket", binary, V2, "client_cut"),
    Way("ws-v1", "websocket", binary, V1, "client_cut"),
    Way("ws-v1-json", "websocket", v1_json, V1Json, "client_cut"),
    Way("wss-v2", "websocket-tls", lambda: wire.TlsCodec(binary()), V2, "client_cut"),
    Way("wss-v1-json", "websocket-tls", lambda: wire.TlsCodec(v1_json()), V1Json, "client_cut"),
    Way("tls-v2", "tcp-tls", lambda: wire.TlsCodec(TcpCodec()), V2),
]


class Client:
    """One blocking connection; every wait has a deadline."""

    def __init__(self, way, address, source=None, rcvbuf=None):
        self.way = way
        self.dialect = way.dialect
        self.mid = 0
        self.key = ""
        self._codec = way.codec()
        self._packets = collections.deque()
        self._seq = 0
        self.sock = dial(address, source, rcvbuf)
        self.sock.settimeout(TIMEOUT)
        self.sock.connect(address)

    # saying

    def send_bytes(self, data):
        self.sock.settimeout(TIMEOUT)
        self.sock.sendall(data)

    def send(self, op, body=b"", seq=None, ver=1):
        """Send one packet; return its sequence number."""
        if seq is None:
            self._seq += 1
            seq = self._seq
        self.send_packets(Packet(op, body, seq, ver))
        return seq

    def send_packets(self, *packets):
        """Send all of them in one go."""
        self.send_bytes(self.encode(*packets))
        deadline = Deadline()
        while self._codec.waiting:
            self._packets.extend(self._codec.feed(self._recv_bytes(deadline)))
            self._send_owed()

    def encode(self, *packets):
        """The bytes that these packets are to this connection, which has to be given them next."""
        return self._codec.encode(*packets)

    def send_auth(self, **who):
        self.mid = who.get("mid", 0)
        self.key = who.get("key", "")
        return self.send(Op.AUTH, self.dialect.token(**who))

    # hearing

    def recv(self, timeout=TIMEOUT):
        """The next packet. Closed where the server ended the connection, TimeoutError where nothing came."""
        deadline = Deadline(timeout)
        while not self._packets:
            if self._codec.over:
                raise Closed("closed by the transport's own goodbye")
            self._packets.extend(self._codec.feed(self._recv_bytes(deadline)))
            self._send_owed()
        return self._packets.popleft()

    def _send_owed(self):
        try:
            self.sock.sendall(self._codec.owed())
        except ConnectionError:
            pass  # recv will say so

    def _recv_bytes(self, deadline):
        if deadline.passed():
            raise TimeoutError(f"no packet within {deadline.seconds} s")
        self.sock.settimeout(deadline.left() or 0.001)
        try:
            data = self.sock.recv(1 << 18)
        except socket.timeout:
            raise TimeoutError(f"no packet within {deadline.seconds} s") from None
        except ConnectionError as error:
            raise Closed(f"closed: {error}") from None
        if not data:
            raise Closed(f"closed, with {len(self._codec.unfinished())} bytes of an unfinished packet")
        return data

    def recv_many(self, count, timeout=TIMEOUT):
        deadline = Deadline(timeout)
        return [self.recv(deadline.left()) for _ in range(count)]

    def expect(self, op, body=None, seq=None, ver=None, timeout=TIMEOUT):
        """The next packet, which has to be this one. What is None may be anything."""
        packet = self.recv(timeout)
        wanted = Packet(op, packet.body if body is None else body, packet.seq if seq is None else seq,
                        packet.ver if ver is None else ver)
        assert packet == wanted, f"got {packet}, wanted {wanted}"
        return packet

    def expect_push(self, op, body, timeout=TIMEOUT):
        """The next packet, which has to be this push in the form of this dialect."""
        arrives_as, ver = self.dialect.arrives_as(op)
        return self.expect(arrives_as, self.dialect.body_arrives_as(body), seq=0, ver=ver, timeout=timeout)

    def expect_closed(self, timeout=TIMEOUT):
        """Wait for the end of the connection; return the packets that came before it."""
        deadline = Deadline(timeout)
        packets = []
        try:
            while True:
                packets.append(self.recv(deadline.left()))
        except Closed:
            return packets

    def expect_bytes_to_the_end(self, timeout=TIMEOUT):
        """All bytes until the end of the connection, as they are."""
        deadline = Deadline(timeout)
        data = b""
        try:
            while True:
                data += self._recv_bytes(deadline)
        except Closed:
            return data

    def expect_goodbye(self, timeout=TIMEOUT):
        """Wait for op 6 and the end; return its body. Whatever came before op 6 is thrown away."""
        packets = self.expect_closed(timeout)
        assert packets, "closed without a word"
        assert packets[-1].op == Op.DISCONNECT, f"the last packet was {packets[-1]}"
        goodbye = packets[-1].json()
        assert isinstance(goodbye["code"], int) and isinstance(goodbye["reason"], str), goodbye
        assert [p.op for p in packets].count(Op.DISCONNECT) == 1, packets
        return goodbye

    # saying and hearing

    def auth(self, **who):
        seq = self.send_auth(**who)
        self.expect(Op.AUTH_REPLY, b"", seq=seq, ver=1)
        return self

    def request(self, op, body=b"", timeout=TIMEOUT):
        """Send a packet; the next one has to be its answer, which is returned."""
        seq = self.send(op, body)
        packet = self.recv(timeout)
        assert packet.seq == seq, f"asked {op} with seq {seq}, got {packet}"
        return packet

    def heartbeat(self, timeout=TIMEOUT):
        """A heartbeat and its answer; whatever comes in between stays to be received."""
        seq = self.send(Op.HEARTBEAT)
        deadline = Deadline(timeout)
        before = []
        while True:
            packet = self.recv(deadline.left())
            if packet.op == Op.HEARTBEAT_REPLY and packet.seq == seq:
                break
            before.append(packet)
        self._packets.extendleft(reversed(before))
        assert self.dialect.is_heartbeat_body(packet.body), packet
        return packet

    def room_count(self):
        """People in this client's room, as the heartbeat reply tells (v2)."""
        return struct.unpack(">i", self.heartbeat().body)[0]

    def close(self):
        self.sock.close()

    def reset(self):
        """End the connection with RST, as a peer that crashed does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


IP_BIND_ADDRESS_NO_PORT = 24  # leaves the port to connect(), so that one address serves many destinations


def dial(address, source=None, rcvbuf=None):
    """A TCP socket for this address, not connected yet."""
    sock = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if rcvbuf is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
    if source is not None:
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((source, 0))
    return sock
