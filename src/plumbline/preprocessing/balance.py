"""Resamplers of training rows. Never given a row that is scored: tune calls them in each
fold, train on the training part.

`ratio` is the wanted count of every class relative to the largest (over-sampling, SMOTE: a
class below is raised to it) or to the smallest (under-sampling: a class above `1 / ratio`
times the smallest is cut to it). Classes already within the ratio are left alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np

from plumbline.config.data import BalanceConfig
from plumbline.errors import ParameterError, choose
from plumbline.kinds import IntArray
from plumbline.tables import Arrays, InputSpec

SYNTHETIC = -1  # row number of a row that SMOTE made


def resample(arrays: Arrays, spec: InputSpec, config: BalanceConfig, seed: int) -> Arrays:
    """Training rows resampled, in an order drawn from the seed (`none`: as given).

    Raises:
        ParameterError: the task has no classes.
    """
    if config.method == "none":
        return arrays
    if not spec.task.is_classification:
        raise ParameterError(
            "resampling needs classes",
            file="params.yaml",
            where="normalize.balance.method",
            wanted="none for a regression task",
            got=config.method,
        )
    sampler = choose(RESAMPLERS, config.method, "normalize.balance.method")
    made = sampler(arrays, spec, config, seed)
    return made.take(np.random.default_rng([seed, 1]).permutation(len(made)))


def raised_counts(y: IntArray, ratio: float) -> dict[int, int]:
    """Class -> wanted count, for the classes that over-sampling raises."""
    classes, counts = np.unique(y, return_counts=True)
    wanted = round(min(ratio, 1.0) * int(counts.max(initial=0)))
    return {int(c): wanted for c, n in zip(classes, counts, strict=True) if n < wanted}


def _none(arrays: Arrays, spec: InputSpec, config: BalanceConfig, seed: int) -> Arrays:
    return arrays


def _oversample(arrays: Arrays, spec: InputSpec, config: BalanceConfig, seed: int) -> Arrays:
    """Rows of rarer classes repeated: every row equally often, the remainder drawn."""
    y = arrays.y.astype(np.int64)
    rng = np.random.default_rng([seed, 0])
    keep = [np.arange(len(y))]
    for label, wanted in raised_counts(y, config.ratio).items():
        own = np.flatnonzero(y == label)
        times, rest = divmod(wanted - len(own), len(own))
        keep += [np.tile(own, times), rng.choice(own, rest, replace=False)]
    return arrays.take(np.concatenate(keep))


def _undersample(arrays: Arrays, spec: InputSpec, config: BalanceConfig, seed: int) -> Arrays:
    """Rows of larger classes left out at random."""
    rng = np.random.default_rng([seed, 0])
    classes, counts = np.unique(arrays.y, return_counts=True)
    most = round(int(counts.min()) / min(config.ratio, 1.0)) if len(counts) else 0
    keep = [
        rng.choice(own, min(len(own), most), replace=False)
        for own in (np.flatnonzero(arrays.y == c) for c in classes)
    ]
    return arrays.take(np.sort(np.concatenate(keep)) if keep else slice(0, 0))


def _smote(arrays: Arrays, spec: InputSpec, config: BalanceConfig, seed: int) -> Arrays:
    """SMOTE, and SMOTE-NC where there are categories (Chawla et al. 2002).

    A class of few rows takes fewer neighbours; one of a single row is repeated. Synthetic
    rows have row number -1, codes that occur among their neighbours, and weight 1.
    """
    y = arrays.y.astype(np.int64)
    wanted = raised_counts(y, config.ratio)
    size = {label: int((y == label).sum()) for label in wanted}
    alone = {label for label, n in size.items() if n == 1}
    made = arrays
    # a call per number of neighbours: imbalanced-learn takes one for all classes
    for neighbors in sorted({min(config.neighbors, size[c] - 1) for c in wanted} - {0}):
        group = {
            c: n
            for c, n in wanted.items()
            if c not in alone and min(config.neighbors, size[c] - 1) == neighbors
        }
        made = _join(made, _synthetic(arrays, group, neighbors, seed))
    for label in sorted(alone):
        own = np.full(wanted[label] - 1, np.flatnonzero(y == label)[0])
        made = _join(made, arrays.take(own))
    return made


def _synthetic(arrays: Arrays, wanted: dict[int, int], neighbors: int, seed: int) -> Arrays:
    """The rows that SMOTE adds to bring each class to its wanted count."""
    from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

    n, d_num = arrays.num.shape
    d_cat = arrays.cat.shape[1]
    x = np.concatenate([arrays.num.astype(np.float64), arrays.cat], axis=1)
    common = {"sampling_strategy": wanted, "k_neighbors": neighbors, "random_state": seed % 2**32}
    if not d_cat:
        sampler = SMOTE(**common)
    elif not d_num:
        sampler = SMOTEN(**common)
        x = arrays.cat
    else:
        # indicators and one-hot columns stay 0 or 1
        flags = [j for j in range(d_num) if len(np.unique(arrays.num[:, j])) <= 2]
        named = [*flags, *range(d_num, d_num + d_cat)]
        sampler = SMOTENC(categorical_features=named, **common)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, about codes as numbers
        grown, labels = sampler.fit_resample(x, arrays.y.astype(np.int64))
    grown, labels = np.asarray(grown)[n:], np.asarray(labels)[n:]
    return Arrays(
        num=grown[:, :d_num].astype(np.float32) if d_num else np.empty((len(grown), 0), np.float32),
        cat=grown[:, d_num:].astype(np.int64),
        y=labels.astype(np.int64),
        rows=np.full(len(labels), SYNTHETIC, dtype=np.int64),
        weight=np.ones(len(labels), dtype=np.float32),
    )


def _join(left: Arrays, right: Arrays) -> Arrays:
    return Arrays(
        num=np.concatenate([left.num, right.num]),
        cat=np.concatenate([left.cat, right.cat]),
        y=np.concatenate([left.y, right.y]),
        rows=np.concatenate([left.rows, right.rows]),
        weight=np.concatenate([left.weight, right.weight]),
    )


RESAMPLERS: dict[str, Callable[[Arrays, InputSpec, BalanceConfig, int], Arrays]] = {
    "none": _none,
    "oversample": _oversample,
    "undersample": _undersample,
    "smote": _smote,
}
