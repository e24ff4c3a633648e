"""docs/protocol.md is right: its examples are replayed, and it names every reason of close_reason.def. (Its tables of operations
and of codes are made of ops.def and goodbye.def: tests/unit/test_docs.c.) Those of clients without streams, and the ones of
without_streams.txt, are replayed again where the server keeps everything: not a byte is another then.

SPDX-License-Identifier: MIT"""
import json
import re

import pytest

import streams
import wire
from client import HEAD, HEAD_BYTES, V2, WAYS, Client, Way, TcpCodec
from cluster_house import ClusterComet
from server import ROOT, Comet
from waiting import wait_until
from wire import Opcode


PAGE = (ROOT / "docs" / "protocol.md").read_text()
MORE = (ROOT / "tests/e2e/without_streams.txt").read_text()
KEEPS_ALL = {"stream.rooms": "live:100/10m,chat:100/10m", "stream.users": "100/10m", "stream.users_open": "yes"}
TOKEN = re.compile(r"'([^']*)'|([0-9a-f]{2})(?= |$)")


class RawCodec(TcpCodec):
    """Bytes as they are."""

    def feed(self, data):
        return [bytes([byte]) for byte in data]


RAW = Way("raw", "tcp", RawCodec, V2)


class MessageCodec(wire.WebSocketCodec):
    """WebSocket messages as they are, as (opcode, payload)."""

    def __init__(self):
        super().__init__(None)

    def encode(self, message):
        self.OPCODE = message[0]  # whoever speaks text is answered in text
        return super().encode(message)

    def _payload(self, message):
        return message[1]

    def _packets(self, payload):
        return [(self.OPCODE, payload)]


MESSAGES = Way("messages", "websocket", MessageCodec, V2, "client_cut")


def examples(page=PAGE):
    """Each replay block as a list of [verb, rest], with the line it starts at and the way it goes."""
    found = []
    for block in re.finditer(r"^```replay( websocket)?\n(.*?)^```", page, re.M | re.S):
        steps = []
        for line in block.group(2).splitlines():
            if line.startswith(" "):
                steps[-1][1] += " " + line.strip()
            else:
                verb, _, rest = line.partition(" ")
                steps.append([verb, rest])
        found.append((page.count("\n", 0, block.start()) + 1, steps, MESSAGES if block.group(1) else RAW))
    return found


def without_streams():
    assert len(examples()) >= 10 and len(examples(MORE)) >= 5
    return [one for one in examples() + examples(MORE) if not any(verb == "client" and '"streams"' in rest for verb, rest in one[1])]


def bytes_of(text):
    """Hex pairs and text in quotes."""
    left = TOKEN.sub("", text).strip()
    assert left == "", f"not hex, not quoted: {left!r} in {text!r}"
    return b"".join(quoted.encode() if pair == "" else bytes.fromhex(pair) for quoted, pair in TOKEN.findall(text))


def ask(backend, request):
    method, path, *body = re.match(r"(\w+) (\S+)(?: '(.*)')?$", request).groups()
    return backend.request(method, path, body[0] or "")


def message_of(text):
    """A WebSocket message: bytes, or text where that word stands before them."""
    is_text = text.startswith("text ")
    return Opcode.TEXT if is_text else Opcode.BINARY, bytes_of(text.removeprefix("text "))


def say(client, words):
    if client.way is RAW:
        client.send_bytes(bytes_of(words))
    else:
        client.send_packets(message_of(words))


def hear(client, words):
    if client.way is RAW:
        wanted = bytes_of(words)
        got = b"".join(client.recv_many(len(wanted)))
        assert got == wanted, f"got {got.hex(' ')}, wanted {wanted.hex(' ')}"
    else:
        assert client.recv() == message_of(words)


def replay(house, steps, travels):
    client = Client(travels, house.address(travels.listener))
    reply = None
    for verb, rest in steps:
        if verb == "client":
            say(client, rest)
        elif verb == "server":
            hear(client, rest)
        elif verb == "backend":
            reply = ask(house.backend, rest)
            assert reply.status == 200, reply
        elif verb == "answer":
            status, _, body = rest.partition(" ")
            assert (reply.status, reply.json()) == (int(status), json.loads(body))
        elif verb == "closed":
            assert client.expect_closed() == []
        else:
            raise AssertionError(f"no step is called {verb!r}")
    client.close()


@pytest.mark.parametrize("steps, travels", [pytest.param(steps, way, id=f"line-{line}") for line, steps, way in examples()])
def test_example_is_what_happens(house, steps, travels):
    replay(house, steps, travels)
    house.wait_empty()


def a_client_with_streams(house):
    """In a room of theirs, and one of their users."""
    client = Client(next(way for way in WAYS if way.name == "tcp-v2"), house.address("tcp"))
    streams.arrive(client, mid=7, key="with streams")
    streams.join(client, "chat://1")
    return client


@pytest.mark.parametrize("settings", [{}, KEEPS_ALL], ids=["nothing is kept", "everything is kept"])
@pytest.mark.parametrize("kind", [Comet, ClusterComet])
def test_clients_without_streams_get_the_same_bytes(launch, kind, settings):
    house = launch(settings, kind=kind)
    other = a_client_with_streams(house)
    for _, steps, travels in without_streams():
        replay(house, steps, travels)
        house.wait_metric("comet_connections", 1)
    wait_until(lambda: streams.push_of(other.recv()).room == "chat://1", "it has got a push to the room in its own way")
    other.close()


def test_lengths_of_the_examples_are_those_of_their_packets():
    for line, steps, _ in examples() + examples(MORE):
        for verb, rest in steps:
            is_packet = verb == "server" and not rest.startswith("text ")
            packet = bytes_of(rest) if is_packet else b""
            if is_packet:
                assert HEAD.unpack(packet[:HEAD_BYTES])[:2] == (len(packet), HEAD_BYTES), (line, rest)


def test_every_reason_is_in_the_page_under_its_name():
    reasons = re.findall(r'^reason\(\w+, "(\w+)", GOODBYE_(\w+),', (ROOT / "comet/close_reason.def").read_text(), re.M)
    assert len(reasons) > 20
    for name, code in reasons:
        assert code == "UNSAID" and name in PAGE or re.search(rf"^\| \d+ \| {name} \|", PAGE, re.M), name


def test_every_goodbye_is_in_the_row_of_its_close_code():
    rows = {int(code): names for code, names in re.findall(r"^\| (\d{4})[^|]*\| (.+?) \|$", PAGE, re.M)}
    reasons = re.findall(r'^reason\(\w+, "(\w+)", (\w+), (\d+),', (ROOT / "comet/close_reason.def").read_text(), re.M)
    said = [(name, int(code)) for name, goodbye, code in reasons if goodbye != "GOODBYE_UNSAID"]
    assert len(said) > 10
    assert [name for name, code in said if not re.search(rf"\b{name}\b", rows[code])] == []


def test_no_other_example_claims_to_be_replayed():
    assert PAGE.count("```replay") == len(examples())
