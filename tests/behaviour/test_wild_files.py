"""Real files of the Pollock survey: read as their clean versions say, or refused with the option.

The clean versions join header lines, keep what pads a table, and write typographic quotes where
the file has C1 controls; cells are compared stripped, rows without their empty ends.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from plumbline.data.canonical import make_canonical
from plumbline.data.options import ReadingOptions
from plumbline.data.read import scan
from plumbline.errors import DataError

Grid = list[list[str]]
OPTIONS = {  # what the refusal names, with the value that a look at the file gives
    "nati-clin-audi-bowe-canc-2017-tran-main-fiel-list.csv": (
        "--skip",
        {"skip": 2, "header": True},
    ),
}


def tidy(rows: Iterable[Iterable[str | None]]) -> Grid:
    out = []
    for row in rows:
        cells = ["".join(map(_typographic, cell or "")).strip() for cell in row]
        while cells and not cells[-1]:
            cells.pop()
        if cells:
            out.append(cells)
    return out


def _typographic(letter: str) -> str:
    """The character that a C1 control stands for in Windows' encoding."""
    return (
        letter.encode("latin-1").decode("cp1252", "ignore")
        if "\x80" <= letter <= "\x9f"
        else letter
    )


def is_right(
    file: Path, clean: Path, metadata: dict[str, Any], place: Path, **options: Any
) -> bool:
    result = make_canonical(file, place, ReadingOptions.of(options))
    frame = scan(result.path, result.form).collect()
    with clean.open(encoding="utf-8", newline="") as opened:
        expected = tidy(csv.reader(opened))
    made_up = expected[0][0] in ("col_0", "col_1")
    if int(metadata["header_lines"]) or made_up:
        header, *expected = expected
        if not made_up and [n for n in header if n] != _shown(frame.columns, header):
            return False
    return tidy(frame.rows()) == expected


def _shown(names: list[str], header: list[str]) -> list[str]:
    """Names without what was made up for those that lack one or repeat another."""
    bare = [name for name in names if not name.startswith("column_")]
    bare = [name if name in header else re.sub(r"_\d+$", "", name) for name in bare]
    return [name.replace('"', "''") if "''" in "".join(header) else name for name in bare]


def test_real_files_are_read_right_or_refused(real_data: Path, tmp_path: Path) -> None:
    wild = real_data / "csv_in_the_wild"
    if not wild.exists():
        pytest.skip("no csv_in_the_wild")
    right, wrong, refused = [], [], []
    for file in sorted((wild / "csv").iterdir()):
        metadata = json.loads(
            (wild / "parameters" / f"{file.name}.json").read_text(encoding="utf-8")
        )
        clean = wild / "clean" / file.name
        try:
            (right if is_right(file, clean, metadata, tmp_path) else wrong).append(file.name)
        except DataError as error:
            refused.append(file.name)
            option, values = OPTIONS[file.name]
            assert option in str(error)
            assert is_right(file, clean, metadata, tmp_path, **values)
    assert wrong == []
    assert len(right) >= 24
    assert len(right) + len(refused) == len(list((wild / "csv").iterdir()))
