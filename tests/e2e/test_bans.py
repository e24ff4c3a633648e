"""POST /goim/kick with for=, /goim/bans and /goim/tokens/revoke: who is kept out stays out until the end, wherever the client was when the
ban was made: coming in, online, on its way to another comet, or renewing its token; nobody else notices.

SPDX-License-Identifier: MIT"""
import errno
import json
import os
import subprocess
import threading
import time

import pytest

import tokens
from client import V2, Client, Op, TcpCodec, Way
from fail import Plan
from server import BUILD
from tokens import hs256
from waiting import TIMEOUT, scaled, wait_until

KICKED, REFUSED, BANNED, REVOKED = 1, 5, 24, 26
CLUSTER = os.environ.get("COMET_TEST_HOUSE") == "cluster"
TCP = Way("tcp-v2", "tcp", TcpCodec, V2)

alone = pytest.mark.skipif(CLUSTER, reason="a comet alone has a file")
over_tcp = pytest.mark.ways("tcp-v2")


def ban(backend, span="1h", **who):
    return backend.accepted("/goim/kick", **who, **{"for": span})


def lift(backend, **who):
    reply = backend.request("DELETE", "/goim/bans", **who)
    assert reply.status == 200 and reply.json() == {"code": 0, "message": ""}, reply


def banned(backend):
    """The bans of the list, without their ends."""
    return [{k: v for k, v in one.items() if k not in ("until", "before")} for one in backend.data("/goim/bans")]


def wait_until_in(house, **who):
    """All programs know of a lift by now: a comet of a cluster hears of it within a second."""
    def come():
        client = Client(TCP, house.address("tcp"))
        try:
            client.auth(**who).heartbeat()
            return True
        except (AssertionError, ConnectionError):
            return False
        finally:
            client.close()

    wait_until(come, "it is let in again")


def expect_end(client, *codes):
    """It is ended, for one of these reasons: by the kick, or by its comet, whichever is faster."""
    goodbye = client.expect_goodbye()
    assert goodbye["code"] in codes, goodbye
    client.close()
    return goodbye


def expect_refusal(connect, code, **who):
    client = connect.raw()
    client.send_auth(**who)
    goodbye = client.expect_goodbye()
    assert goodbye["code"] == code, goodbye
    client.close()
    return goodbye["reason"]


# ---- who is kept out ----

@pytest.mark.ways("v2")
def test_banned_user_is_ended_and_stays_out_until_it_is_lifted(connect, backend, house):
    clients = [connect(mid=7), connect(mid=7, key="tablet")]
    other = connect(mid=8)
    assert ban(backend, mids=7) == {"banned": 1}
    for client in clients:
        expect_end(client, KICKED, BANNED)
    until = backend.data("/goim/bans")[0]["until"]
    assert abs(until - time.time() - 3600) < 60
    words = expect_refusal(connect, BANNED, mid=7)
    assert words == "this user is kept out until " + time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until))
    other.heartbeat()
    connect(mid=8).heartbeat()
    assert banned(backend) == [{"user": "7"}]
    lift(backend, mids=7)
    assert banned(backend) == []
    wait_until_in(house, mid=7)


@over_tcp
def test_banned_key_stays_out_and_its_user_does_not(connect, backend, house):
    client = connect(mid=7, key="tablet")
    ban(backend, keys="tablet")
    expect_end(client, KICKED, BANNED)
    assert expect_refusal(connect, BANNED, mid=7, key="tablet").startswith("this key is kept out until 2")
    connect(mid=7, key="phone").heartbeat()


@pytest.mark.ways("tcp-v2", "ws-v2")
def test_banned_network_is_ended_and_refused_before_logic_is_asked(connect, backend, house):
    inside, outside = connect(source="127.0.3.7", mid=7), connect(source="127.0.4.1", mid=8)
    ban(backend, networks="127.0.3.0/24")
    expect_end(inside, BANNED)
    house.wait_metric("comet_kept_out_total", 1, ban="network")
    asked = house.logic_metrics().total("comet_auth_failures_total")
    client = connect.raw(source="127.0.3.9")
    client.send_auth(mid=8)
    goodbye = client.expect_goodbye()
    assert goodbye["code"] == BANNED and goodbye["reason"].startswith("this network is kept out until 2"), goodbye
    house.wait_metric("comet_kept_out_total", 2, ban="network")
    assert house.logic_metrics().total("comet_auth_failures_total") == asked
    outside.heartbeat()
    connect(source="127.0.4.1", mid=7).heartbeat()


@over_tcp
def test_ban_ends_by_itself(connect, backend, house):
    ban(backend, "2s", mids=7)
    begun = time.monotonic()
    expect_refusal(connect, BANNED, mid=7)
    wait_until_in(house, mid=7)
    assert time.monotonic() - begun > 1
    assert banned(backend) == []


