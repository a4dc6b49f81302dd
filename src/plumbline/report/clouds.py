"""The plots of many values: heat map of a confusion, clouds of points, swarms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from plumbline.kinds import DoubleArray
from plumbline.numbers import percent, plural
from plumbline.report.plots import BOTTOM, HEIGHT, RIGHT, TOP, WIDTH
from plumbline.report.svg import (
    Plane,
    Scale,
    at,
    boxes,
    dots,
    drawing,
    inside,
    label,
    line,
    margin,
    named,
    span,
    x_labels,
)
from plumbline.report.typeface import shorten, text_width

LEVELS = 6  # shades of a heat map
FEW = 1500  # up to so many points are drawn one by one
CELLS = 48  # bins per axis of a cloud of more
TILT = 48  # degrees
SIN, COS = math.sin(math.radians(TILT)), math.cos(math.radians(TILT))
AXES = "rows: actual · columns: predicted"
COUNTED = 12  # up to so many classes the cells of a heat map carry numbers


def heat_map(counts: DoubleArray, names: Sequence[str], *, title: str) -> Markup:
    """A confusion matrix, shape (k, k): rows actual, columns predicted, shaded by the share of
    the row."""
    k = len(names)
    texts = [[f"{int(count):,}" for count in row] for row in counts]
    numbered = k <= COUNTED
    widest = max((text_width(t) for row in texts for t in row), default=0.0) if numbered else 0.0
    left = min(150.0, max(text_width(n) for n in names) + 10)
    size = max(18.0, widest + 8, min(60.0, (WIDTH - 12 - left) / k))
    tilted = any(text_width(n) > size - 6 for n in names)
    room = min(110.0, max(text_width(n) for n in names))  # of a name above its column
    top = 26 + (room * SIN + 4 if tilted else 0)
    width = left + size * k + (room * COS + 8 - size / 2 if tilted else 12)
    height = top + size * k + 26
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
        parts.append(named(left - 6, top + middle + 4, name, left - 8, anchor="end"))
        parts.append(_column_name(left + middle, top - 7, name, size, room, tilted=tilted))
    if numbered:
        for i in range(k):
            for j in range(k):
                x, y = left + size * (j + 0.5) - 0.75, top + size * (i + 0.5)
                cls = "on" if level[i, j] > LEVELS // 2 else "off"
                parts.append(label(x, y + 4, texts[i][j], anchor="middle", cls=cls))
    parts.append(label(4, height - 8, AXES, cls="name"))
    right = percent(float(np.trace(counts) / max(1, counts.sum())))
    text = f"{k} classes, {plural(int(counts.sum()), 'row')}, {right} on the diagonal"
    return drawing(max(width, text_width(AXES) + 8), height, parts, title=title, text=text)


def _column_name(
    x: float, y: float, name: str, size: float, room: float, *, tilted: bool
) -> Markup:
    if not tilted:
        return label(x, y, name, anchor="middle")
    return Markup(
        '<text transform="translate({} {}) rotate(-{})"><title>{}</title>{}</text>'
    ).format(at(x), at(y), TILT, name, shorten(name, room))


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
        width=WIDTH,
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
    room = min(WIDTH * 0.45, max(text_width(name) for name, _ in rows) + 2)
    band, top = 26.0, 8.0
    low, high = span([v for _, values in rows for v in values.tolist()], zero=True)
    x = Scale(low=low, high=high, start=room + 8, end=WIDTH - 8)
    bottom = top + band * len(rows)
    parts = []
    for place, center, text in x_labels(x, WIDTH, 4):
        parts += [
            line(place, top, place, bottom, "grid"),
            label(center, bottom + 16, text, anchor="middle"),
        ]
    parts.append(line(x(0), top, x(0), bottom, "axis"))
    axis = shorten(axis, WIDTH - 8)
    middle = inside((x.start + x.end) / 2, axis, 4, WIDTH - 4)
    parts.append(label(middle, bottom + 34, axis, anchor="middle", cls="name"))
    for i, (name, values) in enumerate(rows):
        middle = top + band * (i + 0.5)
        parts.append(named(room, middle + 4, name, room - 2, anchor="end"))
        parts += _pile(x, middle, values)
    return drawing(WIDTH, bottom + 42, parts, title=title)


def _pile(x: Scale, middle: float, values: DoubleArray) -> list[Markup]:
    """Dots that would cover each other are moved apart; the sign has a color as well."""
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
