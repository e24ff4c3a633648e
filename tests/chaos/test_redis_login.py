"""Ways to Redis: URLs with a password, a socket in a folder, Sentinels that want a password; and what stands before an @ is shown
nowhere. SPDX-License-Identifier: MIT"""
import pathlib
import signal
import subprocess

import pytest

from history import Crowd
from redis_servers import SENTINEL, Server
from server import BUILD, free_port
from waiting import wait_until

SECRET = "se%40same,x"  # as it stands in a URL
PLAIN = "se@same,x"
BAD = ["", "localhost", ":6379", "6379", "localhost:", "localhost:0", "localhost:65536", "localhost:6379x", "localhost:6379/1",
       "a:1,b:2", "::1:6379", "[::1]", "joe:sesame@localhost:6379", "http://localhost:6379", "rediss://localhost:6379",
       "redis://localhost:6379/x", "/run/redis.sock", "unix:redis.sock"]


@pytest.fixture
def locked(tmp_path):
    """A Redis with a password and a socket."""
    server = Server(tmp_path / "locked", "--save", "", "--unixsocket", str(tmp_path / "redis.sock"))
    server.client.config_set("requirepass", PLAIN)
    yield server
    if server.process.poll() is None:
        server.stop(signal.SIGKILL)


def assert_works(house):
    people = Crowd(house)
    person = people.join("comet-1", "k", room="live://1", mid=7)
    house.backend().push_room("live://1", "x#1")
    house.backend().push_mids([7], "x#2")
    wait_until(lambda: person.received["x"] == [1, 2], "both arrive")
    people.close()


def assert_secret(house, *secrets):
    for name in ("comet-1", "logic-1"):
        shown = {"log": house.log(name), "metrics": house.backend(name).get("/metrics").body.decode(),
                 "ps": pathlib.Path(f"/proc/{house.pid(name)}/cmdline").read_text().replace("\0", " ")}
        for where, text in shown.items():
            for secret in secrets:
                assert secret not in text, f"{where} of {name}"


@pytest.mark.parametrize("form", ["redis://:{secret}@127.0.0.1:{port}/1", "redis://default:{secret}@localhost:{port}"])
def test_a_url_has_password_and_database(form, locked, build_house):
    house = build_house(comets=1, logics=1, redis_addr=form.format(secret=SECRET, port=locked.port))
    assert_works(house)
    locked.client.execute_command("AUTH", PLAIN)
    databases = locked.client.info("keyspace")
    assert list(databases) == ["db1" if form.endswith("/1") else "db0"]
    locked.client.config_set("requirepass", "tulip-7")  # both are asked for it anew, and are refused
    locked.client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    locked.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_until(lambda: "event=redis_login_refused" in house.log("comet-1"), "that is in the log")
    assert_secret(house, SECRET, PLAIN, "tulip-7")


def test_a_socket_in_a_folder(locked, tmp_path, build_house):
    house = build_house(comets=1, logics=1, redis_addr=f"unix:{tmp_path}/redis.sock",
                  settings={"redis.password": PLAIN})
    assert_works(house)
    assert_secret(house, PLAIN)


@pytest.mark.parametrize("program", ["comet", "comet-logic"])
@pytest.mark.parametrize("setting", ["redis.addr", "redis.sentinels"])
def test_what_is_no_address_is_refused(program, setting):
    for bad in BAD if setting == "redis.addr" else [bad for bad in BAD if bad not in ("", "a:1,b:2")]:
        done = subprocess.run([BUILD / program, "-t", "-o", "logic.mode=redis", "-o", f"{setting}={bad}"], capture_output=True,
                              text=True, timeout=30)
        assert done.returncode == 2 and setting in done.stderr, bad
        assert "sesame" not in done.stdout + done.stderr


def test_a_check_shows_no_password():
    done = subprocess.run([BUILD / "comet", "-t", "-o", "redis.addr=redis://joe:sesame@h:1/2", "-o",
                           "redis.sentinels=redis://eye:sesame@s:1"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stderr
    for line in ("addr = h:1", "user = joe", "password = ***", "db = 2", "sentinels = s:1", "sentinel_user = eye",
                 "sentinel_password = ***"):
        assert line in done.stdout.splitlines()
    assert "sesame" not in done.stdout + done.stderr


@pytest.fixture
def sentinel(tmp_path):
    master = Server(tmp_path / "master", "--save", "")
    config = SENTINEL.format(port=master.port) + "requirepass watchword\n"
    port = free_port()
    (tmp_path / "sentinel").mkdir()
    path = tmp_path / "sentinel/sentinel.conf"
    path.write_text(config)
    with open(tmp_path / "sentinel/log", "wb") as log:
        process = subprocess.Popen(["redis-server", str(path), "--sentinel", "--port", str(port), "--bind", "127.0.0.1",
                                    "--dir", str(tmp_path / "sentinel")], stdout=log, stderr=log)
    yield port
    process.terminate()
    process.wait()
    master.stop(signal.SIGKILL)


@pytest.mark.parametrize("how", ["settings", "url"])
def test_sentinels_with_a_password(how, sentinel, build_house):
    if how == "url":
        settings = {"redis.sentinels": f"redis://:watchword@127.0.0.1:{sentinel}"}
    else:
        settings = {"redis.sentinels": f"127.0.0.1:{sentinel}", "redis.sentinel_password": "watchword"}
    house = build_house(comets=1, logics=1, redis_addr="127.0.0.1:1", settings={"redis.master": "house", **settings})
    assert_works(house)
    assert_secret(house, "watchword")


def test_a_sentinel_that_refuses_is_named(sentinel):
    with subprocess.Popen([BUILD / "comet-logic", "-o", f"redis.sentinels=127.0.0.1:{sentinel}", "-o", "redis.master=house", "-o",
                           "redis.sentinel_password=wrong", "-o", "http.bind="], stderr=subprocess.PIPE, text=True) as logic:
        refused = next(line for line in logic.stderr if "event=sentinel_login_refused" in line)
        follows = next(line for line in logic.stderr if "event=redis_" in line and "event=redis_command_refused" not in line)
        logic.terminate()
    assert f"sentinel=127.0.0.1:{sentinel}" in refused and "redis.sentinel_password" in refused and "wrong" not in refused
    # It is no matter of Redis's password, and no Redis refuses.
    assert "event=redis_unreachable" in follows and "redis=house" in follows and "no Sentinel names a master" in follows
