"""What a deep model must outperform: fitted on the same training rows, as their users would.

Each baseline is `fit(train, spec, seed) -> predict`, `predict(rows)` giving (n, C) probabilities
or values in the target's units. `BASELINES` has those of each task; `baselines_of` makes them of
scikit-learn's estimators. Baselines read the columns as they are in the data
(`PlainRows`), not the network's inputs, whose numbers are warped. Row weights of the data are
honored, as the network honors them.

n rows, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import threadpoolctl
from numpy.typing import NDArray
from scipy import sparse
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from plumbline.errors import choose
from plumbline.evaluation.pixels import PixelComponents, ScaledPixels
from plumbline.evaluation.text_counts import TextComponents, TfIdf
from plumbline.examples import InputSpec
from plumbline.kinds import DoubleArray, Task
from plumbline.preprocessing.plain import MISSING, OTHER, PlainRows

Predict = Callable[[PlainRows], DoubleArray]
Fit = Callable[[PlainRows, InputSpec, int], Predict]

LINEAR_STEPS = (100, 1000)  # of the solver: at least and at most
LINEAR_WORK = 100_000_000_000  # multiplications of all steps: some minutes
SEARCH_STEPS = 100  # of each fit by which a penalty is chosen, from where the last one ended
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


@dataclass(frozen=True, kw_only=True)
class Estimators:
    """What scikit-learn has for a task.

    Attributes:
        dtype: of the targets that they are fitted to.
        constant: targets (n,), weights (n,) and C to the constant prediction (C,).
        linear: the number of steps at most to an estimator, not fitted.
        penalty: a penalty to the parameters of that estimator that set it.
        losses: targets (n,) and predictions (n, C) to the losses by which a penalty is chosen (n,).
        trees: a class of histogram gradient boosting.
        predict: a fitted estimator, its inputs and C to predictions (n, C).
    """

    dtype: type[np.generic]
    constant: Callable[[NDArray[Any], DoubleArray, int], DoubleArray]
    linear: Callable[[int], Any]
    penalty: Callable[[float], dict[str, float]]
    losses: Callable[[NDArray[Any], DoubleArray], DoubleArray]
    trees: Callable[..., Any]
    predict: Callable[[Any, Any, int], DoubleArray]


def fit_baseline(name: str, train: PlainRows, spec: InputSpec, seed: int) -> Predict:
    """Fit a baseline by its name among those of the task.

    Args:
        train: training rows alone. A class may be absent from them: it gets probability 0.

    Raises:
        ParameterError: no such baseline.
    """
    baselines = BASELINES[spec.task]
    fit = choose(baselines, name, "evaluate.baselines")
    columns = sum(block.shape[1] for block in (train.num, train.cat, train.text, train.pixels))
    if _one_class(train, spec) or columns == 0:
        fit = baselines["majority"]  # nothing to tell apart, or nothing to tell it by
    return fit(train, spec, seed)


def _one_class(rows: PlainRows, spec: InputSpec) -> bool:
    return spec.task.has_classes and len(np.unique(rows.y)) < 2


def _majority(of: Estimators, train: PlainRows, spec: InputSpec, seed: int) -> Predict:
    """Every row gets the constant prediction."""
    weight = np.asarray(train.weight, dtype=np.float64)
    constant = of.constant(np.asarray(train.y, dtype=of.dtype), weight, spec.n_outputs)
    return lambda rows: np.tile(constant, (len(rows), 1))


def _linear(of: Estimators, train: PlainRows, spec: InputSpec, seed: int) -> Predict:
    """A linear model of standardized numbers, gaps filled with the median and marked, one-hot
    categories, TF-IDF of the words and pairs of words of texts, and scaled pixels. The penalty is
    scikit-learn's default, 1, unless the best of six lowers the loss on held-out training rows by
    more than its standard error.

    The solver makes 1,000 steps at most, and fewer (100 at least) where rows, columns and classes
    are so many that those would take longer than some minutes.
    """
    order = np.random.default_rng(seed).permutation(len(train))[:PENALTY_ROWS]
    count = FOLDS if len(order) <= FOLDS_ROWS else 1
    losses = [
        _penalty_losses(of, train.take(np.setdiff1d(order, held)), train.take(np.sort(held)), spec)
        for held in np.array_split(order, FOLDS)[:count]
    ]
    return _Linear(of, train, spec).fit(_choose_penalty(np.concatenate(losses)))


def _penalty_losses(
    of: Estimators, fitted: PlainRows, held: PlainRows, spec: InputSpec
) -> DoubleArray:
    """(held-out rows, penalties): the loss times the row's weight. No row where
    there is none, or where those that are fitted on allow no fit."""
    if _one_class(fitted, spec) or min(len(fitted), len(held)) == 0:
        return np.empty((0, len(PENALTIES)))
    linear = _Linear(of, fitted, spec, most_steps=SEARCH_STEPS)
    losses = np.empty((len(held), len(PENALTIES)))
    for j, penalty in enumerate(PENALTIES):
        losses[:, j] = of.losses(held.y, linear.fit(penalty)(held))
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

    def __init__(
        self, of: Estimators, train: PlainRows, spec: InputSpec, most_steps: int = LINEAR_STEPS[1]
    ) -> None:
        self.of, self.train, self.spec = of, train, spec
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
        self.inputs = _LinearInputs([b for b in blocks if b[2].start < b[2].stop], train)
        self.known: Any = self.inputs(train)
        cells = getattr(self.known, "nnz", self.known.size)
        self.steps = int(np.clip(LINEAR_WORK // max(1, cells * spec.n_outputs), *LINEAR_STEPS))
        self.model: Any = of.linear(min(self.steps, most_steps))

    def fit(self, penalty: float) -> Predict:
        """Predictions of the model that is fitted with this penalty, until the next fit."""
        y = self.train.y.astype(self.of.dtype)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the bound is ours
            self.model.set_params(**self.of.penalty(penalty))
            self.model.fit(self.known, y, sample_weight=_weights(self.train))
        return _linear_predict(self.of, self.inputs, self.model, self.spec.n_outputs)


class _LinearInputs:
    """What a linear model reads of rows, fitted on training rows; (n, width), sparse with texts."""

    def __init__(self, blocks: list[Any], train: PlainRows) -> None:
        self.columns = ColumnTransformer(blocks).fit(_matrix(train)) if blocks else None
        self.texts = TfIdf(train.text)
        self.pixels = ScaledPixels(train.pixels)

    def __call__(self, rows: PlainRows) -> Any:
        parts = [] if self.columns is None else [self.columns.transform(_matrix(rows))]
        if rows.pixels.shape[1]:
            parts.append(self.pixels(rows.pixels))
        if len(parts) == 2 and not self.texts:
            dense = [p.toarray() if sparse.issparse(p) else p for p in parts]
            return np.concatenate(dense, axis=1)
        if not self.texts:
            return parts[0] if parts else np.zeros((len(rows), 1))
        return sparse.hstack([*parts, self.texts(rows.text)], format="csr")


def _matrix(rows: PlainRows) -> DoubleArray:
    return np.concatenate([rows.num, rows.cat.astype(np.float64)], axis=1)


def _linear_predict(of: Estimators, inputs: _LinearInputs, model: Any, outputs: int) -> Predict:
    """Holds on to the model alone, not to its training rows."""
    return lambda rows: of.predict(model, inputs(rows), outputs)


def _gradient_boosting(of: Estimators, train: PlainRows, spec: InputSpec, seed: int) -> Predict:
    """Histogram gradient boosting with native categories and native gaps; of texts it sees the
    main components of their TF-IDF, of images those of their pixels.

    Of a category with more values than scikit-learn takes, the most frequent keep their own code
    and the rest share one.
    """
    numbers, width = train.num.shape[1], train.num.shape[1] + train.cat.shape[1]
    components = TextComponents(train.text, seed)
    directions = PixelComponents(train.pixels, seed)

    def features(rows: PlainRows) -> DoubleArray:
        codes = np.where(rows.cat < TREE_CODES, rows.cat, OTHER).astype(np.float64)
        codes[rows.cat == MISSING] = np.nan
        more = [components(rows.text), directions(rows.pixels)]
        return np.concatenate([rows.num, codes, *more], axis=1)

    known = features(train)
    if not known.shape[1]:  # of the texts nothing is left
        return _majority(of, train, spec, seed)
    early = _can_stop_early(train, spec)
    settings: dict[str, Any] = {
        "categorical_features": np.arange(numbers, width),
        "early_stopping": early,
        "max_iter": TREES if early else 100,
        "l2_regularization": TREE_L2,
        "random_state": seed,
    }
    model = of.trees(**settings)
    # the number of threads is part of the result, so it does not follow the machine
    threads = THREADS if len(train) > EARLY_STOPPING_ROWS else 1
    with threadpoolctl.threadpool_limits(threads, user_api="openmp"):
        model.fit(known, train.y, sample_weight=_weights(train))

    def predict(rows: PlainRows) -> DoubleArray:
        with threadpoolctl.threadpool_limits(threads, user_api="openmp"):
            return of.predict(model, features(rows), spec.n_outputs)

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


def _shares(y: NDArray[Any], weight: DoubleArray, outputs: int) -> DoubleArray:
    return np.asarray(np.bincount(y, weights=weight, minlength=outputs) / weight.sum())


def _mean(y: NDArray[Any], weight: DoubleArray, outputs: int) -> DoubleArray:
    return np.array([np.average(y, weights=weight)])


def _log_losses(y: NDArray[Any], predicted: DoubleArray) -> DoubleArray:
    own = predicted[np.arange(len(y)), y]
    return np.asarray(-np.log(np.maximum(own, np.finfo(np.float64).eps)))


def _squared_errors(y: NDArray[Any], predicted: DoubleArray) -> DoubleArray:
    return np.square(y - predicted[:, 0])


def predict_classes(model: Any, x: Any, outputs: int) -> DoubleArray:
    """Columns of the classes that were seen, at their place among all (n, C)."""
    probabilities = model.predict_proba(x)
    spread: DoubleArray = np.zeros((len(probabilities), outputs))
    spread[:, np.asarray(model.classes_, dtype=np.int64)] = probabilities
    return spread


def predict_values(model: Any, x: Any, outputs: int) -> DoubleArray:
    """One value per row, (n, 1)."""
    return np.asarray(model.predict(x), dtype=np.float64)[:, None]


def baselines_of(estimators: Estimators) -> dict[str, Fit]:
    """The baselines by name."""
    return {
        "majority": partial(_majority, estimators),
        "linear": partial(_linear, estimators),
        "gradient_boosting": partial(_gradient_boosting, estimators),
    }


CLASSIFIERS = Estimators(
    dtype=np.int64,
    constant=_shares,
    linear=lambda steps: LogisticRegression(max_iter=steps, warm_start=True),
    penalty=lambda penalty: {"C": 1 / penalty},
    losses=_log_losses,
    trees=HistGradientBoostingClassifier,
    predict=predict_classes,
)
REGRESSORS = Estimators(
    dtype=np.float64,
    constant=_mean,
    linear=lambda steps: Ridge(tol=1e-6),
    penalty=lambda penalty: {"alpha": penalty},
    losses=_squared_errors,
    trees=HistGradientBoostingRegressor,
    predict=predict_values,
)
BASELINES: dict[Task, dict[str, Fit]] = {
    Task.BINARY: baselines_of(CLASSIFIERS),
    Task.MULTICLASS: baselines_of(CLASSIFIERS),
    Task.REGRESSION: baselines_of(REGRESSORS),
}
