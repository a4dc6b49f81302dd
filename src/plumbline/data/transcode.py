"""Text in any encoding, rewritten in UTF-8."""

from __future__ import annotations

import codecs
from pathlib import Path

from plumbline.data.read import open_bytes
from plumbline.data.sniff import Sniffed
from plumbline.errors import DataError
from plumbline.files import new_file

BLOCK = 1 << 20  # bytes read at once


def transcode(source: Path, place: Path, encoding: str) -> None:
    """Write `source`, unpacked, in UTF-8; line ends become line feeds.

    Raises:
        DataError: the text is not of that encoding.
    """
    with (
        open_bytes(source) as file,
        new_file(place) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as out,
    ):
        held = ""
        try:
            for text in codecs.iterdecode(iter(lambda: file.read(BLOCK), b""), encoding):
                text = held + text
                held = "\r" if text.endswith("\r") else ""  # half of a \r\n, perhaps
                body = text[: len(text) - len(held)]
                out.write(body.replace("\r\n", "\n").replace("\r", "\n"))
        except UnicodeError as error:
            raise DataError(
                f"is not {encoding}: {error}", file=source.name, mend="pass --encoding NAME"
            ) from None
        out.write("\n" if held else "")


def in_utf8(file: Path, written: Sniffed, copy: Path) -> Path:
    """The file itself if it can be read as it lies, else a copy in UTF-8 with line feeds."""
    if written.plain:
        return file
    transcode(file, copy, written.encoding)
    return copy
