"""A real browser opens the view of a real command: it moves, it can be meddled with, it complains of nothing."""

import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PATIENCE_S = 120
"""Longest wait for anything: test machines may be busy."""


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    names = ("chromium", "chromium-browser", "google-chrome")
    options.binary_location = next(filter(None, map(shutil.which, names)), "")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


@contextmanager
def viewing(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a view, and its process."""
    command = [sys.executable, "-m", "worldmodel", "view", "port=0", *options]
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": str(root), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which shells ignore in the background
    )
    try:
        assert process.stdout
        line = process.stdout.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, (line, process.stderr and process.stderr.read())
        yield found[0], process
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a view of the pretrained reacher, and its process."""
    with viewing(tmp_path_factory.mktemp("view"), "run=zoo/reacher", "steps_per_s=10") as found:
        yield found


def until(condition: Callable[[], object]) -> object:
    """What `condition` gives, as soon as that is true."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.1)
    pytest.fail("waited in vain")


def test_the_page_moves_and_obeys(browser, served):
    url, _ = served

    def js(script: str) -> object:
        return browser.execute_script(f"return {script}")

    def frame() -> object:
        return js("document.querySelector('#seen img').src")

    browser.get(url)
    until(lambda: js("moment && moment.step"))
    first = frame()
    until(lambda: frame() != first)

    # the 3-D view shows something
    assert (
        js(
            "(() => { scene.draw(); const c = document.createElement('canvas'); c.width = c.height = 32;"
            "const p = c.getContext('2d'); p.drawImage(scene.canvas, 0, 0, 32, 32);"
            "return new Set(new Uint32Array(p.getImageData(0, 0, 32, 32).data.buffer)).size })()"
        )
        > 8
    )  # type: ignore[operator]

    # a slider changes the physics
    before = js("moment.factors.actuator_scale")
    js("(() => { const s = document.querySelector('[data-factor=actuator_scale]'); s.value = 900;"
       " s.dispatchEvent(new Event('input')) })()")  # fmt: skip
    until(lambda: js("moment.factors.actuator_scale") != before)
    js("send({do: 'set_factor', name: 'actuator_scale', value: 1})")

    # a pause holds the picture, a step moves it by one
    browser.find_element(By.ID, "play").click()
    until(lambda: js("moment.playing") is False)
    held = js("moment.step")
    browser.find_element(By.ID, "step").click()
    until(lambda: js("moment.step") == held + 1)  # type: ignore[operator]
    assert js("moment.playing") is False
    browser.execute_script("document.activeElement.blur()")
    ActionChains(browser).send_keys("s").perform()
    until(lambda: js("moment.step") == held + 2)  # type: ignore[operator]
    ActionChains(browser).send_keys(" ").perform()
    until(lambda: js("moment.playing"))

    # a goal is reached
    js("send({do: 'pace', steps_per_s: 100})")
    until(lambda: js("moment.goals_reached"))

    # what cannot be done is told on the page, and the view goes on
    js("send({do: 'set_factor', name: 'arm_mass', value: 99})")
    until(lambda: "factor arm_mass must be a number in" in str(js("document.querySelector('#notices').textContent")))
    step = js("moment.step")
    until(lambda: js("moment.step") > step)  # type: ignore[operator]

    assert browser.get_log("browser") == []


def test_the_goal_is_dragged_with_the_mouse(browser, served):
    browser.get(served[0])
    until(lambda: browser.execute_script("return moment && moment.step"))
    browser.execute_script("if (moment.playing) document.getElementById('play').click()")
    until(lambda: browser.execute_script("return !moment.playing"))
    before = browser.execute_script("return moment.goal_positions")
    # Which goal the first test ended with depends on how fast the machine is, and an arm that is stretched out already
    # cannot follow every way. Pictures that arrive late move the canvas. So: measure anew, and another way.
    ways = itertools.cycle([(-40, 30), (40, -30), (30, 40), (-30, -40)])

    def moves() -> bool:
        drag_the_goal(browser, next(ways))
        end = time.monotonic() + 5
        while (same := browser.execute_script("return moment.goal_positions") == before) and time.monotonic() < end:
            time.sleep(0.1)
        return not same

    until(moves)
    browser.find_element(By.ID, "play").click()
    assert browser.get_log("browser") == []


def drag_the_goal(browser: webdriver.Chrome, way: tuple[int, int]) -> None:
    """Take hold of the outermost place of the green robot that the mouse can reach, and let go so many pixels away."""
    browser.execute_script("scene.canvas.scrollIntoView({behavior: 'instant'})")
    left, top, places = browser.execute_script(
        "const c = scene.canvas, box = c.getBoundingClientRect(), found = [];"
        "for (let x = 4; x < c.clientWidth; x += 4) for (let y = 4; y < c.clientHeight; y += 4) {"
        "  const held = scene.grab(x, y); if (held) found.push([held.geom, x, y]); }"
        "return [box.x, box.y, found]"
    )
    _, x, y = max(places)
    hand = ActionBuilder(browser)
    hand.pointer_action.move_to_location(round(left + x), round(top + y)).pointer_down()
    hand.pointer_action.move_to_location(round(left + x) + way[0], round(top + y) + way[1]).pointer_up()
    hand.perform()


def test_the_estimate_of_a_constant_follows_a_slider(browser, tmp_path):
    with viewing(tmp_path, "run=zoo/puck", "steps_per_s=25") as (url, _):
        browser.get(url)
        until(lambda: browser.execute_script("return moment && moment.step"))

        def mass() -> dict[str, float]:
            return browser.execute_script("return moment.constants.find(of => of.name === 'mass')")

        light = until(lambda: (of := mass())["settled"] and of)
        browser.execute_script(
            "const s = document.querySelector('[data-factor=mass]'); s.value = 900; s.dispatchEvent(new Event('input'))"
        )
        until(lambda: mass()["truth"] > 1.5 * light["truth"])
        heavy = until(lambda: (of := mass())["settled"] and of)
        assert heavy["estimate"] > light["estimate"] and heavy["low"] > light["estimate"]
        shown = browser.find_element(By.CSS_SELECTOR, "#constants [data-name=mass] .value").text
        assert "not yet" not in shown
        assert browser.get_log("browser") == []


def test_its_recording_plays_without_the_server(browser, served, tmp_path):
    url, _ = served
    file = tmp_path / "replay.html"
    with urllib.request.urlopen(f"{url}replay.html") as answer:
        file.write_bytes(answer.read())
    browser.get_log("browser")  # what the page before it complained of, when it lost its server
    browser.get(file.as_uri())
    begun = until(lambda: browser.execute_script("return moment && moment.step"))
    until(lambda: browser.execute_script("return moment.step") != begun)
    assert browser.execute_script("return [...document.querySelectorAll('main input')].every(input => input.disabled)")
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_nothing_overflows(browser, served, width):
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(served[0])
    until(lambda: browser.execute_script("return moment && moment.step"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_it_ends_cleanly(browser, served):
    _, process = served
    process.send_signal(signal.SIGINT)
    said, complained = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, complained
    assert "control steps" in said and "Traceback" not in complained
    until(lambda: "disconnected" in browser.find_element(By.ID, "status").text)
