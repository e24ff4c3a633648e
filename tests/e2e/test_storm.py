"""Clients join, leave, change rooms, are pushed to, kicked, replaced and cut off, at random and all at once; whenever it is
quiet, what the clients know, what the API says and what is counted agree. Under ThreadSanitizer threads give way at random
around locks meanwhile (LOCK_YIELDS).

SPDX-License-Identifier: MIT"""
import os
import random
import threading

import pytest

from client import WAYS, Client, Closed, Op
from waiting import scaled, wait_until

ROOMS = [f"live://{i}" for i in range(4)]
ACTORS = 6
ROUNDS = 3


class Actor:
    """One thread's clients, each with a key of its own."""

    def __init__(self, house, number, seed):
        self.house = house
        self.chance = random.Random(f"{seed}/{number}")
        self.names = [f"actor{number}-{i}" for i in range(4)]
        self.clients = {}  # key -> client
        self.rooms = {}
        self.error = None

    def act(self, steps):
        try:
            for _ in range(steps):
                self.step(self.chance.choice(self.names))
        except BaseException as error:  # the main thread shows it
            self.error = error

    def step(self, key):
        client = self.clients.get(key)
        doing = self.chance.random()
        if client is None or doing < 0.08:  # with one there it is replaced
            self.join(key)
        elif doing < 0.5:
            room = self.chance.choice(ROOMS + [""])
            client.send(Op.CHANGE_ROOM, room.encode())
            self.rooms[key] = room
        elif doing < 0.65:
            self.house.backend.push_room(self.chance.choice(ROOMS), b"1")
        elif doing < 0.75:
            self.house.backend.push_keys([key], b"2")
        elif doing < 0.82:
            self.house.backend.push_all(b"3")
        elif doing < 0.88:
            self.house.backend.kick(keys=key)
            self.forget(key)
        elif doing < 0.94:
            client.reset()
            self.forget(key)
        else:
            client.close()
            self.forget(key)

    def join(self, key):
        way = self.chance.choice([way for way in WAYS if way.dialect.name == "v2"])
        room = self.chance.choice(ROOMS + [""])
        before = self.clients.pop(key, None)
        self.clients[key] = Client(way, self.house.address(way.listener)).auth(mid=7, key=key, room=room)
        self.rooms[key] = room
        if before is not None:
            before.close()

    def forget(self, key):
        self.clients.pop(key)
        self.rooms.pop(key)

    def drop_lost(self):
        """A kick may have met a connection that came with the same key right after it was asked for."""
        for key, client in list(self.clients.items()):
            try:
                client.heartbeat()
            except (Closed, ConnectionError):
                client.close()
                self.forget(key)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.settings("bucket.size=2")
def test_at_every_quiet_moment_all_agree(launch, seed):
    environment = {"LOCK_YIELDS": os.environ.get("LOCK_YIELDS") or str(seed)}
    house = launch(environment=environment)
    actors = [Actor(house, number, seed) for number in range(ACTORS)]
    for _ in range(ROUNDS):
        threads = [threading.Thread(target=actor.act, args=(scaled(150, 40),)) for actor in actors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for actor in actors:
            if actor.error is not None:
                raise actor.error
        assert_agreed(house, actors)
    for actor in actors:
        for client in actor.clients.values():
            client.close()
    house.wait_empty()
    metrics = house.metrics()
    assert metrics("comet_online") == metrics("comet_rooms") == metrics("comet_push_jobs") == 0
    ended = metrics.total("comet_closed_total") + metrics.total("comet_refused_total")
    assert metrics.total("comet_accepted_total") == ended
    wait_until(lambda: house.threads() == 0, "all threads are back")


def assert_agreed(house, actors):
    for actor in actors:
        actor.drop_lost()
    people = sum(len(actor.clients) for actor in actors)
    house.wait_metric("comet_connections", people)
    house.wait_metric("comet_online", people)
    wanted = {room: sum(list(actor.rooms.values()).count(room) for actor in actors) for room in ROOMS}
    names = [room.partition("://")[2] for room in ROOMS]

    def said():
        data = house.backend.data("/goim/online/room", type="live", rooms=names)
        return {f"live://{name}": count for name, count in data.items()}

    wait_until(lambda: said() == wanted, lambda: f"rooms: the API says {said()}, the clients say {wanted}")
    for actor in actors:
        for key, client in actor.clients.items():
            if room := actor.rooms[key]:  # of all servers of a cluster: told now and then
                wait_until(lambda client=client, room=room: client.room_count() == wanted[room], f"{key} is told the count")
    wait_until(lambda: house.backend.data("/goim/online/total")["conn_count"] == people,  # told now and then, too
               lambda: f"{people} are there, the API says {house.backend.data('/goim/online/total')}")
