"""Clients behind a proxy: it tells whose request it brings in X-Forwarded-For or Forwarded, and only those proxies are believed that
the settings name. Logs, limits and the webhook go by the client's address.

SPDX-License-Identifier: MIT"""
import re
import socket
import subprocess

import pytest

import wire
from client import V2, Client, Packet, Way
from server import BUILD
from test_auth_webhook import hook  # noqa: F401
from waiting import TIMEOUT, wait_until

PROXIED = pytest.mark.settings("websocket.trusted_proxies=127.0.0.0/8,10.0.0.0/8", "log.level=debug")


@pytest.fixture(params=["websocket", "websocket-tls"])
def come(request, house):
    """Connect as a proxy does for a client, with these headers."""
    clients = []

    def come(source=None, **headers):
        codec = lambda: wire.WebSocketCodec(Packet, **headers)  # noqa: E731
        tls = lambda: wire.TlsCodec(codec())  # noqa: E731
        way = Way("proxied", request.param, tls if request.param == "websocket-tls" else codec, V2)
        clients.append(Client(way, house.address(request.param), source))
        return clients[-1]

    yield come
    for client in clients:
        client.close()


def peers(house):
    """Of those that have authenticated, in their order."""
    return wait_until(lambda: re.findall(r"peer=(\S+) .*event=connection_authenticated", house.log()), "somebody is authenticated")


@PROXIED
@pytest.mark.parametrize("value, peer", [
    ("192.0.2.7", "192.0.2.7"),
    ("203.0.113.9, 192.0.2.7", "192.0.2.7"),  # the first has been made up
    ("203.0.113.9, 192.0.2.7, 10.1.1.1", "192.0.2.7"),
    ("203.0.113.9\r\nX-Forwarded-For: 192.0.2.7,10.1.1.1\r\nX-Forwarded-For: 10.1.1.2", "192.0.2.7"),
    ("2001:db8::7", "2001:db8::7"),
    ("[2001:db8::7]:4711", "[2001:db8::7]:4711"),
    ("10.3.3.3", "10.3.3.3"),
])
def test_client_is_known_by_the_last_address_that_is_no_proxys(house, come, value, peer):
    come(X_Forwarded_For=value, Forwarded="for=203.0.113.1").auth(mid=7)
    assert peers(house) == [peer]


@pytest.mark.settings("websocket.trusted_proxies=127.0.0.1", "websocket.proxy_header=forwarded", "log.level=debug")
def test_forwarded_is_believed_where_the_settings_say_so_and_the_other_header_is_not(house, come):
    come(Forwarded='for=203.0.113.9, for="192.0.2.7:80";proto=https', X_Forwarded_For="203.0.113.1").auth(mid=7)
    assert peers(house) == ["192.0.2.7:80"]


@PROXIED
@pytest.mark.parametrize("headers", [{}, {"X_Forwarded_For": "unknown"}, {"X_Forwarded_For": ""}, {"Forwarded": "for=192.0.2.7"}],
                         ids=["none", "unknown", "empty", "the other"])
def test_proxy_that_tells_no_address_is_known_by_its_own(house, come, headers):
    come(**headers).auth(mid=7)
    assert peers(house)[0].startswith("127.0.0.1:")


@pytest.mark.settings("websocket.trusted_proxies=127.0.0.9", "log.level=debug", "limits.per_ip=1")
def test_strangers_are_not_believed(house, come):
    come(X_Forwarded_For="192.0.2.7").auth(mid=7)
    assert peers(house)[0].startswith("127.0.0.1:")
    with pytest.raises((wire.Refused, AssertionError, OSError)):
        come(X_Forwarded_For="192.0.2.8").auth(mid=8)
    assert house.metrics()("comet_refused_total", reason="per_ip") == 1


