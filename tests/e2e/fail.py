"""fail: makes system calls and allocations of a comet fail, while it runs: the test's side of tests/shim/fail.c.

    plan = Plan(tmp_path / "plan")
    house = launch(environment=plan.environment)
    plan.fail("accept4", errno.EMFILE, times=3)

SPDX-License-Identifier: MIT"""
import mmap
import os
import pathlib
import re
import struct

from server import BUILD, ROOT
from waiting import SANITIZED

LIBRARY = BUILD / "libfail.so"
# Sanitizers have memory of their own, which does not fail: see FAIL_NO_MEMORY.
OF_MEMORY = {"malloc", "calloc", "realloc", "aligned_alloc", "mmap", "mprotect", "madvise"} if SANITIZED else set()
CALLS = re.findall(r"^call\((\w+)\)", (ROOT / "tests/shim/fail.def").read_text(), re.M)
SLOT = struct.Struct("<IIIIII16s")  # struct slot of fail.c: fail, let through, errno, every, seen, failed, thread


class Plan:
    def __init__(self, path):
        path = pathlib.Path(path)
        path.write_bytes(bytes(SLOT.size * len(CALLS)))
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), 0)
        # The library comes before the sanitizer's, which would rather be first, and is what it calls next.
        options = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"
        self.environment = {"LD_PRELOAD": str(LIBRARY), "FAIL_PLAN": str(path), "ASAN_OPTIONS": options.lstrip(":")}

    def _at(self, call):
        return CALLS.index(call) * SLOT.size

    def fail(self, call, err, after=0, times=1, every=0, thread=""):
        """Let `after` calls through, then let `times` calls fail; beside that, each `every`-th one. Only calls of threads
        with this name count."""
        at = self._at(call)
        self.stop(call)
        self._map[at + 8:at + 12] = struct.pack("<I", err)
        self._map[at + 16:at + SLOT.size] = struct.pack("<II16s", 0, 0, thread.encode())
        self._map[at + 12:at + 16] = struct.pack("<I", every)
        self._map[at:at + 8] = struct.pack("<II", times, after)

    def stop(self, call):
        """No call fails any more."""
        at = self._at(call)
        self._map[at:at + 8] = bytes(8)
        self._map[at + 12:at + 16] = bytes(4)

    def seen(self, call):
        return SLOT.unpack_from(self._map, self._at(call))[4]

    def failed(self, call):
        return SLOT.unpack_from(self._map, self._at(call))[5]
