"""libcometclient.a, installed as `make install` does, and the chat room in C on it.

SPDX-License-Identifier: MIT"""
import os
import subprocess

import pytest

from scripted_comet import ScriptedComet
from server import BUILD, ROOT
from test_comet_py import Chat


@pytest.fixture(scope="module")
def chat(tmp_path_factory):
    """The example, built with the line in its head against files in the places where they get installed."""
    folder = tmp_path_factory.mktemp("installed")
    for path, source in (("include/comet_client.h", ROOT / "client/comet_client.h"),
                         ("lib/libcometclient.a", BUILD / "libcometclient.a")):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(source.read_bytes())
    pc = (ROOT / "client/comet-client.pc.in").read_text().replace("@PREFIX@", str(folder)).replace("@VERSION@", "1")
    (folder / "lib/pkgconfig").mkdir()
    (folder / "lib/pkgconfig/comet-client.pc").write_text(pc)
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "comet-client", "libcurl"], check=True, text=True,
                           capture_output=True,
                           env={**os.environ, "PKG_CONFIG_PATH": str(folder / "lib/pkgconfig")}).stdout.split()
    builds = {"address": ["-fsanitize=address,undefined"], "thread": ["-fsanitize=thread"], "coverage": ["--coverage"]}
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", ROOT / "examples/c/chat.c", "-o", folder / "chat",
                    *flags, *builds.get(BUILD.name, [])], check=True)
    return folder / "chat"


def test_header_is_fit_for_c_and_cpp_and_has_no_name_but_its_own(chat):
    for language, standard in (("c", "c99"), ("c++", "c++11")):
        subprocess.run(["clang", "-x", language, f"-std={standard}", "-pedantic-errors", "-Wall", "-Werror", "-fsyntax-only",
                        ROOT / "client/comet_client.h"], check=True)
    names = subprocess.run(["nm", "--defined-only", "--extern-only", BUILD / "libcometclient.a"], check=True, text=True,
                           capture_output=True).stdout
    assert "comet_client_open" in names
    assert all(line.split()[-1].startswith("comet_client_") for line in names.splitlines() if " T " in line or " D " in line)


def test_chat_room(house, chat):
    port, api = house.address("tcp")[1], "http://{}:{}".format(*house.address("http"))
    ada, bob = (Chat([chat, name, str(port), api]) for name in ("ada", "bob"))
    ada.wait_for("[online]")
    bob.wait_for("[online]")
    house.wait_metric("comet_online", 2)
    ada.say("hello")
    bob.wait_for("ada: hello")
    bob.say("grüße")
    ada.wait_for("bob: grüße")
    ada.leave()
    bob.leave()
    house.wait_empty()


def test_chat_room_survives_a_restart(launch, chat):
    house = launch()
    port, api = house.address("tcp")[1], "http://{}:{}".format(*house.address("http"))
    ada = Chat([chat, "ada", str(port), api])
    ada.wait_for("[online]")
    house.stop()
    house.ended_by_test = True
    again = launch({"tcp.bind": f"127.0.0.1:{port}"})
    again.wait_metric("comet_online", 1, 30)
    again.backend.push_room("live://chat", "back")
    ada.wait_for("back")
    ada.leave()


def test_chat_room_goes_where_it_is_sent_and_misses_nothing(chat):
    first, second = ScriptedComet(), ScriptedComet()
    ada = Chat([chat, "ada", first.port])
    leaver = first.accept()
    leaver.authenticate()
    ada.wait_for("[online]")
    leaver.send(6, b'{"code":4,"reason":"x","nodes":["127.0.0.1:%s"]}' % second.port.encode())
    leaver.send(1000, b"meanwhile")
    new = second.accept()
    new.authenticate()
    new.send(1000, b"new")
    ada.wait_for("new")
    assert ada.lines.index("meanwhile\n") < ada.lines.index("new\n")
    with pytest.raises(EOFError):
        leaver.read()
    new.close()
    first.accept().authenticate()  # the node was for once
    ada.leave()
    first.close()
    second.close()
