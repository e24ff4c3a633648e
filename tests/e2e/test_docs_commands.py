"""What the documents tell people to type works, as it stands there.

Each document runs in a network of its own, so that 127.0.0.1:3101 is free in it, and in a process namespace that takes
everything along when it ends. SPDX-License-Identifier: MIT"""
import functools
import os
import re
import shutil
import subprocess
import sys

import pytest

from doc_commands import blocks
from server import BUILD, ROOT
from waiting import SANITIZED

PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/*.md")]
               if "```sh\n" in path.read_text())
ALONE = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc",
         *([] if os.geteuid() == 0 else ["--map-root-user"])]

# A sanitizer build would show nothing else, and a build elsewhere is not what the documents speak of.
pytestmark = pytest.mark.skipif(SANITIZED or BUILD != ROOT / "build", reason="the documents speak of the plain build in build/")


@functools.lru_cache(maxsize=None)
def may_be_alone():
    return shutil.which("unshare") and subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_of_the_documents_work(page):
    if not may_be_alone():
        pytest.skip("no name spaces here (unshare --net --pid)")
    runner = ROOT / "tests" / "e2e" / "doc_commands.py"
    inside = 'PATH=$PATH:/usr/sbin:/sbin; ip link set lo up && exec "$@"'
    done = subprocess.run([*ALONE, "bash", "-c", inside, "-", sys.executable, "-B", runner, page], capture_output=True,
                          text=True, timeout=200, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_block_that_is_not_run_says_why():
    for page in PAGES:
        for block in blocks(page.read_text()):
            assert len(block.marks.get("not run", "a reason")) > 5, (page, str(block))


def test_what_looks_like_commands_is_such_a_block():
    """A block without a language is what a program prints or reads. And the programs are called as docs/README.md says."""
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "examples").glob("*/*.md")]:
        for language, text in re.findall(r"^ *```(\w*)\n(.*?)^ *```$", path.read_text(), re.M | re.S):
            pattern = r"^ *((sudo|make|curl|comet|comet-cli|comet-logic|docker|kubectl|openssl|npm|pip|git|helm|build/\S+|scripts/\S+) .*)"
            found = re.search(pattern, text, re.M) if language == "" else None
            assert not found, f"{path.name}: {found[1]}"
            in_build, in_path = "build/comet" in re.sub(r"build/comet_\S+", "", text), re.search(r"^comet(-cli|-logic)? ", text, re.M)
            assert not (in_path if path.name in ("README.md", "getting-started.md") else in_build), f"{path.name}: {text}"


def test_links_of_the_documents_lead_somewhere():
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    for page in pages:
        text = re.sub(r"```.*?```", "", page.read_text(), flags=re.S)
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
            if not target.startswith(("http:", "https:", "mailto:")):
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_index_names_every_document():
    index = (ROOT / "docs" / "README.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "README.md" or f"({page.name})" in index, page.name


def test_settings_that_the_documents_name_exist():
    table = (ROOT / "common/config/config.def").read_text()
    settings = {f"{section}.{key}" for section, key in re.findall(r"^(?:setting|live)_\w+\((\w+), (\w+),", table, re.M)}
    assert len(settings) > 50
    sections = "|".join(sorted({name.split(".")[0] for name in settings}))
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "examples/comet.conf",
                 *(ROOT / "examples/monitoring").glob("*.yml")]:
        # In a document between backquotes, so that host and file names are none.
        quote = "`" if page.suffix == ".md" else r"\b"
        text = page.read_text().partition("### Retired settings")[0]
        for name in re.findall(rf"{quote}((?:{sections})\.[a-z]\w+)(?=[=`\s,;.:)]|$)", text):
            assert name in settings or name.endswith((".service", ".example")), f"{page.name}: {name}"
