"""server: one running comet: start it on ports of the kernel's choice, look at it from outside, stop it.

SPDX-License-Identifier: MIT"""
import atexit
import collections
import ctypes
import functools
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile

from backend import Backend
from scrape import Metrics
from waiting import SANITIZED, SPARE_BYTES, TIMEOUT, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("COMET_BUILD", ROOT / "build")).resolve()

# COMET_TEST_SETTINGS="protocol.park=off" runs the tests that way.
SETTINGS = dict(assignment.split("=", 1) for assignment in os.environ.get("COMET_TEST_SETTINGS", "").split())

# What a test gets where it does not ask for anything else: ports that are free, no ping that it would have to answer however slow
# the machine is, and no long goodbye.
DEFAULTS = {
    "tcp.bind": "127.0.0.1:0",
    "tcp.tls_bind": "127.0.0.1:0",
    "websocket.bind": "127.0.0.1:0",
    "websocket.tls_bind": "127.0.0.1:0",
    "http.bind": "127.0.0.1:0",
    "websocket.ping": "10m",
    "server.drain_timeout": "100ms",
    "server.drain_grace": "0",
    **SETTINGS,
}
# What comet starts itself once more for, comet/process.c: given before, it need not. test_scale has that start.
TUNABLES = {}
if not SANITIZED:
    TUNABLES["GLIBC_TUNABLES"] = "glibc.rtld.nns=1:glibc.rtld.optional_static_tls=0"
# Buffers, arenas of malloc and stacks, which stay once they were needed.
WARM_BYTES = 6 << 20

