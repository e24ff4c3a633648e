"""Clients who show a certificate: of the right authority only, over TCP and WebSocket, and with tls.client_user it says who they are.

SPDX-License-Identifier: MIT"""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

import tokens
import wire
from authority import Authority, context
from client import V1, V2, Client, Closed, Op, Packet, TcpCodec, Way
from server import BUILD, certificate
from test_auth_webhook import hook  # noqa: F401
from test_http_tls import ask
from waiting import TIMEOUT, wait_until

CODECS = {"tcp-tls": TcpCodec, "websocket-tls": lambda: wire.WebSocketCodec(Packet)}
BOTH = pytest.mark.parametrize("listener", list(CODECS))
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
PAGES = "https://app.example"


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path, "ours")


@pytest.fixture
def start(launch, authority):
    def start(**settings):
        given = {"tls.client_ca": str(authority.cert), "tls.client_user": "cn", "websocket.origins": PAGES}
        return launch({**given, **{name.replace("__", "."): value for name, value in settings.items()}})
    return start


def dial(house, files, listener="tcp-tls", version=None, session=None, dialect=V2, way=None):
    shown = files if isinstance(files, ssl.SSLContext) else context(files, version)
    way = way or Way(f"{listener}-certified", listener, lambda: wire.TlsCodec(CODECS[listener](), shown, session), dialect, "client_cut")
    return Client(way, house.address(listener))


def come(house, files, body=b'{"accepts":[1000]}', **more):
    """Its answer to AUTH: the client, or op 6 as JSON; None: there is none."""
    client = dial(house, files, **more)
    try:
        client.send(Op.AUTH, body if isinstance(body, bytes) else json.dumps(body).encode())
        answer = client.recv()
    except (ssl.SSLError, Closed, ConnectionError):
        return None
    return client if answer.op == Op.AUTH_REPLY else answer.json()


def is_in(house, files, *body, **more):
    return isinstance(come(house, files, *body, **more), Client)


def hears(house, client, user, key=None):
    """Is it this user?"""
    reply = house.backend.request("POST", f"/goim/push/{f'keys?keys={key}&' if key else f'users?users={user}&'}operation=1000", b"to you")
    assert reply.status == 200, reply
    assert client.expect(1000).body == b"to you"
    return True


@BOTH
@VERSIONS
def test_the_certificate_says_who_the_client_is(start, authority, listener, version):
    house = start()
    ann = come(house, authority.issue("ann"), listener=listener, version=version)
    assert hears(house, ann, "ann")
    seven = come(house, authority.issue("7"), listener=listener, version=version)
    assert hears(house, seven, "7")
    bob = come(house, authority.issue("bob"), {"user": "bob", "accepts": [1000]}, listener=listener, version=version)
    assert hears(house, bob, "bob") and house.metrics()("comet_online") == 3


@BOTH
@VERSIONS
def test_strangers_are_refused_in_the_handshake_and_counted(start, authority, tmp_path, listener, version):
    house = start(tls__client_user="token")
    theirs = Authority(tmp_path, "theirs")
    strangers = [None, theirs.issue("ann"), (theirs.cert, theirs.key), authority.issue("ann", usage="serverAuth"), authority.issue("ann", ends=-60)]
    for n, files in enumerate(strangers, 1):
        assert come(house, files, listener=listener, version=version) is None, n
        house.wait_metric("comet_closed_total", n, reason="certificate")
    assert house.metrics().total("comet_auth_refused_total") == 0
    log = house.log()
    assert 'reason=certificate words="it shows no certificate"' in log and 'words="certificate has expired"' in log
    assert "words=\"unsuitable certificate purpose\"" in log
    assert is_in(house, authority.issue("ann"), b'{"mid":7}', listener=listener, version=version), "whom a token names"


@pytest.mark.parametrize("of, alternatives", [("dns", "DNS:a.example,DNS:b.example,URI:x://y"), ("uri", "DNS:b.example,URI:a.example"),
                                              ("email", "URI:x://y,email:a.example")])
