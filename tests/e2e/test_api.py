"""The HTTP API: every endpoint, every error of docs/protocol.md, section 7, and what no back end should send.

SPDX-License-Identifier: MIT"""
import http.client
import json
import os
import re
import queue
import socket
import threading
import time

import pytest

from waiting import TIMEOUT, wait_until

V2_PUSHES = [("/goim/push/keys", {"operation": 1000, "keys": "k"}),
             ("/goim/push/mids", {"operation": 1000, "mids": "7"}),
             ("/goim/push/room", {"operation": 1000, "type": "live", "room": "1"}),
             ("/goim/push/all", {"operation": 1000})]


def assert_bad(reply, asked=None):
    """HTTP 400, code -400, and words."""
    assert reply.status == 400, (asked, reply)
    answer = reply.json()
    assert answer["code"] == -400 and answer["message"], (asked, reply)


# ---- v2

def test_accepted_push_says_code_0(backend):
    for path, params in V2_PUSHES:
        reply = backend.post(path, b"message", **params)
        assert reply.status == 200, path
        answer = reply.json()
        assert answer["code"] == 0 and answer["message"] == "", path
        assert reply.headers["content-type"].startswith("application/json"), path


def test_push_without_one_of_its_parameters(backend):
    for path, params in V2_PUSHES:
        for missing in params:
            rest = {name: value for name, value in params.items() if name != missing}
            assert_bad(backend.post(path, b"x", **rest), (path, rest))


def test_push_with_a_bad_operation(backend):
    for path, params in V2_PUSHES:
        for operation in ("", "x", "1x", "1.5", " 1", "0x10", "99999999999", "-99999999999", "1,2"):
            assert_bad(backend.post(path, b"x", **{**params, "operation": operation}), (path, operation))


def test_operation_zero_is_an_error_for_room_and_all(backend):
    for path in ("/goim/push/room", "/goim/push/all"):
        assert_bad(backend.post(path, b"x", **{**dict(V2_PUSHES)[path], "operation": 0}), path)


def test_push_to_users_that_do_not_parse(backend):
    for mids in ("", ",", "x", "1,x", ["1", "y"], "99999999999999999999"):
        assert_bad(backend.post("/goim/push/mids", b"x", operation=1000, mids=mids), mids)


def test_speed_that_does_not_parse(backend):
    for speed in ("x", "-1", "99999999999"):
        assert_bad(backend.post("/goim/push/all", b"x", operation=1000, speed=speed), speed)


@pytest.mark.ways("v2")
def test_lists_are_repeated_and_those_of_numbers_may_have_commas(connect, backend):
    clients = [connect(mid=i, key=key) for i, key in ((1, "k1"), (2, "k2"), (3, "k1,k2"))]
    for lists in (["1", "2", "3"], "1,2,3", ["1,2", "3"]):
        backend.push_mids(lists, "mids")
        for client in clients:
            client.expect_push(1000, b"mids")
    backend.push_keys(["k1", "k2", "k1,k2"], "keys")
    for client in clients:
        client.expect_push(1000, b"keys")
    backend.push_keys("k1,k2", "one key")
    clients[2].expect_push(1000, b"one key")
    backend.push_keys(["k1", "k2"], "two keys")
    for client in clients[:2]:
        client.expect_push(1000, b"two keys")


def post_typed(backend, path, kind, body, **params):
    return backend.request("POST", path, body, headers={"Content-Type": kind}, **params)


@pytest.mark.ways("v2")
def test_parameters_may_come_in_the_body_where_its_type_says_so(connect, backend):
    clients = [connect(mid=i, key=key) for i, key in ((1, "k1"), (2, "k&2"))]
    many = list(range(1, 100_000))
    for kind, path, body in (
            ("application/json", "mids", json.dumps({"operation": 1000, "mids": many, "body": "jßn"})),
            ("application/json; charset=utf-8", "keys", json.dumps({"operation": "1000", "keys": ["k1", "k&2"], "body": "jßn"})),
            ("application/json", "all", json.dumps({"operation": 1000, "body": "jßn", "other": "x"})),
            ("application/x-www-form-urlencoded", "mids", "operation=1000&mids=1,2&body=j%C3%9Fn"),
            ("Application/X-WWW-Form-Urlencoded", "keys", "operation=1000&keys=k1&keys=k%262&body=j%C3%9Fn")):
        reply = post_typed(backend, f"/goim/push/{path}", kind, body.encode())
        assert (reply.status, reply.json()) == (200, {"code": 0, "message": ""}), (kind, reply)
        for client in clients:
            client.expect_push(1000, "jßn".encode())
    assert post_typed(backend, "/goim/kick", "application/json", b'{"mids":[1]}').json()["data"] == {"kicked": 1}


