#!/usr/bin/python3
"""A back end that decides who may connect, for comets with auth.mode=webhook:

    examples/auth_webhook.py 8081
    comet -o auth.mode=webhook -o auth.url=http://127.0.0.1:8081/auth

A client's token is user:password, such as ada:sesame. Each answer is good for
an hour; a client that sends its token again before that stays.
docs/authentication.md says what goes to and fro.
SPDX-License-Identifier: MIT"""
import hmac
import http.server
import json
import os
import sys
import time

# Name: number and password. Yours stand in a database, with the passwords hashed.
USERS = {"ada": (1, "sesame"), "bob": (2, "swordfish")}
SECRET = os.environ.get("AUTH_SECRET", "")  # the same as auth.secret


def decide(question):
    """The answer to {"token":"...","peer":"10.0.0.9","server":"comet-1"}."""
    name, _, password = question.get("token", "").partition(":")  # absent: the token was no text, and came as token64
    mid, right = USERS.get(name, (0, ""))
    if mid == 0 or not hmac.compare_digest(right.encode(), password.encode()):
        return {"allow": False, "reason": "user or password is wrong"}
    return {"allow": True, "mid": mid, "room_id": "chat://1", "accepts": [1000], "expires_at": int(time.time()) + 3600}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keeps connections, as the comet does

    def do_POST(self):
        question = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if SECRET and not hmac.compare_digest(self.headers.get("Authorization", ""), f"Bearer {SECRET}"):
            self.answer(500, {})  # the comet is wrong, not the client
        else:
            self.answer(200, decide(question))

    def answer(self, status, body):
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass  # requests are not logged: tokens must not be


if __name__ == "__main__":
    if "--help" in sys.argv:
        print(__doc__)
        sys.exit()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1]) if len(sys.argv) > 1 else 8081), Handler)
    print(f"listening {server.server_port}", flush=True)
    server.serve_forever()
