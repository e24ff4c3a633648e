"""Compression over WebSocket, permessage-deflate (RFC 7692): what is agreed on, who shares a deflate, what a client may send. That
packets are the same with it and without is for the other tests: make check-deflate.

SPDX-License-Identifier: MIT"""
import asyncio
import collections
import json
import random
import subprocess
import threading
import time

import pytest

import wire
from client import Client, Packet, Op, V1, V1Json, V2, Way
from server import ROOT
from test_websocket import AUTH, KEY, Bare, talk, tls_context
from waiting import LONG_SECONDS, SANITIZED, SCALE, TIMEOUT, Deadline, wait_until
from wire import DEFLATED, EXTENSION, Frames, Opcode, deflate, frame, upgrade

pytestmark = pytest.mark.settings("websocket.deflate=yes")

OFFER = "permessage-deflate"
ANSWER = f"{OFFER}; server_no_context_takeover; client_no_context_takeover"
# As JSON is: half of it comes again and again.
TEXT = b'{"room":"live://1000","user":"user-7","text":"' + b"all work and no play " * 50 + b'"}'


def text(n):
    return TEXT.replace(b"user-7", b"user-%d" % n)


CODECS = {"v2": (wire.WebSocketCodec, V2), "v1": (wire.WebSocketCodec, V1), "v1-json": (wire.V1JsonCodec, V1Json)}


def way_of(dialect, listener="websocket", offer=OFFER):
    codec, words = CODECS[dialect]

    def make():
        inner = codec(Packet, **{EXTENSION: offer})
        return wire.TlsCodec(inner) if listener == "websocket-tls" else inner

    return Way(f"{listener}-{dialect}", listener, make, words, "client_cut")


@pytest.fixture
def dial_in(house):
    made = []

    def make(dialect, listener="websocket", offer=OFFER, rcvbuf=None, **who):
        way = way_of(dialect, listener, offer)
        made.append(Client(way, house.address(listener), rcvbuf=rcvbuf))
        return made[-1].auth(**who)

    yield make
    for client in made:
        client.close()


@pytest.fixture
def bare(house):
    made = []

    def make(offer=OFFER, bits=15, listener="websocket", **headers):
        one = Bare(house, listener)
        made.append(one)
        one.frames = Frames(KEY, bits)
        one.say(upgrade(key=KEY, **{EXTENSION: offer}, **headers))
        while one.frames.response is None:
            one._take()
        return one

    yield make
    for one in made:
        one.sock.close()


def frames_of(client):
    codec = client._codec
    return (codec._inner if isinstance(codec, wire.TlsCodec) else codec).frames


def deflates(house):
    return house.metrics()("comet_websocket_deflates_total")


# ---- the handshake


def answer_of(client):
    lines = [line for line in client.frames.response.split("\r\n") if line.lower().startswith("sec-websocket-extensions:")]
    return lines[0].partition(": ")[2] if lines else None


@pytest.mark.parametrize("offer, answer", [
    (OFFER, ANSWER),
    (f"{OFFER}; client_max_window_bits", ANSWER),
    (f"{OFFER}; client_max_window_bits=9; client_no_context_takeover; server_no_context_takeover", ANSWER),
    (f"{OFFER}; server_max_window_bits=12", f"{ANSWER}; server_max_window_bits=12"),
    (f"{OFFER}; server_max_window_bits=8", None),
    (f"{OFFER}; server_max_window_bits=8, {OFFER}; server_max_window_bits=9", f"{ANSWER}; server_max_window_bits=9"),
    (f"{OFFER}; server_max_window_bits=16, {OFFER}; bytes=7, {OFFER}", ANSWER),
    (f"{OFFER}; client_max_window_bits; client_max_window_bits", None),
    (f"{OFFER}; server_no_context_takeover=1", None),
    (f"x-webkit-deflate-frame, {OFFER}", ANSWER),
    ("permessage-bzip2", None),
    (f"{OFFER};", None),
    ("", None),
    (f"foo\r\n{EXTENSION}: {OFFER}; server_max_window_bits=\"10\"", f"{ANSWER}; server_max_window_bits=10"),
])
def test_first_offer_that_can_be_met_is_taken(bare, offer, answer):
    client = bare(offer)
    assert answer_of(client) == answer
    client.auth()


