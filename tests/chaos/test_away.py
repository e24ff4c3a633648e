"""Redis is gone for a minute. The longest of these tests, so it stands where it is begun first. SPDX-License-Identifier: MIT"""
import time

import pytest

from life import assert_recovers, begin_life
from waiting import SCALE, wait_until

AWAY_SECONDS = 60 if SCALE >= 1 else 15


def test_redis_is_away_for_a_minute(house, crowd, pushes):
    """Heartbeats are answered all the time, nobody is closed, and those who want in are told why not."""
    begin_life(house, crowd, pushes)
    house.kill("redis")
    end = time.monotonic() + AWAY_SECONDS
    while time.monotonic() < end:
        with pytest.raises(ConnectionError, match="no logic"):
            crowd.join("comet-1", "nobody")
        beat = min(p.beats for p in crowd.people)
        wait_until(lambda beat=beat: min(p.beats for p in crowd.people) > beat, "heartbeats are answered")
    house.start("redis")
    assert_recovers(house, crowd, pushes)
