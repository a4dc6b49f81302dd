"""Predictions of many rows, piece by piece: finished pieces outlive a killed process.

A piece is a table of predictions and a table of the cells that could not be read. Pieces have one
size, so that an interrupted run that is resumed ends in the bytes of an unbroken one.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import polars as pl
import pyarrow.parquet as pq

from plumbline.commands.predict_input import RowSource
from plumbline.data.read import readable
from plumbline.data.rows import limit_reading
from plumbline.errors import DataError
from plumbline.files import new_file
from plumbline.inference.feature_reader import Extra
from plumbline.inference.rows import RowPredictor
from plumbline.kinds import ColumnType, Role
from plumbline.tables import batches, rows_at_once

MEMORY_MB = 512  # of which the rows that are read ahead take a part
BATCHES = 4  # of a reader, in a piece
WORKERS = 4  # pieces at once: each takes memory
FILE, ROW, VERSION = "file", "row", "version"
# what a spreadsheet takes for a formula (OWASP, "CSV Injection"), and what it then does not
FORMULA, NUMBER = r"(?s)^[=+\-@\t\r\n].", r"^[+-]?[0-9][0-9.,]*([eE][+-]?[0-9]+)?$"


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """The pieces of some sources, in a folder.

    Attributes:
        version: names the model, in every row.
        by_file: whether a column names each row's file, where rows are no files.
        damaged: sources whose rows could not be read to the end, by number. They have no pieces.
    """

    folder: Path
    sources: Sequence[RowSource]
    predictor: RowPredictor
    version: str
    extra: Extra
    by_file: bool
    damaged: dict[int, DataError] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Rows in a piece."""
        images = sum(c.type is ColumnType.IMAGE for c in self.predictor.columns)
        size = rows_at_once(len(self.predictor.columns), MEMORY_MB, images)
        return size if images else size * BATCHES

    def finish(self, done: Callable[[int, bool], None]) -> int:
        """Make the pieces that are not there yet; returns how many rows were.

        Args:
            done: is called with a number of rows and whether they were made now.
        """
        columns = self.predictor.columns
        images = sum(c.type is ColumnType.IMAGE for c in columns)
        limit_reading(len(columns), MEMORY_MB, images)
        kept = 0
        for number, source in enumerate(self.sources):
            start = 0
            while start < source.rows and self._table(number, start).exists():
                start += self.size
            start = min(start, source.rows)
            kept += start
            done(start, False)
            if start == source.rows:
                continue
            own = {c.name for c in columns}
            wanted = [name for name in source.frame.collect_schema() if name in own]
            frame = source.frame.select(*wanted, *self._keys(source)).slice(start)
            try:
                with readable(source.name):
                    self._make(number, frame, start, done)
            except DataError as error:  # the others are to be answered
                self.damaged[number] = error
                kept -= start
        return kept

    def _make(
        self, number: int, frame: pl.LazyFrame, start: int, done: Callable[[int, bool], None]
    ) -> None:
        """Make the pieces of a source from a row on, a few at a time; each has its own file."""
        workers = min(len(os.sched_getaffinity(0)), WORKERS)
        waiting: deque[tuple[int, Future[None]]] = deque()

        def wait() -> None:
            rows, piece = waiting.popleft()
            piece.result()
            done(rows, True)

        with ThreadPoolExecutor(workers) as pool:
            try:
                for batch in batches(frame, self.size):
                    waiting.append((len(batch), pool.submit(self._write, number, batch, start)))
                    start += len(batch)
                    if len(waiting) > workers:
                        wait()
                while waiting:
                    wait()
            finally:
                for _, piece in waiting:
                    piece.cancel()

    def _keys(self, source: RowSource) -> list[pl.Expr]:
        """The columns that only name a row, those of role id, as far as they are there."""
        present = source.frame.collect_schema()
        names = [name for name in self.predictor.schema.names(Role.ID) if name in present]
        # files may hold them in different types
        return [pl.col(n).cast(pl.String) if len(self.sources) > 1 else pl.col(n) for n in names]

    def _write(self, number: int, batch: pl.DataFrame, start: int) -> None:
        """Predict rows of a source, the first of which has the number `start`."""
        source = self.sources[number]
        needed = [c.name for c in self.predictor.columns]
        table, problems = self.predictor.predict_readable(
            batch.select(n for n in batch.columns if n in needed),
            extra=self.extra,
            image_folder=source.folder,
        )
        rows = pl.int_range(start, start + len(batch), dtype=pl.Int64, eager=True)
        table, problems = _without(source, rows, table, problems)
        if source.paths is not None:
            files = batch[source.paths]
        else:
            files = pl.repeat(source.name, len(batch), dtype=pl.String, eager=True)
        with_files = self.by_file or source.paths is not None
        beside = [files.alias(FILE), rows.alias(ROW)] if with_files else [rows.alias(ROW)]
        keys = batch.select(n for n in batch.columns if n not in needed)
        version = pl.repeat(self.version, len(batch), dtype=pl.String, eager=True).alias(VERSION)
        own = [
            column.alias(_free(column.name, keys.columns)) for column in (*beside, *table, version)
        ]
        head = len(beside)
        whole = pl.DataFrame([*own[:head], *keys, *own[head:]])
        place = problems["row"]
        named = problems.with_columns(rows.gather(place).alias(ROW))
        if with_files:
            named = named.insert_column(0, files.gather(place).alias(FILE))
        with new_file(self._problems(number, start)) as file:
            named.write_parquet(file)
        with new_file(self._table(number, start)) as file:  # last: the piece is whole
            whole.write_parquet(file)

    def _table(self, number: int, start: int) -> Path:
        return self.folder / f"{number:05d}-{start:012d}.parquet"

    def _problems(self, number: int, start: int) -> Path:
        return self.folder / f"{number:05d}-{start:012d}.unreadable.parquet"

    def _starts(self) -> Iterator[tuple[int, int]]:
        for number, source in enumerate(self.sources):
            if number not in self.damaged:
                yield from ((number, start) for start in range(0, source.rows, self.size))

    def tables(self) -> Iterator[pl.DataFrame]:
        """The predictions of finished pieces, in order."""
        return (pl.read_parquet(self._table(*place)) for place in self._starts())

    def problems(self) -> Iterator[pl.DataFrame]:
        """The cells of finished pieces that could not be read, in order."""
        return (pl.read_parquet(self._problems(*place)) for place in self._starts())