def test_other_names_than_the_common_one(start, authority, of, alternatives):
    house = start(tls__client_user=of)
    assert hears(house, come(house, authority.issue("b", alternatives)), "a.example")
    refused = come(house, authority.issue("b"))
    assert refused == {"code": 5, "reason": "the certificate names no user"}
    assert house.metrics()("comet_auth_refused_total") == 1


def test_client_is_nobody_else_and_has_keys_of_its_own_only(start, authority):
    house, files = start(), authority.issue("ann")
    for body in ({"user": "bob"}, {"mid": 7}, {"MID": 7}):
        assert come(house, files, body) == {"code": 5, "reason": "the certificate is another user's"}, body
    assert hears(house, come(house, files, {"key": "phone", "accepts": [1000]}), "ann", key="ann_phone")
    assert hears(house, come(house, authority.issue("x_%y"), {"key": "ann_phone", "accepts": [1000]}), "x_%25y", key="x%255F%2525y_ann_phone")
    assert house.logic_metrics()("comet_auth_failures_total", cause="other") == 3


def test_certificate_that_names_nobody_is_refused(start, authority):
    house = start()
    assert come(house, authority.issue("")) == {"code": 5, "reason": "the certificate names no user"}
    assert come(house, authority.issue("0"), {"key": "k"})["code"] == 5, "a guest has no keys"
    assert come(house, authority.issue("0"), {"mid": 7})["code"] == 5, "and is nobody else"


def test_name_that_no_user_may_have_is_refused_at_once(start, authority):
    house = start(tls__client_user="uri")
    assert come(house, authority.issue("x", "URI:spiffe://" + "n" * 200)) == {"code": 5, "reason": "the certificate names nobody who can be a user"}
    assert hears(house, come(house, authority.issue("x", "URI:" + "n" * 128)), "n" * 128)


def test_client_of_version_1(start, authority):
    house = start()
    client = come(house, authority.issue("7"), b"7", dialect=V1)
    house.backend.push_mids([7], b"old")
    assert client.expect(Op.SEND_REPLY).body == b"old"
    assert come(house, authority.issue("8"), b"7", dialect=V1)["code"] == 5


def test_connection_says_again_who_it_is(start, authority):
    house = start()
    ann = come(house, authority.issue("ann"))
    assert ann.request(Op.AUTH, b'{"user":"ann"}').op == Op.AUTH_REPLY and ann.request(Op.AUTH, b"").op == Op.AUTH_REPLY
    ann.send(Op.AUTH, b'{"user":"bob"}')
    assert ann.expect_goodbye() == {"code": 5, "reason": "the certificate is another user's"}
    assert house.metrics()("comet_reauthenticated_total") == 2


def test_plain_doors_go_by_the_token_as_ever(start):
    house = start()
    Client(Way("tcp-v2", "tcp", TcpCodec, V2), house.address("tcp")).auth(mid=9)


# ---- beside tokens


@pytest.fixture
def with_tokens(start):
    return start(auth__mode="jwt", auth__jwt_keys=f"one=HS256:{tokens.secret_file()}", auth__user_prefix="tls.client_ca=device:,one=login:")


def test_with_jwt_a_token_may_be_left_out_but_has_to_be_the_same_users(with_tokens, authority):
    house = with_tokens
    assert hears(house, come(house, authority.issue("ann"), {"key": "k", "accepts": [1000]}), "device:ann", key="device:ann_k")
    assert is_in(house, authority.issue("ann"), b""), "nothing to say"
    for body in (b"x", b'"x"', b'{"token":"x"}', b'{"token":7}'):
        assert come(house, authority.issue("ann"), body)["code"] == 5, body
    theirs = tokens.hs256(header={"kid": "one"}, sub="ann", mid=None)
    assert come(house, authority.issue("ann"), theirs) == {"code": 5, "reason": "the certificate is another user's"}
    assert house.logic_metrics()("comet_auth_failures_total", cause="other") == 1


