"""The libraries for back ends, examples/python/comet_api.py, examples/go/comet.go and examples/php/Comet.php: one scenario in three
languages, against a comet, a server that answers badly, and a port where nobody listens. What clients see and what it prints is the
same. Skipped where a language is not there.

SPDX-License-Identifier: MIT"""
import http.server
import os
import pathlib
import shutil
import subprocess
import sys
import threading

import pytest

from client import WAYS, Client
from server import ROOT, free_port
from waiting import TIMEOUT, wait_until

HERE = pathlib.Path(__file__).parent / "backends"
SECONDS = 4 * TIMEOUT  # the first Go program of a machine is compiled with all of Go's library

EXPECTED = """\
numbers 1 1 None
batch 0 -400 0 0 2
position 2
online 1 {'1': 1, '2': 0}
packet 4096 one a,b
packet 4096 two a,b
again two
kicked 1
fault -401
fault 0
flaky 5
fault 0
late 0
twice
"""


class Flaky(http.server.BaseHTTPRequestHandler):
    """Says −500 first, then nothing in time, and takes the third try of a push with the same name. To all: no answer at all. To keys it answers,
    and closes: it has been idle for too long, and who asks (GET) is answered when that is done. A batch takes its time."""
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path.partition("?")[0], self.headers["Idempotency-Key"]))
        if self.path.startswith("/goim/push/all") or len(self.server.heard) == 2:
            self.server.end.wait(TIMEOUT)
            self.close_connection = True
            return
        is_batch = self.path.startswith("/goim/batch")
        if is_batch:
            self.server.end.wait(1)
        self.close_connection = is_idle = self.path.startswith("/goim/push/keys")
        if is_idle:
            self.server.idle = self.request
        self.answer(b'{"code":0,"message":""}' if is_idle or is_batch or len(self.server.heard) == 3 else b'{"code":-500,"message":"full"}')

    def do_GET(self):
        self.server.closed.wait(TIMEOUT)
        self.answer(b'{"code":0,"message":"","data":{}}')

    def answer(self, text):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.send_header("Comet-Position", "5")
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


class FlakyServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Flaky)
        self.heard, self.end = [], threading.Event()
        self.idle, self.closed = None, threading.Event()

    def shutdown_request(self, request):
        super().shutdown_request(request)
        if request is self.idle:
            self.closed.set()


@pytest.fixture
def flaky():
    server = FlakyServer()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.end.set()
    server.shutdown()
    thread.join()
    server.server_close()


def python(_):
    return [sys.executable, "-B", HERE / "scenario.py"], {"PYTHONPATH": str(ROOT / "examples" / "python")}


def php(_):
    loaded = subprocess.run(["php", "-m"], capture_output=True, text=True, check=False).stdout if shutil.which("php") else ""
    if "curl" not in loaded.split():
        pytest.skip("there is no php with curl")
    return ["php", HERE / "scenario.php", ROOT / "examples" / "php" / "Comet.php"], {}


def go(tmp_path):
    if shutil.which("go") is None:
        pytest.skip("there is no go")
    shutil.copy(HERE / "scenario.go", tmp_path)
    (tmp_path / "go.mod").write_text(f"module scenario\n\ngo 1.19\n\nrequire comet v0.0.0\n\nreplace comet => {ROOT}/examples/go\n")
    environment = {"GOFLAGS": "-mod=mod", "GOPROXY": "off", "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "vet", "."], cwd=ROOT / "examples" / "go", env=os.environ | environment, check=True, timeout=SECONDS)
    subprocess.run(["go", "build", "-o", "scenario", "."], cwd=tmp_path, env=os.environ | environment, check=True, timeout=SECONDS)
    return [tmp_path / "scenario"], {}


def test_what_python_cannot_send_is_refused_in_words(flaky):
    sys.path.insert(0, str(ROOT / "examples" / "python"))
    try:
        from comet_api import Comet
    finally:
        sys.path.pop(0)
    for url in ("127.0.0.1:3111", "localhost", "ws://127.0.0.1:3102/sub", "http://"):
        with pytest.raises(ValueError, match="http://HOST:PORT"):
            Comet(url)
    comet = Comet(f"http://127.0.0.1:{flaky.server_address[1]}")
    for push in (lambda body: comet.push_users(1000, body, [7]), lambda body: comet.push_room(1000, body, "chat", "1")):
        for body in ({"text": "x"}, 7, None, [b"x"]):
            with pytest.raises(TypeError, match="str or bytes"):
                push(body)
    assert flaky.heard == []


@pytest.mark.parametrize("language", [python, go, php])
def test_scenario(language, launch, flaky, tmp_path):
    argv, environment = language(tmp_path)
    house = launch({"stream.rooms": "chat:50/1h", "http.api_key": "secret"})
    house.backend.api_key = "secret"
    client = Client(WAYS[0], house.address("tcp"))
    client.auth(mid=7, key="a,b", room="chat://1")
    for body in (b"one", b"two"):
        client.request(4096, body)
    wait_until(lambda: house.backend.data("/goim/online/room", type="chat", rooms="1")["1"] == 1, "the room is counted")
    wait_until(lambda: house.backend.data("/goim/online/total")["conn_count"] == 1, "the client is counted")
    told = subprocess.run([*argv, *(f"http://127.0.0.1:{port}" for port in (house.address("http")[1], flaky.server_address[1], free_port())),
                           "secret"], capture_output=True, text=True, timeout=SECONDS, env=os.environ | environment, check=False)
    assert (told.stdout, told.returncode) == (EXPECTED, 0), told.stderr
    for body in ("to users", "to keys", "to room", "once", "unkept", "to all", "é\n1", "2", "3"):
        client.expect_push(1000, body.encode())
    client.expect_goodbye()
    client.close()
    names = {name for path, name in flaky.heard if path == "/goim/push/room"}
    assert len(names) == 1 and None not in names, "a push that is tried again has its name"
    pushes = ["/goim/push/room"] * 3 + ["/goim/push/all", "/goim/batch"] + ["/goim/push/keys"] * 2
    assert [path for path, _ in flaky.heard] == pushes, "a push that may come twice is not tried again"
