"""A push accepted with code 0 reaches every connected target exactly once and in order.

SPDX-License-Identifier: MIT"""
import json
import random
import subprocess
import time

import pytest

from backend import APIS
from client import WAYS, Client, Op
from server import BUILD
from waiting import wait_until


@pytest.fixture(params=APIS, ids=lambda api: f"api-{api.name}")
def api(request):
    return request.param


def test_push_to_a_user(connect, backend, api):
    client, other = connect(mid=7), connect(mid=8)
    api.user(backend, 7, '{"for":7}')
    api.all(backend, '{"for":"all"}')
    client.expect_push(api.op, b'{"for":7}')
    client.expect_push(api.op, b'{"for":"all"}')
    other.expect_push(api.op, b'{"for":"all"}')  # and nothing before it


def test_push_to_users(connect, backend, api):
    clients = [connect(mid=mid) for mid in (7, 8, 9)]
    api.users(backend, [7, 9, 1234], '{"test": 1}')
    api.all(backend, '"all"')
    for client in clients:
        arrives_as, ver = client.dialect.arrives_as(api.op)
        if client.mid != 8:
            assert json.loads(client.expect(arrives_as, ver=ver, seq=0).body) == {"test": 1}
        client.expect_push(api.op, b'"all"')


def test_push_to_a_user_reaches_all_his_connections(connect, backend, api):
    clients = [connect(mid=7) for _ in range(5)]
    api.user(backend, 7, '"x"')
    for client in clients:
        client.expect_push(api.op, b'"x"')


@pytest.mark.ways("v2")
def test_push_to_keys(connect, backend, house):
    clients = [connect(mid=i, key=f"key-{i}") for i in range(10)]
    backend.push_keys([f"key-{i}" for i in range(0, 10, 2)] + ["nobody"], "even")
    backend.push_all("all")
    for i, client in enumerate(clients):
        if i % 2 == 0:
            client.expect_push(1000, b"even")
        client.expect_push(1000, b"all")
    assert house.metrics()("comet_pushes_total", target="keys") == 1


OWN_OPS = (2, 3, *range(6, 18), 254, 255)
TARGETS = (("keys", {"keys": "k"}), ("mids", {"mids": 7}), ("room", {"type": "live", "room": 1000}), ("all", {}))


