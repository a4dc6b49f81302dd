"""Are two sets of rows distributed alike, column by column? Evidently decides.

Numbers and dates are compared as numbers, the rest as categories. In a category a missing cell is
a value of its own and rare values are one; missing numbers are left out, and told apart by their
shares. Texts are compared by numbers that describe them (`text_drift`): Evidently's own test for
text trains a classifier per column.
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl

from plumbline.evaluation.drift_page import NOTHING, sealed
from plumbline.evaluation.homogeneity import homogeneity_test
from plumbline.kinds import ORDERED, ColumnType

os.environ.setdefault("DO_NOT_TRACK", "1")  # before the import: Evidently sends nothing home

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # of names that numpy has moved
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

NUMBERS_ONLY = {"ks", "wasserstein"}  # methods that do not compare categories
FREQUENT = 50  # values of a category that are compared each by itself, at most
REPEATED = 5  # reference rows that such a value has, at least
FEW_ROWS, FEW_VALUES = 1000, 5  # up to which Evidently does so
MISSING, RARE = "(missing)", "(rare or new)"
P_VALUE = "p_value"  # how the names of methods that are tests end
# a method that is asked for by its short name is reported under its full one, as `auto` does
NAMES = {
    "ks": "K-S p_value",
    homogeneity_test.name: f"{homogeneity_test.display_name} {P_VALUE}",
    "psi": "PSI",
    "wasserstein": "Wasserstein distance (normed)",
    "jensenshannon": "Jensen-Shannon distance",
}
DAY = 86_400e6  # microseconds


@dataclass(frozen=True, kw_only=True)
class ColumnPair:
    """The same column in reference rows and in current rows; the two may differ in length."""

    type: ColumnType
    reference: pl.Series
    current: pl.Series


@dataclass(frozen=True, kw_only=True)
class ColumnDrift:
    """Evidently's verdict on one column. Method, score and threshold are None where there is
    nothing to compare: a side without a value. `distance`: where both a test and a distance decide.
    `parts`: of a text, the verdict per descriptor."""

    method: str | None
    score: float | None
    threshold: float | None
    drifted: bool
    missing: tuple[float, float]  # shares, reference and current
    distance: float | None = None
    parts: Mapping[str, ColumnDrift] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        parts = {name: part.to_json() for name, part in self.parts.items()}
        return {
            "method": self.method,
            "score": self.score,
            "threshold": self.threshold,
            **({} if self.distance is None else {"distance": self.distance}),
            "drifted": self.drifted,
            "missing": {"reference": self.missing[0], "current": self.missing[1]},
            **({"descriptors": parts} if parts else {}),
        }


def compare(
    pairs: Mapping[str, ColumnPair], *, method: str, threshold: float | None
) -> tuple[dict[str, ColumnDrift], str]:
    """Verdicts by column, in the order given, and Evidently's page as HTML.

    Args:
        method: `auto` for Evidently's choice by size and type, or one of its names; a method
            for numbers only leaves categories to Evidently's choice.
        threshold: of the score; None for the method's own.
    """
    columns = {name: _column(pair) for name, pair in pairs.items()}
    compared = {name: both for name, both in columns.items() if both is not None}
    answers, page = _run_evidently(compared, method, threshold) if compared else ({}, NOTHING)
    drifts = {}
    for name, pair in pairs.items():
        empty = [_missing(side) == 1.0 for side in (pair.reference, pair.current)]
        verdict = answers.get(name, (None, None, None, empty[0] != empty[1]))
        drifts[name] = ColumnDrift(
            method=verdict[0],
            score=verdict[1],
            threshold=verdict[2],
            drifted=verdict[3],
            missing=missing_shares(pair),
        )
    return drifts, page


@dataclass(frozen=True, kw_only=True)
class Chance:
    """How many columns a test calls drifted where nothing has changed.

    A test at p < 0.05 does so for one column in twenty; a distance has no such rate and is not
    counted. `at_most` is the 95% quantile of that number for independent columns.
    """

    tested: int
    drifted: int
    threshold: float  # the largest of the tests' thresholds
    expected: float
    at_most: int

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "exceeded": self.drifted > self.at_most}


def chance(results: Iterable[ColumnDrift]) -> Chance | None:
    """What chance gives over these columns; None where none was compared by a test."""
    tested = [c for c in results if c.score is not None and (c.method or "").endswith(P_VALUE)]
    thresholds = [float(c.threshold or 0.0) for c in tested]
    if not tested:
        return None
    shares = np.ones(1)  # of runs with 0, 1, 2 … such columns: the Poisson binomial distribution
    for threshold in thresholds:
        shares = np.convolve(shares, [1 - threshold, threshold])
    return Chance(
        tested=len(tested),
        drifted=sum(c.drifted for c in tested),
        threshold=max(thresholds),
        expected=sum(thresholds),
        at_most=int(np.searchsorted(np.cumsum(shares), 0.95)),
    )


_ColumnResult = tuple[str | None, float | None, float | None, bool]


def missing_shares(pair: ColumnPair) -> tuple[float, float]:
    """Of reference and current rows."""
    return _missing(pair.reference), _missing(pair.current)


def _missing(side: pl.Series) -> float:
    """Share of missing values; a side without rows misses all."""
    return side.null_count() / len(side) if len(side) else 1.0


def _column(pair: ColumnPair) -> tuple[pd.Series, pd.Series, bool] | None:
    """Reference and current values as pandas has them, and whether they are numbers; None where
    a side has no value."""
    sides = (pair.reference, pair.current)
    if pair.type in ORDERED:
        reference, current = (as_numbers(side, pair.type) for side in sides)
        if reference.notna().any() and current.notna().any():
            return reference, current, True
        return None
    if any(_missing(side) == 1.0 for side in sides):
        return None
    words = [side.cast(pl.String).fill_null(MISSING).alias("value") for side in sides]
    counts = words[0].value_counts().sort(["count", "value"], descending=[True, False])
    frequent = set(counts.filter(pl.col("count") >= REPEATED)["value"].head(FREQUENT).to_list())
    kept = [
        pd.Series([v if v in frequent else RARE for v in side.to_list()], dtype=object)
        for side in words
    ]
    return kept[0], kept[1], False


def as_numbers(side: pl.Series, kind: ColumnType) -> pd.Series:
    """Float64; dates in days since 1970; what is not finite is missing."""
    values = side.cast(pl.Int64).cast(pl.Float64) / DAY if kind is ColumnType.DATE else side
    array = values.cast(pl.Float64).fill_null(math.nan).to_numpy()
    return pd.Series(np.where(np.isfinite(array), array, np.nan), dtype=float)


def _run_evidently(
    columns: Mapping[str, tuple[pd.Series, pd.Series, bool]], method: str, threshold: float | None
) -> tuple[dict[str, _ColumnResult], str]:
    # of differing length: Evidently leaves out what is missing, column by column
    reference = pd.concat({name: both[0] for name, both in columns.items()}, axis=1)
    current = pd.concat({name: both[1] for name, both in columns.items()}, axis=1)
    numbers = [name for name, both in columns.items() if both[2]]
    kinds = DataDefinition(
        numerical_columns=numbers,
        categorical_columns=[name for name in columns if name not in set(numbers)],
    )
    metrics = [
        ValueDrift(column=name, method=_method(method, *both), threshold=threshold)
        for name, both in columns.items()
    ]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # its own, about divisions by empty bins
        snapshot = Report(metrics, include_tests=True).run(
            Dataset.from_pandas(current, data_definition=kinds),
            Dataset.from_pandas(reference, data_definition=kinds),
            timestamp=datetime(1970, 1, 1),
        )
        page = snapshot.get_html_str(as_iframe=False)
    answer = snapshot.dict()
    return _column_results(answer["metrics"], answer["tests"]), sealed(page)


def _method(method: str, reference: pd.Series, current: pd.Series, is_number: bool) -> str | None:
    """None: Evidently's choice, but for its chi-square test. Of few rows it compares numbers of few
    values as categories; where one is rare in the reference, or new, they stay numbers."""
    if method != "auto" and (is_number or method not in NUMBERS_ONLY):
        return method
    counts, values = reference.value_counts(), pd.concat([reference, current]).nunique()
    if reference.count() > FEW_ROWS or (is_number and len(counts) > FEW_VALUES):
        return None
    if is_number and counts.reindex(current.dropna().unique()).fillna(0).min() < REPEATED:
        return "ks"
    return homogeneity_test.name if values > 2 else None


def _column_results(metrics: Sequence[Any], tests: Sequence[Any]) -> dict[str, _ColumnResult]:
    failed = {
        test["metric_config"]["params"]["column"]: test["status"].value == "FAIL" for test in tests
    }
    results: dict[str, _ColumnResult] = {}
    for metric in metrics:
        config, score = metric["config"], float(metric["value"])
        name = config["column"]
        # no score where a test has no answer, as for two constants that are the same
        known = math.isfinite(score)
        results[name] = (
            NAMES.get(config["method"], str(config["method"])),
            score if known else None,
            float(config["threshold"]),
            bool(failed[name]) and known,
        )
    return results
