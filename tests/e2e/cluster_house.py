"""cluster_house: the same house for the same tests, but of three programs: redis-server, comet-logic and comet. Back ends
talk to comet-logic; what is looked at from outside is the comet.

SPDX-License-Identifier: MIT"""
import os
import re
import signal
import socket
import subprocess

from backend import Backend
from scrape import Metrics
from server import BUILD, Comet
from waiting import TIMEOUT, Deadline, wait_until

# What is asked of the comet; the last one is a path that is not there, to be counted where the others are.
OF_THE_COMET = ("/metrics", "/healthz", "/readyz", "/nothing")

# What comet-logic has to know of a test's settings.
LOGICS = ("logic.", "http.", "auth.", "redis.", "stream.", "events.", "log.", "limits.bans", "limits.per_user", "server.closed")


class ClusterBackend(Backend):
    """The API is comet-logic's; what is asked about the program itself is asked of the comet."""

    def __init__(self, address, api_key=None, comet=None):
        super().__init__(address, api_key)
        self.comet = comet

    def request(self, method, path, *arguments, **more):
        if self.comet is not None and path in OF_THE_COMET:
            return self.comet.request(method, path, *arguments, **more)
        return super().request(method, path, *arguments, **more)


class ClusterComet(Comet):
    def __init__(self, directory, settings=None, files=None, environment=None, logic_environment=None, one_core=False):
        settings = dict(settings or {})
        self._logic_environment = logic_environment
        self._others = []
        self._logic_before = None
        self._logic_log_start = 0
        self._directory = directory
        try:
            settings["redis.addr"] = self.redis = self._start_redis(directory)
            logic = self._start_logic(directory, settings)
            super().__init__(directory, {**settings, "logic.mode": "redis"}, files, environment, one_core)
            wait_until(lambda: self.backend.get("/readyz").status == 200, "the comet has found its logic")
        except BaseException:
            self._stop_others()
            raise
        self._own = self.backend
        self.backend = ClusterBackend(logic, settings.get("http.api_key"), self._own)
        if files is None:  # a test that takes files away looks at the comet's own HTTP
            self._addresses["http"] = logic

    def _run(self, directory, name, *argv, environment=None):
        with open(directory / name, "wb") as log:
            process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=directory,
                                       env={**os.environ, **(environment or {})}, preexec_fn=self._with_parent)
        self._others.append((name, process))
        return process

    def _start_redis(self, directory):
        """It knows no port 0, and somebody else may have taken the one that was free: then another."""
        log = directory / "redis"
        deadline = Deadline()
        while True:
            with socket.socket() as sock:
                sock.bind(("127.0.0.1", 0))
                port = sock.getsockname()[1]
            process = self._run(directory, "redis", "redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "")
            wait_until(lambda: process.poll() is not None or "Ready to accept connections" in log.read_text(), log.read_text)
            if process.poll() is None:
                return f"127.0.0.1:{port}"
            self._others.pop()
            assert "in use" in log.read_text() and not deadline.passed(), log.read_text()

    def _start_logic(self, directory, settings):
        asked = {"http.bind": "127.0.0.1:0", **{k: v for k, v in settings.items() if k.startswith(LOGICS)}}
        arguments = [argument for key, value in asked.items() for argument in ("-o", f"{key}={value}")]
        process = self._run(directory, "logic", BUILD / "comet-logic", *arguments, environment=self._logic_environment)
        log = directory / "logic"

        def listening():
            assert process.poll() is None, log.read_text()
            found = re.search(r'^listening http (\S+):(\d+)\n|"listener":"http","address":"(\S+):(\d+)"', log.read_text(), re.M)
            return found and (found[1] or found[3], int(found[2] or found[4]))

        return wait_until(listening, log.read_text)

    # the comet's own numbers

    def _scrape(self):
        reply = self._own.get("/metrics")
        assert reply.status == 200, reply
        return Metrics(reply.body.decode())

    def logic_metrics(self):
        metrics = self._scrape_logic()
        return metrics.since(self._logic_before) if self._logic_before else metrics

    def _scrape_logic(self):
        reply = Backend(self.backend.address, self.backend.api_key).get("/metrics")
        assert reply.status == 200, reply
        return Metrics(reply.body.decode())

    def logic_log(self):
        return (self._directory / "logic").read_bytes()[self._logic_log_start:].decode(errors="replace")

    def begin_test(self):
        super().begin_test()
        self._logic_before = self._scrape_logic()

    def end_test(self):
        super().end_test()
        self._logic_log_start = (self._directory / "logic").stat().st_size

    def reload_logic(self):
        dict(self._others)["logic"].send_signal(signal.SIGHUP)

    def wait(self, *arguments, **more):
        code = super().wait(*arguments, **more)
        self._stop_others()
        return code

    def kill(self):
        super().kill()
        self._stop_others()

    def _stop_others(self):
        """Logic has to end well; redis-server is not ours to judge."""
        others, self._others = self._others, []
        codes = {name: ended(process) for name, process in reversed(others)}
        assert codes.get("logic", 0) == 0, f"logic ended with {codes['logic']}"


def ended(process):
    """Its exit code after SIGTERM; it is killed where that does not help."""
    process.send_signal(signal.SIGTERM)
    try:
        return process.wait(2 * TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
