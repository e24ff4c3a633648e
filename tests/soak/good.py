"""good: clients that behave, thousands in one process, each with a history that is checked as it comes.

What is pushed says its stream, its number and when it was pushed: b"room3 17 81723645". Numbers of one stream come in order,
each once; those left out are kept until it is known whether they were accepted.

SPDX-License-Identifier: MIT"""
import errno
import random
import select
import socket
import struct
import time

from client import WAYS, Op, Packet, dial
from waiting import Deadline
from wire import Refused

BY_NAME = {way.name: way for way in WAYS}
MIX = ["tcp-v2"] * 6 + ["ws-v2"] * 3 + ["tls-v2", "wss-v2"]
HEARTBEAT_SECONDS = 20.0
GAPS_MOST = 1000  # of one client: more is a fault that need not be listed in full


class Faults(Exception):
    pass


class History:
    """What one client received of one stream."""

    def __init__(self, from_the_start):
        self.next = 1 if from_the_start else None  # None: the first to come is the first
        self.left_out = set()

    def take(self, number):
        """None, or what is wrong with it."""
        if self.next is None:
            self.next = number
        if number < self.next:
            return "late" if number in self.left_out else "twice"
        if number > self.next:
            if number - self.next > GAPS_MOST:
                return f"a gap of {number - self.next}"
            self.left_out.update(range(self.next, number))
        self.next = number + 1
        return None


class Member:
    def __init__(self, number, way, who, streams, source):
        self.number, self.way, self.who, self.source = number, way, who, source
        self.streams = streams  # those that it is a target of
        self.histories = {}
        self.codec = way.codec()
        self.sock = None
        self.is_in = False
        self.is_open = False
        self.goodbye = None
        self.leaves_at = None


class Crowd:
    """Clients on one epoll."""

    def __init__(self, addresses, from_the_start, seed):
        self.addresses = addresses  # listener -> addresses of all comets
        self.from_the_start = from_the_start
        self.chance = random.Random(seed)
        self.members = {}           # fd -> member
        self.epoll = select.epoll()
        self.faults = []
        self.received = 0
        self.latencies = []         # seconds
        self.joined = 0
        self.refused = 0
        self.lost = []              # closed though they did not want to

    # coming and going

    def dial(self, member):
        addresses = self.addresses[member.way.listener]
        address = addresses[member.number % len(addresses)]
        member.sock = dial(address, member.source)
        member.sock.setblocking(False)
        rc = member.sock.connect_ex(address)
        if rc not in (0, errno.EINPROGRESS):
            raise OSError(rc, f"connecting to {address}")
        member.is_open = True
        self.members[member.sock.fileno()] = member
        self.epoll.register(member.sock.fileno(), select.EPOLLOUT)

    def hang_up(self, member, reset=False):
        if not member.is_open:
            return
        self.epoll.unregister(member.sock.fileno())
        del self.members[member.sock.fileno()]
        if reset:
            member.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        member.sock.close()
        member.is_open = False

    def say(self, member, *packets):
        self.send(member, member.codec.encode(*packets))

    def send(self, member, data):
        try:
            if data and member.sock.send(data) != len(data):
                self.ended(member)
        except OSError:
            self.ended(member)

    def ended(self, member):
        was_in = member.is_in
        self.hang_up(member)
        if was_in:
            self.lost.append(member)
        else:
            self.refused += 1

    # taking what comes

    def poll(self, seconds):
        for fd, events in self.epoll.poll(seconds, maxevents=512):
            member = self.members.get(fd)
            if member is None:
                continue
            if events & select.EPOLLOUT:
                self.epoll.modify(fd, select.EPOLLIN)
                self.say(member, Packet(Op.AUTH, member.way.dialect.token(**member.who), seq=1))
            else:
                self.read(member)

    def read(self, member):
        try:
            data = member.sock.recv(1 << 17)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        now = time.monotonic()
        try:
            packets = member.codec.feed(data) if data else []
        except Refused as refused:
            if " 503 " not in str(refused):
                raise
            self.ended(member)  # no thread for it, say: a refusal like others
            return
        if data and (owed := member.codec.owed()):
            self.send(member, owed)
        for packet in packets:
            self.take(member, packet, now)
        if member.is_open and (not data or member.codec.over):
            self.ended(member)

    def take(self, member, packet, now):
        if packet.op == Op.AUTH_REPLY:
            member.is_in = True
            self.joined += 1
        elif packet.op == Op.DISCONNECT:
            member.goodbye = packet.body.decode()
        elif packet.op == 1000:
            stream, number, pushed_ns = packet.body.split(b" ", 3)[:3]
            self.note(member, stream.decode(), int(number))
            self.received += 1
            self.latencies.append(now - int(pushed_ns) / 1e9)

    def note(self, member, stream, number):
        if stream not in member.streams:
            self.fault(f"{member.who['key']} got {stream}, which is not for it")
            return
        history = member.histories.setdefault(stream, History(self.from_the_start))
        wrong = history.take(number)
        if wrong is not None:
            self.fault(f"{member.who['key']} over {member.way.name}: {stream} {number} came {wrong}")

    def fault(self, words):
        if len(self.faults) < 20:
            self.faults.append(words)

    def beat(self):
        for member in list(self.members.values()):
            if member.is_in:
                self.say(member, Packet(Op.HEARTBEAT, seq=2))

    # at the end

    def missing(self, member, sums):
        """Numbers that were accepted and did not come; sums: stream -> (last number, those that were not accepted)."""
        found = []
        for stream in member.streams:
            last, unknown = sums[stream]
            history = member.histories.get(stream)
            if history is None:
                history = History(True)
            left_out = set(history.left_out)
            left_out.update(range(history.next, last + 1))
            found += [f"{member.who['key']} over {member.way.name} lacks {stream} {n}" for n in left_out - set(unknown)]
        return found


