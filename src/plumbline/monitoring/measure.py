"""What a window says: every check, as the record of the window keeps it."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import polars as pl

from plumbline.config.monitor import MonitorConfig
from plumbline.evaluation.described import DESCRIBED, Pairs, describe
from plumbline.evaluation.drift import ColumnDrift, ColumnPair
from plumbline.evaluation.metrics import METRICS, ROW_LOSSES, all_scores
from plumbline.evaluation.reference import ACTUAL, TARGET_TYPES, prediction_column
from plumbline.evaluation.window_drift import compare_window, losses_risen, missing_pair
from plumbline.inference.decided import PREDICTED
from plumbline.inference.out_of_distribution import FLAG
from plumbline.kinds import ColumnType, DoubleArray
from plumbline.monitoring.log_reader import LABEL, WindowRows
from plumbline.monitoring.rule import LABELS, ROWS, level_of_tests
from plumbline.monitoring.version import WatchedVersion
from plumbline.monitoring.windows import Window, time_text, window_name
from plumbline.serving.log_lines import INPUT, MEASURED, OUTPUT
from plumbline.tables import Column

PREDICTION, TARGET, CONCEPT, PERFORMANCE = "prediction", "target", "concept", "performance"
LATENCY, VOLUME = "latency", "volume"
QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
HIDDEN = "the log masks or hashes it"
NOT_LOGGED = "the log has not got it"
NOT_MEASURED = "the log has no measures of its images: an older service wrote it"
Drifts = dict[str, ColumnDrift]


def compared_columns(
    version: WatchedVersion, logged: Collection[str], hidden: Collection[str]
) -> tuple[list[Column], dict[str, str]]:
    """The features that can be compared, and why others cannot."""
    left_out = {}
    for column in version.columns:
        if column.name in hidden:
            left_out[column.name] = HIDDEN
        elif column.name not in version.reference.training.columns:
            left_out[column.name] = "the version's reference has not got it"
        elif log_name(column) not in logged:
            image = column.type is ColumnType.IMAGE and f"{INPUT}{column.name}" in logged
            left_out[column.name] = NOT_MEASURED if image else NOT_LOGGED
    return [c for c in version.columns if c.name not in left_out], left_out


def log_name(column: Column) -> str:
    """The column of the log that a feature is compared by: of an image its measures."""
    return f"{MEASURED if column.type is ColumnType.IMAGE else INPUT}{column.name}"


def settings_of(config: MonitorConfig, version: WatchedVersion, seed: int) -> dict[str, Any]:
    """All that a record depends on beside the log and the version."""
    return {
        "window": window_name(config),
        "level": level_of_tests(config, len(version.columns)),
        "distance": config.distance,
        "loss_rise": config.loss_rise,
        "min_rows": config.min_rows,
        "min_labels": config.min_labels,
        "max_rows": config.max_rows,
        "latency_seconds": config.latency_seconds,
        "least_rows": config.least_rows,
        "most_rows": config.most_rows,
        "seed": seed,
    }


def measure(
    version: WatchedVersion,
    window: Window,
    rows: WindowRows,
    columns: list[Column],
    left_out: Mapping[str, str],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """The record of a window.

    Args:
        rows: the sample has the log's columns `log_name` of the columns, and outputs.
        columns: the features that are compared.
    """
    limits = {"level": settings["level"], "distance": settings["distance"]}
    enough = window.rows >= settings["min_rows"]
    labeled = _labeled(version, rows.labeled)
    record: dict[str, Any] = {
        "version": version.name,
        "start": time_text(window.start),
        "end": time_text(window.end),
        **window.content,
        "requests": len(rows.seconds),
        "compared": len(rows.sample) if enough else 0,
        "settings": dict(settings),
        "left_out": dict(left_out),
        "latency": _latency(rows.seconds),
    }
    alarms: dict[str, list[str] | None] = {ROWS: None, LABELS: None}
    service = _service(record, settings)
    if enough:
        drifts, missing = _features(version, rows.sample, columns, limits)
        outputs = _outputs(version, rows.sample, limits)
        record["columns"] = {
            name: {**drift.to_json(), "missing_drifted": missing[name]}
            for name, drift in drifts.items()
        }
        record |= {name: drift.to_json() for name, drift in outputs.items()}
        if FLAG in outputs:
            sides = (version.reference.held_out[FLAG], rows.sample[f"{OUTPUT}{FLAG}"])
            shares = (_share(side) for side in sides)
            record[FLAG]["share"] = dict(zip(("reference", "window"), shares, strict=True))
        record["unknown"] = _unknown(version, rows.sample, columns)
        in_alarm = [n for n, drift in drifts.items() if drift.drifted or missing[n]]
        alarms[ROWS] = [*in_alarm, *(n for n, drift in outputs.items() if drift.drifted), *service]
    elif service:
        alarms[ROWS] = service
    if len(labeled) >= settings["min_labels"] and len(_held_out(version)):
        drifts, performance = _of_labels(version, labeled, limits, settings["loss_rise"])
        record |= {name: drift.to_json() for name, drift in drifts.items()}
        record[PERFORMANCE] = performance
        own = [PERFORMANCE] if performance["drifted"] else []
        alarms[LABELS] = [*(name for name, drift in drifts.items() if drift.drifted), *own]
    return {**record, "alarms": alarms}


def _features(
    version: WatchedVersion,
    sample: pl.DataFrame,
    columns: list[Column],
    limits: Mapping[str, float],
) -> tuple[Drifts, dict[str, bool]]:
    """Verdicts on the features, and on their missing cells."""
    reference = version.reference.training
    current = _described(sample, columns)
    pairs = Pairs()
    pairs.add_features(columns, reference, current)
    drifts = pairs.combined(compare_window(pairs.pairs, **limits))
    empty = {}
    for c in columns:
        before, after = reference[c.name], current[c.name]
        if c.type in DESCRIBED:  # a struct is not null where all in it is
            first = before.struct.fields[0]
            before, after = before.struct.field(first), after.struct.field(first)
        if before.null_count() or after.null_count():
            pair = ColumnPair(type=c.type, reference=before, current=after)
            empty[c.name] = missing_pair(pair)
    missing = {name: one.drifted for name, one in compare_window(empty, **limits).items()}
    missing = {c.name: missing.get(c.name, False) for c in columns}
    return {c.name: drifts[c.name] for c in columns}, missing


def _described(sample: pl.DataFrame, columns: list[Column]) -> pl.DataFrame:
    """The sample's features under their names, as the reference has them."""
    named = sample.select(
        pl.col(log_name(c)).alias(c.name)
        if c.type is ColumnType.IMAGE
        else pl.col(log_name(c)).cast(c.dtype, strict=False).alias(c.name)
        for c in columns
    )
    texts = [c for c in columns if c.type is not ColumnType.IMAGE]
    return describe(named.lazy(), texts).collect()


