"""auth.mode=webhook: the back end says who a client is, over HTTP; whatever it does instead of answering, a client hears
why, and nobody else is harmed.

SPDX-License-Identifier: MIT"""
import base64
import contextlib
import itertools
import json
import os
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest

from client import V2, Client, Op, Packet, TcpCodec, Way
from server import BUILD, LIBC, ROOT, Comet, certificate
from waiting import TIMEOUT, wait_until
from web_service import Handler, WebService
from wire import Refused, WebSocketCodec

REFUSED, NO_LOGIC, EXPIRED = 5, 6, 13
TCP = Way("tcp-v2", "tcp", TcpCodec, V2)
YES = {"allow": True, "mid": 7, "key": "k", "room_id": "live://1", "accepts": [1000]}


class Hook(WebService):
    """A back end that answers as the test says: answers is (status, body), or a function of the handler."""

    def __init__(self, tls=None, sock=None):
        hook = self
        self.questions = []
        self.headers = []
        self.callers = set()
        self.answers = (200, YES)
        self.under_way = self.most_under_way = 0
        self.lock = threading.Lock()

        class Service(Handler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.question = body
                with hook.lock:
                    hook.questions.append(json.loads(body))
                    hook.headers.append(dict(self.headers))
                    hook.callers.add(self.client_address)
                    hook.under_way += 1
                    hook.most_under_way = max(hook.most_under_way, hook.under_way)
                try:
                    answer = hook.answers(self) if callable(hook.answers) else hook.answers
                finally:
                    with hook.lock:
                        hook.under_way -= 1
                if answer is not None:
                    hook.reply(self, *answer)

            def do_GET(self):  # from somebody who followed a redirect
                hook.questions.append("GET")
                hook.reply(self, 200, YES)

        super().__init__(Service, "/auth", tls, sock)

    @staticmethod
    def reply(handler, status, body, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        try:
            handler.wfile.write(data)
        except OSError:
            handler.close_connection = True


@pytest.fixture
def hook():
    one = Hook()
    yield one
    one.close()


@pytest.fixture
def house(launch, hook):
    return launch({"auth.mode": "webhook", "auth.url": hook.url, "auth.secret": "between us"})


@pytest.fixture
def come(house):
    clients = []

    def connect(token=b"a token"):
        client = Client(TCP, house.address("tcp"))
        clients.append(client)
        client.send(Op.AUTH, token, seq=1)
        return client

    yield connect
    for client in clients:
        client.close()


def failures(house, cause):
    return house.logic_metrics()("comet_auth_failures_total", cause=cause)


# ---- what it is told of a WebSocket ----

def come_by_websocket(house, **request):
    client = Client(Way("ws", "websocket", lambda: WebSocketCodec(Packet, **request), V2), house.address("websocket"))
    client.send(Op.AUTH, b"a token", seq=1)
    return client


@pytest.mark.settings("auth.headers=Cookie, X-App", "websocket.origins=http://page.test")
def test_back_end_hears_the_headers_that_it_wants_and_the_query(house, hook):
    client = come_by_websocket(house, path="/sub?room=1&x=%C3%A9", Cookie="sid=42; theme=dark", X_app="one", X_other="no",
                               Origin="http://page.test")
    client.expect(Op.AUTH_REPLY)
    question = hook.questions[-1]
    assert question["headers"] == {"Cookie": "sid=42; theme=dark", "X-App": "one"}
    assert question["query"] == "room=1&x=%C3%A9"
    client.close()
    client = come_by_websocket(house)
    client.expect(Op.AUTH_REPLY)
    assert "headers" not in hook.questions[-1] and "query" not in hook.questions[-1]
    client.close()


@pytest.mark.settings("auth.headers=X-App")
def test_more_than_8_kib_of_headers_for_the_back_end_are_refused(house, hook):
    client = come_by_websocket(house, path="/sub?" + "q" * 100, X_app="x" * 8000)
    client.expect(Op.AUTH_REPLY)
    assert hook.questions[-1]["headers"] == {"X-App": "x" * 8000}
    client.close()
    with pytest.raises(Refused, match="431"):
        come_by_websocket(house, path="/sub?" + "q" * 200, X_app="x" * 8000).expect(Op.AUTH_REPLY)
    house.wait_metric("comet_websocket_refused_total", 1, status="431")


def test_without_a_setting_no_header_is_told(house, hook):
    client = come_by_websocket(house, path="/sub?q", Cookie="sid=42", Authorization="Basic eDp5")
    client.expect(Op.AUTH_REPLY)
    assert "headers" not in hook.questions[-1] and hook.questions[-1]["query"] == "q"
    client.close()


# ---- it answers ----


def test_back_end_says_who_the_client_is(come, hook, backend):
    client = come()
    client.expect(Op.AUTH_REPLY, b"", seq=1)
    assert hook.questions[0]["token"] == "a token" and hook.questions[0]["peer"] == "127.0.0.1"
    assert hook.questions[0]["server"] and "key" not in hook.questions[0]
    assert hook.headers[0]["Authorization"] == "Bearer between us"
    assert hook.headers[0]["Content-Type"] == "application/json"
    for push in (lambda: backend.push_mids([7], "a"), lambda: backend.push_keys(["k"], "a"),
                 lambda: backend.push_room("live://1", "a")):
        push()
        client.expect_push(1000, b"a")


def test_token_that_is_no_text_goes_in_base64(come, hook):
    come(b"\xff\x00\xfe").expect(Op.AUTH_REPLY)
    assert base64.b64decode(hook.questions[0]["token64"]) == b"\xff\x00\xfe" and "token" not in hook.questions[0]


def test_user_id_of_version_1_is_answered_as_such(come, hook, backend):
    hook.answers = (200, {"allow": True, "mid": 7, "room_id": "1"})
    client = come(b"7")
    client.expect(Op.AUTH_REPLY)
    backend.push_mids([7], "old")
    client.expect(5, b"old", ver=0)


def test_connections_to_the_back_end_are_kept(come, hook):
    for _ in range(5):
        come().expect(Op.AUTH_REPLY)
    assert len(hook.callers) == 1


@pytest.mark.parametrize("answer", [(200, {"allow": False, "reason": "no \"such\" user \u00e9"}),
                                    (403, {"reason": "no \"such\" user \u00e9"}), (401, b"whatever")],
                         ids=["allow is false", "403", "401"])
def test_refusal_is_told_with_its_reason(come, hook, house, answer):
    hook.answers = answer
    goodbye = come().expect_goodbye()
    assert goodbye == {"code": REFUSED, "reason": "refused" if answer[0] == 401 else 'no "such" user \u00e9'}
    assert failures(house, "webhook") == 1
    house.wait_metric("comet_closed_total", 1, reason="auth_refused")


def test_long_reason_is_cut_between_characters(come, hook):
    hook.answers = (200, {"allow": False, "reason": "x" + "\u00e9" * 500})
    assert re.fullmatch("x\u00e9+", come().expect_goodbye()["reason"])


def test_connection_ends_when_the_back_end_said_and_is_asked_again_at_renewal(come, hook, house):
    hook.answers = lambda handler: (200, {**YES, "expires_at": int(time.time()) + 3})
    assert come().expect_goodbye()["code"] == EXPIRED
    house.wait_metric("comet_closed_total", 1, reason="auth_expired")
    client = come()
    client.expect(Op.AUTH_REPLY)
    hook.answers = (200, {**YES, "expires_at": int(time.time()) + 3600})
    assert client.request(Op.AUTH, b"again").op == Op.AUTH_REPLY
    question = hook.questions[-1]
    assert (question["token"], question["key"], question["mid"]) == ("again", "k", 7)
    hook.answers = (200, {"allow": False, "reason": "banned"})
    client.send(Op.AUTH, b"and again")
    assert client.expect_goodbye() == {"code": REFUSED, "reason": "banned"}


def test_back_end_away_at_renewal_changes_nothing(come, hook, house):
    hook.answers = (200, {**YES, "expires_at": int(time.time()) + 3600})
    client = come()
    client.expect(Op.AUTH_REPLY)
    hook.answers = (500, b"")
    assert client.request(Op.AUTH, b"again") == (Op.AUTH, b"", 1, 1)  # not op 8
    hook.answers = (200, {**YES, "expires_at": int(time.time()) + 3600})
    assert client.request(Op.AUTH, b"again").op == Op.AUTH_REPLY
    client.heartbeat()
    assert house.metrics()("comet_reauthenticated_total") == 1


@pytest.mark.settings("logic.heartbeat=1h")
def test_heartbeat_is_the_back_ends_to_choose(come, hook, house):
    hook.answers = (200, {**YES, "heartbeat_s": 1})
    assert come().expect_goodbye()["code"] == 9
    house.wait_metric("comet_closed_total", 1, reason="heartbeat_timeout")


@pytest.mark.settings("auth.timeout=4s", "logic.timeout=5s")
def test_client_whose_new_token_waits_misses_no_heartbeat(come, hook):
    def slow_at_renewal(_):
        time.sleep(1.5 if "key" in hook.questions[-1] else 0)
        return 200, {**YES, "heartbeat_s": 1, "expires_at": int(time.time()) + 3600}

    hook.answers = slow_at_renewal
    client = come()
    client.expect(Op.AUTH_REPLY)
    client.send_packets(Packet(Op.AUTH, b"again", 2), Packet(Op.HEARTBEAT, b"", 3))
    client.expect(Op.AUTH_REPLY, seq=2)
    client.expect(Op.HEARTBEAT_REPLY, seq=3)


# ---- it does not ----


def closes(handler):
    handler.close_connection = True
    handler.connection.close()


def slow_body(handler):
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    try:
        for _ in range(200):
            handler.wfile.write(b" ")
            time.sleep(0.05)
    except OSError:
        handler.close_connection = True


WRONG = {  # name: cause, answer
    "500": ("webhook_status", (500, b"oops")),
    "404": ("webhook_status", (404, YES)),
    "302 is not followed": ("webhook_status", (302, b"", [("Location", "/elsewhere")])),
    "no JSON": ("webhook_answer", (200, b"yes")),
    "empty": ("webhook_answer", (200, b"")),
    "a list": ("webhook_answer", (200, [True])),
    "no allow": ("webhook_answer", (200, {"mid": 7})),
    "allow is a number": ("webhook_answer", (200, {**YES, "allow": 1})),
    "allow is a string": ("webhook_answer", (200, {**YES, "allow": "true"})),
    "allow twice": ("webhook_answer", (200, b'{"allow":false,"allow":true}')),
    "mid is a string": ("webhook_answer", (200, {**YES, "mid": "7"})),
    "key is a list": ("webhook_answer", (200, {**YES, "key": []})),
    "key is too long": ("webhook_answer", (200, {**YES, "key": "k" * 256})),
    "accepts is no list": ("webhook_answer", (200, {**YES, "accepts": 1000})),
    "expires_at is a string": ("webhook_answer", (200, {**YES, "expires_at": "never"})),
    "heartbeat out of range": ("webhook_answer", (200, {**YES, "heartbeat_s": -1})),
    "dialect that is none": ("webhook_answer", (200, {**YES, "dialect": 3})),
    "depth bomb": ("webhook_answer", (200, b"[" * 60000)),
    "bad UTF-8": ("webhook_answer", (200, b'{"allow":true,"key":"\xff"}')),
    "huge": ("webhook_answer", (200, b" " * 70000 + json.dumps(YES).encode())),
    "closes without a word": ("webhook_unreachable", closes),
}


@pytest.mark.own_house
@pytest.mark.settings("auth.timeout=10s", "logic.timeout=12s", "protocol.handshake_timeout=30s")
def test_what_is_no_answer_is_no_logic_to_the_client_and_counted(come, hook, house):
    good = come()
    good.expect(Op.AUTH_REPLY)
    hook.answers = (200, {**YES, "key": ""})
    expected = {}
    for name, (cause, answer) in WRONG.items():
        hook.answers = answer
        assert come().expect_goodbye()["code"] == NO_LOGIC, name
        expected[cause] = expected.get(cause, 0) + 1
        assert failures(house, cause) == expected[cause], name
    hook.answers = (200, {**YES, "key": ""})
    come().expect(Op.AUTH_REPLY)
    good.heartbeat()
    assert "GET" not in hook.questions
    house.wait_metric("comet_closed_total", len(WRONG), reason="no_logic")
    assert "between us" not in house.logic_log() and "a token" not in house.logic_log()


@pytest.mark.settings("auth.timeout=600ms")
@pytest.mark.parametrize("answer", [lambda handler: time.sleep(2), slow_body], ids=["at once", "by bytes"])
def test_answer_that_is_slow_is_no_logic_to_the_client_and_counted(come, hook, house, answer):
    hook.answers = answer
    assert come().expect_goodbye()["code"] == NO_LOGIC
    assert failures(house, "webhook_timeout") == 1


def test_server_error_is_tried_once_more(come, hook):
    answers = [(503, b""), (200, YES), (503, b""), (503, b""), (200, YES)]
    hook.answers = lambda handler: answers.pop(0)
    come().expect(Op.AUTH_REPLY)
    assert come().expect_goodbye()["code"] == NO_LOGIC
    assert answers == [(200, YES)]


def test_expired_answer_is_a_refusal(come, hook, house):
    hook.answers = (200, {**YES, "expires_at": int(time.time()) - 5})
    assert come().expect_goodbye()["code"] == REFUSED
    assert failures(house, "expired") == 1


def test_nobody_there_and_then_somebody(launch):
    with socket.socket() as kept:  # a port that is nobody else's, and refuses
        kept.bind(("127.0.0.1", 0))
        house = launch({"auth.mode": "webhook", "auth.url": "http://127.0.0.1:%d/auth" % kept.getsockname()[1]})
        client = Client(TCP, house.address("tcp"))
        client.send(Op.AUTH, b"t")
        assert client.expect_goodbye()["code"] == NO_LOGIC
        assert failures(house, "webhook_unreachable") == 1
        with contextlib.closing(Hook(sock=kept)):
            client = Client(TCP, house.address("tcp"))
            client.send(Op.AUTH, b"t")
            client.expect(Op.AUTH_REPLY)
            client.close()


@pytest.mark.settings("auth.concurrency=2", "auth.timeout=5s", "logic.timeout=6s", "protocol.handshake_timeout=30s")
def test_no_more_calls_at_a_time_than_allowed(come, hook, house):
    release = threading.Event()

    def held(_):
        release.wait(TIMEOUT)
        return 200, {**YES, "key": ""}

    hook.answers = held
    clients = [come() for _ in range(5)]
    house.wait_metric("comet_bytes_in_total", 5 * (16 + len(b"a token")))
    wait_until(lambda: hook.under_way == 2, lambda: f"two are under way, {hook.under_way} are")
    release.set()
    for client in clients:
        client.expect(Op.AUTH_REPLY)
    assert hook.most_under_way == 2


@pytest.mark.settings("auth.concurrency=2", "logic.workers=2", "auth.timeout=30s", "logic.timeout=40s",
                      "protocol.handshake_timeout=60s")
def test_slow_back_end_holds_up_nobody_who_is_in(come, hook, house, backend):
    good = come()
    good.expect(Op.AUTH_REPLY)
    release = threading.Event()
    hook.answers = lambda _: release.wait(TIMEOUT) and (200, {**YES, "key": ""})
    waiting = [come() for _ in range(8)]
    wait_until(lambda: hook.under_way == 2, lambda: f"two are under way, {hook.under_way} are")
    assert good.request(4711, b"to the back end").op == 4711  # by way of logic
    good.heartbeat()
    backend.push_keys(["k"], "still served")
    good.expect_push(1000, b"still served")
    assert hook.under_way == 2
    release.set()
    for client in waiting:
        client.expect(Op.AUTH_REPLY)


@pytest.mark.settings("auth.concurrency=4", "auth.timeout=5s", "logic.timeout=6s", "protocol.handshake_timeout=30s")
def test_flood_of_new_tokens_keeps_nobody_out(come, hook, house):
    def slow(_):
        time.sleep(0.05)
        return 200, {**YES, "key": "", "expires_at": int(time.time()) + 3600}

    hook.answers = slow
    begun = time.monotonic()
    for _ in range(8):
        greedy = come()
        greedy.expect(Op.AUTH_REPLY)
        greedy.send_packets(*[Packet(Op.AUTH, b"again")] * 200)
    wait_until(lambda: house.metrics()("comet_limited_total", limit="renewals") >= 8, "all are held back")
    for _ in range(4):
        come().expect(Op.AUTH_REPLY)
    assert len(hook.questions) <= 12 + 8 * (3 + time.monotonic() - begun)


def flood(house, stop, tokens):
    """One stranger, who comes again and again with a token that is none."""
    while not stop.wait(0.05):
        try:
            client = Client(TCP, house.address("tcp"), source="127.0.0.2")
            client.send(Op.AUTH, b"junk-%d" % next(tokens))
            client.expect_closed()
            client.close()
        except OSError:
            pass


@pytest.mark.settings("auth.concurrency=8", "auth.failures=5", "auth.timeout=8s", "logic.timeout=10s",
                      "protocol.handshake_timeout=30s")
def test_junk_tokens_of_one_network_keep_no_real_user_out(house, hook):
    def answer(handler):
        time.sleep(0.3)  # 26 a second is all that this back end can do
        return (200, {**YES, "key": ""}) if b"real" in handler.question else (403, {"reason": "junk"})

    hook.answers = answer
    stop, tokens = threading.Event(), itertools.count()
    strangers = [threading.Thread(target=flood, args=(house, stop, tokens)) for _ in range(40)]
    real = []
    for stranger in strangers:
        stranger.start()
    try:
        wait_until(lambda: failures(house, "webhook") >= 20, "the back end has refused junk")
        for i in range(12):
            real.append(Client(TCP, house.address("tcp"), source=f"127.0.0.{3 + i % 5}"))
            real[-1].send(Op.AUTH, b"real-%d" % i)
        for client in real:
            client.expect(Op.AUTH_REPLY)
        wait_until(lambda: failures(house, "webhook_failures") > 100, "junk is not asked about any more", 4 * TIMEOUT)
        before, began = next(tokens), time.monotonic()
        asked = len(hook.questions)
        time.sleep(1)
        assert len(hook.questions) - asked <= 2 * 8 + 5 * (time.monotonic() - began)
        assert next(tokens) - before > 5 * (len(hook.questions) - asked)
        assert "websocket.trusted_proxies" in house.logic_log()
    finally:
        stop.set()
        for stranger in strangers:
            stranger.join()
        for client in real:
            client.close()


@pytest.mark.settings("auth.concurrency=6", "auth.failures=0", "auth.timeout=20s", "logic.timeout=25s",
                      "protocol.handshake_timeout=30s")
def test_while_others_wait_one_network_has_a_third_of_the_calls(house, hook):
    all_are_here = threading.Event()

    def answer(handler):
        all_are_here.wait(TIMEOUT)
        with hook.lock:
            hook.of_greedy = getattr(hook, "of_greedy", 0) + (b"greedy" in handler.question)
        time.sleep(0.2)
        with hook.lock:
            hook.of_greedy -= b"greedy" in handler.question
        return 200, {**YES, "key": ""}

    hook.answers = answer
    clients = []

    def come_from(source, token):
        clients.append(Client(TCP, house.address("tcp"), source=source))
        clients[-1].send(Op.AUTH, token)
        return clients[-1]

    before = house.metrics()("comet_bytes_in_total")
    greedy = [come_from("127.0.0.2", b"greedy") for _ in range(60)]
    wait_until(lambda: hook.under_way == 6, "the calls are all of one network")
    others = [come_from(f"127.0.0.{3 + i}", b"other") for i in range(4)]
    asked = 60 * (16 + len("greedy")) + 4 * (16 + len("other"))
    wait_until(lambda: house.metrics()("comet_bytes_in_total") - before >= asked, "all have asked")
    all_are_here.set()
    for client in others:
        client.expect(Op.AUTH_REPLY)
    # The others came last, and were asked about long before the 60.
    assert sum(question["token"] == "greedy" for question in hook.questions) < 40
    for client in greedy:
        client.expect(Op.AUTH_REPLY)
    for client in clients:
        client.close()


def test_same_refused_question_is_not_asked_again_for_seconds(come, hook, house):
    hook.answers = (403, {"reason": "no such user"})
    for _ in range(5):
        assert come(b"bad").expect_goodbye() == {"code": REFUSED, "reason": "no such user"}
    assert len(hook.questions) == 1
    assert come(b"another").expect_goodbye()["code"] == REFUSED
    assert len(hook.questions) == 2
    hook.answers = (200, YES)
    come(b"good").expect(Op.AUTH_REPLY)

    def let_in():
        client = come(b"bad")
        return client.recv().op == Op.AUTH_REPLY

    wait_until(let_in, "it is asked about again after seconds", pause=0.5)


@pytest.mark.settings("auth.concurrency=1", "auth.timeout=300ms")
def test_who_waits_too_long_for_a_call_is_told(come, hook, house):
    release = threading.Event()
    hook.answers = lambda _: release.wait(TIMEOUT) and (200, {**YES, "key": ""})
    clients = [come() for _ in range(3)]
    assert {client.expect_goodbye()["code"] for client in clients} == {NO_LOGIC}
    release.set()
    hook.answers = (200, YES)
    come().expect(Op.AUTH_REPLY)


# ---- TLS ----


def assert_reached(house, reached):
    """Does this house believe that its back end is the back end?"""
    client = Client(TCP, house.address("tcp"))
    client.send(Op.AUTH, b"t")
    if reached:
        client.expect(Op.AUTH_REPLY)
    else:
        assert client.expect_goodbye()["code"] == NO_LOGIC
        assert failures(house, "webhook_unreachable") == 1
    client.close()


@pytest.mark.settings("auth.timeout=10s", "logic.timeout=12s", "protocol.handshake_timeout=30s")
def test_certificate_of_the_back_end_is_checked(launch):
    cert, key = certificate("one.test")  # for 127.0.0.1, too
    with contextlib.closing(Hook(tls=(cert, key))) as hook:
        trusting = launch({"auth.mode": "webhook", "auth.url": hook.url, "auth.ca_file": str(cert)})
        wary = launch({"auth.mode": "webhook", "auth.url": hook.url})
        other_name = launch({"auth.mode": "webhook", "auth.url": hook.url.replace("127.0.0.1", "localhost"),
                             "auth.ca_file": str(cert)})
        for house, got_in in ((trusting, True), (wary, False), (other_name, False)):
            assert_reached(house, got_in)
        assert len(hook.questions) == 1


CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
needs_root = pytest.mark.skipif(os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"]).returncode != 0,
                                reason="only root may give a program other files in /etc")


class CometOnAnotherMachine(Comet):
    """Its /etc is another, as far as `etc` says."""
    etc = {}

    def _in_the_child(self):
        super()._in_the_child()
        if LIBC.unshare(CLONE_NEWNS) < 0 or LIBC.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) < 0:
            os._exit(1)
        for name, here in self.etc.items():
            if LIBC.mount(bytes(here), f"/etc/{name}".encode(), None, MS_BIND, None) < 0:
                os._exit(1)


@needs_root
@pytest.mark.settings("auth.timeout=10s", "logic.timeout=12s", "protocol.handshake_timeout=30s")
def test_with_ca_file_the_systems_authorities_are_not_believed(launch, tmp_path):
    cert, key = certificate("one.test")
    other, _ = certificate("other.test")
    name = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", cert], check=True, capture_output=True, text=True)
    folder = tmp_path / "authorities"
    folder.mkdir()
    shutil.copy(cert, folder / f"{name.stdout.strip()}.0")
    shutil.copy(other, folder / "ca-certificates.crt")
    CometOnAnotherMachine.etc = {"ssl/certs": folder}
    with contextlib.closing(Hook(tls=(cert, key))) as hook:
        for settings, got_in in (({}, True), ({"auth.ca_file": other}, False)):
            house = launch({"auth.mode": "webhook", "auth.url": hook.url, **settings}, kind=CometOnAnotherMachine)
            assert_reached(house, got_in)
        assert len(hook.questions) == 1


class SilentNameServer:
    """The machine that asks it knows other names from its file of hosts only."""

    def __init__(self, folder):
        address = f"127.{os.getpid() % 250 + 1}.{os.getpid() // 250 % 250 + 1}.53"
        self.hosts = folder / "hosts"
        self.hosts.write_text("")
        (folder / "resolv.conf").write_text(f"nameserver {address}\noptions timeout:30 attempts:1\n")
        (folder / "nsswitch.conf").write_text("hosts: files dns\n")
        CometOnAnotherMachine.etc = {name: folder / name for name in ("resolv.conf", "nsswitch.conf", "hosts")}
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.settimeout(TIMEOUT)
        self.sock.bind((address, 53))

    def wait_asked(self):
        self.sock.recv(512)


@pytest.fixture
def name_server(tmp_path):
    server = SilentNameServer(tmp_path)
    yield server
    server.sock.close()


@needs_root
def test_name_server_that_is_silent_costs_no_more_threads_than_calls(launch, name_server):
    house = launch({"auth.mode": "webhook", "auth.url": "http://login.test/", "auth.concurrency": 4, "auth.timeout": "200ms"},
                   kind=CometOnAnotherMachine)

    def lookups():
        return len(os.listdir(f"/proc/{house.pid}/task")) - before

    before = len(os.listdir(f"/proc/{house.pid}/task"))
    start = time.monotonic()
    clients = []
    for _ in range(64):  # so that there is always one who has waited nearly as long as it may
        clients.append(Client(TCP, house.address("tcp")))
        clients[-1].send(Op.AUTH, b"t")
        time.sleep(0.02)
    asked_s = time.monotonic() - start
    for client in clients:
        assert client.expect_goodbye()["code"] == NO_LOGIC
        client.close()
    house.wait_empty()
    # 4 at first, then one after the other, for half of auth.timeout at least; it was one for each client
    most = 4 + (asked_s + 0.2) / 0.1 + 1
    wait_until(lambda: 4 <= lookups() <= most, lambda: f"4 to {most:.0f} lookups are under way, {lookups()} are")


@needs_root
@pytest.mark.settings("auth.timeout=3s", "logic.timeout=5s", "protocol.handshake_timeout=30s")
def test_connection_that_is_kept_needs_no_name_server(launch, name_server, hook):
    name_server.hosts.write_text("127.0.0.1 login.test\n")
    house = launch({"auth.mode": "webhook", "auth.url": hook.url.replace("127.0.0.1", "login.test"),
                    "auth.concurrency": 2}, kind=CometOnAnotherMachine)
    with contextlib.ExitStack() as clients:
        def come():
            client = clients.enter_context(contextlib.closing(Client(TCP, house.address("tcp"))))
            client.send(Op.AUTH, b"t")
            return client

        hook.answers = (200, {**YES, "key": ""})
        come().expect(Op.AUTH_REPLY)
        name_server.hosts.write_text("")
        release = threading.Event()
        hook.answers = lambda handler: release.wait(TIMEOUT) and (200, {**YES, "key": ""})
        first = come()
        wait_until(lambda: len(hook.questions) == 2, "it is asked over the connection")
        second = come()
        name_server.wait_asked()  # so its call is the one that ends last
        release.set()
        first.expect(Op.AUTH_REPLY)
        assert second.expect_goodbye()["code"] == NO_LOGIC
        for _ in range(3):
            come().expect(Op.AUTH_REPLY)
        assert len(hook.callers) == 1


def test_proxies_of_the_environment_are_not_used(hook, launch):
    dead = Hook()
    dead.close()
    names = ("http_proxy", "https_proxy", "all_proxy", "HTTPS_PROXY", "ALL_PROXY")
    house = launch({"auth.mode": "webhook", "auth.url": hook.url},
                   kind=Comet, environment={**dict.fromkeys(names, dead.url), "no_proxy": "", "NO_PROXY": ""})
    client = Client(TCP, house.address("tcp"))
    client.send(Op.AUTH, b"t")
    client.expect(Op.AUTH_REPLY)
    client.close()


# ---- settings ----


@pytest.mark.parametrize("assignments, words", [
    (["auth.url="], "auth.url must be set"),
    (["auth.url=ftp://127.0.0.1/"], "auth.url must be set"),
    (["auth.url=http://ada:sesame@127.0.0.1/"], "no password in it"),
    (["auth.url=http://127.0.0.1/", "auth.timeout=1s"], "auth.timeout must be less than logic.timeout"),
    (["auth.url=https://127.0.0.1/", "auth.ca_file=/nowhere"], "cannot be read")])
def test_settings_that_cannot_work_are_told(assignments, words):
    ended = comet_t("auth.mode=webhook", *assignments)
    assert ended.returncode == 2 and words in ended.stderr


def comet_t(*assignments):
    arguments = [argument for assignment in assignments for argument in ("-o", assignment)]
    return subprocess.run([BUILD / "comet", "-t", *arguments], capture_output=True, text=True, timeout=TIMEOUT)


def test_secret_is_not_shown():
    ended = comet_t("auth.mode=webhook", "auth.url=http://127.0.0.1/", "auth.secret=between us")
    assert ended.returncode == 0 and "secret = ***" in ended.stdout and "between us" not in ended.stdout + ended.stderr


# ---- the example ----


def test_example_of_a_back_end_lets_in_who_knows_the_password(launch):
    example = subprocess.Popen([sys.executable, ROOT / "examples/auth_webhook.py", "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert select.select([example.stdout], [], [], TIMEOUT)[0], "it says where it listens"
        port = int(example.stdout.readline().split()[1])
        house = launch({"auth.mode": "webhook", "auth.url": f"http://127.0.0.1:{port}/auth"})
        ada, eve = Client(TCP, house.address("tcp")), Client(TCP, house.address("tcp"))
        ada.send(Op.AUTH, b"ada:sesame")
        ada.expect(Op.AUTH_REPLY)
        eve.send(Op.AUTH, b"ada:12345")
        assert eve.expect_goodbye() == {"code": REFUSED, "reason": "user or password is wrong"}
        house.backend.push_mids([1], "hello")
        ada.expect_push(1000, b"hello")
        assert ada.request(Op.AUTH, b"ada:sesame").op == Op.AUTH_REPLY
        ada.close()
    finally:
        example.kill()
        example.wait()
        example.stdout.close()
