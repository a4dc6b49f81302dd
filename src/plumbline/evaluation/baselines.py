"""What a deep model must outperform: fitted on the same prepared training rows.

Each baseline is `fit(train, spec, seed) -> predict`, `predict(arrays)` giving (n, C)
probabilities or (n, 1) values in the target's units. Row weights of the data are honoured, as
the network honours them.

n rows, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
from scipy import sparse
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from plumbline.errors import choose
from plumbline.evaluation.metrics import METRICS
from plumbline.kinds import DoubleArray, IntArray
from plumbline.tables import Arrays, InputSpec

Predict = Callable[[Arrays], DoubleArray]
Fit = Callable[[Arrays, InputSpec, int], Predict]

LINEAR_STEPS = (100, 1000)  # of the solver: at least and at most
LINEAR_WORK = 100_000_000_000  # multiplications of all steps: some minutes
PENALTIES = (0.1, 1.0, 10.0, 100.0)
PENALTY_ROWS = 20_000
TREES = 500  # at most, where early stopping decides; scikit-learn's 100 elsewhere
EARLY_STOPPING_ROWS = 10_000  # from here on trees stop early, as scikit-learn's own rule has it
TREE_L2 = 1.0  # XGBoost's default; with scikit-learn's, 0, classes of a few rows spoil all others
TREE_CATEGORIES = 254  # codes per column: scikit-learn takes 255, one is for the rest
THREADS = 2  # a sum of two parts is the same in either order, of more it is not


def fit_baseline(name: str, train: Arrays, spec: InputSpec, seed: int) -> Predict:
    """Fit a baseline by its name in `BASELINES`.

    Args:
        train: training rows alone. A class may be absent from them: it gets probability 0.

    Raises:
        ParameterError: no such baseline.
    """
    fit = choose(BASELINES, name, "evaluate.baselines")
    if spec.task.is_classification and len(np.unique(train.y)) < 2:
        fit = _majority  # nothing to tell apart
    return fit(train, spec, seed)


def _majority(train: Arrays, spec: InputSpec, seed: int) -> Predict:
    """Every row gets the training rows' class shares, or their mean."""
    weight = np.asarray(train.weight, dtype=np.float64)
    if spec.task.is_classification:
        classes = np.asarray(train.y, dtype=np.int64)
        shares = np.bincount(classes, weights=weight, minlength=spec.n_outputs) / weight.sum()
    else:
        shares = np.array([np.average(np.asarray(train.y, dtype=np.float64), weights=weight)])
    return lambda arrays: np.tile(shares, (len(arrays), 1))


def _linear(train: Arrays, spec: InputSpec, seed: int) -> Predict:
    """Logistic or ridge regression on standardised numbers and one-hot categories, its penalty
    the best of four on a fifth of (at most 20,000) training rows.

    A number that is also embedded as a category goes in both ways: that is what lets a linear
    model bend, and the penalty keeps rare values in check. The solver makes 1,000 steps at most,
    and fewer (100 at least) where rows, columns and classes are so many that those would take
    longer than some minutes.
    """
    order = np.random.default_rng(seed).permutation(len(train))[:PENALTY_ROWS]
    cut = len(order) * 4 // 5
    fitted, held = train.take(np.sort(order[:cut])), train.take(np.sort(order[cut:]))
    enough = cut > 0 and (not spec.task.is_classification or len(np.unique(fitted.y)) > 1)
    if not enough or not held.weight.sum() > 0:
        return _linear_with(1.0, train, spec)
    loss = METRICS["log_loss" if spec.task.is_classification else "mse"].statistic
    weight = held.weight.astype(np.float64)[None]
    losses = [
        float(loss(held.y, _linear_with(penalty, fitted, spec)(held), None)(weight)[0])
        for penalty in PENALTIES
    ]
    return _linear_with(PENALTIES[int(np.argmin(losses))], train, spec)


