"""Several clusters over one Redis, whose programs have the same names: by redis.prefix, or by redis.db, they hear nothing of each
other. And several of scripts/cluster, each with ports of its own. SPDX-License-Identifier: MIT"""
import concurrent.futures
import os
import shutil
import tempfile

import pytest

from history import Crowd
from house import House, cluster_script
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
    # A comet writes from time to time how many it has, those too who ask to be let in.
    wait_until(lambda: strict.backend().get("/goim/online/total").json()["data"]["conn_count"] == 0, "nobody is in the other one")
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


@pytest.fixture
def script(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return cluster_script()


@pytest.fixture
def claim(script, tmp_path):
    """The block of ports of a cluster of this name. Claims of one process all begin with the same block."""
    def one(name, blocks=355):
        (tmp_path / name).mkdir()
        return script.claim_block(tmp_path / name, blocks)
    return one


def test_block_of_ports_is_a_cluster_s_for_as_long_as_its_folder_is_there(script, claim, tmp_path):
    block = claim("one")
    other = claim("two")
    assert other != block
    script.Cluster(tmp_path / "one").down()
    assert claim("three") == block
    shutil.rmtree(tmp_path / "three")  # nobody gives it back
    assert claim("four") == block
    assert claim("five") not in (block, other)


def test_clusters_that_are_brought_up_at_once_have_blocks_of_their_own(claim):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        assert sorted(pool.map(lambda i: claim(f"cluster-{i}", 20), range(20))) == list(range(20))


def test_where_no_block_can_be_claimed_a_cluster_has_one_all_the_same(script, claim, tmp_path):
    (tmp_path / f"comet-clusters-{os.getuid()}").write_text("something else")
    assert claim("one") == claim("two") == os.getpid() % 355
    script.Cluster(tmp_path / "one").down()
    assert not (tmp_path / "one").exists()
