"""redis_servers: Redis servers and Sentinels of a test's own, beside the one that each house has.

SPDX-License-Identifier: MIT"""
import contextlib
import os
import signal
import subprocess

import redis

from server import free_port
from waiting import TIMEOUT, wait_until


class Server:
    """One redis-server or sentinel."""

    def __init__(self, directory, *arguments, config=None, environment=None):
        self.port = free_port()
        directory.mkdir()
        self._environment = {**os.environ, **(environment or {})}
        self._command = ["redis-server"]
        if config is not None:
            path = directory / "sentinel.conf"
            path.write_text(config)
            self._command += [str(path), "--sentinel"]
        self._command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory)]
        self._log = open(directory / "log", "wb")
        self.client = redis.Redis("127.0.0.1", self.port, socket_timeout=TIMEOUT)
        self.start(*arguments)

    def start(self, *arguments):
        self.process = subprocess.Popen([*self._command, *arguments], stdout=self._log, stderr=self._log, env=self._environment)
        wait_until(self._answers, "Redis answers")

    def _answers(self):
        try:
            return self.client.ping()
        except redis.RedisError:
            return False

    def is_master(self):
        """A sentinel that promotes a replica cuts its clients off."""
        try:
            return self.client.info("replication")["role"] == "master"
        except redis.RedisError:
            return False

    def follows(self):
        """Is it a replica that has its master's data?"""
        try:
            return self.client.info("replication").get("master_link_status") == "up"
        except redis.RedisError:
            return False

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait()

    def stop(self, how=signal.SIGTERM):
        self.client.close()
        self.end(how)
        self._log.close()


def cut_off(replica):
    """From here on it hears nothing: it is sent to where no master is, and stopped before a sentinel sees that."""
    replica.client.replicaof("127.0.0.1", "1")
    replica.process.send_signal(signal.SIGSTOP)


SENTINEL = """sentinel monitor house 127.0.0.1 {port} 1
sentinel down-after-milliseconds house 1000
sentinel failover-timeout house 5000
"""


# Debian's default, and Redis's own: no log, and a snapshot after so many seconds and changes.
SNAPSHOTS = ("--appendonly", "no", "--save", "3600 1 300 100 60 10000")


@contextlib.contextmanager
def replicated(directory, config, sentinels, save=("--save", "")):
    """A master, its replica, and so many Sentinels that know each other, all running until the end."""
    running = [Server(directory / "master", *save)]
    try:
        running.append(Server(directory / "replica", *save, "--replicaof", "127.0.0.1", str(running[0].port)))
        wait_until(running[1].follows, "the replica follows")
        running += [Server(directory / f"sentinel-{i}", config=config.format(port=running[0].port)) for i in range(sentinels)]
        for sentinel in running[2:]:
            wait_until(lambda sentinel=sentinel: [sentinel.client.sentinel_master("house")[what]
                                                  for what in ("num-slaves", "num-other-sentinels")] == [1, sentinels - 1],
                       "the sentinel knows all", 30)
        yield running
    finally:
        for server in running:
            if server.process.poll() is None:
                server.stop()
