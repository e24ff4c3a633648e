"""Malformed packets: closed, counted by cause; no byte that the client did not send comes back; nobody else notices.

SPDX-License-Identifier: MIT"""
import itertools

import pytest

from client import HEAD, HEAD_BYTES, Op, Packet
from waiting import wait_until

MAX_BODY = 4096
LENGTHS = [-2**31, -1, 0, 15, 16, HEAD_BYTES + MAX_BODY, HEAD_BYTES + MAX_BODY + 1, 2**31 - 1]
HEAD_LENGTHS = [0, 15, 16, 17, -1]
CANARY = b"\xc5CANARY\xc5"

pytestmark = pytest.mark.ways("tcp-v1", "tcp-v2")


def causes_of(length, head):
    """The close reasons that may be given; none for a good header."""
    causes = set()
    if length < HEAD_BYTES:
        causes.add("packet_length")
    if length > HEAD_BYTES + MAX_BODY:
        causes.add("packet_body")
    if head != HEAD_BYTES:
        causes.add("packet_header")
    return causes


def fill_buffers_with_canaries(connect):
    """Whatever buffer the next client gets has held another client's bytes."""
    body = CANARY * (MAX_BODY // len(CANARY))
    for mid in range(20):
        client = connect(mid=mid)
        for _ in range(3):
            client.send(Op.HEARTBEAT, body)
        client.recv_many(3)
        client.close()


def closed_by_cause(house):
    metrics = house.metrics()
    return {cause: metrics("comet_closed_total", reason=cause) for cause in ("packet_length", "packet_body", "packet_header")}


@pytest.mark.parametrize("after_auth", [True, False], ids=["after-auth", "before-auth"])
def test_every_wrong_header_is_closed_and_counted(connect, house, after_auth):
    fill_buffers_with_canaries(connect)
    good = connect(mid=1000)
    for length, head in itertools.product(LENGTHS, HEAD_LENGTHS):
        causes = causes_of(length, head)
        if not causes:
            continue
        before = closed_by_cause(house)
        client = connect.raw()
        if after_auth:
            client.auth(mid=7)
        client.send_bytes(HEAD.pack(length, head, 1, Op.HEARTBEAT, 1) + b"payload of the peer")
        assert client.expect_closed() == [], (length, head)
        client.close()
        house.wait_metric("comet_connections", 1)
        moved = {cause for cause, count in closed_by_cause(house).items() if count == before[cause] + 1}
        assert len(moved) == 1 and moved <= causes, (length, head, moved)
    good.heartbeat()
    connect(mid=8).heartbeat()


def test_longest_and_shortest_packet_are_good(connect):
    fill_buffers_with_canaries(connect)
    client = connect(mid=7)
    client.send(Op.HEARTBEAT, b"p" * MAX_BODY)
    client.expect(Op.HEARTBEAT_REPLY)
    client.send(Op.HEARTBEAT, b"")
    client.expect(Op.HEARTBEAT_REPLY)


def test_answers_hold_only_bytes_the_client_sent(connect):
    fill_buffers_with_canaries(connect)
    client = connect(mid=7)
    echo, reply = (Op.SEND, Op.SEND_REPLY) if client.dialect.name == "v1" else (Op.SUB, Op.SUB_REPLY)
    for size in (0, 1, 15, 16, 47, 48, 49, 63, 64, 65, 255, 1000, MAX_BODY):
        body = b"e" * size
        answer = client.request(echo, body)
        assert (answer.op, answer.body) == (reply, body)


def test_wrong_header_after_good_packets_in_one_write(connect, house):
    """What came before is answered, what comes after is not looked at."""
    fill_buffers_with_canaries(connect)
    client = connect(mid=7)
    good = b"".join(Packet(Op.HEARTBEAT, seq=i).encode() for i in range(5))
    client.send_bytes(good + HEAD.pack(15, 16, 1, Op.HEARTBEAT, 5) + good)
    packets = client.expect_closed()
    assert [(p.op, p.seq) for p in packets] == [(Op.HEARTBEAT_REPLY, i) for i in range(5)]
    house.wait_metric("comet_closed_total", 1, reason="packet_length")


def test_packet_that_never_ends_waits_for_the_rest_only(connect):
    client, other = connect(mid=7), connect(mid=8)
    client.send_bytes(HEAD.pack(HEAD_BYTES + 100, HEAD_BYTES, 1, Op.HEARTBEAT, 1) + b"x" * 99)
    other.heartbeat()
    client.send_bytes(b"x")
    client.expect(Op.HEARTBEAT_REPLY, seq=1)


@pytest.mark.settings("protocol.max_body=100")
def test_max_body_is_a_setting(connect, house):
    client = connect(mid=7)
    client.send(Op.HEARTBEAT, b"x" * 100)
    client.expect(Op.HEARTBEAT_REPLY)
    client.send(Op.HEARTBEAT, b"x" * 101)
    assert client.expect_closed() == []
    house.wait_metric("comet_closed_total", 1, reason="packet_body")


def test_client_that_resets_in_the_middle_leaves_nothing(connect, house):
    threads, files = house.threads(), house.files()
    for i in range(100):
        client = connect(mid=7)
        client.send_bytes(HEAD.pack(HEAD_BYTES + 100, HEAD_BYTES, 1, Op.HEARTBEAT, 1) + b"x" * i)
        client.reset()
    house.wait_empty()
    assert house.metrics()("comet_online") == 0
    wait_until(lambda: house.files() <= files and house.threads() <= threads, "files and threads are back")
