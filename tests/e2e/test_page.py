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

LABELS = """(() => {
  const found = [];
  for (const svg of document.querySelectorAll('figure svg')) {
    const room = svg.getBoundingClientRect();
    if (!room.width) continue;
    const texts = [...svg.querySelectorAll('text:not([transform])')].map(e => {
      const box = e.getBoundingClientRect();
      const cut = box.height * 0.12;  // lines lie closer than boxes
      return [e.textContent, box.left, box.top + cut, box.right, box.bottom - cut];
    });
    for (const [i, [text, left, top, right, bottom]] of texts.entries()) {
      if (left < room.left - 1 || right > room.right + 1 || top < room.top - 2
          || bottom > room.bottom + 2) found.push(['outside', text, left, right, room.right]);
      for (const [other, l, t, r, b] of texts.slice(i + 1))
        if (Math.min(right, r) - Math.max(left, l) > 1
            && Math.min(bottom, b) - Math.max(top, t) > 1) found.push(['overlap', text, other]);
    }
  }
  return found;
})()"""
BROKEN = """[...document.querySelectorAll('td.num, .facts dd')].filter(e => {
  const lines = /^[\\d.,%−–+\\u00a0]+$/.test(e.textContent) || e.matches('td') ? 1 : 9;
  const range = document.createRange(); range.selectNodeContents(e);
  return new Set([...range.getClientRects()].map(r => Math.round(r.top / 8))).size > lines;
}).map(e => e.textContent)"""
UNSEEN = """[...document.querySelectorAll('main *')].filter(e => e.scrollWidth > e.clientWidth + 1
  && ['auto', 'scroll'].includes(getComputedStyle(e).overflowX)
  && !(e.tabIndex === 0 && e.getAttribute('role') === 'region' && e.getAttribute('aria-label')
       && getComputedStyle(e).backgroundImage.includes('gradient')))
  .map(e => e.outerHTML.slice(0, 200))"""


NAMELESS = """[...document.querySelectorAll('th, h1, h2, h3, a, summary, dt, figcaption')]
  .filter(e => !e.textContent.trim()).map(e => e.outerHTML.slice(0, 200))"""
SKIPPED = """[...document.querySelectorAll('h1, h2, h3, h4')].map(e => +e.tagName[1])
  .filter((level, i, all) => i && level > all[i - 1] + 1)"""
PRINTED = """[...document.querySelectorAll('.read, .lead, .caption, figcaption, table, .note')]
  .map(e => parseFloat(getComputedStyle(e).fontSize)
    / parseFloat(getComputedStyle(document.body).fontSize)).filter(ratio => ratio > 1.07)"""

SPLIT = """(() => { const texts = [], all = document.createTreeWalker(document.body, 4);
  while (all.nextNode()) { const node = all.currentNode, range = document.createRange();
    if (!/^\\s*\\S+\\s*$/.test(node.data)) continue;
    const head = node.parentElement.closest('thead') && node.data.trim().length < 13;
    const own = node.parentElement.closest('td') && !node.parentElement.closest('bdi');
    if (!head && !own) continue;
    range.selectNodeContents(node);
    if (range.getClientRects().length > 1) texts.push(node.data.trim()); }
  return texts; })()"""
WIDE = """[...document.querySelectorAll('table')]
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.textContent.slice(0, 80))"""


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
    query = [
        e["params"]["request"]["url"]
        for e in browser.events
        if e.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in query if not url.startswith("data:")] == [page.as_uri()]
    text = [e for e in browser.events if e.get("method") in ("Log.entryAdded",)]
    assert text == []


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
        && !e.closest('sup') && [...e.childNodes].some(c => c.nodeType == 3
        && c.data.trim())).map(e => { const svg = e.ownerSVGElement;
        const size = parseFloat(getComputedStyle(e).fontSize);
        if (!svg || !svg.viewBox.baseVal || !svg.viewBox.baseVal.width) return size;
        return size * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width; }))"""
    )
    assert smallest >= 9


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_cut_covered_or_broken(browser: Browser, page: Path, width: int) -> None:
    """Labels keep clear of each other and of the edge, in the fonts of a plain system
    (elsewhere, the default); no number is broken; what scrolls shows it and takes the keyboard."""
    browser.open(page, width)
    for font in ("DejaVu Sans", "Liberation Sans"):
        browser.ask(f"document.body.style.fontFamily = '\"{font}\", sans-serif'")
        assert browser.ask(LABELS) == [], font
        assert browser.ask(BROKEN) == [], font
        assert browser.ask(UNSEEN) == [], font


def test_headings_have_words_and_no_level_is_left_out(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    assert browser.ask(NAMELESS) == [] and browser.ask(SKIPPED) == []


def test_on_paper_no_small_print_is_larger_than_the_text(browser: Browser, page: Path) -> None:
    browser.open(page, 1280)
    browser.call("Emulation.setEmulatedMedia", media="print")
    try:
        assert browser.ask(PRINTED) == []
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


def test_on_paper_tables_fit_and_short_words_stay_whole(browser: Browser, page: Path) -> None:
    browser.open(page, 680)  # A4 less its margins
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.ask("document.querySelectorAll('details').forEach(e => { e.open = true; })")
    try:
        assert browser.ask(SPLIT) == []
        assert browser.ask(WIDE) == []
    finally:
        browser.call("Emulation.setEmulatedMedia", media="")


def test_all_can_be_reached_and_opened_with_the_keyboard(browser: Browser, page: Path) -> None:
    """Tab stops at every link, fold and scrolling table, in order, where it is seen; Enter opens
    a fold."""
    browser.open(page, 390)
    wanted = browser.ask(
        "[...document.querySelectorAll('a[href], summary, [tabindex]')]"
        ".filter(e => e.checkVisibility()).length"
    )
    values = []
    for _ in range(wanted):
        press(browser, "Tab", 9)
        values.append(
            browser.ask(
                """(() => { const e = document.activeElement; const style = getComputedStyle(e);
                e.dataset.visited = 1;
                return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2
                  || e.matches('.skip') && e.getBoundingClientRect().left >= 0; })()"""
            )
        )
    assert browser.ask("document.querySelectorAll('[data-visited]').length") == wanted
    assert all(values)
    if browser.ask("Boolean(document.querySelector('details.fold'))"):
        browser.ask("document.querySelector('.fold summary').focus()")
        press(browser, "Enter", 13)
        assert browser.ask("document.querySelector('details.fold').open")


def press(browser: Browser, key: str, code: int) -> None:
    text = "\r" if key == "Enter" else ""
    for kind in ("keyDown", "keyUp"):
        browser.call(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            windowsVirtualKeyCode=code,
            text=text if kind == "keyDown" else "",
        )
