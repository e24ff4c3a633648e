"""A heartbeat is answered at once and gives the connection another heartbeat's time; without one it is closed.

SPDX-License-Identifier: MIT"""
import struct

import pytest

from client import Op, Packet
from waiting import Deadline, wait_until


def test_reply_echoes_version_and_sequence(connect):
    client = connect(mid=7)
    for seq, ver in ((0, 0), (1, 1), (2**31 - 1, 2**15 - 1), (-2**31, -2**15), (-1, -1)):
        client.send(Op.HEARTBEAT, seq=seq, ver=ver)
        client.expect(Op.HEARTBEAT_REPLY, seq=seq, ver=ver)


def test_body_of_a_heartbeat_is_taken_and_not_sent_back(connect):
    client = connect(mid=7)
    client.send(Op.HEARTBEAT, b"canary" * 100, seq=5)
    assert b"canary" not in client.expect(Op.HEARTBEAT_REPLY, seq=5).body


@pytest.mark.ways("v1")
def test_v1_reply_has_no_body(connect):
    client = connect(mid=7)
    client.send(Op.HEARTBEAT, seq=9)
    client.expect(Op.HEARTBEAT_REPLY, b"", seq=9)


@pytest.mark.ways("v2")
def test_v2_reply_tells_how_many_are_in_the_room(connect):
    alone = connect(mid=1)
    assert alone.room_count() == 0  # in no room
    first = connect(mid=2, room="live://1")
    wait_until(lambda: first.room_count() == 1, "one in the room")
    second = connect(mid=3, room="live://1")
    wait_until(lambda: first.room_count() == 2 and second.room_count() == 2, "two in the room")
    second.close()
    wait_until(lambda: first.room_count() == 1, "one in the room again")
    assert alone.room_count() == 0


@pytest.mark.ways("v2")
def test_v2_reply_is_twenty_bytes(connect):
    client = connect(mid=2, room="live://1")
    client.send(Op.HEARTBEAT, seq=9)
    body = client.expect(Op.HEARTBEAT_REPLY, seq=9, ver=1).body
    assert struct.unpack(">i", body)[0] in (0, 1)


@pytest.mark.settings("logic.heartbeat=1s", "logic.heartbeat_v1=1s")
def test_silence_is_closed_and_told(connect, house):
    client = connect(mid=7)
    goodbye = client.expect_goodbye()
    assert goodbye["code"] == 9 and "heartbeat" in goodbye["reason"]
    # Our side is still open: the server waits a second for it, not longer.
    house.wait_metric("comet_closed_total", 1, timeout=5, reason="heartbeat_timeout")
    house.wait_metric("comet_online", 0)


@pytest.mark.settings("logic.heartbeat=2s", "logic.heartbeat_v1=2s")  # longer than a busy machine stands still
def test_heartbeats_keep_a_connection_alive_and_other_packets_do_not(connect, house):
    kept = connect(mid=7)
    chatting = connect(mid=8)
    silent = connect(mid=9)
    closed = []

    def others_are_closed():
        kept.heartbeat()
        if chatting not in closed:
            try:
                chatting.send(Op.SEND, b"no heartbeat")
            except ConnectionError:
                closed.append(chatting)
        return house.metrics()("comet_closed_total", reason="heartbeat_timeout") == 2

    wait_until(others_are_closed, "two that sent no heartbeat are closed", pause=0.1)
    # Three more lifetimes of a silent connection, one after the other: the kept one outlives all of them.
    for mid in (10, 11, 12):
        late = connect(mid=mid)
        deadline = Deadline()
        while late is not None and not deadline.passed():
            kept.heartbeat()
            try:
                assert late.recv(timeout=0.2).op == Op.DISCONNECT
                late = None
            except TimeoutError:
                pass
        assert late is None
    kept.heartbeat()
    assert silent.expect_goodbye()["code"] == 9


@pytest.mark.settings("logic.heartbeat=1s", "logic.heartbeat_v1=600s")
@pytest.mark.ways("v1")
def test_v1_clients_have_a_deadline_of_their_own(connect, house):
    client = connect(mid=7)
    v2 = connect.raw()
    v2.send(Op.AUTH, b'{"mid":8,"key":"v2"}')
    assert v2.expect_goodbye()["code"] == 9  # the v2 deadline has passed
    client.heartbeat()


def test_thousand_heartbeats_in_one_write_get_thousand_replies_in_order(connect):
    client = connect(mid=7)
    client.send_packets(*(Packet(Op.HEARTBEAT, seq=i) for i in range(1000)))
    replies = client.recv_many(1000)
    assert [p.seq for p in replies] == list(range(1000))
    assert {p.op for p in replies} == {Op.HEARTBEAT_REPLY}
