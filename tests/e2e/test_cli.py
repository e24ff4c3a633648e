"""comet-cli: what each command says, prints and exits with. Against a scripted server where the server must misbehave,
against comet itself for the way from push to sub.

SPDX-License-Identifier: MIT
"""

import base64
import json
import os
import pathlib
import queue
import re
import signal
import subprocess
import threading

import pytest

from scripted_comet import DEADLINE_S, ScriptedApi, ScriptedComet

ROOT = pathlib.Path(__file__).resolve().parents[2]
CLI = pathlib.Path(os.environ.get("COMET_BUILD", ROOT / "build")) / "comet-cli"

OK, REFUSED, USAGE, UNREACHABLE, TIMEOUT = range(5)
COMMANDS = ["sub", "send", "push", "kick", "bans", "online", "who", "nodes", "rooms", "top", "stream", "reload", "trace", "token", "bench"]


def run(*args, **kwargs):
    """Run to the end: (exit code, stdout, stderr)."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COMET_")}
    environment["XDG_CONFIG_HOME"] = "/nonexistent"
    environment.update(kwargs.pop("env", {}))
    done = subprocess.run([CLI, *args], capture_output=True, timeout=DEADLINE_S, env=environment, **kwargs)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class Sub:
    """A comet-cli sub that runs beside the test."""

    def __init__(self, *args):
        self.process = subprocess.Popen([CLI, "sub", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.lines = {"out": queue.Queue(), "err": queue.Queue()}
        self.threads = [threading.Thread(target=self._collect, args=(name, stream)) for name, stream in
                        (("out", self.process.stdout), ("err", self.process.stderr))]
        for thread in self.threads:
            thread.start()

    def _collect(self, name, stream):
        for line in stream:
            self.lines[name].put(line.rstrip(b"\n").decode())

    def printed(self):
        return self.lines["out"].get(timeout=DEADLINE_S)

    def said(self, words):
        """Wait for a line on stderr that holds these words."""
        while True:
            line = self.lines["err"].get(timeout=DEADLINE_S)
            if words in line:
                return line

    def printed_all(self):
        """What is left on stdout, after the end."""
        return [self.lines["out"].get() for _ in range(self.lines["out"].qsize())]

    def wait(self):
        code = self.process.wait(timeout=DEADLINE_S)
        for thread in self.threads:
            thread.join(timeout=DEADLINE_S)
        return code

    def close(self):
        self.process.kill()
        self.process.wait()
        for thread in self.threads:
            thread.join()
        self.process.stdout.close()
        self.process.stderr.close()


@pytest.fixture
def sub():
    running = []

    def start(*args):
        running.append(Sub(*args))
        return running[-1]

    yield start
    for one in running:
        one.close()


@pytest.fixture
def scripted():
    server = ScriptedComet()
    yield server
    server.close()


@pytest.fixture
def api():
    server = ScriptedApi()
    yield server
    server.close()


def start_online(sub, scripted, *args):
    """A sub that is authenticated, and the server's end of it."""
    client = sub("--port", scripted.port, *args)
    peer = scripted.accept()
    peer.authenticate()
    client.said("online at")
    return client, peer


# sub: what it says to the server


def test_token_of_v2_holds_what_the_options_say(sub, scripted):
    sub("--port", scripted.port, "--mid", "123", "--key", "k 1", "--room", "live://7", "--accepts", "1000,1005")
    packet = scripted.accept().read()
    assert (packet.op, packet.ver) == (7, 1)
    assert json.loads(packet.body) == {"mid": 123, "key": "k 1", "room_id": "live://7", "platform": "cli",
                                       "accepts": [1000, 1005]}


def test_token_of_v1_is_a_decimal_number(sub, scripted):
    sub("--port", scripted.port, "--v1", "--mid", "123")
    packet = scripted.accept().read()
    assert (packet.op, packet.ver, packet.body) == (7, 0, b"123")


def test_given_token_is_said_as_it_is(sub, scripted):
    sub("--port", scripted.port, "--token", "ey.J.x")
    assert scripted.accept().read().body == b"ey.J.x"


