"""The search for hyper-parameters: Optuna asks, the caller fits, pruning goes by real reports.

The proposal of a trial depends on the finished trials, its number and the seed alone: a search
that is killed and goes on proposes what an unbroken one would have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import numpy as np
import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from plumbline.address import hidden, is_whole, shown
from plumbline.config.model import Dimension, TuneConfig
from plumbline.errors import ParameterError, StorageError, choose
from plumbline.training.divergence import DivergedError
from plumbline.training.samplers import PRUNERS, SamplerByNumber, grid_points

STUDY = "plumbline-"
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
Value = float | int | str | bool
Values = dict[str, Value]
Reporter = Callable[[int, float], None]  # (step, value): may end the trial
Evaluate = Callable[[Values, Reporter], list[float]]
OnTrial = Callable[[int, float | None], None]  # trials done, best value


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One trial: its values, the score of each fold, their mean, and how it ended."""

    number: int
    state: str  # complete, pruned, failed
    value: float | None
    values: Values
    scores: list[float] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class SearchResult:
    """What a search found. `default` is the center of the space, what no search would give: trial
    0; None where a process that shares the storage died at it."""

    trials: list[TrialRow]
    best: TrialRow
    default: TrialRow | None
    importance: dict[str, float]

    greater_is_better: bool

    @property
    def std_error(self) -> float:
        """Of the best mean, over folds."""
        return std_error(self.best.scores)

    @property
    def gain(self) -> tuple[float, float] | None:
        """Mean and standard error of the paired difference of the best trial to the default, over
        folds; None where the default was not scored in the same folds."""
        first = self.default.scores if self.default else []
        if len(first) != len(self.best.scores) or len(first) < 2:
            return None
        difference = np.subtract(self.best.scores, first)
        return float(difference.mean()), std_error(list(difference))

    @property
    def selected(self) -> TrialRow:
        """The best trial; or the default, where the best gains no more over it than the standard
        error of that gain: the best of many tries is lucky too."""
        if self.default is None or self.gain is None:
            return self.best
        gain, error = self.gain
        better = gain if self.greater_is_better else -gain
        return self.best if better > error else self.default

    @property
    def inside_noise(self) -> int:
        """How many other trials lie within one standard error of the best."""
        assert self.best.value is not None
        sign = 1 if self.greater_is_better else -1
        bound = sign * self.best.value - self.std_error
        done = [t for t in self.trials if t.state == "complete" and t.number != self.best.number]
        return sum(1 for t in done if t.value is not None and sign * t.value >= bound)


def std_error(scores: list[float]) -> float:
    """Of the mean of fold scores; 0 for a single one."""
    return float(np.std(scores, ddof=1) / math.sqrt(len(scores))) if len(scores) > 1 else 0.0


