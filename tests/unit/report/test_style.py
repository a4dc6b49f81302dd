"""Text can be read on its ground, in light and in dark; every class that is drawn has a look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.unit.report.sample import config, write_sample

from plumbline.report.page import TEMPLATES, render
from plumbline.report.read import Reports

STYLE = (TEMPLATES / "page.css").read_text(encoding="utf-8")
LIGHT, DARK = (
    dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", block))
    for block in re.findall(r":root \{(.*?)\}", STYLE, re.S)[:2]
)
THEMES = {"light": LIGHT, "dark": LIGHT | DARK}
TEXTS = ("ink", "soft", "link", "good", "warn", "bad", "info")
ON_GROUND = [(text, ground) for text in TEXTS for ground in ("paper", "card")]
ON_TINT = [(state, f"{state}-bg") for state in ("good", "warn", "bad", "info")]
INK_ON_TINT = [("ink", f"{state}-bg") for state in ("good", "warn", "bad", "info")]
IN_CELLS = [("ink", f"h{i}") for i in range(4)] + [("on", f"h{i}") for i in range(4, 7)]
ON_WORDS = [("ink", f"{side}{level}") for side in "pn" for level in range(1, 5)]
MARKS = [(f"s{i}", "paper") for i in (0, 1, 9)]


def luminance(color: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(theme: str, a: str, b: str) -> float:
    one, two = sorted(luminance(THEMES[theme][name]) for name in (a, b))
    return (two + 0.05) / (one + 0.05)


@pytest.mark.parametrize("theme", THEMES)
def test_text_has_contrast(theme: str) -> None:
    for text, ground in ON_GROUND + ON_TINT + INK_ON_TINT + IN_CELLS + ON_WORDS:
        assert contrast(theme, text, ground) >= 4.5, (text, ground, contrast(theme, text, ground))
    for mark, ground in MARKS:
        assert contrast(theme, mark, ground) >= 3, (mark, ground)


def test_dark_gives_every_color_of_its_own() -> None:
    assert set(DARK) == set(LIGHT)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_every_class_has_a_look(tmp_path: Path, task: str) -> None:
    text = render(config(task), Reports(write_sample(tmp_path, task)))
    body = text.split("</style>")[1]
    used = {name for value in re.findall(r'class="([^"]*)"', body) for name in value.split()}
    styled = set(re.findall(r"\.([a-z][\w-]*)", STYLE))
    assert used <= styled | {"off"}, used - styled