def test_heartbeats_are_sent_and_answers_not_printed(sub, scripted):
    client, peer = start_online(sub, scripted, "--heartbeat", "500ms", "--count", "1")
    for _ in range(3):
        beat = peer.read()
        assert (beat.op, beat.body) == (2, b"")
        peer.send(3, b"\0\0\0\1", seq=beat.seq)
    peer.send(1000, b"the end")
    assert client.wait() == OK
    assert client.printed_all() == ["1000 the end"]


def test_server_that_answers_no_heartbeat_is_left(sub, scripted):
    client, _ = start_online(sub, scripted, "--heartbeat", "100ms", "--no-reconnect")
    client.said("no answer to a heartbeat")
    assert client.wait() == REFUSED


# sub: what it prints


def test_messages_are_printed_as_they_arrive(sub, scripted):
    client, peer = start_online(sub, scripted)
    for i in range(3):
        peer.send(1000 + i, b'{"n":%d}' % i)
        assert client.printed() == '%d {"n":%d}' % (1000 + i, i)


def test_body_is_one_line_and_cannot_steer_a_terminal(sub, scripted):
    client, peer = start_online(sub, scripted)
    peer.send(1000, "a\nb\tc\x1b[2J\u009b é\0".encode() + b"\xff\xc3")
    assert client.printed() == "1000 a\\nb\\tc\\x1b[2J\\xc2\\x9b é\\x00\\xff\\xc3"


def test_json_holds_text_or_base64(sub, scripted):
    client, peer = start_online(sub, scripted, "--json", "--count", "3")
    bodies = ['{"a":"é"}\n'.encode(), b"", b"\xff\0\x01\x02"]
    for body in bodies:
        peer.send(1000, body)
    assert client.wait() == OK
    lines = [json.loads(line) for line in client.printed_all()]
    assert lines[0] == {"op": 1000, "ver": 1, "seq": 0, "body": '{"a":"é"}\n'}
    assert lines[1]["body"] == ""
    assert base64.b64decode(lines[2]["body_base64"]) == bodies[2] and "body" not in lines[2]


def test_packets_cut_anywhere_arrive_whole(sub, scripted):
    client, peer = start_online(sub, scripted, "--count", "2")
    whole = bytes.fromhex("00000013 0010 0001 000003e8 00000000") + b"abc"
    for byte in whole + whole:
        peer.sock.sendall(bytes([byte]))
    assert client.wait() == OK
    assert client.printed_all() == ["1000 abc"] * 2


def test_large_body_arrives_whole(sub, scripted):
    client, peer = start_online(sub, scripted, "--count", "1")
    peer.send(1000, b"x" * 1_000_000)
    assert client.printed() == "1000 " + "x" * 1_000_000


def test_v1_prints_op_5(sub, scripted):
    client, peer = start_online(sub, scripted, "--v1", "--count", "1")
    peer.send(3, b"", ver=0)
    peer.send(5, b"{}", ver=0)
    assert client.wait() == OK
    assert client.printed_all() == ["5 {}"]


# sub: how it ends, and when it comes back


def test_lost_connection_is_opened_again(sub, scripted):
    client, peer = start_online(sub, scripted, "--count", "1")
    peer.close()
    client.said("trying again in")
    again = scripted.accept()
    again.authenticate()
    again.send(1000, b"back")
    assert client.wait() == OK
    assert client.printed_all() == ["1000 back"]


def test_server_away_after_a_loss_is_tried_until_it_is_back(sub, scripted):
    client, peer = start_online(sub, scripted, "--count", "1")
    scripted.listener.close()
    peer.close()
    client.said("cannot reach")
    scripted.listen_again()
    again = scripted.accept()
    again.authenticate()
    again.send(1000, b"back")
    assert client.wait() == OK


def test_no_reconnect_leaves_with_1(sub, scripted):
    client, peer = start_online(sub, scripted, "--no-reconnect")
    peer.close()
    client.said("the peer closed the connection")
    assert client.wait() == REFUSED


