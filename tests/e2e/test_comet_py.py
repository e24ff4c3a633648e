"""examples/python: the client for Python, and the chat room on it.

SPDX-License-Identifier: MIT"""
import asyncio
import contextlib
import json
import random
import sys
import time

import pytest

import tokens
from chat_room import Chat
from server import ROOT, certificate
from waiting import TIMEOUT, wait_until

sys.path.insert(0, str(ROOT / "examples/python"))

import comet_client  # noqa: E402
from comet_client import Client, CometError, Goodbye, quiet  # noqa: E402

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


@pytest.mark.own_house
def test_rooms_operations_and_receipts(house, backend):
    async def story():
        async with client_of(house, mid=7, key="k", room="live://1") as client:
            await off(backend.push_room, "live://1", "room 1", op=2000)
            push = await anext(client)
            assert push == comet_client.Packet(2000, b"room 1")
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


@pytest.mark.parametrize("in_one", [False, True])
def test_while_something_comes_an_answer_may_take_longer(in_one):
    """A server replays what was missed before it reads on, and a phone's line is slow: also for one long push."""
    changes = []

    async def replay(visit, reader, writer):
        await welcome(reader, writer)
        await comet_client.read_packet(reader)
        end = time.monotonic() + 1.5
        if in_one:
            writer.write((16 + 150).to_bytes(4, "big") + b"\0\x10\0\1\0\0\x03\xe8\0\0\0\0")
            for byte in b"missed" * 25:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.01)
        while not in_one and visit == 0 and time.monotonic() < end:
            say(writer, 1000, b"missed")
            await asyncio.sleep(0.01)
        say(writer, 1000, b"over")
        await reader.read()

    async def story():
        async with Wrong(replay) as server, Client(*server.address, heartbeat=0.05, timeout=0.5,
                                                   on_change=lambda *change: changes.append((change[0], server.visits))) as client:
            while (await anext(client)).body.startswith(b"missed"):
                pass
            assert changes == [("online", 1)]
            while len(changes) < 2:
                await asyncio.sleep(0.01)

    run(story())
    assert changes[1] == ("lost", 1)


def test_server_that_goes_away_says_where_to_go(house):
    """A stranger that lets in and sends away: to a port where nobody is, and to the comet."""
    visits, changes = [], []

    async def send_away(reader, writer):
        visits.append(await reader.read(4096))
        seq = visits[-1][12:16]
        writer.write(b"\0\0\0\x10\0\x10\0\1\0\0\0\x08" + seq)
        nodes = ["no-port", f"{'x' * 64}:1", "127.0.0.1:1", "{}:{}".format(*house.address("tcp"))]
        body = json.dumps({"code": 4, "reason": "draining", "nodes": nodes}).encode()
        writer.write((16 + len(body)).to_bytes(4, "big") + b"\0\x10\0\1\0\0\0\x06\0\0\0\0" + body)
        await writer.drain()

    async def story():
        server = await asyncio.start_server(send_away, "127.0.0.1", 0)
        async with Client(*server.sockets[0].getsockname(), mid=7, back_off=(60, 1, 60),
                          on_change=lambda *change: changes.append(change)) as client:
            await off(house.wait_metric, "comet_online", 1, 2 * TIMEOUT)
            await client.connect()  # which may not have read yet that it is in
            await client.heartbeat()
        server.close()

    run(story())
    goodbye = next(why for state, why in changes if state == "lost")
    assert len(visits) == 1 and goodbye.nodes == [("127.0.0.1", 1), house.address("tcp")]


