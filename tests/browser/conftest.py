"""Fixtures of the browser tests: Chromium without a window, driven by chromedriver, against a real comet.

    browser   a browser with nothing remembered; browser.open(comet) loads the console
    launch, house, backend: as in tests/e2e/conftest.py

COMET_TEST_AXE names axe.min.js of axe-core, by which is_sound looks at the page, too. COMET_TEST_SCREENSHOTS names a folder where each browser.shot("name") leaves a picture; without it none is taken.
SPDX-License-Identifier: MIT"""
import json
import os
import pathlib
import sys

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "e2e"))

from waiting import TIMEOUT, wait_until  # noqa: E402

# The fixtures of the end-to-end tests, which are named alike.
from importlib.util import module_from_spec, spec_from_file_location  # noqa: E402

_spec = spec_from_file_location("e2e_conftest", pathlib.Path(__file__).resolve().parents[1] / "e2e/conftest.py")
_e2e = module_from_spec(_spec)
_spec.loader.exec_module(_e2e)
launch, backend, no_hang = _e2e.launch, _e2e.backend, _e2e.no_hang
pytest_configure, pytest_runtest_makereport = _e2e.pytest_configure, _e2e.pytest_runtest_makereport



@pytest.fixture
def house(launch):
    return launch()


AXE = os.environ.get("COMET_TEST_AXE")
PATIENCE = 3 * TIMEOUT  # a browser on a busy machine is slow
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
         "--disable-default-apps", "--disable-extensions", "--no-default-browser-check", "--mute-audio",
         "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1", "--lang=en")
WIDE, PHONE = (1280, 1000), (390, 844)


class Browser:
    def __init__(self, folder):
        options = Options()
        options.binary_location = "/usr/bin/chromium"
        for flag in FLAGS:
            options.add_argument(flag)
        options.add_argument(f"--user-data-dir={folder}")
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(service=Service("/usr/bin/chromedriver"), options=options)
        self.driver.set_page_load_timeout(PATIENCE)
        self.driver.set_script_timeout(PATIENCE)
        self.resize(*WIDE)

    def close(self):
        self.driver.quit()

    # looking

    def open(self, comet, path="/"):
        self.driver.get("http://{}:{}{}".format(*comet.address("http"), path))

    def find(self, css):
        return self.driver.find_element(By.CSS_SELECTOR, css)

    def text(self, css):
        """What a reader sees there: the whole of it, scrolled into view or not."""
        return self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText).join('\\n')", css)

    def wait_text(self, css, words):
        wait_until(lambda: words in self.text(css), lambda: f"{words!r} in {css}: {self.text(css)!r}", PATIENCE, 0.05)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def complaints(self):
        """What the browser's console was told that is worse than a note: broken scripts, refused loads."""
        return [entry for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]

    def axe(self):
        """What axe-core finds wrong for people who cannot see or point well; nothing where npm has not brought it."""
        if not AXE:
            return []
        self.run(pathlib.Path(AXE).read_text())
        return self.driver.execute_async_script("""const done = arguments[0];
            axe.run().then(({violations}) => done(violations.flatMap(v => v.nodes.map(n => `${v.id}: ${n.html.slice(0, 200)}`))));""")

    # doing

    def fill(self, css, words):
        field = self.find(css)
        field.clear()
        field.send_keys(words)

    def press(self, css):
        button = self.find(css)
        wait_until(button.is_enabled, f"{css} can be pressed", PATIENCE, 0.05)
        button.click()

    def resize(self, width, height, mobile=False):
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": mobile})

    def dark(self, on=True):
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {
            "features": [{"name": "prefers-color-scheme", "value": "dark" if on else "light"}]})

    def shot(self, name):
        folder = os.environ.get("COMET_TEST_SCREENSHOTS")
        if folder:
            width, height = self.run("return [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
            self.resize(width, max(height, 400))
            pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(f"{folder}/{name}.png")


@pytest.fixture
def browser(request, tmp_path):
    one = Browser(tmp_path / "browser")
    yield one
    if getattr(request.node, "failed", False):
        print(json.dumps(one.driver.get_log("browser"), indent=1)[-4000:])
    one.close()