def _outputs(version: WatchedVersion, sample: pl.DataFrame, limits: Mapping[str, float]) -> Drifts:
    """The prediction, and the share of rows out of distribution."""
    held_out = version.reference.held_out
    name, kind = prediction_column(version.schema)
    pairs = {PREDICTION: _pair(kind, held_out, sample, name)}
    if FLAG in held_out.columns and f"{OUTPUT}{FLAG}" in sample.columns:
        pairs[FLAG] = _pair(ColumnType.BOOLEAN, held_out, sample, FLAG)
    return compare_window(pairs, **limits)


def _pair(kind: ColumnType, held_out: pl.DataFrame, sample: pl.DataFrame, name: str) -> ColumnPair:
    return ColumnPair(type=kind, reference=held_out[name], current=sample[f"{OUTPUT}{name}"])


def _share(flags: pl.Series) -> float | None:
    known = flags.drop_nulls()
    return int(known.sum()) / len(known) if len(known) else None


def _unknown(
    version: WatchedVersion, sample: pl.DataFrame, columns: list[Column]
) -> dict[str, float]:
    """Of the cells of categories that are there, the share that training rows had not."""
    shares = {}
    for c in columns:
        if c.name in version.known:
            cells = sample[log_name(c)].drop_nulls()
            unknown = ~cells.is_in(list(version.known[c.name]))
            shares[c.name] = _share(unknown) or 0.0
    return shares