@pytest.mark.own_house
@PROXIED
@pytest.mark.settings("limits.per_ip=2")
def test_limits_count_clients_and_not_the_proxy(house, come):
    for i in range(1, 6):
        come(X_Forwarded_For=f"192.0.2.{i}").auth(mid=i)
    last = come(X_Forwarded_For="192.0.2.1").auth(mid=6)
    with pytest.raises(wire.Refused) as refused:
        come(X_Forwarded_For="203.0.113.1, 192.0.2.1").auth(mid=7)
    assert "503" in str(refused.value)
    assert house.metrics()("comet_refused_total", reason="per_ip") == 1
    assert re.search(r"peer=192.0.2.1 .*event=connection_refused reason=per_ip", house.log())
    closed = wait_until(lambda: re.findall(r"peer=(\S+) .*event=connection_closed reason=per_ip", house.log()), "its end is in the log")
    assert closed == ["192.0.2.1"], "its end is not told of the proxy"
    last.close()
    house.wait_metric("comet_connections", 5)
    come(X_Forwarded_For="192.0.2.1").auth(mid=8)  # its place is free again


@PROXIED
@pytest.mark.settings("limits.connects_per_ip=1", "limits.burst=1h")
def test_limit_of_new_connections_goes_by_the_client(house, come):
    for i in range(30):
        come(X_Forwarded_For=f"192.0.2.{i}").auth(mid=i)
    assert house.metrics().total("comet_refused_total") == 0


def test_webhook_is_told_the_client(launch, hook):  # noqa: F811
    house = launch({"auth.mode": "webhook", "auth.url": hook.url, "websocket.trusted_proxies": "127.0.0.0/8"})
    way = Way("proxied", "websocket", lambda: wire.WebSocketCodec(Packet, X_Forwarded_For="192.0.2.7"), V2)
    client = Client(way, house.address("websocket")).auth(mid=7)
    assert hook.questions[-1]["peer"] == "192.0.2.7"
    client.close()


# the HTTP API

def called(house, **headers):
    """The peer of one more call, as the log has it."""
    n = house.log().count("path=/goim/online/total")
    reply = house.backend.request("GET", "/goim/online/total", headers={name.replace("_", "-"): value for name, value in headers.items()})
    lines = wait_until(lambda: (lines := re.findall(r"peer=(\S+) .*path=/goim/online/total", house.log()))[n:] and lines, "the call is logged")
    return reply.status, lines[-1]


@pytest.mark.settings("http.trusted_proxies=127.0.0.0/8,10.0.0.0/8", "log.level=debug")
def test_callers_of_the_api_are_known_by_the_last_address_that_is_no_proxys(house):
    assert called(house, X_Forwarded_For="203.0.113.9, 192.0.2.7, 10.1.1.1", Forwarded="for=203.0.113.1") == (200, "192.0.2.7")
    assert called(house, X_Forwarded_For="2001:db8::7") == (200, "2001:db8::7")
    assert called(house, X_Forwarded_For="unknown") == (200, "127.0.0.1")
    assert called(house) == (200, "127.0.0.1")


@pytest.mark.settings("http.trusted_proxies=127.0.0.0/8,10.0.0.0/8", "log.level=debug")
def test_each_request_of_a_kept_connection_is_for_whom_its_lines_say(house):
    lines = ["X-Forwarded-For: 203.0.113.9\r\nx-forwarded-for:192.0.2.7\r\nX-Forwarded-For: 10.1.1.1\r\n", "", "X-Forwarded-For: 192.0.2.8\r\n"]
    with socket.create_connection(house.address("http"), timeout=TIMEOUT) as sock:
        sock.sendall("".join(f"GET /readyz HTTP/1.1\r\nHost: localhost\r\n{line}\r\n" for line in lines).encode())
        wait_until(lambda: re.findall(r"peer=(\S+) .*path=/readyz", house.log()) == ["192.0.2.7", "127.0.0.1", "192.0.2.8"], "each is logged")


