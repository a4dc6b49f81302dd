"""What passes between layers: examples as named tensors, and what a model must know of them.

A preparer makes tensors, an encoder reads them; both are found by the tensor's kind, so that
neither a model nor what comes after it (graph, contract, signature, explanations) knows which
kinds there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from plumbline.kinds import BoolArray, DoubleArray, FloatArray, IntArray, Task

Inputs = Mapping[str, NDArray[Any]]  # tensor name -> (n, *shape)
PADDING, UNKNOWN = 0, 1  # in tensors of kind `text`: no token, and a token that is not known


@dataclass(frozen=True, kw_only=True)
class TensorSpec:
    """One tensor that a model reads.

    Attributes:
        name: of the model's argument and of the exported graph's input.
        kind: names its encoder and its masker (`numbers`, `categories`, …).
        dtype: numpy's name.
        shape: without the rows; None where the length is free.
        features: what stands along the first axis of the shape.
        sources: the column of the data that each feature was made from.
        plain: features that no embedding may bend: uncurved channels of a column.
        cardinalities: of codes, how many each feature has, the unknown code 0 included.
        details: what else its encoder needs to be built, fit for JSON.
        network: the network of a bag that reads it; None where the model is a single one.
    """

    name: str
    kind: str
    dtype: str
    shape: tuple[int | None, ...]
    features: tuple[str, ...]
    sources: tuple[str, ...]
    plain: tuple[str, ...] = ()
    cardinalities: tuple[int, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    network: int | None = None

    def to_json(self) -> dict[str, Any]:
        network = {} if self.network is None else {"network": self.network}
        return {
            "name": self.name,
            "kind": self.kind,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "features": list(self.features),
            "sources": list(self.sources),
            "plain": list(self.plain),
            "cardinalities": list(self.cardinalities),
            "details": dict(self.details),
            **network,
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        return cls(
            name=state["name"],
            kind=state["kind"],
            dtype=state["dtype"],
            shape=tuple(state["shape"]),
            cardinalities=tuple(int(c) for c in state["cardinalities"]),
            details=dict(state["details"]),
            network=state.get("network"),
            **{key: tuple(map(str, state[key])) for key in ("features", "sources", "plain")},
        )

    def empty(self, rows: int) -> NDArray[Any]:
        """Zeros (rows, *shape) of its dtype; 1 where the length is free."""
        return np.zeros((rows, *(n or 1 for n in self.shape)), dtype=self.dtype)


@dataclass(frozen=True, kw_only=True)
class TargetSpec:
    """What a model answers. `classes` are the labels, index = class number; empty for values."""

    task: Task
    classes: tuple[str, ...] = ()

    @property
    def n_outputs(self) -> int:
        """Outputs of a model per row: logits, one per class (two for binary), or values."""
        outputs = self.task.spec.outputs
        return len(self.classes) if outputs is None else outputs

    @property
    def n_predicted(self) -> int:
        """Columns of a prediction: a probability per class, or as many values as outputs."""
        return len(self.classes) or self.n_outputs


@dataclass(frozen=True, kw_only=True)
class InputSpec:
    """What a model must know of its inputs and its answer to be built."""

    tensors: tuple[TensorSpec, ...]
    target: TargetSpec

    @property
    def task(self) -> Task:
        return self.target.task

    @property
    def classes(self) -> tuple[str, ...]:
        return self.target.classes

    @property
    def n_outputs(self) -> int:
        return self.target.n_outputs

    def __iter__(self) -> Any:
        return iter(self.tensors)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors."""
        return tuple(tensor.name for tensor in self.tensors)

    def of_kind(self, kind: str) -> tuple[TensorSpec, ...]:
        return tuple(tensor for tensor in self.tensors if tensor.kind == kind)

    @classmethod
    def of_bag(cls, specs: Sequence[Self]) -> Self:
        """What a bag of networks reads that read `specs`."""
        tensors = [
            replace(tensor, name=bagged_name(tensor.name, number), network=number)
            for number, spec in enumerate(specs)
            for tensor in spec
        ]
        return cls(tensors=tuple(tensors), target=specs[0].target)

    @property
    def networks(self) -> int:
        """How many networks a bag has; 0: the model is a single one."""
        numbers = [tensor.network for tensor in self.tensors if tensor.network is not None]
        return max(numbers, default=-1) + 1

    def names_of_network(self, network: int) -> dict[str, str]:
        """What a network of a bag calls its tensors -> what they are called here."""
        ending = bagged_name("", network)
        own = [tensor.name for tensor in self.tensors if tensor.network == network]
        return {name.removesuffix(ending): name for name in own}

    def of_network(self, network: int) -> Self:
        """What one network of a bag reads, as it calls its tensors."""
        names = {given: own for own, given in self.names_of_network(network).items()}
        tensors = [
            replace(tensor, name=names[tensor.name], network=None)
            for tensor in self.tensors
            if tensor.network == network
        ]
        return replace(self, tensors=tuple(tensors))

    def empty(self, rows: int) -> dict[str, NDArray[Any]]:
        """Inputs of zeros."""
        return {tensor.name: tensor.empty(rows) for tensor in self.tensors}

    def to_json(self) -> dict[str, Any]:
        return {
            "task": str(self.task),
            "classes": list(self.classes),
            "tensors": [tensor.to_json() for tensor in self.tensors],
        }

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        target = TargetSpec(task=Task.of(state["task"]), classes=tuple(map(str, state["classes"])))
        tensors = tuple(TensorSpec.from_json(tensor) for tensor in state["tensors"])
        return cls(tensors=tensors, target=target)


def bagged_name(name: str, network: int) -> str:
    """What a bag calls the tensor of one of its networks, which are counted from 1 in names."""
    return f"{name}_{network + 1}"


def take_inputs(inputs: Inputs, keep: IntArray | BoolArray | slice) -> dict[str, NDArray[Any]]:
    """The same tensors of some rows."""
    return {name: array[keep] for name, array in inputs.items()}


def count_rows(inputs: Inputs) -> int:
    """How many rows the tensors have."""
    return len(next(iter(inputs.values())))


def row_bytes(inputs: Inputs) -> int:
    """How many bytes the tensors have per row; at least 1."""
    each = (array.dtype.itemsize * math.prod(array.shape[1:]) for array in inputs.values())
    return max(1, sum(each))


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Prepared rows. Arrays may be memory-mapped.

    Shapes: `inputs` by tensor (n, *shape); `y` (n,) int64 class numbers or float32 values;
    `rows` (n,) row numbers; `weight` (n,) float32, 1 where the data has no weight column.
    """

    inputs: Inputs
    y: IntArray | DoubleArray
    rows: IntArray
    weight: FloatArray

    def __len__(self) -> int:
        return len(self.y)

    def take(self, keep: IntArray | BoolArray | slice) -> Self:
        return type(self)(
            inputs=take_inputs(self.inputs, keep),
            y=self.y[keep],
            rows=self.rows[keep],
            weight=self.weight[keep],
        )

    def renamed(self, names: Mapping[str, str]) -> Self:
        """Some of the tensors under other names: new name -> present one."""
        return replace(self, inputs={new: self.inputs[name] for new, name in names.items()})

    @classmethod
    def concatenate(cls, parts: Iterable[Examples]) -> Self:
        """The rows of all parts, which have the same tensors."""
        parts = list(parts)
        return cls(
            inputs={
                name: np.concatenate([part.inputs[name] for part in parts])
                for name in parts[0].inputs
            },
            y=np.concatenate([part.y for part in parts]),
            rows=np.concatenate([part.rows for part in parts]),
            weight=np.concatenate([part.weight for part in parts]),
        )
