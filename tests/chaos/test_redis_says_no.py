"""Redis is there and says no, or nothing: every push is delivered or refused, nothing hangs, and nobody is closed.

SPDX-License-Identifier: MIT"""
import contextlib
import shutil

import pytest

from history import Crowd, Pushes, assert_agreed
from life import A_SECOND, RECOVERY_SECONDS, assert_recovers, begin_life, wait_refused
from proxy import Loading
from waiting import TIMEOUT, scaled, wait_until

@pytest.fixture
def life(house, crowd, pushes):
    begin_life(house, crowd, pushes)
    return house


@contextlib.contextmanager
def setting(house, name, value):
    """Redis runs with this for a while."""
    client = house.redis()
    before = client.config_get(name)[name]
    client.config_set(name, value)
    yield client
    client.config_set(name, before)


def test_redis_is_out_of_memory(life, crowd, pushes):
    with setting(life, "maxmemory", 1):
        wait_refused(pushes)
        with pytest.raises(ConnectionError):
            crowd.join("comet-1", "nobody")
    assert_recovers(life, crowd, pushes)


def test_redis_is_read_only_for_a_while(life, crowd, pushes):
    """As a master is that was made a replica."""
    client = life.redis()
    client.replicaof("127.0.0.1", "1")
    wait_refused(pushes)
    client.replicaof("NO", "ONE")
    assert_recovers(life, crowd, pushes)


def test_redis_wants_a_password_that_nobody_has(life, crowd, pushes):
    with setting(life, "requirepass", "sesame") as client:
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        client.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        wait_refused(pushes)
        wait_until(lambda: "NOAUTH" in life.log("comet-1"), "the log says what Redis says")
    assert_recovers(life, crowd, pushes)


def test_redis_user_lacks_a_permission(life, crowd, pushes):
    """The command that is refused fails; what others share the connection for goes on."""
    client = life.redis()
    before = {name: life.metrics(name)("comet_redis_lost_total") for name in ("comet-1", "logic-1")}
    client.execute_command("ACL", "SETUSER", "default", "-eval", "-evalsha")
    wait_refused(pushes)
    wait_until(lambda: "NOPERM" in life.log("logic-1"), "the log says what Redis says")
    client.execute_command("ACL", "SETUSER", "default", "+@all")
    assert {name: life.metrics(name)("comet_redis_lost_total") for name in before} == before
    assert_recovers(life, crowd, pushes)


def test_redis_user_lacks_the_channels(life, crowd, pushes):
    """The connections are closed once, and then asked for in vain: that is said, and it comes right by itself."""
    client = life.redis()
    names = ("comet-1", "logic-1")
    client.execute_command("ACL", "SETUSER", "default", "resetchannels")
    for name in names:
        wait_until(lambda name=name: life.metrics(name)("comet_redis_not_subscribed_total") >= 2, "it asks again", TIMEOUT)
        assert "give redis.user the channels comet:*" in life.log(name)
    client.execute_command("ACL", "SETUSER", "default", "allchannels")
    life.wait_ready()
    assert_recovers(life, crowd, pushes)


def test_redis_is_loading(life, crowd, pushes):
    life.kill("redis")
    loading = Loading(life.address("redis", "redis"))
    try:
        wait_refused(pushes)
        wait_until(lambda: loading.asked > 20, "it is asked again and again")
    finally:
        loading.stop()
    life.start("redis")
    assert_recovers(life, crowd, pushes)


def test_redis_answers_late_again_and_again(life, crowd, pushes):
    client = life.redis()
    for _ in range(3):
        client.execute_command("CLIENT", "PAUSE", 700, "ALL")
        pushes.wait_accepted(5)
    assert_recovers(life, crowd, pushes)


def test_redis_starts_again_without_data(life, crowd, pushes):
    # What was accepted before has to be read before: the streams are gone, too.
    pushes.stop()
    assert_agreed(crowd, pushes)
    pushes.begin_again()
    life.kill("redis")
    shutil.rmtree(life.directory / "appendonlydir")
    life.start("redis")
    pushes.start("key2", "/goim/push/keys?operation=1000&keys=comet-2/1", lambda p: p.key == "comet-2/1", A_SECOND / 3)
    pushes.start("room2", "/goim/push/room?operation=1000&type=live&room=0", lambda p: p.room == "live://0",
                 A_SECOND / 3, logic=1)
    assert_recovers(life, crowd, pushes)


def test_redis_forgets_everything_between_two_pushes(life, crowd, pushes):
    """FLUSHALL takes what was accepted and not yet read: that is a run of neighbours at that moment, and no more."""
    before = {stream: len(stream.accepted) for stream in pushes.streams}
    life.redis().flushall()
    flushed = {stream: len(stream.accepted) for stream in pushes.streams}
    pushes.wait_accepted(scaled(20, 5), 2 * TIMEOUT)
    pushes.stop()
    for person in crowd.people:
        for stream in (s for s in pushes.streams if s.targets(person)):
            # The last one is there when all that came before it is.
            wait_until(lambda p=person, s=stream: p.received[s.name][-1:] == s.accepted[-1:], f"{person.key} is reached")
            got = person.received[stream.name]
            assert got == sorted(set(got)), f"{person.key} got {stream.name} twice or out of order"
            lost = [i for i, number in enumerate(stream.accepted) if number not in set(got)]
            assert lost == [] or before[stream] - 50 <= lost[0] and lost[-1] <= flushed[stream] + 50
        assert person.closed_at is None


def test_connections_to_redis_hang_without_a_word(behind_a_proxy):
    """As when a firewall forgets them: nothing comes any more, and nothing says so. New ones work."""
    house, proxy = behind_a_proxy
    crowd, pushes = Crowd(house), Pushes(house)
    try:
        begin_life(house, crowd, pushes)
        assert proxy.silence() >= 10
        pushes.wait_accepted(scaled(20, 5), 2 * RECOVERY_SECONDS)
        wait_until(lambda: crowd.comes_in("comet-1") and crowd.comes_in("comet-2"), "clients come in", TIMEOUT)
        assert_recovers(house, crowd, pushes)
    finally:
        pushes.stop()
        crowd.close()
