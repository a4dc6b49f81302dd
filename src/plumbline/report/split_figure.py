"""The picture of a split: over time or row order, by class, by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from markupsafe import Markup

from plumbline.numbers import number, plural
from plumbline.report.read import entries, listed, pick, real, whole, words
from plumbline.report.svg import boxes, drawing, label, named
from plumbline.report.typeface import shorten, text_width

CLASSES = ("unused", "train", "val", "test")  # styles, and the columns of the counts
NAMES = {1: "training", 2: "validation", 3: "test", 0: "unused"}
WIDTH, LEFT, RIGHT = 720.0, 150.0, 130.0
SPAN = WIDTH - LEFT - RIGHT
MAX_FOLDS = 10
MAX_CLASSES = 12
Drawn = tuple[list[Markup], float]  # the parts, and where the next ones begin


def split_figure(summary: dict[str, Any]) -> Markup | None:
    """A split's summary drawn: the parts and folds over time or row order, then the share of
    every class (or the mean of a numeric target) and the groups per part. None where the summary
    counts no rows."""
    if not _counts(pick(summary, "order", "parts")):
        return None
    parts: list[Markup] = []
    y = 16.0
    for draw in (_legend, _over_order, _over_target, _over_groups):
        more, y = draw(summary, y)
        parts += more
    rows = plural(whole(summary.get("rows")) or 0, "row")
    return drawing(WIDTH, y, parts, title="Which rows train, validate and test", text=rows)


def _counts(value: Any) -> list[list[int]]:
    """Rows per bin and part, shape (bins, 4); empty where the value is not that."""
    bins = [[max(0, whole(n) or 0) for n in listed(one)] for one in listed(value)]
    return bins if all(len(one) == len(CLASSES) for one in bins) else []


def _legend(summary: dict[str, Any], y: float) -> Drawn:
    parts: list[Markup] = []
    x = 4.0
    for part, name in NAMES.items():
        where = ("parts", CLASSES[part], "rows") if part else ("unused",)
        rows = whole(pick(summary, *where))
        if not part and not rows:
            continue
        text = f"{name} {number(rows)}"
        if x > 4 and x + 16 + text_width(text) > WIDTH - 4:
            x, y = 4.0, y + 18
        parts += [_bar(x, y - 10, 11, 11, part), label(x + 16, y, text)]
        x += 34 + text_width(text)
    return parts, y + 16


def _over_order(summary: dict[str, Any], y: float) -> Drawn:
    """A strip for the parts, and a thinner one per fold; left is early."""
    order = summary["order"]
    parts = [label(4, y + 22, "parts"), *_strip(_counts(order.get("parts")), y, 36)]
    y += 42
    folds = listed(order.get("folds"))
    for k, counts in enumerate(folds[:MAX_FOLDS]):
        fold = next(iter(listed(summary.get("folds"))[k : k + 1]), None)
        rows = (number(whole(pick(fold, part))) for part in ("train", "val"))
        parts += [label(4, y + 12, f"fold {k + 1}"), *_strip(_counts(counts), y, 16)]
        parts.append(_note(" / ".join(rows), y + 12))
        y += 20
    if len(folds) > MAX_FOLDS:
        parts.append(label(4, y + 12, f"and {len(folds) - MAX_FOLDS} more folds"))
        y += 18
    ends = ("earliest", "latest") if order.get("by") == "time" else ("first row", "last row")
    parts += [
        label(LEFT, y + 12, ends[0], cls="name"),
        label(LEFT + SPAN, y + 12, ends[1], anchor="end", cls="name"),
    ]
    return parts, y + 32


def _bar(x: float, y: float, width: float, height: float, part: int) -> Markup:
    return boxes([(x, y, width, height)], f"fill {CLASSES[part]}")


def _note(text: str, y: float) -> Markup:
    return label(WIDTH - RIGHT + 8, y, shorten(text, RIGHT - 12))


def _strip(counts: Sequence[Sequence[int]], y: float, height: float) -> Iterator[Markup]:
    """Per bin the parts stacked; neighboring bins of one part alone become one bar."""
    width = SPAN / max(1, len(counts))
    begin = 0
    for i, row in enumerate(counts):
        alone = sum(1 for n in row if n) == 1
        after = counts[i + 1] if i + 1 < len(counts) else ()
        if alone and [bool(n) for n in after] == [bool(n) for n in row]:
            continue
        x, bar = LEFT + begin * width, (i + 1 - begin) * width
        top, total = y, max(1, sum(row))
        for part in NAMES:
            if row[part]:
                share = height * row[part] / total
                yield _bar(x, top, bar, share, part)
                top += share
        begin = i + 1


def _stacked(name: str, counts: Sequence[int], y: float) -> list[Markup]:
    """One horizontal bar of the shares of train, val, test."""
    total = max(1, sum(counts))
    parts = [named(4, y + 11, name, LEFT - 12)]
    x = LEFT
    for part, count in zip((1, 2, 3), counts, strict=True):
        if count:
            parts.append(_bar(x, y, SPAN * count / total, 14, part))
            x += SPAN * count / total
    return [*parts, _note(f"{sum(counts):,}", y + 11)]


def _over_target(summary: dict[str, Any], y: float) -> Drawn:
    targets = [pick(summary, "parts", name, "target") for name in CLASSES[1:]]
    if summary.get("classes") is None:
        means = [
            f"{NAMES[part]} {number(real(pick(target, 'mean')))} ± "
            f"{number(real(pick(target, 'std')), 3)}"
            for part, target in enumerate(targets, start=1)
            if target
        ]
        text = "target, mean ± standard deviation: " + ", ".join(means)
        return [label(4, y + 12, shorten(text, WIDTH - 8))], y + 26
    counts = {
        name: [max(0, whole(pick(target, name)) or 0) for target in targets]
        for name, _ in entries(targets[0])
    }
    largest = sorted(counts, key=lambda name: -sum(counts[name]))
    parts = [label(4, y + 12, "by class", cls="strong")]
    y += 20
    shown = largest if len(largest) <= MAX_CLASSES else [*largest[:8], *largest[-4:]]
    for name in shown:
        parts += _stacked(words(name) or "''", counts[name], y)
        y += 18
    if len(shown) < len(largest):
        parts.append(label(4, y + 12, f"and {len(largest) - len(shown)} classes between"))
        y += 18
    return parts, y + 10


def _over_groups(summary: dict[str, Any], y: float) -> Drawn:
    groups = summary.get("groups")
    if not isinstance(groups, dict):
        return [], y
    counts = [max(0, whole(pick(groups, "per_part", name)) or 0) for name in CLASSES[1:]]
    both = plural(whole(groups.get("in_two_parts")) or 0, "group")
    return [
        label(4, y + 12, "by group", cls="strong"),
        *_stacked("groups", counts, y + 20),
        label(4, y + 50, f"{both} in two parts"),
    ], y + 64
