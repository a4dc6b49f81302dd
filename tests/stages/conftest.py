"""A finished model in a folder: prepared examples, bundle, decision, for stages after training."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.made import examples_of, small_model, spec_of

from plumbline.config import Config, Paths
from plumbline.config.data import DataConfig
from plumbline.config.evaluation import ExplainConfig
from plumbline.examples import Examples, InputSpec
from plumbline.export.onnx_graph import to_onnx
from plumbline.export.weights_file import without_weights
from plumbline.files import write_json
from plumbline.kinds import Task
from plumbline.models import build_model
from plumbline.models.target import TargetTransform
from plumbline.preprocessing.arrays import write_examples
from plumbline.store.bundle import load_bundle, save_bundle

Finished = Callable[..., tuple[Config, Paths]]
CLASSES = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
ROWS = {"train": 120, "val": 30, "test": 40}


@pytest.fixture
def finished(tmp_path: Path) -> Finished:
    """A function that writes the outputs of normalize, train and evaluate for a task."""

    def make(task: Task = Task.BINARY, model: str = "mlp", **rows: int) -> tuple[Config, Paths]:
        paths = Paths(tmp_path)
        spec = _spec(task)
        start = 0
        for part, count in {**ROWS, **rows}.items():
            write_examples(paths.prepared / part, _examples(spec, count, start))
            start += count
        write_json(paths.prepared / "spec.json", spec.to_json())
        _bundle(paths, spec, model)
        write_json(paths.decision / "decision.json", {"temperature": 1.5, "threshold": None})
        data = DataConfig(name="made", path="data/made.csv", task=task, target="y")
        config = Config(
            seed=7,
            data=data,
            explain=ExplainConfig(
                rows=20, background=15, lime_rows=2, lime_samples=200, faithfulness_rows=10
            ),
        )
        return config, paths

    return make


@pytest.fixture
def evaluated(finished: Finished, graphs: dict[str, bytes]) -> Finished:
    """As `finished`, with the graph that `evaluate` makes."""

    def make(*args: Any, **more: Any) -> tuple[Config, Paths]:
        config, paths = finished(*args, **more)
        bundle = load_bundle(paths.model)
        key = f"{bundle.spec.task} {bundle.config.name}"
        if key not in graphs:  # of the same weights, whatever the rows
            graph = to_onnx(
                bundle.model, bundle.spec, target=bundle.target, temperature=1.5, opset=18
            )
            graphs[key] = without_weights(graph, paths.model / "weights.safetensors")
        (paths.decision / "graph.onnx").write_bytes(graphs[key])
        return config, paths

    return make


@pytest.fixture(scope="session")
def graphs() -> dict[str, bytes]:
    """Of finished models, by task and name."""
    return {}


def _spec(task: Task) -> InputSpec:
    """Eight columns of the data; `when` is two numbers, `n0` a number and a category."""
    return spec_of(
        task=task,
        num_names=("n0", "n1", "n2", "n3", "when.sin", "when.cos"),
        num_sources=("n0", "n1", "n2", "n3", "when", "when"),
        cat_names=("n0", "row", "c1", "c2"),
        cat_sources=("n0", "row", "c1", "c2"),  # a column may be called row
        cardinalities=(4, 3, 5, 2),
        classes=CLASSES[task],
    )


def _examples(spec: InputSpec, count: int, start: int) -> Examples:
    rng = np.random.default_rng(start)
    numbers, categories = spec.tensors
    num = rng.normal(size=(count, *numbers.shape)).astype(np.float32)
    cat = np.stack([rng.integers(0, k, count) for k in categories.cardinalities], axis=1)
    classes = len(spec.classes)
    y: Any = rng.integers(0, classes, count) if classes else (100 + 20 * num[:, 0])
    return examples_of(
        num=num,
        cat=cat.astype(np.int64),
        y=y,
        rows=np.arange(start, start + count),
        weight=np.ones(count, dtype=np.float32),
    )


def _bundle(paths: Paths, spec: InputSpec, name: str) -> None:
    config = small_model(name, depth=2, dropout=0.0)
    model = build_model(config, spec, seed=1)
    y = _examples(spec, ROWS["train"], 0).y
    target = None if spec.classes else TargetTransform.fit(y.astype(np.float32), "standard")
    paths.model.mkdir(parents=True)
    save_bundle(
        paths.model,
        weights=model.state_dict(),
        config=config,
        spec=spec,
        learned={},
        target=target,
        preprocessor={},
        metadata={},
    )
