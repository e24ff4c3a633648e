"""What others install of this source: comet.js by npm, for import and for require; the Python modules by pip; the C libraries by
pkg-config, from a clone; and examples that tell how they are run. Nothing is fetched.

SPDX-License-Identifier: MIT"""
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from server import BUILD, ROOT
from test_comet_c import FLAGS

SECONDS = 120


def run(*arguments, **more):
    return subprocess.run([str(argument) for argument in arguments], check=True, text=True, capture_output=True, timeout=SECONDS, **more).stdout


def version():
    return re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1]


@pytest.fixture
def npm_package(tmp_path):
    """comet.js as npm packs it, installed beside a program."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "examples/web", source, ignore=shutil.ignore_patterns("node_modules"))
    packed = json.loads(run("npm", "pack", "--json", "--offline", cwd=source))[0]
    assert {"comet.js", "comet.cjs", "comet.d.ts", "comet.d.cts", "package.json", "README.md"} == {entry["path"] for entry in packed["files"]}
    place = tmp_path / "program/node_modules/comet-client"
    place.mkdir(parents=True)
    run("tar", "-xzf", source / packed["filename"], "-C", place, "--strip-components=1")
    return tmp_path / "program", packed


def test_npm_package_is_for_import_and_for_require(npm_package):
    folder, packed = npm_package
    assert packed["version"] == version()
    say = "const c = new comet.Comet('ws://127.0.0.1:1/sub', {mid: 1, WebSocket: class {}}); console.log(Object.keys(comet).sort().join(), typeof c.connect);"
    (folder / "a.mjs").write_text(f"import * as comet from 'comet-client';\n{say}")
    (folder / "a.cjs").write_text(f"const comet = require('comet-client');\n{say}")
    told = run("node", "a.mjs", cwd=folder)
    assert "Comet,CometError" in told and told.endswith("function\n")
    assert run("node", "a.cjs", cwd=folder) == told


def test_npm_package_has_types_for_both(npm_package):
    folder, _ = npm_package
    conditions = json.loads((folder / "node_modules/comet-client/package.json").read_text())["exports"]["."]
    for how, types in (("import", "./comet.d.ts"), ("require", "./comet.d.cts")):
        assert list(conditions[how]) == ["types", "default"], "the first that fits counts"
        assert conditions[how]["types"] == types and (folder / "node_modules/comet-client" / types).exists()


def test_served_file_may_be_imported_by_pages_of_other_sites(launch):
    reply = launch().backend.get("/comet.js")
    assert reply.headers["access-control-allow-origin"] == "*" and reply.headers["content-type"].startswith("text/javascript")
    assert reply.body == (ROOT / "examples/web/comet.js").read_bytes()


def test_python_modules_are_installed_by_pip(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(ROOT / "examples/python", source, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    try:
        run(sys.executable, "-m", "venv", "--system-site-packages", tmp_path / "venv")
        run(tmp_path / "venv/bin/python", "-c", "import setuptools, wheel, pip")
    except subprocess.CalledProcessError as fault:
        pytest.skip(f"there is no venv with pip, setuptools and wheel: {fault.stderr[-200:]}")
    run(tmp_path / "venv/bin/python", "-m", "pip", "install", "--no-index", "--no-build-isolation", "--no-deps", source, cwd=tmp_path)
    told = run(tmp_path / "venv/bin/python", "-c", "import comet_client, comet_api, importlib.metadata as m\n"
               "print(comet_client.__file__, comet_api.__file__, m.version('comet-client'))", cwd=tmp_path)
    assert told.count(str(tmp_path / "venv")) == 2 and told.split()[-1] == version()


@pytest.mark.parametrize("package, example", [("comet-client", "chat"), ("comet-client-ws", "listen")])
def test_pkg_config_works_from_a_clone(tmp_path, package, example):
    flags = run("pkg-config", "--cflags", "--libs", package, env=os.environ | {"PKG_CONFIG_PATH": str(BUILD)}).split()
    more = run("pkg-config", "--cflags", "--libs", "libcurl").split() if example == "chat" else []
    run("cc", "-Wall", "-Werror", ROOT / f"examples/c/{example}.c", "-o", tmp_path / example, *flags, *more, *FLAGS.get(BUILD.name, []))
    assert run(tmp_path / example, "--help").startswith(f"usage: {example} ")


def programs():
    return [path for path in sorted((ROOT / "examples").rglob("*.py")) if path.read_text().startswith("#!")]


@pytest.mark.parametrize("path", programs(), ids=lambda path: path.name)
def test_example_is_executable_and_says_how_it_is_used(path):
    """In a few lines, before it does anything."""
    assert f"{path.name} " in run(path, "--help", cwd=ROOT)
