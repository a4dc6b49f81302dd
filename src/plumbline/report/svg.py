"""Drawing in SVG: scales, axes, marks. Colors are classes, so that the page's light, dark and
print styles decide them; the bytes depend on the data alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from plumbline.numbers import fixed, number
from plumbline.report.typeface import shorten, text_width

PHONE = 400.0  # a drawing up to this wide is read on a phone as it is


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
    texts = tick_texts(nice_ticks(low, high))
    return max(text_width(text) for text in texts) + 12


def tick_texts(ticks: Sequence[float]) -> list[str]:
    """The labels of ticks, all with as many decimals."""
    texts = [number(tick) for tick in ticks]
    if any(text.strip("−0123456789,.") for text in texts):
        return texts
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    return [fixed(tick, decimals) for tick in ticks]


def inside(x: float, text: str, low: float, high: float) -> float:
    """Where a text that should be centered at `x` is centered so that it lies in [low, high]."""
    half = text_width(text) / 2
    return max(low + half, min(x, high - half))


def x_labels(scale: Scale, width: float, count: int = 5) -> list[tuple[float, float, str]]:
    """Ticks of a horizontal axis whose labels have room inside a drawing of that width:
    (position, center of the label, label); `count` of them or fewer."""
    for most in range(count, 0, -1):
        ticks = scale.ticks(most)
        texts = tick_texts(ticks)
        places = [
            (scale(t), inside(scale(t), text, 2, width - 2), text)
            for t, text in zip(ticks, texts, strict=True)
        ]
        ends = [(x - text_width(text) / 2, x + text_width(text) / 2) for _, x, text in places]
        if all(a[1] + 6 <= b[0] for a, b in pairwise(ends)):
            return places
    return places[:1]


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


def named(
    x: float, y: float, name: str, room: float, *, anchor: str = "start", cls: str = ""
) -> Markup:
    """A text from outside, cut to the room there is; the whole of it is shown on pointing."""
    short = shorten(name, room)
    whole = Markup("<title>{}</title>").format(name) if short != name else Markup("")
    return label(x, y, whole + short, anchor=anchor, cls=cls)


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
    """Round dots as one path: strokes with round ends, their width set by the class. Some PDF
    viewers draw a stroke of no length at all as a cross, so that they have a little."""
    path = "".join(f"M{at(x)} {at(y)}h.01" for x, y in points)
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
    style = f"max-width:{at(width * 1.3)}px"
    if width > PHONE:  # wider ones scroll there, or their text could not be read
        style += f";min-width:{at(width * 0.85)}px"
    body = Markup("").join(parts)
    return Markup('<svg viewBox="0 0 {} {}" style="{}" role="img" aria-label="{}">{}</svg>').format(
        at(width), at(height), style, spoken, body
    )


@dataclass(frozen=True, kw_only=True)
class Plane:
    """Two scales and their axes, in a drawing of a width. `aside`: words at the right of the
    name of the vertical axis, and where they belong."""

    x: Scale
    y: Scale
    x_label: str
    y_label: str
    width: float
    aside: tuple[float, str] | None = None

    def axes(self) -> list[Markup]:
        """Grid lines, tick labels and the names of the axes."""
        left, right = sorted((self.x.start, self.x.end))
        top, bottom = sorted((self.y.start, self.y.end))
        parts = []
        ticks = self.y.ticks()
        for value, text in zip(ticks, tick_texts(ticks), strict=True):
            y = self.y(value)
            parts += [line(left, y, right, y, "grid"), label(left - 6, y + 3.5, text, anchor="end")]
        for x, center, text in x_labels(self.x, self.width):
            parts += [
                line(x, bottom, x, bottom + 4, "axis"),
                label(center, bottom + 18, text, anchor="middle"),
            ]
        x_label = shorten(self.x_label, self.width - 8)
        middle = inside((left + right) / 2, x_label, 4, self.width - 4)
        return [
            *parts,
            line(left, bottom, right, bottom, "axis"),
            label(middle, bottom + 35, x_label, anchor="middle", cls="name"),
            *self._above(top - 12),
        ]

    def _above(self, y: float) -> list[Markup]:
        """The name of the vertical axis, and the words beside it."""
        if self.aside is None:
            return [label(4, y, shorten(self.y_label, self.width - 8), cls="name")]
        where, words = self.aside
        y_label = shorten(self.y_label, self.width - 8 - text_width(words) - 12)
        after = 4 + text_width(y_label) + 12
        center = inside(self.x(where), words, after, self.width - 4)
        return [
            label(4, y, y_label, cls="name"),
            label(center, y, words, anchor="middle", cls="hint"),
        ]

    def points(self, xs: Iterable[float], ys: Iterable[float]) -> list[tuple[float, float]]:
        """Positions of values; what is not finite stays so."""
        return [
            (self.x(a), self.y(b)) if math.isfinite(a) and math.isfinite(b) else (math.nan,) * 2
            for a, b in zip(xs, ys, strict=True)
        ]
