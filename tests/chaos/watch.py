"""watch: receivers that come back with their key when their comet dies, and what each of them must have got. It is checked
again and again and then forgotten, so that an hour of it needs no more memory than a minute.

A life is one connection of a receiver. What is promised:

    within a life     everything accepted that was begun after its registration stood, up to the last one received; while its
                      comet lives, up to now. Nothing twice, in the order of its stream, and no gap but of what Redis lost with
                      its data: no more than their comet has counted (comet_push_gap_total)
    over all lives    to a key or a user: nothing twice, in the order of its stream
    not promised      what a comet had not yet written when it was killed, and what was accepted for somebody who was not
                      registered again yet: nobody is there to count it. What goes to a room or to all may come again on the
                      next connection, if that comet is a little behind the one that died. Both are counted here

SPDX-License-Identifier: MIT"""
import collections
import random
import threading
import time

import redis

from history import Crowd
from waiting import TIMEOUT, Deadline, wait_until


class Life:
    def __init__(self, person, begun):
        self.person = person
        self.promised = collections.Counter(begun)  # stream -> everything after this number is
        self.last = collections.Counter()           # stream -> the last one that was checked
        self.unknown = collections.defaultdict(set)  # stream -> those received, of which nobody knows whether they were accepted


class Receiver:
    """Who comes in again, anywhere, when its connection is closed. On a thread of its own."""

    def __init__(self, watch, key, room, mid):
        self.watch = watch
        self.key, self.room, self.mid = key, room, mid
        self.lives = collections.deque()   # those not settled yet
        self.last = collections.Counter()  # stream -> the last one that was checked, of all lives
        self.connections = 0
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def is_in(self):
        return bool(self.lives) and self.lives[-1].person.closed_at is None

    def _live(self):
        while not self.watch.ending.is_set():
            person = self.watch.come_in(self)
            if person is None or not self.watch.wait_registered(person):
                continue
            self.lives.append(Life(person, {stream.name: stream.begun for stream in self.watch.pushes.streams}))
            self.connections += 1
            person.gone.wait()

    def is_alive(self):
        return self._thread.is_alive()


