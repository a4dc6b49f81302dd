"""Networks fitted side by side, in processes, are those fitted one after the other: for every
backbone, text encoder and image encoder, to the byte, as each has as many threads either way."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from safetensors.numpy import load_file
from tests.made import small_model, write_table

from plumbline.config import Config, Paths
from plumbline.config.image import ImageEncoderConfig
from plumbline.config.load import parse_config
from plumbline.config.model import TextEncoderConfig
from plumbline.models import MODELS
from plumbline.models.image import IMAGE_ENCODERS
from plumbline.models.text import TEXT_ENCODERS
from plumbline.stages import networks, normalize, split
from plumbline.stages.criterion import criterion_of
from plumbline.stages.inputs import load_spec
from plumbline.training.bag import network_checkpoints
from plumbline.training.checkpoint import FILE, Checkpoints
from plumbline.training.cross_validation import Fold, fit_beside, score_folds
from plumbline.training.distributed import SINGLE_PROCESS, World
from plumbline.training.fold_processes import FoldProcesses, Turn

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS, NETWORKS = 90, 2
CHOICES = [
    *(("name", name) for name in MODELS),
    *(("text", name) for name in TEXT_ENCODERS),
    *(("image", name) for name in IMAGE_ENCODERS),
]
CRITERION = criterion_of("roc_auc")
every_choice = pytest.mark.parametrize("choice", CHOICES, ids="-".join)
Checkout = tuple[Config, Paths]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A number, a category, a text and an image, prepared for a bag."""
    paths, rng = Paths(tmp_path_factory.mktemp("cells")), np.random.default_rng(0)
    paths.data.mkdir(parents=True)
    y = rng.integers(0, 2, ROWS)
    words = rng.choice(["late", "warm", "blue", "tall", "kind"], (ROWS, 3))
    columns = {
        "x": y + rng.normal(size=ROWS),
        "kind": rng.choice(["a", "b"], ROWS),
        "note": [" ".join(own) for own in words],
        "photo": [png(pixels) for pixels in rng.integers(0, 256, (ROWS, 8, 8), np.uint8)],
        "y": np.where(y == 1, "yes", "no").tolist(),
    }
    pl.DataFrame(columns, schema_overrides={"photo": pl.Binary}).write_parquet(
        paths.data / "rows.parquet"
    )
    paths.expectations.write_text(
        "columns:\n  x: {type: number}\n  kind: {type: category}\n  note: {type: text}\n"
        "  photo: {type: image}\n"
        "  y: {type: category, role: target, values: {only: ['no', 'yes']}}\n"
    )
    data = {"name": "t", "path": "data/rows.parquet", "target": "y", "task": "binary"}
    config = parse_config(
        {
            "seed": 0,
            "data": {**data, "positive": "yes", "format": {"type": "parquet"}},
            "model": {"name": "mlp"},
            "tune": {"trials": 0, "epochs": 2},
            "train": {"bag": NETWORKS, "epochs": 2, "batch_size": 16, "learning_rate": 0.01},
            "runtime": {"threads": 1},
        }
    )
    write_table(config, paths)
    split.run(config, paths), normalize.run(config, paths)
    return config, paths


def png(pixels: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def chosen(config: Config, choice: tuple[str, str]) -> Config:
    section, name = choice
    model: dict[str, Any] = {
        "name": "mlp",
        "text": TextEncoderConfig(width=8, embedding_dim=8),
        "image": ImageEncoderConfig(width=8),
    }
    if section == "name":
        model["name"] = name
    else:
        model[section] = dataclasses.replace(model[section], encoder=name)
    data = dataclasses.replace(config.data, name="-".join(choice))
    return dataclasses.replace(config, data=data, model=small_model(dropout=0.1, **model))


def fitted(checkpoints: Checkpoints) -> list[dict[str, bytes]]:
    """Everything that moved while the networks were fitted: weights, moments, random states."""
    files = [network_checkpoints(checkpoints, k).folder / FILE for k in range(NETWORKS)]
    return [{name: tensor.tobytes() for name, tensor in load_file(file).items()} for file in files]


@pytest.fixture(scope="module")
def beside(checkout: Checkout) -> Iterator[tuple[FoldProcesses, Checkpoints]]:
    """Two processes that fit the networks of a bag, one each, and where they leave them."""
    _, paths = checkout
    checkpoints = Checkpoints(folder=paths.state / "beside")
    given = [(paths, checkpoints, network) for network in range(NETWORKS)]
    fit = networks.fit_beside
    with FoldProcesses(fit, given, SINGLE_PROCESS, count=NETWORKS, threads=1) as processes:
        yield processes, checkpoints


@every_choice
def test_a_bag(
    choice: tuple[str, str], checkout: Checkout, beside: tuple[FoldProcesses, Checkpoints]
) -> None:
    config, paths = checkout
    config, spec = chosen(config, choice), load_spec(paths)
    first, here = networks.load_fold(config, paths, spec), Checkpoints(folder=paths.state / "here")
    fits = networks.fit_networks(config, paths, spec, first, SINGLE_PROCESS, here)
    assert all(len(fit.fresh.fitted.history) == 2 for fit in fits)

    processes, there = beside
    turn, ended = Turn(config, NETWORKS), set[int]()
    with processes.helping(turn):
        while len(ended) < NETWORKS:
            if (outcome := turn.wait()) is not None:
                ended.add(outcome[0])
    assert fitted(there) == fitted(here)
    assert fitted(here)[0] != fitted(here)[1]
    here.remove(), there.remove()


def fit_noted(config: Config, given: Any, world: World, after_epoch: Callable[[], None]) -> float:
    """In the other process: fit, and leave a file that says so."""
    fold, folder = given
    score = fit_beside(config, (fold, CRITERION), world, after_epoch)
    (folder / config.data.name).touch()
    return score


@dataclass
class Waiting:
    """Told of a trial: holds its first fold until the other process has fitted one."""

    file: Path

    def epoch(self, epoch: int, value: float) -> None:
        until = time.monotonic() + 60
        while not self.file.exists():
            assert time.monotonic() < until
            time.sleep(0.005)

    def fold(self, number: int, scores: list[float]) -> None: ...
    def check_time(self) -> None: ...


@pytest.fixture(scope="module")
def folds(checkout: Checkout) -> list[Fold]:
    config, paths = checkout
    return [networks.load_fold(config, paths, load_spec(paths), k) for k in range(NETWORKS)]


@pytest.fixture(scope="module")
def other(checkout: Checkout, folds: list[Fold]) -> Iterator[FoldProcesses]:
    given = [(fold, checkout[1].root) for fold in folds]
    with FoldProcesses(fit_noted, given, SINGLE_PROCESS, count=1, threads=1) as processes:
        yield processes


@every_choice
def test_folds_of_a_trial(
    choice: tuple[str, str], checkout: Checkout, folds: list[Fold], other: FoldProcesses
) -> None:
    config = chosen(checkout[0], choice)
    file = checkout[1].root / config.data.name

    def scores(beside: FoldProcesses | None) -> list[float]:
        return score_folds(config, folds, CRITERION, Waiting(file), SINGLE_PROCESS, beside)

    apart = scores(other)
    assert apart == scores(None) and len(apart) == NETWORKS
