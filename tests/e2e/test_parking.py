"""Idle connections have no threads: what strangers, pipeliners and a logic that does not answer cannot do with that.

SPDX-License-Identifier: MIT"""
import os
import signal
import socket
import statistics
import subprocess
import time

import pytest

from client import V2, WAYS, Client, Op, Packet, TcpCodec
from server import BUILD
from test_auth_webhook import hook  # noqa: F401
from waiting import SPARE_BYTES, scaled, wait_until

CORES = len(os.sched_getaffinity(0))
WAITERS = max(CORES, 2)
TCP = next(way for way in WAYS if way.name == "tcp-v2")


@pytest.fixture(autouse=True)
def parks(request):
    if "off" in os.environ.get("COMET_TEST_SETTINGS", ""):
        pytest.skip("two threads a connection")


def waiters(house):
    return house.thread_names().count("waiter")


def pipeline_without_end(address):
    """A process of its own: it sends heartbeats as fast as they are taken, and reads what comes."""
    pid = os.fork()
    if pid != 0:
        return pid
    try:
        client = Client(TCP, address).auth(mid=9, key=f"endless-{os.getpid()}")
        said = TcpCodec().encode(*[Packet(Op.HEARTBEAT, seq=i) for i in range(4096)])
        client.sock.setblocking(False)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                said = said[client.sock.send(said):] or TcpCodec().encode(*[Packet(Op.HEARTBEAT, seq=i) for i in range(4096)])
            except BlockingIOError:
                pass
            try:
                client.sock.recv(1 << 20)
            except BlockingIOError:
                time.sleep(0.0001)
    finally:
        os._exit(0)


def heartbeat_seconds(client, n=40):
    times = []
    for _ in range(n):
        start = time.monotonic()
        client.heartbeat()
        times.append(time.monotonic() - start)
        time.sleep(0.005)
    return statistics.median(times)


@pytest.mark.settings("limits.packets=0")
def test_pipeliners_without_end_hold_nobody_up(house):
    good = Client(TCP, house.address("tcp")).auth(mid=7)
    quiet = heartbeat_seconds(good)
    pids = [pipeline_without_end(house.address("tcp")) for _ in range(WAITERS + 2)]
    try:
        house.wait_metric("comet_online", 1 + len(pids))
        before = house.metrics()("comet_packets_in_total", op="heartbeat")
        wait_until(lambda: house.metrics()("comet_packets_in_total", op="heartbeat") > before + scaled(50000, 1000), "they send")
        assert heartbeat_seconds(good) < max(50 * quiet, 0.05)
        assert waiters(house) <= WAITERS + 1
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    good.close()
    house.wait_empty()


def test_a_logic_that_does_not_answer_holds_so_many_threads_and_no_more(launch, hook, monkeypatch):  # noqa: F811
    monkeypatch.setattr(V2, "token", staticmethod(lambda mid=0, **_: b"user-%d" % mid))
    hook.answers = lambda handler: (200, {"allow": True, "mid": int(hook.questions[-1]["token"][5:])})
    house = launch({"auth.mode": "webhook", "auth.url": hook.url, "auth.secret": "between us", "logic.calls": "8",
                    "auth.timeout": "900ms", "protocol.handshake_timeout": "3s", "log.level": "error"})
    good = Client(TCP, house.address("tcp")).auth(mid=7)
    hook.answers = lambda handler: time.sleep(2)
    strangers = [Client(TCP, house.address("tcp")) for _ in range(scaled(200, 40))]
    for stranger in strangers:
        stranger.send(Op.AUTH, b"user-8", seq=1)
    wait_until(lambda: waiters(house) > WAITERS, "some ask")
    for _ in range(20):
        good.heartbeat()
        assert waiters(house) <= WAITERS + 8
    # Those who have no turn are ended by their deadline, not by when it comes.
    house.wait_metric("comet_connections", 1, timeout=30)
    assert waiters(house) <= WAITERS + 8
    wait_until(lambda: waiters(house) <= WAITERS, "spare threads end")
    hook.answers = lambda handler: (200, {"allow": True, "mid": 9})
    Client(TCP, house.address("tcp")).auth(mid=9).close()
    good.close()
    house.wait_empty()


def test_half_a_million_parkings_leave_nothing(house):
    host, port = house.address("tcp")

    def echo(seconds):
        subprocess.run([BUILD / "comet-cli", "bench", "echo", "-n", "50", "--host", host, "--port", str(port), "--duration",
                        f"{seconds}s"], check=True, capture_output=True, timeout=120)

    echo(1)
    memory, files = house.rss_bytes(), house.files()
    before = house.metrics()("comet_wakes_total")
    while house.metrics()("comet_wakes_total") - before < scaled(500_000, 5_000):
        echo(3)
    house.wait_empty()
    house.wait_metric("comet_parked", 0)
    wait_until(lambda: house.files() <= files + 1, lambda: f"{house.files()} files where {files} were")
    assert house.rss_bytes() - memory < SPARE_BYTES
    assert house.threads() == 0 and waiters(house) == WAITERS


def test_what_stands_behind_an_urgent_byte_is_read_too(house):
    """The kernel ends a read before that byte, which is no part of the stream, with more behind it."""
    client = Client(TCP, house.address("tcp")).auth(mid=7)
    for seq in (1001, 2001, 3001):
        house.freeze()
        client.send(Op.HEARTBEAT, seq=seq)
        client.sock.send(b"!", socket.MSG_OOB)
        client.send(Op.HEARTBEAT, seq=seq + 1)
        house.thaw()
        client.expect(Op.HEARTBEAT_REPLY, seq=seq)
        client.expect(Op.HEARTBEAT_REPLY, seq=seq + 1)
    client.close()
    house.wait_empty()
