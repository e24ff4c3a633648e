"""comet-cli reaches a server by TLS, by a context of cli.ini and by the environment, says in words what became of a push, sends packets
as a client, makes tokens, and helps with what was mistyped.

SPDX-License-Identifier: MIT"""
import datetime
import json
import re
import shutil
import subprocess
import time

import pytest

from server import certificate
from test_cli import CLI, OK, REFUSED, ROOT, TIMEOUT, UNREACHABLE, USAGE, api, run, scripted, sub
from test_cli_comet import api_of, door_of, online


@pytest.fixture
def ini(tmp_path):
    """ini(text): the environment in which cli.ini has this text."""

    def write(text, mode=0o600):
        file = tmp_path / "comet" / "cli.ini"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return {"XDG_CONFIG_HOME": str(tmp_path)}

    return write


# what became of it, in words


def push(house, *args):
    code, out, err = run("push", *api_of(house), *args)
    assert (code, err) == (OK, "")
    return out


def test_push_says_what_became_of_it(house, online):
    assert push(house, "mid", "123", "m") == "nobody online\n"
    online("--mid", "123", "--accepts", "1000", "--room", "live://1")
    assert push(house, "mid", "123", "m") == "1 connection\n"
    assert push(house, "--op", "1005", "mid", "123", "m") == "1 connection, filtered: it accepts 1000, not 1005\n"
    online("--mid", "123", "--accepts", "1001,1005")
    assert push(house, "--op", "1005", "mid", "123", "m") == "2 connections, 1 of them filtered: it accepts 1000, not 1005\n"
    assert push(house, "--op", "77", "mid", "123,8", "m").startswith("2 connections, all filtered: one accepts 100")
    assert push(house, "mid", "123,8,9", "m").endswith("; 2 of 3 users offline\n")
    assert push(house, "--offline", "--op", "1005", "mid", "8,123", "m").endswith("; offline: 8\n")
    assert push(house, "--offline", "key", "a,b", "m") == "nobody online; offline: a, b\n"
    assert push(house, "room", "live://1", "m") == "1 connection\n"
    assert push(house, "room", "live://2", "m") == "nobody online\n"
    assert push(house, "all", "m") == ""
    assert json.loads(push(house, "--json", "mid", "8", "m")) == {"online": 0, "offline": 1, "filtered": 0}


def test_users_by_name(house, sub):
    client = sub(*door_of(house), "--user", "ann@example.com", "--key", "k")
    assert client.said("online at").endswith("as user ann@example.com, key k")
    assert push(house, "--offline", "user", "ann@example.com,bob", "m") == "1 connection; offline: bob\n"
    assert client.printed() == "1000 m"
    assert run("kick", *api_of(house), "user", "ann@example.com") == (OK, "kicked 1 connection\n", "")
    assert run("sub", "--user", "a", "--mid", "1")[0] == USAGE


def test_kick_says_how_many(house, online):
    client = online("--mid", "5")
    assert run("kick", *api_of(house), "mid", "5,6") == (OK, "kicked 1 connection\n", "")
    assert client.wait() == REFUSED
    assert run("kick", *api_of(house), "key", "nobody") == (OK, "nobody online\n", "")
    assert run("kick", *api_of(house), "mid", "5", "--json") == (OK, '{"kicked":0}\n', "")


def test_sub_says_as_whom_it_is_online(house, sub):
    client = sub(*door_of(house), "--mid", "7", "--key", "door-1")
    assert client.said("online at").endswith("as user 7, key door-1")


def test_times_of_messages(house, online):
    for json_too in ([], ["--json"]):
        client = online("--mid", "9", "--time", "--count", "1", *json_too)
        push(house, "mid", "9", "hi")
        line = client.printed()
        came = json.loads(line)["time"] if json_too else line.partition(" ")[0]
        away = datetime.datetime.now(datetime.timezone.utc) - datetime.datetime.fromisoformat(came.replace("Z", "+00:00"))
        assert abs(away.total_seconds()) < 60
        assert json_too or line.endswith(" 1000 hi")
        assert client.wait() == OK


def test_messages_in_a_form_of_ones_own(house, online):
    client = online("--mid", "9", "--format", "%o|%b|%r|%n|100%%", "--count", "1")
    push(house, "mid", "9", "two\nlines %t")
    assert client.printed() == "1000|two\\nlines %t|-|-|100%"
    assert client.wait() == OK
    client = online("--mid", "9", "--format", "%t", "--count", "1")
    push(house, "mid", "9", "hi")
    assert abs(datetime.datetime.fromisoformat(client.printed().replace("Z", "+00:00")).timestamp() - time.time()) < 60
    assert client.wait() == OK


