"""The search for hyper-parameters: Optuna asks, the caller fits, pruning goes by real reports.

The proposal of a trial depends on the finished trials, its number and the seed alone: a search
that is killed and goes on proposes what an unbroken one would have.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import optuna
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, Trial, TrialState

from plumbline.config.model import Dimension, Size, TuneConfig
from plumbline.errors import ParameterError, choose
from plumbline.training.divergence import DivergedError
from plumbline.training.samplers import (
    NOT_FITTED,
    PRUNERS,
    REFUSED,
    TOO_LARGE,
    SamplerByNumber,
    grid_points,
)
from plumbline.training.search_result import SearchResult, TrialRow, Value, Values, best_of
from plumbline.training.trial_storage import STUDY, ended, mark, opened, repeat_abandoned

OnTrial = Callable[[int, float | None], None]  # trials done, best value
Sizes = Callable[[Values], dict[Size, int]]


class Reporter(Protocol):
    """What a trial tells as it goes; each may end it."""

    def epoch(self, epoch: int, value: float) -> None:
        """The score on held-out rows after an epoch of the first fold."""

    def fold(self, number: int, scores: list[float]) -> None:
        """Fold `number` has ended, and others are to come; scores of the folds done."""

    def check_time(self) -> None:
        """That there is time left."""


Evaluate = Callable[[Values, Reporter], list[float]]


class OutOfTimeError(Exception):
    """`tune.minutes` are over."""


def search(
    evaluate: Evaluate,
    config: TuneConfig,
    *,
    key: str,
    folder: Path,
    storage: str | None = None,
    seed: int,
    greater_is_better: bool,
    sizes: Sizes,
    on_trial: OnTrial | None = None,
    until: float = math.inf,
    clock: Callable[[], float] = time.monotonic,
) -> SearchResult:
    """Run trials until there are enough, going on with what earlier runs did.

    Args:
        evaluate: fits with some values, reports as it goes, and gives the score of each fold.
        key: names the study by everything that its trials depend on.
        folder: where the journal lies, unless a database is named.
        storage: the database's address with its password, in place of `config.storage`.
        sizes: those of `config.sizes`, of the network of some values.
        until: when `config.minutes` are over, by `clock`, which all processes of a machine share.

    Raises:
        ParameterError: no trial came to a result.
        StorageError: the storage cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    second = config.second_objective
    directions = [StudyDirection.MAXIMIZE if greater_is_better else StudyDirection.MINIMIZE]
    if second is not None:
        directions.append(StudyDirection.MINIMIZE)
    with opened(storage or config.storage, folder, key) as store:
        study = optuna.create_study(
            study_name=STUDY + key,
            storage=store,
            directions=directions,
            load_if_exists=True,
            pruner=choose(PRUNERS, config.pruner, "tune.pruner")(config),
        )
        study.sampler = SamplerByNumber(config, seed)

        def objective(trial: Trial) -> float | tuple[float, float]:
            mark(trial)
            values = suggest(trial, config.space)
            with _refusing(trial):
                size = sizes(values) if config.sizes else {}
                trial.set_user_attr("size", size)
                if any(size[key] > limit for key, limit in config.limits.items()):
                    trial.set_user_attr(TOO_LARGE, True)
                    raise optuna.TrialPruned
                some = any(t.state is TrialState.COMPLETE for t in ended(study))
                report = TrialReports(trial, config, (lambda: clock() >= until) if some else None)
                score = _mean_score(trial, values, evaluate, report)
                return score if second is None else (score, size[second])

        while (stopped_by := _enough(study, config, clock() >= until)) is None:
            repeat_abandoned(study)
            _run_trial(study, objective)
            done = ended(study)
            if on_trial:
                on_trial(len(done), _best_value(done, greater_is_better))
        return _result(study, config, stopped_by)


