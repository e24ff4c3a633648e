"""examples/helm makes what examples/kubernetes has, and what its values say. By the package of Go's that helm itself renders with;
where there is a helm, by that, too.

SPDX-License-Identifier: MIT"""
import json
import shutil
import subprocess

import pytest
import yaml

import stranger
import test_kubernetes as kubernetes
from server import ROOT
from waiting import TIMEOUT

CHART = ROOT / "examples/helm"
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
TEMPLATES = sorted((CHART / "templates").iterdir())


def merged(base, more):
    """As helm does it: null takes out."""
    if not isinstance(base, dict) or not isinstance(more, dict):
        return more
    both = {**base, **more, **{name: merged(base[name], more[name]) for name in base.keys() & more.keys()}}
    return {name: value for name, value in both.items() if value is not None}


def by_go(folder):
    if shutil.which("go") is None:
        pytest.skip("there is no go")
    program = stranger.build("render", folder, gopath=folder)
    return lambda values, release: subprocess.run([program, release, *TEMPLATES], input=json.dumps(merged(VALUES, values)), text=True,
                                                  capture_output=True, timeout=TIMEOUT)


def by_helm(folder):
    if shutil.which("helm") is None:
        pytest.skip("there is no helm")
    file = folder / "values.json"

    def run(values, release):
        file.write_text(json.dumps(values))
        return subprocess.run(["helm", "template", release, CHART, "-f", file], text=True, capture_output=True, timeout=TIMEOUT)
    return run


@pytest.fixture(scope="module", params=[by_go, by_helm])
def render(request, tmp_path_factory):
    run = request.param(tmp_path_factory.mktemp("helm"))

    def objects(values, release="comet"):
        done = run(values, release)
        assert done.returncode == 0, done.stderr
        return {(each["kind"], each["metadata"]["name"]): each for each in yaml.safe_load_all(done.stdout) if each}
    return objects


def in_order(objects):
    return sorted(json.dumps(each, sort_keys=True) for each in objects)


def plain(value, image):
    """Without what the tools add in their own ways: labels of the whole, the mark for new settings, and the image's name."""
    if isinstance(value, list):
        return [plain(one, image) for one in value]
    if not isinstance(value, dict):
        return "comet" if value == image else value
    made = {name: plain(one, image) for name, one in value.items() if name != "annotations"}
    if "labels" in made:
        made["labels"].pop("app.kubernetes.io/part-of", None)
    return {name: one for name, one in made.items() if (name, one) != ("labels", {})}


def test_chart_makes_what_the_kustomization_makes(render):
    found = plain(list(render({}).values()), VALUES["image"])
    wanted = plain(list(kubernetes.objects()), VALUES["image"])
    settings = next(each for each in found if each["kind"] == "ConfigMap")
    assert settings["data"] == kubernetes.settings() and settings["metadata"]["name"] == "comet"
    found.remove(settings)
    assert in_order(found) == in_order(wanted)
    image, = yaml.safe_load((kubernetes.FOLDER / "kustomization.yaml").read_text())["images"]
    assert VALUES["image"] == f"{image['newName']}:{image['newTag']}"
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == image["newTag"]


def test_values_are_where_they_belong(render):
    values = {"image": "ours:1", "comet": {"replicas": 9, "resources": {"limits": {"memory": "9Gi"}}}, "logic": {"replicas": 4},
              "redis": {"address": "redis.example.com:6380"}, "settings": {name: None for name in VALUES["settings"]} | {"COMET_AUTH_MODE": "webhook"},
              "apiKey": {"secret": "mine", "key": "k"}, "terminationGracePeriodSeconds": 300}
    made = render(values, "chat")
    assert {kind for kind, _ in made} == {"Deployment", "Service", "PodDisruptionBudget", "ConfigMap"}, "no Redis of its own"
    assert {name for _, name in made} == {"chat", "chat-logic"}
    data = made["ConfigMap", "chat"]["data"]
    assert data == {"COMET_LOGIC_MODE": "redis", "COMET_REDIS_ADDR": "redis.example.com:6380", "COMET_AUTH_MODE": "webhook"}
    comet, logic = (made["Deployment", name]["spec"] for name in ("chat", "chat-logic"))
    assert (comet["replicas"], logic["replicas"]) == (9, 4)
    assert comet["template"]["spec"]["terminationGracePeriodSeconds"] == 300
    container, = comet["template"]["spec"]["containers"]
    assert container["image"] == "ours:1" and container["resources"] == {"requests": VALUES["comet"]["resources"]["requests"], "limits": {"memory": "9Gi"}}
    assert container["envFrom"] == [{"configMapRef": {"name": "chat"}}]
    assert {"name": "mine", "key": "k"} in [variable["valueFrom"].get("secretKeyRef") for variable in container["env"]]
    for spec, name in ((comet, "chat"), (logic, "chat-logic")):
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"] == made["Service", name]["spec"]["selector"]
    marks = [render({"settings": settings})["Deployment", "comet"]["spec"]["template"]["metadata"]["annotations"]["comet/settings"]
             for settings in ({"A": "1"}, {"A": "2"}, {"A": "1"})]
    assert marks[0] == marks[2] != marks[1], "new settings make new pods"


def test_numbers_and_flags_are_written_as_they_are(render):
    """In values.yaml, of which helm makes floats."""
    data = render({"settings": {"COMET_LIMITS_CONNECTIONS": 1000000, "COMET_PROTOCOL_PARK": False, "COMET_SERVER_ID": "007"}})["ConfigMap", "comet"]["data"]
    assert (data["COMET_LIMITS_CONNECTIONS"], data["COMET_PROTOCOL_PARK"], data["COMET_SERVER_ID"]) == ("1000000", "false", "007")


def test_the_programs_take_these_settings(render):
    for program in ("comet", "comet-logic"):
        environment = {**render({})["ConfigMap", "comet"]["data"], "COMET_HTTP_API_KEY": "key", "COMET_HTTP_BIND": "0.0.0.0:3111"}
        tried = kubernetes.ended(program, environment)
        assert (tried.returncode, tried.stderr) == (0, "")
