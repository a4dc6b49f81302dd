"""The picture of a network: which cells go into which encoder, and what follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from plumbline.numbers import plural
from plumbline.report.svg import area, at, drawing, label, line, named
from plumbline.report.typeface import shorten, text_width

WIDTH = 380.0
CELL = (4.0, 150.0)  # left and right end of what is read
ENCODER = (168.0, 356.0)
BOX = (4.0, 356.0)
BUS = 368.0  # along which the encoders' outputs run together
STEP_LINES = 3
LINE, PAD, GAP, BETWEEN = 16.0, 8.0, 22.0, 10.0  # heights
TIP = 4.0


@dataclass(frozen=True, kw_only=True)
class PartBox:
    """A part of the network, in words.

    Attributes:
        reads: the lines of the cell that an encoder reads; none for another part.
        steps: the modules inside.
        amount: its parameters; `share`: of all.
    """

    name: str
    style: str
    reads: Sequence[str]
    steps: Sequence[str]
    shape: str
    amount: str
    share: float
    repeats: int


def architecture_figure(parts: Sequence[PartBox], prediction: Sequence[str]) -> Markup:
    """Encoders beside the cells that they read, then the parts that follow, from top to bottom.

    Args:
        prediction: the lines of the last box.
    """
    drawn: list[Markup] = []
    y = 6.0
    encoders = [part for part in parts if part.reads]
    middles = []
    for part in encoders:
        more, height = _encoder(part, y)
        drawn += more
        middles.append(y + height / 2)
        y += height + BETWEEN
    if middles:
        y += GAP - BETWEEN
        drawn += _bus(middles, y)
    for part in parts:
        if part.reads:
            continue
        lines = _wrapped(part.steps, BOX)
        drawn += _box(BOX, y, [_title(part), *lines, (part.shape, part.amount)], part.style)
        y += _height(len(lines) + 2)
        drawn += _arrow(y, y + GAP)
        y += GAP
    drawn += _box(BOX, y, [(text, "") for text in prediction], "shade")
    y += _height(len(prediction)) + 4
    spoken = [*(_spoken(part) for part in parts), ", ".join(prediction)]
    return drawing(WIDTH, y, drawn, title="The network", text="; ".join(spoken))


def _height(lines: int) -> float:
    return LINE * lines + PAD


def _title(part: PartBox) -> tuple[str, str]:
    return part.name, f"× {part.repeats}" if part.repeats > 1 else ""


def _encoder(part: PartBox, y: float) -> tuple[list[Markup], float]:
    times = f"× {part.repeats}" if part.repeats > 1 else ""
    lines = [*_wrapped(part.steps, ENCODER), (part.shape, times), (part.amount, "")]
    height = _height(max(len(lines), len(part.reads)))
    middle = y + height / 2
    own = _height(len(part.reads))
    return [
        *_box(CELL, middle - own / 2, [(text, "") for text in part.reads], "shade"),
        line(CELL[1], middle, ENCODER[0] - TIP, middle, "axis"),
        _tip(ENCODER[0], middle, along=True),
        *_box(ENCODER, y, lines, part.style, height),
    ], height


def _bus(middles: Sequence[float], end: float) -> list[Markup]:
    """From all encoders to the middle of what follows."""
    turn, middle = end - GAP / 2, (BOX[0] + BOX[1]) / 2
    stubs = [line(ENCODER[1], y, BUS, y, "axis") for y in middles]
    return [
        *stubs,
        line(BUS, middles[0], BUS, turn, "axis"),
        line(BUS, turn, middle, turn, "axis"),
        *_arrow(turn, end),
    ]


def _arrow(begin: float, end: float) -> list[Markup]:
    x = (BOX[0] + BOX[1]) / 2
    return [line(x, begin, x, end - TIP, "axis"), _tip(x, end, along=False)]


def _tip(x: float, y: float, *, along: bool) -> Markup:
    """The tip of an arrow to the right (`along`) or downward."""
    back = [(-2 * TIP, -TIP), (0.0, 0.0), (-2 * TIP, TIP)]
    return area([(x + a, y + b) if along else (x + b, y + a) for a, b in back], "tip")


def _box(
    ends: tuple[float, float],
    y: float,
    lines: Sequence[tuple[str, str]],
    style: str,
    height: float | None = None,
) -> list[Markup]:
    """Lines of text (left, right) in a frame, the first one bold."""
    left, right = ends
    frame = Markup('<rect class="box {}" x="{}" y="{}" width="{}" height="{}" rx="3"/>').format(
        style, at(left), at(y), at(right - left), at(height or _height(len(lines)))
    )
    parts = [frame]
    for i, (text, aside) in enumerate(lines):
        base = y + PAD / 2 + LINE * i + 12
        room = right - left - 14 - (text_width(aside) + 8 if aside else 0)
        cls = "strong" if i == 0 else ""
        parts.append(named(left + 7, base, text, room / 1.08 if cls else room, cls=cls))
        if aside:
            parts.append(label(right - 7, base, aside, anchor="end", cls=cls))
    return parts


def _wrapped(steps: Sequence[str], ends: tuple[float, float]) -> list[tuple[str, str]]:
    """Steps with arrows between them, on a few lines."""
    room = (ends[1] - ends[0] - 14) / 1.08
    lines = [""]
    for number, step in enumerate(steps, start=1):
        longer = f"{lines[-1]} → {step}" if lines[-1] else step
        ended = longer if number == len(steps) else f"{longer} →"
        if text_width(ended) <= room or not lines[-1] or len(lines) == STEP_LINES:
            lines[-1] = longer
        else:
            lines[-1] += " →"
            lines.append(step)
    return [(shorten(text, room), "") for text in lines if text]


def _spoken(part: PartBox) -> str:
    reads = f"{', '.join(part.reads)} into " if part.reads else ""
    repeats = f" {plural(part.repeats, 'time')}" if part.repeats > 1 else ""
    steps = ", ".join(part.steps)
    return f"{reads}{part.name}{repeats} ({steps}), output {part.shape}, {part.amount}"
