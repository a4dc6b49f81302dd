"""Training and test rows told apart by a model: they come from different sources or times.

Where the rows were dealt at random, no model can tell on which side one fell. Trees are
fitted on one half of the rows and asked about the other, whole groups and equal rows in one
half, so that an area under the ROC curve above one half is knowledge and no memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from plumbline.kinds import ColumnType, DoubleArray, IntArray, Part, Task
from plumbline.preprocessing.leakage.codes import Target, area, as_number, encode, knowledge
from plumbline.preprocessing.leakage.finding import Evidence, Finding
from plumbline.preprocessing.leakage.others import boosted, linear, matrix
from plumbline.tables import ROW

ROWS = 10_000  # of each part, at most
LEAST, ENOUGH = 30, 300
TOLD = 0.6  # area from which it is said
SURE = 0.9  # the same in a split by time, where drift is the rule; critical and dropped else
CLEAR = 5.0  # standard errors above one half
NAMED = 5  # columns named, at most


def source_shift(evidence: Evidence) -> Sequence[Finding]:
    """Whether boosted trees tell training rows from test rows, and by which columns."""
    held = evidence.held_out
    in_test = pl.Series(evidence.part[held[ROW].to_numpy()] == Part.TEST)
    train, test = _some(evidence, evidence.train), _some(evidence, held.filter(in_test))
    names = _features(evidence, train, test)
    if min(len(train), len(test)) < LEAST or not names:
        return []
    frame = pl.concat([train, test])
    is_test = np.repeat([0.0, 1.0], [len(train), len(test)])
    half = _halves(evidence, frame)
    told = _told_apart(matrix(frame, names), is_test, half)
    # rows of one group are no separate witnesses
    many, few = (len(np.unique(_units(evidence, part))) for part in (train, test))
    error = np.sqrt((many + few + 1) / (12 * many * few))
    bound = SURE if evidence.ordered else TOLD
    if told < bound or told - 0.5 < CLEAR * error:
        return []
    target = Target(
        onehot=is_test[:, None], value=is_test, half=half, names=("test",), task=Task.BINARY
    )
    alone = {name: float(knowledge(encode(frame[name]), target).score[0]) for name in names}
    blamed = sorted((n for n in names if alone[n] >= bound), key=lambda n: -alone[n])[:NAMED]
    return [_finding(evidence, told, blamed, alone, test)]


def _some(evidence: Evidence, frame: pl.DataFrame) -> pl.DataFrame:
    """At most `ROWS` rows that equal no other; where those are few, one of each.

    Heaps of equal rows are kept together and dealt one by one, so they are no random sample.
    """
    code = evidence.rows.duplicate
    mine = code[frame[ROW].to_numpy()]
    single = np.flatnonzero(np.bincount(code)[mine] == 1)
    chosen = single if len(single) >= ENOUGH else np.unique(mine, return_index=True)[1]
    kept = evidence.generator("source").permutation(chosen)[:ROWS]
    some: pl.DataFrame = frame[np.sort(kept)]
    return some


def _units(evidence: Evidence, frame: pl.DataFrame) -> IntArray:
    """The group of each row, or a number of its own."""
    rows = frame[ROW].to_numpy().astype(np.int64)
    group = evidence.rows.group
    units: IntArray = rows if group is None else group[rows]
    return units


def _features(evidence: Evidence, train: pl.DataFrame, test: pl.DataFrame) -> tuple[str, ...]:
    """What is compared; in a split by time not the clocks, which differ by construction."""
    names = tuple(c.name for c in evidence.schema.features if c.type is not ColumnType.TEXT)
    if not evidence.ordered:
        return names
    frame = pl.concat([train, test])
    time = evidence.rows.time
    order = frame[ROW].to_numpy() if time is None else time[frame[ROW].to_numpy()]
    return tuple(n for n in names if not _is_clock(frame[n], order))


def _is_clock(column: pl.Series, order: IntArray) -> bool:
    """Whether the values never fall (or never rise) as time goes on."""
    if column.dtype == pl.String:
        return False
    value = as_number(column)[np.argsort(order, kind="stable")]
    step = np.diff(value[np.isfinite(value)])
    return bool(len(step)) and bool((step >= 0).mean() > 0.99 or (step <= 0).mean() > 0.99)


def _halves(evidence: Evidence, frame: pl.DataFrame) -> IntArray:
    """0 or 1 per row; rows of one group, and equal rows, in one half."""
    group, duplicate = evidence.rows.group, evidence.rows.duplicate
    unit = (duplicate if group is None else group)[frame[ROW].to_numpy()]
    halves: IntArray = evidence.generator("halves").integers(0, 2, int(unit.max()) + 1)[unit]
    return halves


def _told_apart(x: DoubleArray, is_test: DoubleArray, half: IntArray) -> float:
    """Area under the ROC curve, mean of the two halves, of trees or of a line: the larger."""
    beliefs = (boosted(x, is_test, half, numeric=False), linear(x, is_test, half))
    return max(
        float(
            np.mean(
                [area(b[half == h], is_test[half == h], 1 - is_test[half == h]) for h in (0, 1)]
            )
        )
        for b in beliefs
    )


def _finding(
    evidence: Evidence,
    told: float,
    blamed: list[str],
    alone: dict[str, float],
    test: pl.DataFrame,
) -> Finding:
    by = ", ".join(f"'{n}' alone {alone[n]:.3f}" for n in blamed) or "several columns together"
    detail = f"a model tells test from training rows: area under the ROC curve {told:.3f} ({by})"
    if evidence.ordered:
        detail += "; the split is by time, so part of this is the course of time"
    return Finding(
        check="source_shift",
        columns=tuple(blamed),
        rows=test[ROW].to_numpy()[:5].astype(np.int64),
        detail=detail,
        severity="critical" if told >= SURE and not evidence.ordered else "warning",
        mend="the test score holds for rows like the test rows: leave columns out that say when "
        "or where a row was made (role ignore), and expect the model to age"
        if evidence.ordered
        else "find out whether training and test rows were collected or prepared differently; "
        "give columns that only tell the source role ignore in expectations.yaml, or set "
        "split.leakage.source_shift: drop",
        drop_columns=tuple(n for n in blamed if alone[n] >= SURE) if not evidence.ordered else (),
    )
