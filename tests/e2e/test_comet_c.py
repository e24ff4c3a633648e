"""libcometclient, installed as `make install` does, and the chat room in C on it.

SPDX-License-Identifier: MIT"""
import os
import re
import shutil
import struct
import subprocess

import pytest

from scripted_comet import ScriptedComet
from server import BUILD, ROOT
from test_comet_py import Chat


FLAGS = {"address": ["-fsanitize=address,undefined"], "thread": ["-fsanitize=thread"], "coverage": ["--coverage"]}
HEADER = ROOT / "client/comet_client.h"
SHARED = BUILD / "libcometclient.so.0"


def run(*arguments, **more):
    return subprocess.run([str(argument) for argument in arguments], check=True, text=True, capture_output=True, **more).stdout


def link_chat(folder, how):
    """The example, built with the line in its head against files in the places where they get installed."""
    places = [("include/comet_client.h", HEADER), ("lib/libcometclient.a", BUILD / "libcometclient.a")]
    if how == "shared":
        places += [("lib/libcometclient.so", SHARED), ("lib/libcometclient.so.0", SHARED)]
    for path, source in places:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(source.read_bytes())
    pc = (ROOT / "client/comet-client.pc.in").read_text()
    for name, value in (("PREFIX", folder), ("LIBDIR", folder / "lib"), ("VERSION", "1")):
        pc = pc.replace(f"@{name}@", str(value))
    (folder / "lib/pkgconfig").mkdir()
    (folder / "lib/pkgconfig/comet-client.pc").write_text(pc)
    flags = []
    for package in (["comet-client"] if how == "shared" else ["--static", "comet-client"], ["libcurl"]):
        flags += run("pkg-config", "--cflags", "--libs", *package,
                     env={**os.environ, "PKG_CONFIG_PATH": str(folder / "lib/pkgconfig")}).split()
    run("cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", ROOT / "examples/c/chat.c", "-o", folder / "chat", *flags,
        f"-Wl,-rpath,{folder}/lib", *FLAGS.get(BUILD.name, []))
    return folder / "chat"


@pytest.fixture(scope="module", params=["static", "shared"])
def chat(request, tmp_path_factory):
    return link_chat(tmp_path_factory.mktemp("installed"), request.param)


@pytest.mark.parametrize("how", ["static", "shared"])
def test_example_is_linked_with_the_library_that_was_asked_for(tmp_path, how):
    needed = run("readelf", "-d", link_chat(tmp_path, how))
    assert ("[libcometclient.so.0]" in needed) == (how == "shared")
    assert ("[libjansson.so.4]" in needed) == (how == "static"), "that is the shared library's own business"


@pytest.mark.parametrize("language, standard, compilers", [("c", "c99", ["cc"]), ("c++", "c++11", ["clang", "g++"])])
def test_header_is_fit_for_c_and_cpp(language, standard, compilers):
    compiler = next(filter(shutil.which, compilers), None)
    if compiler is None:
        pytest.skip("no compiler of C++ here; make lint wants clang anyway")
    run(compiler, "-x", language, f"-std={standard}", "-pedantic-errors", "-Wall", "-Werror", "-fsyntax-only", HEADER)


def header():
    """Without comments, each run of blanks one space."""
    return re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", HEADER.read_text(), flags=re.S))


def prototypes():
    return sorted(re.findall(r"(?:int|void) comet_client_\w+\([^;]*\);", header()))


def names():
    return {re.search(r"comet_client_\w+(?=\()", line)[0] for line in prototypes()}


def test_libraries_have_the_names_of_the_header_and_no_other():
    static = run("nm", "--defined-only", "--extern-only", BUILD / "libcometclient.a")
    assert names() == set(re.findall(r" [TDBR] (\w+)$", static, re.M))
    shared = run("nm", "--dynamic", "--defined-only", "--with-symbol-versions", SHARED)
    # Sanitizers and gcov have marks of their own in what they build.
    assert {f"{name}@@COMET_CLIENT_0" for name in names()} == set(re.findall(r" [TDBR] (\w+@.*)$", shared, re.M))
    assert "[libcometclient.so.0]" in run("readelf", "-d", SHARED)


@pytest.mark.skipif(struct.calcsize("P") != 8, reason="the layouts that are written down are those of 64 bits")
def test_a_program_that_was_linked_before_runs_on(tmp_path):
    """Prototypes, and where each field of each struct lies, are those of client/comet_client.abi."""
    lines = ["#include <comet_client.h>", "#include <stdio.h>", "int main(void) {"]
    for name, body in re.findall(r"struct (comet_client_\w+) \{ ([^}]*)\};", header()):
        lines.append(f'printf("struct {name} %zu:", sizeof(struct {name}));')
        for field in re.findall(r"(\w+)(?:\[\d+\])?(?=[,;])", body):
            lines.append(f'printf(" {field} %zu", offsetof(struct {name}, {field}));')
        lines.append('puts("");')
    (tmp_path / "layout.c").write_text("\n".join([*lines, "}"]))
    run("cc", "-I", HEADER.parent, tmp_path / "layout.c", "-o", tmp_path / "layout")
    now = "\n".join([*prototypes(), *run(tmp_path / "layout").splitlines(), ""])
    before = (ROOT / "client/comet_client.abi").read_text()
    assert now == before, ("the interface of libcometclient is another one. If only functions came along, write this into "
                           f"client/comet_client.abi; else raise the number of the soname as well (make/client.mk):\n{now}")


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
