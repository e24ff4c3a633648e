"""What is installed: make install, make deb, the manual pages, the units, the completion, and how the programs are built.

`make check-deb` and `make check-reproducible` do what takes longer: a clean root, and two whole builds.
SPDX-License-Identifier: MIT"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

from server import BUILD, ROOT
from waiting import SANITIZED

ENDBR64 = b"\xf3\x0f\x1e\xfa"
PROGRAMS = ("comet", "comet-logic", "comet-cli")

# Sanitizer builds are for tests: nobody installs them, and they are hardened by other means.
pytestmark = pytest.mark.skipif(SANITIZED, reason="a sanitizer build is not installed")


def run(*arguments, **more):
    return subprocess.run([str(argument) for argument in arguments], capture_output=True, text=True, timeout=120,
                          check=False, **more)


def make(*arguments):
    """make as from a shell, not as part of the make that runs the tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = run("make", "-s", "-C", ROOT, f"BUILD={BUILD}", *arguments, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    root = tmp_path_factory.mktemp("installed")
    make("install", f"DESTDIR={root}", "PREFIX=/usr")
    return root


def test_what_was_installed_can_be_taken_away_but_for_the_configuration(tmp_path):
    configuration = tmp_path / "opt/comet/etc/comet/comet.conf"
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/comet")
    configuration.write_text("; mine\n")
    make("install", f"DESTDIR={tmp_path}", "PREFIX=/opt/comet")
    assert configuration.read_text() == "; mine\n"
    unit = (tmp_path / "opt/comet/lib/systemd/system/comet.service").read_text()
    assert "ExecStart=/opt/comet/bin/comet -c /opt/comet/etc/comet/comet.conf\n" in unit
    for name in ("libcometclient.so", "libcometclient-ws.so"):
        library = tmp_path / "opt/comet/lib" / name
        assert os.readlink(library) == f"{name}.0" and library.exists()
    make("uninstall", f"DESTDIR={tmp_path}", "PREFIX=/opt/comet")
    assert [path for path in tmp_path.rglob("*") if not path.is_dir() or path.is_symlink()] == [configuration]


def test_examples_are_as_executable_as_in_the_source(installed):
    there = installed / "usr/share/doc/comet/examples"
    programs = [path for path in (ROOT / "examples").rglob("*") if path.is_file() and os.access(path, os.X_OK) and "node_modules" not in path.parts]
    assert len(programs) > 3
    assert sorted(path.relative_to(there) for path in there.rglob("*") if path.is_file() and os.access(path, os.X_OK)) == sorted(
        path.relative_to(ROOT / "examples") for path in programs)


def test_the_configuration_that_is_installed_is_good_and_changes_nothing(installed):
    shown = [run(installed / "usr/bin/comet", "-t", *arguments, env={})
             for arguments in ((), ("-c", installed / "etc/comet/comet.conf"))]
    assert shown[0].returncode == shown[1].returncode == 0, shown[1].stderr
    assert shown[0].stdout == shown[1].stdout


@pytest.mark.parametrize("program", PROGRAMS)
def test_programs_are_hardened(program):
    told = run("readelf", "-W", "-h", "-l", "-d", "-n", "--dyn-syms", BUILD / program).stdout
    assert re.search(r"Type: +DYN", told), "position independent"
    assert re.search(r"FLAGS.*\bNOW\b.*\bPIE\b", told), "all symbols bound at start"
    assert "GNU_RELRO" in told
    assert re.search(r"GNU_STACK .* RW +0x", told), "the stack is no code"
    assert "__stack_chk_fail" in told, "stack protector"
    assert re.search(r"__\w+_chk@", told), "_FORTIFY_SOURCE"
    if os.uname().machine == "x86_64":
        # The note that turns it on is missing where the C library's start code has none, as on Debian 12.
        assert (BUILD / program).read_bytes().count(ENDBR64) > 100, "branch protection"


def test_programs_say_version_and_commit_and_know_nothing_of_the_machine():
    version, commit = (BUILD / "version").read_text().split()
    for program in PROGRAMS:
        assert run(BUILD / program, "--version").stdout == f"{program} {version} ({commit})\n"
        assert str(ROOT).encode() not in (BUILD / program).read_bytes(), program


def version_of(source):
    """What scripts/version says of this folder: the version and the commit."""
    return run(source / "scripts/version").stdout.split()


def changelog():
    """The headings of CHANGELOG.md, newest first: the number, and the day of the release or "unreleased"."""
    return re.findall(r"^## ([\d.]+), (unreleased|\d{4}-\d\d-\d\d)$", (ROOT / "CHANGELOG.md").read_text(), re.M)


def test_version_says_the_commit_and_sorts_between_the_releases():
    version, commit = version_of(ROOT)
    (number, state), (last, _) = changelog()[:2]
    head = run("git", "-C", ROOT, "rev-parse", "HEAD").stdout
    assert commit == head[:7] or (commit, head) == ("unknown", "")
    if state != "unreleased":
        assert version == number
        return
    assert re.fullmatch(rf"{number}~(git\d{{14}}\.{commit}|unknown)", version)
    if shutil.which("dpkg"):
        order = [last, f"{number}~", f"{number}~git20000101000000.fffffff", version, number]
        for older, newer in zip(order, order[1:]):
            assert run("dpkg", "--compare-versions", older, "lt", newer).returncode == 0, (older, newer)


def test_version_of_a_tarball_is_the_commit_where_git_made_it_and_else_unknown(tmp_path):
    bare, archive = tmp_path / "bare", tmp_path / "archive"
    (bare / "scripts").mkdir(parents=True)
    for path in ("scripts/version", "CHANGELOG.md"):
        shutil.copy(ROOT / path, bare / path)
    # A repository that it happens to lie in has no say.
    run("git", "init", "-q", tmp_path)
    assert version_of(bare)[1] == "unknown"
    if not (ROOT / ".git").exists():
        pytest.skip("no history here that could be archived")
    archive.mkdir()
    packed = subprocess.run(["git", "-C", ROOT, "archive", "HEAD", "scripts/version", "CHANGELOG.md"], check=True,
                            capture_output=True).stdout
    subprocess.run(["tar", "-xC", archive], check=True, input=packed)
    assert version_of(archive) == version_of(ROOT)


@needs("mandoc")
def test_manual_pages_are_clean_and_name_what_the_programs_take(installed):
    pages = sorted((installed / "usr/share/man").rglob("*.[1-9]"))
    assert [page.name for page in pages] == ["comet-cli.1", "comet.conf.5", "comet-logic.8", "comet.8"]
    checked = run("mandoc", "-T", "lint", "-W", "warning", *pages)
    assert (checked.returncode, checked.stdout) == (0, "")
    for page in pages:
        if page.name == "comet.conf.5":
            continue
        text = run("mandoc", "-T", "utf8", "-O", "width=200", page).stdout
        text = re.sub(".\b", "", text)
        program = page.stem
        helps = [run(BUILD / program, "--help").stdout]
        helps += [run(BUILD / program, command, "--help").stdout for command in commands()] * (program == "comet-cli")
        for option in set(re.findall(r"^ +(?:-\w, +)?(--?[\w-]+)", "\n".join(helps), re.M)):
            assert option in text, (page.name, option)


def commands():
    found = re.findall(r"^  comet-cli (\w+)   ", run(BUILD / "comet-cli", "--help").stdout, re.M)
    assert len(found) >= 5
    return found


def test_tools_run_where_there_is_no_source(installed, tmp_path):
    assert "for 1000 connections:" in run(installed / "usr/share/comet/tune-host", "--connections", "1000").stdout
    cluster = installed / "usr/share/comet/cluster"
    (installed / "usr/bin/comet").rename(tmp_path / "comet")  # so that it says where it looks for one
    said = run(cluster, "up", cwd=tmp_path, env={name: value for name, value in os.environ.items() if name != "COMET_BUILD"})
    (tmp_path / "comet").rename(installed / "usr/bin/comet")
    assert f"{installed}/usr/bin/comet is not there" in said.stderr


@needs("systemd-analyze")
def test_units_are_valid_and_shut_in(installed):
    units = [installed / "lib/systemd/system" / f"{name}.service" for name in ("comet", "comet-logic")]
    for unit in units:
        text = unit.read_text()
        assert "@" not in re.sub(r"@(system-service|privileged|resources)", "", text)
        for line in ("StartLimitIntervalSec=0", "PrivateMounts=yes", "LimitCORE=0", "SystemCallFilter=~@privileged @resources"):
            assert line in text.splitlines(), line
        unit.write_text(re.sub(r"^#(MemoryMax|LoadCredential|Environment)", r"\1", text, flags=re.M))  # what is offered is good, too
        # In the test's root there is neither the target that all units follow, nor a shell, nor man.
        verified = run("systemd-analyze", "verify", "--man=no", f"--root={installed}", unit)
        faults = [line for line in (verified.stdout + verified.stderr).splitlines()
                  if "sysinit.target" not in line and "/bin/sh" not in line]
        assert faults == []
        rated = run("systemd-analyze", "security", "--offline=yes", "--no-pager", unit, "--threshold=20")
        assert rated.returncode == 0, rated.stdout
        assert "PrivateNetwork" in rated.stdout
        unit.write_text(text)


@needs("systemd-sysusers")
def test_systemd_makes_the_user_that_the_units_name(installed):
    for name in ("passwd", "group", "shadow", "gshadow"):
        (installed / "etc" / name).touch()
    made = run("systemd-sysusers", f"--root={installed}", "comet.conf")
    assert made.returncode == 0, made.stderr
    assert re.fullmatch(r"comet:!?\*?x?:(\d+):\1:Comet connection server:/nonexistent:/usr/sbin/nologin\n", (installed / "etc/passwd").read_text())
    assert (installed / "etc/group").read_text().startswith("comet:")
    for unit in ("comet", "comet-logic"):
        assert {"User=comet", "Group=comet"} <= set((installed / f"lib/systemd/system/{unit}.service").read_text().splitlines())


@needs("systemd-analyze")
def test_settings_of_the_kernel_are_those_that_harm_nobody_and_an_administrators_win(installed):
    ours, theirs = installed / "usr/lib/sysctl.d/10-comet.conf", installed / "etc/sysctl.d/60-comet.conf"
    assert f">/{theirs.relative_to(installed)}" in (ROOT / "scripts/tune-host").read_text()
    lines = [line.split(" = ") for line in ours.read_text().splitlines() if line and not line.startswith("#")]
    files = int(re.search(r"^LimitNOFILE=(\d+)$", (installed / "lib/systemd/system/comet.service").read_text(), re.M)[1])
    assert lines == [["vm.max_map_count", str(4 * files)]], "two threads a connection, two mappings a thread"
    theirs.parent.mkdir()
    theirs.write_text("vm.max_map_count = 2000000\n")
    read = run("systemd-analyze", f"--root={installed}", "cat-config", "sysctl.d").stdout
    assert [line for line in read.splitlines() if line.startswith("vm.")] == ["vm.max_map_count = 1048576", "vm.max_map_count = 2000000"]


def complete(words):
    """What bash offers after these words of a command line, the last one under the cursor."""
    script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _comet_cli; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = run("bash", "-c", script, "-", ROOT / "cli/comet-cli.bash", BUILD / "comet-cli", *words)
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


def test_completion_offers_what_comet_cli_takes():
    assert complete([""]) == {"--help", "--version", *commands()}
    assert complete(["pu"]) == {"push"}
    assert complete(["push", ""]) == {"key", "mid", "user", "room", "all"}
    assert complete(["online", "to"]) == {"total", "top"}
    assert {"--help", "--json", "--http", "--api-key", "--timeout"} <= complete(["online", "-"])
    assert complete(["sub", "--no-r"]) == {"--no-reconnect"}
    assert "--connections" in complete(["bench", "fanout", "--"])
    assert complete(["sub", "x", "y"]) == set()
    assert complete(["nonsense", "-"]) == {"--help"}


@pytest.fixture(scope="module")
def packages():
    """name -> file"""
    return {pathlib.Path(file).name.partition("_")[0]: file for file in make("deb").split()}


@needs("dpkg-shlibdeps")
def test_packages_of_the_client_library_hold_what_links(packages, tmp_path):
    version = version_of(ROOT)[0]
    assert sorted(packages) == ["comet", "libcometclient-dev", "libcometclient-ws0", "libcometclient0"]
    for name, file in packages.items():
        fields = run("dpkg-deb", "--field", file).stdout
        assert re.search(rf"^Version: {re.escape(version)}$", fields, re.M)
        members = {line.split()[5][1:] for line in run("dpkg-deb", "--contents", file).stdout.splitlines()}
        libraries = {path.rpartition("/")[2] for path in members if "libcometclient" in path and not path.startswith("/usr/share")}
        assert libraries == {"comet": set(), "libcometclient0": {"libcometclient.so.0"}, "libcometclient-ws0": {"libcometclient-ws.so.0"},
                             "libcometclient-dev": {f"libcometclient{ws}.{kind}" for ws in ("", "-ws") for kind in ("a", "so")}}[name]
        headers = {"/usr/include/comet_client.h", "/usr/include/comet_client_ws.h"}
        assert members & headers == (headers if name == "libcometclient-dev" else set())
        assert {f"/usr/share/doc/{name}/{part}" for part in ("copyright", "changelog.gz")} <= members
        assert run("dpkg-deb", "--extract", file, tmp_path).returncode == 0
    fields = run("dpkg-deb", "--field", packages["libcometclient-dev"], "Depends").stdout
    assert fields == f"libcometclient0 (= {version}), libcometclient-ws0 (= {version}), libjansson-dev\n"
    assert "libjansson4" in run("dpkg-deb", "--field", packages["libcometclient0"], "Depends").stdout
    needed = run("dpkg-deb", "--field", packages["libcometclient-ws0"], "Depends").stdout
    assert all(library in needed for library in ("libjansson4", "libwebsockets17", "libssl3"))
    number = version.partition("~")[0]
    assert run("dpkg-deb", "--info", packages["libcometclient0"], "shlibs").stdout == \
        f"libcometclient 0 libcometclient0 (>= {number}~)\n"
    assert run("dpkg-deb", "--info", packages["libcometclient0"], "triggers").stdout == "activate-noawait ldconfig\n"
    for config, library in (("comet-client.pc", "libcometclient.so"), ("comet-client-ws.pc", "libcometclient-ws.so")):
        found, = tmp_path.rglob(config)
        assert f"\nVersion: {version}\n" in found.read_text()
        assert (found.parent.parent / library).exists(), "the link leads to the other package's file"


@needs("dpkg-shlibdeps")
def test_package_holds_what_runs(packages, tmp_path, launch):
    package = packages["comet"]
    fields = run("dpkg-deb", "--field", package).stdout
    for library in ("libc6", "libwebsockets17", "libhiredis0.14", "libssl3", "systemd-sysusers"):
        assert re.search(rf"^Depends: .*\b{re.escape(library)}\b", fields, re.M), library
    members = run("dpkg-deb", "--contents", package).stdout.splitlines()
    assert all(re.match(r"[-d]\S+ root/root ", member) for member in members)
    assert [member for member in members if member.startswith("-rw-r----- ") and member.endswith("comet.conf")]
    assert run("dpkg-deb", "--info", package, "conffiles").stdout == "/etc/comet/comet.conf\n"
    for script in ("postinst", "prerm", "postrm"):
        text = run("dpkg-deb", "--info", package, script).stdout
        assert run("sh", "-n", input=text).returncode == 0, script
    assert run("dpkg-deb", "--extract", package, tmp_path).returncode == 0
    house = launch()
    cli = tmp_path / "usr/bin/comet-cli"
    counted = run(cli, "online", "--http", "%s:%d" % house.address("http"))
    assert counted.returncode == 0, counted.stderr
    assert run(tmp_path / "usr/bin/comet", "-t", "-c", tmp_path / "etc/comet/comet.conf", env={}).returncode == 0
