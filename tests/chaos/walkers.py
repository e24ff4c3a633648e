"""walkers: clients with streams that come and go, from comet to comet, and check that what they get of a room, or of their user's
stream, is consecutive, or that they were told. SPDX-License-Identifier: MIT"""
import itertools
import json
import random
import threading
import time
import uuid

from client import WAYS, Client, Op
from streams import arrive, push_of
from waiting import TIMEOUT, wait_until

TCP = next(way for way in WAYS if way.name == "tcp-v2")
AWAY = (OSError, AssertionError, TimeoutError)  # connections that break; what is wrong with a stream is kept in `bad`
HISTORY = 5000  # pushes that a house of walkers keeps


class Ledger:
    """What is known of one stream: the body of each number, as clients got it, and as back ends were told."""

    def __init__(self):
        self.bodies, self.told = {}, {}
        self.bad, self.told_twice = [], []
        self.dropped_to = 0  # what was kept up to this number was taken away

    def note(self, number, body):
        if self.bodies.setdefault(number, body) != body:
            self.bad.append((number, self.bodies[number], body))

    def tell(self, number, body):
        if self.told.setdefault(number, body) != body:
            self.told_twice.append((number, self.told[number], body))

    def told_wrong(self):
        """Back ends were told these numbers, which others have."""
        return self.told_twice + [(number, self.bodies[number], body) for number, body in list(self.told.items())
                                  if self.bodies.get(number, body) != body]

    def numbers(self):
        return self.bodies.keys() | self.told.keys()

    def drop(self, on_their_way):
        """The history has just been taken away, and so many pushes may be in it that no back end has been told of yet."""
        self.dropped_to = max(self.numbers(), default=0) + on_their_way

    def could_be_had(self, position, at):
        """Nothing was lost between these two, and all of it has to be in the history: then a gap is a false one."""
        low, high = sorted((position, at))
        return (high - low < HISTORY * 0.9 and position > self.dropped_to and
                all(n in self.bodies or n in self.told for n in range(low + 1, high + 1)))

    def jumps(self):
        return sum(b - a != 1 for a, b in itertools.pairwise(sorted(self.numbers())))


class Walker:
    def __init__(self, house, ledger, number, room, pause, stay):
        self.house, self.ledger = house, ledger
        self.number, self.room = number, room  # "": the stream of user 77, whose device each of them is
        self.pause, self.stay = pause, stay  # at most, in seconds
        self.dice = random.Random(number)
        self.position = self.got = 0
        self.gaps, self.joins, self.bad = [], 0, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._walk)
        self.thread.start()

    def _walk(self):
        while not self.over.is_set():
            self.visit(self.dice.uniform(0, self.stay))
            self.over.wait(self.dice.choice([0, 0, self.dice.uniform(0, self.pause)]))

    def visit(self, seconds):
        """Join at a comet, and take what comes. True: it was in."""
        try:
            client = Client(TCP, self.house.address(self.dice.choice(self.house.names("comet")), "tcp"))
        except (*AWAY, KeyError):
            time.sleep(0.05)
            return False
        try:
            return (self._listen if self.room else self._listen_to_own)(client, time.monotonic() + seconds)
        except AWAY:
            return False
        finally:
            client.close()

    def _listen_to_own(self, client, until):
        asked = {"user": self.position} if self.position else {}
        said = arrive(client, asked, mid=77, key=f"walker-{self.number}")
        self.joins += 1
        self._place(said["user"], bool(asked))
        return self._take_all(client, until, True)

    def _listen(self, client, until):
        arrive(client, {"user": False}, mid=self.number, key=f"walker-{self.number}")
        asked = {"id": self.room, **({"since": self.position} if self.position else {})}
        client.send(Op.JOIN, json.dumps({"rooms": [asked]}).encode())
        return self._take_all(client, until, False)

    def _take_all(self, client, until, is_in):
        while (left := until - time.monotonic()) > 0 or not is_in:
            try:
                packet = client.recv(max(left, 0.01) if is_in else 5)
            except TimeoutError:
                return is_in
            if packet.op == Op.DISCONNECT:
                return is_in
            if packet.ver == 4:
                self._take(push_of(packet))
            elif packet.op == Op.JOIN_REPLY:
                answer = packet.json()["rooms"][0]
                if "error" in answer:
                    return False
                is_in = True
                self.joins += 1
                self._place(answer, self.position > 0)
            elif packet.op == Op.NOTICE and packet.json()["room"] == self.room:
                self._place(packet.json(), False)
        return True

    def _place(self, answer, asked):
        if answer["gap"]:
            self.gaps.append((self.position, answer["at"], answer))
            self.position = answer["at"]
        elif not asked:
            self.position = answer["at"]
        elif answer["at"] != self.position:
            self.bad.append(("at", self.position, answer))

    def _take(self, push):
        if push.number != self.position + 1:
            self.bad.append(("number", self.position, push))
        self.ledger.note(push.number, push.body)
        self.got += 1
        self.position = push.number

    def false_gaps(self):
        return [gap for gap in self.gaps if self.ledger.could_be_had(*gap[:2])]

    def stop(self):
        self.over.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


