"""The transformers of a bag: one for each of its networks, fitted on that network's rows alone.

So what a network says of a row that it was held out from owes nothing to that row: no scale, no
vocabulary, no encoding by the target. The price is that a row is prepared once per network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import polars as pl

from plumbline.examples import Examples, InputSpec, bagged_name
from plumbline.kinds import BoolArray, IntArray
from plumbline.preprocessing.states import FORMAT
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import Schema


class BaggedTransformer:
    """Makes the tensors of all networks, each under a name of its own (`examples.bagged_name`).

    Fitted state: `networks_`, `dropped_` (feature -> why, where a network lacks it), `spec_`.
    """

    def __init__(self, networks: Sequence[TableTransformer]) -> None:
        """Args: networks: fitted transformers of one schema, in the order of the networks."""
        self.networks_ = tuple(networks)
        self.spec_ = InputSpec.of_bag([network.spec_ for network in networks])
        self.dropped_ = {k: v for network in networks for k, v in network.dropped_.items()}

    @property
    def schema(self) -> Schema:
        return self.networks_[0].schema

    def transform(self, frame: pl.LazyFrame, rows: IntArray) -> Examples:
        """As `TableTransformer.transform`."""
        return _side_by_side([network.transform(frame, rows) for network in self.networks_])

    def transform_batches(
        self, frame: pl.LazyFrame, rows: IntArray, training: Sequence[BoolArray]
    ) -> Iterator[Examples]:
        """As `TableTransformer.transform_batches`.

        Args:
            training: (n,) per network, marks the rows that its transformer was fitted on.
        """
        streams = [
            network.transform_batches(frame, rows, training=mask)
            for network, mask in zip(self.networks_, training, strict=True)
        ]
        for parts in zip(*streams, strict=True):
            yield _side_by_side(parts)

    def transform_frame(self, frame: pl.DataFrame, rows: IntArray) -> Examples:
        """As `TableTransformer.transform_frame`."""
        return _side_by_side([network.transform_frame(frame, rows) for network in self.networks_])

    def to_json(self) -> dict[str, Any]:
        """What was learned for each network; readable, exact."""
        return {"format": FORMAT, "networks": [network.to_json() for network in self.networks_]}

    @classmethod
    def from_json(cls, state: Mapping[str, Any]) -> Self:
        """The transformer whose `to_json` this is; applies the same, bit for bit."""
        return cls([TableTransformer.from_json(own) for own in state["networks"]])


def load_transformer(state: Mapping[str, Any]) -> TableTransformer | BaggedTransformer:
    """The transformer of a model, which is a single network or a bag."""
    kind = BaggedTransformer if "networks" in state else TableTransformer
    return kind.from_json(state)


def each_transformer(
    transformer: TableTransformer | BaggedTransformer,
) -> tuple[TableTransformer, ...]:
    """Those of the networks of a bag, or the only one."""
    if isinstance(transformer, BaggedTransformer):
        return transformer.networks_
    return (transformer,)


def _side_by_side(parts: Sequence[Examples]) -> Examples:
    """The tensors that each network's transformer made of the same rows."""
    inputs = {
        bagged_name(name, number): array
        for number, part in enumerate(parts)
        for name, array in part.inputs.items()
    }
    return replace(parts[0], inputs=inputs)
