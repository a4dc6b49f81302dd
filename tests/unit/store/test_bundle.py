"""A bundle comes back as it was saved, or a message says which file differs and how."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.made import as_tensors, made_examples, made_spec, small_model

from plumbline.errors import DataError
from plumbline.files import sha256
from plumbline.kinds import Task
from plumbline.models import MODELS, build_model, learn_inputs, to_prediction
from plumbline.models.embeddings import NUMBER_EMBEDDINGS
from plumbline.models.target import TargetTransform
from plumbline.store.bundle import (
    METADATA,
    PREPROCESSOR,
    WEIGHTS,
    load_bundle,
    own_hash,
    save_bundle,
)

pytestmark = pytest.mark.usefixtures("one_thread")


def saved(
    folder: Path, name: str = "mlp", embedding: str = "none", task: Task = Task.MULTICLASS
) -> torch.nn.Module:
    spec = made_spec(task)
    rows = made_examples(spec, 80)
    config = small_model(name, number_embedding=embedding, normalization="batch")
    learned = learn_inputs(config, spec, rows.inputs)
    model = build_model(config, spec, learned, seed=3).eval()
    folder.mkdir(exist_ok=True)
    save_bundle(
        folder,
        weights=model.state_dict(),
        config=config,
        spec=spec,
        learned=learned,
        target=None if task.has_classes else TargetTransform.fit(rows.y, "quantile"),
        preprocessor={"scale": [1.5]},
        metadata={"best_epoch": 7},
    )
    return model


@pytest.mark.parametrize("embedding", list(NUMBER_EMBEDDINGS))
@pytest.mark.parametrize("name", list(MODELS))
def test_comes_back_with_the_same_predictions(tmp_path: Path, name: str, embedding: str) -> None:
    model = saved(tmp_path, name, embedding)
    bundle = load_bundle(tmp_path)
    rows = made_examples(made_spec(Task.MULTICLASS), 20, 9)
    with torch.no_grad():
        output = model(**as_tensors(rows.inputs))
    wanted = to_prediction(output, Task.MULTICLASS).double().numpy()
    result = bundle.predictor()(rows.inputs)
    assert np.array_equal(result, wanted) and result.dtype == np.float64
    assert bundle.preprocessor == {"scale": [1.5]} and bundle.metadata["best_epoch"] == 7
    assert not bundle.model.training


def test_a_regression_predicts_in_the_targets_units(tmp_path: Path) -> None:
    saved(tmp_path, task=Task.REGRESSION)
    rows = made_examples(made_spec(Task.REGRESSION), 20, 9)
    result = load_bundle(tmp_path).predictor()(rows.inputs)
    assert result.shape == (20, 1) and 0 < result.min() < result.max() < 100


def test_no_rows_give_no_predictions(tmp_path: Path) -> None:
    saved(tmp_path)
    none = made_examples(made_spec(), 0)
    assert load_bundle(tmp_path).predictor()(none.inputs).shape == (0, 3)


def test_the_same_bundle_is_the_same_bytes(tmp_path: Path) -> None:
    saved(tmp_path / "one")
    saved(tmp_path / "other")
    for name in (WEIGHTS, METADATA, PREPROCESSOR):
        assert sha256(tmp_path / "one" / name) == sha256(tmp_path / "other" / name)


def rewrite(folder: Path, change: Callable[[dict[str, Any]], None], *, seal: bool = True) -> None:
    """Change model.json by hand, and its hash of itself too unless told otherwise."""
    metadata = json.loads((folder / METADATA).read_text())
    change(metadata)
    if seal:
        metadata["own_sha256"] = own_hash(metadata)
    (folder / METADATA).write_text(json.dumps(metadata))


def reweigh(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the weights and their hash."""
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file(weights, folder / WEIGHTS)
    rewrite(folder, lambda metadata: metadata["sha256"].update({WEIGHTS: sha256(folder / WEIGHTS)}))


@pytest.mark.parametrize("name", [WEIGHTS, PREPROCESSOR])
def test_a_flipped_byte(tmp_path: Path, name: str) -> None:
    saved(tmp_path)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match="is not the file that was saved with the model") as caught:
        load_bundle(tmp_path)
    message = str(caught.value)
    assert str(tmp_path / name) in message and "SHA-256" in message and "dvc checkout" in message


@pytest.mark.parametrize("name", [WEIGHTS, PREPROCESSOR, METADATA])
def test_a_missing_file(tmp_path: Path, name: str) -> None:
    saved(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match="no such file") as caught:
        load_bundle(tmp_path)
    assert str(tmp_path / name) in str(caught.value)


