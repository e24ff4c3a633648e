"""auth.jwks_url: the public keys that a login service publishes. They come and go without a restart; and whatever the service
does, nobody whose key is known waits for it.

SPDX-License-Identifier: MIT"""
import json
import shutil
import subprocess
import threading

import pytest

import tokens
from client import V2, Client, Op, TcpCodec, Way
from cluster_house import ClusterComet
from server import BUILD, certificate
from tokens import jwk, signed_with
from waiting import TIMEOUT, scaled, wait_until
from web_service import Handler, WebService

REFUSED, NO_LOGIC = 5, 6
TCP = Way("tcp-v2", "tcp", TcpCodec, V2)


class LoginService(WebService):
    """Answers each GET with `answer`: an object, bytes, or a function of the handler."""

    def __init__(self, tls=None):
        service = self
        self.answer = {"keys": []}
        self.asked = 0

        class Service(Handler):
            def do_GET(self):
                service.asked += 1
                answer = service.answer
                if callable(answer):
                    answer = answer(self)
                if answer is None:
                    return
                body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        super().__init__(Service, "/keys", tls)

    def publish(self, *keys):
        self.answer = {"keys": list(keys)}


@pytest.fixture
def service():
    one = LoginService()
    yield one
    one.close()


def settings(service, **more):
    return {"auth.mode": "jwt", "auth.jwks_url": service.url, "auth.jwks_refresh": "1s", **more}


def goodbye_of(house, token):
    """None, or the code with which it was turned away."""
    client = Client(TCP, house.address("tcp"))
    client.send(Op.AUTH, token, seq=1)
    packet = client.recv()
    client.close()
    return None if packet.op == Op.AUTH_REPLY else json.loads(packet.body)["code"]


def comes_in(house, token):
    """As a client does: again after no_logic."""
    def gets_in():
        code = goodbye_of(house, token)
        assert code in (None, NO_LOGIC), code
        return code is None
    wait_until(gets_in, house.logic_log)


def fetches(house, result):
    return house.logic_metrics()("comet_auth_jwks_fetches_total", result=result)


def has_fetched(house, result="fetched", times=1):
    before = fetches(house, result)
    wait_until(lambda: fetches(house, result) >= before + times, house.logic_log)


def test_tokens_by_each_published_key_get_in(launch, service):
    service.publish(*(jwk(alg) for alg in tokens.KINDS))
    house = launch(settings(service))
    for alg in tokens.KINDS:
        comes_in(house, signed_with(alg))
    assert goodbye_of(house, signed_with("ES256")[:-2]) == REFUSED
    other = signed_with("RS256").split(b".")[:2] + signed_with("RS256", mid=8).split(b".")[2:]
    assert goodbye_of(house, b".".join(other)) == REFUSED


def test_a_published_secret_signs_nothing(launch, service):
    secret = b"everybody who can read the set knows this one"
    service.publish(jwk("ES256"), {"kty": "oct", "kid": "s", "alg": "HS256", "k": tokens.jwt.part(secret)})
    house = launch(settings(service))
    comes_in(house, signed_with("ES256"))
    wait_until(lambda: goodbye_of(house, tokens.hs256(secret, {"kid": "s"})) == REFUSED, "refused for good")


def test_keys_change_while_clients_come(launch, service):
    service.publish(jwk("ES256"))
    house = launch(settings(service))
    comes_in(house, signed_with("ES256"))
    old, new = signed_with("ES256"), signed_with("ES256", "two")
    stop, turned_away = threading.Event(), []

    def come():
        while not stop.is_set():
            code = goodbye_of(house, old)
            if code is not None:
                turned_away.append(code)

    visitors = [threading.Thread(target=come) for _ in range(4)]
    for visitor in visitors:
        visitor.start()
    try:
        service.publish(jwk("ES256"), jwk("ES256", "two"))
        comes_in(house, new)
    finally:
        stop.set()
        for visitor in visitors:
            visitor.join()
    assert not turned_away
    service.publish(jwk("ES256", "two"))
    has_fetched(house, times=2)
    assert goodbye_of(house, new) is None
    wait_until(lambda: goodbye_of(house, old) == REFUSED, "the old key is gone")


def hang(handler):
    handler.rfile.read(1)  # until the comet hangs up


def trickle(handler):
    handler.send_response(200)
    handler.end_headers()
    handler.wfile.write(b"{")
    handler.rfile.read(1)


def refuse(handler):
    handler.send_error(503)


def redirect(handler):
    handler.send_response(302)
    handler.send_header("Location", "/elsewhere")
    handler.end_headers()


