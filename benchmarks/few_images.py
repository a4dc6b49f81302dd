"""Few images: what `init` sets for them, beside what suits tables and pixels in scikit-learn.

Subsets of Fashion-MNIST (`PLUMBLINE_TEST_DATA`), drawn evenly from its classes, and scikit-learn's
digits of 8 × 8 pixels. A fifth of so many images is left out, as `split` leaves out its test part;
scored are 2,000 of the official test part, or the digits that no subset has.
`PLUMBLINE_BENCH_SEEDS` (3) is the number of subsets of each size.
"""

from __future__ import annotations

import multiprocessing
import shutil
import statistics
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.defaults import default
from benchmarks.fashion import PARTS, idx, on_pixels, png
from benchmarks.quality import DATA, ROOT, SEEDS, Opened, normalized, opened
from benchmarks.result import Figure, Result, Table, no_data
from plumbline.commands.parameters import write_parameters
from plumbline.config import Config, load_config
from plumbline.config.runtime import count_threads
from plumbline.evaluation.metrics import score
from plumbline.kinds import ByteArray, IntArray

SIZES = {"Fashion-MNIST": (100, 300, 1000, 3000), "digits": (200, 600, 1400)}
TEST_ROWS = 2000  # of Fashion-MNIST
LEVEL, AHEAD = 300, 1000  # images at which the network is not behind the linear model, and ahead
# what suits tables, and was set for images but for the batch and the shift
AS_TABLES: dict[str, Any] = {
    "model.depth": 2,
    "train.learning_rate": 1.5e-3,
    "train.schedule": "constant",
    "train.epochs": 100,
    "train.patience": 16,
    "train.keep": "best",
    "train.augment.mixup": 0.0,
    "train.bag": 1,
}
OURS: dict[str, dict[str, Any]] = {
    "plumbline": {},
    "one network of it": {"train.bag": 1},
    "one network, fitted as of tables": AS_TABLES,
}
PEERS = ("linear on pixels", "gradient boosting on pixels")
Subset = tuple[str, int, int]  # name of the set, images, seed


def run() -> Result:
    """Every contender on every subset, as many at a time as there are cores."""
    if not DATA.is_dir():
        return no_data("Few images")
    subsets = [(name, n) for name, sizes in SIZES.items() for n in sizes]
    contenders = (*OURS, *PEERS)
    work = [(c, (*subset, seed)) for seed in range(SEEDS) for c in contenders for subset in subsets]
    reached: dict[tuple[str, str, int], list[float]] = {}
    cores = count_threads(load_config(ROOT / "params.yaml").runtime, 1)
    with ProcessPoolExecutor(cores, multiprocessing.get_context("spawn")) as pool:
        for (label, (name, n, seed)), value in zip(work, pool.map(accuracy, work), strict=True):
            reached.setdefault((label, name, n), []).append(value)
            print(label, name, n, seed, f"{value:.4f}", flush=True)
    means = {key: statistics.mean(values) for key, values in reached.items()}
    return Result(
        title="Few images",
        figures=[_figure(means, LEVEL, "≥ 0"), _figure(means, AHEAD, "> 0")],
        tables=[_table(name, sizes, reached) for name, sizes in SIZES.items()],
        notes=[
            "plumbline: what `init` sets for a folder of images, no search; up to 1,000 training "
            "and validation images that is a bag of five networks, above one",
            "fitted as of tables: "
            + ", ".join(f"`{name}` {value}" for name, value in AS_TABLES.items()),
            "peers learn from training and validation images together, standardized; defaults of "
            "scikit-learn, with 300 iterations of the linear model at most",
        ],
    )


def _figure(means: Mapping[tuple[str, str, int], float], n: int, target: str) -> Figure:
    name = "Fashion-MNIST"
    gain = means["plumbline", name, n] - means[PEERS[0], name, n]
    return Figure(
        name=f"{n:,} images of Fashion-MNIST: accuracy above that of the linear model",
        reached=gain,
        unit="",
        target=target,
        holds=gain >= 0 if target == "≥ 0" else gain > 0,
    )


