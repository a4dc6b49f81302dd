"""Cells become typed values: one polars expression per column, for a file and for a row.

A cell that cannot be read as its column's type becomes null here; `unreadable` finds such cells,
and the validation gate refuses them by row. An infinite number is missing, and so is a value that
is no text where a word for a missing cell says it: -999.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import re
from collections.abc import Callable, Sequence

import polars as pl

from plumbline.images.cells import broken_image, has_images, image_bytes, image_text
from plumbline.kinds import ColumnType, Role
from plumbline.tables import CellFormat, Column

TRUE = ("true", "t", "yes", "y", "1", "1.0")
FALSE = ("false", "f", "no", "n", "0", "0.0")
ISO = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m-%dT%H:%M:%S%.f",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M",
    "%Y/%m/%d",
)
ISO_ZONED = (  # `%#z` is Z, +02, +0200 or +02:00, after a blank or none
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M%#z",
    "%Y-%m-%dT%H:%M%#z",
)
COMPACT = "%Y%m%d"
FIRST_YEAR = 1000  # an earlier one is a year of two digits read as one of four
BLANKS = "[ \u00a0\u2007\u2009\u202f]"
INFINITE = "(?i)^[+-]?inf(inity)?$"
EXACT = 2.0**53  # whole numbers beyond may have lost digits as floating-point numbers
SAMPLE = dt.datetime(2001, 2, 13, 0, 0)  # no part of it can be taken for another


def text(name: str, dtype: pl.DataType, words: Sequence[str]) -> pl.Expr:
    """A column as stripped text, missing cells null; a whole number never as `1.0`.

    Args:
        words: the texts that mean a missing cell.
    """
    if has_images(dtype):
        return image_text(name, dtype)
    column = pl.col(name)
    if isinstance(dtype, pl.Duration | pl.Time):
        column, dtype = _seconds(name, dtype), pl.Float64()
    if dtype.is_float():
        whole = column.cast(pl.Int64, strict=False)
        column = (
            pl.when(column.is_nan())
            .then(None)
            .when(whole.cast(dtype) == column)
            .then(whole.cast(pl.String))
            .otherwise(column.cast(pl.String))
        )
    elif dtype != pl.String:
        column = column.cast(pl.String)
    column = column.str.strip_chars()
    return pl.when(column.is_in(words)).then(None).otherwise(column).alias(name)


def _text(column: Column, dtype: pl.DataType) -> pl.Expr:
    return text(column.name, dtype, column.format.words())


def _seconds(name: str, dtype: pl.DataType) -> pl.Expr:
    """A duration, or a time of day since midnight."""
    # polars multiplies by the reciprocal of a constant, which is not exact; a column it divides by
    ticks = pl.col(name).is_not_null().cast(pl.Float64) * _ticks(dtype)
    return pl.col(name).to_physical().cast(pl.Float64) / ticks


def _ticks(dtype: pl.DataType) -> float:
    """How many of its units a second has."""
    return {"ms": 1e3, "us": 1e6}.get(getattr(dtype, "time_unit", "ns"), 1e9)


def of_type(name: str, dtype: pl.DataType, path: pl.Expr | None = None) -> pl.Expr:
    """A typed column as a Parquet file has it; the inverse of `typed`.

    Args:
        path: of images, where they were read from.
    """
    if isinstance(dtype, pl.Struct):
        held = {"bytes": pl.col(name), "path": pl.lit(None) if path is None else path}
        return pl.struct(
            held.get(field.name, pl.lit(None)).cast(field.dtype).alias(field.name)
            for field in dtype.fields
        ).alias(name)
    if isinstance(dtype, pl.Duration | pl.Time):
        return (pl.col(name) * _ticks(dtype)).round().cast(pl.Int64).cast(dtype)
    return pl.col(name).cast(dtype)


def any_number(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Float64, infinity included."""
    if isinstance(dtype, pl.Duration | pl.Time):
        return _seconds(column.name, dtype)
    if dtype.is_numeric() or dtype == pl.Boolean:
        value = pl.col(column.name).cast(pl.Float64).fill_nan(None)
        return pl.when(~_stands_for_missing(column, dtype)).then(value)
    value = _digits(column, dtype).cast(pl.Float64, strict=False).fill_nan(None)
    if column.format.is_plain:
        return value
    infinite = _text(column, dtype).str.contains(INFINITE)
    return pl.when(infinite).then(pl.lit(float("inf"))).otherwise(value)


