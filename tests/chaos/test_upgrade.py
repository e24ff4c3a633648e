"""A cluster of the last release becomes one of this build, program by program, while clients are online and pushes run:
docs/upgrading.md. In between, old and new programs serve over one Redis. SPDX-License-Identifier: MIT"""
import pathlib

import pytest

import release
from house import House
from server import BUILD
from travellers import assert_nothing_missed, lives
from waiting import SCALE, TIMEOUT, scaled, wait_until

A_SECOND = 200 * SCALE


@pytest.fixture
def builds(request):
    """The folders of the programs before and after: the last release's and ours, or the other way round."""
    both = release.programs(), BUILD
    return both[::-1] if hasattr(request, "param") else both


@pytest.fixture
def house(request, builds, tmp_path):
    marker = request.node.get_closest_marker("house")
    one = House(tmp_path / "cluster", comets=2, logics=2, build=builds[0], tried={},  # the other release does not know all settings
                settings={"server.drain_timeout": "500ms", "server.drain_grace": "10s", **(marker.kwargs["settings"] if marker else {})})
    yield one
    one.end(getattr(request.node, "failed", False))


def runs(house, folder):
    """The names of those whose program is of this folder."""
    return {name for name in house.names("comet") + house.names("logic")
            if pathlib.Path(f"/proc/{house.pid(name)}/exe").resolve().parent == folder}


def begin_pushes(travellers, pushes):
    comets = travellers.house.names("comet")
    for comet in comets:
        for i in range(10):
            travellers.join(comet, f"{comet}/{i}", f"live://{i % 2}", mid=i + 1)
    for i, comet in enumerate(comets):
        pushes.start(f"key{i}", f"/goim/push/keys?operation=1000&keys={comet}/1", lambda p, comet=comet: p.key == f"{comet}/1",
                     A_SECOND / 4, logic=i)
        pushes.start(f"user{i}", f"/goim/push/mids?operation=1000&mids={i + 3}", lambda p, i=i: p.mid == i + 3, A_SECOND / 4,
                     logic=i)
        pushes.start(f"room{i}", f"/goim/push/room?operation=1000&type=live&room={i}", lambda p, i=i: p.room == f"live://{i}",
                     A_SECOND / 4, logic=i)
    pushes.start("all", "/goim/push/all?operation=1000", lambda p: True, A_SECOND / 4)
    pushes.wait_accepted(scaled(20, 5))


def assert_all_serve(house, crowd, when):
    """Newcomers at each comet are reached through each logic, a key moves between any two comets, and a kick is done."""
    for comet in house.names("comet"):
        for logic in house.names("logic"):
            backend = house.backend(logic)
            key = f"{when}/{comet}/{logic}"
            old = crowd.join(comet, key, f"{when}://{logic}", mid=1000)
            other = next(name for name in house.names("comet") if name != comet)
            new = crowd.join(other, key, f"{when}://{logic}", mid=1000)
            assert old.gone.wait(TIMEOUT), f"{key} has moved to {other}"
            assert old.goodbye["reason"].startswith("replaced")
            backend.push_keys([key], f"{when}#1")
            backend.push_room(f"{when}://{logic}", f"{when}#2")
            wait_until(lambda new=new: new.received[when] == [1, 2], lambda new=new: f"{new.key} has {new.received[when]}")
            backend.kick(keys=[key])
            assert new.gone.wait(TIMEOUT), f"{key} is kicked"
            assert new.goodbye["reason"].startswith("kicked")
            crowd.people.remove(old)
            crowd.people.remove(new)


def roll(house, builds, steps, travellers, crowd, pushes):
    """From the first of the two builds to the second, some of the programs in each step."""
    old, new = builds
    left = set(house.names("comet") + house.names("logic"))
    assert runs(house, old) == left
    begin_pushes(travellers, pushes)
    house.build = new

    for number, names in enumerate(steps):
        house.command("rolling-restart", *names)
        left -= set(names)
        assert runs(house, old) == left
        assert_all_serve(house, crowd, f"step{number}")
        pushes.wait_accepted(scaled(20, 5))
    assert left == set()

    pushes.wait_accepted(scaled(20, 5))
    pushes.stop()
    assert travellers.failed == []
    assert_nothing_missed(travellers, pushes)
    for life in lives(travellers).values():
        assert len(life) > 1, f"{life[0].key} was on a comet that went"
        assert [p.closed_at is None for p in life] == [False] * (len(life) - 1) + [True], life[0].key


@pytest.mark.parametrize("first, then", [("logic", "comet"), ("comet", "logic")])
def test_an_upgrade_from_the_last_release_loses_no_push(first, then, house, builds, travellers, crowd, pushes):
    roll(house, builds, [house.names(first), house.names(then)], travellers, crowd, pushes)


@pytest.mark.house(settings={"redis.db": "1"})
def test_in_another_database_the_comets_come_between_the_logics(house, builds, travellers, crowd, pushes):
    """Old comets are heard by old logics only, and new ones by new ones: docs/upgrading.md."""
    roll(house, builds, [["logic-1"], house.names("comet"), ["logic-2"]], travellers, crowd, pushes)


@pytest.mark.parametrize("builds", [True], indirect=True, ids=["back"])
def test_the_way_back_to_the_last_release_loses_no_push(house, builds, travellers, crowd, pushes):
    roll(house, builds, [house.names("comet"), house.names("logic")], travellers, crowd, pushes)