class Leaver:
    """A server that lets one client in, and does then what the test says."""

    async def listen(self):
        self._server = await asyncio.start_server(self._let_in, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()
        self.is_left = asyncio.Event()
        return self

    async def _let_in(self, reader, writer):
        self._writer = writer
        token = await comet_client.read_packet(reader)
        self.send(8, seq=token.seq)
        while await reader.read(4096):
            pass
        self.is_left.set()

    def send(self, op, body=b"", seq=0):
        self._writer.write(comet_client.Packet(op, body, seq).encode())

    def send_away(self, *nodes):
        self.send(6, json.dumps({"code": 4, "reason": "draining", "nodes": nodes}).encode())

    def close(self):
        self._writer.close()
        self._server.close()


@pytest.mark.parametrize("key", ["k", ""])
def test_what_a_server_that_goes_away_still_pushes_is_taken(house, backend, key):
    """Until the client is elsewhere; with a key until the server closes, which it does once the key has moved."""
    async def story():
        changes = asyncio.Queue()
        old = await Leaver().listen()
        async with Client(*old.address, mid=7, key=key, on_change=lambda *change: changes.put_nowait(change)) as client:
            old.send(1000, b"before")
            old.send_away("{}:{}".format(*house.address("tcp")))
            assert [(await changes.get())[0] for _ in range(2)] == ["online", "lost"]
            old.send(4096, b"an answer, too late", seq=99)
            old.send(1000, b"meanwhile")
            assert [(await anext(client)).body for _ in range(2)] == [b"before", b"meanwhile"]
            assert (await changes.get())[0] == "online"
            if key:
                old.send(1000, b"the rest")
                assert (await anext(client)).body == b"the rest"
                old.close()
            await old.is_left.wait()
            await off(backend.push_mids, [7], "elsewhere")
            assert (await anext(client)).body == b"elsewhere"
            assert changes.empty()
        old.close()

    run(story())


def test_close_is_the_end_of_the_connection_to_a_server_that_goes_away_too():
    async def story():
        lost = asyncio.Event()
        old = await Leaver().listen()
        client = Client(*old.address, key="k", back_off=(60, 1, 60),
                        on_change=lambda state, why: lost.set() if state == "lost" else None)
        await client.connect()
        old.send_away()
        await lost.wait()
        assert not old.is_left.is_set()
        await client.close()
        await old.is_left.wait()
        old.close()

    run(story())


def test_to_give_up_waiting_for_a_push_loses_none():
    async def story():
        server = await Leaver().listen()
        async with Client(*server.address) as client:
            for number in range(200):
                waiting = asyncio.create_task(anext(client))
                await asyncio.sleep(0)  # so that it waits
                client._keep(comet_client.Packet(number))
                for _ in range(number % 4):
                    await asyncio.sleep(0)
                waiting.cancel()
                try:
                    got = await waiting
                except asyncio.CancelledError:
                    got = await anext(client)
                assert got.op == number
        server.close()

    run(story())


def test_a_goodbye_says_what_it_can():
    of = lambda **said: Goodbye.of(json.dumps(said).encode())  # noqa: E731
    said = of(code=4, reason="x", nodes=["no-port", "[::1]:3101", "h:0", "h:-1", "h:65536", "a\0:1", 7, ["h:1"], "h:3101"])
    assert (said.code, said.reason, said.nodes) == (4, "x", [("::1", 3101), ("h", 3101)])
    for nodes in (7, None, "h:1", {"h:1": 1}):
        assert (of(code=1, reason="x", nodes=nodes).code, of(code=1, nodes=nodes).nodes) == (1, [])
    for body in (b"", b"[]", b"{}", b"7", b"\xff", b'{"code":"x"}'):
        assert Goodbye.of(body).code == 0


@pytest.mark.parametrize("host", ["ws://127.0.0.1:3102/sub", "tcp://127.0.0.1", "127.0.0.1:3101"])
def test_a_host_that_is_a_url_or_has_a_port_is_refused_at_once(host):
    """It would be tried for ever, and without a word."""
    with pytest.raises(ValueError, match="port="):
        Client(host, mid=7)


def test_back_off_grows_where_a_server_lets_in_and_says_nothing(monkeypatch):
    """However long it takes to give it up: that was no good session. One that was online for long enough is."""
    bounds = []
    monkeypatch.setattr(comet_client.random, "uniform", lambda _, bound: bounds.append(bound) or 0)

    async def story():
        silent = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        old = await Leaver().listen()
        changes = asyncio.Queue()
        client = Client(*silent.sockets[0].getsockname(), timeout=0.1, back_off=(1, 2, 1e9),
                        on_change=lambda state, why: changes.put_nowait(state))
        connecting = asyncio.create_task(client.connect())
        while len(bounds) < 4:
            await changes.get()
        client._address, client._timeout = old.address, TIMEOUT
        await connecting
        monkeypatch.setattr(comet_client, "GOOD_SESSION", 0)  # this one is good
        n = len(bounds)
        assert bounds == [2**i for i in range(n)]
        client._address = silent.sockets[0].getsockname()
        old.close()
        while len(bounds) == n:
            await changes.get()
        assert bounds[n] == 1
        await client.close()
        silent.close()

    run(story())


def test_who_is_sent_to_and_fro_waits_longer_and_longer(monkeypatch):
    """Otherwise a server could have all of its clients knock at somebody's door ten times a second."""
    bounds, places = [], []
    monkeypatch.setattr(comet_client.random, "uniform", lambda _, bound: bounds.append(bound) or 0)

    async def send_away(visit, reader, writer):
        await welcome(reader, writer, "")
        say(writer, 6, {"code": 4, "reason": "x", "nodes": places * 1000})
        await reader.read()

    async def story():
        async with Wrong(send_away) as server:
            places.append("%s:%d" % server.address)
            client = Client(*server.address, back_off=(1, 2, 1e9))
            coming = asyncio.create_task(client.connect())  # it may never notice that it was online
            while len(bounds) < 6:
                await asyncio.sleep(0.001)
            await client.close()
            await asyncio.gather(coming, return_exceptions=True)

    run(story())
    assert bounds[:6] == [0.2 * 2**i for i in range(6)]
    assert len(Goodbye.of(json.dumps({"code": 4, "nodes": places * 1000}).encode()).nodes) == 10


def test_closed_as_it_comes_in_it_does_not_stay(monkeypatch):
    """Python's wait_for forgot to be cancelled where what it waited for was done at the same moment, and close() never returned."""
    opened = asyncio.open_connection
    clients, writers = [], []

    async def open_and_close(*to, **how):
        pair = await opened(*to, **how)
        writers.append(pair[1])
        asyncio.get_running_loop().call_soon(clients[0]._task.cancel)
        return pair

    async def story():
        async with Wrong(lambda visit, reader, writer: reader.read()) as server:
            clients.append(Client(*server.address))
            with pytest.raises(comet_client.CometError, match="closed"):
                await clients[0].connect()
            await asyncio.sleep(0)
            assert [writer.is_closing() for writer in writers] == [True]

    monkeypatch.setattr(comet_client.asyncio, "open_connection", open_and_close)
    run(story())


def test_heartbeats_keep_it_online(launch):
    house = launch({"logic.heartbeat": "1s"})
    changes = []

    async def story():
        async with client_of(house, mid=7, heartbeat=0.2, on_change=lambda *change: changes.append(change)):
            await off(wait_until, lambda: house.metrics()("comet_packets_in_total", op="heartbeat") >= 8, "heartbeats")

    run(story())
    assert [state for state, _ in changes] == ["online", "closed"]


def test_chat_room(house):
    host, port = house.address("tcp")
    argv = [ROOT / "examples/python/chat.py", "--comet", f"{host}:{port}", "--api", "http://{}:{}".format(*house.address("http"))]
    with contextlib.closing(Chat([*argv, "--name", "ada"])) as ada, contextlib.closing(Chat([*argv, "--name", "bob"])) as bob:
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


# -- streams

USERS = {"stream.users": "50/1h", "stream.users_open": "yes"}
STREAMS = {"stream.rooms": "chat:100/10m", "stream.spread": "1s"}


async def take(client, n):
    return [(push.room, push.body.decode()) for push in [await anext(client) for _ in range(n)]]


def test_misses_nothing_of_several_rooms(launch):
    house = launch(STREAMS)
    seen = []

    async def story():
        async with client_of(house, mid=7, streams=True, on_room=lambda *event: seen.append(event)) as client:
            at = (await client.join("chat://1")).at
            await client.join("chat://2")
            assert (await client.join("plain://1")).at == 0
            await off(house.backend.push_room, "chat://1", "one")
            assert await take(client, 1) == [("chat://1", "one")]
            client._writer.transport.abort()  # as a network that is gone
            for i in range(3):
                await off(house.backend.push_room, "chat://1", f"missed {i}")
                await off(house.backend.push_room, "chat://2", f"missed too {i}")
            got = await take(client, 6)
            assert [body for room, body in got if room == "chat://1"] == [f"missed {i}" for i in range(3)]
            assert [body for room, body in got if room == "chat://2"] == [f"missed too {i}" for i in range(3)]
            assert client.positions["chat://1"] == at + 4
            await client.leave("chat://2")
            await off(house.backend.push_room, "chat://2", "left")
            await off(house.backend.push_room, "plain://1", "without a number")
            await off(house.backend.push_room, "chat://1", "last")
            assert await take(client, 2) == [("plain://1", "without a number"), ("chat://1", "last")]
        async with client_of(house, mid=8, streams=True, positions={"chat://1": at}) as client:
            assert await client.join("chat://1") == (at, False, 5)
            assert [body for _, body in await take(client, 5)] == ["one", *(f"missed {i}" for i in range(3)), "last"]

    run(story())
    assert not any(event == "gap" for event, _, _ in seen)


def test_a_gap_is_told_and_the_state_loaded_again(launch):
    house = launch(STREAMS)
    seen, states = [], []

    async def state(room):
        positions = await off(house.backend.data, "/goim/stream/position", type="chat", rooms=room.partition("://")[2])
        states.append(positions)
        return next(iter(positions.values()))

    async def story():
        async with client_of(house, mid=7, streams=True, state=state, on_room=lambda *event: seen.append(event)) as client:
            await client.join("chat://1")
            assert len(states) == 1
            await off(house.backend.push_room, "chat://1", "before")
            assert await take(client, 1) == [("chat://1", "before")]
            await off(house.backend.accepted, "/goim/stream/clear", type="chat", room="1")
            while len(states) < 2:
                await asyncio.sleep(0.01)
            await off(house.backend.push_room, "chat://1", "after")
            assert await take(client, 1) == [("chat://1", "after")]

    run(story())
    assert [event for event, _, _ in seen] == ["joined", "gap", "joined"]


def test_misses_nothing_of_the_users_stream_and_confirms_it(launch):
    house = launch(USERS)
    seen = []

    async def story():
        async with client_of(house, mid=7, key="py", streams=True, on_room=lambda *event: seen.append(event)) as client:
            await off(house.backend.push_mids, [7], "one")
            assert await take(client, 1) == [("", "one")]
            client._writer.transport.abort()
            for n in range(3):
                await off(house.backend.push_mids, [7], f"missed {n}")
            assert await take(client, 3) == [("", f"missed {n}") for n in range(3)]
            asked = asyncio.create_task(anext(client))  # they are done
            positions = client.positions
            await off(wait_until, lambda: house.backend.data("/goim/stream/acks", mid=7)["keys"].get("py") == positions[""], "it is confirmed")
            asked.cancel()
        await off(house.backend.push_mids, [7], "later")
        async with client_of(house, mid=7, streams=True, positions=positions) as client:
            assert await take(client, 1) == [("", "later")]

    run(story())
    assert {event[:2] for event in seen} == {("joined", "")}


def test_each_connection_confirms_the_position_in_the_stream_that_nobody_leaves(launch):
    house = launch(USERS)

    async def story():
        async with client_of(house, mid=7, key="py", streams=True) as client:
            await off(house.backend.push_mids, [7], "one")
            assert await take(client, 1) == [("", "one")]
            with pytest.raises(ValueError):
                await client.join("")
            await client.leave("")
            client._notice({"room": "", "left": "kicked"})
            asked = asyncio.create_task(anext(client))
            await asyncio.sleep(0)
            client._acker.cancel()  # what was to be confirmed is lost with the connection
            client._acker = None
            client._writer.transport.abort()
            await off(wait_until, lambda: house.backend.data("/goim/stream/acks", mid=7)["keys"].get("py") == client.positions[""], "it is confirmed")
            asked.cancel()

    run(story())


def test_a_back_end_leads_into_rooms_and_out_of_them(launch):
    house = launch(STREAMS)
    seen = []

    async def lead(way, room):
        kind, _, name = room.partition("://")
        await off(house.backend.accepted, f"/goim/room/{way}", type=kind, rooms=name, mids=7)

    async def story():
        async with client_of(house, mid=7, streams=True, on_room=lambda *event: seen.append(event)) as client:
            for room in ("chat://1", "live://1"):
                await lead("join", room)
                await off(house.backend.push_room, room, "one")
            assert await take(client, 2) == [("chat://1", "one"), ("live://1", "one")]
            client._writer.transport.abort()
            await off(house.backend.push_room, "chat://1", "missed")
            assert await take(client, 1) == [("chat://1", "missed")]
            await lead("leave", "chat://1")
            while not any(event == "left" for event, _, _ in seen):
                await asyncio.sleep(0.01)

    run(story())
    assert [event[:2] for event in seen if event[0] != "joined"] == [("left", "chat://1")]


def test_rooms_that_may_not_be_joined(launch):
    house = launch({"limits.rooms": 1})
    left = []

    async def story():
        async with client_of(house, mid=7, streams=True, on_room=lambda *event: left.append(event)) as client:
            await client.join("live://1")
            for room in ("live://2", "x" * 300):
                with pytest.raises(comet_client.Refused):
                    await client.join(room)
        async with client_of(house, mid=7, token=b'{"mid":7,"accepts":[1000]}', streams=True) as client:
            with pytest.raises(comet_client.Refused, match="knows no streams"):
                await client.join("live://1")
            await off(house.backend.push_mids, [7], "plain")
            assert (await anext(client)).body == b"plain"
        with pytest.raises(CometError):
            await client.join("live://1")

    run(story())
    assert [event for event, _, _ in left] == ["joined", "left", "left"]


def spied(client, seen):
    """Tell seen(op, body) of each packet of this client, before it goes."""
    ask = client._ask

    def spy(op, body=b"", *more):
        seen(op, body)
        return ask(op, body, *more)

    client._ask = spy


def test_who_waits_for_a_room_waits_over_a_lost_connection_and_a_second_wish(launch):
    house = launch(STREAMS)
    asked = []

    async def story():
        async with client_of(house, mid=7, streams=True) as client:
            def lose_the_first(op, body):
                asked.append((op, body))
                if len(asked) == 1:
                    client._writer.transport.abort()

            spied(client, lose_the_first)
            first = asyncio.create_task(client.join("chat://1"))
            while not asked:
                await asyncio.sleep(0)
            second = await client.join("chat://1", last=3)
            assert await first == second
        assert asked[0][0] == comet_client.Op.JOIN and json.loads(asked[-1][1]) == {"rooms": [{"id": "chat://1", "last": 3}]}

    run(story())


def test_a_room_that_is_left_while_its_state_is_loaded_is_not_joined(launch):
    house = launch(STREAMS)
    joined = []

    async def state(room):
        if room == "chat://1":
            await client.leave(room)
        return 0

    client = client_of(house, mid=7, streams=True, state=state)

    async def story():
        async with client:
            spied(client, lambda op, body: op == comet_client.Op.JOIN and joined.append(json.loads(body)))
            with pytest.raises(comet_client.Refused, match="left again"):
                await client.join("chat://1")
            await client.join("chat://2")
        assert joined == [{"rooms": [{"id": "chat://2"}]}]

    run(story())


WELCOME = {"v": 1, "max_body": 4096, "max_rooms": 100}
WRONG = json.loads((ROOT / "tests/web/wrong_answers.json").read_text())


class Wrong:
    """A server that says one thing to each connection that comes, and closes."""

    def __init__(self, say):
        self._say = say
        self.visits = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._let_in, "127.0.0.1", 0)
        self.address = self._server.sockets[0].getsockname()
        return self

    async def __aexit__(self, *_):
        self._server.close()

    async def _let_in(self, reader, writer):
        visit, self.visits = self.visits, self.visits + 1
        try:
            with contextlib.suppress(EOFError, OSError):
                await self._say(visit, reader, writer)
        finally:
            writer.close()


