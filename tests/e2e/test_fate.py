"""What became of a push: the answer tells in headers, and in the body for who asks, how many connections it is for, how many of
them do not accept its operation, and who was offline.

SPDX-License-Identifier: MIT"""
import os

import pytest

from backend import Backend
from waiting import wait_until

pytestmark = pytest.mark.ways("v2")
SEES_FILTERS = os.environ.get("COMET_TEST_HOUSE") != "cluster"  # comet-logic does not hold what clients accept
PLAIN = {"code": 0, "message": ""}


def fate(reply):
    """(online, offline, filtered) as the headers say; None for what they do not."""
    assert (reply.status, reply.json()["code"]) == (200, 0), reply
    return tuple(int(reply.headers[name]) if name in reply.headers else None
                 for name in ("comet-online", "comet-offline", "comet-filtered"))


def expected(online, offline, filtered):
    return online, offline, filtered if SEES_FILTERS else None


def data(online, offline, filtered=0, **more):
    return {"online": online, "offline": offline, **({"filtered": filtered, **more} if SEES_FILTERS else {})}


def post(backend, target, op=1000, headers=None, **params):
    return backend.request("POST", f"/goim/push/{target}", b"hi", headers=headers, operation=op, **params)


def test_headers_always_and_the_body_is_goims(connect, backend):
    connect(mid=7, key="a", accepts=[1000])
    connect(mid=7, key="b", accepts=[1005])
    for target, names, told in (("mids", {"mids": "7"}, (2, 0, 1)), ("mids", {"mids": "7,8,9"}, (2, 2, 1)),
                                ("keys", {"keys": ["a", "x"]}, (1, 1, 0)), ("mids", {"mids": "8"}, (0, 1, 0)),
                                ("keys", {"keys": "b"}, (1, 0, 1))):
        reply = post(backend, target, **names)
        assert fate(reply) == expected(*told), (target, names)
        assert reply.json() == PLAIN


def test_body_for_who_asks(connect, backend):
    connect(mid=7, key="a", accepts=[1000, 1001])
    for asks in ({"tell": "1"}, {"headers": {"Comet-Tell": "1"}}):
        assert post(backend, "mids", 1005, mids="7", **asks).json() == {**PLAIN, "data": data(1, 0, 1, accepts=[1000, 1001])}
        assert post(backend, "keys", 1000, keys="a", **asks).json() == {**PLAIN, "data": data(1, 0)}
    for asks in ({"tell": "0"}, {"tell": ""}, {"headers": {"Comet-Tell": "0"}}):
        assert post(backend, "mids", 1005, mids="7", **asks).json() == PLAIN


def test_many_operations_are_not_all_listed(connect, backend):
    connect(mid=7, accepts=list(range(1000, 1020)))
    told = post(backend, "mids", 5, mids="7", tell=1).json()["data"]
    assert told == data(1, 0, 1, accepts=list(range(1000, 1008)), accepts_more=12)


def test_list_of_who_was_offline(connect, backend):
    connect(mid=7, key="a")
    told = post(backend, "mids", mids="6,7,8", offline=1).json()["data"]
    assert told == {**data(1, 2), "offline_mids": [6, 8]}
    told = post(backend, "keys", keys=["x,y", "a"], offline=1).json()["data"]
    assert told == {**data(1, 1), "offline_keys": ["x,y"]}


def test_long_list_knows_who_was_offline(connect, backend):
    clients = [connect(mid=mid) for mid in (3, 1500, 2999)]
    told = post(backend, "mids", mids=",".join(map(str, range(1, 3001))), offline=1).json()["data"]
    assert told["online"] == len(clients)
    assert told["offline_mids"] == [mid for mid in range(1, 3001) if mid not in (3, 1500, 2999)]


def test_room(connect, backend):
    for mid in (1, 2):
        connect(mid=mid, room="live://7", accepts=[])
    wait_until(lambda: post(backend, "room", type="live", room="7", tell=1).json()["data"] == data(2, 0), "the room is counted")
    assert post(backend, "room", type="live", room="8", tell=1).json()["data"] == data(0, 1)
    if SEES_FILTERS:
        assert fate(post(backend, "room", type="live", room="7")) == (2, 0, 0)


@pytest.mark.settings("stream.users=50/24h", "stream.users_open=yes")
def test_push_that_comes_again_tells_who_is_there_now(connect, backend):
    connect(mid=7, key="a", room="live://7")
    wait_until(lambda: post(backend, "room", type="live", room="7", tell=1).json()["data"]["online"] == 1, "the room is counted")
    named = {"Idempotency-Key": "once"}
    for _ in range(2):
        reply = post(backend, "mids", headers=named, mids="6,7", offline=1)
        assert fate(reply)[:2] == (1, 1)
        told = reply.json()["data"]
        assert (told["online"], told["offline"], told["offline_mids"]) == (1, 1, [6])
        told = post(backend, "room", headers=named, type="live", room="7", tell=1).json()["data"]
        assert (told["online"], told["offline"]) == (1, 0)
    # of one that is new, and of one that has come before
    assert post(backend, "mids", headers=named, mids="7,8", offline=1).json()["data"]["offline_mids"] == [8]


def test_push_to_all_tells_nothing(backend):
    reply = post(backend, "all", tell=1)
    assert fate(reply) == (None, None, None) and reply.json() == PLAIN


def test_key_that_may_not_read_is_told_nothing(launch, tmp_path):
    file = tmp_path / "keys"
    file.write_text("shop push k-shop\nboss all k-boss\n")
    file.chmod(0o600)
    house = launch({"http.keys_file": str(file), "http.api_key": "k-one"})
    shop, boss = (Backend(house.backend.address, key) for key in ("k-shop", "k-boss"))
    reply = post(shop, "mids", mids="7", tell=1, offline=1)
    assert fate(reply) == (None, None, None) and reply.json() == PLAIN
    assert fate(post(boss, "mids", mids="7")) == expected(0, 1, 0)
