"""Who is in a room gets what is pushed to it, from the reply to the change on and until the change away.

SPDX-License-Identifier: MIT"""
import threading

import pytest

from client import Op, Packet
from waiting import scaled, wait_until

pytestmark = pytest.mark.ways("v2")


def online(backend, kind, *rooms):
    return backend.data("/goim/online/room", type=kind, rooms=rooms)


def test_leaving_the_house_leaves_the_room(connect, backend, house):
    first, second = connect(mid=1, room="live://1"), connect(mid=2, room="live://1")
    wait_until(lambda: online(backend, "live", 1) == {"1": 2}, "two are counted")
    first.close()
    wait_until(lambda: online(backend, "live", 1) == {"1": 1}, "one is counted")
    second.close()
    wait_until(lambda: online(backend, "live", 1) == {"1": 0}, "nobody is counted")
    house.wait_metric("comet_rooms", 0)


def test_change_moves_the_count(connect, backend):
    client = connect(mid=1, room="live://1")
    wait_until(lambda: online(backend, "live", 1, 2) == {"1": 1, "2": 0}, "counted in 1")
    client.request(Op.CHANGE_ROOM, b"live://2")
    wait_until(lambda: online(backend, "live", 1, 2) == {"1": 0, "2": 1}, "counted in 2")
    client.request(Op.CHANGE_ROOM)
    wait_until(lambda: online(backend, "live", 1, 2) == {"1": 0, "2": 0}, "counted in none")
    assert client.room_count() == 0


def test_thousand_changes_in_one_write(connect, backend, house):
    client = connect(mid=1, key="k")
    rooms = [b"live://%d" % (i % 7) for i in range(1000)]
    client.send_packets(*(Packet(Op.CHANGE_ROOM, room, i) for i, room in enumerate(rooms)))
    assert [(p.op, p.body, p.seq) for p in client.recv_many(1000)] == [
        (Op.CHANGE_ROOM_REPLY, room, i) for i, room in enumerate(rooms)]
    assert house.metrics()("comet_rooms") == 1
    backend.push_room("live://5", "last")
    client.expect_push(1000, b"last")


@pytest.mark.settings("bucket.size=1")
def test_last_leave_racing_a_join_never_loses_the_newcomer(connect, backend, house):
    """The room that empties and the room that is joined are one and the same, over and over, from both sides."""
    clients = [connect(mid=i, key=f"k{i}") for i in range(1, 5)]
    rounds = scaled(1000, 50)
    # All bounce in and out of one room, a few turns apart, so that it keeps emptying while another comes in.
    bounce = [Packet(Op.CHANGE_ROOM, b"live://1" if i % 2 == 0 else b"", i) for i in range(rounds * 2)]
    failures = []

    def bouncing(client):
        try:
            client.send_packets(*bounce)
            assert [p.seq for p in client.recv_many(rounds * 2)] == list(range(rounds * 2))
        except Exception as error:  # handed to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=bouncing, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert house.metrics()("comet_rooms") == 0
    for client in clients:
        client.request(Op.CHANGE_ROOM, b"live://1")
    backend.push_room("live://1", "all here")
    for client in clients:
        client.expect_push(1000, b"all here")
    assert house.metrics()("comet_rooms") == 1


def test_pushes_while_members_come_and_go(connect, backend, house):
    """Who is in the room over the whole time misses nothing while others join and leave around it."""
    staying = connect(mid=1, key="stays", room="live://1")
    pushes = scaled(300, 30)
    stop = threading.Event()
    failures = []

    def restless(mid):
        try:
            client = connect.raw().auth(mid=mid, key=f"restless-{mid}")
            while not stop.is_set():
                for room in (b"live://1", b"live://2", b""):
                    client.send(Op.CHANGE_ROOM, room)
                    while client.recv().op != Op.CHANGE_ROOM_REPLY:
                        pass
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=restless, args=(mid,)) for mid in (2, 3, 4)]
    for thread in threads:
        thread.start()
    try:
        with backend.kept_alive():
            for i in range(pushes):
                backend.push_room("live://1", str(i))
        assert [p.body for p in staying.recv_many(pushes)] == [b"%d" % i for i in range(pushes)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []


def test_online_top_lists_the_fullest_first(connect, backend):
    for mid, room in enumerate(["live://a"] * 3 + ["live://b"] * 1 + ["live://c"] * 2 + ["chat://d"] * 4):
        connect(mid=mid + 1, room=room)
    wanted = [{"room_id": "a", "count": 3}, {"room_id": "c", "count": 2}]
    wait_until(lambda: backend.data("/goim/online/top", type="live", limit=2) == wanted, "the two fullest live rooms")
    assert backend.data("/goim/online/top", type="nothing", limit=5) == []
