"""Who may call the API: keys with names and scopes from a file, read again at SIGHUP; how often; no key in any output.

SPDX-License-Identifier: MIT"""
import hashlib
import pathlib
import re
import signal
import subprocess

import pytest

from backend import Backend
from server import BUILD
from waiting import Deadline, wait_until

KEYS = {"shop": ("push", "k-shop"), "desk": ("kick,read", "k-desk"), "boss": ("all", "k-boss")}

# What each scope is needed for.
CALLS = {
    "push": [("POST", "/goim/push/all?operation=1000"), ("POST", "/1/push/all"), ("POST", "/goim/push/mids?operation=1&mids=1")],
    "kick": [("POST", "/goim/kick?mids=1"), ("POST", "/1/server/del?server=none")],
    "read": [("GET", "/goim/online/total"), ("GET", "/goim/upstream"), ("GET", "/1/count?type=room"), ("GET", "/metrics")],
}


def write(path, keys, hashed=False):
    shown = (lambda key: "sha256:" + hashlib.sha256(key.encode()).hexdigest()) if hashed else str
    path.write_text("# name scopes key\n" + "".join(f"{name} {scopes} {shown(key)}\n" for name, (scopes, key) in keys.items()))
    path.chmod(0o600)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "keys"
    write(path, KEYS)
    return path


@pytest.fixture
def guarded(launch, file):
    """A house with these keys beside http.api_key, which the fixture's own backend shows."""
    return launch({"http.keys_file": str(file), "http.api_key": "k-one"})


def caller(house, key):
    return Backend(house.backend.address, key)


def status(house, key, call):
    return caller(house, key).request(*call, body=b"x" if call[0] == "POST" else None).status


def reload(house, says):
    before = house.log().count(says)
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: house.log().count(says) > before, f"the log says {says}")


# In a cluster the keys are comet-logic's business; its reload is the same code.
alone = pytest.mark.skipif("os.environ.get('COMET_TEST_HOUSE') == 'cluster'", reason="signals and metrics of the comet")


@alone
def test_each_key_may_do_what_its_scopes_say(guarded):
    for name, (scopes, key) in KEYS.items():
        for scope, calls in CALLS.items():
            may = scope in scopes or scopes == "all"
            for call in calls:
                assert status(guarded, key, call) == (200 if may else 403), (name, call)
    assert status(guarded, "k-one", CALLS["push"][0]) == 200
    refused = caller(guarded, "k-desk").post("/goim/push/all?operation=1", b"x")
    assert refused.json()["code"] == -403 and "scope" in refused.json()["message"]


def audited(house):
    return re.findall(r"event=http_changed (.*)", house.log())


@alone
def test_calls_that_change_something_have_a_line_with_who_and_how_many(launch, file):
    house = launch({"http.keys_file": str(file), "http.api_key": "k-one"})
    assert status(house, "k-desk", ("POST", "/goim/kick?mids=1&mids=2,3")) == 200
    assert status(house, "k-desk", ("POST", "/goim/kick")) == 400
    assert status(house, "k-boss", ("POST", "/1/server/del?server=none")) == 200
    assert status(house, "k-boss", ("POST", "/goim/stream/clear?type=not&room=kept")) == 400
    assert status(house, "k-shop", ("POST", "/goim/kick?mids=9")) == 403  # http_call_refused has it
    for scope in ("push", "read"):
        for call in CALLS[scope]:
            assert status(house, "k-boss", call) == 200
    assert audited(house) == ["method=POST path=/goim/kick targets=3 code=0", "method=POST path=/goim/kick targets=0 code=-400",
                              "method=POST path=/1/server/del targets=1 code=0",
                              "method=POST path=/goim/stream/clear targets=1 code=-400"]
    assert re.findall(r"api_key=(\S+) .*event=http_changed", house.log()) == ["desk", "desk", "boss", "boss"]


