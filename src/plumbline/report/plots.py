"""The plots of the page: lines, estimates with intervals, bars, histograms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from plumbline.kinds import DoubleArray, IntArray
from plumbline.numbers import aligned, number, plural
from plumbline.report.svg import (
    Plane,
    Scale,
    area,
    boxes,
    dots,
    drawing,
    inside,
    label,
    line,
    margin,
    named,
    polyline,
    span,
)
from plumbline.report.typeface import shorten, text_width

WIDTH, HEIGHT = 360.0, 280.0
RIGHT, TOP, BOTTOM = 12.0, 28.0, 44.0
LEGEND = 19.0  # a row of it
MAX_POINTS = 400


@dataclass(frozen=True, kw_only=True)
class Series:
    """A line or a cloud: values (n,), a name for the legend, a style class (`s0` … `s4`).

    `band`: lower and upper values (n,) of a band around it.
    """

    name: str
    x: DoubleArray
    y: DoubleArray
    cls: str = "s0"
    marks: bool = False
    joined: bool = True
    band: tuple[DoubleArray, DoubleArray] | None = None


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What a plane of lines is called, its limits (None: the data's), and its guide line."""

    title: str
    x: str
    y: str
    text: str = ""
    x_limits: tuple[float, float] | None = None
    y_limits: tuple[float, float] | None = None
    diagonal: bool = False
    x_whole: bool = False
    rule: tuple[float, str] | None = None  # a vertical line and its words


def thin(values: DoubleArray, limit: int = MAX_POINTS) -> DoubleArray:
    """At most `limit` of the values, evenly spaced, both ends kept."""
    if len(values) <= limit:
        return values
    kept: DoubleArray = values[np.linspace(0, len(values) - 1, limit).round().astype(int)]
    return kept


def lines(series: Sequence[Series], axes: Axes) -> Markup:
    """Lines (or clouds) in one plane, the legend above."""
    xs = [v for s in series for v in s.x.tolist()]
    ys = [v for s in series for v in s.y.tolist()]
    ys += [v for s in series if s.band for side in s.band for v in side.tolist()]
    key, rows = _legend([(s.name, s.cls, s.joined) for s in series])
    height = HEIGHT + LEGEND * max(0, rows - 1)
    plane = _plane(axes, xs, ys, TOP + LEGEND * rows, height)
    parts = [*key, *plane.axes()]
    if axes.diagonal:
        (x0, x1), (y0, y1) = (plane.x.low, plane.x.high), (plane.y.low, plane.y.high)
        low, high = max(x0, y0), min(x1, y1)
        parts.append(line(plane.x(low), plane.y(low), plane.x(high), plane.y(high), "guide"))
    for one in series:
        parts += _one(plane, one)
    if plane.aside:
        x = plane.x(plane.aside[0])
        parts.append(line(x, plane.y.end, x, plane.y.start, "guide"))
    return drawing(WIDTH, height, parts, title=axes.title, text=axes.text)


def _plane(
    axes: Axes, xs: Sequence[float], ys: Sequence[float], top: float, height: float
) -> Plane:
    low, high = axes.x_limits or span(xs, pad=0.0)
    y_low, y_high = axes.y_limits or span(ys)
    return Plane(
        x=Scale(
            low=low,
            high=high,
            start=margin(y_low, y_high),
            end=WIDTH - RIGHT,
            whole=axes.x_whole,
        ),
        y=Scale(low=y_low, high=y_high, start=height - BOTTOM, end=top),
        x_label=axes.x,
        y_label=axes.y,
        width=WIDTH,
        aside=axes.rule if axes.rule and low <= axes.rule[0] <= high else None,
    )


def _one(plane: Plane, one: Series) -> list[Markup]:
    points = plane.points(one.x.tolist(), one.y.tolist())
    parts = []
    if one.band:
        low, high = (plane.points(one.x.tolist(), side.tolist()) for side in one.band)
        around = [p for p in low + high[::-1] if math.isfinite(p[0])]
        if around:
            parts.append(area(around, f"band {one.cls}"))
    if one.joined:
        parts.append(polyline(points, f"line {one.cls}"))
    if one.marks or not one.joined or sum(math.isfinite(p[0]) for p in points) == 1:
        parts.append(dots([p for p in points if math.isfinite(p[0])], one.cls))
    return parts


