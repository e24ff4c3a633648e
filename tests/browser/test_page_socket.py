"""A page's own WebSocket, in Chromium: with compression and without, in both kinds of messages.

SPDX-License-Identifier: MIT"""
import json

import pytest

from waiting import wait_until

OPEN = """
const [url, kind, done] = arguments;
window.got = [];
window.socket = new WebSocket(url);
socket.binaryType = 'arraybuffer';
socket.onmessage = event => got.push(kind === 'text' ? event.data : String.fromCharCode(...new Uint8Array(event.data)));
socket.onclose = event => got.push(`closed ${event.code}`);
socket.onopen = () => done(socket.extensions);
socket.onerror = () => done('error');
"""


def packet(op, body, seq=1):
    body = body.encode()
    return list((16 + len(body)).to_bytes(4, "big") + b"\0\x10\0\x01" + op.to_bytes(4, "big") + seq.to_bytes(4, "big") + body)


@pytest.mark.parametrize("kind", ["text", "binary"])
@pytest.mark.parametrize("is_on", ["yes", "no"])
def test_page_is_pushed_to_with_and_without_compression(browser, launch, is_on, kind):
    house = launch({"websocket.deflate": is_on})
    browser.open(house, "/metrics")
    url = "ws://{}:{}/sub".format(*house.address("websocket"))
    extensions = browser.driver.execute_async_script(OPEN, url, kind)
    assert extensions.startswith("permessage-deflate") if is_on == "yes" else extensions == ""

    def say(op, body, seq):
        if kind == "text":
            browser.run("socket.send(arguments[0])", json.dumps({"ver": 1, "op": op, "seq": seq, "body": body}))
        else:
            text = str(body) if op == 7 else body
            browser.run("socket.send(new Uint8Array(arguments[0]))", packet(op, text, seq))

    def hear(n):
        return wait_until(lambda: (got := browser.run("return got")) and len(got) >= n and got, "messages", 30)

    say(7, 7, 1)
    hear(1)
    long = json.dumps({"text": "all work and no play " * 500})
    house.backend.push_mids([7], long)
    assert long in hear(2)[1]
    say(4, "again and again " * 200, 2)
    assert "again and again " * 200 in hear(3)[2]
    deflates, inflates = (house.metrics()(f"comet_websocket_{way}_total") for way in ("deflates", "inflates"))
    assert (deflates, inflates > 0) == ((1, True) if is_on == "yes" else (0, False))
