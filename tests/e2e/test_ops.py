"""Every operation of both dialects: what a client says, and what it gets for it.

SPDX-License-Identifier: MIT"""
import pytest

from client import Op, Packet


@pytest.fixture
def fence(backend):
    """Everything that was pushed to a client before is what fence(client) returns: pushes keep their order."""
    def wait(client):
        if client.key:
            backend.push_keys([client.key], "fence", op=client.dialect.fence_op)
        else:
            backend.push_mids([client.mid], "fence", op=client.dialect.fence_op)
        packets = []
        while True:
            packet = client.recv()
            if packet.body == b"fence":
                return packets
            packets.append(packet)
    return wait


class TestV1:
    pytestmark = pytest.mark.ways("v1")

    @pytest.mark.ways("tcp-v1", "ws-v1")
    def test_send_is_answered_with_its_body(self, connect):
        client = connect(mid=7)
        for body in (b"", b"x", b"\0\xff" * 700, b"y" * 4096):
            reply = client.request(Op.SEND, body)
            assert (reply.op, reply.body, reply.ver) == (Op.SEND_REPLY, body, 1)

    @pytest.mark.ways("ws-v1-json", "wss-v1-json")
    def test_send_is_answered_with_its_json(self, connect):
        client = connect(mid=7)
        for body in (b"{}", b"12", b"[1, 2]", b'{"a": "b"}', b"y" * 4094):
            reply = client.request(Op.SEND, body)
            assert (reply.op, reply.body or b"{}", reply.ver) == (Op.SEND_REPLY, body, 1)

    def test_test_says_come_on(self, connect):
        reply = connect(mid=7).request(Op.TEST, b"anything")
        assert (reply.op, reply.body) == (Op.TEST_REPLY, b'{"test":"come on"}')

    def test_what_v1_does_not_know_closes(self, connect, house):
        unknown = (Op.AUTH, Op.CHANGE_ROOM, Op.SUB, Op.UNSUB, Op.HEARTBEAT_REPLY, Op.RAW, 0, -1, 1000, 2**31 - 1)
        for turn, op in enumerate(unknown, 1):
            client = connect(mid=7)
            client.send(op, b"7")
            assert client.expect_closed() == [], op
            house.wait_metric("comet_closed_total", turn, reason="packet_op")
            connect(mid=8).heartbeat()


