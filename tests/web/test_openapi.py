"""/openapi.json is what OpenAPI 3.0 says, by a validator of npm. `make check-web` gets it; COMET_TEST_MODULES says where it is.

SPDX-License-Identifier: MIT"""
import os
import pathlib
import subprocess

import pytest

from waiting import TIMEOUT

VALIDATOR = pathlib.Path(__file__).parent / "openapi.mjs"


def judge(description):
    told = subprocess.run(["node", VALIDATOR], input=description, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    return told.returncode, told.stdout


@pytest.mark.skipif("COMET_TEST_MODULES" not in os.environ, reason="the modules of npm are not there: make check-web")
def test_validator_finds_no_fault(launch):
    description = launch().backend.get("/openapi.json").body.decode()
    assert judge(description) == (0, "valid\n")
    assert judge(description.replace('"responses"', '"response"', 1))[0] == 1
    assert judge(description.replace("schemas/Answer", "schemas/Nothing", 1))[0] == 1
