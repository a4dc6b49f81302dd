"""What came out of a split, in numbers: per part, class, group, fold, and over time."""

from __future__ import annotations

from typing import Any

import numpy as np

from plumbline.config.data import SplitConfig
from plumbline.kinds import ByteArray, IntArray, Part
from plumbline.preprocessing.duplicates import group_codes
from plumbline.split.allocate import units_per_label
from plumbline.split.ordered import time_order
from plumbline.split.parts import units_of
from plumbline.split.rows import SplitRows
from plumbline.tables import SplitIndex

BINS = 60  # of the order in time, or of the file
NAMED = (Part.TRAIN, Part.VAL, Part.TEST)


def summarize(rows: SplitRows, split: SplitIndex, config: SplitConfig) -> dict[str, Any]:
    """Counts of a split made by `config` (methods resolved), ready for JSON.

    `order.parts` and `order.folds` count rows per bin and `Part`: (bins, 4), (k, bins, 4).
    """
    part = split.part
    used = max(1, int((part != Part.UNUSED).sum()))
    return {
        "method": config.method,
        "folds_method": config.folds_method,
        "rows": rows.rows,
        "unused": int((part == Part.UNUSED).sum()),
        "parts": {
            p.name.lower(): {
                "rows": int((part == p).sum()),
                "share": round(float((part == p).sum() / used), 6),
                "target": _target(rows, part == p),
            }
            for p in NAMED
        },
        "folds": [
            {"train": int((column == Part.TRAIN).sum()), "val": int((column == Part.VAL).sum())}
            for column in split.folds.T
        ],
        "classes": _classes(rows, part, config) if rows.classification else None,
        "groups": _groups(part, rows.group) if rows.group is not None else None,
        "duplicates": {
            "copies": int(rows.rows - (rows.duplicate.max() + 1)),
            "kept_together": config.keep_duplicates_together
            and not rows.by_chance
            and config.method not in ("time", "predefined"),
        },
        "order": _order(rows, split),
    }


def _target(rows: SplitRows, mask: np.ndarray[Any, Any]) -> dict[str, Any]:
    if rows.classification:
        count = np.bincount(rows.label[mask], minlength=len(rows.label_names))
        return {name: int(n) for name, n in zip(rows.label_names, count, strict=True)}
    value = rows.value[mask]
    if not len(value):
        return {}
    return {
        "mean": float(value.mean()),
        "std": float(value.std()),
        "min": float(value.min()),
        "max": float(value.max()),
    }


def _classes(rows: SplitRows, part: ByteArray, config: SplitConfig) -> dict[str, Any]:
    """Rare classes, and classes that training lacks (a split in time cannot prevent it)."""
    own = slice(0, rows.own)
    unit = group_codes(units_of(rows, config, grouped=False)[own])
    units = units_per_label(unit, rows.label[own])
    rare = np.flatnonzero((units > 0) & (units < max(len(NAMED), config.folds)))
    labels = len(rows.label_names)
    counts = np.bincount(rows.label[part == Part.TRAIN], minlength=labels)
    there = np.bincount(rows.label, minlength=labels)
    return {
        "rare_policy": config.rare_classes,
        "rare": {rows.label_names[c]: int(there[c]) for c in rare},
        "absent_from_training": [
            rows.label_names[c] for c in np.flatnonzero((counts == 0) & (there > 0))
        ],
    }


def _groups(part: ByteArray, group: IntArray) -> dict[str, Any]:
    groups = int(group.max()) + 1
    inside = {p: np.bincount(group[part == p], minlength=groups) > 0 for p in NAMED}
    return {
        "count": groups,
        "per_part": {p.name.lower(): int(inside[p].sum()) for p in NAMED},
        "in_two_parts": int((np.sum(list(inside.values()), axis=0) > 1).sum()),
    }


def _order(rows: SplitRows, split: SplitIndex) -> dict[str, Any]:
    order, _ = time_order(rows, np.arange(rows.rows))
    bins = min(BINS, rows.rows)
    place = np.arange(rows.rows) * bins // rows.rows

    def count(column: ByteArray) -> list[list[int]]:
        cells = place * 4 + column[order]
        counts: list[list[int]] = np.bincount(cells, minlength=bins * 4).reshape(bins, 4).tolist()
        return counts

    return {
        "by": "row" if rows.time is None else "time",
        "parts": count(split.part),
        "folds": [count(column) for column in split.folds.T],
    }
