"""A comet whose every byte is the test's to say, for what a good server never does. Written from docs/protocol.md.

SPDX-License-Identifier: MIT
"""

import http.server
import queue
import socket
import ssl
import struct
import threading
import urllib.parse
from collections import namedtuple

DEADLINE_S = 20

Packet = namedtuple("Packet", "ver op seq body")
Call = namedtuple("Call", "method path params body api_key")


def packet(op, body=b"", ver=1, seq=0):
    return struct.pack(">ihhii", 16 + len(body), 16, ver, op, seq) + body


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(DEADLINE_S)

    def _exactly(self, n):
        got = b""
        while len(got) < n:
            more = self.sock.recv(n - len(got))
            if not more:
                raise EOFError
            got += more
        return got

    def read(self):
        length, head, ver, op, seq = struct.unpack(">ihhii", self._exactly(16))
        assert head == 16
        return Packet(ver, op, seq, self._exactly(length - 16))

    def send(self, op, body=b"", ver=1, seq=0):
        self.sock.sendall(packet(op, body, ver, seq))

    def authenticate(self):
        """Read the token, say yes, give the token back."""
        token = self.read()
        assert token.op == 7
        self.send(8, ver=token.ver, seq=token.seq)
        return token

    def close(self):
        self.sock.close()


class ScriptedComet:
    def __init__(self, certificate=None):
        """certificate: (cert, key), with which it speaks TLS."""
        self.tls = None
        if certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*certificate)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(DEADLINE_S)
        self.port = str(self.listener.getsockname()[1])
        self.peers = []

    def listen_again(self):
        self.listener = socket.create_server(("127.0.0.1", int(self.port)))
        self.listener.settimeout(DEADLINE_S)

    def accept(self):
        sock = self.listener.accept()[0]
        sock.settimeout(DEADLINE_S)  # the handshake's, too
        peer = Peer(self.tls.wrap_socket(sock, server_side=True) if self.tls else sock)
        self.peers.append(peer)
        return peer

    def close(self):
        self.listener.close()
        for peer in self.peers:
            peer.close()


class ScriptedApi:
    """An HTTP API that gives the answers it was told to, and remembers what it was asked."""

    def __init__(self):
        self.calls = queue.Queue()
        self.answers = queue.Queue()
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                path, _, query = self.path.partition("?")
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                api.calls.put(Call(self.command, path, urllib.parse.parse_qsl(query, keep_blank_values=True), body,
                                   self.headers.get("X-Api-Key")))
                status, text = api.answers.get(timeout=DEADLINE_S)
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.address = "127.0.0.1:%d" % self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def will_answer(self, status, text):
        self.answers.put((status, text))

    def call(self):
        return self.calls.get(timeout=DEADLINE_S)

    def close(self):
        """Once or twice."""
        if self.thread.is_alive():
            self.server.shutdown()
            self.server.server_close()
            self.thread.join()
