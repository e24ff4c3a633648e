"""/readyz says what Redis said, for every connection that a program needs.

SPDX-License-Identifier: MIT"""
import contextlib
import os
import pathlib
import subprocess

import pytest
import redis

from redis_servers import Server
from server import BUILD, free_port
from test_redis_says_no import setting
from waiting import TIMEOUT, wait_until

QUICK = pytest.mark.house(comets=1, logics=1, settings={"redis.lease": "900ms"})


def readyz(house, name):
    reply = house.backend(name).get("/readyz")
    return reply.status, reply.body.decode()


def wait_said(house, name, words):
    wait_until(lambda: readyz(house, name)[0] == 503 and words in readyz(house, name)[1],
               lambda: f"{name} says {words}, and not {readyz(house, name)}", TIMEOUT)


def wait_mended(house):
    """And nothing is said any more of what was wrong."""
    house.wait_ready()
    for name in ("logic-1", "comet-1"):
        assert readyz(house, name) == (200, "ready\n")


def cli(house, *words):
    return subprocess.run([BUILD / "comet-cli", *words, "--http", "http://%s:%d" % house.address("logic-1", "http")], capture_output=True,
                          text=True, timeout=30)


def connections(house):
    """To Redis, of each program, as its metrics and the console's alarms count them."""
    return {name: house.metrics(name)("comet_redis_connected_total") - house.metrics(name)("comet_redis_lost_total")
            for name in ("logic-1", "comet-1")}


@QUICK
def test_redis_takes_no_writes(house):
    with setting(house, "maxmemory", 1):
        for name in ("logic-1", "comet-1"):
            wait_said(house, name, "Redis says: OOM")
        # It is not that no logic answered: this one does.
        assert house.backend("logic-1").post("/goim/push/mids?operation=1000&mids=7", "x").json()["message"].startswith("Redis says: OOM")
        # Comets cannot tell of themselves: those who look are told why there is nothing to see.
        assert "NOT READY: Redis says: OOM" in cli(house, "top").stdout
        wait_until(lambda: "/readyz" in cli(house, "nodes").stderr, "an empty list is explained")
    wait_mended(house)
    with setting(house, "min-replicas-to-write", 1):
        for name in ("logic-1", "comet-1"):
            wait_said(house, name, "NOREPLICAS")
    wait_mended(house)
    client = house.redis()
    client.replicaof("127.0.0.1", "1")
    for name in ("logic-1", "comet-1"):
        wait_said(house, name, "Redis says: READONLY")
        wait_until(lambda name=name: 'why="READONLY' in house.log(name), "the log has the words of Redis")
    client.replicaof("NO", "ONE")
    wait_mended(house)
    assert cli(house, "nodes").stderr == "" and "READY" not in cli(house, "top").stdout


@QUICK
def test_redis_takes_connections_and_does_not_answer(house):
    """Tries that come to nothing are no connections that were lost: what counts them would say for ever that there are none."""
    wait_until(lambda: min(connections(house).values()) >= 4, "all of their connections are there")
    before = connections(house)
    house.freeze("redis")
    for name in ("logic-1", "comet-1"):
        wait_said(house, name, "Redis is unreachable: no answer in time")
        wait_until(lambda name=name: "event=redis_unreachable" in house.log(name), "it has tried again and again", 3 * TIMEOUT)
    house.thaw("redis")
    wait_mended(house)
    wait_until(lambda: connections(house) == before, lambda: f"they have {connections(house)} again, and had {before}")


@QUICK
def test_redis_wants_a_password(house):
    with setting(house, "requirepass", "sesame") as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        for name in ("logic-1", "comet-1"):
            wait_said(house, name, "Redis says: NOAUTH")
    wait_mended(house)


@QUICK
def test_redis_is_gone(house):
    house.kill("redis")
    for name in ("logic-1", "comet-1"):
        wait_said(house, name, "Redis is unreachable: Connection refused")
    assert "Redis is unreachable: Connection refused" in cli(house, "nodes").stderr
    house.start("redis")
    wait_mended(house)


@QUICK
@pytest.mark.parametrize("program, connection", [("logic-1", "pushes"), ("logic-1", "calls"), ("logic-1", "requests"),
                                                 ("comet-1", "pushes"), ("comet-1", "replies"), ("comet-1", "requests")])
def test_one_connection_is_refused(house, program, connection):
    """And only that one: it is closed, and there is no place for a new one."""
    with house.redis() as client:
        mine = pids_connections(house.pid(program))
        one, = [c for c in client.client_list() if c["name"] == connection and c["addr"].rpartition(":")[2] in mine]
        client.config_set("maxclients", len(client.client_list()) - 1)
        client.client_kill_filter(_id=one["id"])
        wait_said(house, program, "max number of clients reached")
        client.config_set("maxclients", 1000)
    house.wait_ready()


def pids_connections(pid):
    """The local ports of a process's TCP connections."""
    sockets = set()
    for fd in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):
            sockets.add(os.readlink(fd))
    rows = [line.split() for line in pathlib.Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return {str(int(row[1].rpartition(":")[2], 16)) for row in rows if f"socket:[{row[9]}]" in sockets}


@pytest.fixture
def redis_cluster(tmp_path):
    server = Server(tmp_path / "node", "--save", "", "--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with contextlib.suppress(redis.RedisError):
        server.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    wait_until(lambda: b"cluster_state:ok" in server.client.execute_command("CLUSTER", "INFO"), "it is a cluster", 30)
    yield server
    server.stop()


def test_a_redis_cluster_is_named(redis_cluster, tmp_path):
    arguments = ["-o", f"redis.addr=127.0.0.1:{redis_cluster.port}", "-o", "http.bind=127.0.0.1:0", "-o", "redis.lease=900ms"]
    with open(tmp_path / "log", "wb") as log:
        logic = subprocess.Popen([BUILD / "comet-logic", *arguments], stdout=log, stderr=log)
    try:
        wait_until(lambda: "event=redis_is_cluster" in (tmp_path / "log").read_text(), "the log names it")
    finally:
        logic.terminate()
        logic.wait(TIMEOUT)
