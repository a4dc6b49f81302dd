"""A version that answers requests: its model, its example, and how rows are read for it."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from plumbline.cells import date_text
from plumbline.errors import DataError, UserError
from plumbline.examples import Inputs
from plumbline.files import read_json
from plumbline.inference.decided import PREDICTED
from plumbline.inference.feature_reader import Extra
from plumbline.inference.rows import RowPredictor
from plumbline.kinds import Cell, ColumnType
from plumbline.serving.log_lines import LogLines
from plumbline.serving.refused import CellError, Refused, refuse_cells
from plumbline.serving.request_rows import Row, RowParser
from plumbline.tables import Column

EXAMPLE = "input_example.json"
QUICK_SECONDS, QUICK_TRIES = 0.002, 10  # the best of so many: the machine may be busy


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Of some rows.

    Attributes:
        answers: a row of the table of predictions each; nulls where a cell cannot be read.
        cells: of each row, in the order and types of the columns that the model reads; None where
            the rows went the long way.
        wrong: the cells that cannot be read.
    """

    answers: Sequence[Mapping[str, Any]]
    cells: Sequence[Sequence[Cell]] | None = None
    wrong: Sequence[CellError] = ()

    def part(self, start: int, stop: int) -> Predictions:
        """Of the rows from `start` to before `stop`."""
        return Predictions(
            answers=self.answers[start:stop],
            cells=None if self.cells is None else self.cells[start:stop],
            wrong=[replace(c, row=c.row - start) for c in self.wrong if start <= c.row < stop],
        )


