"""network: a network of its own for a test, in which a peer can vanish as in a lift: nothing of it comes any more, and nothing
reaches it.

SPDX-License-Identifier: MIT"""
import contextlib
import ctypes
import os
import subprocess

import pytest

CLONE_NEWNET = 0x40000000
LIBC = ctypes.CDLL(None, use_errno=True)


def run(*command):
    subprocess.run(command, check=True, capture_output=True, text=True)


@contextlib.contextmanager
def own_network():
    """This thread, and every program that it starts, is in a network of which nobody else is."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if LIBC.unshare(CLONE_NEWNET) != 0:
            pytest.skip(f"no network namespace: {os.strerror(ctypes.get_errno())}")
        run("ip", "link", "set", "lo", "up")
        yield
    finally:
        LIBC.setns(before, CLONE_NEWNET)
        os.close(before)


def vanish(address):
    """From now on all packets from and to this address are lost."""
    run("nft", f"add table ip lift; add chain ip lift way {{ type filter hook input priority 0; }}; "
               f"add rule ip lift way ip saddr {address} drop; add rule ip lift way ip daddr {address} drop")
