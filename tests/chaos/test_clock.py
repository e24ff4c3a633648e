"""Redis's clock jumps, an hour forward or back: nobody who is there is lost, and no key is there twice. A comet's lease and its epoch
say who is there, and no time does. SPDX-License-Identifier: MIT"""
import struct

import pytest

from history import Crowd
from redis_servers import Server
from server import BUILD
from test_ready import readyz
from waiting import TIMEOUT, wait_until

CLIENTS = 40
HOUR = 3600


class Clock:
    """What tests/shim/clock.c adds to a server's time."""

    def __init__(self, path):
        self._file = open(path, "wb", buffering=0)
        self.environment = {"LD_PRELOAD": str(BUILD / "libclock.so"), "CLOCK_SHIFT": str(path)}
        self.set(0)

    def set(self, seconds):
        self._file.seek(0)
        self._file.write(struct.pack("q", seconds))

    def close(self):
        self._file.close()


@pytest.fixture
def clock(tmp_path):
    one = Clock(tmp_path / "clock")
    yield one
    one.close()


@pytest.fixture
def server(tmp_path, clock):
    one = Server(tmp_path / "server", "--save", "", environment=clock.environment)
    yield one
    one.stop()


@pytest.fixture
def house(server, build_house):
    return build_house(comets=2, logics=2, redis_addr=f"127.0.0.1:{server.port}")


def push_to_each(house, people, name):
    """By key, by user and by room, each through both logics: at once, and none is refused."""
    number = 0
    for logic in house.names("logic"):
        back = house.backend(logic)
        for person in people:
            for path in (f"keys?operation=1000&keys={person.key}", f"mids?operation=1000&mids={person.mid}",
                         f"room?operation=1000&type=live&room={person.mid}"):
                number += 1
                reply = back.post(f"/goim/push/{path}", f"{name}#{number}").json()
                assert reply["code"] == 0, (person.key, path, reply)
    per_logic = 3 * len(people)
    for i, person in enumerate(people):
        wanted = [logic * per_logic + 3 * i + way for logic in range(2) for way in (1, 2, 3)]
        wait_until(lambda p=person, w=wanted: p.received[name] == w, lambda p=person, w=wanted: f"{p.key} has {p.received[name]} of {w}")
        assert person.closed_at is None


def come_again(crowd, old, first):
    """Each with its key, in turn at the two comets; the connection that had the key goes."""
    for i, person in enumerate(old):
        crowd.join(f"comet-{(i + first - 1) % 2 + 1}", person.key, person.room, mid=person.mid)
        assert person.gone.wait(TIMEOUT), f"{person.key} is there twice"
        assert person.goodbye["reason"].startswith("replaced")
        crowd.people.remove(person)


@pytest.mark.parametrize("hours", [1, -1], ids=["forward", "back"])
def test_all_are_reached_and_no_key_is_there_twice(clock, server, house, hours):
    crowd = Crowd(house)
    for i in range(CLIENTS):
        crowd.join(f"comet-{i % 2 + 1}", f"k{i}", f"live://{i + 1}", mid=i + 1)
    push_to_each(house, crowd.people, "before")
    before = server.client.time()[0]
    clock.set(hours * HOUR)
    assert abs(server.client.time()[0] - before - hours * HOUR) < TIMEOUT
    push_to_each(house, crowd.people, "first")
    # Each comes again, at the other comet. For a moment comets ask logics by a time that has passed, and newcomers are refused.
    old = crowd.people[:]
    wait_until(lambda: all(crowd.comes_in(comet) for comet in house.names("comet")), "newcomers come in")
    come_again(crowd, old, first=2)
    push_to_each(house, crowd.people, "second")
    clock.set(0)
    push_to_each(house, crowd.people, "third")
    house.wait_ready()
    assert sum(house.metrics(logic)("comet_comets_forgotten_total") for logic in house.names("logic")) == 0
    for comet in house.names("comet"):
        assert house.metrics(comet)("comet_registrations_lost_total") == 0
    crowd.close()


def test_who_comes_after_a_loss_is_newer_than_who_was_there(clock, server, house):
    """Redis comes back without its data, and with a clock that is behind: a connection that comes has its key, not the one that had it."""
    crowd = Crowd(house)
    old = [crowd.join("comet-1", f"k{i}", f"live://{i + 1}", mid=i + 1) for i in range(5)]
    clock.set(-30)
    server.client.flushall()
    wait_until(lambda: all(crowd.comes_in(comet) for comet in house.names("comet")), "newcomers come in")
    wait_until(lambda: house.backend("logic-1").post("/goim/push/keys?operation=1000&keys=nobody", "x").json()["code"] == 0, "all are registered")
    come_again(crowd, old, first=1)
    push_to_each(house, crowd.people, "after")
    crowd.close()


@pytest.mark.parametrize("seconds, words", [(300, "300 s behind that of Redis"), (-300, "300 s ahead of that of Redis")], ids=["behind", "ahead"])
def test_a_machine_with_another_clock_says_so_until_it_is_set(clock, house, seconds, words):
    """Tokens and bans end by it, on each machine at another time, and nothing else shows."""
    names = house.names("comet") + house.names("logic")
    assert all(house.metrics(name)("comet_clocks_differ") == 0 for name in names)
    clock.set(seconds)
    for name in names:
        wait_until(lambda name=name: words in readyz(house, name)[1], lambda name=name: f"{name} says so, and not {readyz(house, name)}")
        assert readyz(house, name)[0] == 200 and house.metrics(name)("comet_clocks_differ") == 1
    clock.set(0)
    for name in names:
        wait_until(lambda name=name: readyz(house, name) == (200, "ready\n"), f"{name} says nothing any more")
        assert house.metrics(name)("comet_clocks_differ") == 0
        said = [event for line in house.log(name).splitlines() for event in ("clocks_differ", "clocks_agree") if f"event={event}" in line]
        assert said == ["clocks_differ", "clocks_agree"]