# TLS, contexts, environment


@pytest.mark.settings("http.tls_bind=127.0.0.1:0")
def test_api_over_tls(house):
    url = "https://127.0.0.1:%d" % house.address("http-tls")[1]
    assert run("online", "--http", url, "--cacert", certificate()[0])[:2] == (OK, "connections 0\naddresses 0\n")
    assert run("online", "--http", url, "--insecure")[0] == OK
    code, _, err = run("online", "--http", url)
    assert code == UNREACHABLE and "certificate" in err


def test_context_says_where_and_by_which_key(api, ini, tmp_path):
    key = tmp_path / "key"
    key.write_text("from-a-file\n")
    env = ini(f"[default]\nhttp = {api.address}\napi_key = plain\n[other]\nhttp = http://{api.address}\napi_key_file = {key}\n")
    done = b'{"code":0,"message":"","data":{"kicked":2}}'
    for args, more, shown in (([], {}, "plain"), (["--context", "other"], {}, "from-a-file"), ([], {"COMET_CONTEXT": "other"}, "from-a-file"),
                              (["--api-key", "mine"], {}, "mine"),
                              # The context's key goes to its own server only.
                              (["--http", api.address], {}, None), ([], {"COMET_HTTP": api.address}, None),
                              (["--http", api.address], {"COMET_API_KEY": "env"}, "env")):
        api.will_answer(200, done)
        assert run("kick", "mid", "1", *args, env={**env, **more}) == (OK, "kicked 2 connections\n", ""), (args, more)
        assert api.call()[4] == shown, (args, more)


def test_line_of_a_context_is_one_value_as_in_the_settings_of_a_server(api, ini):
    """However long, with a semicolon in it, and behind blanks."""
    done = b'{"code":0,"message":"","data":{"kicked":2}}'
    for key in ("k" * 512, "one ;two #three"):
        for blanks in ("", "  ", "\t"):
            api.will_answer(200, done)
            env = ini(f"[default]\n; a comment\n{blanks}http = {api.address}\n{blanks}# another\n{blanks}api_key = {key}\n")
            assert run("kick", "mid", "1", env=env) == (OK, "kicked 2 connections\n", ""), (key, blanks)
            assert api.call()[4] == key


def test_place_of_the_api_that_is_none(ini):
    for place in ("", "http://", "ftp://x", ":3111", "127.0.0.1:99999", "a b"):
        for args, env in ((["--http", place], {}), ([], {"COMET_HTTP": place}), ([], ini(f"[default]\nhttp = {place}\n"))):
            code, out, err = run("online", *args, env=env)
            assert (code, out) == (USAGE, "") and f'"{place}"' in err and "--http" in err, (args, env, err)


def test_token_that_is_given_takes_nothing_beside_it(house):
    for args in (["--mid", "1"], ["--user", "ann"], ["--key", "k"], ["--room", "live://1"], ["--accepts", "1001"]):
        code, out, err = run("sub", *door_of(house), "--token", "1", *args)
        assert (code, out) == (USAGE, "") and f"{args[0]} would not be heard" in err, (args, err)
    # It is joined, and not asked for by the token.
    assert run("sub", *door_of(house), "--token", '{"mid":1,"streams":{}}', "--room", "live://1", "--last", "1", "--timeout", "300ms")[0] == TIMEOUT


def test_host_of_a_client_is_that_of_the_environment(house):
    host, port = door_of(house)[1::2]
    for place in (["--host", f"{host}:{port}"], ["--host", f"tcp://{host}:{port}"], ["--host", host, "--port", port]):
        assert run("sub", *place, "--mid", "7", "--timeout", "100ms")[0] == TIMEOUT, place
    for place in (f"{host}:{port}", f"tcp://{host}:{port}"):
        code, _, err = run("sub", "--host", place, "--port", port)
        assert code == USAGE and f"--host {place} says the port: leave --port out" in err
    code, _, err = run("sub", "--host", "http://there")
    assert code == USAGE and '"http://there", of --host, is neither host:port nor a URL' in err


def test_context_of_a_client(house, ini):
    host, port = house.address("tcp")
    for file, env, args in ((f"{host}:{port}", {}, []), (f"tcp://{host}:{port}", {}, []), ("127.0.0.1:1", {"COMET_HOST": f"{host}:{port}"}, []),
                            (f"[::ffff:{host}]:{port}", {}, []),
                            ("127.0.0.1:1", {}, [f"tcp://{host}:{port}"]), ("127.0.0.1:1", {}, door_of(house)),
                            (f"{host}:{port}", {"COMET_HOST": "127.0.0.1:1"}, ["--context", "default"])):
        assert run("sub", "--timeout", "300ms", *args, env={**ini(f"[default]\nhost = {file}\n"), **env})[0] == TIMEOUT, (file, env, args)


