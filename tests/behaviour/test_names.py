"""Columns may be called what our own frames call theirs, or be written in any script."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml
from tests.made import plumbline, plumbline_here

from plumbline.stages import STAGES

NUMBERS = ["count", "rows", "row", "index", "value", "literal", "weight", "y", "num", "0", "hash"]
NUMBERS += ["__row__", "__keep__", "__unreadable_0__", "value is a number", "a'b", "$a", "{a}"]
NUMBERS += ["x" * 300]
WORDS = ["column", "part", "code", "text", "class", "名前", "a.b", "x/y", "=1+1", "[c]", "fold_0"]
WORDS += ["key", "reason", "🎯", "a\nb", "^a", "a$", "<b>", "part is unique"]
UNREGISTERED = STAGES[: STAGES.index("register")]


@pytest.mark.parametrize(
    ("target", "group"),
    [("len", "missing"), pytest.param("count", "len", marks=pytest.mark.soak)],
)
def test_names_that_we_use_ourselves(checkout: Path, target: str, group: str) -> None:
    rng, n = np.random.default_rng(0), 400
    columns = {name: rng.normal(size=n).round(3) for name in NUMBERS}
    columns |= {name: rng.choice(["a", "b", "c"], n) for name in WORDS}
    columns[group] = rng.integers(0, 80, n)
    columns[target] = np.where(columns["row"] + rng.normal(size=n) > 0, "yes", "no")
    pl.DataFrame(columns).write_csv(checkout / "odd.csv")
    done = plumbline(checkout, "init", "--data", "odd.csv", "--target", target, "--group", group)
    assert done.returncode == 0, done.stderr
    params = yaml.safe_load((checkout / "params.yaml").read_text())
    params["tune"]["trials"] = 0
    params["train"] |= {"epochs": 1, "learning_curve": []}
    params["explain"] |= {"rows": 5, "lime_rows": 1, "faithfulness_rows": 5}
    (checkout / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    for stage in UNREGISTERED:
        assert plumbline_here(checkout, stage) == 0, stage