@pytest.mark.settings("websocket.deflate=no")
def test_nothing_is_agreed_on_where_it_is_off(bare):
    client = bare()
    assert answer_of(client) is None
    client.auth()
    client.say(frame(Opcode.BINARY, deflate(AUTH), rsv=DEFLATED))
    assert client.hear_close() == 1002


# ---- to clients


@pytest.mark.own_house
@pytest.mark.parametrize("listener", ["websocket", "websocket-tls"])
def test_push_is_deflated_once_a_dialect_for_all_who_take_it(dial_in, house, backend, listener):
    takers = [dial_in(dialect, listener, mid=7, key=f"{dialect}{i}") for dialect in CODECS for i in range(20)]
    others = [dial_in("v2", offer=None, mid=7, key=f"plain{i}") for i in range(3)]
    pushes = 5
    for n in range(pushes):
        backend.push_mids([7], text(n))
    for client in takers + others:
        for n in range(pushes):
            client.expect_push(1000, text(n))
    assert deflates(house) == pushes * len(CODECS)
    assert {frames_of(client).inflated for client in takers} == {pushes}
    assert {frames_of(client).inflated for client in others} == {0}


@pytest.mark.own_house
def test_what_is_short_or_gets_no_shorter_goes_as_it_is(dial_in, house, backend):
    client = dial_in("v2", mid=7)
    noise = random.Random(1).randbytes(5000)
    for body in (b"x" * 255, noise, TEXT, b"x" * 100):
        backend.push_mids([7], body)
        client.expect_push(1000, body)
    assert frames_of(client).inflated == 1
    assert deflates(house) == 2  # it was tried with the noise


