"""Texts as numbers that can be compared whatever the language, and one verdict per column.

A text column is compared by what its texts look like, not by the texts: each is another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl

from plumbline.evaluation.drift import P_VALUE, ColumnDrift
from plumbline.examples import PADDING, UNKNOWN
from plumbline.kinds import DoubleArray, IntArray

UNKNOWN_TOKENS = "share of unknown tokens"
READ = 10_000  # characters of a text


def _count(text: pl.Expr, pattern: str) -> pl.Expr:
    return text.str.count_matches(pattern)


def _share(part: pl.Expr, of: pl.Expr) -> pl.Expr:
    """Null where there is nothing to be a part of."""
    return pl.when(of > 0).then(part / of)


def descriptors(name: str) -> dict[str, pl.Expr]:
    """What is measured of the texts of a column, null where there is none."""
    text = pl.col(name).str.head(READ)
    size, letters = text.str.len_chars(), _count(text, r"\p{L}")
    return {
        "length": (size + 1).log(2),  # doubled lengths are as far apart anywhere
        "share of letters": _share(letters, size),
        "share of digits": _share(_count(text, r"\p{N}"), size),
        "share of uppercase letters": _share(_count(text, r"\p{Lu}"), letters),
        "share of non-ASCII characters": _share(_count(text, r"[^\x00-\x7F]"), size),
    }


def unknown_tokens(ids: IntArray) -> DoubleArray:
    """Of ids (n, length) the share of tokens that the tokenizer does not know, (n,); NaN where
    there is no token."""
    tokens = (ids != PADDING).sum(axis=1)
    unknown = (ids == UNKNOWN).sum(axis=1)
    with np.errstate(invalid="ignore"):
        share: DoubleArray = unknown / tokens.astype(np.float64)
    return share


def combine(parts: Mapping[str, ColumnDrift]) -> ColumnDrift:
    """One verdict on a column, by the descriptor that differs most; missing as in the first.

    A p-value is multiplied by the number of descriptors that a test compared (Bonferroni), so
    that a column of texts is called drifted by chance as rarely as any other.
    """
    tests = sum(_is_test(one) for one in parts.values())
    corrected = {name: _corrected(one, tests) for name, one in parts.items()}
    first = next(iter(corrected.values()))
    scored = [one for one in corrected.values() if one.score is not None]
    most = max(scored, key=lambda one: (one.drifted, _excess(one)), default=first)
    return replace(most, missing=first.missing, parts=corrected)


def _is_test(one: ColumnDrift) -> bool:
    return one.score is not None and (one.method or "").endswith(P_VALUE)


def _corrected(one: ColumnDrift, tests: int) -> ColumnDrift:
    if not _is_test(one):
        return one
    assert one.score is not None and one.threshold is not None
    score = min(1.0, one.score * tests)
    return replace(one, score=score, drifted=one.drifted and score < one.threshold)


def _excess(one: ColumnDrift) -> float:
    """The larger, the more it differs."""
    assert one.score is not None and one.threshold is not None
    if _is_test(one):
        return -one.score
    return one.score / one.threshold if one.threshold else one.score