def steady(pipe, addresses, n, rooms, seed):
    """The process of those who stay. Commands over the pipe: what, argument."""
    crowd = Crowd(addresses, True, seed)
    members = []
    for i in range(n):
        room = f"room{i % rooms}"
        who = {"mid": i + 1, "key": f"good{i}", "room": f"soak://{room}", "accepts": [1000]}
        members.append(Member(i, BY_NAME[MIX[i % len(MIX)]], who, {room, "all"} | ({f"key{i}"} if i < 20 else set()),
                              f"127.0.1.{1 + i % 8}"))
    deadline = Deadline(120)
    for start in range(0, n, 100):
        for member in members[start:start + 100]:
            crowd.dial(member)
        while not all(m.is_in for m in members[start:start + 100]):
            if deadline.passed() or crowd.refused:
                raise Faults(f"not all good clients come in: {crowd.joined} of {n} are, {crowd.refused} were refused")
            crowd.poll(0.1)
    pipe.send(crowd.joined)
    beat_at = time.monotonic()
    while True:
        crowd.poll(0.02)
        if time.monotonic() > beat_at:
            beat_at = time.monotonic() + HEARTBEAT_SECONDS
            crowd.beat()
        if not pipe.poll():
            continue
        what, argument = pipe.recv()
        if what == "phase":
            pipe.send((crowd.received, crowd.latencies))
            crowd.received, crowd.latencies = 0, []
        elif what == "settle":  # argument: the sums; until nothing is missing, or the time is over
            deadline = Deadline(60)
            while any(crowd.missing(m, argument) for m in members if m.is_open) and not deadline.passed():
                crowd.poll(0.1)
            missing = [words for m in members if m.is_open for words in crowd.missing(m, argument)]
            lost = [f"{m.who['key']} over {m.way.name} was closed: {m.goodbye}" for m in crowd.lost]
            pipe.send(crowd.faults + lost + missing[:20])
        else:
            return


def churn(pipe, addresses, rooms, a_second, seed):
    """The process of those who come and go: in a room, sometimes through another, leaving in every way there is."""
    crowd = Crowd(addresses, False, seed)
    number, due, going = 0, time.monotonic(), False
    while True:
        now = time.monotonic()
        while going and due < now:
            due = max(due + 1 / a_second, now - 1)
            number += 1
            room = f"room{number % rooms}"
            who = {"mid": 0, "key": f"churn{number % 100}", "room": f"soak://{room}", "accepts": [1000]}
            member = Member(number, BY_NAME[crowd.chance.choice(MIX)], who, {room, "all"}, f"127.0.3.{1 + number % 8}")
            member.leaves_at = now + crowd.chance.random() * 6
            try:
                crowd.dial(member)
            except OSError:
                crowd.refused += 1
        crowd.poll(0.02)
        for member in list(crowd.members.values()):
            if member.leaves_at < now:
                crowd.hang_up(member, reset=crowd.chance.random() < 0.3)
        if not pipe.poll():
            continue
        what, _ = pipe.recv()
        if what == "go":
            going, due = True, time.monotonic()
        elif what == "rest":
            going = False
            for member in list(crowd.members.values()):
                crowd.hang_up(member)
            pipe.send((crowd.faults, {"joined": crowd.joined, "refused": crowd.refused, "closed by the server":
                                      len(crowd.lost), "received": crowd.received}))
            crowd.latencies.clear()
        else:
            return
