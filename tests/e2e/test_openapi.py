"""/openapi.json says what the API takes and answers: each path, method, parameter, status and member, and nothing that is not so. A route
that is added has its words in the table of routes; where they are wrong or something is left out, a test here says which.

SPDX-License-Identifier: MIT"""
import functools
import json
import re

import pytest

import streams
from client import Op
from openapi_schema import Schemas
from server import ROOT
from waiting import wait_until

pytestmark = [pytest.mark.ways("v2"), pytest.mark.settings("stream.rooms=live:5/10m", "stream.users=5/10m", "stream.users_open=yes",
                                                           "events.kinds=online,occupied,unacked")]
SOURCES = sorted((ROOT / "logic").glob("api*.c"))
DEFINED = re.findall(r'^param\("([\w-]+)", "(\w+)", "(\w+)", "([^"]+)"', (ROOT / "logic/api_param.def").read_text(), re.M)
EXAMPLES = {name: example for name, _, _, example in DEFINED}
IN_QUERY = [name for name, place, _, _ in DEFINED if place == "query"]
# Where any text is good, or only one of our own: no other parameter is left out silently.
FREE_TEXT = {"after", "server", "platform", "region", "room", "type", "rooms", "keys", "tell", "offline", "detail", "user", "positions"}


@pytest.fixture
def api(backend):
    reply = backend.get("/openapi.json")
    assert reply.status == 200 and reply.headers["access-control-allow-origin"] == "*"
    return reply.json()


def routes():
    """(method, path, is_described) of each row of the tables."""
    found = []
    for source in SOURCES:
        for table in re.findall(r"^static const struct api_route \w+\[\] = \{\n(.*?)^\};", source.read_text(), re.M | re.S):
            rows = re.findall(r'\{"(\w+)", "(/[^"]*)", [^{}]*?, (NULL|"[^"]*")\}', re.sub(r'",\s+"', '", "', table), re.S)
            assert len(rows) == len(re.findall(r'\{"\w+", "/', table)), source
            found += rows
    assert len(found) > 25
    return [(method, path, takes != "NULL") for method, path, takes in found]


def operations(api):
    return [(method.upper(), path, operation) for path, item in api["paths"].items() for method, operation in item.items()]


def test_each_route_is_described(api):
    assert {(method, path) for method, path, _ in operations(api)} == {(method, path) for method, path, is_described in routes() if is_described}
    assert [path for _, path, is_described in routes() if not is_described] == ["/"]  # the console, with its files


def test_ids_are_names_and_no_two_are_alike(api):
    ids = [operation["operationId"] for _, _, operation in operations(api)]
    assert len(set(ids)) == len(ids) and all(re.fullmatch("[a-z0-9_]+", name) for name in ids)


def test_table_of_parameters_is_that_of_the_source(api):
    """Each name that a handler reads is defined, and each that is defined is taken by some path."""
    text = "".join(path.read_text() for path in SOURCES)
    read = set(re.findall(r'(?:http_param|api_read_list|is_1)\([^()]*(?:->request|request), "([\w-]+)"', text))
    assert len(read) > 15
    assert read - {"body", "idempotency_key"} <= set(IN_QUERY)
    taken = {param["name"] for _, _, operation in operations(api) for param in operation["parameters"]}
    assert taken == {name for name, *_ in DEFINED}


def is_needed(operation):
    """Names of parameters that must be there, and of those of which one must."""
    names = [param["name"] for param in operation["parameters"]]
    assert len(set(names)) == len(names)
    alternatives = operation["description"].partition("One is needed of: ")[2]
    return ([param["name"] for param in operation["parameters"] if param["required"]], alternatives.split(", ") if alternatives else [])


def example(path, name):
    if path == "/1/count":
        return "room"
    return "phone" if name == "after" and path != "/goim/upstream" else EXAMPLES[name]


def body_of(operation):
    types = list(operation.get("requestBody", {"content": {}})["content"])
    return {"application/x-ndjson": '{"operation":1000,"mids":7,"body":"hello"}\n', "application/json": '{"u":[7],"m":1}'}.get(types[0], "hello") if types else ""


def check_reply(schemas, operation, reply):
    """It has the type that is described, and the members."""
    (media, content), = operation["responses"][str(reply.status)]["content"].items()
    assert reply.headers["content-type"].partition(";")[0] == media
    for text in [reply.body] if media == "application/json" else reply.body.splitlines() if media == "application/x-ndjson" else []:
        schemas.check(json.loads(text), content["schema"])