@pytest.mark.ways("v2")
def test_body_of_a_push_with_parameters_in_its_query_is_the_message_whatever_its_type_is(connect, backend):
    client = connect(mid=7)
    for kind, body in (("application/json", b'{"operation":5}'), ("application/x-www-form-urlencoded", b"a=b&c"), ("application/json", b"{")):
        assert post_typed(backend, "/goim/push/mids", kind, body, operation=1000, mids=7).json()["code"] == 0
        client.expect_push(1000, body)


def test_parameters_in_a_broken_body_are_an_error(backend):
    for kind, body in (("application/json", b"{"), ("application/json", b"[1]"), ("application/json", b'{"operation":1000,"mids":[1.5]}'),
                       ("application/json", b'{"operation":1000,"mids":{"a":1}}'), ("application/json", b'{"operation":1,"operation":2}'),
                       ("application/json", b'{"operation":1000,"mids":[[1]]}'), ("application/json", b'{"mids":[1],"body":"x"}'),
                       ("application/json", b'{"operation":1000,"mids":["x"],"body":"x"}'), ("application/x-www-form-urlencoded", b"operation=%zz"),
                       ("application/x-www-form-urlencoded", b"operation=1000&mids=1\0"), ("text/plain", b"operation=1000&mids=1")):
        assert_bad(post_typed(backend, "/goim/push/mids", kind, body), (kind, body))


@pytest.mark.parametrize("path, kind, body, says", [
    ("push/mids", "application/x-www-form-urlencoded", b' {"operation":1000,"mids":[1],"body":"x"}', "Content-Type: application/json"),
    ("kick", "text/plain", b'{"mids":[1]}', "Content-Type: application/json"),
    ("push/mids", "application/json", b'{"operation":1000,"mids":[1],"body":{"text":"x"}}', "JSON as a message is a text"),
    ("push/mids", "application/json", b'{"operation":1000,"mids":[1],"body":"x"', "the body is not what its Content-Type says"),
    ("push/mids", "application/json", b'{"operation":1000,"mid":1,"body":"x"}', "mids must be given"),
], ids=["as curl -d sends it", "as text", "a message in JSON", "cut off", "a misspelt list"])
def test_body_with_parameters_that_are_not_taken_is_answered_with_what_to_correct(backend, path, kind, body, says):
    reply = post_typed(backend, f"/goim/{path}", kind, body)
    assert_bad(reply, body)
    assert says in reply.json()["message"], reply


@pytest.mark.ways("v2")
def test_push_whose_parameters_are_in_its_body_has_a_message_there(connect, backend):
    """Who misspells the member would push nothing to everybody, and be told that all is well."""
    client = connect(mid=7)
    for kind, body in (("application/json", b'{"operation":1000,"mids":[7],"message":"x"}'),
                       ("application/x-www-form-urlencoded", b"operation=1000&mids=7&msg=x")):
        reply = post_typed(backend, "/goim/push/mids", kind, body)
        assert_bad(reply, kind)
        assert "body" in reply.json()["message"]
    reply = backend.request("POST", "/goim/batch", b'{"operation":1000,"mids":[7]}\n{"operation":1000,"mids":[7],"body":""}\n')
    assert [json.loads(line)["code"] for line in reply.body.splitlines()] == [-400, 0]
    client.expect_push(1000, b"")
    for kind, body in (("application/json", b'{"operation":1000,"mids":[7],"body":""}'),
                       ("application/x-www-form-urlencoded", b"operation=1000&mids=7&body=")):
        assert post_typed(backend, "/goim/push/mids", kind, body).json()["code"] == 0
        client.expect_push(1000, b"")
    assert backend.post("/goim/push/mids", b"", operation=1000, mids=7).json()["code"] == 0
    client.expect_push(1000, b"")


