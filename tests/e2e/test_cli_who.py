"""comet-cli who, nodes, rooms and top: who is there, and what goes on.

SPDX-License-Identifier: MIT"""
import contextlib
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pytest

from scripted_comet import DEADLINE_S
from test_cli import CLI, OK, REFUSED, USAGE, api, run  # noqa: F401: api is a fixture
from test_cli_comet import api_of
from waiting import TIMEOUT, Deadline, wait_until

pytestmark = pytest.mark.ways("tcp-v2")
CONNECTION = {"key": "k", "comet": "c-1", "since_ms": 0, "address": "10.0.0.9:1", "transport": "tcp", "rooms": [], "queued": 0, "operations": []}


def answer(data):
    return json.dumps({"code": 0, "message": "", "data": data}).encode()


def shown(house, *args):
    code, out, err = run(*args, *api_of(house))
    assert (code, err) == (OK, ""), (args, err)
    return out


# who

def test_who_tells_all_of_a_user(house, connect):
    client = connect(mid=7, key="a", room="live://1", accepts=[1000, 1001])
    out = shown(house, "who", "7", "8")
    assert re.fullmatch(r"a\n  user 7, on \S+ for \d s, from {}:{} over tcp\n  in live://1\n  accepts 1000, 1001\n8: offline\n".format(
        *client.sock.getsockname()), out), out
    assert shown(house, "who", "--key", "a") == out.replace("8: offline\n", "")
    assert shown(house, "who", "--room", "live://1").startswith("a\n")
    assert shown(house, "who", "--room", "live://2") == "nobody\n"
    assert json.loads(shown(house, "who", "--json", "7"))["counts"] == {"7": 1}


def test_who_has_pages(house, connect):
    for key in "abc":
        connect(mid=7, key=key)
    out = shown(house, "who", "--limit", "2")
    assert out.endswith("more follow: --after b\n")
    assert shown(house, "who", "--after", "b").startswith("c\n")


def test_words_of_a_name_are_not_split(api):
    api.will_answer(200, answer({"counts": {"a,b": 0}, "connections": [], "silent": []}))
    assert run("who", "a,b", "--http", api.address)[:2] == (OK, "a,b: offline\n")
    assert api.call().params == [("users", "a,b"), ("detail", "1"), ("limit", "100")]


def test_nothing_steers_a_terminal_and_a_silent_comet_is_named(api):
    evil = {**CONNECTION, "user": "\x1b[2J", "rooms": ["live://\x1b"], "rooms_more": 3, "queued": 1}
    api.will_answer(200, answer({"connections": [evil], "silent": ["c-2"]}))
    code, out, err = run("who", "--http", api.address)
    assert code == OK and "\x1b" not in out
    out = " ".join(out.split())
    assert r"user \x1b[2J, on c-1" in out and r"in live://\x1b and 3 more" in out and "1 message queued" in out and "accepts nothing" in out
    assert err == "comet-cli: c-2 does not answer: its connections are missing\n"


@pytest.mark.parametrize("args", [["who", "--room", "live"], ["who", "--room", "live://1", "x"], ["who", "--key"], ["who", "--limit", "1001"],
                                  ["nodes", "x"], ["rooms", "a", "b"], ["top", "x"], ["top", "--every", "0"]])
def test_wrong_command_line(args):
    code, out, err = run(*args)
    assert (code, out) == (USAGE, "") and err.startswith("comet-cli")


@pytest.mark.parametrize("command", ["who", "nodes", "rooms", "bans"])
def test_answer_that_breaks_the_promise(api, command):
    api.will_answer(200, answer(5))
    code, out, err = run(command, "--http", api.address)
    assert (code, err) == (REFUSED, "comet-cli: the server's answer is not what the API promises\n")


@pytest.mark.parametrize("args", [["top"], ["top", "--json"]])
@pytest.mark.parametrize("text", [b'{"code":0}', b'{"code":0,"data":{}}', b'{"code":0,"data":[]}'])
def test_top_of_something_else_shows_nothing(api, args, text):
    for _ in range(6):
        api.will_answer(200, text)
    assert run(*args, "--http", api.address) == (REFUSED, "", "comet-cli: the server's answer is not what the API promises\n")


# nodes and rooms


def test_nodes_and_rooms_are_tables(house, connect):
    connect(mid=7, room="live://1")
    connect(mid=8, room="live://1")
    connect(mid=9, room="chat://x")
    wait_until(lambda: shown(house, "rooms") == "ROOM      PEOPLE\nlive://1       2\nchat://x       1\n", "the rooms are counted")
    assert shown(house, "rooms", "live") == "ROOM  PEOPLE\n1          2\n"
    head, row = shown(house, "nodes").splitlines()
    assert head.split() == ["NODE", "ADDRESSES", "REGION", "CONNECTIONS", "WEIGHT", "DELIVERED", "DROPPED", "SEEN"]
    assert row.split()[-6] == "3"