class Asking:
    """A call of one operation, by its own words."""

    def __init__(self, backend, schemas, method, path, operation):
        self.operation, self.path, self.schemas = operation, path, schemas
        self._ask = functools.partial(backend.request, method, path, body_of(operation))
        must, one_of = is_needed(operation)
        self.must = {name: example(path, name) for name in must}
        self.one_of = {name: example(path, name) for name in one_of}
        self.base = {**self.must, **dict(list(self.one_of.items())[:1])}
        self.names = [param["name"] for param in operation["parameters"]]

    def __call__(self, **params):
        """The status and the code; each status is one that is described."""
        reply = self._ask(**params)
        assert str(reply.status) in self.operation["responses"], (self.path, params, reply)
        check_reply(self.schemas, self.operation, reply)
        if not reply.headers["content-type"].startswith("application/json") or self.path == "/openapi.json":
            return reply.status, None
        answer = reply.json()
        return reply.status, answer["code"] if "code" in answer else answer["ret"]

    def is_fault(self, told):
        return told[0] == 400 or told[1] == 65535


@pytest.fixture
def schemas(api):
    return Schemas(api)


@pytest.fixture
def asking(api, backend, schemas):
    return [Asking(backend, schemas, *operation) for operation in operations(api)]


# Needs a setting of its own, or another comet.
REFUSED = {"/goim/tokens/revoke"}


def test_what_is_needed_is_needed_and_is_enough(asking):
    for ask in asking:
        if ask.path in REFUSED:
            continue
        assert ask(**ask.base) in ((200, 0), (200, 1), (200, None)) or ask.path == "/1/server/del", ask.path
        for name in ask.must:
            assert ask.is_fault(ask(**{other: value for other, value in ask.base.items() if other != name})), (ask.path, name)
        if ask.one_of:
            assert ask.is_fault(ask(**ask.must)), ask.path
        for name, value in ask.one_of.items():
            told = ask(**ask.must, **{name: value})
            # networks need a time, too
            assert not ask.is_fault(told) or (ask.path, name) == ("/goim/kick", "networks"), (ask.path, name, told)


def test_what_is_taken_is_read_and_nothing_else_is(asking):
    """Nonsense in a parameter that is described is a fault, unless any text is good; in any other parameter nobody sees it."""
    for ask in asking:
        if ask.path in REFUSED:
            continue
        base = ask(**ask.base)
        for name in IN_QUERY:
            told = ask(**{**ask.base, name: "\x01 nonsense"})
            if name not in ask.names:
                assert told == base, f"{ask.path} reads {name}, which its route does not say"
            elif name not in FREE_TEXT:
                assert ask.is_fault(told), f"{ask.path} does not read {name}, which its route says"


# What answers have


def named(connect, name):
    client = connect.raw()
    client.send(Op.AUTH, json.dumps({"user": name, "key": "named", "accepts": [1000]}).encode(), seq=1)
    client.expect(Op.AUTH_REPLY, seq=1)
    return client


# Members that want a setting of their own, a comet that is ill, or more than there is here: other tests have them.
UNSEEN = {("Told", ".accepts_more"), ("BatchAnswer", ".retry_after"), ("Bans", "[].tokens"), ("Bans", "[].before"), ("Connection", ".rooms_more"),
          ("Reloaded", ".failed"), ("Reloaded", ".faults"), ("Events", "[].lost"), ("Events", "[].n")}
# What only a comet alone tells.
ALONE = {("Told", ".filtered"), ("Told", ".accepts")}


