"""Every architecture becomes an ONNX graph that says what torch says, whatever the batch."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from safetensors.torch import save_file
from tests.made import as_tensors, made_examples, spec_of

from plumbline.config.model import ModelConfig, TargetTransform
from plumbline.examples import Inputs, InputSpec
from plumbline.export.onnx_graph import contract, to_onnx
from plumbline.export.parity import check_parity
from plumbline.export.weights_file import SMALLEST, read_graph, without_weights
from plumbline.inference.onnx_predictor import OnnxPredictor, open_session
from plumbline.inference.torch_predictor import TorchPredictor
from plumbline.kinds import TASKS, DoubleArray, Task
from plumbline.models import MODELS, build_model, learn_inputs, to_prediction
from plumbline.models.embeddings import NUMBER_EMBEDDINGS
from plumbline.models.mlp import MLP
from plumbline.models.tabm import TabM
from plumbline.models.target import TARGET_TRANSFORMS
from plumbline.models.target import TargetTransform as Transform

SMALL: dict[str, Any] = {
    "width": 8,
    "token_width": 8,
    "depth": 1,
    "heads": 2,
    "members": 3,
    "embedding_dim": 4,
    "category_dim": 3,
}
TEMPERATURE = 1.7


def spec(numbers: int, categories: int, task: Task) -> InputSpec:
    classes = {Task.BINARY: ("no", "yes"), Task.MULTICLASS: ("a", "b", "c"), Task.REGRESSION: ()}
    return spec_of(
        task=task,
        num_names=tuple(f"n{i}" for i in range(numbers)),
        cat_names=tuple(f"c{i}" for i in range(categories)),
        cardinalities=tuple(range(3, 3 + categories)),
        classes=classes[task],
    )


def rows(of: InputSpec, n: int, seed: int = 0) -> dict[str, Any]:
    return dict(made_examples(of, n, seed).inputs)


def model_of(of: InputSpec, name: str = "mlp", embedding: str = "none") -> torch.nn.Module:
    config = ModelConfig(name=name, number_embedding=embedding, **SMALL)  # type: ignore[arg-type]
    return build_model(config, of, learn_inputs(config, of, rows(of, 200)), seed=1).eval()


@torch.no_grad()
def reference(
    model: torch.nn.Module, of: InputSpec, inputs: Inputs, target: Transform | None
) -> DoubleArray:
    """The prediction by another road than the graph's: numpy, float64, the formula as written."""
    out = model(**as_tensors(inputs))
    prediction: DoubleArray = to_prediction(out, of.task).double().numpy()
    if of.task.has_classes:
        prediction = prediction ** (1 / TEMPERATURE)
        return prediction / prediction.sum(1, keepdims=True)
    return prediction if target is None else target.inverse(prediction)


def exported(model: torch.nn.Module, of: InputSpec, target: Transform | None = None) -> bytes:
    metadata = {"sha256 of weights": "0" * 64}
    return to_onnx(model, of, target=target, temperature=TEMPERATURE, opset=18, metadata=metadata)


EVERY = [(m, e) for m in MODELS for e in NUMBER_EMBEDDINGS if m != "perceptron" or e == "none"]
# architectures x embeddings, the tasks taken in turn
CASES = [(m, e, list(TASKS)[i % 3]) for i, (m, e) in enumerate(EVERY)]


@pytest.mark.parametrize(("name", "embedding", "task"), CASES)
def test_the_graph_says_what_torch_says(
    tmp_path: Path, name: str, embedding: str, task: Task
) -> None:
    of = spec(3, 2, task)
    model = model_of(of, name, embedding)
    target = None if task.has_classes else Transform.fit(rows(of, 50)["num"][:, 0], "standard")
    inputs = rows(of, 45, seed=1)
    expected = reference(model, of, inputs, target)
    graph = exported(model, of, target)
    features = features_of(model, inputs)
    parity = check_parity(graph, inputs, expected, tolerance=1e-4, features=features)
    assert parity.passed and parity.rows == 45
    assert set(parity.batches) == {"all", "1", "7"}
    assert parity.features is not None and parity.features <= 1e-4
    # and the check can see a difference
    assert not check_parity(graph, inputs, expected + 0.01, tolerance=1e-4).passed
    others = features + 0.01 * features.std()
    other = check_parity(graph, inputs, expected, tolerance=1e-4, features=others)
    assert not other.passed and other.max_difference == parity.max_difference
    leaves_its_weights_in_the_file_of_the_model(tmp_path, model, graph, inputs)


def leaves_its_weights_in_the_file_of_the_model(
    folder: Path, model: torch.nn.Module, graph: bytes, inputs: Inputs
) -> None:
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, folder / "w.safetensors")
    small = without_weights(graph, folder / "w.safetensors")
    (folder / "model.onnx").write_bytes(small)
    assert read_graph(folder / "model.onnx") == graph
    tensors = onnx.load_from_string(small).graph.initializer
    left_out = [int(e.value) for t in tensors for e in t.external_data if e.key == "length"]
    own = [v.nbytes for v in model.state_dict().values() if v.nbytes >= SMALLEST]
    # the graph has its own, of frequencies times 2π and of an attention's parts
    assert sum(left_out) >= 0.6 * sum(own)
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    feed = {i.name: inputs[i.name] for i in session.get_inputs()}
    for own, whole in zip(
        session.run(None, feed), open_session(graph).run(None, feed), strict=True
    ):
        np.testing.assert_allclose(own, whole, rtol=1e-5, atol=1e-6)


