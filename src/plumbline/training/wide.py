"""Where the wide part of texts begins: at a penalized linear model of the training rows.

A linear model has a weight per token and output, too, and its solver finds those that a few hundred
texts allow, where gradient descent from zeros, whose steps are as large for a rare token as for a
frequent one, fits the rare ones by heart. The fit of the network goes on from there.

n rows, V tokens of a text column, C outputs.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from plumbline.examples import PADDING, Examples, InputSpec
from plumbline.kinds import DoubleArray, IntArray
from plumbline.models.input_gradients import encoders_of
from plumbline.models.target import TargetTransform
from plumbline.models.text import TextFeatures

STEPS = 100  # of the solver at most, scikit-learn's default
MOST_ROWS = 20_000  # drawn
PENALTIES = (1000.0, 100.0, 10.0, 1.0)  # of ridge regression; the first where all are alike
FOLDS = 3
WORK = 20_000_000_000  # multiplications of all steps at most: some ten seconds


def begin_wide(
    network: nn.Module,
    spec: InputSpec,
    train: Examples,
    target: TargetTransform | None,
    *,
    seed: int,
) -> None:
    """Set the wide weights of a fresh network to those of one linear model of all its texts.

    It is logistic regression with scikit-learn's penalty, or ridge regression with the one of four
    that predicts held-out training rows best. Where no text has a wide part,
    where the training rows have one class, or where the target is neither of classes nor scaled,
    they stay zeros.

    Args:
        target: how a regression's target is scaled for the loss.
        seed: of the rows that are drawn, where there are many.
    """
    texts = _wide_texts(network, spec)
    if not texts or not (spec.task.has_classes or target):
        return
    length = sum(train.inputs[name].shape[1] for name in texts)
    rows = _drawn(len(train), length * spec.n_outputs, seed)
    y = target.forward(train.y[rows].astype(np.float64)) if target else train.y[rows]
    if spec.task.has_classes and len(np.unique(y)) < 2:
        return
    from scipy import sparse  # tables without texts need none of it

    counts = [token_counts(train.inputs[name][rows], texts[name].tokens) for name in texts]
    scales = [_rarity(own) for own in counts]
    blocks = [
        _normed(own) @ sparse.diags_array(scale) for own, scale in zip(counts, scales, strict=True)
    ]
    weights, bias = _solve(sparse.hstack(blocks, format="csr"), y, train.weight[rows], spec)
    starts = np.cumsum([len(scale) for scale in scales])[:-1]
    for text, own, scale in zip(texts.values(), np.split(weights, starts), scales, strict=True):
        text.set_wide(own * scale[:, None], bias)
        bias = np.zeros_like(bias)  # once is enough


def _wide_texts(network: nn.Module, spec: InputSpec) -> dict[str, TextFeatures]:
    """The text encoders that have a wide part, by tensor."""
    encoders = encoders_of(network)
    return {
        tensor.name: module
        for tensor in spec.of_kind("text")
        for module in encoders[tensor.name].modules()
        if isinstance(module, TextFeatures) and module.is_wide
    }


def _drawn(rows: int, cells: int, seed: int) -> IntArray:
    """Args: cells: multiplications of a step per row."""
    most = int(np.clip(WORK // (STEPS * cells), 1, MOST_ROWS))
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def token_counts(ids: IntArray, tokens: int) -> Any:
    """How often each row has each token: (n, L) to (n, V), sparse."""
    from scipy import sparse

    row, column = np.nonzero(ids != PADDING)
    ones = np.ones(len(row))
    return sparse.csr_array((ones, (row, ids[row, column])), shape=(len(ids), tokens))


def _normed(counts: Any) -> Any:
    """Divided by what `models.text.token_norm` divides by."""
    from scipy import sparse

    return sparse.diags_array(1 / np.sqrt(np.maximum(counts.sum(axis=1), 1))) @ counts


def _rarity(counts: Any) -> DoubleArray:
    """The logarithm of how few rows have a token (Salton and Buckley 1988), (V,), in units in which
    the mean square over all tokens of the texts is 1: so a text's squares sum to about 1, as the
    penalty expects."""
    own = np.log((1 + counts.shape[0]) / (1 + (counts > 0).sum(axis=0))) + 1
    often = counts.sum(axis=0)
    return np.asarray(own / np.sqrt((often * own**2).sum() / max(often.sum(), 1)))


def _penalty(known: Any, y: NDArray[Any], weight: NDArray[Any]) -> float:
    """Of ridge regression, by rows that were held out: a noisy target needs a large one."""
    from sklearn.linear_model import Ridge

    errors = np.zeros(len(PENALTIES))
    for fold in range(min(FOLDS, len(y) - 1)):
        out = np.arange(len(y)) % FOLDS == fold
        for j, penalty in enumerate(PENALTIES):
            model = Ridge(penalty, tol=1e-6).fit(known[~out], y[~out], sample_weight=weight[~out])
            errors[j] += (np.square(model.predict(known[out]) - y[out]) * weight[out]).sum()
    return PENALTIES[int(np.argmin(errors))]


def _solve(
    known: Any, y: NDArray[Any], weight: NDArray[Any], spec: InputSpec
) -> tuple[DoubleArray, DoubleArray]:
    """Weights (V, C) and bias (C,)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression, Ridge

    if not spec.task.has_classes:
        ridge = Ridge(_penalty(known, y, weight), tol=1e-6).fit(known, y, sample_weight=weight)
        return np.tile(ridge.coef_[:, None], spec.n_outputs), np.full(
            spec.n_outputs, ridge.intercept_
        )
    model = LogisticRegression(max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the bound is ours
        model.fit(known, y, sample_weight=weight)
    weights, bias = model.coef_, model.intercept_
    if len(bias) == 1:  # of the second of two classes against the first
        weights, bias = np.vstack([-weights, weights]) / 2, np.append(-bias, bias) / 2
    # a class that no row here has is as likely as the least likely one
    all_weights = np.zeros((known.shape[1], spec.n_outputs))
    all_bias = np.full(spec.n_outputs, bias.min())
    all_weights[:, model.classes_], all_bias[model.classes_] = weights.T, bias
    return all_weights, all_bias
