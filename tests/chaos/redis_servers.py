"""redis_servers: Redis servers and Sentinels of a test's own, beside the one that each house has.

SPDX-License-Identifier: MIT"""
import contextlib
import signal
import socket
import subprocess

import redis

from waiting import TIMEOUT, wait_until


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


class Server:
    """One redis-server or sentinel."""

    def __init__(self, directory, *arguments, config=None):
        self.port = free_port()
        directory.mkdir()
        command = ["redis-server"]
        if config is not None:
            path = directory / "sentinel.conf"
            path.write_text(config)
            command += [str(path), "--sentinel"]
        command += ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(directory), *arguments]
        self._log = open(directory / "log", "wb")
        self.process = subprocess.Popen(command, stdout=self._log, stderr=self._log)
        self.client = redis.Redis("127.0.0.1", self.port, socket_timeout=TIMEOUT)
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

    def stop(self, how=signal.SIGTERM):
        self.client.close()
        self.process.send_signal(how)
        self.process.wait()
        self._log.close()


SENTINEL = """sentinel monitor house 127.0.0.1 {port} 1
sentinel down-after-milliseconds house 1000
sentinel failover-timeout house 5000
"""


@contextlib.contextmanager
def replicated(directory, config, sentinels):
    """A master, its replica, and so many Sentinels that know each other, all running until the end."""
    running = [Server(directory / "master", "--save", "")]
    try:
        running.append(Server(directory / "replica", "--save", "", "--replicaof", "127.0.0.1", str(running[0].port)))
        wait_until(lambda: running[1].client.info("replication")["master_link_status"] == "up", "the replica follows")
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
