"""Every file of this source that a document names is there, as a link or in words.

SPDX-License-Identifier: MIT"""
import fnmatch
import pathlib
import posixpath
import re
import subprocess

import pytest

from server import ROOT

ROOMS = "comet|logic|logic_client|cluster|common|client|cli|bench|tests|scripts|docs|examples|make"


def tree():
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("this is no clone")
    files = [name for name in listed.stdout.splitlines() if (ROOT / name).exists()]
    return set(files), {str(folder) for name in files for folder in pathlib.PurePosixPath(name).parents}


FILES, FOLDERS = tree()
PAGES = sorted(name for name in FILES if name.endswith(".md"))


def is_there(name):
    """A file, a folder, a pattern, or a file without its ending: comet/ring is ring.c and ring.h."""
    name = name.rstrip("/")
    return name in FILES or name in FOLDERS or any(fnmatch.fnmatch(file, name) or file.startswith(f"{name}.") for file in FILES)


@pytest.mark.parametrize("page", PAGES)
def test_files_that_are_named_are_there(page):
    text = (ROOT / page).read_text()
    links = re.findall(r"\]\(([^)#\s:]+)(?:#[^)]*)?\)", text)
    gone = [link for link in links if not is_there(posixpath.normpath(posixpath.join(posixpath.dirname(page), link)))]
    if page != "CHANGELOG.md":  # which tells of files as they were
        gone += [name for name in re.findall(rf"(?<![\w/.$~@-])((?:{ROOMS})/[\w./*-]*[\w*])", text) if not is_there(name)]
    assert not gone, f"{page} names what is not there"
