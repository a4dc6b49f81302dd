"""Differences with their intervals, one under the other, as wide as there is room for.

Positions are per cent of the width, so that the text keeps its size on a phone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from plumbline.numbers import number
from plumbline.report.svg import at, nice_ticks, span
from plumbline.report.typeface import shorten, text_width

ROW = 60.0  # name, number, whisker: below each other, since a phone has no room beside
WHISKER = 45.0  # in the row
FOOT = 44.0  # room for tick labels, and for what the sides mean
EDGE = 2.0  # per cent left free on both sides
FAR = 12.0  # the axis is at most so many times as long as the part that the first one takes
NEAR = 8.0  # per cent: tick labels so near to an edge do not reach over it
PHONE = 270.0  # the least width that a forest is drawn at
GAP = 8.0  # between tick labels there
TIP = 1.4  # per cent: length of an arrow's tip


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A difference with its interval, and how it is written."""

    name: str
    value: float
    low: float
    high: float
    text: str


def forest(items: Sequence[Estimate], *, title: str, sides: tuple[str, str]) -> Markup:
    """The differences and the line at zero; `sides` says what lies left and right of it.

    The first is always drawn to scale. One that is far off all before it is an arrow at the
    edge, or the others could not be told from zero; its number stands above it as every one's.
    """
    low, high = limits(items)
    bottom = ROW * len(items)
    parts = []
    zero = _percent(0.0, low, high)
    ticks = nice_ticks(low, high, 4)
    labeled: list[tuple[float, float]] = []
    for tick in sorted(ticks, key=abs):  # zero first: the line that decides has its label
        x = _percent(tick, low, high)
        parts += [_line(x, y, x, y + 18, "grid") for y in _bands(items)]
        anchor = "start" if x < NEAR else "end" if x > 100 - NEAR else "middle"
        wide = text_width(number(tick), 14.1)
        begin = x / 100 * PHONE - wide * {"start": 0.0, "middle": 0.5, "end": 1.0}[anchor]
        if all(begin + wide + GAP <= b or e + GAP <= begin for b, e in labeled):
            parts.append(_text(x, bottom + 16, number(tick), anchor))
            labeled.append((begin, begin + wide))
    parts += [_line(zero, y, zero, y + 18, "axis") for y in _bands(items)]
    for i, e in enumerate(items):
        parts += _row(e, ROW * i, low, high)
    parts.append(_text(0, bottom + 36, f"← {sides[0]}", "start", "name"))
    parts.append(_text(100, bottom + 36, f"{sides[1]} →", "end", "name"))
    spoken = "; ".join(f"{e.name} {e.text}" for e in items)
    return Markup(
        '<svg class="forest" width="100%" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(at(bottom + FOOT), f"{title}: {spoken}", Markup("").join(parts))


def _bands(items: Sequence[Estimate]) -> list[float]:
    """Where lines may run: beside the marks, clear of the words."""
    return [ROW * i + WHISKER - 9 for i in range(len(items))]


def limits(items: Sequence[Estimate]) -> tuple[float, float]:
    """What the axis spans: zero, the first, and all others but those far off."""
    near = [0.0]
    scale = 0.0  # of the first that differs from zero
    for e in items:
        both = [*near, e.low, e.value, e.high]
        if scale and max(both) - min(both) > FAR * scale:
            continue
        near = both
        scale = scale or max(near) - min(near)
    return span(near, pad=0.03)


def _percent(value: float, low: float, high: float) -> float:
    return EDGE + (100 - 2 * EDGE) * (value - low) / (high - low)


def _row(e: Estimate, top: float, low: float, high: float) -> list[Markup]:
    """Name and number above, whisker and mark below; where these leave the axis, an arrow."""
    middle = top + WHISKER
    parts = [
        _text(0, top + 14, shorten(e.name, 275.0, 14.1), "start"),
        _text(0, top + 31, e.text, "start", "name"),
    ]
    left, x, right = (_percent(v, low, high) for v in (e.low, e.value, e.high))
    ends = [min(max(v, 0.0), 100.0) for v in (left, right)]
    if ends[0] == ends[1]:  # all of it is beyond an edge: a shaft for the arrow
        ends = sorted((ends[0], abs(ends[0] - 3 * TIP)))
    parts.append(_line(ends[0], middle, ends[1], middle, "whisker s0"))
    if left < 0:
        parts += _tip(0.0, TIP, middle)
    if right > 100:
        parts += _tip(100.0, 100 - TIP, middle)
    if 0 <= x <= 100:
        mark = Markup('<circle class="mark s0" cx="{}%" cy="{}" r="6"/>')
        parts.append(mark.format(at(x), at(middle)))
    return parts


def _tip(edge: float, back: float, y: float) -> list[Markup]:
    return [_line(edge, y, back, y + side, "whisker s0 off") for side in (-5, 5)]


def _line(x1: float, y1: float, x2: float, y2: float, cls: str) -> Markup:
    return Markup('<line class="{}" x1="{}%" y1="{}" x2="{}%" y2="{}"/>').format(
        cls, at(x1), at(y1), at(x2), at(y2)
    )


def _text(x: float, y: float, text: str, anchor: str, cls: str = "") -> Markup:
    return Markup('<text class="{}" x="{}%" y="{}" text-anchor="{}">{}</text>').format(
        cls, at(x), at(y), anchor, text
    )
