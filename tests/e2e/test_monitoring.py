"""What examples/monitoring promises: Prometheus takes the metrics, each alert can fire, and the dashboard shows something.

Prometheus is the real one, with rules and scrape settings as they are shipped; only the targets and the times are the
test's. SPDX-License-Identifier: MIT"""
import http.client
import json
import math
import re
import shutil
import signal
import socket
import subprocess
import urllib.parse

import pytest

from server import ROOT
from waiting import wait_until

MONITORING = ROOT / "examples" / "monitoring"
KEY = "comet"
KEY_FILE = "/tmp/comet-api-key"  # as in prometheus.yml

pytestmark = pytest.mark.skipif(shutil.which("promtool") is None, reason="the Debian package prometheus is not installed")


def promtool(*arguments, **more):
    return subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60, **more)


def test_metrics_follow_the_conventions(house):
    checked = promtool("check", "metrics", input=house.backend.get("/metrics").body.decode())
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_settings_and_rules_are_valid(tmp_path):
    shutil.copytree(MONITORING, tmp_path, dirs_exist_ok=True)
    (tmp_path / "prometheus.yml").write_text((MONITORING / "prometheus.yml").read_text().replace(KEY_FILE, "api_key"))
    (tmp_path / "api_key").write_text(KEY)
    checked = promtool("check", "config", tmp_path / "prometheus.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_alert_fires_when_it_should_and_none_on_an_ordinary_day():
    tested = promtool("test", "rules", MONITORING / "rules_test.yml")
    assert tested.returncode == 0, tested.stdout + tested.stderr
    alerts = set(re.findall(r"- alert: (\w+)", (MONITORING / "rules.yml").read_text()))
    shown = set(re.findall(r'alertname="(\w+)"', (MONITORING / "rules_test.yml").read_text()))
    assert len(alerts) >= 15 and alerts == shown


def test_every_alert_has_its_place_in_the_runbook():
    rules = (MONITORING / "rules.yml").read_text()
    places = re.findall(r'runbook_url: "file:///usr/share/doc/comet/docs/operations.md#([\w-]+)"', rules)
    headings = re.findall(r"^#+ (.+)", (ROOT / "docs/operations.md").read_text(), re.M)
    assert len(places) == rules.count("- alert:")
    assert set(places) <= {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_rules_and_dashboard_name_only_metrics_that_exist(house):
    there = set(house.metrics().types) | {"up", "ALERTS"}
    texts = [(MONITORING / "rules.yml").read_text()] + [expression for _, expression in dashboard()]
    for name in set(re.findall(r"\b(?:comet|process)_\w+?(?=_bucket|_sum\b|_count\b|\b)", "\n".join(texts))):
        assert name in there, name


# ---- a real Prometheus


def dashboard():
    """(panel and its legend, expression) of each query, with Grafana's variables filled in."""
    panels = json.loads((MONITORING / "grafana" / "comet.json").read_text())["panels"]
    queries = [(f"{panel['title']}: {target['legendFormat']}",
                target["expr"].replace("$instance", ".*").replace("$__rate_interval", "5s"))
               for panel in panels for target in panel.get("targets", ())]
    assert len(queries) > 30
    return queries


class Prometheus:
    def __init__(self, directory, comet, logic):
        """Scrapes the comet at this address, and comet-logic if there is one."""
        settings = (MONITORING / "prometheus.yml").read_text()
        settings = settings.replace("interval: 5s", "interval: 500ms").replace(KEY_FILE, "api_key")
        (directory / "api_key").write_text(KEY)
        for word, address in (("comet-1", comet), ("logic-1", logic)):
            targets = [f"{address[0]}:{address[1]}"] if address else []
            settings = re.sub(rf"targets: .*{word}.*", f"targets: {json.dumps(targets)}", settings)
        (directory / "prometheus.yml").write_text(settings)
        shutil.copy(MONITORING / "rules.yml", directory)
        # It says nowhere which port the kernel gave it, so one is asked for: that it is taken meanwhile shows as its end.
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self._log = directory / "prometheus.log"
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data", "--log.level=warn",
                 f"--web.listen-address=127.0.0.1:{self.port}"],
                cwd=directory, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def query(self, expression):
        """The value of each series that comes back."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert answer["status"] == "success", (expression, answer)
        return [float(series["value"][1]) for series in answer["data"]["result"]]

    def has(self, expression):
        assert self.process.poll() is None, self._log.read_text()
        try:
            return any(not math.isnan(value) and value > 0 for value in self.query(expression))
        except (OSError, ValueError):
            return False  # not up yet

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def prometheus(house, tmp_path):
    directory = tmp_path / "prometheus"
    directory.mkdir()
    comet = getattr(house.backend, "comet", house.backend).address  # in a cluster house.backend is comet-logic
    logic = house.backend.address if house.backend.address != comet else None
    running = Prometheus(directory, comet, logic)
    yield running
    running.stop()


# Where a comet runs alone, this histogram is there, and empty.
ONLY_IN_A_CLUSTER = "comet_logic_request_seconds"


@pytest.mark.settings(f"http.api_key={KEY}")
@pytest.mark.ways("tcp-v2")
def test_every_query_of_the_dashboard_returns_data(connect, backend, prometheus):
    wait_until(lambda: prometheus.has("up"), "Prometheus has scraped", pause=0.1)
    queries = dashboard()
    clients = []

    def is_drawn():
        """Some load, and is there a number in each panel?"""
        clients.append(connect(mid=len(clients)))
        for _ in range(3):
            backend.push_all("x")
        clients[-1].recv_many(3)
        return not missing()

    def missing():
        return [(title, expression) for title, expression in queries
                if not [value for value in prometheus.query(expression)
                        if ONLY_IN_A_CLUSTER in expression or not math.isnan(value)]]

    wait_until(is_drawn, lambda: f"data for {missing()}", seconds=40, pause=0.3)
    assert prometheus.has('sum(rate(comet_delivered_total[5s]))')
    assert prometheus.query("ALERTS") == []
