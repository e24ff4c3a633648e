"""auth.mode=jwt: who a client is stands in its token, and nowhere else. Each refusal is told to the client, counted by its
cause where logic runs, and harms nobody.

SPDX-License-Identifier: MIT"""
import json
import re
import shutil
import socket
import subprocess
import sys
import time

import pytest

import tokens
from client import V1, V2, WAYS, Client, Op, Packet, TcpCodec, Way
from cluster_house import ClusterComet
from conftest import Connect
from server import BUILD, ROOT
from tokens import claims, forged, hs256, jwt, over_bytes
from waiting import TIMEOUT, scaled, wait_until

REFUSED, EXPIRED = 5, 13
TCP = Way("tcp-v2", "tcp", TcpCodec, V2)

two_ways = pytest.mark.ways("tcp-v2", "ws-v2")
over_tcp = pytest.mark.ways("tcp-v2")


@pytest.fixture
def house(launch):
    """A comet with one key of each kind: one without a name, two with."""
    _, rsa = tokens.key_pair("rsa")
    _, p256 = tokens.key_pair("p256")
    return launch({"auth.mode": "jwt",
                   "auth.jwt_keys": f"HS256:{tokens.secret_file()}, rsa=RS256:{rsa}, a/b=ES256:{p256}"})


def come(connect, token):
    """A client that got in with this token."""
    client = connect.raw()
    client.send(Op.AUTH, token, seq=1)
    client.expect(Op.AUTH_REPLY, b"", seq=1)
    return client


def refused(connect, token):
    """The words of the refusal."""
    client = connect.raw()
    client.send(Op.AUTH, token)
    goodbye = client.expect_goodbye()
    assert goodbye["code"] == REFUSED, goodbye
    client.close()
    return goodbye["reason"]


def failures(house, cause):
    return house.logic_metrics()("comet_auth_failures_total", cause=cause)


# ---- who gets in ----


@two_ways
def test_token_of_each_algorithm_names_the_user(connect, backend, house):
    made = {"HS256": hs256(), "RS256": tokens.rs256(tokens.key_pair("rsa")[0], {"kid": "rsa"}),
            "ES256": tokens.es256(tokens.key_pair("p256")[0], {"kid": "a/b"})}
    for name, token in made.items():
        client = come(connect, token)
        client.send(Op.SUB, b"1000")
        client.expect(Op.SUB_REPLY)
        backend.push_mids([7], name)
        client.expect_push(1000, name.encode())
        client.close()
    assert house.logic_metrics().total("comet_auth_failures_total") == 0


@over_tcp
def test_claims_are_taken_over(connect, backend):
    client = come(connect, hs256(mid=None, sub="8", key="phone", room_id="live://1", accepts=[1001]))
    backend.push_keys(["phone"], "to the key", op=1001)
    client.expect_push(1001, b"to the key")
    backend.push_mids([8], "to the user", op=1001)
    client.expect_push(1001, b"to the user")
    backend.push_room("live://1", "to the room")
    client.expect_push(1000, b"to the room")


@over_tcp
def test_client_chooses_what_the_token_leaves_open_and_nothing_else(connect, backend):
    said = {"mid": 99, "key": "tablet", "room_id": "live://2", "accepts": [1000, 1001], "platform": "web"}
    free = come(connect, json.dumps({"token": hs256().decode(), **said}).encode())
    bound = come(connect, json.dumps({"token": hs256(mid=8, key="k", room_id="live://3", accepts=[1001]).decode(),
                                      **said}).encode())
    backend.push_mids([99], "to nobody")
    backend.push_keys(["tablet"], "to nobody")
    backend.push_keys(["7_tablet"], "a name among the user's own")
    free.expect_push(1000, b"a name among the user's own")
    backend.push_room("live://2", "chosen")
    free.expect_push(1000, b"chosen")
    backend.push_keys(["k"], "not accepted")
    backend.push_room("live://3", "the token's")
    bound.expect_push(1000, b"the token's")