LISTENERS = {"tcp.bind": "tcp", "tcp.tls_bind": "tcp-tls", "websocket.bind": "websocket",
             "websocket.tls_bind": "websocket-tls", "http.bind": "http", "http.tls_bind": "http-tls"}


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@functools.lru_cache(maxsize=None)
def certificate(name="comet.test", kind=("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")):
    """A certificate for this name and its key, made for this run."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="comet-certificate-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", *kind, "-nodes", "-keyout", key, "-out", cert,
                    "-days", "30", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name},IP:127.0.0.1"],
                   check=True, capture_output=True)
    return cert, key

PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None)


class Comet:
    """A comet that runs alone."""

    def __init__(self, directory, settings=None, files=None, environment=None, one_core=False, conf=None):
        cert, key = certificate()
        self.settings = {**DEFAULTS, "tls.cert_file": cert, "tls.private_file": key, **(settings or {})}
        self._stdout = pathlib.Path(directory) / "stdout"
        self._stderr = pathlib.Path(directory) / "stderr"
        self._files = files  # RLIMIT_NOFILE, soft and hard
        self._one_core = one_core  # so that it has one thread of each kind
        self.ended_by_test = False  # the test has looked at how it ended, stop() need not
        self._log_start = 0  # where in the log this test begins
        self._before = None  # what the metrics said then
        self._ticks_before = 0  # what it had worked by then
        arguments = [argument for key, value in self.settings.items() for argument in ("-o", f"{key}={value}")]
        if conf is not None:
            arguments += ["-c", conf]
        environment = {**os.environ, **TUNABLES, **(environment or {})}  # None: not to be there
        environment = {name: value for name, value in environment.items() if value is not None}
        with open(self._stdout, "wb") as out, open(self._stderr, "wb") as err:
            self.process = subprocess.Popen([BUILD / "comet", *arguments], stdin=subprocess.DEVNULL, stdout=out,
                                            stderr=err, env=environment, preexec_fn=self._in_the_child)
        try:
            self._addresses = self._listen()
            self.backend = Backend(self.address("http"), self.settings.get("http.api_key"))
            wait_until(self._is_ready, "/healthz says 200")
        except BaseException:
            self.kill()
            print(self.log())
            raise

    @staticmethod
    def _with_parent():
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # nothing outlives the tests

    def _in_the_child(self):
        self._with_parent()
        if self._files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._files, self._files))
        if self._one_core:
            os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})

    # starting

    def _listen(self):
        """Wait for the line of every address that the settings ask for. Of those of one listener the first is told to tests."""
        wanted = {word: len(re.findall(r"[^, ]+", self.settings.get(key, ""))) for key, word in LISTENERS.items()}

        def announced():
            assert self.process.poll() is None, f"comet ended with {self.process.returncode}:\n{self.log()}"
            found = {}
            said = self.stdout() + "".join(f"listening {line['listener']} {line['address']}\n" for line in self._json_lines()
                                           if line["event"] == "listening")
            for word, host, port in re.findall(r"^listening ([\w-]+) (\S+):(\d+)\n", said, re.M):
                found.setdefault(word, (host.strip("[]"), int(port)))
            for word, path in re.findall(r"^listening ([\w-]+) unix:(\S+)\n", said, re.M):
                found.setdefault(word, path)
            lines = collections.Counter(re.findall(r"^listening ([\w-]+) .*\n", said, re.M))
            return found if all(lines[word] >= n for word, n in wanted.items()) else None

        return wait_until(announced, lambda: f"listening lines for {wanted} in {self.stdout()!r}")

    def _json_lines(self):
        """The whole lines of a log in JSON."""
        if self.settings.get("log.format") != "json":
            return []
        return [json.loads(line) for line in self._stderr.read_text().splitlines(keepends=True) if line.endswith("}\n")]

    def _is_ready(self):
        try:
            return self.backend.get("/healthz").status == 200
        except OSError:
            return False

    # looking

    def address(self, listener):
        return self._addresses[listener]

    @property
    def pid(self):
        return self.process.pid

    def stdout(self):
        return self._stdout.read_text()

    def log(self):
        return self._stderr.read_bytes()[self._log_start:].decode(errors="replace")

    def metrics(self):
        metrics = self._scrape()
        return metrics.since(self._before) if self._before else metrics

    def _scrape(self):
        reply = self.backend.get("/metrics")
        assert reply.status == 200, reply
        return Metrics(reply.body.decode())

    def wait_metric(self, name, value, timeout=TIMEOUT, **labels):
        """Wait until the metric has exactly this value."""
        seen = []

        def has_it():
            seen[:] = [self.metrics()(name, **labels)]
            return seen[0] == value

        wait_until(has_it, lambda: f"{name}{labels or ''} is {value}, it is {seen[0]}", timeout, pause=0.02)

    def wait_empty(self, timeout=TIMEOUT):
        """Wait until no connection is left."""
        self.wait_metric("comet_connections", 0, timeout)

    @property
    def parks(self):
        """An idle connection has no thread, else it has two."""
        return not {"off", "no"} & {self.settings.get("protocol.park"), self.settings.get("protocol.baton")}

    def threads(self):
        """Readers and dispatchers: the threads that connections cost."""
        return sum(name in ("reader", "dispatcher") for name in self.thread_names())

    def thread_names(self):
        names = []
        for task in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            try:
                names.append((task / "comm").read_text().strip())
            except OSError:
                pass  # it has just ended
        return names

    def freeze(self):
        """Stop every thread; until it is awake the main thread has not told the others yet, and they go on."""
        os.kill(self.pid, signal.SIGSTOP)
        tasks = pathlib.Path(f"/proc/{self.pid}/task")
        wait_until(lambda: all((task / "stat").read_text().rpartition(") ")[2].startswith("T") for task in tasks.iterdir()),
                   "all threads are stopped")

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)

    def files(self):
        """Open files, those of HTTP callers that have just left included."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def rss_bytes(self):
        fields = pathlib.Path(f"/proc/{self.pid}/statm").read_text().split()
        return int(fields[1]) * resource.getpagesize()

    # several tests, one after another: see houses.py

    def begin_test(self):
        """From here on counters, CPU time and log are those of one test."""
        if self._before is not None:
            self._baseline = self._baseline[0], self.rss_bytes()
        self._before = self._scrape()
        self._ticks_before += self.cpu_ticks()

    def end_test(self):
        self.assert_clean_log()
        self._log_start = self._stderr.stat().st_size

    def ended(self):
        return self.ended_by_test or self.process.poll() is not None

    def note_baseline(self):
        """What there is before the first client comes."""
        self._baseline = self.files(), self.rss_bytes()

    def assert_nothing_left(self, kept_bytes=0):
        """After the last client: no thread of theirs, no file, and no more memory than what is needed once may take."""
        files, memory = self._baseline
        self.wait_empty()
        wait_until(lambda: self.threads() == 0, lambda: f"{self.threads()} threads of clients are left")
        wait_until(lambda: self.files() <= files + 1, lambda: f"{self.files()} files, there were {files}")
        if BUILD.name != "thread":  # TSan's own memory grows with every address that was ever used
            wait_until(lambda: self.rss_bytes() - memory < WARM_BYTES + SPARE_BYTES + kept_bytes,
                       lambda: f"{(self.rss_bytes() - memory) >> 10} KiB more than before")

    def cpu_ticks(self):
        """User and system time so far, in ticks of 1/100 s."""
        after_name = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return int(after_name[11]) + int(after_name[12]) - self._ticks_before

    def is_accepting(self):
        try:
            socket.create_connection(self.address("tcp"), timeout=TIMEOUT).close()
            return True
        except ConnectionError:
            return False

    # where logic runs: here it is the same program

    def logic_metrics(self):
        return self.metrics()

    def logic_log(self):
        return self.log()

    def reload_logic(self):
        self.process.send_signal(signal.SIGHUP)

    # stopping

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def wait(self, timeout=2 * TIMEOUT):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"comet did not end within {timeout} s; its log ends:\n{self.log()[-4000:]}") from None

    def kill(self):
        self.process.kill()
        self.process.wait()

    def assert_clean_log(self):
        log = self.log()
        for sign in ("BUG", "Sanitizer", "runtime error:", "please report"):
            assert sign not in log, f"{sign} in the log:\n{log[-8000:]}"

    def stop(self):
        """SIGTERM; it has to end with 0 and with nothing bad in its log. Where the test has looked at that itself, nothing."""
        if self.ended_by_test:
            return
        if self.process.poll() is None:
            self.terminate()
        code = self.wait()
        self.assert_clean_log()
        assert code == 0, f"exit code {code}; the log ends:\n{self.log()[-4000:]}"


def house_class():
    """What tests run against: a comet alone, or with COMET_TEST_HOUSE=cluster one behind Redis and comet-logic."""
    if os.environ.get("COMET_TEST_HOUSE", "alone") == "alone":
        return Comet
    from cluster_house import ClusterComet  # it knows this module

    return ClusterComet
