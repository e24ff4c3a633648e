"""docs/hostile-cases.md names tests: they are there. SPDX-License-Identifier: MIT"""
import re

from server import ROOT

DOC = ROOT / "docs/hostile-cases.md"


def test_every_test_that_is_named_exists():
    named = re.findall(r"`([\w/]+\.py)::(\w+)`", DOC.read_text())
    assert len(named) > 60
    for path, name in named:
        file = ROOT / (path if "/" in path else f"tests/e2e/{path}")
        assert file.exists(), path
        assert re.search(rf"^def {name}\(", file.read_text(), re.M), f"{path}::{name}"
