"""A version that answers requests: its model, its example, and how rows are read for it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import polars as pl

from plumbline.cells import date_text
from plumbline.errors import DataError, UserError
from plumbline.files import read_json
from plumbline.inference.decided import PREDICTED
from plumbline.inference.feature_reader import Extra
from plumbline.inference.rows import RowPredictor
from plumbline.kinds import ColumnType
from plumbline.serving.refused import CellError, Refused, refuse_cells
from plumbline.serving.request_rows import Row, RowParser
from plumbline.tables import Column

EXAMPLE = "input_example.json"


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

    def predict(self, rows: Sequence[Row]) -> tuple[pl.DataFrame, list[CellError]]:
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

    def check(self) -> None:
        """Ask it the example that it was registered with.

        Raises:
            DataError: it does not answer, or a prediction is missing.
        """
        rows = list(self.example)
        try:
            table, wrong = self.predict(self.parse(rows))
            if wrong:
                raise refuse_cells(wrong)
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
        if len(table) != len(rows) or table[PREDICTED].null_count():
            raise DataError(
                "gives no prediction for the example that it was registered with",
                where=self.version,
            )


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
