"""What was learned of all columns, made ready to be applied: raw values in, arrays out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plumbline.examples import TensorSpec
from plumbline.kinds import Cell, DoubleArray, FloatArray, IntArray
from plumbline.preprocessing.columns import CategoryState, NumberState
from plumbline.preprocessing.encode import lookup
from plumbline.preprocessing.preparer import Labels
from plumbline.preprocessing.scale import ColumnScaler
from plumbline.preprocessing.summary import FLOAT32_MAX, clean

NUM, CAT = "num", "cat"  # names of the tensors
BLOCK_ROWS = 4096  # rows whose numbers fit the processor's cache
FEW_ROWS = 32  # of which a search of numpy's costs more than a look into a dict

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
        self._linear = [j for j, s in enumerate(numbers) if s.linear is not None]
        scales = [s.scale for s in numbers if s.scale is not None]
        scales += [s.linear for s in numbers if s.linear is not None]
        self._scaler = ColumnScaler(scales)
        self._read = np.array([*self._scaled, *self._linear], dtype=np.int64)
        self._most = np.array([numbers[j].clip or FLOAT32_MAX for j in self._read.tolist()])
        self._least = -self._most
        self._width = len(self._read)
        self._marked = [j for j, s in enumerate(numbers) if s.indicator]
        self._lookups: list[tuple[int, DoubleArray, IntArray]] = []
        for j, s in enumerate(numbers):
            if s.values is not None:
                order = np.argsort(s.values)
                self._lookups.append((j, np.array(s.values)[order], order.astype(np.int64) + 1))
        self._places = [
            dict(zip(ordered.tolist(), codes.tolist(), strict=True))
            for _, ordered, codes in self._lookups
        ]
        self._embedded = [j for j, s in enumerate(categories) if s.encode == "ordinal"]
        self._tabled = [
            (j, np.array(s.table)) for j, s in enumerate(categories) if s.encode != "ordinal"
        ]
        self._columns = self._width + len(self._marked)
        self._columns += sum(table.shape[1] for _, table in self._tabled)
        self._codes: list[dict[Cell, int]] = [
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

    def owners(self, numbers: Sequence[int], categories: Sequence[int]) -> dict[str, IntArray]:
        """Whose each feature of the tensors is, where the columns are those of several networks.

        Args:
            numbers: (k,) whose each number is.
            categories: (m,) whose each category is.
        """
        num = [numbers[j] for j in (*self._scaled, *self._linear, *self._marked)]
        num += [categories[j] for j, table in self._tabled for _ in range(table.shape[1])]
        cat = [numbers[j] for j, _, _ in self._lookups]
        cat += [categories[j] for j in self._embedded]
        return {NUM: np.array(num, dtype=np.int64), CAT: np.array(cat, dtype=np.int64)}

    def codes(self, cells: Mapping[str, Sequence[Cell]]) -> IntArray:
        """The codes (m, n) of some rows' texts."""
        codes = [
            [code.get(cell, 0) for cell in cells[s.source]]
            for s, code in zip(self._categories, self._codes, strict=True)
        ]
        return np.array(codes, dtype=np.int64)

    def __call__(
        self,
        x: DoubleArray,
        codes: IntArray,
        replace: Replace | None = None,
    ) -> dict[str, NDArray[Any]]:
        """(n, k) raw numbers and (m, n) codes -> the tensors that have features.

        Args:
            replace: what stands in place of a category's numbers.
        """
        n = len(x)
        num = np.empty((n, self._columns), dtype=np.float32)
        cat = np.empty((n, len(self._lookups) + len(self._embedded)), dtype=np.int64)
        for start in range(0, n, BLOCK_ROWS):
            block = slice(start, start + BLOCK_ROWS)
            self._encode_numbers(x[block], num[block], cat[block])
        if self._embedded:
            cat[:, len(self._lookups) :] = codes[self._embedded].T
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
        if self._lookups and len(x) <= FEW_ROWS:
            looked_up = [j for j, _, _ in self._lookups]
            for row, numbers in enumerate(x[:, looked_up].tolist()):
                pairs = zip(self._places, numbers, strict=True)
                cat[row, : len(numbers)] = [places.get(number, 0) for places, number in pairs]
            cat[:, : len(looked_up)] *= ~missing[:, looked_up]
            left = (cat[:, : len(looked_up)] == 0) & ~missing[:, looked_up]
            columns = np.flatnonzero(left.any(axis=0)).tolist()
        else:
            columns = list(range(len(self._lookups)))
        for column in columns:
            j, ordered, code = self._lookups[column]
            cat[:, column] = lookup(x[:, j], ordered, code) * ~missing[:, j]
        x = np.where(missing, self._fill, x)
        end = self._width
        scaled = np.maximum(self._scaler(x[:, self._read]), self._least)
        np.minimum(scaled, self._most, out=num[:, :end], casting="same_kind")
        if self._marked:
            num[:, end : end + len(self._marked)] = missing[:, self._marked]
