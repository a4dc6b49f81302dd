"""Rows as a program or a request gives them -> a frame of polars, cells as they are."""

from __future__ import annotations

import base64
import binascii
import contextlib
import datetime as dt
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from plumbline.cell_kinds import is_unicode, kind_of
from plumbline.cells import describe
from plumbline.errors import DataError
from plumbline.images import ImageReader
from plumbline.inference.accepted_kinds import AcceptedKinds
from plumbline.kinds import CellKind, ColumnType
from plumbline.tables import CellFormat, Column, Schema

BASE64 = re.compile(r"(?:data:image/[\w.+-]+;base64,)?([A-Za-z0-9+/\s]{16,}={0,2})\s*")
TIMESTAMP = re.compile(r"[1-9]\d{3}-\d\d-\d\dT\d\d:\d\d")
BEGINNINGS = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"BM", b"GIF8", b"II*\0", b"MM\0*")
SERVED = "_MLFLOW_IS_IN_SERVING_ENVIRONMENT"  # MLflow's server sets it


PIXELS = "encode it: PIL's Image.fromarray(pixels).save(buffer, 'PNG'), then buffer.getvalue()"
HINTS = {  # by the name of a type that is nearly a table
    "LazyFrame": "collect it: .collect()",
    "Table": "make a frame of it: .to_pandas()",
    "RecordBatch": "make a frame of it: .to_pandas()",
    "ndarray": "name its columns: pandas.DataFrame(data, columns=[…])",
    "recarray": "make a frame of it: pandas.DataFrame.from_records(data)",
}


def given_rows(
    data: Any, schema: Schema, accepted: AcceptedKinds, required: Collection[str] = ()
) -> pl.DataFrame:
    """The rows that were given.

    Args:
        data: a frame of pandas or polars; a list of rows, column -> value; or column -> values.
        schema: of the model; its images may be paths.
        accepted: the kinds of values that its columns take.
        required: names of columns that each row of a list must have if one of them has.

    Raises:
        DataError: it is no table, has a value of a wrong type in a column of several, or names a
            file that is no image or may not be read.
    """
    known = {column.name: column for column in schema.columns}
    columns = []
    for name, values in _columns(data, required).items():
        column = known.get(str(name), Column(name=str(name), type=ColumnType.TEXT))
        is_image = column.type is ColumnType.IMAGE
        try:
            columns.append(
                _images(column.name, values) if is_image else _series(column, values, accepted)
            )
        except UnicodeEncodeError:
            raise _no_text(column.name, values) from None
    return pl.DataFrame(columns)


def _no_text(name: str, values: Any) -> DataError:
    """Why a column is refused that has something in it that UTF-8 cannot hold."""
    where, got = f"column '{name.encode(errors='backslashreplace').decode()}'", name
    if is_unicode(name):
        for row, cell in enumerate(_cells(values)):
            if isinstance(cell, str) and not is_unicode(cell):
                where, got = f"{where}, row {row}", cell
                break
    return DataError(
        "holds half of a surrogate pair, which is no character",
        where=where,
        got=got,
        hint="leave it out; text that was decoded with errors='surrogateescape' is of another "
        "encoding",
    )


def _columns(data: Any, required: Collection[str]) -> Mapping[Any, Any]:
    if isinstance(data, pl.DataFrame):
        return data.to_dict()
    if isinstance(data, pd.DataFrame):
        twice = data.columns[data.columns.duplicated()]
        if len(twice):
            raise DataError("two columns have one name", where=f"column '{twice[0]}'")
        return {name: data[name] for name in data.columns}
    if isinstance(data, Mapping):
        single = [isinstance(v, str | bytes) or not hasattr(v, "__len__") for v in data.values()]
        values = {k: [v] if one else v for (k, v), one in zip(data.items(), single, strict=True)}
        if len({len(v) for v in values.values()}) > 1:
            lengths = ", ".join(f"'{name}': {len(v)}" for name, v in values.items())
            raise DataError("columns have different lengths", got=lengths)
        return values
    if isinstance(data, Sequence) and (not data or any(isinstance(r, Mapping) for r in data)):
        return _columns_of_list(data, required)
    raise DataError(
        "no rows that can be read",
        wanted="a frame of pandas or polars, a list of rows (column: value), or column: values",
        got=type(data).__name__,
        hint=HINTS.get(type(data).__name__),
    )


def _columns_of_list(rows: Sequence[Any], required: Collection[str]) -> Mapping[Any, Any]:
    names: dict[Any, None] = {}
    for number, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise DataError(
                "is no row", where=f"row {number}", wanted="column: value", got=type(row).__name__
            )
        names |= dict.fromkeys(row)
    for name in names:
        lacking = [i for i, row in enumerate(rows) if name not in row] if name in required else []
        if lacking:
            more = f", nor in {len(lacking) - 1} more" if len(lacking) > 1 else ""
            raise DataError(
                f"no such column in the row{more}",
                where=f"column '{name}', row {lacking[0]}",
                hint="add it, with None where nothing is known",
            )
    return {name: [row.get(name) for row in rows] for name in names}


