"""Each family at its defaults beside gradient boosting at its own, on the same rows.

Needs real data sets (`PLUMBLINE_TEST_DATA`): adult with its official test file, covtype_20k,
ames_housing. `PLUMBLINE_BENCH_SEEDS` (3) is the number of seeds. The whole takes two hours: each
fit is noted in `.plumbline/quality.jsonl`, and a run that was cut off goes on there, as long as
the code and the settings are the same. `PLUMBLINE_BENCH_MINUTES` bounds it: no fit begins later,
and the tables say how many seeds each row has.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import statistics
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd

from benchmarks.result import Figure, Result, Table, no_data
from plumbline.config import Config, load_config
from plumbline.config.data import DataConfig, SplitConfig
from plumbline.config.model import ModelName
from plumbline.config.runtime import count_threads
from plumbline.data.canonical import make_canonical
from plumbline.data.infer import Wishes, infer
from plumbline.data.read import open_table, scan
from plumbline.evaluation.metrics import all_scores
from plumbline.examples import Examples, InputSpec
from plumbline.files import sha256
from plumbline.kinds import ByteArray, DoubleArray, IntArray, Part
from plumbline.models.embeddings import choose_embedding
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.split import SplitRows, make_split, read_rows, resolve
from plumbline.stages.criterion import criterion_of
from plumbline.stages.inputs import resolve_monitor
from plumbline.tables import Schema
from plumbline.tables import Table as DataTable
from plumbline.training.batches import with_epochs
from plumbline.training.build import FreshFit, fit_fresh
from plumbline.training.device import set_up
from plumbline.training.distributed import CPU
from plumbline.training.loop import predict

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("PLUMBLINE_TEST_DATA", ROOT.parent / "shared" / "data"))
SEEDS = int(os.environ.get("PLUMBLINE_BENCH_SEEDS", "3"))
JOURNAL = ROOT / ".plumbline" / "quality.jsonl"
MINUTES = float(os.environ.get("PLUMBLINE_BENCH_MINUTES", "inf"))
BUDGET = 600.0  # seconds per fit of ours
SLOW = ("ft_transformer",)  # fitted last
SETS = (
    ("adult", "adult/train.csv", "adult/test.csv", "income"),
    ("covtype_20k", "covtype_20k/covtype.csv", None, "cover_type"),
    ("ames_housing", "ames_housing/AmesHousing.txt", None, "SalePrice"),
)
SHOWN = ("accuracy", "roc_auc", "log_loss", "rmse", "mae", "r2")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """One data set, read, inferred and split as the graph would."""

    config: Config
    table: DataTable
    schema: Schema
    rows: SplitRows
    split: SplitConfig  # with its methods resolved
    part: ByteArray


@dataclass(frozen=True, kw_only=True)
class Task:
    """One data set, split and prepared as the graph would."""

    opened: Opened
    name: str
    config: Config
    schema: Schema
    spec: InputSpec
    train: Examples
    val: Examples
    test: Examples
    frame: pd.DataFrame  # the rows as they are, for peers
    target: Any  # (n,) class numbers or values


def run() -> Result:
    """Fit every family and every peer on every set, with several seeds."""
    if not DATA.is_dir():
        return no_data("Quality of each family at its defaults")
    tasks = [
        normalized(opened(name, DATA / file, DATA / test if test else None, target))
        for name, file, test, target in SETS
    ]
    made = fit_all(tasks)
    best = max(
        (result for (name, label), result in made.items() if name == "adult" and label in OWN),
        key=lambda result: mean(result, "accuracy"),
    )
    return Result(
        title="Quality of each family at its defaults",
        figures=[
            Figure(
                name=f"Adult, official test file: {metric} of the family with the best accuracy, "
                f"mean of {len(best)} seeds",
                reached=mean(best, metric),
                unit="",
                target=f"≥ {wanted}",
                holds=mean(best, metric) >= wanted,
            )
            for metric, wanted in (("accuracy", 0.874), ("roc_auc", 0.929))
        ],
        tables=[table(task, made) for task in tasks],
        notes=[
            "plumbline's families: the defaults of params.yaml but for `model.name`, searched "
            "values at the center of their ranges, no tuning; stopped by the validation rows",
            "peers: their own defaults on training and validation rows together, the columns as "
            "they are (categories as pandas categories)",
            f"a fit of ours has {BUDGET / 60:.0f} minutes on these cores: where an epoch takes so "
            "long that `train.epochs` of them would be more, it has as many epochs as fit",
        ],
    )


def opened(
    name: str,
    file: Path,
    test: Path | None,
    target: str,
    *,
    positive: str | None = None,
    seed: int = 0,
    drop: Collection[str] = (),
    alike: Collection[str] = (),
) -> Opened:
    """Read, infer and split, as init and the first stages do.

    Args:
        drop: columns that are no features.
        alike: columns in which rows have to be equal to share a part, where it is not all features:
            so that contenders with other columns are split alike.
    """
    defaults = load_config(ROOT / "params.yaml")
    plain = make_canonical(file, ROOT / ".plumbline" / "bench", target=target)
    form = plain.form
    raw, *others = [scan(f, form) for f in (plain.path, test) if f]
    result = infer(
        raw,
        form,
        Wishes(target=target, positive=positive),
        file=name,
        test=others[0] if others else None,
    ).expectations
    data = DataConfig(
        name=name,
        path=str(plain.path),
        test_path=str(test) if test else None,
        target=target,
        task=result.task,
        positive=result.positive,
        format=form,
    )
    normalize = replace(defaults.normalize, columns={})
    config = replace(defaults, data=data, normalize=normalize, seed=seed)
    kept = tuple(column for column in result.schema.columns if column.name not in drop)
    schema = replace(result.schema, columns=kept)
    table = open_table(data, schema, Path("/"))
    own = compared(result.schema, alike) if alike else schema
    rows = read_rows(open_table(data, own, Path("/")), own, data, config.split)
    split = resolve(rows, config.split)
    part = make_split(rows, split, config.seed).part
    embedding = choose_embedding(config.model.number_embedding, int((part == Part.TRAIN).sum()))
    config = replace(config, model=replace(config.model, number_embedding=embedding))
    return Opened(config=config, table=table, schema=schema, rows=rows, split=split, part=part)


def compared(schema: Schema, names: Collection[str]) -> Schema:
    """With these features alone."""
    features = {column.name for column in schema.features}
    kept = (c for c in schema.columns if c.name in names or c.name not in features)
    return replace(schema, columns=tuple(kept))


def normalized(data: Opened) -> Task:
    """The transformer fitted on training rows, and all parts as it makes them."""
    config, table, schema, part = data.config, data.table, data.schema, data.part
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
        texts = frame[column].map(str, na_action="ignore")  # truth values with gaps are objects
        frame[column] = texts.astype("category")
    for column in frame.select_dtypes("datetime").columns:
        frame[column] = frame[column].astype("int64")
    y = np.empty(table.rows, dtype=np.float64)
    for arrays in (train, val, held):
        y[arrays.rows] = arrays.y
    return Task(
        opened=data,
        name=config.data.name,
        config=config,
        schema=schema,
        spec=transformer.spec_,
        train=train,
        val=val,
        test=held,
        frame=frame,
        target=y.astype(np.int64) if config.data.task.has_classes else y,
    )


Fit = Callable[[Task, int], DoubleArray]
Made = dict[str, float]  # scores, and what they took
OWN = get_args(ModelName)


def contenders() -> list[tuple[str, Fit]]:
    """Every family of ours, then the peers."""
    own: list[tuple[str, Fit]] = [(name, family(name)) for name in OWN]
    peers: list[tuple[str, Fit]] = [
        ("linear (scikit-learn)", linear),
        ("HistGradientBoosting", histogram),
        ("XGBoost", xgboost),
        ("CatBoost", catboost),
    ]
    return [*own, *peers]


def fit_all(tasks: list[Task]) -> dict[tuple[str, str], list[Made]]:
    """What each contender made of each set, a list over seeds; the slow ones come last."""
    begun = time.monotonic()
    known = noted()
    result: dict[tuple[str, str], list[Made]] = {}
    plan = [(seed, task, *who) for seed in range(SEEDS) for task in tasks for who in contenders()]
    for seed, task, label, fit in sorted(plan, key=lambda one: one[2] in SLOW):
        name = f"{task.name} {label} {seed}"
        key = f"{name} {code()}"
        if key not in known:
            if time.monotonic() - begun > 60 * MINUTES:
                continue
            known[key] = measured(task, fit, seed)
            with JOURNAL.open("a") as journal:
                journal.write(json.dumps({key: known[key]}) + "\n")
        result.setdefault((task.name, label), []).append(known[key])
        print(name, known[key], flush=True)
    return result


def measured(task: Task, fit: Fit, seed: int) -> Made:
    """The scores of a fit, and its seconds: by the clock, and of the processor, which other work
    on the machine changes less."""
    begun, worked = time.perf_counter(), time.process_time()
    prediction = fit(task, seed)
    took = {"seconds": time.perf_counter() - begun, "busy": time.process_time() - worked}
    return all_scores(task.test.y, prediction, task.spec.task) | took


def mean(result: list[Made], name: str) -> float:
    """Over seeds."""
    return statistics.mean(made[name] for made in result)


def table(task: Task, made: dict[tuple[str, str], list[Made]]) -> Table:
    """A row per contender."""
    rows = {label: made.get((task.name, label), []) for label, _ in contenders()}
    metrics = [m for m in SHOWN if m in next(iter(rows.values()))[0]]
    return Table(
        title=f"{task.name}: {len(task.test):,} test rows, mean ± spread of the seeds",
        columns=["model", "seeds", *metrics, "seconds per fit", "of the processor"],
        rows=[
            [
                label,
                str(len(result)),
                *(shown(result, metric) for metric in metrics),
                *(f"{mean(result, name):.0f}" for name in ("seconds", "busy")),
            ]
            for label, result in rows.items()
            if result
        ],
    )


def noted() -> dict[str, Made]:
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


def shown(result: list[Made], name: str) -> str:
    """Mean and spread over seeds."""
    values = [made[name] for made in result]
    return f"{statistics.mean(values):.5g} ± {max(values) - min(values):.2g}"


def family(name: ModelName) -> Fit:
    """A family of plumbline's at the defaults."""

    def fit(task: Task, seed: int) -> DoubleArray:
        config, spec = task.config, task.spec
        set_up(CPU, count_threads(config.runtime, 1))
        monitor = resolve_monitor(config, spec)
        stopping: dict[str, Any] = {}
        if monitor != "loss":
            stopping = criterion_of(monitor).stopping(spec.task)

        def fit_for(epochs: int) -> FreshFit:
            return fit_fresh(
                replace(config.model, name=name),
                replace(config.train, epochs=epochs),
                spec,
                task.train,
                task.val,
                seed=seed,
                **stopping,
            )

        epochs = with_epochs(config.train, spec, len(task.train)).most_epochs
        if name in SLOW:
            epochs = min(epochs, int(BUDGET / fit_for(2).fitted.seconds * 2) - 2)
        fresh = fit_for(epochs)
        return predict(fresh.fitted.model, task.test, spec.task, config.train, target=fresh.target)

    return fit


