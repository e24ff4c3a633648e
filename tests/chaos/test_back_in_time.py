"""Redis comes back with older data, or without some keys: nobody is lost in silence. What is accepted arrives, once and in order, or a
counter says how many did not; and until Redis knows everybody again, a push to those whom it does not know is refused.

SPDX-License-Identifier: MIT"""
import itertools
import time

import pytest

from history import assert_agreed
from life import A_SECOND, begin_life
from test_redis_says_no import all_logics_push, missed, streams_of, wait_counted
from waiting import TIMEOUT, scaled, wait_until

SNAPSHOTS = pytest.mark.house(snapshots=True)
LEASE_SECONDS = 3


@pytest.fixture
def life(house, crowd, pushes):
    begin_life(house, crowd, pushes)
    return house


def newcomers(house, crowd, name, count=10):
    """On each comet so many, each a user of his own in a room of his own."""
    numbers = itertools.count(1000)
    return [crowd.join(comet, f"{name}:{comet}:{i}", f"{name}://{comet}-{i}", mid=next(numbers))
            for comet in house.names("comet") for i in range(count)]


def push_to_each(house, people, name):
    """One push to each of them by key, by user and by room; the codes. It begins as soon as Redis is there."""
    accepted = {person: [] for person in people}
    for number, (person, logic) in enumerate(itertools.product(people, house.names("logic"))):
        backend = house.backend(logic)
        kind, _, room = person.room.partition("://")
        for how, path in enumerate((f"keys?operation=1000&keys={person.key}", f"mids?operation=1000&mids={person.mid}",
                                    f"room?operation=1000&type={kind}&room={room}")):
            if backend.post(f"/goim/push/{path}", f"{name}#{3 * number + how}").json()["code"] == 0:
                accepted[person].append(3 * number + how)
    return accepted


def assert_reached(accepted, name):
    """What was accepted has arrived, once and in its order."""
    for person, numbers in accepted.items():
        wait_until(lambda p=person, n=numbers: set(n) <= set(p.received[name]),
                   lambda p=person, n=numbers: f"{p.key} has {p.received[name]} of {n}")
        got = [number for number in person.received[name] if number in set(numbers)]
        assert got == numbers, person.key
        assert person.closed_at is None, person.goodbye


def wait_found(house, people):
    """All of them are found again, by each logic."""
    def lost():
        return [(person.key, numbers) for person, numbers in push_to_each(house, people, "look").items()
                if len(numbers) < 3 * len(house.names("logic"))]
    wait_until(lambda: not lost(), lambda: f"all are found again: {lost()[:5]}", 2 * TIMEOUT)


def meant_for(person, pushes):
    """Streams to all had begun before somebody came late."""
    late = person.key.startswith("late:")
    return [stream for stream in streams_of(person, pushes) if stream.name.startswith("late") == late]


def settle(house, crowd, pushes):
    """What was accepted arrived in order, or was counted by the comet of those who missed it."""
    pushes.wait_accepted(scaled(20, 5), 2 * TIMEOUT)
    pushes.stop()
    all_logics_push(house)
    for person in crowd.people:
        for stream in meant_for(person, pushes):
            wait_until(lambda p=person, s=stream: p.received[s.name][-1:] == s.accepted[-1:], f"{person.key} is reached")
            got = person.received[stream.name]
            assert got == sorted(set(got)), f"{person.key} got {stream.name} twice or out of order"
    for comet in house.names("comet"):
        lost = {(stream.name, number) for person in crowd.on(comet) for stream in meant_for(person, pushes)
                for number in missed(person, stream)}
        wait_counted(house, comet, len(lost), len(lost) + sum(len(stream.unknown) for stream in pushes.streams))


