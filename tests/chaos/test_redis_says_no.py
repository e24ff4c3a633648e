"""Redis is there and says no, or nothing: every push is delivered or refused, nothing hangs, and nobody is closed.

SPDX-License-Identifier: MIT"""
import contextlib
import json
import shutil

import pytest

from history import Crowd, Pushes, assert_hearts_beat
from life import RECOVERY_SECONDS, assert_recovers, assert_refusals_counted, begin_life, wait_refused
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


def said(life, name, event):
    """What a program has logged of this event."""
    return "".join(line for line in life.log(name).splitlines(keepends=True) if f"event={event} " in line)


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
        wait_until(lambda: "NOAUTH" in said(life, "comet-1", "redis_login_refused"), "the log says what Redis says")
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
        assert "give redis.user the channels of redis.prefix (by default comet:*)" in life.log(name)
    client.execute_command("ACL", "SETUSER", "default", "allchannels")
    life.wait_ready()
    assert_recovers(life, crowd, pushes)


def test_redis_is_loading(life, crowd, pushes):
    life.kill("redis")
    loading = Loading(life.address("redis", "redis"))
    try:
        wait_refused(pushes)
        wait_until(lambda: loading.asked > 20, "it is asked again and again")
        for name in ("comet-1", "logic-1"):
            wait_until(lambda name=name: "LOADING" in said(life, name, "redis_refuses"), "the log says what Redis says")
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


def all_logics_push(house):
    """With its next push each tells what it knows."""
    for logic in house.names("logic"):
        house.backend(logic).push_room("live://0", "hello")


def wait_counted(house, comet, least, most=None):
    wait_until(lambda: least <= house.metrics(comet)("comet_push_gap_total"), f"{comet} counts {least} that were lost")
    assert house.metrics(comet)("comet_push_gap_total") <= (least if most is None else most)


def missed(person, stream):
    got = set(person.received[stream.name])
    return [number for number in stream.accepted if number not in got]


def streams_of(person, pushes):
    return [stream for stream in pushes.streams if stream.targets(person)]


def wait_reached(house, crowd, pushes):
    """The last one is there when all that came before it is."""
    assert_refusals_counted(house, pushes)
    for person in crowd.people:
        for stream in streams_of(person, pushes):
            wait_until(lambda p=person, s=stream: p.received[s.name][-1:] == s.accepted[-1:], f"{person.key} is reached")
            got = person.received[stream.name]
            assert got == sorted(set(got)), f"{person.key} got {stream.name} twice or out of order"
        assert person.closed_at is None


def test_redis_starts_again_without_data(life, crowd, pushes):
    """What was accepted and not read goes with it, and no more: a run of neighbours that ends with Redis, which is counted."""
    life.freeze("comet-1")
    pushes.wait_accepted(scaled(20, 5))
    life.kill("redis")
    life.thaw("comet-1")
    ended = {stream: stream.begun for stream in pushes.streams}
    shutil.rmtree(life.directory / "appendonlydir")
    life.start("redis")
    pushes.wait_accepted(scaled(20, 5), 2 * TIMEOUT)
    pushes.stop()
    wait_reached(life, crowd, pushes)
    all_logics_push(life)
    for person in crowd.people:
        for stream in streams_of(person, pushes):
            lost = missed(person, stream)
            before = [number for number in stream.accepted if number <= ended[stream]]
            assert lost == before[len(before) - len(lost):], f"{person.key} has not got {lost[:10]} of {stream.name}"
    for comet in life.names("comet"):
        # Those of which nobody knows whether they were accepted may be among what is counted.
        lost = {(stream.name, number) for person in crowd.on(comet) for stream in streams_of(person, pushes)
                for number in missed(person, stream)}
        assert lost or comet != "comet-1"
        wait_counted(life, comet, len(lost), len(lost) + sum(len(stream.unknown) for stream in pushes.streams))


def forget_everything(house):
    """FLUSHALL, and in the same instant: what stood in each comet's stream, as (stream, number)."""
    comets = house.names("comet")
    with house.redis() as client, client.pipeline(transaction=True) as all_at_once:
        for comet in comets:
            all_at_once.xrange(f"comet:push:{comet}")
        all_at_once.flushall()
        *held, _ = all_at_once.execute()
    bodies = [[fields[b"body"].decode().partition("#") for _, fields in entries] for entries in held]
    return {comet: [(name, int(number)) for name, _, number in entries] for comet, entries in zip(comets, bodies)}


