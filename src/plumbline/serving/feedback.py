"""Labels that come later, by the id of the request and the row in it."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl

from plumbline.cells import describe, typed
from plumbline.errors import shorten
from plumbline.preprocessing.row import AS_WRITTEN, category_of
from plumbline.serving.refused import Refused
from plumbline.serving.request_body import listed, parse_json
from plumbline.serving.request_log import Label
from plumbline.tables import Schema

LABELS = "labels"
NAMES = ("request_id", "row", "label")
REQUEST_ID = re.compile(r"[0-9a-f]{32}")
MOST_ROWS = 2**31


def read_labels(body: bytes, schema: Schema, most: int) -> list[Label]:
    """The labels of a request, read as the target's cells in the training data are.

    Raises:
        Refused: 400, 413 or 422; the message names the entry.
    """
    entries = listed(parse_json(body), LABELS, most)
    for number, entry in enumerate(entries):
        _check(number, entry)
    values = _read([entry["label"] for entry in entries], schema)
    now = dt.datetime.now(dt.UTC).replace(tzinfo=None)
    return [
        Label(request_id=entry["request_id"], row=entry["row"], label=value, time=now)
        for entry, value in zip(entries, values, strict=True)
    ]


def _check(number: int, entry: Mapping[str, Any]) -> None:
    where = f"entry {number} of `{LABELS}`"
    other = [name for name in entry if name not in NAMES]
    if other:
        raise Refused(422, f"{where}: unknown key {other[0][:80]!r}; wanted {', '.join(NAMES)}")
    request_id, row, label = (entry.get(name) for name in NAMES)
    if not isinstance(request_id, str) or not REQUEST_ID.fullmatch(request_id):
        raise Refused(422, f"{where}: wanted as request_id that of an answer")
    if not isinstance(row, int) or isinstance(row, bool) or not 0 <= row < MOST_ROWS:
        raise Refused(422, f"{where}: wanted as row the row's number in its request, from 0")
    if not isinstance(label, str | int | float):
        raise Refused(422, f"{where}: wanted a label that is text or a number")


def _read(labels: Sequence[str | float], schema: Schema) -> list[str]:
    """Labels as text: the class, or the value as a computer writes it."""
    column = schema.column(schema.target)
    texts = [one if isinstance(one, str) else category_of(one, AS_WRITTEN) for one in labels]
    cells = pl.DataFrame({column.name: texts}, schema={column.name: pl.String})
    read = cells.select(typed(column, pl.String()))[column.name].to_list()
    if schema.classes:
        wanted, values = f"one of {', '.join(schema.classes)}", read
        good = [value in schema.classes for value in values]
    else:  # a number is that number, whatever the format of the file
        wanted = describe(column)
        values = [r if isinstance(one, str) else one for one, r in zip(labels, read, strict=True)]
        good = [value is not None and math.isfinite(value) for value in values]
    for number, (label, fits) in enumerate(zip(labels, good, strict=True)):
        if not fits:
            raise Refused(
                422, f"entry {number} of `{LABELS}`: wanted {wanted}, got {shorten(label)}"
            )
    return [value if isinstance(value, str) else repr(float(value)) for value in values]
