"""houses: running comets that several tests of a worker share, one after another. A start costs more than most tests ask, so who
leaves a house as it was found gets the one that runs with the same settings already.

For the test it is a house of its own: counters and logs begin with it (Comet.begin_test), and at its end nobody is there any
more. A house that a test has ended, or in which one has failed, is nobody else's.

SPDX-License-Identifier: MIT"""
import collections

# So many stand at a time: those of the last tests, which the next ones most likely want.
KEPT = 3


class Houses:
    def __init__(self, make):
        self._make = make  # make(settings) starts one
        self._idle = collections.OrderedDict()  # by settings, the last one used last

    def take(self, settings):
        """One that runs with these settings, for nobody else until it is given back."""
        house = self._idle.pop(frozenset(settings.items()), None)
        if house is None:
            house = self._make(settings)
            house.shared_by = frozenset(settings.items())
        house.begin_test()
        return house

    def give_back(self, house):
        """After a test that has passed: nobody of its clients is there, and the log is clean."""
        try:
            if house.ended():
                house.stop()
                return
            house.wait_empty()
            house.wait_metric("comet_push_jobs", 0)  # or the next test would get what this one pushed last
            house.end_test()
        except BaseException:
            house.kill()
            raise
        self._idle[house.shared_by] = house
        while len(self._idle) > KEPT:
            self._idle.popitem(last=False)[1].stop()

    def close(self):
        """All have to end well."""
        try:
            while self._idle:
                self._idle.popitem()[1].stop()
        finally:
            for house in self._idle.values():
                house.kill()
