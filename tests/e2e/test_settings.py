"""Settings outlive releases: what an older comet took, this one takes.

SPDX-License-Identifier: MIT"""
import pathlib
import subprocess

import pytest

from server import BUILD, Comet
from waiting import TIMEOUT

# Lines of comet-0.1.0.conf that nothing reads any more.
RETIRED = {9: "tcp.accept", 17: "websocket.threads", 24: "protocol.timer", 37: "push.threads"}
CONF = pathlib.Path(__file__).with_name("comet-0.1.0.conf")


def assert_warned(log):
    for line, name in RETIRED.items():
        assert log.count(f"{CONF}:{line}: {name}: warning: no effect since 0.2.0, take it out: ") == 1, log
    assert log.count("warning:") == len(RETIRED)


def test_comet_conf_of_the_first_release_still_starts(launch):
    house = launch(conf=CONF, kind=Comet)
    assert_warned(house.log())


@pytest.mark.parametrize("program", ["comet", "comet-logic"])
def test_settings_that_have_gone_are_no_fault_whatever_they_say(program):
    tried = subprocess.run([BUILD / program, "-t", "-c", CONF], capture_output=True, text=True, timeout=TIMEOUT)
    assert tried.returncode == 0
    assert_warned(tried.stderr)
    for key in ("accept =", "threads =", "timer ="):
        assert key not in tried.stdout
    tried = subprocess.run([BUILD / program, "-t", "-o", "push.threads=many"], capture_output=True, text=True, timeout=TIMEOUT,
                           env={"COMET_PROTOCOL_TIMER": ""})
    assert tried.returncode == 0
    assert tried.stderr.splitlines() == [
        "COMET_PROTOCOL_TIMER: protocol.timer: warning: no effect since 0.2.0, take it out: there is one timer thread for each core",
        "-o push.threads: warning: no effect since 0.2.0, take it out: there is one push thread for each core"]