@pytest.mark.ways("v2")
def test_keys_with_commas_are_one_key_and_the_answer_says_so_where_nobody_has_it(connect, backend):
    client = connect(mid=7, key="a,b")
    backend.push_keys("a,b", "one key")
    client.expect_push(1000, b"one key")
    answer = backend.post("/goim/push/keys", b"x", operation=1000, keys="c,d").json()
    assert answer["code"] == 0 and "repeat keys=" in answer["message"]
    backend.push_keys(["c,d", "e"], "x")


@pytest.mark.skipif(os.environ.get("COMET_TEST_HOUSE") == "cluster", reason="comet-logic says it, the same code")
@pytest.mark.own_house
@pytest.mark.ways("v2")
def test_room_that_no_push_can_name_is_said_once(connect, house, backend):
    for i, room in enumerate(("live://1", "-12", "plain", "other")):
        connect(mid=i + 1, room=room)
    wait_until(lambda: "event=room_unreachable" in house.log(), "the log says so")
    wait_until(lambda: backend.data("/goim/online/room", type="live", rooms="1") == {"1": 1}, "rooms were counted again")
    said = [line for line in house.log().splitlines() if "event=room_unreachable" in line]
    assert len(said) == 1 and ("room=plain" in said[0] or "room=other" in said[0])


@pytest.mark.ways("v2")
def test_percent_and_plus_in_parameters(connect, backend):
    client = connect(mid=7, key="k e+y/ß", room="live://r&m")
    backend.push_keys(["k e+y/ß"], "key")
    client.expect_push(1000, b"key")
    backend.push_room("live://r&m", "room")
    client.expect_push(1000, b"room")


def test_broken_percent_encoding_is_an_error(backend):
    for query in ("operation=1000&mids=7%", "operation=1000&mids=%zz", "operation=1000&mids=7&x=%0"):
        assert_bad(backend.post("/goim/push/mids?" + query, b"x"), query)


@pytest.mark.own_house
@pytest.mark.ways("v2")
def test_online_total_counts_connections_and_addresses(connect, backend):
    assert backend.data("/goim/online/total") == {"conn_count": 0, "ip_count": 0}
    for i, source in enumerate(("127.0.0.2", "127.0.0.2", "127.0.0.3")):
        connect(source=source, mid=i + 1)
    wait_until(lambda: backend.data("/goim/online/total") == {"conn_count": 3, "ip_count": 2}, "3 from 2 addresses")


@pytest.mark.ways("v2")
def test_online_room_counts_rooms_asked_for(connect, backend):
    for i in range(3):
        connect(mid=i + 1, room="live://1000")
    for rooms, counts in ((["1000", "2000"], {"1000": 3, "2000": 0}), ("1000,2000", {"1000,2000": 0})):
        wait_until(lambda: backend.data("/goim/online/room", type="live", rooms=rooms) == counts, f"counts of {rooms}")


def test_online_without_one_of_its_parameters(backend):
    for path, params in (("/goim/online/top", {"type": "live", "limit": "5"}),
                         ("/goim/online/room", {"type": "live", "rooms": "1"})):
        for missing in params:
            assert_bad(backend.get(path, **{name: value for name, value in params.items() if name != missing}), (path, missing))


def test_online_top_with_a_bad_limit(backend):
    for limit in ("0", "x", "-", "1.5", "99999999999999999999"):
        assert_bad(backend.get("/goim/online/top", type="live", limit=limit), limit)


@pytest.mark.settings("logic.heartbeat=90s", "server.addrs=one.example:7101,two.example", "server.region=here")
@pytest.mark.parametrize("platform", ["web", "android", None])
def test_nodes_weighted_tells_where_to_connect(backend, house, platform):
    data = wait_until(lambda: nodes(backend, platform), "the comet is among the nodes")
    # Closed once this many heartbeats have not come.
    assert data["heartbeat"] * data["heartbeat_max"] == 90 and data["heartbeat_max"] > 1
    assert data["backoff"] == {"max_delay": 300, "base_delay": 3, "factor": 1.8, "jitter": 0.3}
    assert isinstance(data["domain"], str)
    ports = 7101, *(house.address(door)[1] for door in ("websocket", "websocket-tls"))
    # In a cluster a comet tells them as soon as its doors are open.
    wait_until(lambda: tuple(nodes(backend, platform)[port] for port in ("tcp_port", "ws_port", "wss_port")) == ports, "its ports are told")
    assert 1 <= len(data["nodes"]) <= 5 and all(isinstance(node, str) and node for node in data["nodes"])


