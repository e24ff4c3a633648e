"""The scenario of test_comet_api.py, with examples/python/comet_api.py. SPDX-License-Identifier: MIT"""
import itertools
import sys

from comet_api import Comet, CometError

url, flaky, nobody, key = sys.argv[1:]
comet = Comet(url, api_key=key)
comet.push_users(1000, "to users", [7, "ann"])
comet.push_keys(1000, b"to keys", ["a,b", "nobody"])
first = comet.push_room(1000, "to room", "chat", "1")
again = [comet.push_room(1000, "once", "chat", "1", name="name") for _ in range(2)]
print("numbers", again[0] - first, again[1] - first, comet.push_room(1000, "unkept", "chat", "1", keep=False))
comet.push_all(1000, "to all")
answers = comet.batch([{"operation": 1000, "users": [7], "body": "é\n1"}, {"operation": 6, "users": [7]},
                       {"operation": 1000, "type": "chat", "room": "1", "body": "2"}, {"operation": 1000, "all": True, "body": "3"}])
print("batch", *(answer["code"] for answer in answers), answers[2]["position"] - first)
print("position", comet.positions("chat", ["1"])["chat://1"] - first)
print("online", comet.online()["conn_count"], comet.online_rooms("chat", ["1", "2"]))
kept = ["0"]
for packet in itertools.islice(comet.upstream(acknowledge=lambda packet_id: kept.append(packet_id)), 2):
    print("packet", packet["op"], packet["body"], packet["key"])
for packet in itertools.islice(comet.upstream(after=kept[-1]), 1):
    print("again", packet["body"])
print("kicked", comet.kick(users=[7]))
for wrong in (Comet(url, api_key="wrong"), Comet(nobody, tries=2, pause=0.01)):
    try:
        wrong.push_users(1000, "x", [7])
    except CometError as fault:
        print("fault", fault.code)
hurried = Comet(flaky, timeout=0.5, pause=0.01)
print("flaky", hurried.push_room(1000, "x", "chat", "1"))
try:
    hurried.push_all(1000, "x")
except CometError as fault:
    print("fault", fault.code)
print("late", *(answer["code"] for answer in hurried.batch([{"operation": 1000, "users": [7], "body": "x"}])))
hurried.push_keys(1000, "x", ["k"])
Comet(flaky).online()  # is answered when the server has closed the connection
hurried.push_keys(1000, "x", ["k"])
print("twice")
comet.close()
