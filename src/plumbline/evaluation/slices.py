"""Where the model is weak: the metrics on parts of the rows, by the values of a column.

n rows, B resamples, S slices.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from plumbline.errors import ParameterError, nearest, shorten
from plumbline.evaluation.decision import PartPredictions
from plumbline.evaluation.intervals import interval, resample
from plumbline.evaluation.measured import MEASURES, MISSING, Cuts, label_cells
from plumbline.evaluation.metrics import METRICS, all_scores
from plumbline.evaluation.metrics.weighted import Statistic, Targets, take
from plumbline.evaluation.slice_losses import SliceLoss, compare_slices
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import NUMERIC, ColumnType, DoubleArray, IntArray, TargetKind
from plumbline.tables import Schema

FEW_VALUES = 20  # a category of more is not sliced of itself; named, its 20 most frequent are
FEW_NUMBERS = 10  # a number of so many different values is sliced by value, not by quartile
NUMBER_COLUMNS = 5  # chosen of themselves
QUARTILES = 4  # ranges of a number column; fewer where a quarter of the rows were too few
RESAMPLES = 300  # of the interval of a slice's score
LEVEL = 0.05  # of all slices together
LEAST = 0.05  # a smaller rise of the loss is no weakness
NAMES = (ColumnType.CATEGORY, ColumnType.BOOLEAN)


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The rows with one value, or in one range, of a column; `rows` are positions, ascending."""

    column: str
    value: str
    rows: IntArray


def choose_columns(
    wanted: Sequence[str] | str, schema: Schema, train: Examples, spec: InputSpec
) -> list[str]:
    """The columns to slice by.

    Args:
        wanted: names, or `auto`: the features that are categories, booleans, texts or images, and
            the 5 number columns that are most related to the target in the training rows.

    Raises:
        ParameterError: a name that is no column, or the target.
    """
    if wanted == "auto":
        strength = relation(train, spec)
        numbers = [c.name for c in schema.features if c.type in NUMERIC and c.name in strength]
        numbers = sorted(numbers, key=lambda name: -strength[name])[:NUMBER_COLUMNS]
        whole = (*NAMES, *MEASURES)
        return [c.name for c in schema.features if c.type in whole or c.name in numbers]
    names = [c.name for c in schema.columns if c.name != schema.target]
    for name in wanted:
        if name not in names:
            what = "is the target" if name == schema.target else "is no column of the data"
            raise ParameterError(
                f"{shorten(name)} {what}",
                file="params.yaml",
                where="evaluate.slices",
                hint=nearest(name, names),
            )
    return list(dict.fromkeys(wanted))


def relation(train: Examples, spec: InputSpec) -> dict[str, float]:
    """How much of a number column's variance goes with the target, per source column: the
    squared correlation, or for classes the correlation ratio (eta squared). 0 to 1."""
    if len(train) == 0:
        return {}
    tensors = spec.of_kind("numbers")
    if not tensors:
        return {}
    x = np.concatenate([train.inputs[t.name] for t in tensors], axis=1, dtype=np.float64)
    x = x - x.mean(axis=0)  # (n, numbers)
    total = np.maximum(np.square(x).sum(axis=0), 1e-12)
    strength = EXPLAINED[spec.task.spec.target](train.y, x, total)
    gaps: dict[str, float] = {}
    sources = [source for tensor in tensors for source in tensor.sources]
    for source, value in zip(sources, strength, strict=True):
        gaps[source] = max(gaps.get(source, 0.0), float(value))
    return gaps


def _by_classes(y: Targets, x: DoubleArray, total: DoubleArray) -> DoubleArray:
    """Correlation ratios of centered numbers x (n, d) with sums of squares `total`; (d,)."""
    classes = y.astype(np.int64)
    member = (classes[:, None] == np.unique(classes)).astype(np.float64)  # (n, K)
    shares: DoubleArray = np.square(member.T @ x) / member.sum(axis=0)[:, None]
    return np.asarray(shares.sum(axis=0) / total)