@pytest.mark.parametrize("answer, words", [
    (hang, None), (trickle, None), (refuse, "status"), (redirect, "status"), (b"x" * 300000, "longer than 256 KiB"),
    (b"<html>", "no JSON object"), ({"keys": []}, "no public key"), ({"keys": [7, {"kty": "oct"}]}, "no public key"),
], ids=["hangs", "trickles", "503", "redirects", "huge", "no JSON", "empty", "lies"])
def test_known_keys_stay_good_whatever_the_service_does(launch, service, answer, words):
    service.publish(jwk("ES256"))
    house = launch(settings(service))
    comes_in(house, signed_with("ES256"))
    service.answer = answer
    asked = service.asked
    if words is None:
        wait_until(lambda: service.asked > asked, "asked again")
    else:
        has_fetched(house, "failed", times=2)
        assert words in house.logic_log()
    for _ in range(scaled(50)):
        assert goodbye_of(house, signed_with("ES256")) is None
    assert goodbye_of(house, signed_with("ES256", "two")) == NO_LOGIC  # nobody knows whether there is such a key
    service.publish(jwk("ES256", "two"))
    if words is not None:
        comes_in(house, signed_with("ES256", "two"))


def test_clients_come_again_while_no_keys_have_come(launch, service):
    service.answer = refuse
    house = launch(settings(service))
    assert goodbye_of(house, signed_with("ES256")) == NO_LOGIC
    assert house.logic_metrics()("comet_auth_failures_total", cause="jwks") == 1
    service.publish(jwk("ES256"))
    comes_in(house, signed_with("ES256"))


def test_a_long_name_that_came_is_not_logged_as_unknown(launch, service):
    """As long as a thumbprint by SHA-512 in base64url."""
    service.publish(jwk("ES256"))
    house = launch(settings(service))
    comes_in(house, signed_with("ES256"))
    long = "n" * 80
    token, key = signed_with("ES256", long), jwk("ES256", long)
    service.publish(jwk("ES256"), key)
    comes_in(house, token)
    assert "event=jwks_key_unknown" not in house.logic_log()


def test_names_that_strangers_make_up_are_asked_for_once_in_a_while(launch, service):
    service.publish(jwk("ES256"))
    house = launch(settings(service, **{"auth.jwks_refresh": "1h"}))
    comes_in(house, signed_with("ES256"))
    for i in range(50):
        assert goodbye_of(house, tokens.hs256(header={"kid": f"made-up-{i}"})) == NO_LOGIC
    assert service.asked == 1
    wait_until(lambda: service.asked == 2, "asked again", seconds=30)  # ten seconds after the first time
    wait_until(lambda: "made-up-0" in house.logic_log(), house.logic_log)
    assert "made-up-1" not in house.logic_log()
    assert goodbye_of(house, tokens.hs256(header={"kid": "made-up-0"})) == REFUSED
    assert goodbye_of(house, signed_with("ES256")) is None
    assert service.asked == 2


def test_keys_of_files_are_used_beside_them(launch, service):
    service.publish(jwk("ES256"))
    house = launch(settings(service, **{"auth.jwt_keys": f"HS256:{tokens.secret_file()}"}))
    comes_in(house, signed_with("ES256"))
    assert goodbye_of(house, tokens.hs256()) is None
    # A name that nobody knows: a key without one may be meant.
    assert goodbye_of(house, tokens.hs256(header={"kid": "x"})) is None


def test_over_https_the_certificate_counts(launch):
    cert, key = certificate()
    service = LoginService((cert, key))
    try:
        service.publish(jwk("ES256"))
        house = launch(settings(service, **{"auth.ca_file": cert}))
        comes_in(house, signed_with("ES256"))
        other = launch(settings(service, **{"auth.jwt_keys": f"HS256:{tokens.secret_file()}"}))
        has_fetched(other, "failed")
        assert service.asked and goodbye_of(other, signed_with("ES256")) == NO_LOGIC
        assert goodbye_of(other, tokens.hs256()) is None
    finally:
        service.close()


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_in_a_cluster_comet_logic_fetches(launch, service):
    service.publish(jwk("ES256"))
    house = launch(settings(service), kind=ClusterComet)
    comes_in(house, signed_with("ES256"))


def test_addresses_that_cannot_be_are_told(tmp_path):
    wrong = {
        "http://login.example.com/keys": "must be a https:// address",
        "ftp://login.example.com/keys": "must be a https:// address",
        "login.example.com": "must be a https:// address",
        "https://": "must be a https:// address",
        "https://me:secret@login.example.com/": "no password in it",
    }
    for url, words in wrong.items():
        tried = subprocess.run([BUILD / "comet", "-t", "-o", "auth.mode=jwt", "-o", f"auth.jwks_url={url}"],
                               capture_output=True, text=True, timeout=TIMEOUT)
        assert tried.returncode == 2 and words in tried.stderr and "secret" not in tried.stderr, (url, tried.stderr)
    for url in ("https://login.example.com/keys", "http://127.0.0.1/keys", "http://localhost:8080/keys"):
        tried = subprocess.run([BUILD / "comet", "-t", "-o", "auth.mode=jwt", "-o", f"auth.jwks_url={url}"],
                               capture_output=True, text=True, timeout=TIMEOUT)
        assert tried.returncode == 0, (url, tried.stderr)
