"""The JDK's own client of WebSocket, which knows nothing of comet. Skipped where there is no JDK.

SPDX-License-Identifier: MIT"""
import pathlib
import shutil
import subprocess

import pytest

from waiting import TIMEOUT

CLIENT = pathlib.Path(__file__).parent / "Client.java"


def has_compiler():
    if shutil.which("java") is None:
        return False
    modules = subprocess.run(["java", "--list-modules"], stdout=subprocess.PIPE, text=True, check=False).stdout
    return "jdk.compiler" in modules and "java.net.http" in modules


@pytest.fixture
def java(launch):
    if not has_compiler():
        pytest.skip("there is no JDK with java.net.http")
    house = launch()
    host, port = house.address("websocket")
    token = '{"mid":7,"key":"java","room_id":"live://1","platform":"java","accepts":[1000]}'
    process = subprocess.Popen(["java", "-Xmx64m", CLIENT, f"ws://{host}:{port}/sub", token], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, encoding="utf-8")
    yield house, process
    process.kill()
    process.wait(TIMEOUT)


def test_jdk(java):
    house, process = java
    assert process.stdout.readline() == "8 \n"
    process.stdin.write("x")
    process.stdin.flush()
    assert process.stdout.readline().startswith("3 ")
    body = "é" * 1500
    house.backend.push_keys("java", body.encode())
    assert process.stdout.readline() == f"1000 {body}\n"
    house.backend.kick(keys="java")
    assert process.stdout.readline().startswith("6 ")
    assert process.stdout.readline() == "close 1000\n"
    assert process.wait(TIMEOUT) == 0
