"""A client has protocol.handshake_timeout to authenticate; until then it costs one thread and gets nothing.

SPDX-License-Identifier: MIT"""
import pytest

from client import V1, WAYS, Client, Op, Packet, TcpCodec
from waiting import wait_until


def test_auth_is_answered_with_an_empty_body_and_the_clients_version_and_seq(connect, house):
    client = connect.raw()
    client.send(Op.AUTH, client.dialect.token(mid=7), seq=-77, ver=3)
    client.expect(Op.AUTH_REPLY, b"", seq=-77, ver=3)
    house.wait_metric("comet_online", 1)
    assert house.metrics()("comet_authenticated_total") == 1


@pytest.mark.settings("stream.rooms=chat:100/10m")
@pytest.mark.ways("tcp-v1", "ws-v1-json")
def test_version_1_knows_no_streams(connect):
    client = connect.raw()
    seq = client.send(Op.AUTH, b'{"mid":1,"streams":{}}' if client.way.name == "ws-v1-json" else b"1")
    client.expect(Op.AUTH_REPLY, b"", seq=seq)


def test_neither_a_handshake_nor_a_session_holds_a_thread(connect, house):
    if not house.parks:
        pytest.skip("the test below is for that")
    client = connect.raw()
    client.send(Op.HEARTBEAT)
    wait_until(lambda: house.metrics()("comet_bytes_in_total") > 0, "the packet is read")
    house.wait_metric("comet_parked", 1)
    client.auth(mid=7)
    client.heartbeat()
    house.wait_metric("comet_parked", 1)
    assert house.threads() == 0
    client.close()
    house.wait_empty()
    house.wait_metric("comet_parked", 0)


@pytest.mark.settings("protocol.park=off")
def test_without_parking_a_handshake_holds_one_thread_and_a_session_two(connect, house):
    before = house.threads()
    client = connect.raw()
    client.send(Op.HEARTBEAT)
    wait_until(lambda: house.metrics()("comet_bytes_in_total") > 0, "the packet is read")
    wait_until(lambda: house.threads() == before + 1, "the reader runs")
    client.auth(mid=7)
    wait_until(lambda: house.threads() == before + 2, "reader and dispatcher run")
    client.close()
    house.wait_empty()
    wait_until(lambda: house.threads() == before, "both threads have ended")


@pytest.mark.ways("v1")
def test_token_that_is_neither_number_nor_v2_json_is_user_zero(connect, backend):
    tokens = (b"", b'{"data":{}}', b"not a number", b"[1,2]")
    clients = [connect.raw() for _ in tokens]
    for client, token in zip(clients, tokens):
        client.send(Op.AUTH, token, seq=1)
        client.expect(Op.AUTH_REPLY, b"", seq=1)
    backend.push_all("to all")
    for client in clients:
        client.expect_push(1000, b"to all")


@pytest.mark.ways("v2")
def test_key_that_is_too_long_is_refused_with_words(connect, house):
    client = connect.raw()
    client.send_auth(key="k" * 300)
    goodbye = client.expect_goodbye()
    assert goodbye["code"] == 5 and "key" in goodbye["reason"]
    house.wait_metric("comet_auth_refused_total", 1)
    house.wait_metric("comet_closed_total", 1, reason="auth_refused")
    connect(key="k" * 200)


def test_first_packets_that_are_not_auth_are_ignored(connect):
    client = connect.raw()
    for op in (Op.HEARTBEAT, Op.SEND, Op.SUB, 4711, -1, 0):
        client.send(op, b"too early")
    client.auth(mid=7)  # AUTH_REPLY is the first thing that comes
    client.heartbeat()


@pytest.mark.settings("protocol.handshake_timeout=300ms")
def test_silence_is_closed_at_the_handshake_deadline(connect, house):
    assert connect.raw().expect_closed() == []
    house.wait_metric("comet_closed_total", 1, reason="handshake_timeout")