def search(
    evaluate: Evaluate,
    config: TuneConfig,
    *,
    key: str,
    folder: Path,
    storage: str | None = None,
    seed: int,
    greater_is_better: bool,
    on_trial: OnTrial | None = None,
) -> SearchResult:
    """Run trials until `config.trials` are done, going on with what earlier runs did.

    Args:
        evaluate: fits with some values, calls its second argument with (step, value) as it goes,
            and gives the score of each fold.
        key: names the study by everything that its result depends on.
        folder: where the journal lies, unless a database is named.
        storage: the database's address with its password, in place of `config.storage`.

    Raises:
        ParameterError: no trial came to a result.
        StorageError: the storage cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    address = storage or config.storage
    with _open(address, folder, key) as opened:
        study = optuna.create_study(
            study_name=STUDY + key,
            storage=opened,
            direction="maximize" if greater_is_better else "minimize",
            load_if_exists=True,
            pruner=choose(PRUNERS, config.pruner, "tune.pruner")(config),
        )
        study.sampler = SamplerByNumber(config, seed)
        while (done := len(_ended(study))) < trials_of(config):
            study.optimize(lambda trial: _objective(trial, evaluate, config), n_trials=1)
            if on_trial:
                on_trial(done + 1, _best_value(study))
        return _result(study, config)


def forget_unfinished(folder: Path, key: str) -> None:
    """Write the journal of a search anew without trials that died with their process; to be called
    while no process is at it.

    Trials are drawn by their number, so what is left must look as if there had been no other.
    """
    journal = folder / f"{key}.log"
    if not journal.exists():
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        old = optuna.load_study(study_name=STUDY + key, storage=_journal(journal))
    except KeyError:  # killed before the study was made
        journal.unlink()
        return
    if all(trial.state in ENDED for trial in old.get_trials(deepcopy=False)):
        return
    fresh = journal.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    study = optuna.create_study(
        study_name=STUDY + key, storage=_journal(fresh), direction=old.direction
    )
    study.add_trials(_ended(old))
    fresh.replace(journal)


def trials_of(config: TuneConfig) -> int:
    """How many trials there are: of a grid, no more than it has points."""
    if config.sampler != "grid":
        return config.trials
    points = math.prod(len(grid_points(d)) for d in config.space.values())
    return min(config.trials, points + 1)  # the center is tried as well


def suggest(trial: Trial, space: Mapping[str, Dimension]) -> Values:
    """The values of a trial, one per dimension."""
    values: Values = {}
    for key, dimension in sorted(space.items()):
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


def _objective(trial: Trial, evaluate: Evaluate, config: TuneConfig) -> float:
    values = suggest(trial, config.space)

    def report(step: int, value: float) -> None:
        trial.report(value, step)
        if trial.should_prune():
            raise optuna.TrialPruned

    try:
        scores = evaluate(values, report)
    except DivergedError as error:  # these values do not work: so the sampler learns
        trial.set_user_attr("diverged", f"in one, {error.where}: {error.hint}")
        raise optuna.TrialPruned from None
    trial.set_user_attr("scores", scores)
    return float(np.mean(scores))


@contextmanager
def _open(address: str | None, folder: Path, key: str) -> Iterator[BaseStorage]:
    """The journal of this search, or the database that machines share."""
    if address is None:
        folder.mkdir(parents=True, exist_ok=True)
        yield _journal(folder / f"{key}.log")
        return
    try:
        if not is_whole(address):
            raise ValueError("not an address that reads in one way: percent-encode the password")
        opened = optuna.storages.RDBStorage(address)
    except (
        ImportError,
        ValueError,
        optuna.exceptions.OptunaError,
        sqlalchemy.exc.SQLAlchemyError,
    ) as error:
        raise StorageError(
            f"the tuning storage cannot be used: {type(error).__name__}: "
            f"{hidden(str(error), address).splitlines()[0][:200]}",
            file="params.yaml",
            where="tune.storage",
            got=shown(address),
            hint="start the database, or set tune.storage to null",
        ) from None
    yield opened


def _journal(path: Path) -> BaseStorage:
    return JournalStorage(JournalFileBackend(str(path)))


def _ended(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=ENDED)


def _best_value(study: optuna.Study) -> float | None:
    try:
        return study.best_value
    except ValueError:
        return None


def _result(study: optuna.Study, config: TuneConfig) -> SearchResult:
    trials = [_row(i, trial) for i, trial in enumerate(_ended(study)[: trials_of(config)])]
    done = [t for t in trials if t.value is not None and t.state == "complete"]
    if not done:
        causes = dict.fromkeys(t.user_attrs.get("diverged") for t in _ended(study))
        raise ParameterError(
            "no trial came to a result: the loss diverged in every one",
            file="params.yaml",
            where="tune.space",
            hint=next(filter(None, causes), None),
        )
    sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
    best = max(done, key=lambda t: (sign * (t.value or 0.0), -t.number))
    center = {k: d.center for k, d in config.space.items()}
    return SearchResult(
        trials=trials,
        best=best,
        default=trials[0] if trials[0].values == center else None,
        importance=_importance(study, len(done)),
        greater_is_better=sign > 0,
    )


def _row(number: int, trial: FrozenTrial) -> TrialRow:
    complete = trial.state is TrialState.COMPLETE
    return TrialRow(
        number=number,
        state="complete" if complete else "pruned",
        value=trial.value if complete else None,
        values=dict(sorted(trial.params.items())),
        scores=list(trial.user_attrs.get("scores", [])),
    )


def _importance(study: optuna.Study, done: int) -> dict[str, float]:
    """How much each dimension mattered (PED-ANOVA, Watanabe et al. 2023); empty where too few
    trials tell."""
    if done < 4 or len({t.value for t in study.get_trials(deepcopy=False)}) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=0.25)
    try:
        importance = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (RuntimeError, ValueError):
        return {}
    return {name: float(value) for name, value in importance.items() if math.isfinite(value)}
