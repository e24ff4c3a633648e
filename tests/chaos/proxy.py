"""proxy: stands between a house and its Redis, for what a network does and Redis does not.

SPDX-License-Identifier: MIT"""
import selectors
import socket
import threading
import time

SAYS_LOADING = b"-LOADING Redis is loading the dataset in memory\r\n"


class Proxy:
    """Forwards to `target`. silence() drops everything of the connections that are there, without a reset; new ones work.
    drop_all() beside that keeps new ones waiting until drop_no_more(), when what they have sent arrives, as TCP repeats it.
    hold(needle) keeps the next bytes with this in them, and what follows on their connection, until release(). Bytes take
    delay_s to the other side."""

    def __init__(self, target):
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.address = self._listener.getsockname()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._lock = threading.Lock()
        self._other = {}       # socket -> the one at its other end
        self._silenced = []    # kept open, so that nobody is told
        self._needle = None
        self._held = None      # socket, its bytes
        self.delay_s = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stopping:
            for key, _ in self._selector.select(0.1):
                with self._lock:
                    if key.fileobj is self._listener:
                        self._take()
                    elif key.fileobj in self._other:
                        self._forward(key.fileobj)

    def _take(self):
        here, _ = self._listener.accept()
        try:
            there = socket.create_connection(self.target, timeout=5)
        except OSError:
            here.close()
            return
        for sock, other in ((here, there), (there, here)):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._other[sock] = other
            self._selector.register(sock, selectors.EVENT_READ)

    def _forward(self, sock):
        other = self._other[sock]
        try:
            data = sock.recv(1 << 18)
            if self._needle is not None and self._needle in data:
                self._needle = None
                self._selector.unregister(sock)
                self._held = sock, data
                return
            if data:
                time.sleep(self.delay_s)
                other.sendall(data)
                return
        except OSError:
            pass
        self._forget(sock, other)
        sock.close()
        other.close()

    def _forget(self, *socks):
        for sock in socks:
            self._selector.unregister(sock)
            del self._other[sock]

    def hold(self, needle):
        self._needle = needle

    def holds(self):
        return self._held is not None

    def release(self):
        with self._lock:
            sock, data = self._held
            self._held = None
            self._other[sock].sendall(data)
            self._selector.register(sock, selectors.EVENT_READ)

    def silence(self):
        """How many connections were silenced."""
        with self._lock:
            socks = list(self._other)
            self._forget(*socks)
            self._silenced += socks
            return len(socks) // 2

    def drop_all(self):
        with self._lock:
            self._selector.unregister(self._listener)
        return self.silence()

    def drop_no_more(self):
        with self._lock:
            self._selector.register(self._listener, selectors.EVENT_READ)

    def stop(self):
        self._stopping = True
        self._thread.join()
        for sock in [self._listener, *self._silenced, *self._other]:
            sock.close()
        self._selector.close()


class Loading:
    """In place of Redis, on its port: whatever it is asked, it says that it is loading."""

    def __init__(self, address):
        self._listener = socket.create_server(address, backlog=512)
        self.asked = 0
        self._stopping = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        with selectors.DefaultSelector() as selector:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select(0.05):
                    if key.fileobj is self._listener:
                        selector.register(self._listener.accept()[0], selectors.EVENT_READ)
                    else:
                        self._answer(selector, key.fileobj)
            for key in list(selector.get_map().values()):
                key.fileobj.close()

    def _answer(self, selector, sock):
        try:
            data = sock.recv(1 << 18)
            # A command is an array; that a bulk string holds such a line does not matter here.
            commands = data.count(b"\r\n*") + data.startswith(b"*")
            self.asked += commands
            if data:
                sock.sendall(SAYS_LOADING * commands)
                return
        except OSError:
            pass
        selector.unregister(sock)
        sock.close()

    def stop(self):
        self._stopping = True
        self._thread.join()
