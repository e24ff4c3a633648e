"""hostile: clients that mean harm, a few hundred in one process. Each is a small machine that is stepped twenty times a second
and begins again when it was closed.

SPDX-License-Identifier: MIT"""
import collections
import random
import socket
import ssl
import struct
import time

from client import HEAD, Op, Packet, V2, dial
from wire import Opcode, frame, upgrade

STEP_SECONDS = 0.05


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    tls = context.wrap_bio(incoming, outgoing)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Hostile:
    """Its listener, what it does with its socket once it is connected, and its number."""
    listener = "tcp"
    a_second = 0.0  # bytes of opening(), fed so slowly; 0: all at once
    lives = 30.0    # then it hangs up by itself

    def __init__(self, number, addresses):
        self.number, self.addresses = number, addresses
        self.sock = None
        self.times = 0
        self.chance = random.Random(number)
        self.begins_at = time.monotonic() + self.chance.random()

    def opening(self):
        return b""

    def token(self, key):
        return V2.token(mid=0, key=key, room="", accepts=[1000])

    def step(self, now):
        try:
            if self.sock is None:
                if now >= self.begins_at:
                    self.begin(now)
                return
            self.feed(now)
            self.act(now)
            if now > self.ends_at:
                self.end(now)
        except BlockingIOError:
            pass
        except OSError:
            self.end(now)

    def begin(self, now):
        addresses = self.addresses[self.listener]
        address = addresses[self.number % len(addresses)]
        self.sock = dial(address, f"127.0.2.{1 + self.number % 16}", self.rcvbuf())
        self.sock.setblocking(False)
        self.sock.connect_ex(address)
        self.times += 1
        self.began_at, self.fed, self.ends_at = now, 0, now + self.lives * (0.5 + self.chance.random())
        self.said = self.opening()

    @staticmethod
    def rcvbuf():
        return None

    def end(self, now, reset=False):
        if self.sock is not None:
            if reset:
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.sock.close()
            self.sock = None
        self.begins_at = now + 0.1 + self.chance.random()

    def feed(self, now):
        """What is due of the opening by now."""
        due = len(self.said) if self.a_second == 0 else min(len(self.said), int((now - self.began_at) * self.a_second) + 1)
        if due > self.fed:
            self.fed += self.sock.send(self.said[self.fed:due])

    def act(self, now):
        self.read()

    def read(self):
        if self.sock.recv(1 << 16) == b"":
            raise ConnectionError("closed")


class SlowTcp(Hostile):
    """An AUTH packet, a byte a second."""
    a_second = 1

    def opening(self):
        return Packet(Op.AUTH, self.token("slow"), seq=1).encode()


class SlowWebSocket(SlowTcp):
    """The request of a WebSocket handshake, likewise."""
    listener = "websocket"

    def opening(self):
        return upgrade()


class SlowTls(SlowTcp):
    listener = "tcp-tls"

    def opening(self):
        return client_hello()


class SlowWss(SlowTls):
    listener = "websocket-tls"


class SlowHttp(SlowTcp):
    listener = "http"

    def opening(self):
        return b"POST /goim/push/all?operation=1000 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n" + b"x" * 99


class SlowPacket(Hostile):
    """In, and then a packet that never ends."""

    def opening(self):
        return Packet(Op.AUTH, self.token(f"half{self.number}"), seq=1).encode() + \
            HEAD.pack(16 + 1000, 16, 1, Op.HEARTBEAT, 2) + b"x" * 500


class Silent(Hostile):
    def __init__(self, number, addresses):
        super().__init__(number, addresses)
        self.listener = list(addresses)[number % len(addresses)]


class Flood(Hostile):
    """In, and then packets as fast as they are taken; it reads the answers."""
    packets = Packet(Op.HEARTBEAT, seq=3).encode() * 100

    def opening(self):
        return Packet(Op.AUTH, self.token(f"flood{self.number}"), seq=1).encode()

    def act(self, now):
        self.send()
        self.read()

    def send(self):
        """Whole packets, or the server would close it for another reason."""
        if self.fed == len(self.said):
            self.said, self.fed = self.packets, 0


class DeafFlood(Flood):
    """The same, and it never reads."""

    @staticmethod
    def rcvbuf():
        return 4096

    def act(self, now):
        self.send()


class WebSocketFlood(Flood):
    """Pings and packets over WebSocket."""
    listener = "websocket"
    packets = frame(Opcode.PING, b"x" * 100) * 20 + frame(Opcode.BINARY, Packet(Op.SUB, b"1000,1001", seq=3).encode()) * 20

    def opening(self):
        return upgrade() + frame(Opcode.BINARY, Packet(Op.AUTH, self.token(f"wflood{self.number}"), seq=1).encode())