class TrialReports:
    """Passes on to the pruner what a trial reports: epochs of the first fold and the running mean
    over folds, or the score of each fold for a pruner that compares by fold."""

    def __init__(
        self, trial: Trial, config: TuneConfig, is_over: Callable[[], bool] | None = None
    ) -> None:
        self._trial, self._config, self._is_over = trial, config, is_over
        self._by_fold = config.pruner == "wilcoxon"

    def epoch(self, epoch: int, value: float) -> None:
        if not self._by_fold:
            self._report(epoch, value)

    def fold(self, number: int, scores: list[float]) -> None:
        if self._by_fold:
            self._report(number, scores[-1])
        else:
            self._report(self._config.most_epochs + 1 + number, float(np.mean(scores)))

    def check_time(self) -> None:
        if self._is_over and self._is_over():
            raise OutOfTimeError

    def _report(self, step: int, value: float) -> None:
        if self._config.second_objective is not None:  # nothing is pruned by one of two
            return
        self._trial.report(value, step)
        if self._trial.should_prune():
            raise optuna.TrialPruned


def trials_of(config: TuneConfig) -> int:
    """How many trials there are: of a grid, no more than it has points."""
    if config.sampler != "grid":
        return config.trials
    points = math.prod(len(grid_points(d)) for d in config.space.values())
    return min(config.trials, points + 1)  # the center is tried as well


def suggest(trial: Trial, space: Mapping[str, Dimension]) -> Values:
    """The values of a trial, one per dimension: its center where it is not searched."""
    values: Values = {}
    for key, dimension in sorted(space.items(), key=lambda item: (bool(item[1].when), item[0])):
        if any(values[name] not in wanted for name, wanted in dimension.when.items()):
            values[key] = dimension.center
            continue
        if dimension.choices:
            values[key] = cast(Value, trial.suggest_categorical(key, dimension.choices))
            continue
        assert dimension.low is not None and dimension.high is not None
        if dimension.type == "int":
            step = round(dimension.step or 1)
            low, high = round(dimension.low), round(dimension.high)
            log = dimension.log and step == 1
            values[key] = trial.suggest_int(key, low, high, step=step, log=log)
        else:
            step_f = None if dimension.log else dimension.step
            values[key] = trial.suggest_float(
                key, dimension.low, dimension.high, step=step_f, log=dimension.log
            )
    return values


def _run_trial(
    study: optuna.Study, objective: Callable[[Trial], float | tuple[float, float]]
) -> None:
    # a trial that ran out of time does not count; another process may have given this one up for
    # dead while this machine slept
    with suppress(OutOfTimeError, optuna.exceptions.UpdateFinishedTrialError):
        try:
            study.optimize(objective, n_trials=1)
        except ValueError as error:
            if not str(error).startswith("Cannot tell"):  # given up for dead at its end
                raise


@contextmanager
def _refusing(trial: Trial) -> Iterator[None]:
    """Values of which no network can be made (a width that the heads do not divide, say) end their
    trial alone; of trial 0, the default point, they end the search."""
    try:
        yield
    except ParameterError as error:
        if trial.number == 0:
            raise
        trial.set_user_attr(REFUSED, str(error))
        raise optuna.TrialPruned from None


def _mean_score(trial: Trial, values: Values, evaluate: Evaluate, report: Reporter) -> float:
    try:
        scores = evaluate(values, report)
    except DivergedError as error:  # these values do not work: so the sampler learns
        trial.set_user_attr("diverged", f"in one, {error.where}: {error.hint}")
        raise optuna.TrialPruned from None
    trial.set_user_attr("scores", scores)
    return float(np.mean(scores))


def _enough(study: optuna.Study, config: TuneConfig, is_over: bool) -> str | None:
    """Which limit ends the search; None: another trial."""
    done = ended(study)
    if len(done) >= trials_of(config):
        return "trials"
    if config.patience and _since_better(study, done) >= config.patience:
        return "patience"
    if is_over and any(trial.state is TrialState.COMPLETE for trial in done):
        return "minutes"
    return None


