"""What a server is asked before its version may become champion, and what it has to answer."""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

SECONDS = 60.0  # for an answer
TIMED = 20  # requests of one row
SHOWN = 300  # characters of an answer in a message
LONG_TEXT = "x" * 10_000
LARGEST: dict[str, Any] = {"number": 1e308, "integer": 2**63 - 1, "boolean": True}
SMALLEST: dict[str, Any] = {"number": -1e308, "integer": -(2**63), "boolean": False}
# one pixel
IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
)
PREDICT = "/predict"
Row = Mapping[str, Any]


class ServerFault(Exception):
    """The server does not answer as it should; a clause that says how."""


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """A request and what came. `seconds`: until the answer was there."""

    question: str
    status: int
    seconds: float


class Dialog:
    """Asks a server, and keeps what was asked."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.row_seconds: float | None = None  # until one row was answered, the median

    def open(self, port: int, token: str) -> None:
        """Name the server. Args: token: that it wants."""
        self.address = port, token
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}

    def ask(self, question: str, path: str, body: Any, *wanted: int) -> Any:
        """The answer, parsed where it is JSON; `body` None: GET.

        Raises:
            ServerFault: it has another status than those wanted.
            OSError: the server does not answer.
        """
        method = "GET" if body is None else "POST"
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.address[0], timeout=SECONDS)
        begun = time.perf_counter()
        try:
            connection.request(method, path, content, self._headers)
            response = connection.getresponse()
            answer = response.read().decode()
        except http.client.HTTPException as error:
            raise ServerFault(f"{question} was not answered: {type(error).__name__}") from None
        finally:
            connection.close()
        seconds = time.perf_counter() - begun
        self.exchanges.append(
            Exchange(question=question, status=response.status, seconds=round(seconds, 4))
        )
        if response.status not in wanted:
            raise ServerFault(
                f"{question} was answered with {response.status}, wanted "
                f"{' or '.join(map(str, wanted))}: {answer[:SHOWN]}"
            )
        kind = response.headers.get("content-type", "")
        return json.loads(answer) if kind.startswith("application/json") else answer


def ask_all(dialog: Dialog, most_rows: int) -> None:
    """Ask all questions, in order. Args: most_rows: that the server takes at once.

    Raises:
        ServerFault: at the first answer that is not what it has to be.
        OSError: the server does not answer.
    """
    dialog.ask("GET /ready", "/ready", None, 200)
    described = dialog.ask("GET /openapi.json", "/openapi.json", None, 200)
    sent = described["paths"][PREDICT]["post"]["requestBody"]["content"]["application/json"]
    properties: Mapping[str, Any] = described["components"]["schemas"]["Row"]["properties"]
    rows: list[Row] = sent["example"]["rows"][:most_rows]
    first = _predict(dialog, "the registered example", rows)
    edges = {
        "a row of missing cells": dict.fromkeys(properties),
        "a row of the largest values": {n: _edge(c, LARGEST) for n, c in properties.items()},
        "a row of the smallest values": {n: _edge(c, SMALLEST) for n, c in properties.items()},
    }
    for question, row in edges.items():
        _edge_row(dialog, question, row)
    unknown = "no such column"
    while unknown in properties:
        unknown += " either"
    answer = dialog.ask(
        "a row with an unknown column", PREDICT, {"rows": [{**rows[0], unknown: 1}]}, 422
    )
    if unknown not in str(answer["error"]):
        raise ServerFault(f"an unknown column was refused without its name: {answer['error']}")
    dialog.ask("a body that is no JSON", PREDICT, b'{"rows": [', 400)
    if _predict(dialog, "the registered example, again", rows) != first:
        raise ServerFault("the registered example was answered with other predictions than before")
    dialog.ask("GET /metrics", "/metrics", None, 200)
    timed = Dialog()
    timed.open(*dialog.address)
    for _ in range(TIMED):
        _predict(timed, "one row of it", rows[:1])
    dialog.row_seconds = median(one.seconds for one in timed.exchanges)


def _predict(dialog: Dialog, question: str, rows: Sequence[Row]) -> list[Row]:
    answer = dialog.ask(question, PREDICT, {"rows": rows}, 200)
    predictions: list[Row] = answer["predictions"]
    if len(predictions) != len(rows):
        raise ServerFault(f"{question} was answered with {len(predictions)} of {len(rows)} rows")
    for prediction in predictions:
        _check_numbers(question, prediction)
    return predictions


def _edge_row(dialog: Dialog, question: str, row: Row) -> None:
    """A prediction, or a refusal that names a column."""
    answer = dialog.ask(question, PREDICT, {"rows": [row]}, 200, 422)
    if "predictions" in answer:
        (prediction,) = answer["predictions"]
        _check_numbers(question, prediction)
    elif not answer.get("cells"):
        raise ServerFault(f"{question} was refused without a column: {answer['error'][:SHOWN]}")


def _check_numbers(question: str, prediction: Row) -> None:
    """Raises:
    ServerFault: there is no prediction, or its numbers are none.
    """
    numbers = list(prediction.get("probabilities", {}).values())
    if not isinstance(prediction["predicted"], str):
        numbers.append(prediction["predicted"])
    if any(value is None or not math.isfinite(value) for value in numbers):
        raise ServerFault(f"{question} was answered without a prediction: {prediction}"[:SHOWN])


def _edge(cell: Row, values: Mapping[str, Any]) -> Any:
    """A cell at the edge of what its JSON type can hold."""
    if "contentEncoding" in cell:
        return IMAGE
    kind = cell["type"][0]
    return values.get(kind, LONG_TEXT if values is LARGEST else "")
