"""How a file is written: type, encoding, separator, quotes, header.

A guess is made only where the file supports it; where it does not, the file is refused with what
to say on the command line.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Literal

from plumbline.config.data import FormatConfig
from plumbline.data.encoding import guess_encoding
from plumbline.data.read import open_bytes, readable
from plumbline.errors import DataError, ParameterError

HEAD = 1 << 20  # bytes looked at
LINES = 2000  # lines looked at
SEPARATORS = (",", "\t", ";", "|")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?%?")
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
FOREIGN = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook (.xlsx)"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)"),
    (b"\x89HDF", "an HDF5 file"),
    (b"%PDF", "a PDF"),
    (b"ARROW1", "an Arrow IPC file"),
    (b"SQLite format", "a SQLite database"),
    (b"\x80\x04", "a Python pickle"),
)


@dataclass(frozen=True, kw_only=True)
class Sniffed:
    """How a file is written. `notes` are guesses the owner should know of. `plain` text can be
    read as it lies: it is UTF-8, and its lines end in line feeds."""

    form: FormatConfig
    encoding: str = "utf-8"
    plain: bool = True
    notes: list[str] = field(default_factory=list)


def sniff(
    path: Path, *, target: str, header: bool | None = None, encoding: str | None = None
) -> Sniffed:
    """Look at the first megabyte of a file, or at the name of a folder of Parquet files.

    Args:
        target: the target's name, which tells a header from a row.
        header: whether the first line names the columns; None: find out.
        encoding: the text's encoding; None: find out.

    Raises:
        DataError: no such file, empty, of another kind, or not the same fields in every line.
        ParameterError: an encoding that Python does not know.
    """
    if not path.exists():
        raise DataError("no such file", file=path.name, mend="check the path")
    if path.is_dir():
        if not any(path.rglob("*.parquet")):
            raise DataError("holds no .parquet file", file=path.name)
        return Sniffed(form=FormatConfig(type="parquet"))
    with readable(path.name), open_bytes(path) as file:
        head = file.read(HEAD)
        whole = len(head) < HEAD
    if not head:
        raise DataError("is empty", file=path.name, wanted="a header and rows")
    if head.startswith(b"PAR1"):
        return Sniffed(form=FormatConfig(type="parquet"))
    for magic, what in FOREIGN:
        if head.startswith(magic):
            raise DataError(
                f"is {what}", file=path.name, wanted="CSV, TSV or Parquet", mend="export it as CSV"
            )
    with readable(path.name), open_bytes(path) as file:
        bad, old_ends = _look_through(file)
    encoding = _encoding(path, head, encoding, bad)
    text = _decode(head, encoding, path.name)
    lines = text.splitlines()
    if not whole and len(lines) > 1:
        lines = lines[:-1]  # cut in the middle
    found = _read_form(path.name, lines[:LINES], encoding, target, header)
    return replace(found, plain=encoding == "utf-8" and not old_ends)


def _encoding(path: Path, head: bytes, asked: str | None, bad: bytes | None) -> str:
    """BOM, else UTF-8 if the whole file is, else the most likely of what Python knows."""
    if asked is not None:
        try:
            return codecs.lookup(asked).name
        except LookupError:
            raise ParameterError("no such encoding", where="--encoding", got=asked) from None
    for mark, name in BOMS:
        if head.startswith(mark):
            return name
    if b"\x00" in head:
        raise DataError(
            "holds NUL bytes, so it is no text table",
            file=path.name,
            wanted="CSV, TSV or Parquet",
            mend="export it again; for UTF-16 without a mark pass --encoding utf-16-le",
        )
    if bad is None:
        return "utf-8"
    return guess_encoding(path.name, bad)


def _look_through(file: IO[bytes]) -> tuple[bytes | None, bool]:
    """The first block that is not UTF-8, and whether a line ends in a carriage return alone."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    bad, old_ends, last = None, False, b""
    while block := file.read(HEAD):
        if bad is None:
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                bad = block
        returns = (last + block).count(b"\r") - (last + block).count(b"\r\n")
        last = block[-1:] if block.endswith(b"\r") else b""
        old_ends = old_ends or returns > len(last)
    return bad, old_ends or bool(last)