@pytest.mark.parametrize("code", [1, 2])
def test_kicked_and_replaced_are_final(sub, scripted, code):
    client, peer = start_online(sub, scripted)
    peer.send(6, json.dumps({"code": code, "reason": "words for it"}).encode())
    assert "words for it (code %d)" % code in client.said("closed by")
    assert client.wait() == REFUSED


def test_drained_client_comes_back(sub, scripted):
    client, peer = start_online(sub, scripted)
    peer.send(6, b'{"code":4,"reason":"the server stops"}')
    peer.close()
    client.said("the server stops")
    scripted.accept().authenticate()
    client.said("online at")


@pytest.fixture
def elsewhere():
    comet = ScriptedComet()
    yield comet
    comet.close()


@pytest.mark.parametrize("key", [["--key", "k"], []], ids=["key", "no key"])
def test_drained_client_goes_where_it_is_sent_and_misses_nothing(sub, scripted, elsewhere, key):
    client, peer = start_online(sub, scripted, *key)
    peer.send(6, json.dumps({"code": 4, "reason": "x", "nodes": [f"127.0.0.1:{elsewhere.port}"]}).encode())
    peer.send(1000, b"meanwhile")
    new = elsewhere.accept()
    new.authenticate()
    assert elsewhere.port in client.said("online at")
    new.send(1000, b"new")
    if key:  # the server closes, since it has moved
        peer.send(1000, b"the rest")
        peer.close()
    else:
        with pytest.raises(EOFError):
            peer.read()
    assert [client.printed() for _ in range(3 if key else 2)] == ["1000 meanwhile", *(["1000 the rest"] if key else []), "1000 new"]
    new.close()
    client.said("lost")
    scripted.accept().authenticate()  # the node was for once
    client.said("online at")


@pytest.mark.parametrize("node", ["no-port", ":1", "h:", "127.0.0.1:1", "[::1]:1"])
def test_node_that_is_none_or_down_costs_one_attempt(sub, scripted, node):
    client, peer = start_online(sub, scripted)
    peer.send(6, json.dumps({"code": 4, "reason": "x", "nodes": [node]}).encode())
    peer.send(1000, b"meanwhile")
    scripted.accept().authenticate()
    client.said("online at")
    assert client.printed() == "1000 meanwhile"


def test_refusal_is_said_and_final(sub, scripted):
    client = sub("--port", scripted.port)
    peer = scripted.accept()
    peer.read()
    peer.send(6, b'{"code":5,"reason":"bad token"}')
    assert "bad token" in client.said("refused by")
    assert client.wait() == REFUSED


def test_server_that_is_full_is_tried_again(sub, scripted):
    client = sub("--port", scripted.port)
    peer = scripted.accept()
    peer.read()
    peer.send(6, b'{"code":7,"reason":"too many connections"}')
    peer.close()
    client.said("too many connections")
    scripted.accept().authenticate()
    client.said("online at")


def test_close_without_words_during_auth_is_a_refusal(sub, scripted):
    client = sub("--port", scripted.port)
    peer = scripted.accept()
    peer.read()
    peer.close()
    client.said("it closed without a word")
    assert client.wait() == REFUSED


@pytest.mark.parametrize("head", ["0000000f 0010 0001 000003e8 00000000", "00000010 0011 0001 000003e8 00000000",
                                  "7fffffff 0010 0001 000003e8 00000000"])
def test_malformed_packet_ends_the_session(sub, scripted, head):
    client, peer = start_online(sub, scripted, "--no-reconnect")
    peer.sock.sendall(bytes.fromhex(head))
    client.said("lost")
    assert client.wait() == REFUSED


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_leaves_cleanly(sub, scripted, number):
    client, peer = start_online(sub, scripted)
    client.process.send_signal(number)
    assert client.wait() == OK
    with pytest.raises(EOFError):
        peer.read()


def test_signal_ends_the_wait_for_the_next_attempt(sub, scripted):
    client, peer = start_online(sub, scripted)
    scripted.close()
    client.said("trying again in")
    client.process.send_signal(signal.SIGTERM)
    assert client.wait() == OK


def test_timeout_leaves_with_4(sub, scripted):
    client, _ = start_online(sub, scripted, "--timeout", "300ms")
    assert client.wait() == TIMEOUT


