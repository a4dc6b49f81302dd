"""Is a column distributed as in the reference, though it is asked of many columns, many times?

Two things have to hold: a test finds a difference at a level that leaves room for all the tests
that are made, and a distance says that the difference is one that matters. Tests and distances are
Evidently's, but for those of categories (`homogeneity`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import pandas as pd
import polars as pl

# first: it turns off Evidently's telemetry before that is imported
from plumbline.evaluation.drift import (
    FREQUENT,
    P_VALUE,
    ColumnDrift,
    ColumnPair,
    as_numbers,
    missing_shares,
)
from plumbline.evaluation.homogeneity import fisher_test, homogeneity_test

# isort: split
from evidently.legacy.calculations.stattests import (
    jensenshannon_stat_test,
    ks_stat_test,
    mann_whitney_u_stat_test,
    wasserstein_stat_test,
)
from evidently.legacy.calculations.stattests.registry import StatTest
from evidently.legacy.core import ColumnType as EvidentlyType

from plumbline.kinds import ORDERED, ColumnType, DoubleArray

EXPECTED = 10.0  # rows of a value in the smaller sample, at least: the test's approximation


def _pooled(pair: ColumnPair) -> tuple[pd.Series, pd.Series]:
    """Categories as numbers, rare ones as one, so that each is expected often enough in both
    samples; a missing cell is a category.

    What is rare is decided on both together: by the reference alone, the rare would be those that
    it has too few of by chance, and the window more.
    """
    sides = [side.cast(pl.String).alias("value") for side in (pair.reference, pair.current)]
    counts = pl.concat(sides).value_counts().sort(["count", "value"], descending=[True, False])
    share = min(map(len, sides)) / sum(map(len, sides))
    kept = counts
    if len(counts) > 2:  # two values have an exact test
        kept = counts.filter(pl.col("count") * share >= EXPECTED).head(FREQUENT)
    rare = sum(map(len, sides)) - int(kept["count"].sum())
    if 0 < rare * share < EXPECTED:
        kept = kept.head(len(kept) - 1)  # the rarest goes with those that are too few
    numbers = kept.select("value").with_row_index("number")
    before, after = (
        side.to_frame().join(
            numbers, on="value", how="left", nulls_equal=True, maintain_order="left"
        )
        for side in sides
    )
    codes = (one["number"].cast(pl.Int64).fill_null(-1) for one in (before, after))
    reference, current = (pd.Series(one.to_numpy()) for one in codes)
    return reference, current


def compare_window(
    pairs: Mapping[str, ColumnPair], *, level: float, distance: float
) -> dict[str, ColumnDrift]:
    """Verdicts by column, in the order given.

    Args:
        level: of each test; below it is significant.
        distance: that a significant difference must have: standard deviations, or the
            Jensen-Shannon distance.
    """
    return {name: _compare(pair, level, distance) for name, pair in pairs.items()}


def missing_pair(pair: ColumnPair) -> ColumnPair:
    """Whether cells are missing, as a column to compare."""
    return ColumnPair(
        type=ColumnType.BOOLEAN,
        reference=pair.reference.is_null(),
        current=pair.current.is_null(),
    )


def losses_risen(reference: DoubleArray, current: DoubleArray, *, level: float) -> ColumnDrift:
    """Whether losses of rows have risen, by a one-sided rank test; `distance` is the share by
    which their mean has."""
    before, after = pd.Series(reference), pd.Series(current)
    result = mann_whitney_u_stat_test(before, after, EvidentlyType.Numerical, level)
    mean = float(before.mean())
    rise = float(after.mean()) / mean - 1.0 if mean > 0 else 0.0
    return ColumnDrift(
        method=_named(mann_whitney_u_stat_test),
        score=float(result.drift_score),
        threshold=level,
        drifted=bool(result.drifted),
        missing=(0.0, 0.0),
        distance=rise,
    )


def _compare(pair: ColumnPair, level: float, distance: float) -> ColumnDrift:
    missing = missing_shares(pair)
    if 1.0 in missing:  # that a side has no value is for the test of missing cells
        return _nothing(missing)
    if pair.type in ORDERED:
        kind, test, measure = EvidentlyType.Numerical, ks_stat_test, wasserstein_stat_test
        before, after = (
            as_numbers(one, pair.type).dropna() for one in (pair.reference, pair.current)
        )
        if not len(before) or not len(after):
            return _nothing(missing)
        values = 3
    else:
        kind, test, measure = EvidentlyType.Categorical, homogeneity_test, jensenshannon_stat_test
        before, after = _pooled(pair)
        values = pd.concat([before, after]).nunique()
    if values == 2:
        test = fisher_test
    p_value, away = 1.0, 0.0
    if values > 1:  # of a single value nothing differs, and a table of one column has no test
        p_value = float(test(before, after, kind, level).drift_score)
        away = float(measure(before, after, kind, distance).drift_score)
        away = away if math.isfinite(away) else 0.0  # the root of what is 0 but for rounding
    return ColumnDrift(
        method=_named(test),
        score=p_value,
        threshold=level,
        drifted=p_value < level and away >= distance,
        missing=missing,
        distance=away,
    )


def _nothing(missing: tuple[float, float]) -> ColumnDrift:
    return ColumnDrift(method=None, score=None, threshold=None, drifted=False, missing=missing)


def _named(test: StatTest) -> str:
    """Its name, by which it is known as a test."""
    return f"{test.display_name.removesuffix(P_VALUE).strip()} {P_VALUE}"
