"""The plots of many values: heat map of a confusion, clouds of points, swarms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from plumbline.kinds import DoubleArray
from plumbline.numbers import number, percent, plural
from plumbline.report.plots import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH
from plumbline.report.svg import (
    Plane,
    Scale,
    at,
    boxes,
    dots,
    drawing,
    label,
    line,
    margin,
    shorten,
    span,
    text_width,
)

LEVELS = 6  # shades of a heat map
FEW = 1500  # up to so many points are drawn one by one
CELLS = 48  # bins per axis of a cloud of more
COUNTED = 12  # up to so many classes the cells of a heat map carry numbers


def heat_map(counts: DoubleArray, names: Sequence[str], *, title: str) -> Markup:
    """A confusion matrix, shape (k, k): rows actual, columns predicted, shaded by the share of
    the row."""
    k = len(names)
    left = min(130.0, max(text_width(n) for n in names) + 10)
    size = max(18.0, min(60.0, (WIDTH - 12 - left) / k))
    tilted = any(text_width(n) > size - 4 for n in names)
    top = 26 + (left * 0.75 if tilted else 0)
    width, height = left + size * k + (left * 0.6 if tilted else 12), top + size * k + 26
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    level = np.where(counts > 0, np.ceil(share * LEVELS).clip(1, LEVELS), 0).astype(int)
    parts = []
    for shade in range(LEVELS + 1):
        cells = [
            (left + size * j, top + size * i, size - 1.5, size - 1.5)
            for i, j in np.argwhere(level == shade).tolist()
        ]
        if cells:
            parts.append(boxes(cells, f"h{shade}"))
    for i, name in enumerate(names):
        middle = size * (i + 0.5)
        parts.append(label(left - 6, top + middle + 4, shorten(name, left - 8), anchor="end"))
        parts.append(_column_name(left + middle, top - 7, name, size, left, tilted=tilted))
    if k <= COUNTED:
        for i in range(k):
            for j in range(k):
                x, y = left + size * (j + 0.5) - 0.75, top + size * (i + 0.5)
                cls = "on" if level[i, j] > LEVELS // 2 else "off"
                text = f"{int(counts[i, j]):,}"
                parts.append(label(x, y + 4, text, anchor="middle", cls=cls))
    parts.append(label(left, height - 8, "columns: predicted · rows: actual", cls="name"))
    right = percent(float(np.trace(counts) / max(1, counts.sum())))
    text = f"{k} classes, {plural(int(counts.sum()), 'row')}, {right} on the diagonal"
    return drawing(max(width, 260), height, parts, title=title, text=text)


def _column_name(
    x: float, y: float, name: str, size: float, room: float, *, tilted: bool
) -> Markup:
    if not tilted:
        return label(x, y, shorten(name, size), anchor="middle")
    return Markup('<text transform="translate({} {}) rotate(-48)">{}</text>').format(
        at(x), at(y), shorten(name, room)
    )


def cloud(
    x: DoubleArray,
    y: DoubleArray,
    *,
    title: str,
    axes: tuple[str, str],
    diagonal: bool = False,
    level: float | None = None,
) -> Markup:
    """Points (n,), (n,); many of them as a map of how dense they lie."""
    keep = np.isfinite(x) & np.isfinite(y)
    x, y = x[keep], y[keep]
    x_limits, y_limits = span(x.tolist()), span(y.tolist())
    if diagonal:
        both = span([*x.tolist(), *y.tolist()])
        x_limits = y_limits = both
    plane = Plane(
        x=Scale(low=x_limits[0], high=x_limits[1], start=margin(*y_limits), end=WIDTH - RIGHT),
        y=Scale(low=y_limits[0], high=y_limits[1], start=HEIGHT - BOTTOM, end=TOP),
        x_label=axes[0],
        y_label=axes[1],
    )
    parts = plane.axes()
    if diagonal:
        low, high = x_limits
        parts.append(line(plane.x(low), plane.y(low), plane.x(high), plane.y(high), "guide"))
    if level is not None and y_limits[0] <= level <= y_limits[1]:
        parts.append(line(plane.x.start, plane.y(level), plane.x.end, plane.y(level), "guide"))
    if len(x) <= FEW:
        parts.append(dots(plane.points(x.tolist(), y.tolist()), "s0 faint"))
    else:
        parts += _density(plane, x, y)
    return drawing(WIDTH, HEIGHT, parts, title=title, text=plural(len(x), "row"))


def _density(plane: Plane, x: DoubleArray, y: DoubleArray) -> list[Markup]:
    limits = [(plane.x.low, plane.x.high), (plane.y.low, plane.y.high)]
    counts, _, _ = np.histogram2d(x, y, bins=CELLS, range=limits)
    level = np.zeros(counts.shape, dtype=int)
    some = counts > 0
    # shades by the logarithm: a cell of one row is to be seen beside one of a thousand
    level[some] = 1 + np.floor(np.log(counts[some]) / np.log(counts.max() + 1.0) * LEVELS).clip(
        0, LEVELS - 1
    )
    width = (plane.x.end - plane.x.start) / CELLS
    height = (plane.y.start - plane.y.end) / CELLS
    return [
        boxes(
            [
                (plane.x.start + i * width, plane.y.start - (j + 1) * height, width, height)
                for i, j in np.argwhere(level == shade).tolist()
            ],
            f"h{shade}",
        )
        for shade in range(1, LEVELS + 1)
        if (level == shade).any()
    ]


def swarm(rows: Sequence[tuple[str, DoubleArray]], *, title: str, axis: str) -> Markup:
    """Per feature a swarm of contributions (n,), finite; dots pile up where they are many."""
    room = min(WIDTH * 0.42, max(text_width(name) for name, _ in rows) + 8)
    band, top = 26.0, 8.0
    low, high = span([v for _, values in rows for v in values.tolist()], zero=True)
    x = Scale(low=low, high=high, start=room + 8, end=WIDTH - 8)
    bottom = top + band * len(rows)
    parts = []
    for tick in x.ticks(4):
        parts += [
            line(x(tick), top, x(tick), bottom, "grid"),
            label(x(tick), bottom + 16, number(tick), anchor="middle"),
        ]
    parts.append(line(x(0), top, x(0), bottom, "axis"))
    parts.append(label((x.start + x.end) / 2, bottom + 34, axis, anchor="middle", cls="name"))
    for i, (name, values) in enumerate(rows):
        middle = top + band * (i + 0.5)
        parts.append(label(room, middle + 4, shorten(name, room), anchor="end"))
        parts += _pile(x, middle, values)
    return drawing(WIDTH, bottom + 42, parts, title=title)


def _pile(x: Scale, middle: float, values: DoubleArray) -> list[Markup]:
    """Dots that would cover each other are moved apart; the sign has a colour as well."""
    positions = np.array([x(v) for v in values.tolist()])
    slot = np.round(positions / 3.0).astype(int)
    offset = np.zeros(len(values))
    for place in np.unique(slot).tolist():
        mine = np.flatnonzero(slot == place)
        step = min(3.0, 20.0 / len(mine))
        offset[mine] = (np.arange(len(mine)) - (len(mine) - 1) / 2) * step
    return [
        dots([(positions[i], middle + offset[i]) for i in np.flatnonzero(side).tolist()], cls)
        for side, cls in ((values >= 0, "small s0"), (values < 0, "small s1"))
        if side.any()
    ]
