"""Redis, logics and comets are killed at random, one every five seconds, for as long as COMET_TEST_SECONDS says. Every receiver
is watched, also those whose own comet is killed. SPDX-License-Identifier: MIT"""
import collections
import os
import random
import time

import pytest

from history import assert_hearts_beat
from life import A_SECOND, RECOVERY_SECONDS
from waiting import TIMEOUT, scaled, wait_until
from watch import Watch

SECONDS = float(os.environ.get("COMET_TEST_SECONDS", "20"))
EVERY_SECONDS = 5
RECEIVERS = 12


@pytest.fixture
def long_enough():
    """The watch over tests that hang is for those that do not run for an hour."""
    import faulthandler
    import sys

    faulthandler.cancel_dump_traceback_later()
    faulthandler.dump_traceback_later(SECONDS + 240, exit=True, file=sys.__stderr__)


@pytest.fixture
def watch(house, pushes):
    people = Watch(house, pushes)
    yield people
    people.close()


def begin(watch, pushes):
    for i in range(RECEIVERS):
        watch.receiver(f"r{i}", f"live://{i % 2}", mid=i % 4 + 1)
    wait_until(watch.all_are_in, "all come in")
    for key in ("r0", "r7"):
        pushes.start(f"key {key}", f"/goim/push/keys?operation=1000&keys={key}", lambda r, key=key: r.key == key, A_SECOND / 6)
    pushes.start("user", "/goim/push/mids?operation=1000&mids=3", lambda r: r.mid == 3, A_SECOND / 6, logic=1)
    for room in (0, 1):
        pushes.start(f"room {room}", f"/goim/push/room?operation=1000&type=live&room={room}",
                     lambda r, room=room: r.room == f"live://{room}", A_SECOND / 6, logic=room)
    pushes.start("all", "/goim/push/all?operation=1000", lambda r: True, A_SECOND / 6)
    pushes.wait_accepted(scaled(20, 5))


def kill_and_start(house, victim, away_seconds):
    house.kill(victim)
    time.sleep(away_seconds)
    house.start(victim)
    house.wait_ready(seconds=TIMEOUT)


def wait_recovered(house, watch, pushes):
    pushes.wait_accepted(5, 2 * RECOVERY_SECONDS)
    for comet in house.names("comet"):
        wait_until(lambda comet=comet: watch.comes_in(comet), f"a client comes in at {comet}", RECOVERY_SECONDS)


def test_any_process_killed_again_and_again(house, watch, pushes, long_enough):
    seed = int(os.environ.get("COMET_TEST_SEED", time.time()))
    print(f"COMET_TEST_SEED={seed}")
    dice = random.Random(seed)
    begin(watch, pushes)
    kills = collections.Counter()
    begun = due = time.monotonic()
    while time.monotonic() < begun + SECONDS:
        due += EVERY_SECONDS * (0.5 + dice.random())
        victim = dice.choice(sorted(house.members()))
        kill_and_start(house, victim, dice.random() * EVERY_SECONDS / 4)
        kills[victim] += 1
        wait_recovered(house, watch, pushes)
        watch.settle(victim)
        # A comet that was killed waits for its name; what that took longer is made good by those that follow.
        time.sleep(max(0, due - time.monotonic()))
    pushes.stop()
    watch.settle(None)
    assert_hearts_beat([receiver.lives[0].person for receiver in watch.receivers], RECOVERY_SECONDS)
    print(f"in {time.monotonic() - begun:.0f} s {kills.total()} kills: {', '.join(f'{n} of {v}' for v, n in sorted(kills.items()))}")
    print(f"{RECEIVERS} receivers had {sum(r.connections for r in watch.receivers)} connections; {pushes.accepted()} pushes were "
          f"accepted, {sum(len(s.unknown) for s in pushes.streams)} were not; {watch.checked} deliveries were checked, {watch.again} "
          f"of them had come on the connection before; {watch.unreceived} were for somebody whose comet was dead")
