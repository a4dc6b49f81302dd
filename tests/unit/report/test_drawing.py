"""Scales, ticks, and drawings that survive what data can be."""

from __future__ import annotations

import itertools
import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from plumbline.report.architecture_figure import PartBox, architecture_figure
from plumbline.report.clouds import cloud, heat_map, swarm
from plumbline.report.forest import Estimate, forest, limits
from plumbline.report.plots import Axes, Series, bars, histogram, lines, thin
from plumbline.report.svg import Scale, nice_ticks, span, text_width

REALS = st.floats(allow_nan=True, allow_infinity=True, width=32)
FINITE = st.floats(-1e30, 1e30)
REAL = st.floats(-1e4, 1e4)


def drawn(svg: Markup) -> ElementTree.Element:
    """Well-formed, named, and without a coordinate that is no number."""
    root = ElementTree.fromstring(str(svg))
    assert root.get("role") == "img" and root.get("aria-label")
    values = " ".join(value for e in root.iter() for value in e.attrib.values())
    assert not re.search(r"\b(nan|inf)\b", values)
    return root


@given(low=FINITE, gap=st.floats(1e-6, 1e6), count=st.integers(2, 8))
def test_ticks_are_few_rising_and_inside(low: float, gap: float, count: int) -> None:
    high = low + gap * max(1.0, abs(low))
    ticks = nice_ticks(low, high, count)
    assert 1 <= len(ticks) <= 2 * count + 1
    assert all(a < b for a, b in itertools.pairwise(ticks))
    tolerance = (high - low) * 1e-6
    assert all(low - tolerance <= t <= high + tolerance for t in ticks)


def test_ticks_are_round() -> None:
    assert nice_ticks(0, 1, 5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])
    assert nice_ticks(-3, 4, 4) == [-2, 0, 2, 4]


@given(st.lists(REALS, max_size=20), st.booleans())
def test_a_span_holds_all_finite_values_and_has_a_length(values: list[float], zero: bool) -> None:
    low, high = span(values, zero=zero)
    assert low < high and math.isfinite(low) and math.isfinite(high)
    for value in values:
        assert not math.isfinite(value) or low <= value <= high
    assert not zero or low <= 0 <= high


def test_a_whole_scale_has_no_half_ticks() -> None:
    assert Scale(low=0, high=2, start=0, end=100, whole=True).ticks() == [0, 1, 2]
    assert 0.5 in Scale(low=0, high=2, start=0, end=100).ticks()


def test_tick_labels_have_room() -> None:
    y = np.array([-400_000.0, 600_000.0])
    text = str(cloud(y, y, title="t", axes=("x", "y")))
    ticks = re.findall(r'<text x="([\d.]+)" y="[\d.]+" text-anchor="end">([^<]+)</text>', text)
    assert "−400,000" in {words for _, words in ticks}
    for x, words in ticks:
        assert float(x) >= text_width(words), words


def test_a_scale_maps_ends_to_ends() -> None:
    scale = Scale(low=10, high=20, start=300, end=100)
    assert scale(10) == 300 and scale(20) == 100 and scale(15) == 200


def test_ideographs_are_wide() -> None:
    assert text_width("中文") > 1.5 * text_width("ab")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(REALS, REALS), max_size=30))
def test_lines_survive_any_values(points: list[tuple[float, float]]) -> None:
    x, y = (np.array([p[i] for p in points], dtype=float) for i in (0, 1))
    one = Series(name="<a>", x=x, y=y, band=(y - 1, y + 1))
    drawn(lines([one, Series(name="b", x=x, y=y, joined=False)], Axes(title="t", x="x", y="y")))
    drawn(cloud(x, y, title="t", axes=("x", "y"), diagonal=True, level=0.0))
    drawn(histogram(y, title="t", axis="y"))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=8), FINITE), min_size=1, max_size=8))
def test_bars_and_swarms_survive_any_names(items: list[tuple[str, float]]) -> None:
    names = [(re.sub(r"[^\w<>&\"']", "", name), value) for name, value in items]
    root = drawn(bars(names, title="t", axis="a"))
    assert len(root.findall("{*}text") or root.findall("text")) == 2 * len(names) + 1
    drawn(swarm([(n, np.array([v, -v, v])) for n, v in names], title="t", axis="a"))


def estimate(name: str, low: float, value: float, high: float) -> Estimate:
    return Estimate(name=name, low=low, value=value, high=high, text=f"{name} {value:+.4f}")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(FINITE, FINITE, FINITE), min_size=1, max_size=5))