class TestV2:
    pytestmark = pytest.mark.ways("v2")

    def test_what_v2_does_not_know_goes_to_logic_and_is_answered_empty(self, connect):
        client = connect(mid=7)
        for op in (Op.SEND, Op.TEST, Op.HEARTBEAT_REPLY, Op.DISCONNECT, Op.RAW, 0, -1, 1000, 2**31 - 1, -2**31):
            reply = client.request(op, b"for the back end")
            assert (reply.op, reply.body, reply.ver) == (op, b"", 1)
            client.heartbeat()

    def test_second_auth_changes_nobody(self, connect, backend):
        client = connect(mid=7, key="seven")
        client.request(Op.AUTH, client.dialect.token(mid=8, key="eight"))
        backend.push_keys(["eight", "seven"], "to keys")
        backend.push_mids([8, 7], "to mids")
        client.expect_push(1000, b"to keys")
        client.expect_push(1000, b"to mids")

    def test_change_room_echoes_and_moves(self, connect, backend, fence):
        client = connect(mid=7, key="k", room="live://1")
        reply = client.request(Op.CHANGE_ROOM, b"live://2")
        assert (reply.op, reply.body) == (Op.CHANGE_ROOM_REPLY, b"live://2")
        backend.push_room("live://1", "left behind")
        backend.push_room("live://2", "here")
        assert [p.body for p in fence(client)] == [b"here"]
        reply = client.request(Op.CHANGE_ROOM, b"")
        assert (reply.op, reply.body) == (Op.CHANGE_ROOM_REPLY, b"")
        backend.push_room("live://2", "left behind, too")
        assert fence(client) == []

    def test_change_to_the_same_room_stays(self, connect, backend, fence):
        client = connect(mid=7, key="k", room="live://1")
        client.request(Op.CHANGE_ROOM, b"live://1")
        backend.push_room("live://1", "once")
        assert [p.body for p in fence(client)] == [b"once"]

    def test_room_that_cannot_be_closes_with_words(self, connect, house):
        for turn, room in enumerate((b"r" * 256, b"r" * 4096, b"a\0b", b"a\r\nb", b"\x7f", b"live://\xff"), 1):
            client = connect(mid=7)
            client.send(Op.CHANGE_ROOM, room)
            assert client.expect_goodbye()["code"] == 10, room
            house.wait_metric("comet_closed_total", turn, reason="bad_room")

    def test_odd_room_is_a_room_like_others(self, connect):
        for room in (b"://", b"#", b"*", b"{}", b"live", "räume://ß".encode(), b"r" * 255):
            client = connect(mid=7)
            assert client.request(Op.CHANGE_ROOM, room).body == room

    def test_sub_adds_and_unsub_takes_away(self, connect, backend, fence):
        client = connect(mid=7, key="k", accepts=[9999])
        backend.push_keys(["k"], "too early", op=2000)
        assert fence(client) == []
        reply = client.request(Op.SUB, b"2000,2001")
        assert (reply.op, reply.body) == (Op.SUB_REPLY, b"2000,2001")
        backend.push_keys(["k"], "2000", op=2000)
        backend.push_mids([7], "2001", op=2001)
        backend.push_all("2002", op=2002)
        assert [(p.op, p.body) for p in fence(client)] == [(2000, b"2000"), (2001, b"2001")]
        reply = client.request(Op.UNSUB, b"2000")
        assert (reply.op, reply.body) == (Op.UNSUB_REPLY, b"2000")
        backend.push_keys(["k"], "2000", op=2000)
        backend.push_keys(["k"], "2001", op=2001)
        assert [p.op for p in fence(client)] == [2001]

    def test_malformed_list_changes_nothing_and_is_echoed(self, connect, backend, fence):
        client = connect(mid=7, key="k", accepts=[9999, 3000])
        for ops in (b"2000,", b",2000", b"2000,,2001", b"2000 2001", b"2000,x", b"x", b" 2000", b"2000;2001",
                    b"99999999999", b"2000,2001\0", b"0x7d0", b",", b"2000," * 800 + b"x"):
            for op, reply_op in ((Op.SUB, Op.SUB_REPLY), (Op.UNSUB, Op.UNSUB_REPLY)):
                reply = client.request(op, ops)
                assert (reply.op, reply.body) == (reply_op, ops)
                for pushed in (2000, 2001, 3000):
                    backend.push_keys(["k"], "x", op=pushed)
                assert [p.op for p in fence(client)] == [3000], (op, ops)

    def test_empty_list_changes_nothing(self, connect, backend, fence):
        client = connect(mid=7, key="k", accepts=[9999, 3000])
        assert client.request(Op.SUB).op == Op.SUB_REPLY
        assert client.request(Op.UNSUB).op == Op.UNSUB_REPLY
        backend.push_keys(["k"], "x", op=3000)
        assert [p.op for p in fence(client)] == [3000]

    def test_sub_of_more_than_a_connection_may_hold_changes_nothing(self, connect, backend, fence):
        client = connect(mid=7, key="k", accepts=[9999])
        many = b",".join(b"%d" % op for op in range(2000, 2800))
        assert client.request(Op.SUB, many).body == many
        backend.push_keys(["k"], "x", op=2000)
        assert fence(client) == []
        # Packet after packet does not get further.
        for start in range(2000, 2800, 100):
            client.request(Op.SUB, b",".join(b"%d" % op for op in range(start, start + 100)))
        backend.push_keys(["k"], "x", op=2000)
        backend.push_keys(["k"], "x", op=2799)
        assert [p.op for p in fence(client)] == [2000]

    @pytest.mark.settings("protocol.max_body=1m")
    def test_hundred_thousand_operations_at_once_change_nothing_and_are_echoed(self, connect, house, backend, fence):
        client = connect(mid=7, key="k", accepts=[9999, 3000])
        many = b",".join(b"%d" % op for op in range(2000, 102_000))
        for turn, (op, reply_op) in enumerate(((Op.SUB, Op.SUB_REPLY), (Op.UNSUB, Op.UNSUB_REPLY)), 1):
            reply = client.request(op, many)
            assert (reply.op, reply.body) == (reply_op, many)
            house.wait_metric("comet_limited_total", turn, limit="accepts")
        for op in (2000, 3000, 101_999):
            backend.push_keys(["k"], "x", op=op)
        assert [p.op for p in fence(client)] == [3000]

    @pytest.mark.settings("protocol.max_body=1m")
    def test_rooms_of_64_kib_are_refused_with_words_whatever_they_are_made_of(self, connect, house):
        good = connect(mid=8, room="live://1")
        pieces = (b"r", b"\0", b"\r\n", b"#", b"*", b"{}", b"://", "ß".encode(), b"\xff")
        for turn, piece in enumerate(pieces, 1):
            room = piece * (65536 // len(piece))
            client = connect(mid=7)
            client.send(Op.CHANGE_ROOM, room)
            assert client.expect(Op.DISCONNECT).json()["code"] == 10, piece
            client.close()
            house.wait_metric("comet_closed_total", turn, reason="bad_room")
        late = connect.raw()
        late.send_auth(mid=7, room="r" * 65536)
        assert late.expect(Op.DISCONNECT).json() == {"code": 5, "reason": "room_id is too long or has control characters"}
        late.close()
        house.wait_metric("comet_closed_total", 1, reason="auth_refused")
        good.heartbeat()
        house.wait_metric("comet_connections", 1)
        house.wait_metric("comet_rooms", 1)

    def test_room_push_is_not_filtered(self, connect, backend, fence):
        client = connect(mid=7, key="k", room="live://1", accepts=[9999])
        backend.push_room("live://1", "to the room", op=4711)
        backend.push_all("to all", op=4711)
        assert [(p.op, p.body) for p in fence(client)] == [(4711, b"to the room")]


def test_answers_keep_the_order_of_the_questions(connect):
    client = connect(mid=7)
    op = Op.SEND if client.dialect.name == "v1" else 1000
    said = [Packet(Op.HEARTBEAT if i % 3 else op, b"", seq=i) for i in range(300)]
    client.send_packets(*said)
    assert [p.seq for p in client.recv_many(300)] == list(range(300))
