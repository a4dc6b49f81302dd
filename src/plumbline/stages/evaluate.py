"""evaluate: how good the model is, how sure that is, and whether it outperforms baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.evaluation.baseline_predictions import predict_baselines, sample_training_rows
from plumbline.evaluation.conformal import fit_conformal, measure
from plumbline.evaluation.curves import baseline_curves, curve_tables
from plumbline.evaluation.decision import PartPredictions, decide
from plumbline.evaluation.metrics import METRICS
from plumbline.evaluation.out_of_fold import in_sample, out_of_fold
from plumbline.evaluation.predictions import ModelPredictions, by_one_network, predictions
from plumbline.evaluation.slices import Slice, choose_columns, score_slices
from plumbline.evaluation.verdict import compare
from plumbline.examples import Examples, InputSpec
from plumbline.export.onnx_graph import to_onnx
from plumbline.export.weights_file import without_weights
from plumbline.files import write_json
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import DoubleArray, IntArray, Part
from plumbline.manifest import sealed_dir
from plumbline.stages import Report
from plumbline.stages.inputs import (
    load_part,
    load_spec,
    load_split,
    load_table,
    resolve_metric,
)
from plumbline.stages.pictured import picture_mistakes
from plumbline.stages.sliced import slice_rows
from plumbline.stages.unusual import score_parts
from plumbline.store.bundle import Bundle, load_bundle
from plumbline.store.bundle_files import WEIGHTS
from plumbline.tables import NEVER, Schema, SplitIndex, Table
from plumbline.words import baseline_label, metric_interval, metric_label, metric_value

PARTS = (Part.TRAIN, Part.VAL, Part.TEST)


def run(config: Config, paths: Paths) -> Report:
    """Decide on validation rows, measure on test rows, compare with baselines on the same."""
    settings, spec, bundle = config.evaluate, load_spec(paths), load_bundle(paths.model)
    metric = resolve_metric(settings.metric, spec.task)
    parts: Mapping[Part, Examples] = {part: load_part(paths, part) for part in PARTS}
    table, schema = load_table(config, paths)
    slices = _slices(config, table, schema, parts, spec)

    if spec.networks:
        basis = _ask_bag(bundle, parts, load_split(paths))
    else:
        predict = bundle.predictor()
        raw = {part: predict(parts[part].inputs) for part in (Part.TRAIN, Part.VAL)}
        basis = RawPredictions(parts=parts, raw=raw, y=parts[Part.VAL].y, held_out=raw[Part.VAL])
    parts = basis.parts
    decision = decide(basis.y, basis.held_out, spec.task, settings)
    graph = to_onnx(
        bundle.model,
        bundle.spec,
        target=bundle.target,
        temperature=decision.temperature,
        opset=config.export.opset,
    )
    model = {
        **_decided(basis.raw, parts, spec, decision),
        Part.TEST: _deployed(graph, parts[Part.TEST], spec, decision),
    }
    fitted = sample_training_rows(parts[Part.TRAIN], schema, config)
    predicted = _predict_baselines(config, table, schema, spec, fitted, parts)
    baselines = {
        name: _decided(
            made, parts, spec, decide(parts[Part.VAL].y, made[Part.VAL], spec.task, settings)
        )
        for name, made in predicted.items()
    }
    test = model[Part.TEST]
    others = {name: own[Part.TEST] for name, own in baselines.items()}
    conformal = fit_conformal(basis.y, decision.apply(basis.held_out), spec.task, settings.coverage)
    bootstrap = {"resamples": settings.bootstrap, "seed": config.seed}
    metrics = artifacts.Metrics(
        **{part.name.lower(): own.scores() for part, own in model.items()},
        test_ci95=test.ci95(**bootstrap),
        baselines={name: other.scores() for name, other in others.items()},
    )
    compared = compare(test, others, metric, **bootstrap)
    best = compared["best_baseline"]
    comparison = artifacts.Comparison(
        metric=metric,
        **compared,
        temperature=test.decision.temperature,
        threshold=test.decision.threshold,
        conformal={
            "promised": settings.coverage,
            **measure(conformal, test.y, test.prediction),
        },
    )
    reference = None if best is None else others[best].prediction
    scored = score_slices(slices, test, metric, reference=reference, **bootstrap)
    mistakes = picture_mistakes(spec, parts[Part.TEST].inputs, test, paths.table)
    unusual = score_parts(config, bundle, parts, table, schema)
    by_one = _by_one_network(bundle, parts, model, spec) if spec.networks else {}
    beside = {part: {**unusual.columns.get(part, {}), **by_one.get(part, {})} for part in PARTS}
    rows_table = predictions(spec, model, baselines, conformal, beside)

    with sealed_dir(paths.decision) as folder:
        content = without_weights(graph, paths.model / WEIGHTS)
        (folder / artifacts.EVALUATED_GRAPH).write_bytes(content)
        if unusual.fitted is not None:
            unusual.fitted.write(folder)
        replace(test.decision, metric=metric, conformal=conformal.to_json()).write(folder)
    headline = paths.reports / artifacts.HEADLINE
    files = [artifacts.write(metrics, paths.reports), headline]
    write_json(headline, _summary(metric, metrics))
    with sealed_dir(paths.reports / "evaluation", beside=files) as folder:
        artifacts.write(comparison, folder)
        artifacts.write(artifacts.SliceScores(metric=metric, reference=best, slices=scored), folder)
        artifacts.write(mistakes, folder)
        artifacts.write(unusual.report, folder)
        rows_table.write_parquet(
            artifacts.inside(folder, artifacts.PREDICTIONS), compression="zstd"
        )
        curves = {**curve_tables(test, spec.classes), **baseline_curves(others)}
        for name, curve in curves.items():
            curve.write_csv(folder / f"{name}.csv")
    rows = [*_rows(metrics), ("verdict", comparison.text)]
    if len(fitted) < len(parts[Part.TRAIN]):
        of = f"{len(fitted):,} of {len(parts[Part.TRAIN]):,} training rows"
        rows.append(("baselines", f"fitted on {of}, drawn at random (data.max_memory_mb)"))
    return Report(
        rows=rows,
        outputs=[paths.reports / artifacts.METRICS, paths.reports / artifacts.COMPARISON],
    )


@dataclass(frozen=True, kw_only=True)
class RawPredictions:
    """What a model predicts before anything is decided on.

    Attributes:
        parts: the rows, by part; `raw`: predictions of those of training and validation.
        y, held_out: of the rows that decisions are made on, which the model was not fitted on.
    """

    parts: Mapping[Part, Examples]
    raw: Mapping[Part, DoubleArray]
    y: IntArray | DoubleArray
    held_out: DoubleArray


def _ask_bag(bundle: Bundle, parts: Mapping[Part, Examples], split: SplitIndex) -> RawPredictions:
    """Validation rows each by the network that was held out from it, training rows by those that
    were not; decisions are made on all rows of both parts that a network was held out from, by that
    network."""
    assert split.bag is not None
    members = bundle.members()
    both = Examples.concatenate([parts[Part.TRAIN], parts[Part.VAL]])
    both = both.take(split.bag[both.rows] != NEVER)
    held_out = out_of_fold(members, both.inputs, split.bag[both.rows])
    of_val = split.part[both.rows] == Part.VAL
    train = parts[Part.TRAIN]
    return RawPredictions(
        parts={**parts, Part.VAL: both.take(of_val)},
        raw={
            Part.TRAIN: in_sample(members, train.inputs, split.bag[train.rows]),
            Part.VAL: held_out[of_val],
        },
        y=both.y,
        held_out=held_out,
    )


def _deployed(graph: bytes, test: Examples, spec: InputSpec, decision: Decision) -> PartPredictions:
    """Test rows by the graph that is deployed: what is measured is what will answer."""
    return PartPredictions(
        task=spec.task,
        y=test.y,
        rows=test.rows,
        prediction=OnnxPredictor(graph)(test.inputs),
        decision=decision,
    )


def _by_one_network(
    bundle: Bundle, parts: Mapping[Part, Examples], model: ModelPredictions, spec: InputSpec
) -> dict[Part, dict[str, pl.Series]]:
    """What a single network of a bag predicts of each row, the networks in turn for test rows, as
    validation rows are by the one that was held out from them: alike but for drift."""
    test, members = parts[Part.TEST], bundle.members()
    turns = (np.arange(len(test)) % len(members)).astype(np.uint8)
    of_test = replace(
        model[Part.TEST],
        prediction=model[Part.VAL].decision.apply(out_of_fold(members, test.inputs, turns)),
    )
    own = {Part.VAL: model[Part.VAL], Part.TEST: of_test}
    return {part: by_one_network(spec, predicted) for part, predicted in own.items()}


def _predict_baselines(
    config: Config,
    table: Table,
    schema: Schema,
    spec: InputSpec,
    fitted: Examples,
    parts: Mapping[Part, Examples],
) -> dict[str, dict[Part, DoubleArray]]:
    """What each baseline predicts of validation and test rows. A bag learns from validation rows
    too: so do the baselines that it is compared with on test rows."""
    given = (config, table, schema, spec)
    if not spec.networks:
        held_out = {part: parts[part] for part in (Part.VAL, Part.TEST)}
        return predict_baselines(*given, fitted, held_out)
    both = Examples.concatenate([parts[Part.TRAIN], parts[Part.VAL]])
    both = both.take(np.argsort(both.rows, kind="stable"))
    more = sample_training_rows(both, schema, config)
    val = predict_baselines(*given, fitted, {Part.VAL: parts[Part.VAL]})
    test = predict_baselines(*given, more, {Part.TEST: parts[Part.TEST]})
    return {name: val[name] | test[name] for name in val}


def _decided(
    raw: Mapping[Part, DoubleArray],
    parts: Mapping[Part, Examples],
    spec: InputSpec,
    decision: Decision,
) -> ModelPredictions:
    """A model's raw predictions of some parts, decided on. Baselines are decided on as the model
    is, so that neither has the better threshold or calibration for it."""
    return {
        part: PartPredictions(
            task=spec.task,
            y=parts[part].y,
            rows=parts[part].rows,
            prediction=decision.apply(prediction),
            decision=decision,
        )
        for part, prediction in raw.items()
    }


def _slices(
    config: Config, table: Table, schema: Schema, parts: Mapping[Part, Examples], spec: InputSpec
) -> list[Slice]:
    """Slices of the test rows, by columns of the data as they are in the file."""
    wanted = config.evaluate.slices
    columns = choose_columns(wanted, schema, parts[Part.TRAIN], spec)
    return slice_rows(
        table,
        schema,
        columns,
        parts[Part.TRAIN],
        parts[Part.TEST],
        auto=wanted == "auto",
        min_rows=config.evaluate.min_slice_rows,
    )


def _summary(metric: str, metrics: artifacts.Metrics) -> dict[str, float | None]:
    """What `dvc metrics show` prints: the metric that counts on test rows, its 95 % interval,
    and the best baseline's."""
    low, high = metrics.test_ci95.get(metric, (None, None))
    best = max if METRICS[metric].greater_is_better else min
    others = [scores[metric] for scores in metrics.baselines.values() if metric in scores]
    return {
        metric: metrics.test.get(metric),
        "low": low,
        "high": high,
        "best_baseline": best(others, default=None),
    }


def _rows(metrics: artifacts.Metrics) -> list[tuple[str, str]]:
    """A line per test metric: the model's with its interval, then each baseline's."""
    rows = []
    for name, value in metrics.test.items():
        ends = metrics.test_ci95.get(name)
        text = metric_value(name, value) + (f" ({metric_interval(name, *ends)})" if ends else "")
        others = [
            f"{baseline_label(baseline)} {metric_value(name, scores[name])}"
            for baseline, scores in metrics.baselines.items()
            if name in scores
        ]
        rows.append((metric_label(name), ", ".join([text, *others])))
    return rows