def _linear_with(penalty: float, train: Arrays, spec: InputSpec) -> Predict:
    scaler = StandardScaler().fit(train.num) if train.num.shape[1] else None
    encoder = OneHotEncoder(handle_unknown="ignore").fit(train.cat) if train.cat.shape[1] else None

    def features(arrays: Arrays) -> Any:
        blocks = [sparse.csr_array((len(arrays), 0))]
        if scaler is not None:
            blocks.append(sparse.csr_array(scaler.transform(arrays.num.astype(np.float64))))
        if encoder is not None:
            blocks.append(sparse.csr_array(encoder.transform(arrays.cat)))
        return sparse.hstack(blocks, format="csr")

    if not spec.task.is_classification:
        # Ridge centres the target; its penalty does not depend on the target's units
        model = Ridge(alpha=penalty, solver="sparse_cg", tol=1e-6)
        model.fit(features(train), train.y.astype(np.float64), sample_weight=_weights(train))
        return lambda arrays: model.predict(features(arrays)).astype(np.float64)[:, None]
    known = features(train)
    steps = int(np.clip(LINEAR_WORK // max(1, known.nnz * spec.n_outputs), *LINEAR_STEPS))
    classifier = LogisticRegression(C=1 / penalty, max_iter=steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the bound is ours
        classifier.fit(known, train.y, sample_weight=_weights(train))
    return lambda arrays: _spread(
        classifier.predict_proba(features(arrays)), classifier.classes_, spec.n_outputs
    )


def _gradient_boosting(train: Arrays, spec: InputSpec, seed: int) -> Predict:
    """Histogram gradient boosting with native categories.

    A number that is also embedded as a category goes in as a number alone: trees cut it
    anywhere as it is. Of a category with more codes than scikit-learn takes, the most frequent
    keep their own and the rest share one.
    """
    numbers = set(spec.num_sources)
    columns = [j for j, source in enumerate(spec.cat_sources) if source not in numbers]
    codes = [_tree_codes(train.cat[:, j], spec.cardinalities[j]) for j in columns]

    def features(arrays: Arrays) -> Any:
        categories = [code[arrays.cat[:, j]] for j, code in zip(columns, codes, strict=True)]
        return np.column_stack([arrays.num, *categories]).astype(np.float64)

    early = _can_stop_early(train, spec)
    settings: dict[str, Any] = {
        "categorical_features": np.arange(len(columns)) + train.num.shape[1],
        "early_stopping": early,
        "max_iter": TREES if early else 100,
        "l2_regularization": TREE_L2,
        "random_state": seed,
    }
    kind = (
        HistGradientBoostingClassifier
        if spec.task.is_classification
        else HistGradientBoostingRegressor
    )
    model = kind(**settings)
    # the number of threads is part of the result, so it does not follow the machine
    threads = THREADS if len(train) > EARLY_STOPPING_ROWS else 1
    with threadpoolctl.threadpool_limits(threads, user_api="openmp"):
        model.fit(features(train), train.y, sample_weight=_weights(train))

    def predict(arrays: Arrays) -> DoubleArray:
        with threadpoolctl.threadpool_limits(threads, user_api="openmp"):
            if not spec.task.is_classification:
                return np.asarray(model.predict(features(arrays)), dtype=np.float64)[:, None]
            found = model.predict_proba(features(arrays))
        return _spread(found, model.classes_, spec.n_outputs)

    return predict


def _weights(train: Arrays) -> DoubleArray | None:
    """Row weights, None where all are alike: with any, scikit-learn's trees bin 30 times slower."""
    weight = np.asarray(train.weight, dtype=np.float64)
    return None if (weight == weight[0]).all() else weight


def _can_stop_early(train: Arrays, spec: InputSpec) -> bool:
    """Enough rows for scikit-learn to hold a tenth out, every class on both sides."""
    if len(train) <= EARLY_STOPPING_ROWS:
        return False
    if not spec.task.is_classification:
        return True
    counts = np.unique(train.y, return_counts=True)[1]
    return bool(counts.min() >= 2 and len(counts) <= len(train) // 10)


def _tree_codes(codes: IntArray, cardinality: int) -> IntArray:
    """(cardinality,) what each code becomes: itself, or its rank by frequency with a slot for
    the rest."""
    if cardinality <= TREE_CATEGORIES:
        return np.arange(cardinality, dtype=np.int64)
    counts = np.bincount(codes, minlength=cardinality)
    common = np.argsort(-counts, kind="stable")[: TREE_CATEGORIES - 1]
    ranks = np.full(cardinality, TREE_CATEGORIES - 1, dtype=np.int64)
    ranks[common] = np.arange(len(common))
    return ranks


def _spread(probabilities: Any, classes: Any, n_outputs: int) -> DoubleArray:
    """Columns of the classes that were seen, at their place among all (n, C)."""
    spread: DoubleArray = np.zeros((len(probabilities), n_outputs))
    spread[:, np.asarray(classes, dtype=np.int64)] = probabilities
    return spread


BASELINES: dict[str, Fit] = {
    "majority": _majority,
    "linear": _linear,
    "gradient_boosting": _gradient_boosting,
}
