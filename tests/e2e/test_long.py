"""What goes on for long: COMET_TEST_SECONDS says for how long, else it is a few seconds. Before and afterwards threads, files and
memory are the same, and a good client is served all the time.

SPDX-License-Identifier: MIT"""
import itertools
import os
import socket
import struct

import pytest

from baseline import Baseline
from client import WAYS, Client
from server import WARM_BYTES
from swarm import Swarm
from waiting import LONG_SECONDS, SPARE_BYTES, TIMEOUT, Deadline, scaled
from wire import noise, upgrade

BY_NAME = {way.name: way for way in WAYS}
DOORS = ("tcp-v2", "ws-v2", "tls-v2", "wss-v2")


def go_on(house, one_round, warm=5):
    """Rounds until the time is over, after a few that count for nothing; a good client is there all the time."""
    good = Client(BY_NAME["tcp-v2"], house.address("tcp")).auth(mid=1)
    for turn in range(warm):
        one_round(turn)
    house.wait_metric("comet_connections", 1)
    baseline = Baseline(house)
    deadline = Deadline(LONG_SECONDS)
    for turn in itertools.count():
        if deadline.passed():
            break
        one_round(turn)
        good.heartbeat()
    house.wait_metric("comet_connections", 1)
    # How much malloc keeps goes by how many come at a time, which differs; a leak grows with the rounds.
    baseline.assert_back(2 * WARM_BYTES + SPARE_BYTES)
    print(f"{turn} rounds in {LONG_SECONDS:.0f} s; {baseline.memory >> 10} KiB of memory before, {house.rss_bytes() >> 10} KiB "
          f"afterwards; {baseline.files} files before, {house.files()} afterwards; "
          f"{house.metrics().total('comet_accepted_total'):.0f} connections")
    good.close()


@pytest.mark.keeps(24)
@pytest.mark.settings("log.level=error")
def test_clients_that_come_and_go_leave_nothing(house):
    def come_and_go(turn):
        for name in DOORS:
            way = BY_NAME[name]
            with Swarm(way, house.address(way.listener), scaled(60, 10), lambda i: {"mid": i + 2, "key": f"k{i}", "room": f"live://{i % 7}"}) as crowd:
                crowd.connect()

    go_on(house, come_and_go)
    metrics = house.metrics()
    assert metrics("comet_rooms") == 0 and metrics("comet_closed_total", reason="no_memory") == 0


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


@pytest.mark.keeps(24)
@pytest.mark.settings("log.level=error", "http.tls_bind=127.0.0.1:0")
@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="the comet's HTTP door")
def test_clients_that_connect_and_reset_leave_nothing(house):
    said = {"tcp": b"\0\0\0", "tcp-tls": b"\x16\x03\x01\x02", "websocket": upgrade()[:50], "websocket-tls": b"\x16\x03\x01\x02",
            "http": b"GET /hea", "http-tls": b"\x16\x03\x01\x02"}

    def connect_and_reset(turn):
        for listener, words in said.items():
            for i in range(scaled(60, 10)):
                sock = socket.create_connection(house.address(listener), timeout=TIMEOUT, source_address=(f"127.0.1.{1 + i % 8}", 0))
                if i % 2:
                    sock.sendall(words)
                reset(sock)

    go_on(house, connect_and_reset)
    metrics = house.metrics()
    assert metrics("comet_closed_total", reason="no_memory") == 0


def test_clients_that_never_read_for_long_cost_what_is_allowed_and_are_closed(launch):
    """Pushed to all the time: until protocol.write_timeout, which is as long as that, they are there, and then they are not."""
    house = launch({"protocol.write_timeout": f"{LONG_SECONDS:.0f}s", "protocol.slow_consumer": "drop", "limits.queued_bytes": "256k",
                    "protocol.svr_proto": "1000", "tcp.sndbuf": "16k", "log.level": "error"})
    good = Client(BY_NAME["ws-v2"], house.address("websocket")).auth(mid=8)
    never = [Client(BY_NAME[name], house.address(BY_NAME[name].listener), rcvbuf=4096).auth(mid=7) for name in DOORS for _ in range(4)]
    before, most = house.rss_bytes(), 0
    # Their kernels may take a piece more before they take nothing, and from then on it counts.
    deadline = Deadline(3 * LONG_SECONDS + TIMEOUT)
    body = noise(20_000).encode()
    with house.backend.kept_alive():
        for number in itertools.count():
            house.backend.push_mids([7, 8], b"%d " % number + body)
            good.expect_push(1000, b"%d " % number + body)
            most = max(most, house.rss_bytes())
            if number % 50 == 0 and house.metrics()("comet_connections") == 1:
                break
            assert not deadline.passed(), "those who never read are still there"
    house.wait_metric("comet_closed_total", len(never), reason="write_timeout")
    assert house.metrics()("comet_dropped_total", reason="queue_full") > 0
    # What may wait for each, as it would if nothing were shared, and what is in the library's and the sockets' hands.
    assert most - before < len(never) * (512 << 10) + WARM_BYTES + SPARE_BYTES
    print(f"{number} pushes to {len(never)} clients that never read, in {LONG_SECONDS:.0f} s; {before >> 10} KiB of memory before, "
          f"{most >> 10} KiB at the most")
    good.heartbeat()
    good.close()
    for client in never:
        client.close()
