"""The body of a request -> its rows: JSON, or one row as a form with image files."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import orjson
from multipart import MultipartError, MultipartParser, parse_options_header

from plumbline.serving.refused import Refused

JSON, FORM = "application/json", "multipart/form-data"
ROWS = "rows"
FIELDS = 10_000  # of a form


def read_rows(
    body: bytes, content_type: str, most: int, key: str = "serve.max_rows"
) -> list[Mapping[str, Any]]:
    """The rows of a request for predictions.

    Args:
        most: rows.
        key: of params.yaml that says so.

    Raises:
        Refused: 400, 413, 415 or 422, it holds none; says what was wanted.
    """
    kind, options = parse_options_header(content_type)
    if kind == FORM:
        return [_form(body, options.get("boundary", ""))]
    if kind != JSON and not kind.endswith("+json"):
        raise Refused(415, f"wanted Content-Type: {JSON} or {FORM}, got {kind[:80]!r}")
    return listed(parse_json(body), ROWS, most, key)


def parse_json(body: bytes) -> Any:
    """Raises:
    Refused: 400, it is no JSON.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {error.msg} (byte {error.pos})") from None


def listed(
    content: Any, key: str, most: int, limit: str = "serve.max_rows"
) -> list[Mapping[str, Any]]:
    """The objects of `{key: [{…}, …]}`. Args: limit: the key of params.yaml that says `most`.

    Raises:
        Refused: 413 or 422, there is something else.
    """
    wanted = f'{{"{key}": [{{…}}, …]}}'
    if not isinstance(content, dict) or not isinstance(content.get(key), list):
        raise Refused(422, f"wanted {wanted}")
    if len(content) > 1:
        other = next(name for name in content if name != key)
        raise Refused(422, f"wanted {wanted} and nothing else, got the key {other[:80]!r}")
    rows: list[Any] = content[key]
    if not rows:
        raise Refused(422, f"`{key}` is empty")
    if len(rows) > most:
        raise Refused(
            413,
            f"`{key}` has {len(rows)} entries, wanted at most {most} ({limit}); "
            "send several requests",
        )
    for number, row in enumerate(rows):
        if not isinstance(row, dict):
            raise Refused(422, f"entry {number} of `{key}` is no object of names and values")
    return rows


def _form(body: bytes, boundary: str) -> dict[str, Any]:
    """One row: a field per column, its text as the cell of a file; an image is a file, or its
    bytes in base64. An empty field is a missing cell."""
    if not boundary:
        raise Refused(400, f"{FORM} without a boundary")
    row: dict[str, Any] = {}
    try:
        size = len(body)
        parser = MultipartParser(
            io.BytesIO(body),
            boundary,
            content_length=size,
            part_limit=FIELDS,
            spool_limit=size + 1,
            memory_limit=size + 1,
        )
        for part in parser:
            if part.name in row:
                raise Refused(422, f"the form has two fields {part.name[:80]!r}")
            row[part.name] = part.raw if part.filename else part.value or None
    except UnicodeDecodeError:
        raise Refused(400, "a field of the form is not UTF-8") from None
    except MultipartError as error:
        raise Refused(400, f"the form cannot be read: {error}") from None
    if not row:
        raise Refused(422, "the form has no fields")
    return row
