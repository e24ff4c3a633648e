"""A chat room in a cluster survives the death of its comets: nobody misses a line. SPDX-License-Identifier: MIT"""
import subprocess

import pytest

from chat_room import Chat
from server import BUILD, ROOT
from waiting import wait_until

LINES = 40
FLAGS = {"address": ["-fsanitize=address,undefined"], "thread": ["-fsanitize=thread"], "coverage": ["--coverage"]}


def in_python(house, comets):
    return [ROOT / "examples/python/chat.py", *(word for comet in comets for word in ("--comet", comet)),
            "--api", "http://{}:{}".format(*house.address("logic-1", "http")), "--name"]


def in_c(house, comets):
    program = house.directory / "chat"
    if not program.exists():
        subprocess.run(["cc", "-I", ROOT / "client", ROOT / "examples/c/chat.c", "-o", program, BUILD / "libcometclient.a", "-ljansson",
                        "-lcurl", *FLAGS.get(BUILD.name, [])], check=True)
    return [program, "http://{}:{}".format(*house.address("logic-1", "http")), *comets]


@pytest.mark.house(settings={"stream.rooms": "live:1000/1h"})
@pytest.mark.parametrize("example", [in_python, in_c])
def test_nobody_misses_a_line_though_comets_die(house, example):
    comets = ["127.0.0.1:%d" % house.address(name, "tcp")[1] for name in house.names("comet")]
    argv = example(house, comets)
    people = [Chat([*argv, name] if example is in_python else [argv[0], name, *argv[1:]]) for name in ("ada", "bob", "cid")]
    try:
        wait_until(lambda: house.metrics("comet-1")("comet_joins_total", result="live") == 3, "all have joined")
        for n in range(LINES):
            if n in (LINES // 4, LINES // 2):
                house.kill("comet-1" if n == LINES // 4 else "comet-2")
            people[0].say(f"line {n}")
        for one in people[1:]:  # between the lines of ada stand the answers that she gets
            one.wait_for(f"ada: line {LINES - 1}")
            assert [line for line in one.lines if line.startswith("ada: ")] == [f"ada: line {n}\n" for n in range(LINES)]
            assert not any("missing" in line for line in one.lines)
        for one in people:
            one.leave()
    finally:
        for one in people:
            one.close()
