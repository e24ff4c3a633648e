"""travellers: clients that do what op 6 asks for when their comet goes away, and whether they missed anything on the way.

SPDX-License-Identifier: MIT"""
import collections
import queue
import threading

from history import Crowd
from waiting import Deadline, wait_until


class Travellers(Crowd):
    """Who is sent away connects to the first node that it was told, with the same key, and only then is done with the old."""

    def __init__(self, house):
        super().__init__(house)
        self.where = {"%s:%d" % house.address(comet, "tcp"): comet for comet in house.names("comet")}
        self.failed = []
        self._sent_away = queue.Queue()
        self._movers = [threading.Thread(target=self._move, daemon=True) for _ in range(4)]
        for mover in self._movers:
            mover.start()

    def is_sent_away(self, person):
        if person.goodbye["code"] == 4 and person.is_in:
            self._sent_away.put(person)

    def _move(self):
        while (person := self._sent_away.get()) is not None:
            deadline = Deadline()
            while not self._moved(person):
                if deadline.passed():
                    self.failed.append(person.key)
                    break

    def _moved(self, person):
        for node in person.goodbye["nodes"]:
            try:
                self.join(self.where[node], person.key, person.room, person.mid)
                return True
            except OSError:
                continue
        return False

    def close(self):
        for _ in self._movers:
            self._sent_away.put(None)
        for mover in self._movers:
            mover.join()
        super().close()


def lives(crowd):
    """key -> the connections that it had, one after another."""
    by_key = collections.defaultdict(list)
    for person in crowd.people:
        by_key[person.key].append(person)
    return by_key


def missing(crowd, pushes):
    return [(key, s.name, sorted(set(s.accepted) - {n for p in life for n in p.received[s.name]})[:10])
            for key, life in lives(crowd).items() for s in pushes.streams
            if s.targets(life[0]) and not set(s.accepted) <= {n for p in life for n in p.received[s.name]}]


def assert_nothing_missed(crowd, pushes):
    wait_until(lambda: not missing(crowd, pushes), lambda: f"accepted and not received: {missing(crowd, pushes)[:10]}")
    for life in lives(crowd).values():
        for stream in pushes.streams:
            for person in life:
                got = person.received[stream.name]
                assert got == sorted(set(got)), f"{person.key} got {stream.name} twice or out of order"
            # A push to a key or a user goes where it is registered, and that is one place at a time.
            if stream.name.startswith(("key", "user")):
                numbers = [n for person in life for n in person.received[stream.name]]
                assert len(numbers) == len(set(numbers)), f"{life[0].key} got {stream.name} on both connections"
