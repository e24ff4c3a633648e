"""backend: what a back end does: pushes, kicks, questions, over the HTTP API of docs/protocol.md, section 7.

SPDX-License-Identifier: MIT"""
import contextlib
import http.client
import json
import typing
import urllib.parse

from waiting import TIMEOUT


class Reply(typing.NamedTuple):
    status: int
    headers: dict  # by their names in small letters
    body: bytes

    def json(self):
        return json.loads(self.body)


class Backend:
    def __init__(self, address, api_key=None):
        self.address = address
        self.api_key = api_key
        self._kept = None  # the connection of kept_alive()

    @contextlib.contextmanager
    def kept_alive(self):
        """Requests inside go over one HTTP connection: for bursts."""
        self._kept = self._open()
        try:
            yield self
        finally:
            self._kept.close()
            self._kept = None

    def _open(self):
        return http.client.HTTPConnection(*self.address, timeout=TIMEOUT)

    def request(self, method, path, body=None, headers=None, **params):
        """One HTTP request; a list among the parameters is repeated."""
        if params:
            path += "?" + urllib.parse.urlencode(params, doseq=True)
        headers = dict(headers or {})
        if self.api_key:
            headers["X-Api-Key"] = self.api_key
        if isinstance(body, str):
            body = body.encode()
        connection = self._kept or self._open()
        try:
            connection.request(method, path, body=body, headers=headers)
            response = connection.getresponse()
            names = {name.lower(): value for name, value in response.getheaders()}
            return Reply(response.status, names, response.read())
        finally:
            if connection is not self._kept:
                connection.close()

    def get(self, path, **params):
        return self.request("GET", path, **params)

    def post(self, path, body=b"", **params):
        return self.request("POST", path, body=body, **params)

    # v2: accepted, or the test ends here

    def _accepted(self, path, body, params):
        reply = self.post(path, body, **params)
        assert reply.status == 200, reply
        answer = reply.json()
        assert answer["code"] == 0 and answer["message"] == "", reply
        return reply, answer

    def accepted(self, path, body=b"", **params):
        return self._accepted(path, body, params)[1].get("data")

    def numbered(self, path, body=b"", **params):
        """Of a push that is kept: its number."""
        return int(self._accepted(path, body, params)[0].headers["comet-position"])

    def push_keys(self, keys, body, op=1000):
        return self.accepted("/goim/push/keys", body, operation=op, keys=keys)

    def push_mids(self, mids, body, op=1000):
        return self.accepted("/goim/push/mids", body, operation=op, mids=mids)

    def push_room(self, room, body, op=1000):
        kind, _, name = room.partition("://")
        return self.accepted("/goim/push/room", body, operation=op, type=kind, room=name)

    def push_all(self, body, op=1000, **speed):
        return self.accepted("/goim/push/all", body, operation=op, **speed)

    def kick(self, **who):
        return self.accepted("/goim/kick", **who)

    def data(self, path, **params):
        reply = self.get(path, **params)
        assert reply.status == 200 and reply.json()["code"] == 0, reply
        return reply.json()["data"]

    # v1

    def accepted_v1(self, path, body=b"", **params):
        reply = self.post(path, body, **params)
        assert reply.status == 200 and reply.json() == {"ret": 1}, reply

    def v1_push(self, uid, body):
        self.accepted_v1("/1/push", body, uid=uid)

    def v1_pushs(self, uids, message):
        self.accepted_v1("/1/pushs", json.dumps({"u": uids, "m": message}))

    def v1_push_room(self, rid, body, ensure="false"):
        self.accepted_v1("/1/push/room", body, rid=rid, ensure=ensure)

    def v1_push_all(self, body):
        self.accepted_v1("/1/push/all", body)


class ApiV2:
    """The v2 API as tests of both APIs use it."""
    name = "v2"
    op = 1000

    @staticmethod
    def user(backend, mid, body):
        backend.push_mids([mid], body)

    @staticmethod
    def users(backend, mids, body):
        backend.push_mids(mids, body)

    @staticmethod
    def all(backend, body):
        backend.push_all(body)


class ApiV1:
    """The v1 API in the same words. Its pushes have no operation of their own: 5."""
    name = "v1"
    op = 5

    @staticmethod
    def user(backend, mid, body):
        backend.v1_push(mid, body)

    @staticmethod
    def users(backend, mids, body):
        backend.v1_pushs(mids, json.loads(body))

    @staticmethod
    def all(backend, body):
        backend.v1_push_all(body)


APIS = [ApiV2, ApiV1]
