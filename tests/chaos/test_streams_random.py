"""Rooms and a user's stream whose clients come and go, while what carries them is killed, frozen, emptied and switched over at random,
for as long as COMET_TEST_SECONDS says. What a client gets is consecutive, or it is told; nobody is told of a gap that is none.
SPDX-License-Identifier: MIT"""
import collections
import contextlib
import signal
import time

import pytest
import redis

from house import House
from life import SECONDS
from redis_servers import cut_off, replicated
from test_random import EVERY_SECONDS, Faults
from test_streams import SETTINGS
from waiting import TIMEOUT, wait_until
from walkers import Life

PAUSE = min(60.0, SECONDS / 4)  # a client is away for so long at most
FROZEN_SECONDS = 4              # at most
SENTINEL = """sentinel monitor house 127.0.0.1 {port} 2
sentinel down-after-milliseconds house 2000
sentinel failover-timeout house 5000
"""


class FaultsOfStreams(Faults):
    """Those of processes, and of the data."""

    lives = ()
    sync = "everysec"  # appendfsync

    def names(self):
        return [*super().names(), *(f"freeze {name}" for name in super().names()), "flush", "evict number", "evict history"]

    def act(self, name):
        what, _, whom = name.partition(" ")
        if what == "freeze":
            self.freeze(whom)
        elif what == "flush":
            self.house.redis().flushall()
        elif what == "evict":
            self.evict(self.dice.choice(self.lives), whom)
        else:
            super().act(name)
            self.house.redis().config_set("appendfsync", self.sync)

    def freeze(self, whom):
        self.house.freeze(whom)
        time.sleep(self.dice.uniform(0.1, FROZEN_SECONDS))
        self.house.thaw(whom)

    def evict(self, life, what):
        if what == "history":
            life.take_history_away()
        else:
            self.house.redis().delete(life.key("n"))


class FaultsOfTwoRedis(FaultsOfStreams):
    """A replica takes over: when asked to, when its master hangs, and when that dies while the replica was cut off."""

    def __init__(self, house, dice, servers):
        super().__init__(house, dice)
        self.one, self.other, *self.sentinels = servers
        house.redis = lambda: self.master().client

    def names(self):
        return [*super().names(), *["switch", "hang", "cut off"] * 2]

    def master(self):
        if not self.one.is_master():
            self.one, self.other = self.other, self.one
        return self.one

    def act(self, name):
        try:
            if name in ("switch", "hang", "cut off"):
                getattr(self, name.replace(" ", "_"))(self.master(), self.other)
            else:
                super().act(name)
        except redis.RedisError:
            pass  # on a machine that hangs Sentinels switch by themselves, and it was not to the master
        wait_until(lambda: self.master().is_master() and self.other.follows(), "one is a replica of the other", 90)

    def switch(self, _master, _replica):
        self.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", "house")

    def hang(self, master, replica):
        master.process.send_signal(signal.SIGSTOP)
        wait_until(replica.is_master, "the replica is promoted", 60)
        master.process.send_signal(signal.SIGCONT)

    def cut_off(self, master, replica):
        cut_off(replica)
        self.away()
        master.end(signal.SIGKILL)
        replica.process.send_signal(signal.SIGCONT)
        try:
            wait_until(replica.is_master, "the replica is promoted", 30)
        except TimeoutError:  # Sentinels had taken it for the master just before it was cut off
            replica.client.replicaof("NO", "ONE")
        master.start("--save", "")


@pytest.fixture(params=["log", "durable", "snapshots", "sentinels"])
def faults(request, tmp_path, dice):
    with contextlib.ExitStack() as stack:
        if request.param == "sentinels":
            servers = stack.enter_context(replicated(tmp_path, SENTINEL, sentinels=3))
            house = House(tmp_path / "cluster", redis_addr="127.0.0.1:1", settings={
                **SETTINGS, "redis.sentinels": ",".join(f"127.0.0.1:{s.port}" for s in servers[2:]), "redis.master": "house"})
            one = FaultsOfTwoRedis(house, dice, servers)
        else:
            settings = {**SETTINGS, "redis.durable": "yes"} if request.param == "durable" else SETTINGS
            house = House(tmp_path / "cluster", settings=settings, snapshots=request.param == "snapshots")
            one = FaultsOfStreams(house, dice, snapshots=request.param == "snapshots")
            one.sync = "always" if request.param == "durable" else "everysec"
        yield one
        house.end(getattr(request.node, "failed", False))


@pytest.fixture
def lives(faults):
    faults.lives = []
    with contextlib.ExitStack() as stack:
        for i, room in enumerate(("chat://1", "chat://2", "")):
            faults.lives.append(Life(faults.house, room, first=1 + 100 * i, pause=PAUSE, stay=3.0, every=0.1))
            stack.callback(faults.lives[-1].stop)
        yield faults.lives


def report(seconds, done, lives):
    walkers = [walker for life in lives for walker in life.walkers]
    print(f"in {seconds:.0f} s {done.total()} faults: {', '.join(f'{n} of {v}' for v, n in sorted(done.items()))}")
    print(f"{len(walkers)} clients joined {sum(w.joins for w in walkers)} times; {sum(life.accepted() for life in lives)} pushes were "
          f"accepted, {sum(w.got for w in walkers)} received; streams jumped {sum(life.ledger.jumps() for life in lives)} times; "
          f"{sum(life.gaps() for life in lives)} gaps were told, {sum(len(w.false_gaps()) for w in walkers)} of them false; "
          f"{sum(len(life.ledger.told_wrong()) for life in lives)} times a back end was told the number of another push")


def test_streams_while_anything_breaks_again_and_again(faults, lives, dice, long_enough):
    done = collections.Counter()
    begun = due = time.monotonic()
    try:
        while time.monotonic() < begun + SECONDS:
            due += EVERY_SECONDS * (0.5 + dice.random())
            fault = dice.choice(faults.names())
            faults.act(fault)
            done[fault] += 1
            faults.house.wait_ready(seconds=4 * TIMEOUT)
            assert [w.bad for life in lives for w in life.walkers if w.bad] == []
            time.sleep(max(0, due - time.monotonic()))
        for life in lives:
            life.finish()
    finally:
        report(time.monotonic() - begun, done, lives)