@over_tcp
def test_later_ban_of_a_name_takes_the_place_of_the_earlier(connect, backend, house):
    ban(backend, "1h", mids=7)
    ban(backend, "2s", mids=7)
    assert len(banned(backend)) == 1
    wait_until_in(house, mid=7)


def named(connect, user):
    """Who has shown a token with this user."""
    client = connect.raw()
    client.send(Op.AUTH, json.dumps({"user": user, "accepts": [1000]}).encode())
    return client


@over_tcp
def test_user_with_a_name_is_kept_out_as_others_are(connect, backend):
    client, other = named(connect, "Ann_1"), named(connect, "Ann")
    for each in (client, other):
        each.expect(Op.AUTH_REPLY)
    ban(backend, users="Ann_1")
    expect_end(client, KICKED, BANNED)
    assert named(connect, "Ann_1").expect_goodbye()["code"] == BANNED
    other.heartbeat()
    ban(backend, users=["7", "007"])
    expect_refusal(connect, BANNED, mid=7)
    assert banned(backend) == [{"user": "007"}, {"user": "7"}, {"user": "Ann_1"}]


def test_networks_have_one_text(backend):
    ban(backend, networks=["10.1.2.3", "10.1.2.3/32", "::ffff:10.1.2.3", "2001:DB8::/32"])
    assert banned(backend) == [{"network": "10.1.2.3/32"}, {"network": "2001:db8::/32"}]


def test_what_is_no_ban_is_an_error(backend):
    for params, words in (({"mids": 7, "for": "x"}, "for must say"), ({"mids": 7, "for": "0"}, "for must say"),
                          ({"mids": 7, "for": "3651d"}, "for must say"), ({"for": "1h"}, "must be given"),
                          ({"networks": "10.0.0.0/8"}, "for must say"), ({"networks": "10.0.0.1/8", "for": "1h"}, "bits behind"),
                          ({"networks": "x", "for": "1h"}, "no network"), ({"mids": 0, "for": "1h"}, "no user"),
                          ({"keys": "a\nb", "for": "1h"}, "control characters"), ({"keys": "k" * 256, "for": "1h"}, "too long"),
                          ({"keys": "a", "mids": 1, "for": "1h"}, "not two of them"), ({"keys": b"\xff", "for": "1h"}, "UTF-8"),
                          ({"users": b"\xff", "for": "1h"}, "UTF-8"), ({"users": "x" + 70 * "\u00e4", "for": "1h"}, "no user")):
        reply = backend.post("/goim/kick", **params)
        assert reply.status == 400 and words in reply.json()["message"], (params, reply)
    assert backend.request("DELETE", "/goim/bans").status == 400
    reply = backend.post("/goim/bans")
    assert reply.status == 405 and reply.headers["allow"] == "GET, DELETE" and "GET, DELETE" in reply.json()["message"]
    assert banned(backend) == []


@pytest.mark.settings("limits.bans=3")
@over_tcp
def test_there_are_no_more_bans_than_the_limit(connect, backend):
    ban(backend, mids=[1, 2, 3])
    reply = backend.post("/goim/kick", keys="k", **{"for": "1h"})
    assert reply.status == 400 and "limits.bans" in reply.json()["message"], reply
    connect(mid=9, key="k").heartbeat()
    assert len(banned(backend)) == 3


# ---- whenever it comes ----

@over_tcp
def test_ban_that_races_with_logins_is_never_lost(connect, backend, house):
    """Some are in logic's hands when it comes, some between logic and the bucket: after a moment none of them is online."""
    for mid in range(100, 100 + scaled(40, 10)):
        clients = [connect.raw() for _ in range(8)]
        threads = [threading.Thread(target=client.send_auth, kwargs={"mid": mid}) for client in clients]
        for i, thread in enumerate(threads):
            thread.start()
            if i == 3:
                ban(backend, mids=mid)
        for thread in threads:
            thread.join()
        for client in clients:
            packets = client.expect_closed()
            assert packets[-1].op == Op.DISCONNECT and packets[-1].json()["code"] in (KICKED, BANNED), packets
            client.close()
    house.wait_metric("comet_online", 0)


@pytest.mark.settings("server.drain_timeout=500ms", "server.drain_grace=60s")
@over_tcp
def test_ban_during_a_drain_ends_those_who_were_told_to_leave(connect, backend, house):
    clients = [connect(mid=7) for _ in range(4)]
    house.terminate()
    clients[0].expect(Op.DISCONNECT)
    ban(backend, mids=7)
    for client in clients:
        packets = client.expect_closed()
        assert not packets or packets[-1].json()["code"] in (4, KICKED, BANNED), packets
        client.close()
    assert house.wait() == 0
    house.ended_by_test = True