@pytest.mark.settings("protocol.handshake_timeout=300ms")
def test_packets_that_are_not_auth_do_not_put_off_the_deadline(connect, house):
    client = connect.raw()

    def is_closed():
        try:
            client.send(Op.HEARTBEAT)
            return False
        except ConnectionError:
            return True

    wait_until(is_closed, "the server has closed")
    house.wait_metric("comet_closed_total", 1, reason="handshake_timeout")


@pytest.mark.settings("protocol.handshake_timeout=300ms")
@pytest.mark.ways("tcp")
def test_half_an_auth_is_closed_at_the_handshake_deadline(connect, house):
    client = connect.raw()
    client.send_bytes(Packet(Op.AUTH, client.dialect.token(mid=7)).encode()[:-1])
    assert client.expect_closed() == []
    house.wait_metric("comet_closed_total", 1, reason="handshake_timeout")
    assert house.metrics()("comet_authenticated_total") == 0


@pytest.mark.settings("protocol.handshake_timeout=2s")
def test_deadline_of_the_handshake_ends_with_it(connect, house):
    client = connect(mid=7)
    assert connect.raw().expect_closed() == []  # one that came later has run into its deadline
    client.heartbeat()


@pytest.mark.ways("tcp")
def test_client_that_leaves_before_auth_is_counted(connect, house):
    connect.raw().close()
    house.wait_metric("comet_closed_total", 1, reason="client_left")
    client = connect.raw()
    client.send_bytes(b"\0\0")
    client.close()
    house.wait_metric("comet_closed_total", 1, reason="client_cut")
    house.wait_empty()


def conversation(dialect):
    """All a client says that is cut below, and how many packets come back."""
    said = [Packet(Op.AUTH, dialect.token(mid=7), seq=1)]
    if dialect is V1:
        said += [Packet(Op.SEND, b"x" * 70, seq=2), Packet(Op.HEARTBEAT, seq=3)]
    else:
        said += [Packet(Op.CHANGE_ROOM, b"live://" + b"9" * 70, seq=2), Packet(Op.HEARTBEAT, seq=3)]
    return TcpCodec().encode(*said), len(said)


@pytest.mark.ways("tcp")
def test_conversation_fed_byte_by_byte(connect):
    said, n = conversation(connect.way.dialect)
    client = connect.raw()
    for i in range(len(said)):
        client.send_bytes(said[i:i + 1])
    assert [p.seq for p in client.recv_many(n)] == list(range(1, n + 1))


@pytest.mark.ways("tcp")
def test_conversation_cut_at_every_byte(connect, house):
    said, n = conversation(connect.way.dialect)
    clients = [(cut, connect.raw()) for cut in range(1, len(said))]
    for cut, client in clients:
        client.send_bytes(said[:cut])
    # The server has read the first parts: what follows cannot arrive together with them.
    house.wait_metric("comet_bytes_in_total", sum(cut for cut, _ in clients))
    for cut, client in clients:
        client.send_bytes(said[cut:])
    for cut, client in clients:
        packets = client.recv_many(n)
        assert [p.seq for p in packets] == list(range(1, n + 1)), f"cut at {cut}: {packets}"


