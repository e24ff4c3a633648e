"""The HTTP API over TLS: certificates by name, reloaded; nothing older than TLS 1.2; no patience with who stops half way, or
speaks no TLS at all; and a key is wanted as on the plain port.

SPDX-License-Identifier: MIT"""
import http.client
import os
import select
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from server import BUILD, certificate
from test_tls import context
from waiting import TIMEOUT, scaled, wait_until

# What a comet-logic serves is the same code.
pytestmark = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="addresses of the comet")

tls = pytest.mark.settings("http.tls_bind=127.0.0.1:0")


def dial(house, version=None, name=None):
    plain = socket.create_connection(house.address("http-tls"), timeout=TIMEOUT)
    return context(version).wrap_socket(plain, server_hostname=name)


def ask(sock, method="GET", path="/healthz", body=b"", headers=()):
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n" + "".join(f"{h}\r\n" for h in headers)
    sock.sendall(head.encode() + b"\r\n" + body)
    response = http.client.HTTPResponse(sock)
    response.begin()
    return response.status, response.read()


@tls
@pytest.mark.ways("tcp-v2")
def test_calls_over_tls_do_what_they_do_without(connect, house):
    client = connect(mid=7)
    with dial(house) as sock:
        for i in range(3):  # and the connection is kept
            assert ask(sock, "POST", "/goim/push/mids?operation=1000&mids=7", b"%d" % i)[0] == 200
            client.expect_push(1000, b"%d" % i)
        large = b"x" * 500000
        assert ask(sock, "POST", "/goim/push/mids?operation=1000&mids=7", large)[0] == 200
        client.expect_push(1000, large)
        status, metrics = ask(sock, path="/metrics")
        assert status == 200 and len(metrics) > 5000


@tls
def test_curl_calls_it_and_checks_the_certificate(house):
    host, port = house.address("http-tls")
    cert, _ = certificate()
    seen = subprocess.run(["curl", "-sS", "--cacert", cert, f"https://{host}:{port}/healthz"], capture_output=True,
                          timeout=TIMEOUT)
    assert seen.stdout == b"ok\n", seen


@tls
def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(house):
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        with dial(house, version) as sock:
            assert sock.version() == name and ("GCM" in sock.cipher()[0] or "CHACHA20" in sock.cipher()[0])
            assert ask(sock)[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError)), pytest.warns(DeprecationWarning):
        dial(house, ssl.TLSVersion.TLSv1_1)


def names_shown(house, name):
    """The common name in the certificate that somebody gets who asks for this one."""
    known = ssl.create_default_context()
    for one in ("one.test", "two.test", "three.test"):
        known.load_verify_locations(certificate(one)[0])
    known.check_hostname = False
    with socket.create_connection(house.address("http-tls"), timeout=TIMEOUT) as plain:
        with known.wrap_socket(plain, server_hostname=name) as sock:
            return [value for kind, value in sock.getpeercert()["subjectAltName"] if kind == "DNS"]


@pytest.fixture
def two_names(launch, tmp_path):
    """A house with two certificates in files that a test may change."""
    files = {}
    for name in ("one.test", "two.test"):
        for kind, source in zip(("cert", "key"), certificate(name)):
            files[name, kind] = tmp_path / f"{name}.{kind}.pem"
            shutil.copy(source, files[name, kind])
    house = launch({"http.tls_bind": "127.0.0.1:0",
                    "tls.cert_file": f"{files['one.test', 'cert']}, {files['two.test', 'cert']}",
                    "tls.private_file": f"{files['one.test', 'key']}, {files['two.test', 'key']}"})
    return house, files


def test_certificates_go_by_name_and_are_read_again(two_names):
    house, files = two_names
    assert names_shown(house, "one.test") == ["one.test"]
    assert names_shown(house, "two.test") == ["two.test"]
    assert names_shown(house, "else.test") == ["one.test"]
    with dial(house) as kept:
        assert ask(kept)[0] == 200
        for kind, source in zip(("cert", "key"), certificate("three.test")):
            shutil.copy(source, files["two.test", kind])
        house.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "event=reload_done" in house.log(), "the log says so")
        assert names_shown(house, "three.test") == ["three.test"]
        assert names_shown(house, "one.test") == ["one.test"]
        assert ask(kept)[0] == 200
    files["two.test", "key"].write_text("no key")
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_failed" in house.log(), "the log says so")
    assert names_shown(house, "three.test") == ["three.test"]


