"""What a version is monitored by: training rows that say how columns are distributed, and what was
predicted of held-out rows.

No row can be put together again: each column of training rows is shuffled by itself, and the
held-out rows have no features. Texts and images are there as their descriptors only.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import polars as pl

from plumbline.artifacts import HELD_OUT, REFERENCE, inside
from plumbline.files import new_file
from plumbline.inference.decided import PREDICTED
from plumbline.inference.out_of_distribution import FLAG
from plumbline.kinds import ColumnType, TargetKind
from plumbline.tables import Schema

ACTUAL = "actual"
BY_ONE = "by_one_network"  # of a bag: what `prediction_column` names, by a single network
TARGET_TYPES = {
    TargetKind.CLASSES: ColumnType.CATEGORY,
    TargetKind.NUMBERS: ColumnType.NUMBER,
}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Two tables whose rows do not belong to each other.

    Attributes:
        training: described features (`evaluation.described`) and the target, of training rows.
        held_out: of validation and test rows `actual`, `predicted`, `p_<class>` and, where the
            version has them, the flags of out-of-distribution rows.
    """

    training: pl.DataFrame
    held_out: pl.DataFrame

    @classmethod
    def of(cls, described: pl.DataFrame, predictions: pl.DataFrame, rows: int, seed: int) -> Self:
        """At most `rows` of either.

        Args:
            described: features and target of training rows.
            predictions: the table that the stage `evaluate` writes.
        """
        rng = np.random.default_rng(seed)
        size = min(rows, len(described))
        shuffled = [c.gather(rng.permutation(len(c))[:size]) for c in described.iter_columns()]
        names = [n for n in predictions.columns if n in (ACTUAL, PREDICTED, FLAG)]
        names += [n for n in predictions.columns if n.startswith("p_")]
        size = min(rows, len(predictions))
        kept = predictions[rng.permutation(len(predictions))[:size]].select(names)
        return cls(training=pl.DataFrame(shuffled), held_out=kept)

    def write(self, folder: Path) -> None:
        """Write both tables into a folder."""
        for name, frame in ((REFERENCE, self.training), (HELD_OUT, self.held_out)):
            with new_file(inside(folder, name)) as temporary:
                frame.write_parquet(temporary, compression="zstd")

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read both tables of a folder.

        Raises:
            FileNotFoundError: there are none.
            pl.exceptions.PolarsError: they are broken.
        """
        training, held_out = (pl.read_parquet(inside(folder, n)) for n in (REFERENCE, HELD_OUT))
        return cls(training=training, held_out=held_out)


def prediction_column(schema: Schema) -> tuple[str, ColumnType]:
    """The column of a table of predictions that is compared: the positive class's probability,
    the predicted value, or the predicted class where no column is the one that counts."""
    column = schema.task.spec.column
    if column is None:
        return PREDICTED, ColumnType.CATEGORY
    name = f"p_{schema.classes[column]}" if schema.classes else PREDICTED
    return name, ColumnType.NUMBER
