"""Few rows -> tensors without frames, whose expressions cost more than their work on so few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plumbline.errors import DataError
from plumbline.examples import Inputs, bagged_name
from plumbline.kinds import Cell, Cells
from plumbline.preprocessing.bagged import BaggedTransformer, each_transformer
from plumbline.preprocessing.preparer import Tensors
from plumbline.preprocessing.preparers import PREPARERS
from plumbline.preprocessing.row import RowReader
from plumbline.preprocessing.transform import TableTransformer
from plumbline.tables import Column


class RowTransformer:
    """Applies a fitted transformer to rows given as column -> value: the tensors of the same rows
    in a file, to the byte.

    Args:
        columns: those that rows are read of; None: the features.

    Raises:
        DataError: the transformer is not fitted.
    """

    def __init__(
        self,
        transformer: TableTransformer | BaggedTransformer,
        columns: Sequence[Column] | None = None,
    ) -> None:
        networks = each_transformer(transformer)
        if not all(hasattr(network, "spec_") for network in networks):
            raise DataError("the transformer is not fitted", hint="call fit first")
        self._in_bag = isinstance(transformer, BaggedTransformer)
        self.read = RowReader(transformer.schema.features if columns is None else columns)
        self._names = [column.name for column in self.read.columns]
        kinds = [name for name in PREPARERS if name in networks[0].preparers_]
        self._apply = [
            PREPARERS[kind].few_rows([network.preparers_[kind] for network in networks])
            for kind in kinds
        ]

    def __call__(self, values: Mapping[str, Any]) -> Inputs:
        """The tensors of one row. Texts are read by the columns' formats, as those of a file are;
        native values as they are. Absent features count as missing.

        Raises:
            DataError: a value that its column cannot hold.
        """
        return self.tensors(self.cells([self.read(values)]))

    def cells(self, rows: Sequence[Sequence[Cell]]) -> Cells:
        """Rows, as `read` gives them, by column; at least one, and not many."""
        return dict(zip(self._names, zip(*rows, strict=True), strict=True))

    def tensors(self, cells: Cells) -> Inputs:
        """The tensors of some rows."""
        made: Tensors = {}
        for apply in self._apply:
            for network, tensors in enumerate(apply(cells)):
                for name, array in tensors.items():
                    made[bagged_name(name, network) if self._in_bag else name] = array
        return made
