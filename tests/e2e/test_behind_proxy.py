"""nginx and HAProxy as Debian has them, with the files of examples/proxy in front of comets. Only addresses are changed.

SPDX-License-Identifier: MIT"""
import itertools
import re
import shutil
import socket
import subprocess

import pytest

import wire
from backend import Backend
from client import V2, Client, Op, Packet, TcpCodec, Way
from server import ROOT, Comet
from waiting import TIMEOUT, wait_until

EXAMPLES = ROOT / "examples/proxy"
# The client is somebody else than the proxy, which comes from 127.0.0.1.
CLIENT = "127.0.0.9"
TCP = Way("tcp-v2", "tcp", TcpCodec, V2)
WEBSOCKET = Way("ws-v2", "websocket", lambda: wire.WebSocketCodec(Packet), V2, "client_cut")
MADE_UP = Way("ws-v2", "websocket", lambda: wire.WebSocketCodec(Packet, X_Forwarded_For="203.0.113.1", Forwarded="for=203.0.113.2"),
              V2, "client_cut")
BEHIND = {"tcp.proxy_protocol": "yes", "tcp.proxy_from": "127.0.0.1", "websocket.trusted_proxies": "127.0.0.1", "http.trusted_proxies": "127.0.0.1",
          "log.level": "debug", "http.bind": "127.0.0.1:0"}
SECONDS = {"s": 1, "m": 60}

pytestmark = pytest.mark.skipif(not (shutil.which("nginx", path="/usr/sbin") and shutil.which("haproxy", path="/usr/sbin")),
                                reason="nginx and haproxy are not here")


def free_port(taken=set()):  # noqa: B006: not one twice
    while True:
        with socket.create_server(("127.0.0.1", 0)) as sock:
            port = sock.getsockname()[1]
        if port not in taken:
            taken.add(port)
            return port


