"""accepted x targets = delivered + counted drops, under load, and nobody gets anything twice or out of order.

SPDX-License-Identifier: MIT"""
import random

import pytest

from waiting import TIMEOUT, scaled, wait_until
from wire import noise

ROOMS = 20


def room_of(i):
    return f"live://{i % ROOMS}"


def accounted(house):
    """Deliveries, and messages that a counter says were not delivered."""
    metrics = house.metrics()
    return metrics("comet_delivered_total"), metrics.total("comet_dropped_total")


@pytest.mark.ways("v2")
def test_two_thousand_in_rooms_get_each_message_once_and_in_order(swarm, backend, house):
    n = scaled(2000, 100)
    crowd = swarm(n, lambda i: {"mid": i + 1, "key": f"k{i}", "room": room_of(i)})
    house.wait_metric("comet_online", n)
    wanted = [[] for _ in range(n)]
    chance = random.Random(2)
    with backend.kept_alive():
        for number in range(scaled(400, 40)):
            body = b"%d" % number
            kind = chance.choice(["room"] * 6 + ["keys", "mids", "all"])
            if kind == "room":
                room = chance.randrange(ROOMS)
                targets = range(room, n, ROOMS)
                backend.push_room(room_of(room), body)
            elif kind == "all" and number % 4 == 0:
                targets = range(n)
                backend.push_all(body)
            else:
                targets = chance.sample(range(n), 20)
                if kind == "keys":
                    backend.push_keys([f"k{i}" for i in targets], body)
                else:
                    backend.push_mids([i + 1 for i in targets], body)
            for i in targets:
                wanted[i].append(body)
            crowd.take_what_is_here()
    total = sum(map(len, wanted))
    crowd.pump_received(total)
    for member, bodies in zip(crowd.members, wanted):
        assert [p.body for p in member.packets] == bodies
    house.wait_metric("comet_delivered_total", total)
    assert accounted(house) == (total, 0)


@pytest.mark.ways("v2")
@pytest.mark.settings("protocol.slow_consumer=drop", "protocol.svr_proto=8", "tcp.sndbuf=4k",
                      "protocol.write_timeout=60s")
def test_what_slow_clients_lose_is_counted_one_by_one(swarm, backend, house):
    n = scaled(400, 40)
    crowd = swarm(n, lambda i: {"mid": i + 1, "key": f"k{i}", "room": room_of(i)}, rcvbuf=4096)
    slow = crowd.members[::10]
    for member in slow:
        crowd.stall(member)
    # More than a connection over WebSocket and TLS holds on its way: an outbox of 32, a frame of 64 KiB, a queue of 8 and
    # two small socket buffers.
    pushes = 120
    with backend.kept_alive():
        for number in range(pushes):
            backend.push_all(f"{number:06}{noise(3000)}")
            crowd.pump_received((n - len(slow)) * (number + 1))
    assert accounted(house)[1] > 0, "the test did not make anybody slow"
    for member in slow:
        crowd.resume(member)

    def is_whole():
        crowd.take_what_is_here()
        return crowd.received + accounted(house)[1] == n * pushes

    # The last push may be dropped for somebody a moment after all others have it.
    wait_until(is_whole, lambda: f"{crowd} and {accounted(house)} are {n * pushes}", 4 * TIMEOUT)
    house.wait_metric("comet_delivered_total", crowd.received)
    for member in crowd.members:
        numbers = [int(p.body[:6]) for p in member.packets]
        assert numbers == sorted(set(numbers))
        if member not in slow:
            assert len(numbers) == pushes


@pytest.mark.ways("v2")
def test_sums_hold_while_clients_leave(swarm, backend, house):
    """Who was there when a push was accepted, and leaves before it is written, is in a counter."""
    n = scaled(500, 60)
    crowd = swarm(n, lambda i: {"mid": i + 1, "key": f"k{i}", "room": room_of(i)})
    chance = random.Random(3)
    here = list(crowd.members)
    wanted = {member: [] for member in here}
    targets = 0
    with backend.kept_alive():
        for number in range(n // 3):
            chosen = chance.sample(here, 30)
            backend.push_keys([f"k{member.number}" for member in chosen], b"%d" % number)
            targets += len(chosen)
            for member in chosen:
                wanted[member].append(b"%d" % number)
            leaver = chosen[0]
            here.remove(leaver)
            crowd.leave(leaver, reset=number % 2 == 0)
    house.wait_metric("comet_connections", len(here))
    wait_until(lambda: sum(accounted(house)) == targets, lambda: f"{accounted(house)} make {targets}")
    # Counted after the write, and the kernel may take its time from there.
    crowd.pump(lambda: all(len(member.packets) >= len(wanted[member]) for member in here))
    for member in here:
        assert [p.body for p in member.packets] == wanted[member]