def _since_better(study: optuna.Study, done: list[FrozenTrial]) -> int:
    """How many trials ended since one was better than all before it; of two objectives: than
    each in one of them."""
    signs = [1 if d is StudyDirection.MAXIMIZE else -1 for d in study.directions]
    before: list[list[float]] = []
    since = 0
    for trial in done:
        since += 1
        if trial.state is not TrialState.COMPLETE:
            continue
        values = [sign * value for sign, value in zip(signs, trial.values, strict=True)]
        if all(any(a > b for a, b in zip(values, other, strict=True)) for other in before):
            since = 0
        before.append(values)
    return since


def _best_value(done: list[FrozenTrial], greater_is_better: bool) -> float | None:
    values = [trial.values[0] for trial in done if trial.state is TrialState.COMPLETE]
    return (max if greater_is_better else min)(values, default=None)


def _result(study: optuna.Study, config: TuneConfig, stopped_by: str) -> SearchResult:
    done = ended(study)[: trials_of(config)]
    center = {k: d.center for k, d in config.space.items()}
    trials = [_row(i, trial, center) for i, trial in enumerate(done)]
    complete = [t for t in trials if t.state == "complete"]
    if not complete:
        _refuse(done)
    greater_is_better = study.directions[0] is StudyDirection.MAXIMIZE
    return SearchResult(
        trials=trials,
        best=best_of(complete, greater_is_better),
        default=next((t for t in complete if t.values == center), None),
        importance=_importance(study, len(complete)),
        greater_is_better=greater_is_better,
        second=config.second_objective,
        stopped_by=stopped_by,
    )


def _refuse(done: list[FrozenTrial]) -> None:
    if all(trial.user_attrs.get(TOO_LARGE) for trial in done):
        raise ParameterError(
            "no trial was fitted: the network of every one is larger than a limit allows",
            file="params.yaml",
            where="tune.max_parameters, tune.max_multiply_adds",
            got=f"at least {_smallest(done)}",
            hint="raise the limit, or widen tune.space toward smaller networks",
        )
    causes = dict.fromkeys(t.user_attrs.get("diverged") or t.user_attrs.get(REFUSED) for t in done)
    refused = any(t.user_attrs.get(REFUSED) for t in done)
    raise ParameterError(
        "no trial came to a result: the loss diverged in every one"
        + (" whose values make a network" if refused else ""),
        file="params.yaml",
        where="tune.space",
        hint=next(filter(None, causes), None),
    )


def _smallest(done: list[FrozenTrial]) -> str:
    size = min((trial.user_attrs["size"] for trial in done), key=lambda s: sorted(s.values()))
    return ", ".join(f"{value:,} {key.replace('_', '-')}" for key, value in sorted(size.items()))


def _row(number: int, trial: FrozenTrial, center: Values) -> TrialRow:
    """A trial; what it did not search is at the center."""
    is_complete = trial.state is TrialState.COMPLETE
    ended_so = next((why for why in NOT_FITTED if trial.user_attrs.get(why)), "pruned")
    return TrialRow(
        number=number,
        state="complete" if is_complete else ended_so,
        value=trial.values[0] if is_complete else None,
        values=dict(sorted({**center, **trial.params}.items())),
        scores=list(trial.user_attrs.get("scores", [])),
        size=dict(trial.user_attrs.get("size", {})),
    )


def _importance(study: optuna.Study, done: int) -> dict[str, float]:
    """How much each dimension mattered to the score (PED-ANOVA, Watanabe et al. 2023); empty where
    too few trials tell."""
    trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    if done < 4 or len({trial.values[0] for trial in trials}) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    target = None  # of one objective it knows which way is better
    if len(study.directions) > 1:
        sign = -1 if study.directions[0] is StudyDirection.MAXIMIZE else 1
        target = lambda trial: sign * float(trial.values[0])  # noqa: E731
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "PedAnova")  # that low values of the target are good
        try:
            importance = optuna.importance.get_param_importances(
                study, evaluator=evaluator, target=target
            )
        except (RuntimeError, ValueError):
            return {}
    return {name: float(value) for name, value in importance.items() if math.isfinite(value)}
