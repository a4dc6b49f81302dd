"""A made version with a reference, and a log of what it was asked, as the service writes it."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from tests.version import Version

from plumbline.config.serve import ServeLogConfig
from plumbline.evaluation.described import describe
from plumbline.evaluation.reference import ACTUAL, Reference
from plumbline.inference.version_files import EXTRA
from plumbline.kinds import Task
from plumbline.serving.request_log import Label, LoggedRequest, RequestLog
from plumbline.serving.served import Served

ROWS_OF_REQUEST = 20


class _Count:
    def inc(self, amount: float = 1) -> None: ...


def add_reference(version: Version, rows: int = 400) -> None:
    """What the stage `drift` keeps, of rows of the made table drawn again and again."""
    drawn = draw(version, rows, seed=99)
    described = describe(drawn.lazy(), version.schema.features).collect()
    predicted = version.predictor.predict(drawn.drop("y", "id"))
    held_out = predicted.with_columns(drawn["y"].alias(ACTUAL)).drop("prediction_set", strict=False)
    names = [*(c.name for c in version.schema.features), "y"]
    Reference.of(described.select(names), held_out, rows, seed=0).write(version.folder / EXTRA)


def draw(version: Version, rows: int, seed: int) -> pl.DataFrame:
    """Typed rows, drawn from the made table with replacement; numbers are jittered."""
    rng = np.random.default_rng(seed)
    drawn = version.rows[rng.integers(0, len(version.rows), rows)]
    if "price" in drawn.columns:
        drawn = drawn.with_columns(pl.col("price") + pl.Series(rng.normal(0, 50, rows)))
    return drawn


class ServedLog:
    """The log of a service that answers with a version."""

    def __init__(self, version: Version, folder: Path, name: str, **config: Any) -> None:
        self._served = Served.load(version.folder, name)
        self._version = version
        settings = ServeLogConfig(folder=str(folder), **config)
        self._log = RequestLog(folder, settings, key=b"key", dropped=_Count(), refused=_Count())
        self._requests = 0

    def send(
        self, rows: pl.DataFrame, start: dt.datetime, end: dt.datetime, *, seconds: float = 0.01
    ) -> list[tuple[str, int]]:
        """Requests spread over a time; gives request id and row of each."""
        days = pl.col("day").dt.strftime("%d/%m/%Y") if "day" in rows.columns else []
        texts = rows.with_columns(days).drop("y", "id").to_dicts()
        requests = [texts[i : i + ROWS_OF_REQUEST] for i in range(0, len(texts), ROWS_OF_REQUEST)]
        keys = []
        for number, request in enumerate(requests):
            for row in request:
                if row.get("photo") is not None:
                    row["photo"] = base64.b64encode(row["photo"]).decode()
            parsed = self._served.parse(request)
            predictions = self._served.predict(parsed)
            assert not predictions.wrong
            request_id = f"{self._requests:032x}"
            self._requests += 1
            self._log.add(
                LoggedRequest(
                    request_id=request_id,
                    time=start + (end - start) * number / len(requests),
                    seconds=seconds,
                    served=self._served,
                    rows=parsed,
                    predictions=predictions,
                    size=100,
                )
            )
            keys += [(request_id, row) for row in range(len(request))]
        self._log.flush()
        assert self._log.problem is None
        return keys

    def label(
        self, keys: Sequence[tuple[str, int]], labels: Sequence[Any], time: dt.datetime
    ) -> None:
        """Labels that come at a time."""
        self._log.label(
            [
                Label(request_id=request, row=row, label=str(label), time=time)
                for (request, row), label in zip(keys, labels, strict=True)
            ]
        )
        self._log.flush()
        assert self._log.problem is None


def made_version(folder: Path, task: Task = Task.BINARY, only: str | None = None) -> Version:
    """A version that can be monitored."""
    version = Version(folder, task, only=only)
    add_reference(version)
    return version
