"""Few rows of numbers, a category, a text and an image: the defaults beside scikit-learn.

Tables that are made of Fashion-MNIST's images and the messages of sms_spam (`PLUMBLINE_TEST_DATA`)
and differ in what tells the target. Scored are 1,000 other rows. `PLUMBLINE_BENCH_SEEDS` (3) is the
number of tables of each kind.
"""

from __future__ import annotations

import multiprocessing
import shutil
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks import few_images
from benchmarks.defaults import default
from benchmarks.fashion import PARTS, idx, png
from benchmarks.quality import DATA, ROOT, SEEDS, Opened, Task, normalized, opened
from benchmarks.result import Figure, Result, Table, no_data
from plumbline.commands.parameters import write_parameters
from plumbline.config import Config, load_config
from plumbline.config.runtime import count_threads
from plumbline.evaluation.baseline_predictions import predict_baselines
from plumbline.evaluation.metrics import score
from plumbline.kinds import DoubleArray, Part

TITLE = "Mixed tables of few rows"
ROWS, TEST_ROWS = 600, 1000  # a fifth of the first is left out, as `split` leaves out its test part
CLASSES = 6
WORDS = ("hem", "zip", "cuff", "sole", "strap", "collar", "lining", "buckle", "button", "seam")
# what suits tables, and was set before but for the batch, the shift and the trials
AS_TABLES: dict[str, Any] = {
    **{key: value for key, value in few_images.AS_TABLES.items() if key != "train.bag"},
    "model.name": "tabm_mini",
    "model.text.wide": True,
}
OURS: dict[str, dict[str, Any]] = {"plumbline": {}, "plumbline, fitted as tables": AS_TABLES}
PEERS = {"linear": "linear (scikit-learn)", "gradient_boosting": "gradient boosting (scikit-learn)"}


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Of n rows: images and their classes, two numbers, a category, messages."""

    images: list[bytes]
    kind: np.ndarray
    price: np.ndarray
    size: np.ndarray
    shop: np.ndarray
    note: list[str]


def order(c: Columns, rng: np.random.Generator) -> Any:
    """A bit of everything, and noise."""
    north = np.isin(c.shop, ["north", "east"])
    points = 1.0 * (c.price > 35) + c.kind % 2 + north + rng.normal(0, 0.5, len(c.kind))
    return np.where(points > 1.6, "returned", "kept")


def pair(c: Columns, rng: np.random.Generator) -> Any:
    """The image, of which the text says half."""
    return np.array([f"k{k}" for k in c.kind])


def value(c: Columns, rng: np.random.Generator) -> Any:
    """A sum of image, number and category, and noise."""
    return 3.0 * c.kind + 2 * c.size + 4 * (c.shop == "north") + rng.normal(0, 1.5, len(c.kind))


def curve(c: Columns, rng: np.random.Generator) -> Any:
    """The numbers alone, and noise."""
    a, b = c.price / 100, c.size / 20
    return 10 * np.sin(np.pi * a * b) + 3 * (c.shop == "east") + rng.normal(0, 1, len(c.kind))


TARGETS: dict[str, Callable[[Columns, np.random.Generator], Any]] = {
    "text, image and columns tell two classes": order,
    "image and text tell six classes": pair,
    "image and columns tell a number": value,
    "columns alone tell a number": curve,
}
LABELED = ("image and text tell six classes",)  # whose texts name a pair of classes


def run() -> Result:
    """Every contender on every table, as many at a time as there are cores."""
    if not DATA.is_dir():
        return no_data(TITLE)
    work = [(one, name, seed) for seed in range(SEEDS) for name in TARGETS for one in (*OURS, "")]
    reached: dict[tuple[str, str], list[float]] = {}
    cores = count_threads(load_config(ROOT / "params.yaml").runtime, 1)
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        for (_, name, seed), made in zip(work, pool.map(measured, work), strict=True):
            for label, result in made.items():
                reached.setdefault((name, label), []).append(result)
                print(name, label, seed, f"{result:.4f}", flush=True)
    labels = (*OURS, *PEERS.values())
    means = {key: statistics.mean(values) for key, values in reached.items()}
    return Result(
        title=TITLE,
        figures=[figure(name, means) for name in TARGETS],
        tables=[
            Table(
                title=f"{ROWS * 4 // 5} rows: mean ± spread of {SEEDS} seeds",
                columns=["what tells the target", "metric", *labels],
                rows=[
                    [name, metric_of(name), *(spread(reached[name, label]) for label in labels)]
                    for name in TARGETS
                ],
            )
        ],
        notes=[
            "plumbline: what `init` sets for such a table, no search, a bag of five networks",
            "fitted as tables: " + ", ".join(f"`{key}` {own}" for key, own in AS_TABLES.items()),
            "peers: the baselines of `evaluate` (numbers, one-hot categories, TF-IDF, pixels), "
            "which learn from the training rows alone",
        ],
    )


def metric_of(name: str) -> str:
    """What a table is scored by."""
    return "rmse" if TARGETS[name] in (value, curve) else "accuracy"


def figure(name: str, means: dict[tuple[str, str], float]) -> Figure:
    """How much better than the better peer."""
    sign = -1 if metric_of(name) == "rmse" else 1
    best = max(sign * means[name, peer] for peer in PEERS.values())
    gain = sign * means[name, "plumbline"] - best
    return Figure(
        name=f"{name}: {metric_of(name)} better than that of the better peer",
        reached=gain,
        unit="",
        target="≥ 0",
        holds=gain >= 0,
    )


def spread(values: list[float]) -> str:
    """Mean ± the distance of the largest from the smallest."""
    return f"{statistics.mean(values):.3f} ± {max(values) - min(values):.2g}"


def measured(work: tuple[str, str, int]) -> dict[str, float]:
    """The test score of one of ours, or of both peers, in a process of its own."""
    label, name, seed = work
    with tempfile.TemporaryDirectory() as folder:
        data, config = drawn(Path(folder), name, seed)
        task = normalized(replace(data, config=config.replace(OURS.get(label, {}))))
        made = {label: default(task, seed)} if label else peers(task)
    metric = metric_of(name)
    return {key: score(metric, task.test.y, one, task.spec.task) for key, one in made.items()}


def peers(task: Task) -> dict[str, DoubleArray]:
    """Predictions of the test rows by the baselines."""
    config = task.config.replace({"evaluate.baselines": list(PEERS)})
    made = predict_baselines(
        config, task.opened.table, task.schema, task.spec, task.train, {Part.TEST: task.test}
    )
    return {PEERS[key]: own[Part.TEST] for key, own in made.items()}


def drawn(folder: Path, name: str, seed: int) -> tuple[Opened, Config]:
    """A table, split as `split` does it, and the parameters that `init` writes for it."""
    rng = np.random.default_rng(seed)
    known = ROWS * 4 // 5
    columns = features(known + TEST_ROWS, name in LABELED, rng)
    table = pl.DataFrame(
        {
            "photo": columns.images,
            "price": columns.price,
            "size": columns.size,
            "shop": columns.shop,
            "note": columns.note,
            "label": TARGETS[name](columns, rng),
        }
    )
    files = [folder / "data.parquet", folder / "test.parquet"]
    for file, rows in zip(files, (table[:known], table[known:]), strict=True):
        rows.write_parquet(file)
    data = opened("mixed", files[0], files[1], "label", seed=seed)
    parameters = Path(shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml"))
    types = {column.name: column.type for column in data.schema.columns}
    write_parameters(parameters, replace(data.config.data, path="data/x", test_path=None), types)
    config = load_config(parameters).replace({"runtime.threads": 1})
    model = replace(config.model, number_embedding=data.config.model.number_embedding)
    return data, replace(config, data=data.config.data, model=model, seed=seed)


def features(n: int, labeled: bool, rng: np.random.Generator) -> Columns:
    """Args: labeled: whether four of five texts name the pair of classes of their image."""
    pixels, classes = idx(PARTS["train"])
    rows = rng.choice(np.flatnonzero(classes < CLASSES), n, replace=False)
    kind = classes[rows]
    lines = (DATA / "sms_spam" / "SMSSpamCollection").read_text(encoding="utf-8").splitlines()
    own = rng.integers(0, len(lines), n)
    ends = rng.random(n) < (0.8 if labeled else 0.5)
    words = rng.integers(0, 2, n) + 2 * (kind // 2 if labeled else kind % (len(WORDS) // 2))
    note = [
        " ".join([*lines[line].split("\t")[1].split()[:12], *([WORDS[word]] if named else [])])
        for line, word, named in zip(own, words, ends, strict=True)
    ]
    return Columns(
        images=[png(image) for image in pixels[rows]],
        kind=kind,
        price=np.round(rng.normal(20 + 5 * kind, 12), 2),
        size=np.round(rng.gamma(3, 2, n), 2),
        shop=rng.choice(["north", "south", "east", "west"], n),
        note=note,
    )
