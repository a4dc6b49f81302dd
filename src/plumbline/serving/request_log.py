"""The log of requests: what was sent, what was answered, by which version, when; Parquet by day.

An answer never waits for it: records go into a bounded queue, and a thread writes them. What does
not fit is counted and dropped.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import logging
import os
import shutil
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol

import polars as pl

from plumbline.config.serve import ServeLogConfig
from plumbline.errors import ParameterError, UserError, nearest
from plumbline.evaluation.image_drift import MEASURED as MEASURED_IMAGE
from plumbline.evaluation.image_drift import measure_images
from plumbline.files import new_file
from plumbline.serving.request_rows import Row
from plumbline.serving.served import Served

KEY = "PLUMBLINE_SERVE_LOG_KEY"  # environment: of the hashes
REQUESTS, FEEDBACK = "requests", "feedback"  # folders; each has a folder per day
# before the names of columns; measured: an image, as drift compares it
INPUT, OUTPUT, MEASURED = "input.", "output.", "measured."
FILE_ROWS = 50_000  # a file of more is not written again
NOTED_SECONDS = 60.0  # between two lines about a disk that refuses
MB = 2**20
logger = logging.getLogger("plumbline.serving")


@dataclass(frozen=True, kw_only=True)
class LoggedRequest:
    """A request that was answered. `size`: of its body, in bytes."""

    request_id: str
    time: dt.datetime
    seconds: float
    served: Served
    rows: Sequence[Row]
    table: pl.DataFrame
    size: int

    @property
    def day(self) -> dt.date:
        return self.time.date()


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a row turned out to be."""

    request_id: str
    row: int
    label: str
    time: dt.datetime


class _Counted(Protocol):
    def inc(self, amount: float = 1) -> None: ...


class RequestLog:
    """Writes records and labels in a thread of its own.

    Args:
        folder: of the log.
        key: of the hashes; None where nothing is hashed.
        dropped: counts rows and labels that did not fit into the queue.
        refused: counts attempts to write that the disk refused.
    """

    def __init__(
        self,
        folder: Path,
        config: ServeLogConfig,
        *,
        key: bytes | None,
        dropped: _Counted,
        refused: _Counted,
    ) -> None:
        self._folder, self._config = folder, config
        self._hide = _Hiding(config, key)
        self._dropped, self._refused = dropped, refused
        self._most = config.max_queue_mb * MB
        self._records: list[LoggedRequest] = []
        self._labels: list[Label] = []
        self._size = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._files = {
            REQUESTS: _DayFiles(folder / REQUESTS),
            FEEDBACK: _DayFiles(folder / FEEDBACK),
        }
        self._noted = 0.0
        self.problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="request log", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def close(self) -> None:
        """Write what is there, then end."""
        self._closing = True
        self._wake.set()
        self._thread.join()

    def add(self, record: LoggedRequest) -> None:
        """Keep a record, if it fits."""
        with self._lock:
            if self._size + record.size > self._most:
                self._dropped.inc(len(record.rows))
                return
            self._size += record.size
            self._records.append(record)

    def label(self, labels: Sequence[Label]) -> bool:
        """Keep labels; False where they do not fit."""
        size = sum(len(one.label) + 100 for one in labels)
        with self._lock:
            if self._size + size > self._most:
                self._dropped.inc(len(labels))
                return False
            self._size += size
            self._labels += labels
        return True

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(self._config.flush_seconds)
            self.flush()
        self.flush()

    def flush(self) -> None:
        """Write what is there. Where the disk refuses, it stays for the next time."""
        with self._lock:
            records, labels = list(self._records), list(self._labels)
        try:
            for (_, day), group in groupby(records, key=lambda one: (id(one.served), one.day)):
                some = list(group)
                frame = self._frame_or_none(some)
                if frame is not None:
                    self._files[REQUESTS].append(day, frame)
                with self._lock:  # what is written is not written again, whatever becomes of others
                    del self._records[: len(some)]
                    self._size -= sum(one.size for one in some)
            for day, marks in groupby(labels, key=lambda one: one.time.date()):
                own = list(marks)
                self._files[FEEDBACK].append(day, _label_frame(own))
                with self._lock:
                    del self._labels[: len(own)]
                    self._size -= sum(len(one.label) + 100 for one in own)
            self._remove_old()
            self.problem = None
        except Exception as error:  # whatever is wrong with the log, answers go on
            self._refused.inc()
            self.problem = f"the log of requests cannot be written: {error}"
            if time.monotonic() - self._noted > NOTED_SECONDS:
                self._noted = time.monotonic()
                logger.warning("%s; it is tried again, and answers go on", self.problem)

    def _frame_or_none(self, records: Sequence[LoggedRequest]) -> pl.DataFrame | None:
        """Records that make no frame are dropped and counted: kept, they would stop all others."""
        try:
            return self._frame(records)
        except Exception:
            self._dropped.inc(sum(len(one.rows) for one in records))
            logger.exception("requests that cannot be logged")
            return None

    def _frame(self, records: Sequence[LoggedRequest]) -> pl.DataFrame:
        """The rows of requests that one version answered: inputs as the model read them, outputs
        as they were answered."""
        served = records[0].served
        rows = [(one, number) for one in records for number in range(len(one.rows))]
        own = {
            "request_id": pl.Series([one.request_id for one, _ in rows], dtype=pl.String),
            "row": pl.Series([number for _, number in rows], dtype=pl.Int32),
            "time": pl.Series([one.time for one, _ in rows], dtype=pl.Datetime("us")),
            "seconds": pl.Series([one.seconds for one, _ in rows], dtype=pl.Float64),
            "version": pl.Series([served.version] * len(rows), dtype=pl.String),
        }
        inputs = served.typed([row for one in records for row in one.rows])
        outputs = pl.concat([one.table for one in records])
        shown = [one for one in inputs.iter_columns() if not self._hide.hides(one.name)]
        return pl.DataFrame(own).with_columns(
            *(self._hide(one).alias(f"{INPUT}{one.name}") for one in inputs.iter_columns()),
            *(_measured(one) for one in shown if one.dtype == pl.Binary),
            *(one.alias(f"{OUTPUT}{one.name}") for one in outputs.iter_columns()),
        )

    def _remove_old(self) -> None:
        first = dt.datetime.now(dt.UTC).date() - dt.timedelta(days=self._config.keep_days)
        for kind in (REQUESTS, FEEDBACK):
            for day in (self._folder / kind).glob("date=*"):
                if day.name < f"date={first}":
                    shutil.rmtree(day, ignore_errors=True)


