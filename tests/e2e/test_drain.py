"""SIGTERM sends everybody away, spread over server.drain_timeout, and ends with 0; a second signal ends at once.

SPDX-License-Identifier: MIT"""
import concurrent.futures
import http.client
import json
import os
import select
import signal
import socket
import threading
import time

import pytest

from client import Client, Closed, Op
from conftest import Connect
from server import Comet, house_class
from swarm import Swarm
from waiting import TIMEOUT, Deadline, scaled, wait_until


def goodbyes(crowd, clock):
    """Take what comes until all are closed; when each was told, in seconds by `clock`."""
    told = {}

    def all_closed():
        for member in crowd.members:
            if member not in told and member.said_goodbye():
                told[member] = clock()
                crowd.leave(member)  # as a good client does
        return len(told) == len(crowd.members)

    crowd.pump(all_closed)
    return told


@pytest.mark.settings("server.drain_timeout=2s")
def test_all_are_told_spread_over_the_time(swarm, house):
    n = scaled(400, 40)
    crowd = swarm(n, lambda i: {"mid": i + 1, "key": f"k{i}"})
    start = time.monotonic()
    house.terminate()
    told = sorted(goodbyes(crowd, lambda: time.monotonic() - start).values())
    assert all(m.said_goodbye()["code"] == 4 for m in crowd.members)
    assert told[n // 2] > 0.5 and told[-1] > 1.5, "not all at once"
    assert house.wait() == 0


@pytest.mark.settings("server.drain_timeout=600s")
def test_drain_ends_when_the_last_client_has_gone(connect, house):
    client = connect(mid=7)
    house.terminate()
    assert client.expect_goodbye()["code"] == 4
    client.close()
    assert house.wait() == 0


@pytest.mark.settings("server.drain_timeout=500ms")
def test_client_that_does_not_close_does_not_hold_it_up(connect, house):
    deaf = connect(mid=7)
    silent = connect.raw()  # still in the handshake
    house.terminate()
    assert deaf.expect_goodbye()["code"] == 4
    assert house.wait() == 0
    silent.close()


@pytest.mark.settings("server.drain_timeout=60s")
def test_draining_is_told_and_nobody_comes_in(connect, house, backend):
    first, second = connect(mid=1), connect(mid=2)
    assert backend.get("/readyz").status == 200
    house.terminate()
    wait_until(lambda: backend.get("/readyz").status == 503, "/readyz says no")
    assert backend.get("/healthz").status == 200
    wait_until(lambda: not house.is_accepting(), "connecting is refused")
    # The first is told at once, the second after half the time; until then it is served.
    told, _, _ = select.select([first.sock, second.sock], [], [], TIMEOUT)
    left = second if first.sock in told else first
    backend.push_all("still served")
    left.expect_push(1000, b"still served")
    left.close()
    assert house.wait() == 0


@pytest.mark.settings("server.drain_delay=1s")
@pytest.mark.ways("tcp-v2")
def test_clients_come_in_until_balancers_have_seen_the_end(connect, house, backend):
    house.terminate()
    wait_until(lambda: backend.get("/readyz").status == 503, "/readyz says no")
    late = connect(mid=1)  # sent here by a balancer that does not know yet
    backend.push_mids([1], "served")
    late.expect_push(1000, b"served")
    assert late.expect_goodbye()["code"] == 4
    late.close()
    assert house.wait() == 0


@pytest.mark.settings("server.drain_timeout=600s")
@pytest.mark.parametrize("first, second", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)])
@pytest.mark.ways("tcp-v2")
def test_second_signal_ends_at_once(way, launch, first, second):
    # The threads that this ends in the middle of their work are no leak.
    house = launch(environment={"TSAN_OPTIONS": os.environ.get("TSAN_OPTIONS", "") + " report_thread_leaks=0"})
    connect = Connect(way, house)
    for mid in range(1, 9):
        connect(mid=mid)
    house.process.send_signal(first)
    wait_until(lambda: not house.is_accepting(), "draining has begun")
    house.process.send_signal(second)
    house.wait()
    house.assert_clean_log()
    house.ended_by_test = True  # not with 0: it left clients behind
    connect.close()


@pytest.mark.settings("server.drain_timeout=2s")
def test_each_push_accepted_while_draining_is_delivered_or_the_client_was_told(way, house, backend):
    """A client gets an unbroken run of what was accepted, then op 6: nothing in the middle is lost."""
    with Swarm(way, house.address(way.listener), 50, lambda i: {"mid": i + 1, "key": f"k{i}"}) as crowd:
        crowd.connect()
        deadline = Deadline()
        accepted = 0
        house.terminate()
        while any(not m.closed and not m.said_goodbye() for m in crowd.members):
            assert not deadline.passed(), str(crowd)
            if accepted < 2000:
                try:
                    backend.push_all(f"{accepted}")
                    accepted += 1
                except (OSError, http.client.HTTPException, AssertionError):
                    pass  # it was not accepted: the API may be gone already
            crowd.take_what_is_here()
        for m in crowd.members:
            assert m.said_goodbye()["code"] == 4
            got = [p.body for p in m.packets[:-1]]
            assert got == [b"%d" % i for i in range(len(got))], m.packets
        assert any(len(m.packets) > 1 for m in crowd.members), f"{accepted} were accepted, and nobody got one"
    assert house.wait() == 0


@pytest.mark.settings("server.drain_timeout=600s")
def test_signal_without_clients_ends_at_once(house):
    house.terminate()
    assert house.wait() == 0


