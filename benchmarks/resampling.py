"""95 % intervals of every metric by resampling rows, beside scikit-learn asked anew for each
resample."""

from __future__ import annotations

import time
from collections.abc import Mapping

import numpy as np
from sklearn import metrics

from benchmarks.result import Figure, Result, Table
from plumbline.evaluation.intervals import intervals
from plumbline.kinds import DoubleArray, IntArray, Task

ROWS, RESAMPLES, CLASSES = 100_000, 1_000, 4
PEER_RESAMPLES = 20  # of scikit-learn, whose time is taken to grow with them
SECONDS = 10  # in which two classes are to be done


def run(rows: int = ROWS) -> Result:
    """Two classes, several classes and numbers."""
    rng = np.random.default_rng(0)
    figures, lines = [], []
    for words, (task, y, prediction) in tasks(rng, rows).items():
        begun = time.perf_counter()
        made = intervals(y, prediction, task, resamples=RESAMPLES)
        seconds = time.perf_counter() - begun
        begun = time.perf_counter()
        for _ in range(PEER_RESAMPLES):
            drawn = rng.integers(0, rows, rows)
            by_scikit_learn(task, y[drawn], prediction[drawn])
        peer = (time.perf_counter() - begun) * RESAMPLES / PEER_RESAMPLES
        lines.append([words, f"{len(made)}", f"{seconds:.1f}", f"{peer:.0f}"])
        figures.append(
            Figure(
                name=f"{words}: seconds for {rows:,} rows",
                reached=seconds,
                unit="s",
                target=f"≤ {SECONDS} s",
                holds=seconds <= SECONDS,
            )
        )
    return Result(
        title="Intervals of metrics",
        figures=figures,
        tables=[
            Table(
                title=f"{rows:,} rows, {RESAMPLES:,} resamples",
                columns=["target", "metrics", "plumbline, s", "scikit-learn, s"],
                rows=lines,
            )
        ],
        notes=[
            f"scikit-learn: the same metrics but for calibration error and on {PEER_RESAMPLES} "
            f"resamples, times {RESAMPLES // PEER_RESAMPLES}"
        ],
    )


def tasks(
    rng: np.random.Generator, rows: int
) -> Mapping[str, tuple[Task, IntArray | DoubleArray, DoubleArray]]:
    """Targets (rows,) and predictions (rows, C) by what they are called."""
    positive = rng.random(rows)
    two = np.column_stack([1 - positive, positive])
    several = rng.dirichlet(np.ones(CLASSES), rows)
    classes = (several.cumsum(1) < rng.random((rows, 1))).sum(1)
    values = rng.normal(10, 3, (rows, 1))
    return {
        "two classes": (Task.BINARY, (rng.random(rows) < positive).astype(np.int64), two),
        f"{CLASSES} classes": (Task.MULTICLASS, classes.astype(np.int64), several),
        "numbers": (Task.REGRESSION, values[:, 0] + rng.normal(0, 1, rows), values),
    }


def by_scikit_learn(task: Task, y: IntArray | DoubleArray, p: DoubleArray) -> None:
    """Each metric once."""
    if task == Task.REGRESSION:
        for of in (
            metrics.mean_absolute_error,
            metrics.mean_squared_error,
            metrics.root_mean_squared_error,
            metrics.r2_score,
            metrics.mean_absolute_percentage_error,
        ):
            of(y, p[:, 0])
        return
    binary = task == Task.BINARY
    label, average = p.argmax(1), "binary" if binary else "macro"
    metrics.accuracy_score(y, label)
    metrics.balanced_accuracy_score(y, label)
    metrics.precision_recall_fscore_support(y, label, average=average)
    metrics.roc_auc_score(y, p[:, 1] if binary else p, multi_class="ovr")
    one_hot = y if binary else np.eye(p.shape[1])[y.astype(np.int64)]
    metrics.average_precision_score(one_hot, p[:, 1] if binary else p)
    metrics.log_loss(y, p)
    metrics.brier_score_loss(y, p[:, 1] if binary else p)
