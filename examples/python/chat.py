#!/usr/bin/python3
"""A chat room in a terminal: typed lines go to the room, lines of others are printed.

    examples/python/chat.py --name ada [--room live://chat] [--port 3101] [--api http://127.0.0.1:3111]

A line goes to the back end, which pushes it to the room; here the HTTP API of comet is the back end.
SPDX-License-Identifier: MIT"""
import argparse
import asyncio
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


async def main():
    options = argparse.ArgumentParser(description="A chat room in a terminal.")
    options.add_argument("--name", default="guest")
    options.add_argument("--room", default="live://chat")
    options.add_argument("--host", default="127.0.0.1")
    options.add_argument("--port", type=int, default=3101)
    options.add_argument("--api", default="http://127.0.0.1:3111")
    o = options.parse_args()

    def tell(state, why):
        print(f"[{state}{f': {why}' if why else ''}]", file=sys.stderr, flush=True)

    async with Client(o.host, o.port, room=o.room, on_change=tell, back_off=(1, 1.8, 30)) as client:
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
