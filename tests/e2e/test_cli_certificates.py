"""comet-cli shows a certificate: to the HTTP API in place of a key, and as a client to a comet that lets in nobody without one.

SPDX-License-Identifier: MIT"""
import contextlib
import socket
import ssl
import subprocess
import threading

import pytest

from authority import Authority
from server import certificate
from test_cli import OK, REFUSED, TIMEOUT, UNREACHABLE, USAGE, run, sub  # noqa: F401: sub is a fixture
from test_cli_reach import ini  # noqa: F401: a fixture
from test_cli_ws import url_of
from waiting import wait_until

pytestmark = pytest.mark.ways("v2")
SCHEMES = pytest.mark.parametrize("scheme", ["tls", "wss"])
TRUST = ["--cacert", certificate()[0]]


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ours")


@pytest.fixture
def guarded(launch, authority, tmp_path):
    (tmp_path / "keys").write_text("ops all certificate:ops.internal\n")
    (tmp_path / "keys").chmod(0o600)
    return launch({"http.tls_bind": "127.0.0.1:0", "http.client_ca": str(authority.cert), "http.keys_file": str(tmp_path / "keys"),
                   "tls.client_ca": str(authority.cert), "tls.client_user": "cn", "websocket.origins": "https://app.example"})


def api_of(house):
    return ["--http", "https://127.0.0.1:%d" % house.address("http-tls")[1]]


def shown(cert, key=None):
    return ["--cert", str(cert), *(["--cert-key", str(key)] if key else [])]


def in_one_file(tmp_path, files):
    one = tmp_path / "both.pem"
    one.write_text("".join(file.read_text() for file in files))
    return one


def with_password(tmp_path, files):
    locked = tmp_path / "locked.key"
    subprocess.run(["openssl", "pkey", "-in", files[1], "-aes256", "-passout", "pass:x", "-out", locked], check=True)
    return files[0], locked


def test_api_knows_a_caller_by_its_certificate(guarded, authority, tmp_path):
    files = authority.issue("ops.internal")
    for cert in (shown(*files), shown(in_one_file(tmp_path, files))):
        assert run("online", *api_of(guarded), *TRUST, *cert)[:2] == (OK, "connections 0\naddresses 0\n")
    code, _, err = run("online", *api_of(guarded), *TRUST, *shown(*authority.issue("else")))
    assert code == REFUSED and "HTTP 401" in err
    assert run("online", *api_of(guarded), *TRUST)[0] == REFUSED


def refused(*args):
    code, out, err = run("sub", *args, "--no-reconnect")
    assert code in (REFUSED, UNREACHABLE) and out == "" and "online" not in err
    return err


@SCHEMES
def test_client_is_who_its_certificate_says(guarded, authority, sub, scheme, tmp_path):  # noqa: F811
    api = [*api_of(guarded), *TRUST, *shown(*authority.issue("ops.internal"))]
    files = authority.issue("ann")
    for cert in (shown(*files), shown(in_one_file(tmp_path, files))):
        client = sub(url_of(guarded, scheme), *TRUST, *cert, "--count", "1")
        client.said("online at")
        assert run("push", *api, "user", "ann", "hello")[:2] == (OK, "1 connection\n")
        assert client.printed() == "1000 hello" and client.wait() == OK
    # Unless the end of the connection overtakes the server's word.
    wait_until(lambda: "the server wants a certificate of ours" in refused(url_of(guarded, scheme), *TRUST), "the cause is said")
    theirs = shown(*Authority(tmp_path, "theirs").issue("ann"))
    wait_until(lambda: "unknown ca" in refused(url_of(guarded, scheme), *TRUST, *theirs), "the other cause is said")
    assert run("send", url_of(guarded, scheme), *TRUST, *shown(*files), "op", "1234", "x")[:2] == (OK, "answered\n")


