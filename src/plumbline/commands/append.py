"""New rows behind the old ones, in the data's own format; the file is replaced whole."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import zstandard

from plumbline.cells import date_text, of_type
from plumbline.config.data import FormatConfig
from plumbline.data.native import number_text
from plumbline.data.read import conform, open_bytes, scan
from plumbline.errors import DataError
from plumbline.files import new_file
from plumbline.kinds import ColumnType
from plumbline.tables import Column, Schema

BeforeReplacing = Callable[[Path], None]


def append_rows(
    place: Path,
    rows: pl.DataFrame,
    written: pl.DataFrame,
    schema: Schema,
    form: FormatConfig,
    before_replacing: BeforeReplacing,
) -> None:
    """Add typed rows to a data file, or as a file of its own to a folder of Parquet files.

    Args:
        rows: columns of the schema, typed.
        written: the columns that are text in the file they come from, as they stand there; they
            were read by the data's formats, so they need no other.
        before_replacing: told the finished file before it takes its name.

    Raises:
        DataError: a cell cannot be written in the format, or the new file does not read back.
    """
    if place.is_dir():
        _add_part(place, rows, before_replacing)
        return
    with new_file(place) as temporary:
        if form.type == "parquet":
            _append_parquet(place, rows, temporary)
        else:
            _append_csv(place, as_text(rows, written, schema), form, temporary)
        _check(place, rows, schema, form, temporary)
        before_replacing(temporary)


def _add_part(folder: Path, rows: pl.DataFrame, before_replacing: BeforeReplacing) -> None:
    content = io.BytesIO()
    rows.write_parquet(content, compression="zstd")
    name = hashlib.sha256(content.getvalue()).hexdigest()[:16]
    with new_file(folder / f"zz-ingested-{name}.parquet") as temporary:
        temporary.write_bytes(content.getvalue())
        before_replacing(folder / f"zz-ingested-{name}.parquet")


def _append_parquet(place: Path, rows: pl.DataFrame, temporary: Path) -> None:
    old = pl.scan_parquet(place)
    types = old.collect_schema()
    new = rows.lazy().select(of_type(name, types[name]) for name in rows.columns)
    absent = [pl.lit(None, types[n]).alias(n) for n in types if n not in rows.columns]
    new = new.with_columns(absent).select(types.names())
    pl.concat([old, new]).sink_parquet(temporary, compression="zstd")


def as_text(rows: pl.DataFrame, written: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """Rows as cells of the data's formats; missing ones are empty."""
    columns = []
    for column in schema.columns:
        text = rows.select(_cell(column))[column.name]
        if column.name in written.columns and not column.labels:
            text = written[column.name]
        columns.append(text.fill_null(""))
    return pl.DataFrame(columns)


def _cell(column: Column) -> pl.Expr:
    """A value as text of the column's format."""
    value, form = pl.col(column.name), column.format
    if column.type is ColumnType.DATE:
        return date_text(value, form.date or "%Y-%m-%d %H:%M:%S%.f")
    if column.type is ColumnType.INTEGER:
        text = value.cast(pl.Int64).cast(pl.String)
    elif column.type is ColumnType.NUMBER:
        text = value.cast(pl.Float64).cast(pl.String)
    else:
        return value.cast(pl.String)
    if form.is_plain:
        return text
    return text.map_elements(lambda number: number_text(number, form), return_dtype=pl.String)


def _append_csv(place: Path, cells: pl.DataFrame, form: FormatConfig, temporary: Path) -> None:
    header = _header(place, form)
    absent = [pl.lit("").alias(name) for name in header if name not in cells.columns]
    text = io.BytesIO()
    cells.with_columns(absent).select(header).write_csv(
        text,
        include_header=False,
        separator=form.separator,
    )
    content = (b"" if _ends_with_newline(place) else b"\n") + text.getvalue()
    with temporary.open("wb") as new, place.open("rb") as old:
        shutil.copyfileobj(old, new)
        new.write(_compressed(content, place))


def _header(place: Path, form: FormatConfig) -> list[str]:
    return scan(place, form).collect_schema().names()


def _ends_with_newline(place: Path) -> bool:
    last = b"\n"
    with open_bytes(place) as file:
        while block := file.read(1 << 20):
            last = block[-1:]
    return last == b"\n"


def _compressed(content: bytes, place: Path) -> bytes:
    """Behind a gzip or zstd stream another may follow; they read as one."""
    if place.suffix == ".gz":
        return gzip.compress(content, mtime=0)
    if place.suffix in (".zst", ".zstd"):
        return zstandard.compress(content)
    return content


def _check(
    place: Path, rows: pl.DataFrame, schema: Schema, form: FormatConfig, temporary: Path
) -> None:
    """The new file reads back as the old rows and the new, value by value."""
    copy = temporary.with_name(temporary.name + place.name[len(place.name.split(".")[0]) :])
    copy.hardlink_to(temporary)
    try:
        old = scan(place, form, shown=place.name)
        count = int(old.select(pl.len()).collect(engine="streaming").item())
        new = conform(scan(copy, form, shown=place.name), schema, place.name)
        head = new.slice(count).collect(engine="streaming")
    finally:
        copy.unlink()
    if len(head) != len(rows):
        raise DataError(
            "the rows do not read back as they were written",
            file=place.name,
            wanted=f"{count + len(rows)} rows",
            got=f"{count + len(head)}",
            hint="look for cells with quotes or line ends in the new rows",
        )
    for column in schema.columns:
        wanted = rows[column.name]
        differs = head[column.name].ne_missing(wanted)
        if differs.any():
            raise DataError(
                "a value cannot be written in the format of the data",
                file=place.name,
                where=f"column '{column.name}'",
                wanted=str(wanted.filter(differs)[0]),
                got=str(head[column.name].filter(differs)[0]),
                hint="write the new rows in the format of the data, as CSV",
            )
