"""Small made data: rows with something to learn, for every task."""

from __future__ import annotations

import base64
import contextlib
import csv
import gzip
import os
import re
import socket
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from plumbline import cli
from plumbline.config import Config, Paths
from plumbline.config.model import ModelConfig, TrainConfig
from plumbline.data.load import load_expectations
from plumbline.data.read import open_table
from plumbline.data.rows import write_rows
from plumbline.examples import Examples, Inputs, InputSpec, TargetSpec, TensorSpec
from plumbline.files import sha256, write_json
from plumbline.kinds import Task
from plumbline.preprocessing.arrays import write_examples

Done = subprocess.CompletedProcess[str]
CLASSES = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
SMALL: dict[str, Any] = {
    "width": 16,
    "token_width": 16,
    "depth": 1,
    "heads": 2,
    "members": 3,
    "embedding_dim": 4,
    "category_dim": 3,
    "frequencies": 4,
    "bins": 8,
    "number_embedding": "none",
}
RUNTIME: dict[str, Any] = {"threads": 1, "device": "cpu"}
SHORT: dict[str, Any] = {  # few epochs, without the extra fits of the verdict
    "epochs": 3,
    "batch_size": 16,
    "bag": 1,
    "learning_rate": 0.01,
    "learning_curve": [],
}


def unpacked(page: str) -> str:
    """The scripts of Evidently's page, which stand in it compressed."""
    packed = re.findall(r'<script type="application/gzip">(.*?)</script>', page)
    return "\n".join(gzip.decompress(base64.b64decode(one)).decode() for one in packed)


def text_tensor(number: int = 0, *, length: int = 6, tokens: int = 30) -> TensorSpec:
    """A text column t0, t1, … as the preprocessor describes it."""
    return TensorSpec(
        name=f"text_{number}",
        kind="text",
        dtype="int64",
        shape=(length,),
        features=tuple(f"t{number}[{k}]" for k in range(length)),
        sources=(f"t{number}",) * length,
        details={"tokens": tokens},
    )


def made_texts(tensor: TensorSpec, n: int, seed: int = 0) -> Any:
    """(n, length) ids of texts of all lengths, the empty one and the longest among them."""
    rng = np.random.default_rng(seed)
    (length,) = tensor.shape
    assert length is not None
    ids = rng.integers(1, tensor.details["tokens"], (n, length))
    count = rng.permutation(np.arange(n) % (length + 1))
    return np.where(np.arange(length) < count[:, None], ids, 0)


def image_tensor(number: int = 0, shape: tuple[int, int, int] = (3, 9, 8)) -> TensorSpec:
    """An image column i0, i1, … as the preprocessor describes it."""
    channels = shape[0]
    return TensorSpec(
        name=f"image_{number}",
        kind="image",
        dtype="uint8",
        shape=shape,
        features=tuple(f"i{number}[{k}]" for k in range(channels)),
        sources=(f"i{number}",) * channels,
        details={"mean": [120.0] * channels, "deviation": [50.0] * channels},
    )


def made_images(tensor: TensorSpec, n: int, seed: int = 0) -> Any:
    """(n, C, H, W) bytes; the third row's image is missing."""
    made = np.random.default_rng(seed).integers(1, 256, (n, *tensor.shape), dtype=np.uint8)
    made[2:3] = 0
    return made


def made_spec(
    task: Task = Task.BINARY,
    *,
    numbers: int = 3,
    cardinalities: tuple[int, ...] = (4, 3),
    texts: int = 0,
    images: int = 0,
) -> InputSpec:
    """Columns n0, n1, … and c0, c1, … and t0, t1, … and i0, i1, …"""
    num = tuple(f"n{i}" for i in range(numbers))
    cat = tuple(f"c{i}" for i in range(len(cardinalities)))
    made = spec_of(
        task=task,
        num_names=num,
        cat_names=cat,
        cardinalities=cardinalities,
        classes=CLASSES[task],
    )
    more = [*map(text_tensor, range(texts)), *map(image_tensor, range(images))]
    return replace(made, tensors=(*made.tensors, *more))