def test_context_has_a_certificate_for_its_own_server(guarded, authority, ini):  # noqa: F811
    cert, key = authority.issue("ops.internal")
    host = url_of(guarded, "tls")
    env = ini(f"[default]\nhttp = {api_of(guarded)[1]}\nhost = {host}\ncacert = {certificate()[0]}\ncert = {cert}\ncert_key = {key}\n")
    assert run("online", env=env)[0] == OK
    assert run("sub", "--timeout", "300ms", env=env)[0] == TIMEOUT
    assert run("online", *api_of(guarded), env=env)[0] == REFUSED
    assert run("sub", host, "--timeout", "300ms", "--no-reconnect", env=env)[0] != TIMEOUT


def test_files_that_are_none(guarded, authority, tmp_path):
    cert, key = authority.issue("ann")
    other = authority.issue("ops.internal")[1]
    for files, of_which in (((tmp_path / "none", key), "none"), ((cert, tmp_path / "none"), "none"), ((cert, other), other.name), ((cert,), cert.name),
                            (with_password(tmp_path, (cert, key)), "locked.key")):
        for scheme in ("tls", "wss"):
            code, out, err = run("sub", url_of(guarded, scheme), *TRUST, *shown(*files), stdin=subprocess.DEVNULL)
            assert (code, out) == (USAGE, "") and of_which in err and ("no certificate of ours" in err or "no key of our certificate" in err), (files, err)
        code, out, err = run("online", *api_of(guarded), *TRUST, *shown(*files), stdin=subprocess.DEVNULL)
        assert (code, out) == (USAGE, "") and of_which in err, (files, err)


@pytest.mark.parametrize("words, at", [(["sub"], ["wss://127.0.0.1:1"]), (["send"], ["tls://127.0.0.1:1", "op", "1000", "hi"]),
                                       (["online"], ["--http", "https://127.0.0.1:1"]), (["push", "all", "m"], ["--http", "https://127.0.0.1:1"])])
def test_file_that_cannot_be_read_is_a_wrong_command_line(words, at, tmp_path):
    """Before anybody is asked: nobody listens there."""
    for file in (tmp_path / "none", tmp_path, "/dev/null"):
        code, out, err = run(*words, *at, "--cacert", file)
        assert (code, out) == (USAGE, "") and f"no certificates to trust could be read from {file}" in err, (file, err)
        code, out, err = run(*words, *at, "--cert", file)
        assert (code, out) == (USAGE, "") and f"no certificate of ours could be read from {file}" in err, (file, err)


def test_file_of_a_context_that_cannot_be_read_is_said(ini):  # noqa: F811
    env = ini("[default]\nhttp = https://127.0.0.1:1\nhost = wss://127.0.0.1:1\ncacert = /nowhere\n")
    for command in ("sub", "online"):
        code, out, err = run(command, env=env)
        assert (code, out) == (USAGE, "") and "no certificates to trust could be read from /nowhere" in err, err


def test_wrong_command_lines():
    for args in (["sub", "--cert", "f"], ["sub", "ws://h", "--cert", "f"], ["sub", "wss://h", "--cert-key", "f"], ["online", "--cert-key", "f"]):
        code, out, err = run(*args)
        assert (code, out) == (USAGE, "") and "--cert" in err, args


def test_certificate_that_is_not_looked_at_is_not_blamed():
    """A server that wants ours says so within the handshake of TLS 1.2, and its own is not of an authority that we know."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(*certificate())
    context.load_verify_locations(certificate()[0])
    context.verify_mode = ssl.CERT_REQUIRED

    def refuse_one():
        with contextlib.suppress(OSError):
            context.wrap_socket(listener.accept()[0], server_side=True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        refusing = threading.Thread(target=refuse_one)
        refusing.start()
        err = refused("tls://127.0.0.1:%d" % listener.getsockname()[1], "--insecure")
        refusing.join()
    assert "no TLS handshake came about: " in err and "not accepted" not in err
