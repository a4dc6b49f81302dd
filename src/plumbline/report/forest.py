"""Values with their intervals, one under the other, as wide as there is room for.

Positions are per cent of the width, so that the text keeps its size on a phone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from plumbline.report.svg import at, nice_ticks, shorten, span

ROW = 46.0
EDGE = 2.0  # per cent left free on both sides
FAR = 3.0  # a value farther off than so many times the spread of the others is not drawn to scale

Show = Callable[[float | None], str]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value with its interval, if any; `mine` is the one that the others are held against."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    mine: bool = False


def forest(items: Sequence[Estimate], *, title: str, show: Show) -> Markup:
    """The estimates; the band is the interval of `mine`. A value far off all others is drawn as
    an arrow at the edge, or the rest could not be told apart."""
    low, high = limits(items)
    height = ROW * len(items) + 26
    parts = [_band(e, low, high, len(items)) for e in items if e.mine]
    for tick in nice_ticks(low, high, 4):
        x = _percent(tick, low, high)
        parts.append(_line(x, 4, x, ROW * len(items), "grid"))
        parts.append(_text(x, height - 6, show(tick), "middle"))
    for i, e in enumerate(items):
        parts += _row(e, ROW * i, low, high, show)
    spoken = "; ".join(f"{e.name} {show(e.value)}" for e in items)
    return Markup(
        '<svg class="forest" width="100%" height="{}" role="img" aria-label="{}">{}</svg>'
    ).format(at(height), f"{title}: {spoken}", Markup("").join(parts))


def limits(items: Sequence[Estimate]) -> tuple[float, float]:
    """The values that the axis spans: all but those far off."""
    near: list[float] = []
    for e in sorted(items, key=lambda e: not e.mine):
        ends = [v for v in (e.value, e.low, e.high) if v is not None]
        both = span([*near, *ends], pad=0.0)
        if near:
            own = max(near) - min(near)
            if len(near) > 1 and own > 0 and both[1] - both[0] > (1 + FAR) * own:
                continue
        near += ends
    return span(near, pad=0.03)


def _percent(value: float, low: float, high: float) -> float:
    return EDGE + (100 - 2 * EDGE) * (value - low) / (high - low)


def _row(e: Estimate, top: float, low: float, high: float, show: Show) -> list[Markup]:
    value = show(e.value)
    bounded = e.low is not None and e.high is not None
    if bounded:
        value += f"  ({show(e.low)} to {show(e.high)})"
    cls = "strong" if e.mine else ""
    middle = top + 32
    x = _percent(e.value, low, high)
    parts = [
        _text(0, top + 17, shorten(e.name, 170), "start", cls),
        _text(100, top + 17, value, "end", cls),
    ]
    if bounded:
        ends = [min(max(_percent(v or 0.0, low, high), 0), 100) for v in (e.low, e.high)]
        parts.append(_line(ends[0], middle, ends[1], middle, f"whisker {_cls(e)}"))
    if not 0 <= x <= 100:
        arrow, place, anchor = ("◂", 0.0, "start") if x < 0 else ("▸", 100.0, "end")
        said = f"{arrow} off the scale" if x < 0 else f"off the scale {arrow}"
        return [*parts, _text(place, middle + 4, said, anchor, "name")]
    if e.mine:
        mark = Markup('<circle class="mark {}" cx="{}%" cy="{}" r="6"/>')
    else:
        mark = Markup(
            '<rect class="mark {}" x="{}%" y="{}" width="9" height="9" '
            'transform="translate(-4.5 -4.5)"/>'
        )
    return [*parts, mark.format(_cls(e), at(x), at(middle))]


def _cls(e: Estimate) -> str:
    return "s0" if e.mine else "s9"


def _band(e: Estimate, low: float, high: float, rows: int) -> Markup:
    """The interval in every row, beside the marks, clear of the words."""
    if e.low is None or e.high is None:
        return Markup("")
    left, right = _percent(e.low, low, high), _percent(e.high, low, high)
    one = Markup('<rect class="shade" x="{}%" y="{}" width="{}%" height="18"/>')
    return Markup("").join(
        one.format(at(left), at(ROW * i + 23), at(max(right - left, 0.1))) for i in range(rows)
    )


def _line(x1: float, y1: float, x2: float, y2: float, cls: str) -> Markup:
    return Markup('<line class="{}" x1="{}%" y1="{}" x2="{}%" y2="{}"/>').format(
        cls, at(x1), at(y1), at(x2), at(y2)
    )


def _text(x: float, y: float, text: str, anchor: str, cls: str = "") -> Markup:
    return Markup('<text class="{}" x="{}%" y="{}" text-anchor="{}">{}</text>').format(
        cls, at(x), at(y), anchor, text
    )
