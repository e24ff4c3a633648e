"""Who is who: one connection a key over all comets, one comet a name, and nobody forgotten when Redis forgets.

SPDX-License-Identifier: MIT"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import pytest

from client import WAYS
from history import Crowd, assert_agreed
from server import BUILD
from swarm import Swarm
from waiting import TIMEOUT, scaled, wait_until

V2_OVER_TCP = next(way for way in WAYS if way.name == "tcp-v2")


def session_of(house, key):
    """(session id, server) as the registry has it, or None."""
    value = house.redis().get(f"comet:session:{key}")
    if value is None or value.split()[2] == b"0":
        return None
    number, _, _, server = value.decode().split(" ", 3)
    return int(number), server


def test_one_survivor_of_a_race_for_one_key(house):
    swarms = [Swarm(V2_OVER_TCP, house.address(comet, "tcp"), scaled(1000) // 3, lambda i: {"mid": 1, "key": "one"})
              for comet in house.names("comet")]
    threads = [threading.Thread(target=swarm.connect) for swarm in swarms]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    def alive():
        for swarm in swarms:
            swarm.take_what_is_here()
        return [(comet, m) for comet, swarm in zip(house.names("comet"), swarms) for m in swarm.alive()]

    wait_until(lambda: len(alive()) == 1, lambda: f"one survivor, there are {len(alive())}", 30)
    (comet, survivor), = alive()
    assert session_of(house, "one")[1] == comet
    house.backend().push_mids([1], "you")
    wait_until(lambda: alive() and [p.body for p in survivor.packets] == [b"you"], "the survivor is reached")
    for swarm in swarms:
        swarm.close()
    wait_until(lambda: session_of(house, "one") is None, "the registry is empty when it has left")


@pytest.mark.house(comets=2, logics=1)
def test_a_key_moves_to_another_comet(house, crowd):
    """The old connection is told; its late disconnect does not remove the new registration."""
    old = crowd.join("comet-1", "k", mid=5)
    new = crowd.join("comet-2", "k", mid=5)
    wait_until(lambda: old.closed_at is not None, "the old one is closed")
    assert "replaced" in old.goodbye["reason"]
    wait_until(lambda: house.metrics("comet-1")("comet_logic_unsent") == 0, "its disconnect is told")
    assert session_of(house, "k")[1] == "comet-2"
    house.backend().push_mids([5], "x#1")
    wait_until(lambda: new.received["x"] == [1], "the new one is reached")


class Second:
    """Another comet of this name, as by a mistake. It writes to a file, so that nobody who waits for a line is held up."""

    def __init__(self, arguments, log):
        self._log = log
        with open(log, "w") as out:
            self._process = subprocess.Popen([BUILD / "comet", *arguments], stdout=out, stderr=subprocess.STDOUT)

    def is_running(self):
        return self._process.poll() is None

    def said(self):
        return self._log.read_text(errors="replace")

    def wait(self):
        return self._process.wait(timeout=30)

    def terminate(self):
        self._process.terminate()

    def end(self):
        self.terminate()
        self.wait()


def start_second(house, name, **settings):
    host, port = house.address("redis", "redis")
    settings = {"logic.mode": "redis", "redis.addr": f"{host}:{port}", "server.id": name, "tcp.bind": "127.0.0.1:0",
                "websocket.bind": "", "http.bind": "", **settings}
    arguments = [argument for key, value in settings.items() for argument in ("-o", f"{key}={value}")]
    return Second(arguments, pathlib.Path(house.directory) / f"second-{name}.txt")


CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]


@pytest.mark.skipif(subprocess.run([*CONTAINER, "true"], capture_output=True, check=False).returncode != 0,
                    reason="no process namespaces here")
@pytest.mark.house(comets=0, logics=1)
def test_in_containers_with_one_host_name_each_has_a_name_of_its_own(house):
    """All are process 1."""
    redis = house.redis()
    common = ["-o", "redis.addr=%s:%d" % house.address("redis", "redis"), "-o", "http.bind="]
    comet = [BUILD / "comet", "-o", "logic.mode=redis", "-o", "tcp.bind=127.0.0.1:0", "-o", "websocket.bind=", *common]
    logic = [BUILD / "comet-logic", *common]
    running = [subprocess.Popen([*CONTAINER, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for command in (comet, comet, logic, logic)]
    try:
        wait_until(lambda: redis.scard("comet:servers") == 2 and redis.zcard("comet:logics") == 3, "all four are there")
        names = redis.smembers("comet:servers") | (set(redis.zrange("comet:logics", 0, -1)) - {b"logic-1"})
        begin = f"{socket.gethostname()}-1-"
        assert len(names) == 4 and all(name.decode().startswith(begin) for name in names), names
    finally:
        for process in running:
            process.kill()
            process.wait(TIMEOUT)


@pytest.mark.house(comets=1, logics=1)
def test_a_second_comet_of_one_name_does_not_start(house, crowd):
    first = crowd.join("comet-1", "k")
    second = start_second(house, "comet-1")
    assert second.wait() == 1
    assert "another comet has this name" in second.said() and "listening tcp" not in second.said()
    house.backend().push_keys(["k"], "x#1")
    wait_until(lambda: first.received["x"] == [1], "the first is unharmed")


@pytest.mark.house(comets=1, logics=1, settings={"redis.lease": "600ms", "redis.forget": "60s"})
def test_a_comet_whose_name_was_taken_while_it_was_stopped_goes(house):
    house.freeze("comet-1")
    second = start_second(house, "comet-1", **{"redis.lease": "600ms"})
    try:
        wait_until(lambda: "listening tcp" in second.said(), "the second takes the name over")
        house.thaw("comet-1")
        wait_until(lambda: "event=server_id_taken" in house.log("comet-1"), "the first sees it")
        wait_until(lambda: house.log("comet-1").rstrip().endswith("event=program_stopped"), "and goes")
        assert second.is_running()
    finally:
        second.end()
    house.start("comet-1")


@pytest.mark.house(comets=1, logics=1, settings={"redis.lease": "600ms", "server.drain_timeout": "0s",
                                                 "server.drain_grace": "60s"})
def test_a_comet_whose_name_is_taken_while_it_goes_away_goes_as_it_would(house, crowd):
    """That is no second signal, which would end it at once."""
    client = crowd.join("comet-1", "k")
    os.kill(house.pid("comet-1"), signal.SIGTERM)
    wait_until(lambda: client.told_at is not None, "it is told")
    house.redis().hincrby("comet:server:comet-1", "epoch", 1)  # a later one: an earlier one is of a Redis that went back in time
    wait_until(lambda: "event=server_id_taken" in house.log("comet-1"), "the comet sees it")
    crowd.leave(client)
    wait_until(lambda: house.log("comet-1").rstrip().endswith("event=program_stopped"), "it ends as it should")
    house.start("comet-1")


@pytest.mark.house(comets=2, logics=2, settings={"redis.lease": "600ms", "redis.forget": "1s"})
def test_a_comet_stopped_beyond_its_lease_is_forgotten_and_comes_back(house, crowd):
    """Under the epoch that it had, since nobody took its name: what stands in Redis with it is still true. A key that went
    elsewhere meanwhile stands there with another one."""
    stays, goes = (crowd.join("comet-1", key, "live://1", mid=1) for key in ("stays", "goes"))
    elsewhere = crowd.join("comet-2", "elsewhere", "live://1", mid=2)
    backend = house.backend()
    epoch = house.redis().hget("comet:server:comet-1", "epoch")
    house.freeze("comet-1")
    wait_until(lambda: not house.redis().exists("comet:server:comet-1"), "it is forgotten", 30)
    assert not house.redis().exists("comet:rooms:comet-1", "comet:push:comet-1")
    assert [server["id"] for server in backend.data("/goim/nodes/instances")] == ["comet-2"]
    wait_until(lambda: backend.data("/goim/online/room", type="live", rooms=1) == {"1": 1}, "its people are not counted")
    came = crowd.join("comet-2", "goes", "live://1", mid=1)
    house.thaw("comet-1")
    wait_until(lambda: "event=registration_restored" in house.log("comet-1"), "it registers again")
    assert house.redis().hget("comet:server:comet-1", "epoch") == epoch
    wait_until(lambda: goes.closed_at is not None, "the one that went elsewhere is closed here")
    assert "replaced" in goes.goodbye["reason"]
    # Until it has said that all are registered again a key may be elsewhere: the push is refused, and reaches nobody.
    wait_until(lambda: backend.post("/goim/push/keys", b"x#1", operation=1000, keys=["stays", "goes", "elsewhere"]).json()["code"] == 0,
               "pushes to keys are accepted again")
    backend.push_room("live://1", "x#2")
    for person in (stays, came, elsewhere):
        wait_until(lambda person=person: person.received["x"] == [1, 2], f"{person.key} is reached")
        assert person.closed_at is None
    assert house.metrics("comet-1")("comet_registered_again_total") >= 1
    assert sum(house.metrics(logic)("comet_comets_forgotten_total") for logic in house.names("logic")) == 1


def test_redis_forgets_everything_while_pushes_run(house, crowd, pushes):
    """FLUSHALL: pushes are refused rather than lost, until all are registered again; nobody is closed."""
    for comet in house.names("comet"):
        for i in range(20):
            crowd.join(comet, f"{comet}/{i}", f"live://{i % 2}", mid=i + 1)
    pushes.start("key", "/goim/push/keys?operation=1000&keys=comet-2/3", lambda p: p.key == "comet-2/3", 100)
    pushes.start("user", "/goim/push/mids?operation=1000&mids=7", lambda p: p.key.endswith("/6"), 50, logic=1)
    pushes.start("room", "/goim/push/room?operation=1000&type=live&room=1", lambda p: p.room == "live://1", 50)
    pushes.start("all", "/goim/push/all?operation=1000", lambda p: True, 30, logic=1)
    pushes.wait_accepted(20)
    # What was accepted before has to be read before: a flush takes the streams away, too.
    pushes.stop()
    assert_agreed(crowd, pushes)
    pushes.begin_again()
    house.redis().flushall()
    flushed = time.monotonic()
    pushes.start("key2", "/goim/push/keys?operation=1000&keys=comet-2/3", lambda p: p.key == "comet-2/3", 100)
    pushes.start("user2", "/goim/push/mids?operation=1000&mids=7", lambda p: p.key.endswith("/6"), 50, logic=1)
    pushes.start("room2", "/goim/push/room?operation=1000&type=live&room=1", lambda p: p.room == "live://1", 50)
    pushes.start("all2", "/goim/push/all?operation=1000", lambda p: True, 30, logic=1)
    pushes.wait_accepted(20)
    assert time.monotonic() - flushed < 10
    pushes.stop()
    assert_agreed(crowd, pushes)
    for comet in house.names("comet"):
        assert house.metrics(comet)("comet_registered_again_total") >= 20


@pytest.mark.house(comets=1, logics=1, settings={"redis.stream_length": "100", "redis.forget": "60s"})
def test_a_stream_trimmed_before_it_was_read_is_a_gap_that_is_counted(house, crowd):
    person = crowd.join("comet-1", "k")
    backend = house.backend()
    house.freeze("comet-1")
    with backend.kept_alive():
        for number in range(1, 501):
            backend.push_keys(["k"], f"x#{number}")
    house.thaw("comet-1")
    wait_until(lambda: person.received["x"][-1:] == [500], "the last one arrives")
    got = person.received["x"]
    # Redis had answered the comet's last question with the first one or so, and has kept 100 or a few more.
    hole = next(i for i in range(1, len(got)) if got[i] != got[i - 1] + 1)
    assert got == list(range(1, hole + 1)) + list(range(got[hole], 501))
    assert 100 <= len(got) - hole < 400
    assert house.metrics("comet-1")("comet_push_gap_total") == 500 - len(got)
    assert "event=pushes_trimmed" in house.log("comet-1")


@pytest.mark.house(comets=3, logics=1)
def test_room_pushes_go_only_to_comets_that_have_the_room(house, crowd):
    crowd.join("comet-2", "k", "live://7")
    before = {comet: house.redis().xlen(f"comet:push:{comet}") for comet in house.names("comet")}
    house.backend().push_room("live://7", "x#1")
    wait_until(lambda: crowd.people[0].received["x"] == [1], "it arrives")
    after = {comet: house.redis().xlen(f"comet:push:{comet}") for comet in house.names("comet")}
    assert {comet: after[comet] - before[comet] for comet in after} == {"comet-1": 0, "comet-2": 1, "comet-3": 0}
    # A room that is left is no longer pushed to.
    crowd.leave(crowd.people[0])
    wait_until(lambda: not house.redis().hexists("comet:rooms:comet-2", "live://7"), "the room is gone")


@pytest.mark.house(comets=2, logics=2)
def test_room_counts_are_those_of_all_comets(house, crowd):
    for i in range(3):
        crowd.join("comet-1", f"a{i}", "live://1")
        crowd.join("comet-2", f"b{i}", "live://1")
    backend = house.backend("logic-2")
    wait_until(lambda: backend.data("/goim/online/room", type="live", rooms=1) == {"1": 6}, "the API counts 6", 10)
    house.kill("comet-2")
    wait_until(lambda: backend.data("/goim/online/room", type="live", rooms=1) == {"1": 3}, "and 3 without comet-2", 10)
    house.start("comet-2")


@pytest.mark.house(comets=1, logics=2)
def test_messages_that_make_no_sense_are_counted_and_do_no_harm(house, crowd):
    person = crowd.join("comet-1", "k", mid=3)
    number, server = session_of(house, "k")
    client = house.redis()
    reply = {"id": "unknown", "code": 0, "key": "k", "session": number, "mid": 3}
    nonsense = ["", "{", "[]", "null", '{"id":1}', '{"method":"connect"}', "\0\xff", "[" * 100000, "x" * 5_000_000,
                '{"id":"a","method":"dance","server":"comet-1"}']
    for text in nonsense:
        client.publish("comet:reply:comet-1", text)
        client.publish("comet:logic:logic-1", text)
    # Replies that nobody asked for, twice: the session that they name stays.
    for _ in range(2):
        client.publish("comet:reply:comet-1", json.dumps(reply))
    wait_until(lambda: house.metrics("comet-1")("comet_logic_bad_messages_total") == len(nonsense), "comet counts them")
    wait_until(lambda: house.metrics("logic-1")("comet_logic_bad_messages_total") == len(nonsense), "logic counts them")
    wait_until(lambda: house.metrics("comet-1")("comet_logic_late_total") == 2, "and replies nobody waits for")
    crowd.join("comet-1", "another")
    house.backend().push_keys(["k"], "x#1")
    wait_until(lambda: person.received["x"] == [1], "all is as before")
    assert session_of(house, "k") == (number, server)


@pytest.mark.house(comets=1, logics=1)
def test_entries_that_make_no_sense_are_counted_and_skipped(house, crowd):
    person = crowd.join("comet-1", "k")
    client = house.redis()
    for fields in ({"target": "moon"}, {"target": "keys", "op": "1000", "keys": "[]", "body": "x"},
                   {"target": "keys", "op": "x", "keys": '["k"]'}, {"target": "keys", "op": "1", "keys": "[1]"},
                   {"target": "room", "op": "1", "room": ""}, {"x": "y"}):
        client.xadd("comet:push:comet-1", fields)
    client.xadd("comet:push:comet-1", {"target": "keys", "op": "1000", "keys": '["k"]', "body": "x#1"})
    wait_until(lambda: person.received["x"] == [1], "the good one behind them arrives")
    assert house.metrics("comet-1")("comet_push_bad_entries_total") == 6


@pytest.mark.house(comets=1, logics=2)
def test_packets_of_an_application_reach_the_back_end(house, crowd):
    from client import Client  # the crowd only listens

    client = Client(V2_OVER_TCP, house.address("comet-1", "tcp")).auth(mid=9, key="up")
    for i in range(3):
        assert client.request(4000, f"packet {i}".encode()).op == 4000
    found = house.backend("logic-2").data("/goim/upstream", after="0", wait=1000)
    assert [(entry["key"], entry["mid"], entry["op"]) for entry in found] == [("up", 9, 4000)] * 3
    client.close()


@pytest.mark.house(comets=1, logics=1)
def test_a_back_end_that_waits_does_not_hold_comet_logic_up(house):
    host, port = house.address("logic-1", "http")
    with socket.create_connection((host, port), timeout=TIMEOUT) as sock:
        sock.sendall(b"GET /goim/upstream?after=0&wait=60000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        wait_until(lambda: any(c["name"] == "upstream" and c["cmd"] == "xread" for c in house.redis().client_list()),
                   "it waits in Redis")
        begun = time.monotonic()
        house.command("stop", "logic-1")
        assert sock.recv(4096).endswith(b'"data":[]}')
    assert time.monotonic() - begun < 10
    assert "event=program_stopped" in house.log("logic-1")
    house.start("logic-1")


def test_a_push_that_is_slow_on_its_way_follows_a_key_that_moves(behind_a_proxy):
    """It has found the key on one comet, and comes to Redis when the key has long been on the other."""
    house, proxy = behind_a_proxy
    crowd, backend = Crowd(house), house.backend()
    try:
        old = crowd.join("comet-1", "k")
        proxy.hold(b"slow#1")
        push = threading.Thread(target=backend.push_keys, args=(["k"], "slow#1"))
        push.start()
        wait_until(proxy.holds, "the push is on its way")
        new = crowd.join("comet-2", "k")
        wait_until(lambda: old.closed_at is not None, "the key has moved")
        proxy.release()
        push.join()
        wait_until(lambda: new.received["slow"] == [1], "it arrives where the key is now")
        backend.push_keys(["k"], "slow#2")
        wait_until(lambda: new.received["slow"] == [1, 2], "and the next")
        assert old.received["slow"] == []
        assert house.metrics("comet-1")("comet_dropped_total", reason="gone") == 0
    finally:
        crowd.close()


@pytest.mark.house(comets=1, logics=1)
def test_a_comet_that_waits_for_its_name_or_for_redis_hears_that_it_shall_stop(house):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        nowhere = "127.0.0.1:%d" % nobody.getsockname()[1]
    for words, settings in (("event=server_id_awaited", {"redis.lease": "10s"}), ("redis", {"redis.addr": nowhere})):
        second = start_second(house, "comet-1", **settings)
        wait_until(lambda second=second, words=words: words in second.said(), "it waits")
        since = time.monotonic()
        second.terminate()
        assert second.wait() == 0, second.said()
        assert time.monotonic() - since < 8, "of 15 and 30 s that it would wait"
        assert "stopping" in second.said() and "Operation canceled" not in second.said()


@pytest.mark.house(comets=1, logics=1)
def test_clients_are_not_told_of_addresses_that_lead_nowhere(house):
    for bound, addrs, told in (("127.0.0.1:0", "", b""), ("0.0.0.0:0", "", b""), ("127.0.0.1:0", "0.0.0.0:3101,[::]:3101", b""),
                               ("127.0.0.1:0", "0.0.0.0:3101,a.example:3101,::1,[::1]:3101", b"a.example:3101,::1,[::1]:3101")):
        second = start_second(house, "another", **{"tcp.bind": bound, "server.addrs": addrs, "auth.allow_open": "yes"})
        try:
            wait_until(lambda: house.redis().exists("comet:server:another"), "it is there")
            assert house.redis().hget("comet:server:another", "addrs") == told
            names = [node["addrs"] for node in house.backend().data("/goim/nodes/instances") if node["id"] == "another"]
            assert names == [told.decode()]
        finally:
            second.end()
        assert ("set server.addrs" in second.said()) == (told == b""), second.said()
