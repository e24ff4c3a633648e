"""comet-cli sub and stream show rooms with numbers: positions, what was missed, and gaps. SPDX-License-Identifier: MIT"""
import json

import pytest

from server import certificate
from test_cli import OK, REFUSED, USAGE, run, scripted, sub  # noqa: F401: fixtures
from test_cli_comet import api_of, door_of
from waiting import wait_until

KEPT = pytest.mark.settings("stream.rooms=chat:5/10m", "stream.spread=1s")


def stream(house, *args):
    code, out, err = run("stream", *api_of(house), *args)
    assert code == OK, err
    return out.splitlines(), err


def position(house, room="chat://1"):
    (line,), _ = stream(house, "position", room)
    assert line.startswith(room.partition("://")[2] + " ") or line.startswith(room + " "), line
    return int(line.split()[1])


def push(house, room, *bodies):
    for body in bodies:
        house.backend.push_room(room, body)


@KEPT
def test_sub_shows_positions_of_several_rooms_in_words(house, sub):  # noqa: F811
    push(house, "chat://1", "a", "b", "c")
    at = position(house)
    client = sub(*door_of(house), "--room", "chat://1,chat://2,live://3", "--last", "2", "--count", "5")
    client.said(f"joined chat://1 after {at - 2}; 2 that were missed come")
    client.said("joined chat://2 after ")
    client.said("joined live://3, which is not numbered")
    push(house, "chat://2", "x")
    push(house, "live://3", "y\n")
    push(house, "chat://1", "d")
    assert client.wait() == OK
    second = position(house, "chat://2")
    assert client.printed_all() == [f"1000 chat://1 {at - 1} b", f"1000 chat://1 {at} c", f"1000 chat://2 {second} x",
                                    "1000 live://3 - y\\n", f"1000 chat://1 {at + 1} d"]


@pytest.mark.settings("events.kinds=unacked", "stream.users=50/24h", "stream.users_open=yes")
def test_a_push_that_no_device_confirms_is_told_of(house):
    code, _, err = run("push", *api_of(house), "--confirm", "1s", "user", "ann", "the taxi is here")
    assert code == OK, err
    wait_until(lambda: [(event["kind"], event["user"]) for event in house.backend.data("/goim/events", after=0)] == [("unacked", "ann")],
               "it is told", 20)
    code, _, err = run("push", *api_of(house), "--confirm", "soon", "user", "ann", "m")
    assert code == REFUSED and "confirm must say within what time, such as 30s" in err


@KEPT
def test_sub_shows_the_same_as_json(house, sub):  # noqa: F811
    push(house, "chat://1", "a", "b")
    at = position(house)
    client = sub(*door_of(house), "--mid", "7", "--room", "chat://1", "--since", str(at - 1), "--json", "--count", "3")
    lines = [client.printed(), client.printed()]  # before what follows, which no stream puts into an order
    house.backend.push_mids([7], "m")
    house.backend.accepted("/goim/stream/clear", type="chat", room="1")
    client.said("gap in chat://1")
    push(house, "chat://1", "c")
    assert client.wait() == OK
    lines = [json.loads(line) for line in lines + client.printed_all()]
    gap = lines.pop(3)
    assert (gap["event"], gap["room"], gap["at"] > at, gap["reload_ms"] <= 1000) == ("gap", "chat://1", True, True)
    assert [(line.get("event"), line["room"], line.get("at", line.get("number")), line.get("body")) for line in lines] == [
        ("joined", "chat://1", at - 1, None), (None, "chat://1", at, "b"), (None, "", 0, "m"), (None, "chat://1", gap["at"] + 1, "c")]
    assert (lines[0]["replay"], lines[1]["ver"]) == (1, 4)


@KEPT
@pytest.mark.parametrize("scheme, listener, path", [("ws", "websocket", "/sub"), ("wss", "websocket-tls", "/sub"), ("tls", "tcp-tls", "")])
def test_sub_gets_what_was_missed_over_each_way(house, sub, scheme, listener, path):  # noqa: F811
    at = position(house)
    push(house, "chat://1", "a", "b")
    url = f"{scheme}://127.0.0.1:{house.address(listener)[1]}{path}"
    trust = ["--cacert", certificate()[0]] if scheme in ("wss", "tls") else []
    client = sub(url, *trust, "--room", "chat://1", "--since", str(at), "--count", "3")
    client.said("joined")
    push(house, "chat://1", "c")
    assert client.wait() == OK
    assert [line.split()[-1] for line in client.printed_all()] == ["a", "b", "c"]


