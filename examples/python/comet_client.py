"""A client of Comet over TCP, on asyncio and the standard library: version 2 of docs/protocol.md.

    async with Client(mid=123, room="live://1000") as client:
        async for push in client:
            print(push.op, push.body)

It keeps one connection up: authenticates, sends heartbeats, notices a dead network, comes back after a loss with a jittered
back-off, and is then in the room that it was in. Python 3.9 and later.

    async with Client(mid=123, streams=True) as client:
        await client.join("chat://1")
        async for push in client:
            print(push.room, push.number, push.body)

With streams it may be in several rooms, and gets what was pushed to them while it was away; so it does with what is pushed to its user, in
the room "", which nobody joins, where the server keeps that.
SPDX-License-Identifier: MIT"""
import asyncio
import enum
import json
import random
import struct
import time
import typing

__all__ = ["Client", "Code", "CometError", "Goodbye", "Joined", "Op", "Packet", "Refused"]

HEAD = struct.Struct(">ihhii")
USER = ""                # the user's stream, among the rooms
ACK_EVERY = 1.0          # between two confirmed positions
LONGEST_BODY = 16 << 20  # of a packet from the server; a longer one means that it is no comet
SERVED_ON = 60.0         # a server that goes away is still read for at most so long; it closes by itself long before
GOOD_SESSION = 10.0      # after a session that was online for so long, back-off starts over
PUSH_VER = 4             # of every push, once AUTH has asked for streams
PUSH_HEAD = struct.Struct(">IB")  # the number's high half, the length of the room's id
NUMBERS_END = 1 << 53    # a position is below
FRAME = '{"rooms":[]}'   # of a JOIN or LEAVE
RETRY_LEAST_MS = 500     # before a room is asked for again, whatever the server says
LONGEST_ROOM = 255       # bytes of a room's name
MOST_NODES = 10          # that a server may send us to; ours names five
MOST_ROOMS = 10_000      # that a server may let a client into, as limits.rooms
QUEUE = 1024             # pushes that wait for the application; then we stop reading, and the server decides; ...
QUEUE_BYTES = 16 << 20   # ... and as soon as their bodies are so long


# table: from common/wire/ops.def by `make docs`
class Op(enum.IntEnum):
    HEARTBEAT = 2
    HEARTBEAT_REPLY = 3
    DISCONNECT = 6
    AUTH = 7
    AUTH_REPLY = 8
    RAW = 9
    CHANGE_ROOM = 12
    CHANGE_ROOM_REPLY = 13
    SUB = 14
    SUB_REPLY = 15
    UNSUB = 16
    UNSUB_REPLY = 17
    JOIN = 18
    JOIN_REPLY = 19
    LEAVE = 20
    LEAVE_REPLY = 21
    NOTICE = 22
    ACK = 24
# end of table


# The answer to each operation; an application's own operation is its own answer.
ANSWERS = {op: Op[op.name + "_REPLY"] for op in Op if op.name + "_REPLY" in Op.__members__}


# Codes of a goodbye. FINAL: coming back is of no use; NEEDS_TOKEN: unless with a new token.
# table: from common/wire/goodbye.def by `make docs`
class Code(enum.IntEnum):
    KICKED = 1
    REPLACED = 2
    SLOW_CONSUMER = 3
    DRAINING = 4
    AUTH_REFUSED = 5
    NO_LOGIC = 6
    CONNECTIONS = 7
    PER_IP = 8
    HEARTBEAT_TIMEOUT = 9
    BAD_ROOM = 10
    NO_THREAD = 11
    NO_MEMORY = 12
    AUTH_EXPIRED = 13
    HANDSHAKES = 20
    CONNECTS = 21
    CONNECTS_PER_IP = 22
    ACCEPTS = 23
    BANNED = 24
    PER_USER = 25
    REVOKED = 26


FINAL = {Code.KICKED, Code.REPLACED, Code.AUTH_REFUSED, Code.BAD_ROOM, Code.AUTH_EXPIRED, Code.BANNED, Code.PER_USER, Code.REVOKED}
NEEDS_TOKEN = {Code.AUTH_REFUSED, Code.AUTH_EXPIRED, Code.REVOKED}
# end of table


