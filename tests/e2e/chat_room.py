"""chat_room: the chat examples in a terminal, and what they print. SPDX-License-Identifier: MIT"""
import os
import subprocess
import threading

from waiting import TIMEOUT, wait_until


class Chat:
    """One person in a terminal: what it prints, line by line."""

    def __init__(self, argv):
        # An example must not leave compiled files beside itself.
        self.process = subprocess.Popen(argv, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}, text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.lines = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        self.lines.extend(iter(self.process.stdout.readline, ""))

    def say(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()

    def wait_for(self, line):
        wait_until(lambda: line + "\n" in self.lines, lambda: f"{line!r} among {self.lines}", 2 * TIMEOUT)

    def leave(self):
        self.process.stdin.close()
        try:
            assert self.process.wait(TIMEOUT) == 0, self.lines
        finally:
            self.close()

    def close(self):
        self.process.kill()
        self.process.wait()
        self._reader.join(TIMEOUT)
        self.process.stdout.close()
