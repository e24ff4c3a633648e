"""stranger: the programs in Go of tests/e2e/strangers. SPDX-License-Identifier: MIT"""
import os
import subprocess

from server import ROOT


def build(name, folder, gopath):
    """The program NAME.go in this folder. Libraries are those of gopath alone: nothing is fetched."""
    environment = os.environ | {"GO111MODULE": "off", "GOPATH": str(gopath), "GOFLAGS": "", "GOTOOLCHAIN": "local"}
    subprocess.run(["go", "build", "-o", folder / name, ROOT / f"tests/e2e/strangers/{name}.go"], env=environment, check=True, timeout=120)
    return folder / name