def test_context_that_is_wrong(ini):
    for text, said in (("[default]\nhtpt = x\n", "did you mean http?"), ("nonsense\n", "line 1"), ("[a]\nhttp = x\n", 'no context "b"')):
        code, out, err = run("online", *(["--context", "b"] if "context" in said else []), env=ini(text))
        assert (code, out) == (USAGE, "") and said in err, text
    code, _, err = run("online", env=ini("[default]\nhttp = 127.0.0.1:1\napi_key = k\n", 0o644))
    assert code == UNREACHABLE and "chmod 600" in err


# send


def test_send_takes_a_packet_to_the_back_end(house):
    assert run("send", *door_of(house), "--mid", "7", "--key", "k", "op", "1234", "from a client")[:2] == (OK, "answered\n")
    (entry,) = house.backend.data("/goim/upstream", after="0", wait=5000)
    assert (entry["mid"], entry["op"], entry["body"]) == (7, 1234, "from a client")


def test_send_changes_rooms_and_operations(house):
    assert run("send", *door_of(house), "room", "live://2")[:2] == (OK, "in room live://2\n")
    assert run("send", *door_of(house), "unsub", "1000")[:2] == (OK, "answered\n")
    process = subprocess.Popen([CLI, "send", *door_of(house), "--mid", "3", "--follow", "sub", "1007"], stdout=subprocess.PIPE)
    try:
        assert process.stdout.readline() == b"answered\n"
        push(house, "--op", "1007", "mid", "3", "hi")
        assert process.stdout.readline() == b"1007 hi\n"
    finally:
        process.terminate()
        process.communicate()
    assert process.returncode == OK


def test_send_prints_the_answer_as_json(house):
    code, out, _ = run("send", *door_of(house), "--json", "room", "live://2")
    assert code == OK and json.loads(out)["body"] == "live://2" and json.loads(out)["op"] == 13


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_send_says_that_nobody_takes_the_answer(house, form):
    with open("/dev/full", "wb") as full:
        done = subprocess.run([CLI, "send", *door_of(house), *form, "room", "live://2"], stdout=full, stderr=subprocess.PIPE, timeout=10)
    assert done.returncode == REFUSED and b"cannot write the answer: No space left on device" in done.stderr


def test_send_says_where_a_client_may_not_go(launch, secret):
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{secret}", "auth.rooms": "token", "auth.rooms_open": "open://*"})
    token = ["--token", made(secret, "--mid", "7")]
    code, out, err = run("send", *door_of(house), *token, "room", "live://2")
    assert (code, out) == (REFUSED, "") and "not into live://2" in err
    assert run("send", *door_of(house), *token, "room", "open://2")[0] == OK


# token


@pytest.fixture
def secret(tmp_path):
    file = tmp_path / "secret"
    file.write_text("0123456789abcdef0123456789abcdef\n")
    file.chmod(0o600)
    return str(file)


def made(secret, *args):
    code, out, err = run("token", "make", "--secret-file", secret, *args)
    assert (code, err) == (OK, "")
    return out.strip()


def test_token_lets_a_client_in(launch, secret, sub):
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"main=HS256:{secret}", "auth.jwt_audience": "chat"})
    token = made(secret, "--mid", "7", "--key", "k", "--accepts", "1000,1001", "--audience", "chat", "--kid", "main", "--claim",
                 "name=x", "--claim", "nested={\"a\":1}")
    client = sub(*door_of(house), "--token", token, "--count", "1")
    assert client.said("online at").endswith("by the given token")
    push(house, "--op", "1001", "key", "k", "m")
    assert client.wait() == OK
    code, _, err = run("sub", *door_of(house), "--token", made(secret, "--mid", "7", "--kid", "main"), "--no-reconnect")
    assert code == REFUSED and "audience" in err


