"""A comet alone and a cluster answer each call of the HTTP API alike: a back end that was written against one works with the other. What
differs by the docs is left out: a cluster does not know what clients accept, tells who is in a room only to who asks, and keeps up to an eighth
more than stream.rooms and stream.users say.

SPDX-License-Identifier: MIT"""
import json
import os
import re
import urllib.parse

import pytest

from client import WAYS, Client
from cluster_house import ClusterComet
from server import Comet
from waiting import wait_until

pytestmark = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE", "alone") != "alone", reason="it starts both")

SETTINGS = {"stream.rooms": "chat:5000/10m", "stream.users": "5000/24h", "stream.users_open": "yes", "logic.renew_online": "1s",
            "events.kinds": "online, offline, occupied, vacated, unacked", "server.id": "the-one", "limits.bans": "5000"}

# Names of keys, users and rooms, as they stand in a query; and numbers.
NAMES = ["", "a", "k7", "k7,k8", "a%20b", "100%25", "a%0Ab", "a%00b", "%ff", "%e2%82%ac", "x" * 4096, "x" * 255, "x" * 256, "9223372036854775807",
         "9223372036854775808", "-5", "0", "007", "+7", "7", "7.0", "1e3", "a_b", "-", "%ed%a0%80", "%7f", "}:c:{"]

# What stands in JSON.
VALUES = ["1e300", "-1", "1.5", "[]", "[1]", "[1,1.5]", "null", "{}", "true", '"7"', "9223372036854775808", "[[7]]", r'"\u0000"', r'"\ud800"', '"7,8"', '""']

# With NAME in place of each name.
CALLS = [
    *(("POST", f"/goim/push/{kind}?operation=1000&{who}{more}") for kind in ("keys", "mids", "users") for more in ("&tell=1", "&offline=1&positions=1", "&keep=no&offline=1")
      for who in (f"{kind}=NAME", f"{kind}=7&{kind}=NAME&{kind}=NAME")),
    *(("POST", f"/goim/push/room?operation=1000&type={kind}&room=NAME&tell=1{more}") for kind in ("chat", "other") for more in ("", "&keep=no")),
    ("POST", "/goim/push/mids?operation=NAME&mids=7"), ("POST", "/goim/push/mids?operation=1000&mids=7&keep=NAME"),
    ("POST", "/goim/push/mids?operation=1000&mids=77&confirm=NAME"), ("POST", "/goim/push/all?operation=1000&speed=NAME"),
    *(("POST", f"/goim/room/{way}?type=chat&rooms=NAME&mids=99") for way in ("join", "leave")),
    *(("POST", f"/goim/kick?{who}=NAME&for=1s") for who in ("networks", "nobody")), ("POST", "/goim/kick?mids=4711&for=NAME"),
    *(("DELETE", f"/goim/bans?{who}=NAME") for who in ("mids", "users", "keys", "networks", "tokens")),
    *(("GET", f"/goim/{what}?type={kind}&room=NAME") for kind in ("chat", "other") for what in ("stream", "room/members", "connections")),
    ("GET", "/goim/stream?type=chat&room=1&since=NAME"), ("GET", "/goim/stream?type=chat&room=1&last=NAME"), ("GET", "/goim/stream/position?type=chat&rooms=NAME&rooms=NAME"),
    ("POST", "/goim/stream/clear?type=chat&room=NAME"),
    *((method, f"/goim/stream{what}?{who}=NAME") for who in ("mid", "user") for method, what in (("GET", ""), ("GET", "/acks"), ("POST", "/clear"))),
    ("GET", "/goim/online/users?mids=NAME"), ("GET", "/goim/online/users?users=NAME&users=7&users=7&detail=1"), ("GET", "/goim/online/top?type=NAME&limit=10"),
    *(("GET", f"/goim/online/users?users=7&detail=1&{page}=NAME") for page in ("limit", "after", "queued")), ("GET", "/goim/connections?keys=NAME"),
    ("POST", "/1/push?uid=NAME"), ("POST", "/1/push/room?rid=NAME"), ("GET", "/1/count?type=NAME"), ("POST", "/1/server/del?server=NAME-"),
    ("POST", "/goim/trace?users=NAME&for=0"), ("POST", "/goim/trace?keys=NAME&for=0"), ("GET", "/goim/events?limit=NAME&after=NAME-"),
]

