"""What is to be predicted: the rows of a file, of the files in a folder, or images; lazily."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import polars as pl

from plumbline.commands.predict_files import InputFiles, list_files
from plumbline.config.data import FormatConfig
from plumbline.data.canonical import make_canonical
from plumbline.data.magic import FileKind, kind_of
from plumbline.data.options import ReadingOptions
from plumbline.data.parquet_folder import parts_of
from plumbline.data.pictures import ENDINGS
from plumbline.data.read import readable, scan
from plumbline.errors import DataError
from plumbline.inference.accepted_kinds import AcceptedKinds
from plumbline.inference.feature_reader import Extra
from plumbline.inference.rows import RowPredictor
from plumbline.kinds import CellKind, ColumnType
from plumbline.numbers import plural
from plumbline.tables import Column

PARQUET = FormatConfig(type="parquet")
Misfit = tuple[str | None, str, str]


@dataclass(frozen=True, kw_only=True)
class RowSource:
    """Rows as they are in a file.

    Attributes:
        folder: that the paths in image columns are relative to.
        paths: the column that says which file a row is, where rows are files.
        words: how the file was read, and what was guessed.
        misfits: by row that does not fit the table of its file, or has a value of a wrong type:
            the column, where it is one; what stands there; and the reason.
    """

    name: str
    frame: pl.LazyFrame
    rows: int
    folder: Path
    paths: str | None = None
    words: list[str] = field(default_factory=list)
    misfits: Mapping[int, Misfit] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class OpenedInput:
    """The rows of an input.

    Attributes:
        unreadable: the files whose rows cannot be read, with the reason.
        passed_over: the names of those that are no data.
        is_joined: whether the only source is a folder of Parquet files.
    """

    path: Path
    sources: list[RowSource]
    unreadable: Mapping[str, DataError] = field(default_factory=dict)
    passed_over: Sequence[str] = ()
    is_joined: bool = False

    def without(self, damaged: Mapping[int, DataError]) -> OpenedInput:
        """The input where some sources, by number, turned out to be damaged.

        Raises:
            DataError: no rows are left.
        """
        more = {self.sources[number].name: error for number, error in damaged.items()}
        unreadable = dict(sorted([*self.unreadable.items(), *more.items()]))
        left = [one for number, one in enumerate(self.sources) if number not in damaged]
        if more and not any(source.rows for source in left):
            raise _none_readable(self.path, unreadable)
        return replace(self, sources=left, unreadable=unreadable)


def open_input(
    path: Path,
    work: Path,
    predictor: RowPredictor,
    reading: ReadingOptions,
    extra: Extra,
    max_memory_mb: int,
    *,
    by_part: bool = False,
) -> OpenedInput:
    """The rows of an input, whose columns the model can read.

    Args:
        work: takes files rewritten as plain CSV.
        by_part: whether each file of a folder of Parquet files is read by itself.

    Raises:
        DataError: no file can be read, or the columns of one do not fit; names the file.
        ParameterError: a reading option that a file does not have.
    """
    listed = files_for(path, predictor)
    files = _parts(listed.files, by_part)
    unreadable: dict[str, DataError] = {}
    sources = []
    if all(file.suffix.lower() in ENDINGS for file in files):
        sources.append(_images(path, files, predictor))
    else:
        for number, file in enumerate(files):
            place = work / f"{number:05d}"
            try:
                sources.append(_table(file, path, place, predictor, reading, max_memory_mb))
            except DataError as error:
                unreadable[_name(file, path)] = error
    if not sources:
        raise _none_readable(path, unreadable)
    for source in sources:
        try:
            with contextlib.suppress(pl.exceptions.PolarsError):  # met again where rows are read
                predictor.check_columns(source.frame, extra)
        except DataError as error:
            raise _of_file(source.name, error) from None
        present = source.frame.collect_schema()
        source.words.extend(
            f"{source.name}: no column '{column.name}': its cells are read as missing"
            for column in predictor.columns
            if column.name not in present
        )
    if not any(source.rows for source in sources):
        raise DataError("has no rows", file=path.name)
    return OpenedInput(
        path=path,
        sources=sources,
        unreadable=unreadable,
        passed_over=listed.passed_over,
        is_joined=files[0].is_dir(),
    )


def _parts(files: Sequence[Path], by_part: bool) -> list[Path]:
    """The files; in place of a folder of Parquet files those in it, if that is asked for, or one
    has lost its end and the others are to be read without it."""
    if len(files) > 1 or files[0].is_file():
        return list(files)
    parts = parts_of(files[0])
    if by_part:
        return parts
    try:
        for part in parts:
            scan(part, PARQUET)
    except DataError:
        return parts
    return list(files)


def _none_readable(path: Path, unreadable: Mapping[str, DataError]) -> DataError:
    (name, first), *others = unreadable.items()
    if not others:
        return _of_file(name, first)
    return DataError(
        f"none of its {len(unreadable):,} files can be read",
        file=path.name,
        got=f"{name}, which {first.what}",
        hint=first.hint,
    )


def _of_file(name: str, error: DataError) -> DataError:
    """The error, of the file under the name that it has in the input."""
    return DataError(
        error.what,
        file=name,
        where=error.where,
        wanted=error.wanted,
        got=error.got,
        hint=error.hint,
    )


def _name(file: Path, path: Path) -> str:
    return file.name if file == path else file.relative_to(path).as_posix()


def _table(
    file: Path,
    path: Path,
    work: Path,
    predictor: RowPredictor,
    reading: ReadingOptions,
    max_memory_mb: int,
) -> RowSource:
    name = _name(file, path)
    words, misfits = [], dict[int, Misfit]()
    kind = FileKind.PARQUET if file.is_dir() else kind_of(file, reading)
    if kind is FileKind.PARQUET:
        frame = scan(file, PARQUET, shown=name)
        if "=" in name and file.is_file():  # folders called `column=value` are a column
            frame = pl.scan_parquet([file], hive_partitioning=True)
    elif (alone := _only_column(file, name, kind, predictor, reading)) is not None:
        frame, words = alone, [f"{name}: one column"]
    else:
        schema = predictor.schema
        native = _NativeCells(predictor.accepted, refuse=kind is FileKind.JSON)
        table = make_canonical(
            file.resolve(),
            work,
            replace(reading, keep_misfits=True),
            names=[c.name for c in schema.columns],
            columns=schema.columns,
            as_text=native,
            images=(),
            max_memory_mb=max_memory_mb,
        )
        frame = scan(table.path, table.form, shown=name)
        words = [f"{name}: {text}" for text in (table.words, *table.notes)]
        misfits = native.refused
        misfits |= {row: (None, str(why.got), why.what) for row, why in table.misfits.items()}
    with readable(name):
        rows = int(frame.select(pl.len()).collect(engine="streaming").item())
    folder = file if file.is_dir() else file.parent
    return RowSource(name=name, frame=frame, rows=rows, folder=folder, words=words, misfits=misfits)


def _only_column(
    file: Path, name: str, kind: FileKind, predictor: RowPredictor, reading: ReadingOptions
) -> pl.LazyFrame | None:
    """A CSV file of the only column that the model reads, in which there is no separator to find;
    cells may be quoted. None where it is another file."""
    separator = reading.separator or ","
    if kind is not FileKind.TEXT or len(predictor.columns) != 1 or len(separator) != 1:
        return None
    form = FormatConfig(separator=separator)
    with contextlib.suppress(DataError, pl.exceptions.PolarsError):
        frame = scan(file, form, shown=name)
        if frame.collect_schema().names() == [predictor.columns[0].name]:
            frame.filter(pl.first().is_null()).collect(engine="streaming")  # each line parses
            return frame
    return None


class _NativeCells:
    """Numbers, true and false of a file that has them beside texts, in columns of categories and
    texts: as the training data write them.

    Args:
        refuse: what the column does not take, by `refused`. A workbook makes a number of what was
            typed as text, so there it is read as that text.
    """

    def __init__(self, accepted: AcceptedKinds, *, refuse: bool) -> None:
        self.refused: dict[int, Misfit] = {}
        self._accepted, self._refuse = accepted, refuse

    def __call__(self, row: int, column: Column, cell: str, kind: CellKind) -> str:
        if kind is CellKind.DATE:
            return cell
        value = json.loads(cell)
        refusal = self._accepted.refusal(column.name, value)
        if refusal is None:
            return self._accepted.spell(column.name, value) or ""
        if self._refuse:
            reason = f"{refusal.what}, wanted {refusal.wanted}"
            self.refused.setdefault(row, (column.name, cell, reason))
        return cell


def files_for(path: Path, predictor: RowPredictor) -> InputFiles:
    """The files of an input that the model may read.

    Raises:
        DataError: there is none.
    """
    return list_files(path, of_images=[c.type for c in predictor.columns] == [ColumnType.IMAGE])


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