class Packet(typing.NamedTuple):
    op: int
    body: bytes = b""
    seq: int = 0
    ver: int = 1
    room: str = ""   # of a push, with streams: where it went to, ...
    number: int = 0  # ... and its number there; 0: it has none

    def unwrap(self):
        """A packet of ver 4 as the push that it is."""
        must(len(self.body) >= PUSH_HEAD.size, "a push without its head")
        high, length = PUSH_HEAD.unpack_from(self.body)
        end = PUSH_HEAD.size + length
        must(len(self.body) >= end, "a push without its head")
        number = high << 32 | self.seq & 0xffffffff
        must(number < NUMBERS_END, "a push with a number that is none")
        return self._replace(body=self.body[end:], room=self.body[PUSH_HEAD.size:end].decode(errors="replace"), number=number)

    def encode(self):
        return HEAD.pack(HEAD.size + len(self.body), HEAD.size, self.ver, self.op, self.seq) + self.body

    def json(self):
        return json.loads(self.body)

    def object(self):
        """The JSON object that the body is; None if it is none."""
        try:
            said = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return said if isinstance(said, dict) else None


class Joined(typing.NamedTuple):
    """Pushes of the room go on after the number `at` (0: it has none); gap: something is missing before; replay: so many that were
    missed follow."""
    at: int
    gap: bool
    replay: int


# -- what the server says of streams: who believes the half of an answer has holes that nobody tells him of

def must(is_right, what):
    """A server that is right does not say that: the connection ends, and the next one begins."""
    if not is_right:
        raise CometError(f"the server sent {what}")


def is_position(n):
    return type(n) is int and 0 <= n < NUMBERS_END


def has_counts(said, *names):
    """Members that may be absent."""
    return all(is_position(said.get(name, 0)) for name in names)


def is_place(said):
    """Does it say where a stream goes on? `user` in op 8, or a member of op 19."""
    return (isinstance(said, dict) and is_position(said.get("at")) and isinstance(said.get("gap"), bool)
            and has_counts(said, "replay", "reload_ms"))


def is_refusal(said):
    return "error" in said and has_counts(said, "error", "retry_ms") and isinstance(said.get("reason", ""), str)


def answers_to(asked, answer):
    """The members of op 19, one for each room that was asked for."""
    said, what = answer.object() or {}, "an answer to JOIN that is none"
    members = [{**said, "id": wish["id"]} for wish in asked] if "error" in said else said.get("rooms")
    must(isinstance(members, list) and len(members) == len(asked), what)
    for wish, member in zip(asked, members):
        must(isinstance(member, dict) and member.get("id") == wish["id"], what)
        must(is_refusal(member) if "error" in member else is_place(member), what)
    return members


def notice_of(packet):
    """What a NOTICE says. Newer servers may say more than we know."""
    said, what = packet.object(), "a NOTICE that is none"
    must(said is not None, what)
    has_room = isinstance(said.get("room"), str)
    must(isinstance(said.get("left", ""), str) and isinstance(said.get("gap", False), bool), what)
    must("by" not in said or has_room and 0 < len(said["room"]) <= LONGEST_ROOM and is_position(said.get("at")), what)
    must(not said.get("gap") or has_room and is_position(said.get("at")) and has_counts(said, "reload_ms"), what)
    return said


def quiet(future):
    """The same; it is no fault that nobody looks at its exception."""
    future.add_done_callback(lambda done: done.cancelled() or done.exception())
    return future


def complain(what, error):
    """Of an exception of the application's, which nobody there waits for."""
    asyncio.get_running_loop().call_exception_handler({"message": what, "exception": error})


def safe(callback):
    """The same, but what it raises harms nobody else."""
    def call(*event):
        try:
            callback(*event)
        except Exception as error:
            complain(f"a callback failed, of {event[0]}", error)

    return call


async def within(seconds, coroutine, unwanted=lambda result: None):
    """As asyncio.wait_for, which before Python 3.12 loses a cancellation that comes when the coroutine is done. unwanted gets a result that
    came too late."""
    task, late = asyncio.ensure_future(coroutine), True
    try:
        late = not (await asyncio.wait({task}, timeout=seconds))[0]
    finally:
        if late:
            task.add_done_callback(lambda _: task.cancelled() or task.exception() or unwanted(task.result()))
            task.cancel()
    if late:
        raise asyncio.TimeoutError
    return task.result()


class Room:
    """One that the application has joined, or a back end."""
    def __init__(self, position, last, ticket):
        self.position, self.last, self.ticket = position, last, ticket
        self.is_in = False     # on this connection
        self.is_stale = False  # there was a gap, and the application's state is not loaded yet
        self.is_led = False    # by a back end, and the application has not asked for it
        self.task = None       # joins it again, later
        self.asked = None      # the wish that is under way: the last of several, on this connection
        self.joined = quiet(asyncio.get_running_loop().create_future())


def pack(pieces, most):
    """JSON texts as bodies {"rooms":[...]} of at most so many bytes: lists of them; one that is longer by itself goes alone."""
    bodies, size = [], most
    for piece in pieces:
        more = len(piece.encode()) + 1
        if size + more > most:
            bodies.append([])
            size = len(FRAME)
        bodies[-1].append(piece)
        size += more
    return ['{"rooms":[%s]}' % ",".join(body) for body in bodies]


