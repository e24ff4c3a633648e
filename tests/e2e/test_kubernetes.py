"""examples/kubernetes says what the programs understand: settings, ports, probes, and times that fit. No cluster is needed.

SPDX-License-Identifier: MIT"""
import re
import subprocess

import pytest
import yaml

from server import BUILD, ROOT
from waiting import TIMEOUT

FOLDER = ROOT / "examples/kubernetes"
PROGRAMS = {"comet": "comet", "comet-logic": "comet-logic"}


def objects():
    for name in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


def of_kind(kind):
    return {each["metadata"]["name"]: each for each in objects() if each["kind"] == kind}


def pod(deployment):
    return of_kind("Deployment")[deployment]["spec"]["template"]


def container(deployment):
    one, = pod(deployment)["spec"]["containers"]
    return one


def settings():
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())
    generated, = kustomization["configMapGenerator"]
    return dict(line.split("=", 1) for line in generated["literals"])


def ended(program, environment):
    return subprocess.run([BUILD / program, "-t"], env=environment, capture_output=True, text=True, timeout=TIMEOUT)


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_programs_take_these_settings(program):
    environment = {**settings(), "COMET_HTTP_API_KEY": "key", "COMET_HTTP_BIND": "0.0.0.0:3111"}
    for variable in container(program)["env"]:
        environment.setdefault(variable["name"], "pod-7f")
    tried = ended(program, environment)
    assert tried.returncode == 0 and tried.stderr == "", tried.stderr
    # An unknown one would be told.
    tried = ended(program, {**environment, "COMET_NO_SUCH": "1"})
    assert "COMET_NO_SUCH" in tried.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_selectors_ports_and_probes_meet(program):
    labels = pod(program)["metadata"]["labels"]
    assert container(program)["args"] == [program]
    for kind, selector in (("Deployment", lambda spec: spec["selector"]["matchLabels"]),
                           ("PodDisruptionBudget", lambda spec: spec["selector"]["matchLabels"]),
                           ("Service", lambda spec: spec["selector"])):
        assert selector(of_kind(kind)[program]["spec"]) == labels
    ports = {port["name"]: port["containerPort"] for port in container(program)["ports"]}
    for port in of_kind("Service")[program]["spec"]["ports"]:
        assert ports[port["targetPort"]] == port["port"]
    for probe, path in (("livenessProbe", "/healthz"), ("startupProbe", "/healthz"), ("readinessProbe", "/readyz")):
        assert container(program)[probe]["httpGet"] == {"path": path, "port": "http"}
    start = (ROOT / "scripts/container-start").read_text()
    for port in ports.values():
        assert f"0.0.0.0:{port}" in start


def test_redis_is_where_the_settings_say():
    host, port = settings()["COMET_REDIS_ADDR"].split(":")
    service = of_kind("Service")[host]["spec"]
    assert service["ports"][0]["port"] == int(port)
    assert service["selector"] == of_kind("StatefulSet")[host]["spec"]["template"]["metadata"]["labels"]


def test_a_pod_has_time_to_send_its_clients_away(tmp_path):
    shown = ended("comet", {**settings(), "COMET_HTTP_BIND": "", "COMET_HTTP_API_KEY": "key"}).stdout

    def seconds(section, key):
        part = re.search(rf"^\[{section}\]$(.*?)(?=^\[|\Z)", shown, re.M | re.S)[1]
        number, unit = re.search(rf"^{key} = (\d+)(ms|s|m)$", part, re.M).groups()
        return int(number) * {"ms": 0.001, "s": 1, "m": 60}[unit]

    needed = sum(seconds("server", key) for key in ("drain_delay", "drain_timeout", "drain_grace"))
    assert pod("comet")["spec"]["terminationGracePeriodSeconds"] > needed + seconds("protocol", "write_timeout")
