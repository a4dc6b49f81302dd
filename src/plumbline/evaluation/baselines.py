"""What a deep model must outperform: fitted on the same training rows, as their users would.

Each baseline is `fit(train, spec, seed) -> predict`, `predict(rows)` giving (n, C) probabilities
or (n, 1) values in the target's units. Baselines read the columns as they are in the data
(`PlainRows`), not the network's inputs, whose numbers are warped. Row weights of the data are
honored, as the network honors them.

n rows, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import threadpoolctl  # type: ignore[import-untyped]
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from plumbline.errors import choose
from plumbline.examples import InputSpec
from plumbline.kinds import DoubleArray
from plumbline.preprocessing.plain import MISSING, OTHER, PlainRows

Predict = Callable[[PlainRows], DoubleArray]
Fit = Callable[[PlainRows, InputSpec, int], Predict]

LINEAR_STEPS = (100, 1000)  # of the solver: at least and at most
LINEAR_WORK = 100_000_000_000  # multiplications of all steps: some minutes
PENALTIES = (1000.0, 100.0, 10.0, 1.0, 0.1, 0.01)
DEFAULT_PENALTY = 1.0  # scikit-learn's
PENALTY_ROWS = 20_000
FOLDS = 5
FOLDS_ROWS = 5000  # up to here every fold is held out in turn, beyond one of them is enough
TREES = 500  # at most, where early stopping decides; scikit-learn's 100 elsewhere
EARLY_STOPPING_ROWS = 10_000  # from here on trees stop early, as scikit-learn's own rule has it
TREE_L2 = 1.0  # XGBoost's default; with scikit-learn's, 0, classes of a few rows spoil all others
TREE_CODES = 255  # of a category at most: scikit-learn takes no more
THREADS = 2  # a sum of two parts is the same in either order, of more it is not


def fit_baseline(name: str, train: PlainRows, spec: InputSpec, seed: int) -> Predict:
    """Fit a baseline by its name in `BASELINES`.

    Args:
        train: training rows alone. A class may be absent from them: it gets probability 0.

    Raises:
        ParameterError: no such baseline.
    """
    fit = choose(BASELINES, name, "evaluate.baselines")
    alike = spec.task.has_classes and len(np.unique(train.y)) < 2
    if alike or train.num.shape[1] + train.cat.shape[1] == 0:
        fit = _majority  # nothing to tell apart, or nothing to tell it by
    return fit(train, spec, seed)


def _majority(train: PlainRows, spec: InputSpec, seed: int) -> Predict:
    """Every row gets the training rows' class shares, or their mean."""
    weight = np.asarray(train.weight, dtype=np.float64)
    if spec.task.has_classes:
        classes = np.asarray(train.y, dtype=np.int64)
        shares = np.bincount(classes, weights=weight, minlength=spec.n_outputs) / weight.sum()
    else:
        shares = np.array([np.average(np.asarray(train.y, dtype=np.float64), weights=weight)])
    return lambda rows: np.tile(shares, (len(rows), 1))


def _linear(train: PlainRows, spec: InputSpec, seed: int) -> Predict:
    """Logistic or ridge regression on standardized numbers, gaps filled with the median and
    marked, and one-hot categories. The penalty is scikit-learn's default, 1, unless the best of
    six lowers the loss on held-out training rows by more than its standard error.

    The solver makes 1,000 steps at most, and fewer (100 at least) where rows, columns and classes
    are so many that those would take longer than some minutes.
    """
    order = np.random.default_rng(seed).permutation(len(train))[:PENALTY_ROWS]
    count = FOLDS if len(order) <= FOLDS_ROWS else 1
    losses = [
        _penalty_losses(train.take(np.setdiff1d(order, held)), train.take(np.sort(held)), spec)
        for held in np.array_split(order, FOLDS)[:count]
    ]
    return _Linear(train, spec).fit(_choose_penalty(np.concatenate(losses)))


def _penalty_losses(fitted: PlainRows, held: PlainRows, spec: InputSpec) -> DoubleArray:
    """(held-out rows, penalties): log loss or squared error times the row's weight. No row where
    there is none, or where those that are fitted on allow no fit."""
    alike = spec.task.has_classes and len(np.unique(fitted.y)) < 2
    if alike or min(len(fitted), len(held)) == 0:
        return np.empty((0, len(PENALTIES)))
    linear, losses = _Linear(fitted, spec), np.empty((len(held), len(PENALTIES)))
    for j, penalty in enumerate(PENALTIES):
        predicted = linear.fit(penalty)(held)
        if spec.task.has_classes:
            own = predicted[np.arange(len(held)), held.y]
            losses[:, j] = -np.log(np.maximum(own, np.finfo(np.float64).eps))
        else:
            losses[:, j] = np.square(held.y - predicted[:, 0])
    return losses * held.weight[:, None]


