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
from plumbline.commands.spelled_alike import MOMENT, CellWords, cell_words
from plumbline.config.data import FormatConfig
from plumbline.data.native import number_text
from plumbline.data.read import conform, open_bytes, scan
from plumbline.errors import DataError
from plumbline.files import new_file
from plumbline.images.cells import has_images, path_of
from plumbline.kinds import ColumnType
from plumbline.tables import Column, Schema, internal

BeforeReplacing = Callable[[Path], None]
PATH = internal("path")


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
            were read by the data's formats, so they need no other. Of images their paths.
        before_replacing: told the finished file before it takes its name.

    Raises:
        DataError: a cell cannot be written in the format, or the new file does not read back.
    """
    if place.is_dir():
        _add_part(place, rows, written, schema, form, before_replacing)
        return
    with new_file(place) as temporary:
        if form.type == "parquet":
            old = pl.scan_parquet(place)
            new = _stored(rows, written, old.collect_schema(), place.name)
            pl.concat([old, new.lazy()]).sink_parquet(temporary, compression="zstd")
        else:
            typed = [c for c in schema.columns if c.name not in written.columns]
            alike = cell_words(scan(place, form, shown=place.name), typed, place.name)
            _append_csv(place, as_text(rows, written, schema, alike), form, temporary)
        _check(place, rows, schema, form, temporary)
        before_replacing(temporary)


def _add_part(
    folder: Path,
    rows: pl.DataFrame,
    written: pl.DataFrame,
    schema: Schema,
    form: FormatConfig,
    before_replacing: BeforeReplacing,
) -> None:
    types = scan(folder, form, shown=folder.name).collect_schema()
    content = io.BytesIO()
    _stored(rows, written, types, folder.name).write_parquet(content, compression="zstd")
    name = hashlib.sha256(content.getvalue()).hexdigest()[:16]
    place = folder / f"zz-ingested-{name}.parquet"
    with new_file(place) as temporary:
        temporary.write_bytes(content.getvalue())
        _check_rows(pl.scan_parquet(temporary), rows, schema, folder.name)
        before_replacing(place)


def _stored(rows: pl.DataFrame, written: pl.DataFrame, types: pl.Schema, file: str) -> pl.DataFrame:
    """Rows as the data's Parquet file has them: its columns, types and order, and of an image the
    path that it was read from.

    Raises:
        DataError: a value is none of the column's type, as one that is new to an enumeration.
    """
    columns = []
    for name, dtype in types.items():
        if name not in rows.columns:
            columns.append(pl.Series(name, [None] * len(rows), dtype=dtype))
            continue
        own = rows.select(name)
        path = None
        if has_images(dtype) and name in written.columns:
            own = own.with_columns(written[name].alias(PATH))
            path = path_of(PATH)
        try:
            columns.append(own.select(of_type(name, dtype, path))[name])
        except pl.exceptions.PolarsError as error:
            raise DataError(
                "new values do not fit the column's type in the data",
                file=file,
                where=f"column '{name}'",
                wanted=str(dtype),
                got=str(error).splitlines()[0],
                hint="write the data with a wider type (text in place of an enumeration), and run "
                "`plumbline init` again",
            ) from None
    return pl.DataFrame(columns)


def as_text(
    rows: pl.DataFrame, written: pl.DataFrame, schema: Schema, alike: CellWords
) -> pl.DataFrame:
    """Rows as cells of the data's formats, spelled as the data are; missing ones are empty."""
    columns = []
    for column in schema.columns:
        own = alike.cell(column, rows[column.name])
        text = rows.select((_cell(column) if own is None else own).alias(column.name)).to_series()
        if column.name in written.columns and not column.labels:
            text = written[column.name]
        columns.append(text.fill_null(""))
    return pl.DataFrame(columns)


def _cell(column: Column) -> pl.Expr:
    """A value as text of the column's format."""
    value, form = pl.col(column.name), column.format
    if column.type is ColumnType.DATE:
        return date_text(value, form.date or MOMENT)
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
        _check_rows(scan(copy, form, shown=place.name).slice(count), rows, schema, place.name)
    finally:
        copy.unlink()


def _check_rows(raw: pl.LazyFrame, rows: pl.DataFrame, schema: Schema, file: str) -> None:
    head = conform(raw, schema, file).collect(engine="streaming")
    if len(head) != len(rows):
        raise DataError(
            "the rows do not read back as they were written",
            file=file,
            wanted=f"{len(rows)} more rows",
            got=f"{len(head)}",
            hint="look for cells with quotes or line ends in the new rows",
        )
    for column in schema.columns:
        wanted = rows[column.name]
        differs = head[column.name].ne_missing(wanted)
        if differs.any():
            raise DataError(
                "a value cannot be written in the format of the data",
                file=file,
                where=f"column '{column.name}'",
                wanted=str(wanted.filter(differs)[0]),
                got=str(head[column.name].filter(differs)[0]),
                hint="write the new rows in the format of the data, as CSV",
            )
