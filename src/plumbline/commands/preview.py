"""`plumbline preview FILE`: how a file would be read, with nothing changed."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from plumbline.cell_kinds import kind_of_dtype
from plumbline.config.data import FormatConfig
from plumbline.data.canonical import make_canonical
from plumbline.data.decide import refuse_unusable
from plumbline.data.infer import infer_types
from plumbline.data.options import ReadingOptions
from plumbline.data.read import readable, scan
from plumbline.errors import ParameterError
from plumbline.files import new_file
from plumbline.images.cells import has_images, image_words
from plumbline.kinds import CellKind
from plumbline.stages import Report

SHOWN = 60  # columns listed
SAMPLED = 5_000  # rows that types, notes and examples are told from
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
            refuse_unusable(types, file.name)
            if output is not None and output.suffix == ".csv":
                _refuse_images(types, output)
            head = frame.head(SAMPLED).select(_shown(*pair) for pair in types.items()).collect()
        kinds, guesses = _kinds(head, types, table.form, file.name)
        if output is not None:
            with new_file(output) as temporary:
                if output.suffix == ".csv":
                    frame.sink_csv(temporary)
                else:
                    frame.sink_parquet(temporary)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    shown = head.with_columns(_days(column) for column in head.iter_columns())
    return Report(
        rows=[
            ("read as", table.words),
            *(("note", note) for note in table.notes),
            *guesses,
            ("size", f"{count:,} rows, {head.width:,} columns{_sampled(count)}"),
            ("", ""),
            *_columns(shown, kinds),
            ("", ""),
            *_rows(shown.head(max(rows, 0))),
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


def _days(column: pl.Series) -> pl.Series:
    """Dates without times of day as days."""
    if isinstance(column.dtype, pl.Datetime) and column.dtype.time_zone in (None, "UTC"):
        return column.dt.date() if (column == column.dt.truncate("1d")).all() else column
    return column


def _sampled(count: int) -> str:
    return f"; types of the first {SAMPLED:,} rows" if count > SAMPLED else ""


def _kinds(
    head: pl.DataFrame, types: Mapping[str, pl.DataType], form: FormatConfig, file: str
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """The type of each column and what was guessed, as `init` infers them."""
    own = {name: kind_of_dtype(dtype) for name, dtype in types.items()}
    kinds = {n: "image" if k is CellKind.BYTES else str(k or "empty") for n, k in own.items()}
    read = [n for n, kind in own.items() if kind is not CellKind.BYTES]
    inferred = infer_types(head.lazy().select(read), form, file=file) if read else {}
    notes = [(n, "; ".join(guessed)) for n, (_, guessed) in inferred.items() if guessed]
    more = [("note", f"… {len(notes) - SHOWN} more columns")] if len(notes) > SHOWN else []
    return (
        kinds | {name: str(kind) for name, (kind, _) in inferred.items()},
        [*(("note", f"column '{n[:30]}': {words}") for n, words in notes[:SHOWN]), *more],
    )


def _columns(head: pl.DataFrame, kinds: Mapping[str, str]) -> list[tuple[str, str]]:
    """A line per column: its type, how many of its cells are empty, an example."""
    lines = []
    for column in head.iter_columns():
        filled = column.drop_nulls()
        if column.dtype == pl.String:
            filled = filled.filter(filled.str.strip_chars() != "")
        kind = kinds[column.name] if len(filled) else "empty"
        empty = len(column) - len(filled)
        words = f"{kind:<8} {f'{empty:,} empty' if empty else '':<14}"
        example = _cut(str(filled[0])) if len(filled) else ""
        lines.append((column.name[:30], f"{words} {example}".rstrip()))
    more = [(f"… {len(lines) - SHOWN} more", "")] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]


def _rows(head: pl.DataFrame) -> list[tuple[str, str]]:
    return [
        (f"row {number}", " │ ".join(_cut("" if c is None else str(c)) for c in cells[:12]))
        for number, cells in enumerate(head.iter_rows(), start=1)
    ]


def _cut(cell: str) -> str:
    shown = cell.encode("unicode_escape").decode() if not cell.isprintable() else cell
    return shown if len(shown) <= WIDE else shown[: WIDE - 1] + "…"
