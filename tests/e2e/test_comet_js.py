"""comet.js, the client for browsers and Node, in Node: by itself, and against a real comet over the ws package.

SPDX-License-Identifier: MIT"""
import json
import os
import queue
import re
import subprocess
import threading

import pytest

import tokens
from server import ROOT
from waiting import TIMEOUT, Deadline, wait_until

# Debian's modules, also for a node that is not Debian's.
ENVIRONMENT = {**os.environ, "NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs"}


class Agent:
    """A node process that runs comet.js; tests/web/agent.mjs says how it is led."""

    def __init__(self, url, deflate=False, **options):
        options = {"backoff": {"base": 50, "max": 200}, **options}
        self.process = subprocess.Popen(
            ["node", ROOT / "tests/web/agent.mjs", json.dumps({"url": url, "deflate": deflate, "options": options})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self._lines = queue.Queue()
        self._seen = []
        self._id = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self._lines.put(json.loads(line))
        self._lines.put({"event": "end of its output"})

    def _wait(self, **wanted):
        """The next line with these values; others stay to be waited for."""
        deadline = Deadline(2 * TIMEOUT)
        looked_at = 0
        while True:
            for i in range(looked_at, len(self._seen)):
                if wanted.items() <= self._seen[i].items():
                    return self._seen.pop(i)
            looked_at = len(self._seen)
            try:
                self._seen.append(self._lines.get(timeout=max(0.001, deadline.left())))
            except queue.Empty:
                raise TimeoutError(f"no {wanted} among {self._seen}") from None

    def event(self, name, **more):
        return self._wait(event=name, **more)

    def has_none(self, name):
        return not any(line.get("event") == name for line in self._seen)

    def start(self, call, *args):
        self._id += 1
        self.process.stdin.write(json.dumps({"id": self._id, "call": call, "args": args}) + "\n")
        self.process.stdin.flush()
        return self._id

    def result(self, call):
        line = self._wait(id=call)
        assert "error" not in line, line
        return line["result"]

    def refusal(self, call):
        line = self._wait(id=call)
        assert "error" in line, line
        return line["error"]

    def call(self, name, *args):
        return self.result(self.start(name, *args))

    def close(self):
        self.process.stdin.close()
        try:
            self.process.wait(TIMEOUT)
        finally:
            self.process.kill()
            self.process.wait()
            self.process.stdout.close()


def url(house, listener="websocket"):
    host, port = house.address(listener)
    return f"{'wss' if listener.endswith('tls') else 'ws'}://{host}:{port}/sub"


@pytest.fixture
def agent():
    agents = []

    def make(*args, **options):
        agents.append(Agent(*args, **options))
        return agents[-1]

    yield make
    for one in agents:
        one.close()


def test_by_itself():
    result = subprocess.run(["node", "--test", ROOT / "tests/web/comet.test.mjs"], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr


@pytest.mark.own_house
@pytest.mark.parametrize("listener", ["websocket", "websocket-tls"])
def test_rooms_operations_and_replies(house, backend, agent, listener):
    one = agent(url(house, listener), mid=7, key="k", room="live://1", accepts=[1000])
    one.call("connect")
    backend.push_room("live://1", "room 1", op=2000)
    assert one.event("push") == {
        "event": "push", "op": 2000, "ver": 1, "seq": 0, "room": "", "number": 0, "body": "room 1"}
    assert one.call("heartbeat") == 1
    one.call("changeRoom", "live://2")
    one.call("subscribe", 1001, 1002)
    one.call("unsubscribe", 1000)
    backend.push_room("live://1", "not there")
    backend.push_mids([7], "not wanted", op=1000)
    backend.push_keys(["k"], "wanted", op=1001)
    backend.push_room("live://2", "room 2")
    assert [one.event("push")["body"] for _ in range(2)] == ["wanted", "room 2"]
    assert one.call("request", 4096, "a score") == {"op": 4096, "body": ""}
    assert wait_until(lambda: backend.data("/goim/upstream"), "the packet")[0]["body"] == "a score"
    assert one.has_none("lost")


def test_heartbeats_keep_it_online(launch, agent):
    house = launch({"logic.heartbeat": "1s"})
    one = agent(url(house), mid=7, heartbeat=200)
    one.call("connect")
    for _ in range(8):  # without them it would be gone after the fifth
        one.event("heartbeat")
    assert one.has_none("lost") and house.metrics()("comet_online") == 1


def test_silent_client_is_sent_away_and_comes_back(launch, agent):
    house = launch({"logic.heartbeat": "1s"})
    one = agent(url(house), mid=7)
    one.call("connect")
    assert one.event("goodbye")["code"] == 9
    one.event("lost")
    one.event("online")
    one.event("online")


def test_restart_is_survived_with_the_room_of_then(launch, agent):
    house = launch()
    one = agent(url(house), mid=7, room="live://1")
    one.call("connect")
    one.call("changeRoom", "live://2")
    house.stop()
    house.ended_by_test = True
    assert one.event("goodbye")["code"] == 4
    later = one.start("subscribe", 1001)  # while nobody is there
    one.event("lost")
    one.event("lost")
    again = launch({"websocket.bind": "{}:{}".format(*house.address("websocket"))})
    one.event("online", room="live://2")
    one.result(later)
    again.backend.push_room("live://2", "after")
    again.backend.push_mids([7], "wanted", op=1001)
    assert [one.event("push")["body"] for _ in range(2)] == ["after", "wanted"]


def test_killed_server_is_noticed(launch, agent):
    house = launch()
    one = agent(url(house), mid=7)
    one.call("connect")
    house.kill()
    house.ended_by_test = True
    assert one.event("lost")["goodbye"] is None


def test_kicked_or_replaced_is_for_good(house, backend, agent):
    first = agent(url(house), mid=7, key="k")
    first.call("connect")
    second = agent(url(house), mid=7, key="k")
    second.call("connect")
    assert first.event("closed")["goodbye"]["code"] == 2
    backend.kick(keys=["k"])
    assert second.event("closed")["goodbye"]["code"] == 1
    house.wait_empty()
    assert house.metrics()("comet_authenticated_total") == 2


@pytest.mark.parametrize("offered", [False, True])
@pytest.mark.parametrize("is_on", [False, True])
@pytest.mark.parametrize("listener", ["websocket", "websocket-tls"])
def test_ws_with_and_without_compression(launch, agent, offered, is_on, listener):
    house = launch({"websocket.deflate": "yes" if is_on else "no"})
    one = agent(url(house, listener), deflate=offered, mid=7)
    one.start("connect")
    extensions = one.event("online")["extensions"]
    assert extensions == ("permessage-deflate" if offered and is_on else "")
    bodies = ["", "x", "long " * 20000, json.dumps(list(range(3000)))]
    for body in bodies:
        house.backend.push_mids([7], body)
    assert [one.event("push")["body"] for _ in bodies] == bodies
    body = "compressible " * 300
    one.call("request", 4096, body)
    assert wait_until(lambda: house.backend.data("/goim/upstream"), "the packet")[0]["body"] == body
    assert house.metrics()("comet_websocket_deflates_total") == (2 if offered and is_on else 0)
    assert house.metrics()("comet_websocket_inflates_total") == (1 if offered and is_on else 0)


def test_signed_tokens_are_renewed_and_asked_for_again(launch, agent):
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}", "auth.leeway": "0"})
    one = agent(url(house), jwts=[tokens.hs256().decode()], room="live://1")
    one.call("connect")
    one.event("online")
    house.backend.push_room("live://1", "before")
    assert one.event("push")["body"] == "before"
    one.call("setTokens", *(tokens.hs256(expires=seconds).decode() for seconds in (5, 3600)))
    one.call("renew")  # by the first of these, which is over soon
    assert one.event("goodbye")["code"] == 13
    one.event("online")  # by the second
    house.backend.push_room("live://1", "after")
    assert one.event("push")["body"] == "after"
    fixed = agent(url(house), jwt="no.token.atall")
    fixed.start("connect")
    assert fixed.event("closed")["goodbye"]["code"] == 5


def pushed(agent, n):
    return [(push["room"], push["body"]) for push in (agent.event("push") for _ in range(n))]


def test_misses_nothing_of_several_rooms(launch, agent):
    house = launch({"stream.rooms": "chat:100/10m"})
    one = agent(url(house), mid=7, streams=True)
    one.call("connect")
    at = one.call("join", "chat://1")["at"]
    one.call("join", "chat://2")
    one.call("join", "plain://1")
    house.backend.push_room("chat://1", "one")
    assert pushed(one, 1) == [("chat://1", "one")]
    one.call("terminate")
    one.event("lost")
    for i in range(3):
        house.backend.push_room("chat://1", f"missed {i}")
        house.backend.push_room("chat://2", f"missed too {i}")
    got = pushed(one, 6)
    assert [body for room, body in got if room == "chat://1"] == [f"missed {i}" for i in range(3)]
    assert [body for room, body in got if room == "chat://2"] == [f"missed too {i}" for i in range(3)]
    assert one.call("leave", "chat://2") is not None
    house.backend.push_room("chat://2", "left")
    house.backend.push_room("plain://1", "without a number")
    house.backend.push_room("chat://1", "last")
    assert pushed(one, 2) == [("plain://1", "without a number"), ("chat://1", "last")]
    assert one.has_none("gap")
    two = agent(url(house), mid=8, streams=True)
    two.call("connect")
    assert two.call("join", "chat://1", {"since": at}) == {"at": at, "gap": False, "replay": 5}
    assert [body for _, body in pushed(two, 5)] == ["one", *(f"missed {i}" for i in range(3)), "last"]


def test_misses_nothing_of_the_users_stream_and_confirms_it(launch, agent):
    house = launch({"stream.users": "50/1h", "stream.users_open": "yes"})
    one = agent(url(house), mid=7, key="js", streams=True)
    one.call("connect")
    house.backend.push_mids([7], "one")
    assert pushed(one, 1) == [("", "one")]
    one.call("terminate")
    one.event("lost")
    for n in range(3):
        house.backend.push_mids([7], f"missed {n}")
    assert pushed(one, 3) == [("", f"missed {n}") for n in range(3)]
    at = house.backend.data("/goim/stream/acks", mid=7)["at"]
    wait_until(lambda: house.backend.data("/goim/stream/acks", mid=7)["keys"].get("js") == at, "it is confirmed")
    house.backend.accepted("/goim/stream/clear", mid=7)
    assert one.event("gap")["room"] == ""


def test_a_back_end_leads_into_rooms_and_out_of_them(launch, agent):
    house = launch({"stream.rooms": "chat:100/10m"})
    one = agent(url(house), mid=7, streams=True)
    one.call("connect")
    for kind in ("chat", "live"):
        house.backend.accepted("/goim/room/join", type=kind, rooms="1", mids=7)
        assert one.event("joined")["room"] == f"{kind}://1"
        house.backend.push_room(f"{kind}://1", "one")
    assert pushed(one, 2) == [("chat://1", "one"), ("live://1", "one")]
    one.call("terminate")
    one.event("lost")
    house.backend.push_room("chat://1", "missed")
    assert pushed(one, 1) == [("chat://1", "missed")]
    house.backend.accepted("/goim/room/leave", type="chat", rooms="1", mids=7)
    assert one.event("left", room="chat://1")["reason"] == "kicked"
    assert one.has_none("gap")


def test_a_restart_alone_is_a_gap(launch, agent):
    house = launch({"stream.rooms": "chat:100/10m", "stream.spread": "1s"})
    one = agent(url(house), mid=7, streams=True)
    one.call("connect")
    one.call("join", "chat://1")
    house.kill()
    house.ended_by_test = True
    one.event("lost")
    again = launch({"stream.rooms": "chat:100/10m", "stream.spread": "1s",
                    "websocket.bind": "{}:{}".format(*house.address("websocket"))})
    gap = one.event("gap", room="chat://1")
    assert gap["reloadAfter"] <= 1000
    again.backend.push_room("chat://1", "on")
    assert pushed(one, 1) == [("chat://1", "on")]


def test_the_example_of_the_documents_runs(launch, tmp_path):
    """With a WebSocket class, which Node has of its own from version 22 on, and the port of this server."""
    house = launch({"stream.rooms": "chat:200/10m"})
    house.backend.push_room("chat://1", "said before")
    text, = re.findall(r"^```js\n(import .*?)^```$", (ROOT / "docs/streams.md").read_text(), re.M | re.S)
    assert "ws://127.0.0.1:3102/sub" in text
    (tmp_path / "comet.js").write_text((ROOT / "examples/web/comet.js").read_text())
    (tmp_path / "ws.cjs").write_text("globalThis.WebSocket ??= require('ws');")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "example.js").write_text(text.replace("ws://127.0.0.1:3102/sub", url(house)))
    with subprocess.Popen(["node", "--require", tmp_path / "ws.cjs", tmp_path / "example.js"], stdout=subprocess.PIPE, text=True,
                          env=ENVIRONMENT) as example:
        try:
            room, number, said = example.stdout.readline().rstrip("\n").split(" ", 2)
            assert (room, said) == ("chat://1", "said before") and int(number) > 2**50
        finally:
            example.kill()


def test_a_server_without_streams_serves_the_rest(launch, agent):
    house = launch()
    one = agent(url(house), mid=7, token=json.dumps({"mid": 7, "accepts": [1000]}), streams=True)
    one.call("connect")
    assert one.refusal(one.start("join", "chat://1")) == "refused"
    house.backend.push_mids([7], "plain")
    assert one.event("push")["body"] == "plain"
