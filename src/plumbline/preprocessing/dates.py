"""Dates -> numbers: parts and points on circles, by integer arithmetic on microseconds."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from plumbline.kinds import DoubleArray, IntArray

DAY = 86_400_000_000  # microseconds
PARTS = ("days", "year", "month", "day", "weekday", "hour")
CYCLES = {"yearday": 365.2425, "weekday": 7.0, "hour": 24.0}


def date_names(method: str) -> tuple[str, ...]:
    """Names of the numbers that a method makes of a date."""
    cyclic = tuple(f"{name}_{wave}" for name in CYCLES for wave in ("sin", "cos"))
    return {"parts": PARTS, "cyclic": cyclic, "both": (*PARTS, *cyclic), "drop": ()}[method]


def is_cyclic(name: str) -> bool:
    """Whether a number is a point on a circle, which needs no scaling."""
    return name.endswith(("_sin", "_cos"))


def date_numbers(us: DoubleArray, names: tuple[str, ...]) -> DoubleArray:
    """Microseconds since 1970 (n,), NaN where missing -> (n, len(names)), NaN where missing.

    `days` counts days since 1970 with their fraction; `weekday` is 0 on Monday; `yearday` is
    0 on the first of January; hours carry their minutes in the cyclic form.
    """
    missing = ~np.isfinite(us)
    whole = np.where(missing, 0.0, us).astype(np.int64)
    out = np.empty((len(us), len(names)))
    for j, name in enumerate(names):
        base, _, wave = name.partition("_")
        values = _FRACTIONS[base](whole) if wave else _NUMBERS[base](whole)
        if wave:
            angle = 2 * np.pi * values / CYCLES[base]
            values = np.sin(angle) if wave == "sin" else np.cos(angle)
        out[:, j] = values
    out[missing] = np.nan
    return out


def _since(us: IntArray, unit: str) -> IntArray:
    """Whole days since the calendar unit (month, year) of each moment began."""
    days = us.astype("datetime64[us]").astype("datetime64[D]")
    begun = days.astype(f"datetime64[{unit}]").astype("datetime64[D]")
    since: IntArray = (days - begun).astype(np.int64)
    return since


def _year(us: IntArray) -> DoubleArray:
    return us.astype("datetime64[us]").astype("datetime64[Y]").astype(np.float64) + 1970


def _month(us: IntArray) -> DoubleArray:
    months = us.astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
    return (months % 12 + 1).astype(np.float64)


def _weekday(us: IntArray) -> DoubleArray:
    return ((us // DAY + 3) % 7).astype(np.float64)  # 1970-01-01 was a Thursday


_NUMBERS: dict[str, Callable[[IntArray], DoubleArray]] = {
    "days": lambda us: us / DAY,
    "year": _year,
    "month": _month,
    "day": lambda us: (_since(us, "M") + 1).astype(np.float64),
    "weekday": _weekday,
    "hour": lambda us: (us % DAY // (DAY // 24)).astype(np.float64),
}
_FRACTIONS: dict[str, Callable[[IntArray], DoubleArray]] = {
    "yearday": lambda us: _since(us, "Y").astype(np.float64),
    "weekday": _weekday,
    "hour": lambda us: us % DAY / (DAY // 24),
}
