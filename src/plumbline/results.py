"""The results of the last run on one screen: `plumbline show`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plumbline import artifacts
from plumbline.numbers import number
from plumbline.words import (
    baseline_label,
    champion_words,
    metric_interval,
    metric_label,
    metric_value,
)

BASELINES_FIRST = 3  # columns of baselines that fit a screen
PLACES = (
    (f"reports/{artifacts.PAGE}", "the whole run on one page"),
    ("make ui", "MLflow and Prefect in the browser"),
    ("dvc metrics diff", "what changed since the last commit of dvc.lock"),
)


def summary(root: Path) -> str:
    """Results, verdicts, and where to look, as text.

    Raises:
        StorageError: a stage has not left its report yet; names the file and the stage.
    """
    parts = [table(*metric_rows(root)), metadata(fact_rows(root)), metadata(PLACES, arrow="→ ")]
    return "\n\n".join(parts)


def metric_rows(root: Path) -> tuple[list[str], list[list[str]]]:
    """Header and rows: test metric, its 95% interval, baselines; the one that counts first."""
    metrics = artifacts.read(artifacts.Metrics, root)
    counts = artifacts.read(artifacts.Comparison, root).metric
    baselines = dict(list(metrics.baselines.items())[:BASELINES_FIRST])
    names = sorted(metrics.test, key=lambda name: name != counts)
    rows = []
    for name in names:
        low, high = metrics.test_ci95.get(name, (None, None))
        label = metric_label(name)
        rows.append(
            [
                f"{label} *" if name == counts else label,
                metric_value(name, metrics.test[name]),
                metric_interval(name, low, high),
                *(metric_value(name, scores.get(name)) for scores in baselines.values()),
            ]
        )
    return ["test rows", "deep model", "95% interval", *map(baseline_label, baselines)], rows


def fact_rows(root: Path) -> list[tuple[str, str]]:
    """What the gates and the registry said."""
    validation = artifacts.read(artifacts.ValidationResult, root)
    leakage = artifacts.read(artifacts.LeakageResult, root)
    drift = artifacts.read(artifacts.DriftResult, root)
    parity = artifacts.read(artifacts.ParityResult, root)
    register = artifacts.read(artifacts.Registered, root)
    moved = champion_words(register.version, register.history)
    drifted = [name for name, column in drift.columns.items() if column["drifted"]]
    failed = len(validation.failed)
    rebuilt = register.lineage.get("rebuildable")
    checks = {finding.get("title", finding["check"]): None for finding in leakage.findings}
    return [
        (
            "validation",
            f"{validation.evaluated} expectations, {failed or 'none'} failed",
        ),
        ("leakage", "clean" if leakage.clean else f"found: {', '.join(checks)}"),
        (
            "drift",
            f"{'the data set drifts' if drift.dataset_drift else 'none of the data set'}; "
            f"{len(drifted)} of {len(drift.columns)} columns{_some(drifted)}",
        ),
        ("ONNX", f"differs from torch by at most {number(parity.max_difference or 0, 2)}"),
        ("model", f"{register.model} version {register.version}"),
        ("decision", register.decision),
        *(("", reason) for reason in register.reasons),
        *([("champion", moved)] if moved else []),
        *([("can be rebuilt", rebuilt)] if rebuilt else []),
    ]


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Text in columns: the first to the left, the others to the right."""
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def metadata(rows: Sequence[tuple[str, str]], arrow: str = "") -> str:
    """One line per fact, values under each other."""
    width = max(len(label) for label, _ in rows)
    return "\n".join(f"{arrow}{label:<{width}}  {value}" for label, value in rows)


def _some(names: Sequence[str], limit: int = 3) -> str:
    if not names:
        return ""
    more = ", …" if len(names) > limit else ""
    return f" ({', '.join(names[:limit])}{more})"
