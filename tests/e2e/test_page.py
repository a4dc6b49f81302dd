"""The page in a real browser: no sideways scrolling on a phone, nothing fetched, printable."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.unit.report.sample import config, write_sample

from plumbline.report.page import render
from plumbline.report.read import Reports

pytestmark = pytest.mark.e2e
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
LONG = ["x" * 90, "a name of many words " * 5, "中文列名" * 12, "snake_case_" * 9]
SIDEWAYS = """(() => {
  const most = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll('body *')].filter(e => {
    if (e.closest('.scroll, .spoken, .symbols, .skip, figure svg')) return false;
    return e.getBoundingClientRect().right > most + 1;
  });
  return [document.documentElement.scrollWidth - most, wide.slice(0, 3).map(e => e.outerHTML)];
})()"""


class Browser:
    """A headless Chromium, spoken to over its debugging pipe."""

    def __init__(self, binary: str, profile: Path) -> None:
        to_read, self.write_end = os.pipe()
        self.read_end, to_write = os.pipe()
        # the browser reads from descriptor 3 and writes to 4
        script = f'exec 3<&{to_read} 4>&{to_write}; exec "$@"'
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe"]
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", binary, *options, f"--user-data-dir={profile}"],
            pass_fds=(to_read, to_write),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read)
        os.close(to_write)
        self.count, self.buffer, self.session = 0, b"", ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.count += 1
        message: dict[str, Any] = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.write_end, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.receive()
            if answer.get("id") == self.count:
                assert "error" not in answer, answer
                found: dict[str, Any] = answer["result"]
                return found
            self.events.append(answer)

    def receive(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            chunk = os.read(self.read_end, 1 << 20)
            assert chunk, "the browser ended"
            self.buffer += chunk
        message, self.buffer = self.buffer.split(b"\0", 1)
        parsed: dict[str, Any] = json.loads(message)
        return parsed

    def open(self, page: Path, width: int, *, dark: bool = False) -> None:
        """Load a page in a window of a width, and wait until it is there."""
        self.events.clear()
        size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": False}
        self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.as_uri())
        while not any(e.get("method") == "Page.loadEventFired" for e in self.events):
            self.events.append(self.receive())

    def ask(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"]["value"]

    def close(self) -> None:
        self.call("Browser.close")
        self.process.wait(timeout=30)
        os.close(self.read_end)
        os.close(self.write_end)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    binary = next(filter(None, map(shutil.which, NAMES)), None)
    if binary is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is on PATH")
    started = Browser(binary, tmp_path_factory.mktemp("profile"))
    yield started
    started.close()


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
