"""A graph that reads its weights from the safetensors file of the model.

A version's weights are then stored once: the file beside the graph is the model's own, byte for
byte, and DVC keeps a content once, wherever it stands. ONNX calls this external data.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path

import onnx
from onnx.checker import ValidationError
from onnx.external_data_helper import load_external_data_for_model, set_external_data

from plumbline.errors import DataError

SMALLEST = 64  # bytes; smaller tensors stay in the graph


def without_weights(graph: bytes, weights: Path) -> bytes:
    """The graph with those tensors left out that the file holds; it is to stand beside the file.

    Args:
        graph: bytes of an .onnx file.
        weights: a safetensors file.
    """
    model, places = onnx.load_from_string(graph), _places(weights)
    for tensor in model.graph.initializer:
        place = places.get(hashlib.sha256(tensor.raw_data).digest())
        if place is not None and len(tensor.raw_data) >= SMALLEST:
            set_external_data(tensor, weights.name, offset=place[0], length=place[1])
            tensor.ClearField("raw_data")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def read_graph(path: Path, weights: Path | None = None) -> bytes:
    """The graph with its weights inside: what was given to `without_weights`, bit for bit.

    Args:
        weights: the safetensors file; None: beside the graph.

    Raises:
        DataError: it is no graph, or the file of its weights is not there, whole.
    """
    try:
        model = onnx.load(path, load_external_data=False)
        load_external_data_for_model(model, str((weights or path).parent))
    except (ValueError, ValidationError) as error:
        raise DataError(
            f"cannot be read: {error}",
            file=path,
            hint="run `dvc checkout`, or `dvc repro evaluate export`",
        ) from None
    for tensor in model.graph.initializer:
        tensor.ClearField("data_location")
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _places(weights: Path) -> dict[bytes, tuple[int, int]]:
    """Where the tensors of a safetensors file begin, and how long they are: by SHA-256."""
    with weights.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        places: dict[bytes, tuple[int, int]] = {}
        for start, stop in sorted(tensor["data_offsets"] for tensor in header.values()):
            file.seek(8 + size + start)
            digest = hashlib.sha256(file.read(stop - start)).digest()
            places.setdefault(digest, (8 + size + start, stop - start))
    return places