# With VALUE in place of each value: a body, and a header.
JSON = {"Content-Type": "application/json"}
BODIES = [
    *((f"/goim/push/{kind}", f'{{"operation":1000,"{kind}":VALUE,"body":"x","offline":true}}', JSON) for kind in ("keys", "mids", "users")),
    *(("/goim/push/mids", f'{{"operation":1000,"mids":[7],"body":"x","{name}":VALUE}}', JSON) for name in ("keep", "confirm", "positions", "tell")),
    *(("/goim/batch", f'{{"operation":1000,"type":"chat","room":"1","body":"x","{name}":VALUE}}', {}) for name in ("idempotency_key", "mids", "all", "nobody")),
    ("/goim/room/join", '{"type":"chat","rooms":VALUE,"mids":[99]}', JSON), ("/1/pushs", '{"u":VALUE,"m":1}', {}), ("/1/pushs", '{"u":[7,7,0],"m":VALUE}', {}),
]


def many(name, n):
    return "&".join(f"{name}={i}" for i in range(2000, 2000 + n))


LISTS = [(method, path + many(name, n)) for n in (100, 101, 1000, 1001, 10001) for method, path, name in (
    ("POST", "/goim/push/mids?operation=1000&offline=1&", "mids"), ("POST", "/goim/push/mids?operation=1000&keep=no&offline=1&", "mids"),
    ("POST", "/goim/push/keys?operation=1000&offline=1&", "keys"), ("POST", "/goim/kick?", "mids"), ("POST", "/goim/kick?for=1s&", "mids"),
    ("DELETE", "/goim/bans?", "mids"), ("GET", "/goim/online/users?detail=1&", "mids"), ("GET", "/goim/stream/position?", "mids"),
    ("GET", "/goim/stream/position?type=other&", "rooms"), ("POST", "/goim/room/join?type=chat&mids=99&", "rooms"), ("POST", "/goim/room/join?type=chat&rooms=1&", "mids"))]


def plain(reply):
    """What is to be the same: without numbers of streams, times and addresses."""
    body = re.sub(r"\d{15,}", "N", reply.body.decode())
    body = re.sub(r'"(since_ms|address|at|newest|queued)":("[^"]*"|\d+)', r'"\1":0', body)
    body = re.sub(r',?"filtered":\d+|,?"accepts":\[[^]]*\]', "", body)
    try:
        body = json.dumps(json.loads(body), sort_keys=True)
    except ValueError:
        pass  # a line for each
    headers = {name: re.sub(r"\d{15,}", "N", value) for name, value in reply.headers.items()
               if name in ("allow", "content-type", "retry-after") or name.startswith("comet-") and name != "comet-filtered"}
    return reply.status, headers, body


@pytest.fixture
def both(launch):
    houses, clients = [launch(SETTINGS, kind=kind) for kind in (Comet, ClusterComet)], []
    for house in houses:
        for mid, key, room in ((7, "k7", "chat://1"), (7, "k7b", "other://1"), (8, "k8", "chat://1")):
            clients.append(Client(WAYS[0], house.address("tcp")))
            clients[-1].auth(mid=mid, key=key, room=room)
        wait_until(lambda: house.backend.data("/goim/online/room", type="chat", rooms=1) == {"1": 2}, "the room is counted")
    yield [house.backend for house in houses]
    for client in clients:
        client.close()


def differences(both, calls):
    found = []
    for method, path, body, headers in calls:
        alone, cluster = (plain(backend.request(method, path, body, headers)) for backend in both)
        if alone != cluster:
            found.append(f"{method} {path[:120]} {body[:120]} {headers}\n  alone   {str(alone)[:300]}\n  cluster {str(cluster)[:300]}")
    assert not found, "\n".join(found[:20])


def test_names_and_numbers(both):
    differences(both, ((method, path.replace("NAME", name), "x", {}) for method, path in CALLS for name in NAMES))


def test_values_of_json(both):
    differences(both, (("POST", path, body.replace("VALUE", value), headers) for path, body, headers in BODIES for value in VALUES))


def test_long_lists(both):
    differences(both, ((method, path, "x", {}) for method, path in LISTS))


def test_pushes_that_come_again(both):
    pushes = ["mids?operation=1000&mids=7&mids=55&offline=1&positions=1", "mids?operation=1000&mids=7&mids=56&tell=1", "users?operation=1000&users=ann",
              "room?operation=1000&type=chat&room=1&tell=1", "room?operation=1000&type=other&room=2&tell=1", "mids?operation=1000&mids=7&keep=no",
              "keys?operation=1000&keys=k7", "all?operation=1000"]
    names = [urllib.parse.unquote(name) for name in ("", "a", "a%20b", "x" * 64, "x" * 65, "%25", "}:c:{")]
    differences(both, (("POST", f"/goim/push/{push}", "x", {"Idempotency-Key": name}) for push in pushes for name in names for _ in range(2)))