@pytest.mark.parametrize("settings, every, most", [
    ({}, 50, 9),  # less than the minute after which nginx, ALB and NATs cut off
    ({"logic.heartbeat_told": "240s"}, 240, 2),
    ({"logic.heartbeat_told": "10m"}, 240, 2),  # or a client would be closed that does as it is told
    ({"logic.heartbeat_told": "20s", "logic.heartbeat": "70s"}, 20, 3),
], ids=["default", "told", "too seldom", "short"])
def test_heartbeats_that_clients_are_told_are_apart_from_their_deadline(launch, settings, every, most):
    data = launch(settings).backend.data("/goim/nodes/weighted")
    assert (data["heartbeat"], data["heartbeat_max"]) == (every, most)


def nodes(backend, platform):
    data = backend.data("/goim/nodes/weighted", **({"platform": platform} if platform else {}))
    return data if data["nodes"] else None


@pytest.mark.settings("server.id=the-one")
def test_nodes_instances_lists_this_comet(backend):
    wait_until(lambda: "the-one" in json.dumps(backend.data("/goim/nodes/instances")), "this comet is listed")


@pytest.mark.own_house
@pytest.mark.ways("v2")
def test_upstream_hands_out_what_clients_sent(connect, backend):
    client = connect(mid=7, key="k")
    client.request(2000, b"a score")
    client.request(2001, b"\xff\x00")
    first, second = backend.data("/goim/upstream", after=0, wait=0)
    assert (first["key"], first["mid"], first["op"], first["body"]) == ("k", 7, 2000, "a score")
    assert (second["op"], second["body_hex"]) == (2001, "ff00")
    assert backend.data("/goim/upstream", after=second["id"], wait=0) == []
    for params in ({"after": "x"}, {"wait": "x"}, {"wait": "-1"}, {"wait": "60001"}):
        assert_bad(backend.get("/goim/upstream", **params))


@pytest.mark.own_house
@pytest.mark.ways("v2")
def test_upstream_is_all_new_to_who_comes_from_a_comet_alone(connect, backend):
    connect(mid=7, key="k").request(2000, b"a score")
    an_hour_ago = int((time.time() - 3600) * 1e6)  # what its ids are; a cluster's are milliseconds
    assert [entry["body"] for entry in backend.data("/goim/upstream", after=an_hour_ago, wait=0)] == ["a score"]


@pytest.mark.own_house
@pytest.mark.ways("v2")
def test_upstream_waits_for_the_next(connect, backend):
    client = connect(mid=7, key="k")
    answers = queue.Queue()
    waiting = threading.Thread(target=lambda: answers.put(backend.data("/goim/upstream", after=0, wait=10000)))
    waiting.start()
    client.request(2000, b"at last")
    assert [entry["body"] for entry in answers.get(timeout=TIMEOUT)] == ["at last"]
    waiting.join()


