"""TLS: certificates by server name, reloaded without anybody noticing, nothing older than TLS 1.2, and no patience with
those who do not finish the handshake. Over both doors; what clients say once they are in is tested in the other files.

SPDX-License-Identifier: MIT"""
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pytest

from authority import Authority
from client import WAYS, Client, Closed, Op, Packet, dial
from server import certificate
from waiting import TIMEOUT, wait_until

DOORS = ["tcp-tls", "websocket-tls"]
door = pytest.mark.parametrize("door", DOORS)


def names_shown(house, door, name):
    """The names in the certificate that somebody gets who asks for this one."""
    context = ssl.create_default_context()
    for known in ("one.test", "two.test", "three.test"):
        context.load_verify_locations(certificate(known)[0])
    context.check_hostname = False
    with socket.create_connection(house.address(door), timeout=TIMEOUT) as plain:
        with context.wrap_socket(plain, server_hostname=name) as tls:
            return [value for kind, value in tls.getpeercert()["subjectAltName"] if kind == "DNS"]


@pytest.fixture
def files(tmp_path):
    """Copies of two certificates, which a test may change."""
    paths = {}
    for name in ("one.test", "two.test"):
        for kind, source in zip(("cert", "key"), certificate(name)):
            paths[name, kind] = tmp_path / f"{name}.{kind}.pem"
            shutil.copy(source, paths[name, kind])
    return paths


@pytest.fixture
def two_names(launch, files):
    return launch({"tls.cert_file": f"{files['one.test', 'cert']}, {files['two.test', 'cert']}",
                   "tls.private_file": f"{files['one.test', 'key']}, {files['two.test', 'key']}"})


@door
def test_certificate_goes_by_the_name_asked_for(two_names, door):
    assert names_shown(two_names, door, "one.test") == ["one.test"]
    assert names_shown(two_names, door, "two.test") == ["two.test"]
    assert names_shown(two_names, door, "unknown.test") == ["one.test"]


def test_reload_changes_certificates_and_drops_nobody(two_names, files):
    online = [Client(way, two_names.address(way.listener)).auth(mid=7) for way in WAYS if way.listener in DOORS]
    for kind, source in zip(("cert", "key"), certificate("three.test")):
        shutil.copy(source, files["two.test", kind])
    two_names.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_done" in two_names.log(), "the log says so")
    for door in DOORS:
        assert names_shown(two_names, door, "three.test") == ["three.test"]
        assert names_shown(two_names, door, "one.test") == ["one.test"]
    for client in online:
        client.heartbeat()
        client.close()


def test_reload_that_fails_keeps_the_old_certificates(two_names, files):
    files["two.test", "cert"].write_text("no certificate")
    two_names.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_failed" in two_names.log(), "the log says so")
    for door in DOORS:
        assert names_shown(two_names, door, "two.test") == ["two.test"]


def test_key_of_another_certificate_is_found_at_the_start(tmp_path):
    import subprocess
    from server import BUILD
    ended = subprocess.run([BUILD / "comet", "-o", "tcp.bind=127.0.0.1:0", "-o", "websocket.bind=", "-o", "http.bind=",
                            "-o", "tcp.tls_bind=127.0.0.1:0", "-o", f"tls.cert_file={certificate('one.test')[0]}",
                            "-o", f"tls.private_file={certificate('two.test')[1]}"],
                           capture_output=True, text=True, timeout=TIMEOUT)
    assert ended.returncode == 2
    assert "belongs to another certificate" in ended.stderr and "tls.private_file" in ended.stderr


def context(version=None):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    if version is not None:
        made.set_ciphers("ALL:@SECLEVEL=0")
        made.minimum_version = made.maximum_version = version
    return made


def good_client(house, door):
    client = Client(next(way for way in WAYS if way.listener == door), house.address(door)).auth(mid=8)
    client.heartbeat()
    client.close()


@door
@pytest.mark.parametrize("stays", [False, True], ids=["gone", "silent"])
def test_goodbye_to_who_does_not_take_it_costs_neither_time_nor_files(house, door, stays):
    """A write that fails for good, and a peer that is just there: TLS has a goodbye of its own, and nobody waits for it."""
    way = next(way for way in WAYS if way.listener == door)
    files = house.files()
    clients = [Client(way, house.address(door)).auth(mid=7) for _ in range(20)]
    before = house.cpu_ticks()
    house.backend.kick(mids=[7])
    for client in clients:
        assert client.expect_goodbye()["code"] == 1
        if not stays:
            client.close()
    house.wait_empty()
    wait_until(lambda: house.files() <= files + 1, "their files are closed", 6)
    assert house.cpu_ticks() - before < 100, "it went round and round"
    for client in clients:
        client.close()