def test_a_changed_shape(tmp_path: Path) -> None:
    saved(tmp_path)
    reweigh(tmp_path, lambda weights: weights.update({"head.bias": torch.zeros(4)}))
    with pytest.raises(DataError, match="another shape than the architecture") as caught:
        load_bundle(tmp_path)
    assert "tensor 'head.bias'" in str(caught.value)
    assert "wanted (3,), got (4,)" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda w: w.pop("head.bias"), "tensor 'head.bias': is not in the file"),
        (lambda w: w.update({"more": torch.zeros(2)}), "tensor 'more': is not in the architecture"),
    ],
    ids=["too few", "too many"],
)
def test_a_tensor_too_few_or_too_many(tmp_path: Path, change: Any, wanted: str) -> None:
    saved(tmp_path)
    reweigh(tmp_path, change)
    with pytest.raises(DataError) as caught:
        load_bundle(tmp_path)
    assert wanted in str(caught.value)


def test_no_safetensors_file(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / WEIGHTS).write_bytes(b"junk")
    rewrite(
        tmp_path, lambda metadata: metadata["sha256"].update({WEIGHTS: sha256(tmp_path / WEIGHTS)})
    )
    with pytest.raises(DataError, match="not a safetensors file"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda metadata: metadata["model"].update(activation="gelu"),
        lambda metadata: metadata["target"].update(scale=2.0),
        lambda metadata: metadata["spec"]["tensors"][0].update(features=["n1", "n0", "n2"]),
        lambda metadata: metadata["sha256"].update({PREPROCESSOR: "0" * 64}),
    ],
    ids=["activation", "target", "columns", "hash"],
)
def test_a_changed_description(tmp_path: Path, change: Any) -> None:
    """What fits the weights all the same, and would predict otherwise."""
    saved(tmp_path, task=Task.REGRESSION)
    rewrite(tmp_path, lambda metadata: None, seal=False)  # laid out in another way: the same
    load_bundle(tmp_path)
    rewrite(tmp_path, change, seal=False)
    with pytest.raises(DataError, match="has been changed since it was saved") as caught:
        load_bundle(tmp_path)
    assert str(tmp_path / METADATA) in str(caught.value) and "dvc checkout" in str(caught.value)


@pytest.mark.parametrize("version", [0, 1, 2, "3", None])
def test_another_format(tmp_path: Path, version: Any) -> None:
    saved(tmp_path)
    rewrite(tmp_path, lambda metadata: metadata.update(format=version))
    with pytest.raises(DataError, match="format that this version does not read") as caught:
        load_bundle(tmp_path)
    assert "wanted format 3" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"null", b'"model"', b"{}", b"\xff\xfe", b'{"format": 3}']
)
def test_no_model_description(tmp_path: Path, content: bytes) -> None:
    saved(tmp_path)
    (tmp_path / METADATA).write_bytes(content)
    with pytest.raises(DataError, match="not a model description") as caught:
        load_bundle(tmp_path)
    assert str(tmp_path / METADATA) in str(caught.value)


@pytest.mark.parametrize("key", ["sha256", "own_sha256", "model", "spec", "learned", "target"])
def test_a_description_without_a_part(tmp_path: Path, key: str) -> None:
    saved(tmp_path)
    rewrite(tmp_path, lambda metadata: metadata.pop(key), seal=False)
    with pytest.raises(DataError, match="not a model description") as caught:
        load_bundle(tmp_path)
    assert key in str(caught.value)


def test_a_hash_is_wanted_of_every_file(tmp_path: Path) -> None:
    """Leaving a hash out must not be a way around the check."""
    saved(tmp_path)
    rewrite(tmp_path, lambda metadata: metadata["sha256"].pop(WEIGHTS))
    with pytest.raises(DataError, match="not a model description"):
        load_bundle(tmp_path)


def test_an_unknown_parameter_of_the_architecture(tmp_path: Path) -> None:
    saved(tmp_path)
    rewrite(tmp_path, lambda metadata: metadata["model"].update(color="blue"))
    with pytest.raises(ValueError, match="color") as caught:
        load_bundle(tmp_path)
    assert METADATA in str(caught.value)


def test_the_architecture_of_the_weights_is_checked(tmp_path: Path) -> None:
    saved(tmp_path)
    rewrite(tmp_path, lambda metadata: metadata["model"].update(width=8))
    with pytest.raises(DataError, match="another shape than the architecture"):
        load_bundle(tmp_path)
