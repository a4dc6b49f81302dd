"""Numbers, dates and categories of few rows, for all networks of a bag at once.

What is done for a row is a hundred small steps whose cost is in their number. The columns of all
networks go through one `Encoding` together, so that a bag takes as many as one network.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from plumbline.kinds import Cells, DoubleArray
from plumbline.preprocessing.apply import Encoding
from plumbline.preprocessing.columns import CategoryState, NumberState
from plumbline.preprocessing.dates import date_numbers
from plumbline.preprocessing.preparer import Tensors

Fitted = tuple[Sequence[NumberState], Sequence[CategoryState]]


class ScalarRows:
    """Applies the fitted columns of K networks to n rows."""

    def __init__(self, networks: Sequence[Fitted]) -> None:
        numbers = [(k, state) for k, (own, _) in enumerate(networks) for state in own]
        categories = [(k, state) for k, (_, own) in enumerate(networks) for state in own]
        self._encoding = Encoding([s for _, s in numbers], [s for _, s in categories])
        owners = self._encoding.owners([k for k, _ in numbers], [k for k, _ in categories])
        self._places = [
            {name: np.flatnonzero(whose == k) for name, whose in owners.items() if k in whose}
            for k in range(len(networks))
        ]
        keys = list(dict.fromkeys((s.source, s.part) for _, s in numbers))
        self._names = [source for source, part in keys if part is None]
        self._dates: dict[str, list[str]] = {}
        for source, part in keys:
            if part is not None:
                self._dates.setdefault(source, []).append(part)
        read: list[tuple[str, str | None]] = [(name, None) for name in self._names]
        read += [(source, part) for source, parts in self._dates.items() for part in parts]
        order = {key: place for place, key in enumerate(read)}
        self._taken = np.array([order[s.source, s.part] for _, s in numbers], dtype=np.int64)

    def __call__(self, cells: Cells) -> list[Tensors]:
        """The tensors of each network."""
        made = self._encoding(self._numbers(cells)[:, self._taken], self._encoding.codes(cells))
        return [
            {name: made[name].take(places, axis=1) for name, places in own.items()}
            for own in self._places
        ]

    def _numbers(self, cells: Cells) -> DoubleArray:
        """(n, k): the numbers of columns, then the parts of dates; NaN where missing."""
        rows = len(next(iter(cells.values())))
        numbers = _floats(cells, self._names).T if self._names else np.empty((rows, 0))
        if not self._dates:
            return numbers
        dates = [
            date_numbers(_floats(cells, [source])[0], tuple(parts))
            for source, parts in self._dates.items()
        ]
        return np.concatenate([numbers, *dates], axis=1)


def _floats(cells: Cells, names: Sequence[str]) -> DoubleArray:
    """(columns, n), NaN where missing."""
    return np.array([cells[name] for name in names], dtype=np.float64)
