"""What stages read from each other."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from plumbline.config import Config, Paths
from plumbline.data.expectations import load_expectations
from plumbline.data.read import open_table
from plumbline.files import read_json
from plumbline.kinds import ByteArray, Part, Role
from plumbline.preprocessing.arrays import read_arrays
from plumbline.tables import Arrays, InputSpec, Schema, SplitIndex, Table


def load_table(config: Config, paths: Paths) -> tuple[Table, Schema]:
    """The data, typed by expectations.yaml; what the split stage dropped is no feature."""
    schema = load_expectations(paths.expectations, config.data).schema
    table = open_table(config.data, schema, paths.root)
    dropped = read_json(paths.split / "dropped.json")
    columns = tuple(
        replace(c, role=Role.IGNORE) if c.name in dropped else c for c in schema.columns
    )
    return table, replace(schema, columns=columns)


def load_split(paths: Paths) -> SplitIndex:
    frame = pl.read_parquet(paths.split / "index.parquet")
    folds: ByteArray = frame.select(pl.col("^fold_.*$")).to_numpy()
    return SplitIndex(part=frame["part"].to_numpy(), folds=folds)


def load_part(paths: Paths, part: Part) -> Arrays:
    """Prepared arrays of a part, memory-mapped."""
    return read_arrays(paths.prepared / part.name.lower())


def load_spec(paths: Paths) -> InputSpec:
    return InputSpec.from_json(read_json(paths.prepared / "spec.json"))
