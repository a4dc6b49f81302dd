"""Adversarial validation: training and test rows told apart by a model.

Then they come from different sources or times.

Where the rows were dealt at random, no model can tell on which side one fell. Trees are
fitted on one half of the rows and asked about the other, whole groups and equal rows in one
half, so that an area under the ROC curve above one half is knowledge and no memory.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from plumbline.kinds import BoolArray, DoubleArray, IntArray, Part, TargetKind
from plumbline.leakage.codes import Target, area, as_number, encode, knowledge
from plumbline.leakage.finding import UNCODED, Evidence, Finding
from plumbline.leakage.others import boosted, linear, matrix
from plumbline.tables import ROW

ROWS, CELLS = 10_000, 20_000_000  # of each part, at most; but LEAST_SAMPLED rows in any case
LEAST_SAMPLED, COLUMNS = 2_000, 300  # columns: those that tell most alone
LEAST, ENOUGH = 30, 300
REPORTED = 0.6  # area from which it is said
SURE = 0.9  # the same in a split by time, where drift is the rule; critical and dropped else
CLEAR = 5.0  # standard errors above one half
NAMED = 5  # columns named, at most
HEAPED = 0.02  # share of rows that equal an earlier one, from which it matters
ALIKE = 3  # rows of a size of heap and a class in each part, at least


def adversarial_validation(evidence: Evidence) -> Sequence[Finding]:
    """Whether boosted trees tell training rows from test rows, and by which columns."""
    held = evidence.held_out
    in_test = pl.Series(evidence.part[held[ROW].to_numpy()] == Part.TEST)
    train, test = _some(evidence, evidence.train), _some(evidence, held.filter(in_test))
    if not evidence.ordered and min(len(train), len(test)):
        train, test = _alike(evidence, train, test)
    names = _features(evidence, train, test)
    if min(len(train), len(test)) < LEAST or not names:
        return []
    frame = pl.concat([train, test])
    is_test = np.repeat([0.0, 1.0], [len(train), len(test)])
    half = _halves(evidence, frame, "halves")
    separability = _separability(evidence, frame, names, is_test, half)
    # rows of one group are no separate witnesses
    many, few = (len(np.unique(_units(evidence, part))) for part in (train, test))
    error = np.sqrt((many + few + 1) / (12 * many * few))
    bound = SURE if evidence.ordered else REPORTED
    if separability < bound or separability - 0.5 < CLEAR * error:
        return []
    alone = _alone(frame, names, is_test, half)
    named = sorted((n for n in names if alone[n] >= bound), key=lambda n: -alone[n])[:NAMED]
    return [_finding(evidence, separability, named, alone, test, len(frame))]


def _some(evidence: Evidence, frame: pl.DataFrame) -> pl.DataFrame:
    """Some rows that equal no other; where those are few, one of each.

    Heaps of equal rows are kept together and dealt one by one, so they are no random sample.
    """
    code = evidence.rows.duplicate
    mine = code[frame[ROW].to_numpy()]
    single = np.flatnonzero(np.bincount(code)[mine] == 1)
    rows = single if len(single) >= ENOUGH else np.unique(mine, return_index=True)[1]
    columns = max(1, len(evidence.features))
    limit = min(ROWS, max(LEAST_SAMPLED, CELLS // columns))
    kept = evidence.generator("source").permutation(rows)[:limit]
    some: pl.DataFrame = frame[np.sort(kept)]
    return some


def _alike(
    evidence: Evidence, train: pl.DataFrame, test: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows, thinned so that heaps of each size, and each class, have the same share in both.

    Large heaps of equal rows are dealt first, so that one part has fewer and larger ones, and
    classes of large heaps fewer rows; how often a row occurs says much about what it is.
    """
    code, label = evidence.rows.duplicate, evidence.rows.label
    if len(np.unique(code)) >= (1 - HEAPED) * len(code):
        return train, test
    both = pl.concat([train, test])
    rows = both[ROW].to_numpy()
    size = _size_class(np.bincount(code)[code[rows]])
    kind = np.unique(size * (int(label.max()) + 1) + label[rows], return_inverse=True)[1]
    in_test = np.arange(len(both)) >= len(train)
    kinds = int(kind.max()) + 1
    count = np.stack(
        [np.bincount(kind[in_test == side], minlength=kinds) for side in (False, True)]
    )
    enough = (count >= ALIKE).all(axis=0)
    if not enough.any():
        return train, test
    share = count[:, enough] / count[:, enough].sum(axis=1, keepdims=True)
    keep = np.zeros(count.shape)
    keep[:, enough] = share.min(axis=0) / share
    kept = evidence.generator("heaps").random(len(both)) < keep[in_test.astype(int), kind]
    return both.filter(pl.Series(kept & ~in_test)), both.filter(pl.Series(kept & in_test))


