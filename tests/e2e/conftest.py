"""Fixtures of the end-to-end tests. A test names what it needs:

    house     a running comet; @pytest.mark.settings("logic.heartbeat=1s") in front of a test starts it with that. Other tests
              may have had it before (houses.py), which nobody sees but @pytest.mark.own_house, who gets a new one
    launch    starts further ones: launch({"limits.connections": 5})
    way       transport and dialect; a test that takes it (or connect) runs once for each of WAYS
    connect   connect(mid=7, key="k") gives an authenticated client, connect.raw() one that has said nothing yet
    swarm     swarm(1000, lambda i: {"mid": i}) gives that many, on one epoll

COMET_BUILD names the folder of the programs, COMET_TEST_SCALE below 1 takes load off, COMET_TEST_SETTINGS is given to
every house, COMET_TEST_SECONDS says for how long test_long goes on, and one of test_deflate.
SPDX-License-Identifier: MIT"""
import faulthandler
import itertools
import os
import resource
import signal
import sys

import pytest

from client import WAYS, Client
from houses import Houses
from parts import PARTS, WAYS as WAYS_OF_A_PART
from server import BUILD, Comet, house_class
from swarm import Swarm
from waiting import LONG_SECONDS

# After their tests nothing of any client may be left in the house: see Comet.assert_nothing_left.
HOSTILE = {"test_auth_jwt", "test_deflate", "test_drip", "test_fuzz", "test_handshake", "test_hostile", "test_hostile_http", "test_http_tls", "test_kick",
           "test_limits", "test_long", "test_malformed", "test_ops", "test_proxy", "test_replace", "test_slow_consumer", "test_tls", "test_websocket"}

# Their tests signal the house, end it, use up what it allows, or measure it from its start on.
OWN_HOUSE = {"test_bans", "test_conservation", "test_drain", "test_faults", "test_limits", "test_log_faults", "test_logs", "test_long",
             "test_metrics", "test_reload", "test_scale", "test_storm"}

HANG_SECONDS = 240 + 4 * LONG_SECONDS  # every wait has a deadline of its own; this is for the one that was forgotten


def pytest_addoption(parser):
    parser.addoption("--part", choices=PARTS, help="a short pass: parts.py")


def pytest_configure(config):
    config.addinivalue_line("markers", "settings(*assignments): start the house of this test with these")
    config.addinivalue_line("markers", "one_core: start the house of this test on one core, so that it has one thread of each kind")
    config.addinivalue_line("markers", "own_house: a house in which no other test was, and none will be")
    config.addinivalue_line("markers", "ways(*names): run this test over these ways only, whatever its file says")
    config.addinivalue_line("markers", "keeps(megabytes): so much memory may stay after this hostile test, not to be needed again")
    config.addinivalue_line("markers", "cluster_ways(*names): where logic is behind Redis, over these only")
    # A client or a sender whose thread has died would find nothing wrong.
    config.addinivalue_line("filterwarnings", "error::pytest.PytestUnhandledThreadExceptionWarning")
    # A shell's job in the background is born deaf to it, and so would be the programs that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if not (BUILD / "comet").exists():
        pytest.exit(f"{BUILD}/comet is not there: build first, or set COMET_BUILD", returncode=2)


def pytest_report_header():
    return f"programs: {BUILD}; LOCK_YIELDS={os.environ.get('LOCK_YIELDS', '')}"


def pytest_generate_tests(metafunc):
    if "way" in metafunc.fixturenames:
        names = ["ways"] if house_class() is Comet else ["ways", "cluster_ways"]
        markers = [marker for marker in map(metafunc.definition.get_closest_marker, names) if marker]
        ways = [way for way in WAYS if all({way.name, way.listener, way.dialect.name} & set(m.args) for m in markers)]
        if metafunc.config.option.part:
            ways = [way for way in ways if way.name in WAYS_OF_A_PART] or ways[:1]
        metafunc.parametrize("way", ways, ids=[way.name for way in ways])