def say(writer, op, said, seq=0, ver=1):
    body = said if isinstance(said, bytes) else (said if isinstance(said, str) else json.dumps(said)).encode()
    writer.write(comet_client.Packet(op, body, seq, ver).encode())


async def welcome(reader, writer, said=WELCOME):
    auth = await comet_client.read_packet(reader)
    say(writer, 8, said, auth.seq)
    return json.loads(auth.body)


@pytest.mark.parametrize("what, words", [("welcomes", "an answer to AUTH that is none"), ("joins", "an answer to JOIN that is none"),
                                         ("notices", "a NOTICE that is none")])
def test_answers_that_no_good_server_gives_end_the_connection(what, words):
    """Each of them one, and the next one is as ever."""
    wrong, told, changes = WRONG[what], [], []

    async def say_wrong(visit, reader, writer):
        is_last = visit == len(wrong)
        await welcome(reader, writer, wrong[visit] if what == "welcomes" and not is_last else WELCOME)
        join = await comet_client.read_packet(reader)
        if what == "joins" and not is_last:
            say(writer, 19, wrong[visit], join.seq)
        else:
            say(writer, 19, '{"rooms":[{"id":"chat://1","at":5,"gap":false}]}', join.seq)
        if what == "notices" and not is_last:
            say(writer, 22, wrong[visit])
        if is_last:
            say(writer, 1000, b"\0\0\0\0\x08chat://1on", 6, 4)
        await reader.read()

    async def story():
        async with Wrong(say_wrong) as server:
            client = Client(*server.address, streams=True, back_off=(0.001, 1, 0.001), on_change=lambda *change: changes.append(change),
                            on_room=lambda *event: told.append(event[0]))
            connected = asyncio.create_task(client.connect())
            while client._task is None:
                await asyncio.sleep(0)
            await client.join("chat://1")
            push = await anext(client)
            assert (push.room, push.number, push.body) == ("chat://1", 6, b"on")
            await connected
            await client.close()

    run(story())
    assert [str(why) for state, why in changes if state == "lost"] == [f"the server sent {words}"] * len(wrong)
    assert set(told) == {"joined"}