def _size_class(size: IntArray) -> IntArray:
    """Sizes of heaps, coarser the larger."""
    classes: IntArray = np.where(size <= 8, size, 6 + np.floor(np.log2(size))).astype(np.int64)
    return classes


def _units(evidence: Evidence, frame: pl.DataFrame) -> IntArray:
    """The group of each row, or a number of its own."""
    rows = frame[ROW].to_numpy().astype(np.int64)
    group = evidence.rows.group
    units: IntArray = rows if group is None else group[rows]
    return units


def _features(evidence: Evidence, train: pl.DataFrame, test: pl.DataFrame) -> tuple[str, ...]:
    """What is compared; in a split by time not the clocks, which differ by construction."""
    names = tuple(c.name for c in evidence.schema.features if c.type not in UNCODED)
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


def _halves(evidence: Evidence, frame: pl.DataFrame, draw: str) -> IntArray:
    """0 or 1 per row; rows of one group, and equal rows, in one half."""
    group, duplicate = evidence.rows.group, evidence.rows.duplicate
    unit = (duplicate if group is None else group)[frame[ROW].to_numpy()]
    halves: IntArray = evidence.generator(draw).integers(0, 2, int(unit.max()) + 1)[unit]
    return halves


def _alone(
    frame: pl.DataFrame, names: Sequence[str], is_test: DoubleArray, half: IntArray
) -> dict[str, float]:
    """Area under the ROC curve of each column by itself."""
    target = Target(
        onehot=is_test[:, None], value=is_test, half=half, names=("test",), kind=TargetKind.CLASSES
    )
    return {name: float(knowledge(encode(frame[name]), target).score[0]) for name in names}


def _separability(
    evidence: Evidence,
    frame: pl.DataFrame,
    names: Sequence[str],
    is_test: DoubleArray,
    half: IntArray,
) -> float:
    """Area under the ROC curve, mean of the two halves, of trees or of a line: the larger."""
    if len(names) <= COLUMNS:
        beliefs = [_beliefs(matrix(frame, tuple(names)), is_test, half)] * 2
    else:  # of many columns some tell the rows that chose them, by chance
        shown = [
            _most_informative(evidence, frame, names, is_test, half != query) for query in (0, 1)
        ]
        beliefs = [_beliefs(matrix(frame, columns), is_test, half) for columns in shown]
    areas = [
        [area(b[half == h], is_test[half == h], 1 - is_test[half == h]) for b in beliefs[h]]
        for h in (0, 1)
    ]
    return max(float(np.mean(of_model)) for of_model in zip(*areas, strict=True))


def _most_informative(
    evidence: Evidence,
    frame: pl.DataFrame,
    names: Sequence[str],
    is_test: DoubleArray,
    taught: BoolArray,
) -> tuple[str, ...]:
    """The columns that tell most alone, by the rows that the models are taught with."""
    rows = frame.filter(pl.Series(taught))
    alone = _alone(rows, names, is_test[taught], _halves(evidence, rows, "quarters"))
    return tuple(sorted(names, key=lambda name: -alone[name])[:COLUMNS])


def _beliefs(
    x: DoubleArray, is_test: DoubleArray, half: IntArray
) -> tuple[DoubleArray, DoubleArray]:
    """Of trees and of a line, each half by models taught with the other; (n,) each."""
    return boosted(x, is_test, half, numeric=False), linear(x, is_test, half)


def _finding(
    evidence: Evidence,
    separability: float,
    named: list[str],
    alone: dict[str, float],
    test: pl.DataFrame,
    examined: int,
) -> Finding:
    by = ", ".join(f"'{n}' alone {alone[n]:.3f}" for n in named) or "no column alone"
    area = f"ROC-AUC {separability:.3f}, cross-fitted"
    detail = f"a model can separate test rows from training rows: {area} ({by})"
    if evidence.ordered:
        detail += "; the split is by time, so part of this is the course of time"
    return Finding(
        check="adversarial_validation",
        columns=tuple(named),
        rows=np.sort(test[ROW].to_numpy()).astype(np.int64),
        examined=examined,
        detail=detail,
        severity="critical" if separability >= SURE and not evidence.ordered else "warning",
        hint="the test score holds for rows like the test rows: leave columns out that say when "
        "or where a row was made (role ignore), and expect the model to age"
        if evidence.ordered
        else "find out whether training and test rows were collected or prepared differently; "
        "give columns that only identify the source role ignore in expectations.yaml, or set "
        "split.leakage.adversarial_validation: drop",
        drop_columns=tuple(n for n in named if alone[n] >= SURE) if not evidence.ordered else (),
    )
