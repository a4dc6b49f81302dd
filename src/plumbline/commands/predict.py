"""`plumbline predict INPUT --output OUT`: a prediction for every row of raw data.

Rows stream in pieces, so the input may be larger than memory, and a killed run is resumed where it
was. Rows with a cell that cannot be read have no prediction and are listed beside the output.
"""

from __future__ import annotations

import datetime as dt
import json
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

import polars as pl

from plumbline.commands.predict_input import OpenedInput, files_for, open_input
from plumbline.commands.predict_model import NamedPredictor, load_predictor
from plumbline.commands.predict_pieces import BATCHES, MEMORY_MB, Pieces, write_table
from plumbline.config import Paths
from plumbline.data.options import ReadingOptions
from plumbline.data.parquet_folder import parts_of
from plumbline.errors import DataError, ParameterError
from plumbline.files import exclusive, read_json, remove_stale, write_json
from plumbline.inference.decided import PREDICTED
from plumbline.inference.feature_reader import Extra
from plumbline.inference.out_of_distribution import FLAG
from plumbline.numbers import plural
from plumbline.stages import Report

ENDINGS = (".parquet", ".csv")
KEY, BY_PART = "key.json", " by part"
CLASSES_SHOWN, FILES_SHOWN = 6, 5
LINE_SECONDS = 10.0  # between two lines of progress where no terminal shows it


def predict(
    source: Path,
    output: Path,
    paths: Paths,
    *,
    model: str | None = None,
    extra: Extra = "refuse",
    reading: ReadingOptions | None = None,
) -> Report:
    """Predict the rows of a file or folder, and write them to `output`.

    Args:
        model: models:/NAME@ALIAS, models:/NAME/VERSION or a folder with a version's files; None:
            the champion of the checkout's data.
        extra: what becomes of columns that the training data had not.
        reading: how a text file or workbook is laid out; what is left out is found out.

    Raises:
        ParameterError: the output has another ending, or the model does not exist.
        DataError: the input cannot be read, its columns do not fit the model, or no row of it
            could be predicted.
        StorageError: another process writes the same output, or the registry does not answer.
    """
    _check_output(source, output)
    reading = reading or ReadingOptions()
    named = load_predictor(model, paths)
    work = output.parent / f".{output.name}.pieces"
    with exclusive(work / "lock", f"'plumbline predict' to {output.name}"):
        try:
            report = _predict(source, output, work, named, extra, reading)
        except (DataError, ParameterError):  # the input has to change, and its pieces with it
            shutil.rmtree(work)
            raise
        shutil.rmtree(work)
    return report


def _predict(
    source: Path,
    output: Path,
    work: Path,
    named: NamedPredictor,
    extra: Extra,
    reading: ReadingOptions,
    *,
    by_part: bool = False,
) -> Report:
    listing = output.with_name(f"{output.name}.unreadable.csv")
    remove_stale(output)
    remove_stale(listing)
    key = _key(source, named, extra, reading)
    by_part = by_part or _is_of(work, key + BY_PART)
    _begin(work, key + BY_PART if by_part else key)
    opened = open_input(source, work, named.predictor, reading, extra, MEMORY_MB, by_part=by_part)
    sources = opened.sources
    pieces = Pieces(
        folder=work,
        sources=sources,
        predictor=named.predictor,
        version=named.version,
        extra=extra,
        by_file=len(sources) + len(opened.unreadable) > 1,
    )
    total = sum(one.rows for one in sources)
    progress = _Progress(total)
    kept = pieces.finish(progress.add)
    progress.end()
    if pieces.damaged and opened.is_joined:
        return _predict(source, output, work, named, extra, reading, by_part=True)
    opened = opened.without(pieces.damaged)
    total = sum(one.rows for one in opened.sources)
    bad = _list_problems(pieces, opened, listing)
    if bad == total:
        raise DataError(
            f"no row could be predicted; {listing} lists the cells",
            file=source.name,
            hint="write the cells as the training data write them",
        )
    counts: Counter[str] = Counter()
    flags: Counter[bool] = Counter()
    write_table(_counted(pieces.tables(), counts, flags), output)
    rows = [
        ("model", named.version),
        *(("read as", words) for one in opened.sources for words in one.words),
        *_left_out(opened),
        ("rows", f"{total:,}" + (f", {bad:,} could not be read" if bad else "")),
        *([("resumed", f"{kept:,} rows were finished by an interrupted run")] if kept else []),
        *_predicted(counts),
        *([("unusual", f"{_rows_are(flags[True])} out of distribution")] if flags else []),
        ("speed", f"{progress.rate:,.0f} rows/s"),
    ]
    return Report(rows=rows, outputs=[output, listing] if bad or opened.unreadable else [output])


def _check_output(source: Path, output: Path) -> None:
    if output.suffix not in ENDINGS:
        wanted = " or ".join(ENDINGS)
        raise ParameterError("ends otherwise", where="--output", wanted=wanted, got=output.name)
    if output.is_dir() or not output.parent.is_dir():
        raise ParameterError(
            "is a folder" if output.is_dir() else "its folder does not exist",
            where="--output",
            got=str(output),
        )
    place = output.resolve()
    if place == source.resolve() or place.is_relative_to(source.resolve()):
        raise ParameterError(
            "is the input, or lies inside it",
            where="--output",
            got=str(output),
            hint="write to another folder",
        )


