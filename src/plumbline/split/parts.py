"""Train, validation and test: a function per method, `SPLITTERS[config.method]`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plumbline.config.data import SplitConfig
from plumbline.errors import DataError, ParameterError
from plumbline.kinds import ByteArray, IntArray, Part
from plumbline.preprocessing.duplicates import group_codes, join_codes
from plumbline.split.allocate import FREE, Small, allocate, fill, units_per_label
from plumbline.split.ordered import purge_groups, snap, time_order
from plumbline.split.rows import SplitRows

Splitter = Callable[[SplitRows, SplitConfig, np.random.Generator], ByteArray]

# Parts in the order of allocation; the last one is home: it takes what rounding leaves.
WITH_TEST = (Part.TEST, Part.VAL, Part.TRAIN)
WITHOUT_TEST = (Part.VAL, Part.TRAIN)


def units_of(rows: SplitRows, config: SplitConfig, *, grouped: bool) -> IntArray:
    """What must stay together: a number per row, by group and by equal features.

    Where equal rows chain groups into a lump larger than the smaller of the held-out parts,
    groups alone decide: with few features of few values everything would be one unit. Rows that
    are equal by chance stand alone.

    Raises:
        ParameterError: a grouped method without a group column.
    """
    if grouped and rows.group is None:
        raise ParameterError(
            "a grouped split needs a group column",
            file="params.yaml",
            where="split.method",
            hint="name the column in data.group, or choose method stratified",
        )
    if grouped and rows.group is not None:
        if config.keep_duplicates_together:
            joined = join_codes(rows.group, rows.duplicate)
            smaller = min(config.test_share, config.val_share) * rows.rows
            if np.bincount(joined).max() <= max(smaller, np.bincount(rows.group).max()):
                return joined
        return rows.group
    together = config.keep_duplicates_together and not rows.by_chance
    return rows.duplicate if together else np.arange(rows.rows)


def rare_labels(unit: IntArray, label: IntArray, needed: int) -> IntArray:
    """Labels that occur in fewer units than there are parts to fill."""
    units = units_per_label(unit, label)
    return np.flatnonzero((units > 0) & (units < needed))


def refuse_rare(rows: SplitRows, rare: IntArray, label: IntArray, needed: int) -> None:
    """The policy `refuse`."""
    count = np.bincount(label)
    named = ", ".join(f"{rows.label_names[c]} ({count[c]} rows)" for c in rare[:10])
    raise DataError(
        f"too few rows in {len(rare)} classes: {named}",
        where="split.rare_classes: refuse",
        wanted=f"at least {needed} separate rows per class",
        hint="add rows, merge classes, or set split.rare_classes to train or spread",
    )


def _random(
    rows: SplitRows,
    config: SplitConfig,
    rng: np.random.Generator,
    *,
    stratified: bool,
    grouped: bool,
) -> ByteArray:
    own = slice(0, rows.own)
    unit = group_codes(units_of(rows, config, grouped=grouped)[own])
    label = rows.label[own]
    parts = WITHOUT_TEST if rows.test_rows else WITH_TEST
    _need_units(int(unit.max()) + 1, len(parts), grouped=grouped)
    shares = [config.val_share, 1 - config.val_share]
    if not rows.test_rows:
        shares = [config.test_share, config.val_share, 1 - config.test_share - config.val_share]

    fixed = np.full(int(unit.max()) + 1, FREE, dtype=np.int16)
    rare = rare_labels(unit, label, len(parts)) if rows.classification else label[:0]
    if len(rare) and config.rare_classes == "refuse":
        refuse_rare(rows, rare, label, len(parts))
    for c in rare:
        units = rng.permutation(np.unique(unit[label == c]))
        if config.rare_classes == "train":
            fixed[units] = len(parts) - 1
        else:  # spread: one unit to training, then one to each other part
            dealt = _deal(len(units), len(parts))
            fixed[units] = np.where(fixed[units] == FREE, dealt, fixed[units])
    allotted = allocate(
        unit, label if stratified else np.zeros_like(label), shares, rng, fixed=fixed
    )
    if rows.classification:
        _bring_home(allotted, unit, label, home=len(parts) - 1)
    fill(allotted, unit, label if rows.classification else np.zeros_like(label), len(parts))
    if len(np.unique(allotted)) < len(parts):
        _refuse_few(int(unit.max()) + 1, len(parts), grouped=grouped)
    part = np.full(rows.rows, Part.TEST, dtype=np.uint8)
    part[own] = np.array(parts, dtype=np.uint8)[allotted][unit]
    return part


def _deal(units: int, parts: int) -> IntArray:
    """Home first, then the parts in order."""
    return np.array([parts - 1, *range(parts - 1)])[np.arange(units) % parts]


def _need_units(units: int, parts: int, *, grouped: bool) -> None:
    if units < parts:
        _refuse_few(units, parts, grouped=grouped)


def _refuse_few(units: int, parts: int, *, grouped: bool) -> None:
    what = "groups" if grouped else "different rows"
    raise DataError(
        f"there are {units} {what} for {parts} parts",
        where="split",
        wanted=f"at least {parts} {what}, of which each part can have one",
        hint="add rows" + (", or choose a split without groups" if grouped else ""),
    )


def _bring_home(allotted: Small, unit: IntArray, label: IntArray, home: int) -> None:
    """Every class occurs in training: move the smallest unit of a class that does not."""
    here = np.bincount(label[allotted[unit] == home], minlength=int(label.max()) + 1)
    absent = np.flatnonzero((here == 0) & (np.bincount(label) > 0))
    if not len(absent):
        return
    size = np.bincount(unit)
    for c in absent:
        units = np.unique(unit[label == c])
        if not (allotted[units] == home).any():
            allotted[units[np.argmin(size[units])]] = home


def holdout(rows: SplitRows, config: SplitConfig, rng: np.random.Generator) -> ByteArray:
    """At random."""
    return _random(rows, config, rng, stratified=False, grouped=False)


def stratified(rows: SplitRows, config: SplitConfig, rng: np.random.Generator) -> ByteArray:
    """At random, each class (or quantile bin of a numeric target) in the same shares."""
    return _random(rows, config, rng, stratified=True, grouped=False)


def grouped(rows: SplitRows, config: SplitConfig, rng: np.random.Generator) -> ByteArray:
    """At random, whole groups."""
    return _random(rows, config, rng, stratified=False, grouped=True)


def stratified_grouped(rows: SplitRows, config: SplitConfig, rng: np.random.Generator) -> ByteArray:
    """Whole groups, each class as near to the same shares as groups allow."""
    return _random(rows, config, rng, stratified=True, grouped=True)


def time(rows: SplitRows, config: SplitConfig, rng: np.random.Generator) -> ByteArray:
    """The last rows test, those before them validate; `gap` rows before each are left out.

    Without a time column the order of the file is the order in time. Rows of one time stay
    together. Where there are groups too, the earlier rows of a group that goes on in a later
    part are left out.
    """
    order, stamp = time_order(rows, np.arange(rows.own))
    n = rows.own
    test_from = n if rows.test_rows else snap(stamp, n - round(config.test_share * n))
    val_from = snap(stamp, test_from - round(config.val_share * n))
    gap_before_test = 0 if rows.test_rows else config.gap
    ends = (val_from - config.gap, test_from - gap_before_test)
    if ends[0] <= 0 or ends[1] <= val_from or (test_from == n and not rows.test_rows):
        raise DataError(
            f"{n} rows at {len(np.unique(stamp))} times do not fill training, validation and "
            f"test with a gap of {config.gap} rows",
            where="split",
            hint="lower split.gap or the shares, or choose another split.method",
        )
    sorted_part = np.full(n, Part.UNUSED, dtype=np.uint8)
    sorted_part[: ends[0]] = Part.TRAIN
    sorted_part[val_from : ends[1]] = Part.VAL
    sorted_part[test_from:] = Part.TEST
    part = np.full(rows.rows, Part.TEST, dtype=np.uint8)
    part[order] = sorted_part
    return purge_groups(part, rows.group)


def predefined(rows: SplitRows, config: SplitConfig, rng: np.random.Generator) -> ByteArray:
    """As the split column says; without validation rows, some are drawn from training."""
    assert rows.given is not None
    part = rows.given.copy()
    part[rows.own :] = Part.TEST
    for needed in (Part.TRAIN, Part.TEST):
        if not (part == needed).any():
            raise DataError(
                f"no row is marked {needed.name.lower()}",
                where=f"split.column: {config.column}",
                hint="mark some, or choose another split.method",
            )
    if not (part == Part.VAL).any():
        train = np.flatnonzero(part == Part.TRAIN)
        is_grouped = rows.group is not None
        unit = group_codes(units_of(rows, config, grouped=is_grouped)[train])
        _need_units(int(unit.max()) + 1, 2, grouped=is_grouped)
        share = min(config.val_share * rows.rows / len(train), 0.5)
        drawn = allocate(unit, rows.label[train], [share, 1 - share], rng)
        if rows.classification:
            _bring_home(drawn, unit, rows.label[train], home=1)
        part[train] = np.array(WITHOUT_TEST, dtype=np.uint8)[drawn][unit]
    return part


SPLITTERS: dict[str, Splitter] = {
    "holdout": holdout,
    "stratified": stratified,
    "grouped": grouped,
    "stratified_grouped": stratified_grouped,
    "time": time,
    "predefined": predefined,
}
