"""docs/logic-protocol.md suffices to write a logic service: examples/logic.py runs in place of comet-logic.

SPDX-License-Identifier: MIT"""
import json
import subprocess
import sys

import pytest

from client import WAYS, Client, Op
from server import ROOT
from waiting import wait_until

V2_OVER_TCP = next(way for way in WAYS if way.name == "tcp-v2")


@pytest.fixture
def logic_py(house):
    host, port = house.address("redis", "redis")
    process = subprocess.Popen([sys.executable, ROOT / "examples/logic.py", f"{host}:{port}"])
    try:
        house.wait_ready("comet-1", "comet-2")
        yield process
        assert process.poll() is None, "logic.py has ended"
    finally:
        process.kill()
        process.wait()


def client_of(house, comet, **token):
    client = Client(V2_OVER_TCP, house.address(comet, "tcp"))
    client.send(Op.AUTH, json.dumps(token).encode())
    return client


@pytest.mark.house(comets=2, logics=0)
def test_logic_py_serves_a_cluster(house, logic_py):
    ada = client_of(house, "comet-1", password="sesame", name="ada")
    ada.expect(Op.AUTH_REPLY)
    bob = client_of(house, "comet-2", password="sesame", name="bob")
    bob.expect(Op.AUTH_REPLY)
    ada.send(1000, b"hello")
    # The answer to the packet and the push take ways of their own.
    wanted = {(1000, b""), (1000, b"ada: hello")}
    assert {(p.op, p.body) for p in ada.recv_many(2)} == wanted
    bob.expect(1000, b"ada: hello")
    eve = client_of(house, "comet-1", password="guess", name="eve")
    assert eve.expect_goodbye()["reason"] == "the password is wrong"
    ada.close()
    wait_until(lambda: house.redis().hkeys("logic-py:who") == [b"bob"], "its end is told")
    again = client_of(house, "comet-2", password="sesame", name="bob")
    again.expect(Op.AUTH_REPLY)
    assert "replaced" in bob.expect_goodbye()["reason"]
    for client in (bob, again):
        client.close()
