"""Redis's user for Comet: it has exactly the rights that docs/operations.md lists, and its password may change while all runs.

SPDX-License-Identifier: MIT"""
import os
import re
import signal

import pytest
import redis

from client import WAYS, Client
from history import Crowd
from redis_servers import SENTINEL, Server
from server import ROOT
from waiting import TIMEOUT, wait_until

PASSWORD = "first-one"
V1_OVER_TCP, V2_OVER_TCP = (next(way for way in WAYS if way.name == name) for name in ("tcp-v1", "tcp-v2"))
# Said before somebody is let in, or by this test.
SETTINGS = {"redis.upstream_bytes": "1m", "stream.rooms": "score:1/10m"}
FREE = {"auth", "acl|log", "acl|setuser", "client|kill", "config|resetstat"}


def line_of_docs(server):
    """The words behind `user comet on >PASSWORD` in docs/operations.md, for Redis or for a Sentinel."""
    lines = re.findall(r"^user comet on >PASSWORD (.*)$", (ROOT / "docs/operations.md").read_text(), re.M)
    return next(line for line in lines if ("sentinel" in line) == (server == "sentinel")).split()


def give_rights(server, rights, password=PASSWORD):
    server.client.execute_command("ACL", "SETUSER", "comet", "reset", "on", f">{password}", *rights)


def fill_upstream(server):
    """More than redis.upstream_bytes: the next packet makes a logic trim it."""
    for db in (0, 2):
        with redis.Redis("127.0.0.1", server.port, db=db) as client:
            for _ in range(20):
                client.xadd("comet:up", {"key": "k", "mid": 7, "op": 4000, "seq": 1, "body": bytes(100_000)})


def use_all(house, server):
    """Every call that the programs have for Redis."""
    people, back = Crowd(house), house.backend()
    fill_upstream(server)
    first = people.join("comet-1", "k", room="live://1", mid=7)
    old = Client(V1_OVER_TCP, house.address("comet-1", "tcp"))
    old.auth(mid=8)  # comet-logic makes its key
    up = Client(V2_OVER_TCP, house.address("comet-1", "tcp")).auth(mid=9, key="up")
    assert up.request(4000, b"up").op == 4000
    second = people.join("comet-2", "k", room="live://1", mid=7)
    assert first.gone.wait(TIMEOUT), "the key has moved"
    back.push_keys(["k"], "x#1")
    back.push_mids([7], "x#2")
    back.push_room("live://1", "x#3")
    back.push_all("x#4")
    wait_until(lambda: second.received["x"] == [1, 2, 3, 4], "all arrive")
    wait_until(lambda: back.data("/goim/upstream", after="0", wait=1000), "a packet is there for back ends")
    for goal in ("1:0", "1:1"):  # the second takes the place of the first
        back.push_room("score://7", goal)
    assert [message["body"] for message in back.data("/goim/stream", type="score", room=7)["messages"]] == ["1:1"]
    back.accepted("/goim/kick", keys="nobody", **{"for": "1h"})
    wait_until(lambda: back.data("/goim/bans"), "it is banned")
    back.data("/goim/online/total")
    back.data("/goim/online/top", type="live", limit=1)
    back.data("/goim/nodes/weighted")
    back.kick(keys=["k"])
    assert second.gone.wait(TIMEOUT), "it is kicked"
    server.client.execute_command("CLIENT", "KILL", "USER", "comet")
    wait_until(lambda: people.comes_in("comet-1"), "the programs are connected again")
    people.close()
    wait_until(lambda: not back.data("/goim/online/top", type="live", limit=1), "comets have deleted the room that is empty")
    old.close()
    up.close()
    house.command("restart", "comet-2")
    house.command("restart", "logic-1")
    house.wait_ready()


def assert_allowed(house, servers):
    for name in house.names("comet") + house.names("logic"):
        assert "NOPERM" not in house.log(name), name
    for server in servers:
        denied = [entry for entry in server.client.execute_command("ACL", "LOG") if b"comet" in entry]
        assert denied == [], denied


def used_commands(server):
    names = {name.removeprefix("cmdstat_") for name in server.client.info("commandstats")}
    return {name for name in names if name not in FREE}


def granted(rights):
    return {right[1:] for right in rights if right.startswith("+")}


@pytest.fixture
def server(tmp_path):
    one = Server(tmp_path / "server", "--save", "")
    yield one
    one.stop(signal.SIGKILL)


def test_the_rights_of_the_docs_are_those_that_are_needed(server, build_house):
    rights = line_of_docs("redis")
    give_rights(server, rights)
    server.client.config_resetstat()
    house = build_house(comets=2, logics=1, redis_addr=f"redis://comet:{PASSWORD}@127.0.0.1:{server.port}/2",
                  settings=SETTINGS)
    use_all(house, server)
    assert_allowed(house, [server])
    # ROLE is for a master that Sentinels have named, ZCOUNT for data of an older layout, SISMEMBER for a lease that vanished.
    used = used_commands(server) | {"role", "zcount", "sismember"}
    assert used == granted(rights), f"missing: {sorted(used - granted(rights))}, too many: {sorted(granted(rights) - used)}"


def test_the_same_with_sentinels(server, tmp_path, build_house):
    eye = Server(tmp_path / "eye", config=SENTINEL.format(port=server.port))
    try:
        give_rights(server, line_of_docs("redis"))
        give_rights(eye, line_of_docs("sentinel"), "watchword")
        house = build_house(comets=2, logics=1, redis_addr="127.0.0.1:1", settings={
            "redis.sentinels": f"redis://comet:watchword@127.0.0.1:{eye.port}", "redis.master": "house",
            "redis.user": "comet", "redis.password": PASSWORD, **SETTINGS})
        use_all(house, server)
        assert_allowed(house, [server, eye])
    finally:
        eye.stop(signal.SIGKILL)


def kill_connections(server):
    server.client.execute_command("CLIENT", "KILL", "USER", "comet")


def test_a_new_password_is_taken_at_a_reload(server, tmp_path, build_house):
    give_rights(server, line_of_docs("redis"))
    file = tmp_path / "password"
    file.write_text(PASSWORD + "\n")
    house = build_house(comets=1, logics=1, redis_addr=f"127.0.0.1:{server.port}",
                  settings={"redis.user": "comet", "redis.password_file": str(file)})
    people = Crowd(house)
    person = people.join("comet-1", "k")
    server.client.execute_command("ACL", "SETUSER", "comet", f"<{PASSWORD}", ">second-one")
    file.write_text("second-one\n")
    kill_connections(server)
    for name in ("comet-1", "logic-1"):
        wait_until(lambda name=name: "event=redis_login_refused" in house.log(name), f"{name} is refused")
        os.kill(house.pid(name), signal.SIGHUP)
    house.wait_ready()
    house.backend().push_keys(["k"], "x#1")
    wait_until(lambda: person.received["x"] == [1], "it is reached")
    for name in ("comet-1", "logic-1"):
        assert "event=reload_done" in house.log(name) and "redis.password_file" in house.log(name)
        assert "second-one" not in house.log(name)
    # A file that cannot be used changes nothing.
    file.write_text("")
    os.kill(house.pid("comet-1"), signal.SIGHUP)
    wait_until(lambda: "event=reload_failed" in house.log("comet-1"), "that is said")
    kill_connections(server)
    house.wait_ready()
    people.close()

