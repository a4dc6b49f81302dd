"""One thread that answers: requests that wait together are predicted together.

Nothing waits for others to come: the thread takes what is there, up to a number of rows, so that a
lone request is answered at once and a crowd in large batches.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from plumbline.inference.feature_reader import Extra
from plumbline.serving.refused import CellError, Refused, refuse_cells
from plumbline.serving.request_rows import Row
from plumbline.serving.served import Served


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Predictions of a request's rows, and which version they are of."""

    served: Served
    rows: Sequence[Row]
    table: pl.DataFrame


Work = Callable[[Served], Any]


@dataclass(kw_only=True)
class _Job:
    """A request: rows to predict, or other work with the version."""

    rows: Sequence[Mapping[str, Any]]
    extra: Extra
    work: Work | None
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    result: Any = None
    error: Exception | None = None

    @property
    def size(self) -> int:
        return max(1, len(self.rows))

    def settle(self) -> None:
        """Hand the result over, in the event loop."""
        if self.future.done():  # the client left, or its time was up
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)


class Batcher:
    """Predicts in a thread of its own, by the version that is current when a batch begins.

    Args:
        current: the version.
        batch_rows: at most so many rows are predicted at once, but for a single request of more.
        queue_rows: at most so many rows wait.
        on_batch: is called with the number of rows of each batch.
    """

    def __init__(
        self,
        current: Callable[[], Served],
        *,
        batch_rows: int,
        queue_rows: int,
        on_batch: Callable[[int], None],
    ) -> None:
        self._current, self._on_batch = current, on_batch
        self._batch_rows, self._queue_rows = batch_rows, queue_rows
        self._waiting: deque[_Job] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="predictions", daemon=True)

    @property
    def waiting(self) -> int:
        """Rows in the queue."""
        return self._rows

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def close(self) -> None:
        """Answer what was taken, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def predict(
        self, rows: Sequence[Mapping[str, Any]], extra: Extra = "refuse"
    ) -> asyncio.Future[Answer]:
        """Take rows; the future holds the answer, or raises `Refused`.

        Raises:
            Refused: 503, the queue is full.
        """
        return self._submit(rows, extra, None)

    def run(self, work: Work) -> asyncio.Future[Any]:
        """Take other work with the version, by itself.

        Raises:
            Refused: 503, the queue is full.
        """
        return self._submit((), "refuse", work)

    def _submit(
        self, rows: Sequence[Mapping[str, Any]], extra: Extra, work: Work | None
    ) -> asyncio.Future[Any]:
        loop = asyncio.get_running_loop()
        job = _Job(rows=rows, extra=extra, work=work, loop=loop, future=loop.create_future())
        with self._changed:
            if self._closing or (self._rows and self._rows + job.size > self._queue_rows):
                raise Refused(
                    503,
                    f"the queue is full: {self._rows} rows wait, at most {self._queue_rows} may "
                    "(serve.queue_rows); send the request again",
                    retry_after=1,
                )
            self._waiting.append(job)
            self._rows += job.size
            self._changed.notify()
        return job.future

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                jobs = self._take()
            if not jobs:
                return
            self._answer(jobs)
            jobs[0].loop.call_soon_threadsafe(_settle, jobs)

    def _take(self) -> list[_Job]:
        """The jobs of the next batch; work that is no prediction is a batch of its own."""
        jobs: list[_Job] = []
        rows = 0
        while self._waiting:
            job = self._waiting[0]
            if jobs and (job.work or jobs[0].work or rows + job.size > self._batch_rows):
                break
            jobs.append(self._waiting.popleft())
            rows += job.size
        self._rows -= rows
        return jobs

    def _answer(self, jobs: Sequence[_Job]) -> None:
        served = self._current()
        jobs = [job for job in jobs if not job.future.done()]
        if jobs and jobs[0].work is not None:
            try:
                jobs[0].result = jobs[0].work(served)
            except Exception as error:
                jobs[0].error = error
            return
        parsed = [(job, rows) for job in jobs if (rows := _parsed(served, job)) is not None]
        if not parsed:
            return
        self._on_batch(sum(len(rows) for _, rows in parsed))
        try:
            _predict(served, parsed)
        except Exception as error:
            if len(parsed) == 1:
                parsed[0][0].error = error
            else:  # one request shall not fail others
                for one in parsed:
                    self._alone(served, one)

    def _alone(self, served: Served, one: tuple[_Job, list[Row]]) -> None:
        try:
            _predict(served, [one])
        except Exception as error:
            one[0].error = error


def _settle(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.settle()


def _parsed(served: Served, job: _Job) -> list[Row] | None:
    try:
        return served.parse(job.rows, job.extra)
    except Exception as error:
        job.error = error
        return None


def _predict(served: Served, parsed: Sequence[tuple[_Job, list[Row]]]) -> None:
    """Predict the rows of some requests at once; a request with a cell that cannot be read is
    refused, and others are answered."""
    table, wrong = served.predict([row for _, rows in parsed for row in rows])
    start = 0
    for job, rows in parsed:
        own = [_shifted(cell, start) for cell in wrong if start <= cell.row < start + len(rows)]
        job.error = refuse_cells(own) if own else None
        job.result = Answer(served=served, rows=rows, table=table[start : start + len(rows)])
        start += len(rows)


def _shifted(cell: CellError, start: int) -> CellError:
    return CellError(row=cell.row - start, column=cell.column, reason=cell.reason, value=cell.value)
