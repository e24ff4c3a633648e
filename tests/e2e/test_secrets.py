"""Secrets: none stays in the list of processes, each may stand in a file, which SIGHUP reads again, and no crash writes them down.

SPDX-License-Identifier: MIT"""
import os
import pathlib
import re
import signal
import subprocess

import pytest

from client import V2, Client, TcpCodec, Way
from server import BUILD, Comet, certificate
from test_auth_webhook import hook  # noqa: F401
from waiting import TIMEOUT, wait_until

TCP = Way("tcp-v2", "tcp", TcpCodec, V2)


def command_line(house):
    return pathlib.Path(f"/proc/{house.pid}/cmdline").read_bytes().decode()


def reload(house, says="event=reload_done"):
    before = house.log().count(says)
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: house.log().count(says) > before, f"{says}:\n{house.log()[-2000:]}")


def status(house, key):
    return house.backend.request("GET", "/goim/online/total", headers={"X-Api-Key": key}).status


@pytest.fixture
def secret_file(tmp_path):
    def write(text):
        path.write_text(text)
        path.chmod(0o600)
        return path

    path = tmp_path / "secret"
    return write


def test_secret_in_a_flag_does_not_stay_in_the_list_of_processes(launch):
    house = launch({"http.api_key": "open sesame", "auth.secret": "between us"}, kind=Comet)
    assert "sesame" not in command_line(house) and "between us" not in command_line(house)
    assert "http.api_key=***********" in command_line(house)
    assert house.log().count("warning: the list of processes had it") == 2
    assert "-o http.api_key: warning: the list of processes had it until now; http.api_key_file names a file" in house.log()
    assert status(house, "open sesame") == 200


@pytest.mark.parametrize("arguments", [["sub", "--token", '{"mid":7,"key":"sesame"}', "--port"], ["sub", '--token={"mid":7,"key":"sesame"}', "--port"],
                                       ["top", "--api-key", "sesame", "--http"]], ids=["token", "token=", "api-key"])