def test_secret_that_no_server_takes_signs_nothing(tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("s" * 65536)
    code, out, err = run("token", "make", "--secret-file", secret)
    assert (code, out) == (USAGE, "") and "File too large" in err


def test_token_of_a_context_goes_to_its_server(launch, secret, ini, tmp_path):
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{secret}"})
    host, port = house.address("tcp")
    token = tmp_path / "token"
    token.write_text(made(secret, "--mid", "7") + "\r\nanother line\n")
    env = ini(f"[default]\nhost = {host}:{port}\ntoken_file = {token}\n")
    code, _, err = run("sub", "--timeout", "300ms", env=env)
    assert code == TIMEOUT and "by the given token" in err
    assert run("sub", "--mid", "7", env=env)[0] == REFUSED
    code, _, err = run("sub", env=ini(f"[default]\nhost = {host}:{port}\ntoken_file = {token}.none\n"))
    assert code == USAGE and f"token_file {token}.none: No such file" in err


def test_token_is_shown_and_checked(secret, tmp_path):
    token = made(secret, "--mid", "7", "--expires", "90m", "--claim", "nested={\"a\":1}")
    code, out, _ = run("token", "show", token)
    assert code == OK and '"mid": 7' in out and re.search("expires: in (89|90) min", out) and "signature: not checked" in out
    code, out, _ = run("token", "show", "--secret-file", secret, "-", input=token.encode() + b"\n")
    assert code == OK and "signature: good" in out
    code, out, _ = run("token", "show", "--json", "--secret-file", secret, token)
    shown = json.loads(out)
    assert (shown["claims"]["nested"], shown["header"], shown["signature"]) == ({"a": 1}, {"alg": "HS256", "typ": "JWT"}, "good")
    other = tmp_path / "other"
    other.write_text("another secret that is as long as it has to be")
    code, out, _ = run("token", "show", "--secret-file", str(other), token)
    assert code == REFUSED and "signature: the token's signature" in out
    for text in ("x", "a.b.c", "..", token.rpartition(".")[0]):
        assert run("token", "show", text)[0] == REFUSED, text
    assert "expired: " in run("token", "show", made(secret, "--claim", "exp=1"))[1]
    assert "expires: never" in run("token", "show", made(secret, "--claim", "exp=null"))[1]


# what was meant


def test_what_was_mistyped():
    for args, meant in ((["pusch"], "push?"), (["onlin"], "online?"), (["sub", "--acepts", "1"], "--accepts?"),
                        (["push", "--sped", "1", "all", "m"], "--speed?"), (["bench", "echo", "--conections", "1"], "--connections?"),
                        (["sub", "--json=x"], "takes no value"), (["sub", "--count"], "takes a value")):
        code, out, err = run(*args)
        assert (code, out) == (USAGE, "") and meant in err, (args, err)
    assert "mean" not in run("xyzzy")[2]


def complete(*words, **env):
    done = run("complete", *words, **env)
    assert done[0] == OK and done[2] == ""
    return [line.partition("\t")[0] for line in done[1].splitlines()]


def test_completion_knows_values(ini):
    assert complete("bench", "echo", "--transport", "ws") == ["ws", "wss", "ws-deflate"]
    assert complete("sub", "--cacert", "") == [":files"]
    assert complete("push", "--context", "", env=ini("[default]\nhttp = x\n[prod]\nhttp = y\n")) == ["default", "prod"]
    assert complete("push", "--op", "") == []
    assert complete("push", "--batch", "") == [":files"]
    assert complete("push", "--op", "5", "") == ["key", "mid", "user", "room", "all"]
    assert complete("push", "--json", "m") == ["mid"]
    assert complete("token", "") == ["make", "show"]
    assert complete("kick", "--for", "1h", "") == ["key", "mid", "user", "network"]
    assert complete("bans", "") == ["lift"]


def shell(name, script, home):
    if shutil.which(name) is None:
        pytest.skip(f"needs {name}")
    done = subprocess.run([name, "-c", script], capture_output=True, text=True, timeout=20,
                          env={"PATH": f"{CLI.parent}:/usr/bin:/bin", "HOME": str(home)})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_completion_of_fish(tmp_path):
    out = shell("fish", f"source {ROOT}/cli/comet-cli.fish; complete -C 'comet-cli bench echo --transport ws'", tmp_path)
    assert sorted(line.partition("\t")[0] for line in out.splitlines()) == ["ws", "ws-deflate", "wss"]


def test_completion_of_zsh(tmp_path):
    out = shell("zsh", "function _describe { print -l -- $offers }; function _files { print FILES }; words=(comet-cli sub --cacert ''); "
                       f"CURRENT=4; function comp {{ source {ROOT}/cli/comet-cli.zsh }}; comp; words=(comet-cli pus); CURRENT=2; comp", tmp_path)
    assert out.split("\n")[:2] == ["FILES", ""] or out.startswith("FILES")
    assert "push:send a message" in out