def test_a_wrong_answer_to_the_application_harms_the_next_connection_not():
    """Whoever asked is told at once, and not when the time for an answer is over, which is the next connection's."""
    async def say_wrong(visit, reader, writer):
        await welcome(reader, writer)
        join = await comet_client.read_packet(reader)
        say(writer, 19, "{}" if visit == 0 else '{"rooms":[{"id":"chat://1","at":5,"gap":false}]}', join.seq)
        await reader.read()

    async def story():
        async with Wrong(say_wrong) as server, Client(*server.address, streams=True, back_off=(0.001, 1, 0.001), timeout=1) as client:
            assert (await client.join("chat://1")).at == 5
            assert client.online and server.visits == 2

    run(story())


def test_a_server_that_says_at_once_is_asked_again_after_half_a_second():
    asked = []

    async def put_off(visit, reader, writer):
        await welcome(reader, writer)
        for said in {"error": 503, "reason": "not now", "retry_ms": 0}, {"at": 5, "gap": False}:
            join = await comet_client.read_packet(reader)
            asked.append(time.monotonic())
            say(writer, 19, {"rooms": [{"id": "chat://1", **said}]}, join.seq)
        await reader.read()

    async def story():
        async with Wrong(put_off) as server, Client(*server.address, streams=True) as client:
            assert (await client.join("chat://1")).at == 5

    run(story())
    assert asked[1] - asked[0] > 0.49


