"""Redis, logics and comets are killed at random, one every five seconds, for as long as COMET_TEST_SECONDS says. Every receiver
is watched, also those whose own comet is killed. Redis keeps a log, or snapshots alone and so forgets, or it has Sentinels and a
replica and is switched over. SPDX-License-Identifier: MIT"""
import collections
import contextlib
import signal
import time

import pytest
import redis

from history import assert_hearts_beat
from house import House
from life import A_SECOND, RECOVERY_SECONDS, SECONDS
from redis_servers import SNAPSHOTS, replicated
from test_switch_over import SENTINEL
from waiting import TIMEOUT, scaled, wait_until
from watch import Watch

EVERY_SECONDS = 5
RECEIVERS = 12


class Faults:
    """What may happen to a house, by name: act(name) does one, and returns when it has ended."""

    def __init__(self, house, dice, snapshots=False):
        self.house = house
        self.dice = dice
        self.snapshots = snapshots

    def names(self):
        return sorted(self.house.members())

    def away(self):
        time.sleep(self.dice.random() * EVERY_SECONDS / 4)

    def act(self, name):
        """It is killed, and started. Without a log Redis forgets what it has not saved, of late or long ago."""
        if self.snapshots and self.dice.random() < 0.3:
            self.house.redis().save()
        self.house.kill(name)
        self.away()
        self.house.start(name)


class FaultsOfRedis(Faults):
    """Those of a house whose Redis has a replica and Sentinels."""

    def __init__(self, house, dice, servers):
        super().__init__(house, dice)
        self.one, self.other, self.sentinel = servers[:3]
        house.redis = lambda: redis.Redis("127.0.0.1", self.master().port, socket_timeout=TIMEOUT)

    def names(self):
        return [*super().names(), "redis", "switch"]

    def master(self):
        """Two say so for a while, after a switch: the later one."""
        if not self.one.is_master():
            self.one, self.other = self.other, self.one
        return self.one

    def act(self, name):
        if name == "switch":
            self.switch()
        elif name == "redis":
            self.kill()
        else:
            super().act(name)

    def switch(self):
        old = self.master()
        self.sentinel.client.execute_command("SENTINEL", "FAILOVER", "house")
        self.one, self.other = self.other, self.one
        wait_until(lambda: self.one.is_master() and old.follows(), "they have switched", 60)

    def kill(self):
        master = self.master()
        if self.dice.random() < 0.5:
            master.client.save()
        master.end(signal.SIGKILL)
        self.away()
        master.start(*SNAPSHOTS)
        wait_until(self.other.follows, "the replica follows", 60)


@pytest.fixture(params=["log", "snapshots", "sentinels"])
def faults(request, tmp_path, dice):
    with contextlib.ExitStack() as stack:
        if request.param == "sentinels":
            servers = stack.enter_context(replicated(tmp_path, SENTINEL, sentinels=3, save=SNAPSHOTS))
            house = House(tmp_path / "cluster", redis_addr="127.0.0.1:1", settings={
                "redis.sentinels": ",".join(f"127.0.0.1:{s.port}" for s in servers[2:]), "redis.master": "house"})
            yield FaultsOfRedis(house, dice, servers)
        else:
            house = House(tmp_path / "cluster", snapshots=request.param == "snapshots")
            yield Faults(house, dice, snapshots=request.param == "snapshots")
        house.end(getattr(request.node, "failed", False))


@pytest.fixture
def house(faults):
    return faults.house


@pytest.fixture
def watch(house, pushes):
    people = Watch(house, pushes)
    yield people
    people.close()


def begin(watch, pushes):
    for i in range(RECEIVERS):
        watch.receiver(f"r{i}", f"live://{i % 2}", mid=i % 4 + 1)
    wait_until(watch.all_are_in, "all come in")
    for key in ("r0", "r7"):
        pushes.start(f"key {key}", f"/goim/push/keys?operation=1000&keys={key}", lambda r, key=key: r.key == key, A_SECOND / 6)
    pushes.start("user", "/goim/push/mids?operation=1000&mids=3", lambda r: r.mid == 3, A_SECOND / 6, logic=1)
    for room in (0, 1):
        pushes.start(f"room {room}", f"/goim/push/room?operation=1000&type=live&room={room}",
                     lambda r, room=room: r.room == f"live://{room}", A_SECOND / 6, logic=room)
    pushes.start("all", "/goim/push/all?operation=1000", lambda r: True, A_SECOND / 6)
    pushes.wait_accepted(scaled(20, 5))


def wait_recovered(house, watch, pushes):
    pushes.wait_accepted(5, 2 * RECOVERY_SECONDS)
    for comet in house.names("comet"):
        wait_until(lambda comet=comet: watch.comes_in(comet), f"a client comes in at {comet}", RECOVERY_SECONDS)


def test_any_process_killed_again_and_again(faults, watch, pushes, dice, long_enough):
    house = faults.house
    begin(watch, pushes)
    done = collections.Counter()
    begun = due = time.monotonic()
    while time.monotonic() < begun + SECONDS:
        due += EVERY_SECONDS * (0.5 + dice.random())
        fault = dice.choice(faults.names())
        faults.act(fault)
        house.wait_ready(seconds=2 * TIMEOUT)
        done[fault] += 1
        wait_recovered(house, watch, pushes)
        watch.settle(fault)
        # A comet that was killed waits for its name; what that took longer is made good by those that follow.
        time.sleep(max(0, due - time.monotonic()))
    pushes.stop()
    watch.settle(None)
    assert_hearts_beat([receiver.lives[0].person for receiver in watch.receivers], RECOVERY_SECONDS)
    print(f"in {time.monotonic() - begun:.0f} s {done.total()} faults: {', '.join(f'{n} of {v}' for v, n in sorted(done.items()))}")
    print(f"{RECEIVERS} receivers had {sum(r.connections for r in watch.receivers)} connections; {pushes.accepted()} pushes were "
          f"accepted, {sum(len(s.unknown) for s in pushes.streams)} were not; {watch.checked} deliveries were checked, {watch.again} "
          f"of them had come on the connection before; {watch.unreceived} were for somebody whose comet was dead; {watch.lost} were "
          "lost and counted")
