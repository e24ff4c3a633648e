"""compose.yaml says what the programs understand, and what compose does: settings, ports, files, conditions. No engine is needed;
scripts/check-image starts it where there is one.

SPDX-License-Identifier: MIT"""
import re

import pytest
import yaml

from server import ROOT
from test_kubernetes import ended

KNOWN = {"image", "build", "restart", "depends_on", "ulimits", "environment", "stop_grace_period", "command", "ports", "healthcheck", "profiles",
         "volumes", "entrypoint"}


def interpolated(value):
    """As compose does where nothing is set: ${NAME:-default}, and $$ is a dollar."""
    if isinstance(value, dict):
        return {key: interpolated(one) for key, one in value.items()}
    if isinstance(value, list):
        return [interpolated(one) for one in value]
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value).replace("$$", "$") if isinstance(value, str) else value


SERVICES = interpolated(yaml.safe_load((ROOT / "compose.yaml").read_text()))["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}


def program(service):
    return service.get("command", "comet")


@pytest.mark.parametrize("name", SERVICES)
def test_service_is_in_the_words_of_compose(name):
    service = SERVICES[name]
    assert set(service) <= KNOWN
    assert name in OURS or re.fullmatch(r"[\w./-]+:[\w.-]*\d[\w.-]*", service["image"]), "an image of others has a tag"
    for volume in service.get("volumes", []):
        assert (ROOT / volume.split(":")[0]).exists(), volume
    needs = service.get("depends_on", {})
    for other in needs:
        assert other in SERVICES
        if isinstance(needs, dict) and needs[other]["condition"] == "service_healthy":
            assert "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", OURS)
def test_the_programs_take_these_settings(name):
    tried = ended(program(OURS[name]), {**OURS[name]["environment"], "COMET_HTTP_BIND": "0.0.0.0:3111"})
    assert (tried.returncode, tried.stderr) == (0, "")
    assert OURS[name]["ulimits"]["nofile"]["soft"] >= 1000000


def test_each_comet_names_the_port_where_it_is_reached():
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    hosts = [port.rpartition(":")[0] for port in published]
    assert len(set(hosts)) == len(hosts) and all(host.startswith("127.0.0.1:") for host in hosts)
    for service in OURS.values():
        if program(service) == "comet":
            assert f"{service['environment']['COMET_SERVER_ADDRS']}:3101" in service["ports"]
    start = (ROOT / "scripts/container-start").read_text()
    assert all(f"0.0.0.0:{port.rpartition(':')[2]}" in start for service in OURS.values() for port in service["ports"])
    assert len({service["environment"].get("COMET_SERVER_ID") for service in OURS.values()} - {None}) == 3


def test_prometheus_has_the_key_and_the_names():
    text = (ROOT / "compose.yaml").read_text()
    assert text.count("${COMET_HTTP_API_KEY") == 1, "the key is said in one place"
    keys = {service["environment"]["COMET_HTTP_API_KEY"] for service in (*OURS.values(), SERVICES["prometheus"])}
    assert len(keys) == 1 and keys != {""}
    asked = (ROOT / "examples/monitoring/prometheus.yml").read_text()
    assert set(re.findall(r"\b((?:comet|logic)-\d):\d+", asked)) == set(OURS)
    assert re.search(r"credentials_file: (\S+)", asked)[1] in SERVICES["prometheus"]["entrypoint"][2]
