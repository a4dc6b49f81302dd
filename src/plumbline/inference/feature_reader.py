"""Raw columns become typed ones, as validation reads them, and what cannot be read is listed.

Every cell goes through the expressions of `plumbline.cells`, by the schema and the formats that the
model was trained with: text as a CSV file has it, native values as a Parquet file has them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

import polars as pl

from plumbline.cells import any_date, describe, typed, unreadable, written
from plumbline.errors import DataError
from plumbline.images import ImageReader
from plumbline.images.cells import image_bytes
from plumbline.images.files import FilesRead, read_files
from plumbline.inference.accepted_kinds import AcceptedKinds
from plumbline.kinds import TEXTUAL, ColumnType
from plumbline.preprocessing.row import WHITE
from plumbline.tables import Column

Extra = Literal["refuse", "ignore"]  # what becomes of a column that the training data had not
PROBLEMS = {"row": pl.Int64, "column": pl.String, "value": pl.String, "reason": pl.String}
EARLY = "is a date before the year 1000: no date, or a year of two digits, written as one of four"
FEW_ROWS = 32
AS_THEY_ARE = {ColumnType.INTEGER: pl.Int64(), ColumnType.BOOLEAN: pl.Boolean()}
MOST_CHARACTERS = 200  # of a value that is listed


class FeatureReader:
    """Reads the columns that a model needs off a frame.

    Args:
        columns: those that are needed, as the training data have them.
        known: names of all columns of the training data; those that are not needed may stay away.
        accepted: the kinds of values that they take.
        optional: names of needed columns that a frame may lack.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        known: Collection[str],
        accepted: AcceptedKinds,
        optional: Collection[str] = (),
    ) -> None:
        self.columns = tuple(columns)
        self.accepted = accepted
        self.optional = frozenset(c.name for c in columns if c.name in optional)
        self.known = frozenset({*known, *(c.name for c in columns)})
        self._images = [c for c in columns if c.type is ColumnType.IMAGE]
        self._names = [c.name for c in columns]
        self._words = {c.name: frozenset(c.format.words()) for c in columns}

    def check(self, frame: pl.DataFrame | pl.LazyFrame, extra: Extra = "refuse") -> None:
        """Refuse a frame whose columns the model cannot read.

        Raises:
            DataError: one is missing, is unknown, or has a cell of a wrong type; names it.
        """
        kinds = frame.collect_schema()
        absent = [c.name for c in self.columns if c.name not in kinds]
        nothing = len(absent) == len(self.columns)
        missing = [name for name in absent if nothing or name not in self.optional]
        unknown = [name for name in kinds if name not in self.known]
        if missing:
            close = _closest(missing[0], unknown)
            raise DataError(
                "no such column",
                where=f"column '{missing[0]}'",
                wanted=f"the columns that the model reads ({len(missing)} missing)",
                got=", ".join(kinds),
                hint=f"did you mean '{close}'? Rename it to '{missing[0]}'"
                if close
                else "add the column, with missing cells where nothing is known",
            )
        if unknown and extra == "refuse":
            close = _closest(unknown[0], sorted(self.known))
            also = f" (and {len(unknown) - 1} more)" if len(unknown) > 1 else ""
            raise DataError(
                f"is not a column of the training data{also}",
                where=f"column '{unknown[0]}'",
                hint=(f"did you mean '{close}'? " if close else "")
                + "Rename the column, remove it, or have it ignored: `--ignore-extra`; in Python "
                "extra='ignore'; through MLflow params={'extra': 'ignore'}",
            )
        for column in self.columns:
            if column.name in kinds:
                self.accepted.check(frame, column.name, kinds[column.name])

    def completed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A checked frame with missing cells in the columns that it lacks, and categories as the
        training rows write them."""
        kinds = frame.schema
        made: list[pl.Expr | pl.Series] = []
        for column in self.columns:
            name = column.name
            if name not in kinds or not self.accepted.takes(name, kinds[name]):
                made.append(pl.lit(None).alias(name))  # of a wrong type, none is there
            elif column.type is ColumnType.CATEGORY and kinds[name] != pl.String:
                made.append(self.accepted.spelled(frame[name]))
        return frame.with_columns(made) if made else frame

    def with_files(
        self, frame: pl.DataFrame, folder: Path | None
    ) -> tuple[pl.DataFrame, dict[str, str]]:
        """The frame with the image files that cells name in place of their paths; and, by path,
        why one was not read.

        Args:
            folder: that paths are relative to; no file outside is read.

        Raises:
            DataError: there are paths and no folder.
        """
        refused: dict[str, str] = {}
        for column in self._images:
            if frame.schema[column.name] != pl.String:
                continue
            cells = frame[column.name]
            if folder is None:
                if cells.is_null().all():
                    continue
                raise DataError(
                    "holds paths, and no folder was given that image files are read from",
                    where=f"column '{column.name}'",
                    wanted="the bytes of an image in each cell, or image_folder",
                    got=cells.drop_nulls()[0],
                )
            outcome = FilesRead(stop=False)
            frame = frame.with_columns(read_files(ImageReader(folder), outcome, cells))
            refused |= {path: error.what for path, error in outcome.refusals.items()}
        return frame, refused

    def typed(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The columns in their types; a cell that cannot be read is null."""
        kinds = frame.schema
        if len(frame) > FEW_ROWS:
            return frame.select(typed(c, kinds[c.name]) for c in self.columns)
        # of few rows the expressions cost more than their work
        left = [c for c in self.columns if not self._is_typed(c, frame[c.name])]
        own = frame if frame.columns == self._names else frame.select(self._names)
        if not left:
            return own
        return own.with_columns(frame.select(typed(c, kinds[c.name]) for c in left).get_columns())

    def _is_typed(self, column: Column, cells: pl.Series) -> bool:
        """Whether cells are as `typed` would give them."""
        if column.type is ColumnType.NUMBER:
            numbers = cells.to_list() if cells.dtype == pl.Float64 else [math.nan]
            return all(number is None or math.isfinite(number) for number in numbers)
        if column.type in AS_THEY_ARE:
            return cells.dtype == AS_THEY_ARE[column.type]
        if column.type not in TEXTUAL or column.labels or cells.dtype != pl.String:
            return False
        words = self._words[column.name]
        return all(c is None or (c.strip(WHITE) == c and c not in words) for c in cells.to_list())

    def problems(self, frame: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
        """Cells that cannot be read: `row`, `column`, `value`, `reason`, by row. The bytes of
        images are not opened here.

        Args:
            values: the frame's rows, `typed`.
        """
        parts = []
        own = frame if frame.columns == self._names else frame.select(self._names)
        given = own.null_count().row(0)
        read = values.null_count().row(0)
        for column, before, after in zip(self.columns, given, read, strict=True):
            if before == after:  # the rest is most of what the prediction of one row takes
                continue
            # null though something is there: missing by a word, or unreadable
            left = (frame[column.name].is_not_null() & values[column.name].is_null()).arg_true()
            if len(left):
                parts.append(_listed(column, frame.select(column.name)[left], left))
        return _by_row(parts)

    def broken_images(self, frame: pl.DataFrame) -> pl.DataFrame:
        """As `problems`, of the images alone, whose bytes are decoded."""
        everything = pl.int_range(len(frame), dtype=pl.UInt32, eager=True)
        return _by_row([_listed(c, frame.select(c.name), everything) for c in self._images])


def _by_row(parts: Sequence[pl.DataFrame]) -> pl.DataFrame:
    if not parts:
        return pl.DataFrame(schema=PROBLEMS)
    return pl.concat([pl.DataFrame(schema=PROBLEMS), *parts]).sort("row", maintain_order=True)


def _listed(column: Column, cells: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """The unreadable ones of some cells, whose row numbers are `rows`."""
    dtype = cells.schema[column.name]
    bad = cells.select(unreadable(column, dtype)).to_series()
    cells, rows = cells.filter(bad), rows.filter(bad)
    value = cells.select(written(column, dtype).str.slice(0, MOST_CHARACTERS)).to_series()
    if column.type is ColumnType.IMAGE:
        reader = ImageReader(None)
        contents = cells.select(image_bytes(column.name, dtype)).to_series()
        reasons = [
            "no such file" if c is None else reader.problem(c) or "not an image" for c in contents
        ]
    elif column.type is ColumnType.DATE:
        early = cells.select(any_date(column, dtype).is_not_null()).to_series()
        reasons = [EARLY if one else f"is not {describe(column)}" for one in early]
    else:
        reasons = [f"is not {describe(column)}"] * len(cells)
    return pl.DataFrame(
        {"row": rows, "column": [column.name] * len(cells), "value": value, "reason": reasons},
        schema_overrides=PROBLEMS,
    )


def _closest(name: str, names: Sequence[str]) -> str | None:
    """The name that is spelled most alike; None where none is."""
    folded = {other.casefold(): other for other in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None
