#!/usr/bin/python3
"""A chat room in a terminal: typed lines go to the room, lines of others are printed, also those of the time without a connection.

    examples/python/chat.py --name ada [--room live://chat] [--comet 127.0.0.1:3101]... [--api http://127.0.0.1:3111]

A line goes to the back end, which pushes it to the room; here the HTTP API of comet is the back end. Lines are kept where
stream.rooms = live:100/1h; with several comets of a cluster the death of one loses none.
SPDX-License-Identifier: MIT"""
import argparse
import asyncio
import itertools
import sys
import urllib.parse
import urllib.request

from comet_client import Client, CometError


def say(api, room, words):
    kind, _, name = room.partition("://")
    query = urllib.parse.urlencode({"operation": 1000, "type": kind, "room": name})
    with urllib.request.urlopen(f"{api}/goim/push/room?{query}", words.encode(), timeout=10) as reply:
        reply.read()


async def listen(client):
    async for push in client:
        print(push.body.decode(errors="replace"), flush=True)


def places(comets):
    """HOST:PORT of each, round after round, as a function."""
    named = [(host or "127.0.0.1", int(port)) for host, _, port in (comet.rpartition(":") for comet in comets)]
    return itertools.cycle(named).__next__


async def main():
    options = argparse.ArgumentParser(description="A chat room in a terminal.")
    options.add_argument("--name", default="guest")
    options.add_argument("--room", default="live://chat")
    options.add_argument("--comet", action="append", metavar="HOST:PORT")
    options.add_argument("--api", default="http://127.0.0.1:3111")
    o = options.parse_args()

    def tell(state, why):
        print(f"[{state}{f': {why}' if why else ''}]", file=sys.stderr, flush=True)

    def on_room(event, room, detail):
        if event != "joined":
            print("[lines are missing here]" if event == "gap" else f"[left: {detail}]", flush=True)

    async with Client(places(o.comet or [":3101"]), on_change=tell, back_off=(1, 1.8, 30), streams=True, on_room=on_room) as client:
        await client.join(o.room)
        listener = asyncio.create_task(listen(client))
        while line := await asyncio.to_thread(sys.stdin.readline):
            try:
                await asyncio.to_thread(say, o.api, o.room, f"{o.name}: {line.rstrip()}")
            except OSError as error:
                print(f"[not sent: {error}]", file=sys.stderr)
        listener.cancel()


try:
    asyncio.run(main())
except (CometError, KeyboardInterrupt) as error:
    sys.exit(f"chat: {error}" if isinstance(error, CometError) else 0)