def test_a_ticket_that_is_not_to_be_had_now_keeps_nobody_out_of_other_rooms():
    """As the state of a room, it is asked for again; and the program is told."""
    tickets, asked, told = ["first", RuntimeError("no ticket now"), "third"], [], []

    def ticket():
        if isinstance(tickets[0], Exception):
            raise tickets.pop(0)
        return tickets.pop(0)

    async def let_in(visit, reader, writer):
        await welcome(reader, writer)
        for _ in range(2):
            join = await comet_client.read_packet(reader)
            wishes = json.loads(join.body)["rooms"]
            asked.append([(wish["id"], wish.get("ticket")) for wish in wishes])
            say(writer, 19, {"rooms": [{"id": wish["id"], "at": 5, "gap": False} for wish in wishes]}, join.seq)
        if visit > 0:
            await reader.read()

    async def story():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(str(context["exception"])))
        joined = asyncio.Queue()
        async with Wrong(let_in) as server, Client(*server.address, streams=True, back_off=QUICK,
                                                   on_room=lambda *event: joined.put_nowait(event[:2])) as client:
            await client.join("chat://1", ticket=ticket)
            await client.join("chat://2")
            assert [await joined.get() for _ in range(4)] == [("joined", f"chat://{n}") for n in (1, 2, 2, 1)]

    run(story())
    assert asked == [[("chat://1", "first")], [("chat://2", None)], [("chat://2", None)], [("chat://1", "third")]]
    assert told == ["no ticket now"]


def test_a_token_that_is_not_to_be_had_now_is_asked_for_again():
    """Whoever makes it may be away for a moment."""
    makers, told, changes = [RuntimeError("nobody signs now"), {"mid": 7}], [], []

    def token():
        made = makers.pop(0)
        if isinstance(made, Exception):
            raise made
        return json.dumps(made).encode()

    async def let_in(visit, reader, writer):
        await welcome(reader, writer)
        await reader.read()

    async def story():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(str(context["exception"])))
        async with Wrong(let_in) as server, Client(*server.address, token=token, accepts=(), back_off=QUICK,
                                                   on_change=lambda *change: changes.append(change)) as client:
            assert client.online and server.visits == 1

    run(story())
    assert told == ["nobody signs now"]
    assert [state for state, _ in changes] == ["lost", "online", "closed"] and "nobody signs now" in str(changes[0][1])


def test_a_callback_that_raises_is_told_and_ends_nothing():
    """As a listener of comet.js."""
    told = []

    def raising(*event):
        raise RuntimeError(event[0])

    def address():
        if not told:
            raise RuntimeError("nobody knows where")
        return server_address

    async def push_and_go(visit, reader, writer):
        await welcome(reader, writer)
        join = await comet_client.read_packet(reader)
        say(writer, 19, {"rooms": [{"id": "chat://1", "at": 5 + visit, "gap": True}]}, join.seq)
        say(writer, 1000, b"\0\0\0\0\x08chat://1on", 6 + visit, 4)
        say(writer, 22, {"room": "chat://1", "left": "expired"})
        if visit > 0:
            await reader.read()

    async def story():
        nonlocal server_address
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(str(context["exception"])))
        async with Wrong(push_and_go) as server:
            server_address = server.address
            async with Client(address, streams=True, on_change=raising, on_room=raising, back_off=(0.001, 1, 0.001)) as client:
                await client.join("chat://1")
                assert (await anext(client)).number == 6
                while server.visits < 2 or not client.online:
                    await asyncio.sleep(0.001)
                await client.join("chat://1")
                assert (await anext(client)).number == 7

    server_address = None
    run(story())
    assert told == ["nobody knows where", "lost", "online", "joined", "gap", "left", "lost", "online", "joined", "gap", "left", "closed"]


@pytest.mark.parametrize("made", [None, "text", 7])
def test_a_token_that_is_no_bytes_costs_that_attempt_only(made):
    tokens_made, told = [made, b'{"mid":7}'], []

    async def let_in(visit, reader, writer):
        await welcome(reader, writer)
        await reader.read()

    async def story():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context["exception"]))
        async with Wrong(let_in) as server, Client(*server.address, token=lambda: tokens_made.pop(0), accepts=(), back_off=QUICK):
            assert server.visits == 1

    run(story())
    assert [type(error) for error in told] == [TypeError]


def test_rooms_whose_join_is_longer_than_the_server_takes_are_refused():
    """It would end the connection, and so would the next one."""
    async def let_in(visit, reader, writer):
        await welcome(reader, writer)
        join = await comet_client.read_packet(reader)
        say(writer, 19, {"rooms": [{"id": wish["id"], "at": 5, "gap": False} for wish in json.loads(join.body)["rooms"]]}, join.seq)
        await reader.read()

    async def story():
        async with Wrong(let_in) as server, Client(*server.address, streams=True) as client:
            with pytest.raises(comet_client.Refused, match="longer than the server takes"):
                await client.join("chat://1", ticket="x" * 4096)
            assert (await client.join("chat://2")).at == 5
            assert server.visits == 1

    run(story())


def test_pushes_that_wait_are_bounded_in_bytes():
    n, body = 40, b"x" * (1 << 20)

    async def push_much(visit, reader, writer):
        await welcome(reader, writer, "")
        for _ in range(n):
            say(writer, 1000, body)
        await reader.read()

    async def story():
        async with Wrong(push_much) as server, Client(*server.address) as client:
            while not client._full and client._pushes.qsize() < n:
                await asyncio.sleep(0.01)
            assert client._pushes.qsize() == 16
            assert [len((await anext(client)).body) for _ in range(n)] == [len(body)] * n

    run(story())


def test_a_push_that_waited_for_room_as_its_connection_was_lost_comes_again(monkeypatch):
    """The position is not behind a push that the application cannot get any more."""
    monkeypatch.setattr(comet_client, "QUEUE", 3)
    changes, asked = [], []

    async def pushes(visit, reader, writer):
        await welcome(reader, writer)
        join = await comet_client.read_packet(reader)
        since = json.loads(join.body)["rooms"][0].get("since", 0)
        asked.append(since)
        say(writer, 19, {"rooms": [{"id": "chat://1", "at": since or 5, "gap": False, "replay": 0}]}, join.seq)
        for number in range((since or 5) + 1, 16):
            say(writer, 1000, b"\0\0\0\0\x08chat://1", number, 4)
        if visit == 0:
            await comet_client.read_packet(reader)
            writer.transport.abort()
        await reader.read()

    async def story():
        async with Wrong(pushes) as server, Client(*server.address, streams=True, back_off=(0.001, 1, 0.001),
                                                   on_change=lambda *change: changes.append(change[0])) as client:
            await client.join("chat://1")
            while not client._full:
                await asyncio.sleep(0)
            while "lost" not in changes:  # the first one is never answered, and another finds the connection gone
                quiet(asyncio.ensure_future(client.request(4096)))
                await asyncio.sleep(0.01)
            assert [(await anext(client)).number for _ in range(10)] == list(range(6, 16))

    run(story())
    assert asked == [0, 8]


