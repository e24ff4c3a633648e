"""libcometclient and libcometclient-ws, installed as `make install` does, and the examples in C on them.

SPDX-License-Identifier: MIT"""
import json
import os
import re
import shutil
import struct
import subprocess

import pytest

from authority import Authority
from chat_room import Chat
from scripted_comet import ScriptedComet
from server import BUILD, ROOT, certificate
from waiting import TIMEOUT


FLAGS = {"address": ["-fsanitize=address,undefined"], "thread": ["-fsanitize=thread"], "coverage": ["--coverage"]}
HEADERS = {"libcometclient": ["comet_client"], "libcometclient-ws": ["comet_client", "comet_client_ws"]}
LIBRARIES = pytest.mark.parametrize("library", HEADERS)
HOW = pytest.mark.parametrize("how", ["static", "shared"])


def run(*arguments, **more):
    return subprocess.run([str(argument) for argument in arguments], check=True, text=True, capture_output=True, **more).stdout


def link(folder, how, library="libcometclient", example="chat"):
    """An example, built with the line in its head against files in the places where they get installed."""
    places = [(f"lib/{library}.a", BUILD / f"{library}.a")]
    places += [(f"include/{name}.h", ROOT / f"client/{name}.h") for name in HEADERS[library]]
    if how == "shared":
        places += [(f"lib/{library}.so{number}", BUILD / f"{library}.so.0") for number in ("", ".0")]
    for path, source in places:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(source.read_bytes())
    config = library.replace("libcometclient", "comet-client")
    pc = (ROOT / f"client/{config}.pc.in").read_text()
    for name, value in (("PREFIX", folder), ("LIBDIR", folder / "lib"), ("VERSION", "1")):
        pc = pc.replace(f"@{name}@", str(value))
    (folder / "lib/pkgconfig").mkdir()
    (folder / f"lib/pkgconfig/{config}.pc").write_text(pc)
    flags = []
    for package in ([config] if how == "shared" else ["--static", config], ["libcurl"]):
        flags += run("pkg-config", "--cflags", "--libs", *package,
                     env={**os.environ, "PKG_CONFIG_PATH": str(folder / "lib/pkgconfig")}).split()
    run("cc", "-std=gnu11", "-Wall", "-Wextra", "-Werror", ROOT / f"examples/c/{example}.c", "-o", folder / example, *flags,
        f"-Wl,-rpath,{folder}/lib", *FLAGS.get(BUILD.name, []))
    return folder / example


@pytest.fixture(scope="module", params=["static", "shared"])
def chat(request, tmp_path_factory):
    return link(tmp_path_factory.mktemp("installed"), request.param)


@HOW
@LIBRARIES
def test_example_is_linked_with_the_library_that_was_asked_for(tmp_path, library, how):
    needed = run("readelf", "-d", link(tmp_path, how, library))
    assert (f"[{library}.so.0]" in needed) == (how == "shared")
    assert ("[libjansson.so.4]" in needed) == (how == "static"), "that is the shared library's own business"
    assert ("[libwebsockets.so" in needed) == (how == "static" and library == "libcometclient-ws")


def test_the_plain_library_has_no_dependency_but_jansson():
    needed = re.findall(r"NEEDED.*\[(lib\w+)", run("readelf", "-d", BUILD / "libcometclient.so.0"))
    assert {name for name in needed if not name.endswith("san")} - {"libgcov"} == {"libjansson", "libc"}


@pytest.mark.parametrize("name", HEADERS["libcometclient-ws"])
@pytest.mark.parametrize("language, standard, compilers", [("c", "c99", ["cc"]), ("c++", "c++11", ["clang", "g++"])])
def test_header_is_fit_for_c_and_cpp(name, language, standard, compilers):
    compiler = next(filter(shutil.which, compilers), None)
    if compiler is None:
        pytest.skip("no compiler of C++ here; make lint wants clang anyway")
    run(compiler, "-x", language, f"-std={standard}", "-pedantic-errors", "-Wall", "-Werror", "-fsyntax-only",
        ROOT / f"client/{name}.h")


