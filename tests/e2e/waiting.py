"""waiting: deadlines for tests. A test waits for a condition, never for a time.

SPDX-License-Identifier: MIT"""
import os
import pathlib
import time

# Long enough for a sanitizer build on a busy machine; a healthy test never comes near it.
TIMEOUT = 15.0

# Load is multiplied by this: 1 for a plain build, 0.2 where it runs a short pass, 0.1 under sanitizers.
SCALE = float(os.environ.get("COMET_TEST_SCALE", "1"))

# Whether the programs are a build with a sanitizer, which is slower and has memory of its own; or one that counts lines.
SANITIZED = pathlib.Path(os.environ.get("COMET_BUILD", "build")).name in ("address", "thread", "coverage")

# What goes on for a time by its nature goes on for so long.
LONG_SECONDS = float(os.environ.get("COMET_TEST_SECONDS", "3"))

# By how much resident memory may differ where nothing leaks. Sanitizers keep freed memory back: the Makefile bounds ASan's
# quarantine to 32 MiB, and each thread has a little of its own beside. What leaks LeakSanitizer tells at the end anyway.
SPARE_BYTES = 320 << 20 if SANITIZED else 2 << 20


def scaled(count, at_least=1):
    """`count` of something heavy, as many as this build can bear."""
    return max(at_least, int(count * SCALE))


class Deadline:
    """A moment by which something has to have happened."""

    def __init__(self, seconds=TIMEOUT):
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self):
        return max(0.0, self._end - time.monotonic())

    def waited(self):
        return time.monotonic() - (self._end - self.seconds)

    def passed(self):
        return self.left() == 0.0


def wait_until(condition, what, seconds=TIMEOUT, pause=0.01):
    """Wait until condition() is true, and return what it returned. `what` is a text, or a function that gives one. The longer it
    takes the less often it is asked: to look may be dear, and what takes 4 s may be seen 0.2 s late."""
    deadline = Deadline(seconds)
    while True:
        result = condition()
        if result:
            return result
        if deadline.passed():
            raise TimeoutError(f"after {seconds} s still not: {what() if callable(what) else what}")
        time.sleep(min(max(pause, min(deadline.waited() / 20, 0.2)), deadline.left()))