def _decode(head: bytes, encoding: str, name: str) -> str:
    decoder = codecs.getincrementaldecoder(encoding)(errors="strict")
    try:
        return decoder.decode(head)
    except UnicodeDecodeError as error:
        raise DataError(
            f"is not {encoding}: {error.reason} at byte {error.start}",
            file=name,
            mend="pass --encoding NAME",
        ) from None


def _read_form(
    name: str, lines: list[str], encoding: str, target: str, header: bool | None
) -> Sniffed:
    separator, quote = _separator(name, lines)
    rows = _parse(lines, separator, quote)
    _refuse_ragged(name, rows)
    notes = []
    if header is None:
        header = _has_header(name, rows, target)
        if not header:
            notes.append("the first line holds values, so columns are named column_0, column_1, …")
    body = rows[1:] if header else rows
    if not body:
        raise DataError("has a header and no rows", file=name, mend="add rows below the header")
    form = FormatConfig(separator=separator, quote=quote, header=header)
    return Sniffed(form=form, encoding=encoding, notes=notes)


def _parse(lines: list[str], separator: str, quote: str | None) -> list[list[str]]:
    quoting: Literal[0, 3] = 3 if quote is None else 0  # QUOTE_NONE, QUOTE_MINIMAL
    reader = csv.reader(
        (line + "\n" for line in lines),
        delimiter=separator,
        quotechar=quote or '"',
        quoting=quoting,
        strict=quote is not None,  # a quote that closes in mid-field is an ordinary character
    )
    try:
        return [row for row in reader if row]
    except csv.Error:
        return []


def _separator(name: str, lines: list[str]) -> tuple[str, str | None]:
    """The separator and quote under which the most lines have the same number of fields."""
    best: tuple[float, int, str, str | None] | None = None
    for separator in SEPARATORS:
        for quote in ('"', None):
            rows = _parse(lines, separator, quote)
            if not rows:
                continue
            fields, count = Counter(len(row) for row in rows).most_common(1)[0]
            if fields < 2:
                continue
            found = (round(count / len(rows), 2), fields, separator, quote)
            if best is None or found[:2] > best[:2]:
                best = found
    if best is None:
        raise DataError(
            "no separator found: every line is one field",
            file=name,
            wanted="fields separated by a comma, tab, semicolon or bar",
            mend="check that it is a table; a table of one column has nothing to learn from",
        )
    return best[2], best[3]


def _refuse_ragged(name: str, rows: list[list[str]]) -> None:
    fields = Counter(len(row) for row in rows).most_common(1)[0][0]
    for number, row in enumerate(rows, start=1):
        if len(row) == fields:
            continue
        last = number == len(rows)
        raise DataError(
            f"line {number} has {len(row)} field{'s' if len(row) != 1 else ''}",
            file=name,
            wanted=f"{fields}, as most lines have",
            got="␟".join(row)[:80],
            mend="the file may be cut there; get it whole"
            if last
            else "remove or mend the line (a title above the header, a stray separator or quote)",
        )


def _has_header(name: str, rows: list[list[str]], target: str) -> bool:
    """Whether the first line names columns; refuses where nothing tells."""
    first = [cell.strip() for cell in rows[0]]
    if target in first:
        return True
    if re.fullmatch(r"column_\d+", target):
        return False
    if any(NUMBER.fullmatch(cell) for cell in first):
        return False
    if any(cell.lower() == target.lower() for cell in first):
        return True  # the message about the target then names the right spelling
    below = rows[1:]
    numeric = any(
        below and all(NUMBER.fullmatch(row[i].strip()) or not row[i].strip() for row in below)
        for i in range(len(first))
    )
    if numeric or not any(first[i] == row[i].strip() for row in below for i in range(len(first))):
        return True
    raise DataError(
        "cannot tell whether the first line names the columns",
        file=name,
        got=", ".join(first)[:80],
        mend="pass --header or --no-header",
    )