def check_hidden(config: ServeLogConfig, known: Collection[str], key: bytes | None) -> None:
    """Refuse to hide what is not there: the column would be in the log.

    Raises:
        ParameterError: an unknown column, or hashes without a key.
    """
    for option in ("mask", "hash"):
        for name in getattr(config, option):
            if name not in known:
                raise ParameterError(
                    f"'{name}' is not a column of the training data",
                    file="params.yaml",
                    where=f"serve.log.{option}",
                    hint=nearest(name, known),
                )
    if config.hash and not key:
        raise ParameterError(
            "hashes need a key, which makes them useless to others",
            file="params.yaml",
            where="serve.log.hash",
            hint=f"set {KEY} in the environment of the service",
        )


class _DayFiles:
    """The files of a folder, one at a time per day: appended to by being written anew, whole,
    until it is large."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._day: dt.date | None = None
        self._number = 0
        self._path: Path | None = None
        self._rows = 0

    def append(self, day: dt.date, rows: pl.DataFrame) -> None:
        """Add rows to the file of a day; to another where a column has become of another type, or
        somebody removed or damaged the file."""
        before = self._before(day)
        if before is not None and not _fits(before.schema, rows.schema):
            before = None
        if before is None:
            name = f"{time.time_ns():x}-{os.getpid()}-{self._number}.parquet"
            path, whole = self._folder / f"date={day}" / name, rows
            self._number += 1
        else:
            assert self._path is not None
            path, whole = self._path, pl.concat([before, rows], how="diagonal_relaxed")
        with new_file(path) as temporary:
            whole.write_parquet(temporary, compression="zstd", statistics=False)
        self._path, self._day, self._rows = path, day, len(whole)

    def _before(self, day: dt.date) -> pl.DataFrame | None:
        """The rows of the file that is added to."""
        if self._path is None or day != self._day or self._rows >= FILE_ROWS:
            return None
        try:
            return pl.read_parquet(self._path)
        except (FileNotFoundError, pl.exceptions.PolarsError):
            return None


def _fits(before: pl.Schema, rows: pl.Schema) -> bool:
    """Whether the columns that both have are of the same types, but for empty ones."""
    both = ((before[name], kind) for name, kind in rows.items() if name in before)
    return all(one == other or pl.Null in (one, other) for one, other in both)


class _Hiding:
    """Leaves columns out of the log, or writes a keyed hash of their cells."""

    def __init__(self, config: ServeLogConfig, key: bytes | None) -> None:
        self._mask, self._hash, self._key = frozenset(config.mask), frozenset(config.hash), key

    def hides(self, name: str) -> bool:
        """Whether the log must not tell what is in a column."""
        return name in self._mask or name in self._hash

    def __call__(self, cells: pl.Series) -> pl.Series:
        """A column as the log has it; an image is the SHA-256 of its bytes."""
        if cells.name in self._mask:
            return pl.Series(cells.name, [None] * len(cells), dtype=pl.String)
        if cells.dtype == pl.Binary:
            digests = [None if v is None else hashlib.sha256(v).hexdigest() for v in cells]
            cells = pl.Series(cells.name, digests, dtype=pl.String)
        if cells.name in self._hash:
            texts = cells.cast(pl.String)
            cells = pl.Series(cells.name, [self._digest(v) for v in texts], dtype=pl.String)
        return cells

    def _digest(self, cell: str | None) -> str | None:
        assert self._key is not None
        if cell is None:
            return None
        return hmac.digest(self._key, cell.encode(), "sha256").hex()[:32]


def _measured(images: pl.Series) -> pl.Series:
    """What drift compares of images; nothing where one cannot be read: the log goes on."""
    try:
        frame = measure_images(images.to_frame().lazy(), [images.name]).collect()
        return frame[images.name].alias(f"{MEASURED}{images.name}")
    except (UserError, pl.exceptions.PolarsError):
        empty = [None] * len(images)
        return pl.Series(f"{MEASURED}{images.name}", empty, dtype=MEASURED_IMAGE)


def _label_frame(labels: Sequence[Label]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "request_id": [one.request_id for one in labels],
            "row": pl.Series([one.row for one in labels], dtype=pl.Int32),
            "label": [one.label for one in labels],
            "time": pl.Series([one.time for one in labels], dtype=pl.Datetime("us")),
        }
    )
