"""A column that only names the row and yet predicts the target: rows numbered by outcome.

A column is an identifier where its values are a row's own and nothing else explains it:
whole numbers that repeat less than chance has them repeat (drawn without replacement), or
texts without a blank. What an identifier knows of the target it can only know from the order
or the place in which rows were collected, and new rows will not have it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl

from plumbline.kinds import NUMERIC, TEXTUAL, ColumnType, Role
from plumbline.leakage.codes import Knowledge, Target, encode, knowledge
from plumbline.leakage.finding import Evidence, Finding
from plumbline.leakage.near_texts import UNPARTED
from plumbline.tables import ROW, Column

UNIQUE = 0.95  # share of different values
COLLISIONS = 12  # equal pairs that chance would give, at least, before their absence is told
TOKEN = r"^\S{1,64}$"  # a text that names, and says nothing,
SENTENCE = 4  # unless it has so many characters that are words without blanks between them
KNOWN_WARNING, KNOWN_CRITICAL = 0.1, 0.5  # share of the target's uncertainty explained
CLEAR = 5.0  # standard errors above what shuffled rows know
LEAST = 50  # rows

# What can be read off an identifier: its order, and its parts.
ASPECTS: dict[str, Callable[[pl.Series], pl.Series]] = {
    "its order": lambda s: s,
    "its last digits": lambda s: s % 100,
    "its remainder by 2": lambda s: s % 2,
}
TEXT_ASPECTS: dict[str, Callable[[pl.Series], pl.Series]] = {
    "its order": lambda s: s.rank("average"),
    "its letters": lambda s: s.str.replace_all(r"[^\p{L}]+", "-"),
    "its number": lambda s: s.str.extract(r"(\d+)\D*$").cast(pl.Float64, strict=False),
    "its first characters": lambda s: s.str.head(2),
    "its last character": lambda s: s.str.tail(1),
    "its length": lambda s: s.str.len_chars().cast(pl.Int64),
}


def identifier(evidence: Evidence) -> Sequence[Finding]:
    """Id-like columns, features or not, that predict the target."""
    frame = evidence.train
    if len(frame) < LEAST:
        return []
    suspects = [
        c
        for c in evidence.schema.columns
        if (c.role is Role.ID and c.type is not ColumnType.TEXT)
        or (c.role in (Role.ID, Role.FEATURE) and _names_rows(frame[c.name], c.type))
    ]
    if not suspects:
        return []
    target = Target.of(frame, evidence.schema, evidence.seed)
    findings = []
    for column in suspects:
        best = _best(frame[column.name], target)
        if best is not None:
            findings.append(_finding(evidence, column, *best))
    return findings


def numbers_rows(column: pl.Series) -> bool:
    """Whether whole numbers repeat less than drawing them at random would have them repeat."""
    if not column.dtype.is_numeric():
        return False
    known = column.drop_nulls()
    if column.dtype.is_float():
        known = known.filter(known.is_finite())
        if not (known == known.floor()).all():
            return False
    rows = len(known)
    if rows < LEAST or known.n_unique() < UNIQUE * rows:
        return False
    low, high = known.min(), known.max()
    assert isinstance(low, int | float) and isinstance(high, int | float)
    # uneven values would repeat more often still, so this is the least that chance gives
    expected = rows * (rows - 1) / 2 / (float(high) - float(low) + 1)
    return expected >= COLLISIONS and rows - known.n_unique() <= expected / 5


def _names_rows(column: pl.Series, kind: ColumnType) -> bool:
    if kind in NUMERIC:
        return numbers_rows(column)
    if kind not in TEXTUAL:
        return False
    known = column.drop_nulls()
    if len(known) < LEAST or known.n_unique() < UNIQUE * len(known):
        return False
    words = known.str.count_matches(f"[{UNPARTED}]")
    return int((known.str.contains(TOKEN) & (words < SENTENCE)).sum()) >= UNIQUE * len(known)


def _best(column: pl.Series, target: Target) -> tuple[str, float, float, int] | None:
    """The aspect that knows most, its score, what it knows, of which class; None: nothing."""
    aspects = TEXT_ASPECTS if column.dtype == pl.String else ASPECTS
    if not (column.dtype.is_numeric() or column.dtype == pl.String):
        return None
    learned: dict[str, Knowledge] = {}
    for name, read in aspects.items():
        learned[name] = knowledge(encode(read(column)), target)
    name, association = max(learned.items(), key=lambda item: float(item[1].known.max()))
    c = int(np.argmax(association.known))
    positive = target.onehot[:, c].sum()
    # the standard error of the area under the ROC curve without knowledge (Hanley, McNeil 1982)
    rest = len(target.value) - positive
    error = np.sqrt((len(target.value) + 1) / (12 * max(1.0, positive * rest)))
    clear = target.names == ("",) or association.score[c] - 0.5 > CLEAR * error
    if association.known[c] < KNOWN_WARNING or not clear:
        return None
    return name, float(association.score[c]), float(association.known[c]), c


def _finding(
    evidence: Evidence, column: Column, aspect: str, score: float, known: float, c: int
) -> Finding:
    feature = column.role is Role.FEATURE
    name = column.name
    classes = evidence.schema.classes
    measure = f"ROC-AUC {score:.4f}" if classes else f"R² of the ranks {score:.4f}"
    what = f"{measure}, {known:.0%} of its {'entropy' if classes else 'rank variance'} explained"
    if not feature:
        what += "; it is no feature, but the rows seem to have been numbered by outcome or source"
    return Finding(
        check="identifier",
        columns=(name,),
        rows=np.sort(
            evidence.train[ROW].filter(evidence.train[name].is_not_null()).to_numpy()
        ).astype(np.int64),
        examined=len(evidence.train),
        detail=f"'{name}' only names the row, and {aspect} predicts the target: {what}",
        severity="critical" if feature and known >= KNOWN_CRITICAL else "warning",
        hint=f"give '{name}' role id in expectations.yaml, or set split.leakage.identifier: drop; "
        "and find out why rows were numbered so"
        if feature
        else f"find out why '{name}' follows the target: were the rows of each "
        f"{'class' if classes else 'range'} collected at another time or place?",
        drop_columns=(name,) if feature else (),
    )
