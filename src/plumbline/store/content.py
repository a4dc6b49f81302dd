"""What a training's run in MLflow holds, read from the files that the stages wrote."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from plumbline import artifacts
from plumbline.store.lineage import short
from plumbline.store.tracking import BUNDLE, ChildRun, Content
from plumbline.words import baseline_label

MAX_TRIALS = 50  # as child runs, the best; every trial is in trials.csv
MAX_FILE = 20_000_000  # bytes; a larger file stays where it is
MAX_FILES = 200
MAX_CURVE = 10_000  # points per curve
SHOWN_LIBRARIES = 2  # Python and torch


def read_content(
    root: Path,
    params: Mapping[str, Any],
    lineage: Mapping[str, str],
    data: Mapping[str, str],
    files: Sequence[tuple[Path, str]],
    bundle: Path,
    metric: str,
) -> Content:
    """Collect parameters, numbers, curves, files, and as child runs baselines and trials.

    Args:
        root: the checkout; `reports/` and `artifacts/` are read.
        params: nested parameters, as they were used.
        lineage: see `lineage.lineage`; becomes tags.
        data: `name` and `path` of the data.
        files: files and folders to keep, each with the folder to keep it in.
        bundle: the folder of the fitted model, kept whole: other fits may start from it.
        metric: the one that counts; MLflow shows it first.
    """
    kept, left_out = _bounded(files)
    kept += [(file, BUNDLE) for file in sorted(bundle.iterdir()) if file.is_file()]
    tags = {f"plumbline.{key}": _brief(key, value) for key, value in lineage.items()}
    tags |= {"mlflow.source.name": "plumbline register", "mlflow.source.type": "LOCAL"}
    tags["mlflow.source.git.commit"] = lineage["git_commit"]
    if "user" in lineage:
        tags["mlflow.user"] = lineage["user"]  # the UI's "created by"
    if left_out:
        tags["plumbline.left_out"] = ", ".join(left_out)[:5000]
    metrics = artifacts.read(artifacts.Metrics, root)
    return Content(
        params=dict(flatten(params)),
        metrics=flat_metrics(metrics, metric),
        curves=list(_curves(root / "reports" / artifacts.CURVES)),
        tags=tags,
        dataset={
            "name": data["name"],
            "digest": short(lineage["data"]),
            "source_type": "local",
            "source": json.dumps({"uri": data["path"]}),
        },
        files=kept,
        children=[*_baselines(metrics), *_trials(root)],
    )


def _brief(key: str, value: str) -> str:
    """A tag that MLflow's page of a run shows whole; the version's has all of it."""
    return " ".join(value.split()[:SHOWN_LIBRARIES]) if key == "libraries" else short(value)


def flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested parameters as `section.key`; lists and empty mappings stay values."""
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{name}.")
        else:
            yield name, value


def flat_metrics(metrics: artifacts.Metrics, first: str) -> dict[str, float]:
    """The model's numbers of metrics.json as `part/metric`, `test_ci95_low/metric` …; baselines
    have runs of their own."""
    flat: dict[str, float | None] = {f"test/{first}": metrics.test.get(first)}
    for part in ("test", "val", "train"):
        flat |= {f"{part}/{name}": value for name, value in getattr(metrics, part).items()}
    for name, (low, high) in metrics.test_ci95.items():
        flat |= {f"test_ci95_low/{name}": low, f"test_ci95_high/{name}": high}
    return _measured(flat)


def _measured(values: Mapping[str, float | None]) -> dict[str, float]:
    """Without what could not be computed."""
    return {key: value for key, value in values.items() if value is not None}


def _baselines(metrics: artifacts.Metrics) -> list[ChildRun]:
    """Their scores on the test rows, under the names that the model's have."""
    return [
        ChildRun(
            name=f"baseline: {baseline_label(name)}",
            kind="baseline",
            metrics=_measured({f"test/{metric}": value for metric, value in scores.items()}),
        )
        for name, scores in metrics.baselines.items()
    ]


def _curves(path: Path) -> Iterator[tuple[str, int, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    step = math.ceil(len(rows) / MAX_CURVE) or 1
    for row in rows[::step]:
        epoch = int(row.pop("epoch"))
        for name, text in row.items():
            if text and math.isfinite(float(text)):
                yield f"training/{name}", epoch, float(text)


def _trials(root: Path) -> list[ChildRun]:
    """The best trials of trials.csv, in the order they were made."""
    with (root / "reports" / artifacts.TRIALS).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    summary = artifacts.read(artifacts.TuningSummary, root)
    rows.sort(key=lambda row: (row["number"] != str(summary.selected), row["state"] != "complete"))
    shown = sorted(rows[:MAX_TRIALS], key=lambda row: int(row["number"]))
    return [_trial(row, summary.metric) for row in shown]


def _trial(row: dict[str, str], metric: str) -> ChildRun:
    number, state, value = row.pop("number"), row.pop("state"), row.pop("value")
    folds = {key: text for key, text in row.items() if key.startswith("fold_") and text}
    params = {key: text for key, text in row.items() if not key.startswith("fold_") and text}
    metrics = {f"folds/{metric}_{key}": float(text) for key, text in folds.items()}
    if value:
        metrics[f"folds/{metric}"] = float(value)
    return ChildRun(
        name=f"trial {number}",
        kind="trial",
        params=params,
        metrics=metrics,
        tags={"plumbline.state": state},
    )


def _bounded(
    files: Sequence[tuple[Path, str]],
) -> tuple[list[tuple[Path, str]], list[str]]:
    """Single files with their folders, and the names of those that are too large or too many."""
    kept: list[tuple[Path, str]] = []
    left_out = []
    for path, folder in files:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in inside:
            if not file.is_file():
                continue
            below = file.relative_to(path).parent if path.is_dir() else Path()
            if file.stat().st_size > MAX_FILE or len(kept) >= MAX_FILES:
                left_out.append(file.name)
            else:
                kept.append((file, "/".join([*filter(None, [folder]), *below.parts])))
    return kept, left_out
