"""The console in a real browser: what it shows, the try-it panel, the server going and coming back, the API key.

SPDX-License-Identifier: MIT"""
import json
import os
import pathlib
import re
import subprocess
import time

import pytest

from client import WAYS, Client, Closed
from cluster_house import ClusterComet
from conftest import PHONE, WIDE
from waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]


def connect(browser, room="live://1000"):
    browser.fill("#room", room)
    browser.press("#connect")
    browser.wait_text("#client-state", "online")


def curl(browser, **environment):
    """Run the line that the page shows, as its reader would."""
    result = subprocess.run(["bash", "-c", browser.text("#curl")], capture_output=True, text=True, timeout=60,
                            env={**os.environ, **environment})
    assert result.stdout == '{"code":0,"message":""}', result
    return result


def again(house, launch):
    """The same comet once more, on the ports that it had."""
    house.stop()
    house.ended_by_test = True
    return lambda: launch({"http.bind": "{}:{}".format(*house.address("http")),
                           "websocket.bind": "{}:{}".format(*house.address("websocket"))})


def is_sound(browser, lacks_answers=False):
    """Nothing broken, nothing refused (but where the server does not answer, or refuses), nothing wider than the screen, nothing without a name."""
    assert [entry for entry in browser.complaints() if not (lacks_answers and entry["source"] == "network")] == []
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("""return [...document.querySelectorAll('input, select, button, dialog, section, form, svg')]
        .filter(e => !e.closest('details:not([open])') && !e.labels?.length && !e.innerText?.trim() && !e.ariaLabel && !e.getAttribute('aria-labelledby'))
        .map(e => e.outerHTML)""") == []
    assert browser.axe() == []


def is_sound_everywhere(browser, name, lacks_answers=False):
    """The same in light and dark, on a desktop and on a phone; and a picture of each."""
    for size in (WIDE, PHONE):
        for dark in (False, True):
            browser.resize(*size, size is PHONE)
            browser.dark(dark)
            is_sound(browser, lacks_answers)
            browser.shot(f"{name}{'-phone' if size is PHONE else ''}{'-dark' if dark else ''}")
    browser.resize(*WIDE)
    browser.dark(False)


