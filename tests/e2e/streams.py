"""streams: a client of rooms with numbers, written from docs/protocol.md, section 5, and the rule that it keeps to.

SPDX-License-Identifier: MIT"""
import json
import struct
import typing

from client import Op
from waiting import TIMEOUT, Deadline

PUSH_VER = 4
HEAD = struct.Struct(">IB")


class Push(typing.NamedTuple):
    room: str
    number: int  # 0: none
    op: int
    body: bytes


def push_of(packet):
    """A packet of `ver` 4 as the push that it is."""
    assert packet.ver == PUSH_VER, packet
    high, length = HEAD.unpack_from(packet.body)
    room = packet.body[HEAD.size:HEAD.size + length]
    assert len(room) == length, packet
    return Push(room.decode(), high << 32 | packet.seq & 0xffffffff, packet.op, packet.body[HEAD.size + length:])


def arrive(client, streams=None, **who):
    """AUTH with streams; what op 8 says."""
    token = json.loads(client.dialect.token(**who))
    token["streams"] = {} if streams is None else streams
    client.mid, client.key = who.get("mid", 0), who.get("key", "")
    seq = client.send(Op.AUTH, json.dumps(token).encode())
    return client.expect(Op.AUTH_REPLY, seq=seq, ver=1).json()


def expect_push(client, room, body, number=None, op=1000):
    push = push_of(client.recv())
    assert push == Push(room, push.number if number is None else number, op, body), push
    return push.number


def ask(client, op, rooms):
    """JOIN or LEAVE; the answer, which has to be the next packet that is no push."""
    return client.request(op, json.dumps({"rooms": rooms}).encode()).json()


def join(client, *rooms, **wish):
    """Join rooms by their ids or whole members; one answer, or a list of them."""
    answer = ask(client, Op.JOIN, [{"id": room, **wish} if isinstance(room, str) else room for room in rooms])["rooms"]
    return answer[0] if len(rooms) == 1 else answer


def leave(client, *rooms):
    return ask(client, Op.LEAVE, list(rooms))["rooms"]


class Broken(AssertionError):
    """The server has sent what the rule does not allow."""


class Reader:
    """One stream at the client's end: the rule of docs/protocol.md, and what is wrong by it."""

    def __init__(self):
        self.position = None
        self.last = None  # number on this connection, since its last answer or NOTICE
        self.got = []     # numbers, as they were delivered
        self.gaps = []    # (position before, at) of each that was told

    def answered(self, member, since):
        self.last = member["at"]
        if member["gap"]:
            self._gap(self.last)
        elif not since:
            self.position = self.last
        elif self.last != since:
            raise Broken(f"asked since {since}, and goes on after {self.last} without a gap")

    def noticed(self, notice):
        if notice.get("gap"):
            self.last = notice["at"]
            self._gap(self.last)

    def _gap(self, at):
        self.gaps.append((self.position, at))
        self.position = at

    def pushed(self, number):
        """By the letter of the promise numbers go up by one; by the rule what is not above the position is dropped."""
        if number == 0:
            return
        if number != self.last + 1:
            raise Broken(f"after {self.last} came {number}")
        self.last = number
        if number > self.position:
            self.got.append(number)
            self.position = number


class Streamer:
    """A client with streams that joins rooms, and reads until it is told to stop."""

    def __init__(self, client, **who):
        self.client = client
        self.said = arrive(client, **who)
        self.readers = {}
        self.bodies = {}

    def join(self, *rooms, since=True, timeout=TIMEOUT):
        """Each from its position, if it has one; what comes before the answer is read."""
        wishes = []
        for room in rooms:
            reader = self.readers.setdefault(room, Reader())
            wishes.append({"id": room, "since": reader.position} if since and reader.position else {"id": room})
        seq = self.client.send(Op.JOIN, json.dumps({"rooms": wishes}).encode())
        packet = self.read_until(lambda p: p.op == Op.JOIN_REPLY and p.ver == 1 and p.seq == seq, timeout)
        for wish, member in zip(wishes, packet.json()["rooms"]):
            self.readers[wish["id"]].answered(member, wish.get("since"))
        return packet.json()["rooms"]

    def read_until(self, done, timeout=TIMEOUT):
        deadline = Deadline(timeout)
        while True:
            packet = self.client.recv(deadline.left())
            if packet.ver != PUSH_VER and done(packet):
                return packet
            self.take(packet)

    def take(self, packet):
        if packet.ver == PUSH_VER:
            push = push_of(packet)
            if push.room in self.readers:
                self.readers[push.room].pushed(push.number)
                self.bodies.setdefault(push.room, []).append(push.body)
        elif packet.op == Op.NOTICE:
            self.readers[packet.json()["room"]].noticed(packet.json())
        else:
            raise Broken(f"nobody has asked for {packet}")

    def read_to(self, room, number, timeout=TIMEOUT):
        """Until the push with this number has come, or a gap has led beyond it."""
        deadline = Deadline(timeout)
        while (self.readers[room].position or 0) < number:
            self.take(self.client.recv(deadline.left()))