def test_whatever_comes_it_is_there_for_the_next_connection():
    dice, told = random.Random(7), []
    rooms = ["chat://1", "led://1", ""]

    def place(**more):
        return {"at": dice.randrange(9), "gap": dice.random() < 0.5, "replay": 0, "reload_ms": 1, **more}

    def mangled(said):
        text = json.dumps(said).encode()
        at = dice.randrange(len(text))
        put = dice.choice([b"", b'"', b"0", b"-", b"[", b"}", b",", b"9" * 5000, b"null", b"\xff", b"[" * 100_000])
        return text if dice.random() < 0.3 else text[:at] + put + text[at + dice.randrange(4):]

    async def say_anything(visit, reader, writer):
        if visit >= 100:
            await welcome(reader, writer)
            join = await comet_client.read_packet(reader)
            say(writer, 19, {"rooms": [{"id": wish["id"], "at": 100, "gap": True} for wish in json.loads(join.body)["rooms"]]}, join.seq)
            say(writer, 1000, b"\0\0\0\0\x08chat://1last", 101, 4)
            await reader.read()
        await welcome(reader, writer, mangled({**WELCOME, "user": place()}))
        for _ in range(dice.randrange(4)):
            more = dice.choice([{"gap": True}, {"by": "server"}, {"left": "x"}])
            say(writer, 22, mangled({"room": dice.choice(rooms), "at": dice.randrange(9), **more}))
            room = dice.choice(rooms).encode()
            say(writer, 1000, b"\0\0\0\0%c%sx" % (len(room), room), dice.randrange(12), 4)
        with contextlib.suppress(asyncio.TimeoutError):  # it asks for no room where it has understood that we know no streams
            join = await asyncio.wait_for(comet_client.read_packet(reader), 0.05)
            say(writer, 19, mangled({"rooms": [place(id="chat://1")]}), join.seq)
        say(writer, 6, mangled({"code": 4, "reason": "x", "nodes": []}))

    async def story():
        async with Wrong(say_anything) as server:
            def join():
                quiet(asyncio.create_task(client.join("chat://1")))

            def on_room(event, room, detail):
                told.append(event)
                if (event, room) == ("left", "chat://1"):
                    asyncio.get_running_loop().call_later(0.005, join)

            client = Client(*server.address, streams=True, back_off=(0.001, 1, 0.001), on_room=on_room)
            connected = asyncio.create_task(client.connect())
            while client._task is None:
                await asyncio.sleep(0)
            join()
            while (await anext(client)).body != b"last":
                pass
            assert server.visits > 100
            await connected
            await client.close()

    run(story())
    assert told.count("joined") > 20 and "gap" in told and "left" in told


def test_a_server_leads_into_no_more_rooms_than_it_lets_in():
    told = []

    async def story():
        client = Client(streams=True, on_room=lambda *event: told.append(event[:2]))
        client._most = 100
        for i in range(300):
            client._notice({"room": f"a://{i}", "at": 7, "by": "server"})
            client._notice({"room": f"a://{i}", "left": "kicked"})
        assert client.positions == {} and client._rooms == {}
        for i in range(200):
            client._notice({"room": f"b://{i}", "at": 7, "by": "server"})
        client._notice({"room": "b://0", "at": 7, "by": "server"})
        with pytest.raises(CometError, match="more rooms than it lets in"):
            client._notice({"room": "c://1", "at": 7, "by": "server"})

    run(story())
    assert told[:2] == [("joined", "a://0"), ("left", "a://0")]


def test_where_the_server_ends_a_membership_the_position_stays_for_the_next_join():
    asked = []

    async def end_it(visit, reader, writer):
        await welcome(reader, writer)
        for _ in range(2):
            join = await comet_client.read_packet(reader)
            asked.extend(json.loads(join.body)["rooms"])
            say(writer, 19, {"rooms": [{"id": "chat://1", "at": asked[-1].get("since", 5), "gap": False}]}, join.seq)
            say(writer, 1000, b"\0\0\0\0\x08chat://1six", 6, 4)
            say(writer, 22, {"room": "chat://1", "left": "expired"})

    async def story():
        async with Wrong(end_it) as server, Client(*server.address, streams=True) as client:
            await client.join("chat://1")
            while client._joined_rooms():
                await asyncio.sleep(0)
            await client.join("chat://1", ticket="a new one")
            assert (await anext(client)).number == 6
            assert client.positions == {"chat://1": 6}

    run(story())
    assert asked == [{"id": "chat://1"}, {"id": "chat://1", "since": 6, "ticket": "a new one"}]


def test_without_a_position_what_the_key_has_not_confirmed_is_asked_for(launch):
    house = launch(USERS)
    seen = []

    async def story():
        who = {"mid": 7, "key": "py", "streams": True, "unacked": True, "on_room": lambda *event: seen.append(event)}
        numbers = [await off(house.backend.push_mids, [7], f"{n}") for n in range(3)]
        assert len(numbers) == 3
        async with client_of(house, **who) as client:  # a key that has confirmed nothing gets all there is
            assert await take(client, 2) == [("", "0"), ("", "1")]
            asked = asyncio.create_task(anext(client))  # they are done
            at = client.positions[""]
            await off(wait_until, lambda: house.backend.data("/goim/stream/acks", mid=7)["keys"].get("py") == at, "it is confirmed")
            assert (await asked).body == b"2"
        assert [event[:2] for event in seen] == [("joined", ""), ("gap", "")]
        async with client_of(house, **who) as client:
            assert await take(client, 1) == [("", "2")]
        assert seen[2:] == [("joined", "", (at, False, 1))]

    run(story())


