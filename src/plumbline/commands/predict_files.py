"""Which files of an input hold its rows, by their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from plumbline.data.pictures import ENDINGS
from plumbline.errors import DataError

WANTED = "CSV, TSV, JSON lines, Excel, Parquet, images, or a folder of them"
TEXTS = (".csv", ".tsv", ".tab", ".psv", ".txt", ".dat", ".data", ".json", ".jsonl", ".ndjson")
TABLES = (*TEXTS, ".xlsx", ".xlsm", ".xls", ".ods", ".parquet")
PACKED = (".gz", ".zst", ".zstd")


@dataclass(frozen=True, kw_only=True)
class InputFiles:
    """The files of an input by name, a folder of Parquet files alone as one; and the names inside
    of it that stand for no data: hidden, `_SUCCESS`, of other endings."""

    files: list[Path]
    passed_over: list[str] = field(default_factory=list)


def list_files(path: Path) -> InputFiles:
    """The files of an input.

    Raises:
        DataError: there is none.
    """
    if not path.exists():
        raise DataError("no such file", file=path, wanted=WANTED, hint="check the path")
    if path.is_file():
        return InputFiles(files=[path])
    tables, images, others = list[Path](), list[Path](), list[str]()
    for file in _inside(path):
        name = file.name.lower()
        packed = next((end for end in PACKED if name.endswith(end)), "")
        if _is_aside(name):
            others.append(file.relative_to(path).as_posix())
        elif name.removesuffix(packed).endswith(TABLES):
            tables.append(file)
        elif name.endswith(ENDINGS):
            images.append(file)
        else:
            others.append(file.relative_to(path).as_posix())
    if not tables and not images:
        raise DataError(
            "is a folder without a file that is read",
            file=path,
            wanted=WANTED,
            got=", ".join(others[:5]) or "no file",
        )
    if tables and set(tables) == set(path.rglob("*.parquet")):
        return InputFiles(files=[path], passed_over=others)
    return InputFiles(files=tables or images, passed_over=others)


def _inside(path: Path) -> Iterator[Path]:
    for folder, inside, names in os.walk(path):
        inside[:] = sorted(name for name in inside if not _is_aside(name))
        yield from (Path(folder) / name for name in sorted(names))


def _is_aside(name: str) -> bool:
    """Whether a name is hidden, or one of those that Spark and its kin write beside the data."""
    return name.startswith((".", "_"))
