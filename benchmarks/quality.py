"""Each family at its defaults beside gradient boosting at its own, on the same rows.

Needs real data sets (`PLUMBLINE_TEST_DATA`): adult with its official test file, covtype_20k,
ames_housing. `PLUMBLINE_BENCH_SEEDS` (3) is the number of seeds. The whole takes two hours: each
fit is noted in `.plumbline/quality.jsonl`, and a run that was cut off goes on there, as long as
the code and the settings are the same.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import polars as pl

from benchmarks.result import Figure, Result, Table
from plumbline.config import Config, load_config
from plumbline.config.data import DataConfig
from plumbline.config.model import ModelName
from plumbline.data.infer import Wishes, infer
from plumbline.data.read import open_table, scan
from plumbline.data.sniff import sniff
from plumbline.evaluation.metrics import METRICS, all_scores, score
from plumbline.files import sha256
from plumbline.kinds import DoubleArray, IntArray, Part
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.split import make_split, read_rows, resolve
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages.inputs import chosen_metric
from plumbline.tables import Arrays, InputSpec, Schema
from plumbline.training.device import count_threads, set_up
from plumbline.training.distributed import CPU
from plumbline.training.fresh import fit_fresh
from plumbline.training.loop import predict

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PLUMBLINE_TEST_DATA", ROOT.parent / "shared" / "data"))
SEEDS = int(os.environ.get("PLUMBLINE_BENCH_SEEDS", "3"))
JOURNAL = ROOT / ".plumbline" / "quality.jsonl"
BUDGET = 600.0  # seconds per fit
SETS = (
    ("adult", "adult/train.csv", "adult/test.csv", "income"),
    ("covtype_20k", "covtype_20k/covtype.csv", None, "cover_type"),
    ("ames_housing", "ames_housing/AmesHousing.txt", None, "SalePrice"),
)
SHOWN = ("accuracy", "roc_auc", "log_loss", "rmse", "mae", "r2")


@dataclass(frozen=True, kw_only=True)
class Task:
    """One data set, split and prepared as the graph would."""

    name: str
    config: Config
    schema: Schema
    spec: InputSpec
    train: Arrays
    val: Arrays
    test: Arrays
    frame: pd.DataFrame  # the rows as they are, for peers
    target: Any  # (n,) class numbers or values


def run() -> Result:
    """Fit every family and every peer on every set, with several seeds."""
    if not DATA.is_dir():
        return Result(
            title="Quality of each family at its defaults",
            figures=[],
            notes=["not run: no real data sets at hand (set PLUMBLINE_TEST_DATA)"],
        )
    tables, best = [], []
    for name, file, test, target in SETS:
        task = prepare(name, DATA / file, DATA / test if test else None, target)
        rows = [measured(task, label, fit) for label, fit in contenders()]
        columns = [m for m in SHOWN if m in rows[0][1][0]]
        tables.append(
            Table(
                title=f"{name}: {len(task.test):,} test rows, mean ± spread of {SEEDS} seeds",
                columns=["model", *columns, "seconds per fit", "of the processor"],
                rows=[[label, *shown(found, columns), *took] for label, found, took in rows],
            )
        )
        if name == "adult":
            own = [(label, found) for label, found, _ in rows if label in get_args(ModelName)]
            best = [max(statistics.mean(r[m] for r in f) for _, f in own) for m in SHOWN[:2]]
    return Result(
        title="Quality of each family at its defaults",
        figures=[
            Figure(
                name=f"Adult, official test file: best family's {metric}, mean of {SEEDS} seeds",
                reached=value,
                unit="",
                target=f"≥ {wanted}",
                holds=value >= wanted,
            )
            for metric, value, wanted in zip(SHOWN, best, (0.874, 0.929), strict=False)
        ],
        tables=tables,
        notes=[
            "plumbline's families: the defaults of params.yaml but for `model.name`, searched "
            "values at the centre of their ranges, no tuning; stopped by the validation rows",
            "peers: their own defaults on training and validation rows together, the columns as "
            "they are (categories as pandas categories)",
            f"a fit of more than {BUDGET:.0f} s would be left out; none was"
            if all("over" not in row[-2] for t in tables for row in t.rows)
            else f"fits over {BUDGET:.0f} s are marked",
        ],
    )


def prepare(name: str, file: Path, test: Path | None, target: str) -> Task:
    """Read, infer, split and normalise, as init and the first stages do."""
    defaults = load_config(ROOT / "params.yaml")
    written = sniff(file, target=target)
    frames = [scan(f, written.form) for f in (file, test) if f]
    found = infer(pl.concat(frames), written.form, Wishes(target=target), file=name).expectations
    data = DataConfig(
        name=name,
        path=str(file),
        test_path=str(test) if test else None,
        target=target,
        task=found.task,
        positive=found.positive,
        format=written.form,
    )
    config = replace(defaults, data=data, normalize=replace(defaults.normalize, columns={}))
    schema = found.schema
    table = open_table(data, schema, Path("/"))
    rows = read_rows(table, schema, data, config.split)
    part = make_split(rows, resolve(rows, config.split), config.seed).part
    transformer = TableTransformer(schema, config.normalize)
    fitted = np.flatnonzero(part == Part.TRAIN)
    train = transformer.fit_transform(take_rows(table, fitted), fitted, config.seed)
    val, held = (
        transformer.transform(
            take_rows(table, np.flatnonzero(part == p)), np.flatnonzero(part == p)
        )
        for p in (Part.VAL, Part.TEST)
    )
    frame = table.frame.select(c.name for c in schema.features).collect().to_pandas()
    for column in frame.select_dtypes("object").columns:
        frame[column] = frame[column].astype("category")
    for column in frame.select_dtypes("datetime").columns:
        frame[column] = frame[column].astype("int64")
    y = np.empty(table.rows, dtype=np.float64)
    for arrays in (train, val, held):
        y[arrays.rows] = arrays.y
    return Task(
        name=name,
        config=config,
        schema=schema,
        spec=transformer.spec_,
        train=train,
        val=val,
        test=held,
        frame=frame,
        target=y.astype(np.int64) if found.task.is_classification else y,
    )


Fit = Callable[[Task, int], DoubleArray]


def contenders() -> list[tuple[str, Fit]]:
    """Every family of ours, then the peers."""
    own: list[tuple[str, Fit]] = [(name, family(name)) for name in get_args(ModelName)]
    return [*own, ("HistGradientBoosting", histogram), ("XGBoost", xgboost), ("CatBoost", catboost)]


def measured(task: Task, label: str, fit: Fit) -> tuple[str, list[dict[str, float]], list[str]]:
    """The scores of each seed, and the seconds of a fit: by the clock, and of the processor,
    which other work on the machine changes less."""
    found, seconds, busy = [], [], []
    for seed in range(SEEDS):
        key = f"{task.name} {label} {seed} {code()}"
        if key not in (known := noted()):
            begun, worked = time.perf_counter(), time.process_time()
            prediction = fit(task, seed)
            spent = time.perf_counter() - begun, time.process_time() - worked
            scores = all_scores(task.test.y, prediction, task.spec.task)
            known[key] = {"scores": scores, "seconds": spent[0], "busy": spent[1]}
            with JOURNAL.open("a") as journal:
                journal.write(json.dumps({key: known[key]}) + "\n")
        fitted = known[key]
        found.append(fitted["scores"])
        seconds.append(fitted["seconds"])
        busy.append(fitted["busy"])
        print(task.name, label, seed, f"{seconds[-1]:.0f} s", found[-1], flush=True)
    over = " (over budget)" if max(seconds) > BUDGET else ""
    took = [f"{statistics.mean(seconds):.0f}{over}", f"{statistics.mean(busy):.0f}"]
    return label, found, took


def noted() -> dict[str, Any]:
    """The fits that were made."""
    JOURNAL.parent.mkdir(exist_ok=True)
    lines = JOURNAL.read_text().splitlines() if JOURNAL.exists() else []
    return {key: fit for line in lines for key, fit in json.loads(line).items()}


@functools.cache
def code() -> str:
    """A hash of what the results depend on."""
    files = [
        *sorted((ROOT / "src").rglob("*.py")),
        ROOT / "params.yaml",
        ROOT / "requirements.lock",
    ]
    return hashlib.sha256("".join(sha256(file) for file in files).encode()).hexdigest()


def shown(found: list[dict[str, float]], columns: list[str]) -> list[str]:
    """Mean and spread over seeds."""
    values = [[row[name] for row in found] for name in columns]
    return [f"{statistics.mean(v):.5g} ± {max(v) - min(v):.2g}" for v in values]


def family(name: str) -> Fit:
    """A family of plumbline's at the defaults."""

    def fit(task: Task, seed: int) -> DoubleArray:
        config, spec = task.config, task.spec
        set_up(CPU, count_threads(config.train, 1))
        metric = chosen_metric("auto", spec.task)
        fresh = fit_fresh(
            replace(config.model, name=name),
            config.train,
            spec,
            task.train,
            task.val,
            seed=seed,
            score=lambda y, p: score(metric, y, p, spec.task),
            greater_is_better=METRICS[metric].greater_is_better,
        )
        return predict(fresh.fitted.model, task.test, spec.task, config.train, target=fresh.target)

    return fit