def test_hangup_changes_nothing(connect, house):
    client = connect(mid=7)
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_" in house.log(), "the signal was taken")
    client.heartbeat()


def test_back_end_that_waits_for_packets_is_answered_and_holds_nothing_up(house):
    with socket.create_connection(house.address("http"), timeout=TIMEOUT) as sock:
        sock.sendall(b"GET /goim/upstream?after=0&wait=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        wait_until(lambda: reads_all_of(house, sock), "the request has been read")
        house.terminate()
        response = http.client.HTTPResponse(sock)
        response.begin()
        assert json.loads(response.read()) == {"code": 0, "message": "", "data": []}
    assert house.wait() == 0


def reads_all_of(house, sock):
    """Has the server taken all that was sent to it? Its end of the connection, in the kernel's table."""
    here, there = sock.getsockname()[1], sock.getpeername()[1]
    with open(f"/proc/{house.pid}/net/tcp", encoding="ascii") as table:
        for line in table.read().splitlines()[1:]:
            _, local, remote, _, queues = line.split()[:5]
            if (int(local.split(":")[1], 16), int(remote.split(":")[1], 16)) == (there, here):
                return int(queues.split(":")[1], 16) == 0
    return False


@pytest.mark.settings("server.drain_timeout=0", "server.drain_grace=60s")
def test_who_was_told_to_go_is_served_until_it_goes(connect, house, backend):
    """Between op 6 and the end of the grace all is as before: pushes, heartbeats, answers. Then no second goodbye."""
    client = connect(mid=7)
    house.terminate()
    goodbye = client.expect(Op.DISCONNECT).json()
    assert goodbye["code"] == 4 and "nodes" not in goodbye, "alone, there is nowhere else to go"
    backend.push_mids([7], b"after the goodbye")
    client.expect_push(1000, b"after the goodbye")
    client.heartbeat()
    client.close()
    assert house.wait() == 0


@pytest.mark.settings("server.drain_timeout=0", "server.drain_grace=200ms")
def test_who_does_not_go_is_closed_when_the_grace_is_over(connect, house):
    client = connect(mid=7)
    house.terminate()
    assert client.expect_goodbye()["code"] == 4
    client.close()
    assert house.wait() == 0


def is_let_in(client):
    """False: it was sent away in words, by one that was going just then."""
    try:
        return client.recv().op == Op.AUTH_REPLY
    except Closed as closed:
        if "goodbye" not in str(closed):
            raise
        return False


@pytest.mark.settings("server.reuse_port=yes", "server.drain_timeout=0", "server.drain_grace=60s")
@pytest.mark.ways("tcp-v2", "ws-v2")
def test_second_process_takes_the_addresses_over_and_nobody_is_refused(way, launch):
    """Clients come all the time; the old one goes in their midst. Each gets in, or is told to come again: none is refused
    or reset."""
    old = launch()
    # In a cluster the HTTP port that is known is that of the logic, which stays where it is.
    names = ["tcp", "websocket"] + (["http"] if house_class() is Comet else [])
    addresses = {f"{name}.bind": "%s:%d" % old.address(name) for name in names}
    stays = Connect(way, old)(mid=1)
    new = launch(addresses)
    came = []
    stop = threading.Event()

    def keep_coming():
        while not stop.is_set():
            client = Client(way, new.address(way.listener))
            client.send_auth()
            if is_let_in(client):
                came.append(client)
            client.close()

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        threads = [pool.submit(keep_coming) for _ in range(4)]
        try:
            wait_until(lambda: len(came) > 50 or any(t.done() for t in threads), "clients come")
            old.terminate()
            assert stays.expect(Op.DISCONNECT).json()["code"] == 4
            before = len(came)
            wait_until(lambda: len(came) > before + 100 or any(t.done() for t in threads), "clients go on coming")
        finally:
            stop.set()  # the pool waits for them
        for thread in threads:
            thread.result()
    stays.close()
    assert old.wait() == 0


def test_without_reuse_port_a_second_process_does_not_start(house, launch):
    with pytest.raises(AssertionError, match="event=listen_failed"):
        launch({"tcp.bind": "%s:%d" % house.address("tcp")})


@pytest.mark.settings("server.drain_timeout=0", "server.drain_grace=100ms")
@pytest.mark.ways("tcp-v2")
def test_those_whom_the_kernel_took_already_are_let_in_or_told(way, house):
    """They connected before the signal came; closing the socket over them would reset them."""
    house.freeze()
    clients = [Client(way, house.address("tcp")) for _ in range(scaled(200, 50))]
    for client in clients:
        client.send_auth()
    house.terminate()
    house.thaw()
    for client in clients:
        assert client.recv().op in (Op.AUTH_REPLY, Op.DISCONNECT)
    for client in clients:
        client.close()
    assert house.wait() == 0


@pytest.mark.settings("server.drain_timeout=0", "server.drain_grace=100ms", "tcp.proxy_protocol=on")
@pytest.mark.ways("tcp-v2")
def test_those_whom_a_balancer_sent_before_the_signal_are_let_in_or_told(way, house):
    house.freeze()
    clients = [Client(way, house.address("tcp")) for _ in range(scaled(200, 50))]
    for client in clients:
        client.send_bytes(b"PROXY TCP4 192.0.2.7 10.0.0.1 51234 3101\r\n")
        client.send_auth()
    silent = Client(way, house.address("tcp"))
    house.terminate()
    house.thaw()
    for client in clients:
        assert client.recv().op in (Op.AUTH_REPLY, Op.DISCONNECT)
    for client in clients:
        client.close()
    silent.close()
    assert house.wait() == 0
