"""A model says the same however it is held, in any batch; a decision is read as it was written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tests.made import made_examples, made_spec, small_model

from plumbline.export.onnx_graph import to_onnx
from plumbline.files import read_json, write_json
from plumbline.inference import BATCH_ROWS
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.inference.torch_predictor import TorchPredictor
from plumbline.kinds import TASKS, Task
from plumbline.models import build_model
from plumbline.models.target import TargetTransform

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("rows", [1, 60])
def test_torch_and_onnx_predict_alike(task: Task, rows: int) -> None:
    spec = made_spec(task)
    made = made_examples(spec, 60)
    model = build_model(small_model(), spec, seed=0)
    target = None if task.has_classes else TargetTransform.fit(made.y, "standard")
    decision = Decision(temperature=1.7)
    by_torch = TorchPredictor(model, task, target=target, decision=decision)
    graph = to_onnx(model, spec, target=target, temperature=1.7, opset=18, metadata={})
    inputs = made.take(slice(rows)).inputs
    answer = by_torch(inputs)
    assert answer.shape == (rows, spec.n_outputs) and answer.dtype == np.float64
    for size in (1, 7, BATCH_ROWS):
        result = OnnxPredictor(graph, batch_rows=size)(inputs)
        assert result.dtype == np.float64
        np.testing.assert_allclose(result, answer, rtol=1e-4, atol=1e-5)
        in_threads = OnnxPredictor(graph, batch_rows=size, threads=3)(inputs)
        assert in_threads.tobytes() == result.tobytes()


def test_values_are_never_calibrated() -> None:
    """A temperature is of probabilities."""
    spec = made_spec(Task.REGRESSION)
    inputs = made_examples(spec, 9).inputs
    model = build_model(small_model(), spec, seed=0)
    plain = TorchPredictor(model, spec.task)(inputs)
    decided = TorchPredictor(model, spec.task, decision=Decision(temperature=3.0))(inputs)
    np.testing.assert_array_equal(decided, plain)


def graph_of_before(weight: Any) -> bytes:
    """As contract format 1 had it: two inputs always, one of them of width 0."""
    made = helper.make_graph(
        [
            helper.make_node("MatMul", ["num", "w"], ["z"]),
            helper.make_node("ReduceSum", ["cat", "axis"], ["s"], keepdims=1),
            helper.make_node("Cast", ["s"], ["f"], to=TensorProto.FLOAT),
            helper.make_node("Add", ["z", "f"], ["prediction"]),
        ],
        "before",
        [
            helper.make_tensor_value_info("num", TensorProto.FLOAT, ["rows", 2]),
            helper.make_tensor_value_info("cat", TensorProto.INT64, ["rows", 0]),
        ],
        [helper.make_tensor_value_info("prediction", TensorProto.FLOAT, ["rows", 1])],
        [
            numpy_helper.from_array(weight, "w"),
            numpy_helper.from_array(np.array([1], dtype=np.int64), "axis"),
        ],
    )
    opset = [helper.make_opsetid("", 18)]
    model: onnx.ModelProto = helper.make_model(made, opset_imports=opset, ir_version=10)
    return bytes(model.SerializeToString())


def test_a_graph_of_before_is_fed_the_input_that_has_no_columns() -> None:
    weight = np.array([[2.0], [-1.0]], dtype=np.float32)
    num = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]], dtype=np.float32)
    answer = OnnxPredictor(graph_of_before(weight), batch_rows=2)({"num": num})
    np.testing.assert_array_equal(answer, num @ weight)
    assert not OnnxPredictor(graph_of_before(weight)).has_features


def test_asking_a_graph_takes_no_torch() -> None:
    """A service is to start without it."""
    code = (
        "import sys, plumbline.inference.onnx_predictor, plumbline.inference.decision;"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "decision",
    [
        Decision(),
        Decision(temperature=1.25, threshold=0.3, metric="f1", conformal={"q": [0.1, 0.2]}),
    ],
)
def test_a_decision_comes_back_as_it_was_written(decision: Decision, tmp_path: Path) -> None:
    decision.write(tmp_path)
    assert Decision.read(tmp_path) == decision


def test_a_decision_of_before_has_no_metric(tmp_path: Path) -> None:
    write_json(tmp_path / "decision.json", {"temperature": 2, "threshold": None})
    result = Decision.read(tmp_path)
    assert result == Decision(temperature=2.0) and isinstance(result.temperature, float)
    assert "temperature" in read_json(tmp_path / "decision.json")


def test_a_decision_without_a_temperature_is_none(tmp_path: Path) -> None:
    write_json(tmp_path / "decision.json", {"threshold": 0.5})
    with pytest.raises(KeyError, match="temperature"):
        Decision.read(tmp_path)
    with pytest.raises(FileNotFoundError):
        Decision.read(tmp_path / "absent")
