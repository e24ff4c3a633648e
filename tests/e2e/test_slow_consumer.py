"""A client that does not read harms nobody else. What its queue cannot hold ends it (slow_consumer=disconnect), or is
dropped and counted (slow_consumer=drop).

SPDX-License-Identifier: MIT"""
import pytest

from client import Op, Packet
from waiting import SPARE_BYTES, Deadline, wait_until
from wire import noise

BODY = noise(4000)  # with a number in front; small enough for a queue, large enough to fill a socket soon


def numbers(packets):
    return [int(p.body[:6]) for p in packets if p.op != Op.DISCONNECT]


class SlowlyRead:
    """A good client that is read between pushes, so that only the other one is slow."""

    def __init__(self, client):
        self.client = client
        self.numbers = []

    def catch_up(self, n):
        while len(self.numbers) < n:
            self.numbers += numbers([self.client.recv()])


def push_until(backend, house, good, counter, **labels):
    """Push to users 7 (who does not read) and 8 (the good one) until the counter moves; returns how many."""
    deadline = Deadline()
    n = 0
    with backend.kept_alive():
        while house.metrics()(counter, **labels) == 0:
            assert not deadline.passed(), f"{n} pushes and {counter}{labels} has not moved"
            for _ in range(8):
                backend.push_mids([7, 8], f"{n:06}{BODY}")
                n += 1
            good.catch_up(n)  # arrives while the other one is stuck
    return n


@pytest.mark.own_house
@pytest.mark.settings("tcp.sndbuf=4k", "protocol.svr_proto=16", "protocol.write_timeout=60s")
def test_disconnect_policy_ends_the_slow_and_harms_nobody(connect, backend, house):
    slow, good = connect(mid=7, rcvbuf=4096), SlowlyRead(connect(mid=8))
    n = push_until(backend, house, good, "comet_dropped_total", reason="queue_full")
    assert good.numbers == list(range(n))
    # It reads again: what was queued comes whole and in order, then the reason, then the end.
    packets = slow.expect_closed()
    assert packets[-1].op == Op.DISCONNECT and packets[-1].json()["code"] == 3, packets[-1]
    got = numbers(packets)
    assert got == list(range(len(got))) and len(got) < n
    slow.close()
    house.wait_metric("comet_closed_total", 1, reason="slow_consumer")
    assert "reason=slow_consumer" in house.log()
    metrics = house.metrics()
    assert metrics("comet_delivered_total") == n + len(got)
    assert metrics.total("comet_dropped_total") == n - len(got)


@pytest.mark.own_house
@pytest.mark.settings("tcp.sndbuf=4k", "protocol.svr_proto=16", "protocol.write_timeout=60s",
                      "protocol.slow_consumer=drop")
def test_drop_policy_drops_the_newest_and_counts(connect, backend, house):
    slow, good = connect(mid=7, rcvbuf=4096), SlowlyRead(connect(mid=8))
    n = push_until(backend, house, good, "comet_dropped_total", reason="queue_full")
    got = []

    def all_came_or_were_dropped():
        """The last pushes may still be on their way when the first drop is seen."""
        dropped = int(house.metrics()("comet_dropped_total", reason="queue_full"))
        try:
            while len(got) < n - dropped:
                got.extend(numbers([slow.recv(timeout=0.2)]))
        except TimeoutError:
            return False
        return len(got) == n - dropped

    wait_until(all_came_or_were_dropped, lambda: f"{len(got)} of {n} came, the others were dropped")
    assert got == sorted(set(got)) and got[:10] == list(range(10))
    slow.heartbeat()  # it was not closed, and nothing more comes
    backend.push_mids([7], "000000 welcome back")
    assert slow.recv().body == b"000000 welcome back"
    assert "dropped" in house.log()
    house.wait_metric("comet_delivered_total", n + len(got) + 1)  # counted after the client has it


@pytest.mark.settings("tcp.sndbuf=4k", "protocol.write_timeout=2s")
def test_client_that_takes_nothing_is_closed_after_write_timeout(connect, backend, house):
    slow, good = connect(mid=7, rcvbuf=4096), connect(mid=8)
    with backend.kept_alive():
        for _ in range(40):
            backend.push_mids([7], BODY)
    assert house.metrics()("comet_online") == 2, "all of them were accepted while it was there"
    house.wait_metric("comet_closed_total", 1, reason="write_timeout")
    backend.push_mids([8], "meanwhile")
    good.expect_push(1000, b"meanwhile")
    packets = slow.expect_closed()
    house.wait_metric("comet_delivered_total", len(packets) + 1)  # counted after the client has it
    assert house.metrics().total("comet_dropped_total") == 40 - len(packets)


@pytest.mark.own_house
@pytest.mark.settings("tcp.sndbuf=4k", "tcp.rcvbuf=4k", "protocol.write_timeout=1s")
def test_client_that_asks_and_does_not_read_the_answers_is_held_back_then_closed(connect, backend, house):
    """Its packets wait in its own socket: the server's memory does not grow with them."""
    good = connect(mid=8)
    flood = connect(mid=7, rcvbuf=4096)
    before = house.rss_bytes()
    packets = flood.encode(*(Packet(Op.HEARTBEAT, seq=i) for i in range(10000)))
    flood.sock.setblocking(False)

    def closed():
        good.heartbeat()
        try:
            flood.sock.send(packets)
        except BlockingIOError:
            pass
        except ConnectionError:
            return True
        return house.metrics()("comet_closed_total", reason="write_timeout") == 1

    wait_until(closed, "the flooding client is closed")
    house.wait_metric("comet_closed_total", 1, reason="write_timeout")
    assert house.metrics()("comet_bytes_in_total") < 1 << 20, "the server stopped reading from it"
    assert house.rss_bytes() - before < SPARE_BYTES
    good.heartbeat()


@pytest.mark.settings("tcp.sndbuf=4k", "protocol.write_timeout=60s")
def test_others_get_their_pushes_while_one_is_stuck(swarm, backend, house):
    """Not only afterwards: the stuck client's dispatcher waits alone."""
    crowd = swarm(50, lambda i: {"mid": i + 1, "key": f"k{i}", "room": "live://1"}, rcvbuf=4096)
    stuck = crowd.members[0]
    crowd.stall(stuck)
    with backend.kept_alive():
        for _ in range(60):
            backend.push_mids([1], BODY)
        for i in range(20):
            backend.push_all(f"{i:06}")
            crowd.pump_received(49 * (i + 1))
    assert house.metrics()("comet_closed_total", reason="write_timeout") == 0, "it was stuck the whole time"
    for member in crowd.members[1:]:
        assert numbers(member.packets) == list(range(20))