def _table(
    name: str, sizes: Sequence[int], reached: Mapping[tuple[str, str, int], list[float]]
) -> Table:
    rows = []
    for label in (*OURS, *PEERS):
        cells = []
        for n in sizes:
            values = reached[label, name, n]
            apart = f" ± {statistics.stdev(values):.3f}" if len(values) > 1 else ""
            cells.append(f"{statistics.mean(values):.3f}{apart}")
        rows.append([label, *cells])
    title = f"{name}: accuracy by the number of images, mean and deviation of {SEEDS} subsets"
    return Table(title=title, columns=["", *(f"{n:,}" for n in sizes)], rows=rows)


def accuracy(work: tuple[str, Subset]) -> float:
    """Of one contender on one subset, in a process of its own."""
    label, (name, n, seed) = work
    with tempfile.TemporaryDirectory() as folder:
        data, config = drawn(Path(folder), name, n, seed)
        task = normalized(replace(data, config=config.replace(OURS.get(label, {}))))
        prediction = default(task, seed) if label in OURS else on_pixels(peer(label), task)
    return score("accuracy", task.test.y, prediction, task.spec.task)


def peer(label: str) -> Any:
    """A model of standardized pixels."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    models = {
        PEERS[0]: LogisticRegression(max_iter=300),
        PEERS[1]: HistGradientBoostingClassifier(random_state=0),
    }
    return make_pipeline(StandardScaler(), models[label])


def drawn(folder: Path, name: str, n: int, seed: int) -> tuple[Opened, Config]:
    """A subset, split as `split` does it, and the parameters that `init` writes for it."""
    known, test = DRAW[name](n, seed)
    files = [folder / "data.parquet", folder / "test.parquet"]
    for file, (pixels, classes) in zip(files, (known, test), strict=True):
        cells = {"image": [png(x) for x in pixels], "label": [f"c{c}" for c in classes]}
        pl.DataFrame(cells).write_parquet(file)
    data = opened("images", files[0], files[1], "label", seed=seed)
    parameters = Path(shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml"))
    columns = {column.name: column.type for column in data.schema.columns}
    write_parameters(parameters, replace(data.config.data, path="data/x", test_path=None), columns)
    config = load_config(parameters).replace({"runtime.threads": 1})
    return data, replace(config, data=data.config.data, seed=seed)


Images = tuple[ByteArray, IntArray]


def fashion(n: int, seed: int) -> tuple[Images, Images]:
    """Subset and test images."""
    pixels, classes = idx(PARTS["train"])
    chosen = pick(classes, n, seed)
    test, truth = idx(PARTS["test"])
    return (pixels[chosen], classes[chosen]), (test[:TEST_ROWS], truth[:TEST_ROWS])


def digits(n: int, seed: int) -> tuple[Images, Images]:
    """Subset and the digits that the largest leaves."""
    from sklearn.datasets import load_digits

    images, classes = load_digits(return_X_y=True)
    pixels = (images.reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    most = pick(classes, max(SIZES["digits"]), seed)
    chosen = most[pick(classes[most], n, seed)]
    rest = np.setdiff1d(np.arange(len(classes)), most)
    return (pixels[chosen], classes[chosen]), (pixels[rest], classes[rest])


DRAW = {"Fashion-MNIST": fashion, "digits": digits}


def pick(classes: IntArray, n: int, seed: int) -> IntArray:
    """Four fifths of n rows, drawn evenly from the classes."""
    rng = np.random.default_rng([seed, n])
    turn = np.empty(len(classes))  # of each row within its class
    for k in np.unique(classes):
        own = rng.permutation(np.flatnonzero(classes == k))
        turn[own] = np.arange(len(own)) + rng.random(len(own))
    return np.sort(np.argsort(turn)[: n * 4 // 5])
