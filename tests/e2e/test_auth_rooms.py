"""auth.rooms=webhook: the back end at auth.room_url says who may enter which room, in one question for all rooms of a packet.

SPDX-License-Identifier: MIT"""
import json
import subprocess

import pytest

import tokens
from client import Op
from server import BUILD
from streams import join, leave
from test_auth_webhook import Hook
from test_grants import enter, expect_nothing
from test_tickets import come_with_streams, ticket
from tokens import hs256
from waiting import TIMEOUT, wait_until

two_ways = pytest.mark.ways("tcp-v2", "ws-v2")


@pytest.fixture
def hook():
    made = Hook()
    made.answers = (200, {"rooms": ["team-7://*", "vip://1"], "for_s": 0})
    yield made
    made.close()


@pytest.fixture
def house(launch, hook):
    return launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}", "auth.rooms": "webhook", "auth.room_url": hook.url,
                   "auth.secret": "between us", "auth.rooms_open": "lobby", "auth.timeout": "500ms"})


def come(connect, **claims):
    client = connect.raw()
    client.send(Op.AUTH, hs256(**claims), seq=1)
    client.expect(Op.AUTH_REPLY, seq=1)
    return client


@two_ways
def test_room_is_entered_if_the_back_end_says_so(connect, house, hook, backend):
    client = come(connect, key="k", room_id="team-7://a")
    backend.push_room("team-7://a", "in")
    client.expect_push(1000, b"in")
    assert hook.questions == [{"mid": 7, "key": "k", "peer": "127.0.0.1", "rooms": ["team-7://a"]}]
    assert hook.headers[0]["Authorization"] == "Bearer between us"
    assert enter(client, "vip://1") == "vip://1" and enter(client, "vip://2") == "" and enter(client, "team-70://a") == ""
    assert [q["rooms"] for q in hook.questions[1:]] == [["vip://1"], ["vip://2"], ["team-70://a"]]
    # Nobody is asked for what is granted anyway, or for no room.
    assert enter(client, "lobby") == "lobby" and enter(client, "") == ""
    granted = come(connect, key="granted", room_id="mine", rooms=["mine"])
    assert enter(granted, "mine") == "mine"
    assert len(hook.questions) == 4
    outside = come(connect, key="outside", room_id="private://1")
    backend.push_room("private://1", "secret")
    expect_nothing(outside)
    metrics = house.metrics()
    assert (metrics("comet_not_granted_total", at="room"), metrics("comet_not_granted_total", at="auth_room")) == (2, 1)
    assert "event=room_not_granted" in house.log() and "vip://2" in house.log()


@two_ways
def test_new_token_leaves_the_client_where_the_back_end_has_let_it_in(connect, house, backend):
    client = come(connect, key="k", room_id="vip://1")
    assert client.request(Op.AUTH, hs256(key="k")).op == Op.AUTH_REPLY
    backend.push_room("vip://1", "still")
    client.expect_push(1000, b"still")


@two_ways
def test_answers_count_for_the_time_that_they_say(connect, house, hook):
    hook.answers = (200, {"rooms": ["vip://1"], "for_s": 2})
    client = come(connect, key="k")
    for _ in range(3):
        assert enter(client, "vip://1") == "vip://1" and enter(client, "no") == ""
    other = come(connect, key="other", mid=8)
    assert enter(other, "vip://1") == "vip://1"
    # Of each user and room one, or two on a machine that takes two seconds for this.
    asked = [(q["mid"], *q["rooms"]) for q in hook.questions]
    assert {(7, "vip://1"), (7, "no"), (8, "vip://1")} == set(asked) and len(asked) <= 6
    hook.answers = (200, {"rooms": []})
    wait_until(lambda: enter(client, "vip://1") == "", "the end of the answer")


@two_ways
def test_join_asks_once_for_all_its_rooms(connect, house, hook):
    client = come_with_streams(connect, key="k", rooms=["mine"])
    wishes = ["team-7://1", "mine", "team-7://2", "no", "lobby", {"id": "paid", "ticket": ticket("paid")}]
    assert [a.get("error", 0) for a in join(client, *wishes)] == [0, 0, 0, 403, 0, 0]
    assert [q["rooms"] for q in hook.questions] == [["team-7://1", "team-7://2", "no"]]
    hook.answers = (500, {})
    answers = join(client, "team-7://3", "mine")
    assert answers[0]["error"] == 503 and "retry_ms" in answers[0] and "error" not in answers[1]


