"""How numbers are written for people: on the page, in the model card, in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

NOTHING = "–"
NBSP = "\u00a0"  # a blank that no line breaks at
TINY, HUGE = 1e-4, 1e15  # beyond these a power of ten is shown
WORDED = 1e7  # from here on: 12.35 million
SCALES = ((1e12, "trillion"), (1e9, "billion"), (1e6, "million"))
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 4) -> str:
    """A number with `digits` significant digits: 1,234 · 0.0123 · 12.35 million · 1.2 × 10⁻⁷.
    The digits of a whole number, and those before the point, are all kept below ten million.

    None and what is not finite become a dash. No blank in it may be broken at.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    size = abs(value)
    if isinstance(value, int) and size < 1e9:
        return _signed(f"{value:,}")
    if size >= HUGE or float(f"{size:.{digits - 1}e}") < TINY:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        return _signed(_trim(mantissa)) + f"{NBSP}×{NBSP}10{str(int(power)).translate(SUPERSCRIPT)}"
    unit, word = _scale(size, digits)
    return _signed(_trim(_rounded(value / unit, digits))) + (f"{NBSP}{word}" if word else "")


def cell(value: float, digits: int = 4) -> str:
    """A number of the data: a whole one of up to four digits, which may be a year or a code,
    stays as it is."""
    if value == int(value) and abs(value) < 10_000:
        return _signed(f"{value:.0f}")
    return number(value, digits)


def interval(low: float | None, high: float | None, digits: int = 4) -> str:
    """`512 to 698 million`, `0.12 to 1.4`, `12 to 8,231`: two ends with one unit; or a dash."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return NOTHING
    unit, word = _scale(max(abs(low), abs(high)), digits)
    if not word or max(abs(low), abs(high)) >= HUGE:
        return f"{number(low, digits)} to {number(high, digits)}"
    ends = aligned([low / unit, high / unit], digits)
    return f"{ends[0]} to {ends[1]}{NBSP}{word}"


def _scale(size: float, digits: int) -> tuple[float, str]:
    """What a number of a size is counted in: (1e6, "million"); (1, "") below ten million."""
    rounded = float(f"{size:.{digits - 1}e}")
    if rounded < WORDED:
        return 1.0, ""
    return next((unit, word) for unit, word in SCALES if rounded >= unit)


def _rounded(value: float, digits: int) -> str:
    exponent = math.floor(math.log10(abs(value)))
    return f"{value:,.{max(0, digits - 1 - exponent)}f}"


def aligned(values: Sequence[float | None], digits: int = 3) -> list[str]:
    """Numbers to be compared: all with as many decimals, so that the largest has `digits`
    significant ones and the smallest two where that takes at most two decimals more. Where they
    are too far apart for that, or very large or small, each for itself."""
    sizes = [abs(v) for v in values if v is not None and math.isfinite(v) and v != 0]
    if not sizes or all(v is None or isinstance(v, int) for v in values):
        return [number(v, digits) for v in values]
    largest, smallest = (math.floor(math.log10(size)) for size in (max(sizes), min(sizes)))
    if max(sizes) >= WORDED or largest < -4:
        return [number(v, digits) for v in values]
    decimals = max(0, digits - 1 - largest)
    decimals = min(max(decimals, 1 - smallest), decimals + 2)
    return [fixed(v, decimals) for v in values]


def fixed(value: float | None, decimals: int = 3) -> str:
    """A number with so many decimals, for columns that are compared digit by digit."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return _signed(f"{value:,.{decimals}f}")


def percent(share: float | None, decimals: int = 1) -> str:
    """A share in percent: 12.3%."""
    if share is None or not math.isfinite(share):
        return NOTHING
    return _signed(f"{100 * share:,.{decimals}f}%")


def p_value(value: float) -> str:
    """`p = 0.03`, `p < 0.001`."""
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"


def method_words(method: str) -> str:
    """Evidently's name of a method, in words: `K-S p-value`."""
    return method.replace("p_value", "p-value")


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`, `1,234 rows`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _signed(text: str) -> str:
    """A true minus sign; no minus before a zero."""
    if text.startswith("-"):
        text = "−" + text[1:] if any(c in "123456789" for c in text) else text[1:]
    return text