def test_torn_pushes_end_the_connection():
    packet = comet_client.Packet(1000, b"\0\0\0\0\x09A", 1, 4)
    with pytest.raises(CometError):
        packet.unwrap()
    with pytest.raises(CometError):
        packet._replace(body=b"\0\0").unwrap()
    assert packet._replace(body=b"\0\x06\x61\x73\x01aB", seq=-0x30add31f).unwrap()[1:] == (
        b"B", -0x30add31f, 4, "a", 1795999887666401)


def test_positions_go_back_with_the_server(monkeypatch):
    """What was pushed before that has numbers above those of now: it moves no position, and nothing is confirmed that the application has not got."""
    monkeypatch.setattr(comet_client, "ACK_EVERY", 0.05)
    acked, told = [], []

    def push(writer, number):
        say(writer, 1000, b"\0\0\0\0\0%d" % number, number, 4)

    async def go_back(visit, reader, writer):
        await welcome(reader, writer, {**WELCOME, "user": {"at": 50 if visit else 100, "gap": visit > 0}})
        for number in (51,) if visit else (101, 102, 103):
            push(writer, number)
        while visit or 102 not in acked:
            packet = await comet_client.read_packet(reader)
            if packet.op == comet_client.Op.ACK:
                acked.append(int.from_bytes(packet.body, "big"))

    async def story():
        async with Wrong(go_back) as server, Client(*server.address, mid=7, key="k", streams=True, back_off=(0.001, 1, 0.001),
                                                    on_room=lambda *event: told.append(event)) as client:
            assert [(await anext(client)).number for _ in range(2)] == [101, 102]
            client._confirm(102)  # as by asking for the next one
            while ("gap", "", 50) not in told:
                await asyncio.sleep(0.001)
            assert (await anext(client)).number == 103 and client.positions == {"": 50}
            while acked[-1] != 50:
                await asyncio.sleep(0.001)
            assert (await anext(client)).number == 51 and client.positions == {"": 51}
            asked = asyncio.ensure_future(anext(client))
            while acked[-1] != 51:
                await asyncio.sleep(0.001)
            asked.cancel()

    run(story())
    assert acked[-3:] == [102, 50, 51]


def test_of_two_wishes_for_a_room_the_later_one_counts():
    """The pushes between the two answers come again behind the second one."""
    async def answer_both(visit, reader, writer):
        await welcome(reader, writer)
        first = await comet_client.read_packet(reader)
        is_there.set()
        for join in (first, await comet_client.read_packet(reader)):
            say(writer, 19, {"rooms": [{"id": "chat://1", "at": 5, "gap": False, "replay": 2}]}, join.seq)
            for number in (6, 7):
                say(writer, 1000, b"\0\0\0\0\x08chat://1", number, 4)
        say(writer, 1000, b"\0\0\0\0\x08chat://1", 8, 4)
        await reader.read()

    async def story():
        async with Wrong(answer_both) as server, Client(*server.address, streams=True) as client:
            first = asyncio.create_task(client.join("chat://1", last=2))
            await is_there.wait()
            assert [room.at for room in await asyncio.gather(first, client.join("chat://1", last=2))] == [5, 5]
            assert [(await anext(client)).number for _ in range(3)] == [6, 7, 8]

    is_there = asyncio.Event()
    run(story())


def push_of(writer, number, room="chat://1"):
    say(writer, 1000, b"\0\0\0\0" + bytes([len(room)]) + room.encode(), number, 4)


def test_led_into_a_room_for_which_it_has_asked_already_it_goes_on_from_the_answer():
    """What came between the two would come twice, or be left out in silence."""
    seen = []

    async def lead(visit, reader, writer):
        await welcome(reader, writer)
        join = await comet_client.read_packet(reader)
        say(writer, 22, {"room": "chat://1", "at": 5, "by": "server"})
        push_of(writer, 6)
        say(writer, 19, {"rooms": [{"id": "chat://1", "at": 5, "gap": False, "replay": 3}]}, join.seq)
        for number in (6, 7, 8):
            push_of(writer, number)
        say(writer, 22, {"room": "chat://1", "left": "kicked"})
        say(writer, 22, {"room": "chat://1", "at": 8, "by": "server"})
        push_of(writer, 9)
        await reader.read()

    async def story():
        async with Wrong(lead) as server, Client(*server.address, streams=True, on_room=lambda *event: seen.append(event[0])) as client:
            await client.join("chat://1", last=3)
            assert [(await anext(client)).number for _ in range(4)] == [6, 7, 8, 9]

    run(story())
    assert seen == ["joined", "left", "joined"]


def test_what_the_application_wants_is_asked_for_before_what_a_back_end_wanted(launch):
    house = launch({**STREAMS, "limits.rooms": 2})
    seen = []

    async def story():
        async with client_of(house, mid=7, streams=True, on_room=lambda *event: seen.append(event[:2])) as client:
            for name in "1234":
                await off(house.backend.accepted, "/goim/room/join", type="chat", rooms=name, mids=7)
            while len(seen) < 4:
                await asyncio.sleep(0.01)
            await client.join("chat://4")
            client._writer.transport.abort()
            while len(seen) < 9:
                await asyncio.sleep(0.01)

    run(story())
    assert seen[5:7] == [("joined", "chat://4"), ("joined", "chat://1")] and {event for event, _ in seen[7:]} == {"left"}


def test_a_state_that_comes_after_its_connection_was_lost_changes_nothing_on_the_next_one():
    loads = []

    async def let_in(visit, reader, writer):
        await welcome(reader, writer)
        if visit > 0:
            join = await comet_client.read_packet(reader)
            say(writer, 19, {"rooms": [{"id": "chat://1", "at": 70, "gap": False}]}, join.seq)
            push_of(writer, 71)
            await late.wait()
            push_of(writer, 72)
        else:
            while not loads:
                await asyncio.sleep(0)
            return
        await reader.read()

    async def state(room):
        loads.append(asyncio.get_running_loop().create_future())
        return await loads[-1]

    async def story():
        async with Wrong(let_in) as server, Client(*server.address, streams=True, state=state, back_off=QUICK) as client:
            joining = asyncio.create_task(client.join("chat://1"))
            while len(loads) < 2:
                await asyncio.sleep(0)
            loads[1].set_result(70)
            await joining
            assert (await anext(client)).number == 71
            if not loads[0].done():
                loads[0].set_result(60)
            for _ in range(3):
                await asyncio.sleep(0)  # so that it takes it
            late.set()
            assert (await anext(client)).number == 72

    late = asyncio.Event()
    run(story())