def peer_rows(task: Task) -> tuple[pd.DataFrame, Any, pd.DataFrame]:
    """What a peer learns from, and the rows it is scored on."""
    known: IntArray = np.concatenate([task.train.rows, task.val.rows])
    return task.frame.iloc[known], task.target[known], task.frame.iloc[task.test.rows]


def judged(model: Any, x: Any, task: Task) -> DoubleArray:
    """Probabilities, or values, of a peer."""
    if task.spec.task.is_classification:
        return np.asarray(model.predict_proba(x), dtype=np.float64)
    return np.asarray(model.predict(x), dtype=np.float64)[:, None]


def histogram(task: Task, seed: int) -> DoubleArray:
    """scikit-learn's, at its defaults."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kinds = {True: HistGradientBoostingClassifier, False: HistGradientBoostingRegressor}
    x, y, test = peer_rows(task)
    model = kinds[task.spec.task.is_classification](
        random_state=seed, categorical_features="from_dtype"
    )
    return judged(model.fit(x, y), test, task)


def xgboost(task: Task, seed: int) -> DoubleArray:
    """XGBoost at its defaults."""
    from xgboost import XGBClassifier, XGBRegressor

    kinds = {True: XGBClassifier, False: XGBRegressor}
    x, y, test = peer_rows(task)
    model = kinds[task.spec.task.is_classification](random_state=seed, enable_categorical=True)
    return judged(model.fit(x, y), test, task)


def catboost(task: Task, seed: int) -> DoubleArray:
    """CatBoost at its defaults."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    kinds = {True: CatBoostClassifier, False: CatBoostRegressor}
    x, y, test = peer_rows(task)
    texts = list(x.select_dtypes("category").columns)
    x, test = x.copy(), test.copy()
    for column in texts:
        x[column] = x[column].astype(object).fillna("missing").astype(str)
        test[column] = test[column].astype(object).fillna("missing").astype(str)
    model = kinds[task.spec.task.is_classification](
        random_seed=seed, verbose=False, allow_writing_files=False, cat_features=texts
    )
    return judged(model.fit(x, y), test, task)
