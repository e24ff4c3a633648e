"""comet-cli sub over WebSocket and TLS, by libwebsockets and OpenSSL: against comet itself, and against servers that are none.

SPDX-License-Identifier: MIT"""
import re
import socket
import threading

import pytest

from server import certificate
from test_cli import OK, REFUSED, ROOT, TIMEOUT, UNREACHABLE, USAGE, run, sub
from waiting import TIMEOUT as SOON

URLS = {"ws": ("websocket", "/sub"), "wss": ("websocket-tls", "/sub"), "tls": ("tcp-tls", ""), "tcp": ("tcp", "")}


def url_of(house, scheme, host="127.0.0.1"):
    listener, path = URLS[scheme]
    return f"{scheme}://{host}:{house.address(listener)[1]}{path}"


def trusting(scheme):
    return ["--cacert", certificate()[0]] if scheme in ("wss", "tls") else []


@pytest.fixture(params=URLS)
def online(request, house, sub):
    """online(arguments...): a client that is in, over each scheme in turn."""

    def start(*args):
        client = sub(url_of(house, request.param), *trusting(request.param), *args)
        client.said("online at")
        return client

    return start


def test_pushes_of_any_length_arrive_whole_and_in_order(online, house):
    # An answer may take as long as the next heartbeat, which is long enough for a busy machine.
    client = online("--mid", "7", "--room", "live://1", "--heartbeat", "3s")
    bodies = [str(i) + "x" * n for i, n in enumerate((0, 1, 92, 93, 94, 108, 109, 65482, 65483, 65502, 300_000, 1_000_000))]
    for body in bodies:
        house.backend.push_mids([7], body)
    assert [client.printed() for _ in bodies] == [f"1000 {body}" for body in bodies]
    for i in range(300):
        house.backend.push_room("live://1", str(i))
    assert [client.printed() for _ in range(300)] == [f"1000 {i}" for i in range(300)]


@pytest.mark.settings("logic.heartbeat=2s")
def test_a_quiet_client_stays_by_its_heartbeats(online, house):
    client = online("--mid", "7", "--heartbeat", "900ms", "--timeout", "5s", "--no-reconnect")  # an answer has 900 ms, too
    assert client.wait() == TIMEOUT
    assert house.metrics()("comet_closed_total", reason="heartbeat_timeout") == 0


def test_version_1_is_spoken(house, sub):
    client = sub(url_of(house, "ws"), "--v1", "--mid", "7", "--count", "1")
    client.said("online at")
    house.backend.push_mids([7], "hello")
    assert client.wait() == OK
    assert client.printed_all() == ["5 hello"]


def test_a_kick_is_the_end(online, house):
    client = online("--mid", "7")
    house.backend.kick(mids=[7])
    client.said("kicked")
    assert client.wait() == REFUSED


def test_the_server_sees_a_client_that_left(online, house):
    client = online("--mid", "7", "--count", "1")
    house.backend.push_mids([7], "bye")
    assert client.wait() == OK
    house.wait_empty()
    assert house.metrics()("comet_closed_total", reason="client_left") == 1


@pytest.mark.settings("protocol.max_body=4k")
def test_a_token_that_is_too_long_is_refused(house, sub):
    client = sub(url_of(house, "ws"), "--token", "x" * 20000)
    client.said("refused by")
    assert client.wait() == REFUSED


def test_a_lost_connection_is_opened_again(launch, sub):
    house = launch()
    port = house.address("websocket")[1]
    client = sub(f"ws://127.0.0.1:{port}/sub", "--mid", "7", "--count", "1")
    client.said("online at")
    house.kill()
    house.ended_by_test = True
    client.said("lost 127.0.0.1")
    again = launch({"websocket.bind": f"127.0.0.1:{port}"})
    client.said("online at")
    again.backend.push_mids([7], "back")
    assert client.wait() == OK


# certificates


@pytest.mark.parametrize("scheme", ["wss", "tls"])
def test_the_certificate_is_checked(house, scheme):
    at = url_of(house, scheme)
    other = certificate("other.test")[0]
    for args, words in (([at], "self-signed certificate"), ([at, "--cacert", other], "self-signed certificate"),
                        ([url_of(house, scheme, "localhost"), *trusting(scheme)], "hostname mismatch")):
        code, out, err = run("sub", *args)
        assert (code, out) == (REFUSED, "")
        assert f"its certificate is not accepted: {words}\n" in err
    for path in (ROOT / "LICENSE", "/nowhere"):
        code, _, err = run("sub", at, "--cacert", path)
        assert code == USAGE and f"comet-cli sub: no certificates to trust could be read from {path}" in err
    code, out, _ = run("sub", url_of(house, scheme, "localhost"), "--insecure", "--timeout", "300ms")
    assert (code, out) == (TIMEOUT, "")


