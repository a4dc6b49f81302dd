"""What was learned of all columns, made ready to be applied: raw values in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbline.examples import TensorSpec
from plumbline.kinds import DoubleArray, FloatArray, IntArray
from plumbline.preprocessing.columns import CategoryState, NumberState
from plumbline.preprocessing.encode import lookup
from plumbline.preprocessing.preparer import Labels
from plumbline.preprocessing.row import category_of
from plumbline.preprocessing.scale import ColumnScaler
from plumbline.preprocessing.summary import FLOAT32_MAX, clean
from plumbline.tables import CellFormat

NUM, CAT = "num", "cat"  # names of the tensors
BLOCK_ROWS = 4096  # rows whose numbers fit the processor's cache

# (number of the category, its codes (n,), its values (n, w)) -> values (n, w) in their place
Replace = Callable[[int, IntArray, DoubleArray], DoubleArray]


class Encoding:
    """Applies the fitted columns; the same arithmetic for one row and for many.

    n rows, k raw numbers (in the order of `numbers`), m categories.
    """

    def __init__(self, numbers: Sequence[NumberState], categories: Sequence[CategoryState]) -> None:
        self._numbers, self._categories = numbers, categories
        self._fill = np.array([s.fill for s in numbers])
        self._scaled = [j for j, s in enumerate(numbers) if s.scale is not None]
        self._scaler = ColumnScaler([s.scale for s in numbers if s.scale is not None])
        self._linear = [j for j, s in enumerate(numbers) if s.linear is not None]
        self._linear_scaler = ColumnScaler([s.linear for s in numbers if s.linear is not None])
        self._clip = np.array(
            [numbers[j].clip or FLOAT32_MAX for j in (*self._scaled, *self._linear)]
        )
        self._width = len(self._scaled) + len(self._linear)
        self._marked = [j for j, s in enumerate(numbers) if s.indicator]
        self._lookups: list[tuple[int, DoubleArray, IntArray]] = []
        for j, s in enumerate(numbers):
            if s.values is not None:
                order = np.argsort(s.values)
                self._lookups.append((j, np.array(s.values)[order], order.astype(np.int64) + 1))
        self._embedded = [j for j, s in enumerate(categories) if s.encode == "ordinal"]
        self._tabled = [
            (j, np.array(s.table)) for j, s in enumerate(categories) if s.encode != "ordinal"
        ]
        self._codes: list[dict[str | None, int]] = [
            {value: k + 1 for k, value in enumerate(s.values)} for s in categories
        ]

    def tensors(self) -> tuple[TensorSpec, ...]:
        """What the tensors hold; one without features is left out."""
        numbers = self._numbers
        tabled = [self._categories[j] for j, _ in self._tabled]
        embedded = [self._categories[j] for j in self._embedded]
        with_values = [numbers[j] for j, _, _ in self._lookups]
        names = (
            *(numbers[j].name for j in self._scaled),
            *(f"{numbers[j].name}:linear" for j in self._linear),
            *(f"{numbers[j].source}=missing" for j in self._marked),
            *(name for s in tabled for name in s.columns),
        )
        sources = (
            *(numbers[j].source for j in self._scaled),
            *(numbers[j].source for j in self._linear),
            *(numbers[j].source for j in self._marked),
            *(s.source for s in tabled for _ in s.columns),
        )
        num = TensorSpec(
            name=NUM,
            kind="numbers",
            dtype="float32",
            shape=(len(names),),
            features=names,
            sources=sources,
            plain=tuple(f"{numbers[j].name}:linear" for j in self._linear),
        )
        coded = (*(s.name for s in with_values), *(s.source for s in embedded))
        cat = TensorSpec(
            name=CAT,
            kind="categories",
            dtype="int64",
            shape=(len(coded),),
            features=coded,
            sources=(*(s.source for s in with_values), *(s.source for s in embedded)),
            cardinalities=(
                *(len(s.values) + 1 for s in with_values if s.values is not None),
                *(s.codes for s in embedded),
            ),
        )
        return tuple(tensor for tensor in (num, cat) if tensor.features)

    def labels(self) -> Labels:
        """What the codes of the tensor `cat` stand for, feature by feature."""
        numbers = [self._numbers[j] for j, _, _ in self._lookups]
        categories = [self._categories[j] for j in self._embedded]
        coded: list[tuple[str, Sequence[Any]]] = [
            *((s.name, s.values or ()) for s in numbers),
            *((s.source, s.values) for s in categories),
        ]
        flat = [(name, v) for name, values in coded for v in (None, *map(str, values))]
        return {CAT: flat} if flat else {}

    def codes_of_row(
        self, values: Mapping[str, Any], formats: Mapping[str, CellFormat]
    ) -> list[IntArray]:
        """The codes of one row's categories, m arrays (1,)."""
        return [
            np.array([code.get(category_of(values.get(s.source), formats[s.source]), 0)])
            for s, code in zip(self._categories, self._codes, strict=True)
        ]

    def __call__(
        self, x: DoubleArray, codes: Sequence[IntArray], replace: Replace | None = None
    ) -> dict[str, NDArray[Any]]:
        """(n, k) raw numbers and m code arrays (n,) -> the tensors that have features.

        Args:
            replace: what stands in place of a category's numbers.
        """
        n = len(x)
        width = self._width + len(self._marked) + sum(t.shape[1] for _, t in self._tabled)
        num = np.empty((n, width), dtype=np.float32)
        cat = np.empty((n, len(self._lookups) + len(self._embedded)), dtype=np.int64)
        for start in range(0, n, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            self._encode_numbers(x[block], num[block], cat[block])
        for column, j in enumerate(self._embedded, start=len(self._lookups)):
            cat[:, column] = codes[j]
        end = self._width + len(self._marked)
        for j, table in self._tabled:
            values = table[codes[j]]
            if replace is not None:
                values = replace(j, codes[j], values)
            num[:, end : end + table.shape[1]] = values
            end += table.shape[1]
        tensors: dict[str, NDArray[Any]] = {NUM: num, CAT: cat}
        return {name: array for name, array in tensors.items() if array.shape[1]}

    def _encode_numbers(self, x: DoubleArray, num: FloatArray, cat: IntArray) -> None:
        """(n, k) raw numbers -> their columns of `num` and `cat`, in place."""
        x, missing = clean(x)
        for column, (j, ordered, code) in enumerate(self._lookups):
            cat[:, column] = lookup(x[:, j], ordered, code) * ~missing[:, j]
        x = np.where(missing, self._fill, x)
        end, count = self._width, len(self._scaled)
        linear = self._linear_scaler(x[:, self._linear])  # first: scaling may overwrite x
        scaled = self._scaler(x[:, self._scaled] if count < x.shape[1] else x)
        num[:, :count] = np.clip(scaled, -self._clip[:count], self._clip[:count])
        num[:, count:end] = np.clip(linear, -self._clip[count:], self._clip[count:])
        if self._marked:
            num[:, end : end + len(self._marked)] = missing[:, self._marked]
