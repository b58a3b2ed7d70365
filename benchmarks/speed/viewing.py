"""The rate of the live view, with everything shown in a real browser on this machine."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.settings import BenchConfig
from benchmarks.speed.cpu_time import tree_cpu_s

_MEASURED_S = 20
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--window-size=1400,1000",
)
_COUNT = "const before = shown; window.drawn = 0; shown = next => { window.drawn++; before(next); }"


def view_rate(config: BenchConfig) -> dict[str, Any]:
    """Control steps a second of a view that goes as fast as it can, and seconds from the command to the first picture.

    The browser, headless Chromium with WebGL in software, shares the machine's cores. A picture of the page goes beside
    `out`, where it is given.
    """
    begun = time.monotonic()
    with _served(config.run or "zoo/reacher") as (url, server), _browser() as (browser, driver):
        opened = time.monotonic()
        browser.get(url)
        while not browser.execute_script("return moment && document.querySelector('#seen img').naturalWidth"):
            time.sleep(0.05)
        first = time.monotonic()
        browser.execute_script(_COUNT)
        time.sleep(2)
        look = "return [moment.step, window.drawn]"
        before, start = browser.execute_script(look), time.monotonic()
        server_s, browser_s = tree_cpu_s(server), tree_cpu_s(driver)
        time.sleep(_MEASURED_S)
        server_s, browser_s = tree_cpu_s(server) - server_s, tree_cpu_s(driver) - browser_s
        after, seconds = browser.execute_script(look), time.monotonic() - start
        if config.out:
            browser.save_screenshot(str(Path(config.out).with_suffix(".png")))
    steps, drawn = (b - a for a, b in zip(before, after, strict=True))
    return {
        "run": config.run or "zoo/reacher",
        "control_steps_per_s": steps / seconds,
        "moments_drawn_per_s": drawn / seconds,
        "server_cpu_ms_per_step": 1e3 * server_s / steps,
        "browser_cpu_ms_per_moment": 1e3 * browser_s / drawn,
        "load_average": os.getloadavg()[0],
        "command_to_first_picture_s": first - begun,
        "page_to_first_picture_s": first - opened,
    }


@contextmanager
def _served(run: str) -> Iterator[tuple[str, int]]:
    """The address of a view of a run, which goes as fast as it can, and its process."""
    command = [sys.executable, "-m", "worldmodel", "view", f"run={run}", "port=0", "open=false", "steps_per_s=1000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the view did not start"
        yield found[0], process.pid
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _browser() -> Iterator[tuple[Any, int]]:
    """A browser, and the process that it belongs to."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    options.binary_location = next(found, "")
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        service = Service(shutil.which("chromedriver"))
        driver = webdriver.Chrome(options=options, service=service)
        try:
            yield driver, service.process.pid
        finally:
            driver.quit()
