"""Requests and replies that read well and are wrong all the same: late, twice, from a comet that has no lease.

SPDX-License-Identifier: MIT"""
import json
import subprocess

import pytest

from server import BUILD
from test_names import session_of
from waiting import TIMEOUT, wait_until


class Ear:
    """Hears what is said between the comets and logic-1, and can say it again."""

    def __init__(self, house):
        self.house = house
        self.client = house.redis()
        self.heard = []
        self._channels = [b"comet:logic:logic-1", *(f"comet:reply:{comet}".encode() for comet in house.names("comet"))]
        self._pubsub = self.client.pubsub()
        self._pubsub.subscribe(*self._channels)
        wait_until(lambda: self._take("subscribe") == len(self._channels), "it is subscribed")

    def _take(self, kind):
        message = self._pubsub.get_message(timeout=0.05)
        if message is not None and message["type"] == "message":
            self.heard.append((message["channel"], json.loads(message["data"])))
        return message["data"] if message is not None and message["type"] == kind else None

    def _hear(self, what, is_it):
        def found():
            self._take("message")
            return [(channel, m) for channel, m in self.heard if is_it(m)]
        return wait_until(found, f"{what} is heard")[-1]

    def request(self, method):
        return self._hear(method, lambda m: m.get("method") == method)[1]

    def reply(self, request):
        return self._hear("the reply", lambda m: "code" in m and m["id"] == request["id"])[1]

    def now_ms(self):
        seconds, micros = self.client.time()
        return seconds * 1000 + micros // 1000

    def ask(self, request, **changes):
        self.client.publish("comet:logic:logic-1", json.dumps({**request, **changes}))

    def answer(self, reply):
        self.client.publish("comet:reply:comet-1", json.dumps(reply))

    def close(self):
        self._pubsub.close()
        self.client.close()


@pytest.fixture
def ear(house):
    one = Ear(house)
    yield one
    one.close()


def assert_reached(house, person, number):
    house.backend().push_keys([person.key], f"x#{number}")
    wait_until(lambda: person.received["x"][-1:] == [number], f"{person.key} is reached")
    assert person.closed_at is None


def counted(house, program, counter):
    return wait_until(lambda: house.metrics(program)(counter), f"{program} counts it")


@pytest.mark.house(comets=1, logics=1)
def test_a_reply_that_comes_twice_is_late_the_second_time(house, crowd, ear):
    person = crowd.join("comet-1", "k", mid=3)
    reply = ear.reply(ear.request("connect"))
    before = session_of(house, "k")
    for _ in range(2):
        ear.answer(reply)
    wait_until(lambda: house.metrics("comet-1")("comet_logic_late_total") == 2, "the comet counts them")
    assert house.metrics("comet-1")("comet_logic_bad_messages_total") == 0
    assert_reached(house, person, 1)
    assert session_of(house, "k") == before


@pytest.mark.house(comets=1, logics=1)
def test_two_logics_of_one_name_are_named_in_the_log(house, crowd):
    """Each registers whoever comes in, and the comet knows of one registration only."""
    crowd.join("comet-1", "k")
    said = "event=logic_id_taken"
    assert said not in house.log("comet-1")
    with house.redis() as client, client.pubsub() as second:
        second.subscribe("comet:logic:logic-1")
        wait_until(lambda: house.redis().pubsub_numsub("comet:logic:logic-1")[0][1] == 2, "both listen")
        crowd.join("comet-1", "another")
        wait_until(lambda: said in house.log("comet-1"), "the comet says so")


def start_logic(house, name, lease="600ms"):
    return subprocess.Popen([BUILD / "comet-logic", "-o", "redis.addr=%s:%d" % house.address("redis", "redis"), "-o",
                             f"logic.id={name}", "-o", "http.bind=", "-o", f"redis.lease={lease}",
                             "-o", "redis.forget=1m"], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True)


@pytest.mark.house(comets=1, logics=1)
def test_a_second_logic_of_one_name_does_not_start(house, crowd):
    second = start_logic(house, "logic-1")
    said, _ = second.communicate(timeout=TIMEOUT)
    assert second.returncode == 1 and "event=logic_namesake\n" in said and "event=logic_ready" not in said
    crowd.join("comet-1", "k")
    assert "event=logic_id_taken" not in house.log("comet-1")


