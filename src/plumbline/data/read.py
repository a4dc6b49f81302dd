"""Files become typed rows: CSV (also .gz and .zst), Parquet files and folders, lazily."""

from __future__ import annotations

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, TypeVar

import polars as pl
import zstandard

from plumbline.cells import typed
from plumbline.config.data import DataConfig, FormatConfig
from plumbline.data.parquet_folder import parts_of
from plumbline.data.rows import limit_reading
from plumbline.errors import DataError
from plumbline.kinds import ColumnType
from plumbline.tables import Schema, Table

Item = TypeVar("Item")
MOST_CELLS = 4_000_000  # of a table that is kept in memory while it is looked at
AT_ONCE, AT_ONCE_FROM_FILE = 32, 256  # columns in a query


def open_table(config: DataConfig, schema: Schema, root: Path) -> Table:
    """The data file and then the supplied test file, typed by the schema.

    Raises:
        DataError: a file is missing, empty, broken, or lacks a column of the schema.
    """
    frames, counts = [], []
    for name in filter(None, (config.path, config.test_path)):
        raw = scan(root / name, config.format, shown=name)
        frames.append(conform(raw, schema, name))
        with readable(name):
            counts.append(int(frames[-1].select(pl.len()).collect(engine="streaming").item()))
    if counts[0] == 0:
        raise DataError("has no rows", file=config.path, hint="add rows below the header")
    frame = frames[0] if len(frames) == 1 else pl.concat(frames)
    images = len(schema.of_type(ColumnType.IMAGE))
    limit_reading(len(schema.columns), config.max_memory_mb, images)
    return Table(frame=frame, rows=sum(counts), test_rows=sum(counts[1:]))


def conform(raw: pl.LazyFrame, schema: Schema, name: str) -> pl.LazyFrame:
    """The schema's columns in its order and types; other columns are left out.

    Raises:
        DataError: a column of the schema is missing.
    """
    present = raw.collect_schema()
    missing = [c.name for c in schema.columns if c.name not in present]
    if missing:
        raise DataError(
            "no such column",
            file=name,
            where=f"column '{missing[0]}'",
            wanted=f"the columns of expectations.yaml ({len(missing)} missing)",
            got=", ".join(present.names()),
            hint=otherwise_spelled(missing[0], present.names())
            or "add the column (and the line of names, where the file has none), or run "
            "`plumbline init` again for these data",
        )
    return raw.select(typed(c, present[c.name]) for c in schema.columns)


def otherwise_spelled(name: str, names: Iterable[str]) -> str | None:
    """The way out where a column differs in case and blanks alone."""
    same = [n for n in names if n.casefold().split() == name.casefold().split()]
    return f"rename its column '{same[0]}' to '{name}'" if same else None


def scan(path: Path, form: FormatConfig, *, shown: str | None = None) -> pl.LazyFrame:
    """A file's rows as they are: text for CSV, native types for Parquet.

    Raises:
        DataError: no such file, empty, not what it claims to be, duplicate column names.
    """
    shown = shown or path.name
    if not path.exists():
        raise DataError(
            "no such file", file=shown, hint="check the path, or fetch the data with `dvc pull`"
        )
    if path.is_file() and path.stat().st_size == 0:
        raise DataError("is empty", file=shown, wanted="a header and rows")
    with readable(shown):
        if form.type == "parquet":
            frame = _scan_folder(path, shown) if path.is_dir() else pl.scan_parquet(path)
        else:
            frame = _scan_csv(path, form, shown)
        frame.collect_schema()
    return frame


def _scan_folder(path: Path, shown: str) -> pl.LazyFrame:
    """All Parquet files below, by name; folders called `column=value` are a column."""
    parts = parts_of(path)
    if not parts:
        raise DataError("is a folder and holds no .parquet file", file=shown)
    partitioned = any("=" in name for part in parts for name in part.relative_to(path).parts[:-1])
    return pl.scan_parquet(parts, hive_partitioning=partitioned, glob=False)


def _scan_csv(path: Path, form: FormatConfig, shown: str) -> pl.LazyFrame:
    names = _header(path, form, shown)
    return pl.scan_csv(
        path,
        separator=form.separator,
        infer_schema=False,
        with_column_names=lambda _: names,  # a doubled quote in a name is one for us
    )


def _header(path: Path, form: FormatConfig, shown: str) -> list[str]:
    """The names of the columns: present, and none twice."""
    with open_bytes(path) as file:
        lines = io.TextIOWrapper(file, encoding="utf-8", newline="")
        try:
            header = next(csv.reader(lines, delimiter=form.separator, strict=True))
        except (StopIteration, csv.Error, UnicodeDecodeError):
            raise DataError("has no header that can be read", file=shown) from None
    header = [name.strip().removeprefix("\ufeff") for name in header]
    twice = [name for name, count in Counter(header).items() if count > 1 or not name]
    if twice:
        raise DataError(
            "column name appears more than once" if twice[0] else "a column has no name",
            file=shown,
            where=f"column '{twice[0]}'" if twice[0] else f"column {header.index('') + 1}",
            hint="rename it, or run `plumbline init` on the file, which names columns",
        )
    return header


def resident(raw: pl.LazyFrame, file: str) -> tuple[pl.LazyFrame, int]:
    """A small table in memory, a larger one as it is; and how many columns to ask about at once:
    the time of a query grows with the square of their number, each reads a larger table anew."""
    columns = len(raw.collect_schema())
    with readable(file):
        if int(raw.select(pl.len()).collect(engine="streaming").item()) * columns <= MOST_CELLS:
            return raw.collect().lazy(), AT_ONCE
    return raw, AT_ONCE_FROM_FILE


def select_in_parts(
    raw: pl.LazyFrame, expressions: Mapping[str, pl.Expr], file: str, at_once: int
) -> dict[str, Any]:
    """The value of each of many expressions over all rows, so many in a query."""
    values: dict[str, Any] = {}
    named = [e.alias(name) for name, e in expressions.items()]
    for part in batched(named, at_once):
        with readable(file):
            values |= raw.select(part).collect(engine="streaming").row(0, named=True)
    return values


def batched(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """Pieces of a list."""
    return (items[i : i + size] for i in range(0, len(items), size))


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """A file's bytes, .gz and .zst unpacked."""
    with path.open("rb") as raw:
        if path.suffix == ".gz":
            with gzip.open(raw) as file:
                yield file  # type: ignore[misc]
        elif path.suffix in (".zst", ".zstd"):
            unpacked = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)
            with io.BufferedReader(unpacked) as file:
                yield file
        else:
            yield raw


@contextmanager
def readable(shown: str) -> Iterator[None]:
    """Turn a reader's complaint into the user's: the file, what is wrong, the fix."""
    try:
        yield
    except pl.exceptions.NoDataError:
        raise DataError("is empty", file=shown, wanted="a header and rows") from None
    except (pl.exceptions.PolarsError, EOFError, zstandard.ZstdError) as error:
        first = str(error).strip().splitlines()[0]
        if not isinstance(error, pl.exceptions.PolarsError) or "parquet" in first.lower():
            raise DataError(
                f"cannot be read: {first}",
                file=shown,
                wanted="a whole file",
                hint="it is cut or damaged: get or write it again",
            ) from None
        raise DataError(
            f"cannot be read: {first}",
            file=shown,
            wanted="a whole file, the same number of fields in every line, in UTF-8",
            hint="look for a cut or damaged file, a stray quote or separator; "
            "data.format in params.yaml says how it is read",
        ) from None
    except OSError as error:
        raise DataError(f"cannot be read: {error}", file=shown) from None
