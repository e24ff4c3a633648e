"""Callers of the HTTP API who show a certificate in place of a key: by the names in it, of the right authority only.

SPDX-License-Identifier: MIT"""
import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from authority import Authority, context
from server import BUILD, certificate
from test_http_tls import ask
from waiting import TIMEOUT, wait_until

# What a comet-logic serves is the same code.
pytestmark = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="addresses of the comet")

KEYS = """
shop push certificate:shop.internal
desk kick certificate:spiffe://example.org/desk
mail read certificate:ops@example.org
boss all k-boss
"""
PUSH, KICK, READ = ("POST", "/goim/push/all?operation=1000", b"x"), ("POST", "/goim/kick?mids=1"), ("GET", "/goim/online/total")


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ours")


@pytest.fixture
def guarded(launch, authority, tmp_path):
    (tmp_path / "keys").write_text(KEYS)
    (tmp_path / "keys").chmod(0o600)
    return launch({"http.tls_bind": "127.0.0.1:0", "http.client_ca": str(authority.cert), "http.keys_file": str(tmp_path / "keys"),
                   "http.api_key": "k-one"})


def dial(house, files=None, version=None, session=None):
    plain = socket.create_connection(house.address("http-tls"), timeout=TIMEOUT)
    return (files if isinstance(files, ssl.SSLContext) else context(files, version)).wrap_socket(plain, session=session)


def statuses(house, files, headers=()):
    with dial(house, files) as sock:
        return [ask(sock, *call, **{"headers": headers})[0] for call in (PUSH, KICK, READ)]


def refused(house, files, version=ssl.TLSVersion.TLSv1_3):
    """The handshake, or the first read behind it."""
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with dial(house, files, version) as sock:
            ask(sock, *READ)


def test_caller_is_known_by_a_name_in_its_certificate(guarded, authority):
    assert statuses(guarded, authority.issue("shop.internal")) == [200, 403, 403]
    assert statuses(guarded, authority.issue("else", "DNS:a.internal,DNS:shop.internal")) == [200, 403, 403]
    assert statuses(guarded, authority.issue("", "URI:spiffe://example.org/desk")) == [403, 200, 403]
    assert statuses(guarded, authority.issue("mail", "email:ops@example.org")) == [403, 403, 200]
    assert "api_key=desk" in guarded.log() and "event=http_changed method=POST path=/goim/kick" in guarded.log()
    assert guarded.metrics()("comet_http_calls_total", key="shop") == 2


def test_key_does_without_a_certificate_and_counts_before_one(guarded, authority):
    assert statuses(guarded, None, ["X-Api-Key: k-boss"]) == [200] * 3
    assert statuses(guarded, authority.issue("shop.internal"), ["X-Api-Key: k-boss"]) == [200] * 3
    assert statuses(guarded, authority.issue("shop.internal"), ["X-Api-Key: wrong"]) == [401] * 3


def test_names_that_no_line_has_are_401_and_names_are_no_keys(guarded, authority):
    assert statuses(guarded, None) == [401] * 3
    assert statuses(guarded, authority.issue("shop.internal.evil")) == [401] * 3
    assert statuses(guarded, authority.issue("k-boss", "DNS:boss")) == [401] * 3
    for key in ("shop.internal", "certificate:shop.internal"):
        assert statuses(guarded, None, [f"X-Api-Key: {key}"]) == [401] * 3


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_certificates_of_others_end_the_handshake(guarded, authority, tmp_path, version):
    refused(guarded, Authority(tmp_path, "theirs").issue("shop.internal"), version)
    itself = Authority(tmp_path, "shop.internal")
    refused(guarded, (itself.cert, itself.key), version)
    refused(guarded, authority.issue("shop.internal", usage="serverAuth"), version)
    assert statuses(guarded, authority.issue("shop.internal")) == [200, 403, 403]


def test_page_in_a_browser_that_has_a_certificate_is_still_refused(guarded, authority):
    assert statuses(guarded, authority.issue("shop.internal"), ["Origin: https://evil.example"]) == [403] * 3


def test_reload_takes_another_authority_and_forgets_sessions_of_the_one_before(guarded, authority, tmp_path):
    ours, theirs = authority.issue("shop.internal"), Authority(tmp_path, "theirs")
    caller = context(ours, ssl.TLSVersion.TLSv1_2)
    with dial(guarded, caller) as sock:
        assert ask(sock, *PUSH)[0] == 200
        session = sock.session
    with dial(guarded, caller, session=session) as sock:
        assert sock.session_reused and ask(sock, *PUSH)[0] == 200  # and is known still
    shutil.copy(authority.cert, tmp_path / "before.pem")
    shutil.copy(theirs.cert, authority.cert)
    guarded.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_done" in guarded.log(), "the reload")
    refused(guarded, caller)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        with dial(guarded, caller, session=session) as sock:
            ask(sock, *PUSH)
    assert statuses(guarded, theirs.issue("shop.internal")) == [200, 403, 403]
    authority.cert.write_text("nothing")
    guarded.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_failed" in guarded.log(), "the reload's fault")
    assert statuses(guarded, theirs.issue("shop.internal")) == [200, 403, 403]


def test_revoked_certificate_ends_the_handshake(guarded, authority):
    shop, mail = authority.issue("shop.internal"), authority.issue("ops@example.org")
    authority.cert.write_text(authority.cert.read_text() + authority.revoked(shop[0]))
    guarded.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_done" in guarded.log(), "the reload")
    refused(guarded, shop)
    assert statuses(guarded, mail) == [403, 403, 200]
    assert statuses(guarded, None, ["X-Api-Key: k-boss"]) == [200] * 3


def test_faults_of_the_settings_are_told(authority, tmp_path):
    (tmp_path / "keys").write_text(KEYS)
    (tmp_path / "empty").write_text("")
    cert, key = certificate()
    base = ["-o", f"tls.cert_file={cert}", "-o", f"tls.private_file={key}", "-o", f"http.keys_file={tmp_path}/keys"]
    tls = ["-o", "http.tls_bind=127.0.0.1:0"]
    for more, words in (([], "certificate: needs http.client_ca"), ([*tls, "-o", "http.client_ca=/none"], "it cannot be read"),
                        ([*tls, "-o", f"http.client_ca={tmp_path}/empty"], "there is no certificate (PEM) in it"),
                        (["-o", f"http.client_ca={authority.cert}"], "set http.tls_bind")):
        ended = subprocess.run([BUILD / "comet", "-t", *base, *more], capture_output=True, text=True, timeout=TIMEOUT)
        assert ended.returncode == 2 and words in ended.stderr, (more, ended)
    ended = subprocess.run([BUILD / "comet", "-t", *base, *tls, "-o", f"http.client_ca={authority.cert}"], capture_output=True,
                           text=True, timeout=TIMEOUT)
    assert ended.returncode == 0, ended