class Pushes(asyncio.Queue):
    """Those that wait for the application, bounded in number and in bytes, as who puts them waits for room."""
    def __init__(self):
        super().__init__()
        self._bytes = 0
        self._taken = asyncio.Event()  # one has been

    def full(self):
        return self.qsize() >= QUEUE or self._bytes >= QUEUE_BYTES

    async def room(self):
        while self.full():
            self._taken.clear()
            await self._taken.wait()

    def _put(self, push):
        super()._put(push)
        self._bytes += len(push.body)

    def _get(self):
        push = super()._get()
        self._bytes -= len(push.body)
        self._taken.set()
        return push


class CometError(Exception):
    """The connection is gone, or never came about."""


class Refused(CometError):
    """A room may not be joined."""


class Goodbye(CometError):
    """The server said why it closes: code and reason, as docs/protocol.md lists them. final: coming back is of no use. nodes:
    other servers, as (host, port), where it named any."""
    def __init__(self, code, reason, nodes=()):
        super().__init__(reason or "the server closed")
        self.code = code
        self.reason = reason
        self.final = code in FINAL
        self.nodes = list(nodes)

    @classmethod
    def of(cls, body):
        try:
            said = json.loads(body)
            code, reason, nodes = int(said["code"]), str(said.get("reason", "")), said.get("nodes")
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
            return cls(0, "")
        nodes = [address_of(node) for node in nodes[:MOST_NODES]] if isinstance(nodes, list) else []
        return cls(code, reason, [node for node in nodes if node is not None])


def address_of(node):
    """(host, port) of "host:port"; None for any other text: that node is left out, and the rest of the goodbye still counts."""
    host, _, port = str(node).rpartition(":")
    host = host.strip("[]")
    try:
        host.encode("idna")  # as the resolver will do
    except UnicodeError:
        return None
    good = host and host.isprintable() and port.isascii() and port.isdigit() and len(port) < 6 and 0 < int(port) < 65536
    return (host, int(port)) if good else None


async def read_packet(reader, heard=lambda: None):
    """heard() is called for each part that comes: a long one over a slow line takes its time."""
    length, head, ver, op, seq = HEAD.unpack(await reader.readexactly(HEAD.size))
    if head != HEAD.size or not HEAD.size <= length <= HEAD.size + LONGEST_BODY:
        raise CometError("the server sent a malformed packet")
    body = bytearray()
    while len(body) < length - HEAD.size:
        if not (part := await reader.read(length - HEAD.size - len(body))):
            raise EOFError
        body += part
        heard()
    return Packet(op, bytes(body), seq, ver)


