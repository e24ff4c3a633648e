"""Starting: what the program says, to whom; that nothing listens before everything is read; and what a service manager hears.

SPDX-License-Identifier: MIT"""
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import time

import pytest

from fail import Plan
from server import BUILD, TUNABLES, free_port
from waiting import TIMEOUT, wait_until

pytestmark = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="how a comet alone starts")
QUIET = ["-o", "tcp.bind=127.0.0.1:0", "-o", "websocket.bind=", "-o", "http.bind="]


def started(house):
    return json.loads(next(line for line in house.log().splitlines() if "program_started" in line))


@pytest.mark.settings("log.format=json")
def test_start_line_says_what_runs(house):
    line = started(house)
    assert (line["program"], line["mode"], line["auth"], line["pid"], line["settings"]) == ("comet", "alone", "open", house.pid, "none")
    assert line["version"] and line["commit"] and "tcp 127.0.0.1:0" in line["listeners"]


@pytest.mark.settings("log.format=json", "log.level=warn")
def test_json_is_all_that_is_printed(house):
    assert house.stdout() == ""
    assert [json.loads(line)["event"] for line in house.log().splitlines()].count("listening") == len(house._addresses)


def events_of(*arguments):
    """All that a comet prints until it ends or has started, each line as JSON."""
    process = subprocess.Popen([BUILD / "comet", *QUIET, "-o", "log.format=json", *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    lines = []
    try:
        for line in process.stdout:
            lines.append(json.loads(line))
            if lines[-1]["event"] == "program_started":
                break
    finally:
        process.kill()
        process.communicate()
    return lines, process.returncode


def test_program_starts_itself_once_more_and_not_for_ever(tmp_path):
    """Where the loader takes the tunables away from it, too."""
    environment = {**os.environ, **Plan(tmp_path / "plan").environment, "FAIL_TUNABLES": "1"}
    environment.pop("GLIBC_TUNABLES", None)
    done = subprocess.run([BUILD / "comet", "--version"], capture_output=True, text=True, timeout=TIMEOUT, env=environment)
    assert done.returncode == 0 and done.stdout.startswith("comet "), done


def test_json_is_all_that_is_printed_of_settings():
    lines, _ = events_of("-o", "tcp.accept=4", "-o", "http.api_key=seen")
    said = [line for line in lines if line["event"] == "setting_warned"]
    assert [line["level"] for line in said] == ["warn"] * 2, lines
    assert "tcp.accept: warning: no effect" in said[0]["why"] and "http.api_key: warning: the list" in said[1]["why"] and "seen" not in str(lines)
    lines, code = events_of("-o", "tcp.accept=4", "-o", "nonsense.x=1", "-o", "limits.burst=x")
    assert code == 2 and [(line["event"], line["level"]) for line in lines] == [
        ("setting_warned", "warn"), ("setting_wrong", "error"), ("setting_wrong", "error"), ("start_failed", "error")], lines
    assert "nonsense.x" in lines[1]["fault"] and "limits.burst" in lines[2]["fault"] and lines[3]["part"] == "settings"
    lines, code = events_of("-o", "whitelist.log=/nowhere/traces")
    assert code == 2 and [line["event"] for line in lines] == ["whitelist_log_unopened", "start_failed"], lines


FAULTS = {
    "a certificate": ["-o", "tcp.tls_bind=127.0.0.1:0", "-o", "tls.cert_file=/nowhere/c", "-o", "tls.private_file=/nowhere/k"],
    "of the API": ["-o", "http.tls_bind=127.0.0.1:0", "-o", "tls.cert_file=/nowhere/c", "-o", "tls.private_file=/nowhere/k"],
    "API keys": ["-o", "http.bind=127.0.0.1:0", "-o", "http.keys_file=/nowhere/k"],
    "a token's key": ["-o", "auth.mode=jwt", "-o", "auth.jwt_keys=HS256:/nowhere/k"],
    "traces": ["-o", "whitelist.log=/nowhere/traces"],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_file_that_cannot_be_read_is_2_and_nothing_listens(fault):
    for test in ([], ["-t"]):
        done = subprocess.run([BUILD / "comet", *QUIET, *FAULTS[fault], *test], capture_output=True, text=True, timeout=TIMEOUT)
        assert done.returncode == 2 and "listening" not in done.stdout, (fault, done)
        assert "/nowhere/" in done.stderr.splitlines()[0], done.stderr


# the banner


def shown_on_a_terminal(*arguments):
    ours, its = pty.openpty()
    process = subprocess.Popen([BUILD / "comet", "-o", "websocket.bind=", *arguments], stdout=its, stderr=subprocess.DEVNULL)
    os.close(its)
    shown, end = b"", time.monotonic() + TIMEOUT
    try:
        while b"Or in a browser" not in shown and time.monotonic() < end:
            if select.select([ours], [], [], 0.5)[0]:
                shown += os.read(ours, 4096)
    finally:
        process.terminate()
        process.wait(TIMEOUT)
        os.close(ours)
    return shown.decode().replace("\r", "")


@pytest.mark.parametrize("mode", ["open", "jwt", "api key"])
def test_commands_of_the_banner_are_right(tmp_path, mode):
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef\n")
    secret.chmod(0o600)
    tcp, http = free_port(), free_port()
    more = {"open": [], "jwt": ["-o", "auth.mode=jwt", "-o", f"auth.jwt_keys=k=HS256:{secret}", "-o", "auth.jwt_audience=chat"],
            "api key": ["-o", "http.api_key=k3y"]}[mode]
    arguments = ["-o", f"tcp.bind=127.0.0.1:{tcp}", "-o", f"http.bind=127.0.0.1:{http}", *more]
    sub, curl = re.findall(r"^  (.*)$", shown_on_a_terminal(*arguments), re.M)
    server = subprocess.Popen([BUILD / "comet", "-o", "websocket.bind=", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        next(line for line in server.stdout if line.startswith(b"listening http"))
        client = subprocess.Popen(["bash", "-c", sub + " --count 1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: b"online" in client.stderr.readline(), "the client is in")
        done = subprocess.run(["bash", "-c", curl], capture_output=True, env={**os.environ, "COMET_API_KEY": "k3y"}, timeout=TIMEOUT)
        assert json.loads(done.stdout)["code"] == 0, done
        assert client.communicate(timeout=TIMEOUT)[0] == b"1000 hello\n"
    finally:
        server.terminate()
        server.communicate(timeout=TIMEOUT)


def test_banner_is_for_terminals_only(house):
    assert "Ctrl-C" not in house.stdout()


# a service manager


@pytest.fixture
def manager(tmp_path):
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(str(tmp_path / "notify"))
    sock.settimeout(TIMEOUT)
    yield sock
    sock.close()


def test_service_manager_hears_how_it_is(manager, tmp_path):
    environment = {**os.environ, **TUNABLES, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
    process = subprocess.Popen([BUILD / "comet", *QUIET], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)

    def heard(word):
        while True:
            said = manager.recv(1000).decode().split("\n")
            if word in said:
                return said

    try:
        assert heard("STATUS=starting") == ["STATUS=starting"]
        assert "STATUS=running" in heard("READY=1")
        for _ in range(3):
            heard("WATCHDOG=1")
        process.send_signal(signal.SIGHUP)
        assert any(line.startswith("MONOTONIC_USEC=") for line in heard("RELOADING=1"))
        heard("READY=1")
        process.terminate()
        (extend,) = [line for line in heard("STOPPING=1") if line.startswith("EXTEND_TIMEOUT_USEC=")]
        assert int(extend.partition("=")[2]) > 20_000_000
        assert process.wait(TIMEOUT) == 0
    finally:
        process.kill()
        process.wait()
