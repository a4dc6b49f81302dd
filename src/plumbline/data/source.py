"""The data as validation looks at them: typed cells, and which cells could not be read."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from plumbline.cell_kinds import untypical
from plumbline.cells import typed, unreadable, written
from plumbline.config.data import DataConfig
from plumbline.data.read import conform, readable, scan
from plumbline.data.rows import limit_reading, sink_rows
from plumbline.errors import DataError
from plumbline.images import ImageReader
from plumbline.kinds import CellKind, ColumnType
from plumbline.tables import ROW, Schema, internal

__all__ = ["ROW", "Source", "open_source"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """Typed rows (data file, then test file) and, beside them, the cells as written.

    `unreadable` and `as_written` have an expression per column over `frame`; `names` are the
    file's columns, `texts` those that are text in it, `images` those of images. `native`: what the
    cells of some features are in the file (see `Column`).
    """

    frame: pl.LazyFrame
    written: pl.LazyFrame
    unreadable: Mapping[str, pl.Expr]
    as_written: Mapping[str, pl.Expr]
    names: list[str]
    texts: frozenset[str]
    images: frozenset[str]
    native: Mapping[str, CellKind]
    rows: int
    test_rows: int

    def cells(self, column: str, rows: list[int]) -> list[str | None]:
        """Cells of some rows, ascending, as they are written; long ones are cut."""
        picked = (
            self.written.select(column)
            .with_row_index(ROW)
            .filter(pl.col(ROW).is_in(rows))
            .select(pl.col(column).str.slice(0, 200))
            .collect(engine="streaming")
        )
        cells = picked[column].to_list()
        if column not in self.images:
            return cells
        reasons = zip(cells, self._reasons(column, rows), strict=True)
        return [f"{cell} ({why})" if cell and why else cell for cell, why in reasons]

    def _reasons(self, column: str, rows: list[int]) -> list[str | None]:
        """Why cells are no images."""
        frame = self.frame.select(column).with_row_index(ROW).filter(pl.col(ROW).is_in(rows))
        contents = frame.collect(engine="streaming")[column].to_list()
        reader = ImageReader(None)
        return ["no such file" if c is None else reader.problem(c) for c in contents]


def open_source(
    config: DataConfig,
    schema: Schema,
    root: Path,
    *,
    shown: str | None = None,
    into: Path | None = None,
    patterned: Collection[str] | None = None,
) -> Source:
    """Open the data file and the supplied test file for validation.

    Args:
        shown: what messages call the data file, where that is not its path.
        into: a folder to which the rows are written first, so that a file of text is parsed once
            whatever is asked of it.
        patterned: the columns whose cells are asked about as they are written; None: all.

    Raises:
        DataError: a file is missing, empty or broken, or lacks a column of the schema.
    """
    images = schema.of_type(ColumnType.IMAGE)
    limit_reading(2 * len(schema.columns), config.max_memory_mb, len(images))  # each with its flag
    typed_parts, written_parts = [], []
    counts: list[int] = []
    texts_of: Sequence[int] = range(len(schema.columns))
    if patterned is not None:
        texts_of = [i for i, c in enumerate(schema.columns) if c.name in patterned]
    names: list[str] = []
    texts: set[str] = set()
    native: dict[str, CellKind] = {}
    file_name = shown or config.path
    for path in filter(None, (config.path, config.test_path)):
        file = file_name if path == config.path else path
        raw = scan(root / path, config.format, shown=file)
        conform(raw, schema, file)  # refuses a missing column
        dtypes = raw.collect_schema()
        names = names or dtypes.names()
        texts |= {name for name, dtype in dtypes.items() if dtype == pl.String}
        kinds = {c.name: untypical(c.type, dtypes[c.name]) for c in schema.features}
        native |= {name: kind for name, kind in kinds.items() if kind is not None}
        flags = [
            unreadable(c, dtypes[c.name]).alias(_flag(i)) for i, c in enumerate(schema.columns)
        ]
        cells = [typed(c, dtypes[c.name]) for c in schema.columns]
        texts_written = [written(c, dtypes[c.name]) for c in schema.columns]
        aside = [texts_written[i].alias(_text(i)) for i in texts_of]
        wanted = [*cells, *flags, *aside]
        frame = raw.select(wanted)
        written_parts.append(raw.select(texts_written))
        with readable(file):
            if into is not None:
                parsed = into / f"{len(counts)}.parquet"
                sink_rows(raw, parsed, config.max_memory_mb, len(images), wanted)
                frame = pl.scan_parquet(parsed)
            counts.append(int(frame.select(pl.len()).collect(engine="streaming").item()))
        typed_parts.append(frame)
    if counts[0] == 0:
        raise DataError("has no rows", file=file_name, hint="add rows below the header")
    return Source(
        frame=pl.concat(typed_parts),
        written=pl.concat(written_parts),
        unreadable={c.name: pl.col(_flag(i)) for i, c in enumerate(schema.columns)},
        as_written={schema.columns[i].name: pl.col(_text(i)) for i in texts_of},
        names=names,
        texts=frozenset(texts),
        images=frozenset(images),
        native=native,
        rows=sum(counts),
        test_rows=sum(counts[1:]),
    )


def _flag(number: int) -> str:
    return internal(f"unreadable {number}")


def _text(number: int) -> str:
    return internal(f"written {number}")