class Client:
    """host, port: of comet's TCP listener; host may be a function that is asked for both before each connection. tls: an ssl.SSLContext for tcp.tls_bind. mid or user (a name), key, room, accepts: our identity
    and our wishes; jwt: a signed token in place of mid, for auth.mode=jwt; token: bytes, sent as they are in place of all that. Both
    may be functions, which are asked before each connection and by renew().
    A server that goes away is still read while the next connection comes about; with a key or a token until the old connection is
    closed, so that no push is missed. A push to a room or to all may then come twice.
    A server that is not there, or does not answer, is tried again and again: connect() goes on waiting, and on_change tells why.
    on_change(state, why) is called with "online", "lost" and "closed"; why is an exception, or None. What a callback raises, and a function
    that is asked for something, goes to the loop's exception handler.
    streams: ask for them: join() and leave() work then. positions: {room: number} to begin with, as the property `positions` has them.
    unacked: where no position in the user's stream is known, ask for what this key has not confirmed.
    state: an async function that loads what the application shows of a room, and returns the position that its back end read before it
    read that; called when a room is joined for the first time, and after a gap. on_room(event, room, detail) is called with "joined"
    (a Joined), "gap" (the number after which it goes on) and "left" (why)."""

    def __init__(self, host="127.0.0.1", port=3101, *, mid=0, user=None, key="", room="", accepts=(1000,), jwt=None,
                 token=None, tls=None, heartbeat=30.0, timeout=10.0, back_off=(3.0, 1.8, 300.0), on_change=lambda state, why: None,
                 streams=False, positions=None, unacked=False, state=None, on_room=lambda event, room, detail: None):
        if isinstance(host, str) and ("/" in host or host.count(":") == 1):
            raise ValueError(f"host is a name or an address, with port= beside it and nothing of a URL, not {host!r}")
        if token is not None and not callable(token) and not isinstance(token, (bytes, bytearray)):
            raise TypeError(f"token is bytes, or a function that returns bytes, not {type(token).__name__}")
        self.room = room
        self.accepts = set(accepts)
        self._address = host if callable(host) else (host, port)
        self._elsewhere = []  # where the last server told us to go
        self._who = {**({"mid": mid} if user is None else {"user": user}), "key": key, "platform": "python"}
        self._jwt, self._token = jwt, token
        self._tls = tls
        self._heartbeat, self._timeout = heartbeat, timeout
        self._back_off = back_off
        self._tell_change = safe(on_change)
        self._streams, self._unacked, self._state, self._tell_room = streams, unacked, state, safe(on_room)
        self._taken = dict(positions or {})  # of each room the last number that the application has got
        self._rooms = {}
        self._reached = {}  # the position in rooms that the application has joined and the server has ended
        self._done = 0      # position in the user's stream: the application has asked for the next one
        self._acker = None  # confirms it, soon
        self._longest = 0  # body of a JOIN; 0: the server knows no streams
        self._most = 0     # rooms that it lets us into
        self._pushes = Pushes()
        self._arrived = asyncio.Event()  # a push has
        self._writer = None
        self._why = None    # we have given this connection up ourselves
        self._seq = 0
        self._pending = {}  # seq: (the answer's operation, future)
        self._heard = 0.0   # when something came last
        self._full = False  # the reader waits for the application, so answers are late for a reason
        self._online = asyncio.Event()
        self._task = None
        self._online_at = None  # when this connection came online
        self._old = None        # reads what a server that goes away still pushes

    @property
    def online(self):
        return self._online.is_set()

    @property
    def positions(self):
        """Of each room the number of the last push that the application has got: to be kept, and given to the next Client."""
        return dict(self._taken)

    # -- for the application

    async def connect(self):
        """Come online, and stay so until close(). Returns once that is so; raises Goodbye where it never can be."""
        if self._task is None:
            if self._streams:
                self._rooms[USER] = Room(self._taken.get(USER, 0), None, None)
            self._task = asyncio.create_task(self._stay())
        await self._when_online()

    async def close(self):
        """Go, and not come back."""
        if self._acker is not None:
            self._acker.cancel()
            self._say_done()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def __aenter__(self):
        try:
            await self.connect()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(self, *_):
        await self.close()

    def __aiter__(self):
        return self

    async def __anext__(self):
        """The next push, over reconnects; raises Goodbye once that has come to a final end. To give up waiting loses none."""
        self._confirm(self._taken.get(USER, 0))
        while self._pushes.empty() and not self._task.done():
            self._arrived.clear()
            waiter = asyncio.ensure_future(self._arrived.wait())
            try:
                await asyncio.wait({waiter, self._task}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                waiter.cancel()
        if not self._pushes.empty():
            push = self._pushes.get_nowait()
            room = self._rooms.get(push.room)
            if push.number <= (self._reached.get(push.room, 0) if room is None else room.position):  # else the server has gone back since
                self._take(push.room, push.number)
            return push
        if self._task.cancelled():
            raise StopAsyncIteration
        self._task.result()
        raise StopAsyncIteration

    async def request(self, op, body=b""):
        """A packet for the back end; returns with the server's receipt. CometError where the connection was lost first."""
        self._must_be_online()
        return await self._ask(op, body)

    async def heartbeat(self):
        """The people in our room. Heartbeats are sent by themselves, too."""
        self._must_be_online()
        body = (await self._ask(Op.HEARTBEAT)).body
        return int.from_bytes(body, "big", signed=True)

    async def renew(self):
        """Send a new token before the old one's time is over. False: the server did not take it, the old one still counts."""
        self._must_be_online()
        return (await self._ask(Op.AUTH, self._make_token())).op == ANSWERS[Op.AUTH]

    async def change_room(self, room=""):
        """Remembered over reconnects, as the next two are; returns once the server has it."""
        self.room = room
        await self._settle(Op.CHANGE_ROOM, room)

    async def subscribe(self, *ops):
        self.accepts.update(ops)
        await self._settle(Op.SUB, ",".join(map(str, ops)))

    async def unsubscribe(self, *ops):
        self.accepts.difference_update(ops)
        await self._settle(Op.UNSUB, ",".join(map(str, ops)))

    async def join(self, room, *, since=None, last=None, ticket=None):
        """Remembered over reconnects; returns a Joined, once it is. From the position that is known, or `since`; without any from now on,
        or with the `last` so many pushes. ticket: a signed token for it, or a function that is asked for one before each JOIN.
        Refused where the room may not be joined."""
        if not self._streams:
            raise TypeError("join() needs streams=True")
        if room == USER:
            raise ValueError("the stream of the user is joined by itself")
        if self._task is None:
            raise CometError("not connected: connect() comes first")
        known = self._forget(room)
        reached = self._reached.pop(room, 0) or self._taken.get(room, 0)
        position = since or (known.position if known is not None else reached)
        self._rooms[room] = new = Room(position, last, ticket)
        new.is_stale = known is not None and known.is_stale and not since  # what is missing is not there by that
        if known is not None and not known.joined.done():
            new.joined = known.joined  # whoever waits for that goes on waiting
        if self.online:
            self._later(room, new, 0)  # also where nobody waits for it any more
        await asyncio.wait({new.joined, self._task}, return_when=asyncio.FIRST_COMPLETED)
        return new.joined.result() if new.joined.done() else self._say_ended()

    async def leave(self, *rooms):
        """Leave these rooms, or all that were joined."""
        named = [room for room in rooms or self._joined_rooms() if room != USER]
        for room in named:
            self._left(room, Refused("left again"))
            self._reached.pop(room, None)
            self._taken.pop(room, None)
        for body in pack(map(json.dumps, named), self._longest) if self.online and self._longest else ():
            try:
                await self._ask(Op.LEAVE, body.encode())
            except CometError:
                return  # with the connection they are left

    async def _settle(self, op, body):
        try:
            self._must_be_online()
            await self._ask(op, body.encode())
        except CometError:
            await self._when_online()  # which says it again

    def _must_be_online(self):
        if not self.online:
            raise CometError("not online")

    # -- a connection's life

    async def _stay(self):
        attempt = 0
        try:
            while True:
                why = await self._session()
                asks = callable(self._token) or callable(self._jwt)
                if isinstance(why, Goodbye) and why.final and not (asks and why.code in NEEDS_TOKEN):
                    self._tell_change("closed", why)
                    raise why
                lasted = self._online_at is not None and time.monotonic() - self._online_at > GOOD_SESSION
                attempt = 0 if lasted else attempt
                self._tell_change("lost", why)
                if isinstance(why, Goodbye):
                    self._elsewhere = list(why.nodes)
                base, factor, most = self._back_off
                if self._elsewhere:  # it spreads us over time and nodes itself
                    base = min(base, 0.2)
                await asyncio.sleep(random.uniform(0, min(most, base * factor ** min(attempt, 64))))
                attempt += 1
        except asyncio.CancelledError:
            self._tell_change("closed", None)
            raise
        finally:
            await self._part()

    async def _session(self):
        """One connection, from its beginning to its end. Returns why that came."""
        tasks, reader, why = [], None, None
        self._why = self._online_at = None
        try:
            said = ("", set()) if self._token is not None else (self.room, set(self.accepts))
            token = self._token_now()  # before the server waits for it, which is not for long
            address = self._elsewhere.pop(0) if self._elsewhere else self._address_now()
            reader, self._writer = await within(self._timeout, asyncio.open_connection(*address, ssl=self._tls),
                                                unwanted=lambda pair: pair[1].close())
            tasks = [asyncio.create_task(self._read(reader)), asyncio.create_task(self._live(token, said))]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:  # the reader first: it knows why
                if task.done():
                    task.result()
        except (OSError, EOFError, asyncio.TimeoutError, CometError) as error:
            words = "the server closed" if isinstance(error, EOFError) else str(error) or "no answer in time"
            why = self._why or (error if isinstance(error, CometError) else CometError(words))
            return why
        finally:
            self._online.clear()
            for room in self._rooms.values():
                room.is_in, room.asked = False, None
            for task in tasks:
                task.cancel()
            for _, future, _ in self._pending.values():
                if not future.done():
                    future.set_exception(CometError("the connection was lost"))
                    future.exception()  # where nobody waits any more
            self._pending.clear()
            await asyncio.gather(*tasks, return_exceptions=True)  # before another one reads
            writer, self._writer = self._writer, None
            if isinstance(why, Goodbye) and why.code == Code.DRAINING and self._online_at is not None:
                await self._part()
                self._old = asyncio.create_task(self._read_out(reader, writer))
            elif writer is not None:
                writer.close()

    async def _read_out(self, reader, writer):
        """Take further pushes on the connection to a server that goes away, until the server closes it, soon after our key has moved.
        Without a key each push would come on both connections: then only until the next one is online."""
        reading = asyncio.ensure_future(self._take_pushes(reader))
        until = {reading}
        if not self._who["key"] and self._token is None:
            until.add(asyncio.ensure_future(self._online.wait()))
        try:
            await asyncio.wait(until, timeout=SERVED_ON, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for future in until:
                future.cancel()
            writer.close()
            await asyncio.gather(*until, return_exceptions=True)

    async def _take_pushes(self, reader):
        while (packet := await read_packet(reader)).op != Op.DISCONNECT:
            if self._streams and packet.ver == PUSH_VER:
                push = packet.unwrap()
                await self._pushes.room()
                if self._follows_old(push):
                    self._keep(push)
            elif packet.seq == 0 and packet.op != Op.NOTICE:  # other packets answer requests that were given up
                await self._pushes.room()
                self._keep(packet)

    async def _part(self):
        """Be done with the server that goes away."""
        if self._old is not None:
            self._old.cancel()
            await asyncio.gather(self._old, return_exceptions=True)
            self._old = None

    async def _live(self, token, said):
        """Authenticate, then heartbeats. said: the room and the operations that the token has. Ends with an exception, as _read does."""
        await self._ask(Op.AUTH, token, self._know_streams)
        await self._catch_up(*said)
        self._online_at = time.monotonic()
        self._online.set()
        self._tell_change("online", None)
        joining = quiet(asyncio.create_task(self._join_all(self._joined_rooms())))
        try:
            while True:
                await asyncio.sleep(self._heartbeat)
                await self.heartbeat()
        finally:
            joining.cancel()

    def _address_now(self):
        try:
            return self._address() if callable(self._address) else self._address
        except Exception as error:  # the application's: it is asked again, for the next connection
            complain("no address", error)
            raise CometError(f"no address: {error}") from error

    def _token_now(self):
        try:
            token = self._make_token()
            if not isinstance(token, (bytes, bytearray)):
                raise TypeError(f"a token is bytes, not {type(token).__name__}")
            return token
        except Exception as error:  # as there
            complain("no token", error)
            raise CometError(f"no token: {error}") from error

    def _make_token(self):
        if self._token is not None:
            return self._token() if callable(self._token) else self._token
        token = {**self._who, "room_id": self.room, "accepts": sorted(self.accepts)}
        if self._jwt is not None:
            token.pop("mid", None)
            token.pop("user", None)
            token["token"] = self._jwt() if callable(self._jwt) else self._jwt
        if self._streams:
            position = self._rooms[USER].position or (self._unacked and "unacked")
            token["streams"] = {"user": position} if position else {}
        return json.dumps(token).encode()

    async def _catch_up(self, room, accepts):
        """Send the changes that came while we authenticated; all wishes, where the token is not ours to look into."""
        while self.room != room or self.accepts != accepts:
            more, less = self.accepts - accepts, accepts - self.accepts
            moved, room, accepts = self.room != room, self.room, set(self.accepts)
            if moved:
                await self._ask(Op.CHANGE_ROOM, room.encode())
            for op, ops in ((Op.SUB, more), (Op.UNSUB, less)):
                if ops:
                    await self._ask(op, ",".join(map(str, sorted(ops))).encode())

    async def _read(self, reader):
        while True:
            packet = await read_packet(reader, self._hear)
            self._hear()
            if packet.op == Op.DISCONNECT:
                raise Goodbye.of(packet.body)
            if self._longest and packet.ver == PUSH_VER:
                push = packet.unwrap()
                await self._room_for_one()  # before it counts: whoever is cancelled here has not got it
                if self._follows(push):
                    self._keep(push)
            elif self._longest and packet.op == Op.NOTICE:
                self._notice(notice_of(packet))
            elif not self._is_answer(packet):
                await self._room_for_one()
                self._keep(packet)

    def _hear(self):
        self._heard = time.monotonic()

    def _is_answer(self, packet):
        op, future, now = self._pending.get(packet.seq, (None, None, None))
        if packet.op != op and not (packet.op == Op.AUTH and op == ANSWERS[Op.AUTH]):
            return False
        now(packet)  # where that is none the connection ends, and with it what is pending
        del self._pending[packet.seq]
        if not future.done():
            future.set_result(packet)
        return True

    async def _room_for_one(self):
        self._full = self._pushes.full()
        try:
            await self._pushes.room()
        finally:
            self._full = False
            self._hear()

    def _keep(self, push):
        self._pushes.put_nowait(push)
        self._arrived.set()

    async def _ask(self, op, body=b"", now=lambda answer: None):
        """now(answer) is called before the next packet is looked at. Whatever comes meanwhile is a sign of life: a server replays what was missed
        before it reads the next packet, and that takes its time."""
        writer = self._writer
        self._seq = self._seq % 0x7fffffff + 1
        future = asyncio.get_running_loop().create_future()
        self._pending[self._seq] = ANSWERS.get(op, op), future, now
        try:
            writer.write(Packet(op, body, self._seq).encode())
            await within(self._timeout, writer.drain())
            left = self._timeout
            while not (await asyncio.wait({future}, timeout=left))[0]:
                left = self._timeout if self._full else self._heard + self._timeout - time.monotonic()
                if left <= 0:
                    raise asyncio.TimeoutError
            return future.result()
        except (OSError, asyncio.TimeoutError) as error:
            why = CometError(str(error) or f"no answer to operation {op} in time")
            writer.transport.abort()
            if writer is self._writer:  # which ends the session; else that has ended already
                self._online.clear()
                self._why = why
            raise why from None

    async def _when_online(self):
        waiter = asyncio.ensure_future(self._online.wait())
        try:
            await asyncio.wait({waiter, self._task}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiter.cancel()
        if self._task.done():
            self._say_ended()

    def _say_ended(self):
        if self._task.cancelled():
            raise CometError("closed")
        self._task.result()

    # -- rooms with numbers: docs/protocol.md, section 5

    def _know_streams(self, answer):
        said, what = answer.object() or {}, "an answer to AUTH that is none"
        must(answer.op == ANSWERS[Op.AUTH], what)
        is_known = self._streams and said.get("v") == 1
        must(not is_known or is_position(said.get("max_body")) and is_position(said.get("max_rooms")), what)
        must(not is_known or "user" not in said or is_place(said["user"]), what)
        self._longest = said["max_body"] if is_known else 0
        self._most = min(said["max_rooms"], MOST_ROOMS) if is_known else 0
        if not self._streams:
            return
        room = self._rooms[USER]
        if is_known and "user" in said:
            self._arrive(USER, room, said["user"], room.position)
            self._confirm_soon()  # the last connection may have ended before it was told
        elif room.position:
            self._miss(USER, room, {"at": 0})  # it is not kept any more, or not there

    def _joined_rooms(self):
        """Those that nobody here has asked for at last: a server lets us into fewer by JOIN."""
        return sorted((room for room in self._rooms if room != USER), key=lambda room: self._rooms[room].is_led)

    def _confirm(self, position):
        """The application is done with the user's stream up to there: the server is told, once a second, and by close()."""
        if position > self._done and self._streams:
            self._done = position
            self._confirm_soon()

    def _confirm_soon(self):
        if self._done and self._acker is None:
            self._acker = quiet(asyncio.create_task(self._ack()))

    async def _ack(self):
        await asyncio.sleep(ACK_EVERY)
        self._say_done()

    def _say_done(self):
        self._acker = None
        if self.online and self._rooms[USER].is_in:
            self._writer.write(Packet(Op.ACK, self._done.to_bytes(8, "big")).encode())

    async def _join_all(self, rooms):
        """Ask for them, in as few packets as they fit into. Where the connection is lost meanwhile the next one asks again."""
        wish = object()
        if not self._longest:
            for room in rooms:
                self._left(room, Refused("the server knows no streams"), tell=True)
            return
        for room in rooms:
            if room in self._rooms:
                self._rooms[room].asked = wish
        members = {room: await self._member(room, wish) for room in rooms}
        for room, member in members.items():
            if self._is_asked(room, wish) and len(FRAME) + len(member) > self._longest:  # it would end the connection, and so would the next one
                self._left(room, Refused("its JOIN is longer than the server takes"), tell=True)
        while left := [member for room, member in members.items() if self._is_asked(room, wish)]:
            body = pack(left, self._longest)[0]
            asked = json.loads(body)["rooms"]
            await self._ask(Op.JOIN, body.encode(), lambda answer, asked=asked: self._answered(wish, asked, answers_to(asked, answer)))

    def _is_asked(self, name, wish):
        """Is the wish still the last one, and was the room not left, nor the connection lost?"""
        return name in self._rooms and self._rooms[name].asked is wish

    async def _member(self, name, wish):
        """A room in the words of JOIN. Its first position, and the one after a gap, is that of the state that the application loads, if
        it has one; not if the wish has ended meanwhile, since another one goes on from its own."""
        if not self._is_asked(name, wish):
            return None
        room = self._rooms[name]
        try:
            member = {"id": name, "ticket": room.ticket() if callable(room.ticket) else room.ticket}
            if self._state is not None and (room.is_stale or not room.position):
                position = await self._state(name)
                if not self._is_asked(name, wish):
                    return None
                room.position, room.is_in, room.is_stale = position, False, False  # what comes before the answer comes again
                self._take(name, position)
            member.update(since=room.position or None, last=room.last)
            return json.dumps({name: value for name, value in member.items() if value is not None})
        except Exception as error:  # the application's: it is asked again
            complain(f"no state of {name}, or no ticket to it", error)
            if not self._is_asked(name, wish):
                return None
            room.asked = None
            self._later(name, room, 1000 * self._back_off[0])
            return None

    def _answered(self, wish, asked, members):
        for member, said in zip(asked, members):
            name = member["id"]
            if not self._is_asked(name, wish):
                continue  # left meanwhile, or asked for again: what comes before that answer comes again
            room = self._rooms[name]
            room.is_in, room.asked = False, None
            if "retry_ms" in said and "error" in said:
                self._later(name, room, max(said["retry_ms"], RETRY_LEAST_MS))
            elif "error" in said:
                self._left(name, Refused(said.get("reason", "")), tell=True)
            else:
                self._arrive(name, room, said, member.get("since"))

    def _arrive(self, name, room, said, since):
        """We are in the room, or in the user's stream; it was asked for from `since` on, if that is a number."""
        joined = Joined(said["at"], said["gap"], said.get("replay", 0))
        room.is_in, room.is_stale = True, False
        if not joined.gap and not since:
            room.position = joined.at
            self._take(name, joined.at)
        if not room.joined.done():
            room.joined.set_result(joined)
        self._tell_room("joined", name, joined)
        if joined.gap:
            self._miss(name, room, said)

    def _miss(self, name, room, said):
        """Something is missing before what comes: the application is told, and its state loaded anew when it is our turn."""
        room.position, room.is_stale = said["at"] or room.position, True  # 0 is no position
        self._take(name, said["at"])
        if name == USER:
            self._done = min(self._done, said["at"])
        if self._state is not None and name != USER:
            self._later(name, room, said.get("reload_ms", 0))
        self._tell_room("gap", name, said["at"])

    def _notice(self, said):
        if said.get("room") == USER and not said.get("gap"):
            return  # nobody joins or leaves it
        if "by" in said:
            self._be_led(said["room"], said["at"])
            return
        room = self._rooms.get(said.get("room"))
        if room is None or not room.is_in:
            return
        if "left" in said:
            self._left(said["room"], Refused(said["left"]), tell=True)
        elif said.get("gap"):
            self._miss(said["room"], room, said)

    def _be_led(self, name, at):
        """A back end has led us into the room. With a position, or a state to load, we ask for what was missed. Where we have asked already
        the answer says where it goes on, and until then nothing counts: what came twice or was left out would not be told."""
        if name in self._rooms and self._rooms[name].asked is not None:
            return
        led = sum(room.is_led for room in self._rooms.values())
        must(name in self._rooms or led < 2 * self._most, "us into more rooms than it lets in")
        known = self._forget(name)
        if known is None:
            known = Room(self._reached.pop(name, 0) or self._taken.get(name, 0), None, None)
            known.is_led = True
        self._rooms[name] = room = Room(known.position, known.last, known.ticket)
        room.joined, room.is_led, room.is_stale = known.joined, known.is_led, known.is_stale
        if self._state is not None or 0 < room.position < at:
            room.task = quiet(asyncio.create_task(self._join_all([name])))
            return
        self._arrive(name, room, {"at": at, "gap": False}, room.position)

    def _follows(self, push):
        """Is it to be delivered? The rule for clients, for a push of this connection ..."""
        room = self._rooms.get(push.room)
        if push.number == 0:
            return push.room in ("", self.room) or room is not None and room.is_in
        if room is None or not room.is_in or push.number <= room.position:
            return False
        if push.number > room.position + 1:  # the server is wrong
            self._miss(push.room, room, {"at": push.number - 1})
        room.position = push.number
        return True

    def _follows_old(self, push):
        """... and for one of a server that goes away: the new connection brings all others, or has brought them."""
        room = self._rooms.get(push.room)
        if push.number == 0:
            return True
        if room is None or not room.position or push.number != room.position + 1:
            return False
        room.position = push.number
        return True

    def _later(self, name, room, ms):
        async def again():
            await asyncio.sleep(ms / 1000)
            if self.online and self._rooms.get(name) is room:
                room.task = None  # it is not to be cancelled by what it does
                await self._join_all([name])

        if room.task is not None:
            room.task.cancel()
        room.task = quiet(asyncio.create_task(again()))  # it fails with its connection, and the next one asks

    def _forget(self, name):
        room = self._rooms.pop(name, None)
        if room is not None and room.task is not None:
            room.task.cancel()
        return room

    def _take(self, name, number):
        """The application has got all up to there; not where its state is to be loaded after a gap: who is started again before that would
        never load it."""
        room = self._rooms.get(name)
        waits = room is not None and room.is_stale and self._state is not None and name != USER
        if number and not waits:  # 0 is no position
            self._taken[name] = number

    def _left(self, name, why, tell=False):
        """It is not joined any more, and not again by ourselves. Where the server says so the position stays for the next JOIN, unless nobody
        asked for one."""
        room = self._forget(name)
        if room is None:
            return
        if tell and not room.is_led:
            self._reached[name] = room.position
        elif tell:
            self._taken.pop(name, None)
        if not room.joined.done():
            room.joined.set_exception(why)
        if tell:
            self._tell_room("left", name, str(why))
