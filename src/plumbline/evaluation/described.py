"""Rows as they are compared: texts and images as structs of numbers that describe them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import polars as pl

from plumbline.evaluation.drift import ColumnDrift, ColumnPair
from plumbline.evaluation.image_drift import image_descriptors, measure_images
from plumbline.evaluation.text_drift import combine, descriptors
from plumbline.kinds import ColumnType
from plumbline.tables import Column

DESCRIBED: Mapping[ColumnType, Callable[[str], dict[str, pl.Expr]]] = {
    ColumnType.TEXT: descriptors,
    ColumnType.IMAGE: image_descriptors,
}


def describe(frame: pl.LazyFrame, features: Iterable[Column]) -> pl.LazyFrame:
    """The frame with a struct of descriptors in place of each text and image; an image is read
    once."""
    features = list(features)
    measured = measure_images(frame, [c.name for c in features if c.type is ColumnType.IMAGE])
    return measured.with_columns(
        pl.struct(e.alias(part) for part, e in DESCRIBED[c.type](c.name).items()).alias(c.name)
        for c in features
        if c.type in DESCRIBED
    )


class Pairs:
    """Columns to compare, by names that differ: a text is several."""

    def __init__(self) -> None:
        self.pairs: dict[str, ColumnPair] = {}
        self._parts: dict[str, dict[str, str]] = {}  # column -> descriptor -> name in `pairs`

    def add(self, name: str, pair: ColumnPair) -> str:
        """Add one under its name, or under another where that is taken; gives the name."""
        while name in self.pairs:
            name = f"_{name}"
        self.pairs[name] = pair
        return name

    def add_features(
        self, features: Sequence[Column], reference: pl.DataFrame, current: pl.DataFrame
    ) -> None:
        """Add features of described frames (`describe`); of a text or image each descriptor."""
        plain = [c for c in features if c.type not in DESCRIBED]
        for c in plain:
            pair = ColumnPair(type=c.type, reference=reference[c.name], current=current[c.name])
            self.pairs[c.name] = pair
        for c in features:
            if c.type in DESCRIBED:
                before, after = (side[c.name].struct.unnest() for side in (reference, current))
                for part in before.columns:
                    self.add_part(c.name, part, before[part], after[part])

    def add_part(self, column: str, part: str, reference: pl.Series, current: pl.Series) -> None:
        """Add a descriptor of a text or image column."""
        pair = ColumnPair(type=ColumnType.NUMBER, reference=reference, current=current)
        self._parts.setdefault(column, {})[part] = self.add(f"{column}: {part}", pair)

    def combined(self, results: Mapping[str, ColumnDrift]) -> dict[str, ColumnDrift]:
        """The results with one for each text and image column beside those of its descriptors."""
        return {**results} | {
            name: combine({part: results[key] for part, key in own.items()})
            for name, own in self._parts.items()
        }