def test_features_are_what_the_last_layer_reads() -> None:
    """The mean over members; a linear model has its outputs."""
    of = spec(3, 2, Task.MULTICLASS)
    inputs = rows(of, 8)
    with torch.no_grad():
        mlp = model_of(of, "mlp")
        assert isinstance(mlp, MLP)
        logits = mlp.head(torch.tensor(features_of(mlp, inputs)))[:, None]
        torch.testing.assert_close(logits, mlp(**as_tensors(inputs)))
        tabm = model_of(of, "tabm")
        assert isinstance(tabm, TabM)
        hidden = tabm.hidden(tabm.input(as_tensors(inputs))[0][:, None].expand(-1, 3, -1))
        torch.testing.assert_close(torch.tensor(features_of(tabm, inputs)), hidden.mean(1))
        linear = model_of(of, "perceptron")
        outputs = linear(**as_tensors(inputs))[:, 0].numpy()
    np.testing.assert_array_equal(features_of(linear, inputs), outputs)


def features_of(model: torch.nn.Module, inputs: Inputs) -> Any:
    ((_, features),) = TorchPredictor(model, Task.BINARY).with_features(inputs)
    return features


@pytest.mark.parametrize("name", ["perceptron", "mlp", "ft_transformer"])  # each kind of input
@pytest.mark.parametrize(("numbers", "categories"), [(0, 2), (3, 0)])
def test_a_graph_has_an_input_per_tensor(name: str, numbers: int, categories: int) -> None:
    """A kind without columns has none."""
    of = spec(numbers, categories, Task.BINARY)
    model, inputs = model_of(of, name), rows(of, 9)
    graph = exported(model, of)
    result = {i.name: (i.type, i.shape) for i in open_session(graph).get_inputs()}
    wanted = {"num": ("tensor(float)", ["rows", 3]), "cat": ("tensor(int64)", ["rows", 2])}
    assert result == {name: wanted[name] for name in of.names} and len(result) == 1
    expected = reference(model, of, inputs, None)
    assert check_parity(graph, inputs, expected, tolerance=1e-4).passed


@pytest.mark.parametrize("kind", sorted(TARGET_TRANSFORMS))
def test_the_targets_transform_is_part_of_the_graph(kind: str) -> None:
    assert set(TARGET_TRANSFORMS) | {"auto"} == set(get_args(TargetTransform))
    of = spec(2, 1, Task.REGRESSION)
    values = np.exp(np.random.default_rng(3).normal(8, 1, 300)).astype(np.float32)
    target = Transform.fit(values, kind)
    model = model_of(of)
    inputs = rows(of, 30)
    expected = reference(model, of, inputs, target)
    parity = check_parity(
        exported(model, of, target), inputs, expected, tolerance=1e-4, targets=values
    )
    assert parity.passed, parity
    assert parity.unit == "standard deviations of the target"


def test_the_same_model_gives_the_same_bytes_without_traces_of_this_machine() -> None:
    of = spec(3, 2, Task.MULTICLASS)
    first, second = exported(model_of(of), of), exported(model_of(of), of)
    assert hashlib.sha256(first).digest() == hashlib.sha256(second).digest()
    # a process that has exported something else before gives the same, too
    exported(model_of(of, "tabm"), of)
    assert exported(model_of(of), of) == first
    text = _text(first)
    for trace in (b".py", b"stack_trace", b"plumbline", str(Path.home()).encode()):
        assert trace not in text
    assert {p.key: p.value for p in onnx.load_from_string(first).metadata_props} == {
        "sha256 of weights": "0" * 64
    }


def _text(graph: bytes) -> bytes:
    """All of the graph but the weights."""
    loaded = onnx.load_from_string(graph)
    for tensor in loaded.graph.initializer:
        tensor.raw_data = b""
    content: bytes = loaded.SerializeToString()
    return content


@pytest.mark.parametrize("opset", [18, 20, 25])
def test_the_opset_is_the_one_asked_for(opset: int) -> None:
    of = spec(2, 1, Task.BINARY)
    graph = to_onnx(model_of(of), of, target=None, temperature=1.0, opset=opset, metadata={})
    assert onnx.load_from_string(graph).opset_import[0].version == opset


def test_a_small_temperature_does_not_underflow() -> None:
    of = spec(2, 1, Task.MULTICLASS)
    model = model_of(of)
    graph = to_onnx(model, of, target=None, temperature=0.01, opset=18, metadata={})
    np.testing.assert_allclose(OnnxPredictor(graph)(rows(of, 5)).sum(1), 1, rtol=1e-5)


def test_a_prediction_that_is_not_finite_does_not_pass() -> None:
    of = spec(2, 1, Task.BINARY)
    model = model_of(of)
    inputs = rows(of, 5)
    expected = reference(model, of, inputs, None)
    inputs["num"][2, 0] = np.nan
    parity = check_parity(exported(model, of), inputs, expected, tolerance=1e-4)
    assert not parity.passed
    assert parity.max_difference is None


def test_the_contract_tells_what_the_graph_takes_and_gives() -> None:
    of = spec(2, 1, Task.BINARY)
    graph = exported(model_of(of), of)
    sources = {"b": "2", "a": "1"}
    answer = contract(of, temperature=1.5, opset=18, sha256="f" * 64, sources=sources, features=8)
    session = open_session(graph)
    for given in session.get_inputs():
        assert answer["inputs"][given.name]["shape"] == given.shape
    for key, output in zip(("output", "features"), session.get_outputs(), strict=True):
        assert (answer[key]["name"], answer[key]["shape"]) == (output.name, output.shape)
    assert answer["classes"] == ["no", "yes"] and "probability" in answer["output"]["meaning"]
    assert list(answer["made_from"]) == ["a", "b"]
    assert answer["inputs"]["cat"]["cardinalities"] == [3]
