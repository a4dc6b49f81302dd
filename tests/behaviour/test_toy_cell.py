"""One more type of cell, registered here alone, goes through every stage.

A `text` column becomes the codes of its first letters. It takes a preparer, an encoder and a
masker: nothing in `src` knows of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from numpy.testing import assert_allclose, assert_array_equal
from torch import Tensor, nn

from plumbline.config import Config, Paths
from plumbline.config.load import load_config
from plumbline.config.model import ModelConfig
from plumbline.evaluation.masker import MASKERS, ColumnMasker
from plumbline.examples import TensorSpec
from plumbline.export.weights_file import read_graph
from plumbline.files import read_json
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import ColumnType, IntArray
from plumbline.models import MODELS
from plumbline.models.encoders import ENCODERS, Encoder
from plumbline.preprocessing.arrays import read_examples
from plumbline.preprocessing.few_rows import RowTransformer
from plumbline.preprocessing.preparers import PREPARER_OF, PREPARERS, Given
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages import STAGES, load_stage
from plumbline.store.bundle import load_bundle

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of mlflow's own imports
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
LETTERS = 4
ALPHABET = "abcdefghijklmnopqrstuvwxyz"
ROWS = 300


def codes(texts: list[str | None]) -> IntArray:
    padded = [(text or "").ljust(LETTERS)[:LETTERS] for text in texts]
    return np.array([[ALPHABET.find(c) + 1 for c in text] for text in padded], dtype=np.int64)


class Letters:
    """The first letters of each column; learns which letters the training rows have."""

    tensors_: tuple[TensorSpec, ...]
    dropped_: dict[str, str]

    def __init__(self, given: Given) -> None:
        self.names = [column.name for column in given.columns]

    def begin(self, seed: int) -> None:
        self.known: set[int] = set()

    def reads(self, frame: pl.LazyFrame) -> list[pl.Expr]:
        return [pl.col(name) for name in self.names]

    selects = reads

    def observe(self, batch: pl.DataFrame, rows: IntArray) -> None:
        for name in self.names:
            self.known |= set(codes(batch[name].to_list()).ravel().tolist())

    def finish(self, frame: pl.LazyFrame, rows: IntArray | None) -> None:
        self.dropped_ = {}
        self._compile()

    def _compile(self) -> None:
        self.tensors_ = tuple(
            TensorSpec(
                name=f"letters_{j}",
                kind="letters",
                dtype="int64",
                shape=(LETTERS,),
                features=tuple(f"{name}[{k}]" for k in range(LETTERS)),
                sources=(name,) * LETTERS,
                details={"codes": len(ALPHABET) + 1},
            )
            for j, name in enumerate(self.names)
        )

    def _apply(self, columns: Mapping[str, Any]) -> dict[str, Any]:
        result = {}
        for tensor, name in zip(self.tensors_, self.names, strict=True):
            given = codes(columns[name])
            result[tensor.name] = np.where(np.isin(given, list(self.known)), given, 0)
        return result

    def apply(
        self, batch: pl.DataFrame, rows: IntArray, positions: IntArray | None
    ) -> dict[str, Any]:
        return self._apply({name: batch[name].to_list() for name in self.names})

    def labels(self) -> dict[str, Any]:
        return {}

    @classmethod
    def few_rows(cls, networks: Sequence[Self]) -> Any:
        return lambda cells: [own._apply(cells) for own in networks]

    def to_json(self) -> dict[str, Any]:
        return {"known": sorted(self.known)}

    @classmethod
    def from_json(cls, given: Given, state: Mapping[str, Any]) -> Self:
        self = cls(given)
        self.known, self.dropped_ = set(state["known"]), {}
        self._compile()
        return self


class LetterFeatures(nn.Module):
    """(B, LETTERS) codes to (B, 3 * LETTERS)."""

    def __init__(self, config: ModelConfig, tensor: TensorSpec, learned: None) -> None:
        super().__init__()
        self.lookup = nn.Embedding(tensor.details["codes"], 3)
        self.chunks = [3] * LETTERS

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lookup(x).flatten(1)
        return out


@pytest.fixture(autouse=True)
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PREPARERS, "letters", Letters)
    monkeypatch.setitem(PREPARER_OF, ColumnType.TEXT, "letters")
    monkeypatch.setitem(ENCODERS, "letters", Encoder(features=LetterFeatures))
    monkeypatch.setitem(MASKERS, "letters", ColumnMasker)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def checkout(root: Path, model: str = "mlp") -> tuple[Config, Paths]:
    """The first letter tells the class, a number helps a little."""
    paths, rng = Paths(root), np.random.default_rng(0)
    y = rng.integers(0, 2, ROWS)
    first = np.where(rng.random(ROWS) < 0.9, y, 1 - y)
    words = ["".join(rng.choice(list(ALPHABET), 5)) for _ in range(ROWS)]
    note = [("a" if f else "z") + word for f, word in zip(first, words, strict=True)]
    x = 0.5 * y + rng.normal(size=ROWS)
    paths.data.mkdir(parents=True)
    frame = pl.DataFrame({"x": x, "note": note, "y": np.where(y == 1, "yes", "no")})
    frame.write_csv(paths.data / "t.csv")
    expectations = {
        "x": {"type": "number"},
        "note": {"type": "text"},
        "y": {"type": "category", "role": "target", "values": {"only": ["no", "yes"]}},
    }
    paths.expectations.write_text(yaml.safe_dump({"columns": expectations}, sort_keys=False))
    data = {"name": "toy", "path": "data/t.csv", "target": "y", "task": "binary", "positive": "yes"}
    rate = {"type": "float", "low": 0.005, "high": 0.05, "log": True}
    decay = {"type": "float", "low": 1e-6, "high": 1e-3, "log": True}
    space = {"train.learning_rate": rate, "train.weight_decay": decay}
    params = {
        "seed": 0,
        "data": data,
        "normalize": {"linear_channel": "curved"},
        "model": {
            "name": model,
            "width": 16,
            "token_width": 8,
            "heads": 2,
            "depth": 1,
            "number_embedding": "periodic",
        },
        "tune": {"trials": 1, "epochs": 2, "space": space},
        "train": {
            "epochs": 15,
            "batch_size": 32,
            "learning_rate": "tuned",
            "learning_curve": [],
            "bag": 1,
        },
        "evaluate": {"bootstrap": 50, "slices": ["note"]},
        "explain": {"rows": 8, "background": 10, "lime_rows": 1, "faithfulness_rows": 4},
        "register": {"ask_server": False},  # another process, which has no such cells
    }
    paths.params.write_text(yaml.safe_dump(params, sort_keys=False))
    return load_config(paths.params), paths


def test_it_goes_through_every_stage(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path)
    for stage in STAGES:
        load_stage(stage)(config, paths)

    spec = read_json(paths.prepared / "spec.json")
    assert {"num", "letters_0"} <= {tensor["name"] for tensor in spec["tensors"]}
    contract = read_json(paths.onnx / "contract.json")
    assert contract["inputs"]["letters_0"]["sources"] == ["note"] * LETTERS
    metrics = read_json(paths.reports / "metrics.json")
    assert metrics["test"]["accuracy"] > 0.8  # x alone gives 0.6
    importance = read_json(paths.reports / "explain" / "importance.json")
    assert next(iter(importance["columns"])) == "note"
    faithfulness = read_json(paths.reports / "explain" / "faithfulness.json")
    assert faithfulness["integrated_gradients"]["area"] > faithfulness["saliency"]["random"]
    assert "note" in read_json(paths.reports / "drift" / "result.json")["columns"]
    assert read_json(paths.reports / "register.json")["decision"] == "first"
    assert "note" in (paths.reports / "index.html").read_text()

    # a row that is given is the row of the file, in the model and in the graph
    state = read_json(paths.model / "preprocessor.json")
    transformer, bundle = TableTransformer.from_json(state), load_bundle(paths.model)
    train_rows = read_examples(paths.prepared / "train", bundle.spec.names)
    number = int(train_rows.rows[5])
    row = pl.read_csv(paths.data / "t.csv", infer_schema=False).row(number, named=True)
    one = RowTransformer(transformer)(row)
    for name, array in one.items():
        assert_array_equal(array[0], train_rows.inputs[name][5])
    graph = OnnxPredictor(read_graph(paths.onnx / "model.onnx"))
    decision = Decision.read(paths.decision)
    assert_allclose(graph(one), bundle.predictor(decision)(one), atol=1e-5)


@pytest.mark.parametrize("model", list(MODELS))
def test_every_architecture_reads_it(tmp_path: Path, model: str) -> None:
    """Tokens and linear weights come from its features where it has none of its own."""
    config, paths = checkout(tmp_path, model)
    for stage in STAGES[: STAGES.index("evaluate")]:
        load_stage(stage)(config, paths)
    bundle = load_bundle(paths.model)
    inputs = {t.name: torch.from_numpy(t.empty(3)) for t in bundle.spec}
    assert bundle.model(**inputs).shape[::2] == (3, 2)
