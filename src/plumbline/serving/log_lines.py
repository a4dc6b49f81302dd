"""Answered rows as lines of JSON until they are written: a line is made in microseconds and is as
large as it looks, and polars reads many at once without holding up a request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import orjson
import polars as pl

from plumbline.tables import Column

# before the names of columns; measured: an image, as drift compares it
INPUT, OUTPUT, MEASURED = "input.", "output.", "measured."
EPOCH = dt.datetime(1970, 1, 1)
MICROSECOND = dt.timedelta(microseconds=1)
BLOCK = 2**19  # bytes, but for a request of more
OWN: dict[str, pl.DataType] = {
    "request_id": pl.String(),
    "row": pl.Int32(),
    "time": pl.Datetime("us"),
    "seconds": pl.Float64(),
}


class LogLines:
    """Of the rows that one version answers.

    Args:
        columns: that it reads.
        outputs: of a table of its predictions.
    """

    def __init__(self, columns: Sequence[Column], outputs: pl.Schema) -> None:
        self._answers = list(outputs)
        self._kinds: dict[str, pl.DataType] = {
            **OWN,
            **{f"{INPUT}{c.name}": c.dtype for c in columns},
            **{f"{OUTPUT}{name}": kind for name, kind in outputs.items()},
        }
        self._names = list(self._kinds)
        self._schema = {
            name: pl.Int64() if kind == pl.Datetime("us") else kind
            for name, kind in self._kinds.items()
        }

    def pack(
        self,
        request_id: str,
        time: dt.datetime,
        seconds: float,
        cells: Sequence[Sequence[Any]],
        answers: Sequence[Any],
    ) -> bytes:
        """The rows of a request: a line each.

        Args:
            cells: of each row in the order of the columns, dates in microseconds.
            answers: a row of the table of predictions each.
        """
        moment = (time - EPOCH) // MICROSECOND
        lines = [
            orjson.dumps(
                dict(
                    zip(
                        self._names,
                        (
                            request_id,
                            row,
                            moment,
                            seconds,
                            *own,
                            *[answer[name] for name in self._answers],
                        ),
                        strict=True,
                    )
                ),
                option=orjson.OPT_APPEND_NEWLINE,
            )
            for row, (own, answer) in enumerate(zip(cells, answers, strict=True))
        ]
        return lines[0] if len(lines) == 1 else b"".join(lines)

    def frame(self, blocks: Sequence[bytearray]) -> pl.DataFrame:
        """The rows of some blocks, read one by one: a tree of all would take much memory."""
        parts = [pl.read_ndjson(bytes(block), schema=self._schema) for block in blocks]
        return pl.concat(parts).cast(dict(self._kinds))  # type: ignore[arg-type]


def add_lines(blocks: list[bytearray], lines: bytes) -> None:
    """Put lines into the last block, or into another where that is full. Thousands of pieces of
    memory would leave holes that nothing fills."""
    if not blocks or len(blocks[-1]) + len(lines) > BLOCK:
        blocks.append(bytearray())
    blocks[-1] += lines