# ---- a comet alone: its file ----


@alone
def test_bans_outlast_the_comet(launch, tmp_path):
    file = tmp_path / "bans"
    house = launch({"auth.bans_file": file})
    ban(house.backend, mids=[7, 8])
    ban(house.backend, keys="tablet 5")
    lift(house.backend, mids=8)
    house.stop()
    assert file.stat().st_mode & 0o777 == 0o600
    house = launch({"auth.bans_file": file})
    assert banned(house.backend) == [{"user": "7"}, {"key": "tablet 5"}]
    client = Client(TCP, house.address("tcp"))
    client.send_auth(mid=7)
    assert client.expect_goodbye()["code"] == BANNED
    client.close()


@alone
def test_bans_are_kept_in_the_state_directory_of_the_service(launch, tmp_path):
    house = launch(environment={"STATE_DIRECTORY": str(tmp_path)})
    ban(house.backend, mids=7)
    assert " u:7\n" in (tmp_path / "bans").read_text()


@alone
def test_damaged_file_is_an_error_at_the_start(launch, tmp_path):
    file = tmp_path / "bans"
    house = launch({"auth.bans_file": file})
    ban(house.backend, mids=[7, 8])
    house.stop()
    whole = file.read_text()
    lines = whole.splitlines(keepends=True)
    for text in ("", "x", whole[:-1], "".join(lines[:-1]), whole.replace("u:7", "x:7"), whole + "more\n", "".join(lines[:1] + lines[2:])):
        file.write_text(text)
        with pytest.raises(AssertionError, match="bans_file_unreadable.*line="):
            launch({"auth.bans_file": file})
        tried = subprocess.run([BUILD / "comet", "-t", "-o", f"auth.bans_file={file}"], capture_output=True, text=True, timeout=TIMEOUT)
        assert tried.returncode == 2 and "event=bans_file_unreadable" in tried.stderr and file.read_text() == text
    file.write_text(whole)
    assert len(banned(launch({"auth.bans_file": file}).backend)) == 2


@alone
def test_file_that_cannot_be_written_is_told_to_the_caller(launch, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    house = launch({"auth.bans_file": folder / "bans"})
    (folder / "bans").unlink()
    folder.rmdir()
    reply = house.backend.post("/goim/kick", mids=7, **{"for": "1h"})
    assert reply.json()["code"] == -500 and "file of bans" in reply.json()["message"], reply
    assert banned(house.backend) == [{"user": "7"}]
    assert "event=bans_file_unwritten" in house.log()


@alone
@pytest.mark.parametrize("why", [errno.ENOSPC, errno.ENOMEM], ids=errno.errorcode.get)
def test_full_disk_is_no_full_list_of_bans(launch, tmp_path, why):
    plan = Plan(tmp_path / "plan")
    house = launch({"auth.bans_file": tmp_path / "bans"}, environment=plan.environment)
    plan.fail("open", why)
    reply = house.backend.post("/goim/kick", mids=7, **{"for": "1h"})
    assert plan.failed("open") == 1
    assert reply.json()["code"] == -500 and "file of bans" in reply.json()["message"], reply
    assert banned(house.backend) == [{"user": "7"}]
    assert "event=bans_file_unwritten" in house.log()


@alone
def test_disk_that_hangs_keeps_nobody_from_the_api_but_those_who_ban(launch, tmp_path):
    file = tmp_path / "bans"
    house = launch({"auth.bans_file": file})
    os.mkfifo(f"{file}.new")  # nobody reads it: to open it takes for ever
    try:
        waiting = [threading.Thread(target=house.backend.post, args=("/goim/kick",), kwargs={"mids": i + 1, "for": "1h"}, daemon=True)
                   for i in range(2 * os.cpu_count() + 2)]
        for thread in waiting:
            thread.start()
        wait_until(lambda: banned(house.backend) != [], "the first of them is in memory")
        for _ in range(20):
            assert house.backend.get("/healthz").status == 200
    finally:
        released = os.open(f"{file}.new", os.O_RDONLY | os.O_NONBLOCK)
    for thread in waiting:
        thread.join(TIMEOUT)
    os.close(released)
    assert len(banned(house.backend)) == len(waiting)


# ---- tokens that were taken back ----

@pytest.fixture
def with_tokens(launch):
    return launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}"})


def show(house, token):
    client = Client(TCP, house.address("tcp"))
    client.send(Op.AUTH, token)
    return client


def token_of(mid, issued, **more):
    return hs256(mid=mid, iat=int(time.time()) + issued, **more)