class Watch(Crowd):
    def __init__(self, house, pushes):
        super().__init__(house)
        self.pushes = pushes
        self.receivers = []
        self.ending = threading.Event()
        self.checked = 0      # deliveries
        self.again = 0        # of them, those that had come on the connection before
        self.unreceived = 0   # accepted, and not promised to somebody for whom they were
        self.lost = 0         # with Redis's data, and counted by their comet
        self._counted = collections.Counter()            # (comet, pid) -> comet_push_gap_total when it was settled last
        self._upto = collections.Counter()               # stream -> up to this number all is checked
        self._unknown = collections.defaultdict(set)

    def receiver(self, key, room, mid):
        self.receivers.append(Receiver(self, key, room, mid))

    def come_in(self, receiver):
        comets = self.house.names("comet")
        for comet in random.sample(comets, len(comets)):
            try:
                return self.join(comet, receiver.key, receiver.room, receiver.mid)
            except OSError:
                self.ending.wait(0.02)
        return None

    def wait_registered(self, person):
        """Until Redis has its comet, as it is now, for its key. A connection that ends before that had no life."""
        deadline = Deadline()
        while person.closed_at is None and not self.ending.is_set():
            try:
                if self._is_registered(person):
                    return True
            except redis.RedisError:
                pass
            if deadline.passed():
                self.leave(person)
            time.sleep(0.02)
        return False

    def _is_registered(self, person):
        with self.house.redis() as client:
            session, epoch = client.get(f"comet:session:{person.key}"), client.hget(f"comet:server:{person.comet}", "epoch")
        return session is not None and session.split(b" ", 3)[2:] == [epoch, person.comet.encode()]

    def all_are_in(self):
        return all(receiver.is_in() for receiver in self.receivers)

    def settle(self, victim, seconds=TIMEOUT):
        """Everybody is in and has all that is promised so far; who was closed was on the comet that was killed."""
        wait_until(self.all_are_in, lambda: f"{[r.key for r in self.receivers if not r.is_in()]} are in", 2 * seconds)
        accepted = {}
        for stream in self.pushes.streams:
            accepted[stream] = stream.accepted[:]
            self._unknown[stream.name].update(stream.unknown[:])
        self._tell_what_was_lost()
        lost = self._wait_received(accepted, seconds)
        for stream in self.pushes.streams:
            self._settle_stream(stream, accepted[stream], lost)
        for receiver in self.receivers:
            while len(receiver.lives) > 1:
                person = receiver.lives.popleft().person
                assert person.comet == victim, f"{person.key} on {person.comet} was closed: {person.goodbye}"
            assert receiver.is_in() and receiver.lives[0].person.others == [], receiver.key
        with self._lock:
            self.people[:] = [person for person in self.people if person.closed_at is None]

    def _tell_what_was_lost(self):
        """With its next push each logic tells what it knows."""
        for logic in self.house.names("logic"):
            wait_until(lambda logic=logic: self.house.backend(logic).post("/goim/push/room?operation=1000&type=no&room=1", "x").json()[
                "code"] == 0, f"{logic} tells what was lost", pause=0.1)

    def _wait_received(self, accepted, seconds):
        """Until everybody has what is promised, or their comets have counted it as lost. What each comet's people have not."""
        missing = self._missing(accepted)

        def explained():
            missing.update(self._missing(accepted))
            return all(len(numbers) <= self._counted_since(comet) for comet, numbers in missing.items() if numbers)

        wait_until(explained, lambda: f"all is received or counted: {[(c, sorted(n)[:10]) for c, n in missing.items()]}", seconds,
                   pause=0.05)
        for comet in self.house.names("comet"):
            self._counted[comet, self.house.pid(comet)] += self._counted_since(comet)
        self.lost += sum(map(len, missing.values()))
        return missing

    def _counted_since(self, comet):
        """How many it has counted as lost since it was settled."""
        return self.house.metrics(comet)("comet_push_gap_total") - self._counted[comet, self.house.pid(comet)]

    def _missing(self, accepted):
        """Comet -> (stream, number) of what is promised, accepted and not received there."""
        missing = {comet: set() for comet in self.house.names("comet")}
        for stream, numbers in accepted.items():
            for receiver in filter(stream.targets, self.receivers):
                life = receiver.lives[-1]
                got = set(life.person.received[stream.name])
                missing[life.person.comet].update((stream.name, n) for n in numbers if n > life.promised[stream.name] and n not in got)
        return missing

    def _settle_stream(self, stream, accepted, lost):
        for receiver in self.receivers:
            if not stream.targets(receiver):
                got = [life for life in receiver.lives if life.person.received[stream.name]]
                assert got == [], f"{receiver.key} got {stream.name}, which is not for it"
            elif accepted:
                seen = set()
                for life in receiver.lives:
                    seen.update(self._check(receiver, life, stream, accepted, lost))
                self.unreceived += len(set(accepted) - seen)
        if accepted:
            self._upto[stream.name] = accepted[-1]
            stream.forget(len(accepted))

    def _check(self, receiver, life, stream, accepted, lost):
        """What this life got of `accepted`, and forget it."""
        name, goes_on = stream.name, life is receiver.lives[-1]
        who = f"{receiver.key} on {life.person.comet}: {name}"
        got = life.person.received[name]
        count = next((i for i, n in enumerate(got) if n > accepted[-1]), len(got))
        assert goes_on or count == len(got), f"{who}: {got[count:]} came to a comet that was dead when they were pushed"
        known = [n for n in got[:count] if not self._is_unknown(life, name, n, who)]
        del got[:count]
        self._check_order(receiver, life, stream, known, who)
        end = accepted[-1] if goes_on else max(known, default=0)
        wanted = {n for n in accepted if life.promised[name] < n <= end and (name, n) not in lost[life.person.comet]}
        assert wanted <= set(known), f"{who} has a gap: {sorted(wanted - set(known))[:10]}"
        # What was checked earlier can only be here again.
        alien = [n for n in set(known) - set(accepted) if n > self._upto[name]]
        assert alien == [], f"{who} got what nobody pushed: {alien[:10]}"
        self.checked += len(known)
        return known

    def _is_unknown(self, life, name, number, who):
        if number not in self._unknown[name]:
            return False
        assert number not in life.unknown[name], f"{who} got {number} twice"
        life.unknown[name].add(number)
        return True

    def _check_order(self, receiver, life, stream, known, who):
        name = stream.name
        line = [life.last[name], *known]
        assert all(a < b for a, b in zip(line, line[1:])), f"{who}: twice or out of order: {breaks(line)}"
        again = [n for n in known if n <= receiver.last[name]]
        assert again == [] or not stream.to_one, f"{who}: {again[:10]} had come on the connection before"
        self.again += len(again)
        life.last[name] = line[-1]
        receiver.last[name] = max(receiver.last[name], line[-1])

    def close(self):
        self.ending.set()
        while any(receiver.is_alive() for receiver in self.receivers):
            with self._lock:
                for person in self.people:
                    person.gone.set()
            time.sleep(0.01)
        super().close()


def breaks(line):
    return [pair for pair in zip(line, line[1:]) if pair[0] >= pair[1]][:10]
