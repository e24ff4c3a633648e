"""swarm: thousands of clients on one epoll. Clients of a swarm connect, authenticate and take what comes.

SPDX-License-Identifier: MIT"""
import collections
import errno
import math
import os
import select
import socket
import struct
import time

from client import Op, Packet, dial
from waiting import TIMEOUT, Deadline, scaled

READ_BYTES = 1 << 16


class Member:
    """One client of a swarm."""

    def __init__(self, number, way, who):
        self.number = number
        self.who = who
        self.codec = way.codec()
        self.sock = None
        self.authenticated = False
        self.closed = False
        self.stalled = False  # does not read
        self.packets = []     # all that came after AUTH_REPLY

    def close(self):
        if self.sock is not None:
            self.sock.close()
            self.sock = None
        self.closed = True

    def said_goodbye(self):
        """The body of op 6, or None."""
        return self.packets[-1].json() if self.packets and self.packets[-1].op == Op.DISCONNECT else None


class Swarm:
    """n clients; who(i) gives the token of the i-th. `sources` addresses of this machine are used in turn, so that the
    ports of one suffice. A member that the server closes is marked; whether it should have is the test's business."""

    def __init__(self, way, address, n, who, rcvbuf=None, sources=8):
        self.way = way
        self.address = address
        self.members = [Member(i, way, who(i)) for i in range(n)]
        self._rcvbuf = rcvbuf
        self._sources = sources
        self.received = 0  # packets of all members after AUTH_REPLY
        self._epoll = select.epoll()
        self._by_fd = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # coming

    def connect(self, timeout=8 * TIMEOUT):
        """Connect and authenticate all; so many are on their way at a time that each is in time: where other tests have the machine
        nobody more sets out while one that has been on the way for a second is not in."""
        parallel = scaled(64, 16) if self.way.listener.endswith("tls") else scaled(256, 32)
        deadline = Deadline(timeout)
        waiting = collections.deque(self.members)
        on_the_way = {}  # and since when
        while waiting or on_the_way:
            while waiting and len(on_the_way) < parallel and min(on_the_way.values(), default=math.inf) > time.monotonic() - 1:
                member = waiting.popleft()
                on_the_way[member] = time.monotonic()
                self._dial(member)
            self._poll(deadline)
            on_the_way = {m: since for m, since in on_the_way.items() if not m.authenticated and not m.closed}
        return self

    def _dial(self, member):
        source = f"127.0.1.{1 + member.number % self._sources}" if self.address[0].startswith("127.") else None
        member.sock = dial(self.address, source, self._rcvbuf)
        member.sock.setblocking(False)
        rc = member.sock.connect_ex(self.address)
        if rc not in (0, errno.EINPROGRESS):
            raise OSError(rc, os.strerror(rc))
        self._by_fd[member.sock.fileno()] = member
        self._epoll.register(member.sock.fileno(), select.EPOLLOUT)

    def _say_hello(self, member):
        rc = member.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if rc != 0:
            raise OSError(rc, os.strerror(rc))
        hello = member.codec.encode(Packet(Op.AUTH, self.way.dialect.token(**member.who), seq=1))
        assert member.sock.send(hello) == len(hello)
        self._epoll.modify(member.sock.fileno(), select.EPOLLIN)

    # taking what comes

    def _poll(self, deadline):
        if deadline.passed():
            raise TimeoutError(f"after {deadline.seconds} s: {self}")
        for fd, events in self._epoll.poll(min(deadline.left(), 1.0), maxevents=1024):
            member = self._by_fd[fd]
            if events & select.EPOLLOUT:
                self._say_hello(member)
            else:
                self._read(member)

    def _read(self, member):
        try:
            data = member.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._forget(member)
            member.close()
            return
        packets = member.codec.feed(data)
        self._send_owed(member)
        for packet in packets:
            if not member.authenticated and packet.op == Op.AUTH_REPLY:
                member.authenticated = True
            else:
                member.packets.append(packet)
                self.received += 1

    @staticmethod
    def _send_owed(member):
        owed = member.codec.owed()
        try:
            assert not owed or member.sock.send(owed) == len(owed)
        except ConnectionError:
            pass  # recv will say so

    def _forget(self, member):
        if not member.stalled:
            self._epoll.unregister(member.sock.fileno())
        del self._by_fd[member.sock.fileno()]

    def pump(self, until, timeout=2 * TIMEOUT):
        """Take what comes until until() is true."""
        deadline = Deadline(timeout)
        while not until():
            self._poll(deadline)

    def take_what_is_here(self):
        """One look at all sockets, without waiting."""
        for fd, _ in self._epoll.poll(0, maxevents=len(self.members)):
            self._read(self._by_fd[fd])

    def pump_received(self, total, timeout=4 * TIMEOUT):
        """Take what comes until all members together have received so many packets."""
        self.pump(lambda: self.received >= total, timeout)

    def expect_silence(self, seconds):
        """Nothing may come for so long: the one wait for a time, for tests that measure over it."""
        events = self._epoll.poll(seconds)
        assert not events, f"{len(events)} sockets became readable"

    # stalling and leaving

    def stall(self, member):
        """From now on this one does not read."""
        self._epoll.unregister(member.sock.fileno())
        member.stalled = True

    def resume(self, member):
        self._epoll.register(member.sock.fileno(), select.EPOLLIN)
        member.stalled = False

    def alive(self):
        return [m for m in self.members if m.authenticated and not m.closed]

    def leave(self, member, reset=False):
        self._forget(member)
        if reset:
            member.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        member.close()

    def close(self):
        for member in self.members:
            member.close()
        self._by_fd.clear()
        self._epoll.close()

    def __str__(self):
        return (f"swarm of {len(self.members)}: {sum(m.authenticated for m in self.members)} authenticated, "
                f"{sum(m.closed for m in self.members)} closed, {self.received} packets received")
