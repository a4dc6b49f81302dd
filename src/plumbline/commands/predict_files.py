"""Which files of an input hold its rows, by their names."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from plumbline.data.parquet_folder import files_below, is_aside, parts_of
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


def list_files(path: Path, *, of_images: bool = False) -> InputFiles:
    """The files of an input.

    Args:
        of_images: whether an image is all that there is to read, so that among images tables, and
            notes that look like some, stand for no data.

    Raises:
        DataError: there is none.
    """
    if not path.exists():
        raise DataError("no such file", file=path, wanted=WANTED, hint="check the path")
    if path.is_file():
        return InputFiles(files=[path])
    tables, images, others = list[Path](), list[Path](), list[str]()
    for file in files_below(path):
        name = file.name.lower()
        packed = next((end for end in PACKED if name.endswith(end)), "")
        if is_aside(name):
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
    if images and of_images:
        others += [file.relative_to(path).as_posix() for file in tables]
        return InputFiles(files=images, passed_over=sorted(others))
    if tables and set(tables) == set(parts_of(path)):
        return InputFiles(files=[path], passed_over=others)
    return InputFiles(files=tables or images, passed_over=others)