def _choose_penalty(losses: DoubleArray) -> float:
    """Args: losses: (rows, penalties), as `_penalty_losses` gives them."""
    if not len(losses):
        return DEFAULT_PENALTY
    best = int(np.argmin(losses.mean(axis=0)))
    gain = losses[:, PENALTIES.index(DEFAULT_PENALTY)] - losses[:, best]
    sure = gain.mean() > gain.std() / np.sqrt(len(gain))
    return PENALTIES[best] if sure else DEFAULT_PENALTY


class _Linear:
    """A linear model on prepared training rows; each fit starts where the last one ended."""

    def __init__(self, train: PlainRows, spec: InputSpec) -> None:
        self.train, self.spec = train, spec
        numbers, width = train.num.shape[1], train.num.shape[1] + train.cat.shape[1]
        scaled = make_pipeline(
            SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
            StandardScaler(),
        )
        encoded = OneHotEncoder(handle_unknown="ignore")
        blocks = [
            ("numbers", scaled, slice(0, numbers)),
            ("categories", encoded, slice(numbers, width)),
        ]
        self.columns = ColumnTransformer([b for b in blocks if b[2].start < b[2].stop])
        self.known: Any = self.columns.fit_transform(_matrix(train))
        cells = getattr(self.known, "nnz", self.known.size)
        self.steps = int(np.clip(LINEAR_WORK // max(1, cells * spec.n_outputs), *LINEAR_STEPS))
        self.model: Any = LogisticRegression(max_iter=self.steps, warm_start=True)
        if not spec.task.has_classes:
            self.model = Ridge(tol=1e-6)

    def fit(self, penalty: float) -> Predict:
        """Predictions of the model that is fitted with this penalty, until the next fit."""
        name, value = ("C", 1 / penalty) if self.spec.task.has_classes else ("alpha", penalty)
        y = self.train.y if self.spec.task.has_classes else self.train.y.astype(np.float64)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the bound is ours
            self.model.set_params(**{name: value}).fit(self.known, y, _weights(self.train))
        return _linear_predict(self.columns, self.model, self.spec)


def _matrix(rows: PlainRows) -> DoubleArray:
    return np.concatenate([rows.num, rows.cat.astype(np.float64)], axis=1)


def _linear_predict(columns: ColumnTransformer, model: Any, spec: InputSpec) -> Predict:
    """Holds on to the model alone, not to its training rows."""

    def predict(rows: PlainRows) -> DoubleArray:
        x = columns.transform(_matrix(rows))
        if not spec.task.has_classes:
            return np.asarray(model.predict(x), dtype=np.float64)[:, None]
        return _spread(model.predict_proba(x), model.classes_, spec.n_outputs)

    return predict


def _gradient_boosting(train: PlainRows, spec: InputSpec, seed: int) -> Predict:
    """Histogram gradient boosting with native categories and native gaps.

    Of a category with more values than scikit-learn takes, the most frequent keep their own code
    and the rest share one.
    """
    numbers, width = train.num.shape[1], train.num.shape[1] + train.cat.shape[1]

    def features(rows: PlainRows) -> DoubleArray:
        codes = np.where(rows.cat < TREE_CODES, rows.cat, OTHER).astype(np.float64)
        codes[rows.cat == MISSING] = np.nan
        return np.concatenate([rows.num, codes], axis=1)

    early = _can_stop_early(train, spec)
    settings: dict[str, Any] = {
        "categorical_features": np.arange(numbers, width),
        "early_stopping": early,
        "max_iter": TREES if early else 100,
        "l2_regularization": TREE_L2,
        "random_state": seed,
    }
    kind = (
        HistGradientBoostingClassifier if spec.task.has_classes else HistGradientBoostingRegressor
    )
    model = kind(**settings)
    # the number of threads is part of the result, so it does not follow the machine
    threads = THREADS if len(train) > EARLY_STOPPING_ROWS else 1
    with threadpoolctl.threadpool_limits(threads, user_api="openmp"):
        model.fit(features(train), train.y, sample_weight=_weights(train))

    def predict(rows: PlainRows) -> DoubleArray:
        with threadpoolctl.threadpool_limits(threads, user_api="openmp"):
            if not spec.task.has_classes:
                return np.asarray(model.predict(features(rows)), dtype=np.float64)[:, None]
            found = model.predict_proba(features(rows))
        return _spread(found, model.classes_, spec.n_outputs)

    return predict


def _weights(train: PlainRows) -> DoubleArray | None:
    """Row weights, None where all are alike: with any, scikit-learn's trees bin 30 times slower."""
    weight = np.asarray(train.weight, dtype=np.float64)
    return None if (weight == weight[0]).all() else weight


def _can_stop_early(train: PlainRows, spec: InputSpec) -> bool:
    """Enough rows for scikit-learn to hold a tenth out, every class on both sides."""
    if len(train) <= EARLY_STOPPING_ROWS:
        return False
    if not spec.task.has_classes:
        return True
    counts = np.unique(train.y, return_counts=True)[1]
    return bool(counts.min() >= 2 and len(counts) <= len(train) // 10)


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