class Talker:
    """A back end that pushes to the room, or to user 77, each push until it is accepted."""

    def __init__(self, house, ledger, logic, room, every):
        self.house, self.ledger = house, ledger
        self.logic, self.room, self.every = logic, room, every
        self.accepted = self.newest = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._talk)
        self.thread.start()

    def _talk(self):
        while not self.over.wait(self.every):
            body = uuid.uuid4().hex
            while (number := self._push(body)) is None and not self.over.wait(0.05):
                pass
            if number:
                self.ledger.tell(number, body.encode())
                self.newest = number
            self.accepted += number is not None

    def _push(self, body):
        """Its number; 0: it was made, and what tells its number was lost; None: it was perhaps not made."""
        kind, _, room = self.room.partition("://")
        path, to = ("/goim/push/room", {"type": kind, "room": room}) if room else ("/goim/push/mids", {"mids": 77})
        try:
            reply = self.house.backend(self.logic).request("POST", path, body, {"Idempotency-Key": body}, operation=1000, **to)
            return int(reply.headers.get("comet-position", 0)) if reply.json()["code"] == 0 else None
        except OSError:
            return None

    def stop(self):
        self.over.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


class Life:
    """One stream: back ends that push to it, and clients that come and go."""

    def __init__(self, house, room, walkers=8, first=1, pause=1.5, stay=1.0, every=0.01):
        self.house, self.room, self.ledger = house, room, Ledger()
        self.walkers = [Walker(house, self.ledger, first + i, room, pause, stay) for i in range(walkers)]
        self.talkers = [Talker(house, self.ledger, logic, room, every) for logic in house.names("logic")]

    def key(self, what):
        """In Redis: the number (n) or the history (h)."""
        return f"comet:{what}:r:{{{self.room}}}" if self.room else f"comet:{what}:u:{{77}}"

    def take_history_away(self):
        """True: there was one."""
        was_there = self.house.redis().delete(self.key("h")) == 1
        self.ledger.drop(on_their_way=len(self.talkers))
        return was_there

    def walk(self, times):
        """Until each walker has joined so many times more."""
        due = [walker.joins + times for walker in self.walkers]
        wait_until(lambda: all(walker.joins >= joins for walker, joins in zip(self.walkers, due)),
                   lambda: f"walkers have joined {[walker.joins for walker in self.walkers]} times of {due}", 3 * TIMEOUT)

    def finish(self):
        """Everybody comes once more, and has all. How many gaps were told."""
        due = [talker.accepted + 10 for talker in self.talkers]
        wait_until(lambda: all(talker.accepted >= n for talker, n in zip(self.talkers, due)) and self.accepted() > 100,
                   "enough was pushed", 3 * TIMEOUT)
        self.stop()
        newest = max(talker.newest for talker in self.talkers)
        for walker in self.walkers:
            wait_until(lambda w=walker: w.visit(0.3) and w.position >= newest, lambda w=walker: f"{w.position} of {newest}")
            assert walker.bad == []
            assert walker.false_gaps() == []
        assert self.ledger.bad == []
        assert self.ledger.told_wrong() == []
        assert sum(w.got for w in self.walkers) > self.accepted() / 2
        return self.gaps()

    def accepted(self):
        return sum(talker.accepted for talker in self.talkers)

    def gaps(self):
        return sum(len(walker.gaps) for walker in self.walkers)

    def stop(self):
        for one in (*self.talkers, *self.walkers):
            one.over.set()
        for one in (*self.talkers, *self.walkers):
            one.stop()
