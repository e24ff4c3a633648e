"""docs/hostile-cases.md has each of the 26 cases, by its number, and names tests: they are there. SPDX-License-Identifier: MIT"""
import re

from server import ROOT

DOC = ROOT / "docs/hostile-cases.md"
NAMED = re.compile(r"`([\w/]+\.py)::(\w+)`")


def test_every_test_that_is_named_exists():
    named = NAMED.findall(DOC.read_text())
    assert len(named) > 60
    for path, name in named:
        file = ROOT / (path if "/" in path else f"tests/e2e/{path}")
        assert file.exists(), path
        assert re.search(rf"^ *def {name}\(", file.read_text(), re.M), f"{path}::{name}"


def test_each_of_the_26_cases_has_a_row_that_names_a_test():
    rows = re.findall(r"^\| (\d+) (\|.*\|)$", DOC.read_text(), re.M)
    held = {int(number) for number, row in rows if NAMED.search(row.split("|")[2])}
    assert held == set(range(1, 27)), set(range(1, 27)) ^ held