@door
def test_tls_1_2_and_1_3_are_spoken_and_nothing_older(house, door):
    for version, name in ((ssl.TLSVersion.TLSv1_2, "TLSv1.2"), (ssl.TLSVersion.TLSv1_3, "TLSv1.3")):
        with socket.create_connection(house.address(door), timeout=TIMEOUT) as plain:
            with context(version).wrap_socket(plain) as tls:
                assert tls.version() == name
                assert "GCM" in tls.cipher()[0] or "CHACHA20" in tls.cipher()[0]
    with socket.create_connection(house.address(door), timeout=TIMEOUT) as plain:
        with pytest.raises((ssl.SSLError, ConnectionError)), pytest.warns(DeprecationWarning):
            context(ssl.TLSVersion.TLSv1_1).wrap_socket(plain)
    house.wait_empty()


@door
@pytest.mark.settings("protocol.handshake_timeout=1s")
@pytest.mark.parametrize("said, reason", [(Packet(Op.AUTH, b"7").encode(), "tls_failed"),
                                          (b"GET /sub HTTP/1.1\r\nHost: x\r\n\r\n", "tls_failed"),
                                          (b"\x16\x03\x01\0\x05" + b"hello" * 20, "tls_failed"),
                                          # The beginning of a record of 5,635 bytes, of which no more come.
                                          (b"\x16\x03\x01" * 99, "handshake_timeout")],
                         ids=["a packet", "HTTP", "no hello", "half a record"])
def test_what_is_no_tls_is_closed(house, door, said, reason):
    with dial(house.address(door)) as plain:
        plain.settimeout(TIMEOUT)
        plain.connect(house.address(door))
        plain.sendall(said)
        try:
            while plain.recv(4096):
                pass
        except ConnectionError:
            pass
    house.wait_metric("comet_closed_total", 1, reason=reason)
    house.wait_empty()
    assert house.metrics()("comet_authenticated_total") == 0
    good_client(house, door)


@door
def test_record_that_is_broken_ends_the_connection(house, door):
    client = Client(next(way for way in WAYS if way.listener == door), house.address(door)).auth(mid=7)
    client.send_bytes(b"\x17\x03\x03\0\x20" + b"x" * 32)
    with pytest.raises((Closed, ssl.SSLError)):
        client.recv()
    house.wait_metric("comet_closed_total", 1, reason="tls_failed")
    client.close()
    good_client(house, door)


@door
@pytest.mark.settings("protocol.handshake_timeout=500ms")
def test_handshake_that_stops_half_way_is_closed_at_its_deadline(house, door):
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    sockets = []
    for cut in (0, 1, 5, 100, len(hello)):
        sockets.append(socket.create_connection(house.address(door), timeout=TIMEOUT))
        sockets[-1].sendall(hello[:cut])
    house.wait_metric("comet_closed_total", 5, reason="handshake_timeout")
    for one in sockets:
        one.close()
    house.wait_empty()
    good_client(house, door)


@pytest.mark.ways("tls-v2")
@pytest.mark.settings("tcp.sndbuf=4k")
def test_records_that_the_socket_takes_in_part_arrive_whole_and_in_order(connect, backend):
    client = connect(mid=7, rcvbuf=4096)
    bodies = [f"{i:06}" + "x" * (i * 37 % 9000) for i in range(60)]
    with backend.kept_alive():
        for body in bodies:
            backend.push_mids([7], body)
    for i in range(20):
        client.send(Op.HEARTBEAT, seq=10_000 + i)
    packets = client.recv_many(80, timeout=4 * TIMEOUT)  # by timers of the kernel, some 200 ms each, where a side is late
    assert [p.body.decode() for p in packets if p.op == 1000] == bodies
    assert [p.seq for p in packets if p.op == Op.HEARTBEAT_REPLY] == [10_000 + i for i in range(20)]


# ---- records


def application_records(data):
    """How many TLS records of application data stand in these bytes."""
    count = at = 0
    while at < len(data):
        count += data[at] == 23
        at += 5 + int.from_bytes(data[at + 3:at + 5], "big")
    return count


@pytest.mark.ways("tls-v2")
@pytest.mark.settings("protocol.cli_proto=64")
def test_what_is_answered_at_once_shares_records(connect, monkeypatch):
    client = connect(mid=7)
    data = bytearray()
    feed = client._codec.feed
    monkeypatch.setattr(client._codec, "feed", lambda more: data.extend(more) or feed(more))
    client.send_packets(*(Packet(Op.HEARTBEAT, seq=i) for i in range(64)))
    assert [p.seq for p in client.recv_many(64)] == list(range(64))
    assert application_records(data) <= 32


