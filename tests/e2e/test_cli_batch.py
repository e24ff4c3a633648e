"""comet-cli push --batch: many pushes from a file or a pipe, in calls of a size that the server takes, each refused line said with its number.

SPDX-License-Identifier: MIT"""
import json
import os
import subprocess

import pytest

from scripted_comet import DEADLINE_S
from test_cli import CLI, OK, REFUSED, TIMEOUT, UNREACHABLE, api, run, scripted  # noqa: F401: fixtures
from test_cli_comet import api_of

pytestmark = pytest.mark.ways("v2")
DONE = b'{"code":0,"message":""}\n'


def lines(n, **more):
    return [json.dumps({"operation": 1000, "mids": [7], "body": f"#{i}", **more}) for i in range(n)]


def push(house_or_address, text, *args, file="-"):
    http = ["--http", house_or_address] if isinstance(house_or_address, str) else api_of(house_or_address)
    return run("push", *http, "--batch", file, *args, input=text.encode())


def test_thousands_arrive_in_order(house, connect, tmp_path):
    client = connect(mid=7)
    n = 2500
    file = tmp_path / "pushes"
    file.write_text("\n".join(lines(n)))  # the last has no end
    assert push(house, "", file=str(file)) == (OK, "2500 pushed, 0 refused\n", "")
    for i in range(n):
        client.expect_push(1000, f"#{i}".encode())


def test_each_line_that_is_refused_is_said_with_its_number(house, connect):
    client = connect(mid=7)
    text = lines(2)
    code, out, err = push(house, "\n".join([text[0], "", '{"mids":7}', text[1], '{"operation":6,"all":true}']))
    assert (code, out) == (REFUSED, "2 pushed, 3 refused\n")
    assert [line.partition(": the server said no: ")[0] for line in err.splitlines()] == [f"comet-cli: line {n}" for n in (2, 3, 5)]
    assert "operation" in err.splitlines()[1]
    client.expect_push(1000, b"#0")
    client.expect_push(1000, b"#1")


def test_answers_as_json(house):
    code, out, _ = push(house, "\n".join(lines(1, tell=True) + ["no JSON"]), "--json")
    answers = [json.loads(line) for line in out.splitlines()]
    assert code == REFUSED and [answer["code"] for answer in answers] == [0, -400] and answers[0]["data"]["offline"] == 1


@pytest.mark.settings("http.max_body=1k")
def test_server_that_takes_less_gets_less(house, connect):
    """Of its own setting comet-cli knows nothing."""
    client = connect(mid=7)
    texts = lines(100)
    texts[50] = json.dumps({"operation": 1000, "mids": 7, "body": "x" * 1024})
    code, out, err = push(house, "\n".join(texts))
    assert (code, out) == (REFUSED, "99 pushed, 1 refused\n") and "line 51: " in err and "http.max_body" in err
    for i in range(100):
        if i != 50:
            client.expect_push(1000, f"#{i}".encode())


def test_long_line_is_read_whole(house, connect):
    client = connect(mid=7)
    body = "x" * 600_000
    assert push(house, json.dumps({"operation": 1000, "mids": 7, "body": body}) + "\n" + lines(1)[0])[:2] == (OK, "2 pushed, 0 refused\n")
    client.expect_push(1000, body.encode())
    client.expect_push(1000, b"#0")


def test_line_of_a_pipe_goes_without_the_next(house, connect):
    client = connect(mid=7)
    process = subprocess.Popen([CLI, "push", *api_of(house), "--batch", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               env={**os.environ, "XDG_CONFIG_HOME": "/nonexistent"})
    try:
        for i, line in enumerate(lines(2)):
            process.stdin.write(line[:9].encode())
            process.stdin.flush()
            process.stdin.write(line[9:].encode() + b"\n")
            process.stdin.flush()
            client.expect_push(1000, f"#{i}".encode())
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert (process.returncode, out) == (OK, b"2 pushed, 0 refused\n")
    finally:
        process.kill()
        process.communicate()


def test_call_that_fails_is_the_last(api, tmp_path):  # noqa: F811
    api.will_answer(200, DONE * 1000)
    api.will_answer(429, b'{"code":-429,"message":"too many calls"}\n')
    file = tmp_path / "pushes"  # of a pipe a call has what is there
    file.write_text("\n".join(lines(2001)))
    code, out, err = push(api.address, "", file=str(file))
    assert (code, out) == (REFUSED, "1000 pushed, 0 refused\n")
    assert "stopped before line 1001\n" in err and "too many calls" in err
    assert [api.call().body.count(b"\n") for _ in range(2)] == [1000, 1000] and api.calls.empty()


def test_what_is_not_known_is_said(scripted):  # noqa: F811
    code, out, err = push("127.0.0.1:" + scripted.port, "\n".join(lines(3)), "--timeout", "200ms")
    assert (code, out) == (TIMEOUT, "0 pushed, 0 refused\n")
    assert "it is not known what became of lines 1 to 3\n" in err and "no answer" in err


def test_nobody_there(api, tmp_path):  # noqa: F811
    api.close()
    code, out, err = push(api.address, lines(1)[0])
    assert (code, out) == (UNREACHABLE, "0 pushed, 0 refused\n") and "stopped before line 1\n" in err
    code, out, err = push(api.address, "", file=str(tmp_path / "none"))
    assert (code, out) == (REFUSED, "") and "No such file" in err
    code, out, err = push(api.address, "", file=str(tmp_path))
    assert code == REFUSED and "cannot read line 1: Is a directory" in err


@pytest.mark.parametrize("answer", [DONE, DONE * 3, DONE + DONE[:-1], b""])
def test_answer_that_breaks_the_promise(api, answer):  # noqa: F811
    api.will_answer(200, answer)
    code, _, err = push(api.address, "\n".join(lines(2)))
    assert code == REFUSED and "not what the API promises" in err
