"""Requests that wait together are predicted together.

Nothing waits for others to come: what is there is taken, up to a number of rows, so that a lone
request is answered at once and a crowd in batches. A thread predicts; few rows of a version that is
quick are predicted in the event loop itself, since passing them to a thread and back takes longer.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plumbline.inference.feature_reader import Extra
from plumbline.serving.refused import Refused, refuse_cells
from plumbline.serving.request_rows import Row
from plumbline.serving.served import Predictions, Served

SOON_ROWS, SOON_BYTES = 16, 2**16  # predicted in the event loop at once, and sent in a request


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Predictions of a request's rows, and which version they are of."""

    served: Served
    rows: Sequence[Row]
    predictions: Predictions


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
    """Predicts in a thread of its own, or between two events, by the version that is current when
    a batch begins.

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
        self._waiting: deque[_Job] = deque()  # for the thread
        self._soon: deque[_Job] = deque()  # for the event loop
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
        """Answer what was taken, then end. The event loop has to run on until then."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()

    def predict(
        self, rows: Sequence[Mapping[str, Any]], extra: Extra = "refuse", size: int = 0
    ) -> asyncio.Future[Answer]:
        """Take rows; the future holds the answer, or raises `Refused`.

        Args:
            size: of the request, in bytes.

        Raises:
            Refused: 503, the queue is full.
        """
        job = self._job(rows, extra, None)
        if len(rows) > SOON_ROWS or size > SOON_BYTES or not self._current().is_quick:
            return self._submit(job)
        with self._changed:
            self._check_room(job)
            self._rows += job.size
        if not self._soon:
            job.loop.call_soon(self._answer_soon)
        self._soon.append(job)
        return job.future

    def run(self, work: Work) -> asyncio.Future[Any]:
        """Take other work with the version, by itself.

        Raises:
            Refused: 503, the queue is full.
        """
        return self._submit(self._job((), "refuse", work))

    def _job(self, rows: Sequence[Mapping[str, Any]], extra: Extra, work: Work | None) -> _Job:
        loop = asyncio.get_running_loop()
        return _Job(rows=rows, extra=extra, work=work, loop=loop, future=loop.create_future())

    def _check_room(self, job: _Job) -> None:
        if self._closing or (self._rows and self._rows + job.size > self._queue_rows):
            raise Refused(
                503,
                f"the queue is full: {self._rows} rows wait, at most {self._queue_rows} may "
                "(serve.queue_rows); send the request again",
                retry_after=1,
            )

    def _submit(self, job: _Job) -> asyncio.Future[Any]:
        """For the thread."""
        with self._changed:
            self._check_room(job)
            self._waiting.append(job)
            self._rows += job.size
            self._changed.notify()
        return job.future

    def _answer_soon(self) -> None:
        """In the event loop: a batch; what came meanwhile is the next, after other events."""
        jobs, rows = self._take(self._soon, min(SOON_ROWS, self._batch_rows))
        with self._changed:
            self._rows -= rows
        self._answer(jobs)
        _settle(jobs)
        if self._soon:
            jobs[0].loop.call_soon(self._answer_soon)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing:
                    self._changed.wait()
                jobs, rows = self._take(self._waiting, self._batch_rows)
                self._rows -= rows
            if not jobs:
                return
            self._answer(jobs)
            jobs[0].loop.call_soon_threadsafe(_settle, jobs)

    def _take(self, waiting: deque[_Job], most: int) -> tuple[list[_Job], int]:
        """The jobs of the next batch, and its rows; work that is no prediction is a batch of its
        own."""
        jobs: list[_Job] = []
        rows = 0
        while waiting:
            job = waiting[0]
            if jobs and (job.work or jobs[0].work or rows + job.size > most):
                break
            jobs.append(waiting.popleft())
            rows += job.size
        return jobs, rows

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
    predictions = served.predict([row for _, rows in parsed for row in rows])
    start = 0
    for job, rows in parsed:
        stop = start + len(rows)
        own = predictions.part(start, stop)
        job.error = refuse_cells(own.wrong) if own.wrong else None
        job.result = Answer(served=served, rows=rows, predictions=own)
        start = stop
