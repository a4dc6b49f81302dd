"""The log of requests: what was sent, what was answered, by which version, when; Parquet by day.

An answer never waits for it: records go into a bounded queue, and a thread writes them. What does
not fit is counted and dropped.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import logging
import shutil
import threading
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from plumbline.config.serve import ServeLogConfig
from plumbline.errors import ParameterError, UserError, nearest
from plumbline.evaluation.image_drift import MEASURED as MEASURED_IMAGE
from plumbline.evaluation.image_drift import measure_images
from plumbline.serving.day_files import DayFiles
from plumbline.serving.log_lines import INPUT, MEASURED, OUTPUT, OWN, add_lines
from plumbline.serving.request_rows import Row
from plumbline.serving.served import Predictions, Served

KEY = "PLUMBLINE_SERVE_LOG_KEY"  # environment: of the hashes
REQUESTS, FEEDBACK = "requests", "feedback"  # folders; each has a folder per day
NOTED_SECONDS = 60.0  # between two lines about a disk that refuses
MB = 2**20
logger = logging.getLogger("plumbline.serving")


@dataclass(frozen=True, kw_only=True)
class LoggedRequest:
    """A request that was answered. `rows`: parsed; `size`: of its body, in bytes."""

    request_id: str
    time: dt.datetime
    seconds: float
    served: Served
    rows: Sequence[Row]
    predictions: Predictions
    size: int


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a row turned out to be."""

    request_id: str
    row: int
    label: str
    time: dt.datetime


