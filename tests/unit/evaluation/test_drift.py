"""Drift per column: what must be seen, what must not be, and what must not stop it."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import chi2_contingency
from tests.made import unpacked

from plumbline.evaluation.drift import RARE, ColumnDrift, ColumnPair, _column, chance, compare
from plumbline.evaluation.homogeneity import homogeneity_test
from plumbline.kinds import ColumnType

RNG = np.random.default_rng(0)


def pair(kind: ColumnType, reference: Any, current: Any, dtype: Any = None) -> ColumnPair:
    return ColumnPair(
        type=kind,
        reference=pl.Series("r", reference, dtype=dtype),
        current=pl.Series("c", current, dtype=dtype),
    )


def numbers(shift: float, n: int = 400) -> ColumnPair:
    return pair(ColumnType.NUMBER, RNG.normal(size=n), RNG.normal(size=n) + shift)


def one(given: ColumnPair, method: str = "auto", threshold: float | None = None) -> dict[str, Any]:
    result, _ = compare({"x": given}, method=method, threshold=threshold)
    return result["x"].to_json()


def test_what_moved_is_found_and_what_did_not_is_not() -> None:
    dates = [datetime(2020, 1, 1) + timedelta(days=d) for d in range(300)]
    result, page = compare(
        {
            "same": numbers(0.0),
            "moved": numbers(1.0),
            "category": pair(ColumnType.CATEGORY, ["a", "b"] * 200, ["a", "a", "a", "b"] * 50),
            "flag": pair(ColumnType.BOOLEAN, [True, False] * 100, [True, False] * 40),
            "later": pair(ColumnType.DATE, dates[:200], dates[200:]),
        },
        method="auto",
        threshold=None,
    )
    assert {name: f.drifted for name, f in result.items()} == {
        "same": False,
        "moved": True,
        "category": True,
        "flag": False,
        "later": True,
    }
    assert all(name in unpacked(page) for name in result)
    assert page.lstrip().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("method", ["psi", "ks", "wasserstein", "jensenshannon"])
def test_each_method_tells_a_shift_from_none(method: str) -> None:
    for given, drifted in ((numbers(0.0, 2000), False), (numbers(1.0, 2000), True)):
        assert one(given, method)["drifted"] is drifted
    # categories: those methods that compare them, else Evidently's choice
    words = pair(ColumnType.CATEGORY, ["a", "b"] * 200, ["a", "a", "a", "b"] * 100)
    assert one(words, method)["drifted"]


def test_the_threshold_decides() -> None:
    given = numbers(0.3, 300)
    strict, lax = one(given, "psi", 1e-6), one(given, "psi", 5.0)
    assert strict["drifted"] and not lax["drifted"]
    assert strict["score"] == lax["score"] and lax["threshold"] == 5.0


NONE = [None] * 30
ODD = {
    "all missing now": (pair(ColumnType.NUMBER, np.arange(30.0), NONE, pl.Float64), True),
    "all missing before": (pair(ColumnType.CATEGORY, NONE, ["a"] * 30, pl.String), True),
    "all missing": (pair(ColumnType.NUMBER, NONE, NONE, pl.Float64), False),
    "constant": (pair(ColumnType.NUMBER, [1.0] * 30, [1.0] * 20), False),
    "two constants": (pair(ColumnType.NUMBER, [1.0] * 30, [2.0] * 20), True),
    "constant word": (pair(ColumnType.CATEGORY, ["a"] * 30, ["a"] * 20), False),
    "new value": (pair(ColumnType.CATEGORY, ["a", "b"] * 50, ["c"] * 60), True),
    "infinite": (pair(ColumnType.NUMBER, [1.0, 2.0, np.inf, np.nan] * 9, [1.0, 2.0] * 9), False),
    "missing words": (pair(ColumnType.CATEGORY, ["a", "b"] * 90, ["a", None] * 60), True),
    "empty words": (pair(ColumnType.CATEGORY, ["", "b"] * 90, ["", "b"] * 60), False),
    "free text": (
        pair(ColumnType.TEXT, [f"r{i}" for i in range(300)], [f"c{i}" for i in range(200)]),
        False,  # no value was ever seen twice, so new ones say nothing
    ),
    "one row": (pair(ColumnType.NUMBER, [1.0, 2.0, 3.0], [2.0]), None),
    "one row each": (pair(ColumnType.NUMBER, [1.0], [2.0]), None),
    "one word": (pair(ColumnType.CATEGORY, ["a"], ["b"]), None),
    "one flag": (pair(ColumnType.BOOLEAN, [True, False], [True]), None),
    "one date": (pair(ColumnType.DATE, [datetime(2020, 1, 1)] * 2, [datetime(2021, 1, 1)]), None),
    "no row": (pair(ColumnType.NUMBER, [1.0, 2.0], [], pl.Float64), None),
}


@pytest.mark.parametrize("method", ["auto", "psi", "ks", "wasserstein", "jensenshannon"])
def test_odd_columns_do_not_stop_it(method: str) -> None:
    given = {name: odd for name, (odd, _) in ODD.items()}
    # alone and beside others, whose lengths differ
    result, _ = compare(given, method=method, threshold=None)
    assert list(result) == list(given)
    if method == "auto":
        wanted = {name: drifted for name, (_, drifted) in ODD.items() if drifted is not None}
        assert {name: result[name].drifted for name in wanted} == wanted
    size = 1 if method == "auto" else 6  # a page of each takes its time
    for start in range(0, len(given), size):
        few = dict(list(given.items())[start : start + size])
        for name, alone in compare(few, method=method, threshold=None)[0].items():
            assert alone.to_json() == result[name].to_json(), name
            if alone.method is None:
                assert alone.score is None and alone.threshold is None


def compared(score: float, threshold: float = 0.05, method: str = "K-S p_value") -> ColumnDrift:
    return ColumnDrift(
        method=method,
        score=score,
        threshold=threshold,
        drifted=score < threshold,
        missing=(0.0, 0.0),
    )


def test_chance_is_what_tests_find_where_nothing_has_changed() -> None:
    result = chance([compared(0.01), compared(0.04), *[compared(0.5)] * 28])
    assert result is not None
    # of 30 independent columns: 1.5 on average, more than 4 in less than 5 % of runs
    assert result.to_json() == {
        "tested": 30,
        "drifted": 2,
        "threshold": 0.05,
        "expected": pytest.approx(1.5),
        "at_most": 4,
        "exceeded": False,
    }
    many = chance([*[compared(0.01)] * 5, *[compared(0.5)] * 25])
    assert many is not None and many.to_json()["exceeded"] is True


@pytest.mark.parametrize(
    "method", ["Wasserstein distance (normed)", "Jensen-Shannon distance", "PSI"]
)
def test_a_distance_has_no_rate_of_chance(method: str) -> None:
    assert chance([compared(0.5, method=method)] * 20) is None
    mixed = chance([compared(0.5, method=method), compared(0.001)])
    assert mixed is not None and (mixed.tested, mixed.expected) == (1, 0.05)


@pytest.mark.parametrize(("method", "is_test"), [("ks", True), ("psi", False)])
def test_tests_are_known_by_their_name(method: str, is_test: bool) -> None:
    result, _ = compare({"x": numbers(0.0)}, method=method, threshold=None)
    assert (chance(result.values()) is not None) is is_test


def test_unchanged_rows_drift_as_often_as_chance_says() -> None:
    rng = np.random.default_rng(5)
    columns = {
        f"c{i}": pair(ColumnType.NUMBER, rng.normal(size=300), rng.normal(size=200))
        for i in range(60)
    }
    result, _ = compare(columns, method="ks", threshold=None)
    by_chance = chance(result.values())
    assert by_chance is not None and by_chance.tested == 60
    assert by_chance.expected == pytest.approx(3.0) and by_chance.at_most == 6
    assert not by_chance.to_json()["exceeded"]


def test_missing_shares_are_told() -> None:
    answer = one(pair(ColumnType.NUMBER, [1.0, None, 2.0, 3.0], [1.0, 2.0]))
    assert answer["missing"] == {"reference": 0.25, "current": 0.0}


def test_rare_values_count_as_one() -> None:
    reference = ["common"] * 500 + [f"v{i}" for i in range(500)]
    current = ["common"] * 500 + [f"w{i}" for i in range(500)]
    result, page = compare(
        {"x": pair(ColumnType.TEXT, reference, current)}, method="auto", threshold=None
    )
    shown = unpacked(page)
    assert RARE in shown and "w499" not in shown
    assert result["x"].score == 1.0 and not result["x"].drifted  # p-value: half are rare, as before


SAME = """
import polars as pl, hashlib
from plumbline.evaluation.drift import ColumnPair, compare
from plumbline.kinds import ColumnType
words = [f"w{i % 7}" for i in range(200)]
given = ColumnPair(
    type=ColumnType.CATEGORY, reference=pl.Series(words), current=pl.Series(words[:50] + ["new"])
)
found, page = compare({"x": given}, method="auto", threshold=None)
print(found["x"].to_json(), hashlib.sha256(page.encode()).hexdigest())
"""


def test_two_processes_give_the_same_bytes() -> None:
    """Even where strings hash differently."""
    seed = "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"
    other = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", SAME],
        env={"PYTHONHASHSEED": seed, "PATH": "", "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    with contextlib.redirect_stdout(io.StringIO()) as here:
        exec(SAME, {})
    assert here.getvalue() == other


@pytest.mark.parametrize("values", [[0.0], [0.0, 1.0], [0.0, 1.0, 2.0, 3.0]])
def test_a_number_of_few_values_has_not_drifted_by_one_new_row(values: list[float]) -> None:
    """As categories, which Evidently makes of it, its p-value would be 0."""
    reference = np.resize(values, 204)
    current = np.append(np.resize(values, 135), 0.04)
    assert not one(pair(ColumnType.NUMBER, reference, current))["drifted"]
    moved = np.append(np.full(100, 0.5), np.resize(values, 35))
    assert one(pair(ColumnType.NUMBER, reference, moved))["drifted"]


def shares(rng: np.random.Generator, odds: list[float], rows: int) -> pl.Series:
    """Categories drawn by their odds."""
    return pl.Series(rng.choice(np.array(list("abcdefgh")[: len(odds)]), rows, p=odds))


@pytest.mark.parametrize("rows", [(200, 200), (600, 200)])
@pytest.mark.parametrize(
    "odds", [[0.5, 0.3, 0.2], [0.4, 0.3, 0.2, 0.06, 0.04], [0.6, 0.2, 0.1, 0.06, 0.02, 0.02]]
)
def test_categories_of_one_distribution_drift_as_often_as_the_level_says(
    odds: list[float], rows: tuple[int, int]
) -> None:
    rng = np.random.default_rng(0)
    p_values = []
    for _ in range(600):
        before, after = (shares(rng, odds, count) for count in rows)
        kept = _column(ColumnPair(type=ColumnType.CATEGORY, reference=before, current=after))
        assert kept is not None
        p_values.append(homogeneity_test(kept[0], kept[1], "cat", 0.05).drift_score)
    assert 0.03 <= np.mean(np.array(p_values) < 0.05) <= 0.07


@pytest.mark.parametrize("method", ["auto", "ks"])
def test_categories_and_numbers_of_few_values_are_tested_as_two_samples(method: str) -> None:
    rng = np.random.default_rng(1)
    before, same = shares(rng, [0.5, 0.3, 0.2], 300), shares(rng, [0.5, 0.3, 0.2], 300)
    away = shares(rng, [0.2, 0.3, 0.5], 300)
    new = pl.Series([*same.to_list()[:200], *["new"] * 100])
    codes = {"a": 1.0, "b": 2.0, "c": 3.0}
    columns = {
        name: ColumnPair(type=ColumnType.CATEGORY, reference=before, current=current)
        for name, current in {
            "same": same,
            "away": away,
            "new": new,
            "one": pl.Series(["a"] * 300),
            "empty": pl.Series([None] * 300, dtype=pl.String),
        }.items()
    }
    columns["number"] = ColumnPair(
        type=ColumnType.NUMBER,
        reference=before.replace_strict(codes),
        current=away.replace_strict(codes),
    )
    constant = pl.Series(["a"] * 300)
    columns["constant"] = ColumnPair(type=ColumnType.CATEGORY, reference=constant, current=constant)
    result, page = compare(columns, method=method, threshold=None)
    drifted = {name: one.drifted for name, one in result.items()}
    assert drifted == {
        "same": False,
        "away": True,
        "new": True,
        "one": True,
        "empty": True,
        "number": True,
        "constant": False,
    }
    assert result["same"].method == "chi-square of homogeneity p_value"
    assert result["number"].method == (result["same"].method if method == "auto" else "K-S p_value")
    table = [[one.to_list().count(v) for v in "abc"] for one in (before, same)]
    wanted = chi2_contingency(np.array(table), correction=False).pvalue
    assert result["same"].score == pytest.approx(wanted)
    assert result["same"].threshold == 0.05 and "chi-square of homogeneity" in unpacked(page)