def _labeled(version: WatchedVersion, rows: pl.DataFrame) -> pl.DataFrame:
    """Labeled rows as the held-out rows are: `actual`, `predicted`, `p_<class>`."""
    names = [n for n in version.reference.held_out.columns if n not in (ACTUAL, FLAG)]
    if not len(rows) or any(f"{OUTPUT}{name}" not in rows.columns for name in names):
        return pl.DataFrame()
    label = pl.col(LABEL)
    if version.schema.classes:
        label = pl.when(label.is_in(list(version.schema.classes))).then(label)
    else:
        label = label.cast(pl.Float64, strict=False)
    own = rows.select(label.alias(ACTUAL), *(pl.col(f"{OUTPUT}{n}").alias(n) for n in names))
    return own.drop_nulls()


def _held_out(version: WatchedVersion) -> pl.DataFrame:
    """Held-out rows whose truth is known, without their flags."""
    return version.reference.held_out.drop(FLAG, strict=False).drop_nulls()


def _of_labels(
    version: WatchedVersion, labeled: pl.DataFrame, limits: Mapping[str, float], loss_rise: float
) -> tuple[Drifts, dict[str, Any]]:
    """Whether labels and errors are distributed as they were, and the performance."""
    schema, held_out = version.schema, _held_out(version)
    before, after = (_predictions(version, side) for side in (held_out, labeled))
    loss = str(METRICS[schema.task.spec.metric].row_loss)
    losses = [ROW_LOSSES[loss](*side) for side in (before, after)]
    errors = losses
    if not schema.classes:
        errors = [y - p[:, 0] for y, p in (before, after)]
    pairs = {
        TARGET: ColumnPair(
            type=TARGET_TYPES[schema.task.spec.target],
            reference=version.reference.training[schema.target],
            current=labeled[ACTUAL],
        ),
        CONCEPT: ColumnPair(
            type=ColumnType.NUMBER, reference=pl.Series(errors[0]), current=pl.Series(errors[1])
        ),
    }
    risen = losses_risen(losses[0], losses[1], level=limits["level"])
    risen = dataclasses.replace(
        risen, drifted=risen.drifted and float(risen.distance or 0.0) >= loss_rise
    )
    scores = [all_scores(y, p, schema.task, version.threshold) for y, p in (before, after)]
    performance = {
        "metrics": {
            name: {"reference": scores[0].get(name), "window": value}
            for name, value in scores[1].items()
        },
        "loss": {
            "name": loss,
            "reference": float(np.mean(losses[0])),
            "window": float(np.mean(losses[1])),
        },
        "method": risen.method,
        "score": risen.score,
        "threshold": risen.threshold,
        "rise": risen.distance,
        "drifted": risen.drifted,
    }
    return compare_window(pairs, **limits), performance


def _predictions(version: WatchedVersion, rows: pl.DataFrame) -> tuple[Any, DoubleArray]:
    """What was right, (n,), and what was predicted, (n, C) or (n, 1)."""
    classes = version.schema.classes
    if not classes:
        return rows[ACTUAL].to_numpy(), rows.select(PREDICTED).to_numpy()
    numbers = {name: number for number, name in enumerate(classes)}
    actual = rows[ACTUAL].replace_strict(numbers, return_dtype=pl.Int64).to_numpy()
    return actual, rows.select(f"p_{name}" for name in classes).to_numpy()


def _latency(seconds: DoubleArray) -> dict[str, float]:
    if not len(seconds):
        return {}
    return {name: float(np.quantile(seconds, q)) for name, q in QUANTILES.items()}


def _service(record: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    """Limits of the service that are passed."""
    slow, least, most = (settings[n] for n in ("latency_seconds", "least_rows", "most_rows"))
    alarms = []
    if slow is not None and record["latency"].get("p95", 0.0) > slow:
        alarms.append(LATENCY)
    rows = record["rows"]
    if (least is not None and rows < least) or (most is not None and rows > most):
        alarms.append(VOLUME)
    return alarms