def _by_values(y: Targets, x: DoubleArray, total: DoubleArray) -> DoubleArray:
    """Squared correlations of centered numbers x (n, d) with sums of squares `total`; (d,)."""
    centered = y.astype(np.float64) - y.mean(dtype=np.float64)
    spread = max(float(np.square(centered).sum()), 1e-12)
    return np.asarray(np.square(centered @ x) / (total * spread))


EXPLAINED = {TargetKind.CLASSES: _by_classes, TargetKind.NUMBERS: _by_values}


def make_slices(
    frame: pl.DataFrame,
    schema: Schema,
    *,
    measured: Mapping[str, Sequence[pl.Series]],
    cuts: Cuts,
    auto: bool,
    min_rows: int,
) -> list[Slice]:
    """Slices of at least `min_rows` rows of every column of a frame; none that holds all rows.

    Args:
        measured: of columns of texts and images, the numbers that they are sliced by
            (`measure_cells`), and `cuts`, where (`find_cuts` of the training rows).
        auto: leave out categories of more than 20 values (named ones keep their 20 most
            frequent).
    """
    slices: list[Slice] = []
    for name in frame.columns:
        bins = int(np.clip(len(frame) // max(min_rows, 1), 2, QUARTILES))
        kind = schema.column(name).type
        if kind in MEASURES:
            families = label_cells(measured[name], kind, cuts[name])
        else:
            families = [_labels(frame[name], kind, bins)]
        for values in families:
            slices += _slices_of(name, values, len(frame), auto, min_rows)
    # rows with a missing cell are one slice, however many measures the column has
    return list({(one.column, one.value): one for one in slices}.values())


def _slices_of(
    name: str, values: pl.Series, total: int, auto: bool, min_rows: int
) -> Iterator[Slice]:
    counted = values.rename("value").value_counts()
    counts = counted.sort("count", "value", descending=[True, False])
    if auto and len(counts) > FEW_VALUES:
        return
    if counts.filter(pl.col("value") != MISSING).height == 1:  # all that are not missing
        counts = counts.filter(pl.col("value") == MISSING)
    for value, count in counts.head(FEW_VALUES).iter_rows():
        if min_rows <= count < total:
            rows = (values == value).arg_true().to_numpy().astype(np.int64)
            yield Slice(column=name, value=value, rows=rows)


def score_slices(
    slices: Sequence[Slice],
    predictions: PartPredictions,
    metric: str,
    *,
    reference: DoubleArray | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The metrics of each slice, and whether the model is weak there: its loss is significantly
    higher than the reference's on the same rows, by more than 5% (`slice_losses`).

    Args:
        reference: (n, C) or (n, 1), another model's predictions of the same rows; None: no slice
            is judged.

    Returns:
        Per slice `column`, `value`, `rows`, `score` (None where the metric is undefined there),
        `ci95` (of the score, for this slice alone), `difference` (to the score of all rows),
        `worse`, `loss` (None, or `name`, `model`, `reference`, `rise`, `p_value`), `metrics`.
    """
    if not slices:
        return []
    y, prediction, threshold = predictions.y, predictions.prediction, predictions.decision.threshold
    make = METRICS[metric].statistic
    statistics = {
        str(s): _on(one.rows, make(y[one.rows], prediction[one.rows], threshold))
        for s, one in enumerate(slices)
    }
    everything = METRICS[metric].function(y, prediction, threshold)
    ones = np.ones((1, len(y)))
    points = [float(of(ones)[0]) for of in statistics.values()]
    values = resample(
        lambda w: {name: of(w) for name, of in statistics.items()},
        len(y),
        min(resamples, RESAMPLES),
        seed,
    )
    losses = _losses(slices, predictions, metric, reference)
    scored = []
    for s, (one, point, loss) in enumerate(zip(slices, points, losses, strict=True)):
        known, difference = math.isfinite(point), point - everything
        ends = interval(values[str(s)], point, biased=METRICS[metric].biased) if known else None
        scored.append(
            {
                "column": one.column,
                "value": one.value,
                "rows": len(one.rows),
                "score": point if known else None,
                "ci95": list(ends) if ends else None,
                "difference": difference if math.isfinite(difference) else None,
                "worse": loss is not None and loss.worse,
                "loss": _loss_json(metric, loss),
                "metrics": all_scores(
                    y[one.rows], prediction[one.rows], predictions.task, threshold
                ),
            }
        )
    return scored


def _on(rows: IntArray, of: Statistic) -> Statistic:
    return lambda w: of(take(w, rows))


def _losses(
    slices: Sequence[Slice],
    predictions: PartPredictions,
    metric: str,
    reference: DoubleArray | None,
) -> Sequence[SliceLoss | None]:
    """Of each slice, the model's loss against the reference's."""
    if reference is None:
        return [None] * len(slices)
    rows = [one.rows for one in slices]
    y, own = predictions.y, predictions.prediction
    compared = compare_slices(metric, y, own, reference, rows, level=LEVEL, least=LEAST)
    return compared or [None] * len(slices)


def _loss_json(metric: str, loss: SliceLoss | None) -> dict[str, Any] | None:
    if loss is None:
        return None
    return {
        "name": METRICS[metric].row_loss,
        "model": loss.loss,
        "reference": loss.reference,
        "rise": loss.rise if math.isfinite(loss.rise) else None,
        "p_value": loss.p_value,
    }


def _labels(values: pl.Series, kind: ColumnType, bins: int) -> pl.Series:
    """Each row's slice, as text: the value, or the range that it is in."""
    if values.dtype.is_float():
        values = values.fill_nan(None)
    if kind in NUMERIC and values.n_unique() > FEW_NUMBERS:
        return _ranges(values.cast(pl.Float64), bins, _shown)
    if kind is ColumnType.DATE:
        texts = values.dt.to_string("%Y-%m-%d %H:%M")
        numbers = values.dt.epoch("us").cast(pl.Float64)
        text_of = dict(zip(numbers.to_list(), texts.to_list(), strict=True))
        return _ranges(
            numbers, bins, lambda edges: [text_of[e].removesuffix(" 00:00") for e in edges]
        )
    if kind in NUMERIC:
        shown = [None if v is None else f"{v:.15g}" for v in values.to_list()]
        return pl.Series(values.name, shown, dtype=pl.String).fill_null(MISSING)
    return values.cast(pl.String).fill_null(MISSING)


def _shown(edges: Sequence[float]) -> list[str]:
    """Whole numbers as they are, others in as few digits, at least 4, as tell them apart."""
    if all(e.is_integer() and abs(e) < 1e15 for e in edges):
        return [f"{e:.0f}" for e in edges]
    texts = [[f"{e:.{digits}g}" for e in edges] for digits in range(4, 18)]
    return next(t for t in texts if len(set(t)) == len(edges))


def _ranges(
    values: pl.Series, bins: int, show: Callable[[Sequence[float]], list[str]]
) -> pl.Series:
    """Ranges of about equally many rows, cut at values that occur; fewer where one value is in
    more rows than that."""
    array = values.fill_null(np.nan).to_numpy()  # (n,)
    known = array[~np.isnan(array)]
    shares = np.arange(1, bins) / bins
    cuts = np.quantile(known, shares, method="lower") if len(known) else known
    edges = np.unique(cuts[cuts < known.max(initial=-np.inf)])
    texts = show(edges.tolist())
    ranges = [f"{a} – {b}" for a, b in itertools.pairwise(texts)]
    lowest = [texts[0] if known.min() == edges[0] else f"≤ {texts[0]}"] if texts else []
    labels = [*lowest, *ranges, f"> {texts[-1]}"] if texts else ["(one value)"]
    where = np.where(np.isnan(array), len(labels), np.searchsorted(edges, array, side="left"))
    return pl.Series(values.name, np.array([*labels, MISSING])[where])
