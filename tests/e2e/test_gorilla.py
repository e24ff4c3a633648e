"""A client that was not written here: gorilla/websocket in Go, over WebSocket with TLS and without, compressed and not.

SPDX-License-Identifier: MIT"""
import hashlib
import os
import pathlib
import queue
import shutil
import subprocess
import threading

import pytest

import stranger
from server import certificate
from waiting import TIMEOUT

GOPATH = pathlib.Path("/usr/share/gocode")  # golang-github-gorilla-websocket-dev
pytestmark = pytest.mark.skipif(shutil.which("go") is None or not (GOPATH / "src/github.com/gorilla/websocket").exists(),
                                reason="there is no go, or no gorilla/websocket")
LONG = "all work and no play " * 10000
NOISE = os.urandom(60_000)


@pytest.fixture(scope="module")
def gorilla(tmp_path_factory):
    return stranger.build("gorilla", tmp_path_factory.mktemp("go"), GOPATH)


class Gorilla:
    def __init__(self, program, house, scheme, compression):
        self.house = house
        listener = "websocket-tls" if scheme == "wss" else "websocket"
        url = f"{scheme}://127.0.0.1:{house.address(listener)[1]}/sub"
        self.process = subprocess.Popen([program, url, certificate()[0], compression], stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        self.reader = threading.Thread(target=lambda: [self.lines.put(line.rstrip("\n")) for line in self.process.stdout])
        self.reader.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.reader.join()
        self.process.stdout.close()
        self.process.wait()

    def says(self, line):
        said = self.lines.get(timeout=TIMEOUT)
        assert said == line

    def has(self, op, body):
        body = body.encode() if isinstance(body, str) else body
        self.says(f"op {op} bytes {len(body)} sha256 {hashlib.sha256(body).hexdigest()}")

    def begins(self):
        """The answer to its token, the pong and the answers, in the order of what it sent."""
        self.has(8, "")
        self.says("pong there?")
        said = self.lines.get(timeout=TIMEOUT)
        assert said.startswith("op 3 bytes 4 ")
        self.has(2000, "")
        assert self.house.backend.data("/goim/upstream")[-1]["body"] == "y" * 4000


@pytest.mark.parametrize("scheme", ["ws", "wss"])
@pytest.mark.parametrize("deflate, compression, extensions", [
    ("no", "no", ""), ("no", "yes", ""), ("yes", "no", ""),
    ("yes", "yes", "permessage-deflate; server_no_context_takeover; client_no_context_takeover")], ids=["plain", "refused", "unasked", "deflate"])
def test_client_in_go(launch, gorilla, scheme, deflate, compression, extensions):
    house = launch({"websocket.deflate": deflate})
    with Gorilla(gorilla, house, scheme, compression) as client:
        client.says(f'extensions "{extensions}"')
        client.begins()
        for body in ("hello", LONG, NOISE, ""):
            house.backend.push_mids([7], body)
            client.has(1000, body)
        house.backend.push_mids([7], "leave", op=1001)
        client.has(1001, "leave")
        client.says("closed 1000 client_left")
        assert client.process.wait(timeout=TIMEOUT) == 0
    house.wait_empty()
    assert (house.metrics()("comet_websocket_deflates_total") > 0) == (extensions != "")


def test_client_in_go_hears_why_it_is_sent_away(launch, gorilla):
    house = launch({"websocket.deflate": "no"})
    with Gorilla(gorilla, house, "wss", "no") as client:
        client.says('extensions ""')
        client.begins()
        house.backend.kick(mids=7)
        assert client.lines.get(timeout=TIMEOUT).startswith("op 6 ")
        client.says("closed 1000 kicked")
