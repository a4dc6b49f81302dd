"""params.yaml written by init reads as what was written."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from plumbline.commands.parameters import write_parameters
from plumbline.config import load_config
from plumbline.kinds import ColumnType

BOOLEAN = ("yes", "No", "on", "y", "null", "~", "true")
NUMERIC = ("12:30", "1_000", "0o17", "0x1f", "1e3", "1.5", "2020-01-01")
MARKED = ("=1+1", "- a", "a: b", "#1", 'a"b', "a'b", "a\\b", " a", "名前", "[x]")


@pytest.mark.parametrize("word", [*BOOLEAN, *NUMERIC, *MARKED])
def test_a_text_stays_a_text(root: Path, tmp_path: Path, word: str) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    before = load_config(file).data
    form = replace(before.format, missing=[word, "NA", "no"])
    data = replace(before, target=word or "x", positive=word, format=form)
    write_parameters(file, data, {"a": ColumnType.NUMBER})
    assert load_config(file).data == data
    assert "# the column to predict" in file.read_text(encoding="utf-8")


def test_what_named_columns_of_the_earlier_data_is_said_in_one_line(
    root: Path, tmp_path: Path
) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    before = load_config(file).data
    (line,) = write_parameters(file, replace(before, name="shop"), {"a": ColumnType.NUMBER})
    assert line == (
        "normalize.columns: left out area_error, smoothness_mean (columns of breast-cancer)"
    )
    assert write_parameters(file, replace(before, name="shop"), {"a": ColumnType.NUMBER}) == []
