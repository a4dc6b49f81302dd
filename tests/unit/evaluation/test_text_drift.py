"""Texts drift by what describes them, and by chance no more often than another column."""

from __future__ import annotations

import random

import numpy as np
import polars as pl
import pytest

from plumbline.evaluation.drift import ColumnDrift, ColumnPair, compare
from plumbline.evaluation.text_drift import combine, descriptors, unknown_tokens
from plumbline.kinds import ColumnType

WORDS = ["the", "parcel", "came", "late", "and", "nothing", "broken", "in", "it", "box", "wet"]


def texts(seed: int, count: int = 200) -> list[str]:
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randrange(3, 30))).capitalize() for _ in range(count)]


def measured(values: list[str | None]) -> pl.DataFrame:
    frame = pl.DataFrame({"t": values}, schema={"t": pl.String})
    return frame.select(e.alias(name) for name, e in descriptors("t").items())


def verdict(before: list[str | None], after: list[str | None]) -> ColumnDrift:
    reference, current = measured(before), measured(after)
    pairs = {
        name: ColumnPair(type=ColumnType.NUMBER, reference=reference[name], current=current[name])
        for name in reference.columns
    }
    return combine(compare(pairs, method="auto", threshold=None)[0])


def test_the_descriptors_of_a_text() -> None:
    (row,) = measured(["Ab1 é"]).rows(named=True)
    assert row["length"] == pytest.approx(np.log2(6))
    assert row["share of letters"] == 3 / 5 and row["share of digits"] == 1 / 5
    assert row["share of uppercase letters"] == 1 / 3
    assert row["share of non-ASCII characters"] == 1 / 5
    empty, missing = measured(["", None]).rows()
    assert empty == (0, None, None, None, None) and missing == (None,) * 5


CHANGES = {
    "length": lambda text: text * 4,
    "share of uppercase letters": str.upper,
    "share of digits": lambda text: text.replace("o", "0"),
    "share of non-ASCII characters": lambda text: text.replace("e", "é"),
    "share of letters": lambda text: text.replace(" ", "   "),
}


@pytest.mark.parametrize("descriptor", list(CHANGES))
def test_what_changed_is_said(descriptor: str) -> None:
    before = texts(0)
    drift = verdict([*before], [CHANGES[descriptor](text) for text in texts(1)])
    assert drift.drifted and drift.parts[descriptor].drifted
    assert drift.score == min(p.score for p in drift.parts.values() if p.score is not None)


def test_nothing_changed() -> None:
    drift = verdict([*texts(2)], [*texts(3)])
    assert not drift.drifted
    assert set(drift.parts) == set(CHANGES) and drift.missing == (0.0, 0.0)
    gone = verdict([*texts(2)], [None] * 50)
    assert gone.drifted and gone.score is None and gone.missing == (0.0, 1.0)


def one(score: float | None, method: str = "K-S p_value", threshold: float = 0.05) -> ColumnDrift:
    drifted = score is not None and (score < threshold) == method.endswith("p_value")
    return ColumnDrift(
        method=method, score=score, threshold=threshold, drifted=drifted, missing=(0.0, 0.0)
    )


def test_p_values_are_corrected_for_the_number_of_tests() -> None:
    alone = {"a": one(0.03), "b": one(0.4), "c": one(0.9), "d": one(None)}
    whole = combine(alone)
    assert not whole.drifted and whole.score == pytest.approx(0.09)
    assert [part.score for part in whole.parts.values()] == [pytest.approx(0.09), 1.0, 1.0, None]
    sure = combine({**alone, "a": one(0.01)})
    assert sure.drifted and sure.score == pytest.approx(0.03)
    distances = {"a": one(0.2, "Wasserstein", 0.1), "b": one(0.3, "Wasserstein", 0.1)}
    assert combine(distances).score == 0.3 and combine(distances).drifted


def test_unknown_tokens_of_those_that_there_are() -> None:
    ids = np.array([[5, 1, 0, 0], [7, 8, 9, 2], [0, 0, 0, 0]])
    np.testing.assert_array_equal(unknown_tokens(ids), [0.5, 0.0, np.nan])
