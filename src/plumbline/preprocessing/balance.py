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
from plumbline.examples import Examples, InputSpec
from plumbline.kinds import IntArray

SYNTHETIC = -1  # row number of a row that SMOTE made


def resample(examples: Examples, spec: InputSpec, config: BalanceConfig, seed: int) -> Examples:
    """Training rows resampled, in an order drawn from the seed (`none`: as given).

    Raises:
        ParameterError: the task has no classes.
    """
    if config.method == "none":
        return examples
    if not spec.task.has_classes:
        raise ParameterError(
            "resampling needs classes",
            file="params.yaml",
            where="normalize.balance.method",
            wanted=f"none for a {spec.task} task",
            got=config.method,
        )
    sampler = choose(RESAMPLERS, config.method, "normalize.balance.method")
    made = sampler(examples, spec, config, seed)
    return made.take(np.random.default_rng([seed, 1]).permutation(len(made)))


def raised_counts(y: IntArray, ratio: float) -> dict[int, int]:
    """Class -> wanted count, for the classes that over-sampling raises."""
    classes, counts = np.unique(y, return_counts=True)
    wanted = round(min(ratio, 1.0) * int(counts.max(initial=0)))
    return {int(c): wanted for c, n in zip(classes, counts, strict=True) if n < wanted}


def _none(examples: Examples, spec: InputSpec, config: BalanceConfig, seed: int) -> Examples:
    return examples


def _oversample(examples: Examples, spec: InputSpec, config: BalanceConfig, seed: int) -> Examples:
    """Rows of rarer classes repeated: every row equally often, the remainder drawn."""
    y = examples.y.astype(np.int64)
    rng = np.random.default_rng([seed, 0])
    keep = [np.arange(len(y))]
    for label, wanted in raised_counts(y, config.ratio).items():
        own = np.flatnonzero(y == label)
        times, rest = divmod(wanted - len(own), len(own))
        keep += [np.tile(own, times), rng.choice(own, rest, replace=False)]
    return examples.take(np.concatenate(keep))


def _undersample(examples: Examples, spec: InputSpec, config: BalanceConfig, seed: int) -> Examples:
    """Rows of larger classes left out at random."""
    rng = np.random.default_rng([seed, 0])
    classes, counts = np.unique(examples.y, return_counts=True)
    most = round(int(counts.min()) / min(config.ratio, 1.0)) if len(counts) else 0
    keep = [
        rng.choice(own, min(len(own), most), replace=False)
        for own in (np.flatnonzero(examples.y == c) for c in classes)
    ]
    return examples.take(np.sort(np.concatenate(keep)) if keep else slice(0, 0))


def _smote(examples: Examples, spec: InputSpec, config: BalanceConfig, seed: int) -> Examples:
    """SMOTE, and SMOTE-NC where there are categories (Chawla et al. 2002).

    A class of few rows takes fewer neighbors; one of a single row is repeated. Synthetic
    rows have row number -1, codes that occur among their neighbors, and weight 1.
    """
    y = examples.y.astype(np.int64)
    wanted = raised_counts(y, config.ratio)
    size = {label: int((y == label).sum()) for label in wanted}
    alone = {label for label, n in size.items() if n == 1}
    made = examples
    # a call per number of neighbors: imbalanced-learn takes one for all classes
    for neighbors in sorted({min(config.neighbors, size[c] - 1) for c in wanted} - {0}):
        group = {
            c: n
            for c, n in wanted.items()
            if c not in alone and min(config.neighbors, size[c] - 1) == neighbors
        }
        made = Examples.concatenate([made, _synthetic(examples, spec, group, neighbors, seed)])
    for label in sorted(alone):
        own = np.full(wanted[label] - 1, np.flatnonzero(y == label)[0])
        made = Examples.concatenate([made, examples.take(own)])
    return made


def _synthetic(
    examples: Examples, spec: InputSpec, wanted: dict[int, int], neighbors: int, seed: int
) -> Examples:
    """The rows that SMOTE adds to bring each class to its wanted count.

    Raises:
        ParameterError: a tensor holds neither numbers nor codes, so nothing lies between rows.
    """
    from imblearn.over_sampling import SMOTE, SMOTEN, SMOTENC

    for tensor in spec:
        if tensor.kind not in ("numbers", "categories"):
            raise ParameterError(
                f"smote makes rows between numbers and categories, and '{tensor.sources[0]}' is "
                "neither",
                file="params.yaml",
                where="normalize.balance.method",
                wanted="oversample or undersample",
                got="smote",
            )
    numbers = [t.name for t in spec.of_kind("numbers")]
    codes = [t.name for t in spec.of_kind("categories")]
    blocks = [np.asarray(examples.inputs[name]) for name in (*numbers, *codes)]
    widths = [block.shape[1] for block in blocks]
    d_num = sum(widths[: len(numbers)])
    n, d_cat = len(examples), sum(widths) - d_num
    x = np.concatenate([block.astype(np.float64) for block in blocks], axis=1)
    common = {"sampling_strategy": wanted, "k_neighbors": neighbors, "random_state": seed % 2**32}
    if not d_cat:
        sampler = SMOTE(**common)
    elif not d_num:
        sampler = SMOTEN(**common)
        x = x.astype(np.int64)
    else:
        # indicators and one-hot columns stay 0 or 1
        flags = [j for j in range(d_num) if len(np.unique(x[:, j])) <= 2]
        named = [*flags, *range(d_num, d_num + d_cat)]
        sampler = SMOTENC(categorical_features=named, **common)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, about codes as numbers
        grown, labels = sampler.fit_resample(x, examples.y.astype(np.int64))
    grown, labels = np.asarray(grown)[n:], np.asarray(labels)[n:]
    made = np.split(grown, np.cumsum(widths)[:-1], axis=1)
    return Examples(
        inputs={
            name: part.astype(block.dtype)
            for name, part, block in zip((*numbers, *codes), made, blocks, strict=True)
        },
        y=labels.astype(np.int64),
        rows=np.full(len(labels), SYNTHETIC, dtype=np.int64),
        weight=np.ones(len(labels), dtype=np.float32),
    )


RESAMPLERS: dict[str, Callable[[Examples, InputSpec, BalanceConfig, int], Examples]] = {
    "none": _none,
    "oversample": _oversample,
    "undersample": _undersample,
    "smote": _smote,
}
