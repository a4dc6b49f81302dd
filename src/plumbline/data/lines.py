"""A file's lines, decoded; which encoding it has."""

from __future__ import annotations

import codecs
import io
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from plumbline.data.charset import guess_encoding
from plumbline.data.read import open_bytes, readable
from plumbline.errors import DataError

BLOCK = 1 << 20  # bytes read at once
END_OF_FILE = "\x1a"  # of MS-DOS, which some programs still write
BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def find_encoding(path: Path) -> str:
    """The mark's encoding, else UTF-8 if the whole file is, else the one that makes sense.

    Raises:
        DataError: NUL bytes, or no encoding or several make sense.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    with readable(path.name), open_bytes(path) as file:
        head = file.read(BLOCK)
        for mark, name in BOMS:
            if head.startswith(mark):
                return name
        if b"\x00" in head:
            raise DataError(
                "holds NUL bytes, so it is no text table",
                file=path.name,
                wanted="CSV, TSV, Excel, JSON lines or Parquet",
                hint="export it again; for UTF-16 without a mark pass --encoding utf-16-le",
            )
        while head:
            try:
                decoder.decode(head)
            except UnicodeDecodeError:
                return guess_encoding(path.name, head)
            head = file.read(BLOCK)
    return "utf-8"


@contextmanager
def open_lines(path: Path, encoding: str, *, footer: int = 0) -> Iterator[Iterator[str]]:
    """The lines with their ends, .gz and .zst unpacked; the last `footer` lines left out.

    Only line feeds and carriage returns end a line: U+2028, NEL, vertical tab and form feed are
    characters like any other.

    Raises:
        DataError: when iterated, a line that is not of the encoding, or that holds a NUL.
    """
    with readable(path.name), open_bytes(path) as file:
        text = io.TextIOWrapper(file, encoding=encoding, newline="")
        yield _all_but_last(_checked(text, path.name, encoding), footer)


def _checked(lines: Iterator[str], name: str, encoding: str) -> Iterator[str]:
    number = 0
    try:
        for number, line in enumerate(lines, start=1):
            if "\0" in line:
                raise DataError(
                    f"line {number} holds a NUL, so it is no text table",
                    file=name,
                    hint="export it again; for UTF-16 without a mark pass --encoding utf-16-le",
                )
            line = line.removesuffix(END_OF_FILE)  # it ends no line but the last
            if line:
                yield line.removeprefix("\ufeff") if number == 1 else line
    except UnicodeError as error:
        reason = getattr(error, "reason", error)
        raise DataError(
            f"is not {encoding}: {reason}, behind line {number}",
            file=name,
            hint="pass --encoding NAME",
        ) from None


def _all_but_last(lines: Iterator[str], count: int) -> Iterator[str]:
    if count == 0:
        yield from lines
        return
    held: deque[str] = deque(maxlen=count)
    for line in lines:
        if len(held) == count:
            yield held[0]
        held.append(line)