def expect_in(house, token):
    client = show(house, token)
    client.expect(Op.AUTH_REPLY, b"")
    return client


def expect_taken_back(house, token):
    client = show(house, token)
    goodbye = client.expect_goodbye()
    assert goodbye == {"code": REFUSED, "reason": "the token was taken back"}, goodbye
    client.close()


def test_tokens_that_were_taken_back_are_of_no_use(with_tokens):
    house = with_tokens
    old, older, other = (expect_in(house, token) for token in (token_of(7, -10), token_of(7, -90), token_of(8, -90)))
    house.backend.accepted("/goim/tokens/revoke", mid=7, before=int(time.time()) - 60)
    expect_end(older, REVOKED)
    old.heartbeat()
    expect_taken_back(house, token_of(7, -90))
    expect_taken_back(house, hs256(mid=7))  # it does not say when it was issued
    house.backend.accepted("/goim/tokens/revoke", mid=7)
    expect_end(old, REVOKED)
    expect_taken_back(house, token_of(7, -10))
    assert house.logic_metrics()("comet_auth_failures_total", cause="revoked") == 3
    new = expect_in(house, token_of(7, 5))
    assert banned(house.backend) == [{"tokens": "7"}]
    lift(house.backend, tokens=7)
    wait_until(lambda: banned(house.backend) == [], "it is lifted")
    expect_in(house, token_of(7, -10)).close()
    for client in (new, other):
        client.heartbeat()
        client.close()


def test_new_token_of_a_connection_is_looked_at_as_the_first_was(with_tokens):
    house = with_tokens
    client = expect_in(house, token_of(7, 100))
    house.backend.accepted("/goim/tokens/revoke", mid=7)
    client.send(Op.AUTH, token_of(7, 200))
    client.expect(Op.AUTH_REPLY, b"")
    client.send(Op.AUTH, token_of(7, -10))
    goodbye = client.expect_goodbye()
    assert goodbye == {"code": REFUSED, "reason": "the token was taken back"}, goodbye
    client.close()
    client = expect_in(house, token_of(8, 0))
    ban(house.backend, networks="192.0.2.0/24")
    client.heartbeat()
    client.close()


def test_tokens_are_taken_back_by_a_user_and_a_time(with_tokens, launch):
    backend = with_tokens.backend
    for params in ({}, {"mid": 0}, {"mid": "x"}, {"mid": 7, "user": 7}, {"mid": 7, "before": "x"},
                   {"mid": 7, "before": int(time.time()) + 60}, {"mid": 7, "before": int(time.time()) * 1000}, {"mid": 7, "for": "x"}):
        assert backend.post("/goim/tokens/revoke", **params).status == 400, params
    assert banned(backend) == []
    reply = launch().backend.post("/goim/tokens/revoke", mid=7)
    assert reply.status == 400 and "auth.mode=jwt" in reply.json()["message"]


# ---- limits.per_user ----

TOO_MANY = 25


@pytest.mark.settings("limits.per_user=2")
@over_tcp
def test_user_has_no_more_connections_than_the_limit(connect, backend, house):
    first, _ = connect(mid=7), connect(mid=7, key="k")
    assert expect_refusal(connect, TOO_MANY, mid=7) == "this user has 2 connections, and may not have more"
    assert house.logic_metrics()("comet_auth_failures_total", cause="per_user") == 1
    connect(mid=7, key="k").heartbeat()  # it takes the place of the one with this key
    connect(mid=8).heartbeat()
    for _ in range(5):
        connect(mid=0).heartbeat()  # nobody is no user
    first.heartbeat()
    first.close()
    wait_until_in(house, mid=7)


@pytest.mark.settings("limits.per_user=2", "limits.per_user_ends=oldest")
@over_tcp
def test_oldest_connection_of_a_user_goes_for_the_newest(connect, house):
    clients = [connect(mid=7) for _ in range(5)]
    for client in clients[:3]:
        assert client.expect_goodbye() == {"code": TOO_MANY, "reason": "too many connections of this user"}
        client.close()
    house.wait_metric("comet_closed_total", 3, reason="per_user")
    for client in clients[3:]:
        client.heartbeat()


@pytest.mark.settings("limits.per_user=3")
@over_tcp
def test_of_connections_that_come_at_once_as_many_stay_as_may(connect, house):
    for mid in range(10, 10 + scaled(20, 5)):
        clients = [connect.raw() for _ in range(8)]
        threads = [threading.Thread(target=client.send_auth, kwargs={"mid": mid}) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        answers = [client.recv() for client in clients]
        assert sorted(answer.op for answer in answers) == [Op.DISCONNECT] * 5 + [Op.AUTH_REPLY] * 3, answers
        for client in clients:
            client.close()
