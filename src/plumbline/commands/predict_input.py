"""What is to be predicted: the rows of a file, of the files in a folder, or images; lazily."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from plumbline.config.data import FormatConfig
from plumbline.data.canonical import make_canonical
from plumbline.data.magic import FileKind, kind_of
from plumbline.data.options import ReadingOptions
from plumbline.data.pictures import ENDINGS
from plumbline.data.read import readable, scan
from plumbline.errors import DataError
from plumbline.inference.feature_reader import Extra
from plumbline.inference.rows import RowPredictor
from plumbline.kinds import ColumnType
from plumbline.numbers import plural

PARQUET = FormatConfig(type="parquet")
WANTED = "CSV, TSV, JSON lines, Excel, Parquet, images, or a folder of them"


@dataclass(frozen=True, kw_only=True)
class RowSource:
    """Rows as they are in a file.

    Attributes:
        folder: that the paths in image columns are relative to.
        paths: the column that says which file a row is, where rows are files.
        words: how the file was read, and what was guessed.
        misfits: rows that do not fit the table of their file, with their cells and the reason.
    """

    name: str
    frame: pl.LazyFrame
    rows: int
    folder: Path
    paths: str | None = None
    words: list[str] = field(default_factory=list)
    misfits: Mapping[int, tuple[str, str]] = field(default_factory=dict)


def list_files(path: Path) -> list[Path]:
    """The files of an input, by name; a folder of Parquet files alone is one.

    Raises:
        DataError: there is none.
    """
    if not path.exists():
        raise DataError("no such file", file=path, wanted=WANTED, hint="check the path")
    if path.is_file():
        return [path]
    files = list(_inside(path))
    tables = [file for file in files if file.suffix.lower() not in ENDINGS]
    if tables and all(file.suffix == ".parquet" for file in tables):
        return [path]
    if not files:
        raise DataError("is a folder without files", file=path, wanted=WANTED)
    return tables or files


def _inside(path: Path) -> Iterator[Path]:
    for folder, inside, names in os.walk(path):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        yield from (Path(folder) / n for n in sorted(names) if not n.startswith("."))


def open_sources(
    path: Path,
    work: Path,
    predictor: RowPredictor,
    reading: ReadingOptions,
    extra: Extra,
    max_memory_mb: int,
) -> list[RowSource]:
    """The rows of an input, whose columns the model can read; `work` takes files rewritten as
    plain CSV.

    Raises:
        DataError: a file cannot be read, or its columns do not fit; names the file.
        ParameterError: a reading option that a file does not have.
    """
    files = list_files(path)
    if all(file.suffix.lower() in ENDINGS for file in files):
        sources = [_images(path, files, predictor)]
    else:
        sources = [
            _table(file, path, work / f"{number:05d}", predictor, reading, max_memory_mb)
            for number, file in enumerate(files)
        ]
    for source in sources:
        try:
            predictor.check_columns(source.frame, extra)
        except DataError as error:
            raise DataError(
                error.what,
                file=source.name,
                where=error.where,
                wanted=error.wanted,
                got=error.got,
                hint=error.hint,
            ) from None
        present = source.frame.collect_schema()
        source.words.extend(
            f"{source.name}: no column '{column.name}': its cells are read as missing"
            for column in predictor.columns
            if column.name not in present
        )
    if not any(source.rows for source in sources):
        raise DataError("has no rows", file=path.name)
    return sources


def _table(
    file: Path,
    path: Path,
    work: Path,
    predictor: RowPredictor,
    reading: ReadingOptions,
    max_memory_mb: int,
) -> RowSource:
    name = file.name if file == path else file.relative_to(path).as_posix()
    words, misfits = [], {}
    if file.is_dir() or kind_of(file, reading) is FileKind.PARQUET:
        frame = scan(file, PARQUET, shown=name)
    else:
        schema = predictor.schema
        table = make_canonical(
            file.resolve(),
            work,
            replace(reading, keep_misfits=True),
            names=[c.name for c in schema.columns],
            columns=schema.columns,
            images=(),
            max_memory_mb=max_memory_mb,
        )
        frame = scan(table.path, table.form, shown=name)
        words = [f"{name}: {text}" for text in (table.words, *table.notes)]
        misfits = {row: (str(why.got), why.what) for row, why in table.misfits.items()}
    with readable(name):
        rows = int(frame.select(pl.len()).collect(engine="streaming").item())
    folder = file if file.is_dir() else file.parent
    return RowSource(name=name, frame=frame, rows=rows, folder=folder, words=words, misfits=misfits)


def _images(path: Path, files: Sequence[Path], predictor: RowPredictor) -> RowSource:
    """Image files: one row each, of the only column that the model reads."""
    needed = predictor.columns
    if len(needed) != 1 or needed[0].type is not ColumnType.IMAGE:
        raise DataError(
            "holds images alone, and the model reads other columns too",
            file=path.name,
            wanted=f"a table with the columns {', '.join(c.name for c in needed)}",
            hint="write a table with a column that names the image files",
        )
    folder = path if path.is_dir() else path.parent
    names = [file.relative_to(folder).as_posix() for file in files]
    return RowSource(
        name=path.name,
        frame=pl.LazyFrame({needed[0].name: names}),
        rows=len(names),
        folder=folder,
        paths=needed[0].name,
        words=[f"{path.name}: {plural(len(names), 'image')}"],
    )
