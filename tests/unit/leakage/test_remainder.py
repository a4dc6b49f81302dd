"""Sums and products with a remainder are found; honest targets with noise are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.kinds import DoubleArray
from plumbline.leakage.combine import Formula, find_formula
from plumbline.leakage.remainder import few_values


def fares(rows: int, seed: int = 0) -> dict[str, DoubleArray]:
    """Rides: a total of fare, tip, tolls and one of five surcharges."""
    rng = np.random.default_rng(seed)
    distance = rng.lognormal(1, 0.7, rows)
    fare = np.round(2.5 + 2.5 * distance, 1)
    tip = np.round(np.where(rng.random(rows) < 0.7, fare * rng.uniform(0.1, 0.3, rows), 0), 2)
    tolls = np.where(rng.random(rows) < 0.1, 5.76, 0.0)
    surcharge = rng.choice([0, 0.5, 1, 2.5, 4.5], rows)
    return {
        "distance": distance,
        "fare": fare,
        "tip": tip,
        "tolls": tolls,
        "total": np.round(fare + tip + tolls + surcharge, 2),
        "hour": rng.integers(0, 24, rows).astype(float),
    }


def formula_of(table: dict[str, DoubleArray], target: str) -> tuple[Formula | None, str]:
    names = tuple(name for name in table if name != target)
    result = find_formula(np.column_stack([table[n] for n in names]), table[target])
    return result, result.text(tuple(names[j] for j in result.columns)) if result else ""


@pytest.mark.parametrize("rows", [500, 6000])
@pytest.mark.parametrize(
    ("target", "text"),
    [("tip", "'total' - 'fare' - 'tolls'"), ("total", "'fare' + 'tip' + 'tolls'")],
)
def test_a_part_of_a_total_is_found_though_a_surcharge_is_missing(
    rows: int, target: str, text: str
) -> None:
    result, sentence = formula_of(fares(rows), target)
    assert result is not None
    assert result.exact
    assert sentence == text
    assert result.remainder is not None
    assert len(result.remainder.values) == 5
    assert result.holds.mean() > 0.99


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), parts=st.integers(2, 8), few=st.integers(1, 5))
def test_sums_of_many_parts_with_a_remainder_of_few_values(seed: int, parts: int, few: int) -> None:
    rng = np.random.default_rng(seed)
    x = np.round(rng.lognormal(1, 0.6, (800, parts + 20)), 2)
    rest = rng.choice(np.array([0, 0.5, 1.2, 2.5, 4])[:few], 800)
    result = find_formula(x, np.round(x[:, :parts].sum(axis=1) + rest, 2))
    assert result is not None
    assert result.exact
    assert result.columns == tuple(range(parts))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    noise=st.sampled_from([0.03, 0.05, 0.1, 0.3, 1.0]),
    plain=st.booleans(),
    products=st.booleans(),
)
def test_an_honest_sum_or_product_with_noise_is_none(
    seed: int, noise: float, plain: bool, products: bool
) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(600, 6))
    weights = np.ones(6) if plain else rng.normal(size=6)
    signal = x @ weights
    y = signal + noise * signal.std() * rng.normal(size=600)
    assert find_formula(np.exp(x) if products else x, np.exp(y) if products else y) is None


@pytest.mark.parametrize("steps", [np.array([-3.0, -1, 0, 1, 2]), None])
def test_a_series_and_its_past_are_no_exact_formula(steps: DoubleArray | None) -> None:
    rng = np.random.default_rng(3)
    step = rng.normal(size=3000) if steps is None else rng.choice(steps, 3000)
    walk = np.cumsum(step)
    result = find_formula(np.column_stack([walk[1:-1], walk[:-2]]), walk[2:])
    assert result is None or not result.exact


@pytest.mark.parametrize(
    ("target", "text"),
    [
        (lambda q, p, d: np.round(q * p * d, 2), "'q' · 'p'"),
        (lambda q, p, d: np.round(p / q * d, 4), "'p' / 'q'"),
        (lambda q, p, d: np.round(q + p), "'q' + 'p'"),
        (lambda q, p, d: np.round(p / 100, 4), "0.01 · 'p'"),
    ],
)
def test_products_discounts_roundings_and_units(target, text) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(4)
    quantity = rng.integers(1, 30, 2000).astype(float)
    price = np.round(rng.lognormal(4, 0.6, 2000), 2)
    result, sentence = formula_of(
        {
            "q": quantity,
            "p": price,
            "z": rng.normal(size=2000),
            "y": target(quantity, price, rng.choice([1, 0.95, 0.9, 0.8], 2000)),
        },
        "y",
    )
    assert result is not None
    assert result.exact
    assert sentence == text


def test_few_values_are_found_within_their_tolerance() -> None:
    rng = np.random.default_rng(5)
    left = rng.choice([0.0, 2.0, 7.0], 300) + rng.uniform(-0.1, 0.1, 300)
    assert np.sort(few_values(left, np.full(300, 0.11), 3)) == pytest.approx([0, 2, 7], abs=0.1)
