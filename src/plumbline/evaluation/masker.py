"""What an explanation can leave out: players, and rows in which some of them are someone else's.

Each kind of tensor has a masker of its own (`MASKERS`). The players of columns are columns of the
data: all features made from one column move together, in all tensors, so a category is taken whole
and no code between two codes is ever asked about. The players of one cell are its parts
(`TokenMasker`: the words of a text, `PatchMasker`: the patches of an image), while the rest of the
row stays as it is (`Masker.inside`).

n rows, M players, F features of a tensor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from plumbline.errors import choose
from plumbline.examples import PADDING, UNKNOWN, Inputs, InputSpec, TensorSpec
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

    def by_feature(self, amounts: Values) -> Values:
        """Amounts per number (n, ...) of the tensor, those of each feature together: (n, F, E)."""

    def pool(self, amounts: DoubleArray) -> DoubleArray:
        """Amounts per feature or token (..., F) added up to players (..., M)."""


class FeatureOrder:
    """Features are the second dimension of a tensor."""

    def by_feature(self, amounts: Values) -> Values:
        return amounts.reshape(*amounts.shape[:2], -1)


class ColumnMasker(FeatureOrder):
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


class TokenMasker(FeatureOrder):
    """The parts of one text; `other` values are not used.

    An absent part becomes unknown tokens, in place; or, where those are not a thing that the model
    has learned from (`docs/explanations.md`), it is cut out and what follows moves up.
    """

    def __init__(self, owner: IntArray, names: tuple[str, ...], *, cut: bool = False) -> None:
        """Args: owner: (L,) the part that each token belongs to, -1 for padding."""
        self.names = names
        self.cut = cut
        self.owner = owner

    def mix(self, present: BoolArray, own: Values, other: Values) -> Values:
        keep = np.take(present, self.owner, axis=1)  # (n, L)
        padding = own.dtype.type(PADDING)
        if not self.cut:
            return np.where(self.owner < 0, padding, np.where(keep, own, own.dtype.type(UNKNOWN)))
        keep &= self.owner >= 0
        order = np.argsort(~keep, axis=1, kind="stable")
        moved = np.take_along_axis(np.broadcast_to(own, keep.shape), order, axis=1)
        return np.where(np.arange(keep.shape[1]) < keep.sum(1, keepdims=True), moved, padding)

    def draw(self, own: Values, background: Values, source: IntArray) -> Values:
        return self.mix(source == 0, own, background)

    def differs(self, own: Values, background: Values) -> BoolArray:
        moves = np.ones(own.shape[1]) if self.cut else (own[0] != UNKNOWN).astype(np.float64)
        return np.repeat(self.pool(moves)[None] > 0, len(background), axis=0)

    def pool(self, amounts: DoubleArray) -> DoubleArray:
        belongs = self.owner[:, None] == np.arange(len(self.names))  # (L, M)
        pooled: DoubleArray = np.asarray(amounts @ belongs.astype(np.float64))
        return pooled


class PatchMasker:
    """The patches of one image: an absent patch has the pixels of `other`, whose background is one
    image. Features are pixels, their channels together.
    """

    def __init__(self, owner: IntArray, names: tuple[str, ...]) -> None:
        """Args: owner: (H, W) the patch that each pixel belongs to."""
        self.names = names
        self.owner = owner

    def mix(self, present: BoolArray, own: Values, other: Values) -> Values:
        return np.where(present[:, self.owner][:, None], own, other)  # (n, C, H, W)

    def draw(self, own: Values, background: Values, source: IntArray) -> Values:
        return self.mix(source == 0, own, background[:1])

    def differs(self, own: Values, background: Values) -> BoolArray:
        other = (background != own).any(1).reshape(len(background), -1)  # (B, H · W)
        return self.pool(other.astype(np.float64)) > 0

    def by_feature(self, amounts: Values) -> Values:
        return np.moveaxis(amounts, 1, -1).reshape(len(amounts), self.owner.size, -1)

    def pool(self, amounts: DoubleArray) -> DoubleArray:
        belongs = self.owner.reshape(-1, 1) == np.arange(len(self.names))  # (H · W, M)
        pooled: DoubleArray = np.asarray(amounts @ belongs.astype(np.float64))
        return pooled


class FixedMasker(FeatureOrder):
    """A tensor that keeps the row's own values: it has no player."""

    names: tuple[str, ...] = ()

    def mix(self, present: BoolArray, own: Values, other: Values) -> Values:
        return np.repeat(own, len(present), axis=0) if len(own) == 1 else own

    def draw(self, own: Values, background: Values, source: IntArray) -> Values:
        return np.repeat(own, len(source), axis=0)

    def differs(self, own: Values, background: Values) -> BoolArray:
        return np.zeros((len(background), 0), dtype=bool)

    def pool(self, amounts: DoubleArray) -> DoubleArray:
        return np.zeros((*amounts.shape[:-1], 0))


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

    @classmethod
    def inside(cls, cell: Mapping[str, TensorMasker], tensors: Iterable[str]) -> Self:
        """The players of one cell alone; the other tensors keep the row's values.

        Args:
            cell: by tensor that the cell is read as; all have the same players.
        """
        names = next(iter(cell.values())).names
        nobody, everyone = np.empty(0, dtype=np.int64), np.arange(len(names))
        fixed: dict[str, tuple[TensorMasker, IntArray]] = {
            name: (FixedMasker(), nobody) for name in tensors
        }
        own = {name: (masker, everyone) for name, masker in cell.items()}
        return cls(names=names, parts={**fixed, **own})

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

    def by_feature(self, tensor: str, amounts: Values) -> Values:
        """Amounts per number (n, ...) of a tensor, those of each feature together: (n, F, E)."""
        return self.parts[tensor][0].by_feature(amounts)

    def pool(self, amounts: Mapping[str, DoubleArray]) -> DoubleArray:
        """Amounts per feature of each tensor (..., F) added up to players (..., M)."""
        lead = next(iter(amounts.values())).shape[:-1]
        out = np.zeros((*lead, len(self)))
        for name, (masker, positions) in self.parts.items():
            out[..., positions] += masker.pool(amounts[name])
        return out
