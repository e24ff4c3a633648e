"""Where the log goes may fail: a full disk, a reader that has gone, no stderr at all. Clients notice nothing, and the lines
that are lost are counted.

SPDX-License-Identifier: MIT"""
import os
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from backend import Backend
from client import WAYS, Client
from scrape import Metrics
from server import BUILD, DEFAULTS, Comet, certificate
from waiting import TIMEOUT, wait_until

pytestmark = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE", "alone") != "alone", reason="it is for one process")


class Mute:
    """A comet whose standard files are what the test wants; None: closed. It cannot say where it listens, so that is looked
    up."""

    def __init__(self, **files):
        cert, key = certificate()
        settings = {**DEFAULTS, "tls.cert_file": cert, "tls.private_file": key, "log.level": "debug",
                    "tcp.tls_bind": "", "websocket.tls_bind": "", "protocol.handshake_timeout": "1s"}
        self.closed = [number for number, name in enumerate(("stdin", "stdout", "stderr")) if files.get(name) is None]
        arguments = [argument for name, value in settings.items() for argument in ("-o", f"{name}={value}")]
        self.process = subprocess.Popen([BUILD / "comet", *arguments], preexec_fn=self._in_the_child, **files)
        self.pid = self.process.pid
        self.ports = {}
        try:
            wait_until(self._look_up, lambda: f"four listeners of {self.pid}: {self.ports}")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.backend = Backend(self.address("http"))

    def _in_the_child(self):
        Comet._with_parent()
        for number in self.closed:
            os.close(number)

    def address(self, listener):
        return "127.0.0.1", self.ports[listener]

    def _look_up(self):
        """The ports are known by what they say."""
        assert self.process.poll() is None, f"comet ended with {self.process.returncode}"
        for port in listening(self.pid) - set(self.ports.values()):
            self.ports[what_listens(port)] = port
        return {"tcp", "websocket", "http"} <= self.ports.keys()

    def metrics(self):
        return Metrics(self.backend.get("/metrics").body.decode())

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(2 * TIMEOUT)


def listening(pid):
    inodes = set()
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        try:
            inodes |= set(re.findall(r"socket:\[(\d+)\]", os.readlink(link)))
        except OSError:
            pass
    rows = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].partition(":")[2], 16) for row in rows if row[3] == "0A" and row[9] in inodes}


def what_listens(port):
    with socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        said = b""
        try:
            while more := sock.recv(4096):
                said += more
        except ConnectionError:
            pass
    return "http" if said.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")) else "websocket" if said else "tcp"


@pytest.fixture
def mute():
    started = []

    def start(**files):
        started.append(Mute(**files))
        return started[-1]

    yield start
    for comet in started:
        if comet.process.poll() is None:
            comet.process.kill()
            comet.process.wait()


def use(comet):
    """Clients of both doors, those that are refused included; nothing but the protocol comes to them."""
    for way in WAYS:
        if way.listener not in ("tcp", "websocket"):
            continue
        client = Client(way, comet.address(way.listener)).auth(mid=7)
        for i in range(20):
            wrong = Client(way, comet.address(way.listener))
            wrong.send_bytes(b"\xff" * 40)
            wrong.close()
        comet.backend.push_mids([7], b"1")
        client.expect_push(1000, b"1")
        client.heartbeat()
        client.close()


def lost(comet):
    return comet.metrics()("comet_log_lines_lost_total")


def test_full_disk_under_the_log_is_counted(mute):
    with open("/dev/full", "wb") as full:
        comet = mute(stdin=subprocess.DEVNULL, stdout=full, stderr=full)
    use(comet)
    assert lost(comet) > 20
    assert comet.stop() == 0


@pytest.mark.ways("tcp-v2", "ws-v2")
@pytest.mark.settings("whitelist.list=traced", "whitelist.log=/dev/full")
def test_full_disk_under_the_whitelist_log_is_counted(connect, house, backend):
    traced, other = connect(mid=7, key="traced"), connect(mid=8, key="other")
    assert lost(house) > 0
    before = lost(house)
    for client, grows in ((other, False), (traced, True)):
        for i in range(5):
            client.heartbeat()
            backend.push_keys([client.key], f"{i}")
            client.expect_push(1000, b"%d" % i)
        assert (lost(house) > before) == grows, "only what is traced is lost"
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_done" in house.log(), "the other log still takes lines")
    assert "traced" not in house.log()


def test_reader_of_the_log_that_has_gone_is_counted(mute):
    read, write = os.pipe()
    comet = mute(stdin=subprocess.DEVNULL, stdout=write, stderr=write)
    os.close(write)
    assert lost(comet) == 0
    os.close(read)
    use(comet)
    assert lost(comet) > 20
    assert comet.stop() == 0


def test_reader_of_the_log_that_does_not_read_holds_nothing_up(mute):
    read, write = os.pipe()
    comet = mute(stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=write)
    os.close(write)
    wait_until(lambda: use(comet) or lost(comet) > 0, "the pipe is full")
    use(comet)
    os.close(read)
    assert comet.stop() == 0


@pytest.mark.parametrize("given", [("stdin",), ("stdin", "stdout"), ("stdin", "stderr"), ()],
                         ids=["only stdin", "no stderr", "no stdout", "none"])
def test_closed_standard_files_are_nobody_elses(mute, given):
    """Else the next socket would be number 2, and some client would get the log."""
    comet = mute(**{name: subprocess.DEVNULL for name in given})
    for number in range(3):
        assert not os.readlink(f"/proc/{comet.pid}/fd/{number}").startswith(("socket:", "anon_inode:"))
    use(comet)
    assert comet.stop() == 0
