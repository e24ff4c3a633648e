"""SIGHUP reads certificates and keys again, all of them or nothing: one file that is wrong leaves everything as it was.

SPDX-License-Identifier: MIT"""
import os
import shutil
import signal
from types import SimpleNamespace

import pytest

import test_http_tls
import tokens
from backend import Backend
from client import WAYS, Client, Op
from server import certificate
from test_tls import names_shown
from waiting import wait_until

TCP = next(way for way in WAYS if way.name == "tcp-v2")
alone = pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="a comet alone has all that can be reloaded")

TAKEN = "event=reload_done"
REFUSED = "event=reload_failed"


@pytest.fixture
def reloadable(launch, tmp_path):
    """A comet with certificates, API keys and keys of tokens, the first generation of each; `write` makes a file of the next."""
    paths = {kind: tmp_path / kind for kind in ("cert", "key", "api_keys", "secret")}

    def write(kind, generation):
        if kind in ("cert", "key"):
            shutil.copy(certificate(("one.test", "two.test")[generation])[kind == "key"], paths[kind])
        elif kind == "api_keys":
            paths[kind].write_text(f"back-end push k-{generation}\n")
        else:
            paths[kind].write_bytes((tokens.SECRET, tokens.OTHER_SECRET)[generation])

    for kind in paths:
        write(kind, 0)
    house = launch({"http.tls_bind": "127.0.0.1:0", "http.keys_file": paths["api_keys"], "http.api_key": "k-test", "tls.cert_file": paths["cert"],
                    "tls.private_file": paths["key"], "auth.mode": "jwt", "auth.jwt_keys": f"HS256:{paths['secret']}"})
    return SimpleNamespace(house=house, paths=paths, write=write)


def reload(house, says):
    before = house.log().count(says)
    house.process.send_signal(signal.SIGHUP)
    wait_until(lambda: house.log().count(says) > before, f"the log says {says}")


def is_let_in(house, secret):
    client = Client(TCP, house.address(TCP.listener))
    client.send(Op.AUTH, tokens.hs256(secret, mid=7))
    answer = client.recv()
    client.close()
    return answer.op == Op.AUTH_REPLY


def is_of(house, generation):
    """Everything that can be reloaded is of this generation, and nothing is of the other."""
    name = ("one.test", "two.test")[generation]
    assert names_shown(house, "tcp-tls", "any.test") == [name]
    assert test_http_tls.names_shown(house, "any.test") == [name]
    for other in (0, 1):
        push = Backend(house.backend.address, f"k-{other}").request("POST", "/goim/push/all?operation=1", body=b"x")
        assert push.status == (200 if other == generation else 401)
        assert is_let_in(house, (tokens.SECRET, tokens.OTHER_SECRET)[other]) == (other == generation)


@alone
@pytest.mark.parametrize("bad", ["cert", "key", "api_keys", "secret"])
def test_reload_is_all_or_nothing(reloadable, bad):
    house = reloadable.house
    for kind in reloadable.paths:
        reloadable.write(kind, 1)
    reloadable.paths[bad].write_text("?")
    reload(house, REFUSED)
    is_of(house, 0)
    assert house.metrics()("comet_reload_failed_total") == 1
    reloadable.write(bad, 1)
    reload(house, TAKEN)
    is_of(house, 1)


def test_log_of_traces_is_opened_again(launch, tmp_path):
    log, moved = tmp_path / "traces", tmp_path / "traces.1"
    house = launch({"whitelist.list": "traced", "whitelist.log": log})
    client = Client(TCP, house.address("tcp")).auth(key="traced")
    wait_until(lambda: "event=trace_auth" in log.read_text(), "it is traced")
    log.rename(moved)
    reload(house, TAKEN)
    before = moved.read_text()
    client.heartbeat()
    wait_until(lambda: "event=trace_read_end" in log.read_text(), "it is traced into the new file")
    assert moved.read_text() == before
    client.close()
