"""examples/python: the client for Python, and the chat room on it.

SPDX-License-Identifier: MIT"""
import asyncio
import json
import os
import subprocess
import sys
import threading

import pytest

import tokens
from server import ROOT, certificate
from waiting import TIMEOUT, wait_until

sys.path.insert(0, str(ROOT / "examples/python"))

from comet_client import Client, CometError, Goodbye  # noqa: E402

QUICK = (0.05, 1.8, 0.2)


def run(story):
    """An asyncio story with a deadline."""
    return asyncio.run(asyncio.wait_for(story, 3 * TIMEOUT))


def client_of(house, **options):
    host, port = house.address("tcp")
    return Client(host, port, back_off=QUICK, **options)


async def off(call, *args, **params):
    """What blocks, beside the loop."""
    return await asyncio.to_thread(lambda: call(*args, **params))


def test_rooms_operations_and_receipts(house, backend):
    async def story():
        async with client_of(house, mid=7, key="k", room="live://1") as client:
            await off(backend.push_room, "live://1", "room 1", op=2000)
            push = await anext(client)
            assert (push.op, push.body, push.ver, push.seq) == (2000, b"room 1", 1, 0)
            assert await client.heartbeat() == 1
            await client.change_room("live://2")
            await client.subscribe(1001, 1002)
            await client.unsubscribe(1000)
            await off(backend.push_room, "live://1", "not there")
            await off(backend.push_mids, [7], "not wanted")
            await off(backend.push_keys, ["k"], "wanted", op=1001)
            await off(backend.push_room, "live://2", "room 2")
            assert [(await anext(client)).body for _ in range(2)] == [b"wanted", b"room 2"]
            receipts = await asyncio.gather(*(client.request(4096, b"score %d" % n) for n in range(5)))
            assert [(r.op, r.body) for r in receipts] == [(4096, b"")] * 5
        with pytest.raises(CometError):
            await client.request(4096)

    run(story())
    entries = wait_until(lambda: len(found := backend.data("/goim/upstream")) == 5 and found, "five packets")
    assert [entry["body"] for entry in entries] == [f"score {n}" for n in range(5)]
    house.wait_empty()


def test_tls(house, backend):
    import ssl

    async def story():
        tls = ssl.create_default_context(cafile=certificate()[0])
        host, port = house.address("tcp-tls")
        async with Client(host, port, mid=7, tls=tls) as client:
            await off(backend.push_mids, [7], "x" * 100000)
            assert (await anext(client)).body == b"x" * 100000

    run(story())


def test_restart_is_survived_with_the_room_and_operations_of_then(launch):
    house = launch()
    changes = []

    async def story():
        async with client_of(house, mid=7, room="live://1", on_change=lambda *change: changes.append(change)) as client:
            await client.change_room("live://2")
            await off(house.stop)
            house.ended_by_test = True
            later = asyncio.create_task(client.subscribe(1001))  # while nobody is there
            await asyncio.sleep(0)  # so that it asks
            # Not beside the loop: what a thread has started ends with it.
            again = launch({"tcp.bind": "{}:{}".format(*house.address("tcp"))})
            await later
            await off(again.backend.push_room, "live://2", "after")
            await off(again.backend.push_mids, [7], "wanted", op=1001)
            assert [(await anext(client)).body for _ in range(2)] == [b"after", b"wanted"]

    run(story())
    states = [state for state, _ in changes]
    assert states[:2] == ["online", "lost"] and states[-2:] == ["online", "closed"]
    assert changes[1][1].code == 4


def test_kick_and_refusal_are_for_good(house, backend):
    async def story():
        async with client_of(house, mid=7, key="k") as client:
            await off(backend.kick, keys=["k"])
            with pytest.raises(Goodbye) as goodbye:
                await anext(client)
            assert goodbye.value.code == 1 and goodbye.value.final
            with pytest.raises(Goodbye):
                await client.change_room("live://2")
        with pytest.raises(Goodbye) as goodbye:
            await client_of(house, room="x" * 300).connect()
        assert goodbye.value.final

    run(story())
    house.wait_empty()


def test_signed_tokens_are_renewed_and_asked_for_again(launch):
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}", "auth.leeway": "0"})
    last = [3600, 5, 3600]  # seconds that the next token lasts, from when it is asked for
    changes = []

    async def story():
        async with client_of(house, jwt=lambda: tokens.hs256(expires=last.pop(0)).decode(), room="live://1",
                             on_change=lambda *change: changes.append(change)) as client:
            assert await client.renew()  # by the second, which is over soon
            await off(wait_until, lambda: len(changes) == 3, "it is back, by the third")
            await off(house.backend.push_room, "live://1", "after")
            assert (await anext(client)).body == b"after"
        with pytest.raises(Goodbye) as goodbye:
            await client_of(house, jwt="no.token.atall").connect()
        assert goodbye.value.code == 5

    run(story())
    assert [(state, getattr(why, "code", None)) for state, why in changes] == [
        ("online", None), ("lost", 13), ("online", None), ("closed", None)]


