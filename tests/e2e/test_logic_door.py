"""comet-logic's own door: what a comet's HTTP port bears its port bears, too, over TLS as well, and a log that is lost is counted.

SPDX-License-Identifier: MIT"""
import os
import signal
import socket
import ssl
import subprocess

import pytest

from backend import Backend
from scrape import Metrics
from server import BUILD, Comet, certificate
from test_hostile_http import BROKEN, counted, hear, statuses
from test_http_tls import ask
from test_tls import context
from waiting import TIMEOUT, scaled, wait_until

pytestmark = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") != "cluster", reason="it is about comet-logic")


class Logic:
    """One more comet-logic of the house's cluster."""

    def __init__(self, house, stderr=subprocess.DEVNULL, **settings):
        cert, key = certificate()
        asked = {"redis.addr": house.settings["redis.addr"], "http.bind": "127.0.0.1:0", "tls.cert_file": cert, "tls.private_file": key,
                 "log.level": "debug", **{name.replace("_", ".", 1): value for name, value in settings.items()}}
        arguments = [argument for name, value in asked.items() for argument in ("-o", f"{name}={value}")]
        self.process = subprocess.Popen([BUILD / "comet-logic", *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=stderr, text=True, preexec_fn=Comet._with_parent)
        self.addresses = {}
        wanted = {"http"} | ({"http-tls"} if "http_tls_bind" in settings else set())
        while not wanted <= self.addresses.keys():
            word, name, address = self.process.stdout.readline().split()
            assert word == "listening"
            host, _, port = address.rpartition(":")
            self.addresses[name] = host, int(port)
        self.backend = Backend(self.addresses["http"])
        wait_until(lambda: self.backend.get("/readyz").status == 200, "it has found Redis")

    def metrics(self):
        return Metrics(self.backend.get("/metrics").body.decode())

    def files(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def wait_metric(self, name, value):
        wait_until(lambda: self.metrics()(name) == value, lambda: f"{name} is {value}, it is {self.metrics()(name)}", pause=0.02)

    def good_call(self):
        self.backend.push_all("good")

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(2 * TIMEOUT)


@pytest.fixture
def logic(house):
    started = []

    def start(**more):
        started.append(Logic(house, **more))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()
        one.process.stdout.close()


def test_broken_requests_to_a_logic_are_answered_or_closed_and_counted(logic):
    door = logic(http_max_body="2k", http_timeout="2s")
    files = door.files()
    for name, (said, answers, counts) in BROKEN.items():
        before = door.metrics()
        with socket.create_connection(door.addresses["http"], timeout=TIMEOUT) as sock:
            try:
                sock.sendall(said)
                sock.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # it has closed already
            seen = statuses(hear(sock))
        assert seen == answers if answers is not None else all(400 <= status < 600 for status in seen), (name, seen)
        for what, label in counts.items():
            wait_until(lambda: counted(door.metrics(), what, label) >= counted(before, what, label) + 1, f"{name}: {what} {label} grows")
        door.good_call()
    wait_until(lambda: door.files() <= files + 1, "their files are closed")
    assert door.stop() == 0


def test_logic_speaks_tls_and_has_no_patience_with_what_is_none(logic):
    door = logic(http_tls_bind="127.0.0.1:0", http_timeout="1s", http_api_key="s3cret")
    door.backend.api_key = "s3cret"
    files = door.files()

    def dial():
        return context().wrap_socket(socket.create_connection(door.addresses["http-tls"], timeout=TIMEOUT))

    with dial() as sock:
        assert ask(sock, "POST", "/goim/push/all?operation=1000", b"x")[0] == 401
        assert ask(sock, "POST", "/goim/push/all?operation=1000", b"x", ["X-Api-Key: s3cret"])[0] == 200
    half = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context().wrap_bio(*half).do_handshake()
    hello = half[1].read()
    unanswered = door.metrics()("comet_http_unanswered_total")
    with socket.create_connection(door.addresses["http-tls"], timeout=TIMEOUT) as sock:
        sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not hear(sock).startswith(b"HTTP")
    wait_until(lambda: door.metrics()("comet_http_unanswered_total") > unanswered, "it is counted")
    n = scaled(50, 10)
    slow = [socket.create_connection(door.addresses["http-tls"], timeout=TIMEOUT) for _ in range(n)]
    for i, sock in enumerate(slow):
        sock.sendall(hello[:(0, 1, 5, 100, len(hello))[i % 5]])
    with dial() as sock:
        assert ask(sock)[0] == 200
    door.wait_metric("comet_http_late_total", n)
    for sock in slow:
        sock.close()
    wait_until(lambda: door.files() <= files + 1, "their files are closed")
    assert door.stop() == 0


def test_full_disk_under_the_log_of_a_logic_is_counted(logic):
    with open("/dev/full", "wb") as full:
        door = logic(stderr=full)
    lost = door.metrics()("comet_log_lines_lost_total")
    for _ in range(20):
        door.good_call()
    assert door.metrics()("comet_log_lines_lost_total") >= lost + 20
    assert door.stop() == 0
