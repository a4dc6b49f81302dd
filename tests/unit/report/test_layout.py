"""Labels of drawings stay inside and off each other, in the widest font of a plain system."""

from __future__ import annotations

import html
import math
import re
from functools import cache
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from fontTools.ttLib import TTFont
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plumbline.report.clouds import cloud, heat_map, swarm
from plumbline.report.forest import Estimate, forest
from plumbline.report.plots import Axes, Series, bars, histogram, lines
from plumbline.report.split_figure import split_figure
from plumbline.report.typeface import SIZE, WIDTHS, shorten, text_width

ASCENT, DESCENT = 0.76, 0.24  # of what a glyph covers, in ems
TILTED = r'translate\(([\d.]+) ([\d.]+)\) rotate\(-(\d+)\)"><title>.*?</title>(.*?)<'
Box = tuple[float, float, float, float]
WORDS = [
    "<=50K",
    "concave_points_mean",
    "Wwwwwww & <b>MMM</b>",
    "中文列名很长",
    "@" * 40,
    "i",
    "Щ" * 9,
]
LABELS = st.one_of(st.sampled_from(WORDS), st.text('Wm%@_aiЩ中<&" ', min_size=1, max_size=30))
VALUES = st.one_of(
    st.floats(-1e9, 1e9), st.floats(-1, 1), st.sampled_from([0.0, 99999.9, 1e5, 1e-7, -1e12])
)


@cache
def font() -> tuple[dict[int, str], dict[str, tuple[int, int]], int]:
    path = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"
    file = TTFont(str(path))
    return file.getBestCmap(), file["hmtx"].metrics, file["head"].unitsPerEm


def measured(text: str) -> float:
    """The width in ems; of what the font lacks, an em."""
    glyphs, widths, em = font()
    return sum(widths[glyphs[ord(c)]][0] / em if ord(c) in glyphs else 1.0 for c in text)


def boxes_of(svg: str) -> tuple[Box, list[tuple[str, Box]]]:
    """The drawing's box, and the box of every text that is not tilted."""
    root = ElementTree.fromstring(svg)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    result = []
    for text in root.iter("text"):
        inner = "".join(text.itertext())
        for title in text.findall("title"):
            inner = inner.replace(title.text or "", "", 1)
        if not inner or "transform" in text.attrib:
            continue
        x, y, wide = float(text.attrib["x"]), float(text.attrib["y"]), measured(inner) * SIZE
        x -= {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor", "start")] * wide
        result.append((inner, (x, y - ASCENT * SIZE, x + wide, y + DESCENT * SIZE)))
    return (0.0, 0.0, width, height), result


def check(svg: str) -> None:
    (_, _, width, height), texts = boxes_of(svg)
    for text, (left, top, right, bottom) in texts:
        assert left >= -0.5 and right <= width + 0.5, (text, left, right, width)
        assert top >= -0.5 and bottom <= height + 0.5, (text, top, bottom, height)
    for (a, one), (b, other) in combinations(texts, 2):
        across = min(one[2], other[2]) - max(one[0], other[0])
        down = min(one[3], other[3]) - max(one[1], other[1])
        assert across <= 0.5 or down <= 0.5, (a, one, b, other)


def test_no_letter_is_wider_than_is_reckoned_with() -> None:
    glyphs, widths, em = font()
    for code in [*range(32, 127), *range(0xA1, 0x180), *range(0x370, 0x460)]:
        if code in glyphs and code != 0xAD:
            wide = widths[glyphs[code]][0] / em
            assert text_width(chr(code), 1.0) >= wide - 1e-6, chr(code)
    assert set(map(chr, range(32, 127))) <= set(WIDTHS)


@given(st.text(max_size=60), st.floats(20, 300))
def test_a_shortened_text_fits(text: str, width: float) -> None:
    short = shorten(text, width)
    assert short == text or (short.endswith("…") and text.startswith(short[:-1]))
    assert text_width(short) <= width + 1e-6


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(LABELS, VALUES), min_size=1, max_size=6), LABELS)
@example([(" ", 0.0)], "<=50K")  # a width that rounds
def test_bars_and_swarms(items: list[tuple[str, float]], axis: str) -> None:
    check(bars(items, title="t", axis=axis))
    rows = [(name, np.array([value, -value / 3, value * 1.1])) for name, value in items]
    check(swarm(rows, title="t", axis=axis))


