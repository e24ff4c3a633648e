"""walkers: clients with streams that come and go, from comet to comet, and check that what they get of a room, or of their user's stream, is consecutive, or that
they were told. SPDX-License-Identifier: MIT"""
import json
import random
import threading
import time
import uuid

from client import WAYS, Client, Op
from streams import arrive, push_of

TCP = next(way for way in WAYS if way.name == "tcp-v2")
AWAY = (OSError, AssertionError, TimeoutError)  # connections that break; what is wrong with a stream is kept in `bad`


class Walker:
    def __init__(self, house, number, room, pause, stay):
        self.house, self.number, self.room = house, number, room  # "": the stream of user 77, whose device each of them is
        self.pause, self.stay = pause, stay  # at most, in seconds
        self.dice = random.Random(number)
        self.position = 0
        self.got = {}  # number -> body
        self.gaps, self.joins, self.bad = [], 0, []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._walk)
        self.thread.start()

    def _walk(self):
        while not self.over.is_set():
            self.visit(self.dice.uniform(0, self.stay))
            self.over.wait(self.dice.choice([0, 0, self.dice.uniform(0, self.pause)]))

    def visit(self, seconds):
        """Join at a comet, and take what comes. True: it was in."""
        try:
            client = Client(TCP, self.house.address(self.dice.choice(self.house.names("comet")), "tcp"))
        except (*AWAY, KeyError):
            time.sleep(0.05)
            return False
        try:
            return (self._listen if self.room else self._listen_to_own)(client, time.monotonic() + seconds)
        except AWAY:
            return False
        finally:
            client.close()

    def _listen_to_own(self, client, until):
        asked = {"user": self.position} if self.position else {}
        said = arrive(client, asked, mid=77, key=f"walker-{self.number}")
        self.joins += 1
        self._place(said["user"], bool(asked))
        return self._take_all(client, until, True)

    def _listen(self, client, until):
        arrive(client, mid=self.number, key=f"walker-{self.number}")
        asked = {"id": self.room, **({"since": self.position} if self.position else {})}
        client.send(Op.JOIN, json.dumps({"rooms": [asked]}).encode())
        return self._take_all(client, until, False)

    def _take_all(self, client, until, is_in):
        while (left := until - time.monotonic()) > 0 or not is_in:
            try:
                packet = client.recv(max(left, 0.01) if is_in else 5)
            except TimeoutError:
                return is_in
            if packet.op == Op.DISCONNECT:
                return is_in
            if packet.ver == 4:
                self._take(push_of(packet))
            elif packet.op == Op.JOIN_REPLY:
                answer = packet.json()["rooms"][0]
                if "error" in answer:
                    return False
                is_in = True
                self.joins += 1
                self._place(answer, self.position > 0)
            elif packet.op == Op.NOTICE:
                self._place(packet.json(), False)
        return True

    def _place(self, answer, asked):
        if answer["gap"]:
            self.gaps.append((self.position, answer["at"], answer))
            self.position = answer["at"]
        elif not asked:
            self.position = answer["at"]
        elif answer["at"] != self.position:
            self.bad.append(("at", self.position, answer))

    def _take(self, push):
        if push.number != self.position + 1:
            self.bad.append(("number", self.position, push))
        self.got[push.number] = push.body
        self.position = push.number

    def stop(self):
        self.over.set()
        self.thread.join(30)
        assert not self.thread.is_alive()


class Talker:
    """A back end that pushes to the room, or to user 77, each push until it is accepted."""

    def __init__(self, house, logic, room, every):
        self.house, self.logic, self.room, self.every = house, logic, room, every
        self.accepted = {}
        self.over = threading.Event()
        self.thread = threading.Thread(target=self._talk)
        self.thread.start()

    def _talk(self):
        while not self.over.wait(self.every):
            body = uuid.uuid4().hex
            while (number := self._push(body)) is None and not self.over.wait(0.05):
                pass
            if number is not None:
                self.accepted[number] = body.encode()

    def _push(self, body):
        kind, _, room = self.room.partition("://")
        path, to = ("/goim/push/room", {"type": kind, "room": room}) if room else ("/goim/push/mids", {"mids": 77})
        try:
            reply = self.house.backend(self.logic).request("POST", path, body, {"Idempotency-Key": body}, operation=1000, **to)
            return int(reply.headers["comet-position"]) if reply.json()["code"] == 0 else None
        except OSError:
            return None

    def stop(self):
        self.over.set()
        self.thread.join(30)
        assert not self.thread.is_alive()
