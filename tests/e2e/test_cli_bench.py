"""comet-cli bench: what it counts is what happened. Against a scripted server, which can lose, double and reorder.

SPDX-License-Identifier: MIT
"""

import concurrent.futures
import json
import os
import signal
import subprocess

import pytest

from scripted_comet import DEADLINE_S, ScriptedApi, ScriptedComet
from test_cli import CLI, DONE, OK, REFUSED, UNREACHABLE, USAGE, run


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
    assert b"holding" in running.process.stderr.readline()
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
