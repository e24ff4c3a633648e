"""Who came and who went, told to a back end whatever breaks: each session begins once and ends once. SPDX-License-Identifier: MIT"""
import collections
import contextlib

import pytest

from client import WAYS, Client, Op
from streams import arrive, expect_push
from waiting import scaled, wait_until

V2_OVER_TCP = next(way for way in WAYS if way.name == "tcp-v2")
pytestmark = pytest.mark.house(settings={"events.kinds": "online,offline", "redis.lease": "2s", "redis.forget": "4s"})


class Teller:
    """What one logic tells, read on and on."""

    def __init__(self, backend):
        self.backend, self.after, self.events = backend, "0", []

    def read(self):
        while True:
            got = self.backend.data("/goim/events", after=self.after)
            if not got:
                return self
            self.after = got[-1]["id"]
            self.events += got

    def of(self, kind, comet=None):
        """session -> how often."""
        return collections.Counter(event["session"] for event in self.events
                                   if event["kind"] == kind and comet in (None, event["comet"]))


def names_of(comet, n):
    return [f"{comet}-{i}" for i in range(n)]


def test_each_session_of_a_killed_comet_ends_once(house, crowd):
    many, few = scaled(60, 10), 5
    victims = [crowd.join("comet-1", key) for key in names_of("victim", many)]
    for key in names_of("other", few):
        crowd.join("comet-2", key)
    teller = Teller(house.backend("logic-1"))
    wait_until(lambda: len(teller.read().of("online")) == many + few, "all are told")
    told = teller.of("online", "comet-1")
    assert len(told) == many and set(told.values()) == {1}
    house.kill("comet-1")
    # Some come back elsewhere before anybody knows that it is dead.
    for victim in victims[:many // 3]:
        crowd.join("comet-2", victim.key)
    wait_until(lambda: len(teller.read().of("offline")) == many, "the ends of all are told", 30)
    house.start("comet-1")
    wait_until(lambda: house.is_ready("comet-1"), "it is back")
    for victim in victims[many // 3:]:
        crowd.join("comet-1", victim.key)
    wait_until(lambda: len(teller.read().of("online")) == 2 * many + few, "all are back")
    # It is killed once more, and comes back under its name at once.
    back = len(teller.of("online", "comet-1")) - many
    house.kill("comet-1")
    house.start("comet-1")
    wait_until(lambda: len(teller.read().of("offline", "comet-1")) == many + back, "the ends of all are told", 30)
    assert set(teller.of("offline").values()) == {1} and set(teller.of("online").values()) == {1}
    assert teller.of("offline", "comet-1") == teller.of("online", "comet-1")
    assert not teller.of("offline", "comet-2")
    assert [event["id"] for event in teller.events] == sorted((e["id"] for e in teller.events), key=int)
    # By its session a late end is told from the beginning that came before it: who is there by the events is who is there.
    there = {}
    for event in teller.events:
        if event["kind"] == "online" and event["session"] > there.get(event["key"], (0,))[0]:
            there[event["key"]] = (event["session"], True)
        elif event["kind"] == "offline" and event["session"] == there[event["key"]][0]:
            there[event["key"]] = (event["session"], False)
    assert {key for key, (_, is_there) in there.items() if is_there} == set(names_of("other", few)) | {v.key for v in victims[:many // 3]}
    assert Teller(house.backend("logic-2")).read().events == teller.read().events


def test_a_reader_of_a_life_with_a_later_clock_gets_what_comes(house, crowd):
    """All data are lost, and Redis's clock is behind: the numbers begin below those that were read."""
    backend = house.backend("logic-1")
    crowd.join("comet-1", "before")
    wait_until(lambda: backend.data("/goim/events", after="0"), "it is told")
    late = str(int(backend.data("/goim/events", after="0")[-1]["id"]) + 3600 * 10**6)
    got = backend.data("/goim/events", after=late)
    assert [event["kind"] for event in got] == ["lost", "online"] and got[0]["lost"] == -1
    assert backend.data("/goim/events", after=got[-1]["id"]) == []
    # Until the first of a new life is told nobody knows that it is below.
    house.redis().set("comet:events:n", f"{got[-1]['id']} {int(got[-1]['id']) - 1} 1")
    assert backend.data("/goim/events", after=late) == []


@pytest.mark.house(settings={"events.kinds": "occupied,vacated", "redis.lease": "2s", "redis.forget": "4s"})
def test_rooms_of_a_killed_comet_are_vacated_once(house, crowd):
    rooms = [f"live://{i}" for i in range(scaled(300, 20))]
    for i, room in enumerate(rooms):
        crowd.join("comet-1", f"victim-{i}", room=room)
    crowd.join("comet-2", "other", room=rooms[0])
    teller = Teller(house.backend("logic-1"))

    def told(kind):
        return collections.Counter(event["room"] for event in teller.read().events if event["kind"] == kind)

    wait_until(lambda: len(told("occupied")) == len(rooms), "all are told")
    house.kill("comet-1")
    wait_until(lambda: len(told("vacated")) == len(rooms) - 1, "all but one are empty", 30)
    crowd.join("comet-2", "back", room=rooms[1])
    wait_until(lambda: told("occupied")[rooms[1]] == 2, "one has somebody again")
    assert set(told("vacated").values()) == {1} and rooms[0] not in told("vacated")
    assert told("occupied").total() == len(rooms) + 1


def push(backend, mid, confirm):
    return backend.numbered("/goim/push/mids", "x", operation=1000, mids=mid, confirm=confirm)


@pytest.mark.house(settings={"events.kinds": "unacked", "stream.users": "50/1h", "stream.users_open": "yes",
                             "redis.lease": "2s", "redis.forget": "4s"})
def test_pushes_that_a_killed_comet_took_along_are_told_once(house):
    """Half of the users confirm theirs; the comet of all of them dies, and the logic that took the pushes."""
    users = range(100, 100 + scaled(40, 10))
    confirmed, backend = set(users[::2]), house.backend("logic-1")
    with contextlib.ExitStack() as stack:
        clients = {}
        for user in users:
            clients[user] = Client(V2_OVER_TCP, house.address("comet-1", "tcp"))
            stack.callback(clients[user].close)
            arrive(clients[user], {}, mid=user, key=f"u{user}")
        pushed = {user: push(backend, user, "8s") for user in users}
        for user in users:
            expect_push(clients[user], "", b"x", pushed[user])
        for user in confirmed:
            clients[user].send(Op.ACK, pushed[user].to_bytes(8, "big"))
        wait_until(lambda: all(backend.data("/goim/stream/acks", mid=user)["keys"] for user in confirmed), "they are known")
        house.kill("comet-1")
        house.kill("logic-1")
    teller = Teller(house.backend("logic-2"))

    def told():
        return collections.Counter((event["mid"], event["n"]) for event in teller.read().events)

    unconfirmed = {(user, pushed[user]) for user in users if user not in confirmed}
    wait_until(lambda: unconfirmed <= set(told()), told, 30)
    house.start("logic-1")
    wait_until(lambda: house.is_ready("logic-1"), "it is back")
    # One more, and then nothing of the others can be still to come.
    last = (7, push(house.backend("logic-1"), 7, "1s"))
    wait_until(lambda: last in told(), told, 30)
    assert told() == collections.Counter(unconfirmed | {last})


@pytest.mark.house(settings={"events.kinds": "occupied,vacated", "redis.lease": "2s", "redis.forget": "4s"})
def test_rooms_are_told_again_after_a_loss_and_vacated_once(house, crowd):
    """Otherwise whoever asks who is there after a loss would believe for ever that the room has somebody."""
    people = [crowd.join("comet-1", f"one-{i}", room=f"live://{i}") for i in range(5)]
    teller = Teller(house.backend("logic-1"))

    def told(kind):
        return {event["room"] for event in teller.read().events if event["kind"] == kind}

    rooms = {person.room for person in people}
    wait_until(lambda: told("occupied") == rooms, "all are told")
    house.redis().flushall()
    before = len(teller.events)
    wait_until(lambda: {e["room"] for e in teller.read().events[before:] if e["kind"] == "occupied"} == rooms, "all are told again", 30)
    assert teller.events[before]["kind"] == "lost" and teller.events[before]["lost"] == -1
    wait_until(lambda: house.is_ready("comet-1"), "it has registered all again")
    for person in people:
        crowd.leave(person)
    wait_until(lambda: told("vacated") == rooms, "all are empty", 30)
    assert len([e for e in teller.read().events[before:] if e["kind"] == "occupied"]) == len(rooms)
