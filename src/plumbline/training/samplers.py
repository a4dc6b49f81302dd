"""How the trials of a search are proposed, and which of them are ended early."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GridSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from plumbline.config.model import Dimension, TuneConfig
from plumbline.errors import choose

GRID_POINTS = 5  # of a float dimension without a step


def _grid(config: TuneConfig, seed: int, trial: int) -> BaseSampler:
    # the points are numbered in an order drawn from the seed: one order for all trials
    return GridSampler({k: grid_points(d) for k, d in sorted(config.space.items())}, seed=seed)


# how trial number `trial` is proposed; a seed of its own, so that it depends on no other's draws,
# and that two workers at it do not propose the same
SAMPLERS: dict[str, Callable[[TuneConfig, int, int], BaseSampler]] = {
    "tpe": lambda config, seed, trial: TPESampler(
        seed=_seed_of(seed, trial),
        multivariate=True,
        n_startup_trials=max(5, min(10, config.trials // 3)),
    ),
    "random": lambda config, seed, trial: RandomSampler(seed=_seed_of(seed, trial)),
    "grid": _grid,
    "cmaes": lambda config, seed, trial: CmaEsSampler(
        seed=_seed_of(seed, trial),
        n_startup_trials=3,
        independent_sampler=RandomSampler(seed=_seed_of(seed, trial)),
    ),
}
PRUNERS: dict[str, Callable[[TuneConfig], optuna.pruners.BasePruner]] = {
    "none": lambda config: optuna.pruners.NopPruner(),
    "median": lambda config: optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=4),
    "hyperband": lambda config: optuna.pruners.HyperbandPruner(
        min_resource=2, max_resource=config.epochs
    ),
    "successive_halving": lambda config: optuna.pruners.SuccessiveHalvingPruner(min_resource=2),
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
            self._sampler = self._make(self._config, self._seed, trial.number)
            self._sampler.before_trial(study, trial)

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


def _seed_of(seed: int, number: int) -> int:
    return int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