def test_nobody_there_is_3_at_once(scripted):
    scripted.close()
    code, out, err = run("sub", "--port", scripted.port)
    assert (code, out) == (UNREACHABLE, "")
    assert "cannot reach 127.0.0.1:%s: Connection refused" % scripted.port in err


# push, kick, online: what they ask, and what they make of the answer

DONE = b'{"code":0,"message":""}'


STEERS = r"\u001b[2J"  # clears a terminal


@pytest.mark.parametrize("words, status, text, told", [
    (["push", "all", "m"], 200, '{"code":-1,"message":"no%s"}', "the server said no (HTTP 200): no%s\n"),
    (["push", "all", "m"], 502, "\x1b[2J", "the server said no (HTTP 502): %s\n"),
    (["push", "--batch", "-"], 200, '{"code":-1,"message":"no%s"}\n', "line 1: the server said no: no%s\n"),
    (["push", "--offline", "key", "a,b", "m"], 200, '{"code":0,"message":"","data":{"online":1,"offline":1,"offline_keys":["a%s"]}}', "a%s\n"),
    (["online", "top", "live"], 200, '{"code":0,"message":"","data":[{"room_id":"1%s","count":2}]}', "1%s 2\n"),
    (["online", "room", "a://7"], 200, '{"code":0,"message":"","data":{"7%s":2}}', "7%s 2\n"),
    (["stream", "position", "a://1"], 200, '{"code":0,"message":"","data":{"a://1%s":2}}', "a://1%s 2\n"),
    (["reload"], 200, '{"code":0,"message":"","data":{"read":["a%s"]}}', "read a%s\n"),
])
def test_neither_server_nor_client_steers_the_terminal(api, words, status, text, told):
    """Rooms are named by clients."""
    api.will_answer(status, text.replace("%s", STEERS).encode())
    _, out, err = run(words[0], "--http", api.address, *words[1:], input=b"{}\n")
    assert (out + err).endswith(told % r"\x1b[2J")
    assert "\x1b" not in out + err


@pytest.mark.parametrize("words, text", [
    (["push", "--json", "all", "m"], '{"code":0,"message":"","data":{"offline_keys":["%s"]}}'),
    (["push", "--json", "--batch", "-"], '{"code":0,"message":"","data":{"%s":1}}\n'),
    (["online", "--json", "top", "live"], '{"code":0,"message":"","data":[{"room_id":"%s","count":2}]}'),
])
def test_nor_do_they_in_json(api, words, text):
    """In UTF-8 a CSI of one character, which JSON need not escape."""
    api.will_answer(200, (text % "\x9b2J\x7f\xa0\xe9").encode())
    code, out, err = run(words[0], "--http", api.address, *words[1:], input=b"{}\n")
    assert (code, err) == (OK, "")
    assert r"\u009b2J\u007f" + "\xa0\xe9" in out and "\x9b" not in out


@pytest.mark.parametrize("words, path, params", [
    (["key", "a b,c&d"], "/goim/push/keys", [("operation", "1000"), ("keys", "a b"), ("keys", "c&d")]),
    (["mid", "1,2"], "/goim/push/mids", [("operation", "1000"), ("mids", "1"), ("mids", "2")]),
    (["user", "a|b,c d"], "/goim/push/users", [("operation", "1000"), ("users", "a|b"), ("users", "c d")]),
    (["room", "live://a/b"], "/goim/push/room", [("operation", "1000"), ("type", "live"), ("room", "a/b")]),
    (["all"], "/goim/push/all", [("operation", "1000"), ("speed", "0")]),
    (["--confirm", "30s", "user", "ann"], "/goim/push/users", [("operation", "1000"), ("confirm", "30s"), ("users", "ann")]),
    (["mid", "7", "--confirm", "15m"], "/goim/push/mids", [("operation", "1000"), ("confirm", "15m"), ("mids", "7")]),
])
def test_push_asks_for_its_target(api, words, path, params):
    api.will_answer(200, DONE)
    assert run("push", "--http", api.address, *words, '{"m":1}') == (OK, "", "")
    assert api.call() == ("POST", path, params, b'{"m":1}', None)


