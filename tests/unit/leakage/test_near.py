"""Copies are told from rows that are near each other anyway."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest
from benchmarks.planted import PART, Data, evidence_of

from plumbline.kinds import Task
from plumbline.leakage import Finding, near_duplicates

TRAIN, HELD = 900, 300  # the first hundred of those held out are for validation


def profile(frame: pl.DataFrame, **leakage: Any) -> list[Finding]:
    """The check over a frame of which three quarters train."""
    rng = np.random.default_rng(0)
    held = len(frame) // 4
    part = ["train"] * (len(frame) - held) + ["val"] * 100 + ["test"] * (held - 100)
    y = np.where(rng.random(len(frame)) < 0.5, "a", "b")
    frame = frame.with_columns(pl.Series(PART, part), pl.Series("y", y))
    split = {"column": PART, "method": "predefined"}
    data = Data(name="d", frame=frame, target="y", task=Task.BINARY, split=split)
    return list(near_duplicates(evidence_of(data, **leakage)))


def numbers(dims: int, copies: int = 0, noise: float = 0.004, seed: int = 1) -> pl.DataFrame:
    """Normal numbers; the last `copies` rows are the first ones with noise."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(TRAIN + HELD, dims))
    if copies:
        x[-copies:] = x[:copies] + noise * rng.normal(size=(copies, dims))
    return pl.DataFrame({f"x{j}": x[:, j] for j in range(dims)})


@pytest.mark.parametrize("dims", [1, 2, 3, 5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_near_rows_of_an_honest_spread_are_no_copies(dims: int, seed: int) -> None:
    assert profile(numbers(dims, seed=seed)) == []


@pytest.mark.parametrize("dims", [4, 10, 40])
def test_copies_with_noise_are_found_row_by_row(dims: int) -> None:
    (finding,) = profile(numbers(dims, copies=12))
    last = TRAIN + HELD
    assert set(range(last - 12, last)) <= set(finding.rows.tolist())
    assert len(finding.rows) <= 14
    assert set(range(12)) <= set(finding.drop_rows.tolist())
    assert finding.severity == "critical"  # 4 % of the held-out rows


def test_several_copies_of_one_row_are_found() -> None:
    frame = numbers(6, copies=12)
    rng = np.random.default_rng(3)
    many = [frame[f"x{j}"].to_numpy().copy() for j in range(6)]
    for column in many:  # training rows 12 … 35 are copies of 0 … 11 too
        column[12:36] = np.tile(column[:12], 2) + 0.004 * rng.normal(size=24)
    (finding,) = profile(pl.DataFrame({f"x{j}": c for j, c in enumerate(many)}))
    assert len(finding.rows) >= 12
    assert len(finding.drop_rows) >= 30


@pytest.mark.parametrize("noise", [0.04, 0.2])
def test_noise_beyond_the_distance_is_another_row(noise: float) -> None:
    assert profile(numbers(10, copies=12, noise=noise), near_distance=0.01) == []


def test_categories_must_agree() -> None:
    frame = numbers(6, copies=12)
    kind = np.array(["red"] * TRAIN + ["blue"] * HELD)
    assert profile(frame.with_columns(pl.Series("kind", kind))) == []
    same = np.array(["red", "green", "blue"])[np.arange(TRAIN + HELD) % 3]
    same[-12:] = same[:12]
    (finding,) = profile(frame.with_columns(pl.Series("kind", same)))
    assert "kind" in finding.columns


def test_gaps_must_agree() -> None:
    frame = numbers(6, copies=12)
    original = pl.Series(np.arange(TRAIN + HELD) < 12)
    other = frame.with_columns(x0=pl.when(original).then(None).otherwise(pl.col("x0")))
    assert profile(other) == []


def test_text_that_differs_by_its_writing_agrees() -> None:
    text = [f"row no. {i % 400}" for i in range(TRAIN + HELD)]
    text[-12:] = [f"ROW No {i}!" for i in range(12)]
    frame = numbers(6, copies=12).with_columns(pl.Series("text", text))
    assert profile(frame)


@pytest.mark.parametrize("levels", [3, 10, 60])
def test_tables_of_few_values_are_left_alone(levels: int) -> None:
    rng = np.random.default_rng(levels)
    frame = pl.DataFrame(
        {f"w{j}": rng.integers(0, levels, TRAIN + HELD).astype(float) for j in range(4)}
    )
    assert profile(frame) == []


def test_long_tails_are_left_alone() -> None:
    """Against the deviation of such columns nearly all rows are near each other."""
    rng = np.random.default_rng(5)
    x = np.exp(3 * rng.normal(size=(TRAIN + HELD, 4)))
    assert profile(pl.DataFrame({f"x{j}": x[:, j] for j in range(4)})) == []


def test_steps_between_usual_values_are_no_copies() -> None:
    """All but one column agree, and that one is a step off: neighbors, not copies."""
    rng = np.random.default_rng(6)
    dose = rng.integers(0, 2, TRAIN + HELD) + 100.0 * (rng.random(TRAIN + HELD) < 0.05)
    place = rng.normal(size=150)[rng.integers(0, 150, TRAIN + HELD)]
    assert profile(pl.DataFrame({"dose": dose, "place": place})) == []


def test_a_path_through_time_is_left_alone() -> None:
    """Rows of a random walk have near neighbors on both sides, one after another."""
    rng = np.random.default_rng(7)
    walk = np.cumsum(rng.normal(size=(TRAIN + HELD, 5)), axis=0)
    order = rng.permutation(TRAIN + HELD)
    assert profile(pl.DataFrame({f"x{j}": walk[order, j] for j in range(5)})) == []


def test_an_identifier_among_the_numbers_does_not_hide_copies() -> None:
    frame = numbers(6, copies=12).with_columns(
        number=pl.Series(np.random.default_rng(8).permutation(TRAIN + HELD) + 5000)
    )
    assert profile(frame)


def test_copies_are_found_where_very_many_rows_are_near_others() -> None:
    """Of a thousand candidates and more, the number of ways to choose is beyond a float."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(6000, 5))
    x[-12:] = x[:12] + 0.0005 * rng.normal(size=(12, 5))
    (finding,) = profile(pl.DataFrame({f"x{j}": x[:, j] for j in range(5)}))
    assert set(range(5988, 6000)) <= set(finding.rows.tolist())


def test_equal_rows_are_for_the_other_check() -> None:
    assert profile(numbers(6, copies=12, noise=0)) == []