BROKEN = "the token is no whole JSON object, or has a member twice, too large a number or too deep nesting"
# What is said, and the words of the refusal; None: it is let in.
HOSTILE_TOKENS = {
    "depth bomb": (b"[" * 4000, None),
    "deep object": (b'{"mid":' * 500 + b"1" + b"}" * 500, BROKEN),
    "huge number": (b'{"mid":' + b"9" * 400 + b',"key":"h"}', BROKEN),
    "huge decimal": (b"9" * 400, None),
    "minus": (b"-1", None),
    "exponent": (b'{"mid":1e400,"key":"e"}', BROKEN),
    "bad utf-8": (b'{"mid":1,"key":"\xff\xfe"}', BROKEN),
    "nul in the key": (b'{"mid":1,"key":"a\\u0000b"}', "key is too long or has control characters"),
    "line feed in the key": (b'{"mid":1,"key":"a\\r\\nlevel=error"}', "key is too long or has control characters"),
    "duplicate keys": (b'{"mid":1,"mid":2,"key":"x","key":"y"}', BROKEN),
    "mid is a string": (b'{"mid":"1","key":"k"}', "mid is not a whole number"),
    "key is a number": (b'{"mid":1,"key":7}', "key is not a string"),
    "accepts is a string": (b'{"mid":1,"accepts":"1000"}', "accepts is not a list of operations"),
    "accepts holds strings": (b'{"mid":1,"accepts":["a","b"]}', "accepts is not a list of operations"),
    "accepts holds big numbers": (b'{"mid":1,"accepts":[99999999999999999999]}', BROKEN),
    "a thousand accepts": (b'{"mid":1,"accepts":[' + b",".join(b"%d" % i for i in range(700)) + b"]}",
                           "accepts has too many operations"),
    "room is null": (b'{"mid":1,"key":"r","room_id":null}', None),
    "room is long": (b'{"mid":1,"room_id":"' + b"r" * 3000 + b'"}', "room_id is too long or has control characters"),
    "empty object": (b"{}", None),
    "object of others": (b'{"data":{}}', None),
    "comma too many": (b'{"mid":123,}', BROKEN),
    "name without quotes": (b"{mid:123}", BROKEN),
    "byte order mark": (b'\xef\xbb\xbf{"mid":123}', "the token begins with a byte order mark, which is no JSON"),
    "NUL behind the object": (b'{"mid":123}\0', BROKEN),
    "mid of 2^63": (b'{"mid":9223372036854775808}', BROKEN),
    "one member in two cases": (b'{"Mid":1,"mid":1}', "mid is there twice"),
    "names in capitals": (b'{"MID":123,"Key":"capital"}', None),
    "trailing garbage": (b'{"mid":1,"key":"t"} x', BROKEN),
    "percent": (b'{"mid":1,"key":"%s%n%x"}', None),
}


@pytest.mark.own_house
@pytest.mark.ways("v2")
def test_hostile_tokens_are_admitted_or_refused_and_harm_nobody(connect, house):
    """What begins no JSON object and is no number is user 0 of version 1, as in goim: it is nobody, and may come in."""
    good = connect(mid=1000, key="good")
    admitted, refused = 1, 0
    for name, (token, words) in HOSTILE_TOKENS.items():
        client = connect.raw()
        client.send(Op.AUTH, token, seq=1)
        if words is None:
            assert client.recv() == Packet(Op.AUTH_REPLY, b"", seq=1), name
            admitted += 1
        else:
            assert client.expect_goodbye() == {"code": 5, "reason": words}, name
            refused += 1
        client.close()
    house.wait_metric("comet_closed_total", refused, reason="auth_refused")
    metrics = house.metrics()
    assert metrics("comet_auth_refused_total") == refused and metrics("comet_authenticated_total") == admitted
    good.heartbeat()
    connect(mid=1001)
    assert "\nlevel=error" not in house.log()


@pytest.mark.ways("tcp-v1", "ws-v1")  # in JSON it would be no number
def test_token_with_a_user_and_a_room_puts_the_user_into_that_room(connect, backend):
    client = connect.raw()
    client.send(Op.AUTH, b"1,413", seq=1)
    client.expect(Op.AUTH_REPLY, b"", seq=1)
    backend.v1_push_room(413, "to room 413")
    client.expect_push(1000, b"to room 413")
    backend.v1_push(1, "to user 1")
    client.expect_push(1000, b"to user 1")


def test_both_dialects_speak_on_the_same_port(house, backend):
    for way in WAYS:
        client = Client(way, house.address(way.listener)).auth(mid=7)
        backend.push_mids([7], "both")
        client.expect_push(1000, b"both")
        client.close()