@pytest.mark.house(comets=1, logics=2)
def test_a_logic_waits_for_the_end_of_the_one_before_it(house):
    second = start_logic(house, "logic-2", "30s")
    lines = iter(second.stdout.readline, "")
    next(line for line in lines if "event=logic_namesake_awaited" in line)
    house.command("stop", "logic-2")
    next(line for line in lines if "event=logic_ready" in line)
    second.terminate()
    second.communicate(timeout=TIMEOUT)
    assert second.returncode == 0
    house.start("logic-2")


@pytest.mark.house(comets=1, logics=1)
def test_a_logic_that_hears_its_name_in_another_cluster_does_not_start(house):
    """As it would where an older release runs in another database."""
    with house.redis() as client, client.pubsub(ignore_subscribe_messages=True) as other:
        other.subscribe("comet:logic:elsewhere")
        wait_until(lambda: client.pubsub_numsub("comet:logic:elsewhere")[0][1] == 1, "it listens")
        assert len(client.get("comet:cluster")) == 16
        one = start_logic(house, "elsewhere")
        while one.poll() is None:
            message = other.get_message(timeout=0.1)
            if message is not None:
                request = json.loads(message["data"])
                client.publish(request["reply"], json.dumps({"id": request["id"], "code": 0, "cluster": "beef"}))
        assert one.returncode == 1 and "event=logic_namesake_elsewhere" in one.stdout.read()
        one.stdout.close()


@pytest.mark.house(comets=1, logics=1)
def test_a_request_whose_time_is_over_registers_nobody(house, crowd, ear):
    person = crowd.join("comet-1", "k")
    request = ear.request("connect")
    token = json.dumps({**json.loads(request["token"]), "key": "late"})
    ear.ask(request, id="late", token=token, expires=ear.now_ms() - 1000)
    assert counted(house, "logic-1", "comet_requests_expired_total") == 1
    assert session_of(house, "late") is None
    # The one that was heard is over by now, too.
    wait_until(lambda: ear.now_ms() > request["expires"] + 10, "its time is over")
    ear.ask(request)
    wait_until(lambda: house.metrics("logic-1")("comet_requests_expired_total") == 2, "logic counts that")
    assert_reached(house, person, 1)
    assert not [m for _, m in ear.heard if m.get("id") == "late" and "code" in m], "nobody answers it"


@pytest.mark.house(comets=1, logics=1)
def test_a_request_of_a_comet_without_a_lease_is_answered_and_registers_nobody(house, crowd, ear):
    person = crowd.join("comet-1", "k", "live://1", mid=3)
    request = ear.request("connect")
    stranger = {"server": "comet-9", "expires": ear.now_ms() + int(TIMEOUT * 1000)}
    # One that is new, one that would take a key away, and what follows a connection's life.
    for i, key in enumerate(("new", "k")):
        token = json.dumps({**json.loads(request["token"]), "key": key})
        ear.ask(request, id=f"connect-{i}", token=token, **stranger)
        assert ear.reply({"id": f"connect-{i}"})["code"] not in (0, 403), "logic failed, it does not refuse"
    number, _ = before = session_of(house, "k")
    for method in ("heartbeat", "disconnect"):
        ear.ask({"id": method, "method": method, "reply": request["reply"], "key": "new", "session": number + 1, "mid": 3},
                **stranger)
        ear.reply({"id": method})
    assert session_of(house, "new") is None and session_of(house, "k") == before
    house.backend().push_keys(["new"], "x#0")
    assert house.redis().exists("comet:push:comet-9", "comet:server:comet-9") == 0
    assert_reached(house, person, 1)


@pytest.mark.house(comets=1, logics=1)
def test_what_a_connection_said_that_has_gone_does_not_touch_the_next(house, crowd, ear):
    old = crowd.join("comet-1", "k", mid=3)
    number, _ = session_of(house, "k")
    crowd.leave(old)
    disconnect = ear.request("disconnect")
    ear.reply(disconnect)
    assert session_of(house, "k") is None
    person = crowd.join("comet-1", "k", mid=3)
    before = session_of(house, "k")
    assert before[0] > number
    for again in (disconnect, {**disconnect, "method": "heartbeat"}):
        for i in range(2):
            request = {**again, "id": f"{again['method']}-{i}", "expires": ear.now_ms() + int(TIMEOUT * 1000)}
            ear.ask(request)
            assert ear.reply(request)["code"] == 0
    assert session_of(house, "k") == before
    assert_reached(house, person, 1)