def test_server_that_stops_answering_is_left(house):
    """A stranger that takes the connection and says nothing, then a comet."""
    async def story():
        silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        changes = asyncio.Queue()
        client = Client(*silent.sockets[0].getsockname(), timeout=0.2, back_off=QUICK,
                        on_change=lambda *change: changes.put_nowait(change))
        connecting = asyncio.create_task(client.connect())
        for _ in range(2):
            state, why = await changes.get()
            assert state == "lost" and "no answer" in str(why)
        client._address = house.address("tcp")
        client._timeout = TIMEOUT
        await connecting
        await client.close()
        silent.close()

    run(story())


def test_server_that_goes_away_says_where_to_go(house):
    """A stranger that lets in and sends away: to a port where nobody is, and to the comet."""
    visits, changes = [], []

    async def send_away(reader, writer):
        visits.append(await reader.read(4096))
        seq = visits[-1][12:16]
        writer.write(b"\0\0\0\x10\0\x10\0\1\0\0\0\x08" + seq)
        nodes = ["127.0.0.1:1", "{}:{}".format(*house.address("tcp"))]
        body = json.dumps({"code": 4, "reason": "draining", "nodes": nodes}).encode()
        writer.write((16 + len(body)).to_bytes(4, "big") + b"\0\x10\0\1\0\0\0\x06\0\0\0\0" + body)
        await writer.drain()

    async def story():
        server = await asyncio.start_server(send_away, "127.0.0.1", 0)
        async with Client(*server.sockets[0].getsockname(), mid=7, back_off=(60, 1, 60),
                          on_change=lambda *change: changes.append(change)) as client:
            await off(house.wait_metric, "comet_online", 1, 2 * TIMEOUT)
            await client.heartbeat()
        server.close()

    run(story())
    goodbye = next(why for state, why in changes if state == "lost")
    assert len(visits) == 1 and goodbye.nodes == [("127.0.0.1", 1), house.address("tcp")]


def test_heartbeats_keep_it_online(launch):
    house = launch({"logic.heartbeat": "1s"})
    changes = []

    async def story():
        async with client_of(house, mid=7, heartbeat=0.2, on_change=lambda *change: changes.append(change)):
            await off(wait_until, lambda: house.metrics()("comet_packets_in_total", op="heartbeat") >= 8, "heartbeats")

    run(story())
    assert [state for state, _ in changes] == ["online", "closed"]


class Chat:
    """One person in a terminal: what it prints, line by line."""

    def __init__(self, argv):
        # An example must not leave compiled files beside itself.
        self.process = subprocess.Popen(argv, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def say(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def wait_for(self, line):
        wait_until(lambda: line + "\n" in self.lines, lambda: f"{line!r} among {self.lines}", 2 * TIMEOUT)

    def leave(self):
        self.process.stdin.close()
        try:
            assert self.process.wait(TIMEOUT) == 0, self.lines
        finally:
            self.process.kill()
            self._reader.join(TIMEOUT)
            self.process.stdout.close()


def test_chat_room(house):
    host, port = house.address("tcp")
    argv = [ROOT / "examples/python/chat.py", "--port", str(port), "--api", "http://{}:{}".format(*house.address("http"))]
    ada, bob = (Chat([*argv, "--name", name]) for name in ("ada", "bob"))
    ada.wait_for("[online]")
    bob.wait_for("[online]")
    ada.say("hello")
    bob.wait_for("ada: hello")
    bob.say("grüße")
    ada.wait_for("bob: grüße")
    ada.leave()
    bob.leave()


def test_application_that_takes_its_time_gets_everything_in_order(house, backend):
    changes = []

    def push_many():
        with backend.kept_alive():
            for n in range(1500):
                backend.push_mids([7], str(n))

    async def story():
        async with client_of(house, mid=7, heartbeat=0.05, timeout=2,
                             on_change=lambda *change: changes.append(change)) as client:
            await off(push_many)  # more than wait in the client, which so reads no answers to heartbeats either
            await off(wait_until, lambda: client._full, "the client has stopped reading")
            await asyncio.sleep(2.5)  # more than a heartbeat and its deadline
            assert [int((await anext(client)).body) for _ in range(1500)] == list(range(1500))
            assert client.online

    run(story())
    assert [state for state, _ in changes] == ["online", "closed"]
