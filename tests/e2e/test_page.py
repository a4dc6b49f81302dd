"""The page in a real browser: no sideways scrolling on a phone, nothing fetched, printable."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.e2e.browser import Browser
from tests.unit.report.sample import config, write_sample

from plumbline.report.page import render
from plumbline.report.read import Reports

pytestmark = pytest.mark.e2e
LONG = ["x" * 90, "a name of many words " * 5, "中文列名" * 12, "snake_case_" * 9]
SIDEWAYS = """(() => {
  const most = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll('body *')].filter(e => {
    if (e.closest('.scroll, .spoken, .symbols, .skip, figure svg')) return false;
    return e.getBoundingClientRect().right > most + 1;
  });
  return [document.documentElement.scrollWidth - most, wide.slice(0, 3).map(e => e.outerHTML)];
})()"""


@pytest.fixture(scope="module", params=["binary", "multiclass", "regression", "long", "nothing"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a sample; with long names; of nothing at all."""
    kind, folder = request.param, tmp_path_factory.mktemp("reports")
    task = kind if kind in ("binary", "regression") else "multiclass"
    target = "diagnosis"
    if kind == "long":
        target = LONG[0]
        write_sample(folder, task, classes=LONG, columns=LONG)
    elif kind != "nothing":
        write_sample(folder, task)
    file = folder / "index.html"
    file.write_text(render(config(task, target=target), Reports(folder)), encoding="utf-8")
    return file


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_sideways_scrolling(browser: Browser, page: Path, width: int) -> None:
    browser.open(page, width)
    beyond, wide = browser.ask(SIDEWAYS)
    assert beyond <= 0 and wide == []


def test_nothing_is_fetched_and_nothing_complains(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    asked = [
        e["params"]["request"]["url"]
        for e in browser.events
        if e.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith("data:")] == [page.as_uri()]
    said = [e for e in browser.events if e.get("method") in ("Log.entryAdded",)]
    assert said == []


def test_dark_is_dark(browser: Browser, page: Path) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    browser.open(page, 1280)
    light = browser.ask(ground)
    browser.open(page, 1280, dark=True)
    assert browser.ask(ground) != light


def test_it_prints(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    printed = browser.call("Page.printToPDF", printBackground=True, paperWidth=8.27)["data"]
    assert base64.b64decode(printed).startswith(b"%PDF")


def test_no_text_is_smaller_than_nine_pixels_on_a_phone(browser: Browser, page: Path) -> None:
    """Drawings shrink with the window; the split stage's own, which scrolls, aside."""
    browser.open(page, 360)
    smallest = browser.ask(
        """Math.min(...[...document.querySelectorAll('main *')].filter(e => e.childNodes.length
        && !e.closest('.foreign, sup') && [...e.childNodes].some(c => c.nodeType == 3
        && c.data.trim())).map(e => { const svg = e.ownerSVGElement;
        const size = parseFloat(getComputedStyle(e).fontSize);
        if (!svg || !svg.viewBox.baseVal || !svg.viewBox.baseVal.width) return size;
        return size * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width; }))"""
    )
    assert smallest >= 9
