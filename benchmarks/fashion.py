"""Fashion-MNIST as images: accuracy and minutes beside pixels in scikit-learn, and what a network
fitted on one half of the classes brings to the other.

Needs real data (`PLUMBLINE_TEST_DATA`): fashion_mnist. `PLUMBLINE_BENCH_SEEDS` (3) is the number of
seeds of the second; the first has one.
"""

from __future__ import annotations

import dataclasses
import gzip
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from PIL import Image

from benchmarks.quality import DATA, SEEDS, Task, normalized, opened
from benchmarks.result import Figure, Result, Table, no_data, together
from plumbline.config.model import ModelName, TrainConfig
from plumbline.config.runtime import count_threads
from plumbline.evaluation.metrics import METRICS, all_scores, score
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import ByteArray, DoubleArray, IntArray
from plumbline.training.build import FreshFit, fit_fresh
from plumbline.training.device import set_up
from plumbline.training.distributed import CPU
from plumbline.training.loop import predict
from plumbline.training.transfer import Start

MINUTES = 10  # in which the images are to be learned
WANTED = 0.93  # accuracy there
PARTS = {"train": "train", "test": "t10k"}  # of Fashion-MNIST
MODEL: ModelName = "mlp"  # this and the next as `init` sets them for a folder of images
DEPTH, SHIFT, MIXUP = 0, 0.1, 0.2
SETTINGS = {
    "learning_rate": 0.001,
    "batch_size": 32,
    "schedule": "cosine",
    "patience": 0,
    "keep": "last",
}
FLIP = 0.5
# of `train`, where all images are learned in few epochs
WHOLE = {
    "precision": "bf16",
    "epochs": 20,
    "batch_size": 64,
    "schedule": "onecycle",
    "learning_rate": 0.004,
    "weight_decay": 0.05,
}
WHOLE_SHIFT = 0.04  # a pixel

# of the transfer: classes of the first network, its images and epochs, images of the second
FIRST = range(5)
FIRST_IMAGES, FIRST_EPOCHS = 10_000, 6
FEW, FEW_TO_STOP = 50, 10  # per class, of them for choosing the epoch
FEW_ROWS = {"epochs": 50}  # of `train`


def run() -> Result:
    """Both."""
    if not DATA.is_dir():
        return no_data("Images")
    task = prepared()
    return together("Images", [whole(task), transfer(task)])


def prepared() -> Task:
    """Fashion-MNIST as PNG files in Parquet, with its official test part."""
    with tempfile.TemporaryDirectory() as name:
        files = {part: Path(name) / f"{part}.parquet" for part in PARTS}
        for part, file in files.items():
            pixels, classes = idx(PARTS[part])
            frame = {"image": [png(x) for x in pixels], "label": [f"c{c}" for c in classes]}
            pl.DataFrame(frame).write_parquet(file)
        return normalized(opened("fashion_mnist", files["train"], files["test"], "label"))


def fit(
    task: Task,
    spec: InputSpec,
    train: Examples,
    val: Examples,
    seed: int,
    *,
    shift: float = SHIFT,
    settings: Mapping[str, Any],
    **options: Any,
) -> tuple[FreshFit, TrainConfig]:
    """What `init` sets for images but for `settings` of `train`; what a search would choose is the
    center of its range."""
    config = task.config
    model = replace(config.model, name=MODEL, depth=DEPTH)
    augment = replace(config.train.augment, flip=FLIP, shift=shift, mixup=MIXUP)
    own = {**SETTINGS, **settings}
    config_of_fit = replace(config.train, augment=augment, **own)
    set_up(CPU, count_threads(config.runtime, 1))
    fresh = fit_fresh(
        model,
        config_of_fit,
        spec,
        train,
        val,
        seed=seed,
        score=lambda y, p: score("accuracy", y, p, spec.task),
        greater_is_better=METRICS["accuracy"].greater_is_better,
        **options,
    )
    return fresh, config_of_fit


def whole(task: Task) -> Result:
    """All ten classes: accuracy on the official test part, and the time to reach it."""
    rows, seconds = [], {}
    for label, learn in {
        "plumbline": network,
        "linear on pixels (scikit-learn)": linear,
        "MLPClassifier on pixels (scikit-learn)": mlp,
    }.items():
        begun = time.perf_counter()
        scores = all_scores(task.test.y, learn(task, 0), task.spec.task)
        seconds[label] = time.perf_counter() - begun
        rows.append([label, *(f"{scores[m]:.4f}" for m in ("accuracy", "log_loss"))])
        rows[-1].append(f"{seconds[label]:.0f}")
        print(rows[-1], flush=True)
    reached, minutes = float(rows[0][1]), seconds["plumbline"] / 60
    return Result(
        title="",
        figures=[
            Figure(
                name="Fashion-MNIST, official test part: accuracy",
                reached=reached,
                unit="",
                target=f"≥ {WANTED}",
                holds=reached >= WANTED,
            ),
            Figure(
                name="Fashion-MNIST: fit and prediction of the test part",
                reached=minutes,
                unit="min",
                target=f"≤ {MINUTES} min",
                holds=minutes <= MINUTES,
            ),
        ],
        tables=[
            Table(
                title=f"Fashion-MNIST: {len(task.train):,} training, {len(task.val):,} validation, "
                f"{len(task.test):,} test images",
                columns=["model", "accuracy", "log loss", "seconds"],
                rows=rows,
            )
        ],
        notes=[
            "Fashion-MNIST: what `init` sets for images but for "
            + ", ".join(f"`train.{name}` {value}" for name, value in WHOLE.items())
            + f", `train.augment.flip` {FLIP} and `train.augment.shift` {WHOLE_SHIFT}; the peers "
            "learn from training and validation images together",
        ],
    )