@pytest.mark.settings("http.tls_bind=127.0.0.1:0", "http.timeout=500ms")
def test_handshake_that_stops_half_way_is_closed_at_its_deadline(house):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    half = context().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        half.do_handshake()
    hello = outgoing.read()
    files = house.files()
    sockets = []
    n = scaled(60, 10)
    for i in range(n):
        sockets.append(socket.create_connection(house.address("http-tls"), timeout=TIMEOUT))
        sockets[-1].sendall(hello[:(0, 1, 5, 100, len(hello))[i % 5]])
    with dial(house) as good:
        assert ask(good)[0] == 200
    for sock in sockets:
        try:
            while sock.recv(4096):
                pass
        except ConnectionError:
            pass
        sock.close()
    house.wait_metric("comet_http_late_total", n)
    wait_until(lambda: house.files() <= files + 1, "their files are closed")


@pytest.mark.settings("http.tls_bind=127.0.0.1:0", "http.timeout=1s")
@pytest.mark.parametrize("said, late", [(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 0), (b"\x16\x03\x01" * 99, 1),
                                        (b"\0" * 2000, 0), (b"\x16\x03\x01\xff\xff\x01", 0)],
                         ids=["HTTP", "half a record", "zeros", "a long record"])
def test_what_is_no_tls_is_closed(house, said, late):
    with socket.create_connection(house.address("http-tls"), timeout=TIMEOUT) as sock:
        sock.sendall(said)
        try:
            while data := sock.recv(4096):
                assert not data.startswith(b"HTTP"), data
        except ConnectionError:
            pass
    house.wait_metric("comet_http_unanswered_total", 1)
    assert house.metrics()("comet_http_late_total") == late
    with dial(house) as good:
        assert ask(good)[0] == 200


@pytest.mark.settings("http.timeout=1s")
def test_tls_to_the_plain_port_is_no_http(house):
    with socket.create_connection(house.address("http"), timeout=TIMEOUT) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            context().wrap_socket(plain)
    house.wait_metric("comet_http_requests_total", 1, status="4xx")
    assert house.backend.get("/healthz").status == 200


@pytest.mark.settings("http.tls_bind=127.0.0.1:0", "http.api_key=s3cret")
def test_key_is_wanted(house):
    with dial(house) as sock:
        assert ask(sock, path="/goim/online/total")[0] == 401
        assert ask(sock, path="/goim/online/total", headers=["X-Api-Key: s3cret"])[0] == 200


def test_it_may_be_the_only_one():
    # What the fixtures start is looked at over the plain port.
    cert, key = certificate()
    process = subprocess.Popen([BUILD / "comet", "-o", "tcp.bind=", "-o", "websocket.bind=", "-o", "http.bind=", "-o",
                                "http.tls_bind=127.0.0.1:0", "-o", f"tls.cert_file={cert}", "-o", f"tls.private_file={key}"],
                               stdout=subprocess.PIPE, text=True)
    try:
        assert select.select([process.stdout], [], [], TIMEOUT)[0], "it says where it listens"
        address = process.stdout.readline().split()
        assert address[:2] == ["listening", "http-tls"]
        host, port = address[2].split(":")
        with context().wrap_socket(socket.create_connection((host, int(port)), timeout=TIMEOUT)) as sock:
            assert ask(sock)[0] == 200
    finally:
        process.terminate()
        assert process.wait(TIMEOUT) == 0


@pytest.mark.parametrize("settings, says", [
    (["http.tls_bind=0.0.0.0:0"], "without http.api_key anybody could push and kick"),
    (["http.tls_bind=127.0.0.1:0", "tls.cert_file=", "tls.private_file="], "must be set for"),
    (["http.tls_bind=127.0.0.1:0", "tls.cert_file=/nothing"], 'certificate_unreadable file=/nothing error="No such file or directory"'),
    (["http.tls_bind=127.0.0.1:0", "tls.private_file=/dev/null/key"], 'private_key_unreadable file=/dev/null/key error="Not a directory"'),
    (["http.tls_bind=127.0.0.1:0", f"tls.private_file={certificate('one.test')[1]}"], "belongs to another certificate"),
], ids=["no key", "no files", "no such file", "a key that cannot be opened", "another's key"])
def test_what_is_wrong_is_found_at_the_start(settings, says):
    cert, key = certificate()
    given = ["tcp.bind=", "websocket.bind=", "http.bind=", f"tls.cert_file={cert}", f"tls.private_file={key}", *settings]
    ended = subprocess.run([BUILD / "comet", *(word for one in given for word in ("-o", one))], capture_output=True, text=True,
                           timeout=TIMEOUT)
    assert ended.returncode in (1, 2) and says in ended.stderr, ended


def test_fault_of_a_certificate_is_said_once():
    given = ["tcp.bind=", "websocket.bind=", "websocket.tls_bind=127.0.0.1:0", "http.bind=", "http.tls_bind=127.0.0.1:0",
             "tls.cert_file=/nothing", "tls.private_file=/nothing"]
    ended = subprocess.run([BUILD / "comet", *(word for one in given for word in ("-o", one))], capture_output=True, text=True,
                           timeout=TIMEOUT)
    assert ended.returncode == 2 and ended.stderr.count("certificate_unreadable") == 1, ended
