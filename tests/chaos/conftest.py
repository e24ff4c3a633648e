"""Fixtures of the chaos tests: real clusters with a real redis-server, and clients that keep a history.

    house     three comets, two logics, a Redis of their own; @pytest.mark.house(comets=2, settings={...}) changes that
    crowd     clients of the house: crowd.join("comet-1", key="k", room="live://1"); they take all that comes
    travellers   the same, but they go to another comet when theirs goes away
    build_house   builds one in the middle of a test
    behind_a_proxy   a house and the proxy through which it reaches its Redis
    long_enough   for a test that goes on for COMET_TEST_SECONDS
    dice      for a test that does things at random; COMET_TEST_SEED has it do the same again
    pushes    back ends that push with sequence numbers until they are told to stop, see history.py

SPDX-License-Identifier: MIT"""
import faulthandler
import os
import pathlib
import random
import signal
import sys
import time

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

pytest.register_assert_rewrite("history", "life", "walkers")  # what they say is wrong is shown

from history import Crowd, Pushes  # noqa: E402
from house import House  # noqa: E402
from life import SECONDS  # noqa: E402
from proxy import Proxy  # noqa: E402
from travellers import Travellers  # noqa: E402

HANG_SECONDS = 240  # every wait has a deadline of its own; this is for the one that was forgotten


def pytest_configure(config):
    config.addinivalue_line("markers", "house(**how): start the house of this test with these")
    # A crowd or a back end whose thread has died would find nothing wrong.
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")
    # A shell's job in the background is born deaf to it, and so would be the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_hang():
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def long_enough():
    """The watch over tests that hang is for those that do not run for an hour."""
    faulthandler.cancel_dump_traceback_later()
    faulthandler.dump_traceback_later(SECONDS + 240, exit=True, file=sys.__stderr__)


@pytest.fixture
def dice():
    seed = int(os.environ.get("COMET_TEST_SEED", time.time()))
    print(f"COMET_TEST_SEED={seed}")
    return random.Random(seed)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        item.failed = True


@pytest.fixture
def house(request, tmp_path):
    marker = request.node.get_closest_marker("house")
    one = House(tmp_path / "cluster", **(marker.kwargs if marker else {}))
    yield one
    one.end(getattr(request.node, "failed", False))


@pytest.fixture
def build_house(request, tmp_path):
    """build_house(...): a House with these, ended with the test; for tests that have a Redis of their own."""
    running = []

    def build(**how):
        running.append(House(tmp_path / f"cluster-{len(running)}", **how))
        return running[-1]

    yield build
    for house in running:
        house.end(getattr(request.node, "failed", False))


@pytest.fixture
def behind_a_proxy(request, tmp_path):
    """A house that reaches its Redis, which is another house's, through a proxy."""
    outer = House(tmp_path / "redis", comets=0, logics=0)
    proxy = Proxy(outer.address("redis", "redis"))
    marker = request.node.get_closest_marker("house")
    house = House(tmp_path / "cluster", comets=2, logics=2, redis_addr="%s:%d" % proxy.address, **(marker.kwargs if marker else {}))
    yield house, proxy
    failed = getattr(request.node, "failed", False)
    house.end(failed)
    proxy.stop()
    outer.end(failed)


@pytest.fixture
def crowd(house):
    people = Crowd(house)
    yield people
    people.close()


@pytest.fixture
def travellers(house):
    people = Travellers(house)
    yield people
    people.close()


@pytest.fixture
def pushes(house):
    running = Pushes(house)
    yield running
    running.stop()