def pytest_collection_modifyitems(config, items):
    if config.option.part:
        modules = PARTS[config.option.part]
        config.hook.pytest_deselected(items=[item for item in items if item.module.__name__ not in modules])
        items[:] = [item for item in items if item.module.__name__ in modules]
    # Those that take long come first, so that at the end no worker is left alone with one of them.
    items.sort(key=lambda item: item.module.__name__ not in ("test_scale", "test_conservation", "test_replace"))


@pytest.fixture(autouse=True)
def no_hang():
    # The children of a test run that ends this way end with it: see Comet._in_the_child.
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


def settings_of(request):
    settings = {}
    for marker in reversed(list(request.node.iter_markers("settings"))):
        settings.update(assignment.split("=", 1) for assignment in marker.args)
    return settings


def assert_nothing_left(request, comet):
    marker = request.node.get_closest_marker("keeps")
    comet.assert_nothing_left(marker.args[0] << 20 if marker else 0)


@pytest.fixture
def launch(request, tmp_path):
    """Start a comet; it is stopped at the end of the test and has to end well, unless the test failed."""
    started = []
    numbers = itertools.count()

    def start(settings=None, kind=None, **more):
        directory = tmp_path / f"comet-{next(numbers)}"
        directory.mkdir()
        more.setdefault("one_core", request.node.get_closest_marker("one_core") is not None)
        comet = (kind or house_class())(directory, {**settings_of(request), **(settings or {})}, **more)
        started.append(comet)
        comet.note_baseline()
        return comet

    yield start
    failed = getattr(request.node, "failed", False)
    try:
        for comet in started:
            if failed:
                comet.kill()
                print(f"the log of comet ended:\n{comet.log()[-4000:]}")
            elif not comet.ended_by_test:
                if request.module.__name__ in HOSTILE:
                    assert_nothing_left(request, comet)
                comet.stop()
    finally:
        for comet in started:
            comet.kill()  # where one ended badly, the others


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    report = (yield).get_result()
    if report.when == "call" and report.failed:
        item.failed = True


@pytest.fixture(scope="session")
def houses(tmp_path_factory):
    def start(settings):
        house = house_class()(tmp_path_factory.mktemp("comet"), settings)
        house.note_baseline()
        return house

    kept = Houses(start)
    yield kept
    kept.close()


@pytest.fixture
def house(request):
    module = request.module.__name__
    if module in OWN_HOUSE or any(request.node.get_closest_marker(name) for name in ("own_house", "one_core")):
        yield request.getfixturevalue("launch")()
        return
    houses = request.getfixturevalue("houses")
    house = houses.take(settings_of(request))
    yield house
    if getattr(request.node, "failed", False):
        house.kill()
        print(f"the log of comet ended:\n{house.log()[-4000:]}")
        return
    try:
        if module in HOSTILE and not house.ended():
            assert_nothing_left(request, house)
    except BaseException:
        house.kill()
        raise
    houses.give_back(house)


@pytest.fixture
def backend(house):
    return house.backend


class Connect:
    """Makes clients of one way, and closes them at the end."""

    def __init__(self, way, house):
        self.way = way
        self.house = house
        self.clients = []

    def raw(self, source=None, rcvbuf=None):
        """A client that has said nothing yet."""
        client = Client(self.way, self.house.address(self.way.listener), source, rcvbuf)
        self.clients.append(client)
        return client

    def __call__(self, source=None, rcvbuf=None, **who):
        return self.raw(source, rcvbuf).auth(**who)

    def close(self):
        for client in self.clients:
            client.close()


@pytest.fixture
def connect(way, house):
    maker = Connect(way, house)
    yield maker
    maker.close()


@pytest.fixture
def swarm(way, house):
    swarms = []

    def gather(n, who, **more):
        swarms.append(Swarm(way, house.address(way.listener), n, who, **more))
        return swarms[-1].connect()

    yield gather
    for one in swarms:
        one.close()