class NeverReads(Hostile):
    """In, pushed to with large bodies, and never reads."""

    @staticmethod
    def rcvbuf():
        return 4096

    def opening(self):
        return Packet(Op.AUTH, self.token(f"deaf{self.number % 4}-{self.number}"), seq=1).encode()

    def act(self, now):
        pass


class NeverReadsWebSocket(NeverReads):
    listener = "websocket"

    def opening(self):
        return upgrade() + frame(Opcode.BINARY, super().opening())


class Handshakes(Hostile):
    """Comes in and leaves at once, again and again."""
    lives = 0.0

    def opening(self):
        return Packet(Op.AUTH, self.token(f"hand{self.number}"), seq=1).encode()

    def end(self, now, reset=False):
        super().end(now, reset)
        self.begins_at = now


class WebSocketHandshakes(Handshakes):
    listener = "websocket"

    def opening(self):
        return upgrade()


class Resets(Handshakes):
    """Vanishes in the middle of something."""

    def __init__(self, number, addresses):
        super().__init__(number, addresses)
        self.listener = list(addresses)[number % len(addresses)]

    def opening(self):
        said = {"tcp": Packet(Op.AUTH, self.token("reset"), seq=1).encode(), "websocket": upgrade(),
                "http": b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"}.get(self.listener) or client_hello()
        return said[:self.chance.randrange(1, len(said) + 1)]

    def end(self, now, reset=False):
        super().end(now, True)


class Garbage(Hostile):
    """Bytes that are nothing."""
    lives = 2.0

    def __init__(self, number, addresses):
        super().__init__(number, addresses)
        self.listener = list(addresses)[number % len(addresses)]

    def opening(self):
        return self.chance.randbytes(self.chance.randrange(1, 3000))


class BadFrames(Hostile):
    """WebSocket frames that are forbidden."""
    listener = "websocket"
    lives = 2.0

    def opening(self):
        return upgrade() + self.chance.choice([
            frame(Opcode.BINARY, b"x", rsv=4), frame(3, b"x"), frame(Opcode.PING, b"x" * 126), frame(Opcode.TEXT, b"\xff"),
            frame(Opcode.BINARY, b"", length=1 << 63), frame(Opcode.BINARY, b"x" * 5000), frame(Opcode.CLOSE, b"\x03"),
            frame(Opcode.BINARY, HEAD.pack(-1, 16, 1, 7, 1)), frame(Opcode.CONTINUATION, b"x")])


class Wrong(Hostile):
    """Packets that are wrong, after a good one."""
    lives = 2.0

    def opening(self):
        length, head = self.chance.choice([(-1, 16), (15, 16), (1 << 30, 16), (16, 17), (0, 0)])
        return Packet(Op.AUTH, self.token(f"wrong{self.number}"), seq=1).encode() + HEAD.pack(length, head, 1, 2, 2)


# How many parts each has of a crowd.
KINDS = {SlowTcp: 3, SlowWebSocket: 3, SlowTls: 2, SlowWss: 2, SlowHttp: 1, SlowPacket: 3, Silent: 4, Flood: 2, DeafFlood: 2,
         WebSocketFlood: 2, NeverReads: 3, NeverReadsWebSocket: 3, Handshakes: 2, WebSocketHandshakes: 2, Resets: 3,
         Garbage: 3, BadFrames: 3, Wrong: 3}


def kinds_for(addresses):
    """Each as often as it has parts; those whose door is not there are left out."""
    return [kind for kind, parts in KINDS.items() for _ in range(parts) if kind.listener in addresses]


def run(pipe, addresses, n):
    """The process of n of them. Commands over the pipe: go, rest, end."""
    kinds = kinds_for(addresses)
    everybody = [kinds[i % len(kinds)](i, addresses) for i in range(n)]
    going = False
    while True:
        now = time.monotonic()
        if going:
            for one in everybody:
                one.step(now)
        if not pipe.poll(max(0.0, STEP_SECONDS - (time.monotonic() - now)) if going else 1.0):
            continue
        what, _ = pipe.recv()
        if what == "go":
            going = True
        elif what == "rest":
            going = False
            for one in everybody:
                one.end(now)
            times = collections.Counter()
            for one in everybody:
                times[type(one).__name__] += one.times
            pipe.send(dict(times))
        else:
            return


def deaf_keys(addresses, n):
    """The keys of those that never read, for somebody to push to."""
    kinds = kinds_for(addresses)
    return [f"deaf{i % 4}-{i}" for i in range(n) if issubclass(kinds[i % len(kinds)], NeverReads)]
