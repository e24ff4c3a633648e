"""life: some clients in rooms and pushes to them, to be disturbed by a test, and what has to be true after that.

SPDX-License-Identifier: MIT"""
import os
import time

from history import assert_agreed, assert_hearts_beat
from waiting import SCALE, TIMEOUT, scaled, wait_until

RECOVERY_SECONDS = 5 / min(1, 4 * SCALE)  # sanitizer builds may take longer
SECONDS = float(os.environ.get("COMET_TEST_SECONDS", "20"))  # of faults at random
A_SECOND = 300 * SCALE


def begin_life(house, crowd, pushes):
    for comet in house.names("comet"):
        for i in range(3):
            crowd.join(comet, f"{comet}/{i}", f"live://{i % 2}", mid=i + 1)
    pushes.start("key", "/goim/push/keys?operation=1000&keys=comet-2/1", lambda p: p.key == "comet-2/1", A_SECOND / 3)
    pushes.start("user", "/goim/push/mids?operation=1000&mids=3", lambda p: p.key.endswith("/2"), A_SECOND / 6, logic=1)
    pushes.start("room", "/goim/push/room?operation=1000&type=live&room=0", lambda p: p.room == "live://0",
                 A_SECOND / 3, logic=1)
    pushes.start("all", "/goim/push/all?operation=1000", lambda p: True, A_SECOND / 6)
    pushes.wait_accepted(scaled(20, 5))


def assert_recovers(house, crowd, pushes):
    """The fault ends now."""
    since = time.monotonic()
    pushes.wait_accepted(5, RECOVERY_SECONDS)
    for comet in house.names("comet"):
        wait_until(lambda comet=comet: crowd.comes_in(comet), f"a client comes in at {comet}",
                   since + RECOVERY_SECONDS - time.monotonic())
    pushes.wait_accepted(scaled(20, 5))
    pushes.stop()
    assert_agreed(crowd, pushes)
    assert_refusals_counted(house, pushes)
    assert_hearts_beat(crowd.people, RECOVERY_SECONDS)


def assert_refusals_counted(house, pushes):
    """Of logics that lived all the time."""
    refused = sum(stream.refused for stream in pushes.streams)
    assert sum(house.metrics(logic)("comet_pushes_failed_total") for logic in house.names("logic")) == refused


def wait_refused(pushes):
    """Wait until every back end has been told that a push was not accepted."""
    before = {stream: len(stream.unknown) for stream in pushes.streams}
    wait_until(lambda: all(len(s.unknown) > n for s, n in before.items()), "pushes are refused", 2 * TIMEOUT)
