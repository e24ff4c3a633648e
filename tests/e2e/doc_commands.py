"""doc_commands: runs the ```sh blocks of a document, in their order, in a folder that looks like the root of the source, with what
was built in PATH:

    python3 doc_commands.py docs/getting-started.md

A comment right before a block says what is special about it; several things with semicolons:

    <!-- sh: not run: REASON -->     what cannot run in a test, and why
    <!-- sh: background=TEXT -->     it stays; go on once its output has TEXT
    <!-- sh: prints=TEXT -->         its output has TEXT
    <!-- sh: eventually=TEXT -->     the same, after being run again where need be
    <!-- sh: finally=TEXT -->        the output of this background block has TEXT before the document's end
    <!-- sh: fails=STATUS -->        it is to end with this exit status

Any other block has to end with 0. It is meant to run in a network and a process namespace of its own (test_docs_commands.py),
so that the documents may use the ports that people use, and nothing outlives it. SPDX-License-Identifier: MIT"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

from waiting import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"(?:<!-- sh: (?P<marks>.*?) -->\n)?^ *```sh\n(?P<text>.*?)^ *```$", re.M | re.S)
SECONDS = 90


class Block:
    def __init__(self, page, match):
        self.line = page[:match.start("text")].count("\n") + 1
        self.text = match["text"]
        self.marks = {}
        for mark in (match["marks"] or "").split("; ") if match["marks"] else ():
            found = re.fullmatch(r"(not run|background|prints|eventually|finally|fails)(?:=|: )(.+)", mark, re.S)
            assert found, f"line {self.line}: what is {mark}?"
            self.marks[found[1]] = found[2]

    def __str__(self):
        return f"the block at line {self.line}: {self.text.strip().splitlines()[0]}"


def blocks(page):
    return [Block(page, match) for match in BLOCK.finditer(page)]


class Run:
    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.root = self.directory / "comet"  # what a block writes goes here
        self.root.mkdir()
        for entry in ROOT.iterdir():
            (self.root / entry.name).symlink_to(entry)
        self.last = []  # (block, its output) of those that have something to show at the end
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith(("MAKE", "MFLAGS", "COMET_"))}
        self.environment["PATH"] = f"{ROOT / 'build'}:{self.environment['PATH']}"
        self.environment["PAGER"] = self.environment["MANPAGER"] = "cat"

    def start(self, block):
        output = self.directory / f"line-{block.line}"
        with open(output, "wb") as file:
            process = subprocess.Popen(["bash", "-euo", "pipefail", "-c", block.text], cwd=self.root, env=self.environment,
                                       stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        return process, output

    def background(self, block):
        process, output = self.start(block)

        def is_up():
            text = output.read_text(errors="replace")
            assert process.poll() is None, f"{block}\nended with {process.returncode}:\n{text}"
            return block.marks["background"] in text

        wait_until(is_up, lambda: f"{block}\nprints {block.marks['background']}:\n{output.read_text()}", SECONDS)
        if "finally" in block.marks:
            self.last.append((block, output))

    def foreground(self, block):
        process, output = self.start(block)
        try:
            process.wait(SECONDS)
        finally:
            text = output.read_text(errors="replace")
        assert process.returncode == int(block.marks.get("fails", 0)), f"{block}\nended with {process.returncode}:\n{text}"
        assert block.marks.get("prints", "") in text, f"{block}\ndoes not print {block.marks['prints']}:\n{text}"
        return text

    def finish(self):
        for block, output in self.last:
            wait_until(lambda block=block, output=output: block.marks["finally"] in output.read_text(errors="replace"),
                       lambda block=block, output=output: f"{block}\nprints {block.marks['finally']}:\n{output.read_text()}")


def main(path):
    page = pathlib.Path(path).read_text()
    with tempfile.TemporaryDirectory() as directory:
        run = Run(directory)
        for block in blocks(page):
            if "not run" in block.marks:
                continue
            if "background" in block.marks:
                run.background(block)
            elif "eventually" in block.marks:
                wait_until(lambda block=block: block.marks["eventually"] in run.foreground(block),
                           f"{block}\nprints {block.marks['eventually']}", pause=0.2)
            else:
                run.foreground(block)
        run.finish()


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (AssertionError, TimeoutError, subprocess.TimeoutExpired) as wrong:
        sys.exit(f"{sys.argv[1]}: {wrong}")
