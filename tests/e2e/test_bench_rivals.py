"""tests/bench/rivals with few clients and no rivals: that each way of measuring works, and says what was lost.

SPDX-License-Identifier: MIT"""
import os
import subprocess
import sys

import pytest

from server import BUILD, ROOT


@pytest.mark.skipif(not (BUILD / "tests/rival_load").exists(), reason="tests/rival_load is not built")
def test_each_row_has_a_figure_for_comet_and_for_the_floor():
    environment = {**os.environ, "COMET_BUILD": str(BUILD), "BENCH_ROUNDS": "1", "BENCH_CLIENTS": "50", "BENCH_HOUSES": "comet,floor"}
    run = subprocess.run([sys.executable, "-B", ROOT / "tests/bench/rivals"], env=environment, capture_output=True, text=True, timeout=200)
    assert run.returncode == 0, run.stdout + run.stderr
    rows = [line.split("|")[2:4] for line in run.stdout.splitlines() if line.startswith("| ")][2:]
    assert len(rows) == 8, run.stdout
    for row in rows:
        for cell in row:
            cpu, other = cell.split(";")
            assert float(cpu) > 0 and float(other.replace(",", "")) > 0, run.stdout
    assert "rivals:" not in run.stderr, run.stderr