def peer_rows(task: Task) -> tuple[pd.DataFrame, Any, pd.DataFrame]:
    """What a peer learns from, and the rows it is scored on."""
    known: IntArray = np.concatenate([task.train.rows, task.val.rows])
    return task.frame.iloc[known], task.target[known], task.frame.iloc[task.test.rows]


def predictions(model: Any, x: Any, task: Task) -> DoubleArray:
    """Probabilities, or values, of a peer."""
    if task.spec.task.has_classes:
        return np.asarray(model.predict_proba(x), dtype=np.float64)
    return np.asarray(model.predict(x), dtype=np.float64)[:, None]


def linear(task: Task, seed: int) -> DoubleArray:
    """Logistic or ridge regression in scikit-learn's plain pipeline."""
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    x, y, test = peer_rows(task)
    columns = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median", add_indicator=True), StandardScaler()),
            make_column_selector(dtype_exclude="category"),
        ),
        (
            OneHotEncoder(handle_unknown="ignore"),
            make_column_selector(dtype_include="category"),
        ),
    )
    kinds = {True: LogisticRegression(max_iter=1000), False: Ridge()}
    model = make_pipeline(columns, kinds[task.spec.task.has_classes])
    return predictions(model.fit(x, y), test, task)


def histogram(task: Task, seed: int) -> DoubleArray:
    """scikit-learn's, at its defaults."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kinds = {True: HistGradientBoostingClassifier, False: HistGradientBoostingRegressor}
    x, y, test = peer_rows(task)
    model = kinds[task.spec.task.has_classes](random_state=seed, categorical_features="from_dtype")
    return predictions(model.fit(x, y), test, task)


def xgboost(task: Task, seed: int) -> DoubleArray:
    """XGBoost at its defaults."""
    from xgboost import XGBClassifier, XGBRegressor

    kinds = {True: XGBClassifier, False: XGBRegressor}
    x, y, test = peer_rows(task)
    model = kinds[task.spec.task.has_classes](random_state=seed, enable_categorical=True)
    return predictions(model.fit(x, y), test, task)


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
    model = kinds[task.spec.task.has_classes](
        random_seed=seed, verbose=False, allow_writing_files=False, cat_features=texts
    )
    return predictions(model.fit(x, y), test, task)