def header(name):
    """Without comments, each run of blanks one space."""
    text = (ROOT / f"client/{name}.h").read_text()
    return re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", text, flags=re.S))


def prototypes(name):
    return sorted(re.findall(r"(?:int|int64_t|void|struct comet_client) \*?comet_client_\w+\([^;]*\);", header(name)))


def names(library):
    return {re.search(r"comet_client_\w+(?=\()", line)[0] for name in HEADERS[library] for line in prototypes(name)}


@LIBRARIES
def test_libraries_have_the_names_of_their_headers_and_no_other(library):
    static = run("nm", "--defined-only", "--extern-only", BUILD / f"{library}.a")
    assert names(library) == set(re.findall(r" [TDBR] (\w+)$", static, re.M))
    shared = run("nm", "--dynamic", "--defined-only", "--with-symbol-versions", BUILD / f"{library}.so.0")
    version = "COMET_CLIENT_WS_0" if library.endswith("-ws") else "COMET_CLIENT_0"
    # Sanitizers and gcov have marks of their own in what they build.
    assert {f"{name}@@{version}" for name in names(library)} == set(re.findall(r" [TDBR] (\w+@.*)$", shared, re.M))
    assert f"[{library}.so.0]" in run("readelf", "-d", BUILD / f"{library}.so.0")


@pytest.mark.skipif(struct.calcsize("P") != 8, reason="the layouts that are written down are those of 64 bits")
@pytest.mark.parametrize("name", HEADERS["libcometclient-ws"])
def test_a_program_that_was_linked_before_runs_on(tmp_path, name):
    """Prototypes, and where each field of each struct lies, are those of the .abi beside the header."""
    lines = [f"#include <{name}.h>", "#include <stdio.h>", "int main(void) {"]
    for struct_name, body in re.findall(r"struct (comet_client_\w+) \{ ([^}]*)\};", header(name)):
        lines.append(f'printf("struct {struct_name} %zu:", sizeof(struct {struct_name}));')
        for field in re.findall(r"(\w+)(?:\[\d+\])?(?=[,;])", body):
            lines.append(f'printf(" {field} %zu", offsetof(struct {struct_name}, {field}));')
        lines.append('puts("");')
    (tmp_path / "layout.c").write_text("\n".join([*lines, "}"]))
    run("cc", "-I", ROOT / "client", tmp_path / "layout.c", "-o", tmp_path / "layout")
    now = "\n".join([*prototypes(name), *run(tmp_path / "layout").splitlines(), ""])
    before = (ROOT / f"client/{name}.abi").read_text()
    assert now == before, ("the interface of the library is another one. If only functions came along, write this into "
                           f"client/{name}.abi; else raise the number of the soname as well (make/client.mk):\n{now}")


def test_chat_room(house, chat):
    port, api = house.address("tcp")[1], "http://{}:{}".format(*house.address("http"))
    ada, bob = (Chat([chat, name, api, str(port)]) for name in ("ada", "bob"))
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


@pytest.mark.parametrize("settings, told", [({}, []), ({"stream.rooms": "live:100/1h"}, ["[lines are missing here]\n"])],
                         ids=["not kept", "kept"])
def test_chat_room_survives_a_restart_and_shows_what_that_has_lost(launch, chat, settings, told):
    house = launch(settings)
    port, api = house.address("tcp")[1], "http://{}:{}".format(*house.address("http"))
    ada = Chat([chat, "ada", api, str(port)])
    house.wait_metric("comet_rooms", 1)
    house.stop()
    house.ended_by_test = True
    again = launch({**settings, "tcp.bind": f"127.0.0.1:{port}"})
    again.wait_metric("comet_rooms", 1, 30)
    again.backend.push_room("live://chat", "back")
    ada.wait_for("back")
    assert [line for line in ada.lines if "missing" in line] == told
    ada.leave()


