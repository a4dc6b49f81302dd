"""evaluate: how good the model is, how sure that is, and whether it outperforms baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from plumbline.config import Config, Paths
from plumbline.evaluation.baselines import fit_baseline
from plumbline.evaluation.conformal import fit_conformal, measure
from plumbline.evaluation.curves import curve_tables
from plumbline.evaluation.decision import Judged, decide
from plumbline.evaluation.predictions import Judgement, predictions
from plumbline.evaluation.slices import Slice, choose_columns, make_slices, score_slices
from plumbline.evaluation.verdict import compare
from plumbline.files import new_dir, write_json
from plumbline.kinds import DoubleArray, IntArray, Part
from plumbline.preprocessing.frames import take_rows
from plumbline.stages import Report
from plumbline.stages.inputs import chosen_metric, load_part, load_spec, load_table
from plumbline.store.bundle import load_bundle
from plumbline.tables import Arrays, InputSpec

PARTS = (Part.TRAIN, Part.VAL, Part.TEST)
Predict = Callable[[Arrays], DoubleArray]


def run(config: Config, paths: Paths) -> Report:
    """Decide on validation rows, measure on test rows, compare with baselines on the same."""
    settings, spec, bundle = config.evaluate, load_spec(paths), load_bundle(paths.model)
    metric = chosen_metric(settings.metric, spec.task)
    parts = {part: load_part(paths, part) for part in PARTS}
    train = parts[Part.TRAIN]
    held_out: dict[Part, Arrays] = {part: parts[part] for part in (Part.VAL, Part.TEST)}
    slices = _slices(config, paths, train, spec, parts[Part.TEST].rows)

    model = _judge(lambda rows: bundle.predict(rows.num, rows.cat), parts, spec, config)
    baselines: dict[str, Judgement] = {
        name: _judge(fit_baseline(name, train, spec, config.seed), held_out, spec, config)
        for name in settings.baselines
    }
    test, val = model[Part.TEST], model[Part.VAL]
    others = {name: judged[Part.TEST] for name, judged in baselines.items()}
    conformal = fit_conformal(val.y, val.prediction, spec.task, settings.coverage)
    bootstrap = {"resamples": settings.bootstrap, "seed": config.seed}
    metrics = {
        **{part.name.lower(): judged.scores() for part, judged in model.items()},
        "test_ci95": test.ci95(**bootstrap),
        "baselines": {name: other.scores() for name, other in others.items()},
    }
    decided = {"temperature": test.decision.temperature, "threshold": test.decision.threshold}
    verdict = {"metric": metric, **compare(test, others, metric, **bootstrap), **decided}
    found = measure(conformal, test.y, test.prediction)
    verdict["conformal"] = {"promised": settings.coverage, **found}
    weak = {"metric": metric, "slices": score_slices(slices, test, metric, **bootstrap)}
    table = predictions(spec, model, baselines, conformal)

    with new_dir(paths.decision) as folder:
        decision = {**decided, "metric": metric, "conformal": conformal.to_json()}
        write_json(folder / "decision.json", decision)
    with new_dir(paths.reports / "evaluation") as folder:
        write_json(folder / "verdict.json", verdict)
        write_json(folder / "slices.json", weak)
        table.write_parquet(folder / "predictions.parquet", compression="zstd")
        for name, curve in curve_tables(test, spec.classes).items():
            curve.write_csv(folder / f"{name}.csv")
    write_json(paths.reports / "metrics.json", metrics)
    return Report(
        rows=[*_rows(metrics), ("verdict", str(verdict["text"]))],
        look=[paths.reports / "metrics.json", paths.reports / "evaluation" / "verdict.json"],
    )


def _judge(
    predict: Predict, parts: Mapping[Part, Arrays], spec: InputSpec, config: Config
) -> Judgement:
    """A model's predictions of every part. Baselines are decided on as the model is, so that
    neither has the better threshold or calibration for it."""
    val = parts[Part.VAL]
    raw = {part: predict(arrays) for part, arrays in parts.items()}
    decision = decide(val.y, raw[Part.VAL], spec.task, config.evaluate)
    return {
        part: Judged(
            task=spec.task,
            y=arrays.y,
            rows=arrays.rows,
            prediction=decision.apply(raw[part]),
            decision=decision,
        )
        for part, arrays in parts.items()
    }


def _slices(
    config: Config, paths: Paths, train: Arrays, spec: InputSpec, rows: IntArray
) -> list[Slice]:
    """Slices of the test rows, by columns of the data as they are in the file."""
    table, schema = load_table(config, paths)
    wanted = config.evaluate.slices
    columns = choose_columns(wanted, schema, train, spec)
    # rows of the file come back in file order, and so do prepared rows
    assert (np.diff(rows.astype(np.int64)) > 0).all()
    frame = take_rows(table, np.asarray(rows, dtype=np.int64)).select(columns).collect()
    return make_slices(
        frame, schema, auto=wanted == "auto", min_rows=config.evaluate.min_slice_rows
    )


def _rows(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A line per test metric: the model's with its interval, then each baseline's."""
    rows = []
    for name, value in metrics["test"].items():
        ends = metrics["test_ci95"].get(name)
        text = f"{value:.4g}" + (f" ({ends[0]:.4g} to {ends[1]:.4g})" if ends else "")
        others = [
            f"{baseline.replace('_', ' ')} {scores[name]:.4g}"
            for baseline, scores in metrics["baselines"].items()
            if name in scores
        ]
        rows.append((name, ", ".join([text, *others])))
    return rows
