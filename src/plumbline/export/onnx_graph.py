"""A fitted model as one ONNX graph: prepared tensors in, calibrated prediction and features out.

The mean over members, the temperature and the inverse of the target's transform are part of the
graph, so whoever runs it needs no torch and no arithmetic of its own. The same model gives the
same bytes: what names this machine or this process is taken out.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnx_ir.passes.common import NameFixPass
from onnxscript import optimizer
from onnxscript.rewriter import onnx_fusions
from torch import Tensor, nn

from plumbline.artifacts import GRAPH
from plumbline.examples import InputSpec, TensorSpec
from plumbline.inference import FEATURES, PREDICTION
from plumbline.models.deployed import Deployed
from plumbline.models.target import TargetTransform
from plumbline.words import TASK_WORDS

FORMAT = 2  # of the contract
ROWS = "rows"  # name of the graph's dynamic dimension


def to_onnx(
    model: nn.Module,
    spec: InputSpec,
    *,
    target: TargetTransform | None,
    temperature: float,
    opset: int,
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """The graph as bytes of an .onnx file; the number of rows is free.

    It has an input per tensor of the spec, by name.

    Args:
        target: how a regression's target was scaled, None where it was not.
        temperature: of the calibration, T > 0; 1 changes nothing.
        metadata: as `with_metadata` takes it.
    """
    deployed = _ByPosition(Deployed(model, spec.task, target, temperature), spec.names).eval()
    # more than one row: torch takes a dimension of size 0 or 1 for a constant
    example = tuple(torch.from_numpy(array) for array in spec.empty(3).values())
    rows = {0: torch.export.Dim(ROWS, min=1)}
    with _quiet(), torch.no_grad():
        exported = torch.export.export(
            deployed, example, dynamic_shapes={"tensors": (rows,) * len(example)}, strict=False
        )
        program = torch.onnx.export(
            exported,
            dynamo=True,
            input_names=list(spec.names),
            output_names=[PREDICTION, FEATURES],
            opset_version=opset,
            external_data=False,
            optimize=False,
            verbose=False,
        )
        assert program is not None
        # as the exporter does it, but that weights stay as they were fitted, which lets the graph
        # share the file of the model (`weights_file`); a runtime transposes them once, on loading
        optimizer.optimize_ir(
            program.model,
            should_fold=lambda node: False if node.op_type == "Transpose" else None,
        )
        onnx_fusions.fuse(program.model)
    NameFixPass()(program.model)  # an operation may bear the name that an input was given (`cat`)
    graph = program.model_proto
    _strip(graph)
    onnx.checker.check_model(graph)
    assert graph.opset_import[0].version == opset, graph.opset_import
    content: bytes = graph.SerializeToString(deterministic=True)
    return with_metadata(content, metadata or {})


def with_metadata(graph: bytes, metadata: Mapping[str, str]) -> bytes:
    """A graph that carries these texts (hashes, the task) in its metadata."""
    model = onnx.load_from_string(graph)
    # sorted, so that the order in which they were collected does not change the file
    onnx.helper.set_model_props(model, dict(sorted(metadata.items())))
    content: bytes = model.SerializeToString(deterministic=True)
    return content


class _ByPosition(nn.Module):
    """The model with its tensors in a fixed order, as the exporter wants them, and both outputs."""

    def __init__(self, module: Deployed, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        return self.module.with_features(**dict(zip(self.names, tensors, strict=True)))


def _strip(graph: Any) -> None:
    """Take out stack traces, paths and the process's own name of the row dimension."""
    del graph.metadata_props[:]
    graph.doc_string = ""
    graph.producer_version = graph.producer_version.partition("+")[0]  # not which build of torch
    body = graph.graph
    body.doc_string = ""
    del body.metadata_props[:]
    del body.value_info[:]  # shapes between the nodes: a runtime infers them
    for node in body.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in (*body.input, *body.output):
        del value.metadata_props[:]
        value.type.tensor_type.shape.dim[0].dim_param = ROWS
    for tensor in body.initializer:
        tensor.doc_string = ""
        tensor.ClearField("data_location")
        del tensor.metadata_props[:]


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter tells of optional packages and of its own deprecations: not the user's."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def contract(
    spec: InputSpec,
    *,
    temperature: float,
    opset: int,
    sha256: str,
    sources: Mapping[str, str],
    features: int | None = None,
) -> dict[str, Any]:
    """What a caller of the graph must know, for contract.json.

    Args:
        sha256: of the .onnx file that holds its weights.
        sources: SHA-256 of the files that the graph was made from.
        features: how many features the graph gives for a row; None: they are not described.
    """
    described = {
        "format": FORMAT,
        "file": GRAPH,
        "sha256": sha256,
        "made_from": dict(sorted(sources.items())),
        "opset": opset,
        "task": str(spec.task),
        "classes": list(spec.classes),
        "temperature": temperature,
        "inputs": {tensor.name: _input(tensor) for tensor in spec},
        "output": {
            "name": PREDICTION,
            "dtype": "float32" if spec.task.has_classes else "float64",
            "shape": [ROWS, spec.target.n_predicted],
            "meaning": TASK_WORDS[spec.task].prediction,
        },
    }
    if features is not None:
        described["features"] = {
            "name": FEATURES,
            "dtype": "float32",
            "shape": [ROWS, features],
            "meaning": "what the network's last layer reads, the mean over its members",
        }
    return described


def _input(tensor: TensorSpec) -> dict[str, Any]:
    """A graph's input: its tensor, with the rows in the shape."""
    state = tensor.to_json()
    del state["name"]
    return {**state, "shape": [ROWS, *tensor.shape]}
