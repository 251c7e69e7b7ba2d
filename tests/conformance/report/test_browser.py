"""The page in a real browser: light, dark and as wide as a phone, with nothing amiss.

Needs Chromium and its driver (Debian: chromium, chromium-driver); skipped where they are not.
"""

import base64
import json
import shutil
from itertools import pairwise
from pathlib import Path

import pytest
from report_results import bad_devices, bench, kill, map_file, of_each_word, proofs
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from conformance import bench as benches
from conformance.report import page as pages
from conformance.report.given import read

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium and driver here"),
    # Selenium leaves its own sockets to be collected.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
WIDE, PHONE = 1200, 390


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The file of a page with everything on it."""
    folder = tmp_path_factory.mktemp("page")
    bad = bad_devices()
    bad.kills = [kill(), kill("a_rather_long_name_of_a_survivor", conform=False)]
    (folder / "conform.json").write_bytes(bad.to_json())
    (folder / "prove.json").write_bytes(proofs(of_each_word()).to_json())
    (folder / "bench.json").write_bytes(benches.to_json(bench()))
    map_file(folder)
    out = folder / "out.html"
    out.write_bytes(pages.page(read(sorted(folder.glob("*.json"))), folder))
    return out


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """A browser without a window."""
    options = Options()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


def opened(browser, page, width=WIDE, scheme="light", scripts=True):
    """The page, loaded anew with a width and a colour scheme."""
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600},
    )
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia",
        {
            "features": [
                {"name": "prefers-color-scheme", "value": scheme},
                {"name": "prefers-reduced-motion", "value": "reduce"},
            ]
        },
    )
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(page.as_uri())
    return browser


def asked(browser):
    """The addresses of everything that the page asked for."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = (e["params"] for e in events if e["method"] == "Network.requestWillBeSent")
    return {one["request"]["url"] for one in sent}


LOOKS = [(WIDE, "light"), (WIDE, "dark"), (PHONE, "light"), (PHONE, "dark")]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_page_is_quiet_fits_its_width_and_asks_for_nothing(browser, page, width, scheme, tmp_path):
    opened(browser, page, width, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    assert browser.get_log("browser") == []
    urls = {url for url in asked(browser) if not url.startswith("data:")}
    assert urls == {page.as_uri()}
    inside = browser.execute_script(
        "return [document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert inside[0] <= inside[1] <= width
    shot = base64.b64decode(browser.get_screenshot_as_base64())
    assert shot.startswith(b"\x89PNG")
    assert len(shot) > 10_000


CONTRAST = """
const parse = (text) => {
  const found = text.match(/[\\d.]+/g).map(Number);
  return found.length === 4 && found[3] === 0 ? null : found.slice(0, 3);
};
const light = (rgb) => {
  const [r, g, b] = rgb.map((v) => v / 255).map(
    (v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
for (let node = walker.nextNode(); node; node = walker.nextNode()) {
  const at = node.parentElement;
  if (!node.data.trim() || at.closest("script, svg, [hidden], .skip, :disabled, i")) continue;
  if (!at.checkVisibility()) continue;
  let behind = at;
  while (behind && !parse(getComputedStyle(behind).backgroundColor)) behind = behind.parentElement;
  const paper = parse(getComputedStyle(behind ?? document.body).backgroundColor);
  const pair = [light(parse(getComputedStyle(at).color)), light(paper)].sort((a, b) => b - a);
  const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (ratio < 4.5) found.push([node.data.trim().slice(0, 40), ratio]);
}
return found;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_has_contrast_enough_to_be_read(browser, page, scheme):
    opened(browser, page, WIDE, scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    faint = [one for one in browser.execute_script(CONTRAST) if one[0] not in ("○",)]
    assert faint == []


def test_light_and_dark_differ(browser, page):
    colours = set()
    for scheme in ("light", "dark"):
        opened(browser, page, WIDE, scheme)
        colours.add(
            browser.execute_script("return getComputedStyle(document.body).backgroundColor")
        )
    assert len(colours) == 2


def test_slider_goes_through_the_steps_by_button_and_by_key(browser, page):
    opened(browser, page)
    slider = max(
        browser.find_elements(By.CSS_SELECTOR, ".slider"),
        key=lambda one: int(one.find_element(By.TAG_NAME, "input").get_attribute("max")),
    )
    frames = slider.find_element(By.XPATH, "following-sibling::*[1]")
    steps = frames.find_elements(By.CSS_SELECTOR, ".frame")
    assert len(steps) > 3

    def seen():
        return [number for number, step in enumerate(steps) if step.is_displayed()]

    last = len(steps) - 1
    assert seen() == [last]
    before = steps[last].text
    slider.find_element(By.CSS_SELECTOR, "button").click()
    assert seen() == [last - 1]
    assert steps[last - 1].text != before
    reach = slider.find_element(By.TAG_NAME, "input")
    reach.send_keys(Keys.ARROW_LEFT)
    assert seen() == [last - 2]
    assert slider.find_element(By.TAG_NAME, "output").text == f"step {last - 1} of {last + 1}"
    reach.send_keys(Keys.HOME)
    assert seen() == [0]


def test_filter_leaves_the_areas_that_have_the_word(browser, page):
    opened(browser, page)
    field = browser.find_element(By.CSS_SELECTOR, "input[type=search]")
    areas = browser.find_elements(By.CSS_SELECTOR, "#proofs details.rule")
    field.send_keys("no area has this")
    assert not any(area.is_displayed() for area in areas)
    field.clear()
    field.send_keys("is_refuted")
    assert any(area.is_displayed() for area in areas)


def test_without_scripts_every_step_is_on_the_page(browser, page):
    opened(browser, page, scripts=False)
    assert not browser.find_elements(By.CSS_SELECTOR, ".slider")
    steps = browser.find_elements(By.CSS_SELECTOR, ".frame")
    assert len(steps) > 3
    assert all(step.is_displayed() for step in steps)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_headings_go_down_one_by_one(browser, page):
    opened(browser, page)
    levels = [int(h.tag_name[1]) for h in browser.find_elements(By.CSS_SELECTOR, "h1,h2,h3,h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_page_is_small(page: Path):
    assert page.stat().st_size < pages.MOST_BYTES
