"""All comets are restarted one after another while pushes run. Clients are sent away evenly and told where else to go; who
connects there first, and reads its old connection to its end, misses nothing. SPDX-License-Identifier: MIT"""
import asyncio
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from house import cluster_script
from server import BUILD, ROOT
from travellers import assert_nothing_missed, lives
from waiting import SCALE, TIMEOUT, scaled, wait_until

sys.path.insert(0, str(ROOT / "examples/python"))

import comet_client  # noqa: E402

DRAIN_SECONDS = 2
A_SECOND = 200 * SCALE


@pytest.mark.house(settings={"server.drain_timeout": f"{DRAIN_SECONDS}s", "server.drain_grace": "10s"})
def test_a_rolling_restart_loses_no_push_and_spreads_the_reconnects(house, travellers, pushes):
    comets = house.names("comet")
    for comet in comets:
        for i in range(20):
            travellers.join(comet, f"{comet}/{i}", f"live://{i % 2}", mid=i + 1)
    for i, key in enumerate(["comet-1/1", "comet-2/19", "comet-3/7"]):
        pushes.start(f"key{i}", f"/goim/push/keys?operation=1000&keys={key}", lambda p, key=key: p.key == key,
                     A_SECOND / 6, logic=i)
    pushes.start("user", "/goim/push/mids?operation=1000&mids=12", lambda p: p.key.endswith("/11"), A_SECOND / 6)
    pushes.start("room", "/goim/push/room?operation=1000&type=live&room=1", lambda p: p.room == "live://1",
                 A_SECOND / 6, logic=1)
    pushes.start("all", "/goim/push/all?operation=1000", lambda p: True, A_SECOND / 6)
    pushes.wait_accepted(scaled(20, 5))
    pids = {comet: house.pid(comet) for comet in comets}

    house.command("rolling-restart")

    assert all(house.pid(comet) != pids[comet] for comet in comets)
    pushes.wait_accepted(scaled(20, 5))
    pushes.stop()
    assert travellers.failed == []
    assert_nothing_missed(travellers, pushes)
    for stream in pushes.streams:
        assert stream.unknown == [], "no push was refused: the logics were there all the time"
    # Each that was sent away is somewhere else now, and was told of others only.
    for comet in comets:
        gone = [p for p in travellers.on(comet) if p.told_at is not None]
        assert len(gone) >= 20
        here = "%s:%d" % house.address(comet, "tcp")
        for person in gone:
            assert person.goodbye["code"] == 4
            assert sorted(person.goodbye["nodes"]) == sorted(set(travellers.where) - {here})
        assert len({p.goodbye["nodes"][0] for p in gone}) == 2, "not all run to one"
        # Evenly: no second of the drain takes more than its share and a half.
        start = min(p.told_at for p in gone)
        spread = max(p.told_at for p in gone) - start
        assert 0.7 * DRAIN_SECONDS < spread
        half = sum(p.told_at < start + DRAIN_SECONDS / 2 for p in gone)
        assert 0.25 * len(gone) < half < 0.75 * len(gone)
    for life in lives(travellers).values():
        assert [p.closed_at is None for p in life] == [False] * (len(life) - 1) + [True], life[0].key


@pytest.mark.house(comets=3, logics=1, settings={"server.drain_timeout": "500ms", "server.drain_grace": "5s"})
def test_our_own_clients_miss_no_push_to_their_key_in_a_rolling_restart(house, pushes):
    """comet_client.py and comet-cli sub, as they are, with the address of the comet that goes first."""
    host, port = house.address("comet-1", "tcp")
    got = {"python": [], "cli": []}

    async def listen(ready, leave):
        async with comet_client.Client(host, port, key="python", back_off=(0.5, 1.8, 2)) as client:
            ready.set()
            while not leave.is_set():
                try:
                    got["python"].append((await asyncio.wait_for(anext(client), 0.1)).body.decode())
                except asyncio.TimeoutError:
                    pass

    ready, leave = threading.Event(), threading.Event()
    listener = threading.Thread(target=lambda: asyncio.run(listen(ready, leave)), daemon=True)
    listener.start()
    cli = subprocess.Popen([BUILD / "comet-cli", "sub", "--host", host, "--port", str(port), "--key", "cli"],
                           stdout=subprocess.PIPE, text=True)
    reader = threading.Thread(target=lambda: got["cli"].extend(line.split(" ", 1)[1].rstrip() for line in cli.stdout), daemon=True)
    reader.start()
    try:
        assert ready.wait(TIMEOUT)
        wait_until(lambda: house.redis().exists("comet:session:cli", "comet:session:python") == 2, "both are in")
        streams = [pushes.start(key, f"/goim/push/keys?operation=1000&keys={key}", None, A_SECOND / 3) for key in got]
        pushes.wait_accepted(scaled(20, 5))
        house.command("rolling-restart")
        pushes.wait_accepted(scaled(20, 5))
        pushes.stop()
        for stream in streams:
            expected = [f"{stream.name}#{number}" for number in stream.accepted]
            wait_until(lambda: got[stream.name][-1:] == expected[-1:], f"{stream.name} has the last one")  # noqa: B023
            assert sorted(got[stream.name]) == sorted(expected), f"{stream.name}: all, once"
    finally:
        leave.set()
        cli.terminate()
        assert cli.wait(TIMEOUT) == 0
        listener.join(TIMEOUT)
        reader.join(TIMEOUT)
        cli.stdout.close()


