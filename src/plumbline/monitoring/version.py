"""The version that is watched: its reference, its columns, and how its predictions are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

import polars as pl

from plumbline.errors import DataError
from plumbline.evaluation.reference import Reference
from plumbline.inference.rows import RowPredictor
from plumbline.inference.version_files import EXTRA
from plumbline.kinds import ColumnType
from plumbline.tables import Column, Schema


@dataclass(frozen=True, kw_only=True)
class WatchedVersion:
    """What is known of a version.

    Attributes:
        name: NAME/VERSION, or the graph's hash where the model is a folder: as the log has it.
        columns: the features that the model reads.
        known: by category column the values that training rows had.
        threshold: from which probability on a row is positive; None: the more probable class.
    """

    name: str
    reference: Reference
    schema: Schema
    columns: tuple[Column, ...]
    known: dict[str, tuple[str, ...]]
    threshold: float | None

    @classmethod
    def load(cls, folder: Path, name: str | None) -> Self:
        """The version in a folder, as MLflow keeps it, or its files side by side.

        Raises:
            DataError: a file is missing or broken, or it has no reference.
        """
        predictor = RowPredictor.load(folder)
        name = name or f"sha256:{predictor.sha256[:16]}"
        return cls(
            name=name,
            reference=_reference(folder, name),
            schema=predictor.schema,
            columns=predictor.columns,
            known={
                c.name: predictor.known_values[c.name]
                for c in predictor.columns
                if c.type is ColumnType.CATEGORY and c.name in predictor.known_values
            },
            threshold=predictor.decision.threshold,
        )


def _reference(folder: Path, name: str) -> Reference:
    for place in (folder, folder / EXTRA):
        try:
            return Reference.read(place)
        except FileNotFoundError:
            continue
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DataError(
                f"its reference cannot be read: {error}",
                where=name,
                hint="fetch the version again, or register the model again (`plumbline register`)",
            ) from None
    raise DataError(
        "has no reference that it could be compared with: it was registered by an older "
        "plumbline, or with drift.reference_rows: 0",
        where=name,
        hint="run `plumbline repro` to register a version that has one",
    )