@alone
def test_pushes_have_a_line_if_that_is_wanted_and_bodies_never(launch, file):
    house = launch({"http.keys_file": str(file), "http.api_key": "k-one", "http.audit": "pushes"})
    for path in ("/goim/push/mids?operation=1&mids=1,2", "/goim/push/room?operation=1&type=a&room=secret", "/1/push/all"):
        assert caller(house, "k-shop").post(path, b"the-body").status == 200
    assert audited(house) == ["method=POST path=/goim/push/mids targets=2 code=0", "method=POST path=/goim/push/room targets=1 code=0",
                              "method=POST path=/1/push/all targets=0 code=0"]
    assert "the-body" not in house.log() and "secret" not in house.log() and "k-shop" not in house.log()
    silent = launch({"http.keys_file": str(file), "http.api_key": "k-one", "http.audit": "off"})
    assert status(silent, "k-desk", ("POST", "/goim/kick?mids=1")) == 200
    assert audited(silent) == []


NARROW = """
pages push:rooms,online k-pages rooms=live://*,17
scrape metrics k-scrape
one push:keys k-one-key rate=1
old push k-old until=2001-01-01
"""


@alone
def test_narrow_keys_have_rooms_a_rate_and_an_end(launch, file):
    file.write_text(NARROW)
    house = launch({"http.keys_file": str(file), "http.api_key": "k-one", "limits.burst": "10s"})
    assert status(house, "k-pages", ("POST", "/goim/push/room?operation=1000&type=live&room=1")) == 200
    assert status(house, "k-pages", ("POST", "/1/push/room?rid=17")) == 200
    assert status(house, "k-pages", ("GET", "/goim/online/room?type=live&rooms=1")) == 200
    for call in [("POST", "/goim/push/room?operation=1000&type=dm&room=1"), ("POST", "/1/push/room?rid=18"),
                 ("GET", "/goim/online/room?type=dm&rooms=1")]:
        assert status(house, "k-pages", call) == 403, call
    for call, scope in [(("POST", "/goim/push/all?operation=1"), "push:all"), (("POST", "/goim/kick?mids=1"), "kick"),
                        (("GET", "/metrics"), "metrics"), (("GET", "/goim/upstream"), "upstream"),
                        (("POST", "/1/server/del?server=x"), "kick or admin")]:
        refused = caller(house, "k-pages").request(*call, body=b"x" if call[0] == "POST" else None)
        assert refused.status == 403 and f"lacks the scope {scope};" in refused.json()["message"]
    assert status(house, "k-scrape", ("GET", "/metrics")) == 200
    assert status(house, "k-scrape", ("GET", "/goim/online/total")) == 403
    assert status(house, "k-old", CALLS["push"][0]) == 401
    statuses = [status(house, "k-one-key", ("POST", "/goim/push/keys?operation=1&keys=k")) for _ in range(40)]
    assert statuses[:10] == [200] * 10 and 429 in statuses
    metrics = house.metrics()
    assert metrics("comet_http_refused_total", reason="room") == 3
    assert metrics("comet_http_refused_total", reason="expired") == 1
    assert "k-pages" not in house.log() + metrics.text


def test_each_scope_is_in_the_docs():
    root = pathlib.Path(__file__).parents[2]
    words = re.findall(r'^scope\(\w+, "(\S+)"\)', (root / "common/http/http_scope.def").read_text(), re.M)
    page = (root / "docs/http-api.md").read_text()
    assert len(words) == 11 and [word for word in words if f"`{word}`" not in page] == []


@alone
def test_wrong_and_missing_keys_are_401_counted_and_named(guarded):
    for key in (None, "", "k-sho", "k-shop2", "shop", "K-SHOP"):
        for calls in CALLS.values():
            assert status(guarded, key, calls[0]) == 401
    metrics = guarded.metrics()
    assert metrics("comet_http_refused_total", reason="no_key") >= 3
    assert metrics("comet_http_refused_total", reason="wrong_key") >= 12
    assert 'event=http_call_refused why="no API key"' in guarded.log()