@pytest.mark.house(comets=2, logics=1, settings={"server.drain_timeout": "0s", "server.drain_grace": "30s"})
def test_nodes_do_not_name_a_comet_that_goes_away_and_its_name_is_waited_for(house, crowd):
    backend = house.backend()
    address = house.address("comet-1", "tcp")
    crowd.join("comet-1", "stays on")
    # Both are on one host: what is told apart are the leases.
    leaving = lambda: house.redis().hget("comet:server:comet-1", "leaving")  # noqa: E731
    assert leaving() == b"0"
    old = house.pid("comet-1")
    restart = threading.Thread(target=house.command, args=("restart", "comet-1"))
    restart.start()
    wait_until(lambda: leaving() == b"1", "its lease says so")
    wait_until(lambda: crowd.people[0].told_at is not None, "its client is told")
    assert crowd.people[0].goodbye["nodes"] == ["%s:%d" % house.address("comet-2", "tcp")]
    # It is served on until it goes by itself.
    backend.push_keys(["stays on"], "x#1")
    wait_until(lambda: crowd.people[0].received["x"] == [1], "a push arrives after the goodbye")
    # Nobody new comes in meanwhile.
    with pytest.raises(OSError):
        crowd.join("comet-1", "too late")
    crowd.leave(crowd.people[0])
    restart.join()
    assert house.pid("comet-1") != old
    assert leaving() == b"0"
    assert house.address("comet-1", "tcp") == address
    crowd.join("comet-1", "stays on")


@pytest.mark.house(comets=1, logics=1, settings={"server.drain_timeout": "0s", "server.drain_grace": "60s",
                                                 "server.reuse_port": "yes", "redis.lease": "600ms"})
def test_a_second_process_waits_for_the_name_of_one_that_goes(house, crowd):
    """Longer than for one that may be dead: it is known to go."""
    import os
    import signal

    from test_names import start_second

    first = crowd.join("comet-1", "k")
    os.kill(house.pid("comet-1"), signal.SIGTERM)
    wait_until(lambda: first.told_at is not None, "it is told")
    host, port = house.address("comet-1", "tcp")
    second = start_second(house, "comet-1", **{"tcp.bind": f"{host}:{port}", "server.reuse_port": "yes",
                                               "redis.lease": "600ms"})
    try:
        end = time.monotonic() + 3 * 0.6  # it would give up after one and a half leases
        while time.monotonic() < end:
            assert second.is_running()
            time.sleep(0.05)
        crowd.leave(first)
        wait_until(lambda: "listening tcp" in second.said(), "the second takes the name over")
        crowd.join("comet-1", "k")
    finally:
        second.end()


@pytest.mark.house(comets=1, logics=1, settings={"server.drain_timeout": "0s", "server.drain_grace": "90s"})
def test_who_stops_a_comet_is_as_patient_as_its_settings_say(house):
    """And says it when that was not enough."""
    script = cluster_script()
    cluster = script.Cluster(pathlib.Path(house.directory))
    comet = cluster.named("comet-1")
    assert comet.patience() == script.STOP_SECONDS + 90
    assert cluster.named("redis").patience() == script.STOP_SECONDS
    house.freeze("comet-1")
    comet.wait_gone(0.1)
    with pytest.raises(script.Failure, match="comet-1 did not end in 0 s, and was killed"):
        cluster.say_killed()
    assert house.command("start", "comet-1") is not None
