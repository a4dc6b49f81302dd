"""What kind of file a file is, by its first bytes and its name."""

from __future__ import annotations

import zipfile
from enum import StrEnum
from pathlib import Path

import polars as pl

from plumbline.config.data import FormatConfig
from plumbline.data.options import ReadingOptions
from plumbline.data.parquet_folder import parts_of
from plumbline.data.pictures import is_image_folder, refuse_other_bytes
from plumbline.data.read import open_bytes, readable, scan
from plumbline.errors import DataError, ParameterError
from plumbline.images.cells import has_images

READ = "CSV, TSV, Excel, JSON lines or Parquet"
FOREIGN = (
    (b"\x89HDF", "an HDF5 file"),
    (b"%PDF", "a PDF"),
    (b"ARROW1", "an Arrow IPC file"),
    (b"SQLite format", "a SQLite database"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x1f\x8b", "packed by gzip, and its name does not end in .gz"),
    (b"\x28\xb5\x2f\xfd", "packed by zstd, and its name does not end in .zst"),
    (b"BZh", "packed by bzip2"),
    (b"\xfd7zXZ", "packed by xz"),
    (b"7z\xbc\xaf", "packed by 7-Zip"),
    (b"{\\rtf", "a text of a word processor"),
    (b"<!DOCTYPE", "a web page"),
    (b"<html", "a web page"),
    (b"<?xml", "an XML file"),
)
JSON_NAMES = (".jsonl", ".ndjson", ".json")


class FileKind(StrEnum):
    """How a table may lie in a file."""

    TEXT = "text"
    PARQUET = "Parquet"
    EXCEL = "Excel"
    JSON = "JSON"
    IMAGES = "images"


def kind_of(path: Path, options: ReadingOptions) -> FileKind:
    """The kind of a file or folder.

    Raises:
        DataError: no such file, empty, or of a kind that is not read.
        ParameterError: options that this kind does not have.
    """
    if not path.exists():
        raise DataError("no such file", file=path, hint="check the path")
    if path.is_dir():
        if parts_of(path):
            kind = FileKind.PARQUET
        elif is_image_folder(path):
            kind = FileKind.IMAGES
        else:
            raise DataError(
                "is a folder and holds no .parquet file and no image",
                file=path.name,
                wanted=f"a file ({READ}), a folder of Parquet files, or images in CLASS/*",
                hint="join the files to one, or name one of them",
            )
    else:
        kind = _kind_of_file(path)
    own = {FileKind.TEXT: options.of_text, FileKind.EXCEL: _OF_SHEETS}.get(kind, [])
    wrong = [n for n in options.of_text if n not in own]
    wrong += ["sheet"] if options.sheet is not None and kind is not FileKind.EXCEL else []
    if wrong:
        raise ParameterError(
            f"{path.name} is {kind}, which has no such option",
            where=f"--{wrong[0].replace('_', '-')}",
        )
    return kind


_OF_SHEETS = ["skip", "header", "header_lines", "footer", "pad"]


def _kind_of_file(path: Path) -> FileKind:
    with readable(path.name), open_bytes(path) as file:
        head = file.read(1 << 16)
    if not head:
        raise DataError("is empty", file=path.name, wanted="a header and rows")
    if head.startswith(b"PAR1"):
        return FileKind.PARQUET
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        return FileKind.EXCEL
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(path)
    for magic, what in FOREIGN:
        if head.startswith(magic):
            raise DataError(f"is {what}", file=path.name, wanted=READ, hint="export or unpack it")
    name = path.name.removesuffix(".gz").removesuffix(".zst").removesuffix(".zstd").lower()
    if name.endswith(JSON_NAMES) or head.lstrip().startswith((b'{"', b'[{"', b"[\n")):
        return FileKind.JSON
    return FileKind.TEXT


def _kind_of_zip(path: Path) -> FileKind:
    try:
        with zipfile.ZipFile(path) as archive:
            inside = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        raise DataError(
            "is a zip archive or an Excel workbook, cut or damaged",
            file=path.name,
            wanted=READ,
            hint="get it whole",
        ) from None
    if any(n.startswith("xl/") for n in inside) or "mimetype" in inside:
        return FileKind.EXCEL
    shown = ", ".join(inside[:3]) + (" …" if len(inside) > 3 else "")
    raise DataError(
        f"is a zip archive of {len(inside)} file{'s' if len(inside) != 1 else ''}",
        file=path.name,
        wanted=READ,
        got=shown,
        hint="unpack it and name the file inside",
    )


def has_native_cells(path: Path) -> bool:
    """Whether numbers and dates are no text in a file, yet the file becomes text."""
    kind = kind_of(path, ReadingOptions())
    return kind in (FileKind.EXCEL, FileKind.JSON)


def refuse_types(path: Path) -> None:
    """Refuse Parquet columns of types that no stage reads.

    Raises:
        DataError: names the column and its type.
    """
    raw = scan(path, FormatConfig(type="parquet"))
    for name, dtype in raw.collect_schema().items():
        if (dtype.is_nested() or dtype in (pl.Binary, pl.Object)) and not has_images(dtype):
            raise DataError(
                f"holds cells of type {dtype}",
                file=path.name,
                where=f"column '{name}'",
                wanted="numbers, booleans, text, dates, times, images",
                hint="leave the column out, or convert it (a list to columns)",
            )
    refuse_other_bytes(raw, path.name)
