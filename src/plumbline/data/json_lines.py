"""JSON lines, and an array of objects: an object is a row, its keys are the columns."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from plumbline.cell_kinds import is_unicode
from plumbline.data.dialect import Row
from plumbline.data.find_table import TableShape
from plumbline.data.lines import find_encoding, open_lines
from plumbline.data.native import DAY, MaybeDate, Native, Truth
from plumbline.data.opened import Opened
from plumbline.data.options import ReadingOptions
from plumbline.errors import DataError

ROWS = '{"column": value, …} in every line, or an array of such objects'
PANDAS = "write it by rows; in pandas: frame.to_json(FILE, orient='records', lines=True)"

ESCAPED_HALF = re.compile(r"(?i)\\ud[89a-f]")  # also half of a whole pair


def open_json(
    path: Path, options: ReadingOptions, target: str | None, names: Collection[str]
) -> Opened:
    """The objects as rows; a key that an object lacks is a missing cell.

    Raises:
        DataError: a line is no object, or a value is a list or an object.
    """
    columns: dict[str, None] = {}
    only: dict[str, Any] | None = None  # the object, where there is one alone
    for count, (_, item) in enumerate(_objects(path)):
        columns.update(dict.fromkeys(item))
        only = None if count else item
    if not columns:
        raise DataError("holds no object with a key", file=path.name, wanted="a row per object")
    if only is not None and all(isinstance(value, (dict, list)) for value in only.values()):
        raise DataError(
            "is one object whose values are lists or objects: a table, but not written row by row",
            file=path.name,
            wanted=ROWS,
            got="keys " + ", ".join(columns)[:80],
            hint=PANDAS,
        )
    own = list(columns)
    table = TableShape(
        line=1,
        headers=1,
        header=(tuple(own),),
        given=[" ".join(name.split()) for name in own],
        width=len(own),
        values=(),
    )

    def again() -> Iterator[Row]:
        yield 0, own
        for line, item in _objects(path):
            yield line, [_text(path, line, name, item.get(name)) for name in own]

    return Opened(table=table, again=again, words="JSON, an object per row")


def _objects(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with open_lines(path, find_encoding(path)) as lines:
        for line, text in enumerate(lines, start=1):
            if not text.strip():
                continue
            if line == 1 and text.lstrip().startswith("["):
                yield from enumerate(_array(path, text + "".join(lines)), start=1)
                return
            yield line, _object(path, line, _parse(path, line, text))


def _array(path: Path, text: str) -> list[dict[str, Any]]:
    items = _parse(path, 1, text)
    return [_object(path, number, item) for number, item in enumerate(items, start=1)]


def _object(path: Path, line: int, item: Any) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise DataError(
            f"line {line} is no object",
            file=path.name,
            wanted=ROWS,
            got=str(item)[:80],
            hint=PANDAS if isinstance(item, list) else None,
        )
    return item


def _parse(path: Path, line: int, text: str) -> Any:
    try:
        item = json.loads(text, parse_float=Native, parse_int=Native, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise DataError(
            f"line {line} is no JSON: {error}",
            file=path.name,
            wanted="an object in every line, or an array of objects",
            got=text.strip()[:80],
            hint="the file may be cut there",
        ) from None
    if ESCAPED_HALF.search(text):
        for number, one in enumerate(item if isinstance(item, list) else [item], start=line):
            _refuse_halves(path, number, one)
    return item


def _refuse_halves(path: Path, line: int, item: Any) -> None:
    for name, value in item.items() if isinstance(item, dict) else ():
        for text in (name, value):
            if isinstance(text, str) and not is_unicode(text):
                raise DataError(
                    f"line {line} holds half of a surrogate pair, which is no character",
                    file=path.name,
                    where=f"column '{name.encode(errors='backslashreplace').decode()}'",
                    got=text,
                    hint="leave it out: a text was cut inside of a character",
                )


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    item = dict(pairs)
    if len(item) < len(pairs):
        raise ValueError("a key stands twice in an object")
    return item


def _text(path: Path, line: int, name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return Truth("true" if value else "false")
    if isinstance(value, (dict, list)):
        raise DataError(
            f"line {line} holds {'an object' if isinstance(value, dict) else 'a list'}",
            file=path.name,
            where=f"column '{name}'",
            wanted="one value in every cell",
            hint="leave the key out, or make keys of its own of what is inside",
        )
    if isinstance(value, Native):
        return value
    text = str(value).rstrip("\r")
    return MaybeDate(text) if DAY.match(text) else text