def test_secret_in_an_option_of_comet_cli_does_not_stay_there_either(launch, arguments):
    """A client or a table may run for days."""
    house = launch({"http.api_key": "sesame", "log.level": "debug"}, kind=Comet)
    host, port = house.address("tcp" if arguments[0] == "sub" else "http")
    at = str(port) if arguments[0] == "sub" else f"{host}:{port}"
    with subprocess.Popen([BUILD / "comet-cli", *arguments, at], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as cli:
        try:
            command = pathlib.Path(f"/proc/{cli.pid}/cmdline")
            wait_until(lambda: b"******" in command.read_bytes() and b"sesame" not in command.read_bytes(), "it is hidden")
            event = "connection_authenticated .*mid=7" if arguments[0] == "sub" else "http_called"
            wait_until(lambda: re.search(f"event={event}", house.log()), "the server has got it as it was")
            assert "http_call_refused" not in house.log()
        finally:
            cli.kill()


def test_secret_in_the_environment_or_a_file_is_no_reason_to_warn(launch, secret_file):
    house = launch({"http.api_key_file": secret_file("sesame\n")}, kind=Comet, environment={"COMET_AUTH_SECRET": "between us"})
    assert "warning" not in house.log() and "sesame" not in command_line(house)


def test_api_key_in_a_file_is_read_again(launch, secret_file):
    house = launch({"http.api_key_file": secret_file("first\n"), "http.bind": "127.0.0.1:0"}, kind=Comet)
    assert [status(house, key) for key in ("first", "second", "")] == [200, 401, 401]
    secret_file("second")
    assert [status(house, key) for key in ("first", "second")] == [200, 401], "not before it is asked to"
    reload(house)
    assert [status(house, key) for key in ("first", "second")] == [401, 200]
    for bad in ("", "two\nlines\n", "x" * 600):
        secret_file(bad)
        reload(house, "event=reload_failed")
        assert [status(house, key) for key in ("first", "second")] == [401, 200], "all stays as it was"


def test_webhooks_secret_in_a_file_is_read_again(launch, secret_file, hook):  # noqa: F811
    house = launch({"auth.mode": "webhook", "auth.url": hook.url, "auth.secret_file": secret_file("first\n")}, kind=Comet)

    def shown():
        Client(TCP, house.address("tcp")).auth(mid=7).close()
        return hook.headers[-1]["Authorization"]

    assert shown() == "Bearer first"
    secret_file("second\n")
    assert shown() == "Bearer first"
    reload(house)
    assert shown() == "Bearer second"


@pytest.mark.parametrize("secret", ["http.api_key", "auth.secret"])
def test_secret_stands_in_one_place(secret, secret_file):
    tried = subprocess.run([BUILD / "comet", "-t", "-o", f"{secret}_file={secret_file('x')}"], capture_output=True, text=True,
                           timeout=TIMEOUT, env={f"COMET_{secret.replace('.', '_').upper()}": "x"})
    assert tried.returncode == 2
    assert f"{secret}_file takes the place of {secret}; set one of them" in tried.stderr


@pytest.mark.parametrize("settings", [["http.api_key_file={}"], ["auth.secret_file={}", "auth.mode=webhook", "auth.url=http://127.0.0.1:1/"]])
def test_file_that_is_not_there_is_found_by_t_and_at_start(settings, tmp_path):
    flags = [word for setting in settings for word in ("-o", setting.format(tmp_path / "nowhere"))]
    for more in (["-t"], ["-o", "tcp.bind=127.0.0.1:0", "-o", "websocket.bind=", "-o", "http.bind=127.0.0.1:0"]):
        tried = subprocess.run([BUILD / "comet", *flags, *more], capture_output=True, text=True, timeout=TIMEOUT)
        assert tried.returncode != 0
        assert "event=secret_unreadable" in tried.stderr and str(tmp_path / "nowhere") in tried.stderr


def test_file_that_everybody_can_read_is_warned_of(launch, secret_file):
    path = secret_file("sesame\n")
    path.chmod(0o644)
    cert, key = certificate("open.test")
    mode = key.stat().st_mode
    key.chmod(0o644)
    house = launch({"http.api_key_file": path, "tls.cert_file": cert, "tls.private_file": key}, kind=Comet)
    key.chmod(mode)
    assert f"setting=http.api_key_file file={path} a file with a secret is open to every user" in house.log()
    assert f"setting=tls.private_file file={key} a file with a secret is open" in house.log()
    assert "secret_open" not in launch({"http.api_key_file": secret_file("sesame\n")}, kind=Comet).log()


def test_key_in_a_file_lets_the_api_be_reached_from_elsewhere(secret_file):
    flags = ["-t", "-o", "http.bind=0.0.0.0:3111"]
    assert subprocess.run([BUILD / "comet", *flags], capture_output=True, timeout=TIMEOUT).returncode == 2
    tried = subprocess.run([BUILD / "comet", *flags, "-o", f"http.api_key_file={secret_file('x')}"], capture_output=True, timeout=TIMEOUT)
    assert tried.returncode == 0, tried.stderr


def core_limit(house):
    return re.search(r"^Max core file size +(\S+) +(\S+)", pathlib.Path(f"/proc/{house.pid}/limits").read_text(), re.M).groups()


def test_crash_leaves_no_core_unless_the_settings_say_so(launch):
    here = re.search(r"^Max core file size +(\S+) +(\S+)", pathlib.Path("/proc/self/limits").read_text(), re.M).groups()
    assert core_limit(launch(kind=Comet)) == ("0", "0")
    assert core_limit(launch({"server.core_dumps": "yes"}, kind=Comet)) == here


def test_credentials_of_systemd(launch, tmp_path):
    """As LoadCredential=api_key:... and Environment=COMET_HTTP_API_KEY_FILE=%d/api_key give it."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    (folder / "api_key").write_text("sesame")
    os.chmod(folder / "api_key", 0o400)
    house = launch(kind=Comet, environment={"CREDENTIALS_DIRECTORY": str(folder), "COMET_HTTP_API_KEY_FILE": f"{folder}/api_key"})
    assert [status(house, key) for key in ("sesame", "")] == [200, 401]
