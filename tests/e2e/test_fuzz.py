"""The program itself under bytes that nobody wrote: handshakes and frames of WebSocket, mostly right and then not, cut anywhere, with
and without compression, over plain sockets and TLS. A client beside them is served all the while, and at the end everything is gone
and the program ends well. What each fuzz target of tests/fuzz leaves out is what lies between: threads, buffers, the goodbye.

The same bytes again: COMET_TEST_FUZZ_SEED, which is printed where a test fails. Longer: COMET_TEST_FUZZ_SECONDS; `make fuzz-network`.

SPDX-License-Identifier: MIT"""
import json
import os
import random
import select
import socket
import ssl
import struct
import time

import pytest

from client import WAYS, Client, Op, Packet, dial
from wire import DEFLATED, EXTENSION, Opcode, deflate, frame, upgrade

SECONDS = float(os.environ.get("COMET_TEST_FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("COMET_TEST_FUZZ_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
AT_A_TIME = 24  # strangers who are connected

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
OFFERS = [None, "permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; server_max_window_bits=9",
          "permessage-deflate; client_no_context_takeover; server_no_context_takeover", "permessage-deflate; server_max_window_bits=8",
          "permessage-deflate; x=1, permessage-deflate", "permessage-deflate;;", "x-webkit-deflate-frame", "a" * 300]
HEADERS = [("Origin", "http://localhost:1"), ("Origin", "null"), ("Cookie", "c" * 3000), ("X-Forwarded-For", "1.2.3.4, ::1"),
           ("Sec-WebSocket-Protocol", "a, b"), ("Content-Length", "5"), ("Transfer-Encoding", "chunked"), ("Host", "two.test"),
           ("Upgrade", "h2c"), ("Sec-WebSocket-Version", "8"), ("X", "\xff\x00\x80"), ("Cookie", "c" * 17000)]
PIECES = [b"\r\n", b"\n", b"\0", b" ", b":", b",", b"\xff", b"\r\n\r\n", b"GET ", b"/sub", b"HTTP/1.1", b"=", b'"', b";"]


def spoil(rng, data):
    """A few bytes changed, taken out, doubled, put in."""
    data = bytearray(data)
    for _ in range(rng.choice([0, 1, 1, 2, 5])):
        at = rng.randrange(len(data) + 1)
        kind = rng.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del data[at:at + rng.randrange(1, 9)]
        elif kind == 2:
            data[at:at] = data[at:at + rng.randrange(1, 40)]
        elif kind == 3:
            data[at:at] = rng.choice(PIECES)
        else:
            data[at:at] = rng.randbytes(rng.randrange(1, 20))
    return bytes(data)


def handshake(rng, good):
    offer = rng.choice(OFFERS[:5] if good else OFFERS)
    request = upgrade(rng.choice(["/sub", "/sub?a=b", "http://x.test/sub"]), key=KEY, **{EXTENSION: offer})
    if good:
        return request
    lines = request.split(b"\r\n")[:-2]
    for _ in range(rng.randrange(3)):
        name, value = rng.choice(HEADERS)
        lines.insert(rng.randrange(1, len(lines) + 1), f"{name}: {value}".encode("latin-1"))
    if rng.random() < 0.2:
        lines.pop(rng.randrange(len(lines)))
    return spoil(rng, b"\r\n".join(lines) + b"\r\n\r\n")


def body(rng):
    return rng.choice([b"", b"x" * rng.randrange(300), rng.randbytes(rng.randrange(100)), b"[1001]", b"live://2"])


def packet(rng):
    op = rng.choice([int(o) for o in Op] + [1000, -1, 1 << 30])
    packed = Packet(op, body(rng), seq=rng.randrange(-9, 9), ver=rng.choice([0, 1, 2])).encode()
    return packed if rng.random() < 0.8 else struct.pack(">i", rng.choice([0, 15, 17, 1 << 20, -1])) + packed[4:]


def message(rng, as_text):
    if as_text:
        said = json.dumps({"ver": 1, "op": rng.choice([2, 4, 7, 12, 99]), "seq": 1, "body": rng.choice([7, {}, "x" * 99, [[[]]]])})
        return said.encode() if rng.random() < 0.7 else spoil(rng, said.encode())
    return b"".join(packet(rng) for _ in range(rng.choice([1, 1, 1, 2, 5]))) + rng.randbytes(rng.choice([0, 0, 0, 3, 15]))


def frames(rng, deflates):
    """Mostly AUTH, then messages in fragments with control frames between, then anything."""
    as_text = rng.random() < 0.3
    auth = b'{"op":7,"body":9}' if as_text else Packet(Op.AUTH, rng.choice([b"9", b'{"mid":9,"accepts":[1000]}']), seq=1).encode()
    said = [frame(Opcode.TEXT if as_text else Opcode.BINARY, auth, mask=rng.randbytes(4))] if rng.random() < 0.8 else []
    for _ in range(rng.randrange(1, 8)):
        payload, rsv = message(rng, as_text), 0
        if rng.random() < (0.4 if deflates else 0.02):
            rsv = DEFLATED
            payload = deflate(payload, bits=rng.choice([9, 12, 15])) if rng.random() < 0.8 else payload
        if deflates and rng.random() < 0.05:
            payload, rsv = deflate(bytes(1 << 20)), DEFLATED  # a bomb
        cuts = sorted(rng.randrange(len(payload) + 1) for _ in range(rng.choice([0, 0, 0, 1, 4, 70])))
        parts = [payload[a:b] for a, b in zip([0] + cuts, cuts + [len(payload)])]
        for i, part in enumerate(parts):
            opcode = Opcode.CONTINUATION if i > 0 else Opcode.TEXT if as_text else Opcode.BINARY
            said.append(frame(opcode, part, fin=i == len(parts) - 1, rsv=rsv if i == 0 else 0, mask=rng.randbytes(4)))
            if rng.random() < 0.1:
                said.append(frame(rng.choice([Opcode.PING, Opcode.PONG]), rng.randbytes(rng.choice([0, 5, 125])), mask=rng.randbytes(4)))
        if rng.random() < 0.1:
            said.append(frame(rng.randrange(16), body(rng), fin=rng.random() < 0.5, masked=rng.random() < 0.7, rsv=rng.randrange(8),
                              length=rng.choice([None, None, 125, 126, 65536, 1 << 62]), mask=rng.randbytes(4)))
    if rng.random() < 0.3:
        said.append(frame(Opcode.CLOSE, rng.choice([b"", b"\x03\xe8", b"\x03", b"\x03\xedx", rng.randbytes(5)]), mask=rng.randbytes(4)))
    data = b"".join(said)
    return data if rng.random() < 0.6 else spoil(rng, data)


class Stranger:
    """Says what it has to say in pieces, reads some of what comes, and goes in one of several ways."""

    def __init__(self, rng, house, deflates):
        self.rng = rng
        good = rng.random() < 0.7
        self.said = handshake(rng, good) + (frames(rng, deflates) if good or rng.random() < 0.3 else b"")
        tls = rng.random() < 0.15
        self.sock = dial(house.address("websocket-tls" if tls else "websocket"))
        self.sock.settimeout(10)
        self.sock.connect(house.address("websocket-tls" if tls else "websocket"))
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            self.sock = context.wrap_socket(self.sock)
        self.sock.setblocking(False)
        self.deaf = rng.random() < 0.1
        self.patience = rng.choice([0, 1, 3])

    def go_on(self):
        """False: it has gone."""
        try:
            if not self.deaf:
                while self.sock.recv(65536):
                    pass
                return self._leave()  # the server has closed
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except OSError:
            return self._leave()
        if not self.said:
            self.patience -= 1
            return self.patience >= 0 or self._leave()
        try:
            n = self.sock.send(self.said[:self.rng.choice([1, 7, 100, 1 << 20])])
            self.said = self.said[n:]
        except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
            self.patience -= 1
            return self.patience >= -20 or self._leave()
        except OSError:
            return self._leave()
        return True

    def _leave(self):
        way = self.rng.randrange(3)
        try:
            if way == 0:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif way == 1:
                self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        self.sock.close()
        return False


def assert_served(good, house, seq):
    """It gets its receipt and its push, whole, and nobody else's."""
    mine = f"mine-{seq}-".encode() * 40
    good.send(Op.SEND, mine, seq=seq)
    house.backend.push_mids([4242], mine)
    came = {p.op: p for p in (good.recv(), good.recv())}
    assert came[Op.SEND].seq == seq and came[1000].body == mine


@pytest.mark.parametrize("compression", [pytest.param(way, marks=pytest.mark.settings(f"websocket.deflate={way}"))
                                         for way in ("no", "yes")])
@pytest.mark.settings("log.level=error", "protocol.handshake_timeout=1s", "protocol.write_timeout=1s", "limits.burst=1h")
def test_bytes_that_nobody_wrote(house, compression):
    print(f"COMET_TEST_FUZZ_SEED={SEED}")
    rng = random.Random(f"{SEED} {compression}")
    way = next(way for way in WAYS if way.name == "ws-v2")
    good = Client(way, house.address("websocket")).auth(mid=4242)
    end, strangers, gone, seq = time.monotonic() + SECONDS, [], 0, 2
    while time.monotonic() < end:
        while len(strangers) < AT_A_TIME:
            strangers.append(Stranger(rng, house, compression == "yes"))
        before = len(strangers)
        strangers = [stranger for stranger in strangers if stranger.go_on()]
        gone += before - len(strangers)
        if rng.random() < 0.05:
            assert_served(good, house, seq)
            seq += 1
        select.select([], [], [], 0.001)
    for stranger in strangers:
        stranger.sock.close()
    assert_served(good, house, seq)
    good.close()
    house.wait_empty()
    assert gone > 10 * SECONDS, "hardly anybody came"