def test_with_jwt_a_good_token_of_the_user_grants_and_ends_sooner(start, authority):
    house = start(auth__mode="jwt", auth__jwt_keys=f"HS256:{tokens.secret_file()}", auth__rooms="token", auth__user_prefix="u:")
    files = authority.issue("ann")
    client = come(house, files, tokens.hs256(sub="ann", mid=None, rooms=["live://1"], accepts=[1000]))
    assert client.request(Op.CHANGE_ROOM, b"live://1").body == b"live://1"
    assert client.request(Op.CHANGE_ROOM, b"live://2").body == b""
    assert hears(house, client, "u:ann")
    guest = come(house, files, tokens.hs256(mid=0, accepts=[1000]))
    assert hears(house, guest, "u:ann")
    assert come(house, files, {"accepts": [1000]}).request(Op.CHANGE_ROOM, b"live://1").body == b""


def test_with_a_webhook_it_is_asked_as_ever(start, authority, hook):  # noqa: F811
    house = start(auth__mode="webhook", auth__url=hook.url)
    hook.answers = (200, {"allow": True, "accepts": [1000]})
    assert hears(house, come(house, authority.issue("ann")), "ann")
    hook.answers = (200, {"allow": True, "user": "bob"})
    assert come(house, authority.issue("ann"), b"other")["code"] == 5
    hook.answers = (200, {"allow": False, "reason": "not today"})
    assert come(house, authority.issue("ann"), b"third") == {"code": 5, "reason": "not today"}


def test_in_a_closed_house_certificates_open_the_door(start, authority):
    house = start(server__closed="yes", http__api_key="k")
    assert hears(house, come(house, authority.issue("ann")), "ann")
    client = Client(Way("tcp-v2", "tcp", TcpCodec, V2), house.address("tcp"))
    client.send_auth(mid=9)
    assert client.expect_goodbye()["code"] in (5, 6)


# ---- resumed sessions, ends, reloads


@VERSIONS
def test_resumed_session_keeps_the_user(start, authority, version):
    house, shown = start(), context(authority.issue("ann"), version)
    first = come(house, shown)
    session, reused = first._codec.session
    assert not reused
    again = come(house, shown, session=session)
    assert again._codec.session[1] and hears(house, again, "ann")


@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="http.tls_bind would be comet-logic's")
@VERSIONS
def test_session_of_the_api_which_asks_for_no_certificate_is_none_of_a_clients(start, authority, version):
    house = start(http__tls_bind="127.0.0.1:0", http__client_ca=str(authority.cert), tls__client_user="token")
    stranger = context(version=version)
    with stranger.wrap_socket(socket.create_connection(house.address("http-tls"), timeout=TIMEOUT)) as sock:
        assert ask(sock, "GET", "/healthz")[0] == 200
        session = sock.session
    assert come(house, stranger, session=session) is None
    house.wait_metric("comet_closed_total", 1, reason="certificate")


@VERSIONS
def test_connection_ends_with_its_certificate_and_its_session_is_not_resumed(start, authority, version):
    house, shown = start(), context(authority.issue("ann", ends=4), version)
    client = come(house, shown)
    session, _ = client._codec.session
    assert client.expect_goodbye()["code"] == 13, "the token has expired"
    closed = house.metrics()("comet_closed_total", reason="certificate")
    assert come(house, shown, session=session) is None
    house.wait_metric("comet_closed_total", closed + 1, reason="certificate")


@VERSIONS
def test_certificate_that_ends_before_the_client_says_who_it_is(start, authority, version):
    house, files = start(), authority.issue("ann", ends=3)
    end = time.time() + 3
    client = dial(house, files, version=version)
    client.send_packets()  # the handshake alone
    wait_until(lambda: time.time() > end, "the certificate is over")
    client.send(Op.AUTH, b"")
    assert client.recv().json() == {"code": 5, "reason": "the certificate has expired"}