def hang(house, query):
    sock = socket.create_connection(house.address("http"), timeout=TIMEOUT)
    sock.sendall(f"GET /goim/upstream?{query} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return sock


@pytest.mark.own_house
def test_upstream_callers_that_wait_hold_nobody_up_and_those_that_hang_up_leave_their_places(house, backend):
    seen = backend.data("/goim/upstream", after=0, wait=0)
    last = seen[-1]["id"] if seen else "0"
    waiting = []

    def are_taken():
        if backend.get("/goim/upstream", after=last, wait=1).status == 429:
            return True
        # This call had a place as well: whoever was refused for that does not wait.
        waiting.extend(hang(house, f"after={last}&wait=60000") for _ in range(80))  # 64 have a place
        return False

    wait_until(are_taken, "all places are taken", pause=0.02)
    started = time.monotonic()
    assert backend.get("/healthz").status == 200
    assert backend.post("/goim/push/all", b"x", operation=1000).json()["code"] == 0
    assert time.monotonic() - started < 1
    for sock in waiting:
        sock.close()
    wait_until(lambda: backend.get("/goim/upstream", after=last, wait=1).status == 200, "they are free again", 5)
    assert time.monotonic() - started < 5


# ---- v1

@pytest.mark.own_house  # the first server is removed: in a cluster the comet is without a lease until it renews it
def test_v1_success_is_ret_1_and_wrong_method_405(backend):
    for path, params, body in (
            ("/1/push", {"uid": 7}, b"x"), ("/1/pushs", {}, b'{"u":[1],"m":{"test":1}}'),
            ("/1/push/room", {"rid": 1, "ensure": "true"}, b"x"), ("/1/push/room", {"rid": 1}, b"x"), ("/1/push/all", {}, b"x"),
            ("/1/server/del", {"server": 1}, b"")):
        reply = backend.post(path, body, **params)
        assert (reply.status, reply.json()) == (200, {"ret": 1}), path
        assert backend.get(path, **params).status == 405, path


@pytest.mark.own_house
@pytest.mark.ways("tcp-v2")
def test_v1_server_that_is_there_is_not_forgotten_for_good(connect, backend):
    client = connect(mid=7)
    backend.accepted_v1("/1/server/del", server=1)

    def is_found():
        answer = backend.post("/goim/push/mids", b"x", operation=1000, mids=7, tell=1).json()
        return answer["code"] == 0 and answer["data"]["online"] == 1  # in a cluster it is not known for a moment: -500

    wait_until(is_found, "the client is found again")
    client.expect_push(1000, b"x")


def test_v1_fault_is_ret_65535(backend):
    for path, params, body in (
            ("/1/push", {}, b"x"), ("/1/push", {"uid": "x"}, b"x"), ("/1/pushs", {}, b""), ("/1/pushs", {}, b"{"),
            ("/1/pushs", {}, b'{"u":[1]}'), ("/1/pushs", {}, b'{"m":{}}'), ("/1/pushs", {}, b'{"u":["x"],"m":{}}'),
            ("/1/pushs", {}, b"[" * 5000), ("/1/push/room", {}, b"x"), ("/1/push/room", {"rid": "x"}, b"x"),
            ("/1/push/room", {"rid": "99999999999"}, b"x")):
        reply = backend.post(path, body, **params)
        assert (reply.status, reply.json()) == (200, {"ret": 65535}), (path, params, body[:30], reply)


@pytest.mark.ways("v1")
def test_v1_room_is_a_number_however_it_is_written(connect, backend):
    client = connect(mid=7)
    for rid in ("1", "01", "0000000001"):
        backend.v1_push_room(rid, f'"{rid}"')
        client.expect_push(5, f'"{rid}"'.encode())


@pytest.mark.ways("v1")
def test_v1_counts(connect, backend):
    connect(mid=1), connect(mid=2)

    def counts(kind):
        return backend.get("/1/count", type=kind).json()

    wait_until(lambda: counts("room") == {"data": [{"RoomId": 1, "Count": 2}], "ret": 1}, lambda: counts("room"))
    servers = wait_until(lambda: counts("server") if counts("server")["data"] else None, "a server is counted")
    assert servers["ret"] == 1 and len(servers["data"]) == 1
    assert set(servers["data"][0]) == {"Server", "Count"} and servers["data"][0]["Count"] == 2
    assert counts("nothing") == {"ret": 65535}
    assert backend.post("/1/count", type="room").status == 405


# ---- for operators

def test_health_and_readiness(backend):
    assert backend.get("/healthz").status == 200
    assert backend.get("/readyz").status == 200


def test_unknown_path_is_404_in_json(backend):
    for method, path in (("GET", "/index.html"), ("GET", "/goim"), ("POST", "/goim/push"), ("GET", "/1/nothing"),
                         ("GET", "/goim/push/keys/"), ("GET", "/../etc/passwd"), ("GET", "/%2e%2e/")):
        reply = backend.request(method, path)
        assert reply.status == 404 and reply.json()["code"] == -404, (path, reply)


def test_wrong_method_is_405_in_json(backend):
    for method, path in (("GET", "/goim/push/all"), ("DELETE", "/goim/push/all"), ("PUT", "/goim/kick"),
                         ("POST", "/goim/online/total"), ("GET", "/goim/kick")):
        reply = backend.request(method, path, body=b"" if method != "GET" else None)
        assert reply.status == 405 and reply.json()["code"] == -405, (path, reply)


def test_wrong_method_for_operators_is_405(backend):
    for path in ("/metrics", "/healthz", "/readyz"):
        assert backend.post(path).status == 405


def test_paths_are_listed(backend):
    for asked in ("/", "/help"):
        reply = backend.request("GET", asked, headers={"Accept": "*/*"})
        assert reply.status == 200 and reply.headers["content-type"].startswith("text/plain"), asked
        for path in ("/goim/push/mids", "/goim/kick", "/metrics"):
            assert path in reply.body.decode(), asked


BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.settings("http.api_key=s3cret")
def test_browser_gets_a_page_that_loads_nothing_from_elsewhere(house, backend):
    stranger = type(backend)(house.address("http"))
    waiting, seen = ["/"], set()
    while waiting:
        path = waiting.pop()
        reply = stranger.request("GET", path, headers=BROWSER)
        assert reply.status == 200, path
        assert reply.headers["x-content-type-options"] == "nosniff"
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        text = reply.body.decode()
        assert "s3cret" not in text
        assert not re.search(r"<script(?! type=.module. src=)|<style|\bstyle=|\son\w+=|https?://(?!www\.w3\.org/2000/svg)", text), path
        seen.add(path)
        for found in re.findall(r'''(?:src|href)="(/[\w./]+)"|from '(/[\w./]+)\'''', text):
            if (link := "".join(found)) not in seen and link not in ("/help", *waiting):
                waiting.append(link)
    assert {"/console/console.js", "/console/chart.js", "/comet.js", "/chat.html"} <= seen
    assert stranger.get("/console.json").status == 401


@pytest.mark.own_house
def test_page_is_told_what_no_other_path_says(house, backend):
    data = backend.data("/console.json")
    assert data["registry"] is True and data["top"] == [] and data["rooms"] == 0 and data["kept"] == []
    if data["alone"]:
        assert data["ws_port"] == house.address("websocket")[1] == backend.data("/goim/nodes/weighted")["ws_port"]


@pytest.mark.own_house
@pytest.mark.settings("http.api_key=s3cret")
def test_api_key_is_asked_for(house, backend):
    stranger = type(backend)(house.address("http"))
    for path in ("/goim/push/all?operation=1", "/goim/kick?mids=1", "/1/push/all"):
        assert stranger.post(path, b"x").status == 401
        for wrong in ("", "s3cre", "s3cret ", "S3CRET", "s3crett"):
            assert stranger.request("POST", path, b"x", headers={"X-Api-Key": wrong + "x"}).status == 401
        assert stranger.request("POST", path, b"x", headers={"X-Api-Key": "s3cret"}).status == 200
        assert stranger.request("POST", path, b"x", headers={"Authorization": "Bearer s3cret"}).status == 200
    assert stranger.get("/goim/online/total").status == stranger.get("/metrics").status == 401
    assert stranger.get("/healthz").status == stranger.get("/readyz").status == 200  # probes know no key
    assert "s3cret" not in house.log() + house.stdout()


@pytest.mark.settings("http.max_body=2k")
@pytest.mark.ways("v2")
def test_body_up_to_the_limit_is_taken_and_above_it_refused(connect, backend):
    client = connect(mid=7)
    backend.push_mids([7], b"x" * 2048)
    client.expect_push(1000, b"x" * 2048)
    reply = backend.post("/goim/push/mids", b"x" * 2049, operation=1000, mids=7)
    assert reply.status == 413, reply
    client.heartbeat()


# ---- bytes that no HTTP library sends

def raw_http(backend, *parts):
    """Send these bytes; all that comes back until the server closes, or until one whole answer is there."""
    with socket.create_connection(backend.address, timeout=TIMEOUT) as sock:
        for part in parts:
            sock.sendall(part)
        response = http.client.HTTPResponse(sock)
        try:
            response.begin()
            response.read()
            return response.status
        except (http.client.HTTPException, ConnectionError):
            return None


PUSH = b"POST /goim/push/mids?operation=1000&mids=7 HTTP/1.1\r\nHost: localhost\r\n"


BROKEN = [
    (PUSH + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!", {400, None}),
    (PUSH + b"Content-Length: -1\r\n\r\n", {400, 411, 413, None}),
    (PUSH + b"Content-Length: 99999999999999999999\r\n\r\n", {400, 413, None}),
    (PUSH + b"Content-Length: 5x\r\n\r\nhello", {400, None}),
    (PUSH + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400, None}),
    (b"GET\r\n\r\n", {400, 405, None}),
    (b"\r\n\r\n", {400, None}),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 50 + b"\r\n\r\n", {400, 405, None}),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"h" * 65536 + b"\r\n\r\n", {400, 413, 431, None}),
    (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: h\r\n" * 10000 + b"\r\n", {400, 413, 431, None}),
    (b"GET /" + b"a" * 65536 + b" HTTP/1.1\r\n\r\n", {400, 404, 413, 414, 431, None}),
    (b"BREW /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", {400, 405, 501, None}),
]


