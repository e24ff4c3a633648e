"""Where the doors stand: one port for IPv4 and IPv6, both wildcards beside each other, paths for a proxy on the same machine.

SPDX-License-Identifier: MIT"""
import json
import os
import re
import signal
import socket
import stat
import subprocess

import pytest

import wire
from client import WAYS, Client, Packet, TcpCodec, V2, Way
from server import BUILD
from waiting import TIMEOUT, wait_until

OPEN = {"auth.allow_open": "yes", "http.api_key": "key"}


def free_port():
    with socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as sock:
        return sock.getsockname()[1]


def reached(port, host):
    way = next(way for way in WAYS if way.name == "tcp-v2")
    client = Client(way, (host, port)).auth(mid=7)
    client.heartbeat()
    client.close()
    return True


@pytest.mark.parametrize("bind", ["0.0.0.0:{0},[::]:{0}", "[::]:{0}, 0.0.0.0:{0}", ":{0}"])
def test_one_port_of_ipv4_and_ipv6(launch, bind):
    port = free_port()
    house = launch({"tcp.bind": bind.format(port), "log.level": "debug", **OPEN})
    assert reached(port, "127.0.0.1") and reached(port, "::1")
    wait_until(lambda: {"127.0.0.1", "[::1]"} <= set(re.findall(r"peer=(\S+):\d+ .*event=connection_authenticated", house.log())),
               "both are known by their addresses, an IPv4 one is written as such")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "door"


def dial_path(monkeypatch):
    def dial(path, _source=None, _rcvbuf=None):
        return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    monkeypatch.setattr("client.dial", dial)


def websocket(**headers):
    return Way("ws-v2", "websocket", lambda: wire.WebSocketCodec(Packet, **headers), V2)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("settings, wanted", [({}, 0o660), ({"server.unix_mode": "0600"}, 0o600), ({"server.unix_mode": "0666"}, 0o666)],
                         ids=["default", "0600", "0666"])
def test_websocket_by_a_path(launch, path, monkeypatch, settings, wanted):
    house = launch({"websocket.bind": f"unix:{path}", "log.level": "debug", **settings})
    assert mode(path) == wanted
    dial_path(monkeypatch)
    proxied = Client(websocket(X_Forwarded_For="203.0.113.1, 192.0.2.7"), str(path)).auth(mid=7)
    plain = Client(websocket(), str(path)).auth(mid=8)
    house.backend.push_mids([7, 8], b"hello")
    for client in (proxied, plain):
        client.expect_push(1000, b"hello")
    wait_until(lambda: re.findall(r"peer=(\S+) .*event=connection_authenticated", house.log()) == ["192.0.2.7", "unix"],
               "who comes by a path is a proxy, and believed")
    for client in (proxied, plain):
        client.close()
    house.stop()
    assert not path.exists()


def test_tcp_by_a_path_with_a_proxy_header(launch, path, monkeypatch):
    house = launch({"tcp.bind": f"unix:{path}", "tcp.proxy_protocol": "on", "tcp.proxy_from": "10.0.0.0/8", "log.level": "debug"})
    dial_path(monkeypatch)
    client = Client(Way("tcp-v2", "tcp", TcpCodec, V2), str(path))
    client.send_bytes(b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 3101\r\n")
    client.auth(mid=7).heartbeat()
    wait_until(lambda: "peer=192.0.2.7:51234" in house.log(), "the client's own address")
    client.close()


def curl(path, target, *more):
    return subprocess.run(["curl", "-s", "--max-time", "10", "--unix-socket", path, f"http://localhost{target}", *more],
                          capture_output=True, text=True)


def test_http_by_a_path(launch, path):
    house = launch({"http.bind": f"127.0.0.1:0,unix:{path}"})
    assert mode(path) == 0o660
    assert curl(path, "/healthz").stdout != ""
    reply = json.loads(curl(path, "/goim/push/mids?operation=1000&mids=7", "-d", "hello").stdout)
    assert reply["code"] == 0, reply
    house.stop()
    assert not path.exists()


def test_path_of_a_process_that_was_killed_is_taken_over(launch, path):
    house = launch({"http.bind": f"127.0.0.1:0,unix:{path}"})
    os.kill(house.pid, signal.SIGKILL)
    house.wait()
    house.ended_by_test = True
    assert path.exists()
    launch({"http.bind": f"127.0.0.1:0,unix:{path}"})
    assert curl(path, "/healthz").returncode == 0


def test_path_on_which_somebody_listens_is_left_to_him(launch, path):
    launch({"http.bind": f"127.0.0.1:0,unix:{path}"})
    second = subprocess.run([BUILD / "comet", "-o", f"http.bind=unix:{path}", "-o", "tcp.bind=", "-o", "websocket.bind="],
                            capture_output=True, text=True, timeout=TIMEOUT)
    assert second.returncode == 1
    assert f"address=unix:{path}" in second.stderr and "Address already in use" in second.stderr
    assert curl(path, "/healthz").returncode == 0
