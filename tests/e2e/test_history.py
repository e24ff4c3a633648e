"""What a program keeps of its own last five minutes and last day: docs/http-api.md, "The last day".

SPDX-License-Identifier: MIT"""
import re
import signal
import time

import pytest

import tokens
from client import WAYS, Client
from server import ROOT
from waiting import wait_until

pytestmark = pytest.mark.ways("tcp-v2")
TCP = next(way for way in WAYS if way.name == "tcp-v2")
PATH = "/metrics/history"


def histories(house):
    """Of the program with the API, and of the comet: two in a cluster."""
    return [house.backend, house._own] if hasattr(house, "_own") else [house.backend]


def seconds(backend, **params):
    answer = backend.get(PATH, **params).json()
    assert answer["code"] == 0, answer
    return answer["data"]


def total(data, figure):
    return sum(n for n in data["sum"][figure] if n is not None)


def come(house, n, **who):
    return [Client(TCP, house.address("tcp")).auth(mid=i + 1, **who) for i in range(n)]


def test_what_happened_is_in_the_seconds_of_each_program(launch):
    house = launch()
    clients = come(house, 3, room="live://1")
    wait_until(lambda: house.backend.data("/goim/nodes/instances")[0]["conn_count"] == 3, "they are counted")
    # comet-logic counts what it sees grow: it has to have seen the comet once
    wait_until(lambda: all(seconds(backend)["sum"]["connections"][-1:] == [3] for backend in histories(house)), "both say so")
    for _ in range(5):
        house.backend.push_room("live://1", "hello")
    for client in clients:
        client.recv_many(5)
    for backend in histories(house):
        wait_until(lambda: total(seconds(backend), "delivered") == 15, lambda: seconds(backend))
        assert total(seconds(backend), "dropped") == 0
    own = histories(house)[-1]
    data = seconds(own)
    assert total(data, "pushes") == 5 and total(data, "authenticated") == 3 and max(data["sum"]["rooms"]) == 1
    assert total(data, "bytes_out") == house.metrics().total("comet_bytes_out_total")
    for client in clients:
        client.close()
    wait_until(lambda: total(seconds(own), "closed") == 3, lambda: seconds(own))
    assert total(seconds(own), "closed_badly") == 0
    rude = Client(TCP, house.address("tcp"))
    rude.sock.sendall(b"\xff" * 16)
    wait_until(lambda: total(seconds(own), "closed_badly") == 1, lambda: seconds(own))
    rude.close()
    assert total(seconds(own), "closed") == 4


def test_refusals_are_there(launch):
    house = launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}"})
    stranger = Client(TCP, house.address("tcp"))
    stranger.send(7, b"no token")
    wait_until(lambda: total(seconds(histories(house)[-1]), "auth_refused") == 1, lambda: seconds(house.backend))
    if len(histories(house)) == 2:
        wait_until(lambda: total(seconds(house.backend), "auth_failures") == 1, lambda: seconds(house.backend))
    stranger.close()


def test_time_goes_on_by_seconds(launch):
    house = launch()
    for backend in histories(house):
        began = time.time() * 1000
        first = wait_until(lambda: (seconds(backend)["sum"]["connections"] or None) and seconds(backend), "a second is over")
        later = wait_until(lambda: (seconds(backend)["to_ms"] > first["to_ms"]) and seconds(backend), "another is over")
        assert first["step_s"] == 1 and abs(later["since_ms"] - first["since_ms"]) < 500
        assert (later["to_ms"] - later["since_ms"]) == 1000 * len(later["sum"]["connections"])
        assert abs(first["to_ms"] - began) < 60_000 and first["since_ms"] < time.time() * 1000
        assert len(seconds(backend, last=1)["sum"]["connections"]) == 1
        minutes = seconds(backend, by="minutes")
        assert minutes["step_s"] == 60 and len(minutes["seconds"]) == len(minutes["max"]["connections"]) == len(minutes["sum"]["connections"])


def test_a_reload_keeps_it_and_a_restart_begins_anew(launch):
    house = launch()
    hups = [house.reload_logic, lambda: house.process.send_signal(signal.SIGHUP)]
    for backend, hup in zip(histories(house), hups[-len(histories(house)):]):
        before = wait_until(lambda: seconds(backend)["sum"]["connections"] and seconds(backend), "a second is over")
        told = house.log if backend is histories(house)[-1] else house.logic_log
        hup()
        wait_until(lambda: "SIGHUP: " in told(), told)
        after = seconds(backend)
        assert len(after["sum"]["connections"]) >= len(before["sum"]["connections"])
        assert abs(after["since_ms"] - before["since_ms"]) < 500
    house.stop()
    again = launch()
    assert seconds(again.backend)["since_ms"] >= before["to_ms"]


@pytest.mark.settings("http.api_key=all-of-it")
def test_it_is_for_those_who_may_see_the_metrics(house):
    for backend in histories(house):
        assert backend.get(PATH).status == 200
        key, backend.api_key = backend.api_key, None
        assert backend.get(PATH).status == 401
        backend.api_key = key
        assert backend.post(PATH).status == 405
        assert backend.get(PATH, by="days").status == backend.get(PATH, last="0").status == 400


def test_figures_are_those_of_the_docs(house):
    text = (ROOT / "docs/http-api.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \| [^|]* \|$", text[text.index("### The last day"):], re.M)
    assert len(rows) > 10
    comet = {name for name, at_comet, _ in rows if at_comet == "yes"}
    logic = {name for name, _, at_logic in rows if at_logic == "yes"}
    of = [logic, comet] if len(histories(house)) == 2 else [comet]
    for backend, names in zip(histories(house), of):
        assert set(seconds(backend)["sum"]) == names
        assert set(seconds(backend, by="minutes")["max"]) == names