def test_push_takes_op_speed_key_and_stdin(api):
    api.will_answer(200, DONE)
    body = bytes(range(256)) * 100
    assert run("push", "all", "-", "--op", "7777", "--speed", "9", "--http", "http://" + api.address, input=body,
               env={"COMET_API_KEY": "s3cret"})[0] == OK
    assert api.call() == ("POST", "/goim/push/all", [("operation", "7777"), ("speed", "9")], body, "s3cret")


def test_api_key_of_the_command_line_wins(api):
    api.will_answer(200, DONE)
    assert run("kick", "mid", "1,2", "--http", api.address, "--api-key", "mine", env={"COMET_API_KEY": "other"})[0] == OK
    assert api.call() == ("POST", "/goim/kick", [("mids", "1"), ("mids", "2")], b"", "mine")


def test_kick_of_a_user_by_name(api):
    api.will_answer(200, DONE)
    assert run("kick", "user", "auth0|5f", "--http", api.address)[0] == OK
    assert api.call() == ("POST", "/goim/kick", [("users", "auth0|5f")], b"", None)


def test_kick_with_a_time_keeps_out(api):
    api.will_answer(200, b'{"code":0,"message":"","data":{"banned":2}}')
    assert run("kick", "network", "10.0.0.9,2001:db8::/32", "--for", "1h", "--http", api.address) == (OK, "2 are kept out for 1h\n", "")
    assert api.call() == ("POST", "/goim/kick", [("networks", "10.0.0.9"), ("networks", "2001:db8::/32"), ("for", "1h")], b"", None)
    api.will_answer(200, b'{"code":0,"message":"","data":{"banned":1}}')
    assert run("kick", "mid", "7", "--for", "15m", "--json", "--http", api.address) == (OK, '{"banned":1}\n', "")
    api.call()


def test_reload_says_also_that_there_is_nothing(api):
    api.will_answer(200, b'{"code":0,"message":"","data":{"read":[],"changed":[],"needs_restart":[]}}')
    assert run("reload", "--http", api.address) == (OK, "there is nothing to read again: no file of settings, certificates or keys\n", "")
    api.will_answer(200, b'{"code":0,"message":"","data":{"read":["settings"],"changed":["log.level=info"],"needs_restart":[]}}')
    assert run("reload", "--http", api.address) == (OK, "read settings\nchanged log.level=info\n", "")
    for _ in range(2):
        api.call()


def test_bans_are_lifted(api):
    for args, param in ((["mid", "7,8"], "mids"), (["key", "7,8"], "keys"), (["user", "7,8"], "users"), (["network", "7,8"], "networks"),
                        (["tokens", "7,8"], "tokens")):
        api.will_answer(200, DONE)
        assert run("bans", "lift", *args, "--http", api.address, "--api-key", "k") == (OK, "", "")
        assert api.call() == ("DELETE", "/goim/bans", [(param, "7"), (param, "8")], b"", "k")
    api.will_answer(200, DONE)
    assert run("bans", "lift", "--one", "key", "a,b", "--json", "--http", api.address) == (OK, "{}\n", "")
    assert api.call().params == [("keys", "a,b")]


def test_comma_belongs_to_one_name(api):
    api.will_answer(200, DONE)
    assert run("push", "--one", "user", "CN=Ann,O=Example", "m", "--http", api.address)[0] == OK
    assert api.call() == ("POST", "/goim/push/users", [("operation", "1000"), ("users", "CN=Ann,O=Example")], b"m", None)
    api.will_answer(200, DONE)
    assert run("kick", "--one", "key", "a,b,", "--http", api.address)[0] == OK
    assert api.call() == ("POST", "/goim/kick", [("keys", "a,b,")], b"", None)


def test_what_the_server_says_against_it_is_shown(api):
    api.will_answer(400, b'{"code":-400,"message":"mids: not a number"}')
    code, out, err = run("push", "--http", api.address, "mid", "x", "m")
    assert (code, out) == (REFUSED, "")
    assert "mids: not a number" in err and "400" in err


