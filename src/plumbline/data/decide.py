"""Which type each column has and how its cells are written, decided over all rows.

A sample tells which readings are worth asking for; all rows are asked; cells that the best reading
leaves over may bring in others.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from plumbline.cells import unreadable
from plumbline.data.answers import Answers, Rows, ask
from plumbline.data.choose import Choice, choose_all
from plumbline.data.formats import Reading, readings
from plumbline.data.read import readable
from plumbline.errors import DataError
from plumbline.kinds import ColumnType
from plumbline.tables import RESERVED

HEAD = 2000  # rows of the sample from the top, as many again from all over


def decide(
    raw: pl.LazyFrame,
    words: tuple[str, ...],
    file: str,
    *,
    known: Mapping[str, Reading],
    test: pl.LazyFrame | None = None,
    separator: str = ",",
) -> dict[str, Choice]:
    """The reading of every column.

    Args:
        words: the general words for a missing cell.
        known: readings that are kept where they read every cell.
        test: rows of another file, which may tell what these rows leave open.
        separator: of the file, which tells what a comma in a number may be.
    """
    schema = raw.collect_schema()
    refuse_unusable(schema, file)
    texts = [n for n, dtype in schema.items() if dtype in (pl.String, pl.Categorical, pl.Enum)]
    rows = Rows(
        raw=raw,
        words=words,
        file=file,
        cells=_sample(raw, texts, file),
        test=test,
        separator=separator,
    )
    kept = {n: Choice(reading=known[n]) for n in _kept(rows, known)}
    options = {n: readings(n, rows.cells[n], words) for n in texts if n not in kept}
    answers = ask(rows, options)
    _ask_again(rows, options, answers)
    native = {n: Choice(reading=_native(dtype)) for n, dtype in schema.items() if n not in texts}
    found = native | choose_all(rows, answers) | kept
    return {name: found[name] for name in schema}


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
                mend="rename the column",
            )
        if dtype.is_nested() or dtype in (pl.Binary, pl.Object):
            raise DataError(
                f"cells of type {dtype} cannot be read",
                file=file,
                where=f"column '{name}'",
                wanted="one number, text, date or truth value in a cell",
                mend="remove the column, or write its parts as columns of their own",
            )


def _native(dtype: pl.DataType) -> Reading:
    if dtype == pl.Boolean:
        return Reading(type=ColumnType.BOOLEAN)
    if isinstance(dtype, pl.Date | pl.Datetime):
        return Reading(type=ColumnType.DATE)
    if dtype.is_integer():
        return Reading(type=ColumnType.INTEGER)
    if dtype.is_numeric() or isinstance(dtype, pl.Duration | pl.Time):
        return Reading(type=ColumnType.NUMBER)
    return Reading(type=ColumnType.CATEGORY)


def _sample(raw: pl.LazyFrame, texts: list[str], file: str) -> pl.DataFrame:
    with readable(file):
        count = int(raw.select(pl.len()).collect(engine="streaming").item())
        if count == 0:
            raise DataError("has a header and no rows", file=file, mend="add rows below the header")
        picked = raw.select(pl.col(n).cast(pl.String).str.strip_chars() for n in texts)
        head = picked.head(HEAD).collect()
        if count <= HEAD:
            return head
        spread = picked.gather_every(max(1, count // HEAD)).head(HEAD).collect(engine="streaming")
    return pl.concat([head, spread])


def _kept(rows: Rows, known: Mapping[str, Reading]) -> list[str]:
    """The columns that read every cell as they did before."""
    schema = rows.raw.collect_schema()
    columns = [reading.column(name) for name, reading in known.items() if name in schema]
    if not columns:
        return []
    flags = [unreadable(c, schema[c.name]).sum().alias(str(i)) for i, c in enumerate(columns)]
    with readable(rows.file):
        bad = rows.raw.select(flags).collect(engine="streaming").row(0)
    return [c.name for c, count in zip(columns, bad, strict=True) if count == 0]


def _ask_again(
    rows: Rows, options: Mapping[str, list[Reading]], answers: Mapping[str, Answers]
) -> None:
    """Where cells are left over, let them say how they are written."""
    more: dict[str, list[Reading]] = {}
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
        found = readings(name, pl.concat([rows.cells[name], left]), rows.words)
        more[name] = [r for r in found if r not in options[name]]
    for name, own in ask(rows, {n: new for n, new in more.items() if new}).items():
        answers[name].add(own)