@pytest.mark.settings("websocket.tls_bind=[::1]:0", "tcp.tls_bind=[::1]:0")
@pytest.mark.parametrize("scheme", ["wss", "tls"])
def test_the_name_is_an_ipv6_address(house, scheme):
    code, _, err = run("sub", url_of(house, scheme, "[::1]"), *trusting(scheme))
    assert code == REFUSED and "IP address mismatch" in err, err
    code, _, err = run("sub", url_of(house, scheme, "[::1]"), "--insecure", "--timeout", "300ms")
    assert code == TIMEOUT and "online at" in err


# what is no WebSocket


def test_another_path_is_told_by_its_status(house):
    code, _, err = run("sub", url_of(house, "ws")[:-3] + "other")
    assert code == REFUSED and "no WebSocket at /other: HTTP 404 Not Found" in err


def test_a_port_where_something_else_is_spoken(house):
    ports = {name: house.address(name)[1] for name in ("tcp", "websocket", "websocket-tls", "tcp-tls", "http")}
    for url, code, words in ((f"ws://127.0.0.1:{ports['tcp']}/sub", UNREACHABLE, "no WebSocket server there"),
                             (f"ws://127.0.0.1:{ports['websocket-tls']}/sub", UNREACHABLE, "no WebSocket server there"),
                             (f"ws://127.0.0.1:{ports['http']}/sub", REFUSED, "HTTP 404 Not Found"),
                             (f"wss://127.0.0.1:{ports['websocket']}/sub", UNREACHABLE, "no TLS handshake came about"),
                             (f"tls://127.0.0.1:{ports['tcp']}", UNREACHABLE, "no TLS handshake came about")):
        got, out, err = run("sub", url)
        assert (got, out) == (code, ""), (url, err)
        assert words in err, (url, err)


@pytest.mark.parametrize("scheme", ["ws", "wss", "tls"])
def test_a_server_that_hangs_is_waited_for_to_the_deadline(scheme):
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        code, _, err = run("sub", f"{scheme}://127.0.0.1:{hanging.getsockname()[1]}", "--timeout", "300ms")
    assert code == TIMEOUT, err


class Answering:
    """Says the same to everybody who asks for a WebSocket, and closes."""

    def __init__(self, text):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "ws://127.0.0.1:%d/sub" % self.listener.getsockname()[1]
        self.asked = 0
        self.thread = threading.Thread(target=self._serve, args=(text,))
        self.thread.start()

    def _serve(self, text):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            with peer:
                peer.settimeout(SOON)
                request = b""
                while not request.endswith(b"\r\n\r\n") and (more := peer.recv(4096)):
                    request += more
                self.asked += 1
                peer.sendall(text)

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


def test_a_server_that_takes_nobody_now_is_asked_again():
    full = Answering(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
    code, _, err = run("sub", full.url, "--timeout", "5s")  # it waits for three at most
    full.close()
    assert code == TIMEOUT and full.asked >= 2
    assert "HTTP 503 Service Unavailable" in err and "trying again in" in err


def test_no_proxy_is_asked(house):
    code, _, err = run("sub", url_of(house, "ws"), "--timeout", "300ms",
                       env={name: "http://127.0.0.1:1" for name in ("http_proxy", "HTTPS_PROXY", "all_proxy", "socks_proxy")})
    assert code == TIMEOUT and "online at" in err


def test_nothing_but_our_own_lines_on_stderr(house):
    _, _, err = run("sub", url_of(house, "wss"), *trusting("wss"), "--timeout", "300ms")
    assert all(re.match("comet-cli: ", line) for line in err.splitlines()), err


# the command line


def test_wrong_command_lines():
    for args in (["ws://"], ["http://h/sub"], ["ws://h/a b"], ["ws://h", "ws://h"], ["ws://h", "--port", "1"], ["tls://h"],
                 ["ws://h", "--host", "h"], ["--cacert", "f"], ["--insecure"], ["ws://h", "--insecure"], ["tcp://h/sub"]):
        code, out, err = run("sub", *args)
        assert (code, out) == (USAGE, ""), args
        assert err.startswith("comet-cli sub: "), args