WELCOME = b'{"v":1,"max_body":4096,"max_rooms":100}'


def let_in(peer, at=0):
    """The client asks for streams and joins its room, whose newest push has that number."""
    auth = peer.read()
    assert auth.op == 7 and json.loads(auth.body)["streams"] == {}
    peer.send(8, WELCOME, seq=auth.seq)
    join = peer.read()
    assert join.op == 18
    peer.send(19, json.dumps({"rooms": [{"id": "live://chat", "at": at, "gap": False, "replay": 0}]}).encode(), seq=join.seq)
    return json.loads(join.body)["rooms"]


def send_push(peer, body, number=0):
    peer.send(1000, b"\0\0\0\0\x0blive://chat" + body, ver=4, seq=number)


@pytest.mark.parametrize("number", [0, 8], ids=["not kept", "kept"])
def test_chat_room_goes_where_it_is_sent_and_misses_nothing(chat, number):
    first, second = ScriptedComet(), ScriptedComet()
    ada = Chat([chat, "ada", "http://127.0.0.1:1", first.port])
    leaver = first.accept()
    assert let_in(leaver, number and 7) == [{"id": "live://chat"}]
    ada.wait_for("[online]")
    leaver.send(6, b'{"code":4,"reason":"x","nodes":["127.0.0.1:%s"]}' % second.port.encode())
    send_push(leaver, b"meanwhile", number)
    new = second.accept()
    assert let_in(new, number) == [{"id": "live://chat", "since": 8} if number else {"id": "live://chat"}]
    if number:
        send_push(new, b"meanwhile", number)  # the other half of a push that both have
    send_push(new, b"new", number and number + 1)
    ada.wait_for("new")
    assert [line for line in ada.lines if line[0] != "["] == ["meanwhile\n", "new\n"]
    with pytest.raises(EOFError):
        leaver.read()
    new.close()
    let_in(first.accept())  # the node was for once
    ada.leave()
    first.close()
    second.close()


def test_chat_room_ends_where_it_is_sent_away_for_good(house, chat):
    port, api = house.address("tcp")[1], "http://{}:{}".format(*house.address("http"))
    ada = Chat([chat, "ada", api, "127.0.0.1:1", str(port)])
    ada.wait_for("[lost: Connection refused]")  # and then the next place
    ada.wait_for("[online]")
    key, = [connection["key"] for connection in house.backend.data("/goim/connections")["connections"]]
    house.backend.kick(keys=[key])
    try:
        assert ada.process.wait(TIMEOUT) == 1
        ada.wait_for("[kicked]")
    finally:
        ada.close()


def test_chat_example_is_short():
    """What makes it long is to be in the library."""
    assert len((ROOT / "examples/c/chat.c").read_text().splitlines()) < 80


def test_chat_room_of_a_server_without_streams_says_so(chat):
    comet = ScriptedComet()
    ada = Chat([chat, "ada", "http://127.0.0.1:1", comet.port])
    comet.accept().authenticate()
    ada.wait_for("[the server knows no streams]")
    ada.leave()
    comet.close()


# over WebSocket and TLS


class Listen:
    """examples/c/listen.c, and what it says."""

    def __init__(self, *command):
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def ends(self):
        """Its last words, and the exit code."""
        said, _ = self.process.communicate(timeout=TIMEOUT)
        return said.splitlines()[-1], self.process.returncode


@pytest.fixture(scope="module", params=["static", "shared"])
def listen(request, tmp_path_factory):
    return link(tmp_path_factory.mktemp("installed-ws"), request.param, "libcometclient-ws", "listen")


@pytest.mark.parametrize("scheme, listener, path", [("ws", "websocket", "/sub"), ("wss", "websocket-tls", "/sub"), ("wss", "websocket-tls", ""),
                                                    ("tls", "tcp-tls", ""), ("tcp", "tcp", "")])
