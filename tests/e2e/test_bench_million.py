"""tests/bench/million with few: what it counts, and that it ends with nothing left.

SPDX-License-Identifier: MIT"""
import os
import subprocess
import sys

import pytest

from server import BUILD, ROOT


@pytest.mark.skipif(not (BUILD / "tests/million_load").exists(), reason="tests/million_load is not built")
def test_few_of_the_million_are_all_served_and_the_table_says_so():
    environment = {**os.environ, "COMET_BUILD": str(BUILD), "CONNECTIONS": "200", "HOLD_SECONDS": "1", "LIMIT_SECONDS": "60"}
    run = subprocess.run([sys.executable, "-B", ROOT / "tests/bench/million"], env=environment, capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    for line in ("connections online: 200", "one push to all: accepted by, delivered: 1 comets, 200", "lost, doubled, strange: 0, 0, 0",
                 "closed by the server, failed to come in: 0, 0", "comets that ended well: 1 of 1"):
        assert line in run.stdout, run.stdout
