"""Folds over the training rows: a function per method, `FOLDERS[config.folds_method]`.

Validation and test rows stay out of every fold: the tuner never sees what calibrates,
chooses thresholds or judges.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from plumbline.config.data import SplitConfig
from plumbline.errors import DataError, ParameterError
from plumbline.kinds import ByteArray, IntArray, Part
from plumbline.preprocessing.duplicates import group_codes
from plumbline.split.allocate import FREE, Small, allocate, fill
from plumbline.split.ordered import purge_groups, snap, time_order
from plumbline.split.parts import rare_labels, refuse_rare, units_of
from plumbline.split.rows import SplitRows

# rows, training row numbers (m,), config, rng -> Part of each of them per fold, (m, k)
Folder = Callable[[SplitRows, IntArray, SplitConfig, np.random.Generator], ByteArray]


def _random(
    rows: SplitRows,
    train: IntArray,
    config: SplitConfig,
    rng: np.random.Generator,
    *,
    stratified: bool,
    grouped: bool,
) -> ByteArray:
    unit = group_codes(units_of(rows, config, grouped=grouped)[train])
    units = int(unit.max()) + 1
    label = rows.label[train]
    if units < config.folds:
        what = "groups" if grouped else "different rows"
        raise DataError(
            f"{units} {what} in training do not fill {config.folds} folds",
            where="split.folds",
            hint=f"set split.folds to {units} or less" if units > 1 else "add rows",
        )
    rare = rare_labels(unit, label, config.folds) if rows.classification else label[:0]
    if len(rare) and config.rare_classes == "refuse":
        refuse_rare(rows, rare, label, config.folds)
    columns = [
        _once(unit, label, rare, config, rng, stratified=stratified, classes=rows.classification)
        for _ in range(config.repeats)
    ]
    folds = np.concatenate(columns, axis=1)
    if not (folds == Part.VAL).any(axis=0).all():
        raise DataError(
            f"a fold of {config.folds} has no row to score",
            where="split.folds",
            hint="lower split.folds, or add rows of the rarer classes",
        )
    return folds


def _once(
    unit: IntArray,
    label: IntArray,
    rare: IntArray,
    config: SplitConfig,
    rng: np.random.Generator,
    *,
    stratified: bool,
    classes: bool,
) -> ByteArray:
    """One partition of the training rows into k folds; shape (m, k)."""
    k = config.folds
    fixed = np.full(int(unit.max()) + 1, FREE, dtype=np.int16)
    always = np.zeros(len(fixed), dtype=bool)  # in training in every fold
    for c in rare:
        units = rng.permutation(np.unique(unit[label == c]))
        if config.rare_classes == "train" or len(units) == 1:
            always[units] = True
        else:
            fixed[units] = (np.arange(len(units)) + rng.integers(k)) % k
    shuffled = ~always[unit]
    inside = group_codes(unit[shuffled])
    kept = np.empty(int(inside.max()) + 1 if len(inside) else 0, dtype=np.int64)
    kept[inside] = unit[shuffled]
    if len(kept) < k:
        raise DataError(
            f"only {len(kept)} separate rows are left to fill {k} folds; the others are of "
            "rare classes and stay in training",
            where="split.folds",
            hint="lower split.folds, or set split.rare_classes to spread",
        )
    strata = label[shuffled] if stratified else np.zeros(len(inside), dtype=np.int64)
    fold_of = np.full(len(fixed), FREE, dtype=np.int16)
    fold_of[kept] = allocate(inside, strata, [1 / k] * k, rng, fixed=fixed[kept])
    if classes:
        _apart(fold_of, unit, label, k)
    fill(fold_of, unit, label if classes else np.zeros_like(label), k)
    folds = np.full((len(unit), k), Part.TRAIN, dtype=np.uint8)
    mine = fold_of[unit]
    for number in range(k):
        folds[mine == number, number] = Part.VAL
    return folds


def _apart(fold_of: Small, unit: IntArray, label: IntArray, k: int) -> None:
    """No fold holds all units of a class, or its training rows would lack the class."""
    labels = int(label.max()) + 1
    fold = fold_of[unit]
    table = np.bincount(label * (k + 1) + fold + 1, minlength=labels * (k + 1)).reshape(labels, -1)
    for c in np.flatnonzero((table.sum(1) > 0) & ((table[:, 1:] == table.sum(1)[:, None]).any(1))):
        units = np.unique(unit[label == c])
        full = fold_of[units[0]]
        if len(units) > 1 and (fold_of[units] == full).all():
            fold_of[units[0]] = (full + 1) % k
        elif len(units) == 1:
            fold_of[units] = FREE


def kfold(
    rows: SplitRows, train: IntArray, config: SplitConfig, rng: np.random.Generator
) -> ByteArray:
    """At random."""
    return _random(rows, train, config, rng, stratified=False, grouped=False)


def stratified_kfold(
    rows: SplitRows, train: IntArray, config: SplitConfig, rng: np.random.Generator
) -> ByteArray:
    """At random, each class (or quantile bin) in the same shares."""
    return _random(rows, train, config, rng, stratified=True, grouped=False)


def group_kfold(
    rows: SplitRows, train: IntArray, config: SplitConfig, rng: np.random.Generator
) -> ByteArray:
    """Whole groups."""
    return _random(rows, train, config, rng, stratified=False, grouped=True)


def stratified_group_kfold(
    rows: SplitRows, train: IntArray, config: SplitConfig, rng: np.random.Generator
) -> ByteArray:
    """Whole groups, each class as near to the same shares as groups allow."""
    return _random(rows, train, config, rng, stratified=True, grouped=True)


def _windows(rows: SplitRows, train: IntArray, config: SplitConfig, *, rolling: bool) -> ByteArray:
    if config.repeats > 1:
        raise ParameterError(
            "folds in time cannot be repeated: there is one order",
            file="params.yaml",
            where="split.repeats",
            got=config.repeats,
            hint="set split.repeats to 1",
        )
    n, k = len(train), config.folds
    order, stamp = time_order(rows, train)
    back = np.searchsorted(train, order)
    group = None if rows.group is None else rows.group[train]
    width = config.horizon or n // (k + 1)
    starts = [snap(stamp, n - (k - j) * width) for j in range(k)] + [n]
    length = starts[0] - config.gap
    if width < 1 or length < 1 or any(a >= b for a, b in pairwise(starts)):
        raise DataError(
            f"{n} training rows at {len(np.unique(stamp))} times do not hold {k} windows of "
            f"{width} rows after a gap of {config.gap}",
            where="split.folds",
            hint="lower split.folds, split.horizon or split.gap",
        )
    folds = np.full((n, k), Part.UNUSED, dtype=np.uint8)
    for j in range(k):
        end = starts[j] - config.gap
        begin = snap(stamp, end - length) if rolling else 0
        column = np.full(n, Part.UNUSED, dtype=np.uint8)
        column[begin:end] = Part.TRAIN
        column[starts[j] : starts[j + 1]] = Part.VAL
        folds[back, j] = column
        folds[:, j] = purge_groups(folds[:, j], group)
        if not (folds[:, j] == Part.TRAIN).any():
            raise DataError(
                f"no training rows are left in fold {j}: every group goes on in its window",
                where="split.folds_method",
                hint="choose group_kfold, or drop data.group",
            )
    return folds


def time_rolling(
    rows: SplitRows, train: IntArray, config: SplitConfig, rng: np.random.Generator
) -> ByteArray:
    """k windows in order of time, each validated after training rows of constant number."""
    return _windows(rows, train, config, rolling=True)


def time_expanding(
    rows: SplitRows, train: IntArray, config: SplitConfig, rng: np.random.Generator
) -> ByteArray:
    """k windows in order of time, each validated after all rows before it."""
    return _windows(rows, train, config, rolling=False)


FOLDERS: dict[str, Folder] = {
    "kfold": kfold,
    "stratified_kfold": stratified_kfold,
    "group_kfold": group_kfold,
    "stratified_group_kfold": stratified_group_kfold,
    "time_rolling": time_rolling,
    "time_expanding": time_expanding,
}
