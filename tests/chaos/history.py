"""history: who was pushed what, who received what, and whether the two agree.

A stream of pushes is made by one thread, one push after another; each carries the stream's name and a number. A push that
the API says it accepted has to reach every target that stayed connected, once, in the order of its stream. One that was
not accepted may arrive or not, but never twice.

SPDX-License-Identifier: MIT"""
import collections
import http.client
import json
import selectors
import threading
import time

from client import Op, Packet, TcpCodec, V2, dial
from waiting import TIMEOUT, Deadline, wait_until

HEARTBEAT_SECONDS = 1.0


class Person:
    """One client; the crowd's thread reads for it."""

    def __init__(self, comet, key, room, mid):
        self.comet = comet
        self.key = key
        self.room = room
        self.mid = mid
        self.codec = TcpCodec()
        self.sock = None
        self.is_in = False
        self.closed_at = None
        self.gone = threading.Event()  # set when that has been seen and its socket is closed
        self.goodbye = None
        self.told_at = None     # when it was told that
        self.received = collections.defaultdict(list)  # stream -> numbers
        self.others = []
        self.asked_at = None    # the heartbeat that is not answered yet
        self.beats = 0          # heartbeats that were answered
        self.slowest_beat = 0.0


class Crowd:
    """Clients on one thread, which alone reads and closes; each beats its heart and takes what comes."""

    def __init__(self, house):
        self.house = house
        self.people = []
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._leaving = collections.deque()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self, comet, key, room="", mid=0, timeout=TIMEOUT):
        """A new client, authenticated when this returns. ConnectionError where the comet says no."""
        person = Person(comet, key, room, mid)
        person.sock = dial(self.house.address(comet, "tcp"))
        try:
            self._come_in(person, timeout)
        except OSError:
            person.sock.close()
            raise
        person.sock.setblocking(False)
        with self._lock:
            self.people.append(person)
            self._selector.register(person.sock, selectors.EVENT_READ, person)
        return person

    def _come_in(self, person, timeout):
        address = self.house.address(person.comet, "tcp")
        person.sock.settimeout(timeout)
        person.sock.connect(address)
        person.sock.sendall(Packet(Op.AUTH, V2.token(mid=person.mid, key=person.key, room=person.room), seq=1).encode())
        deadline = Deadline(timeout)
        while not person.is_in:
            person.sock.settimeout(deadline.left() or 0.001)
            data = person.sock.recv(1 << 16)
            self._take(person, data)
            if person.closed_at is not None:
                raise ConnectionError(person.goodbye)

    def _run(self):
        beat_at = time.monotonic()
        while not self._stopping:
            with self._lock:
                ready = self._selector.select(0)
            if not ready:
                time.sleep(0.002)
            for key, _ in ready:
                self._read(key.data)
            while self._leaving:
                self._close(self._leaving.popleft())
            if time.monotonic() >= beat_at:
                beat_at = time.monotonic() + HEARTBEAT_SECONDS
                self._beat()

    def _beat(self):
        with self._lock:
            people = [p for p in self.people if p.closed_at is None and p.asked_at is None]
        for person in people:
            try:
                person.asked_at = time.monotonic()
                person.sock.send(Packet(Op.HEARTBEAT, seq=2).encode())
            except OSError:
                person.asked_at = None

    def _read(self, person):
        try:
            data = person.sock.recv(1 << 18)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._take(person, data)
        if not data:
            self._close(person)

    def _close(self, person):
        if person.sock.fileno() < 0:
            return
        with self._lock:
            self._selector.unregister(person.sock)
        person.sock.close()
        person.closed_at = person.closed_at or time.monotonic()
        person.gone.set()

    def _take(self, person, data):
        if not data:
            person.closed_at = time.monotonic()
            return
        for packet in person.codec.feed(data):
            if packet.op == Op.AUTH_REPLY:
                person.is_in = True
            elif packet.op == Op.HEARTBEAT_REPLY:
                person.slowest_beat = max(person.slowest_beat, time.monotonic() - person.asked_at)
                person.asked_at = None
                person.beats += 1
            elif packet.op == Op.DISCONNECT:
                person.goodbye = packet.json()
                person.told_at = time.monotonic()
                self.is_sent_away(person)
            elif b"#" in packet.body:
                stream, _, number = packet.body.decode().partition("#")
                person.received[stream].append(int(number))
            else:
                person.others.append(packet)

    def is_sent_away(self, person):
        """op 6 has come: for those who do something about it. On the crowd's thread."""

    def on(self, *comets):
        return [p for p in self.people if p.comet in comets]

    def leave(self, person):
        """The client closes its connection."""
        self._leaving.append(person)
        wait_until(lambda: person.closed_at is not None, f"{person.key} has left")

    def comes_in(self, comet):
        """Does a client come in at this comet now? It leaves at once."""
        try:
            person = self.join(comet, f"late/{comet}")
        except OSError:
            return False
        self.leave(person)
        self.people.remove(person)
        return True

    def close(self):
        self._stopping = True
        self._thread.join()
        for person in self.people:
            person.sock.close()
        self._selector.close()


