"""How the trials of a search are proposed, and which of them are ended early."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.pruners import (
    BasePruner,
    HyperbandPruner,
    MedianPruner,
    NopPruner,
    SuccessiveHalvingPruner,
    WilcoxonPruner,
)
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)
from optuna.trial import FrozenTrial, TrialState

from plumbline.config.model import Dimension, TuneConfig
from plumbline.errors import choose

GRID_POINTS = 5  # of a float dimension without a step
# of a trial that was not fitted: a limit allows no such network, or its values make none
NOT_FITTED = TOO_LARGE, REFUSED = "too_large", "refused"


class _NSGA2(NSGAIISampler):
    """Parents in the order of their trials; Optuna has another when it selects them than when it
    remembers them, and a search that went on would go elsewhere."""

    def get_parent_population(self, study: optuna.Study, generation: int) -> list[FrozenTrial]:
        return sorted(super().get_parent_population(study, generation), key=lambda t: t.number)


MakeSampler = Callable[[TuneConfig, int, int], BaseSampler]  # (…, seed, number of the trial)


def _grid(config: TuneConfig, seed: int, trial: int) -> BaseSampler:
    # the points are numbered in an order drawn from the seed: one order for all trials
    return GridSampler({k: grid_points(d) for k, d in sorted(config.space.items())}, seed=seed)


# how trial number `trial` is proposed; a seed of its own, so that it depends on no other's draws,
# and that two workers at it do not propose the same
SAMPLERS: dict[str, MakeSampler] = {
    "tpe": lambda config, seed, trial: TPESampler(
        seed=_seed_of(seed, trial),
        multivariate=True,
        n_startup_trials=_drawn_first(config),
    ),
    "random": lambda config, seed, trial: RandomSampler(seed=_seed_of(seed, trial)),
    "grid": _grid,
    "cmaes": lambda config, seed, trial: CmaEsSampler(
        seed=_seed_of(seed, trial),
        n_startup_trials=3,
        independent_sampler=RandomSampler(seed=_seed_of(seed, trial)),
    ),
    "gp": lambda config, seed, trial: GPSampler(
        seed=_seed_of(seed, trial),
        n_startup_trials=_drawn_first(config),
        independent_sampler=RandomSampler(seed=_seed_of(seed, trial)),
        warn_independent_sampling=False,
    ),
    "nsga2": lambda config, seed, trial: _NSGA2(
        seed=_seed_of(seed, trial), population_size=max(4, min(50, config.trials // 5))
    ),
}
# these take no notice of trials that were not fitted, and may propose the same again
UNAWARE = ("cmaes", "gp", "nsga2")
PRUNERS: dict[str, Callable[[TuneConfig], BasePruner]] = {
    "none": lambda config: NopPruner(),
    "median": lambda config: MedianPruner(n_startup_trials=4, n_warmup_steps=4),
    "hyperband": lambda config: HyperbandPruner(min_resource=2, max_resource=config.most_epochs),
    "successive_halving": lambda config: SuccessiveHalvingPruner(min_resource=2),
    "wilcoxon": lambda config: _wilcoxon(),
}


class SamplerByNumber(BaseSampler):
    """The sampler that the parameters name, made anew for each trial from the number that the
    storage gave it. No two workers or machines are given one number: trial 0, the center of the
    space, is proposed once, and no two of them draw the same."""

    def __init__(self, config: TuneConfig, seed: int) -> None:
        self._make = choose(SAMPLERS, config.sampler, "tune.sampler")
        self._config, self._seed = config, seed
        self._center = {k: d.center for k, d in config.space.items()}
        self._sampler: BaseSampler | None = None  # of trial 0

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if trial.number > 0:
            self._sampler = self._choose(study)(self._config, self._seed, trial.number)
            self._sampler.before_trial(study, trial)

    def _choose(self, study: optuna.Study) -> MakeSampler:
        """The sampler; once at random after a trial that taught it nothing."""
        if self._config.sampler in UNAWARE:
            ended = [t for t in study.get_trials(deepcopy=False) if t.state.is_finished()]
            if ended and any(ended[-1].user_attrs.get(why) for why in NOT_FITTED):
                return SAMPLERS["random"]
        return self._make

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        if self._sampler is None:
            return {}
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if self._sampler is None:
            return {}
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        if self._sampler is None:
            return self._center[param_name]
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        if self._sampler is not None:
            self._sampler.after_trial(study, trial, state, values)


def grid_points(dimension: Dimension) -> list[Any]:
    """The values that a grid tries of a dimension."""
    if dimension.choices:
        return list(dimension.choices)
    low, high = dimension.low, dimension.high
    assert low is not None and high is not None
    if dimension.step is not None:
        count = math.floor((high - low) / dimension.step + 1e-9) + 1
        points = [low + i * dimension.step for i in range(count)]
    elif dimension.log:
        points = [float(v) for v in np.geomspace(low, high, GRID_POINTS)]
    else:
        points = [float(v) for v in np.linspace(low, high, GRID_POINTS)]
    if dimension.type == "int":
        return sorted({round(p) for p in points})
    return points


def _wilcoxon() -> BasePruner:
    """Ends a trial that is worse than the best in the folds so far, by a signed-rank test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # its arguments may change
        return WilcoxonPruner(p_threshold=0.1)


def _drawn_first(config: TuneConfig) -> int:
    """Trials that are drawn at random before a model of the scores proposes any."""
    return max(5, min(10, config.trials // 3))


def _seed_of(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
