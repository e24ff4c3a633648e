"""What an operator reads in /metrics adds up, and every number of common/base/counters.def is there.

SPDX-License-Identifier: MIT"""
import re

import pytest

from backend import Backend
from client import WAYS, Client, Op
from cluster_house import ClusterComet
from scrape import Metrics
from server import ROOT
from waiting import wait_until

TCP = next(way for way in WAYS if way.name == "tcp-v2")


def rows():
    """(kind, name, help) of each row of counters.def."""
    text = (ROOT / "common/base/counters.def").read_text()
    found = re.findall(r'^(counter|gauge|counter_by|histogram)\(\w+, "(\w+)", (?:"\w+", |\w+, )?"([^"]*)"', text, re.M)
    assert len(found) > 20
    return found


def test_every_row_of_the_table_is_exposed_with_its_help(house):
    metrics = house.metrics()
    for kind, name, words in rows():
        assert metrics.types[name] == ("counter" if kind == "counter_by" else kind), name
        assert metrics.helps[name] == words, name
        if kind == "counter_by":  # nobody has forgotten to name its values
            assert any(sample == name for sample, _ in metrics.samples), name
    assert house.backend.get("/metrics").headers["content-type"].startswith("text/plain")


def test_process_numbers_are_those_of_the_process(house):
    metrics = house.metrics()
    assert 0.5 < metrics("process_resident_memory_bytes") / house.rss_bytes() < 2
    assert abs(metrics("process_open_fds") - house.files()) <= 3
    assert 5 < metrics("process_threads") < 50
    assert metrics("process_max_fds") > metrics("process_open_fds")
    assert 0 < metrics("comet_connections_limit") < metrics("process_max_fds")


@pytest.mark.ways("tcp-v2")
def test_known_traffic_gives_known_numbers(connect, backend, house):
    clients = [connect(mid=i, key=f"k{i}", room="live://1") for i in (1, 2, 3)]
    for client in clients:
        client.heartbeat()
    clients[0].request(Op.SUB, b"1003")
    clients[0].request(4711)
    backend.push_keys(["k1", "nobody"], "a")
    backend.push_room("live://1", "b")
    backend.push_all("c", op=31337)
    backend.push_all("d")
    for client, n in zip(clients, (3, 2, 2)):
        client.recv_many(n)
    wait_until(lambda: house.metrics()("comet_delivered_total") == 7, "7 are delivered")
    metrics = house.metrics()
    assert metrics("comet_accepted_total", listener="tcp") == 3
    assert metrics("comet_connections") == metrics("comet_online") == metrics("comet_authenticated_total") == 3
    assert metrics("comet_packets_in_total", op="heartbeat") == 3
    assert metrics("comet_packets_in_total", op="sub") == 1
    assert metrics("comet_packets_in_total", op="application") == 1
    assert metrics("comet_answered_total") == 5
    assert metrics("comet_pushes_total", target="keys") == 1
    assert metrics("comet_pushes_total", target="room") == 1
    assert metrics("comet_pushes_total", target="all") == 2
    assert metrics("comet_filtered_total") == 3
    assert metrics.total("comet_closed_total") == 0
    assert metrics("comet_push_jobs") == 0
    for client in clients:
        client.close()
    house.wait_metric("comet_closed_total", 3, reason="client_left")
    metrics = house.metrics()
    assert metrics("comet_connections") == metrics("comet_online") == metrics("comet_rooms") == 0


@pytest.mark.ways("tcp-v2", "ws-v2")
def test_histograms_tell_how_long_and_how_much(connect, backend, house):
    clients = [connect(mid=i, key=f"k{i}") for i in (1, 2)]
    for _ in range(5):
        backend.push_all("x")
    for client in clients:
        client.recv_many(5)
    clients[0].heartbeat()

    def settled():
        metrics = house.metrics()
        # AUTH_REPLY is a frame like others, but no mailbox's on TCP.
        return metrics if metrics.histogram("comet_write_packets").sum in (11, 13) else None

    metrics = wait_until(settled, "ten messages and a reply are written")
    for name, n, most in (("comet_handshake_seconds", 2, 10), ("comet_auth_seconds", 2, 10),
                          ("comet_push_write_seconds", 10, 60)):
        histogram = metrics.histogram(name)
        assert histogram.count == n, name
        assert 0 < histogram.sum < most, name
    depth = metrics.histogram("comet_queue_depth")
    assert depth.count == 10 and 10 <= depth.sum <= 30
    for name in metrics.types:
        if metrics.types[name] == "histogram":
            buckets = metrics.histogram(name).buckets
            assert buckets == sorted(buckets) and buckets[-1] == metrics.histogram(name).count, name


def test_comet_logic_tells_how_long_its_answers_take(tmp_path):
    house = ClusterComet(tmp_path)
    try:
        for key in ("one", "two"):
            Client(TCP, house.address("tcp")).auth(mid=7, key=key).close()
        logic = Backend(house.backend.address)
        metrics = wait_until(lambda: settled(Metrics(logic.get("/metrics").body.decode())), "both came and left")
        assert metrics.histogram("comet_push_write_seconds").count == 0  # that is the comet's to tell
        assert house.metrics().histogram("comet_auth_seconds").count == 2
    finally:
        house.stop()


def settled(metrics):
    """Two connects and two disconnects, and what comet says by itself."""
    answers = metrics.histogram("comet_logic_request_seconds")
    return metrics if answers.count >= 4 and 0 < answers.sum < 10 else None


def test_requests_are_counted_by_status(backend, house):
    before = house.metrics()
    for _ in range(3):
        backend.get("/nothing")
    for _ in range(5):
        backend.get("/healthz")
    after = house.metrics()
    moved = {status: after("comet_http_requests_total", status=status) - before("comet_http_requests_total", status=status)
             for status in ("2xx", "4xx", "5xx")}
    assert moved == {"2xx": 6, "4xx": 3, "5xx": 0}  # the first scrape is counted after it was made
