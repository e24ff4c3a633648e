"""web_service: an HTTP server of a test's own, which the program under test calls.

SPDX-License-Identifier: MIT"""
import http.server
import ssl
import threading


class Handler(http.server.BaseHTTPRequestHandler):
    """What a service's own handlers derive from."""

    def log_message(self, *_):
        pass


class WebService:
    """Answers by this class of handlers, at self.url. tls: a certificate and its key. sock: a socket that is bound already."""

    class Server(http.server.ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True
        block_on_close = False

        def handle_error(self, *_):
            pass  # the comet had gone

    def __init__(self, handler, path, tls=None, sock=None):
        self.server = self.Server(("127.0.0.1", 0) if sock is None else sock.getsockname(), handler, bind_and_activate=False)
        if sock is None:
            self.server.server_bind()
        else:
            self.server.socket.close()
            self.server.socket, self.server.server_port = sock, sock.getsockname()[1]
        self.server.server_activate()
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server.server_port}{path}"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