@pytest.mark.ways("v2")
def test_operation_of_the_protocol_is_refused_and_reaches_nobody(connect, backend, house):
    client = connect(mid=7, key="k", room="live://1000", accepts=(4, 5, 18, 253, 256, *OWN_OPS))
    for target, params in TARGETS:
        for op in OWN_OPS:
            reply = backend.post("/goim/push/" + target, b"bad", operation=op, **params)
            assert reply.status == 400 and reply.json()["code"] == -400 and "protocol's own" in reply.json()["message"]
    command = [BUILD / "comet-cli", "push", "--http", "%s:%s" % house.address("http"), "--op", "6", "all", "{}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and "protocol's own" in done.stderr
    for target, params in TARGETS:
        for op in (4, 5, 18, 253, 256):
            backend.accepted("/goim/push/" + target, b"good", operation=op, **params)
            client.expect_push(op, b"good")


def test_push_to_a_room(connect, backend):
    if connect.way.dialect.name == "v1":
        inside = connect(mid=7)
        backend.v1_push_room(1, '{"hello":"room"}')
        inside.expect_push(5, b'{"hello":"room"}')
        return
    inside, outside = connect(mid=7, room="live://1"), connect(mid=8, room="live://2")
    backend.push_room("live://1", "hello room")
    backend.push_all("all")
    inside.expect_push(1000, b"hello room")
    inside.expect_push(1000, b"all")
    outside.expect_push(1000, b"all")


@pytest.mark.ways("v2")
def test_room_one_of_v1_is_the_room_with_key_1(connect, backend, house):
    v1 = next(way for way in WAYS if way.name == "tcp-v1")
    old = Client(v1, house.address("tcp")).auth(mid=1)
    new = connect(mid=2)
    new.request(Op.CHANGE_ROOM, b"1")
    backend.v1_push_room(1, '"both"')
    old.expect_push(5, b'"both"')
    new.expect_push(5, b'"both"')
    old.close()


def test_nobody_there_is_accepted(backend, house):
    backend.push_keys(["nobody"], "x")
    backend.push_mids([123], "x")
    backend.push_room("live://1", "x")
    backend.push_all("x")
    backend.v1_push(123, "x")
    backend.v1_pushs([1, 2], {"x": 1})
    backend.v1_push_room(9, "x")
    backend.v1_push_all("x")


@pytest.mark.ways("v2")
def test_pushes_to_keys_users_and_all_are_filtered(connect, backend, house):
    client = connect(mid=7, key="k", accepts=[1001])
    for op in (1000, 1001, 1002):
        backend.push_keys(["k"], "key", op=op)
        backend.push_mids([7], "mid", op=op)
        backend.push_all("all", op=op)
    for body in (b"key", b"mid", b"all"):
        client.expect(1001, body)
    house.wait_metric("comet_filtered_total", 6)


def test_body_of_any_size_arrives_whole(connect, backend):
    client = connect(mid=7)
    for size in (0, 1, 4096, 4097, 65536, 1 << 20):
        body = random.Random(size).randbytes(size)
        backend.push_mids([7], body)
        client.expect_push(1000, body)


def test_thousand_mixed_pushes_keep_their_order(connect, backend):
    dialect = connect.way.dialect
    clients = [connect(mid=i, key=f"k{i}", room="live://1") for i in range(1, 11)]
    chance = random.Random(1)
    wanted = {client: [] for client in clients}

    def push(i, body):
        way = chance.choice(["keys", "mids", "room", "all"])
        targets = clients
        if way in ("keys", "mids"):
            targets = chance.sample(clients, chance.randint(1, 10))
        if way == "keys" and dialect.name == "v2":
            backend.push_keys([c.key for c in targets], body)
        elif way in ("keys", "mids"):
            backend.push_mids([c.mid for c in targets], body)
        elif way == "room" and dialect.name == "v2":
            backend.push_room("live://1", body)
        elif way == "room":
            backend.v1_push_room(1, body)
        else:
            backend.push_all(body)
        for client in targets:
            wanted[client].append(body.encode())

    with backend.kept_alive():
        for i in range(1000):
            push(i, str(i))
    for client in clients:
        assert [p.body for p in client.recv_many(len(wanted[client]))] == wanted[client]
        client.heartbeat()  # and nothing more was on its way


def test_push_races_with_heartbeats(connect, backend):
    client = connect(mid=7)
    with backend.kept_alive():
        for i in range(300):
            backend.push_mids([7], str(i))
            client.send(Op.HEARTBEAT, seq=i)
    packets = client.recv_many(600)
    assert [p.seq for p in packets if p.op == Op.HEARTBEAT_REPLY] == list(range(300))
    assert [p.body for p in packets if p.op != Op.HEARTBEAT_REPLY] == [b"%d" % i for i in range(300)]


def test_speed_spreads_a_push_to_all(swarm, backend):
    crowd = swarm(30, lambda i: {"mid": i, "key": f"k{i}"})
    start = time.monotonic()
    backend.push_all("slowly", speed=20)
    crowd.pump_received(30)
    assert time.monotonic() - start > 29 / 20 * 0.9, "30 at 20 a second take 1.45 s"
    assert all(len(m.packets) == 1 for m in crowd.members)


@pytest.mark.own_house  # it is still pushing when the test is over
def test_speed_does_not_hold_up_other_pushes(swarm, backend):
    crowd = swarm(50, lambda i: {"mid": i + 1, "key": f"k{i}"})
    backend.push_all("slowly", speed=1)
    crowd.pump_received(1)  # the first does not wait
    backend.push_mids([1], "at once")
    crowd.pump(lambda: any(p.body == b"at once" for p in crowd.members[0].packets))
    assert crowd.received < 50


@pytest.mark.settings("protocol.baton=no")
def test_plain_way_without_the_baton(connect, backend, house):
    client = connect(mid=7)
    with backend.kept_alive():
        for i in range(200):
            backend.push_mids([7], str(i))
    assert [p.body for p in client.recv_many(200)] == [b"%d" % i for i in range(200)]
    # Counted after the write, which the client may see first.
    wait_until(lambda: house.metrics()("comet_delivered_total") == 200, "200 are counted as delivered")
