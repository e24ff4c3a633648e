"""What stands at redis.addr is no Redis, or one that lets nobody in: a program that starts says so, names no other cause, and goes by itself
or with the first good answer. SPDX-License-Identifier: MIT"""
import contextlib
import re
import signal
import socket
import subprocess
import threading

import pytest

from backend import Backend
from client import WAYS, Client
from redis_servers import SENTINEL, Server
from server import BUILD, free_port
from waiting import TIMEOUT, wait_until

START_SECONDS = 30  # so long a comet waits for Redis


class Stranger:
    """Takes connections; says this and closes, or says nothing at all."""

    def __init__(self, says):
        self._says = says
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._kept = []
        self.address = "127.0.0.1:%d" % self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._listener.accept()
                self._kept.append(peer)
                if self._says:
                    peer.recv(4096)
                    peer.sendall(self._says)
                    peer.close()

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self._kept:
            peer.close()


class Program:
    def __init__(self, name, log, **settings):
        self._log = log
        settings = {"http.bind": "127.0.0.1:0", "redis.timeout": "500ms", **settings}
        if name == "comet":
            settings.update({"logic.mode": "redis", "tcp.bind": "127.0.0.1:0", "websocket.bind": "", "server.id": "c"})
        with open(log, "wb") as out:
            self.process = subprocess.Popen([BUILD / name, *[word for key, value in settings.items() for word in ("-o", f"{key}={value}")]],
                                            stdout=out, stderr=out)

    def log(self):
        return self._log.read_text(errors="replace")

    def lines(self, event):
        return [line for line in self.log().splitlines() if f"event={event}" in line.split()]

    def address(self):
        """Of its HTTP API; None: not yet."""
        found = re.search(r"listening http (127.0.0.1:\d+)", self.log())
        return found and found.group(1)

    def readyz(self):
        if self.address() is None:
            return None
        reply = Backend(("127.0.0.1", int(self.address().rpartition(":")[2]))).get("/readyz")
        return reply.status, reply.body.decode().rstrip()

    def end(self, how=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(2 * TIMEOUT)


@pytest.fixture
def begin(tmp_path):
    running = []

    def start(name, **settings):
        settings = {key.replace("_", "."): value for key, value in settings.items()}
        running.append(Program(name, tmp_path / f"{len(running)}.log", **settings))
        return running[-1]

    yield start
    for program in running:
        program.end(signal.SIGKILL)


@pytest.fixture
def locked(tmp_path):
    server = Server(tmp_path / "locked", "--save", "")
    server.client.config_set("requirepass", "right")
    server.client.execute_command("AUTH", "right")
    yield server
    server.stop(signal.SIGKILL)


NO_REDIS = "what answers there is no Redis"
STRANGERS = {"http": (b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", NO_REDIS),
             "ssh": (b"SSH-2.0-OpenSSH_9.2p1\r\n", NO_REDIS),
             "silent": (b"", "no answer in time")}


@pytest.fixture
def stranger(request):
    says, why = STRANGERS[request.param]
    one = Stranger(says)
    yield one, why
    one.stop()


@pytest.mark.parametrize("stranger", STRANGERS, indirect=True)
def test_what_is_no_redis_is_called_so(stranger, begin):
    one, why = stranger
    logic = begin("comet-logic", redis_addr=one.address)
    wait_until(lambda: logic.readyz() is not None and why in logic.readyz()[1], lambda: f"it says so, and not {logic.readyz()}")
    assert logic.readyz()[0] == 503 and logic.readyz()[1].startswith("Redis is unreachable: ")
    wait_until(lambda: len(logic.lines("redis_unreachable")) >= 5, "the log says so, too, of each connection")
    assert all(why in line for line in logic.lines("redis_unreachable"))
    # Nothing that was not there is lost, and nothing answered.
    assert not any(logic.lines(event) for event in ("redis_lost", "redis_refuses", "redis_connected"))
    assert logic.end() == 0


def test_a_wrong_password_is_told_of_until_it_is_right(locked, begin):
    logic = begin("comet-logic", redis_addr=f"127.0.0.1:{locked.port}", redis_password="wrong")
    wait_until(lambda: logic.readyz() is not None and "Redis says: WRONGPASS" in logic.readyz()[1], "it says so")
    assert "WRONGPASS" in logic.lines("redis_login_refused")[0]
    locked.client.config_set("requirepass", "wrong")
    wait_until(lambda: logic.readyz() == (200, "ready"), lambda: f"it is let in, and does not say {logic.readyz()}")
    assert logic.end() == 0


def test_a_comet_that_gives_up_says_why(locked, begin):
    """And not that the time was over."""
    comet = begin("comet", redis_addr=f"127.0.0.1:{locked.port}", redis_password="wrong")
    nobody = begin("comet", redis_addr=f"127.0.0.1:{free_port()}")
    for program, why in ((comet, "Redis says: WRONGPASS"), (nobody, "Redis is unreachable: Connection refused")):
        wait_until(lambda p=program: p.process.poll() is not None, "it ends", START_SECONDS + 2 * TIMEOUT)
        assert program.process.returncode == 1
        assert why in program.lines("redis_needed")[0]
        assert all("Redis cannot be used" in line for line in program.lines("start_failed"))


def test_a_sentinel_that_goes_is_named_once_and_no_redis_is_lost(tmp_path, begin):
    master = Server(tmp_path / "master", "--save", "")
    sentinels = [Server(tmp_path / f"sentinel-{i}", config=SENTINEL.format(port=master.port)) for i in range(2)]
    try:
        logic = begin("comet-logic", **{"redis_sentinels": ",".join(f"127.0.0.1:{s.port}" for s in sentinels), "redis_master": "house",
                                        "redis_lease": "600ms"})
        wait_until(lambda: logic.readyz() == (200, "ready"), "it is ready")
        sentinels[0].end(signal.SIGKILL)
        wait_until(lambda: logic.lines("sentinel_unreachable"), "it says so")
        asked = sentinels[1].client.info("stats")["total_connections_received"]
        wait_until(lambda: sentinels[1].client.info("stats")["total_connections_received"] > asked + 3, "it goes on with the other")
        line, = logic.lines("sentinel_unreachable")
        assert f"sentinel=127.0.0.1:{sentinels[0].port}" in line
        assert not logic.lines("redis_lost") and logic.readyz() == (200, "ready")
    finally:
        for server in (*sentinels, master):
            server.stop(signal.SIGKILL)


@pytest.mark.parametrize("elsewhere", [{"redis_prefix": "other"}, {"redis_db": "1"}], ids=["prefix", "database"])
def test_a_comet_that_looks_where_no_logic_is_says_where_it_looks(tmp_path, begin, elsewhere):
    server = Server(tmp_path / "redis", "--save", "")
    try:
        settings = {"redis_addr": f"127.0.0.1:{server.port}", "redis_lease": "600ms"}
        logic, comet = begin("comet-logic", **settings), begin("comet", **settings, **elsewhere)
        wait_until(lambda: logic.readyz() == (200, "ready"), "logic has nothing to complain of")
        wait_until(lambda: comet.lines("logic_missing"), "the comet says that it finds none")
        prefix, db = elsewhere.get("redis_prefix", "comet"), elsewhere.get("redis_db", "0")
        assert f"prefix={prefix} db={db}" in comet.lines("logic_missing")[0]
        wait_until(lambda: comet.readyz() == (503, f"no logic service is up (with redis.prefix = {prefix}, redis.db = {db})"),
                   lambda: f"its API, which begins later, says so, and not {comet.readyz()}")
        nodes = subprocess.run([BUILD / "comet-cli", "nodes", "--http", "http://" + logic.address()], capture_output=True, text=True,
                               timeout=TIMEOUT)
        assert nodes.returncode == 0 and "/readyz" in nodes.stderr
        late = begin("comet-logic", **settings, **elsewhere)
        wait_until(lambda: comet.readyz() == (200, "ready"), lambda: f"it has one, and does not say {comet.readyz()}")
        wait_until(lambda: comet.lines("logic_found"), "and says that it is over")
        assert len(comet.lines("logic_missing")) == len(comet.lines("logic_found")) == 1
        assert [program.end() for program in (comet, late, logic)] == [0, 0, 0]
    finally:
        server.stop(signal.SIGKILL)


def test_a_comet_misses_no_logic_before_a_lease_is_over_however_many_clients_wait(tmp_path, begin):
    server = Server(tmp_path / "redis", "--save", "")
    try:
        settings = {"redis_addr": f"127.0.0.1:{server.port}", "redis_lease": "10s", "redis_forget": "60s"}
        comet = begin("comet", **settings, logic_timeout="300ms")
        wait_until(lambda: (comet.readyz() or [0])[0] == 503, "it has Redis, and no logic")
        port = int(re.search(r"listening tcp 127.0.0.1:(\d+)", comet.log()).group(1))
        client = Client(WAYS[0], ("127.0.0.1", port))
        client.send_auth(mid=1)
        assert "no logic service" in client.expect_goodbye()["reason"]
        logic = begin("comet-logic", **settings)
        wait_until(lambda: comet.readyz() == (200, "ready"), lambda: f"it has one, and does not say {comet.readyz()}")
        assert not comet.lines("logic_missing") and not comet.lines("logic_found")
        assert [program.end() for program in (comet, logic)] == [0, 0]
    finally:
        server.stop(signal.SIGKILL)
