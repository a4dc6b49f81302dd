"""A window's verdicts: what chance does not explain, and is large enough to matter."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from plumbline.evaluation.drift import ColumnDrift, ColumnPair
from plumbline.evaluation.window_drift import compare_window, losses_risen, missing_pair
from plumbline.kinds import ColumnType


def verdict(kind: ColumnType, before: Any, after: Any, **limits: float) -> ColumnDrift:
    pair = ColumnPair(type=kind, reference=pl.Series(before), current=pl.Series(after))
    return compare_window({"c": pair}, **{"level": 1e-4, "distance": 0.1, **limits})["c"]


@pytest.mark.parametrize("values", [2, 3, 8, 40])
def test_categories_of_the_same_distribution_are_significant_as_rarely_as_the_level_says(
    values: int,
) -> None:
    """Also where the window is as large as the reference, which is then no distribution itself."""
    rng = np.random.default_rng(values)
    shares = rng.dirichlet(np.ones(values))
    below = 0
    for _ in range(300):
        sides = (rng.choice(values, 400, p=shares).astype(str) for _ in range(2))
        score = verdict(ColumnType.CATEGORY, *sides).score
        assert score is not None
        below += score < 0.05
    assert below <= 300 * 0.05 + 3 * np.sqrt(300 * 0.05 * 0.95)


def test_what_has_moved_is_drift() -> None:
    rng = np.random.default_rng(0)
    number = verdict(ColumnType.NUMBER, rng.normal(size=1000), rng.normal(0.5, 1, 500))
    assert number.drifted and number.method == "K-S p_value"
    category = verdict(
        ColumnType.CATEGORY, rng.choice(list("abc"), 1000), rng.choice(list("abd"), 500)
    )
    assert category.drifted and "homogeneity" in str(category.method)
    flag = verdict(ColumnType.BOOLEAN, rng.random(1000) < 0.5, rng.random(500) < 0.8)
    assert flag.drifted and "Fisher" in str(flag.method)
    days = pl.Series(range(1000)).cast(pl.Datetime("us"))
    assert verdict(ColumnType.DATE, days, days.dt.offset_by("3d")).drifted


def test_what_is_significant_but_too_small_to_matter_is_none() -> None:
    rng = np.random.default_rng(0)
    before, after = rng.normal(size=100_000), rng.normal(0.05, 1, 100_000)
    one = verdict(ColumnType.NUMBER, before, after)
    assert one.score is not None and one.score < 1e-4 and not one.drifted
    assert verdict(ColumnType.NUMBER, before, after, distance=0.01).drifted


@pytest.mark.parametrize("kind", [ColumnType.NUMBER, ColumnType.CATEGORY])
def test_a_column_of_one_value_or_of_none_is_no_drift(kind: ColumnType) -> None:
    value = 1.0 if kind is ColumnType.NUMBER else "a"
    assert not verdict(kind, [value] * 50, [value] * 50).drifted
    empty = pl.Series([None] * 50, dtype=pl.Float64 if kind is ColumnType.NUMBER else pl.String)
    nothing = verdict(kind, [value] * 50, empty)
    assert nothing.score is None and not nothing.drifted and nothing.missing == (0.0, 1.0)


def test_missing_cells_are_compared_exactly() -> None:
    def missing(before: int, after: int) -> ColumnDrift:
        sides = (pl.Series([None] * n + [1.0] * (1000 - n)) for n in (before, after))
        reference, current = sides
        pair = ColumnPair(type=ColumnType.NUMBER, reference=reference, current=current)
        return compare_window({"c": missing_pair(pair)}, level=1e-4, distance=0.1)["c"]

    assert not missing(0, 0).drifted and not missing(0, 3).drifted and not missing(50, 60).drifted
    assert missing(0, 60).drifted and missing(50, 150).drifted


def test_a_rare_value_of_two_counts() -> None:
    """A reference of few rows, of which very few are flagged."""
    few = verdict(ColumnType.BOOLEAN, [True] * 2 + [False] * 98, [True] * 60 + [False] * 140)
    assert few.drifted and "Fisher" in str(few.method)


def test_losses_have_risen_or_not() -> None:
    rng = np.random.default_rng(0)
    before = rng.exponential(size=500)
    risen = losses_risen(before, 2 * rng.exponential(size=300), level=1e-3)
    assert risen.drifted and risen.distance is not None and 0.5 < risen.distance < 1.5
    assert not losses_risen(before, rng.exponential(size=300), level=1e-3).drifted
    assert not losses_risen(before, 0.5 * rng.exponential(size=300), level=1e-3).drifted
