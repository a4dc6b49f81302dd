"""What one pass over the rows learns: moments, a sample of the rows, counts of categories."""

from __future__ import annotations

from collections import Counter

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from plumbline.kinds import DoubleArray
from plumbline.preprocessing.summary import (
    FLOAT32_MAX,
    CategoryCounts,
    NumberSummaries,
    NumberSummary,
    position_hash,
)

cells = st.one_of(st.floats(-1e6, 1e6), st.just(np.nan), st.just(np.inf), st.just(-np.inf))


def summarize(
    x: DoubleArray, *cuts: int, seed: int = 0, most_values: int = 10_000_000
) -> list[NumberSummary]:
    """In pieces."""
    summaries = NumberSummaries(x.shape[1], seed, most_values=most_values)
    for piece in np.split(x, cuts):
        summaries.add(piece)
    return summaries.finish()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(cells, cells), min_size=1, max_size=50), st.integers(0, 50))
def test_moments_and_values_are_those_of_numpy(rows: list[tuple[float, float]], cut: int) -> None:
    x = np.array(rows)
    for j, result in enumerate(summarize(x, min(cut, len(x)))):
        known = x[:, j][np.isfinite(x[:, j])]
        assert (result.rows, result.count) == (len(x), len(known))
        assert_array_equal(result.ordered, np.sort(known))
        if len(known):
            assert_allclose([result.mean, result.std], [known.mean(), known.std()], atol=1e-6)
            assert (result.low, result.high) == (known.min(), known.max())
            q = np.array([0, 0.1, 0.5, 0.99, 1])
            assert_allclose(result.quantile(q), np.quantile(known, q), atol=1e-9)
            values, counts = result.value_counts()
            assert dict(zip(values, counts, strict=True)) == Counter(known.tolist())


def test_a_large_offset_does_not_cost_the_deviation() -> None:
    x = 1e9 + np.random.default_rng(0).normal(size=(10_000, 1))
    assert_allclose(summarize(x, 3000, 3001)[0].std, x.std(), rtol=1e-9)


def test_values_beyond_float32_are_cut() -> None:
    result = summarize(np.array([[1e300], [-1e300], [0.0]]))[0]
    assert (result.low, result.high, result.count) == (-FLOAT32_MAX, FLOAT32_MAX, 3)
    assert np.isfinite([result.mean, result.std]).all()


def test_beyond_the_limit_a_sample_stands_for_all() -> None:
    """Memory stays, moments are exact, quantiles are near; the sample depends on the seed and
    the rows' positions alone."""
    x = np.random.default_rng(0).normal(size=(50_000, 2))
    cuts = range(5000, 50_000, 5000)
    first, again, other = (summarize(x, *cuts, seed=s, most_values=10_000)[0] for s in (1, 1, 2))
    assert 2000 < len(first.ordered) <= 5000
    assert_array_equal(first.ordered, again.ordered)
    assert not np.array_equal(first.ordered, other.ordered)
    assert_allclose([first.mean, first.std], [x[:, 0].mean(), x[:, 0].std()])
    assert first.low == x[:, 0].min() and first.high == x[:, 0].max()
    q = np.array([0.1, 0.5, 0.9])
    assert_allclose(first.quantile(q), np.quantile(x[:, 0], q), atol=0.1)
    changed = x.copy()
    changed[:, 1] = 0
    again = summarize(changed, *cuts, seed=1, most_values=10_000)[0]
    assert_array_equal(again.ordered, first.ordered)


def test_only_the_columns_asked_for_keep_values() -> None:
    x = np.random.default_rng(0).normal(size=(100, 3))
    summaries = NumberSummaries(3, 0, ordered=np.array([True, False, True]))
    summaries.add(x[:60])
    summaries.add(x[60:])
    result = summaries.finish()
    assert [len(s.ordered) for s in result] == [100, 0, 100]
    assert_array_equal(result[2].ordered, np.sort(x[:, 2]))
    assert all(s.rows == 100 for s in result)
    assert_allclose(result[1].mean, x[:, 1].mean())


def test_no_rows() -> None:
    assert [s.count for s in NumberSummaries(2, 0).finish()] == [0, 0]


def test_hashes_are_of_the_position_alone() -> None:
    whole = position_hash(0, 1000, 7)
    assert_array_equal(position_hash(400, 500, 7), whole[400:500])
    assert len(np.unique(whole)) == 1000
    assert abs((whole < 2**63).mean() - 0.5) < 0.05
    assert not np.array_equal(whole, position_hash(0, 1000, 8))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh")), max_size=30),
        min_size=1,
        max_size=8,
    )
)
def test_categories_are_counted(pieces: list[list[str | None]]) -> None:
    counter = CategoryCounts()
    for piece in pieces:
        counter.add(pl.Series("c", piece, dtype=pl.String))
    result, missing = counter.finish()
    expected = Counter(v for piece in pieces for v in piece)
    assert missing == expected.pop(None, 0)
    assert dict(zip(result["value"], result["count"], strict=True)) == expected
    order = [(-n, v) for v, n in zip(result["value"], result["count"], strict=True)]
    assert order == sorted(order)


def test_many_different_values_are_merged_now_and_then() -> None:
    """Counts of pieces are joined before they outgrow the values that there are."""
    counter = CategoryCounts()
    for start in range(0, 200_000, 10_000):
        counter.add(pl.Series([f"id {k % 30_000}" for k in range(start, start + 10_000)]))
        assert sum(map(len, counter._parts)) <= 180_000
    result, _ = counter.finish()
    assert len(result) == 30_000
    assert result["count"].sum() == 200_000
