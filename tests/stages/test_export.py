"""export: writes the graph, its contract and parity; a graph that differs replaces nothing."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from tests.stages.conftest import Finished

from plumbline.config.evaluation import ExportConfig
from plumbline.errors import DataError, GateError
from plumbline.export.weights_file import read_graph
from plumbline.files import read_json, sha256, write_json
from plumbline.inference.decision import apply_temperature
from plumbline.inference.onnx_predictor import open_session
from plumbline.kinds import TASKS, Part, Task
from plumbline.stages.export import run
from plumbline.stages.inputs import load_part
from plumbline.store.bundle import load_bundle


@pytest.mark.parametrize("task", list(TASKS))
def test_what_is_written_agrees(evaluated: Finished, task: Task) -> None:
    config, paths = evaluated(task)
    report = run(config, paths)
    parity = read_json(paths.reports / "parity.json")
    assert parity["passed"] and parity["rows"] == 40
    assert parity["max_difference"] <= parity["tolerance"] == 1e-4
    answer = read_json(paths.onnx / "contract.json")
    graph = read_graph(paths.onnx / "model.onnx")
    assert answer["sha256"] == hashlib.sha256(graph).hexdigest()
    assert answer["made_from"]["decision.json"] == sha256(paths.decision / "decision.json")
    assert answer["task"] == task and answer["output"]["name"] == "prediction"
    assert dict(report.rows)["inputs"] == "num (N, 6), cat (N, 4)"

    # DVC stores the weights once: they are the model's own file
    weights = paths.onnx / "weights.safetensors"
    assert weights.read_bytes() == (paths.model / "weights.safetensors").read_bytes()
    assert (paths.onnx / "model.onnx").stat().st_size < 0.6 * len(graph)
    by_path = onnxruntime.InferenceSession(paths.onnx / "model.onnx")

    # as a server would use it
    test, bundle = load_part(paths, Part.TEST), load_bundle(paths.model)
    rows = {k: np.array(v) for k, v in test.inputs.items()}
    out = open_session(graph).run(["prediction"], rows)[0]
    np.testing.assert_allclose(by_path.run(["prediction"], rows)[0], out, rtol=1e-6)
    wanted = bundle.predictor()(test.inputs)
    if task.has_classes:
        wanted = apply_temperature(wanted, 1.5)
    np.testing.assert_allclose(out, wanted, rtol=1e-4, atol=1e-5)

    os.truncate(weights, weights.stat().st_size // 2)
    with pytest.raises(DataError, match=r"model\.onnx: cannot be read: .*dvc checkout"):
        read_graph(paths.onnx / "model.onnx")
    weights.unlink()
    with pytest.raises(DataError, match=r"cannot be read: .*weights\.safetensors"):
        read_graph(paths.onnx / "model.onnx")


def test_twice_the_same_bytes(evaluated: Finished) -> None:
    config, paths = evaluated()
    run(config, paths)
    first = {p.name: p.read_bytes() for p in paths.onnx.iterdir()}
    run(config, paths)
    assert {p.name: p.read_bytes() for p in paths.onnx.iterdir()} == first
    assert str(paths.root).encode() not in b"".join(first.values())


def test_a_difference_stops_it_and_leaves_the_earlier_graph(evaluated: Finished) -> None:
    config, paths = evaluated()
    run(config, paths)
    before = (paths.onnx / "model.onnx").read_bytes()
    write_json(paths.decision / "decision.json", {"temperature": 3.0, "threshold": None})
    strict = replace(config, export=ExportConfig(tolerance=1e-12))
    with pytest.raises(GateError, match=r"export\.tolerance") as caught:
        run(strict, paths)
    assert caught.value.exit_code == 3 and caught.value.report == "reports/parity.json"
    assert read_json(paths.reports / "parity.json")["passed"] is False
    assert (paths.onnx / "model.onnx").read_bytes() == before


def test_parity_rows_are_spread_over_the_test_part(evaluated: Finished) -> None:
    config, paths = evaluated()
    run(replace(config, export=ExportConfig(parity_rows=5)), paths)
    assert read_json(paths.reports / "parity.json")["rows"] == 5


def test_no_test_row_is_refused(evaluated: Finished) -> None:
    config, paths = evaluated(test=0)
    with pytest.raises(DataError, match="no test row"):
        run(config, paths)