def reload(house, says="event=reload_done"):
    before = house.log().count(says)
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: house.log().count(says) > before, f"the log says {says}")


@VERSIONS
def test_revoked_after_a_reload_and_sessions_with_it(start, authority, version):
    house, files, before = start(), authority.issue("bad"), authority.cert.read_text()
    bad, good = context(files, version), context(authority.issue("good"), version)
    client = come(house, bad)
    session, _ = client._codec.session
    authority.cert.write_text(before + authority.revoked())
    reload(house)
    assert "tls.client_ca" in house.log().partition("event=reload_done")[2]
    assert is_in(house, bad), "nobody is revoked yet"
    authority.cert.write_text(before + authority.revoked(files[0]))
    reload(house)
    assert come(house, bad) is None and come(house, bad, session=session) is None and is_in(house, good)
    assert 'words="certificate revoked"' in house.log()
    authority.cert.write_text("nothing")
    reload(house, "event=reload_failed")
    assert come(house, bad) is None and is_in(house, good), "all is as it was"
    client.heartbeat()  # who is in stays


def test_another_authority_after_a_reload(start, authority, tmp_path):
    house, ours, theirs = start(), authority.issue("ann"), Authority(tmp_path, "theirs")
    shown = context(ours, ssl.TLSVersion.TLSv1_2)
    session, _ = come(house, shown)._codec.session
    shutil.copy(theirs.cert, authority.cert)
    reload(house)
    assert come(house, ours) is None and come(house, shown, session=session) is None
    assert hears(house, come(house, theirs.issue("eve")), "eve")


def test_faults_of_the_settings_are_told(authority, tmp_path):
    (tmp_path / "empty").write_text("")
    (tmp_path / "torn").write_text(authority.cert.read_text()[:200])
    cert, key = certificate()
    base = {"tls.cert_file": cert, "tls.private_file": key}
    tcp, ws = {"tcp.tls_bind": "127.0.0.1:0"}, {"websocket.tls_bind": "127.0.0.1:0"}
    ours = {"tls.client_ca": authority.cert}

    def tried(*settings, code=2):
        all_of = {k: v for some in (base, *settings) for k, v in some.items()}
        ended = subprocess.run([BUILD / "comet", "-t", *(a for k, v in all_of.items() for a in ("-o", f"{k}={v}"))], capture_output=True,
                               text=True, timeout=TIMEOUT)
        assert ended.returncode == code, (settings, ended)
        return ended.stderr

    assert "tls.client_ca is for clients over TLS" in tried(ours)
    assert "it cannot be read" in tried(tcp, {"tls.client_ca": "/none"})
    for name in ("empty", "torn"):
        said = tried(tcp, {"tls.client_ca": tmp_path / name})
        assert "event=ca_unusable setting=tls.client_ca" in said and "there is no certificate (PEM) in it" in said
    assert "tls.client_user other than token needs tls.client_ca" in tried(tcp, {"tls.client_user": "cn"})
    assert "websocket.origins" in tried(ws, ours, {"tls.client_user": "cn"})
    assert "auth.mode = open would let anybody in" in tried({"tcp.tls_bind": "0.0.0.0:0"}, ours)
    tried({"tcp.tls_bind": "0.0.0.0:0"}, ours, {"tls.client_user": "cn"}, code=0)
    jwt = {"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}"}
    tried(tcp, ours, {"tls.client_user": "cn"}, jwt, {"auth.user_prefix": "tls.client_ca=device:"}, code=0)
    hook_settings = {"auth.mode": "webhook", "auth.url": "https://127.0.0.1:1/"}
    assert "setting=auth.ca_file" in tried(hook_settings, {"auth.ca_file": tmp_path / "torn"})
    tried(hook_settings, {"auth.ca_file": authority.cert}, code=0)