@pytest.mark.settings("stream.users=50/1h", "stream.users_open=yes")
def test_sub_misses_nothing_of_its_users_stream_and_confirms_it(house, sub):  # noqa: F811
    # In a cluster a comet tells Redis every few seconds, when something comes.
    client = sub(*door_of(house), "--mid", "7", "--key", "cli", "--room", "live://1", "--last", "0", "--heartbeat", "1s")
    client.said("joined the user's stream after ")
    house.backend.push_mids([7], "one")
    at = house.backend.data("/goim/stream/acks", mid=7)["at"]
    assert client.printed() == f"1000 - {at} one"
    wait_until(lambda: house.backend.data("/goim/stream/acks", mid=7)["keys"].get("cli") == at, "it is confirmed")


@KEPT
def test_sub_tells_a_gap_of_its_position(house, sub):  # noqa: F811
    push(house, "chat://1", *"abcdefgh")
    at = position(house)
    client = sub(*door_of(house), "--room", "chat://1", "--since", str(at - 7), "--last", "1", "--count", "1")
    assert client.wait() == OK
    assert client.printed_all() == [f"1000 chat://1 {at} h"]
    client.said(f"gap in chat://1: something is missing; it goes on after {at - 1}")


def test_sub_comes_back_from_its_position(sub, scripted):  # noqa: F811
    def let_in(peer, answer):
        auth = peer.read()
        assert json.loads(auth.body)["streams"] == {}
        peer.send(8, b'{"v":1,"max_body":4096,"max_rooms":100}', seq=auth.seq)
        join = peer.read()
        assert join.op == 18
        peer.send(19, answer, seq=join.seq)
        return json.loads(join.body)["rooms"]

    def send_push(peer, body, number):
        peer.send(6, b"\0\0\0\0\x08chat://1" + body, ver=4, seq=number)  # its operation is the back end's business

    client = sub("--port", scripted.port, "--room", "chat://1", "--last", "0", "--count", "3")
    first = scripted.accept()
    assert let_in(first, b'{"rooms":[{"id":"chat://1","at":7,"gap":false,"replay":0}]}') == [{"id": "chat://1"}]
    send_push(first, b"eight", 8)
    assert client.printed() == "6 chat://1 8 eight"
    first.close()
    second = scripted.accept()
    assert let_in(second, b'{"rooms":[{"id":"chat://1","at":8,"gap":false,"replay":1}]}') == [{"id": "chat://1", "since": 8}]
    for number in (8, 9, 10):
        send_push(second, b"n%d" % number, number)
    assert client.wait() == OK
    assert client.printed_all() == ["6 chat://1 9 n9", "6 chat://1 10 n10"]


def test_sub_ends_when_its_last_room_is_left(sub, scripted):  # noqa: F811
    client = sub("--port", scripted.port, "--room", "chat://1", "--last", "0")
    peer = scripted.accept()
    peer.authenticate()
    assert client.wait() == REFUSED
    client.said("left chat://1: the server knows no streams")


def test_what_a_server_says_of_rooms_is_escaped(sub, scripted):  # noqa: F811
    client = sub("--port", scripted.port, "--room", "chat://1", "--last", "0")
    peer = scripted.accept()
    auth = peer.read()
    peer.send(8, b'{"v":1,"max_body":4096,"max_rooms":100}', seq=auth.seq)
    peer.send(22, b'{"room":"a://\\u001b[2J","at":7,"by":"server"}')
    client.said("joined a://\\x1b[2J after 7")
    peer.send(22, b'{"room":"a://\\u001b[2J","left":"\\u001b]0;x"}')
    client.said("left a://\\x1b[2J: \\x1b]0;x")


@pytest.mark.parametrize("args", [["--since", "5"], ["--last", "1"], ["--room", "a://1,b://2", "--since", "5"],
                                  ["--v1", "--room", "a://1", "--last", "0"], ["--room", "a://1", "--since", str(2**53)]])
def test_wrong_wishes_of_sub(args):
    code, out, err = run("sub", *args)
    assert (code, out) == (USAGE, "") and err.startswith("comet-cli")


