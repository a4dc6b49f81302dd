"""How far a column has moved: not at all where only chance drew other values."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from plumbline.evaluation.psi import LITTLE, MUCH, psi


def codes(seed: int, rows: int, values: int) -> pl.Series:
    drawn = np.random.default_rng(seed).integers(0, values, rows)
    return pl.Series([f"{code:05d}" for code in drawn])


@pytest.mark.parametrize("values", [3, 50, 1000, 10**5])
@pytest.mark.parametrize("rows", [400, 2000])
def test_other_draws_of_the_same_values_have_not_moved(values: int, rows: int) -> None:
    assert psi(codes(0, 2000, values), codes(1, rows, values)) < LITTLE


def test_a_value_that_came_and_one_that_went_have() -> None:
    before, after = codes(0, 2000, 1000), codes(1, 1000, 1000)
    assert psi(before, pl.concat([after, pl.Series(["new"] * 300)])) > MUCH
    assert psi(pl.concat([before, pl.Series(["old"] * 900)]), after) > MUCH


def test_shares_that_changed_have() -> None:
    before = pl.Series(["a"] * 500 + ["b"] * 400 + [f"rare {k}" for k in range(100)])
    assert psi(before, before) == 0
    assert psi(before, before.filter((before != "a") | (pl.Series(range(1000)) < 100))) > MUCH


@pytest.mark.parametrize("dtype", [pl.String, pl.Float64, pl.Date])
def test_gaps_are_a_bin_of_their_own(dtype: pl.DataType) -> None:
    whole = pl.Series(range(1000)).cast(pl.Int32).cast(dtype)
    gaps = pl.select(pl.when(pl.Series(range(1000)) % 2 == 0).then(whole)).to_series()
    assert psi(whole, gaps) > MUCH
