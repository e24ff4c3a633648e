"""The machine fails under a cluster: calls that a comet or its logic makes while clients come and back ends push fail, one at a
time (test_faults has it for a comet alone). What talks to Redis may lose its connection by that and say no for a moment; then
all is as it was: no accepted push is lost but counted, none comes twice, and who comes is served. COMET_TEST_FAULTS=all lets every
single call fail, else a sample does.

SPDX-License-Identifier: MIT"""
import faulthandler
import os
import ssl

import pytest

from client import WAYS, Client, Closed, Op
from fail import Plan
from test_faults import FAILURES, SAMPLE, failures, visit
from waiting import TIMEOUT, wait_until

pytestmark = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") != "cluster", reason="it is for a cluster")

BY_NAME = {way.name: way for way in WAYS}
ALL = SAMPLE > 1000
# By which a push that did not arrive is told.
TOLD = ("comet_dropped_total", "comet_push_gap_total", "comet_push_bad_entries_total", "comet_pushes_refused_total")


@pytest.fixture
def plan(tmp_path):
    return Plan(tmp_path / "plan")


@pytest.fixture(params=["comet", "logic"])
def failing(launch, plan, request):
    who = {"comet": "environment", "logic": "logic_environment"}[request.param]
    house = launch({"logic.timeout": "500ms", "protocol.handshake_timeout": "3s", "log.level": "debug",
                    "server.drain_timeout": "100ms"}, **{who: plan.environment}, one_core=True)
    assert plan.seen("socket") > 0, "the library is not there"
    return house


class Guests:
    """Who stays, over both doors, and what was pushed to them."""

    def __init__(self, house, plan):
        self.house, self.plan = house, plan
        self.clients = {}
        self.number = 0
        self.accepted, self.unknown = [], set()
        for mid, name in enumerate(("tcp-v2", "ws-v2"), 1):
            self.come(mid, BY_NAME[name])

    def come(self, mid, way):
        def come():
            client = Client(way, self.house.address(way.listener))
            try:
                return client.auth(mid=mid)
            except (AssertionError, ConnectionError, TimeoutError):
                client.close()
                return None

        self.clients[mid] = wait_until(come, "a guest comes in", pause=0.05), way

    def push(self):
        """To all guests. What is not accepted may arrive all the same, if only the answer was lost."""
        self.number += 1
        body = b"%d" % self.number
        try:
            reply = self.house.backend.post("/goim/push/mids", body, operation=1000, mids=list(self.clients))
            ok = reply.status == 200 and reply.json()["code"] == 0
        except OSError:
            ok = False
        except Exception as error:  # http.client's
            assert "http" in type(error).__module__, error
            ok = False
        if ok:
            self.accepted.append(body)
        else:
            self.unknown.add(body)
        return ok

    def told(self):
        metrics = self.house.metrics()
        return sum(metrics.total(name) for name in TOLD)

    def moment(self, call, err, after):
        """Everybody's moment, in which one call fails. True: one did."""
        told, failed = self.told(), self.plan.failed(call)
        self.plan.fail(call, err, after)
        visit(self.house, BY_NAME["tcp-v2"], 100)
        self.push()
        visit(self.house, BY_NAME["ws-v2"], 101)
        self.plan.stop(call)
        wait_until(lambda: visit(self.house, BY_NAME["tcp-v2"], 100), "who comes is served again", pause=0.05)
        wait_until(self.push, "pushes are accepted again", pause=0.05)
        missed = sum(self.hear(mid) for mid in list(self.clients))
        assert missed == 0 or self.told() > told, f"{call}, {err}, {after}: {missed} pushes are missing, and nothing says so"
        self.accepted.clear()
        return self.plan.failed(call) > failed

    def hear(self, mid):
        """How many accepted pushes this one did not get. One whose connection ended comes again."""
        client, way = self.clients[mid]
        fence, bodies = self.accepted[-1], []
        try:
            while not bodies or bodies[-1] != fence:
                packet = client.recv()
                if packet.op == Op.DISCONNECT:
                    raise Closed("told so")
                bodies.append(packet.body)
        except (Closed, ConnectionError, ssl.SSLError):
            client.close()
            self.come(mid, way)
            return 0
        assert len(set(bodies)) == len(bodies), f"twice: {bodies}"
        got = [body for body in bodies if body not in self.unknown]
        assert got == [body for body in self.accepted if body in got], f"got {got}, accepted {self.accepted}"
        return len(self.accepted) - len(got)


def calls_of_a_moment(guests, plan, call):
    guests.moment(call, 0, 1 << 30)  # from there it counts
    return plan.seen(call)


@pytest.mark.parametrize("calls", [[call] for call in FAILURES] if ALL else [list(FAILURES)[i::4] for i in range(4)],
                         ids=lambda calls: calls[0] if ALL else "some")
def test_any_call_of_a_comet_or_its_logic_may_fail_once(failing, plan, calls):
    if ALL:
        faulthandler.cancel_dump_traceback_later()
    guests = Guests(failing, plan)
    for _ in range(2):
        guests.push()
        guests.moment("socket", 0, 1 << 30)
    for call in calls:
        seen = calls_of_a_moment(guests, plan, call)
        for after, err in failures(call, seen):
            guests.moment(call, err, after)
    for client, _ in guests.clients.values():
        client.heartbeat()
        client.close()
    failing.wait_empty(TIMEOUT)
    for log in (failing.log(), failing.logic_log()):
        for sign in ("BUG", "Sanitizer", "runtime error:"):
            assert sign not in log, log[-4000:]
