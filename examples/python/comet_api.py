"""comet_api: Comet's HTTP API for back ends. One file, nothing but Python 3.8's own library; docs/http-api.md is its contract.

    from comet_api import Comet
    comet = Comet("http://127.0.0.1:3111", api_key="...")
    comet.push_users(1000, "hello", [7, "ann"])
    position = comet.push_room(1000, "hello", "chat", "1")
    for packet in comet.upstream(after=load(), acknowledge=save):
        ...

A call that fails raises CometError, whose code is the API's (docs/http-api.md), or 0 where no answer came. What can do no harm when
it is done twice is tried again, up to `tries` times: questions, kicks, and pushes to rooms, which get an Idempotency-Key for it. Other
pushes are tried again only where the server certainly did not take them. An object may be used by one thread at a time.
SPDX-License-Identifier: MIT"""
import http.client
import json
import selectors
import ssl
import time
import urllib.parse
import uuid

__all__ = ["Comet", "CometError"]


class CometError(Exception):
    def __init__(self, code, words):
        super().__init__(f"{words} ({code})")
        self.code = code


class Comet:
    def __init__(self, url="http://127.0.0.1:3111", api_key=None, timeout=5.0, tries=3, pause=0.2, context=None):
        """timeout: seconds for each try; pause: before the second, and twice as long before each further one; context: of ssl."""
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"url is http://HOST:PORT or https://HOST:PORT, not {url!r}")
        self._is_tls = parts.scheme == "https"
        self._address = parts.hostname, parts.port or (443 if self._is_tls else 80)
        self._context = context or (ssl.create_default_context() if self._is_tls else None)
        self._headers = {"X-Api-Key": api_key} if api_key else {}
        self._timeout, self._tries, self._pause = timeout, tries, pause
        self._connection = None

    # ---- pushes. body: str or bytes; users: numbers and names

    def push_keys(self, operation, body, keys):
        self._push("keys", body, operation=operation, keys=keys)

    def push_users(self, operation, body, users):
        self._push("users", body, operation=operation, users=users)

    def push_room(self, operation, body, kind, room, keep=True, name=None):
        """The push's number where the room is kept, otherwise None. A push of a name that came before is not made again."""
        _, headers = self._call("POST", "/goim/push/room", body, {"Idempotency-Key": name or uuid.uuid4().hex}, is_safe=True,
                                operation=operation, type=kind, room=room, keep="yes" if keep else "no")
        position = headers.get("Comet-Position")
        return int(position) if position else None

    def push_all(self, operation, body, speed=0):
        self._push("all", body, operation=operation, speed=speed)

    def batch(self, pushes):
        """Each a dict, such as {"operation": 1000, "users": [7], "body": "hello"}; docs/http-api.md, Many at once. The answers, in their order,
        of which each has its own code: one that failed raises nothing."""
        lines = "".join(json.dumps(push) + "\n" for push in pushes)
        body, _ = self._call("POST", "/goim/batch", lines, {"Content-Type": "application/x-ndjson"}, is_json=False,
                             wait_more=10.0)  # so long the server begins with further lines
        return [json.loads(line) for line in body.splitlines()]

    def _push(self, target, body, **params):
        self._call("POST", f"/goim/push/{target}", body, **params)

    # ---- people

    def kick(self, **who):
        """keys=[…] or users=[…]: how many connections were sent away."""
        return self._data("POST", "/goim/kick", **who)["kicked"]

    def online(self):
        """conn_count and ip_count."""
        return self._data("GET", "/goim/online/total")

    def online_rooms(self, kind, rooms):
        return self._data("GET", "/goim/online/room", type=kind, rooms=rooms)

    # ---- streams

    def positions(self, kind, rooms):
        """The newest number of each room, by type://room. Read them before the data that a client is to have."""
        return self._data("GET", "/goim/stream/position", type=kind, rooms=rooms)

    def upstream(self, after="0", acknowledge=None, wait=30.0):
        """The packets that clients send to the back end, for ever; each a dict of id, key, mid, op and body. acknowledge(id) is called
        when the loop comes for the next one, so after a crash the packet that was worked on comes again."""
        while True:
            for packet in self._data("GET", "/goim/upstream", wait_more=wait, after=after, wait=int(wait * 1000)):
                yield packet
                after = packet["id"]
                if acknowledge:
                    acknowledge(after)

    # ---- calls

    def close(self):
        if self._connection:
            self._connection.close()
            self._connection = None

    def _data(self, method, path, wait_more=0.0, **params):
        return self._call(method, path, is_safe=True, wait_more=wait_more, **params)[0]["data"]

    def _call(self, method, path, body=b"", headers=None, is_safe=False, is_json=True, wait_more=0.0, **params):
        if not isinstance(body, (str, bytes, bytearray, memoryview)):
            raise TypeError(f"a body is str or bytes, not {type(body).__name__}; json.dumps makes one of an object")
        if params:
            path += "?" + urllib.parse.urlencode(params, doseq=True)
        pause = self._pause
        for is_last in [False] * (self._tries - 1) + [True]:
            try:
                return self._try(method, path, body, headers or {}, is_json, wait_more)
            except _Again as again:
                if is_last or not (is_safe or again.is_untaken):
                    raise CometError(again.code, again.words) from again.__cause__
                time.sleep(max(pause, min(again.after, 10.0)))
                pause *= 2

    def _try(self, method, path, body, headers, is_json, wait_more):
        is_sent = False
        try:
            if self._connection is not None and _has_ended(self._connection.sock):
                self.close()
            if self._connection is None:
                make = http.client.HTTPSConnection if self._is_tls else http.client.HTTPConnection
                self._connection = make(*self._address, timeout=self._timeout, **({"context": self._context} if self._is_tls else {}))
                self._connection.connect()
            self._connection.sock.settimeout(self._timeout + wait_more)
            is_sent = True
            self._connection.request(method, path, body.encode() if isinstance(body, str) else body, {**self._headers, **headers})
            response = self._connection.getresponse()
            text = response.read()
            if response.will_close:
                self.close()
        except (OSError, http.client.HTTPException) as fault:
            self.close()
            raise _Again(0, f"no answer: {fault or type(fault).__name__}", is_untaken=not is_sent) from fault
        return self._judge(response, text, is_json)

    @staticmethod
    def _judge(response, text, is_json):
        if response.status == 200 and not is_json:
            return text, response.headers
        try:
            answer = json.loads(text)
            code, words = answer["code"], answer["message"]
        except (ValueError, LookupError, TypeError):
            raise CometError(-response.status, "the answer is none of Comet's") from None
        if code in (-429, -503):
            raise _Again(code, words, is_untaken=True, after=float(response.headers.get("Retry-After") or 0))
        if code == -500:
            raise _Again(code, words)
        if code != 0:
            raise CometError(code, words)
        return answer, response.headers


def _has_ended(sock):
    """Between two calls there is nothing to be read but the end: the server closes what was idle for long."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


class _Again(Exception):
    """Another try may go better. is_untaken: the server did nothing."""

    def __init__(self, code, words, is_untaken=False, after=0.0):
        super().__init__(words)
        self.code, self.words, self.is_untaken, self.after = code, words, is_untaken, after
