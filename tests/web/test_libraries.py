"""Libraries of npm that reconnect, and know nothing of comet: back after a drain, and not after a kick. `make check-web` gets them;
COMET_TEST_MODULES says where they are.

SPDX-License-Identifier: MIT"""
import json
import os
import pathlib
import queue
import signal
import subprocess
import threading

import pytest

from waiting import TIMEOUT

FOLDER = pathlib.Path(__file__).parent
ENVIRONMENT = {**os.environ, "NODE_PATH": "/usr/share/nodejs:/usr/lib/nodejs"}


class Library:
    def __init__(self, name, house):
        host, port = house.address("websocket")
        self.process = subprocess.Popen(["node", FOLDER / "libraries.mjs", name, f"ws://{host}:{port}/sub"],
                                        stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
        self._lines = queue.Queue()
        threading.Thread(target=lambda: [self._lines.put(json.loads(line)) for line in self.process.stdout], daemon=True).start()

    def hear(self, event, timeout=TIMEOUT):
        while True:
            line = self._lines.get(timeout=timeout)
            if line["event"] == event:
                return line

    def hear_ops(self):
        return [packet["op"] for packet in self.hear("message")["packets"]]


@pytest.fixture
def library(request):
    made = []

    def make(name, house):
        made.append(Library(name, house))
        assert made[0].hear_ops() == [8]
        return made[0]

    yield make
    made[0].process.kill()
    made[0].process.wait()


NAMES = pytest.mark.parametrize("name", ["sockette", "rxjs"])
QUICK = pytest.mark.settings("server.drain_timeout=100ms", "server.drain_grace=100ms")


@NAMES
@QUICK
def test_comes_back_after_a_drain(launch, library, name):
    first = launch()
    client = library(name, first)
    first.process.send_signal(signal.SIGTERM)
    assert client.hear("close")["code"] == 1001
    assert first.process.wait(TIMEOUT) == 0
    first.ended_by_test = True
    second = launch({"websocket.bind": "{}:{}".format(*first.address("websocket"))})
    assert client.hear_ops() == [8]
    second.backend.v1_push(7, b'"again"')
    assert client.hear("message")["packets"][0]["body"] == "again"


@NAMES
def test_stays_away_after_a_kick(launch, library, name):
    house = launch()
    client = library(name, house)
    house.backend.kick(mids=7)
    assert client.hear("close")["code"] == 1000
    with pytest.raises(queue.Empty):
        client.hear("message", timeout=1.5)