def test_forests_survive_any_estimates(triples: list[tuple[float, float, float]]) -> None:
    items = [estimate(f"n{i}", *sorted(triple)) for i, triple in enumerate(triples)]
    root = drawn(forest(items, title="t", sides=("a", "b")))
    shown = [text.text for text in root]
    assert all(e.text in shown for e in items)  # whatever the axis, the number is there


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(REAL, REAL, REAL), min_size=1, max_size=5))
def test_zero_and_the_first_are_always_to_scale(triples: list[tuple[float, ...]]) -> None:
    items = [estimate(f"n{i}", *sorted(triple)) for i, triple in enumerate(triples)]
    low, high = limits(items)
    first = items[0]
    assert low <= 0 <= high and low <= first.low and first.high <= high
    root = drawn(forest(items, title="t", sides=("a", "b")))
    marks = root.findall("circle")
    assert len(marks) == sum(low <= e.value <= high for e in items)
    percents = [
        float(value.removesuffix("%"))
        for element in root
        for key, value in element.attrib.items()
        if key in ("x1", "x2", "cx", "x")
    ]
    assert all(0 <= p <= 100 for p in percents)  # nothing is cut


def test_a_far_baseline_is_an_arrow_with_its_number_and_squeezes_nobody() -> None:
    best = estimate("boosting", -0.001, 0.003, 0.006)
    near, far = estimate("linear", 0.02, 0.025, 0.03), estimate("constant", 0.44, 0.46, 0.48)
    low, high = limits([best, near, far])
    assert low < -0.001 and 0.03 < high < 0.04
    root = drawn(forest([best, near, far], title="t", sides=("worse", "better")))
    assert len(root.findall("circle")) == 2
    tips = [e for e in root.findall("line") if "off" in (e.get("class") or "")]
    assert len(tips) == 2 and all(e.get("x1") == "100%" for e in tips)
    assert "constant +0.4600" in [e.text for e in root]
    assert {"← worse", "better →"} <= {e.text for e in root}


def test_a_heat_map_names_classes_and_counts() -> None:
    counts = np.array([[5.0, 1.0], [0.0, 4.0]])
    text = str(heat_map(counts, ["<a>", "b"], title="t"))
    assert "&lt;a&gt;" in text and ">5<" in text and "90.0% on the diagonal" in text
    drawn(heat_map(np.zeros((3, 3)), ["", "b", "a long name of a class"], title="t"))
    large = str(heat_map(np.eye(30), [f"class {i}" for i in range(30)], title="t"))
    assert ">1<" not in large  # too many for numbers in the cells


def test_many_points_become_a_density() -> None:
    rng = np.random.default_rng(0)
    text = str(cloud(rng.normal(size=20_000), rng.normal(size=20_000), title="t", axes=("x", "y")))
    assert len(text) < 60_000 and 'class="h6"' in text
    assert "20,000 rows" in text


def test_thinning_keeps_both_ends() -> None:
    values = np.arange(10_001.0)
    kept = thin(values, 100)
    assert len(kept) == 100 and kept[0] == 0 and kept[-1] == 10_000


@given(
    value=st.floats(-1e3, 1e3),
    low=st.floats(1e-4, 1e2),
    high=st.floats(1e-4, 1e2),
)
def test_the_line_at_zero_of_a_forest_has_its_label(value: float, low: float, high: float) -> None:
    one = Estimate(name="a", value=value, low=value - low, high=value + high, text="t")
    root = drawn(forest([one], title="t", sides=("worse", "better")))
    (zero,) = (e for e in root.iter() if e.tag.endswith("text") and e.text == "0")
    axis = next(e for e in root.iter() if e.get("class") == "axis")
    at = [float(str(e.get(key)).rstrip("%")) for e, key in ((zero, "x"), (axis, "x1"))]
    assert at[0] == pytest.approx(at[1], abs=0.11)


@given(
    steps=st.lists(
        st.sampled_from(["Standardize", "ImageCNN", "SampleDropout", "Linear"]),
        min_size=1,
        max_size=3,
    )
)
def test_the_modules_of_an_encoder_are_written_out(steps: list[str]) -> None:
    part = PartBox(
        name="photo",
        style="h1",
        reads=["photo"],
        steps=steps,
        shape="(N, 129)",
        amount="326,608",
        share=1.0,
        repeats=1,
    )
    root = drawn(architecture_figure([part], ["prediction"]))
    texts = " ".join(e.text or "" for e in root.iter() if e.tag == "text")
    assert " → ".join(steps) in texts and "…" not in texts