def test_a_comma_in_a_room_is_part_of_its_name(sub, scripted):  # noqa: F811
    sub("--port", scripted.port, "--room", "live://a,b")
    assert json.loads(scripted.accept().read().body)["room_id"] == "live://a,b"


# stream


@KEPT
def test_stream_shows_a_history(house):
    push(house, "chat://history", *"abc")
    house.backend.push_room("chat://history", b"\xff\n")
    at = position(house, "chat://history")
    whole = [f"1000 chat://history {at - 3 + i} {body}" for i, body in enumerate(["a", "b", "c", "\\xff\\n"])]
    assert stream(house, "chat://history") == (whole, "")
    assert stream(house, "chat://history", "--last", "1")[0] == whole[3:]
    assert stream(house, "chat://history", "--since", str(at - 2))[0] == whole[2:]
    assert stream(house, "chat://history", "--since", "1") == ([], f"comet-cli: gap in chat://history: something is missing; it goes on after {at}\n")
    assert stream(house, "chat://history", "--since", "1", "--last", "1")[0] == whole[3:]
    data = json.loads(stream(house, "--json", "chat://history", "--last", "1")[0][0])
    assert (data["at"], data["newest"], data["gap"]) == (at - 1, at, False)


@KEPT
def test_stream_position(house):
    push(house, "chat://1", "a")
    lines, _ = stream(house, "position", "chat://1", "chat://2")
    assert len(lines) == 2 and all(int(line.split()[1]) > 0 for line in lines)
    assert stream(house, "live://1")[1] == "comet-cli: live://1 is not numbered: nothing is kept of it\n"


USERS = pytest.mark.settings("stream.users=50/1h", "stream.users_open=yes")


@USERS
@pytest.mark.parametrize("user", ["41", "ann o'hara"])
def test_stream_shows_what_a_user_missed_and_what_each_device_has_confirmed(house, sub, user):  # noqa: F811
    numbers = [house.backend.numbered("/goim/push/users", body, operation=1000, users=user) for body in "abc"]
    whole = [f"1000 - {number} {body}" for number, body in zip(numbers, "abc")]
    assert stream(house, "user", user) == (whole, "")
    assert stream(house, "user", user, "--since", str(numbers[0]))[0] == whole[1:]
    assert stream(house, "user", user, "--since", "1") == (
        [], f"comet-cli: gap in the stream of user {user}: something is missing; it goes on after {numbers[2]}\n")
    assert stream(house, "position", "user", user)[0] == [f"{user} {numbers[2]}"]
    assert stream(house, "acks", "user", user) == (
        [], f"comet-cli: nobody has confirmed anything of the stream of user {user}, whose newest number is {numbers[2]}\n")
    client = sub(*door_of(house), "--user", user, "--key", "pad", "--room", "live://1", "--last", "0", "--heartbeat", "1s")
    wait_until(lambda: stream(house, "acks", "user", user)[0] == [f"pad {numbers[2]} 0"], "it is confirmed", 20)
    client.close()
    house.wait_empty()
    house.backend.accepted("/goim/push/users", "d", operation=1000, users=user)
    assert stream(house, "acks", "user", user)[0] == [f"pad {numbers[2]} 1"]
    data = json.loads(stream(house, "--json", "acks", "user", user)[0][0])
    assert data == {"at": numbers[2] + 1, "keys": {"pad": numbers[2]}}
    data = json.loads(stream(house, "user", user, "--json", "--last", "1")[0][0])
    assert [message["body"] for message in data["messages"]] == ["d"]


def test_stream_says_where_users_are_not_kept(house):
    words = "comet-cli: the stream of user 7 is not kept: is stream.users set?\n"
    assert stream(house, "user", "7") == ([], words)
    assert stream(house, "acks", "user", "7") == ([], words)
    assert stream(house, "position", "user", "7", "8") == (["7 0", "8 0"], "")


@pytest.mark.parametrize("args", [[], ["chat"], ["a://1", "b://2"], ["position"], ["position", "a://1", "b://2"], ["--last", "x", "a://1"],
                                  ["user"], ["user", "7", "8"], ["position", "user"], ["acks"], ["acks", "7"], ["acks", "user"], ["acks", "mid", "7"]])
def test_wrong_wishes_of_stream(args):
    code, out, err = run("stream", *args)
    assert (code, out) == (USAGE, "") and err.startswith("comet-cli")
