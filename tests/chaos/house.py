"""house: a real cluster for tests to break: scripts/cluster up in a folder of its own, and the handles to hurt it with.

SPDX-License-Identifier: MIT"""
import contextlib
import importlib.machinery
import importlib.util
import json
import os
import pathlib
import signal
import subprocess

import redis

from backend import Backend
from scrape import Metrics
from server import BUILD, ROOT, SETTINGS
from waiting import TIMEOUT, wait_until

COMMAND_SECONDS = 60
SPARE_FILES = 4  # a comet that has just started may have some of its own connections to Redis still to make


def cluster_script():
    """scripts/cluster as a module, for what no command of it shows."""
    loader = importlib.machinery.SourceFileLoader("cluster_script", str(ROOT / "scripts/cluster"))
    script = importlib.util.module_from_spec(importlib.util.spec_from_loader("cluster_script", loader))
    loader.exec_module(script)
    return script


class House:
    def __init__(self, directory, comets=3, logics=2, settings=None, redis_addr=None, build=BUILD, snapshots=False, tried=SETTINGS):
        self.directory = directory
        self.build = build  # the folder of the programs, for what is started from now on
        arguments = ["up", "--comets", str(comets), "--logics", str(logics)]
        if redis_addr is not None:
            arguments += ["--redis-addr", redis_addr]
        if snapshots:
            arguments += ["--snapshots"]
        for key, value in {"server.drain_timeout": "100ms", "server.drain_grace": "100ms", **tried, **(settings or {})}.items():
            arguments += ["-o", f"{key}={value}"]
        self.command(*arguments)
        self.has_redis = redis_addr is None
        self.files_idle = {name: self.files(name) for name in self.names("comet")}

    def command(self, *arguments):
        """scripts/cluster with these arguments; what it prints."""
        done = subprocess.run([ROOT / "scripts/cluster", "--dir", self.directory, *arguments], capture_output=True,
                              text=True, timeout=COMMAND_SECONDS, env={**os.environ, "COMET_BUILD": str(self.build)})
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # who is there

    def members(self):
        return {m["name"]: m for m in json.loads((pathlib.Path(self.directory) / "cluster.json").read_text())}

    def names(self, kind):
        return [name for name in self.members() if name.startswith(kind)]

    def address(self, name, what):
        return "127.0.0.1", self.members()[name]["ports"][what]

    def pid(self, name):
        return self.members()[name]["pid"]

    def log(self, name):
        return (pathlib.Path(self.directory) / f"{name}.log").read_text(errors="replace")

    # talking to them

    def backend(self, name="logic-1"):
        return Backend(self.address(name, "http"))

    def redis(self):
        return redis.Redis(*self.address("redis", "redis"), socket_timeout=TIMEOUT)

    def metrics(self, name):
        reply = self.backend(name).get("/metrics")
        assert reply.status == 200, reply
        return Metrics(reply.body.decode())

    def is_ready(self, name):
        try:
            return self.backend(name).get("/readyz").status == 200
        except OSError:
            return False

    def wait_ready(self, *names, seconds=TIMEOUT):
        for name in names or self.names("logic") + self.names("comet"):
            wait_until(lambda name=name: self.is_ready(name), f"{name} is ready", seconds, pause=0.05)

    # hurting them

    def kill(self, name):
        self.command("kill", name)

    def start(self, name):
        self.command("start", name)

    def freeze(self, name):
        os.kill(self.pid(name), signal.SIGSTOP)

    def thaw(self, name):
        os.kill(self.pid(name), signal.SIGCONT)

    # what they hold

    def is_up(self, name):
        return self.pid(name) is not None and pathlib.Path(f"/proc/{self.pid(name)}").exists()

    def files(self, name):
        return len(os.listdir(f"/proc/{self.pid(name)}/fd"))

    def threads(self, name):
        """Readers and dispatchers: those that connections cost."""
        names = []
        for task in pathlib.Path(f"/proc/{self.pid(name)}/task").iterdir():
            with contextlib.suppress(OSError):  # it has just ended
                names.append((task / "comm").read_text().strip())
        return sum(thread in ("reader", "dispatcher") for thread in names)

    def left_over(self):
        """The comets that hold more than one without connections, once all clients have gone."""
        return {name: (self.threads(name), self.files(name)) for name in filter(self.is_up, self.files_idle)
                if self.threads(name) > 0 or self.files(name) > self.files_idle[name] + SPARE_FILES}

    def end(self, failed):
        """Stop all, once nothing is left of their clients; no log may say what no log should. After a test that failed they
        are shown."""
        try:
            if not failed:
                wait_until(lambda: not self.left_over(), lambda: f"of clients nothing is left; (threads, files): "
                           f"{self.left_over()}, files without clients: {self.files_idle}", pause=0.05)
        finally:
            self.stop(failed)

    def stop(self, failed):
        logs = {name: self.log(name) for name in self.members()}
        self.command("down")
        if failed:
            for name, log in logs.items():
                print(f"--- the log of {name} ended:\n{log[-3000:]}")
        bad = [f"{name}: {line}" for name, log in logs.items() for line in log.splitlines()
               if any(sign in line for sign in ("BUG", "Sanitizer", "runtime error:", "please report"))]
        assert bad == []
