"""What init prints of each column."""

from __future__ import annotations

import polars as pl

from plumbline.commands.inferred import SHOWN, columns_table, task_words
from plumbline.config.data import FormatConfig
from plumbline.data.infer import Inferred, Wishes, infer

N = 60


def inferred(columns: dict[str, list[str]]) -> Inferred:
    raw = pl.LazyFrame({**columns, "y": ["no", "yes"] * 30})
    return infer(raw, FormatConfig(), Wishes(target="y", group="g"), file="a.csv")


def test_target_and_roles_come_first_and_what_was_guessed_is_not_hidden() -> None:
    wide = {f"x{i}": ["1.5", "2.5"] * 30 for i in range(SHOWN + 20)}
    wide["last"] = ["-", *map(str, range(N - 1))]
    wide["g"] = [str(i % 7) for i in range(N)]
    result = inferred(wide)
    lines = columns_table(result)
    assert [name for name, _ in lines[:3]] == ["y", "g", "last"]
    assert "TARGET" in lines[0][1] and "1 × '-' taken as missing" in lines[2][1]
    assert lines[-1][0] == f"… {len(wide) + 1 - SHOWN} more"
    assert task_words(result).startswith("binary over 60 rows, 2 classes")


def test_whole_numbers_dates_and_formats_are_printed_as_such() -> None:
    ids = [str(526301100 + 17 * i) for i in range(N)]
    days = [f"{1 + i % 28:02}.03.2024" for i in range(N)]
    result = dict(columns_table(inferred({"pid": ids, "day": days, "g": ["1", "2"] * 30})))
    assert "526301100 … 526302103" in result["pid"]
    assert "2024-03-01 … 2024-03-28" in result["day"] and "date %d.%m.%Y" in result["day"]
