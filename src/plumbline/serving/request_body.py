"""The body of a request -> its rows: JSON, or one row as a form with image files."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from multipart import MultipartError, MultipartParser, MultipartPart, parse_options_header

from plumbline.serving.refused import Refused

JSON, FORM = "application/json", "multipart/form-data"
ROWS = "rows"
FIELDS = 10_000  # of a form
UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")
NO_NUMBERS = ("NaN", "Infinity", "-Infinity")  # Python writes them into JSON


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
    if content_type == JSON:  # what nearly all send; headers are read slowly
        return listed(parse_json(body), ROWS, most, key)
    kind, options = parse_options_header(content_type)
    if kind == FORM:
        return [_form(body, options.get("boundary", ""))]
    if kind != JSON and not kind.endswith("+json"):
        raise Refused(415, f"wanted Content-Type: {JSON} or {FORM}, got {kind[:80]!r}")
    charset = options.get("charset", UTF_8[0])
    if charset.lower() not in UTF_8:
        raise Refused(415, f"wanted JSON in UTF-8, got {charset[:80]!r}")
    return listed(parse_json(body), ROWS, most, key)


def parse_json(body: bytes) -> Any:
    """Raises:
    Refused: 400, it is no JSON, or an object has a key twice, of which one would be lost.
    """
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Refused(400, f"the body is not JSON: {_fault(body, error)}") from None
    if body.count(b":") != _keys(content):  # a colon per key, and there may be some in texts
        _refuse_repeated(body)
    return content


def _fault(body: bytes, error: orjson.JSONDecodeError) -> str:
    """What is wrong, and where."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as wrong:
        line = body.count(b"\n", 0, wrong.start) + 1
        return (
            f"line {line} is not UTF-8 (byte {wrong.start} of the body, "
            f"0x{body[wrong.start]:02x}); send it in UTF-8"
        )
    place = f"line {error.lineno}, column {error.colno}"
    if text.startswith("\N{BOM}"):
        return "it begins with a byte order mark; send UTF-8 without one"
    if text.startswith(NO_NUMBERS, error.pos):
        return f"it has no NaN and no infinity; send null ({place})"
    return f"{error.msg} ({place})"


def _keys(content: Any) -> int:
    """The keys of an object and of the objects in its lists."""
    if not isinstance(content, dict):
        return -1
    lists = [value for value in content.values() if isinstance(value, list)]
    return len(content) + sum(len(row) for rows in lists for row in rows if isinstance(row, dict))


def _refuse_repeated(body: bytes) -> None:
    try:
        json.loads(body, object_pairs_hook=_refuse_pairs, parse_int=str, parse_float=str)
    except RecursionError:
        raise Refused(400, "the body is JSON of too many levels") from None


def _refuse_pairs(pairs: Sequence[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise Refused(400, f"an object of the body has the key {name[:80]!r} twice")
        names.add(name)


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
            row[part.name] = part.raw if part.filename else _text(part)
    except MultipartError as error:
        raise Refused(400, f"the form cannot be read: {error}") from None
    if not row:
        raise Refused(422, "the form has no fields")
    return row


def _text(part: MultipartPart) -> str | None:
    if part.charset.lower() not in UTF_8:
        raise Refused(
            415, f"the field {part.name[:80]!r} is in {part.charset[:80]!r}, wanted UTF-8"
        )
    try:
        return part.raw.decode("utf-8") or None
    except UnicodeDecodeError as wrong:
        raise Refused(
            400, f"the field {part.name[:80]!r} is not UTF-8 (its byte {wrong.start})"
        ) from None
