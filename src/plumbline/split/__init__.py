"""Which row trains, validates and tests: `SPLITTERS` for the parts, `FOLDERS` for the folds."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import numpy as np

from plumbline.config.data import FoldMethod, SplitConfig, SplitMethod
from plumbline.errors import DataError, ParameterError, choose
from plumbline.kinds import IntArray, Part
from plumbline.split.bag import bag_folds, networks_of, why_single
from plumbline.split.folds import FOLDERS
from plumbline.split.parts import SPLITTERS
from plumbline.split.rows import SplitRows, hold, read_rows, with_target
from plumbline.tables import NEVER, SplitIndex

__all__ = [
    "FOLDERS",
    "SPLITTERS",
    "SplitRows",
    "bag_folds",
    "hold",
    "make_split",
    "networks_of",
    "over_all",
    "read_rows",
    "resolve",
    "why_single",
    "with_target",
    "without",
]

LEAST_LEFT = 0.1  # share of the training rows that must remain when leaking ones are left out


def resolve(rows: SplitRows, config: SplitConfig) -> SplitConfig:
    """Put what the data asks for in the place of `auto`.

    A split column decides; else a time column; else groups; else the target, stratified.
    """
    method, folds = cast(str, config.method), cast(str, config.folds_method)
    if method == "auto":
        if rows.given is not None:
            method = "predefined"
        elif rows.time is not None:
            method = "time"
        elif rows.group is not None:
            method = "stratified_grouped"
        else:
            method = "stratified"
    if folds == "auto":
        if method == "time":
            folds = "time_expanding"
        elif method in ("holdout", "stratified") or rows.group is None:
            folds = "kfold" if method == "holdout" else "stratified_kfold"
        else:
            folds = "group_kfold" if method == "grouped" else "stratified_group_kfold"
    return replace(config, method=cast(SplitMethod, method), folds_method=cast(FoldMethod, folds))


def make_split(rows: SplitRows, config: SplitConfig, seed: int) -> SplitIndex:
    """Parts and folds by the methods of `config`; the same seed gives the same bytes.

    Raises:
        DataError: the rows cannot be split as asked (too few rows, groups, times).
        ParameterError: a method asks for a column that is not named.
    """
    config = resolve(rows, config)
    splitter = choose(SPLITTERS, config.method, "split.method")
    folder = choose(FOLDERS, config.folds_method, "split.folds_method")
    if config.method == "time" and config.folds_method not in ("time_rolling", "time_expanding"):
        raise ParameterError(
            f"folds by {config.folds_method} would train on rows later than those they score",
            file="params.yaml",
            where="split.folds_method",
            hint="set it to auto, time_expanding or time_rolling",
        )
    part = splitter(rows, config, np.random.default_rng([seed, 0]))
    train = np.flatnonzero(part == Part.TRAIN)
    inner = folder(rows, train, config, np.random.default_rng([seed, 1]))
    folds = np.full((rows.rows, inner.shape[1]), Part.UNUSED, dtype=np.uint8)
    folds[train] = inner
    return SplitIndex(part=part, folds=folds)


def without(split: SplitIndex, rows: IntArray) -> SplitIndex:
    """The split with these rows left out (UNUSED) of their part and of every fold.

    Raises:
        DataError: a part or a fold would be empty, or training hardly more than that.
    """
    if not len(rows):
        return split
    part, folds = split.part.copy(), split.folds.copy()
    part[rows], folds[rows] = Part.UNUSED, Part.UNUSED
    before, after = len(split.rows(Part.TRAIN)), int((part == Part.TRAIN).sum())
    left = [(part == p).any() for p in (Part.VAL, Part.TEST)]
    left += [(folds == p).any(axis=0).all() for p in (Part.TRAIN, Part.VAL)]
    if not all(left) or after < LEAST_LEFT * before:
        raise DataError(
            f"leaving out {len(rows)} leaking rows leaves {after} of {before} training rows"
            + ("" if all(left) else ", and empties a part or a fold"),
            where="split.leakage",
            hint="choose another split.method, or the policy warn",
        )
    bag = None if split.bag is None else split.bag.copy()
    if bag is not None:
        bag[rows] = NEVER
    return SplitIndex(part=part, folds=folds, bag=bag)


def over_all(split: SplitIndex, numbers: IntArray, rows: int) -> SplitIndex:
    """The split of some rows as one of the whole table, in which the others are UNUSED.

    Args:
        numbers: where each row of the split is in the table, ascending.
        rows: of the table.
    """
    if len(numbers) == rows:
        return split
    part = np.full(rows, Part.UNUSED, dtype=np.uint8)
    folds = np.full((rows, split.folds.shape[1]), Part.UNUSED, dtype=np.uint8)
    part[numbers], folds[numbers] = split.part, split.folds
    bag = None
    if split.bag is not None:
        bag = np.full(rows, NEVER, dtype=np.uint8)
        bag[numbers] = split.bag
    return SplitIndex(part=part, folds=folds, bag=bag)