@two_ways
def test_an_answer_to_op_12_lets_into_no_later_join(connect, house, hook):
    client = come_with_streams(connect, key="k")
    assert "error" not in join(client, "vip://1")
    assert enter(client, "vip://1") == "vip://1"  # where it is already
    hook.answers = (200, {"rooms": []})
    leave(client, "vip://1")
    assert join(client, "vip://1")["error"] == 403
    assert [q["rooms"] for q in hook.questions] == [["vip://1"]] * 3


@two_ways
def test_a_room_beyond_256_passes_takes_none_of_the_others_away(connect, house, hook):
    hook.answers = (200, {"rooms": ["vip://1"], "for_s": 60})
    client = come_with_streams(connect, key="k")
    assert "error" not in join(client, "vip://1")
    leave(client, "vip://1")
    full = ticket([f"r{i}" for i in range(256)])
    assert [a.get("error", 0) for a in join(client, {"id": "r7", "ticket": full}, "vip://1")] == [0, 403]


@two_ways
def test_an_answer_for_one_guest_is_none_for_another(connect, launch, hook):
    hook.answers = lambda _: (200, {"rooms": ["vip://1"] if hook.questions[-1]["key"] == "known" else [], "for_s": 60})
    launch({"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{tokens.secret_file()}", "auth.rooms": "webhook", "auth.room_url": hook.url})
    for _ in range(2):
        assert enter(come(connect, mid=0, key="known"), "vip://1") == "vip://1"
        assert enter(come(connect, mid=0, key="stranger"), "vip://1") == ""
    assert len(hook.questions) == 2


@two_ways
@pytest.mark.parametrize("answer,cause", [((500, {}), "status"), ((200, {"allow": True}), "answer"), ((200, {"rooms": "vip://1"}), "answer"),
                                          ((200, {"rooms": ["vip://1"], "for_s": -1}), "answer"), ((200, {"rooms": [5]}), "answer"),
                                          ((403, {}), None), ((401, {}), None)])
def test_what_is_no_answer_opens_nothing(connect, house, hook, answer, cause):
    hook.answers = answer
    client = come(connect, key="k", room_id="vip://1")
    assert enter(client, "vip://1") == ""
    assert client.request(Op.HEARTBEAT).body == b"\0\0\0\0"
    logic = house.logic_metrics() if hasattr(house, "logic_metrics") else None
    if logic is None and cause is not None and not hasattr(house, "logics"):
        assert house.metrics()("comet_room_questions_failed_total", cause=f"webhook_{cause}") >= 2


@two_ways
def test_back_end_that_hangs_holds_up_nobody_else(connect, house, hook, backend):
    import threading
    goes_on = threading.Event()

    def hang(_):
        goes_on.wait(TIMEOUT)
        return 200, {"rooms": ["vip://1"]}

    hook.answers = hang
    waiting = come(connect, key="waiting")
    waiting.send(Op.CHANGE_ROOM, b"vip://1", seq=7)
    other = come(connect, key="other", accepts=[5])
    other.heartbeat()
    backend.push_keys(["other"], "now", op=5)
    other.expect_push(5, b"now")
    assert waiting.expect(Op.CHANGE_ROOM_REPLY, seq=7).body == b""  # after auth.timeout
    goes_on.set()


def test_faults_of_the_settings_are_told():
    base = ["-o", "auth.mode=jwt", "-o", f"auth.jwt_keys=HS256:{tokens.secret_file()}", "-o", "auth.rooms=webhook"]
    for more, words in (([], "auth.room_url must be set"), (["-o", "auth.room_url=ftp://x"], "auth.room_url"),
                        (["-o", "auth.room_url=http://127.0.0.1/", "-o", "auth.mode=open"], "auth.mode = jwt or webhook")):
        ended = subprocess.run([BUILD / "comet", "-t", *base, *more], capture_output=True, text=True, timeout=TIMEOUT)
        assert ended.returncode == 2 and words in ended.stderr, (more, ended)
