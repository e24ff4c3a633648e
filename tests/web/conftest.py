"""The fixtures of the end-to-end tests, which are named alike. SPDX-License-Identifier: MIT"""
import pathlib
import sys
from importlib.util import module_from_spec, spec_from_file_location

E2E = pathlib.Path(__file__).resolve().parents[1] / "e2e"
sys.path.insert(0, str(E2E))

_spec = spec_from_file_location("e2e_conftest", E2E / "conftest.py")
_e2e = module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
launch, no_hang = _e2e.launch, _e2e.no_hang
pytest_configure, pytest_runtest_makereport = _e2e.pytest_configure, _e2e.pytest_runtest_makereport
