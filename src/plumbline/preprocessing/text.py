"""Numbers and dates that arrive as text: repaired where the meaning is plain, else refused."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable

import numpy as np
import polars as pl

from plumbline.errors import DataError
from plumbline.kinds import DoubleArray, IntArray

MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "-", "?"})
_PLAIN = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d*)?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_CURRENCY = "$€£¥"
WORDS = {  # as reading a file has them
    **dict.fromkeys(("true", "t", "yes", "y"), 1.0),
    **dict.fromkeys(("false", "f", "no", "n"), 0.0),
}
# Unicode's white space, which reading a file strips; Python's own has four more
_WHITE = "".join(chr(c) for c in range(0x3001) if chr(c).isspace() and not 0x1C <= c <= 0x1F)
_EPOCH = dt.datetime(1970, 1, 1)


def number_of(value: object) -> float | None:
    """A number as float64, NaN where missing; None where it cannot be one.

    Text is read as `12`, `1.5e3`, ` 12 `, `1,234.5`, `3%` (0.03), `$5`, `-5 €`. A comma that
    groups no thousands is refused: 1,5 is one and a half here and fifteen there.
    """
    if value is None:
        return np.nan
    if isinstance(value, int | float | np.number | np.bool_):
        try:
            return float(value)
        except OverflowError:
            return np.inf
    return _number_of_text(value) if isinstance(value, str) else None


def _number_of_text(text: str) -> float | None:
    text = text.strip()
    if text.lower() in MISSING:
        return np.nan
    if _PLAIN.fullmatch(text) or _INFINITE.fullmatch(text):
        return float(text)
    signed = text[0] in "+-"
    sign, body = (text[0], text[1:]) if signed else ("", text)
    body = body.strip(_CURRENCY + " ")
    percent = body.endswith("%")
    body = body.removesuffix("%").rstrip()
    if _THOUSANDS.fullmatch(body):
        body = body.replace(",", "")
    if (signed and body.startswith(("+", "-"))) or not _PLAIN.fullmatch(body):
        return None
    number = float(sign + body)
    return number / 100 if percent else number


def boolean_of(value: object) -> float | None:
    """1 or 0 from a truth value, a number, or text like `yes`, `false`, `1`; NaN where missing."""
    if isinstance(value, str):
        value = WORDS.get(value.strip().lower(), value)
    number = number_of(value)
    return number if number in (0.0, 1.0) or number is None or np.isnan(number) else None


def date_of(value: object) -> float | None:
    """Microseconds since 1970 (UTC where a zone is given), NaN where missing, None if neither.

    Text is read as ISO 8601: `2024-05-01`, `2024-05-01T12:30:00Z`.
    """
    if value is None:
        return np.nan
    if isinstance(value, str):
        text = value.strip()
        if text.lower() in MISSING:
            return np.nan
        try:
            value = dt.datetime.fromisoformat(text)
        except ValueError:
            return None
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        value = dt.datetime(value.year, value.month, value.day)
    if isinstance(value, np.datetime64):
        us = value.astype("datetime64[us]")
        return np.nan if np.isnat(us) else float(us.astype(np.int64))
    if not isinstance(value, dt.datetime):
        return None
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return float((value - _EPOCH) // dt.timedelta(microseconds=1))


def category_of(value: object) -> str | None:
    """A category as the text that reading a file gives; None where missing.

    Text is stripped, and a whole number is never `1.0`.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return value.strip(_WHITE)
    if isinstance(value, bool | np.bool_):
        return "true" if value else "false"
    if isinstance(value, float | np.floating):
        number = float(value)
        if np.isnan(number):
            return None
        if number.is_integer() and abs(number) < 2**63:
            return str(int(number))
        text: str = pl.Series([number]).cast(pl.String)[0]  # 1e-7, where Python has 1e-07
        return text
    return str(value)


def read_texts(
    values: pl.Series, read: Callable[[object], float | None], wanted: str, rows: IntArray
) -> DoubleArray:
    """A text column (n,) as float64, NaN where missing; each different text is read once.

    Raises:
        DataError: a text has no plain meaning; names column and row, `rows` (n,).
    """
    different = values.unique(maintain_order=True)
    numbers = [read(text) for text in different]
    if None in numbers:
        wrong = different[numbers.index(None)]
        row = int((values == wrong).arg_max() or 0)
        raise wrong_value(values.name, wrong, wanted, row=int(rows[row]))
    known = pl.DataFrame({"text": different, "number": pl.Series(numbers, dtype=pl.Float64)})
    found = pl.DataFrame({"text": values}).join(
        known, on="text", how="left", nulls_equal=True, maintain_order="left"
    )
    array: DoubleArray = found["number"].to_numpy()
    return array


def wrong_value(name: str, value: object, wanted: str, *, row: int | None = None) -> DataError:
    """The refusal of one cell."""
    place = f"column '{name}'" if row is None else f"column '{name}', row {row}"
    return DataError(
        "a value of another kind",
        where=place,
        wanted=wanted,
        got=value,
        mend="mend the value, or make the column a category in expectations.yaml",
    )