@over_tcp
def test_no_client_takes_the_key_of_another_user(connect, backend):
    victim = come(connect, hs256(mid=1, key="7_x"))
    come(connect, json.dumps({"token": hs256(mid=2).decode(), "key": "7_x"}).encode())
    come(connect, json.dumps({"token": hs256(mid=7, key="").decode(), "key": "x"}).encode())
    victim.heartbeat()
    assert "no user" in refused(connect, json.dumps({"token": hs256(mid=0).decode(), "key": "1_x"}).encode())


def test_old_web_client_sends_its_token_in_json(house, backend):
    way, = (way for way in WAYS if way.name == "ws-v1-json")
    for token in (json.dumps(hs256().decode()), json.dumps({"token": hs256().decode()})):
        client = Client(way, house.address("websocket"))
        client.send(Op.AUTH, token.encode(), seq=1)
        client.expect(Op.AUTH_REPLY, seq=1)
        backend.push_mids([7], '{"hello":1}')
        client.expect_push(1000, b'{"hello":1}')
        client.close()


def test_version_1_in_binary_says_so(house, backend):
    client = Client(Way("tcp-v1", "tcp", TcpCodec, V1), house.address("tcp"))
    client.send(Op.AUTH, json.dumps({"token": hs256().decode(), "dialect": 1}).encode())
    client.expect(Op.AUTH_REPLY)
    backend.push_mids([7], "old")
    client.expect_push(1000, b"old")
    client.close()


