"""How the page writes numbers: one look for counts, shares, scores and everything else."""

from __future__ import annotations

import math
from collections.abc import Sequence

NOTHING = "–"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: float | None, digits: int = 4) -> str:
    """A number with `digits` significant digits: 1,234 · 0.0123 · 1.2 × 10⁻⁷; the digits of a
    whole number, and those before the point of one below ten million, are all kept.

    None and what is not finite become a dash.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    size = abs(value)
    if isinstance(value, int) and size < 1e9:
        return _signed(f"{value:,}")
    exponent = math.floor(math.log10(size))
    if exponent < -4 or exponent >= 7:
        mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
        return _signed(_trim(mantissa)) + " × 10" + str(int(power)).translate(SUPERSCRIPT)
    return _signed(_trim(f"{value:,.{max(0, digits - 1 - exponent)}f}"))


def aligned(values: Sequence[float], digits: int = 3) -> list[str]:
    """Numbers with so many decimals each that the largest has `digits` significant ones."""
    largest = max((abs(v) for v in values), default=0.0)
    exponent = math.floor(math.log10(largest)) if largest > 0 else 0
    if not -4 <= exponent < 7:
        return [number(v, digits) for v in values]
    return [fixed(v, max(0, digits - 1 - exponent)) for v in values]


def fixed(value: float | None, decimals: int = 3) -> str:
    """A number with so many decimals, for columns that are compared digit by digit."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return _signed(f"{value:,.{decimals}f}")


def percent(share: float | None, decimals: int = 1) -> str:
    """A share as per cent."""
    if share is None or not math.isfinite(share):
        return NOTHING
    return _signed(f"{100 * share:,.{decimals}f} %")


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
