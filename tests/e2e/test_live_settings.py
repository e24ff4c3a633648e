"""Live settings: SIGHUP and POST /goim/reload take other values while everybody stays connected, all of them or nothing, and say so.

SPDX-License-Identifier: MIT"""
import functools
import os
import signal
import socket

import pytest

from beside import going_on
from client import V2, Client, Op, TcpCodec, Way
from server import Comet
from waiting import wait_until

TCP = Way("tcp-v2", "tcp", TcpCodec, V2)
alone = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="settings of the comet")


@pytest.fixture
def live(launch, tmp_path):
    """A comet whose file of settings can be written again: the house, and the function that does it."""
    path = tmp_path / "live.conf"

    def write(**sections):
        lines = []
        for section, values in sections.items():
            lines += [f"[{section}]", *(f"{key} = {value}" for key, value in values.items())]
        path.write_text("\n".join(lines) + "\n")
        return path

    house = launch(kind=Comet, conf=write(log={"level": "info"}))
    return house, write


def reload(house, code=0):
    reply = house.backend.request("POST", "/goim/reload")
    assert reply.status == 200 and reply.json()["code"] == code, reply
    return reply.json()["data"]


def come(house, **who):
    return Client(TCP, house.address("tcp")).auth(**who)


@alone
def test_says_what_changed_and_what_needs_a_restart(live):
    house, write = live
    client = come(house, mid=7)
    assert reload(house) == {"read": ["settings", "certificates", "keys of TLS tickets"], "changed": [], "needs_restart": []}
    write(log={"level": "debug"}, limits={"per_ip": 12, "upstream_ops": "4,1000-1999"}, bucket={"size": 7}, websocket={"origins": "*"})
    data = reload(house)
    assert data["changed"] == ["websocket.origins=*", "limits.per_ip=12", "limits.upstream_ops=4,1000-1999", "log.level=debug"]
    assert data["needs_restart"] == ["bucket.size"]
    line = next(line for line in reversed(house.log().splitlines()) if "event=reload_done" in line)
    assert 'changed="websocket.origins=*, limits.per_ip=12' in line and "needs_restart=bucket.size" in line
    client.heartbeat()
    assert reload(house)["changed"] == [] and reload(house)["needs_restart"] == ["bucket.size"]
    write()
    assert reload(house)["changed"] == ["websocket.origins=", "limits.per_ip=0", "limits.upstream_ops=", "log.level=info"]


@alone
def test_one_fault_changes_nothing_and_is_told(live):
    house, write = live
    write(log={"level": "debug"}, limits={"per_ip": "many", "conections": 4})
    data = reload(house, -500)
    assert data["failed"] == ["settings"] and len(data["faults"]) == 2
    assert "limits.per_ip: `many` is not a whole number" in data["faults"][0] and "did you mean limits.connections?" in data["faults"][1]
    assert "event=setting_wrong" in house.log() and "event=reload_failed failed=settings" in house.log()
    write(log={"level": "debug"}, whitelist={"log": "/nowhere/at/all"})
    assert reload(house, -500)["failed"] == ["settings"]
    write(log={"level": "debug"}, websocket={"trusted_proxies": "10.0.0.0/33"})
    assert reload(house, -500)["faults"]
    come(house, mid=7).close()
    assert " debug " not in house.log(), "the level that was good beside them is not taken"
    assert house.metrics()("comet_reload_failed_total") == 3
    write(log={"level": "debug"})
    assert reload(house)["changed"] == ["log.level=debug"]
    come(house, mid=7).close()
    wait_until(lambda: " debug " in house.log(), "a line of the new level")


@alone
def test_sighup_does_the_same(live):
    house, write = live
    write(log={"level": "debug", "format": "json"})
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: '"event":"reload_done"' in house.log(), "the reload, in JSON")
    assert '"changed":"log.level=debug, log.format=json"' in house.log()


@alone
def test_limits_take_effect_at_once(live):
    house, write = live
    first = come(house, mid=7)
    write(limits={"connections": 2, "accepts": 2, "packets": 3})
    reload(house)
    second = come(house, mid=8, accepts=(1, 2))
    third = Client(TCP, house.address("tcp"))
    assert third.expect_goodbye()["code"] == 7
    assert house.metrics()("comet_connections_limit") == 2
    for client in (first, second):
        for _ in range(6):
            client.send(Op.HEARTBEAT)
    first.expect(Op.HEARTBEAT_REPLY)
    house.wait_metric("comet_limited_total", 2, limit="packets")
    write(limits={"per_user": 1, "connects": 1000, "connects_per_ip": 1, "burst": "1s"})
    assert len(reload(house)["changed"]) == 6
    client = Client(TCP, house.address("tcp"))
    client.send_auth(mid=7)
    assert client.expect_goodbye()["code"] == 25
    assert Client(TCP, house.address("tcp")).expect_goodbye()["code"] == 22
    write()
    reload(house)
    come(house, mid=7).heartbeat()


