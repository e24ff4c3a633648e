"""/openapi.json says what the API takes: each path, method, parameter and status, and nothing that is not so. A route that is added
has its words in the table of routes; where they are wrong or something is left out, a test here says which.

SPDX-License-Identifier: MIT"""
import functools
import json
import re

import pytest

from server import ROOT

pytestmark = [pytest.mark.ways("v2"), pytest.mark.settings("stream.rooms=live:5/10m", "stream.users=5/10m", "stream.users_open=yes", "events.kinds=online")]
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
    return {"application/x-ndjson": '{"operation":1000,"mids":7}\n', "application/json": '{"u":[7],"m":1}'}.get(types[0], "hello") if types else ""


class Asking:
    """A call of one operation, by its own words."""

    def __init__(self, backend, method, path, operation):
        self.operation, self.path = operation, path
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
        described = list(self.operation["responses"][str(reply.status)]["content"])
        assert [reply.headers["content-type"].partition(";")[0]] == described
        if described != ["application/json"] or self.path == "/openapi.json":
            return reply.status, None
        answer = reply.json()
        return reply.status, answer["code"] if "code" in answer else answer["ret"]

    def is_fault(self, told):
        return told[0] == 400 or told[1] == 65535


@pytest.fixture
def asking(api, backend):
    return [Asking(backend, *operation) for operation in operations(api)]


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