@pytest.mark.settings("http.timeout=1s")
@pytest.mark.ways("v2")
def test_broken_requests_are_refused_and_push_nothing(connect, backend):
    client = connect(mid=7)
    for request_bytes, statuses in BROKEN:
        assert raw_http(backend, request_bytes) in statuses, request_bytes[:120]
        backend.push_mids([7], "good")
        client.expect_push(1000, b"good")


@pytest.mark.settings("http.timeout=500ms")
def test_half_a_request_is_closed_at_its_deadline_and_holds_nobody_up(backend, house):
    halves = [socket.create_connection(backend.address, timeout=TIMEOUT) for _ in range(20)]
    for i, sock in enumerate(halves):
        sock.sendall(PUSH[:10 + 3 * i] if i % 2 else PUSH + b"Content-Length: 100\r\n\r\nhalf of it")
    backend.push_all("x")
    for sock in halves:
        while sock.recv(4096):
            pass
        sock.close()
    backend.push_all("x")


def test_page_of_another_site_may_not_call_without_a_key(house, backend):
    host = "{}:{}".format(*house.address("http"))
    for path in ("/goim/push/all?operation=1000", "/1/push/all", "/goim/kick?mids=7"):
        for origin in ("http://evil.test", "https://evil.test:3111", "null", "http://localhost:1", f"http://{host}.evil.test"):
            reply = backend.request("POST", path, b"x", headers={"Origin": origin})
            assert reply.status == 403 and "another site" in reply.json()["message"], (path, origin)
        assert backend.request("POST", path, b"x", headers={"Origin": f"http://{host}"}).status == 200, path  # our own
        assert backend.request("POST", path, b"x").status == 200, path  # no browser at all


