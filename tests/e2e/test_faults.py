"""The machine fails: each call that comet makes while clients come, talk and go fails once, by the library that
tests/shim/fail.c makes. One connection may be lost by that, and then a log line or a counter says so; whoever else is there
notices nothing, and the next who comes is served. COMET_TEST_FAULTS=all lets every single call fail, else a sample does.

SPDX-License-Identifier: MIT"""
import errno
import faulthandler
import http.client
import itertools
import os
import signal
import ssl
import subprocess

import pytest

import tokens
from client import V2, WAYS, Client, Closed, Op, dial
from fail import OF_MEMORY, Plan
from server import BUILD, DEFAULTS, certificate
from test_auth_webhook import hook  # noqa: F401  a fixture
from waiting import SCALE, TIMEOUT, wait_until

pytestmark = [pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE", "alone") != "alone", reason="it is for one process")]

SAMPLE = 10 ** 9 if os.environ.get("COMET_TEST_FAULTS") == "all" else 6 if SCALE >= 1 else 3
BY_NAME = {way.name: way for way in WAYS}


@pytest.fixture
def plan(tmp_path):
    return Plan(tmp_path / "plan")


@pytest.fixture
def failing(launch, plan):
    # Of each thread only one, so that a count of calls says which.
    settings = {"protocol.handshake_timeout": "1s", "protocol.write_timeout": "1s", "log.level": "debug"}

    def start(more=None):
        house = launch({**settings, **(more or {})}, environment=plan.environment, one_core=True)
        assert plan.seen("socket") > 0, "the library is not there"
        return house

    return start


class Guest:
    """A client that stays while the machine fails. If the failure ends it, another one comes."""

    def __init__(self, house, way, mid):
        self.house, self.way, self.mid = house, way, mid
        self.come()

    def come(self):
        self.client = Client(self.way, self.house.address(self.way.listener)).auth(mid=self.mid)

    def bodies_up_to(self, fence):
        """What was pushed to it, up to the fence; None: it was closed."""
        bodies = []
        try:
            while not bodies or bodies[-1] != fence:
                packet = self.client.recv()
                if packet.op == Op.DISCONNECT:
                    return None
                bodies.append(packet.body)
        except (Closed, ConnectionError, ssl.SSLError):
            return None
        return bodies


def visit(house, way, mid):
    """What a client does in its life. False: it was closed on the way; that it waits in vain is a TimeoutError."""
    client = None
    try:
        client = Client(way, house.address(way.listener))
        client.send_auth(mid=mid)
        asked = [(Op.HEARTBEAT, b"")] + [(Op.CHANGE_ROOM, b"live://7")] * (way.dialect.name == "v2") + [(Op.HEARTBEAT, b"")]
        for op, body in asked:
            if client.recv().op == Op.DISCONNECT:
                return False
            client.send(op, body)
        return client.recv().op != Op.DISCONNECT
    except (Closed, ConnectionError, ssl.SSLError):
        return False
    except AssertionError as error:  # a goodbye before its handshake, or before its first message, which would be text
        if "HTTP/1.1 503 " not in str(error) and (way.name != "ws-v1-json" or '"code":' not in str(error)):
            raise
        return False
    finally:
        if client is not None:
            client.close()


def push(house, mids, body):
    """Was it accepted? If the answer is another one or none at all, then nobody knows."""
    try:
        reply = house.backend.post("/goim/push/mids", body, operation=1000, mids=mids)
    except (ConnectionError, http.client.HTTPException):
        return False
    return reply.status == 200 and reply.json()["code"] == 0


def ended(house):
    """How many connections came to an end, and in how many other ways a failure shows."""
    metrics = house.metrics()
    said = sum(metrics.total(name) for name in (
        "comet_threads_failed_total", "comet_dropped_total", "comet_pushes_refused_total", "comet_log_lines_lost_total"))
    paused = metrics("comet_accept_paused_total")
    return metrics.total("comet_closed_total") + metrics.total("comet_refused_total") + paused, said


class Life:
    """Guests that stay, visitors that come and go, and a back end that pushes to the guests."""
    MIDS = {"tcp-v2": 1, "ws-v2": 2, "ws-v1-json": 3, "tls-v2": 4, "wss-v2": 5}

    def __init__(self, house, plan, ways):
        self.house, self.plan = house, plan
        self.ways = [BY_NAME[name] for name in ways]
        self.guests = [Guest(house, way, self.MIDS[way.name]) for way in self.ways]
        self.mids = [guest.mid for guest in self.guests]
        self.number = 0
        self.accepted = []  # pushes that the guests have not been asked for yet
        self.unknown = []

    def next_body(self):
        self.number += 1
        return b"%d" % self.number

    def a_moment(self):
        """Everybody does what they do once. How many visitors were lost?"""
        lost = sum(not visit(self.house, way, 100 + i) for i, way in enumerate(self.ways))
        body = self.next_body()
        (self.accepted if push(self.house, self.mids, body) else self.unknown).append(body)
        return lost

    def moment_with_failure(self, call, err, after):
        """Everybody's moment, in which one call fails, and then what must be as if nothing had been. True: one did fail."""
        ended_before, said_before = ended(self.house)
        failed_before = self.plan.failed(call)
        self.plan.fail(call, err, after)
        lost = self.a_moment()
        self.plan.stop(call)
        fence = self.next_body()
        assert push(self.house, self.mids, fence), "a push after the failure is accepted"
        guests_lost = []
        missed = 0
        for guest in self.guests:
            bodies = guest.bodies_up_to(fence)
            if bodies is None:
                guests_lost.append(guest)
                continue
            wanted = self.accepted + [fence]
            bodies = [body for body in bodies if body not in self.unknown]
            assert bodies == [body for body in wanted if body in bodies], f"got {bodies}, wanted {wanted}"
            missed += len(wanted) - len(bodies)
        self.accepted.clear()
        assert len(guests_lost) + lost <= 1, "one failed call costs one connection at the most"
        if missed:
            assert ended(self.house)[1] > said_before, "a message that was lost is counted"
        for guest in guests_lost:
            guest.client.close()
            guest.come()
        self.house.wait_metric("comet_connections", len(self.guests))
        # One that ends in its TLS handshake is no connection yet, and its end may be counted when the client has seen it.
        wait_until(lambda: ended(self.house)[0] >= ended_before + len(self.ways) + len(guests_lost), "each end is counted")
        return self.plan.failed(call) > failed_before

    def close(self):
        for guest in self.guests:
            guest.client.close()


# What the kernel may say to each call.
FAILURES = {
    "accept4": (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.ECONNABORTED),
    "recv": (errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EINTR),
    "send": (errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN),
    "sendmsg": (errno.ENOBUFS, errno.ENOMEM, errno.EAGAIN, errno.EINTR),
    "read": (errno.EINTR,),
    "write": (errno.ENOSPC, errno.EAGAIN, errno.EINTR),
    "setsockopt": (errno.ENOBUFS, errno.ENOMEM),
    "fcntl": (errno.ENOMEM,),
    "pthread_create": (errno.EAGAIN, errno.ENOMEM),
    "mmap": (errno.ENOMEM, errno.EAGAIN),
    "mprotect": (errno.ENOMEM,),
    "madvise": (errno.ENOMEM, errno.EAGAIN),
    "malloc": (errno.ENOMEM,),
    "calloc": (errno.ENOMEM,),
    "realloc": (errno.ENOMEM,),
    "poll": (errno.ENOMEM, errno.EINTR),
    "epoll_create1": (errno.EMFILE, errno.ENFILE),
    "epoll_ctl": (errno.ENOMEM, errno.ENOSPC),
    "epoll_wait": (errno.EINTR,),
    "eventfd": (errno.EMFILE,),
    "open": (errno.EMFILE, errno.ENFILE, errno.ENOMEM),
    "socket": (errno.EMFILE, errno.ENFILE, errno.ENOBUFS),
    "getsockname": (errno.ENOBUFS,),
    "recvmsg": (errno.ENOMEM, errno.ENOBUFS, errno.EINTR),
    "writev": (errno.ENOBUFS, errno.ENOMEM, errno.EINTR),
    "connect": (errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.ETIMEDOUT),
    "bind": (errno.EADDRINUSE, errno.ENOMEM),
    "listen": (errno.EADDRINUSE,),
    "aligned_alloc": (errno.ENOMEM,),
}
FAILURES = {call: errors for call, errors in FAILURES.items() if call not in OF_MEMORY}
calls = pytest.mark.parametrize("call", FAILURES)


def sample(n):
    """Some of the first n calls, evenly."""
    return range(n) if n <= SAMPLE else sorted({int(i * n / SAMPLE) for i in range(SAMPLE)})


def failures(call, seen):
    """Which call fails with what: each with everything where all are tried, else every error in turn."""
    errors = FAILURES[call]
    if SAMPLE > 1000:
        return [(after, err) for err in errors for after in range(seen)]
    return list(zip(sample(seen), itertools.cycle(errors)))


def closed_by(house, *words):
    return sum(value for (name, labels), value in house.metrics().samples.items()
               if name == "comet_closed_total" and any(word in dict(labels)["reason"] for word in words))


@calls
@pytest.mark.parametrize("ways", [("tcp-v2", "ws-v2", "ws-v1-json"), ("tls-v2", "wss-v2")], ids=["plain", "tls"])
def test_any_call_may_fail_once(failing, plan, call, ways):
    if SAMPLE > 1000:
        faulthandler.cancel_dump_traceback_later()  # every single call takes minutes
    house = failing()
    life = Life(house, plan, ways)
    for _ in range(2):  # what is only made once
        life.a_moment()
    seen = plan.seen(call)
    assert life.a_moment() == 0
    seen = plan.seen(call) - seen
    for err in FAILURES[call]:
        for after in sample(seen):
            life.moment_with_failure(call, err, after)
    for guest in life.guests:  # as if nothing had been
        guest.client.heartbeat()
    assert life.a_moment() == 0
    assert closed_by(house, "packet", "proxy", "kicked", "slow") == 0, "what fails is not the client's fault"
    life.close()
    house.wait_empty()
    wait_until(lambda: house.threads() == 0, "all threads are back")


@pytest.mark.parametrize("call", [call for call in ("malloc", "calloc", "realloc", "socket", "connect", "recv", "send", "sendmsg",
                                                    "poll", "fcntl", "pthread_create") if call in FAILURES])
@pytest.mark.parametrize("mode", ["jwt", "webhook"])
def test_any_call_may_fail_once_where_clients_prove_who_they_are(failing, plan, monkeypatch, hook, call, mode):  # noqa: F811
    """Nobody comes in as somebody else, or as nobody, because a token could not be read or asked about."""
    hook.answers = lambda handler: (200, {"allow": True, "mid": int(hook.questions[-1]["token"][5:]), "accepts": [1000]})
    if mode == "jwt":
        settings = {"auth.jwt_keys": f"HS256:{tokens.secret_file()}"}
        monkeypatch.setattr(V2, "token", staticmethod(lambda mid=0, **_: tokens.hs256(mid=mid, accepts=[1000])))
    else:
        settings = {"auth.url": hook.url, "auth.secret": "between us"}
        monkeypatch.setattr(V2, "token", staticmethod(lambda mid=0, **_: b"user-%d" % mid))
    house = failing({"auth.mode": mode, **settings})
    life = Life(house, plan, ("tcp-v2", "ws-v2"))
    for _ in range(2):
        life.a_moment()
    seen = plan.seen(call)
    assert life.a_moment() == 0
    seen = plan.seen(call) - seen
    for after, err in failures(call, seen):
        life.moment_with_failure(call, err, after)
    assert life.a_moment() == 0
    assert closed_by(house, "packet", "proxy", "auth_refused", "expired") == 0, "what fails is not the client's fault"
    life.close()
    house.wait_empty()


# The thread that takes clients in.
ACCEPTS = "accept" if DEFAULTS.get("protocol.park") == "off" or DEFAULTS.get("protocol.baton") == "off" else "waiter"


@pytest.mark.parametrize("call, err, thread", [one for one in (
    ("accept4", errno.EMFILE, ACCEPTS), ("accept4", errno.ENOBUFS, ACCEPTS), ("pthread_create", errno.EAGAIN, ""),
    ("mmap", errno.ENOMEM, ""), ("calloc", errno.ENOMEM, ""), ("malloc", errno.ENOMEM, "")) if one[0] in FAILURES])
def test_what_fails_for_a_while_is_said_and_is_over_when_it_is_over(failing, plan, call, err, thread):
    """Every such call fails, and many come meanwhile: those that are there stay."""
    # A parked newcomer needs no thread.
    house = failing({"log.level": "warn", **({"protocol.park": "off"} if call == "pthread_create" else {})})
    stays = [Client(BY_NAME[name], house.address(BY_NAME[name].listener)).auth(mid=7) for name in ("tcp-v2", "ws-v2")]
    for client in stays:
        client.heartbeat()  # its dispatcher, too, is there
    plan.fail(call, err, times=1 << 30, thread=thread)
    failed = plan.failed(call)
    newcomers = []
    for i in range(20):
        way = BY_NAME[("tcp-v2", "ws-v2", "tls-v2", "wss-v2")[i % 4]]
        newcomers.append(dial(house.address(way.listener)))
        newcomers[-1].settimeout(TIMEOUT)
        newcomers[-1].connect(house.address(way.listener))
        newcomers[-1].send(b"\0" * 40)  # in a log there is then something to read
    if call != "mmap":  # stacks may be left from before
        wait_until(lambda: plan.failed(call) > failed, "something failed")
    if call not in ("calloc", "malloc"):  # those need memory
        for client in stays:
            client.heartbeat()
    before = house.cpu_ticks()
    plan.stop(call)
    for sock in newcomers:
        sock.close()
    assert house.cpu_ticks() - before < 100, "it did not go round and round"
    wait_until(lambda: house.metrics()("comet_connections") <= len(stays), "the newcomers are gone")
    for client in stays:
        client.heartbeat()
        client.close()
    for way in WAYS:
        assert visit(house, way, 9), way.name
    house.wait_empty()
    if call in ("accept4", "pthread_create"):
        assert "limit" in house.log(), house.log()


# ---- start


@calls
def test_any_call_may_fail_at_the_start(plan, tmp_path, call):
    """Then it starts nevertheless, or says why not and ends."""
    assert ends_of_start(plan, tmp_path)[0] == 0
    seen = plan.seen(call)
    if SAMPLE > 1000:
        faulthandler.cancel_dump_traceback_later()
    for after, err in failures(call, seen):
        plan.fail(call, err, after)
        code, said = ends_of_start(plan, tmp_path)
        assert code in (0, 1, 2), (call, after, code, said[-1000:])
        assert code == 0 or said.strip(), (call, after, "ended without a word")
        assert call == "open" or "unopened" not in said and "unreadable" not in said, (call, after, said)
        for sign in ("BUG", "Sanitizer", "runtime error:"):
            assert sign not in said, (call, after, said)
        plan.stop(call)


def ends_of_start(plan, tmp_path):
    """Start it, stop it once it has started; its exit code and all that it said."""
    cert, key = certificate()
    settings = {**DEFAULTS, "tls.cert_file": cert, "tls.private_file": key, "whitelist.log": tmp_path / "whitelist"}
    arguments = [argument for name, value in settings.items() for argument in ("-o", f"{name}={value}")]
    with subprocess.Popen([BUILD / "comet", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, env={**os.environ, **plan.environment}, text=True) as comet:
        said = ""
        for line in comet.stdout:
            said += line
            if line.startswith("listening http "):
                comet.send_signal(signal.SIGTERM)
        return comet.wait(TIMEOUT), said