@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="a comet of a cluster tells no address with port 0")
def test_nodes_have_the_port_that_the_system_chose(launch):
    house = launch({"tcp.bind": "127.0.0.1:0, 127.0.0.2:0"})
    host, port = house.address("tcp")
    wait_until(lambda: json.loads(shown(house, "nodes", "--json")), "it has told its load")
    assert json.loads(shown(house, "nodes", "--json"))[0]["addrs"] == f"{host}:{port}, 127.0.0.2:0"
    house = launch({"server.addrs": "push.example:3101"})
    wait_until(lambda: json.loads(shown(house, "nodes", "--json")), "it has told its load")
    assert json.loads(shown(house, "nodes", "--json"))[0]["addrs"] == "push.example:3101"


# bans

@pytest.mark.own_house
def test_bans_are_a_table_and_are_lifted(house):
    assert shown(house, "kick", "mid", "7,8", "--for", "1h") == "2 are kept out for 1h\n"
    assert shown(house, "kick", "network", "192.0.2.7", "--for", "7d") == "1 is kept out for 7d\n"
    head, *rows = [line.split() for line in shown(house, "bans").splitlines()]
    listed = json.loads(shown(house, "bans", "--json"))
    assert head == ["KIND", "WHO", "UNTIL"]
    assert rows == [[next(kind for kind in ("user", "network") if kind in ban), ban.get("user") or ban["network"],
                     time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ban["until"]))] for ban in listed]
    assert [row[:2] for row in rows] == [["user", "7"], ["user", "8"], ["network", "192.0.2.7/32"]]
    assert shown(house, "bans", "lift", "mid", "7") == shown(house, "bans", "lift", "network", "192.0.2.7") == ""
    assert [line.split()[:2] for line in shown(house, "bans").splitlines()[1:]] == [["user", "8"]]


def test_ban_of_tokens_and_evil_names_are_shown(api):
    api.will_answer(200, answer([{"tokens": "7", "until": 86400, "before": 5}, {"key": "\x1b[2J", "until": 0}]))
    assert run("bans", "--http", api.address) == (OK, "KIND    WHO      UNTIL\n"
                                                      "tokens  7        1970-01-02T00:00:00Z\n"
                                                      "key     \\x1b[2J  1970-01-01T00:00:00Z\n", "")
    api.will_answer(200, answer([{"until": 86400}]))
    assert run("bans", "--http", api.address)[0] == REFUSED


# top

@pytest.mark.settings("protocol.svr_proto=2000", "protocol.max_body=64k")
def test_top_once_has_rates_and_slow_consumers(house, connect):
    connect(mid=7, key="slow", room="live://1")
    wait_until(lambda: shown(house, "online") == "connections 1\naddresses 1\n", "it is counted")

    def waits():
        for _ in range(30):
            house.backend.push_keys(["slow"], b"x" * 60000)
        return json.loads(shown(house, "who", "--queued", "1", "--json"))["connections"]

    wait_until(waits, "a message waits")
    seen = json.loads(shown(house, "top", "--json"))
    assert [c["key"] for c in seen["slow"]] == ["slow"] and seen["slow"][0]["queued"] > 0
    assert seen["top"] == [{"room": "live://1", "count": 1}] and seen["connections"] == 1
    out = shown(house, "top")
    assert re.search(r"^1 connection \(\+0\) from 1 address, 1 room$", out, re.M) and re.search(r"^slow +7 ", out, re.M), out
    assert "\x1b" not in out
    asked_ms = time.time() * 1000
    # A node that is alone is heard of now, also where nothing has changed for long.
    assert house.backend.data("/goim/nodes/instances")[0]["updated_ms"] >= int(asked_ms)


def test_top_on_a_terminal_goes_on(house, connect):
    """It fits into 80 columns and 24 rows, also with many rooms, and draws again."""
    for i in range(30):
        connect(mid=i + 1, room=f"{'r' * 90}://{i}")
    wait_until(lambda: "and 10 more" in shown(house, "rooms"), "the rooms are counted")
    screen, end = pty.openpty()
    fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    process = subprocess.Popen([CLI, "top", "--every", "200ms", *api_of(house)], stdout=end, stdin=end)
    os.close(end)
    try:
        deadline, seen = Deadline(TIMEOUT), b""
        while seen.count(b"\x1b[H\x1b[2J") < 3:
            assert not deadline.passed(), seen
            seen += os.read(screen, 65536)
    finally:
        process.send_signal(signal.SIGINT)
        # A terminal that nobody reads holds up who writes to it.
        with contextlib.suppress(OSError):
            while os.read(screen, 65536):
                pass
        process.wait(DEADLINE_S)
        os.close(screen)
    lines = seen.split(b"\x1b[H\x1b[2J")[1].decode().split("\r\n")
    assert len(lines) <= 24 and max(map(len, lines)) <= 80, lines
    assert sum("rrr" in line and "~" in line for line in lines) > 5
