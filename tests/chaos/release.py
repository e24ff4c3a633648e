"""release: the programs of the last release, built once from the commit that CHANGELOG.md names, and kept in build/release.

SPDX-License-Identifier: MIT"""
import fcntl
import os
import re
import shutil
import subprocess

import pytest

from server import ROOT

BUILD_SECONDS = 300
PROGRAMS = ("comet", "comet-logic")


def last_release():
    """(version, commit) of the newest section of CHANGELOG.md that has one."""
    found = re.search(r"^## (\S+), [\d-]+\n\nCommit (\w+)\.", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert found, "CHANGELOG.md names no release with its commit"
    return found.groups()


def has(commit):
    try:
        return subprocess.run(["git", "-C", ROOT, "cat-file", "-e", f"{commit}^{{commit}}"], capture_output=True,
                              check=False).returncode == 0
    except FileNotFoundError:
        return False


def build(commit, folder):
    source = folder.with_name(f"{folder.name}.source")
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir()
    archive = subprocess.run(["git", "-C", ROOT, "archive", commit], check=True, capture_output=True).stdout
    subprocess.run(["tar", "-xC", source], check=True, input=archive)
    # A build of its own: nothing of the make, the compiler or the sanitizer that the tests run under.
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(("MAKE", "MFLAGS")) and name not in ("SAN", "BUILD", "CC", "CFLAGS", "LDFLAGS")}
    made = subprocess.run(["make", "-s", f"-j{os.cpu_count()}", f"COMMIT={commit}", *(f"build/{p}" for p in PROGRAMS)],
                          cwd=source, env=environment, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False)
    assert made.returncode == 0, made.stdout + made.stderr
    (source / "programs").mkdir()
    for program in PROGRAMS:
        (source / "build" / program).rename(source / "programs" / program)
    (source / "programs").rename(folder)
    shutil.rmtree(source)


def programs():
    """The folder of the last release's programs; a clone that does not have its commit skips the test that asks."""
    version, commit = last_release()
    if not has(commit):
        pytest.skip(f"this clone has no history back to {commit}, which is release {version}: git fetch --unshallow gets it")
    folder = ROOT / "build/release" / commit
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{folder}.lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run side by side: one builds, the others wait
        if not folder.exists():
            build(commit, folder)
    return folder
