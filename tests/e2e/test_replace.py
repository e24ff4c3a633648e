"""A second connection with a key that is online replaces the first, whose late end must not unregister the second.

SPDX-License-Identifier: MIT"""
import pytest

from client import Op
from waiting import scaled, wait_until

pytestmark = pytest.mark.ways("v2")


def test_first_is_told_and_second_is_reachable(connect, backend, house):
    first = connect(mid=7, key="k", room="live://1")
    second = connect(mid=7, key="k", room="live://1")
    goodbye = first.expect_goodbye()
    assert goodbye["code"] == 2 and "replaced" in goodbye["reason"]
    first.close()
    house.wait_metric("comet_closed_total", 1, reason="replaced")
    house.wait_metric("comet_connections", 1)
    for push in (lambda: backend.push_keys(["k"], "x"), lambda: backend.push_mids([7], "x"),
                 lambda: backend.push_room("live://1", "x"), lambda: backend.push_all("x")):
        push()
        second.expect_push(1000, b"x")
    second.heartbeat()
    assert house.metrics()("comet_online") == 1


def test_late_disconnect_of_the_first_does_not_unregister_the_second(connect, backend, house):
    first = connect(mid=7, key="k")
    second = connect(mid=7, key="k")
    first.expect(Op.DISCONNECT)
    # The server waits for the client's own close; it comes only now that the second is long registered.
    second.heartbeat()
    first.reset()
    house.wait_metric("comet_connections", 1)
    backend.push_keys(["k"], "by key")
    backend.push_mids([7], "by mid")
    second.expect_push(1000, b"by key")
    second.expect_push(1000, b"by mid")


def test_first_that_never_reads_does_not_hold_up_the_second(connect, backend, house):
    first = connect(mid=7, key="k", rcvbuf=4096)
    for _ in range(30):
        backend.push_keys(["k"], "x" * 65536)  # more than its socket takes: its dispatcher is stuck in a write
    second = connect(mid=7, key="k")
    backend.push_keys(["k"], "to the second")
    while (packet := second.recv()).body != b"to the second":
        assert packet.body == b"x" * 65536  # was still on its way to whoever has the key
    first.reset()
    house.wait_metric("comet_connections", 1)
    backend.push_keys(["k"], "still there")
    second.expect_push(1000, b"still there")


def test_key_of_another_user_changes_its_owner(connect, backend, house):
    first = connect(mid=7, key="k")
    second = connect(mid=8, key="k")
    first.expect_goodbye()
    first.close()
    house.wait_metric("comet_connections", 1)
    backend.push_mids([7], "to the old owner")
    backend.push_mids([8], "to the new owner")
    second.expect_push(1000, b"to the new owner")


@pytest.mark.keeps(32)
def test_thousand_sockets_with_one_key_leave_one_that_is_reachable(swarm, backend, house):
    n = scaled(1000, 50)
    crowd = swarm(n, lambda i: {"mid": 7, "key": "the same"})
    crowd.pump(lambda: sum(not m.closed for m in crowd.members) == 1)
    survivor = next(m for m in crowd.members if not m.closed)
    house.wait_metric("comet_connections", 1)
    house.wait_metric("comet_online", 1)
    assert house.metrics()("comet_closed_total", reason="replaced") == n - 1
    for m in crowd.members:
        if m is not survivor:
            assert m.said_goodbye() and m.said_goodbye()["code"] == 2, m.packets
    backend.push_keys(["the same"], "by key")
    backend.push_mids([7], "by mid")
    crowd.pump(lambda: len(survivor.packets) == 2)
    assert [p.body for p in survivor.packets] == [b"by key", b"by mid"]
    wait_until(lambda: backend.data("/goim/online/total")["conn_count"] == 1, "one is counted online")


def test_key_is_free_again_after_its_connection_has_left(connect, backend, house):
    for i in range(20):
        client = connect(mid=7, key="k")
        backend.push_keys(["k"], str(i))
        client.expect_push(1000, b"%d" % i)
        client.close()
        house.wait_empty()
    assert house.metrics()("comet_replaced_total") == 0
