"""Equal values share a number: three ways to the same answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from plumbline.kinds import IntArray
from plumbline.preprocessing import duplicates
from plumbline.preprocessing.duplicates import different, group_codes


def plainly(values: list[int]) -> list[int]:
    known: dict[int, int] = {}
    return [known.setdefault(v, len(known)) for v in values]


hashes = st.integers(2**40, 2**64 - 1)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.one_of(hashes, st.sampled_from([2**50, 2**63, 2**64 - 1])), max_size=60))
def test_hashes_are_numbered_by_first_appearance(values: list[int]) -> None:
    array = np.array(values, dtype=np.uint64)
    assert group_codes(array).tolist() == plainly(values)
    assert different(array) == len(set(values))


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=60))
def test_codes_too(values: list[int]) -> None:
    assert group_codes(np.array(values)).tolist() == plainly(values)


@pytest.mark.parametrize("copies", [0, 5, 3000])
def test_few_and_many_copies(copies: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where few rows have a copy only they are looked up; both ways agree."""
    rng = np.random.default_rng(0)
    values = rng.integers(2**40, 2**62, 5000).astype(np.uint64)
    values[rng.permutation(5000)[:copies]] = values[:copies]
    result = group_codes(values)
    assert result.tolist() == plainly(values.tolist())
    query: list[int] = []

    def few(array: IntArray, again: IntArray) -> IntArray:
        query.append(len(again))
        return duplicates._first_of_many(array)

    monkeypatch.setattr(duplicates, "_first_of_few", few)
    assert_array_equal(group_codes(values), result)
    assert bool(query) == (copies == 5)
