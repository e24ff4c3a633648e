"""Redis, logics and a comet are killed at random, every few seconds, for as long as COMET_TEST_SECONDS says; those who watch
miss nothing. SPDX-License-Identifier: MIT"""
import os
import random
import time

import pytest

from history import assert_agreed
from life import RECOVERY_SECONDS, begin_life
from waiting import TIMEOUT, wait_until

SECONDS = float(os.environ.get("COMET_TEST_SECONDS", "20"))
EVERY_SECONDS = 5


@pytest.fixture
def long_enough():
    """The watch over tests that hang is for those that do not run for an hour."""
    import faulthandler
    import sys

    faulthandler.cancel_dump_traceback_later()
    faulthandler.dump_traceback_later(SECONDS + 240, exit=True, file=sys.__stderr__)


def test_any_process_killed_again_and_again(house, crowd, pushes, long_enough):
    seed = int(os.environ.get("COMET_TEST_SEED", time.time()))
    print(f"COMET_TEST_SEED={seed}")
    dice = random.Random(seed)
    begin_life(house, crowd, pushes)
    watching = crowd.on("comet-1", "comet-2")  # comet-3 is one of those that are killed
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        victim = dice.choice(["redis", "logic-1", "logic-2", "comet-3"])
        house.kill(victim)
        time.sleep(dice.random() * EVERY_SECONDS / 4)  # how long it is away
        house.start(victim)
        house.wait_ready(seconds=TIMEOUT)
        pushes.wait_accepted(5, 2 * RECOVERY_SECONDS)
        for comet in house.names("comet"):
            wait_until(lambda comet=comet: crowd.comes_in(comet), f"a client comes in at {comet}", RECOVERY_SECONDS)
        time.sleep(dice.random() * EVERY_SECONDS / 2)
    pushes.stop()
    assert_agreed(crowd, pushes, watching)
