"""New values in another unit are noticed in a few rows; ordinary rows are left alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from plumbline.evaluation.other_unit import other_unit
from plumbline.kinds import DoubleArray

Draw = Callable[[np.random.Generator, int], DoubleArray]

DRAWS: dict[str, Draw] = {
    "normal": lambda rng, n: rng.normal(50, 9, n),
    "around zero": lambda rng, n: rng.normal(0, 1, n),
    "uniform": lambda rng, n: rng.uniform(1, 99, n),
    "long tail": lambda rng, n: rng.lognormal(3, 2, n),
    "counts": lambda rng, n: rng.poisson(3, n).astype(float),
    "mostly zero": lambda rng, n: rng.lognormal(8, 1, n) * (rng.random(n) < 0.2),
    "two values": lambda rng, n: rng.integers(0, 2, n).astype(float),
}


@pytest.mark.parametrize("name", DRAWS)
def test_ordinary_rows_give_no_alarm(name: str) -> None:
    rng = np.random.default_rng(0)
    for rows in (1, 2, 3, 5, 20, 99, 400):
        for before in (25, 60, 1000):
            for _ in range(20):
                old, new = (pl.Series(DRAWS[name](rng, n)) for n in (before, rows))
                assert other_unit(old, new, 10) is None


@pytest.mark.parametrize("name", ["normal", "uniform", "long tail", "mostly zero"])
@pytest.mark.parametrize("factor", [1000.0, 0.001, -1000.0])
@pytest.mark.parametrize("rows", [5, 40, 400])
def test_values_in_another_unit_are_noticed(name: str, factor: float, rows: int) -> None:
    rng = np.random.default_rng(1)
    old = pl.Series(DRAWS[name](rng, 300))
    values = DRAWS[name](rng, 20 * rows) * factor
    new = pl.Series(values[values != 0][:rows])
    words = other_unit(old, new, 30)
    assert words is not None
    assert "another unit?" in words


def test_fahrenheit_for_celsius_is_noticed_where_no_value_is_among_the_earlier_ones() -> None:
    rng = np.random.default_rng(2)
    celsius = rng.normal(18, 3, 340)
    words = other_unit(pl.Series(celsius[:300]), pl.Series(celsius[300:] * 1.8 + 32), 5)
    assert words is not None
    assert words.startswith("all 40 new values lie above the earlier ones")


def test_what_only_rises_goes_on_and_gaps_are_no_values() -> None:
    old, new = pl.Series(range(100)), pl.Series(range(100, 140))
    assert other_unit(old, new, 1) is None
    assert other_unit(old.shuffle(0), pl.Series([None] * 9, dtype=pl.Int64), 1) is None
