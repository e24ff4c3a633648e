"""server.closed, and the image, whose entry point sets it: until a mode of authentication and an API key are set, every client and every
call is refused, with the names of what to set.

SPDX-License-Identifier: MIT"""
import os
import re
import subprocess

import pytest

import tokens
from client import V2, Client, Op, TcpCodec, Way
from server import BUILD, ROOT
from tokens import hs256

TCP = Way("tcp-v2", "tcp", TcpCodec, V2)
WIDE = {"tcp.bind": "0.0.0.0:0", "http.bind": "0.0.0.0:0", "websocket.bind": ""}


def goodbye_to(house, token=b'{"mid":7}'):
    client = Client(TCP, ("127.0.0.1", house.address("tcp")[1]))
    client.send(Op.AUTH, token)
    goodbye = client.expect_goodbye()
    client.close()
    return goodbye


@pytest.mark.settings("server.closed=yes")
def test_closed_comet_refuses_clients_and_names_what_to_set(launch):
    house = launch(WIDE)
    goodbye = goodbye_to(house)
    assert goodbye["code"] == 5
    assert "COMET_AUTH_MODE" in goodbye["reason"] and "COMET_HTTP_API_KEY" in goodbye["reason"] and "COMET_DEMO=yes" in goodbye["reason"]
    if os.environ.get("COMET_TEST_HOUSE") != "cluster":
        assert "event=clients_refused" in house.log()


@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="a cluster's API is another program's")
def test_closed_comet_refuses_calls_and_serves_what_needs_no_key(launch):
    house = launch({**WIDE, "server.closed": "yes"})
    for reply in (house.backend.post("/goim/push/mids", "x", operation=1000, mids=7), house.backend.get("/goim/online/total"),
                  house.backend.get("/metrics"), house.backend.request("GET", "/metrics", headers={"X-Api-Key": "x"})):
        words = reply.json()["message"]
        assert reply.status == 401 and "COMET_HTTP_API_KEY" in words and "COMET_AUTH_MODE" in words and "COMET_DEMO=yes" in words, reply
    assert house.backend.get("/healthz").status == 200
    assert house.backend.request("GET", "/", headers={"Accept": "text/html"}).status == 200
    assert "event=calls_refused" in house.log()


@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="a cluster's API is another program's")
def test_what_is_set_is_open(launch):
    house = launch({**WIDE, "server.closed": "yes", "http.api_key": "key"})
    assert house.backend.get("/goim/online/total").status == 200
    assert goodbye_to(house)["code"] == 5
    house = launch({**WIDE, "server.closed": "yes", "auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}"})
    assert house.backend.get("/goim/online/total").status == 401
    client = Client(TCP, ("127.0.0.1", house.address("tcp")[1]))
    client.send(Op.AUTH, hs256())
    client.expect(Op.AUTH_REPLY, b"")
    client.close()


def started(**environment):
    """What the entry point of the image would run with, as comet -t shows it; and its words."""
    environment = {"PATH": f"{BUILD}:{os.environ['PATH']}", **environment}
    run = subprocess.run([ROOT / "scripts/container-start", "comet", "-t"], env=environment, capture_output=True, text=True, timeout=60,
                         check=True)
    return {f"{section}.{key}": value for section, body in re.findall(r"^\[(\w+)\]\n(.*?)(?=^\[|\Z)", run.stdout, re.M | re.S)
            for key, value in re.findall(r"^(\w+) = ?(.*)$", body, re.M)}, run.stderr


def test_image_is_closed_by_default():
    settings, _ = started()
    assert settings["server.closed"] == "yes" and settings["auth.allow_open"] == "no" and settings["tcp.bind"] == "0.0.0.0:3101"


def test_image_is_open_for_a_demo():
    settings, words = started(COMET_DEMO="yes")
    assert settings["server.closed"] == "no" and settings["auth.allow_open"] == "yes" and settings["http.api_key"] == "***"
    assert re.search(r"for this run it is [0-9a-f]{32}\n", words) and "as anybody" in words
    settings, words = started(COMET_DEMO="yes", COMET_HTTP_API_KEY="secret", COMET_AUTH_MODE="webhook", COMET_AUTH_URL="https://login.example.com")
    assert settings["auth.allow_open"] == "no" and words == ""


def test_demo_is_a_word_of_the_entry_point_alone():
    """The programs have no such setting, and would not start."""
    run = subprocess.run([ROOT / "scripts/container-start", "env"], capture_output=True, text=True, timeout=60, check=True,
                         env={"PATH": os.environ["PATH"], "COMET_DEMO": "yes"})
    assert "COMET_DEMO" not in run.stdout


def test_image_that_is_opened_by_its_settings_stays_open():
    settings, _ = started(COMET_SERVER_CLOSED="no", COMET_AUTH_ALLOW_OPEN="yes", COMET_HTTP_API_KEY="secret")
    assert settings["server.closed"] == "no"
