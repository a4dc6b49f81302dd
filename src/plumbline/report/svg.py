"""Drawing in SVG: scales, axes, marks. Colours are classes, so that the page's light, dark and
print styles decide them; the bytes depend on the data alone."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from plumbline.numbers import number

PHONE = 400.0  # a drawing up to this wide is read on a phone as it is
CHAR = 6.2  # mean width of a character of the axis font, in units of the drawing


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Maps values in [low, high] to positions from `start` to `end`; `whole` ones have ticks at
    whole numbers only."""

    low: float
    high: float
    start: float
    end: float
    whole: bool = False

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self, count: int = 5) -> list[float]:
        """Round values inside the scale."""
        ticks = nice_ticks(self.low, self.high, count)
        return [t for t in ticks if t == round(t)] if self.whole else ticks


def margin(low: float, high: float) -> float:
    """The room that tick labels need at the left of a vertical axis."""
    return max(text_width(number(t)) for t in nice_ticks(low, high)) + 12


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About `count` multiples of 1, 2 or 5 times a power of ten within [low, high]."""
    rough = (high - low) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.8)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [0.0 if i == 0 else i * step for i in range(first, last + 1)]


def span(values: Iterable[float], *, zero: bool = False, pad: float = 0.04) -> tuple[float, float]:
    """The limits of an axis that shows finite values: padded, never of length nought."""
    finite = [v for v in values if math.isfinite(v)]
    if zero:
        finite.append(0.0)
    if not finite:
        return 0.0, 1.0
    low, high = min(finite), max(finite)
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-300):
        gap = abs(low) * 0.1 or 1.0
        return low - gap, high + gap
    gap = (high - low) * pad
    return (
        0.0 if zero and low == 0 else low - gap,
        0.0 if zero and high == 0 else high + gap,
    )


def text_width(text: str) -> float:
    """About how wide a text is drawn; ideographs take two places, marks none."""
    places = 0.0
    for character in text:
        if unicodedata.combining(character):
            continue
        places += 1.8 if unicodedata.east_asian_width(character) in "WF" else 1.0
    return places * CHAR


def shorten(text: str, width: float) -> str:
    """A text cut to a width, with an ellipsis."""
    if text_width(text) <= width:
        return text
    kept = ""
    for character in text:
        if text_width(kept + character) > width - CHAR:
            break
        kept += character
    return kept + "…"


def at(value: float) -> str:
    """A coordinate with one decimal."""
    text = f"{value:.1f}"
    text = text.removesuffix(".0")
    return "0" if text == "-0" else text


def label(x: float, y: float, text: str, *, anchor: str = "start", cls: str = "") -> Markup:
    """A text; `anchor` is start, middle or end."""
    return Markup('<text x="{}" y="{}"{}{}>{}</text>').format(
        at(x),
        at(y),
        Markup(' text-anchor="{}"').format(anchor) if anchor != "start" else "",
        Markup(' class="{}"').format(cls) if cls else "",
        text,
    )


def line(x1: float, y1: float, x2: float, y2: float, cls: str) -> Markup:
    """A straight line."""
    return Markup('<path class="{}" d="M{} {}L{} {}"/>').format(cls, at(x1), at(y1), at(x2), at(y2))


def polyline(points: Sequence[tuple[float, float]], cls: str) -> Markup:
    """A line through points; a point that is not finite breaks it."""
    steps: list[str] = []
    pen = "M"
    for x, y in points:
        if math.isfinite(x) and math.isfinite(y):
            steps.append(f"{pen}{at(x)} {at(y)}")
            pen = "L"
        else:
            pen = "M"
    return Markup('<path class="{}" d="{}"/>').format(cls, "".join(steps))


def area(points: Sequence[tuple[float, float]], cls: str) -> Markup:
    """A filled polygon."""
    path = "L".join(f"{at(x)} {at(y)}" for x, y in points)
    return Markup('<path class="{}" d="M{}Z"/>').format(cls, path)


def dots(points: Iterable[tuple[float, float]], cls: str, *, title: str = "") -> Markup:
    """Round dots as one path: a stroke of no length with round ends, its width set by the class."""
    path = "".join(f"M{at(x)} {at(y)}h0" for x, y in points)
    inner = Markup("<title>{}</title>").format(title) if title else Markup("")
    return Markup('<path class="dot {}" d="{}">{}</path>').format(cls, path, inner)


def boxes(items: Iterable[tuple[float, float, float, float]], cls: str) -> Markup:
    """Filled rectangles (x, y, width, height) as one path."""
    path = "".join(
        f"M{at(x)} {at(y)}h{at(width)}v{at(height)}h{at(-width)}z" for x, y, width, height in items
    )
    return Markup('<path class="{}" d="{}"/>').format(cls, path)


def drawing(
    width: float, height: float, parts: Iterable[Markup], *, title: str, text: str = ""
) -> Markup:
    """The `<svg>` element; `title` and `text` are what a screen reader says in its place."""
    spoken = f"{title}. {text}" if text else title
    look = f"max-width:{at(width * 1.3)}px"
    if width > PHONE:  # wider ones scroll there, or their text could not be read
        look += f";min-width:{at(width * 0.85)}px"
    body = Markup("").join(parts)
    return Markup('<svg viewBox="0 0 {} {}" style="{}" role="img" aria-label="{}">{}</svg>').format(
        at(width), at(height), look, spoken, body
    )


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Two scales and their axes."""

    x: Scale
    y: Scale
    x_label: str
    y_label: str

    def axes(self) -> list[Markup]:
        """Grid lines, tick labels and the names of the axes."""
        left, right = sorted((self.x.start, self.x.end))
        top, bottom = sorted((self.y.start, self.y.end))
        parts = []
        for value in self.y.ticks():
            y = self.y(value)
            parts += [
                line(left, y, right, y, "grid"),
                label(left - 6, y + 3.5, number(value), anchor="end"),
            ]
        for value in self._x_ticks():
            x = self.x(value)
            parts += [
                line(x, bottom, x, bottom + 4, "axis"),
                label(x, bottom + 16, number(value), anchor="middle"),
            ]
        parts += [
            line(left, bottom, right, bottom, "axis"),
            label((left + right) / 2, bottom + 33, self.x_label, anchor="middle", cls="name"),
            label(4, top - 10, self.y_label, cls="name"),
        ]
        return parts

    def _x_ticks(self) -> list[float]:
        """As many as have room for their labels, five or fewer."""
        for count in (5, 4, 3, 2):
            ticks = self.x.ticks(count)
            if len(ticks) < 2:
                break
            apart = abs(self.x(ticks[1]) - self.x(ticks[0]))
            if max(text_width(number(t)) for t in ticks) + 8 < apart:
                return ticks
        return ticks[:1]

    def points(self, xs: Iterable[float], ys: Iterable[float]) -> list[tuple[float, float]]:
        """Positions of values; what is not finite stays so."""
        return [
            (self.x(a), self.y(b)) if math.isfinite(a) and math.isfinite(b) else (math.nan,) * 2
            for a, b in zip(xs, ys, strict=True)
        ]