def watch_them(crowd, pushes, people):
    """From now on streams to some of those who came late run, too."""
    for person in people[:: len(people) // 3]:
        kind, _, room = person.room.partition("://")
        pushes.start(f"late {person.key}", f"/goim/push/keys?operation=1000&keys={person.key}",
                     lambda p, person=person: p is person, A_SECOND / 20)
        pushes.start(f"late user {person.key}", f"/goim/push/mids?operation=1000&mids={person.mid}",
                     lambda p, person=person: p is person, A_SECOND / 20, logic=1)
        pushes.start(f"late room {person.key}", f"/goim/push/room?operation=1000&type={kind}&room={room}",
                     lambda p, person=person: p is person, A_SECOND / 20)
    pushes.wait_accepted(scaled(20, 5))


@SNAPSHOTS
def test_redis_starts_again_with_an_older_snapshot(life, crowd, pushes):
    """Who came after the snapshot, and who has moved since, is not in it."""
    movers = [crowd.join("comet-1", f"late:mover:{i}", f"mover://{i}", mid=2000 + i) for i in range(5)]
    life.redis().save()
    people = newcomers(life, crowd, "late")
    moved = [crowd.join("comet-2", p.key, p.room, p.mid) for p in movers]
    for person in movers:
        assert person.gone.wait(TIMEOUT), f"{person.key} has moved"
        crowd.people.remove(person)
    watch_them(crowd, pushes, people)
    life.kill("redis")
    life.start("redis")
    # At once, while the comets find out.
    accepted = push_to_each(life, moved + people, "first")
    assert_reached(accepted, "first")
    wait_found(life, people + moved)
    settle(life, crowd, pushes)
    assert sum(life.metrics(comet)("comet_registrations_lost_total") for comet in life.names("comet")) >= 1


@SNAPSHOTS
def test_redis_starts_again_with_all_its_data_and_nothing_is_registered_again(life, crowd, pushes):
    """A number that is there says so."""
    people = newcomers(life, crowd, "late", 3)
    before = [life.metrics(comet)("comet_registered_again_total") for comet in life.names("comet")]
    life.command("restart", "redis")  # which writes a snapshot as it goes
    wait_found(life, people)
    assert [life.metrics(comet)("comet_registered_again_total") for comet in life.names("comet")] == before
    settle(life, crowd, pushes)


@SNAPSHOTS
def test_a_comet_that_reads_slowly_counts_what_went_with_the_old_data(life, crowd, pushes):
    """Some of what it had not read is in the snapshot, some is not, and numbers never seem to go back."""
    life.freeze("comet-1")
    pushes.wait_accepted(scaled(20, 5))
    life.redis().save()
    pushes.wait_accepted(scaled(20, 5))
    life.kill("redis")
    life.thaw("comet-1")
    life.start("redis")
    settle(life, crowd, pushes)
    assert life.metrics("comet-1")("comet_push_gap_total") >= 5


@SNAPSHOTS
def test_a_comet_that_was_started_since_the_snapshot_is_not_fenced_by_its_past(life, crowd, pushes):
    pushes.stop()
    life.redis().save()
    life.kill("comet-1")
    gone = crowd.on("comet-1")
    life.start("comet-1")
    for person in gone:
        assert person.gone.wait(TIMEOUT)
        crowd.people.remove(person)
    people = newcomers(life, crowd, "late", 3)
    pid = life.pid("comet-1")
    life.kill("redis")
    life.start("redis")
    accepted = push_to_each(life, people, "first")
    wait_found(life, people)
    assert_reached(accepted, "first")
    assert life.pid("comet-1") == pid and life.is_up("comet-1")


@SNAPSHOTS
def test_a_comet_that_was_started_since_the_snapshot_does_not_read_what_its_past_had_not_read(house, crowd):
    """What was accepted for those who were there then, and are not now, is not for others, and nothing of theirs is missing."""
    person = crowd.join("comet-1", "a", "live://1")
    house.freeze("comet-1")
    for number in range(1, 4):
        house.backend("logic-1").push_room("live://1", f"x#{number}")
    house.redis().save()
    for name in ("logic-1", "comet-1"):  # a writer that the new comet has never heard of
        house.kill(name)
        house.start(name)
    assert person.gone.wait(TIMEOUT)
    crowd.people.remove(person)
    person = crowd.join("comet-1", "b", "live://1")
    house.backend().push_room("live://1", "x#4")
    wait_until(lambda: person.received["x"] == [4], "it is reached")
    house.kill("redis")
    house.start("redis")
    wait_until(lambda: house.backend().post("/goim/push/room?operation=1000&type=live&room=1", "x#5").json()["code"] == 0, "accepted")
    wait_until(lambda: 5 in person.received["x"], "it is reached again")
    assert person.received["x"] == [4, 5]
    assert house.metrics("comet-1")("comet_push_gap_total") == 0


@pytest.mark.parametrize("what", ["comet:servers", "comet:server:comet-1", "comet:rooms:comet-1", "comet:generation"])
def test_a_key_vanishes(life, crowd, pushes, what):
    """As when an operator deletes it, or Redis evicts it. Asked in the same instant already, nothing is lost."""
    people = newcomers(life, crowd, "late", 3)
    watch_them(crowd, pushes, people)
    for round_ in range(5):
        assert life.redis().delete(what) == 1
        accepted = push_to_each(life, people[::3], f"first{round_}")
        assert_reached(accepted, f"first{round_}")
        wait_until(lambda: life.redis().exists(what), f"{what} is there again")
        time.sleep(0.3)  # another moment between two renewals of the lease
    wait_found(life, people)
    life.wait_ready()
    settle(life, crowd, pushes)


def test_keys_are_evicted(life, crowd, pushes):
    """With a policy that may do so: of 90 users none is missed in silence."""
    people = newcomers(life, crowd, "late", 30)
    client = life.redis()
    client.config_set("maxmemory-policy", "volatile-lru")
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until(lambda: life.metrics("logic-1")("comet_redis_evicts") == 1, "the metric says so")
    assert "event=redis_evicts" in life.log("logic-1")
    pushes.wait_accepted(scaled(5, 2), 2 * TIMEOUT)
    client.config_set("maxmemory", 1)
    wait_until(lambda: client.info("stats")["evicted_keys"] >= 90, "they are evicted")
    client.config_set("maxmemory", 0)
    accepted = push_to_each(life, people, "first")
    assert_reached(accepted, "first")
    wait_found(life, people)
    settle(life, crowd, pushes)
    for name in ("logic-1", "comet-2"):
        assert "ready\nRedis may drop data" in life.backend(name).get("/readyz").body.decode()
    client.config_set("maxmemory-policy", "noeviction")
    client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until(lambda: life.metrics("logic-1")("comet_redis_evicts") == 0, "it is noticed")


@pytest.mark.house(settings={"redis.forget": "3s"})
def test_nobody_is_buried_who_may_not_say_a_word(life, crowd, pushes):
    """Redis refuses what could make it grow, and takes deletes."""
    client = life.redis()
    client.config_set("maxmemory", 1)
    time.sleep(3 * LEASE_SECONDS)  # the fault itself: three times redis.forget
    client.config_set("maxmemory", 0)
    settle(life, crowd, pushes)
    assert sum(life.metrics(logic)("comet_comets_forgotten_total") for logic in life.names("logic")) == 0
    for comet in life.names("comet"):
        assert life.metrics(comet)("comet_push_gap_total") == 0
    assert_agreed(crowd, pushes)


def test_the_first_push_of_a_logic_that_was_there_before(house, crowd):
    """It has pushed nothing yet, and one of the comets has not come back: its people are nobody to Redis."""
    person = crowd.join("comet-2", "b", "live://1", mid=7)
    redis, back = house.redis(), house.backend()
    house.freeze("comet-2")
    redis.flushall()
    wait_until(lambda: redis.hget("comet:server:comet-1", "registering") == b"0", "the other one is there again")
    paths = ("all?operation=1000", "room?operation=1000&type=live&room=1", "keys?operation=1000&keys=b",
             "mids?operation=1000&mids=7")
    codes = [back.post(f"/goim/push/{path}", f"x#{number}").json()["code"] for number, path in enumerate(paths)]
    assert codes == [-500] * 4
    house.thaw("comet-2")
    wait_found(house, [person])


def test_a_logic_that_starts_just_after_all_was_lost(house, crowd):
    """No comet is there to tell it, and its data are as new ones are: it waits for them."""
    people = [crowd.join(comet, comet, "live://1", mid=7) for comet in house.names("comet")]
    redis, back = house.redis(), house.backend("logic-2")
    for comet in house.names("comet"):
        house.freeze(comet)
    house.kill("logic-1")
    house.kill("logic-2")
    redis.flushall()
    house.start("logic-2")
    paths = ("all?operation=1000", "room?operation=1000&type=live&room=1", "keys?operation=1000&keys=comet-1",
             "mids?operation=1000&mids=7")
    assert [back.post(f"/goim/push/{path}", "x#1").json()["code"] for path in paths] == [-500] * 4
    house.thaw("comet-1")
    wait_until(lambda: redis.hget("comet:server:comet-1", "registering") == b"0", "one is there again")
    assert [back.post(f"/goim/push/{path}", "x#2").json()["code"] for path in paths[:2]] == [-500] * 2
    for comet in house.names("comet")[1:]:
        house.thaw(comet)
    house.start("logic-1")
    wait_until(lambda: back.post("/goim/push/all?operation=1000", "x#3").json()["code"] == 0, "a push to all is accepted")
    for person in people:
        wait_until(lambda p=person: p.received["x"] == [3], lambda p=person: f"{p.key} has {p.received}")
    assert "comet:push:comet-1" in [key.decode() for key in redis.keys()]
