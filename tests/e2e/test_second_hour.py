"""The second hour: a newcomer stumbles, and the first line that the product prints names the true cause.

SPDX-License-Identifier: MIT"""
import os
import re
import socket
import subprocess

import pytest

from client import WAYS, Client
from server import BUILD, certificate
from test_cli import CLI, OK, REFUSED, UNREACHABLE, run, sub
from test_cli_comet import api_of, door_of, online
from test_cli_reach import made, secret
from waiting import TIMEOUT, wait_until

pytestmark = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="it starts what it needs")
TLS = pytest.mark.settings("http.tls_bind=127.0.0.1:0")


def first(*args, **more):
    """The exit code, and the first line of comet-cli, wherever it goes."""
    code, out, err = run(*args, **more)
    return code, (out + err).splitlines()[0]


def complaint(house):
    """The first line of its log, once it has started, that an operator would stop at."""
    def complaints():
        lines = house.log().rpartition("event=program_started ")[2].splitlines()  # which may not be told yet, or long ago
        return [line for line in lines if re.search(" (warn|error) ", line) and "event=rooms_open" not in line]

    return wait_until(complaints, house.log)[0]


def port_of(house, listener):
    return str(house.address(listener)[1])


def test_1_wrong_operation(house, online):
    online("--mid", "1", "--accepts", "1000")
    assert first("push", *api_of(house), "--op", "1005", "mid", "1", "m") == (OK, "1 connection, filtered: it accepts 1000, not 1005")


def test_2_user_who_is_offline(house):
    assert first("push", *api_of(house), "mid", "1", "m") == (OK, "nobody online")


def test_3_wrong_port_of_a_client(house):
    for place, words in ((["--port", port_of(house, "http")], "is it the port of the HTTP API"),
                         (["--port", port_of(house, "websocket")], "or for WebSocket (ws://)?"),
                         ([f"ws://127.0.0.1:{port_of(house, 'tcp')}/sub"], "is the port for TCP clients (tcp://)"),
                         ([f"tls://127.0.0.1:{port_of(house, 'tcp')}", "--insecure"], "is TLS spoken at that port?")):
        code, line = first("sub", "--no-reconnect", *place)
        assert code in (REFUSED, UNREACHABLE) and words in line, line
    assert " speaks=HTTP" in wait_until(lambda: [line for line in house.log().splitlines() if "event=foreign_protocol " in line], house.log)[0]


def test_3_port_for_tls(house):
    code, line = first("sub", "--no-reconnect", "--port", port_of(house, "tcp-tls"))
    assert code == REFUSED and "is the port for TLS (tls://)" in line, line
    assert "reason=tls_failed" in complaint(house)


@TLS
def test_3_wrong_port_of_the_api(house):
    trust = ["--cacert", certificate()[0]]
    for url, words in ((f"127.0.0.1:{port_of(house, 'tcp')}", "is it the port of the HTTP API?"),
                       (f"127.0.0.1:{port_of(house, 'http-tls')}", "For TLS it begins with https://"),
                       (f"https://127.0.0.1:{port_of(house, 'http')}", "is TLS spoken at that port?"),
                       (f"127.0.0.1:{port_of(house, 'websocket')}", "WebSocket clients connect to"),
                       ("127.0.0.1:1", "is comet running?")):
        code, line = first("online", "--http", url, *trust)
        assert code in (REFUSED, UNREACHABLE) and words in line, line


@pytest.mark.settings("http.api_key=right")
def test_4_wrong_key(house):
    code, line = first("online", *api_of(house), "--api-key", "wrong")
    assert code == REFUSED and "the API key is missing or wrong" in line
    assert 'why="nobody has this API key"' in complaint(house)


@pytest.mark.settings("websocket.origins=https://app.example.com")
def test_5_origin_that_is_refused(house):
    with socket.create_connection(house.address("websocket"), timeout=TIMEOUT) as page:
        page.sendall(b"GET /sub HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://other.example.com\r\n\r\n")
        answer = page.recv(4096).decode()
    assert " 403 " in answer.splitlines()[0] and "origin" in answer.lower()
    assert "https://other.example.com" in complaint(house) and "websocket.origins" in complaint(house)


def test_6_token_of_another_audience(launch, secret):
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{secret}", "auth.jwt_audience": "chat"})
    code, line = first("sub", *door_of(house), "--no-reconnect", "--token", made(secret, "--mid", "1", "--audience", "shop"))
    assert code == REFUSED and "audience" in line, line


def test_7_webhook_that_is_down(launch):
    house = launch({"auth.mode": "webhook", "auth.url": "http://127.0.0.1:1/auth"})
    client = Client(WAYS[0], house.address("tcp"))
    client.send_auth(mid=1)
    line = complaint(house)
    assert "auth.url or auth.room_url gave no answer for a client" in line and "connect" in line.lower(), line
    client.close()


@TLS
def test_7_webhook_at_a_wrong_place(house, launch):
    for url, words in (("http://nowhere.invalid/auth", "resolve host: nowhere.invalid"),
                       (f"https://127.0.0.1:{port_of(house, 'http')}/auth", "TLS is not spoken at that port"),
                       (f"http://127.0.0.1:{port_of(house, 'http-tls')}/auth", "begins with https://"),
                       (f"https://127.0.0.1:{port_of(house, 'http-tls')}/auth", "certificate")):
        # A machine may have no certificates of its own.
        trust = {"auth.ca_file": certificate("elsewhere.test")[0]}
        other = launch({"auth.mode": "webhook", "auth.url": url, **trust})
        client = Client(WAYS[0], other.address("tcp"))
        client.send_auth(mid=1)
        line = complaint(other)
        assert "setting=auth.url " in line and words in line, line
        client.close()
        other = launch({"auth.mode": "jwt", **trust, "auth.jwks_url": url.replace("nowhere.invalid", "127.0.0.1:1")})
        line = wait_until(lambda: [line for line in other.log().splitlines() if "event=jwks_failed" in line], other.log)[0]
        assert ("connect to 127.0.0.1 port 1" if "nowhere" in url else words) in line, line


def started(*settings, seconds=2):
    """What a comet prints that cannot start, or waits."""
    process = subprocess.Popen([BUILD / "comet", "-o", "tcp.bind=127.0.0.1:0", "-o", "websocket.bind=", "-o", "http.bind=",
                                *(word for setting in settings for word in ("-o", setting))],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if " warn " in line or " error " in line:
                return line
    finally:
        process.kill()
        process.communicate()
    return "".join(lines)


def test_8_redis_that_is_down():
    line = started("logic.mode=redis", "redis.addr=127.0.0.1:1", "server.addrs=x")
    assert "127.0.0.1:1" in line and "refused" in line.lower(), line


def test_9_certificate_that_is_missing():
    line = started("tcp.tls_bind=127.0.0.1:0", "tls.cert_file=/nowhere/cert.pem", "tls.private_file=/nowhere/key.pem")
    assert "/nowhere/cert.pem" in line and "no such file" in line.lower(), line


def test_10_name_that_does_not_resolve():
    for line in (first("sub", "--no-reconnect", "--host", "nowhere.invalid")[1], first("online", "--http", "nowhere.invalid")[1]):
        assert "nowhere.invalid" in line and "resolve" in line, line
    line = started("logic.mode=redis", "redis.addr=nowhere.invalid:6379", "server.addrs=x")
    assert "nowhere.invalid" in line and ("resolve" in line or "known" in line), line