@settings(max_examples=40, deadline=None)
@given(st.lists(VALUES, min_size=2, max_size=6), LABELS, LABELS, st.floats(0, 1), st.booleans())
def test_planes(values: list[float], x: str, y: str, place: float, whole: bool) -> None:
    along, up = np.array(sorted(values)), np.array(values)
    where = along[0] + place * (along[-1] - along[0])
    plane = Axes(title="t", x=x, y=y, x_whole=whole, rule=(float(where), "best: 22"))
    check(lines([Series(name=y, x=along, y=up), Series(name=x, x=along, y=-up)], plane))
    check(lines([Series(name=n, x=along, y=up) for n in (x, y, "gradient boosting", "a")], plane))
    check(cloud(along, up, title="t", axes=(x, y), diagonal=whole))
    check(histogram(up, title="t", axis=x))


@settings(max_examples=40, deadline=None)
@given(st.lists(LABELS, min_size=1, max_size=14), st.sampled_from([0, 7, 1234, 100_000, 10**8]))
def test_confusion_matrices(names: list[str], count: int) -> None:
    check(heat_map(np.full((len(names), len(names)), float(count)), names, title="t"))


@settings(max_examples=40, deadline=None)
@given(
    st.lists(LABELS, min_size=1, max_size=14, unique=True),
    st.sampled_from([0, 7, 1234, 10**8]),
    st.integers(0, 12),
    st.booleans(),
)
def test_splits(names: list[str], count: int, folds: int, classes: bool) -> None:
    target = dict.fromkeys(names, count) if classes else {"mean": count, "std": count / 3}
    bins = [[0, count, 0, 0], [count, count, count, count], [0, 0, 1, 1]]
    summary = {
        "rows": 3 * count,
        "unused": count,
        "parts": {p: {"rows": count, "target": target} for p in ("train", "val", "test")},
        "folds": [{"train": count, "val": count}] * folds,
        "classes": {} if classes else None,
        "groups": {"count": count, "per_part": dict.fromkeys(("train", "val"), count)},
        "order": {"by": "time", "parts": bins, "folds": [bins] * folds},
    }
    svg = split_figure(summary)
    assert svg is not None
    check(svg)
    total = sum(sum(one) for one in bins)
    parts = {name for name in ("unused", "train", "val", "test") if f'"fill {name}"' in svg}
    assert parts >= ({"train", "val", "test"} if total else set())


@pytest.mark.parametrize("name", WORDS)
def test_tilted_names_stay_inside(name: str) -> None:
    svg = heat_map(np.eye(9) * 5, [name] * 9, title="t")
    (_, _, width, _), _ = boxes_of(svg)
    tilted = re.findall(
        r'translate\(([\d.]+) ([\d.]+)\) rotate\(-(\d+)\)"><title>.*?</title>(.*?)<', svg
    )
    for x, y, angle, text in tilted:
        wide = measured(html.unescape(text)) * SIZE
        tilt = math.radians(float(angle))
        assert float(x) + wide * math.cos(tilt) <= width + 0.5
        assert float(y) - wide * math.sin(tilt) - SIZE * 0.5 >= -0.5
    assert len(tilted) in (0, 9)


@given(st.lists(st.tuples(LABELS, VALUES), min_size=1, max_size=5), LABELS)
@settings(max_examples=40, deadline=None)
def test_names_and_numbers_of_a_forest_on_a_phone(
    items: list[tuple[str, float]], text: str
) -> None:
    """Its width is the window's: the narrowest is reckoned with."""
    made = [Estimate(name=n, value=v, low=v - 1, high=v + 1, text=text[:20]) for n, v in items]
    root = ElementTree.fromstring(forest(made, title="t", sides=("a", "b")))
    lines: dict[str, list[float]] = {}
    for one in root.iter("text"):
        if one.attrib["x"] in ("0%", "100%"):
            lines.setdefault(one.attrib["y"], []).append(measured(one.text or "") * 14.1)
    assert all(sum(widths) + 4 < 280 for widths in lines.values() if len(widths) > 1)
    assert all(max(widths) < 300 for widths in lines.values())


@given(st.floats(-1e5, 1e5, allow_subnormal=False), st.floats(1e-3, 1e5), st.floats(1e-3, 1e5))
@settings(max_examples=60, deadline=None)
@example(-50_646.0, 9_858.0, 58_027.0)
def test_labels_of_a_forest_keep_clear_on_a_phone(value: float, low: float, high: float) -> None:
    one = Estimate(name="n", value=value, low=value - low, high=value + high, text="t")
    root = ElementTree.fromstring(forest([one], title="t", sides=("a", "b")))
    share = {"start": 0.0, "middle": 0.5, "end": 1.0}
    spans = []
    for text in root.iter("text"):
        if text.get("class") == "" and text.text != "n":
            wide = measured(text.text or "") * 14.1
            begin = float(text.attrib["x"].rstrip("%")) * 2.8
            begin -= wide * share[text.attrib["text-anchor"]]
            spans.append((begin, begin + wide))
    spans.sort()
    assert spans
    assert all(a[1] + 4 <= b[0] for a, b in pairwise(spans))