def _stands_for_missing(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Whether a value that is no text is one that a word for a missing cell says; not whether it is
    null."""
    words = column.format.words()
    if dtype.is_numeric() and (numbers := numbers_among(words)):
        return pl.col(column.name).cast(pl.Float64).is_in(numbers).fill_null(value=False)
    if isinstance(dtype, pl.Date | pl.Datetime) and (days := _days_among(words)):
        day = pl.col(column.name).cast(pl.Datetime("us"))
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            day = day.dt.replace_time_zone(None)
        return day.is_in(days).fill_null(value=False)
    return pl.lit(value=False)


def numbers_among(words: Sequence[str]) -> list[float]:
    """The numbers among the words for a missing cell."""
    numbers = []
    for word in words:
        with contextlib.suppress(ValueError):
            numbers.append(float(word))
    return [number for number in numbers if number == number]


def _days_among(words: Sequence[str]) -> list[dt.datetime]:
    days = []
    for word in words:
        with contextlib.suppress(ValueError):
            days.append(dt.datetime.strptime(word, "%Y-%m-%d"))
    return days


def _digits(column: Column, dtype: pl.DataType) -> pl.Expr:
    """The text of a number as a computer writes it: `1.234,50 €` as `1234.50`."""
    form, cell = column.format, _text(column, dtype)
    if form.is_plain:
        return cell
    plain, negative = _patterns(form)
    written = cell.str.replace(plain, "${sign}${inner}${number}")
    digits = pl.when(cell.str.contains(plain)).then(written).otherwise(None)
    if negative is not None:
        negated = cell.str.replace(negative, "-${a}${b}${c}${d}")
        digits = pl.when(cell.str.contains(negative)).then(negated).otherwise(digits)
    if form.minus == "−":
        digits = digits.str.replace_all("−", "-", literal=True)
    if form.thousands is not None:
        digits = digits.str.replace_all(_group(form.thousands), "")
    if form.decimal == ",":
        digits = digits.str.replace(",", ".", literal=True)
    return digits + "e-2" if form.unit == "%" else digits


def _group(thousands: str) -> str:
    return {" ": BLANKS, "'": "['’]"}.get(thousands, re.escape(thousands))


def _patterns(form: CellFormat) -> tuple[str, str | None]:
    """What a number looks like, and a negative one in parentheses or with its sign behind."""
    point = re.escape(form.decimal)
    power = "" if form.unit == "%" else "(?:[eE][+-]?[0-9]+)?"
    number = f"(?:[0-9]+(?:{point}[0-9]*)?|{point}[0-9]+){power}"
    if form.thousands is not None:
        # a digit group of another length is no group, nor one behind a zero: 52.12 is not 5212,
        # 0.125 is not 125; nor are digits grouped before a power of ten: 1.234e5 is not 1234e5
        grouped = f"[1-9][0-9]{{0,2}}(?:{_group(form.thousands)}[0-9]{{3}})+"
        number = f"(?:{grouped}(?:{point}[0-9]*)?|{number})"
    before = after = ""
    if form.unit == "%":
        after = f"{BLANKS}*%"
    elif form.unit is not None:
        unit = re.escape(form.unit)
        before, after = f"(?:{unit}{BLANKS}*)?", f"(?:{BLANKS}*{unit})?"
    sign = "[+−-]" if form.minus == "−" else "[+-]"
    signed = f"^(?P<sign>{sign}?){before}(?P<inner>{sign}?)(?P<number>{number}){after}$"
    negative = []  # the unit may stand inside or outside
    if form.parentheses:
        negative += [rf"\({before}(?P<a>{number}){after}\)"]
        negative += [rf"{before}\((?P<b>{number})\){after}"] if form.unit is not None else []
    if form.minus == "behind":
        negative += [f"{before}(?P<c>{number}){after}{BLANKS}*-"]
        negative += [f"{before}(?P<d>{number})-{after}"] if form.unit is not None else []
    return signed, f"^(?:{'|'.join(negative)})$" if negative else None


def number(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Float64; what is not finite is null."""
    value = any_number(column, dtype)
    return pl.when(value.is_finite()).then(value).otherwise(None).alias(column.name)


def integer(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Int64; a number with a fraction is unreadable."""
    if is_whole(dtype):
        value = pl.col(column.name).cast(pl.Int64, strict=False)
        return pl.when(~_stands_for_missing(column, dtype)).then(value)
    value = number(column, dtype)
    whole = value.cast(pl.Int64, strict=False)
    same = (whole.cast(pl.Float64) == value) & (value.abs() < EXACT)
    fallback = pl.when(same).then(whole).otherwise(None)
    if dtype != pl.String:
        return fallback.alias(column.name)
    exact = _digits(column, dtype).cast(pl.Int64, strict=False)
    return pl.coalesce(exact, fallback).alias(column.name)


def is_whole(dtype: pl.DataType) -> bool:
    """Whether all values of a type are whole numbers; they may be too large for 64 bits."""
    return dtype.is_integer() or (isinstance(dtype, pl.Decimal) and dtype.scale == 0)


def boolean(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Boolean from yes/no, true/false, 1/0."""
    if dtype == pl.Boolean:
        return pl.col(column.name)
    cell = _text(column, dtype).str.to_lowercase()
    return (
        pl.when(cell.is_in(TRUE))
        .then(pl.lit(True))
        .when(cell.is_in(FALSE))
        .then(pl.lit(False))
        .otherwise(None)
        .alias(column.name)
    )


def date(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Datetime in microseconds, UTC where a zone is given; ISO 8601 or the column's pattern. One
    before the year 1000 is none: a year of two digits was read as one of four, or no date meant."""
    value = any_date(column, dtype)
    late = value.dt.year() >= FIRST_YEAR
    return pl.when(late).then(value).otherwise(None).alias(column.name)


def any_date(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Datetime in microseconds, those before the year 1000 included."""
    if isinstance(dtype, pl.Date | pl.Datetime):
        value = pl.col(column.name)
        if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
            value = value.dt.convert_time_zone("UTC").dt.replace_time_zone(None)
        value = value.cast(pl.Datetime("us"), strict=False)
        return pl.when(~_stands_for_missing(column, dtype)).then(value).alias(column.name)
    cell, pattern = _text(column, dtype), column.format.date
    if pattern is not None:
        return _moment(cell, pattern)
    eight = pl.when(cell.str.len_bytes() == 8).then(cell).otherwise(None)
    return pl.coalesce(*(_moment(cell, p) for p in (*ISO, *ISO_ZONED)), _moment(eight, COMPACT))


def _moment(cell: pl.Expr, pattern: str) -> pl.Expr:
    value = cell.str.to_datetime(pattern, strict=False, time_unit="us")
    return value.dt.replace_time_zone(None) if has_zone(pattern) else value


def has_zone(pattern: str) -> bool:
    """Whether dates of a pattern carry an offset from UTC."""
    return re.search(r"%[:#]*z", pattern.replace("%%", "")) is not None


def date_text(value: pl.Expr, pattern: str) -> pl.Expr:
    """Dates as text of a pattern; the zone is UTC."""
    if has_zone(pattern):
        return value.dt.replace_time_zone("UTC").dt.to_string(re.sub(r"%[:#]*z", "%z", pattern))
    return value.dt.to_string(pattern)


def is_date_pattern(pattern: str) -> bool:
    """Whether a pattern says day, month and year: what it writes, it reads back."""
    day = pl.LazyFrame({"d": [SAMPLE]}, schema={"d": pl.Datetime("us")})
    try:
        written = day.select(date_text(pl.col("d"), pattern))
        return bool(written.select(_moment(pl.col("d"), pattern)).collect().item() == SAMPLE)
    except pl.exceptions.PolarsError:
        return False


def category(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Text; of a target, the class that the cell is a spelling of."""
    cell = _text(column, dtype)
    if not column.labels:
        return cell
    known = spellings(column.labels)
    other = normal(cell).replace_strict(
        list(known), list(known.values()), default=cell, return_dtype=pl.String
    )
    return pl.when(cell.is_in(column.labels)).then(cell).otherwise(other).alias(column.name)


def normal(cell: pl.Expr) -> pl.Expr:
    """What the spellings of one class have in common: lower case, numbers without zeros behind.

    `07` is no number: codes keep their zeros.
    """
    is_number = cell.str.contains(r"^[+-]?(0|[1-9][0-9]*)(\.[0-9]*)?$")
    short = (
        cell.str.strip_chars_start("+")
        .str.replace(r"(\.[0-9]*?)0*$", "$1")
        .str.strip_chars_end(".")
        .str.replace(r"^-0$", "0")
    )
    return pl.when(is_number).then(short).otherwise(cell.str.to_lowercase())


def normal_forms(values: Sequence[str]) -> list[str]:
    """The normal form of each of some texts."""
    frame = pl.DataFrame({"value": values}, schema={"value": pl.String})
    return frame.select(normal(pl.col("value")))["value"].to_list()


def spellings(labels: Sequence[str]) -> dict[str, str]:
    """Normal form -> class, for those that are the form of one class alone.

    Where two classes are a word for true and one for false, every such word is one of them.
    """
    forms = normal_forms(labels)
    spelled = {f: c for f, c in zip(forms, labels, strict=True) if forms.count(f) == 1}
    if len(labels) == 2 and len(spelled) == 2:
        true = [f for f in forms if f in TRUE]
        false = [f for f in forms if f in FALSE]
        if true and false:
            spelled |= dict.fromkeys(TRUE, spelled[true[0]]) | dict.fromkeys(
                FALSE, spelled[false[0]]
            )
    return spelled


Reader = Callable[[Column, pl.DataType], pl.Expr]
READERS: dict[ColumnType, Reader] = {
    ColumnType.NUMBER: number,
    ColumnType.INTEGER: integer,
    ColumnType.BOOLEAN: boolean,
    ColumnType.CATEGORY: category,
    ColumnType.TEXT: category,
    ColumnType.DATE: date,
    ColumnType.IMAGE: lambda column, dtype: image_bytes(column.name, dtype),
}


def typed(column: Column, dtype: pl.DataType) -> pl.Expr:
    """The column as its schema's type; a regression target is always Float64."""
    value = READERS[column.type](column, dtype)
    if column.role is Role.TARGET and column.type is ColumnType.INTEGER:
        value = value.cast(pl.Float64)
    return value.alias(column.name)


def unreadable(column: Column, dtype: pl.DataType) -> pl.Expr:
    """Whether a cell holds something that is not of the column's type."""
    if column.type is ColumnType.IMAGE and has_images(dtype):
        return broken_image(column.name, dtype)
    if column.type is ColumnType.NUMBER:  # an infinite one was read, and is missing
        value = any_number(column, dtype)
    else:
        value = READERS[column.type](column, dtype)
    there = _text(column, dtype).is_not_null() & ~_stands_for_missing(column, dtype)
    return there & value.is_null()


def written(column: Column, dtype: pl.DataType) -> pl.Expr:
    """The cells as they are written, missing ones null."""
    return _text(column, dtype)


def describe(column: Column) -> str:
    """A column's type and format in words."""
    form = column.format.to_json()
    form.pop("missing", None)
    words = KINDS.get(column.type, str(column.type))
    return words + "".join(f", {key}: '{value}'" for key, value in form.items())


KINDS = {
    ColumnType.NUMBER: "a number",
    ColumnType.INTEGER: "a whole number",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.DATE: "a date",
    ColumnType.IMAGE: "an image that can be read",
}
