"""A real browser opens the page from disk: every picture and video loads, nothing overflows, nothing complains."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import report_fakes as fakes
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from worldmodel.figures import videos
from worldmodel.reporting import write_page

pytestmark = pytest.mark.browser

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
TITLES = (
    "What it imagines",
    "What the latents are",
    "How far it predicts",
    "Driving towards goal images",
    "How training went",
)


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


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    whole = fakes.write_run(folder / "runs" / "puck")
    train = replace(fakes.TRAIN, decoding=None)
    summary = replace(fakes.SUMMARY, name="identify", train=train, control=None, probe=None, imagine=None)
    part = fakes.write_run(folder / "runs" / "identify", summary)
    return write_page([part, whole], folder / "report.html")


@pytest.fixture(params=["light", "dark"])
def opened(request, browser, page) -> webdriver.Chrome:
    """The browser with the page open at 1280 pixels' width, in either colour scheme."""
    scheme = {"features": [{"name": "prefers-color-scheme", "value": request.param}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", scheme)
    resize(browser, 1280)
    browser.get(page.as_uri())
    return browser


def resize(browser: webdriver.Chrome, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def luminance(browser: webdriver.Chrome, script: str) -> float:
    """Mean of the three channels, in [0, 255], of the computed colour that `script` returns."""
    colour = browser.execute_script(f"return {script}")
    return sum(float(part) for part in colour[colour.index("(") + 1 :].rstrip(")").split(",")[:3]) / 3


def test_every_picture_and_video_loads_without_a_complaint(opened):
    pictures = opened.execute_script("return [...document.querySelectorAll('main img')].map(i => i.naturalWidth)")
    assert len(pictures) == 8 and min(pictures) > 300
    WebDriverWait(opened, 20).until(
        lambda driver: driver.execute_script(
            "return [...document.querySelectorAll('video')].every(v => v.readyState >= 1 && v.videoWidth > 0)"
        )
    )
    durations = opened.execute_script("return [...document.querySelectorAll('video')].map(v => v.duration)")
    imagined = (fakes.NUM_IMAGINED + videos.PAUSE_FRAMES) / 8
    assert durations == pytest.approx([imagined, *[fakes.NUM_STEPS / 12] * 3], abs=0.15)
    assert opened.get_log("browser") == []


def test_sections_and_runs_stand_where_the_links_point(opened):
    titles = [heading.text for heading in opened.find_elements(By.TAG_NAME, "h3")]
    assert set(TITLES) <= set(titles) and titles.count("How it was made") == 2
    broken = opened.execute_script(
        "return [...document.querySelectorAll('a')].filter(a => !document.querySelector(a.getAttribute('href'))).length"
    )
    assert broken == 0


@pytest.mark.parametrize("width", [1280, 768, 360])
def test_nothing_overflows(opened, width):
    resize(opened, width)
    assert opened.execute_script("return document.documentElement.scrollWidth") <= width


def test_the_contents_are_all_in_sight(opened):
    resize(opened, 1280)
    hidden = opened.execute_script(
        "const nav = document.querySelector('nav > div'); return nav.scrollWidth - nav.clientWidth"
    )
    assert hidden <= 0


def test_a_tall_film_leaves_no_gap_beside_it(opened):
    resize(opened, 1280)
    heights = opened.execute_script("return [...document.querySelectorAll('video')].map(v => v.clientHeight)")
    assert max(heights) <= 24 * 16


@pytest.mark.parametrize("width", [1280, 900])
def test_tables_begin_at_the_edge_of_their_section_or_beside_another(opened, width):
    resize(opened, width)
    indented = opened.execute_script(
        "return [...document.querySelectorAll('.evidence')].flatMap(box => [...box.children].filter((child, k, all) =>"
        " (k == 0 || child.offsetTop >= all[k - 1].offsetTop + all[k - 1].offsetHeight)"
        " && Math.abs(child.getBoundingClientRect().left - box.getBoundingClientRect().left) > 1).length)"
    )
    assert sum(indented) == 0


def test_the_shadow_at_the_right_edge_of_a_table_is_covered_where_nothing_goes_on(opened):
    place = opened.execute_script("return getComputedStyle(document.querySelector('.scroll')).backgroundPosition")
    cover, shadow = place.split(", ")[1], place.split(", ")[3]
    assert (cover, shadow) == ("right -1px top 0%", "100% 0%") or cover.startswith("calc(100% + 1px)"), place


def test_a_chart_shows_its_values_at_the_pointer_and_enlarges_what_is_dragged(opened):
    resize(opened, 1280)
    first, second = opened.find_elements(By.CSS_SELECTOR, "[id$=imagination] .chart")
    assert len(first.find_elements(By.CSS_SELECTOR, "polyline")) == 3
    svg = first.find_element(By.TAG_NAME, "svg")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", svg)
    ActionChains(opened).move_to_element(svg).perform()
    shown = first.find_element(By.TAG_NAME, "output").text
    assert shown == "steps ahead 2 · persistence 14 · read from the true frame 3.81 · imagined 4.5"
    labels = [text.text for text in svg.find_elements(By.TAG_NAME, "text")]
    width = svg.size["width"]
    ActionChains(opened).move_to_element(svg).click_and_hold().move_by_offset(width // 4, 0).release().perform()
    assert [text.text for text in svg.find_elements(By.TAG_NAME, "text")] != labels
    ActionChains(opened).double_click(svg).perform()
    assert [text.text for text in svg.find_elements(By.TAG_NAME, "text")] == labels
    assert second.find_element(By.TAG_NAME, "figcaption").text == "turn (deg): mean error"
    assert opened.get_log("browser") == []


def test_colours_follow_the_reader(opened, request):
    dark = opened.execute_script("return matchMedia('(prefers-color-scheme: dark)').matches")
    paper = luminance(opened, "getComputedStyle(document.body).backgroundColor")
    ink = luminance(opened, "getComputedStyle(document.body).color")
    assert abs(paper - ink) > 150 and (paper < ink) == dark


def test_a_click_enlarges_a_figure_and_another_puts_it_back(opened):
    button = opened.find_element(By.CSS_SELECTOR, ".zoom")
    opened.execute_script("arguments[0].click()", button)
    dialog = opened.find_element(By.TAG_NAME, "dialog")
    assert dialog.is_displayed()
    assert opened.execute_script("return document.querySelector('dialog img').naturalWidth") > 300
    dialog.click()
    assert not dialog.is_displayed()


def test_a_video_in_view_plays(opened):
    video = opened.find_element(By.TAG_NAME, "video")
    opened.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", video)
    WebDriverWait(opened, 20).until(lambda driver: driver.execute_script("return arguments[0].currentTime > 0", video))