def spec_of(
    *,
    task: Task,
    num_names: tuple[str, ...] = (),
    cat_names: tuple[str, ...] = (),
    num_sources: tuple[str, ...] | None = None,
    cat_sources: tuple[str, ...] | None = None,
    cardinalities: tuple[int, ...] = (),
    classes: tuple[str, ...] = (),
    num_plain: tuple[str, ...] = (),
) -> InputSpec:
    """Numbers and categories as the preprocessor names them."""
    num = TensorSpec(
        name="num",
        kind="numbers",
        dtype="float32",
        shape=(len(num_names),),
        features=num_names,
        sources=num_names if num_sources is None else num_sources,
        plain=num_plain,
    )
    cat = TensorSpec(
        name="cat",
        kind="categories",
        dtype="int64",
        shape=(len(cat_names),),
        features=cat_names,
        sources=cat_names if cat_sources is None else cat_sources,
        cardinalities=cardinalities,
    )
    return InputSpec(
        tensors=tuple(tensor for tensor in (num, cat) if tensor.features),
        target=TargetSpec(task=task, classes=classes),
    )


def tensor(spec: InputSpec, name: str) -> TensorSpec:
    """A tensor of a spec; one without features where there is none."""
    result = [own for own in spec.tensors if own.name == name]
    empty = TensorSpec(name=name, kind="", dtype="float32", shape=(0,), features=(), sources=())
    return result[0] if result else empty


def inputs_of(num: Any = None, cat: Any = None) -> dict[str, Any]:
    """Tensors of numbers and categories, where there are any."""
    given = {"num": num, "cat": cat}
    return {k: v for k, v in given.items() if v is not None and v.shape[1]}


def as_tensors(inputs: Inputs) -> dict[str, torch.Tensor]:
    """What a model is called with: `model(**as_tensors(rows.inputs))`."""
    return {name: torch.tensor(array) for name, array in inputs.items()}


def block(examples: Examples, name: str) -> Any:
    """A tensor of examples; (n, 0) where there is none of that name."""
    return examples.inputs.get(name, np.empty((len(examples.rows), 0)))


def examples_of(*, num: Any = None, cat: Any = None, y: Any, rows: Any, weight: Any) -> Examples:
    """Examples of numbers and categories."""
    return Examples(inputs=inputs_of(num, cat), y=y, rows=rows, weight=weight)


def made_examples(spec: InputSpec, n: int, seed: int = 0, *, noise: float = 0.3) -> Examples:
    """Rows whose target follows from all columns, linearly, with some noise."""
    rng = np.random.default_rng(seed)
    numbers = sum(len(tensor.features) for tensor in spec.of_kind("numbers"))
    cardinalities = [k for tensor in spec.of_kind("categories") for k in tensor.cardinalities]
    num = rng.normal(size=(n, numbers)).astype(np.float32)
    cat = np.empty((n, len(cardinalities)), dtype=np.int64)
    for j, k in enumerate(cardinalities):
        cat[:, j] = rng.integers(0, k, n)
    signal = num.sum(axis=1) + (cat % 2).sum(axis=1) - 0.5 * cat.shape[1]
    signal = signal + noise * rng.normal(size=n)
    y: Any
    if spec.task == Task.REGRESSION:
        y = (50 + 10 * signal).astype(np.float32)
    elif spec.task == Task.BINARY:
        y = (signal > 0).astype(np.int64)
    else:
        y = np.digitize(signal, [-0.8, 0.8]).astype(np.int64)
    made = examples_of(
        num=num,
        cat=cat,
        y=y,
        rows=np.arange(n, dtype=np.int64),
        weight=np.ones(n, dtype=np.float32),
    )
    texts = {tensor.name: made_texts(tensor, n, seed) for tensor in spec.of_kind("text")}
    images = {tensor.name: made_images(tensor, n, seed) for tensor in spec.of_kind("image")}
    return replace(made, inputs={**made.inputs, **texts, **images})


