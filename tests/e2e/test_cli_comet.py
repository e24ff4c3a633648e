"""comet-cli and comet together: the way from push to sub, as the README shows it.

SPDX-License-Identifier: MIT
"""

import base64
import json
import re
import shlex
import signal

import pytest

from waiting import wait_until

from test_cli import OK, REFUSED, run, sub  # noqa: F401: sub is a fixture

ROOM = "live://1000"


def api_of(house):
    return ["--http", "%s:%d" % house.address("http")]


def door_of(house):
    host, port = house.address("tcp")
    return ["--host", host, "--port", str(port)]


@pytest.fixture
def online(house, sub):  # noqa: F811
    """Start a sub and wait until it is online."""

    def start(*args):
        client = sub(*door_of(house), *args)
        client.said("online at")
        return client

    return start


@pytest.mark.parametrize("target", [["mid", "123"], ["key", "door"], ["room", ROOM], ["all"]])
def test_push_reaches_sub(house, online, target):
    client = online("--mid", "123", "--key", "door", "--room", ROOM, "--count", "2", "--json")
    for number in (1, 2):
        assert run("push", *api_of(house), *target, '{"n":%d}' % number)[0] == OK
    assert client.wait() == OK
    lines = [json.loads(line) for line in client.printed_all()]
    assert lines == [{"op": 1000, "ver": 1, "seq": 0, "body": '{"n":%d}' % number} for number in (1, 2)]


def test_op_that_is_not_accepted_is_not_printed(house, online):
    client = online("--mid", "123", "--accepts", "1001,1003", "--count", "1")
    for op in ("1002", "1003"):
        assert run("push", *api_of(house), "--op", op, "mid", "123", op)[0] == OK
    assert client.wait() == OK
    assert client.printed_all() == ["1003 1003"]


def test_v1_sub_gets_op_5(house, online):
    client = online("--v1", "--mid", "7", "--count", "1")
    assert run("push", *api_of(house), "mid", "7", "{}")[0] == OK
    assert client.wait() == OK
    assert client.printed_all() == ["5 {}"]


def test_bytes_arrive_as_they_were_given(house, online):
    client = online("--mid", "9", "--count", "1", "--json")
    body = bytes(range(256)) * 16
    assert run("push", *api_of(house), "mid", "9", "-", input=body)[0] == OK
    assert client.wait() == OK
    assert base64.b64decode(json.loads(client.printed_all()[0])["body_base64"]) == body


def test_heartbeats_keep_a_sub_online(launch, sub):  # noqa: F811
    house = launch({"logic.heartbeat": "1s"})
    client = sub(*door_of(house), "--mid", "5", "--heartbeat", "200ms", "--timeout", "2500ms", "--no-reconnect")
    client.said("online at")
    assert client.wait() == 4  # its own time, not the server's


@pytest.mark.parametrize("whom", [["mid", "1,123"], ["key", "door"]])
def test_kick_ends_a_sub_with_its_reason(house, online, whom):
    client = online("--mid", "123", "--key", "door")
    assert run("kick", *api_of(house), *whom)[0] == OK
    assert "kicked" in client.said("closed by")
    assert client.wait() == REFUSED


def test_same_key_again_replaces_the_first(house, online):
    first = online("--key", "door", "--mid", "1")
    second = online("--key", "door", "--mid", "1", "--count", "1")
    assert "replaced" in first.said("closed by")
    assert first.wait() == REFUSED
    assert run("push", *api_of(house), "key", "door", "m")[0] == OK
    assert second.wait() == OK


def test_online_counts_them(house, online):
    online("--mid", "1", "--room", ROOM)
    online("--mid", "2", "--room", ROOM)
    # Comet tells logic its counts from time to time.
    wait_until(lambda: run("online", *api_of(house))[:2] == (OK, "connections 2\naddresses 1\n"), "online says 2")
    wait_until(lambda: run("online", *api_of(house), "room", ROOM)[:2] == (OK, "1000 2\n"), "online room says 2")
    assert run("online", *api_of(house), "top", "live", "1")[:2] == (OK, "1000 2\n")


def test_api_key_is_asked_for(launch):
    house = launch({"http.api_key": "s3cret"})
    code, _, err = run("push", *api_of(house), "all", "m")
    assert code == REFUSED and "401" in err
    assert run("push", *api_of(house), "--api-key", "s3cret", "all", "m")[0] == OK
    for name in ("COMET_API_KEY", "COMET_HTTP_API_KEY"):
        assert run("push", *api_of(house), "all", "m", env={name: "s3cret"})[0] == OK


def test_refused_parameters_come_with_the_servers_words(house):
    code, _, err = run("push", *api_of(house), "mid", "no-number", "m")
    assert code == REFUSED
    assert "HTTP 400" in err


def test_sub_of_a_comet_that_stops_is_told_and_comes_back(house, online):
    client = online("--mid", "1")
    house.terminate()
    assert "code 4" in client.said("closed by")
    client.said("trying again in")
    assert house.wait() == 0
    house.ended_by_test = True
    client.process.send_signal(signal.SIGTERM)
    assert client.wait() == OK


def examples(command):
    """The commands of the help that end by themselves, as one would paste them."""
    _, out, _ = run(command, "--help")
    text = out[out.index("Examples"):]
    return re.findall(r"^  (?:(?:date|echo .*) \| )?comet-cli (%s .*)$" % command, text, re.M)


@pytest.mark.own_house  # bans stay
@pytest.mark.settings("stream.users=10/10m", "stream.users_open=yes", "events.kinds=unacked")  # which --confirm is about
@pytest.mark.parametrize("command", ["push", "kick", "bans", "online"])
def test_examples_of_the_help_work(house, command):
    lines = examples(command)
    assert lines
    for line in lines:
        code, _, err = run(*shlex.split(line), *api_of(house), input=b"")
        assert (code, err) == (OK, ""), line


@pytest.mark.parametrize("kind, args", [
    ("connect", ["-n", "300", "--duration", "200ms"]),
    ("echo", ["-n", "50", "--duration", "500ms"]),
    ("churn", ["-n", "10", "--duration", "500ms"]),
    ("fanout", ["-n", "200", "--rate", "50", "--duration", "500ms"]),
])
def test_bench_finds_nothing_wrong(house, kind, args):
    code, out, err = run("bench", kind, *door_of(house), *api_of(house), *args, "--settle", "50ms", "--json", "--pid",
                         str(house.pid))
    result = json.loads(out)
    assert code == OK, (result, err)
    assert result["clean"] and result["reasons"] == {}
    if kind == "fanout":
        assert result["delivered"] == 200 * 25 and result["server_cpu_us_per_delivery"] >= 0
    if kind == "echo":
        assert result["echoes"] > 0
    if kind == "churn":
        assert result["online"] > 0


@pytest.mark.settings("websocket.bind=127.0.0.1:0")
@pytest.mark.parametrize("kind", ["connect", "echo", "churn", "fanout"])
def test_bench_over_websocket_finds_nothing_wrong(house, kind):
    _, port = house.address("websocket")
    code, out, err = run("bench", kind, "--transport", "ws", "--port", str(port), *api_of(house), "-n", "50", "--rate", "50",
                         "--duration", "500ms", "--settle", "50ms", "--json")
    result = json.loads(out)
    assert code == OK, (result, err)
    assert result["clean"] and result["transport"] == "ws"
    if kind == "fanout":
        assert result["delivered"] == 50 * 25