def _legend(items: Sequence[tuple[str, str, bool]]) -> tuple[list[Markup], int]:
    """Names with a swatch of their line, and how many rows they take."""
    if len(items) < 2:
        return [], 0
    parts = []
    x, row = 4.0, 0
    for name, cls, joined in items:
        needed = 26 + min(text_width(name), WIDTH - 34)
        if x > 4 and x + needed > WIDTH - 4:
            x, row = 4.0, row + 1
        y = 10 + LEGEND * row
        parts.append(line(x, y, x + 20, y, f"line {cls}") if joined else dots([(x + 10, y)], cls))
        parts.append(named(x + 26, y + 4, name, WIDTH - 34))
        x += needed + 14
    return parts, row + 1


def bars(
    items: Sequence[tuple[str, float]],
    *,
    title: str,
    axis: str,
) -> Markup:
    """Horizontal bars, the first on top, from zero to either side, their names at the left."""
    values = aligned([v for _, v in items])
    wide = [text_width(text) + 10 for text in values]
    before = max((w for w, (_, v) in zip(wide, items, strict=True) if v < 0), default=4.0)
    behind = max((w for w, (_, v) in zip(wide, items, strict=True) if v >= 0), default=4.0)
    widest = max((text_width(name) for name, _ in items), default=0.0) + 2
    room = min(widest, WIDTH * 0.45, WIDTH - before - behind - 24)
    low, high = span([v for _, v in items], zero=True, pad=0.02)
    x = Scale(low=low, high=high, start=room + 4 + before, end=WIDTH - behind)
    row, top = 22.0, 8.0
    parts = []
    for i, (name, value) in enumerate(items):
        y = top + row * i
        begin, end = sorted((x(0), x(value)))
        after = value >= 0
        parts += [
            named(room, y + 14, name, room - 2, anchor="end"),
            boxes(
                [(begin, y + 3, max(0.5, end - begin), row - 8)], "fill s0" if after else "fill s1"
            ),
            label(
                end + 5 if after else begin - 5,
                y + 14,
                values[i],
                anchor="start" if after else "end",
                cls="value",
            ),
        ]
    bottom = top + row * len(items)
    parts.append(line(x(0), top - 2, x(0), bottom, "axis"))
    axis = shorten(axis, WIDTH - 8)
    center = inside(x(0) + text_width(axis) / 2, axis, 4, WIDTH - 4)
    parts.append(label(center, bottom + 16, axis, anchor="middle", cls="name"))
    spoken = "; ".join(f"{name} {value}" for (name, _), value in zip(items, values, strict=True))
    return drawing(WIDTH, bottom + 24, parts, title=title, text=spoken)


def histogram(values: DoubleArray, *, title: str, axis: str, bins: int = 30) -> Markup:
    """Counts of finite values in bins of one width; a guide at zero where it lies inside."""
    values = values[np.isfinite(values)]
    low, high = span(values.tolist(), pad=0.0)
    heights, edges = np.histogram(values, bins=bins, range=(low, high))
    return counts(heights, edges, title=title, axis=axis)


def counts(heights: IntArray, edges: DoubleArray, *, title: str, axis: str) -> Markup:
    """Bars of the counts (n,) between edges (n + 1,); a guide at zero where it lies inside."""
    low, high = float(edges[0]), float(edges[-1])
    top = float(heights.max()) * 1.05 or 1.0
    plane = Plane(
        x=Scale(low=low, high=high, start=margin(0, top), end=WIDTH - RIGHT),
        y=Scale(low=0, high=top, start=HEIGHT - BOTTOM, end=TOP),
        x_label=axis,
        y_label="rows",
        width=WIDTH,
    )
    floor = plane.y(0)
    shapes = [
        (plane.x(a) + 0.5, plane.y(c), max(0.5, plane.x(b) - plane.x(a) - 1), floor - plane.y(c))
        for a, b, c in zip(edges[:-1].tolist(), edges[1:].tolist(), heights.tolist(), strict=True)
        if c
    ]
    parts = [*plane.axes(), boxes(shapes, "fill s0")]
    if low < 0 < high:
        parts.append(line(plane.x(0), plane.y.end, plane.x(0), floor, "guide"))
    text = f"{plural(int(heights.sum()), 'value')} from {number(low)} to {number(high)}"
    return drawing(WIDTH, HEIGHT, parts, title=title, text=text)
