"""The picture of a split: over time, by class, by group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from plumbline.numbers import number

COLOURS = ("#dcdfe4", "#4a7ab5", "#e0a33e", "#c2566b")  # unused, train, val, test
NAMES = ("unused", "train", "val", "test")
WIDTH, LEFT, RIGHT = 720, 150, 110
SPAN = WIDTH - LEFT - RIGHT
MAX_FOLDS = 10
MAX_CLASSES = 12


def split_figure(summary: dict[str, Any]) -> str:
    """An SVG of a split's summary: the parts and folds over time or row order, then the share
    of every class (or the mean of a numeric target) and the groups per part."""
    body: list[str] = []
    y = 24
    for draw in (_legend, _over_order, _over_target, _over_groups):
        lines, y = draw(summary, y)
        body += lines
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" width="{WIDTH}" '
        f'height="{y}" font-family="system-ui, sans-serif" font-size="12" role="img" '
        f'aria-label="split of {summary["rows"]} rows">\n'
        f'<rect width="{WIDTH}" height="{y}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start", weight: int = 400) -> str:
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}" '
        f'fill="#30343b">{escape(text)}</text>'
    )


def _bar(x: float, y: float, width: float, height: float, part: int) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" '
        f'fill="{COLOURS[part]}"/>'
    )


def _legend(summary: dict[str, Any], y: int) -> tuple[list[str], int]:
    lines = [_text(16, y, f"{summary['method']} split, {summary['rows']:,} rows", weight=600)]
    x = LEFT + 110.0
    for part in (1, 2, 3, 0):
        name = NAMES[part]
        rows = summary["parts"][name]["rows"] if part else summary["unused"]
        if not part and not rows:
            continue
        label = f"{name} {rows:,}"
        lines += [_bar(x, y - 10, 11, 11, part), _text(x + 16, y, label)]
        x += 34 + 6.6 * len(label)
    return lines, y + 14


def _over_order(summary: dict[str, Any], y: int) -> tuple[list[str], int]:
    """A strip for the parts, and a thinner one per fold; left is early."""
    order = summary["order"]
    lines = [_text(16, y + 22, "parts"), *_strip(order["parts"], y, 36)]
    y += 42
    folds = order["folds"][:MAX_FOLDS]
    for k, counts in enumerate(folds):
        lines += [_text(16, y + 12, f"fold {k + 1}"), *_strip(counts, y, 16)]
        fold = summary["folds"][k]
        note = f"{fold['train']:,} / {fold['val']:,}"
        lines.append(_text(WIDTH - RIGHT + 8, y + 12, note))
        y += 20
    more = len(order["folds"]) - len(folds)
    if more:
        lines.append(_text(16, y + 12, f"and {more} more folds"))
        y += 18
    lines += [
        _text(LEFT, y + 12, "earliest" if order["by"] == "time" else "first row"),
        _text(LEFT + SPAN, y + 12, "latest" if order["by"] == "time" else "last row", anchor="end"),
    ]
    return lines, y + 30


def _strip(counts: Sequence[Sequence[int]], y: float, height: float) -> Iterator[str]:
    """Per bin the parts stacked; neighbouring bins of one part alone become one bar."""
    width = SPAN / len(counts)
    begin = 0
    for i, row in enumerate(counts):
        alone = sum(1 for n in row if n) == 1
        after = counts[i + 1] if i + 1 < len(counts) else ()
        if alone and [bool(n) for n in after] == [bool(n) for n in row]:
            continue
        x, bar = LEFT + begin * width, (i + 1 - begin) * width
        top, total = y, max(1, sum(row))
        for part in (1, 2, 3, 0):
            if row[part]:
                share = height * row[part] / total
                yield _bar(x, top, bar, share, part)
                top += share
        begin = i + 1


def _stacked(label: str, counts: Sequence[int], note: str, y: float) -> list[str]:
    """One horizontal bar of the shares of train, val, test."""
    total = max(1, sum(counts))
    lines = [_text(16, y + 11, label if len(label) <= 20 else label[:19] + "…")]
    x: float = LEFT
    for part, count in zip((1, 2, 3), counts, strict=True):
        if count:
            lines.append(_bar(x, y, SPAN * count / total, 14, part))
            x += SPAN * count / total
    lines.append(_text(WIDTH - RIGHT + 8, y + 11, note))
    return lines


def _over_target(summary: dict[str, Any], y: int) -> tuple[list[str], int]:
    parts = [summary["parts"][name] for name in NAMES[1:]]
    if summary["classes"] is None:
        means = [
            f"{name} {number(part['target']['mean'])} ± {number(part['target']['std'], 3)}"
            for name, part in zip(NAMES[1:], parts, strict=True)
            if part["target"]
        ]
        return [_text(16, y + 12, "target, mean ± std:  " + ",  ".join(means))], y + 26
    counts = {name: [p["target"][name] for p in parts] for name in parts[0]["target"]}
    largest = sorted(counts, key=lambda name: -sum(counts[name]))
    lines = [_text(16, y + 12, "by class", weight=600)]
    y += 20
    shown = largest if len(largest) <= MAX_CLASSES else [*largest[:8], *largest[-4:]]
    for name in shown:
        lines += _stacked(name, counts[name], f"{sum(counts[name]):,}", y)
        y += 18
    if len(shown) < len(largest):
        lines.append(_text(16, y + 12, f"and {len(largest) - len(shown)} classes between"))
        y += 18
    return lines, y + 10


def _over_groups(summary: dict[str, Any], y: int) -> tuple[list[str], int]:
    groups = summary["groups"]
    if groups is None:
        return [], y
    lines = [_text(16, y + 12, "by group", weight=600)]
    counts = [groups["per_part"][name] for name in NAMES[1:]]
    lines += _stacked("groups", counts, f"{groups['count']:,}", y + 20)
    lines.append(_text(16, y + 50, f"{groups['in_two_parts']:,} groups in two parts"))
    return lines, y + 64
