"""What the log tells of one connection: one event a line, JSON where that is set whatever a key holds, and numbers that join
the lines of comet and of comet-logic.

SPDX-License-Identifier: MIT"""
import json
import pathlib
import re

import pytest

from client import WAYS, Client
from cluster_house import ClusterComet
from waiting import wait_until

TCP = next(way for way in WAYS if way.name == "tcp-v2")

# What would break a line, a quote, or the eye of who reads it. Control characters are no key's: tests/unit/test_log.c has those.
HOSTILE = ['say "hi"', "back\\slash", "\u202egnp.exe", "\u2028", "}{\"level\":\"error\"", "a=b c=d", "ключ", "-", "{}", "' or 1"]


def lines_of(log):
    """Each line of a log in JSON; those on stdout ("listening ...") are none."""
    found = [json.loads(line) for line in log.splitlines() if not line.startswith("listening ")]
    for line in found:
        assert list(line)[:2] == ["time", "level"] and line["event"] and line["message"], line
        assert line["level"] in ("error", "warn", "info", "debug", "trace"), line
    return found


def story(lines, key):
    """What comet says of it; a comet alone has the lines of logic, too, which know no conn."""
    return [(line["event"], line["conn"]) for line in lines
            if line.get("key") == key and "conn" in line and line["level"] != "trace"]


@pytest.mark.settings("log.format=json", "log.level=debug")
def test_hostile_keys_make_no_line_that_is_not_json(house):
    for key in HOSTILE:
        client = Client(TCP, house.address("tcp")).auth(mid=1, key=key)
        client.close()

    def all_told():
        lines = lines_of(house.log())
        return all(len(story(lines, key)) >= 2 for key in HOSTILE) and lines

    lines = wait_until(all_told, lambda: f"two events for each key in {house.log()}")
    for key in HOSTILE:
        (first, conn), (last, same) = story(lines, key)
        assert (first, last, conn) == ("connection_authenticated", "connection_closed", same), key


@pytest.mark.settings("log.level=debug", "server.addrs=comet.test")  # a comet of a cluster warns where it has none
def test_hostile_keys_cannot_forge_a_line_of_text(house):
    for key in HOSTILE:
        Client(TCP, house.address("tcp")).auth(mid=1, key=key).close()
    wait_until(lambda: house.log().count(" event=connection_closed reason=client_left") == len(HOSTILE), "all are closed")
    for line in house.log().splitlines():
        time, level, words = line.split(" ", 2)
        assert len(time) == 24 and level in ("info", "debug"), line
        assert line.isprintable(), line


@pytest.mark.settings("log.format=json", "log.level=debug", "whitelist.list=traced")
def test_traces_are_json_too_and_have_the_number_of_their_connection(house):
    client = Client(TCP, house.address("tcp")).auth(mid=1, key="traced")
    client.heartbeat()
    client.close()
    lines = wait_until(lambda: [line for line in lines_of(house.log()) if line["event"] == "connection_closed"] and
                       lines_of(house.log()), "it is closed")
    traces = [line for line in lines if line["level"] == "trace"]
    assert "trace_auth" in [line["event"] for line in traces] and len(traces) > 5
    assert len({line["conn"] for line in lines if line.get("key") == "traced" and "conn" in line}) == 1
    assert [line["op"] for line in traces if line["event"] == "trace_read_end"] == [2]


def test_lines_of_comet_and_of_comet_logic_are_joined_by_key_and_session(tmp_path):
    house = ClusterComet(tmp_path, {"log.format": "json", "log.level": "debug"})
    try:
        for key in ("one", "two"):
            Client(TCP, house.address("tcp")).auth(mid=7, key=key).close()

        def of_logic():
            lines = lines_of((tmp_path / "logic").read_text())
            return lines if sum(line["event"] == "client_gone" for line in lines) == 2 else None

        logic = wait_until(of_logic, "comet-logic has heard that both left")
        comet = lines_of(house.log())
        for key in ("one", "two"):
            (authenticated,) = [line for line in comet if line["event"] == "connection_authenticated" and line["key"] == key]
            assert authenticated["mid"] == 7 and authenticated["over"] == "tcp"
            told = [line for line in logic if line.get("session") == authenticated["session"]]
            assert [(line["event"], line["key"]) for line in told] == [("client_admitted", key), ("client_gone", key)]
    finally:
        house.stop()


def events():
    """Name in the sources -> levels, of each row of the table, which docs/logs.md shows."""
    table = pathlib.Path("common/base/events.def").read_text()
    rows = re.findall(r'^event\(([A-Z_]+), "([a-z_]+)", "([a-z, ]+)", "', table, re.M)
    assert len(rows) == len(re.findall("^event", table, re.M)) > 50
    assert [name.lower() for name, _, _ in rows] == [event for _, event, _ in rows]
    return {name: levels.split(", ") for name, _, levels in rows}


def test_each_event_of_the_table_is_logged_somewhere_at_the_level_that_it_says():
    listed, seen = events(), set()
    for folder in ("common", "comet", "logic", "logic_client", "cluster"):
        for path in pathlib.Path(folder).rglob("*.c"):
            source = path.read_text()
            seen |= set(re.findall(r"\bEVENT_([A-Z_]+)", source))
            for call in re.findall(r"LOG(?:_LIMITED)?\([^;]*;", source):
                levels = {level.lower() for level in re.findall("LOG_(ERROR|WARN|INFO|DEBUG)", call)}
                for name in re.findall(r"log_what\(EVENT_([A-Z_]+)\)", call):
                    assert levels <= set(listed[name]), f"{path}: {call}"
    assert seen - {"MAX"} == listed.keys()


@pytest.mark.ways("tcp-v2")
@pytest.mark.settings("log.level=debug", "whitelist.list=k")
def test_push_that_is_filtered_is_traced_and_calls_name_their_target(connect, backend, house):
    client = connect(mid=7, key="k", accepts=[1000])
    backend.push_mids([7], "no", op=1234)
    line = wait_until(lambda: [line for line in house.log().splitlines() if "event=trace_filtered" in line], "it is traced")[0]
    assert " key=k " in line and " op=1234 " in line
    if not isinstance(house, ClusterComet):  # there the API is comet-logic's
        assert " path=/goim/push/mids operation=1234 target=7 status=200" in house.log()
    client.close()
    closed = wait_until(lambda: [line for line in house.log().splitlines() if "event=connection_closed" in line], "it is closed")[0]
    assert " reason=client_left mid=7 over=tcp age_s=" in closed