def call_all(ask, connect):
    """Each call whose answer has data, with somebody to tell of."""
    phone = connect(mid=7, key="phone", room="live://1", accepts=[1000])
    ann = named(connect, "ann")
    joined = connect.raw()
    streams.arrive(joined, mid=8, key="pad")
    streams.join(joined, "live://1")
    of_goim = connect.raw()
    of_goim.send(Op.AUTH, b"5", ver=0)
    of_goim.expect(Op.AUTH_REPLY)
    phone.request(2000, b"text")
    ann.request(2000, b"\xff")
    ask("POST", "/goim/push/mids", "x", operation=1005, mids=[7, 9], tell=1, offline=1, positions=1)
    ask("POST", "/goim/push/keys", "x", operation=1000, keys=["phone", "none"], offline=1)
    ask("POST", "/goim/push/users", "x", operation=1000, users=["ann", "none"], offline=1)
    ask("POST", "/goim/push/room", b"x", operation=1000, type="live", room="1", tell=1)
    ask("POST", "/goim/push/room", b"\xff", operation=1000, type="live", room="1")
    ask("POST", "/goim/batch", '{"operation":1000,"type":"live","room":"1","tell":true,"body":""}\n')
    ask("GET", "/goim/stream", type="live", room="1")
    ask("GET", "/goim/stream/position", type="live", rooms="1")
    joined.send(Op.ACK, json.dumps({"at": ask("GET", "/goim/stream/acks", mid=8)["at"]}).encode())
    for method, path, params in (("GET", "/metrics/history", {"by": "minutes"}), ("GET", "/goim/upstream", {}), ("GET", "/goim/events", {}), ("GET", "/goim/online/users", {"mids": 7}),
                                 ("GET", "/goim/online/users", {"mids": [7, 8], "detail": 1, "limit": 1}),
                                 ("GET", "/goim/room/members", {"type": "live", "room": 1, "limit": 1}),
                                 ("GET", "/goim/connections", {}), ("GET", "/goim/nodes/weighted", {}),
                                 ("POST", "/goim/room/join", {"type": "live", "rooms": 2, "keys": "pad"}),
                                 ("POST", "/goim/room/leave", {"type": "live", "rooms": 2, "keys": "pad"}),
                                 ("POST", "/goim/trace", {"keys": "phone"}), ("POST", "/goim/trace", {"keys": "phone", "for": 0}),
                                 ("POST", "/goim/reload", {}), ("POST", "/goim/kick", {"users": "ann", "for": "1m"}),
                                 ("POST", "/goim/kick", {"keys": "x", "for": "1m"}),
                                 ("POST", "/goim/kick", {"networks": "203.0.113.7", "for": "1m"}), ("GET", "/goim/bans", {}),
                                 ("DELETE", "/goim/bans", {"keys": "x"}), ("DELETE", "/goim/bans", {"users": "ann"}),
                                 ("DELETE", "/goim/bans", {"networks": "203.0.113.7"}), ("POST", "/goim/kick", {"keys": "pad"})):
        ask(method, path, **params)
    for path, params in (("/goim/online/top", {"type": "live", "limit": 1}), ("/goim/nodes/instances", {}), ("/1/count", {"type": "server"}),
                         ("/goim/online/total", {}), ("/goim/online/room", {"type": "live", "rooms": 1}), ("/console.json", {})):
        wait_until(lambda: ask("GET", path, **params), path)  # they are counted once a second


def test_answers_are_as_described(api, backend, connect, schemas):
    """All that an answer has is described, and all that is described is there somewhere."""
    called = set()

    def ask(method, path, body="", **params):
        reply = backend.request(method, path, body, **params)
        check_reply(schemas, api["paths"][path][method.lower()], reply)
        called.add((method, path))
        assert reply.status == 200, reply
        return reply.json().get("data")

    call_all(ask, connect)
    has_data = {(method, path) for method, path, operation in operations(api) if "data" in json.dumps(operation["responses"]["200"])}
    assert has_data <= called
    alone = wait_until(lambda: ask("GET", "/1/count", type="room") and ask("GET", "/console.json")["top"] and ask("GET", "/console.json"),
                       "rooms are counted")["alone"]
    described = {member for member in schemas.members() if member[0] not in ("BatchLine", "PushsOfGoim")}
    assert described - schemas.seen == UNSEEN | (set() if alone else ALONE)


def test_bodies_are_as_described(api, backend, schemas):
    """All that is taken in a line of a batch is described, and what is described is taken."""
    line = {"operation": 1000, "body": "x"}
    lines = [{**line, "keys": ["a"], "offline": True}, {**line, "mids": [7], "keep": "no"}, {**line, "users": ["ann"], "confirm": "30s", "positions": True, "tell": True},
             {**line, "type": "live", "room": "1", "idempotency_key": "once"}, {**line, "all": True, "speed": 1000}]
    described = {"$ref": "#/components/schemas/BatchLine"}
    for one in lines:
        schemas.check(one, described)
    assert schemas.seen == {member for member in schemas.members() if member[0] == "BatchLine"}
    reply = backend.post("/goim/batch", "".join(json.dumps(one) + "\n" for one in lines))
    assert [json.loads(answer)["code"] for answer in reply.body.splitlines()] == [0] * len(lines)
    bodies = {path: operation["requestBody"]["content"] for _, path, operation in operations(api) if "requestBody" in operation}
    assert bodies["/goim/batch"] == {"application/x-ndjson": {"schema": described}}
    for path, content in bodies.items():
        (media, body), = content.items()
        schemas.check(json.loads(body_of(api["paths"][path]["post"])) if media == "application/json" else "x" if "octet" in media else lines[0], body["schema"])
    singles = {param["name"] for path in ("keys", "mids", "users", "room", "all") for param in api["paths"][f"/goim/push/{path}"]["post"]["parameters"]
               if param["in"] == "query"}
    assert {name for schema, name in schemas.members() if schema == "BatchLine"} == {f".{name}" for name in singles | {"all", "body", "idempotency_key"}}


def test_scopes_are_those_that_are_told(api, launch):
    house = launch({"http.api_key": "all-of-it"})
    stranger = house.backend
    stranger.api_key = None
    stranger.comet = None  # in a cluster: the key is comet-logic's
    for method, path, operation in operations(api):
        reply = stranger.request(method, path, "")
        if "401" in operation["responses"]:
            assert reply.status == 401 and operation["description"].startswith("Scope "), path
        else:
            assert reply.status in (200, 503) and operation["security"] == [], path
