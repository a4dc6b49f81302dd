"""The default model beside gradient boosting over tables on which none of it was chosen.

`PLUMBLINE_BENCH_TABLES` names a folder of CSV files, each with its target in the last column; of
each at most 10,000 rows are used, and what a user gets who sets nothing (see `wins`). Figures are
only as independent as the tables: whoever changes a default by them needs others.
`PLUMBLINE_BENCH_SEEDS` (3) and `PLUMBLINE_BENCH_MINUTES` as of `wins`.
"""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import polars as pl

from benchmarks.honest import ROWS
from benchmarks.quality import SEEDS, normalized, opened
from benchmarks.result import Result
from benchmarks.wins import MINUTES, Scores, compare, result

TITLE = "Defaults over tables on which nothing was chosen"
# why the default is behind CatBoost's, where that was looked into afterwards
CAUSES = {
    "VietNamI": "194 communes as whole numbers, which a network reads as a quantity and trees cut "
    "apart; with normalize.columns.commune.as_category, which init names now, .824",
}
FOLDER = os.environ.get("PLUMBLINE_BENCH_TABLES", "")


def run() -> Result:
    """Every file of the folder, seed by seed."""
    if not FOLDER:
        note = "not run: no folder of tables (set PLUMBLINE_BENCH_TABLES)"
        return Result(title=TITLE, figures=[], notes=[note])
    begun = time.monotonic()
    made: Scores = {}
    metrics: dict[str, str] = {}
    for seed in range(SEEDS):
        for file in sorted(Path(FOLDER).glob("*.csv")):
            if time.monotonic() - begun > 60 * MINUTES:
                break
            task = normalized(opened(file.stem, file, None, last_column(file), seed=seed))
            add(made, metrics, file.stem, compare(task, seed))
    return published(made, metrics)


def last_column(file: Path) -> str:
    """The target's name."""
    return pl.read_csv(file, n_rows=1, infer_schema=False).columns[-1]


def add(made: Scores, metrics: dict[str, str], table: str, scores: dict[str, float | str]) -> None:
    """Add what a comparison gave to `made` and `metrics`."""
    metrics[table] = str(scores["metric"])
    for label, value in scores.items():
        if label != "metric":
            made.setdefault(table, {}).setdefault(label, []).append(float(value))
    print(table, scores, flush=True)


def published(made: Scores, metrics: dict[str, str]) -> Result:
    """Wins, mean ranks and scores."""
    counted = result(made, metrics, CAUSES)
    return replace(
        counted,
        title=TITLE,
        notes=[
            *counted.notes,
            "the tables are real ones of textbooks, surveys and trials (the R packages boot, car, "
            "Ecdat, ggplot2, lme4, MASS, plm, psych, survival and others, as the Python package "
            "pydataset 0.2 holds them), taken for their number of rows and columns before a model "
            f"was fitted to any of them; of each at most {ROWS:,} rows; no default, no code of a "
            "model was changed by them. Of two more (movies, baseball) there is no comparison: "
            "HistGradientBoosting refuses their names, as categories of over 255 values",
        ],
    )