def test_image_on_a_page_of_another_site_may_not_call_without_a_key(house, backend):
    for site, status in (("cross-site", 403), ("same-origin", 200), ("none", 200)):
        reply = backend.request("GET", "/goim/upstream", headers={"Sec-Fetch-Site": site})
        assert reply.status == status, site
        assert backend.request("GET", "/healthz", headers={"Sec-Fetch-Site": site}).status == 200
        assert backend.request("GET", "/", headers={"Sec-Fetch-Site": site}).status == 200  # a link to the console


def test_pages_of_other_sites_may_import_the_client_and_nothing_else(backend):
    assert backend.request("GET", "/comet.js", headers={"Origin": "https://shop.test"}).headers["access-control-allow-origin"] == "*"
    for path in ("/", "/chat.js", "/goim/online/total", "/metrics"):
        assert "access-control-allow-origin" not in backend.get(path).headers, path


def test_without_a_key_names_that_strangers_could_give_us_are_refused(house, backend):
    port = house.address("http")[1]
    for host in ("evil.test", f"evil.test:{port}", "127.0.0.1.evil.test"):
        for headers in ({"Host": host}, {"Host": host, "Origin": f"http://{host}"}, {"Host": host, "X-Api-Key": "any"}):
            reply = backend.request("GET", "/goim/upstream?after=0", headers=headers)
            assert reply.status == 403 and "localhost" in reply.json()["message"], headers
        assert backend.request("GET", "/healthz", headers={"Host": host}).status == 200
    for host in ("localhost", f"LOCALHOST:{port}", f"[::1]:{port}", "10.1.2.3"):
        assert backend.request("GET", "/goim/upstream?after=0", headers={"Host": host}).status == 200


@pytest.mark.settings("http.api_key=s3cret")
def test_with_a_key_any_name_is_served(house, backend):
    assert backend.request("GET", "/goim/online/total", headers={"Host": "comet.example"}).status == 200


@pytest.mark.settings("http.api_key=s3cret")
def test_page_of_another_site_may_call_with_a_key(house, backend):
    headers = {"Origin": "https://operators.test"}
    assert backend.request("POST", "/goim/push/all?operation=1000", b"x", headers=headers).status == 200
    stranger = type(backend)(house.address("http"))
    assert stranger.request("POST", "/goim/push/all?operation=1000", b"x", headers=headers).status == 403
    assert stranger.request("GET", "/healthz", headers=headers).status == 200