def test_example_hears_over_each_scheme(house, listen, scheme, listener, path):
    url = f"{scheme}://127.0.0.1:{house.address(listener)[1]}{path}"
    with Listen(listen, url, *([certificate()[0]] if scheme in ("wss", "tls") else [])) as client:
        assert client.line() == "[online]"
        for body in ("hello", "x" * 200_000):
            house.backend.push_room("live://chat", body)
            assert client.line() == body
    house.wait_empty()


def test_example_tells_why_it_is_not_let_in(house, listen):
    ws, wss = (house.address(name)[1] for name in ("websocket", "websocket-tls"))
    with Listen(listen, "nonsense") as client:
        assert client.ends() == ("[Invalid argument: ]", 1)
    with Listen(listen, f"wss://127.0.0.1:{wss}/sub") as client:
        assert client.ends() == ("[Protocol error: its certificate is not accepted: self-signed certificate]", 1)
    with Listen(listen, f"ws://127.0.0.1:{wss}/sub") as client:
        words, code = client.ends()
        assert words.startswith("[Protocol error: no WebSocket server there") and code == 1
    with Listen(listen, f"ws://127.0.0.1:{ws}/other") as client:
        assert client.line() == "[Software caused connection abort: no WebSocket at /other: HTTP 404 Not Found]"


@pytest.mark.parametrize("scheme, listener", [("wss", "websocket-tls"), ("tls", "tcp-tls")])
def test_example_shows_a_certificate(launch, listen, tmp_path, scheme, listener):
    authority = Authority(tmp_path, "ours")
    house = launch({"tls.client_ca": str(authority.cert)})
    cert, key = authority.issue("ann")
    both = tmp_path / "both.pem"
    both.write_text(cert.read_text() + key.read_text())
    url = f"{scheme}://127.0.0.1:{house.address(listener)[1]}"
    with Listen(listen, url, certificate()[0], both) as client:
        assert client.line() == "[online]"
        house.backend.push_room("live://chat", "hello")
        assert client.line() == "hello"
    with Listen(listen, url, certificate()[0], cert) as client:
        assert client.ends() == (f"[Protocol error: {cert} has no key of our certificate that needs no password]", 1)


def test_clients_of_many_threads_do_not_disturb_each_other(house, tmp_path):
    """libwebsockets has counts and numbers of its own in the process."""
    link(tmp_path, "static", "libcometclient-ws", "listen")
    (tmp_path / "many.c").write_text(MANY)
    flags = run("pkg-config", "--cflags", "--libs", "--static", "comet-client-ws",
                env={**os.environ, "PKG_CONFIG_PATH": str(tmp_path / "lib/pkgconfig")}).split()
    run("cc", "-std=gnu11", "-Wall", "-Werror", tmp_path / "many.c", "-o", tmp_path / "many", *flags, "-pthread",
        *FLAGS.get(BUILD.name, []))
    url = f"wss://127.0.0.1:{house.address('websocket-tls')[1]}/sub"
    done = subprocess.run([tmp_path / "many", url, certificate()[0]], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr, done.returncode) == ("done\n", "", 0)


MANY = r"""
#include <comet_client_ws.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
static struct comet_client_url where;
static void *come_and_go(void *unused)
{
	struct comet_client_options opt = {.mid = 1};
	struct comet_client_goodbye goodbye;
	struct comet_client *c;
	int people;
	for (int i = 0; i < 10; i++) {
		int rc = comet_client_open_url(&where, &opt, &c, &goodbye);
		if (rc == 0)
			rc = comet_client_heartbeat(c, &people);
		if (rc != 0)
			fprintf(stderr, "%d %s\n", rc, goodbye.reason), exit(1);
		comet_client_close(&c);
	}
	return unused;
}
int main(int argc, char **argv)
{
	pthread_t threads[8];
	struct sigaction action;
	where = (struct comet_client_url){.url = argv[argc - 2], .ca_file = argv[argc - 1]};
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, come_and_go, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	sigaction(SIGPIPE, NULL, &action);
	return action.sa_handler == SIG_DFL && puts("done") >= 0 ? 0 : 1;
}
"""
