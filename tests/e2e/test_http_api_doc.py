"""docs/http-api.md and docs/protocol.md name every path of the API, the first one below the scope that it needs. Its commands are
run by test_docs_commands.py. SPDX-License-Identifier: MIT"""
import re

from server import ROOT

PAGE = (ROOT / "docs" / "http-api.md").read_text()
CONTRACT = (ROOT / "docs" / "protocol.md").read_text()
ASKING, PUSHING = "## Asking (scopes `online` and `upstream`)", "## Pushing (scopes `push:…`)"
SECTIONS = {"HTTP_PUSH_KEYS": PUSHING, "HTTP_PUSH_USERS": PUSHING, "HTTP_PUSH_ROOMS": PUSHING, "HTTP_PUSH_ALL": PUSHING, "HTTP_PUSH": PUSHING,
            "HTTP_ONLINE": ASKING, "HTTP_UPSTREAM": ASKING, "HTTP_METRICS": ASKING,
            "HTTP_STREAM": "## Histories (scope `stream`, and to empty one `push:rooms` or `push:users`)",
            "HTTP_EVENTS": "## Events (scope `events`)", "HTTP_KICK": "## Sending away (scope `kick`)",
            "HTTP_ADMIN": "## Changing the server (scope `admin`)", "HTTP_FREE": "## For load balancers and engines (no key)"}

ROOMS = "## Rooms (scope `push:rooms`)"
OF_THEIR_OWN = {"/goim/stream": SECTIONS["HTTP_STREAM"], "/goim/room/join": ROOMS, "/goim/room/leave": ROOMS}


def routes():
    sources = [*sorted((ROOT / "logic").glob("api_*.c")), ROOT / "common/http/http_health.c"]
    found = [route for path in sources
             for route in re.findall(r'\{(?:"(?:GET|POST|DELETE)", )?"(/[\w/.]*)", (HTTP_\w+)(?: \| HTTP_\w+)?,\s+\w+(?:,\s+(?:NULL|"[^"]*"))*\}', path.read_text())]
    assert len(found) > 30
    return found


def section(heading):
    assert heading in PAGE, heading
    return PAGE.partition(heading)[2].partition("\n## ")[0]


def test_each_path_stands_below_its_scope():
    for path, scope in routes():
        if path != "/":  # the console
            own = [heading for start, heading in OF_THEIR_OWN.items() if path.startswith(start)]
            heading = own[0] if own else SECTIONS[scope]
            assert re.search(rf"{re.escape(path)}\b(?!/)", section(heading)), f"{path} needs {scope}"


def test_each_path_is_in_the_contract():
    for path, _ in routes():
        assert f"`{path}`" in CONTRACT, path


def test_each_status_that_the_api_says_is_explained():
    source = "".join(path.read_text() for path in [*(ROOT / "logic").glob("api*.c"), ROOT / "common/http/http.c"])
    faults = re.findall(r"^fault\(\w+, (\d+)", (ROOT / "common/http/http_fault.def").read_text(), re.M)
    assert len(faults) > 10
    for code in set(re.findall(r'"code", (-\d+)', source)) | {"-401", "-403", "-413", "-429"} | {f"-{status}" for status in faults}:
        assert code.replace("-", "−") in PAGE, code