def small_model(name: str = "mlp", **more: Any) -> ModelConfig:
    """A model that fits in a moment."""
    return ModelConfig(name=name, **{**SMALL, **more})  # type: ignore[arg-type]


def short_fit(**more: Any) -> TrainConfig:
    """`SHORT`, with other values where given."""
    return TrainConfig(**{**SHORT, **more})


def made_checkout(
    folder: Path,
    spec: InputSpec,
    *,
    model: dict[str, Any] | None = None,
    train: dict[str, Any] | None = None,
    rows: tuple[int, int] = (200, 80),
    **sections: Any,
) -> Paths:
    """A folder in which `plumbline train` runs: params.yaml and what normalize and tune write."""
    paths = Paths(folder)
    parts = {"train": made_examples(spec, rows[0], 1), "val": made_examples(spec, rows[1], 2)}
    for part, made in parts.items():
        write_examples(paths.prepared / part, made)
    write_json(paths.prepared / "spec.json", spec.to_json())
    write_json(paths.prepared / "preprocessor.json", {"made": True})
    write_params(paths, spec, model=model, train=train, **sections)
    return paths


def write_table(config: Config, paths: Paths) -> None:
    """What validate leaves to the other stages: the rows of the data, typed."""
    schema = load_expectations(paths.expectations, config.data).schema
    table = open_table(config.data, schema, paths.root)
    paths.table.mkdir(parents=True, exist_ok=True)
    write_rows(
        paths.table,
        table.frame,
        schema,
        test_rows=table.test_rows,
        max_memory_mb=config.data.max_memory_mb,
    )


def write_params(
    paths: Paths,
    spec: InputSpec,
    *,
    model: dict[str, Any] | None = None,
    train: dict[str, Any] | None = None,
    **sections: Any,
) -> None:
    """params.yaml of small model and short fit, with other values where given."""
    data = {"name": "made", "path": "data/made.csv", "task": str(spec.task), "target": "y"}
    raw = {
        "seed": 0,
        "data": data,
        "model": {"name": "mlp", **SMALL, **(model or {})},
        "tune": {"trials": 0},
        "train": {**SHORT, **(train or {})},
        **sections,
        "runtime": {**RUNTIME, **sections.get("runtime", {})},
    }
    paths.params.write_text(yaml.safe_dump(raw, sort_keys=False))


def plumbline(folder: Path, *arguments: str, seconds: float = 300, **more: str) -> Done:
    """Run the command line in a folder, as a user would."""
    environment = {**os.environ, **more}
    return subprocess.run(
        [sys.executable, "-m", "plumbline", *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def plumbline_here(folder: Path, *arguments: str) -> int:
    """The same in this process, which has the libraries imported already; returns the exit code."""
    with contextlib.chdir(folder), warnings.catch_warnings():
        return cli.main(arguments)


def outputs(paths: Paths) -> dict[str, str]:
    """The hash of every file that training wrote."""
    folders = (paths.model, paths.reports / "training")
    return {
        str(file.relative_to(paths.root)): sha256(file)
        for folder in folders
        for file in sorted(folder.iterdir())
    }


def curves(paths: Paths) -> list[dict[str, float]]:
    """What training wrote of each epoch."""
    with (paths.reports / "training" / "curves.csv").open() as file:
        return [{k: float(v) for k, v in line.items()} for line in csv.DictReader(file)]


def open_to_others(folder: Path) -> None:
    """Let other users into a folder of pytest's: PostgreSQL, started by root, runs as one."""
    for one in (folder, *folder.parents):  # one more with workers than without
        one.chmod(0o755)
        if one.name.startswith("pytest-of-"):
            return


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