def test_fault_with_status_200_is_one(api):
    api.will_answer(200, b'{"code":-500,"message":"no bus"}')
    code, _, err = run("push", "--http", api.address, "all", "m")
    assert code == REFUSED and "no bus" in err


def test_answer_that_is_no_json_is_shown(api):
    api.will_answer(502, b"<h1>Bad Gateway</h1>")
    code, _, err = run("kick", "--http", api.address, "key", "k")
    assert code == REFUSED and "Bad Gateway" in err


def test_online_prints_a_line_each(api):
    api.will_answer(200, b'{"code":0,"message":"","data":{"conn_count":3,"ip_count":2}}')
    assert run("online", "--http", api.address)[:2] == (OK, "connections 3\naddresses 2\n")
    assert api.call().path == "/goim/online/total"

    api.will_answer(200, b'{"code":0,"message":"","data":[{"room_id":"9","count":5},{"room_id":"8","count":1}]}')
    assert run("online", "top", "live", "2", "--http", api.address)[:2] == (OK, "9 5\n8 1\n")
    assert api.call().params == [("type", "live"), ("limit", "2")]

    api.will_answer(200, b'{"code":0,"message":"","data":{"1":5,"2":0}}')
    assert run("online", "room", "live://1", "live://2", "--http", api.address)[:2] == (OK, "1 5\n2 0\n")
    assert api.call().params == [("type", "live"), ("rooms", "1"), ("rooms", "2")]


def test_online_json_is_the_servers_data(api):
    api.will_answer(200, b'{"code":0,"message":"","data":{"conn_count":3,"ip_count":2}}')
    code, out, _ = run("online", "total", "--json", "--http", api.address)
    assert code == OK and json.loads(out) == {"conn_count": 3, "ip_count": 2}


def test_answer_that_breaks_the_promise_is_an_error(api):
    api.will_answer(200, DONE)
    code, out, err = run("online", "--http", api.address)
    assert (code, out) == (REFUSED, "") and "not what the API promises" in err


def test_nobody_at_the_api_is_3(api):
    api.close()
    code, _, err = run("push", "--http", api.address, "all", "m")
    assert code == UNREACHABLE and api.address in err


def test_no_answer_in_time_is_4(scripted):
    code, _, err = run("push", "--http", "127.0.0.1:" + scripted.port, "--timeout", "200ms", "all", "m")
    assert code == TIMEOUT and "no answer" in err


# the command line


WRONG = [
    [], ["nonsense"], ["sub", "--port", "0"], ["sub", "--port", "3101x"], ["sub", "extra"], ["sub", "--accepts", "1,,2"],
    ["sub", "--accepts", ""], ["sub", "--timeout", "0"], ["sub", "--timeout", "25h"], ["sub", "--mid", " 1"],
    ["sub", "--count", "-1"], ["sub", "--what"], ["push"], ["push", "al", "m"], ["push", "mid", "1"],
    ["push", "mid", "1", "two", "words"], ["push", "all"], ["push", "room", "1000", "m"], ["push", "room", "://1", "m"],
    ["push", "--batch"], ["push", "--batch", "f", "all", "m"], ["push", "--op", "1000", "--batch", "f"],
    ["push", "mid", ",", "m"], ["push", "--op", "0", "all", "m"], ["kick"], ["kick", "room", "r"], ["kick", "mid", ","],
    ["kick", "--one", "user", ""], ["kick", "network", "10.0.0.9"], ["kick", "tokens", "7", "--for", "1h"], ["bans", "x"],
    ["bans", "lift"], ["bans", "lift", "mid"], ["bans", "lift", "mid", ","], ["bans", "lift", "room", "r"], ["bans", "lift", "mid", "1", "2"],
    ["push", "--confirm", "1s", "key", "k", "m"],
    ["push", "--confirm", "1s", "room", "live://1", "m"], ["push", "--confirm", "1s", "all", "m"], ["push", "--confirm", "1s", "--batch", "f"],
    ["online", "what"], ["online", "top"], ["online", "top", "live", "0"], ["online", "room"],
    ["online", "room", "live://1", "other://2"], ["bench"], ["bench", "what"], ["bench", "echo", "-n", "0"],
    ["bench", "echo", "--transport", "pigeon"], ["bench", "echo", "--pid", "1,x"], ["bench", "fanout", "--rate", "0"],
    ["bench", "fanout", "--size", "95"], ["bench", "echo", "--duration", "61m"],
    ["bench", "fanout", "--rate", "10000", "--duration", "10m"],
    ["bench", "fanout", "-n", "1000000", "--rate", "1000", "--duration", "60s"], ["sub", "--count"], ["push", "-x", "all", "m"],
    ["send"], ["send", "op", "1000"], ["send", "op", "0", "m"], ["send", "op", "6", "m"], ["send", "room"], ["send", "what", "x"],
    ["send", "--v1", "room", "live://1"], ["send", "ws://h", "x"], ["token"], ["token", "make"], ["token", "show"],
    ["token", "make", "--secret-file", "/nonexistent"], ["token", "make", "--claim", "=1"], ["token", "show", "--verify", "XX:f", "t"],
    ["sub", "--format", "%x"], ["sub", "--format", "%b%"], ["sub", "--format", "%b", "--json"], ["sub", "--format", "%b", "--time"],
    ["sub", "--context", "none"], ["push", "--context", "none", "all", "m"], ["push", "room", "live://", "m"],
    ["who", "--room", "1000"], ["who", "--room", "live://"], ["who", "--room", "live://1", "7"], ["online", "room", "live://"],
    ["online", "room", "live://1", "live://"], ["stream", "1000"], ["stream", "chat://"],
    ["stream", "position", "chat://1", "chat://"],
]


