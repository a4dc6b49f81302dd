"""drift: test rows against training rows, by Evidently."""

from __future__ import annotations

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.evaluation.described import Pairs, describe
from plumbline.evaluation.drift import Chance, ColumnDrift, ColumnPair, chance, compare
from plumbline.evaluation.reference import BY_ONE, TARGET_TYPES, Reference, prediction_column
from plumbline.evaluation.text_drift import UNKNOWN_TOKENS, unknown_tokens
from plumbline.examples import TensorSpec
from plumbline.files import write_text
from plumbline.kinds import ColumnType, IntArray, Part
from plumbline.manifest import sealed_dir
from plumbline.numbers import method_words
from plumbline.preprocessing.frames import take_rows
from plumbline.stages import Report
from plumbline.stages.inputs import load_part, load_spec, load_split, load_table
from plumbline.tables import Schema

TOP = 10


def run(config: Config, paths: Paths) -> Report:
    """Compare features and target of training and test rows, and predictions of validation and
    test rows."""
    table, schema = load_table(config, paths)
    split = load_split(paths)
    features = [c.name for c in schema.features]
    reference, current = (
        describe(take_rows(table, _some(split.rows(part), config)), schema.features)
        .select(*features, schema.target)
        .collect()
        for part in (Part.TRAIN, Part.TEST)
    )
    compared = Pairs()
    compared.add_features(schema.features, reference, current)
    _add_unknown_tokens(compared, schema, config, paths)
    target = compared.add(
        f"target: {schema.target}",
        ColumnPair(
            type=TARGET_TYPES[schema.task.spec.target],
            reference=reference[schema.target],
            current=current[schema.target],
        ),
    )
    predictions = pl.read_parquet(paths.reports / artifacts.PREDICTIONS)
    prediction = compared.add("prediction", _predictions(predictions, config, schema))
    results, page = compare(
        compared.pairs, method=config.drift.method, threshold=config.drift.threshold
    )
    columns = compared.combined(results)
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
        if config.drift.reference_rows:
            kept = Reference.of(
                reference, _answered(predictions), config.drift.reference_rows, config.seed
            )
            kept.write(folder)
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


def _add_unknown_tokens(compared: Pairs, schema: Schema, config: Config, paths: Paths) -> None:
    """Of each text the share of unknown tokens, in validation and test rows: training rows made
    the tokenizer. Of a bag the first network's, and the rows that it was held out from."""
    texts = [c.name for c in schema.features if c.type is ColumnType.TEXT]
    if not texts:
        return
    for tensor in load_spec(paths).of_kind("text"):
        if tensor.network:
            continue
        ids = [load_part(paths, part).inputs[tensor.name] for part in (Part.VAL, Part.TEST)]
        if tensor.network is not None:
            ids[0] = _held_out(tensor, paths)
        kept = (own[_some(np.arange(len(own)), config)] for own in ids)
        before, after = (pl.Series(unknown_tokens(own), nan_to_null=True) for own in kept)
        for name in (text for text in texts if text in tensor.sources):
            compared.add_part(name, UNKNOWN_TOKENS, before, after)


def _held_out(tensor: TensorSpec, paths: Paths) -> IntArray:
    """What rows that the tensor's network was not fitted on hold of it."""
    bag = load_split(paths).bag
    assert bag is not None
    parts = [load_part(paths, part) for part in (Part.TRAIN, Part.VAL)]
    return np.concatenate([p.inputs[tensor.name][bag[p.rows] == tensor.network] for p in parts])


def _predictions(frame: pl.DataFrame, config: Config, schema: Schema) -> ColumnPair:
    """Validation against test rows, neither fitted on; of a bag, both by single networks."""
    name, kind = prediction_column(schema)
    name = BY_ONE if BY_ONE in frame.columns else name
    sides = []
    for part in ("val", "test"):
        values = frame.filter(pl.col("part").cast(pl.String) == part)[name]
        sides.append(values.gather(_some(np.arange(len(values)), config)))
    return ColumnPair(type=kind, reference=sides[0], current=sides[1])


def _answered(frame: pl.DataFrame) -> pl.DataFrame:
    """The held-out rows that are predicted as the version answers. Of a bag test rows alone:
    validation rows are by single networks, whose predictions are spread more, and err more."""
    return frame.filter(pl.col("part").cast(pl.String) == "test") if BY_ONE in frame else frame


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
