"""Several clusters over one Redis, whose programs have the same names: by redis.prefix, or by redis.db, they hear nothing of each
other. SPDX-License-Identifier: MIT"""
import pytest

from history import Crowd
from house import House
from waiting import wait_until

CLIENTS = 30


@pytest.fixture
def strict(house, request, tmp_path):
    """The neighbour, which lets nobody in without a signed token; the house lets everybody in."""
    secret = tmp_path / "secret"
    secret.write_text("0123456789abcdef0123456789abcdef")
    one = House(tmp_path / "strict", comets=1, logics=1, redis_addr="%s:%d" % house.address("redis", "redis"),
                settings={"auth.mode": "jwt", "auth.jwt_keys": f"HS256:{secret}", **request.param})
    yield one
    one.end(getattr(request.node, "failed", False))


@pytest.mark.house(comets=1, logics=1)
@pytest.mark.parametrize("strict", [{"redis.prefix": "staging"}, {"redis.db": "1"}, {"redis.db": "1", "redis.prefix": "x"}],
                         indirect=True, ids=["prefix", "db", "both"])
def test_a_neighbour_of_the_same_names_lets_nobody_in(house, strict, crowd):
    neighbours = Crowd(strict)
    for i in range(CLIENTS):
        with pytest.raises(ConnectionError):
            neighbours.join("comet-1", f"s{i}")
        crowd.join("comet-1", f"p{i}", mid=7)
    neighbours.close()
    house.backend().push_mids([7], "you#1")
    for person in crowd.people:
        wait_until(lambda p=person: p.received["you"] == [1], f"{person.key} is reached")
    assert strict.backend().get("/goim/online/total").json()["data"]["conn_count"] == 0
    assert house.log("comet-1").count("event=logic_id_taken") == house.log("logic-1").count("event=logic_id_taken") == 0


@pytest.mark.house(comets=1, logics=1, settings={"redis.prefix": "staging"})
def test_all_names_begin_with_the_prefix(house, crowd):
    person = crowd.join("comet-1", "k", room="live://1", mid=7)
    backend = house.backend()
    backend.push_room("live://1", "x#1")
    backend.push_mids([7], "x#2")
    wait_until(lambda: person.received["x"] == [1, 2], "both arrive")
    redis = house.redis()
    assert {key.split(b":")[0] for key in redis.keys()} == {b"staging"}
    assert {name.split(b":")[0] for name in redis.pubsub_channels()} == {b"staging"}