@alone
def test_operations_for_the_back_end(live):
    house, write = live
    client = come(house, mid=7)
    write(limits={"upstream_ops": "2000-2999"})
    reload(house)
    client.request(1500, b"no")
    client.request(2500, b"yes")
    packets = house.backend.get("/goim/upstream").json()["data"]
    assert [(p["op"], p["body"]) for p in packets] == [(2500, "yes")]


def ws_status(house, origin):
    with socket.create_connection(house.address("websocket")) as sock:
        sock.sendall(f"GET /sub HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: "
                     f"AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\nOrigin: {origin}\r\n\r\n".encode())
        return sock.recv(4096).split()[1]


@alone
def test_origins_proxies_and_the_rate_of_calls(live):
    house, write = live
    write(websocket={"origins": "https://a.example"})
    reload(house)
    assert [ws_status(house, f"https://{name}.example") for name in "ab"] == [b"101", b"403"]
    write(websocket={"origins": "https://b.example", "trusted_proxies": "127.0.0.0/8"}, http={"rate": 1, "trusted_proxies": "127.0.0.0/8"})
    reload(house)
    assert [ws_status(house, f"https://{name}.example") for name in "ab"] == [b"403", b"101"]
    statuses = [house.backend.request("GET", "/goim/online/total", headers={"X-Forwarded-For": "10.9.9.9"}).status for _ in range(4)]
    assert statuses == [200, 429, 429, 429]
    assert "peer=10.9.9.9" in house.log()
    write()
    wait_until(lambda: house.backend.request("POST", "/goim/reload", headers={"X-Forwarded-For": "10.9.9.8"}).status == 200, "the reload")
    assert house.backend.get("/goim/online/total").status == 200


@alone
def test_whitelist_of_keys_and_users_changes_for_who_is_there_too(live, tmp_path):
    house, write = live
    trace = tmp_path / "trace"
    ann, bob = come(house, mid=7, key="ann"), come(house, mid=8, key="bob")
    write(whitelist={"list": "ann", "users": "9", "log": trace})
    assert len(reload(house)["changed"]) == 3
    for client in (ann, bob, come(house, mid=9, key="eve")):
        client.heartbeat()
    assert "key=ann" in trace.read_text() and "key=bob" not in trace.read_text()
    wait_until(lambda: "key=eve" in trace.read_text(), "and by user")
    write(whitelist={"users": "8", "log": trace})
    reload(house)
    lines = trace.read_text().count("key=ann")
    ann.heartbeat()
    bob.heartbeat()
    assert trace.read_text().count("key=ann") == lines and "key=bob" in trace.read_text()


@alone
def test_reloads_while_clients_come_go_and_talk(live):
    """For the sanitizers: nobody who reads a setting meets one that has gone."""
    house, write = live
    write(websocket={"origins": "https://a.example"})
    reload(house)

    def come_and_talk(n):
        assert ws_status(house, "https://a.example") == b"101"
        client = come(house, mid=n)
        client.request(1500, b"x")
        client.heartbeat()
        client.close()

    with going_on(*(functools.partial(come_and_talk, n) for n in range(1, 5))):
        for n in range(40):
            write(websocket={"origins": f"https://a.example, https://x{n}.example", "trusted_proxies": f"10.{n}.0.0/16"},
                  limits={"upstream_ops": f"1500,{n + 1}", "packets": 1000 + n, "per_ip": 1000 + n, "queued_bytes": 65536 + n},
                  whitelist={"list": f"k{n}", "users": str(n + 1)}, http={"trusted_proxies": f"10.{n}.0.0/16"})
            assert len(reload(house)["changed"]) == 9


def test_each_program_of_a_cluster_reloads_at_a_call(launch):
    house = launch({"http.api_key": "k"})
    assert house.backend.request("POST", "/goim/reload").json()["code"] == 0
    assert house.backend.request("GET", "/goim/reload").status == 405
    assert "event=http_changed method=POST path=/goim/reload" in house.logic_log()
    if hasattr(house, "_own"):
        house._own.api_key = "k"
        assert house._own.request("POST", "/goim/reload").json()["code"] == 0
        house._own.api_key = "wrong"
        assert house._own.request("POST", "/goim/reload").status == 401


def test_reload_needs_the_scope_admin(launch, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("boss admin k-boss\ndesk kick,push k-desk\n")
    keys.chmod(0o600)
    house = launch({"http.keys_file": str(keys), "http.api_key": "k-one"})
    for key, status in (("k-boss", 200), ("k-desk", 403), ("k-one", 200)):
        house.backend.api_key = key
        assert house.backend.request("POST", "/goim/reload").status == status, key
