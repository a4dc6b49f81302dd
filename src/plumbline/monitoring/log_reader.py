"""The log of requests, window by window: never more of it in memory than a file and a sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from plumbline.errors import DataError
from plumbline.kinds import DoubleArray, IntArray
from plumbline.monitoring.windows import NEVER, Window
from plumbline.numbers import plural
from plumbline.serving.log_lines import OUTPUT
from plumbline.serving.request_log import FEEDBACK, REQUESTS

KEYS = ("request_id", "row")
LABEL, LABELED = "label", "labeled"


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """A file of the log, and the times of the version's rows in it, as first and last."""

    path: Path
    first: int
    last: int


@dataclass(frozen=True, kw_only=True)
class WindowRows:
    """The rows of a window.

    Attributes:
        sample: of all rows, with the columns that were asked for.
        labeled: of the rows with a label: outputs and `label`.
        seconds: (requests,) that each took.
    """

    sample: pl.DataFrame
    labeled: pl.DataFrame
    seconds: DoubleArray


class LogReader:
    """The rows that one version answered.

    Attributes:
        times: (n,) of its rows, in microseconds, ascending.
        labeled: (n,) when each got its last label, or `NEVER`.
        columns: all that the log has of them, with their types.
        unmatched: how many labels meet no row of the log, whichever version answered.

    Raises:
        DataError: a file is broken; names it.
    """

    def __init__(self, folder: Path, version: str) -> None:
        self._version = version
        self._labels = read_labels(folder)
        self._files: list[LogFile] = []
        self._last: tuple[Path, pl.DataFrame] | None = None
        self.columns: dict[str, pl.DataType] = {}
        keys, unmatched = list(KEYS), self._labels.select(KEYS)
        times, labeled = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for path in log_files(folder / REQUESTS):
            every = read_log_file(path, [*KEYS, "time", "version"])
            if every is None:
                continue
            unmatched = unmatched.join(every, on=keys, how="anti")
            rows = every.filter(pl.col("version") == version)
            if not len(rows):
                continue
            rows = rows.join(
                self._labels.select(*KEYS, LABELED), on=KEYS, how="left", maintain_order="left"
            )
            own = _times(rows["time"])
            self._files.append(LogFile(path=path, first=int(own.min()), last=int(own.max())))
            self.columns |= pl.read_parquet_schema(path)
            times.append(own)
            labeled.append(_times(rows[LABELED]))
        self.unmatched = len(unmatched)
        order = np.argsort(np.concatenate(times), kind="stable")
        self.times: IntArray = np.concatenate(times)[order]
        self.labeled: IntArray = np.concatenate(labeled)[order]

    def read(self, window: Window, columns: Sequence[str], most: int, seed: int) -> WindowRows:
        """The rows of a window: of all, and of the labeled ones, at most `most`, drawn by a seed.

        Args:
            columns: of the sample; one that a file lacks is null there.
        """
        rng = np.random.default_rng([seed, window.start % 2**32])
        drawn = np.sort(rng.permutation(window.rows)[:most])
        outputs = [name for name in self.columns if name.startswith(OUTPUT)]
        samples, labeled, seconds, passed = [], [], [np.zeros(0)], 0
        for rows in self._window(window):
            local = drawn[(drawn >= passed) & (drawn < passed + len(rows))] - passed
            passed += len(rows)
            samples.append(rows.select(n for n in columns if n in rows.columns)[local])
            known = rows.join(self._labels.select(*KEYS, LABEL), on=KEYS, maintain_order="left")
            labeled.append(known.select(*(n for n in outputs if n in known.columns), LABEL))
            own = rows.filter(pl.col("row") == 0)["seconds"]
            seconds.append(own.cast(pl.Float64).drop_nulls().to_numpy())
        sample = _together(samples, {name: self.columns[name] for name in columns})
        all_labeled = _together(
            labeled, {**{n: self.columns[n] for n in outputs}, LABEL: pl.String()}
        )
        kept = np.sort(rng.permutation(len(all_labeled))[:most])
        return WindowRows(sample=sample, labeled=all_labeled[kept], seconds=np.concatenate(seconds))

    def _window(self, window: Window) -> Iterator[pl.DataFrame]:
        for file in self._files:
            if file.last < window.start or file.first >= window.end:
                continue
            rows = self._whole(file.path)
            if rows is not None:
                times = _times(rows["time"])
                yield rows.filter((times >= window.start) & (times < window.end))

    def _whole(self, path: Path) -> pl.DataFrame | None:
        """A file's own rows; the last one is kept: windows that follow each other share files."""
        if self._last is None or self._last[0] != path:
            self._last = None
            rows = self._own(path, None)
            if rows is None:
                return None
            self._last = path, rows
        return self._last[1]

    def _own(self, path: Path, columns: list[str] | None) -> pl.DataFrame | None:
        """The version's rows of a file; None where it is gone."""
        rows = read_log_file(path, columns)
        return None if rows is None else rows.filter(pl.col("version") == self._version)


def read_log_file(path: Path, columns: list[str] | None) -> pl.DataFrame | None:
    """A file of the log; None where it was removed meanwhile, as old days are.

    Raises:
        DataError: it is broken.
    """
    try:
        return pl.read_parquet(path, columns=columns)
    except FileNotFoundError:
        return None
    except (pl.exceptions.PolarsError, OSError) as error:
        raise DataError(
            f"cannot be read as a part of the service's log: {error}",
            file=path,
            hint="move the file away; what it held is lost to monitoring",
        ) from None


def log_files(folder: Path) -> list[Path]:
    """The files of a kind, the oldest day first."""
    return sorted(file for file in folder.glob("date=*/*.parquet") if not file.name.startswith("."))


def read_labels(folder: Path) -> pl.DataFrame:
    """The last label of each row, and when it came."""
    frames = [
        pl.DataFrame(
            schema={
                "request_id": pl.String(),
                "row": pl.Int32(),
                LABEL: pl.String(),
                "time": pl.Datetime("us"),
            }
        )
    ]
    for path in log_files(folder / FEEDBACK):
        labels = read_log_file(path, frames[0].columns)
        if labels is not None:
            frames.append(labels.select(frames[0].columns))
    whole = pl.concat(frames).sort("time", maintain_order=True)
    return whole.unique(list(KEYS), keep="last", maintain_order=True).rename({"time": LABELED})


def words_of_unmatched(labels: int) -> str:
    """What is said of labels that meet no row."""
    meet = "meets" if labels == 1 else "meet"
    return (
        f"{plural(labels, 'label')} {meet} no row of the log: of an id or a row that no answer "
        "had, or of a day that is gone"
    )


def _times(column: pl.Series) -> IntArray:
    values: IntArray = column.cast(pl.Int64).fill_null(NEVER).to_numpy()
    return values


def _together(frames: Sequence[pl.DataFrame], schema: dict[str, pl.DataType]) -> pl.DataFrame:
    """Frames with some of the columns as one with all of them, in order."""
    empty = pl.DataFrame(schema=schema)
    return pl.concat([empty, *frames], how="diagonal_relaxed").select(list(schema))