def _series(column: Column, values: Any, accepted: AcceptedKinds) -> pl.Series:
    """A column; cells of several types become text, as a file would have them."""
    name = column.name
    if isinstance(values, pl.Series):
        return values
    if isinstance(values, pd.Series) and values.dtype.kind in "biufmM":
        return pl.from_pandas(values).alias(name)
    cells = _cells(values)
    if column.type is ColumnType.DATE and "T" not in (column.format.date or ""):
        cells = _timestamps(cells)
    samples = {type(cell): cell for cell in cells if cell is not None}
    types = set(samples)
    if any(kind_of(sample) is CellKind.OTHER for sample in samples.values()):
        _refuse(name, cells, accepted)  # before polars, which cannot hold every list
        if len(types) == 1:
            return pl.Series(name, [None] * len(cells))  # the model does not read the column
    if types <= {int, float} and float in types:
        return pl.Series(name, cells, dtype=pl.Float64, strict=False)
    if types and types <= {dt.date, dt.datetime, pd.Timestamp}:
        moments = [None if cell is None else _moment(cell) for cell in cells]
        return pl.Series(name, moments, dtype=pl.Datetime("us"))
    if len(types) == 1 and str not in types:
        with contextlib.suppress(TypeError, OverflowError, pl.exceptions.PolarsError):
            return pl.Series(name, cells)  # else as text
    _refuse(name, cells, accepted)
    if types - {str} and replace(column.format, missing=None) != CellFormat():
        # a number as text would be read by the format of the file: 1.234 as 1234
        raise DataError(
            "has values of several types",
            where=f"column '{name}'",
            wanted=f"one type, or text ({describe(column)})",
            got=", ".join(sorted(one.__name__ for one in types)),
        )
    texts = [v if isinstance(v, str | None) else accepted.spell(name, v) for v in cells]
    return pl.Series(name, texts, dtype=pl.String)


def _refuse(name: str, cells: list[Any], accepted: AcceptedKinds) -> None:
    for row, cell in enumerate(cells):
        refusal = None if cell is None else accepted.refusal(name, cell, row)
        if refusal is not None:
            raise refusal


def _cells(values: Any) -> list[Any]:
    """Python's own values; None where missing."""
    cells = values.to_list() if hasattr(values, "to_list") else list(values)
    return [_plain(cell) for cell in cells]


def _plain(cell: Any) -> Any:
    if cell is None or cell is pd.NA or cell is pd.NaT:
        return None
    if isinstance(cell, np.datetime64):
        return None if np.isnat(cell) else pd.Timestamp(cell)
    if isinstance(cell, np.generic):
        cell = cell.item()
    if isinstance(cell, Decimal):
        cell = float(cell)
    return None if isinstance(cell, float) and np.isnan(cell) else cell


def _timestamps(cells: list[Any]) -> list[Any]:
    """Dates where all cells are written as JSON has them, whatever the format of the file."""
    texts = [cell for cell in cells if cell is not None]
    if not texts or not all(isinstance(c, str) and TIMESTAMP.match(c.strip()) for c in texts):
        return cells
    try:
        return [None if c is None else dt.datetime.fromisoformat(c.strip()) for c in cells]
    except ValueError:
        return cells


def _moment(value: dt.date) -> dt.datetime:
    """UTC where a zone is given, without it."""
    if not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day)
    if value.tzinfo is not None:
        value = value.astimezone(dt.UTC).replace(tzinfo=None)
    return value


def _images(name: str, values: Any) -> pl.Series:
    """The bytes of images; what cannot be one stays as it is, for the reader to refuse."""
    cells = [_image(cell, f"column '{name}', row {row}") for row, cell in enumerate(_cells(values))]
    return pl.Series(name, cells, dtype=pl.Binary)


def _image(cell: Any, where: str) -> bytes | None:
    if isinstance(cell, Mapping) and "bytes" in cell:  # as Parquet files hold them
        cell = cell["bytes"] if cell["bytes"] is not None else cell.get("path")
    if cell is None or (isinstance(cell, str) and not cell):
        return None
    if isinstance(cell, bytes | bytearray | memoryview):
        return bytes(cell)
    if not isinstance(cell, str | os.PathLike):
        raise DataError(
            "a value of another kind",
            where=where,
            wanted="the bytes of an image, or the path of a file",
            got=type(cell).__name__,
            hint=PIXELS if hasattr(cell, "__array_interface__") else None,
        )
    return _decoded(str(cell)) or _read(Path(cell), where)


def _decoded(text: str) -> bytes | None:
    """The bytes of an image that is written in base64; None where it is not."""
    match = BASE64.fullmatch(text)
    if match is None:
        return None
    try:
        content = base64.b64decode(re.sub(r"\s", "", match[1]), validate=True)
    except binascii.Error:
        return None
    return content if content.startswith(BEGINNINGS) else None


def _read(path: Path, where: str) -> bytes:
    if os.environ.get(SERVED) == "true":  # whoever sends a request may not read our files
        raise DataError(
            "no files are read here", where=where, wanted="an image in base64", got=str(path)
        )
    path = path.expanduser().resolve()
    content = ImageReader(path.parent).content(path.name, where)
    if content is None:
        raise DataError("no such file", file=path, where=where)
    return content