def network(task: Task, seed: int) -> DoubleArray:
    """plumbline's."""
    fresh, settings = fit(
        task, task.spec, task.train, task.val, seed, shift=WHOLE_SHIFT, settings=WHOLE
    )
    return predict(fresh.fitted.model, task.test, task.spec.task, settings, target=fresh.target)


def linear(task: Task, seed: int) -> DoubleArray:
    """Multinomial regression on standardized pixels."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return on_pixels(make_pipeline(StandardScaler(), LogisticRegression(max_iter=100)), task)


def mlp(task: Task, seed: int) -> DoubleArray:
    """scikit-learn's at its defaults, on standardized pixels, stopped by rows of its own."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    network = MLPClassifier((256, 256), early_stopping=True, random_state=seed)
    return on_pixels(make_pipeline(StandardScaler(), network), task)


def on_pixels(model: Any, task: Task) -> DoubleArray:
    """Fitted on all images that are not the test part's."""
    known = [task.train, task.val]
    x = np.concatenate([flat(part) for part in known])
    y = np.concatenate([part.y for part in known])
    return np.asarray(model.fit(x, y).predict_proba(flat(task.test)), dtype=np.float64)


def flat(part: Examples) -> DoubleArray:
    """Pixels side by side."""
    (tensor,) = part.inputs.values()
    return np.asarray(tensor, dtype=np.float64).reshape(len(part), -1)


def idx(part: str) -> tuple[ByteArray, IntArray]:
    """Images (n, 28, 28) and classes (n,) as published."""
    folder = DATA / "fashion_mnist"
    pixels = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    classes = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    images = np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 28, 28)
    return images, np.frombuffer(classes, np.uint8, offset=8).astype(np.int64)


def png(pixels: ByteArray) -> bytes:
    """A file of one image."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


# -- transfer


def transfer(task: Task) -> Result:
    """A network of the first classes, fitted further on few images of the others."""
    others = [k for k in range(len(task.spec.target.classes)) if k not in FIRST]
    spec, (train, val) = of_classes(task, FIRST, [task.train, task.val])
    first, _ = fit(
        task,
        spec,
        train.take(slice(FIRST_IMAGES)),
        val,
        0,
        settings={"epochs": FIRST_EPOCHS},
    )
    start = Start(
        source="the first classes",
        model=dataclasses.asdict(replace(task.config.model, name=MODEL, depth=DEPTH)),
        spec=spec,
        learned=first.learned,
        weights={name: tensor.numpy() for name, tensor in first.fitted.weights.items()},
        labels={},
    )
    spec, (train, test) = of_classes(task, others, [task.train, task.test])
    reached: dict[str, list[float]] = {"from the network": [], "from nothing": []}
    for seed in range(SEEDS):
        few, _ = pick(train, FEW, seed)
        stop, learn = pick(few, FEW_TO_STOP, seed)
        for words, begin in zip(reached, (start, None), strict=True):
            fresh, settings = fit(task, spec, learn, stop, seed, start=begin, settings=FEW_ROWS)
            got = predict(fresh.fitted.model, test, spec.task, settings, target=fresh.target)
            reached[words].append(score("accuracy", test.y, got, spec.task))
            print(words, seed, reached[words][-1], flush=True)
    with_it, without = (statistics.mean(values) for values in reached.values())
    return Result(
        title="",
        figures=[
            Figure(
                name=f"{FEW} images of each of {len(others)} new classes: accuracy above that from "
                "nothing",
                reached=with_it - without,
                unit="",
                target="> 0",
                holds=with_it > without,
            )
        ],
        tables=[
            Table(
                title=f"{FEW} images of each of {len(others)} classes, {len(test):,} test images",
                columns=["model", "accuracy", "per seed"],
                rows=[
                    [words, f"{statistics.mean(v):.4f}", ", ".join(f"{x:.4f}" for x in v)]
                    for words, v in reached.items()
                ],
            )
        ],
        notes=[
            f"the first network: {FIRST_IMAGES:,} images of {len(FIRST)} other classes, "
            f"{FIRST_EPOCHS} epochs; then "
            + ", ".join(f"`train.{name}` {value}" for name, value in FEW_ROWS.items())
            + f"; {FEW_TO_STOP} of the {FEW} images are kept for validation"
        ],
    )


def of_classes(
    task: Task, classes: Sequence[int], parts: Sequence[Examples]
) -> tuple[InputSpec, list[Examples]]:
    """The rows of some classes, numbered anew."""
    names = tuple(task.spec.target.classes[k] for k in classes)
    spec = replace(task.spec, target=replace(task.spec.target, classes=names))
    number = {k: new for new, k in enumerate(classes)}
    kept = [part.take(np.isin(part.y, list(classes))) for part in parts]
    return spec, [replace(part, y=np.array([number[int(k)] for k in part.y])) for part in kept]


def pick(part: Examples, count: int, seed: int) -> tuple[Examples, Examples]:
    """So many rows of each class, drawn; and the others."""
    rng = np.random.default_rng([seed, count])
    drawn = [rng.permutation(np.flatnonzero(part.y == k))[:count] for k in np.unique(part.y)]
    chosen = np.sort(np.concatenate(drawn))
    return part.take(chosen), part.take(np.setdiff1d(np.arange(len(part)), chosen))
