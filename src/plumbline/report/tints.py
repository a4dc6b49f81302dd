"""The colors of what raises and lowers a prediction: classes of the page's style."""

from __future__ import annotations

import math

LEVELS = 4  # of a color
FAINT = 0.05  # of the largest value: less has no color


def tint(value: float, largest: float) -> str:
    """`p1` … `p4` or `n1` … `n4`; "" where a value is near zero."""
    share = abs(value) / largest if largest > 0 else 0.0
    if not share >= FAINT:
        return ""
    return f"{'p' if value > 0 else 'n'}{min(LEVELS, max(1, math.ceil(share * LEVELS)))}"