class Stream:
    """What one back end pushed: numbers accepted, and numbers of which nobody knows."""

    def __init__(self, name, path, targets):
        self.name = name
        self.path = path          # of the API, with its parameters
        self.targets = targets    # person -> bool
        self.to_one = "/room" not in path and "/all" not in path  # at a time: keys and users are registered in one place
        self.begun = 0            # the last number that was given
        self.accepted = []
        self.unknown = []         # those that were refused in words included
        self.refused = 0
        self.forgotten = 0        # accepted ones that were checked and are no longer kept

    def forget(self, count):
        del self.accepted[:count]
        self.forgotten += count


class Pushes:
    """Streams of pushes, each by a thread of its own over one kept connection; when it breaks they go to the next logic."""

    def __init__(self, house):
        self.house = house
        self.streams = []
        self._threads = []
        self._stopping = threading.Event()

    def start(self, name, path, targets, a_second, logic=0):
        stream = Stream(name, path, targets)
        self.streams.append(stream)
        thread = threading.Thread(target=self._push, args=(stream, a_second, logic), daemon=True)
        self._threads.append(thread)
        thread.start()
        return stream

    def _push(self, stream, a_second, logic):
        logics = self.house.names("logic")
        connection = None
        number = 0
        due = time.monotonic()
        while not self._stopping.is_set():
            if connection is None:
                address = self.house.address(logics[logic % len(logics)], "http")
                connection = http.client.HTTPConnection(*address, timeout=TIMEOUT)
            number += 1
            stream.begun = number
            code = self._one(connection, stream, number)
            if code == 0:
                stream.accepted.append(number)
            else:
                stream.refused += code is not None
                stream.unknown.append(number)
                connection.close()
                connection = None
                logic += 1
                self._stopping.wait(0.05)
            due = max(due + 1 / a_second, time.monotonic() - 1)
            self._stopping.wait(max(0.0, due - time.monotonic()))
        if connection is not None:
            connection.close()

    @staticmethod
    def _one(connection, stream, number):
        """The code of the answer, or None where none came."""
        try:
            connection.request("POST", stream.path, body=f"{stream.name}#{number}")
            return json.loads(connection.getresponse().read())["code"]
        except (OSError, http.client.HTTPException, ValueError):
            return None

    def accepted(self):
        return sum(stream.forgotten + len(stream.accepted) for stream in self.streams)

    def wait_accepted(self, more, seconds=2 * TIMEOUT):
        """Wait until every stream has so many more accepted."""
        goals = [(stream, len(stream.accepted) + more) for stream in self.streams]
        wait_until(lambda: all(len(stream.accepted) >= goal for stream, goal in goals),
                   lambda: f"{more} more pushes accepted of each: {[(s.name, len(s.accepted), g) for s, g in goals]}",
                   seconds)

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def begin_again(self):
        """Stop, and settle what was pushed so far: streams started from now on are all that counts."""
        self.stop()
        self.streams, self._threads = [], []
        self._stopping.clear()


def assert_hearts_beat(people, limit):
    """Each of them has its next heartbeat answered, and none of all so far took `limit` seconds. One that still waits for an
    answer fails here, too: it would never show in slowest_beat."""
    before = {person: person.beats for person in people}

    def mute():
        return [person.key for person, beats in before.items() if person.beats == beats]

    wait_until(lambda: not mute(), lambda: f"heartbeats of {mute()[:10]} are answered", limit + HEARTBEAT_SECONDS)
    slowest = max(people, key=lambda person: person.slowest_beat)
    assert slowest.slowest_beat < limit, f"a heartbeat of {slowest.key} took {slowest.slowest_beat:.2f} s"


def assert_agreed(crowd, pushes, people=None, seconds=TIMEOUT):
    """Wait until everybody has what was accepted; then nobody may have anything twice or out of order."""
    people = crowd.people if people is None else people

    def missing():
        return [(p.comet, p.key, s.name, sorted(set(s.accepted) - set(p.received[s.name]))[:10])
                for p in people for s in pushes.streams if s.targets(p) and not set(s.accepted) <= set(p.received[s.name])]

    wait_until(lambda: not missing(), lambda: f"accepted and not received: {missing()[:10]}", seconds, pause=0.1)
    for person in people:
        assert person.closed_at is None, f"{person.key} on {person.comet} was closed: {person.goodbye}"
        for stream in pushes.streams:
            got = person.received[stream.name]
            assert len(set(got)) == len(got), f"{person.key} got numbers of {stream.name} twice"
            if not stream.targets(person):
                assert got == [], f"{person.key} got {stream.name}, which is not for it"
                continue
            accepted = set(stream.accepted)
            assert set(got) - accepted <= set(stream.unknown), f"{person.key} got what nobody pushed"
            known = [n for n in got if n in accepted]
            assert known == sorted(known), f"{person.key} got {stream.name} out of order"