def test_push_made_with_the_curl_line_of_the_page_arrives_in_it(house, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    is_sound_everywhere(browser, "fresh")
    connect(browser)
    curl(browser)
    browser.wait_text("#arrived", "hello")
    browser.fill("#message", """it's "quoted" & $HOME""")
    curl(browser)
    browser.wait_text("#arrived", """it's "quoted" & $HOME""")
    browser.wait_text("#tiles", "2 since the start")
    is_sound_everywhere(browser, "arrived")


def test_times_are_written_as_people_read_them(house, browser):
    browser.open(house)
    written = browser.run("return import('/console/numbers.js').then(({duration}) => arguments[0].map(duration))",
                          [0.0000004, 0.00044, 0.0015, 0.023, 0.0994, 0.0996, 0.1, 0.25, 1, 12.3, 120])
    assert written == ["0 µs", "440 µs", "1.5 ms", "23 ms", "99 ms", "100 ms", "100 ms", "250 ms", "1.0 s", "12 s", "120 s"]


def test_what_became_of_a_push(house, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    browser.press("#push .main")
    browser.wait_text("#push-state", "accepted by the server: nobody online")
    connect(browser)
    browser.press("#push .main")
    browser.wait_text("#push-state", "accepted by the server: 1 connection")
    browser.fill("#operation", "1234")
    browser.press("#push .main")
    browser.wait_text("#push-state", "accepted by the server: 1 connection, filtered: it accepts 1000, not 1234")
    is_sound_everywhere(browser, "filtered")


def test_rooms_pushes_and_a_kick(house, backend, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    connect(browser, "live://1")
    browser.wait_text("#rooms", "live://1")
    backend.push_room("live://1", "in the first")
    browser.wait_text("#arrived", "in the first")
    browser.fill("#room", "live://2")
    browser.press("#join")
    browser.wait_text("#client-state", "in live://2")
    backend.push_room("live://1", "not here")
    browser.run("document.getElementById('target').value = 'room'")
    browser.fill("#message", "in the second")
    browser.press("#push .main")
    browser.wait_text("#push-state", "accepted")
    browser.wait_text("#arrived", "in the second")
    assert "not here" not in browser.text("#arrived")
    browser.wait_text("#rooms", "live://2")
    assert house.metrics()("comet_online") == 1
    browser.press("#kick")
    browser.wait_text("#client-state", "kicked")
    browser.wait_text("#connect", "Connect")
    house.wait_empty()
    is_sound_everywhere(browser, "kicked")


def test_wrong_fields_are_said_and_sent_nowhere(house, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    browser.run("document.querySelector('#client details').open = true")
    browser.fill("#accepts", "1000,x")
    browser.run("document.querySelector('#client details').open = false")
    browser.press("#connect")
    assert browser.run("return document.activeElement.id") == "accepts"
    assert browser.run("return document.querySelector('#accepts').getAttribute('aria-invalid')") == "true"
    browser.fill("#operation", "0")
    browser.press("#push .main")
    assert browser.run("return document.activeElement.id") == "operation"
    browser.fill("#operation", "1007")
    browser.run("document.getElementById('target').value = 'room'")
    browser.fill("#room", "no type")
    browser.press("#push .main")
    browser.wait_text("#push-state", "type and room must be given")
    metrics = house.metrics()
    assert metrics.total("comet_pushes_total") == 0 and metrics.total("comet_accepted_total") == 0


def test_page_recovers_when_the_server_comes_back(house, launch, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    connect(browser, "live://7")
    start = again(house, launch)
    browser.wait_text("#link", "no answer")
    browser.wait_text("#client-state", "again in")
    is_sound_everywhere(browser, "gone", lacks_answers=True)
    house = start()
    browser.wait_text("#link", "live")
    browser.wait_text("#client-state", "online as user 123, in live://7")
    house.backend.push_room("live://7", "after the restart")
    browser.wait_text("#arrived", "after the restart")
    browser.shot("back")


@pytest.mark.settings("http.api_key=s3cret")
def test_key_is_asked_for_and_stays_in_the_tab(house, browser):
    browser.open(house)
    browser.wait_text("#ask", "needs an API key")
    is_sound_everywhere(browser, "key", lacks_answers=True)
    browser.fill("#api-key", "wrong")
    browser.press("#ask .main")
    browser.wait_text("#ask-state", "missing or wrong")
    is_sound_everywhere(browser, "key-wrong", lacks_answers=True)
    browser.fill("#api-key", "s3cret")
    browser.press("#ask .main")
    browser.wait_text("#link", "live")
    connect(browser)
    assert "s3cret" not in browser.text("#curl") and "$COMET_API_KEY" in browser.text("#curl")
    curl(browser, COMET_API_KEY="s3cret")
    browser.wait_text("#arrived", "hello")
    browser.press("#push .main")
    browser.wait_text("#push-state", "accepted")
    browser.press("#kick")
    browser.wait_text("#client-state", "kicked")
    assert "s3cret" not in browser.driver.page_source
    browser.driver.refresh()
    browser.wait_text("#link", "live")
    assert browser.text("#forget") == "Sign out"
    browser.press("#forget")
    browser.wait_text("#ask", "Sign in")
    assert browser.run("return sessionStorage.length + localStorage.length + document.cookie.length") == 0


def come(house, way="tcp-v2", **who):
    client = Client(next(w for w in WAYS if w.name == way), house.address("tcp"))
    return client.auth(**who)


def test_search_finds_users_keys_and_rooms_and_kicks(house, browser):
    ann, bob = come(house, mid=7, key="ann-1", room="live://1"), come(house, mid=8, key="bob-1", room="live://1")
    browser.open(house)
    browser.wait_text("#link", "live")
    assert browser.run("return document.getElementById('try-it').open") is False  # there are clients
    browser.fill("#who", "7")
    browser.press("#search .main")
    browser.wait_text("#people-state", "1 connection of 7")
    row = browser.text("#people")
    assert all(words in row for words in ("ann-1", "live://1", "{}:{}".format(*ann.sock.getsockname()), "tcp")), row
    browser.fill("#who", "bob-1")
    browser.press("#search .main")
    browser.wait_text("#people", "bob-1")
    assert "ann-1" not in browser.text("#people")
    browser.wait_text("#rooms", "live://1")
    browser.press("#rooms button")
    browser.wait_text("#people-state", "2 connections of live://1")
    is_sound_everywhere(browser, "people")
    browser.press("#people tr:nth-child(2) button")
    browser.wait_text("#people tr:nth-child(2) button", "Sure?")
    browser.press("#people tr:nth-child(2) button")
    browser.wait_text("#people-state", "bob-1 was kicked")
    assert bob.expect_goodbye()["code"] == 1
    assert "bob-1" not in browser.text("#people")
    browser.fill("#who", "nobody here")
    browser.press("#search .main")
    browser.wait_text("#people-state", "0 connections of nobody here")
    ann.close()


def test_search_has_pages(house, browser):
    clients = [come(house, mid=7, key=f"k-{i:03}") for i in range(70)]
    browser.open(house)
    browser.fill("#who", "7")
    browser.press("#search .main")
    browser.wait_text("#people-state", "50 and more connections of 7")
    browser.press("#more-people")
    browser.wait_text("#people-state", "70 connections of 7")
    assert browser.run("return document.querySelectorAll('#people tr').length") == 70
    for client in clients:
        client.close()


@pytest.mark.settings("limits.connections=3")
def test_alarms_stand_on_top_in_the_words_of_the_rules(house, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    assert browser.text("#alarm-list") == "" and browser.run("return document.title") == "Comet"
    clients = [come(house, mid=mid) for mid in range(1, 4)]
    with pytest.raises((Closed, ConnectionError, TimeoutError, AssertionError)):
        come(house, mid=4)
    browser.wait_text("#alarms", "Holds 100 % of the connections that it may")
    browser.wait_text("#alarms", "Turns clients away: connections")
    browser.wait_text("#ends", "turned away: connections")
    assert browser.run("return document.title") == "2 alarms – Comet"
    assert browser.run("return document.getElementById('icon').href").endswith("icon-wait.svg")
    is_sound_everywhere(browser, "alarms")
    for client in clients:
        client.close()


def test_alarms_are_the_rules():
    """Each has the name, the words and the severity of a rule, or a person would look for one that is not there."""
    rules = {}
    for rule in (ROOT / "examples/monitoring/rules.yml").read_text().split("- alert: ")[1:]:
        words = re.search(r'summary: "(.*)"', rule)[1].replace(" of {{ $labels.instance }}", "").replace("{{ $labels.instance }} ", "")
        words = re.sub(r"{{ \$labels\.\w+ }}", "{label}", re.sub(r"{{ \$value \| humanize(Percentage)? }}", "{n}", words))
        rules[rule.split("\n")[0]] = (words, "severity: page" in rule)
    source = (ROOT / "logic/console/alarms.js").read_text()
    alarms = re.findall(r"{name: '(\w+)',( page: true,)? words: '([^']*)'", source)
    assert len(alarms) == source.count("{name: '") > 10
    for name, pages, words in alarms:
        assert (words, bool(pages)) == rules[name], name


@pytest.mark.settings("server.drain_timeout=100s", "server.drain_grace=100s")
def test_drain_is_told(house, browser):
    client = come(house, mid=7)
    browser.open(house)
    browser.wait_text("#link", "live")
    house.terminate()
    browser.wait_text("#alarms", "Is draining")
    assert "draining" in browser.run("return document.title")
    is_sound_everywhere(browser, "draining")
    client.close()


def test_phone_and_dark_are_fit_to_be_read(house, backend, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    connect(browser)
    backend.push_all("a message that is rather long, and has no_place_where_it_could_be_broken_" + "x" * 100)
    browser.wait_text("#arrived", "no_place")
    is_sound_everywhere(browser, "long")
    for dark in (False, True):
        browser.dark(dark)
        assert contrast(browser, ".muted") >= 4.5 and contrast(browser, "button.main") >= 4.5


def contrast(browser, css):
    """The contrast of a text's colour with what it stands on, as WCAG reckons it."""
    return browser.run("""
        const light = rgb => rgb.map(c => c / 255).map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
        const numbers = text => text.match(/[\\d.]+/g).map(Number);
        const element = document.querySelector(arguments[0]);
        let ground = element;
        while (numbers(getComputedStyle(ground).backgroundColor)[3] === 0)
            ground = ground.parentElement;
        const both = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor].map(c => light(numbers(c).slice(0, 3)));
        return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);""", css)


def test_keyboard_alone_connects_and_pushes(house, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    browser.run("document.getElementById('mid').focus()")
    browser.driver.switch_to.active_element.send_keys("\ue007")  # Enter
    browser.wait_text("#client-state", "online")
    browser.run("document.getElementById('message').focus()")
    browser.driver.switch_to.active_element.send_keys("\ue010 again\ue007")  # End, and Enter
    browser.wait_text("#arrived", "hello again")
    # Every place where the focus can be is to be seen.
    for _ in range(25):
        browser.driver.switch_to.active_element.send_keys("\ue004")  # Tab
        assert browser.run("const r = document.activeElement.getBoundingClientRect(); return r.width * r.height") > 0


def test_chat_room_in_two_windows(house, browser):
    path = "/chat.html?ws=ws://{}:{}/sub".format(*house.address("websocket"))
    browser.open(house, path)
    browser.wait_text("#state", "online")
    first = browser.driver.current_window_handle
    browser.driver.switch_to.new_window("window")
    browser.open(house, path)
    browser.wait_text("#state", "online")
    browser.fill("#name", "bob")
    browser.fill("#text", "<b>hi</b> there")
    browser.press("#say button")
    browser.wait_text("#said", "bob: <b>hi</b> there")
    is_sound_everywhere(browser, "chat")
    browser.driver.switch_to.window(first)
    browser.wait_text("#said", "bob: <b>hi</b> there")


# graphs

def graph(browser, title):
    """Its line, and what a screen reader says of it."""
    return browser.run("""const tile = [...document.querySelectorAll('.tile')].find(tile => tile.querySelector('figcaption').textContent === arguments[0]);
        return tile ? [tile.querySelector('.line').getAttribute('d') ?? '', tile.querySelector('svg').ariaLabel, tile.checkVisibility()] : ['', '', false];""", title)


def points(browser, title):
    return len(re.findall("[ML]", graph(browser, title)[0]))


def test_graphs_begin_before_the_page_does(house, backend, browser):
    client = come(house, mid=7)
    for _ in range(40):
        backend.push_mids([7], "x")
    client.recv_many(40)
    kept = wait_until(lambda: sum(seconds := backend.data("/metrics/history")["sum"]["delivered"]) == 40 and len(seconds) >= 5 and seconds,
                      "the server has kept some seconds", 30)
    browser.open(house)
    browser.wait_text("#link", "live")
    assert points(browser, "Deliveries") >= len(kept) - 1 and points(browser, "Connections") >= len(kept) - 1
    _, words, _ = graph(browser, "Deliveries")
    assert f"at most {max(kept)} /s" in words and "the last five minutes" in words
    assert "40 in five minutes" in browser.text("#tiles")  # the pushes
    assert "when the server was started" in browser.text("#since")
    # It goes on: each second once.
    before = points(browser, "Deliveries")
    wait_until(lambda: points(browser, "Deliveries") >= before + 3, lambda: graph(browser, "Deliveries"), 30)
    assert points(browser, "Deliveries") <= len(backend.data("/metrics/history")["sum"]["delivered"])
    client.close()


def a_day(n, peak):
    """What a server that has run for n minutes tells, with a night, a gap and a burst."""
    held = [0 if 700 <= i < 760 else 500 + (i % 700) * 2 for i in range(n)]
    grown = [n * 3 for n in held]
    grown[n // 3] = peak
    figures = ("connections", "rooms", "pushes", "delivered", "dropped", "authenticated", "auth_refused", "closed", "closed_badly", "bytes_out")
    sums = {name: [None if 700 <= i < 760 else h * 60 for i, h in enumerate(held)] if name in ("connections", "rooms") else
            [None if 700 <= i < 760 else g for i, g in enumerate(grown)] for name in figures}
    now = int(time.time() * 1000)
    return {"since_ms": now - 60000 * n, "to_ms": now, "step_s": 60, "seconds": [0 if 700 <= i < 760 else 60 for i in range(n)], "sum": sums,
            "max": {name: [None if v is None else v // 30 for v in values] for name, values in sums.items()}}


def test_graphs_show_a_day(house, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    browser.press("#span [value=minutes]")
    browser.wait_text("#now", "the last day")
    assert graph(browser, "Deliveries")[2] and points(browser, "Deliveries") == 0  # no minute is over yet
    is_sound(browser)
    browser.shot("day-empty")
    browser.press("#span [value=seconds]")
    browser.run("""const day = arguments[0], ask = window.fetch;
        window.fetch = (path, ...more) => path.includes('by=minutes') ? Promise.resolve(new Response(day)) : ask(path, ...more);""",
                json.dumps({"code": 0, "message": "", "data": a_day(1440, 90000)}))
    browser.press("#span [value=minutes]")
    wait_until(lambda: points(browser, "Deliveries") == 1440 - 60, lambda: graph(browser, "Deliveries"), 30)
    line, words, _ = graph(browser, "Deliveries")
    assert "the last day" in browser.text("#now") and "the last day: now " in words and "at most 3,000 /s" in words
    assert line.count("M") == 2  # where nobody knows, there is none
    assert not graph(browser, "Push to write, median")[2]  # which is not kept
    assert browser.run("return document.querySelector('#span [value=minutes]').ariaPressed") == "true"
    is_sound_everywhere(browser, "day")
    browser.press("#span [value=seconds]")
    wait_until(lambda: "the last five minutes" in graph(browser, "Deliveries")[1], lambda: graph(browser, "Deliveries"))
    assert points(browser, "Deliveries") < 300


def test_graphs_have_a_gap_where_the_server_was_started_again(house, launch, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    wait_until(lambda: points(browser, "Connections") > 2, "some seconds")
    start = again(house, launch)
    browser.wait_text("#link", "no answer")
    start()
    browser.wait_text("#link", "live")
    wait_until(lambda: graph(browser, "Connections")[0].count("M") == 2, lambda: graph(browser, "Connections"), 30)


def test_graphs_go_on_where_the_clock_of_the_browser_is_set_back(house, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    wait_until(lambda: points(browser, "Connections") > 1, "some seconds")
    browser.run("const now = Date.now; Date.now = () => now() - 3600_000;")
    before = points(browser, "Connections")
    wait_until(lambda: points(browser, "Connections") >= before + 4, lambda: browser.text("#link"), 30)


def test_latency_is_shown_where_it_is_measured(house, backend, browser):
    browser.open(house)
    browser.wait_text("#link", "live")
    connect(browser)

    def is_shown():
        backend.push_all("x")
        return "% within" in browser.text("#tiles")

    wait_until(is_shown, lambda: f"a latency: {browser.text('#tiles')!r}", 45, 0.1)
    browser.shot("latency")


def test_cluster_without_redis_is_told(tmp_path, browser):
    house = ClusterComet(tmp_path, {"server.id": "comet-one", "redis.timeout": "300ms", "redis.lease": "2s"})
    try:
        browser.open(house)
        browser.wait_text("#nodes", "comet-one")
        dict(house._others)["redis"].kill()
        browser.wait_text("#alarms", "Is not ready: ")
        browser.wait_text("#limits", "does not answer")
        browser.wait_text("#no-nodes", "Redis is unreachable")
        assert "alarm" in browser.run("return document.title")
        assert browser.run("return document.getElementById('icon').href").endswith("icon-bad.svg")
        is_sound_everywhere(browser, "without-redis", lacks_answers=True)
    finally:
        house.kill()


def test_a_comet_that_goes_without_a_word_is_told_until_it_is_back(tmp_path, browser):
    house = ClusterComet(tmp_path, {"server.id": "comet-one", "redis.lease": "900ms"})
    try:
        browser.open(house)
        browser.wait_text("#nodes", "comet-one")
        assert browser.text("#alarm-list") == ""
        house.freeze()
        browser.wait_text("#alarms", "Comet-one has not told of itself for ")
        assert browser.run("return document.title") == "1 alarm – Comet"
        is_sound_everywhere(browser, "gone")
        house.thaw()
        browser.wait_text("#nodes", "comet-one")
        wait_until(lambda: browser.text("#alarm-list") == "", "it is back")
    finally:
        house.thaw()
        house.stop()


def test_cluster_is_summed_up_by_node(tmp_path, browser):
    house = ClusterComet(tmp_path, {"server.id": "comet-one", "server.region": "here"})
    try:
        browser.open(house)
        browser.wait_text("#nodes", "comet-one")
        browser.wait_text("#tiles", "1 comet")
        browser.run("document.querySelector('#client details').open = true")
        # The comet has told its port, which comet-logic's settings do not know.
        wait_until(lambda: browser.run("return document.getElementById('url').value") == "ws://{}:{}/sub".format(*house.address("websocket")),
                   "the comet's own port")
        connect(browser)
        curl(browser)
        browser.wait_text("#arrived", "hello")
        browser.wait_text("#rooms", "live://1000")

        def delivers():
            house.backend.push_room("live://1000", "more")
            return float(browser.text("#nodes td:nth-child(5)").replace("–", "0")) > 0

        wait_until(delivers, lambda: f"deliveries of the node: {browser.text('#nodes')!r}", 45, 0.1)
        browser.wait_text("#tiles", "of all comets")
        assert points(browser, "Deliveries") > 1
        is_sound_everywhere(browser, "cluster")
    finally:
        house.stop()


# rooms with numbers

KEPT = {"stream.rooms": "chat:100/10m,news:5/10m", "stream.spread": "1s"}


def joined(browser, room, words):
    browser.wait_text(f"#joined li[data-room='{room}']", words)


def test_rooms_with_numbers_show_positions_what_was_missed_and_what_is_kept(launch, browser):
    house = launch(KEPT)
    house.backend.push_room("chat://1", "before")
    browser.open(house)
    browser.wait_text("#link", "live")
    connect(browser, "chat://1")
    joined(browser, "chat://1", "joined, nothing was missed")
    browser.fill("#room", "news://1")
    browser.press("#join")
    joined(browser, "news://1", "joined, nothing was missed")
    browser.wait_text("#client-state", "in chat://1, news://1")
    at = house.backend.data("/goim/stream/position", type="chat", rooms="1")["chat://1"]
    joined(browser, "chat://1", str(at))
    house.backend.push_room("chat://1", "live")
    browser.wait_text("#arrived", "live")
    browser.wait_text("#arrived", f"chat://1 {at + 1}")
    joined(browser, "chat://1", str(at + 1))
    browser.press("#connect")
    browser.wait_text("#client-state", "not connected")
    house.backend.push_room("chat://1", "meanwhile")
    browser.press("#connect")
    joined(browser, "chat://1", "joined, 1 that were missed come")
    browser.wait_text("#arrived", "meanwhile")
    assert "before" not in browser.text("#arrived")
    browser.press("#joined li[data-room='chat://1'] .replay")
    browser.wait_text("#arrived", "before")
    joined(browser, "chat://1", str(at + 2))
    house.backend.accepted("/goim/stream/clear", type="chat", room="1")
    joined(browser, "chat://1", "gap: something is missing before")
    is_sound_everywhere(browser, "numbered")
    browser.press("#joined li[data-room='news://1'] .leave")
    house.backend.push_room("news://1", "not for us")
    house.backend.push_room("chat://1", "last")
    browser.wait_text("#arrived", "last")
    assert "not for us" not in browser.text("#arrived") and "news://1" not in browser.text("#joined")


def test_a_restart_alone_is_a_gap_in_the_panel(launch, browser):
    house = launch(KEPT)
    browser.open(house)
    browser.wait_text("#link", "live")
    connect(browser, "chat://1")
    joined(browser, "chat://1", "joined, nothing was missed")
    house.stop()
    house.ended_by_test = True
    launch({**KEPT, "http.bind": "{}:{}".format(*house.address("http")),
            "websocket.bind": "{}:{}".format(*house.address("websocket"))})
    joined(browser, "chat://1", "gap: something is missing before")


def test_a_room_that_is_not_kept_is_joined_as_ever(launch, browser):
    house = launch(KEPT)
    browser.open(house)
    browser.wait_text("#link", "live")
    connect(browser, "live://1000")
    browser.wait_text("#client-state", "in live://1000")
    house.backend.push_room("live://1000", "as ever")
    browser.wait_text("#arrived", "as ever")
    assert not browser.find("#numbered").is_displayed()
