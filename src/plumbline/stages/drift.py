"""drift: test rows against training rows, by Evidently."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.evaluation.drift import Chance, ColumnDrift, ColumnPair, chance, compare
from plumbline.evaluation.image_drift import image_descriptors, measure_images
from plumbline.evaluation.text_drift import UNKNOWN_TOKENS, combine, descriptors, unknown_tokens
from plumbline.files import write_text
from plumbline.kinds import ColumnType, IntArray, Part, TargetKind
from plumbline.manifest import sealed_dir
from plumbline.numbers import method_words
from plumbline.preprocessing.frames import take_rows
from plumbline.stages import Report
from plumbline.stages.inputs import load_part, load_spec, load_split, load_table
from plumbline.tables import Schema, internal

TOP = 10
DESCRIBED = {ColumnType.TEXT: descriptors, ColumnType.IMAGE: image_descriptors}
TARGET_TYPES = {
    TargetKind.CLASSES: ColumnType.CATEGORY,
    TargetKind.NUMBERS: ColumnType.NUMBER,
}


def run(config: Config, paths: Paths) -> Report:
    """Compare features and target of training and test rows, and predictions of validation and
    test rows."""
    table, schema = load_table(config, paths)
    split = load_split(paths)
    features = [c.name for c in schema.features]
    images = [c.name for c in schema.features if c.type is ColumnType.IMAGE]
    described = _described_columns(schema)
    cells = [name for name in features if name not in described]
    measures = [measure for column in described.values() for measure in column.values()]
    reference, current = (
        measure_images(take_rows(table, _some(split.rows(part), config)), images)
        .select(*cells, *measures, schema.target)
        .collect()
        for part in (Part.TRAIN, Part.TEST)
    )
    pairs = {
        name: ColumnPair(
            type=schema.column(name).type, reference=reference[name], current=current[name]
        )
        for name in cells
    }
    parts = {
        name: _described_pairs(name, measured, reference, current, pairs, config, paths)
        for name, measured in described.items()
    }
    # Evidently needs a name of its own for each; a feature may have taken one of these
    target, prediction = _free(f"target: {schema.target}", pairs), _free("prediction", pairs)
    pairs[target] = ColumnPair(
        type=TARGET_TYPES[schema.task.spec.target],
        reference=reference[schema.target],
        current=current[schema.target],
    )
    pairs[prediction] = _predictions(config, paths, schema)

    results, page = compare(pairs, method=config.drift.method, threshold=config.drift.threshold)
    columns = results | {
        name: combine({part: results[key] for part, key in own.items()})
        for name, own in parts.items()
    }
    drifted = [name for name in features if columns[name].drifted]
    share = len(drifted) / max(len(features), 1)
    by_chance = chance(columns[name] for name in features)
    with sealed_dir(paths.reports / "drift") as folder:
        result = artifacts.DriftResult(
            dataset_drift=share > config.drift.share,
            drifted_share=share,
            chance=None if by_chance is None else by_chance.to_json(),
            rows={"reference": len(reference), "current": len(current)},
            columns={name: columns[name].to_json() for name in features},
            target=results[target].to_json(),
            prediction=results[prediction].to_json(),
        )
        artifacts.write(result, folder)
        write_text(artifacts.inside(folder, artifacts.DRIFT_PAGE), page)
    return Report(
        rows=[
            ("data set", "drifted" if share > config.drift.share else "no drift"),
            ("columns", f"{len(drifted)} of {len(features)} drifted{_expected(by_chance)}"),
            *((name, _words(columns[name])) for name in drifted[:TOP]),
            (target, _words(results[target])),
            (prediction, _words(results[prediction])),
        ],
        outputs=[paths.reports / artifacts.DRIFT_PAGE],
    )


def _some(rows: IntArray, config: Config) -> IntArray:
    """At most `drift.max_rows` of the rows, ascending."""
    if len(rows) <= config.drift.max_rows:
        return rows
    rows_kept = np.random.default_rng(config.seed).permutation(len(rows))[: config.drift.max_rows]
    return rows[np.sort(rows_kept)]


def _described_columns(schema: Schema) -> dict[str, dict[str, pl.Expr]]:
    """By text or image feature its descriptors, under names that no column of the data has."""
    return {
        column.name: {
            part: e.alias(internal(f"{i} {part}"))
            for part, e in DESCRIBED[column.type](column.name).items()
        }
        for i, column in enumerate(schema.features)
        if column.type in DESCRIBED
    }


def _described_pairs(
    name: str,
    measured: Mapping[str, pl.Expr],
    reference: pl.DataFrame,
    current: pl.DataFrame,
    pairs: dict[str, ColumnPair],
    config: Config,
    paths: Paths,
) -> dict[str, str]:
    """Add the descriptors of a text or image column to `pairs`; by descriptor, its name there.

    Unknown tokens of a text are those of validation and test rows: training rows made the
    tokenizer.
    """
    made = {
        part: (reference[e.meta.output_name()], current[e.meta.output_name()])
        for part, e in measured.items()
    }
    tensors = [t.name for t in load_spec(paths).of_kind("text") if name in t.sources]
    for tensor in tensors:
        ids = (load_part(paths, part).inputs[tensor] for part in (Part.VAL, Part.TEST))
        kept = (own[_some(np.arange(len(own)), config)] for own in ids)
        before, after = (pl.Series(unknown_tokens(own), nan_to_null=True) for own in kept)
        made[UNKNOWN_TOKENS] = before, after
    keys = {}
    for part, sides in made.items():
        keys[part] = _free(f"{name}: {part}", pairs)
        pairs[keys[part]] = ColumnPair(type=ColumnType.NUMBER, reference=sides[0], current=sides[1])
    return keys


def _predictions(config: Config, paths: Paths, schema: Schema) -> ColumnPair:
    """Validation against test rows, neither fitted on: the positive class's probability, the
    predicted value, or the predicted class where no column of a prediction is the one that counts.
    """
    frame = pl.read_parquet(paths.reports / artifacts.PREDICTIONS)
    column = schema.task.spec.column
    name = "predicted"
    if column is not None and schema.classes:
        name = f"p_{schema.classes[column]}"
    sides = []
    for part in ("val", "test"):
        values = frame.filter(pl.col("part").cast(pl.String) == part)[name]
        sides.append(values.gather(_some(np.arange(len(values)), config)))
    return ColumnPair(
        type=ColumnType.CATEGORY if column is None else ColumnType.NUMBER,
        reference=sides[0],
        current=sides[1],
    )


def _free(name: str, taken: dict[str, ColumnPair]) -> str:
    while name in taken:
        name = f"_{name}"
    return name


def _expected(chance: Chance | None) -> str:
    """How many of them are nothing but chance."""
    if chance is None:
        return ""
    verdict = "more than chance" if chance.drifted > chance.at_most else "no more than chance"
    return f": {verdict} ({chance.expected:.1f} expected at p < {chance.threshold:g})"


def _words(drift: ColumnDrift) -> str:
    verdict = "drifted" if drift.drifted else "no drift"
    if drift.score is None or drift.threshold is None:
        return f"{verdict}; no score"
    method = method_words(drift.method or "")
    return f"{verdict}: {method} {drift.score:.3g}, threshold {drift.threshold:.3g}"
