"""Numbers, metrics and names as people read them."""

from __future__ import annotations

import math
import re
from typing import get_args

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plumbline.config.evaluation import BaselineName
from plumbline.config.model import MetricName
from plumbline.evaluation.metrics import METRICS
from plumbline.numbers import NBSP, aligned, cell, fixed, interval, number, percent, plural
from plumbline.report.text import breakable, coded, printable
from plumbline.words import (
    BASELINE_WORDS,
    METRIC_WORDS,
    metric_difference,
    metric_interval,
    metric_value,
    metric_values,
)

POWERS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (math.nan, "–"),
        (math.inf, "–"),
        (0, "0"),
        (-0.0, "0"),
        (7, "7"),
        (1234567, "1,234,567"),
        (-1234, "−1,234"),
        (0.5, "0.5"),
        (1 / 3, "0.3333"),
        (1234.5678, "1,235"),
        (0.000123456, "0.0001235"),
        (1.23456e-7, "1.235 × 10⁻⁷"),
        (-2e-300, "−2 × 10⁻³⁰⁰"),
        (1.5e12, "1.5 trillion"),
        (1234567.8, "1,234,568"),
        (9_999_999.9, "10 million"),
        (786507172.3, "786.5 million"),
        (-2.5e9, "−2.5 billion"),
        (10**12, "1 trillion"),
        (1e15, "1 × 10¹⁵"),
        (99999.9999, "100,000"),
        (0.00009999999, "0.0001"),
    ],
)
def test_a_number_has_four_digits_and_one_look(value: float | None, text: str) -> None:
    assert number(value) == text.replace(" ", NBSP)


@given(st.floats(-1e300, 1e300), st.integers(1, 6))
def test_a_number_is_read_back_as_what_it_was(value: float, digits: int) -> None:
    """To so many digits, whatever it is counted in; and no line can break inside it."""
    text = number(value, digits)
    assert " " not in text and "e" not in text.split(NBSP)[0] and len(text) < 24
    assert read(text) == pytest.approx(value, rel=0.51 * 10.0 ** (1 - digits), abs=1e-320)


def read(text: str) -> float:
    """A number as a reader takes it."""
    words = {"million": 1e6, "billion": 1e9, "trillion": 1e12}
    plain, _, unit = text.replace(",", "").replace("−", "-").partition(NBSP)
    if unit.startswith("×"):
        return float(f"{plain}e{unit.split('10')[1].translate(POWERS)}")
    return float(plain) * words.get(unit, 1.0)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (512e6, 698e6, "512 to 698 million"),
        (0.5, 12345.0, "0.5 to 12,345"),
        (-2.5e7, 2.5e7, "−25.0 to 25.0 million"),
        (None, 1.0, "–"),
        (1.0, math.inf, "–"),
    ],
)
def test_an_interval_has_one_unit(low: float | None, high: float | None, text: str) -> None:
    assert interval(low, high, 3).replace(NBSP, " ") == text


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8), st.integers(1, 4))
@example([6.103515625e-05], 2)
def test_numbers_of_a_column_have_as_many_decimals_each(values: list[float], digits: int) -> None:
    texts = aligned(values, digits)
    if all("×" not in text for text in texts):
        assert len({len(text.partition(".")[2]) for text in texts}) == 1
    for value, text in zip(values, texts, strict=True):
        last = 0.51 * 10 ** -len(text.partition(".")[2])
        if "×" in text:  # a power of ten has its digits in front of it
            last = 0.51 * abs(value) * 10 ** (1 - digits)
        assert read(text) == pytest.approx(value, abs=last)


def test_fixed_percent_plural() -> None:
    assert fixed(-0.0001, 3) == "0.000" and fixed(-1.5, 1) == "−1.5"
    assert percent(0.123) == "12.3%" and percent(None) == "–"
    assert plural(1, "row") == "1 row" and plural(2000, "class", "classes") == "2,000 classes"


def test_metrics_look_by_their_kind() -> None:
    assert metric_value("roc_auc", 1) == "1.000" and metric_value("rmse", 24700.123) == "24,700"
    assert metric_difference("accuracy", 0.01) == "+0.010"
    assert metric_difference("accuracy", -0.01) == "−0.010"
    assert metric_interval("f1", 0.5, 0.75) == "0.500 to 0.750"
    assert metric_interval("f1", None, 0.75) == "–"
    assert metric_value("of our own", 0.5) == "0.500"
    assert metric_values("rmse", [0.8312, 1.3, 1.2711]) == ["0.831", "1.300", "1.271"]
    assert metric_values("rmse", [23292.29, 13580.0, None]) == ["23,292", "13,580", "–"]
    assert metric_values("f1", [1.0, 0.5]) == ["1.000", "0.500"]


def test_the_words_are_those_of_evaluation_and_configuration() -> None:
    assert set(METRIC_WORDS) == set(METRICS) == set(get_args(MetricName))
    for name, metric in METRICS.items():
        assert METRIC_WORDS[name].greater_is_better == metric.greater_is_better, name
    assert set(BASELINE_WORDS) == set(get_args(BaselineName))


def test_long_names_may_break_and_stay_the_same_text() -> None:
    for name in ("train.learning_rate", "a__b", "<b>_x", "&amp;_", "x" * 50, "_start", "中_文"):
        broken = breakable(name)
        assert re.sub("<wbr>", "", broken) == str(breakable(name.replace("_", "_"))).replace(
            "<wbr>", ""
        )
        assert "<b>" not in broken
    assert breakable("learning_rate") == "learning_<wbr>rate"
    assert breakable("a&b") == "a&amp;b"  # no break inside an entity
    for one in ("0.0123", "12:30:05", "2024-01-31", "≤ 1.5", "-3.2"):
        assert breakable(one) == one  # nor inside a number, a time or a date
    assert breakable("v1.x_2") == "v1.<wbr>x_<wbr>2"


def test_code_in_our_own_sentences() -> None:
    assert coded("run `a<b` now") == "run <code>a&lt;b</code> now"


def test_what_cannot_be_shown_is_replaced() -> None:
    assert printable("a\x00b\x1b\x85\ud800c\t\n") == "a\ufffdb\ufffd\ufffd\ufffdc\t\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [(1950.0, "1950"), (0.0, "0"), (-7.0, "−7"), (215_245.0, "215,245"), (0.08436, "0.0844")],
)
def test_a_cell_of_the_data_keeps_years_and_codes_as_they_are(value: float, text: str) -> None:
    assert cell(value, 3) == text
