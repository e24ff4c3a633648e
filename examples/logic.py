#!/usr/bin/python3
"""A logic service in Python: lets in clients that know the password, and pushes
the packets of each to all. It takes the place of comet-logic, beside comets
with logic.mode=redis:

    examples/logic.py 127.0.0.1:6379

A client's token is {"password": "sesame", "name": "ada"}.
docs/logic-protocol.md says what all this means.
SPDX-License-Identifier: MIT"""
import json
import sys
import threading
import time

import redis

if "--help" in sys.argv:
    print(__doc__)
    sys.exit()
ME = "logic-py"
host, _, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:6379").rpartition(":")
r = redis.Redis(host, int(port), decode_responses=True)


def now_us():
    seconds, micros = r.time()
    return seconds * 1000000 + micros


def connect(request):
    token = json.loads(request.get("token", "{}"))
    if token.get("password") != "sesame":
        return {"code": 403, "message": "the password is wrong"}
    r.hset("logic-py:who", token["name"], request["server"])
    return {"key": token["name"], "session": now_us(), "room": "chat://1", "accepts": [1000], "heartbeat_ms": 60000}


def receive(request):
    for server in r.smembers("comet:servers"):
        push(server, target="room", room="chat://1", op=request["op"], body=f"{request['key']}: {request['body']}")


def disconnect(request):
    r.hdel("logic-py:who", request["key"])


def push(server, **fields):
    r.xadd(f"comet:push:{server}", fields, maxlen=10000)


def announce():
    while True:
        r.zadd("comet:logics", {ME: now_us() // 1000 + 3000})
        time.sleep(1)


METHODS = {"connect": connect, "receive": receive, "disconnect": disconnect}
requests = r.pubsub(ignore_subscribe_messages=True)
requests.subscribe(f"comet:logic:{ME}")
threading.Thread(target=announce, daemon=True).start()
for message in requests.listen():
    request = json.loads(message["data"])
    if request["expires"] < now_us() // 1000:
        continue  # the comet has given up, and may have asked another logic
    reply = METHODS.get(request["method"], lambda _: None)(request) or {}
    r.publish(request["reply"], json.dumps({"id": request["id"], "code": 0, **reply}))