def test_a_slip_of_the_finger_is_guessed():
    for word, meant in (("psuh", "push"), ("pus", "push"), ("whoo", "who"), ("kcik", "kick"), ("nodse", "nodes")):
        assert f'no command "{word}"; did you mean {meant}?' in run(word)[2]
    assert " ;" not in run("psuh")[2]
    assert "did you mean" not in run("something-else")[2]


def test_wrong_command_line_is_2_and_says_so():
    for args in WRONG:
        code, out, err = run(*args)
        assert (code, out) == (USAGE, ""), args
        assert err.startswith("comet-cli"), args


@pytest.mark.parametrize("command", [[], *([c] for c in COMMANDS)])
def test_help_teaches_by_example(command):
    code, out, err = run(*command, "--help")
    assert (code, err) == (OK, "")
    assert "Exit code: 0" in out
    assert "\n  comet-cli " + " ".join(command) in out
    assert all(len(line) <= 79 for line in out.splitlines())


HELPFUL = sorted([CLI.parent / "comet", CLI.parent / "comet-logic", ROOT / "scripts/cluster", ROOT / "scripts/tune-host",
                  *(ROOT / "examples").glob("*.py"), ROOT / "examples/python/chat.py"])


@pytest.mark.parametrize("program", HELPFUL, ids=lambda path: path.name)
def test_help_of_others_fits_into_a_terminal(program):
    said = subprocess.run([program, "--help"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=DEADLINE_S)
    assert said.returncode == 0 and said.stderr == "" and said.stdout.count("\n") > 3
    assert [line for line in said.stdout.splitlines() if len(line) > 80] == []


def test_help_says_which_commands_speak_to_the_http_api():
    said = " ".join(run("--help")[1].split()).split("to any;")[1].split("to the HTTP API")[0]
    assert set(re.findall(r"\w+", said)) - {"and", "fanout"} == {name for name in COMMANDS if "--http" in run(name, "--help")[1]}


def test_version():
    assert run("--version")[1].startswith("comet-cli ")


def test_output_that_nobody_takes_is_said(scripted, sub):
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen([CLI, "sub", "--port", scripted.port], stdout=full, stderr=subprocess.PIPE)
        try:
            peer = scripted.accept()
            peer.authenticate()
            peer.send(1000, b"m")
            _, err = process.communicate(timeout=DEADLINE_S)
        finally:
            process.kill()
            process.wait()
    assert process.returncode == REFUSED
    assert b"No space left on device" in err
