"""Which type each column has and how its cells are written, decided over all rows.

A sample tells which readings are worth asking for; all rows are asked; cells that the best reading
leaves over may bring in others.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from plumbline.cells import is_whole, unreadable
from plumbline.data.answers import Answers, RawRows, query
from plumbline.data.choose import Choice, choose_all, text_reading
from plumbline.data.formats import Reading, readings
from plumbline.data.pictures import refuse_other_bytes
from plumbline.data.read import AT_ONCE, readable, select_in_parts
from plumbline.errors import DataError
from plumbline.images.cells import has_images
from plumbline.kinds import ColumnType
from plumbline.numbers import plural
from plumbline.tables import RESERVED

SMALL = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32)
HEAD = 2000  # rows of the sample from the top, as many again from all over


def decide(
    raw: pl.LazyFrame,
    words: tuple[str, ...],
    file: str,
    *,
    known: Mapping[str, Reading],
    test: pl.LazyFrame | None = None,
    separator: str = ",",
    at_once: int = AT_ONCE,
) -> dict[str, Choice]:
    """The reading of every column.

    Args:
        words: the general words for a missing cell.
        known: readings that are kept where they read every cell.
        test: rows of another file, which may tell what these rows leave open.
        separator: of the file, which tells what a comma in a number may be.
        at_once: how many columns are asked about in a query.
    """
    schema = raw.collect_schema()
    refuse_unusable(schema, file)
    refuse_other_bytes(raw, file)
    texts = [n for n, dtype in schema.items() if dtype in (pl.String, pl.Categorical, pl.Enum)]
    rows = RawRows(
        raw=raw,
        words=words,
        file=file,
        cells=_sample(raw, texts, file),
        test=test,
        separator=separator,
        at_once=at_once,
    )
    kept = {n: Choice(reading=known[n]) for n in _kept(rows, known)}
    options = readings({n: rows.cells[n] for n in texts if n not in kept}, words)
    answers = query(rows, options)
    _query_again(rows, options, answers)
    choices = _natives(raw, words, file) | choose_all(rows, answers) | kept
    return {name: choices[name] for name in schema}


def refuse_unusable(schema: pl.Schema, file: str) -> None:
    """Columns whose cells hold several values, or bytes; names that polars takes for a pattern.

    Raises:
        DataError: names the first column.
    """
    for name, dtype in schema.items():
        pattern = name == "*" or (name.startswith("^") and name.endswith("$"))
        if pattern or name.startswith(RESERVED):
            raise DataError(
                "a column name that means something else here",
                file=file,
                where=f"column {name!r}",
                wanted="a name that is not *, not ^…$, and begins with an ordinary character",
                hint="rename the column",
            )
        if (dtype.is_nested() or dtype in (pl.Binary, pl.Object)) and not has_images(dtype):
            raise DataError(
                f"cells of type {dtype} cannot be read",
                file=file,
                where=f"column '{name}'",
                wanted="one number, text, date, truth value or image in a cell",
                hint="remove the column, or write its parts as columns of their own",
            )


def _natives(raw: pl.LazyFrame, words: tuple[str, ...], file: str) -> dict[str, Choice]:
    """The columns that are no text in the file."""
    schema = raw.collect_schema()
    choices = {n: Choice(reading=_native(t), notes=_native_note(t)) for n, t in schema.items()}
    large = [n for n, dtype in schema.items() if is_whole(dtype) and dtype not in SMALL]
    if not large:
        return choices
    names = [
        (
            (pl.col(n).cast(pl.Int64, strict=False).is_null() & pl.col(n).is_not_null()).sum(),
            pl.col(n).cast(pl.String).n_unique(),
            pl.col(n).count(),
        )
        for n in large
    ]
    with readable(file):
        counts = raw.select(
            e.alias(f"{i}.{j}") for i, own in enumerate(names) for j, e in enumerate(own)
        ).collect(engine="streaming")
    for i, name in enumerate(large):
        beyond, distinct, there = (int(counts[f"{i}.{j}"][0]) for j in range(3))
        if beyond:
            note = f"{plural(beyond, 'number')} of more than 64 bits: codes, kept as text"
            choices[name] = Choice(reading=text_reading(distinct, there, words), notes=(note,))
    return choices


def _native_note(dtype: pl.DataType) -> tuple[str, ...]:
    if isinstance(dtype, pl.Time):
        return ("times of day as seconds since midnight",)
    return ("durations in seconds",) if isinstance(dtype, pl.Duration) else ()


def _native(dtype: pl.DataType) -> Reading:
    if has_images(dtype):
        return Reading(type=ColumnType.IMAGE)
    if dtype == pl.Boolean:
        return Reading(type=ColumnType.BOOLEAN)
    if isinstance(dtype, pl.Date | pl.Datetime):
        return Reading(type=ColumnType.DATE)
    if is_whole(dtype):
        return Reading(type=ColumnType.INTEGER)
    if dtype.is_numeric() or isinstance(dtype, pl.Duration | pl.Time):
        return Reading(type=ColumnType.NUMBER)
    return Reading(type=ColumnType.CATEGORY)


def _sample(raw: pl.LazyFrame, texts: list[str], file: str) -> pl.DataFrame:
    with readable(file):
        count = int(raw.select(pl.len()).collect(engine="streaming").item())
        if count == 0:
            raise DataError("has a header and no rows", file=file, hint="add rows below the header")
        picked = raw.select(pl.col(n).cast(pl.String).str.strip_chars() for n in texts)
        head = picked.head(HEAD).collect()
        if count <= HEAD:
            return head
        spread = picked.gather_every(max(1, count // HEAD)).head(HEAD).collect(engine="streaming")
    return pl.concat([head, spread])


def _kept(rows: RawRows, known: Mapping[str, Reading]) -> list[str]:
    """The columns that read every cell as they did before."""
    schema = rows.raw.collect_schema()
    columns = [reading.column(name) for name, reading in known.items() if name in schema]
    if not columns:
        return []
    flags = {c.name: unreadable(c, schema[c.name]).sum() for c in columns}
    bad = select_in_parts(rows.raw, flags, rows.file, rows.at_once)
    return [name for name, count in bad.items() if count == 0]


def _query_again(
    rows: RawRows, options: Mapping[str, list[Reading]], answers: Mapping[str, Answers]
) -> None:
    """Where cells are left over, let them say how they are written."""
    more: dict[str, pl.Series] = {}
    dtypes = rows.raw.collect_schema()
    for name, own in answers.items():
        best = [*own.best(ColumnType.NUMBER), *own.best(ColumnType.DATE)]
        if not best or max(own.read[r] for r in best) >= own.numbers:
            continue
        bad = unreadable(best[0].column(name), dtypes[name])
        with readable(rows.file):
            left = (
                rows.raw.filter(bad)
                .select(pl.col(name).cast(pl.String).str.strip_chars())
                .head(HEAD)
                .collect(engine="streaming")[name]
            )
        more[name] = pl.concat([rows.cells[name], left])
    choices = readings(more, rows.words)
    new = {n: [r for r in own if r not in options[n]] for n, own in choices.items()}
    for name, own in query(rows, {n: own for n, own in new.items() if own}).items():
        answers[name].add(own)