@dataclass(kw_only=True)
class _Batch:
    """What one version answered on one day and is not written yet: lines of JSON, and requests that
    went the long way. `size`: in bytes."""

    served: Served
    day: dt.date
    blocks: list[bytearray] = field(default_factory=list)
    records: list[LoggedRequest] = field(default_factory=list)
    rows: int = 0
    size: int = 0


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
        self._batches: list[_Batch] = []
        self._labels: list[Label] = []
        self._size = 0
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = False
        self._files = {
            REQUESTS: DayFiles(folder / REQUESTS),
            FEEDBACK: DayFiles(folder / FEEDBACK),
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
        predictions, served, lines, size = record.predictions, record.served, b"", record.size
        if predictions.cells is not None:
            lines = served.log_lines.pack(
                record.request_id,
                record.time,
                record.seconds,
                predictions.cells,
                predictions.answers,
            )
            size = len(lines)
        day = record.time.date()
        with self._lock:
            if self._size + size > self._most:
                self._dropped.inc(len(record.rows))
                return
            batch = self._batches[-1] if self._batches else None
            if batch is None or batch.served is not served or batch.day != day:
                batch = _Batch(served=served, day=day)
                self._batches.append(batch)
            if lines:
                add_lines(batch.blocks, lines)
            else:
                batch.records.append(record)
            batch.rows += len(record.rows)
            batch.size += size
            self._size += size

    def label(self, labels: Sequence[Label]) -> bool:
        """Keep labels; False where they do not fit."""
        size = sum(map(_size, labels))
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
            batches, self._batches = self._batches, []
            labels, self._labels = self._labels, []
        try:
            while batches:  # what is written is not written again, whatever becomes of others
                frame = self._frame_or_none(batches[0])
                if frame is not None:
                    self._files[REQUESTS].append(batches[0].day, frame)
                self._free(batches.pop(0).size)
            for day, marks in groupby(list(labels), key=lambda one: one.time.date()):
                own = list(marks)
                self._files[FEEDBACK].append(day, _label_frame(own))
                del labels[: len(own)]
                self._free(sum(map(_size, own)))
            self._remove_old()
            self.problem = None
        except Exception as error:  # whatever is wrong with the log, answers go on
            self._refused.inc()
            self.problem = f"the log of requests cannot be written: {error}"
            if time.monotonic() - self._noted > NOTED_SECONDS:
                self._noted = time.monotonic()
                logger.warning("%s; it is tried again, and answers go on", self.problem)
        finally:
            with self._lock:
                self._batches = batches + self._batches
                self._labels = labels + self._labels

    def _free(self, size: int) -> None:
        with self._lock:
            self._size -= size

    def _frame_or_none(self, batch: _Batch) -> pl.DataFrame | None:
        """Requests that make no frame are dropped and counted: kept, they would stop all others."""
        try:
            return self._frame(batch)
        except Exception:
            self._dropped.inc(batch.rows)
            logger.exception("requests that cannot be logged")
            return None

    def _frame(self, batch: _Batch) -> pl.DataFrame:
        """The rows by time: inputs as the model read them, outputs as they were answered."""
        served = batch.served
        frames = [served.log_lines.frame(batch.blocks)] if batch.blocks else []
        frames += [_frame_of(served, batch.records)] if batch.records else []
        whole = pl.concat(frames).sort("time", maintain_order=True)
        inputs = [one for one in whole.iter_columns() if one.name.startswith(INPUT)]
        return whole.select(
            *OWN,
            pl.lit(served.version).alias("version"),
            *(self._hide(one, one.name.removeprefix(INPUT)) for one in inputs),
            *(_measured(one) for one in inputs if self._shows_image(one)),
            *(one for one in whole.columns if one.startswith(OUTPUT)),
        )

    def _shows_image(self, cells: pl.Series) -> bool:
        return cells.dtype == pl.Binary and not self._hide.hides(cells.name.removeprefix(INPUT))

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


def _frame_of(served: Served, records: Sequence[LoggedRequest]) -> pl.DataFrame:
    """The rows of requests that were predicted as a table."""
    rows = [(one, number) for one in records for number in range(len(one.rows))]
    own: list[list[Any]] = [
        [one.request_id for one, _ in rows],
        [number for _, number in rows],
        [one.time for one, _ in rows],
        [one.seconds for one, _ in rows],
    ]
    inputs = served.typed([row for one in records for row in one.rows])
    answers = [answer for one in records for answer in one.predictions.answers]
    return pl.DataFrame(
        [
            *(pl.Series(n, c, dtype=k) for (n, k), c in zip(OWN.items(), own, strict=True)),
            *(one.alias(f"{INPUT}{one.name}") for one in inputs.iter_columns()),
            *(
                pl.Series(f"{OUTPUT}{name}", [answer[name] for answer in answers], dtype=kind)
                for name, kind in served.outputs.items()
            ),
        ]
    )


class _Hiding:
    """Leaves columns out of the log, or writes a keyed hash of their cells."""

    def __init__(self, config: ServeLogConfig, key: bytes | None) -> None:
        self._mask, self._hash, self._key = frozenset(config.mask), frozenset(config.hash), key

    def hides(self, name: str) -> bool:
        """Whether the log must not tell what is in a column."""
        return name in self._mask or name in self._hash

    def __call__(self, cells: pl.Series, name: str) -> pl.Series:
        """A column, of this name in the data, as the log has it; an image is the SHA-256 of its
        bytes."""
        if name in self._mask:
            return pl.Series(cells.name, [None] * len(cells), dtype=pl.String)
        if cells.dtype == pl.Binary:
            digests = [None if v is None else hashlib.sha256(v).hexdigest() for v in cells]
            cells = pl.Series(cells.name, digests, dtype=pl.String)
        if name in self._hash:
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
    name = f"{MEASURED}{images.name.removeprefix(INPUT)}"
    try:
        frame = measure_images(images.to_frame().lazy(), [images.name]).collect()
        return frame[images.name].alias(name)
    except (UserError, pl.exceptions.PolarsError):
        return pl.Series(name, [None] * len(images), dtype=MEASURED_IMAGE)


def _size(label: Label) -> int:
    return len(label.label) + 100


def _label_frame(labels: Sequence[Label]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "request_id": [one.request_id for one in labels],
            "row": pl.Series([one.row for one in labels], dtype=pl.Int32),
            "label": [one.label for one in labels],
            "time": pl.Series([one.time for one in labels], dtype=pl.Datetime("us")),
        }
    )