def _without(
    source: RowSource, rows: pl.Series, table: pl.DataFrame, problems: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Predictions and problems of some rows, where the rows that do not fit their file's table, or
    hold a value of a wrong type, have no prediction and one problem each."""
    odd = rows.is_in(list(source.misfits))
    if not odd.any():
        return table, problems
    place = odd.arg_true()
    misfit = (source.misfits[row] for row in rows.filter(odd))
    columns, cells, reasons = zip(*misfit, strict=True)
    misfits = pl.DataFrame(
        {"row": place, "column": columns, "value": cells, "reason": reasons},
        schema=problems.schema,
    )
    others = problems.filter(~pl.col("row").is_in(place.to_list()))
    return (
        table.select(pl.when(~odd).then(pl.all())),
        pl.concat([others, misfits]).sort("row", maintain_order=True),
    )


def _free(name: str, taken: Sequence[str]) -> str:
    """A name for a column of ours beside the key columns."""
    while name in taken:
        name += "_"
    return name


def write_table(pieces: Iterator[pl.DataFrame], path: Path) -> None:
    """Write pieces as one table, CSV or Parquet by the ending of the path, whole or not at all."""
    with new_file(path) as temporary, ExitStack() as stack:
        if path.suffix == ".csv":
            out: IO[bytes] = stack.enter_context(temporary.open("wb"))
            for number, piece in enumerate(pieces):
                _as_text(piece).write_csv(out, include_header=number == 0)
            return
        writer = None
        for piece in pieces:
            table = piece.to_arrow()
            if writer is None:
                writer = pq.ParquetWriter(temporary, table.schema, compression="zstd")
                stack.enter_context(writer)
            writer.write_table(table.cast(writer.schema))


def _as_text(piece: pl.DataFrame) -> pl.DataFrame:
    """Sets of labels as JSON arrays, which CSV has no cells for; an apostrophe before what a
    spreadsheet would run as a formula."""
    for name in [n for n, dtype in piece.schema.items() if isinstance(dtype, pl.List)]:
        labels = piece[name].explode().drop_nulls().unique().to_list()
        quoted = [json.dumps(label, ensure_ascii=False) for label in labels]
        cells = pl.col(name).list.eval(pl.element().replace_strict(labels, quoted))
        piece = piece.with_columns(pl.format("[{}]", cells.list.join(", ")).alias(name))
    for name in [n for n, dtype in piece.schema.items() if dtype == pl.String]:
        text = pl.col(name)
        formula = text.str.contains(FORMULA) & ~text.str.contains(NUMBER)
        piece = piece.with_columns(
            pl.when(formula).then(pl.lit("'") + text).otherwise(text).alias(name)
        )
    return piece
