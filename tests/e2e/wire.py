"""wire: what lies between packets and the bytes of a socket, beside plain TCP: WebSocket frames, the JSON of v1, and TLS.
Written from RFC 6455 and docs/protocol.md. Codecs do no input or output: owed() is what has to be sent back, over tells
that the server has closed, as far as the codec can see.

SPDX-License-Identifier: MIT"""
import base64
import enum
import hashlib
import json
import os
import random
import re
import ssl
import struct
import zlib

HEAD = struct.Struct(">ihhii")
HEAD_BYTES = 16
ACCEPT_SUFFIX = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
DEFLATED = 4  # RSV1, of the first frame of a message (RFC 7692)
EXTENSION = "Sec-WebSocket-Extensions"
# COMET_TEST_SETTINGS="websocket.deflate=yes" runs all tests of packets over WebSocket that way.
DEFLATES = "websocket.deflate=yes" in os.environ.get("COMET_TEST_SETTINGS", "").split()


class Opcode(enum.IntEnum):
    CONTINUATION = 0
    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


def frame(opcode, payload=b"", fin=True, masked=True, rsv=0, length=None, mask=None):
    """A frame as a client sends it. `length` is what the header says if not the truth; without a mask it gets one of its own."""
    says = len(payload) if length is None else length
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    mask_bit = 0x80 if masked else 0
    if says < 126:
        head += bytes([mask_bit | says])
    elif says < 65536:
        head += bytes([mask_bit | 126]) + struct.pack(">H", says)
    else:
        head += bytes([mask_bit | 127]) + struct.pack(">Q", says)
    if not masked:
        return head + payload
    mask = mask or os.urandom(4)
    key = (mask * (len(payload) // 4 + 1))[:len(payload)]
    return head + mask + (int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")).to_bytes(len(payload), "big")


def deflate(data, bits=15, level=6):
    """The payload of a message, as a client deflates it that keeps no state."""
    stream = zlib.compressobj(level, zlib.DEFLATED, -bits)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflate(payload, bits=15):
    """The message again; little at a time, so that nothing but the window tells what came before."""
    stream = zlib.decompressobj(-bits)
    payload += b"\0\0\xff\xff"
    data = bytearray(stream.decompress(payload, 200))
    while stream.unconsumed_tail:
        data += stream.decompress(stream.unconsumed_tail, 200)
    assert not stream.eof and not stream.unused_data
    return bytes(data + stream.flush())


def noise(size):
    """Text that stays nearly as long deflated: for who wants to fill a socket."""
    return "".join(random.Random(size).choices("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", k=size))


def upgrade(path="/sub", key=None, **headers):
    """The client's half of the handshake. headers add, or with None take away."""
    lines = {"Host": "comet.test", "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
             "Sec-WebSocket-Key": key or base64.b64encode(os.urandom(16)).decode()}
    lines.update({name.replace("_", "-"): value for name, value in headers.items()})
    return (f"GET {path} HTTP/1.1\r\n" +
            "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None) + "\r\n").encode()


def close_payload(code, reason=b""):
    return struct.pack(">H", code) + reason


class Refused(AssertionError):
    """The server said no to the handshake."""


class Frames:
    """The frames of a server, after its half of the handshake."""

    def __init__(self, key, bits=15):
        self._key = key
        self._bits = bits  # of the window to inflate with
        self._is_deflated = False
        self._bytes = bytearray()
        self.inflated = 0  # messages that came deflated, and shorter by that
        self._fragments = None
        self.response = None  # the header of the handshake
        self.deflates = False
        self.close_code = None
        self.close_reason = b""
        self.owed = b""

    def feed(self, data):
        """Whole messages, as (opcode, payload); pings and pongs too."""
        self._bytes += data
        if self.response is None and not self._read_response():
            return []
        messages = []
        while (one := self._next_frame()) is not None:
            messages.extend(self._take(*one))
        return messages

    def _read_response(self):
        end = self._bytes.find(b"\r\n\r\n")
        if end < 0:
            return False
        self.response = bytes(self._bytes[:end]).decode()
        del self._bytes[:end + 4]
        if not self.response.startswith("HTTP/1.1 101 "):
            raise Refused(f"no handshake: {self.response}")
        accept = base64.b64encode(hashlib.sha1(self._key.encode() + ACCEPT_SUFFIX).digest()).decode()
        assert re.search(rf"^sec-websocket-accept: {re.escape(accept)}\r?$", self.response, re.M | re.I), self.response
        self.deflates = f"\n{EXTENSION}: permessage-deflate;" in self.response
        return True

    def _next_frame(self):
        have = self._bytes
        if len(have) < 2:
            return None
        may_be_deflated = self.deflates and have[0] & 15 in (Opcode.TEXT, Opcode.BINARY)
        assert have[0] & (0x30 if may_be_deflated else 0x70) == 0, "reserved bits"
        assert have[1] & 0x80 == 0, "a server must not mask"
        length, start = have[1], 2
        if length == 126:
            start = 4
            length = int.from_bytes(have[2:4], "big") if len(have) >= 4 else 1 << 20
        elif length == 127:
            start = 10
            length = int.from_bytes(have[2:10], "big") if len(have) >= 10 else 1 << 20
        if len(have) < start + length:
            return None
        fin, opcode, payload = bool(have[0] & 0x80), have[0] & 15, bytes(have[start:start + length])
        if opcode in (Opcode.TEXT, Opcode.BINARY):
            self._is_deflated = bool(have[0] & 0x40)
        del have[:start + length]
        return fin, opcode, payload

    def _take(self, fin, opcode, payload):
        if opcode == Opcode.PING:
            self.owed += frame(Opcode.PONG, payload)
        elif opcode == Opcode.CLOSE:
            self.close_code = struct.unpack(">H", payload[:2])[0] if payload else 1005
            self.close_reason = payload[2:]
            self.owed += frame(Opcode.CLOSE, payload[:2])
            return []
        elif opcode < 8:
            if opcode == Opcode.CONTINUATION:
                opcode, payload = self._fragments[0], self._fragments[1] + payload
            self._fragments = None if fin else (opcode, payload)
            if fin:
                # libwebsockets' client reads a message that is not, where it might be, without end.
                assert self._is_deflated == self.deflates or len(payload) > 65535
            if fin and self._is_deflated:
                self.inflated += payload[0] != 0  # and no stored block
                payload = inflate(payload, self._bits)
            return [(opcode, payload)] if fin else []
        return [(opcode, payload)]

    def unfinished(self):
        return bytes(self._bytes)


def packets_of(data, make):
    """All packets of this message, which has to end where the last one does."""
    packets = []
    while data:
        assert len(data) >= HEAD_BYTES, f"a piece of a packet in a message: {data!r}"
        length, head, ver, op, seq = HEAD.unpack_from(data)
        assert head == HEAD_BYTES and HEAD_BYTES <= length <= len(data), f"header from the server: {data[:16].hex(' ')}"
        packets.append(make(op, data[HEAD_BYTES:length], seq, ver))
        data = data[length:]
    return packets


class WebSocketCodec:
    """Packets in binary messages; the pushes of v2 in a wrapper, op 9. The handshake comes in place of the first packets,
    which wait for its end: RFC 6455 forbids to send anything before."""
    OPCODE = Opcode.BINARY

    def __init__(self, make, **headers):
        self._make = make
        self._headers = {EXTENSION: "permessage-deflate" if DEFLATES else None, **headers}  # of the request
        self._key = base64.b64encode(os.urandom(16)).decode()
        self._waiting = None
        self.frames = Frames(self._key)

    def encode(self, *packets):
        payloads = [self._payload(p) for p in packets]
        if self.frames.response is not None:
            return self._say(payloads)
        opening = upgrade(key=self._key, **self._headers) if self._waiting is None else b""
        self._waiting = (self._waiting or []) + payloads
        return opening

    def _say(self, payloads):
        if self.frames.deflates:
            return b"".join(frame(self.OPCODE, deflate(payload), rsv=DEFLATED) for payload in payloads)
        return b"".join(frame(self.OPCODE, payload) for payload in payloads)

    def _payload(self, packet):
        return packet.encode()

    def feed(self, data):
        packets = []
        messages = self.frames.feed(data)
        if self._waiting and self.frames.response is not None:
            self.frames.owed += self._say(self._waiting)
            self._waiting = []
        for opcode, payload in messages:
            if opcode in (Opcode.TEXT, Opcode.BINARY):
                assert opcode == self.OPCODE, f"{opcode!r}: {payload!r}"
                packets.extend(self._packets(payload))
        return packets

    def _packets(self, payload):
        packets = packets_of(payload, self._make)
        if packets[0].op != 9 or packets[0].seq != 0:
            assert all((p.op, p.ver, p.seq) == (5, 0, 0) for p in packets) or len(packets) == 1, packets
            return packets
        wrapper, = packets
        assert (wrapper.ver, wrapper.seq) == (1, 0), wrapper
        return packets_of(wrapper.body, self._make)

    def owed(self):
        owed, self.frames.owed = self.frames.owed, b""
        return owed

    @property
    def waiting(self):
        return bool(self._waiting)

    @property
    def over(self):
        return self.frames.close_code is not None

    def unfinished(self):
        return self.frames.unfinished()


class V1JsonCodec(WebSocketCodec):
    """Packets as JSON in text messages. Bodies are bytes here, too: what the server had to make a string is its bytes
    again, and {} in an answer stands for nothing."""
    OPCODE = Opcode.TEXT
    ELEMENT = re.compile(r'\{"ver":(-?\d+),"op":(-?\d+),"seq":(-?\d+),"body":')

    def _payload(self, packet):
        try:
            body = packet.body.decode() or "{}"
            json.loads(body)
        except ValueError:
            body = json.dumps(packet.body.decode(errors="replace"))
        return f'{{"ver":{packet.ver},"op":{packet.op},"seq":{packet.seq},"body":{body}}}'.encode()

    def _packets(self, payload):
        text = payload.decode()
        assert text[0] == "[", text
        packets = []
        at = 1
        while True:
            head = self.ELEMENT.match(text, at)
            assert head, f"not an element: {text[at:at + 60]}"
            value, end = json.JSONDecoder().raw_decode(text, head.end())
            ver, op, seq = (int(group) for group in head.groups())
            body = value if isinstance(value, str) else text[head.end():end]
            packets.append(self._make(op, b"" if ver != 0 and body == "{}" else body.encode(), seq, ver))
            assert text[end] == "}", text[end:]
            at = end + 2
            if text[end + 1] == "]":
                break
            assert text[end + 1] == ",", text[end:]
        is_push = (packets[0].op, packets[0].ver, packets[0].seq) == (5, 0, 0)
        assert text[at:] == ("" if is_push else "\n"), repr(text[-20:])
        return packets


class TlsCodec:
    """Another codec under TLS. What is encoded before the handshake is done waits for it, so feed() and owed() have to
    be called until something comes."""

    def __init__(self, inner, context=None, session=None):
        self._inner = inner
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        if context is None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._tls = context.wrap_bio(self._in, self._out, server_hostname="comet.test", session=session)
        self._waiting = b""
        self._ready = False
        self._ended = False

    def encode(self, *packets):
        self._waiting += self._inner.encode(*packets)
        self._flush()
        return self._out.read()

    def _flush(self):
        try:
            if not self._ready:
                self._tls.do_handshake()
                self._ready = True
            if self._waiting:
                self._tls.write(self._waiting)
                self._waiting = b""
        except ssl.SSLWantReadError:
            pass

    def feed(self, data):
        self._in.write(data)
        self._flush()
        packets = []
        try:
            while self._ready and (plain := self._tls.read(1 << 18)):
                packets.extend(self._inner.feed(plain))
                self._waiting += self._inner.owed()
                self._flush()
        except (ssl.SSLWantReadError, ssl.SSLZeroReturnError, ssl.SSLEOFError):
            pass
        return packets

    def owed(self):
        return self._out.read()

    @property
    def waiting(self):
        return not self._ready or bool(self._waiting) or self._inner.waiting

    @property
    def session(self):
        """Of the connection, for another one; and whether it goes on with another's."""
        return self._tls.session, self._tls.session_reused

    @property
    def over(self):
        return self._inner.over

    def unfinished(self):
        return self._inner.unfinished()