class Proxy:
    """One that runs with an example, whose addresses are those of these comets and free ones."""

    def __init__(self, folder, comets):
        self.folder = folder
        self.public = {port: free_port() for port in (80, 8080, 3201, 8111)}
        self.comets = comets

    def at(self, port):
        return "127.0.0.1", self.public[port]

    def text(self, name):
        text = (EXAMPLES / name).read_text()
        text = re.sub(r"^#.*\n", "", text, flags=re.M)
        text = re.sub(r"^(\s*server )(comet)?(1 )?(127\.0\.0\.1:31\d\d)(.*)\n", self._servers, text, flags=re.M)
        for was, now in self.public.items():
            text = re.sub(rf"((?:listen|bind) )(?:127\.0\.0\.1:|:)?{was}\b", rf"\g<1>127.0.0.1:{now}", text)
        return text

    def _servers(self, line):
        """The line for each comet that the files speak of."""
        before, name, _, address, rest = line.groups()
        word = {"3101": "tcp", "3102": "websocket", "3111": "http"}[address[-4:]]
        lines = []
        for number, comet in enumerate(self.comets, 1):
            at = comet.address(word)
            at = f"unix:{at}" if isinstance(at, str) else f"{at[0]}:{at[1]}"
            lines.append(before + (f"{name}{number} " if name else "") + at +
                         rest.replace("port 3111", f"port {comet.address('http')[1]}") + "\n")
        return "".join(lines)

    def start(self, *command):
        with open(self.folder / "log", "wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=Comet._with_parent)

    def wait_for(self, *ports):
        for port in ports:
            wait_until(lambda: self._answers(port), lambda: f"port {port} is there; {(self.folder / 'log').read_text()}")

    def _answers(self, port):
        assert self.process.poll() is None, (self.folder / "log").read_text()
        try:
            socket.create_connection(self.at(port), timeout=TIMEOUT).close()
            return True
        except OSError:
            return False

    def stop(self):
        self.process.terminate()
        self.process.wait(TIMEOUT)


class Nginx(Proxy):
    name = "nginx"
    websocket_port = 80

    def run(self):
        conf = self.folder / "nginx.conf"
        for kind in ("body", "proxy"):
            (self.folder / kind).mkdir()
        conf.write_text(f"""load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off; worker_processes 1; pid {self.folder}/pid; error_log {self.folder}/error.log; user root;
events {{ worker_connections 1024; }}
{self.text("nginx-stream.conf")}
http {{ access_log off; client_body_temp_path {self.folder}/body; proxy_temp_path {self.folder}/proxy;
{self.text("nginx-http.conf")}
}}
""")
        self.start("/usr/sbin/nginx", "-e", str(self.folder / "error.log"), "-p", str(self.folder), "-c", str(conf))
        self.wait_for(80, 3201, 8111)
        return self


class Haproxy(Proxy):
    name = "haproxy"
    websocket_port = 8080

    def run(self):
        conf = self.folder / "haproxy.cfg"
        conf.write_text(self.text("haproxy.cfg"))
        checked = subprocess.run(["/usr/sbin/haproxy", "-c", "-q", "-f", conf], capture_output=True, text=True)
        assert checked.returncode == 0 and "WARNING" not in checked.stderr, checked.stderr
        self.start("/usr/sbin/haproxy", "-db", "-f", str(conf))
        self.wait_for(8080, 3201, 8111)
        return self


@pytest.fixture(params=[Nginx, Haproxy], ids=lambda kind: kind.name)
def proxied(request, launch, tmp_path):
    """Comets and the proxy in front of them."""
    started = []
    numbers = itertools.count()

    def start(*settings):
        comets = [launch({**BEHIND, **more}, kind=Comet) for more in settings or ({},)]
        folder = tmp_path / f"proxy-{next(numbers)}"
        folder.mkdir()
        started.append(request.param(folder, comets).run())
        return started[-1], *comets

    yield start
    for proxy in started:
        proxy.stop()


def websocket(proxy, way=WEBSOCKET):
    return Client(way, proxy.at(proxy.websocket_port), source=CLIENT)


def tcp(proxy):
    return Client(TCP, proxy.at(3201), source=CLIENT)


def authenticated(house):
    return re.findall(r"peer=(\S+) .*event=connection_authenticated", house.log())


def peers(house, n):
    return wait_until(lambda: (found := authenticated(house))[n - 1:] and found, f"{n} are authenticated")


def test_clients_are_served_and_known_by_their_own_address(proxied):
    proxy, house = proxied()
    clients = [websocket(proxy).auth(mid=7), websocket(proxy, MADE_UP).auth(mid=7), tcp(proxy).auth(mid=7)]
    for client in clients:
        client.heartbeat()
    assert peers(house, 3)[:2] == [CLIENT, CLIENT]
    assert re.fullmatch(rf"{CLIENT}:\d+", peers(house, 3)[2]), "a PROXY header has the port as well"
    Backend(proxy.at(8111)).push_mids([7], b"hello")
    for client in clients:
        client.expect_push(1000, b"hello")
        client.close()
    house.wait_empty()


def test_limits_are_those_of_each_client(proxied):
    proxy, house = proxied({"limits.per_ip": "2"})
    first, second = websocket(proxy).auth(mid=1), tcp(proxy).auth(mid=2)
    with pytest.raises(wire.Refused) as refused:
        websocket(proxy, MADE_UP).auth(mid=3)
    assert "503" in str(refused.value) or "502" in str(refused.value)
    other = Client(WEBSOCKET, proxy.at(proxy.websocket_port), source="127.0.0.8").auth(mid=4)
    assert house.metrics()("comet_refused_total", reason="per_ip") >= 1
    for client in (first, second, other):
        client.heartbeat()
        client.close()


def test_who_is_refused_by_every_comet_shuts_nobody_else_out(proxied):
    """A 503 for one address says nothing of the comet: the proxy must not take it for a failed one."""
    proxy, *_ = proxied(*[{"limits.per_ip": "1"}] * 2)
    inside = [websocket(proxy).auth(mid=mid) for mid in (1, 2)]
    for _ in range(3):
        with pytest.raises(wire.Refused):
            websocket(proxy).auth(mid=3)
        inside.append(Client(WEBSOCKET, proxy.at(proxy.websocket_port), source=f"127.0.0.{10 + len(inside)}").auth(mid=4))
    for client in inside:
        client.heartbeat()
        client.close()


def test_goodbyes_reach_the_client(proxied):
    proxy, house = proxied()
    for client in (websocket(proxy).auth(mid=7, key="a"), tcp(proxy).auth(mid=8, key="b")):
        house.backend.kick(keys=[client.key])
        assert client.expect_goodbye()["code"] == 1
        client.close()


def test_a_call_may_wait(proxied):
    proxy, house = proxied()
    backend = Backend(proxy.at(8111))
    client = tcp(proxy).auth(mid=7, key="k")
    assert backend.data("/goim/upstream", after=0, wait=1000) == []
    client.request(2000, b"a score")
    assert [packet["body"] for packet in backend.data("/goim/upstream", after=0, wait=60000)] == ["a score"]
    client.close()


def test_new_clients_do_not_go_to_a_comet_that_drains(launch, tmp_path):
    """nginx asks nobody whether he is ready; it finds by itself that a comet does not listen any more."""
    first, second = (launch({**BEHIND, "server.drain_timeout": "8s", "server.drain_grace": "8s"}, kind=Comet) for _ in range(2))
    (tmp_path / "proxy").mkdir()
    proxy = Haproxy(tmp_path / "proxy", [first, second]).run()
    try:
        inside = [tcp(proxy).auth(mid=mid) for mid in (1, 2)]  # by leastconn one each, or both where the other is found late
        wait_until(lambda: len(authenticated(first) + authenticated(second)) == 2, "both are authenticated")
        of_first = len(peers(first, 1))
        first.terminate()
        wait_until(lambda: "comet_tcp/comet1 is DOWN" in (proxy.folder / "log").read_text(), "HAProxy has noticed")
        new = [tcp(proxy).auth(mid=mid) if mid % 2 else websocket(proxy).auth(mid=mid) for mid in range(3, 9)]
        for client in inside + new:  # those of the comet that drains are still served
            client.heartbeat()
        assert len(peers(second, 8 - of_first)) == 8 - of_first
        for client in inside + new:
            client.close()
        first.wait()
    finally:
        proxy.stop()


@pytest.mark.parametrize("connect", [websocket, tcp], ids=["websocket", "tcp"])
def test_nginx_finds_the_comet_that_is_up_while_one_after_another_restarts(launch, tmp_path, connect):
    settings = [{**BEHIND, **{f"{door}.bind": f"127.0.0.1:{free_port()}" for door in ("tcp", "websocket", "http")}} for _ in range(2)]
    comets = [launch(each, kind=Comet) for each in settings]
    (tmp_path / "proxy").mkdir()
    proxy = Nginx(tmp_path / "proxy", comets).run()
    try:
        for number in (0, 1, 0):
            comets[number].stop()
            clients = [connect(proxy).auth(mid=mid) for mid in range(1, 4)]
            for client in clients:
                client.heartbeat()
                client.close()
            comets[number] = launch(settings[number], kind=Comet)
    finally:
        proxy.stop()


def test_nginx_by_a_path(launch, tmp_path):
    path = tmp_path / "door"
    house = launch({**BEHIND, "websocket.bind": f"unix:{path}", "websocket.trusted_proxies": ""}, kind=Comet)
    (tmp_path / "proxy").mkdir()
    proxy = Nginx(tmp_path / "proxy", [house]).run()
    try:
        websocket(proxy, MADE_UP).auth(mid=7).close()
        assert peers(house, 1) == [CLIENT]
    finally:
        proxy.stop()


def test_times_of_the_examples_are_longer_than_those_of_comet():
    default = dict(re.findall(r'setting_time\(logic, (heartbeat|heartbeat_told), (\d+)', (ROOT / "common/config/config.def").read_text()))
    heartbeat = int(default["heartbeat"]) / 1000
    for name, keys in {"nginx-http.conf": ["proxy_read_timeout"], "nginx-stream.conf": ["proxy_timeout"],
                       "haproxy.cfg": ["timeout client", "timeout server", "timeout tunnel"]}.items():
        for key in keys:
            n, unit = re.search(rf"^\s*{key} (\d+)([sm])", (EXAMPLES / name).read_text(), re.M).groups()
            assert int(n) * SECONDS[unit] > heartbeat, f"{name}: {key}"