def test_redis_forgets_everything_between_two_pushes(life, crowd, pushes):
    """FLUSHALL takes what was accepted and not yet read: the end of each comet's stream at that moment, and no more. What
    stood in it is asked of Redis in the same instant, and is what the comet counts as lost."""
    life.freeze("comet-1")  # so that it certainly has not read some
    pushes.wait_accepted(scaled(20, 5))
    held = forget_everything(life)
    life.thaw("comet-1")
    pushes.wait_accepted(scaled(20, 5), 2 * TIMEOUT)
    pushes.stop()
    wait_reached(life, crowd, pushes)
    all_logics_push(life)
    for comet, entries in held.items():
        lost = {(person, stream.name, number) for person in crowd.on(comet) for stream in streams_of(person, pushes)
                for number in missed(person, stream)}
        first = min((entries.index((name, number)) for _, name, number in lost), default=len(entries))
        streams = {stream.name: (stream, set(stream.accepted)) for stream in pushes.streams}
        end = {(person, name, number) for name, number in entries[first:] for person in crowd.on(comet)
               if streams[name][0].targets(person) and number in streams[name][1]}
        assert lost or comet != "comet-1"
        wait_counted(life, comet, len(entries) - first)
        assert lost == end, f"{comet}: not the end of its stream was lost, but {sorted(n[1:] for n in lost ^ end)[:10]}"


@pytest.fixture
def cut_off(behind_a_proxy):
    """Life in a house behind a proxy."""
    house, proxy = behind_a_proxy
    crowd, pushes = Crowd(house), Pushes(house)
    begin_life(house, crowd, pushes)
    yield house, proxy, crowd, pushes
    pushes.stop()
    crowd.close()


def wait_come_in(crowd):
    """A subscription on which nothing comes is asked after 5 s whether it lives, and given as long to say so."""
    wait_until(lambda: crowd.comes_in("comet-1") and crowd.comes_in("comet-2"), "clients come in", TIMEOUT)


def test_connections_to_redis_hang_without_a_word(cut_off):
    """As when a firewall forgets them: nothing comes any more, and nothing says so. New ones work."""
    house, proxy, crowd, pushes = cut_off
    assert proxy.silence() >= 10
    pushes.wait_accepted(scaled(20, 5), 2 * RECOVERY_SECONDS)
    wait_come_in(crowd)
    assert_recovers(house, crowd, pushes)


def test_all_packets_to_redis_are_dropped_for_a_while(cut_off):
    """Neither the connections that are there nor new ones get a word through, and none is told."""
    house, proxy, crowd, pushes = cut_off
    proxy.drop_all()
    wait_refused(pushes)
    with pytest.raises(ConnectionError, match="no logic"):
        crowd.join("comet-1", "nobody")
    assert_hearts_beat(crowd.people, RECOVERY_SECONDS)
    # Not only those that it had: new ones were tried, too.
    wait_until(lambda: 'error="no answer in time"' in said(house, "comet-1", "redis_unreachable"), "it tries again and again", 3 * TIMEOUT)
    proxy.drop_no_more()
    wait_come_in(crowd)
    assert_recovers(house, crowd, pushes)


@pytest.mark.house(comets=1, logics=1, settings={"events.kinds": "online,offline", "limits.per_user": "1", "limits.per_user_ends": "newest"})
def test_nobody_stays_registered_who_was_not_told_that_he_is_in(house, crowd):
    """The logic has registered him, and its answer got lost: his comet gives up, and nobody has the registration."""
    client, backend = house.redis(), house.backend()
    client.execute_command("ACL", "SETUSER", "default", "resetchannels", "&comet:logic:*")
    with pytest.raises(ConnectionError):
        crowd.join("comet-1", "", mid=7)
    client.execute_command("ACL", "SETUSER", "default", "allchannels")
    house.wait_ready()
    wait_until(lambda: backend.data("/goim/online/users", mids=7) == {"7": 0}, "his registration is forgotten")
    kinds = [event["kind"] for event in backend.data("/goim/events", after="0")]
    assert kinds and kinds == ["online", "offline"] * (len(kinds) // 2)
    crowd.join("comet-1", "", mid=7)


@pytest.mark.house(comets=1, logics=1, settings={"events.kinds": "online,offline"})
def test_kick_ends_a_registration_that_nobody_has(house):
    """The answer for a client of version 1 got lost: no comet knows the key that its logic made."""
    client, backend = house.redis(), house.backend()
    client.publish("comet:logic:logic-1", json.dumps({"id": "1", "method": "connect", "server": "comet-1", "reply": "", "expires": 0, "peer": "127.0.0.1", "token": "7"}))
    wait_until(lambda: backend.data("/goim/online/users", mids=7) == {"7": 1}, "it is there")
    reply = backend.post("/goim/kick", mids=7)
    assert reply.json()["data"] == {"kicked": 1}, reply
    wait_until(lambda: backend.data("/goim/online/users", mids=7) == {"7": 0}, "it has ended")
    assert [event["kind"] for event in backend.data("/goim/events", after="0")] == ["online", "offline"]