def long_token(body_bytes):
    """An AUTH of so many bytes, whose token names user 7 and has the groups of a large company."""
    token = json.dumps({"token": hs256(groups="g" * (body_bytes * 3 // 4 - 300)).decode()})
    return token[:-1].encode() + b" " * (body_bytes - len(token)) + b"}"


@pytest.mark.ways("tcp-v2", "ws-v2", "ws-v1-json")
def test_token_may_be_longer_than_other_bodies(way, house, backend):
    client = Client(way, house.address(way.listener))
    client.send(Op.AUTH, long_token(16384), seq=1)
    client.expect(Op.AUTH_REPLY, seq=1)
    client.heartbeat()
    client.close()


@two_ways
def test_token_that_is_too_long_is_refused_with_words(connect, house):
    assert "longer than 16 KiB" in refused(connect, long_token(16385))
    house.wait_metric("comet_closed_total", 1, reason="auth_refused")
    assert house.logic_metrics().total("comet_auth_failures_total") == 0


@two_ways
def test_other_bodies_are_not_longer_for_that(connect, house):
    client = come(connect, hs256())
    client.send(4096, b"x" * 4097)
    client.expect_closed()


# ---- who does not ----


def public_bytes(kind):
    return tokens.key_pair(kind)[1].read_bytes()


def sign_es_with_p384():
    return jwt.signed({"alg": "ES256", "kid": "a/b"}, claims(),
                      lambda text: tokens.openssl_sign(tokens.key_pair("p384")[0])(text)[-64:]).encode()


def padded(token):
    return token + b"="


HOSTILE = {  # name: cause, token
    "alg none": ("algorithm", lambda: forged({"alg": "none"}, claims())),
    "alg NONE with a signature": ("algorithm", lambda: forged({"alg": "NONE"}, claims(), b"x" * 32)),
    "alg missing": ("malformed", lambda: forged({"typ": "JWT"}, claims(), b"x" * 32)),
    "alg is a number": ("malformed", lambda: forged({"alg": 256}, claims(), b"x" * 32)),
    "alg that we do not have": ("algorithm", lambda: hs256(header={"alg": "HS512"})),
    "alg in small letters": ("algorithm", lambda: hs256(header={"alg": "hs256"})),
    "HS256 with the RSA public key": ("algorithm", lambda: hs256(public_bytes("rsa"), {"kid": "rsa"})),
    "HS256 with the EC public key": ("algorithm", lambda: hs256(public_bytes("p256"), {"kid": "a/b"})),
    "RS256 where the key is a secret": ("algorithm", lambda: tokens.rs256(tokens.key_pair("rsa")[0])),
    "another secret": ("signature", lambda: hs256(tokens.OTHER_SECRET)),
    "another RSA key": ("signature", lambda: tokens.rs256(tokens.key_pair("rsa", "two")[0], {"kid": "rsa"})),
    "another EC key": ("signature", lambda: tokens.es256(tokens.key_pair("p256", "two")[0], {"kid": "a/b"})),
    "another curve": ("signature", sign_es_with_p384),
    "ES256 of zeros": ("signature", lambda: forged({"alg": "ES256", "kid": "a/b"}, claims(), bytes(64))),
    "ES256 in DER": ("signature", lambda: jwt.signed({"alg": "ES256", "kid": "a/b"}, claims(), tokens.openssl_sign(
        tokens.key_pair("p256")[0])).encode()),
    "no signature": ("signature", lambda: hs256().rpartition(b".")[0] + b"."),
    "half a signature": ("signature", lambda: hs256()[:-23]),
    "other claims under a signature": ("signature", lambda: b".".join(
        (hs256().split(b".")[0], hs256(mid=8).split(b".")[1], hs256().split(b".")[2]))),
    "unknown kid": ("unknown_key", lambda: hs256(tokens.OTHER_SECRET, {"kid": "who"})),
    "kid with a path": ("unknown_key", lambda: hs256(b"", {"kid": "../../../../../../dev/null"})),
    "kid that is a file of ours": ("unknown_key", lambda: hs256(tokens.OTHER_SECRET, {"kid": str(tokens.secret_file())})),
    "empty kid": ("unknown_key", lambda: hs256(header={"kid": ""})),
    "kid is a number": ("malformed", lambda: hs256(header={"kid": 1})),
    "kid with a zero byte": ("malformed", lambda: hs256(header={"kid": "rsa\0"})),
    "jku and x5u do not make a key": ("signature", lambda: hs256(tokens.OTHER_SECRET, {
        "jku": "http://127.0.0.1:1/keys", "x5u": "http://127.0.0.1:1/cert", "jwk": {"kty": "oct", "k": "eA"}})),
    "crit": ("malformed", lambda: hs256(header={"crit": ["b64"], "b64": False})),
    "header twice the same": ("malformed", lambda: forged(b'{"alg":"HS256","alg":"HS256"}', claims(), b"x" * 32)),
    "claims twice the same": ("malformed", lambda: over_bytes(b'{"mid":7,"mid":8,"exp":9999999999}')),
    "claims are a list": ("malformed", lambda: over_bytes(b'[1]')),
    "claims are no JSON": ("malformed", lambda: over_bytes(b'{"mid":7')),
    "claims in bad UTF-8": ("malformed", lambda: over_bytes(b'{"mid":7,"exp":9999999999,"key":"\xff"}')),
    "depth bomb in the header": ("malformed", lambda: forged(b"[" * 1500, b"{}")),
    "depth bomb in the claims": ("malformed", lambda: over_bytes(b'{"a":' + b"[" * 1500)),
    "huge number": ("malformed", lambda: over_bytes(b'{"mid":' + b"9" * 100 + b',"exp":9999999999}')),
    "padding": ("malformed", lambda: padded(hs256())),
    "four parts": ("malformed", lambda: hs256() + b".x"),
    "one part": ("malformed", lambda: b"token"),
    "empty": ("malformed", lambda: b""),
    "a user id": ("malformed", lambda: b"7"),
    "a token of mode open": ("malformed", lambda: b'{"mid":7,"key":"k"}'),
    "JSON with a token that is no string": ("malformed", lambda: b'{"token":7}'),
    "JSON with two tokens": ("malformed", lambda: b'{"token":"%b","token":"%b"}' % (hs256(), hs256(mid=8))),
    "a dialect that is none": ("malformed", lambda: b'{"token":"%b","dialect":3}' % hs256()),
    "expired": ("expired", lambda: hs256(expires=-61)),
    "exp is a string": ("claims", lambda: hs256(exp="9999999999")),
    "exp in milliseconds": ("claims", lambda: hs256(exp=int(time.time() * 1000))),
    "no exp": ("claims", lambda: hs256(expires=None)),
    "not yet": ("not_yet", lambda: hs256(nbf=int(time.time()) + 90)),
    "nbf is a list": ("claims", lambda: hs256(nbf=[1])),
    "no user": ("claims", lambda: hs256(mid=None)),
    "mid is a name": ("claims", lambda: hs256(mid="ada")),
    "user is empty": ("claims", lambda: hs256(mid=None, sub="")),
    "user has a control character": ("claims", lambda: hs256(mid=None, sub="ada\x7f")),
    "user has 129 bytes": ("claims", lambda: hs256(mid=None, sub="a" * 129)),
    "user is a fraction": ("claims", lambda: hs256(mid=7.5)),
    "user is too large": ("claims", lambda: hs256(mid="9" * 19 + "9")),
    "key is a number": ("claims", lambda: hs256(key=7)),
    "key is too long": ("claims", lambda: hs256(key="k" * 256)),
    "key has a line feed": ("claims", lambda: hs256(key="a\nlevel=error")),
    "room is a list": ("claims", lambda: hs256(room_id=["a"])),
    "accepts is a string": ("claims", lambda: hs256(accepts="1000")),
    "accepts holds big numbers": ("claims", lambda: hs256(accepts=[1 << 40])),
    "accepts 300": ("claims", lambda: hs256(accepts=list(range(300)))),
}


@pytest.mark.own_house
@two_ways
def test_hostile_tokens_are_refused_with_words_and_counted_by_cause(connect, house):
    good = come(connect, hs256(mid=1000))
    expected = {}
    for name, (cause, make) in HOSTILE.items():
        words = refused(connect, make())
        assert words, name
        expected[cause] = expected.get(cause, 0) + 1
        assert failures(house, cause) == expected[cause], (name, words)
    good.heartbeat()
    come(connect, hs256())
    assert house.metrics()("comet_auth_refused_total") == len(HOSTILE)
    house.wait_metric("comet_closed_total", len(HOSTILE), reason="auth_refused")
    assert "\nlevel=error" not in house.log() + house.logic_log()
    for line in (house.log() + house.logic_log()).splitlines():
        assert "eyJ" not in line, "a token in the log"


@over_tcp
def test_addresses_of_keys_in_a_token_are_not_asked(connect, house):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        host, port = listener.getsockname()
        there = {"jku": f"http://{host}:{port}/keys", "x5u": f"http://{host}:{port}/certificate", "jwk": {"kty": "oct", "k": "eA"}}
        assert refused(connect, hs256(tokens.OTHER_SECRET, there))
        assert refused(connect, hs256(tokens.OTHER_SECRET, {**there, "kid": f"http://{host}:{port}/key"}))
        come(connect, hs256(header=there)).heartbeat()  # ours by its signature, whatever else it says
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert (failures(house, "signature"), failures(house, "unknown_key")) == (1, 1)
    house.wait_metric("comet_closed_total", 2, reason="auth_refused")


@two_ways
def test_token_of_a_mebibyte_is_closed_by_its_length(connect, house):
    client = connect.raw()
    try:
        client.send(Op.AUTH, hs256(junk="x" * (1 << 20)))
    except ConnectionError:
        pass  # the server closed while it was sent
    if client.way.listener == "tcp":
        assert "longer than 16 KiB" in client.expect_goodbye()["reason"]
        house.wait_metric("comet_closed_total", 1, reason="auth_refused")
    else:  # its frame is too long for every packet
        assert client.expect_closed() == []
        house.wait_metric("comet_closed_total", 1, reason="packet_body")
    client.close()
    house.wait_metric("comet_connections", 0)
    assert house.metrics()("comet_auth_refused_total") == 0
    come(connect, hs256()).heartbeat()


@over_tcp
@pytest.mark.settings("protocol.max_body=1m", "logic.timeout=10s", "protocol.handshake_timeout=30s")
def test_long_token_within_the_limit_is_read(connect):
    come(connect, hs256(junk="x" * 500_000))


@over_tcp
@pytest.mark.settings("auth.jwt_issuer=https://id.test", "auth.jwt_audience=comet")
def test_issuer_and_audience_are_checked_where_they_are_set(connect, house):
    for audience in ("comet", ["other", "comet"]):
        come(connect, hs256(iss="https://id.test", aud=audience))
    for wrong in ({}, {"iss": "https://id.test.evil", "aud": "comet"}, {"iss": ["https://id.test"], "aud": "comet"}):
        refused(connect, hs256(**wrong))
    for wrong in (None, "comets", [], ["other"], {"comet": 1}, [["comet"]]):
        refused(connect, hs256(iss="https://id.test", aud=wrong))
    assert (failures(house, "issuer"), failures(house, "audience")) == (3, 6)


# ---- time ----


@over_tcp
def test_leeway_holds_on_both_sides(connect):
    come(connect, hs256(expires=-30))
    come(connect, hs256(nbf=int(time.time()) + 30))
    come(connect, hs256(expires=3600.25))


@pytest.mark.own_house
@over_tcp
@pytest.mark.settings("auth.require_exp=no")
def test_token_without_exp_is_good_for_ever_where_that_is_allowed(connect, backend):
    client = come(connect, hs256(expires=None))
    assert client.request(Op.AUTH, hs256()) == (Op.AUTH, b"", 1, 1)  # nothing to renew ...
    client.request(4711, b"to the back end")
    assert [said["op"] for said in backend.data("/goim/upstream", wait=5000)] == [4711]  # ... nor for others to read


@two_ways
@pytest.mark.settings("auth.leeway=0")
def test_connection_ends_when_its_token_does_whatever_heartbeats_come(connect, house):
    client = come(connect, hs256(expires=2.5))
    long_lived = come(connect, hs256(mid=8))
    packet = None
    while packet is None or packet.op == Op.HEARTBEAT_REPLY:  # it goes on sending heartbeats until the server ends it
        client.send(Op.HEARTBEAT)
        try:
            packet = client.recv(timeout=0.05)
        except TimeoutError:
            pass
    assert packet.op == Op.DISCONNECT and packet.json()["code"] == EXPIRED, packet
    assert "expired" in packet.json()["reason"]
    client.expect_closed()
    house.wait_metric("comet_closed_total", 1, reason="auth_expired")
    long_lived.heartbeat()
    assert house.metrics()("comet_online") == 1


@two_ways
@pytest.mark.settings("auth.leeway=0")
def test_new_token_of_the_same_user_renews(connect, backend, house):
    client = come(connect, hs256(key="k", accepts=[1000]))
    said = json.dumps({"token": hs256().decode()}).encode()
    client.send_packets(*(Packet(Op.AUTH, token, seq) for seq, token in enumerate((hs256(expires=3), hs256(key="k"), said))))
    assert client.recv_many(3) == [Packet(Op.AUTH_REPLY, b"", seq) for seq in range(3)]
    witness = come(connect, hs256(expires=3, mid=8))
    assert witness.expect_goodbye()["code"] == EXPIRED  # it came later, and its time is over
    client.heartbeat()
    backend.push_keys(["k"], "still there")
    client.expect_push(1000, b"still there")
    assert house.metrics()("comet_reauthenticated_total") == 3
    assert house.metrics()("comet_authenticated_total") == 2


@over_tcp
@pytest.mark.settings("auth.leeway=0")
def test_shorter_token_brings_the_end_nearer(connect, house):
    client = come(connect, hs256())
    assert client.request(Op.AUTH, hs256(expires=2)).op == Op.AUTH_REPLY
    assert client.expect_goodbye()["code"] == EXPIRED


@two_ways
def test_renewal_by_another_user_or_key_or_with_a_bad_token_ends_the_connection(connect, house):
    for wrong in ({"mid": 8}, {"key": "another"}, {"expires": -100}):
        client = come(connect, hs256(key="k"))
        client.send(Op.AUTH, hs256(**wrong))
        goodbye = client.expect_goodbye()
        assert goodbye["code"] == REFUSED and goodbye["reason"]
    assert (failures(house, "other"), failures(house, "expired")) == (2, 1)
    house.wait_metric("comet_closed_total", 3, reason="auth_refused")
    assert house.metrics()("comet_reauthenticated_total") == 0


# ---- keys ----


def test_reload_changes_keys_and_drops_nobody(launch, tmp_path):
    file = tmp_path / "secret"
    file.write_bytes(tokens.SECRET)
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{file}"})
    connect = Connect(TCP, house)
    online = come(connect, hs256())
    file.write_bytes(tokens.OTHER_SECRET)
    house.reload_logic()
    wait_until(lambda: "event=reload_done" in house.logic_log(), house.logic_log)
    come(connect, hs256(tokens.OTHER_SECRET, mid=8))
    refused(connect, hs256())
    file.write_bytes(b"too short")
    house.reload_logic()
    wait_until(lambda: "all stays as it was" in house.logic_log(), house.logic_log)
    assert "less than 32 bytes" in house.logic_log()
    come(connect, hs256(tokens.OTHER_SECRET, mid=9))
    file.unlink()
    house.reload_logic()
    wait_until(lambda: house.logic_log().count("all stays as it was") == 2, house.logic_log)
    come(connect, hs256(tokens.OTHER_SECRET, mid=10))
    online.heartbeat()
    for secret in (tokens.SECRET, tokens.OTHER_SECRET):
        assert secret.decode().strip() not in house.logic_log()
    connect.close()


def test_keys_may_change_while_clients_come(launch, tmp_path):
    """Hundreds of clients, and a reload for every few of them; each other one finds no key in the file."""
    file = tmp_path / "secret"
    file.write_bytes(tokens.SECRET)
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{file}, k=HS256:{tokens.secret_file(tokens.OTHER_SECRET)}"})
    other = hs256(tokens.OTHER_SECRET, {"kid": "k"}, mid=8)
    clients = []
    for i in range(scaled(200)):
        clients.append(Client(TCP, house.address("tcp")))
        clients[-1].send(Op.AUTH, hs256() if i % 2 else other)
        if i % 5 == 0:
            file.write_bytes(tokens.SECRET if i % 10 else b"short")
            house.reload_logic()
    for client in clients:
        client.expect(Op.AUTH_REPLY)
        client.close()
    assert house.logic_metrics().total("comet_auth_failures_total") == 0
    file.write_bytes(b"short")  # of the others, some may have come too close together to be read
    house.reload_logic()
    wait_until(lambda: "all stays as it was" in house.logic_log(), house.logic_log)


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
def test_logic_that_believes_lets_nobody_in_for_a_comet_that_wants_tokens(launch):
    house = launch(kind=ClusterComet, environment={"COMET_AUTH_MODE": "jwt"})  # comet-logic has its default, open
    client = Client(TCP, house.address("tcp"))
    client.send(Op.AUTH, b'{"mid":7}')
    assert client.expect_goodbye()["code"] == 6
    assert "auth.mode is open here" in house.logic_log()
    client.close()


def started(*assignments):
    arguments = [argument for assignment in assignments for argument in ("-o", assignment)]
    return subprocess.run([BUILD / "comet", "-o", "tcp.bind=127.0.0.1:0", "-o", "websocket.bind=", "-o", "http.bind=",
                           "-o", "auth.mode=jwt", *arguments], capture_output=True, text=True, timeout=TIMEOUT)


def test_keys_that_cannot_be_are_told_at_the_start(tmp_path):
    (tmp_path / "short").write_text("secret")
    wrong = {
        "HS256:/nowhere/at/all": "cannot be read",
        "nonsense": "is not [KID=]ALGORITHM:FILE",
        f"HS512:{tokens.secret_file()}": "is not [KID=]ALGORITHM:FILE",
        f"HS256:{tmp_path / 'short'}": "less than 32 bytes",
        f"HS256:{tokens.key_pair('rsa')[1]}": "is a PEM file",
        f"RS256:{tokens.secret_file()}": "no public key in PEM",
        f"RS256:{tokens.key_pair('rsa')[0]}": "is a private key",
        f"RS256:{tokens.key_pair('p256')[1]}": "is no RSA key",
        f"RS256:{tokens.key_pair('rsa1024')[1]}": "less than 2048 bits",
        f"ES256:{tokens.key_pair('rsa')[1]}": "P-256",
        f"ES256:{tokens.key_pair('p384')[1]}": "P-256",
        f"a=HS256:{tokens.secret_file()},a=HS256:{tokens.secret_file()}": "the name of another key",
        "": "auth.jwt_keys must be set",
    }
    for keys, words in wrong.items():
        ended = started(f"auth.jwt_keys={keys}")
        assert ended.returncode in (1, 2) and words in ended.stderr, (keys, ended.stderr)
        for program, mode in (("comet", "embedded"), ("comet-logic", "redis")):  # and before, by -t
            tried = subprocess.run([BUILD / program, "-t", "-o", f"logic.mode={mode}", "-o", "auth.mode=jwt", "-o",
                                    f"auth.jwt_keys={keys}"], capture_output=True, text=True, timeout=TIMEOUT)
            assert tried.returncode == 2 and words in tried.stderr and tried.stdout == "", (program, keys, tried.stderr)


@pytest.mark.parametrize("mode, warned", [(0o644, True), (0o640, False)])
def test_secret_open_to_all_is_warned_of(launch, tmp_path, mode, warned):
    file = tmp_path / "secret"
    file.write_bytes(tokens.SECRET)
    file.chmod(mode)
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{file}, a=ES256:{tokens.key_pair('p256')[1]}"})
    assert house.logic_log().count("open to every user") == warned


def test_wide_address_needs_no_permission_with_tokens():
    ended = started("tcp.bind=0.0.0.0:0", f"auth.jwt_keys=HS256:{tokens.secret_file()}", "log.level=nonsense")
    assert "auth.allow_open" not in ended.stderr and "log.level" in ended.stderr


def test_every_cause_is_in_the_page():
    page = (ROOT / "docs/authentication.md").read_text()
    causes = re.findall(r'^cause\(\w+, "(\w+)"', (ROOT / "logic/auth_cause.def").read_text(), re.M)
    assert len(causes) > 10
    for cause in causes:
        assert f"`{cause}`" in page, cause


def test_token_of_the_example_gets_in(house):
    made = subprocess.run([sys.executable, ROOT / "examples/jwt.py", tokens.secret_file(), "mid=7", "key=example",
                           "accepts=[1000]"], capture_output=True, check=True, timeout=TIMEOUT)
    client = Client(TCP, house.address("tcp"))
    client.send_packets(Packet(Op.AUTH, made.stdout.strip(), 1))
    client.expect(Op.AUTH_REPLY, b"", seq=1)
    house.backend.push_keys(["example"], "hello")
    assert client.recv() == Packet(1000, b"hello", 0)
    client.close()
