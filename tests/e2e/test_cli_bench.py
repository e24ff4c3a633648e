"""comet-cli bench: what it counts is what happened. Against a scripted server, which can lose, double and reorder.

SPDX-License-Identifier: MIT
"""

import concurrent.futures
import json
import os
import signal
import subprocess

import pytest

from authority import Authority
from scripted_comet import DEADLINE_S, ScriptedApi, ScriptedComet, packet
from server import certificate
from test_cli import CLI, DONE, OK, REFUSED, UNREACHABLE, USAGE, run
from waiting import wait_until


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


class Bench:
    """A comet-cli bench that runs beside the test."""

    def __init__(self, kind, port, *args):
        self.process = subprocess.Popen([CLI, "bench", kind, "--port", port, "--json", "--settle", "50ms",
                                         *args], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)

    def result(self):
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, json.loads(out), err.decode()

    def close(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def bench():
    running = []

    def start(*args):
        running.append(Bench(*args))
        return running[-1]

    yield start
    for one in running:
        one.close()


def accept(scripted, n):
    """n authenticated peers, and the tokens they said."""
    peers = [scripted.accept() for _ in range(n)]
    return peers, [json.loads(peer.authenticate().body) for peer in peers]


def start_fanout(bench, scripted, api, n, *args):
    running = bench("fanout", scripted.port, "--http", api.address, "-n", str(n), *args)
    return running, accept(scripted, n)[0]


def take_pushes(api, n):
    """Say yes to n pushes and give back their bodies."""
    for _ in range(n):
        api.will_answer(200, DONE)
    return [api.call().body for _ in range(n)]


def test_connections_take_turns_at_the_ports_of_a_cluster(bench, scripted):
    other = ScriptedComet()
    try:
        running = bench("connect", f"{scripted.port},{other.port}", "-n", "4", "--duration", "50ms")
        users = [sorted(json.loads(one.accept().authenticate().body)["mid"] for _ in range(2)) for one in (scripted, other)]
        code, result, _ = running.result()
    finally:
        other.close()
    assert (code, result["online"]) == (OK, 4)
    assert users == [[1, 3], [2, 4]]


@pytest.mark.parametrize("ports", ["0", "65536", "3101,x", "", ",".join(str(port) for port in range(1, 18))])
def test_ports_that_are_none_are_refused(ports):
    code, out, err = run("bench", "connect", "--port", ports)
    assert (code, out) == (USAGE, "")
    assert "--port" in err


def test_each_connection_is_a_user_of_its_own_in_one_room(bench, scripted):
    running = bench("connect", scripted.port, "-n", "3", "--mid", "50", "--duration", "100ms")
    _, tokens = accept(scripted, 3)
    assert sorted(token["mid"] for token in tokens) == [50, 51, 52]
    assert len({token["room_id"] for token in tokens}) == 1
    code, result, _ = running.result()
    assert code == OK
    assert (result["online"], result["failed"], result["lost"], result["clean"]) == (3, 0, 0, True)
    assert result["handshake_p50_ms"] <= result["handshake_p99_ms"] <= result["handshake_max_ms"]


def test_all_delivered_once_and_in_order_is_clean(bench, scripted, api):
    running, peers = start_fanout(bench, scripted, api, 3, "--rate", "20", "--duration", "500ms", "--size", "1000")
    for body in take_pushes(api, 10):
        assert len(body) == 1000 and json.loads(body)["run"]
        for peer in peers:
            peer.send(1000, body)
    code, result, _ = running.result()
    assert code == OK
    assert (result["pushes_due"], result["pushes_accepted"]) == (10, 10)
    assert (result["delivered"], result["missing"], result["duplicates"], result["reordered"]) == (30, 0, 0, 0)
    assert 0 < result["delivery_p50_ms"] <= result["delivery_max_ms"] < DEADLINE_S * 1000


def test_losses_duplicates_and_changes_of_order_are_counted(bench, scripted, api):
    running, (good, bad) = start_fanout(bench, scripted, api, 2, "--rate", "20", "--duration", "250ms")
    bodies = take_pushes(api, 5)
    for body in bodies:
        good.send(1000, body)
    for i in (0, 3, 1, 3):  # 2 and 4 never come, 1 comes after 3, 3 comes twice
        bad.send(1000, bodies[i])
    bad.send(1000, b"of somebody else")
    code, result, _ = running.result()
    assert code == REFUSED
    assert not result["clean"]
    assert result["delivered"] == 5 + 3
    assert (result["missing"], result["duplicates"], result["reordered"], result["foreign"]) == (2, 1, 1, 1)


def test_what_a_closed_connection_missed_is_lost_and_said(bench, scripted, api):
    running, (stays, goes) = start_fanout(bench, scripted, api, 2, "--rate", "20", "--duration", "250ms")
    (first,) = take_pushes(api, 1)
    for peer in (stays, goes):
        peer.send(1000, first)
    goes.send(6, b'{"code":3,"reason":"reads more slowly"}')
    for body in take_pushes(api, 4):
        stays.send(1000, body)
    code, result, _ = running.result()
    assert code == REFUSED
    assert (result["delivered"], result["missing"], result["missing_on_lost"], result["lost"]) == (6, 4, 4, 1)
    assert result["reasons"] == {"online: op 6: reads more slowly": 1}


def test_refused_pushes_are_not_due_to_anybody(bench, scripted, api):
    running, (peer,) = start_fanout(bench, scripted, api, 1, "--rate", "20", "--duration", "100ms")
    api.will_answer(200, b'{"code":-500,"message":"no"}')
    api.will_answer(200, DONE)
    api.call()
    peer.send(1000, api.call().body)
    code, result, _ = running.result()
    assert code == REFUSED
    assert (result["pushes_accepted"], result["pushes_refused"], result["missing"]) == (1, 1, 0)


def test_echo_sends_the_next_when_the_answer_is_there(bench, scripted):
    running = bench("echo", scripted.port, "-n", "1", "--duration", "1m")
    (peer,), _ = accept(scripted, 1)
    answered = 0
    try:
        while True:
            if answered == 20:
                running.process.send_signal(signal.SIGINT)
            beat = peer.read()
            assert beat.op == 2
            peer.send(3, b"\0\0\0\1", seq=beat.seq)
            answered += 1
    except (EOFError, ConnectionError):
        pass
    code, result, _ = running.result()
    assert code == REFUSED and result["interrupted"]
    assert result["echoes"] in (answered, answered - 1) and answered >= 20


def test_churn_comes_again_and_again(bench, scripted):
    running = bench("churn", scripted.port, "-n", "1", "--duration", "1m")
    cycles = 20
    for _ in range(cycles):
        scripted.accept().authenticate()
    running.process.send_signal(signal.SIGINT)
    code, result, _ = running.result()
    assert code == REFUSED and result["interrupted"]
    assert result["online"] in (cycles, cycles - 1)


def test_processes_share_the_connections(bench, scripted):
    running = bench("connect", scripted.port, "-n", "5", "--processes", "3", "--duration", "100ms")
    _, tokens = accept(scripted, 5)
    assert sorted(token["mid"] for token in tokens) == [1, 2, 3, 4, 5]
    code, result, _ = running.result()
    assert code == OK and result["processes"] == 3 and result["online"] == 5


def test_more_than_one_process_may_have_takes_more_processes(bench, scripted):
    limit = 40
    running = subprocess.Popen(["bash", "-c", 'ulimit -n %d; exec "$0" "$@"' % limit, CLI, "bench", "connect", "--port",
                                scripted.port, "-n", "20", "--duration", "100ms", "--json"], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL)
    try:
        accept(scripted, 20)
        out, _ = running.communicate(timeout=DEADLINE_S)
    finally:
        running.kill()
        running.communicate()
    result = json.loads(out)
    assert (running.returncode, result["online"]) == (OK, 20)
    assert result["processes"] == 3  # 8 connections each


def test_refused_connections_are_3_and_say_why(scripted):
    scripted.close()
    code, out, _ = run("bench", "connect", "--port", scripted.port, "-n", "10")
    assert code == UNREACHABLE
    assert "10  connect: Connection refused" in out


def test_silent_server_ends_at_the_handshake_deadline(bench, scripted):
    running = bench("connect", scripted.port, "-n", "2", "--handshake", "300ms")
    code, result, _ = running.result()
    assert code == UNREACHABLE
    assert result["reasons"] == {"auth: took longer than --handshake": 2}


def test_refusals_of_the_server_are_said(bench, scripted):
    running = bench("connect", scripted.port, "-n", "1")
    peer = scripted.accept()
    peer.read()
    peer.send(6, b'{"code":7,"reason":"too many connections"}')
    code, result, _ = running.result()
    assert code == UNREACHABLE
    assert result["reasons"] == {"auth: op 6: too many connections": 1}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_ends_it_with_what_was_found(bench, scripted, number):
    running = bench("connect", scripted.port, "-n", "2", "--duration", "1m")
    accept(scripted, 2)
    assert any(b"holding" in line for line in running.process.stderr)
    running.process.send_signal(number)
    code, result, _ = running.result()
    assert code == REFUSED
    assert result["interrupted"] and result["online"] == 2


def test_load_processes_end_with_the_one_that_directs(bench, scripted):
    running = bench("connect", scripted.port, "-n", "1", "--duration", "1m")
    (peer,), _ = accept(scripted, 1)
    running.process.kill()
    with pytest.raises((EOFError, ConnectionError)):
        peer.read()


def test_usage_of_the_server_is_reported(bench, scripted):
    running = bench("connect", scripted.port, "-n", "1", "--duration", "100ms", "--pid", str(os.getpid()))
    accept(scripted, 1)
    code, result, _ = running.result()
    assert code == OK
    assert result["server_threads"] >= 1 and result["server_rss_mib"] > 1
    assert result["server_cpu_s"] >= 0
    assert {"system_kib_per_connection", "kernel_stack_kib_per_connection", "slab_kib_per_connection",
            "hidden_kib_per_connection"} <= set(result)
    parts = ("sockets", "threads", "own", "hidden")
    assert ("server_half_kib_per_connection" in result) == os.access("/proc/slabinfo", os.R_OK)
    assert result.get("server_half_kib_per_connection", 0) == pytest.approx(
        sum(result.get(f"server_half_{part}_kib", 0) for part in parts), abs=0.01)


def test_table_and_json_say_the_same(scripted):
    with concurrent.futures.ThreadPoolExecutor() as pool:
        done = pool.submit(run, "bench", "connect", "--port", scripted.port, "-n", "2", "--duration", "100ms")
        accept(scripted, 2)
        code, out, _ = done.result(timeout=DEADLINE_S)
    assert code == OK
    assert [line.split() for line in out.splitlines() if "authenticated" in line][0] == ["authenticated", "2"]


# TLS, on a comet and on a scripted server

DOORS = {"tls": "tcp-tls", "wss": "websocket-tls"}
TLS = pytest.mark.parametrize("transport", DOORS)
TRUST = ["--cacert", str(certificate()[0])]


def over(house, transport):
    """The arguments that lead there."""
    return [str(house.address(DOORS[transport])[1]), "--transport", transport]


@pytest.fixture
def scripted_tls():
    server = ScriptedComet(certificate())
    yield server
    server.close()


@TLS
def test_echoes_over_tls(bench, house, transport):
    code, result, _ = bench("echo", *over(house, transport), *TRUST, "-n", "20", "--duration", "500ms").result()
    assert (code, result["transport"], result["clean"]) == (OK, transport, True)
    assert (result["online"], result["failed"], result["lost"]) == (20, 0, 0)
    assert result["echoes"] > 0


@TLS
@pytest.mark.parametrize("size", ["128", "65536"])  # less than a record of TLS, and several
def test_fanout_over_tls_loses_nothing(bench, house, transport, size):
    code, result, err = bench("fanout", *over(house, transport), *TRUST, "--http", "%s:%d" % house.address("http"), "-n", "20",
                              "--rate", "20", "--duration", "500ms", "--size", size, "--processes", "2").result()
    assert code == OK, (result, err)
    assert (result["pushes_accepted"], result["delivered"]) == (10, 200)
    assert (result["missing"], result["duplicates"], result["reordered"], result["foreign"]) == (0, 0, 0, 0)


@TLS
def test_churn_over_tls_comes_again_and_again(bench, house, transport):
    running = bench("churn", *over(house, transport), *TRUST, "-n", "4", "--duration", "1m")
    wait_until(lambda: house.metrics().total("comet_closed_total") > 8, "clients have come again")
    running.process.send_signal(signal.SIGINT)
    code, result, _ = running.result()
    assert (code, result["failed"], result["lost"]) == (REFUSED, 0, 0)
    assert result["online"] > 8
    house.wait_empty()


def test_what_comes_at_once_over_tls_is_all_taken(bench, scripted_tls, api):
    running = bench("fanout", scripted_tls.port, "--transport", "tls", *TRUST, "--http", api.address, "-n", "1", "--rate", "20",
                    "--duration", "50ms")
    (peer,), _ = accept(scripted_tls, 1)
    (push,) = take_pushes(api, 1)
    for i in range(20):  # cut into records anywhere
        peer.send(1000, b"x" * (100_000 + i))
    longest = packet(1000, b"x" * (4 << 20))
    peer.sock.sendall(longest[:-1])
    # One record, of which the bench's buffer has space for a third: no more will come to say that there is a rest.
    peer.sock.sendall(longest[-1:] + packet(1000, b"x" * 1000) * 3 + packet(1000, push))
    code, result, _ = running.result()
    assert (code, result["delivered"], result["foreign"]) == (OK, 1, 24)


def test_the_end_over_tls_is_said_as_without(bench, scripted_tls):
    running = bench("connect", scripted_tls.port, "--transport", "tls", *TRUST, "-n", "2", "--duration", "1m")
    (told, left), _ = accept(scripted_tls, 2)
    assert any(b"holding: open 2" in line for line in running.process.stderr)
    told.send(6, b'{"code":3,"reason":"reads more slowly"}')
    left.close()
    assert any(b"closed by the server 2" in line for line in running.process.stderr)
    running.process.send_signal(signal.SIGINT)
    code, result, _ = running.result()
    assert (code, result["lost"]) == (REFUSED, 2)
    assert result["reasons"] == {"online: op 6: reads more slowly": 1, "online: the peer closed the connection": 1}


@TLS
def test_the_certificate_is_checked(bench, house, transport):
    for args, words in (((), "self-signed certificate"), (("--cacert", str(certificate("other.test")[0])), "self-signed certificate"),
                        (("--host", "localhost", *TRUST), "hostname mismatch")):
        code, result, _ = bench("connect", *over(house, transport), "-n", "3", *args).result()
        assert (code, result["reasons"]) == (UNREACHABLE, {f"tls: its certificate is not accepted: {words}": 3})
    code, result, _ = bench("connect", *over(house, transport), "-n", "3", "--duration", "50ms", "--host", "localhost",
                            "--insecure").result()
    assert (code, result["online"]) == (OK, 3)


@TLS
def test_a_certificate_of_ours_is_shown(bench, launch, tmp_path, transport):
    authority = Authority(tmp_path, "ours")
    guarded = launch({"tls.client_ca": str(authority.cert)})
    cert, key = authority.issue("ann")
    args = ["connect", *over(guarded, transport), *TRUST, "-n", "3", "--duration", "50ms"]
    code, result, _ = bench(*args, "--cert", str(cert), "--cert-key", str(key)).result()
    assert (code, result["online"]) == (OK, 3)
    code, result, _ = bench(*args).result()
    assert code == UNREACHABLE and result["failed"] == 3
    assert all(words.endswith("the server wants a certificate of ours") for words in result["reasons"]), result["reasons"]


def test_no_tls_there_is_said(bench, house):
    for transport, listener in (("tls", "tcp"), ("wss", "websocket")):
        code, result, _ = bench("connect", str(house.address(listener)[1]), "--transport", transport, *TRUST, "-n", "2").result()
        assert code == UNREACHABLE
        assert result["reasons"] == {"tls: no TLS handshake came about": 2}


@TLS
def test_a_server_that_is_silent_in_the_handshake_is_waited_for_to_the_deadline(bench, scripted, transport):
    code, result, _ = bench("connect", scripted.port, "--transport", transport, "-n", "2", "--handshake", "300ms").result()
    assert code == UNREACHABLE
    assert result["reasons"] == {"tls: took longer than --handshake": 2}


def test_wrong_command_lines_of_tls():
    for args, words in ((["--transport", "tls"], "tls has no usual port"),
                        (["--transport", "wss", "--cacert", "/nowhere"], "no certificates to trust could be read from /nowhere"),
                        (["--transport", "wss", "--cert", "/nowhere"], "no certificate of ours could be read from /nowhere")):
        code, out, err = run("bench", "connect", *args)
        assert (code, out) == (USAGE, "")
        assert f"comet-cli bench: {words}" in err