@pytest.mark.ways("tls-v2")
@pytest.mark.settings("tcp.sndbuf=4k", "protocol.svr_proto=2000", "protocol.write_timeout=60s")
def test_small_messages_pass_a_narrow_socket_whole_and_in_order(connect, backend, house):
    """Records are taken in part, and end everywhere in a message; answers come in between."""
    client = connect(mid=7, rcvbuf=4096)
    bodies = [f"{i} " + "x" * (i * 7 % 97 * 3) for i in range(1200)]
    asked = 0
    with backend.kept_alive():
        for i, body in enumerate(bodies):
            backend.push_mids([7], body)
            if i % 3 == 0:
                client.send_bytes(client.encode(Packet(Op.HEARTBEAT, seq=i)))
                asked += 1
    # Where a side is late, so narrow a window opens by the kernel's timers, some 200 ms each time.
    came = client.recv_many(len(bodies) + asked, timeout=4 * TIMEOUT)
    assert [p.body.decode() for p in came if p.op == 1000] == bodies
    assert [p.seq for p in came if p.op == Op.HEARTBEAT_REPLY] == list(range(0, len(bodies), 3))
    house.wait_metric("comet_delivered_total", len(bodies))


# ---- who comes again


def resumed(house, listener, context, session=None):
    """Is the handshake of who shows this session a short one? And the session for the next time."""
    with socket.create_connection(house.address(listener), timeout=TIMEOUT) as sock:
        with context.wrap_socket(sock, server_hostname="comet.test", session=session) as tls:
            if listener == "websocket-tls":  # with TLS 1.3 the tickets come with the first answer
                tls.sendall(b"GET / HTTP/1.1\r\n\r\n")
            else:
                tls.sendall(Packet(Op.AUTH, b'{"mid":7}', seq=1).encode())
            tls.recv(4096)
            return tls.session_reused, tls.session


@pytest.mark.own_house
@pytest.mark.parametrize("listener", ["tcp-tls", "websocket-tls"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_who_comes_again_is_spared_the_signature_also_after_one_sighup(house, listener, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = version
    reused, session = resumed(house, listener, context)
    assert not reused
    for sighups, wanted in ((0, True), (1, True), (1, False)):
        for _ in range(sighups):
            before = house.log().count("event=reload_done")
            house.process.send_signal(signal.SIGHUP)
            wait_until(lambda before=before: house.log().count("event=reload_done") > before, "the log says so")
        assert resumed(house, listener, context, session)[0] == wanted, (sighups, wanted)


# ---- strangers who want signatures


def test_signatures_for_strangers_leave_half_of_the_cores_to_those_who_are_served(launch):
    """And resumed sessions, which need none, pass those who wait."""
    cert, key = certificate("large.test", ("rsa:4096",))
    house = launch({"tls.cert_file": cert, "tls.private_file": key})
    client = context()
    _, session = resumed(house, "tcp-tls", client)
    host, port = house.address("tcp-tls")
    strangers = [subprocess.Popen(["openssl", "s_time", "-connect", f"{host}:{port}", "-new", "-time", "3"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) for _ in range(16)]
    try:
        wait_until(lambda: house.metrics()("comet_tls_waited_total") > 10, "strangers wait for each other")
        good_client(house, "tcp")
        assert resumed(house, "tcp-tls", client, session)[0]
        assert all(stranger.wait(TIMEOUT) == 0 for stranger in strangers), "a stranger got no signature"
    finally:
        for stranger in strangers:
            stranger.kill()
            stranger.wait()
    assert house.metrics()("comet_closed_total", reason="handshake_timeout") == 0


def test_certificate_that_has_expired_is_told_of_and_used(launch, tmp_path):
    ours = Authority(tmp_path, "ours")
    cert, key = ours.issue("one.test", usage="serverAuth", ends=-60)
    house = launch({"tls.cert_file": cert, "tls.private_file": key})
    way = next(way for way in WAYS if way.name == "tls-v2")
    Client(way, house.address("tcp-tls")).auth(mid=7).close()
    told = [line for line in house.log().splitlines() if "event=certificate_not_valid" in line]
    assert told and all('why="it has expired"' in line and f"file={cert}" in line for line in told), house.log()
    for place, good in zip((cert, key), certificate()):
        shutil.copy(good, place)
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_done" in house.log(), "the log says so")
    assert [line for line in house.log().splitlines() if "event=certificate_not_valid" in line] == told


def test_when_the_first_certificate_ends_is_a_figure(launch, tmp_path):
    """Of those that are used: an alert has it before clients do."""
    ours = Authority(tmp_path, "ours")
    day = 24 * 3600
    pairs = [ours.issue(f"{name}.test", usage="serverAuth", ends=days * day) for name, days in (("one", 30), ("two", 1))]
    house = launch({"tls.cert_file": ",".join(str(cert) for cert, _ in pairs), "tls.private_file": ",".join(str(key) for _, key in pairs)})

    def days_left():
        return round((house.metrics()("comet_certificate_ends_seconds") - time.time()) / day, 1)

    assert days_left() == 1
    for place, renewed in zip(pairs[1], ours.issue("two.test", usage="serverAuth", ends=90 * day)):
        shutil.copy(renewed, place)
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: days_left() == 30, "the other one is the first now")
    pairs[0][0].write_text("no certificate")
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "event=reload_failed" in house.log(), "it is not taken")
    assert days_left() == 30
