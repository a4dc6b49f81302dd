"""Ranges of columns, the threshold, and which cell is responsible."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import polars as pl
import pytest

from plumbline.evaluation.out_of_distribution import (
    find_threshold,
    fit_ranges,
    most_unusual,
    separation,
)
from plumbline.inference.column_ranges import MOST_EXCESS, MOST_VALUES
from plumbline.kinds import ColumnType, DoubleArray
from plumbline.tables import Column

DAY = dt.datetime(2024, 1, 1)
TYPES = {
    "size": ColumnType.NUMBER,
    "count": ColumnType.INTEGER,
    "member": ColumnType.BOOLEAN,
    "day": ColumnType.DATE,
    "maker": ColumnType.CATEGORY,
    "note": ColumnType.TEXT,
    "photo": ColumnType.IMAGE,
}
COLUMNS = [Column(name=name, type=kind) for name, kind in TYPES.items()]
TRAIN = pl.DataFrame(
    {
        "size": [float("nan"), math.inf, *np.linspace(10, 20, 98).tolist()],
        "count": [7] * 100,
        "member": [True, False] * 50,
        "day": [DAY + dt.timedelta(days=i) for i in range(100)],
        "maker": ["A", "B"] * 50,
        "note": ["one", "two"] * 50,
        "photo": [b"x"] * 100,
    },
    schema_overrides={"day": pl.Datetime("us")},
)
RARE = math.log10(101) / 3  # what happened in none of 100 rows


def test_a_cell_inside_has_no_excess_and_a_training_row_none_at_all() -> None:
    ranges = fit_ranges(TRAIN.lazy(), COLUMNS)
    finite = TRAIN.filter(pl.col("size") != math.inf)  # what is infinite is outside always
    assert not ranges.excesses(finite).any()
    assert [c.name for c in ranges.columns] == [name for name in TYPES if name != "photo"]


@pytest.mark.parametrize(
    ("column", "cell", "excess", "reason"),
    [
        ("size", 25.0, 0.5, "above the range"),
        ("size", 5.0, 0.5, "below the range"),
        ("size", None, 0.0, None),  # as in training
        ("size", float("nan"), 0.0, None),
        ("size", 1e300, MOST_EXCESS, "above the range"),
        ("size", float("-inf"), MOST_EXCESS, "below the range"),
        ("count", 8, RARE, "new value"),
        ("count", None, RARE, "missing"),
        ("member", None, RARE, "missing"),
        ("day", DAY + dt.timedelta(days=198), 1.0, "above the range"),
        ("maker", "C", RARE, "new value"),
        ("note", "three", 0.0, None),
        ("note", None, RARE, "missing"),
    ],
)
def test_the_excess_of_a_cell(column: str, cell: object, excess: float, reason: str | None) -> None:
    ranges = fit_ranges(TRAIN.lazy(), COLUMNS)
    changed = pl.Series(column, [cell], dtype=TRAIN.schema[column])
    row = TRAIN[50:51].with_columns(changed)
    assert ranges.excesses(row).sum() == pytest.approx(excess)
    (listed,) = most_unusual(ranges, row, np.array([50]), np.ones(1), np.ones(1))
    assert (listed.get("column"), listed.get("reason")) == (reason and column, reason)


def test_a_new_category_is_no_surprise_where_training_rows_are_full_of_them() -> None:
    """As often as training rows have a value alone, a value is new."""

    def excess(values: list[str]) -> float:
        frame = pl.DataFrame({"c": values})
        ranges = fit_ranges(frame.lazy(), [Column(name="c", type=ColumnType.CATEGORY)])
        return float(ranges.excesses(pl.DataFrame({"c": ["new"]})).item())

    some = excess([f"v{i}" for i in range(100)] + ["w"] * 900)
    assert excess(["v", "w"] * 500) == pytest.approx(1, abs=0.01)
    assert some == pytest.approx(1 / 3, abs=0.01)
    assert excess([f"v{i}" for i in range(MOST_VALUES + 1)]) == 0


def test_columns_without_a_value() -> None:
    frame = pl.DataFrame(
        {"size": [None, None], "maker": [None, None]},
        schema={"size": pl.Float64, "maker": pl.String},
    )
    ranges = fit_ranges(frame.lazy(), [c for c in COLUMNS if c.name in frame.columns])
    rows = pl.DataFrame({"size": [3.0, None], "maker": ["A", None]})
    scores = ranges.excesses(rows).sum(axis=1)
    assert scores[1] == 0 and 0 <= scores[0] < 2


@pytest.mark.parametrize(("rows", "share", "above"), [(200, 0.01, 2), (50, 0.01, 0), (9, 0.5, 4)])
def test_at_most_the_share_of_validation_rows_is_above(rows: int, share: float, above: int) -> None:
    scores = np.random.default_rng(0).normal(size=rows)
    threshold = find_threshold(scores, share)
    assert threshold is not None and (scores > threshold).sum() == above
    assert find_threshold(np.zeros(0), share) is None


@pytest.mark.parametrize(
    "scores",
    [
        np.random.default_rng(0).normal(size=200) + 3,
        np.zeros(20),
        np.repeat([1.0, 2.0], [10, 190]),
        np.repeat([1.0, 1.0 + 1e-7, 2.0], [98, 1, 1]),
        np.array([0.5]),
    ],
)
def test_no_flag_hangs_on_the_rounding_of_a_score(scores: DoubleArray) -> None:
    threshold = find_threshold(scores, 0.02)
    assert threshold is not None
    flags = scores > threshold
    assert flags.mean() <= 0.02
    for change in (1 - 1e-6, 1 + 1e-6):
        np.testing.assert_array_equal(scores * change > threshold, flags)


def test_separation_is_the_share_of_pairs_in_order() -> None:
    assert separation(np.array([0.0, 1.0]), np.array([2.0, 0.5])) == 0.75
    assert separation(np.zeros(0), np.ones(2)) is None
