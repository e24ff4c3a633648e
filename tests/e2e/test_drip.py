"""Those who feed the server a byte at a time: at each stage of coming in they end at their deadline, which no byte puts off, and
its reason is counted. Once they are in, a packet may take its time, for its client says with heartbeats that it lives.

SPDX-License-Identifier: MIT"""
import os
import select
import socket
import ssl
import time

import pytest

from client import WAYS, Client, Op, Packet
from test_tls import context
from test_websocket import Bare
from waiting import SANITIZED, TIMEOUT, Deadline
from wire import Opcode, frame, upgrade

BY_NAME = {way.name: way for way in WAYS}

# Between two bytes of each; a deadline that each byte put off would never come.
PAUSE = 0.05
PATIENCE = 4 if SANITIZED else 1


def tls_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context().wrap_bio(incoming, outgoing).do_handshake()
    return outgoing.read()


class Dripper:
    """A socket that says these bytes one at a time, from when it has said `first` at once; what comes is thrown away."""

    def __init__(self, sock, said, first=0):
        self.sock = sock
        self.began = time.monotonic()
        self.lasted = None
        sock.sendall(said[:first])
        self.rest = iter(said[first:])
        sock.setblocking(False)

    def drip(self):
        try:
            byte = next(self.rest, None)
            assert byte is not None, "it has said all of it"
            self.sock.send(bytes([byte]))
            while self.sock.recv(4096):
                pass
            self._ended()
        except (BlockingIOError, ssl.SSLWantReadError):
            pass
        except (ConnectionError, ssl.SSLError):
            self._ended()

    def _ended(self):
        self.lasted = time.monotonic() - self.began
        self.sock.close()


def drip_to_the_end(drippers, seconds):
    """All of them, from this one thread, until each was closed."""
    deadline = Deadline(seconds)
    while dripping := [one for one in drippers if one.lasted is None]:
        assert not deadline.passed(), f"{len(dripping)} are still dripping after {seconds} s"
        for one in dripping:
            one.drip()
        select.select([], [], [], PAUSE)


LONG = b"x" * 2000
STAGES = {
    "a packet's header": ("tcp", Packet(Op.HEARTBEAT, LONG).encode()),
    "an AUTH": ("tcp", Packet(Op.AUTH, LONG).encode()),
    "a TLS hello": ("tcp-tls", None),
    "a request": ("websocket", upgrade(X=LONG.decode())),
    "a TLS hello before a request": ("websocket-tls", None),
}


@pytest.mark.settings(f"protocol.handshake_timeout={PATIENCE}s", f"http.timeout={PATIENCE}s", "http.tls_bind=127.0.0.1:0", "log.level=error")
@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="the comet's HTTP door")
def test_who_drips_on_the_way_in_ends_at_the_deadline_that_no_byte_puts_off(house):
    good = Client(BY_NAME["tcp-v2"], house.address("tcp")).auth(mid=1)
    hello = tls_hello()
    drippers = [Dripper(socket.create_connection(house.address(listener), timeout=TIMEOUT), said or hello)
                for listener, said in STAGES.values() for _ in range(5)]
    for _ in range(5):  # through the WebSocket handshake, then a frame with an AUTH
        client = Bare(house).open()
        drippers.append(Dripper(client.sock, frame(Opcode.BINARY, Packet(Op.AUTH, LONG).encode())))
    for tls in ("tcp-tls", "websocket-tls"):  # through the handshake of TLS, then what comes next
        said = STAGES["an AUTH" if tls == "tcp-tls" else "a request"][1]
        drippers += [Dripper(context().wrap_socket(socket.create_connection(house.address(tls), timeout=TIMEOUT)), said) for _ in range(5)]
    n = len(drippers)
    callers = [Dripper(socket.create_connection(house.address(listener), timeout=TIMEOUT), said) for _ in range(5)
               for listener, said in (("http", b"GET /" + LONG), ("http-tls", hello))]
    drip_to_the_end(drippers + callers, PATIENCE + TIMEOUT)
    house.wait_metric("comet_closed_total", n, reason="handshake_timeout")
    house.wait_metric("comet_http_late_total", len(callers))
    assert min(one.lasted for one in drippers + callers) > 0.5 * PATIENCE
    good.heartbeat()
    house.wait_metric("comet_connections", 1)
    assert house.metrics()("comet_authenticated_total") == 1
    good.close()


@pytest.mark.settings("logic.heartbeat=1s", "log.level=error")
def test_who_drips_a_packet_once_in_ends_when_its_heartbeat_is_missed(house):
    """What drips is no heartbeat, whatever it may become."""
    good = Client(BY_NAME["tcp-v2"], house.address("tcp")).auth(mid=1)
    drippers = []
    for name in ("tcp-v2", "tls-v2", "ws-v2"):
        for _ in range(5):
            way = BY_NAME[name]
            if name == "ws-v2":
                client = Bare(house).open()
                client.say(frame(Opcode.BINARY, Packet(Op.AUTH, way.dialect.token(mid=7), seq=1).encode()))
                client.hear()
                drippers.append(Dripper(client.sock, frame(Opcode.BINARY, Packet(Op.HEARTBEAT, LONG).encode())))
            elif name == "tls-v2":
                sock = context().wrap_socket(socket.create_connection(house.address("tcp-tls"), timeout=TIMEOUT))
                auth = Packet(Op.AUTH, way.dialect.token(mid=7)).encode()
                drippers.append(Dripper(sock, auth + Packet(Op.HEARTBEAT, LONG).encode(), len(auth)))
            else:
                client = Client(way, house.address("tcp")).auth(mid=7)
                drippers.append(Dripper(client.sock, Packet(Op.HEARTBEAT, LONG).encode()))

    class Beating:
        """The good one, in the same thread."""
        lasted = None

        def drip(self):
            good.heartbeat()
            if all(one.lasted is not None for one in drippers):
                self.lasted = 0

    drip_to_the_end([*drippers, Beating()], 2 * TIMEOUT)
    house.wait_metric("comet_closed_total", len(drippers), reason="heartbeat_timeout")
    house.wait_metric("comet_connections", 1)
    good.close()