def _key(source: Path, named: NamedPredictor, extra: Extra, reading: ReadingOptions) -> str:
    """Names a run: the same input, model and options give the same pieces."""
    files = [
        (str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns)
        for one in files_for(source, named.predictor).files
        for file in ([one] if one.is_file() else parts_of(one))
    ]
    own = [version("plumbline"), MEMORY_MB, BATCHES, named.version, named.predictor.key, extra]
    return sha256(json.dumps([files, own, asdict(reading)]).encode()).hexdigest()


def _begin(work: Path, key: str) -> None:
    """Keep the pieces of an interrupted run of the same key; remove others."""
    if _is_of(work, key):
        return
    for old in work.iterdir():
        if old.is_dir():
            shutil.rmtree(old)
        elif old.name != "lock":
            old.unlink()
    write_json(work / KEY, key)


def _is_of(work: Path, key: str) -> bool:
    """Whether the pieces are those of a run."""
    try:
        return bool(read_json(work / KEY) == key)
    except (OSError, ValueError):
        return False


def _list_problems(pieces: Pieces, opened: OpenedInput, listing: Path) -> int:
    """Write the cells and the files that could not be read, if there are any; returns how many
    rows the cells are in."""
    of_row = pl.exclude("column", "value", "reason")
    bad = sum(piece.select(of_row).n_unique() for piece in pieces.problems() if len(piece))
    if bad or opened.unreadable:
        write_table(_problems(pieces, opened), listing)
    else:
        listing.unlink(missing_ok=True)  # of an earlier run
    return bad


def _problems(pieces: Pieces, opened: OpenedInput) -> Iterator[pl.DataFrame]:
    """The cells that could not be read, then the files: these without row, column and value."""
    schema = pl.Schema()
    for piece in pieces.problems():
        schema = piece.schema
        yield piece
    if opened.unreadable:
        reasons = [error.what for error in opened.unreadable.values()]
        known = {"file": list(opened.unreadable), "reason": reasons}
        yield pl.DataFrame(
            {name: known.get(name, [None] * len(reasons)) for name in schema}, schema=schema
        )


def _left_out(opened: OpenedInput) -> list[tuple[str, str]]:
    """Files that could not be read, and those that are no data by their names."""
    errors = list(opened.unreadable.items())
    rows = [("not read", f"{name}: {error.what}") for name, error in errors[:FILES_SHOWN]]
    if len(errors) > FILES_SHOWN:
        rows.append(("", f"and {len(errors) - FILES_SHOWN:,} more files, which are listed"))
    names, more = opened.passed_over[:FILES_SHOWN], len(opened.passed_over) - FILES_SHOWN
    if names:
        text = ", ".join(names) + (f" and {more:,} more" if more > 0 else "")
        rows.append(("passed over", f"{text} (no data, by name)"))
    return rows


def _counted(
    tables: Iterator[pl.DataFrame], counts: Counter[str], flags: Counter[bool]
) -> Iterator[pl.DataFrame]:
    """The tables; how often each class is predicted, and how many rows are flagged or not."""
    for table in tables:
        if table.schema.get(FLAG) == pl.Boolean:
            flags.update(table[FLAG].drop_nulls().to_list())
        if table.schema[PREDICTED] == pl.String:
            counts.update(table[PREDICTED].drop_nulls().to_list())
        yield table


def _predicted(counts: Counter[str]) -> list[tuple[str, str]]:
    if not counts:
        return []
    shown = [f"{name} {count:,}" for name, count in counts.most_common(CLASSES_SHOWN)]
    more = len(counts) - len(shown)
    return [("predicted", ", ".join(shown) + (f", {more} more classes" if more > 0 else ""))]


def _rows_are(count: int) -> str:
    return f"{plural(count, 'row')} {'is' if count == 1 else 'are'}"


class _Progress:
    """Says on stderr how many rows are done, how fast, and how long the rest takes."""

    def __init__(self, total: int) -> None:
        self._total, self._done, self._new = total, 0, 0
        self._begun = self._last = time.monotonic()
        self._terminal = sys.stderr.isatty()

    @property
    def rate(self) -> float:
        """Rows per second of this run."""
        return self._new / max(time.monotonic() - self._begun, 1e-9)

    def add(self, rows: int, is_new: bool) -> None:
        """Count rows; those of an interrupted run are not new."""
        self._done += rows
        self._new += rows if is_new else 0
        now = time.monotonic()
        if not is_new or (not self._terminal and now - self._last < LINE_SECONDS):
            return
        self._last = now
        left = dt.timedelta(seconds=round((self._total - self._done) / max(self.rate, 1e-9)))
        line = f"{self._done:,} of {self._total:,} rows, {self.rate:,.0f} rows/s, {left} left"
        print(f"\r\033[K{line}" if self._terminal else line, end=self._end, file=sys.stderr)

    @property
    def _end(self) -> str:
        return "" if self._terminal else "\n"

    def end(self) -> None:
        """Clear the line of a terminal."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr)