@pytest.mark.settings("http.trusted_proxies=127.0.0.1", "http.proxy_header=forwarded", "log.level=debug")
def test_api_believes_forwarded_where_the_settings_say_so(house):
    assert called(house, Forwarded='for="[2001:db8::7]:80"', X_Forwarded_For="203.0.113.1") == (200, "2001:db8::7")


@pytest.mark.settings("http.trusted_proxies=127.0.0.9", "log.level=debug")
def test_api_does_not_believe_strangers(house):
    assert called(house, X_Forwarded_For="192.0.2.7") == (200, "127.0.0.1")


def test_rate_of_calls_goes_by_the_client(launch):
    house = launch({"http.trusted_proxies": "127.0.0.1", "http.rate": "2"})

    def status(client):
        return house.backend.request("GET", "/goim/online/total", headers={"X-Forwarded-For": client}).status

    assert [status(f"192.0.2.{i}") for i in range(20)] == [200] * 20
    assert 429 in [status(f"203.0.113.{i}, 192.0.2.99") for i in range(20)]


def test_rate_that_a_proxy_nobody_named_has_used_up_names_the_setting(launch):
    house = launch({"http.rate": "1"})
    while house.backend.request("GET", "/goim/online/total", headers={"X-Forwarded-For": "192.0.2.7"}).status != 429:
        pass
    assert "http.trusted_proxies" in re.search(r".*event=http_call_refused.*", house.log()).group()


# PROXY headers

LINE = b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 3101\r\n"


@pytest.mark.own_house
@pytest.mark.settings("tcp.proxy_protocol=on", "websocket.proxy_protocol=on", "tcp.proxy_from=127.0.0.8/29,10.0.0.0/8",
                      "websocket.proxy_from=127.0.0.9", "log.level=debug")
@pytest.mark.ways("tcp-v2", "tls-v2", "ws-v2", "wss-v2")
def test_proxy_header_is_believed_from_those_that_are_listed(way, house):
    balancer = Client(way, house.address(way.listener), "127.0.0.9")
    balancer.send_bytes(LINE)
    balancer.auth(mid=7)
    for turn in range(1, 21):
        stranger = Client(way, house.address(way.listener), "127.0.0.1")
        assert stranger.expect_bytes_to_the_end() == b""
        house.wait_metric("comet_refused_total", turn, reason="proxy_from")
    assert peers(house) == ["192.0.2.7:51234"]
    said = [line for line in house.log().splitlines() if "reason=proxy_from" in line]
    assert 1 <= len(said) <= 4 and "peer=127.0.0.1:" in said[0] and "proxy_from" in said[0]
    balancer.close()


def test_networks_that_are_none_are_named_at_the_start():
    tried = subprocess.run([BUILD / "comet", "-t", "-o", "websocket.trusted_proxies=10.0.0.0/8,10.0.0.1/8", "-o",
                            "tcp.proxy_from=balancer.example", "-o", "websocket.proxy_from=::/129"], capture_output=True,
                           text=True, timeout=TIMEOUT)
    assert tried.returncode == 2
    for words in ("websocket.trusted_proxies: 10.0.0.1/8 has bits behind its length", "tcp.proxy_from: balancer.example is no network",
                  "websocket.proxy_from: ::/129 has no length"):
        assert words in tried.stderr, tried.stderr
    assert "10.0.0.0/8" not in tried.stderr.replace("such as 10.0.0.0/8", "")


@pytest.mark.parametrize("door", ["tcp", "websocket"])
def test_balancers_without_their_header_are_a_fault(door):
    """Or who names them alone would take strangers for kept out, and the header of the balancer would be garbage to the protocol."""
    command = [BUILD / "comet", "-t", "-o", f"{door}.proxy_from=10.0.0.0/8"]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert tried.returncode == 2 and f"{door}.proxy_from" in tried.stderr and f"{door}.proxy_protocol" in tried.stderr, tried.stderr
    command += ["-o", f"{door}.proxy_protocol=yes"]
    assert subprocess.run(command, capture_output=True, timeout=TIMEOUT).returncode == 0
