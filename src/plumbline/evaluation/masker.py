"""What an explanation can leave out: players, and rows in which some of them are someone else's.

Each kind of tensor has a masker of its own (`MASKERS`). The players of columns are columns of the
data: all features made from one column move together, in all tensors, so a category is taken whole
and no code between two codes is ever asked about.

n rows, M players, F features of a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from plumbline.errors import choose
from plumbline.examples import Inputs, InputSpec, TensorSpec
from plumbline.kinds import BoolArray, DoubleArray, IntArray

Values = NDArray[Any]


class TensorMasker(Protocol):
    """The players of one tensor, M of them."""

    names: tuple[str, ...]

    def mix(self, present: BoolArray, own: Values, other: Values) -> Values:
        """`own` values where a player is present (n, M), `other` ones elsewhere; `own` and
        `other` have n rows or one."""

    def draw(self, own: Values, background: Values, source: IntArray) -> Values:
        """Per player (n, M) the own value (0), or that of background row `source` - 1."""

    def differs(self, own: Values, background: Values) -> BoolArray:
        """In which background rows (B, M) a player's value is not that of the own row."""

    def pool(self, amounts: DoubleArray) -> DoubleArray:
        """Amounts per feature or token (..., F) added up to players (..., M)."""


class ColumnMasker:
    """Features of columns, which belong to the columns of the data that they were made from."""

    def __init__(self, tensor: TensorSpec) -> None:
        self.names = tuple(dict.fromkeys(tensor.sources))
        number = {name: i for i, name in enumerate(self.names)}
        self.owner: IntArray = np.array([number[s] for s in tensor.sources], dtype=np.int64)

    def mix(self, present: BoolArray, own: Values, other: Values) -> Values:
        keep = present[:, self.owner]
        return np.where(keep.reshape(*keep.shape, *(1,) * (own.ndim - 2)), own, other)

    def draw(self, own: Values, background: Values, source: IntArray) -> Values:
        which = source[:, self.owner]  # (n, F)
        drawn = background[np.maximum(which - 1, 0), np.arange(which.shape[1])]
        return np.where((which == 0).reshape(*which.shape, *(1,) * (own.ndim - 2)), own, drawn)

    def differs(self, own: Values, background: Values) -> BoolArray:
        other = background != own
        other = other.reshape(*other.shape[:2], -1).any(-1)  # (B, F)
        differing = np.zeros((len(background), len(self.names)), dtype=bool)
        for j, player in enumerate(self.owner):
            differing[:, player] |= other[:, j]
        return differing

    def pool(self, amounts: DoubleArray) -> DoubleArray:
        count = len(self.owner)
        if amounts.shape[-1] != count:  # one token stands for all features
            amounts = np.broadcast_to(amounts / count, (*amounts.shape[:-1], count))
        out = np.zeros((*amounts.shape[:-1], len(self.names)))
        for j, player in enumerate(self.owner):
            out[..., player] += amounts[..., j]
        return out


MASKERS: dict[str, Callable[[TensorSpec], TensorMasker]] = {
    "numbers": ColumnMasker,
    "categories": ColumnMasker,
    "text": ColumnMasker,
    "image": ColumnMasker,
}


@dataclass(frozen=True, kw_only=True)
class Masker:
    """The players of all tensors, in order of first use. `parts` has each tensor's masker, and
    which of the players `names` its own are, (M of the tensor,)."""

    names: tuple[str, ...]
    parts: Mapping[str, tuple[TensorMasker, IntArray]]

    @classmethod
    def of(cls, spec: InputSpec) -> Self:
        made = {t.name: choose(MASKERS, t.kind, f"the kind of tensor {t.name}")(t) for t in spec}
        names = tuple(dict.fromkeys(name for masker in made.values() for name in masker.names))
        number = {name: i for i, name in enumerate(names)}
        return cls(
            names=names,
            parts={
                tensor: (masker, np.array([number[n] for n in masker.names], dtype=np.int64))
                for tensor, masker in made.items()
            },
        )

    def __len__(self) -> int:
        return len(self.names)

    def mix(self, present: BoolArray, own: Inputs, other: Inputs) -> dict[str, Values]:
        """Rows that have `own` values where a player is present (n, M), `other` ones elsewhere.

        `own` and `other` have n rows or one."""
        return {
            name: masker.mix(present[:, positions], own[name], other[name])
            for name, (masker, positions) in self.parts.items()
        }

    def draw(self, own: Inputs, background: Inputs, source: IntArray) -> dict[str, Values]:
        """Per player (n, M) the own row's value (0), or that of background row `source` - 1."""
        return {
            name: masker.draw(own[name], background[name], source[:, positions])
            for name, (masker, positions) in self.parts.items()
        }

    def differs(self, own: Inputs, background: Inputs) -> BoolArray:
        """In which background rows (B, M) a player's value is not that of the own row."""
        rows = len(next(iter(background.values())))
        differing = np.zeros((rows, len(self)), dtype=bool)
        for name, (masker, positions) in self.parts.items():
            differing[:, positions] |= masker.differs(own[name], background[name])
        return differing

    def pool(self, amounts: Mapping[str, DoubleArray]) -> DoubleArray:
        """Amounts per feature of each tensor (..., F) added up to players (..., M)."""
        lead = next(iter(amounts.values())).shape[:-1]
        out = np.zeros((*lead, len(self)))
        for name, (masker, positions) in self.parts.items():
            out[..., positions] += masker.pool(amounts[name])
        return out
