"""PROXY headers: behind a balancer, limits and logs see the client's address; who sends no header does not come in.

SPDX-License-Identifier: MIT"""
import struct

import pytest

from client import Client, Op, Packet
from waiting import wait_until

pytestmark = [pytest.mark.settings("tcp.proxy_protocol=on", "websocket.proxy_protocol=on",
                                   "protocol.handshake_timeout=1s"),
              pytest.mark.ways("tcp-v2", "ws-v2", "wss-v2", "tls-v2")]

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def line(address="192.0.2.7", port=51234):
    return f"PROXY TCP4 {address} 10.0.0.1 {port} 3101\r\n".encode()


def binary(address=(192, 0, 2, 7), port=51234, more=b""):
    body = bytes(address) + bytes((10, 0, 0, 1)) + struct.pack(">HH", port, 3101) + more
    return SIGNATURE + bytes([0x21, 0x11]) + struct.pack(">H", len(body)) + body


def come(way, house, header):
    client = Client(way, house.address(way.listener))
    client.send_bytes(header)
    return client


@pytest.mark.parametrize("header", [line(), binary(), binary(more=b"\x04\x00\x03abc")], ids=["line", "binary", "extras"])
@pytest.mark.settings("log.level=debug")
def test_client_is_known_by_its_own_address(way, house, header):
    client = come(way, house, header).auth(mid=7)
    client.heartbeat()
    client.close()
    house.wait_empty()
    assert "peer=192.0.2.7:51234" in house.log()


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", SIGNATURE + b"\x20\0\0\0"], ids=["line", "binary"])
@pytest.mark.settings("log.level=debug")
def test_balancer_may_speak_for_itself(way, house, header):
    client = come(way, house, header).auth(mid=7)
    client.close()
    house.wait_empty()
    assert "peer=127.0.0.1:" in house.log()


def test_header_may_come_in_pieces(way, house):
    client = Client(way, house.address(way.listener))
    for byte in binary():
        client.send_bytes(bytes([byte]))
    client.auth(mid=7)
    client.close()


@pytest.mark.ways("tcp-v2")
def test_header_and_first_packet_may_come_together(way, house):
    client = come(way, house, binary() + Packet(Op.AUTH, way.dialect.token(mid=7), seq=1).encode())
    client.expect(Op.AUTH_REPLY)
    client.close()


@pytest.mark.settings("limits.per_ip=2")
def test_limits_count_clients_and_not_the_balancer(way, house):
    clients = [come(way, house, line(f"192.0.2.{i}")).auth(mid=i) for i in range(1, 6)]
    clients.append(come(way, house, line("192.0.2.1", 2)).auth(mid=6))
    one_too_many = come(way, house, line("192.0.2.1", 3))
    one_too_many.expect_bytes_to_the_end()
    assert house.metrics()("comet_refused_total", reason="per_ip") == 1
    for client in clients:
        client.heartbeat()
        client.close()
    house.wait_empty()


WRONG = {
    "no header": Packet(Op.AUTH, b"7").encode(),
    "HTTP": b"GET /sub HTTP/1.1\r\nHost: x\r\n\r\n",
    "an address that is none": line("192.0.2.256"),
    "too long a line": b"PROXY TCP4 " + b"1" * 200,
    "version 3": SIGNATURE + b"\x31\x11\0\x0c" + b"x" * 12,
    "too short for its family": SIGNATURE + b"\x21\x11\0\x04" + b"x" * 4,
    "a length that overruns": SIGNATURE + b"\x21\x11\xff\xff" + b"x" * 100,
}


def test_who_sends_no_header_does_not_come_in(way, house):
    for turn, (name, said) in enumerate(WRONG.items(), 1):
        client = come(way, house, said)
        assert client.expect_bytes_to_the_end() == b"", name
        house.wait_metric("comet_refused_total", turn, reason="proxy_header")
        assert house.metrics()("comet_connections") == 0, name


def test_who_is_silent_is_closed_in_time_though_nobody_else_comes(way, house):
    assert Client(way, house.address(way.listener)).expect_bytes_to_the_end() == b""
    house.wait_metric("comet_refused_total", 1, reason="proxy_header")


def test_header_that_does_not_come_is_waited_for_so_long_and_no_longer(way, house):
    before = house.files()
    silent = Client(way, house.address(way.listener))
    half = come(way, house, line()[:10])
    gone = come(way, house, line()[:10])
    gone.close()
    for client in (silent, half):
        assert client.expect_bytes_to_the_end() == b""
    house.wait_metric("comet_refused_total", 3, reason="proxy_header")
    wait_until(lambda: house.files() <= before, "all sockets are closed")
