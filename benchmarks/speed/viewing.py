"""How quick the live view is, with everything shown in a real browser on this machine."""

import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.settings import BenchConfig

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

    The browser, headless Chromium with WebGL in software, shares the machine's cores.
    """
    begun = time.monotonic()
    with _served(config.run or "pretrained/reacher") as url, _browser() as browser:
        opened = time.monotonic()
        browser.get(url)
        while not browser.execute_script("return moment && document.querySelector('#seen img').naturalWidth"):
            time.sleep(0.05)
        first = time.monotonic()
        browser.execute_script(_COUNT)
        time.sleep(2)
        look = "return [moment.step, window.drawn]"
        step, drawn = browser.execute_script(look)
        start = time.monotonic()
        time.sleep(_MEASURED_S)
        steps, pictures = browser.execute_script(look)
        seconds = time.monotonic() - start
    return {
        "run": config.run or "pretrained/reacher",
        "control_steps_per_s": (steps - step) / seconds,
        "moments_drawn_per_s": (pictures - drawn) / seconds,
        "command_to_first_picture_s": first - begun,
        "page_to_first_picture_s": first - opened,
    }


@contextmanager
def _served(run: str) -> Iterator[str]:
    """The address of a view of a run, which goes as fast as it can."""
    command = [sys.executable, "-m", "worldmodel", "view", f"run={run}", "port=0", "open=false", "steps_per_s=1000"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        found = re.search(r"http://\S+", process.stdout.readline())
        assert found, "the view did not start"
        yield found[0]
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    found = filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    options.binary_location = next(found, "")
    with tempfile.TemporaryDirectory() as profile:
        for flag in (*_FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
        try:
            yield driver
        finally:
            driver.quit()
