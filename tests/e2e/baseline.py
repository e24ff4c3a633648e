"""baseline: what a comet has when nobody is there, to see that it comes back. SPDX-License-Identifier: MIT"""
from waiting import wait_until


def wait_until_rested(house):
    """Until the work of the start is over: two looks, a moment apart, that differ by nothing."""
    last = [house.cpu_ticks()]

    def rests():
        now = house.cpu_ticks()
        was, last[0] = last[0], now
        return now == was

    wait_until(rests, "comet comes to rest", pause=0.3)


class Baseline:
    """Threads, files and memory after some rounds: what is needed once is there then."""

    def __init__(self, house):
        wait_until_rested(house)
        self.house = house
        self.threads, self.files, self.memory = house.threads(), house.files(), house.rss_bytes()

    def assert_back(self, spare_bytes):
        self._wait_back()
        wait_until(lambda: self._grown() < spare_bytes, lambda: f"{self._grown() >> 10} KiB more than before")

    def grown_since_back(self):
        """By how many bytes memory has grown, once threads and files are back."""
        self._wait_back()
        return self._grown()

    def _grown(self):
        return self.house.rss_bytes() - self.memory

    def _wait_back(self):
        house = self.house
        wait_until(lambda: house.threads() <= self.threads, lambda: f"{house.threads()} threads, there were {self.threads}")
        wait_until(lambda: house.files() <= self.files, lambda: f"{house.files()} files, there were {self.files}")
