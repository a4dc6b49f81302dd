"""What an answer of a server has to be, asked of a server that answers otherwise."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from plumbline.stages.server_questions import Dialog, ServerFault, ask_all

GOOD = {"predicted": "a", "probabilities": {"a": 0.75, "b": 0.25}}
EXAMPLE = {"rows": [{"x": 1.0, "word": "w"}]}
PROPERTIES = {"x": {"type": ["number", "null"]}, "word": {"type": ["string", "null"]}}
DESCRIBED: dict[str, Any] = {
    "paths": {
        "/predict": {
            "post": {"requestBody": {"content": {"application/json": {"example": EXAMPLE}}}}
        }
    },
    "components": {"schemas": {"Row": {"properties": PROPERTIES}}},
}


class Fake(BaseHTTPRequestHandler):
    """Answers well, but for what a test changes."""

    changed: ClassVar[dict[str, Any]] = {}
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self._send(200, DESCRIBED if self.path == "/openapi.json" else {})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            (row,) = json.loads(body)["rows"]
        except ValueError:
            self._send(*self.changed.get("no JSON", (400, {"error": "no JSON"})))
            return
        unknown = [name for name in row if name not in PROPERTIES]
        if unknown:
            known = (422, {"error": f"'{unknown[0]}' is no column"})
            self._send(*self.changed.get("unknown", known))
            return
        kind = {1.0: "example", None: "missing", 1e308: "largest", -1e308: "smallest"}[row["x"]]
        kind = "again" if kind == "example" and "example" in self.asked else kind
        self.asked.append(kind)
        self._send(*self.changed.get(kind, (200, {"predictions": [GOOD]})))

    def _send(self, status: int, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_given: Any) -> None:
        pass


@pytest.fixture
def dialog() -> Iterator[Dialog]:
    Fake.changed.clear()
    Fake.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Fake) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        own = Dialog()
        own.open(server.server_port, "token")
        yield own
        server.shutdown()
        thread.join()


def test_good_answers_pass(dialog: Dialog) -> None:
    Fake.changed["largest"] = (422, {"error": "too large", "cells": [{"column": "x"}]})
    ask_all(dialog, 10)
    assert len(dialog.exchanges) == 10 and dialog.row_seconds is not None


NONE = {"predicted": None, "probabilities": {}}
NAN = {"predicted": "a", "probabilities": {"a": None, "b": None}}


@pytest.mark.parametrize(
    ("kind", "answer", "words"),
    [
        ("example", (500, {"error": "a defect"}), "example was answered with 500, wanted 200: "),
        ("example", (200, {"predictions": []}), "with 0 of 1 rows"),
        ("example", (200, {"predictions": [NONE]}), "without a prediction"),
        ("missing", (200, {"predictions": [NAN]}), "missing cells was answered without"),
        ("missing", (503, {"error": "late"}), "missing cells was answered with 503, wanted 200 or"),
        ("largest", (422, {"error": "no"}), "largest values was refused without a column"),
        ("unknown", (200, {"predictions": [GOOD]}), "unknown column was answered with 200"),
        ("unknown", (422, {"error": "no"}), "refused without its name"),
        ("no JSON", (200, {}), "no JSON was answered with 200"),
        ("again", (200, {"predictions": [{**GOOD, "predicted": "b"}]}), "other predictions"),
    ],
)
def test_an_answer_that_is_not_as_it_has_to_be_is_named(
    dialog: Dialog, kind: str, answer: Any, words: str
) -> None:
    Fake.changed[kind] = answer
    with pytest.raises(ServerFault, match=words):
        ask_all(dialog, 10)