def test_a_wish_does_not_stand_for_the_state_that_a_gap_asks_for():
    loads = []

    async def state(room):
        loads.append(room)
        return 60 + len(loads)

    async def let_in(visit, reader, writer):
        await welcome(reader, writer)
        for since in (61, 62):
            join = await comet_client.read_packet(reader)
            asked.append(join.object()["rooms"][0]["since"])
            say(writer, 19, {"rooms": [{"id": "chat://1", "at": since, "gap": False}]}, join.seq)
            say(writer, 22, {"room": "chat://1", "at": 70, "gap": True, "reload_ms": 60000})
        await reader.read()

    async def story():
        async with Wrong(let_in) as server, Client(*server.address, streams=True, state=state,
                                                   on_room=lambda event, *_: event == "gap" and gap.set()) as client:
            await client.join("chat://1")
            await gap.wait()
            assert client.positions.get("chat://1", 0) < 70  # who is started again now has to load it
            await client.join("chat://1")

    asked, gap = [], asyncio.Event()
    run(story())
    assert asked == [61, 62]


def test_who_gives_up_waiting_for_a_room_is_in_it_all_the_same():
    async def state(room):
        waits.set()
        await go_on.wait()
        return 5

    async def let_in(visit, reader, writer):
        await welcome(reader, writer)
        join = await comet_client.read_packet(reader)
        say(writer, 19, {"rooms": [{"id": "chat://1", "at": 5, "gap": False}]}, join.seq)
        push_of(writer, 6)
        await reader.read()

    async def story():
        async with Wrong(let_in) as server, Client(*server.address, streams=True, state=state) as client:
            joining = asyncio.create_task(client.join("chat://1"))
            await waits.wait()
            joining.cancel()
            await asyncio.gather(joining, return_exceptions=True)
            go_on.set()
            assert (await anext(client)).number == 6

    waits, go_on = asyncio.Event(), asyncio.Event()
    run(story())


def test_a_room_that_is_left_before_its_turn_is_not_joined():
    """Of many rooms each packet waits for the answer to the one before."""
    heard = []

    async def let_in(visit, reader, writer):
        await welcome(reader, writer, {"v": 1, "max_body": 64, "max_rooms": 100})
        join = await comet_client.read_packet(reader)
        if visit == 0:
            return
        has_asked.set()
        leave = await comet_client.read_packet(reader)
        say(writer, 21, {"rooms": 0}, leave.seq)
        say(writer, 19, {"rooms": [{"id": room["id"], "at": 0, "gap": False} for room in join.object()["rooms"]]}, join.seq)
        heard.append(await comet_client.read_packet(reader))

    async def story():
        async with Wrong(let_in) as server, Client(*server.address, streams=True, back_off=QUICK) as client:
            wishes = [quiet(asyncio.create_task(client.join(room))) for room in ("a://one-of-two-rooms", "b://one-of-two-rooms")]
            await has_asked.wait()
            await client.leave("b://one-of-two-rooms")
            await wishes[0]
            with contextlib.suppress(CometError):
                await client.heartbeat()

    has_asked = asyncio.Event()
    run(story())
    assert [packet.op for packet in heard] == [comet_client.Op.HEARTBEAT]


def test_with_the_connection_a_room_is_left():
    async def let_in(visit, reader, writer):
        await welcome(reader, writer)
        if visit == 0:
            assert (await comet_client.read_packet(reader)).op == comet_client.Op.LEAVE
            return
        await reader.read()

    async def story():
        async with Wrong(let_in) as server, Client(*server.address, streams=True, back_off=QUICK) as client:
            await client.leave("chat://1")

    run(story())


def test_what_the_application_has_got_is_confirmed_before_it_closes(launch):
    house = launch(USERS)

    async def story():
        async with client_of(house, mid=7, key="py", streams=True) as client:
            await off(house.backend.push_mids, [7], "one")
            assert await take(client, 1) == [("", "one")]
            asked = asyncio.create_task(anext(client))
            await asyncio.sleep(0)
            asked.cancel()

    run(story())
    acks = wait_until(lambda: (said := house.backend.data("/goim/stream/acks", mid=7))["keys"] and said, "it is confirmed")
    assert acks["keys"] == {"py": acks["at"]}


def test_a_token_is_there_before_the_connection(launch):
    """A server keeps one without a token open for no longer than some seconds, and to make one may take longer."""
    house = launch({"protocol.handshake_timeout": "500ms"})
    changes = []

    async def story():
        async with client_of(house, token=lambda: time.sleep(0.7) or b'{"mid":7}', accepts=(),
                             on_change=lambda state, why: changes.append(state)):
            pass

    run(story())
    assert changes == ["online", "closed"]


def test_the_one_rule_for_numbers():
    told = []

    async def story():
        client = Client(streams=True, room="live://1", on_room=lambda *event: told.append(event))
        client._rooms["chat://1"] = room = comet_client.Room(5, None, None)

        def follows(number, name="chat://1", old=False):
            push = comet_client.Packet(1000, room=name, number=number)
            return (client._follows_old if old else client._follows)(push)

        assert not follows(6)  # before the answer to JOIN
        room.is_in = True
        assert [follows(number) for number in (5, 6, 6, 7, 2, 8)] == [False, True, False, True, False, True]
        assert [follows(0, name) for name in ("", "live://1", "chat://1", "left://1")] == [True, True, True, False]
        assert [follows(number, old=True) for number in (8, 10, 9, 9)] == [False, False, True, False]
        assert told == []
        assert follows(20) and told == [("gap", "chat://1", 19)] and room.position == 20
        client._notice({"room": "chat://1", "at": 15, "gap": True})
        assert told[1:] == [("gap", "chat://1", 15)] and follows(16)

    run(story())