@alone
def test_calls_are_counted_by_name_and_no_key_is_in_any_output(guarded):
    before = guarded.metrics()
    for _ in range(3):
        assert status(guarded, "k-shop", CALLS["push"][0]) == 200
    assert status(guarded, "k-shop", CALLS["kick"][0]) == 403
    after = guarded.metrics()
    assert after("comet_http_calls_total", key="shop") - before("comet_http_calls_total", key="shop") == 3
    assert after("comet_http_refused_total", reason="scope") == 1
    assert "api_key=shop" in guarded.log()
    seen = guarded.log() + guarded.stdout() + after.text
    for _, key in KEYS.values():
        assert key not in seen


@alone
def test_reload_changes_keys_and_a_bad_one_changes_nothing(guarded, file):
    write(file, {"shop": ("push", "k-new")}, hashed=True)
    reload(guarded, "event=reload_done")
    assert status(guarded, "k-new", CALLS["push"][0]) == 200
    assert status(guarded, "k-shop", CALLS["push"][0]) == 401
    file.write_text("shop push k-newer\ndesk fly k-desk\n")
    reload(guarded, "event=reload_failed failed=\"API keys\"")
    assert f"file={file} line=2" in guarded.log()
    assert status(guarded, "k-new", CALLS["push"][0]) == 200
    assert status(guarded, "k-newer", CALLS["push"][0]) == 401
    file.unlink()
    reload(guarded, "event=reload_failed failed=\"API keys\"")
    assert status(guarded, "k-new", CALLS["push"][0]) == 200
    assert "k-newer" not in guarded.log()


@alone
def test_file_open_to_all_is_warned_of(launch, file):
    file.chmod(0o644)
    assert "open to every user" in launch({"http.keys_file": str(file), "http.api_key": "k-one"}).log()


def test_file_that_is_wrong_is_found_at_the_start_and_by_t(tmp_path):
    (tmp_path / "keys").write_text("shop push\n")
    (tmp_path / "rooms").write_text("shop push k\ndesk kick k-2 rooms=live://*\n")
    for name, words in (("keys", "a line is a name, its scopes and its key"), ("rooms", "line=2"), ("nowhere", "cannot be read")):
        settings = ("-o", "tcp.bind=", "-o", "websocket.bind=", "-o", "http.bind=127.0.0.1:0", "-o",
                    f"http.keys_file={tmp_path / name}")
        for program, code in (("comet",), 2), (("comet", "-t"), 2), (("comet-logic", "-t"), 2):
            ended = subprocess.run([BUILD / program[0], *program[1:], *settings], capture_output=True, text=True, timeout=15)
            assert ended.returncode == code and words in ended.stderr, ended


@alone
@pytest.mark.settings("http.rate=1", "limits.burst=10s")
def test_more_calls_than_the_rate_are_429_for_that_key_only(guarded):
    deadline, statuses = Deadline(), []
    while 429 not in statuses:  # on a slow machine some more become due meanwhile
        assert not deadline.passed(), statuses
        statuses.append(status(guarded, "k-shop", CALLS["push"][0]))
    assert statuses[:10] == [200] * 10, statuses
    # On a machine this slow another call may be due; it is not when two are asked in a row.
    replies = [caller(guarded, "k-shop").request(*CALLS["push"][0], body=b"x") for _ in range(20)]
    limited = next(reply for reply in replies if reply.status == 429)
    assert limited.json()["code"] == -429 and int(limited.headers["retry-after"]) >= 1
    assert status(guarded, "k-boss", CALLS["push"][0]) == 200
    assert caller(guarded, "k-shop").get("/healthz").status == 200
    assert guarded.metrics()("comet_http_refused_total", reason="rate") >= 1
    assert "http.rate" in guarded.log()
