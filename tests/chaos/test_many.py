"""As many as come, at once. SPDX-License-Identifier: MIT"""
import json
import subprocess

from server import BUILD
from waiting import TIMEOUT, scaled


def test_ten_thousand_connect_as_fast_as_they_come_and_none_fails(house):
    ports = ",".join(str(house.address(comet, "tcp")[1]) for comet in house.names("comet"))
    count = scaled(10000)
    done = subprocess.run([BUILD / "comet-cli", "bench", "connect", "-n", str(count), "--port", ports, "--duration", "1s",
                           "--handshake", "30s", "--json"], capture_output=True, text=True, timeout=8 * TIMEOUT)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout)
    assert result["failed"] == 0 and result["online"] == count, result
    assert sum(house.metrics(comet)("comet_logic_failed_total") for comet in house.names("comet")) == 0
