"""What a run and a version in MLflow hold: read from the files that the stages wrote."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.export.weights_file import read_graph
from plumbline.files import read_json
from plumbline.inference import decision, out_of_distribution
from plumbline.kinds import ColumnType, DoubleArray, Part
from plumbline.preprocessing.frames import take_rows
from plumbline.stages.inputs import load_split, load_table
from plumbline.store.card import CardSource, model_card
from plumbline.store.content import flatten, read_content
from plumbline.store.raw_model import RawModel
from plumbline.store.tracking import Content
from plumbline.tables import ROW

EXAMPLE_ROWS, EXAMPLE_FROM = 2, 20  # test rows that a version keeps; of the first so many
TOLERANCE = 1e-6  # of what a version answers to them, beside what the export may differ by
EXPORT = 10  # times the difference that parity found between torch and ONNX Runtime
MISSING_LAST = 2**40  # bytes: rows that lack an image are the last to be an example


def run_content(config: Config, paths: Paths, made_from: Mapping[str, str]) -> Content:
    """Parameters, metrics, tags and files of a run."""
    folders = ("split", "tuning", "training", "evaluation", "explain", "drift")
    files = [(paths.reports / name, f"reports/{name}") for name in folders]
    files += [(paths.reports / f"{n}.json", "reports") for n in ("metrics", "leakage", "parity")]
    validation = (artifacts.VALIDATION, artifacts.VALIDATION_PAGE, artifacts.COLUMNS)
    files += [(paths.reports / name, "reports/validation") for name in validation]
    files += [(paths.params, ""), (paths.expectations, "")]
    lock = paths.root / "dvc.lock"
    return read_content(
        paths.root,
        _params_used(config, paths),
        made_from,
        {"name": config.data.name, "path": config.data.path},
        [*files, (lock, "")] if lock.exists() else files,
        paths.model,
        artifacts.read(artifacts.Comparison, paths.root).metric,
    )


def raw_model(config: Config, paths: Paths) -> RawModel:
    """The model of a version, which takes raw rows, with an example of them."""
    table, schema = load_table(config, paths)
    split, names = load_split(paths), [column.name for column in schema.features]
    train = take_rows(table, split.rows(Part.TRAIN)).select(pl.col(names).null_count())
    gaps = train.collect(engine="streaming").row(0, named=True)
    rows = split.rows(Part.TEST)[:EXAMPLE_FROM]
    example = take_rows(table, rows).select(names).collect(engine="streaming")
    example = example.with_columns(pl.Series(ROW, np.sort(rows), dtype=pl.UInt32))
    images = [c.name for c in schema.features if c.type is ColumnType.IMAGE]
    if images:  # an example is text; large images make it large
        sizes = pl.sum_horizontal(pl.col(images).bin.size().cast(pl.Int64).fill_null(MISSING_LAST))
        example = example.sort(sizes, maintain_order=True)
    beside = [
        paths.decision / out_of_distribution.FILE,
        *(paths.reports / name for name in (artifacts.REFERENCE, artifacts.HELD_OUT)),
    ]
    example = example[:EXAMPLE_ROWS]
    expected, allowed = _evaluated(paths, example[ROW], schema.classes)
    return RawModel(
        graph=read_graph(paths.onnx / artifacts.GRAPH),
        files=[
            paths.onnx / artifacts.CONTRACT,
            paths.model / artifacts.PREPROCESSOR,
            paths.decision / decision.FILE,
            *(file for file in beside if file.exists()),
            paths.expectations,
        ],
        gaps={name for name, count in gaps.items() if count},
        example=example.drop(ROW),
        expected=expected,
        allowed=allowed,
    )


def _evaluated(
    paths: Paths, rows: pl.Series, classes: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, DoubleArray]]:
    """What was predicted for these rows at evaluation, and how far an answer may be from it: in
    probabilities, or in values beside the target's spread, as in `export.parity`."""
    frame = pl.read_parquet(paths.reports / artifacts.PREDICTIONS)
    expected = (
        rows.rename("row").to_frame().join(frame, on="row", how="left", maintain_order="left")
    )
    difference = read_json(paths.reports / artifacts.PARITY).get("max_difference") or 0.0
    tolerance = max(TOLERANCE, EXPORT * difference)
    if classes:
        return expected, {f"p_{name}": np.full(len(rows), tolerance) for name in classes}
    actual, own = frame["actual"].to_numpy(), expected["predicted"].to_numpy()
    scale = np.maximum(actual.std() or 1.0, np.abs(own - actual.mean()))
    values = [name for name in ("predicted", "low", "high") if name in frame.columns]
    return expected, dict.fromkeys(values, tolerance * scale)


def version_card(config: Config, paths: Paths, made_from: Mapping[str, str]) -> str:
    """The model card."""
    root = paths.root
    source = CardSource(
        name=config.data.name,
        target=config.data.target,
        owner=config.register.card,
        contract=read_json(paths.onnx / artifacts.CONTRACT),
        split=read_json(paths.split / artifacts.SPLIT_SUMMARY),
        architecture=artifacts.read(artifacts.Architecture, root),
        training=artifacts.read(artifacts.TrainingSummary, root),
        metrics=artifacts.read(artifacts.Metrics, root),
        comparison=artifacts.read(artifacts.Comparison, root),
        slices=artifacts.read(artifacts.SliceScores, root),
        leakage=artifacts.read(artifacts.LeakageResult, root),
        drift=artifacts.read(artifacts.DriftResult, root),
        lineage=made_from,
    )
    return model_card(source)


def _params_used(config: Config, paths: Paths) -> dict[str, Any]:
    """params.yaml, with the values that the tuner found where it says `tuned`."""
    values = artifacts.read(artifacts.TuningSummary, paths.root).values
    flat = dict(flatten(dataclasses.asdict(config)))
    # the owner's words are in the card: they explain no difference between two runs
    flat = {key: value for key, value in flat.items() if not key.startswith("register.card.")}
    return {**flat, **{key: values[key] for key in config.tuned if key in values}}