@dataclass(frozen=True, kw_only=True)
class Served:
    """A version in memory.

    Attributes:
        version: NAME/VERSION, or the graph's hash where the model is a folder.
        example: rows that can be sent as they are.
        loaded: when, in UTC.
    """

    predictor: RowPredictor
    parser: RowParser
    version: str
    example: Sequence[Mapping[str, Any]]
    loaded: dt.datetime

    @cached_property
    def categories(self) -> dict[str, tuple[str, ...]]:
        """The values of category columns that training rows had."""
        known = self.predictor.known_values
        return {
            c.name: known[c.name]
            for c in self.predictor.columns
            if c.type is ColumnType.CATEGORY and c.name in known
        }

    @classmethod
    def load(cls, folder: Path, version: str | None, *, max_pixels: int = 2**24) -> Self:
        """The version in a folder, as MLflow keeps it, or its files side by side.

        Raises:
            DataError: a file is missing, broken, or of a format that is not known here.
        """
        predictor = RowPredictor.load(folder)
        parser = RowParser(
            predictor.columns,
            predictor.accepted,
            known=predictor.known_columns,
            optional=predictor.optional,
            max_pixels=max_pixels,
        )
        return cls(
            predictor=predictor,
            parser=parser,
            version=version or f"sha256:{predictor.sha256[:16]}",
            example=_example(folder / EXAMPLE, predictor.columns),
            loaded=dt.datetime.now(dt.UTC),
        )

    def parse(self, rows: Sequence[Mapping[str, Any]], extra: Extra = "refuse") -> list[Row]:
        """See `RowParser.parse`."""
        return self.parser.parse(rows, extra)

    def predict(self, rows: Sequence[Row]) -> Predictions:
        """Predictions of parsed rows. Few rows take a short way, whose answers are the same; where
        a cell of one cannot be read, the long way says so."""
        few = self.predictor.few
        if few is not None and 0 < len(rows) <= few.most:
            try:
                cells = [few.read(row) for row in rows]
            except ValueError:
                cells = []
            answers = few.predict(cells) if cells else None
            if answers is not None:
                return Predictions(answers=answers, cells=cells)
        table, wrong = self.predict_table(rows)
        return Predictions(answers=table.to_dicts(), wrong=wrong)

    def predict_table(self, rows: Sequence[Row]) -> tuple[pl.DataFrame, list[CellError]]:
        """Predictions of parsed rows, and the cells that cannot be read, whose rows have nulls."""
        tables, places, wrong = [], [], []
        for numbers, frame in self.parser.frames(rows):
            table, problems = self.predictor.predict_readable(frame)
            tables.append(table)
            places += numbers.tolist()
            wrong += [
                CellError(row=int(numbers[row]), column=column, reason=reason, value=value)
                for row, column, value, reason in problems.iter_rows()
            ]
        if len(tables) == 1:
            return tables[0], wrong
        order = pl.Series(places).arg_sort()
        return pl.concat(tables)[order], sorted(wrong, key=lambda cell: cell.row)

    def typed(self, rows: Sequence[Row]) -> pl.DataFrame:
        """Parsed rows in the types of their columns, as the model reads them."""
        tables, places = [], []
        for numbers, frame in self.parser.frames(rows):
            tables.append(self.predictor.typed(frame))
            places += numbers.tolist()
        return tables[0] if len(tables) == 1 else pl.concat(tables)[pl.Series(places).arg_sort()]

    def inputs(self, rows: Sequence[Row]) -> Inputs:
        """The tensors of parsed rows whose columns have one type each, and that can be read."""
        ((_, frame),) = self.parser.frames(rows)
        return self.predictor.inputs(frame)

    @cached_property
    def is_quick(self) -> bool:
        """Whether few rows are predicted in the time of a wait that nobody notices, by the row that
        it was registered with. A version with images is not: a small file may hold a large one."""
        if self.predictor.few is None:
            return False
        rows = self.parse(self.example[:1])
        return min(_seconds(lambda: self.predict(rows)) for _ in range(QUICK_TRIES)) < QUICK_SECONDS

    @cached_property
    def outputs(self) -> pl.Schema:
        """The columns of a table of predictions."""
        nothing = pl.DataFrame(schema={c.name: c.dtype for c in self.predictor.columns})
        return self.predictor.predict(nothing).schema

    @cached_property
    def log_lines(self) -> LogLines:
        """What keeps its answers for the log."""
        return LogLines(self.predictor.columns, self.outputs)

    def check(self) -> None:
        """Ask it the example that it was registered with.

        Raises:
            DataError: it does not answer, or a prediction is missing.
        """
        rows = list(self.example)
        try:
            predicted = self.predict(self.parse(rows))
            if predicted.wrong:
                raise refuse_cells(predicted.wrong)
        except Refused as error:
            raise DataError(
                f"does not read the example that it was registered with: {error.message}",
                where=self.version,
            ) from None
        except UserError:
            raise
        except Exception as error:
            raise DataError(
                f"does not answer: {type(error).__name__}: {error}", where=self.version
            ) from None
        _ = self.is_quick  # found out before anybody waits
        answers = predicted.answers
        if len(answers) != len(rows) or any(one[PREDICTED] is None for one in answers):
            raise DataError(
                "gives no prediction for the example that it was registered with",
                where=self.version,
            )


def _seconds(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def _example(path: Path, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """The registered rows, as a client would send them; one of missing cells where there are
    none."""
    if not path.exists():
        return [{column.name: None for column in columns}]
    try:
        rows = read_json(path)
        if isinstance(rows, dict):  # a frame; tensors in versions of before
            names, cells = rows.get("columns", ()), rows.get("data", ())
            rows = [dict(zip(names, row, strict=True)) for row in cells] or [{}]
        return [{c.name: _sent(c, row.get(c.name)) for c in columns} for row in rows]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(f"cannot be read: {error}", file=path) from None


def _sent(column: Column, value: Any) -> Any:
    """A cell of the example; a date in the column's own format."""
    if column.type is not ColumnType.DATE or not isinstance(value, str):
        return value
    pattern = column.format.date or "%Y-%m-%dT%H:%M:%S"
    moment = pl.DataFrame({"d": [dt.datetime.fromisoformat(value)]}).with_columns(
        pl.col("d").cast(pl.Datetime("us"))
    )
    return moment.select(date_text(pl.col("d"), pattern)).item()