@pytest.mark.parametrize("bits", range(9, 16))
def test_window_of_the_client_is_never_left(bare, house, backend, bits):
    client = bare(f"{OFFER}; server_max_window_bits={bits}", bits)
    client.auth()
    chance = random.Random(bits)
    for size in (300, 450, 1000, 3000, 10_000, 100_000):
        # What is far back comes again.
        piece = chance.randbytes(size // 3)
        body = piece + bytes(size - 2 * len(piece)) + piece
        backend.push_mids([7], body)
        opcode, payload = client.hear()
        assert opcode == Opcode.BINARY and payload[16:] == body
    assert client.frames.inflated > 0


# ---- from clients


@pytest.mark.parametrize("bits", [9, 12, 15])
@pytest.mark.parametrize("level", [0, 1, 9])
def test_any_way_to_deflate_is_read(bare, bits, level):
    client = bare().auth()
    chance = random.Random(bits * level)
    for size in (0, 1, 400, 4096):
        for body in (chance.randbytes(size), b"again " * (size // 6)):
            packet = Packet(Op.SEND, body, seq=size).encode()
            payload = deflate(packet, bits, level)
            cut = chance.randrange(len(payload))
            client.say(frame(Opcode.BINARY, payload, rsv=DEFLATED) +
                       frame(Opcode.BINARY, payload[:cut], rsv=DEFLATED, fin=False) + frame(Opcode.PING, b"there?") +
                       frame(Opcode.CONTINUATION, payload[cut:]) + frame(Opcode.BINARY, packet))
            reply = Packet(Op.SEND_REPLY, body, seq=size).encode()
            assert [client.hear() for _ in range(4)] == [(Opcode.BINARY, reply), (Opcode.PONG, b"there?"),
                                                         (Opcode.BINARY, reply), (Opcode.BINARY, reply)]


SEND = Packet(Op.SEND, b"x" * 100, seq=1).encode()
DEFLATED_SEND = deflate(SEND)
FORBIDDEN = {
    "a ping": (frame(Opcode.PING, b"x", rsv=DEFLATED), 1002),
    "a close": (frame(Opcode.CLOSE, b"", rsv=DEFLATED), 1002),
    "a continuation": (frame(Opcode.BINARY, DEFLATED_SEND[:9], rsv=DEFLATED, fin=False) +
                       frame(Opcode.CONTINUATION, DEFLATED_SEND[9:], rsv=DEFLATED), 1002),
    "a continuation of what is not": (frame(Opcode.BINARY, SEND[:9], fin=False) +
                                      frame(Opcode.CONTINUATION, SEND[9:], rsv=DEFLATED), 1002),
    "another bit": (frame(Opcode.BINARY, DEFLATED_SEND, rsv=2), 1002),
    "another bit as well": (frame(Opcode.BINARY, DEFLATED_SEND, rsv=5), 1002),
    "no data": (frame(Opcode.BINARY, b"", rsv=DEFLATED), 1007),
    "not deflated": (frame(Opcode.BINARY, SEND, rsv=DEFLATED), 1007),
    "25 bytes of nothing": (frame(Opcode.BINARY, b"x" * 19, rsv=DEFLATED), 1007),
    "cut": (frame(Opcode.BINARY, DEFLATED_SEND[:-4], rsv=DEFLATED), 1007),
    "a block of a kind that is none": (frame(Opcode.BINARY, b"\x07", rsv=DEFLATED), 1007),
    "text that is not UTF-8": (frame(Opcode.TEXT, deflate(b'"\xff"'), rsv=DEFLATED), 1007),
    "a message before this one": (frame(Opcode.BINARY, b"\x02\x13\x00\x00\x00", rsv=DEFLATED), 1007),
    "a bomb": (frame(Opcode.BINARY, deflate(bytes(3_000_000), level=9), rsv=DEFLATED), 1009),
    "a bomb in fragments": (frame(Opcode.BINARY, deflate(bytes(3_000_000))[:1000], rsv=DEFLATED, fin=False) +
                            frame(Opcode.CONTINUATION, deflate(bytes(3_000_000))[1000:]), 1009),
    "more than a message may be": (frame(Opcode.BINARY, b"x" * 17000, rsv=DEFLATED), 1009),
    "a body that is too long": (frame(Opcode.BINARY, deflate(Packet(Op.SEND, b"x" * 4097).encode()), rsv=DEFLATED), 1009),
    "no packet": (frame(Opcode.BINARY, deflate(b"x" * 15), rsv=DEFLATED), 1008),
    "no JSON": (frame(Opcode.TEXT, deflate(b"[]"), rsv=DEFLATED), 1008),
}


@pytest.mark.parametrize("name", FORBIDDEN)
@pytest.mark.parametrize("listener", ["websocket", "websocket-tls"])
@pytest.mark.parametrize("is_in", [False, True], ids=["before AUTH", "after AUTH"])
def test_what_is_forbidden_closes_with_its_code(bare, house, dial_in, name, listener, is_in):
    data, code = FORBIDDEN[name]
    client = bare(listener=listener)
    if is_in:
        client.auth()
        if data[0] & 15 == Opcode.TEXT:
            code = 1003 if code == 1008 else code
    client.say(data)
    assert client.hear_close() == code
    dial_in("v2", mid=9).heartbeat()


def test_bombs_cost_a_message_each(bare, house):
    """However small they are and however large they would be: what is made of one is what a message may have, and then its
    sender is gone."""
    payload = deflate(bytes(3_500_000), level=9)  # 4 KB
    assert len(payload) < 4300
    before, ticks = house.rss_bytes(), house.cpu_ticks()
    bombs = int(100 * max(SCALE, 0.2))
    for _ in range(bombs):
        client = bare()
        client.say(frame(Opcode.BINARY, payload, rsv=DEFLATED))
        assert client.hear_close() == 1009
    assert house.rss_bytes() - before < (400 << 20 if SANITIZED else 4 << 20)
    if not SANITIZED:
        assert house.cpu_ticks() - ticks < bombs  # 10 ms each, of which nearly all is coming in


@pytest.mark.settings("websocket.deflate=yes", "limits.bytes=20000", "limits.packets=100000")
def test_limits_count_what_comes_inflated(bare):
    client = bare().auth()
    packet = Packet(Op.SEND, b"x" * 4000, seq=1).encode()
    start = time.monotonic()
    n = 15
    for _ in range(n):
        client.say(frame(Opcode.BINARY, deflate(packet), rsv=DEFLATED))
    for _ in range(n):
        client.hear()
    assert time.monotonic() - start > 1  # 60,000 bytes, of which 20,000 may come at once


# ---- other people's clients


@pytest.mark.own_house
@pytest.mark.parametrize("listener", ["websocket", "websocket-tls"])
@pytest.mark.parametrize("compression", [None, "deflate"])
def test_python_websockets(house, listener, compression):
    host, port = house.address(listener)
    scheme, options = ("wss", {"ssl": tls_context()}) if listener == "websocket-tls" else ("ws", {})
    extensions = asyncio.run(asyncio.wait_for(
        talk(f"{scheme}://{host}:{port}/sub", house.backend, compression=compression, **options), TIMEOUT))
    assert extensions == (ANSWER if compression else "")
    assert deflates(house) == (1 if compression else 0)
    assert house.metrics()("comet_websocket_inflates_total") == (2 if compression else 0)


@pytest.mark.parametrize("parameters", [
    {}, {"server_no_context_takeover": True, "client_no_context_takeover": True},
    {"server_max_window_bits": 9, "client_max_window_bits": 9}, {"server_max_window_bits": 15, "client_max_window_bits": True},
])
def test_python_websockets_with_parameters_of_their_own(house, parameters):
    from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
    host, port = house.address("websocket")
    offers = [ClientPerMessageDeflateFactory(**parameters)]
    extensions = asyncio.run(asyncio.wait_for(
        talk(f"ws://{host}:{port}/sub", house.backend, compression=None, extensions=offers), TIMEOUT))
    assert extensions.startswith(ANSWER)


def test_python_websocket_client_which_offers_nothing(house, backend):
    websocket = pytest.importorskip("websocket")
    host, port = house.address("websocket")
    client = websocket.create_connection(f"ws://{host}:{port}/sub", timeout=TIMEOUT)
    client.send_binary(AUTH)
    assert client.recv_data() == (websocket.ABNF.OPCODE_BINARY, Packet(Op.AUTH_REPLY, seq=1).encode())
    backend.push_mids([7], TEXT)
    assert client.recv_data()[1].endswith(TEXT)
    client.close(timeout=TIMEOUT)


@pytest.fixture(scope="module")
def lws_client(tmp_path_factory):
    program = tmp_path_factory.mktemp("lws") / "lws_client"
    subprocess.run(["cc", "-O1", "-Wall", "-Werror", ROOT / "tests/web/lws_client.c", "-o", program, "-lwebsockets"], check=True)
    return program


@pytest.mark.own_house
@pytest.mark.parametrize("offer", ["", OFFER, f"{OFFER}; client_no_context_takeover; client_max_window_bits",
                                   f"{OFFER}; server_max_window_bits=10; client_no_context_takeover"])
def test_libwebsockets(house, backend, lws_client, offer):
    """Who had the extension before us."""
    asked = json.dumps({"ver": 1, "op": 4, "seq": 2, "body": "y" * 3000})
    again = json.dumps({"ver": 1, "op": 4, "seq": 3, "body": "z" * 400})
    client = subprocess.Popen(["timeout", str(TIMEOUT), lws_client, str(house.address("websocket")[1]), offer, "6", '{"ver":1,"op":7,"seq":1,"body":7}', asked, again],
                              stdout=subprocess.PIPE, text=True)
    bodies = [{"text": "all work and no play " * n} for n in (1, 100, 5000)]
    try:
        said = (json.loads(line) for line in client.stdout if line.strip())
        lines = [next(said) for _ in range(3)]
        assert [packet["seq"] for line in lines for packet in line] == [1, 2, 3]
        assert lines[1][0]["body"] == "y" * 3000 and lines[2][0]["body"] == "z" * 400
        for body in bodies:  # one after another: two that wait together are one message, and the client counts messages
            backend.push_mids([7], json.dumps(body))
            assert [packet["body"] for packet in next(said)] == [body]
        assert client.wait(TIMEOUT) == 0
    finally:
        client.kill()
    metrics = house.metrics()
    assert metrics("comet_websocket_inflates_total") == (3 if offer else 0)
    # A window of 1 KiB holds none of them.
    assert metrics("comet_websocket_deflates_total") == (0 if "=10" in offer or not offer else 2)


# ---- all bytes are their owner's


class Reader:
    """A client that takes what is pushed to its own user, quickly or slowly, says pings meanwhile, and knows what is due."""

    def __init__(self, house, number, dialect, listener, is_slow):
        self.number, self.dialect, self.is_slow = number, dialect, is_slow
        self.client = Client(way_of(dialect, listener), house.address(listener), rcvbuf=8192 if is_slow else None)
        self.client.auth(mid=number, key=f"reader-{number}")
        self.due = collections.deque()  # bodies, in their order
        self.taken = self.bytes = self.pings = self.pongs = 0
        self.fault = None
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._read)
        frames = frames_of(self.client)
        feed = frames.feed

        def count_pongs(data):
            messages = feed(data)
            for opcode, payload in messages:
                if opcode == Opcode.PONG:
                    assert payload == b"%d:%d" % (number, self.pongs), payload
                    self.pongs += 1
            return messages

        frames.feed = count_pongs

    def _read(self):
        try:
            while not self.over.is_set() or self.due:
                self._take_one()
        except Exception as error:  # noqa: BLE001: told by the main thread
            self.fault = error

    def _take_one(self):
        try:
            packet = self.client.recv(timeout=0.2)
        except TimeoutError:
            return
        wanted = self.due[0]
        body = self.client.dialect.body_arrives_as(wanted)
        assert packet.body == body, f"reader {self.number} of {self.dialect}: {packet.body[:60]!r} and not {body[:60]!r}"
        self.due.popleft()
        self.taken += 1
        self.bytes += len(body)
        if self.taken % 3 == 0:
            self.client.send_bytes(self._ping())
        if self.is_slow:
            time.sleep(min(0.05, len(body) / 4e6))

    def _ping(self):
        self.pings += 1
        ping = frame(Opcode.PING, b"%d:%d" % (self.number, self.pings - 1))
        codec = self.client._codec
        if not isinstance(codec, wire.TlsCodec):
            return ping
        codec._waiting += ping
        codec._flush()
        return codec.owed()


def body_for(reader, n, chance):
    """Its owner's name all over it, and nothing that could be guessed: as bytes, as what deflates by half, as what does by far."""
    size = int(100 * 10 ** (4 * chance.random()))  # 100 B to 1 MB, as many of each size
    tag = f'"{reader}:{n}:'
    noise = random.Random(f"{reader}:{n}")
    kind = chance.randrange(3)
    if kind == 0 and reader != "all":
        return tag.encode() + noise.randbytes(size)
    if kind == 1:
        return (tag + noise.randbytes(size // 2).hex() + '"').encode()
    return (tag + (noise.randbytes(20).hex() + f"{reader} ") * (size // 45 + 1) + '"').encode()


@pytest.mark.own_house
@pytest.mark.keeps(32)
@pytest.mark.settings("websocket.deflate=yes", "protocol.write_timeout=60s", "logic.heartbeat=1h", "logic.heartbeat_v1=1h",
                      "limits.packets=100000", "http.max_body=2m")
def test_every_byte_is_its_owners_and_all_arrive(house, backend):
    """libwebsockets' extension sent one user's bytes to another here, which a slow reader's half-written frame is enough for. For
    COMET_TEST_SECONDS."""
    readers = [Reader(house, 1 + i, dialect, listener, is_slow)
               for i, (dialect, listener, is_slow) in enumerate((dialect, listener, is_slow) for dialect in CODECS
                                                                for listener in ("websocket", "websocket-tls")
                                                                for is_slow in (False, True))]
    chance = random.Random(5)
    pushed = 0
    for reader in readers:
        reader.thread.start()
    deadline = Deadline(LONG_SECONDS)
    try:
        with backend.kept_alive():
            while not deadline.passed() and not any(reader.fault for reader in readers):
                pushed += 1
                to_all = chance.randrange(8) == 0
                chosen = readers if to_all else [chance.choice(readers)]
                body = body_for("all" if to_all else chosen[0].number, pushed, chance)
                # A queue is bounded, and who is slow is not to be closed for that here.
                wait_until(lambda: all(sum(map(len, list(r.due))) < 3_000_000 or r.fault for r in chosen), "readers", 60)
                for reader in chosen:
                    reader.due.append(body)
                if to_all:
                    backend.push_all(body)
                else:
                    backend.push_mids([chosen[0].number], body)
    finally:
        for reader in readers:
            reader.over.set()
        for reader in readers:
            reader.thread.join(120)
            reader.client.sock.close()
    assert [str(reader.fault) for reader in readers if reader.fault] == []
    assert [reader.number for reader in readers if reader.due] == []
    assert all(reader.taken > 0 for reader in readers)
    assert any(reader.pongs > 0 for reader in readers)
    assert sum(frames_of(reader.client).inflated for reader in readers) > 0
    print(f"{pushed} pushes in {LONG_SECONDS:.0f} s, {sum(r.taken for r in readers)} came, {sum(r.bytes for r in readers) >> 20} MiB, "
          f"{sum(frames_of(r.client).inflated for r in readers)} of them deflated, {sum(r.pongs for r in readers)} pongs")
