"""`plumbline preview FILE`: how a file would be read, with nothing changed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from plumbline.cell_kinds import kind_of_dtype
from plumbline.data.canonical import make_canonical
from plumbline.data.options import ReadingOptions
from plumbline.data.read import readable, scan
from plumbline.errors import ParameterError
from plumbline.files import new_file
from plumbline.images.cells import has_images, image_words
from plumbline.kinds import CellKind
from plumbline.stages import Report

SHOWN = 60  # columns listed
SAMPLED = 20_000  # rows that a column's type and example are told from
WIDE = 24  # characters of a cell


def preview(
    file: Path,
    options: ReadingOptions,
    *,
    target: str | None = None,
    rows: int = 5,
    output: Path | None = None,
) -> Report:
    """Read a file as `init` would; print its layout, columns and first rows.

    Args:
        target: the target's name, which tells the header.
        rows: how many rows are shown.
        output: where the table is written, as .csv or .parquet.

    Raises:
        DataError: the file cannot be read, or not in one way alone.
        ParameterError: the output's name ends otherwise.
    """
    if output is not None and output.suffix not in (".csv", ".parquet"):
        raise ParameterError(
            "ends otherwise", where="--output", wanted=".csv or .parquet", got=output.name
        )
    folder = Path(tempfile.mkdtemp(prefix="plumbline-"))
    try:
        table = make_canonical(file, folder, options, target=target)
        frame = scan(table.path, table.form, shown=file.name)
        with readable(file.name):
            count = int(frame.select(pl.len()).collect(engine="streaming").item())
            types = frame.collect_schema()
            if output is not None and output.suffix == ".csv":
                _refuse_images(types, output)
            head = frame.head(SAMPLED).select(_shown(*pair) for pair in types.items()).collect()
        if output is not None:
            with new_file(output) as temporary:
                if output.suffix == ".csv":
                    frame.sink_csv(temporary)
                else:
                    frame.sink_parquet(temporary)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Report(
        rows=[
            ("read as", table.words),
            *(("note", note) for note in table.notes),
            ("size", f"{count:,} rows, {head.width:,} columns"),
            ("", ""),
            *_columns(head, types),
            ("", ""),
            *_rows(head.head(max(rows, 0))),
        ],
        outputs=[output] if output is not None else [],
    )


def _refuse_images(types: pl.Schema, output: Path) -> None:
    """Refuse images where the output is text."""
    for name, dtype in types.items():
        if has_images(dtype):
            raise ParameterError(
                f"cannot hold the images of column '{name}'",
                where="--output",
                wanted="a name that ends in .parquet",
                got=output.name,
            )


def _shown(name: str, dtype: pl.DataType) -> pl.Expr:
    """What is shown of a column's cells: of an image its path, or its format and size."""
    if has_images(dtype):
        return image_words(name, dtype)
    return pl.col(name)


def _columns(head: pl.DataFrame, types: Mapping[str, pl.DataType]) -> list[tuple[str, str]]:
    """A line per column: what most of its cells are, how many are empty, an example."""
    lines = []
    for column in head.iter_columns():
        filled = column.drop_nulls()
        if column.dtype == pl.String:
            filled = filled.filter(filled.str.strip_chars() != "")
        kind = _kind(filled, types[column.name])
        empty = len(column) - len(filled)
        words = f"{kind:<8} {f'{empty:,} empty' if empty else '':<14}"
        example = _cut(str(filled[0])) if len(filled) else ""
        lines.append((column.name[:30], f"{words} {example}".rstrip()))
    more = [(f"… {len(lines) - SHOWN} more", "")] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]


def _kind(filled: pl.Series, dtype: pl.DataType) -> str:
    kind = kind_of_dtype(dtype)
    if kind is None or len(filled) == 0:
        return "empty"
    if kind is not CellKind.TEXT:
        return "image" if kind is CellKind.BYTES else str(kind)
    numbers = filled.cast(pl.String).str.strip_chars().cast(pl.Float64, strict=False)
    return "number" if numbers.is_not_null().sum() >= 0.9 * len(filled) else "text"


def _rows(head: pl.DataFrame) -> list[tuple[str, str]]:
    return [
        (f"row {number}", " │ ".join(_cut("" if c is None else str(c)) for c in cells[:12]))
        for number, cells in enumerate(head.iter_rows(), start=1)
    ]


def _cut(cell: str) -> str:
    shown = cell.encode("unicode_escape").decode() if not cell.isprintable() else cell
    return shown if len(shown) <= WIDE else shown[: WIDE - 1] + "…"
