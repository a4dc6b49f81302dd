"""Every schedule against its closed form, torch's own where there is one."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch

from plumbline.config.model import ScheduleName, TrainConfig
from plumbline.training.schedule import SCHEDULES, Schedule

EPOCHS, PER_EPOCH, RATE = 12, 5, 0.02
STEPS = EPOCHS * PER_EPOCH


def config(name: str, **more: Any) -> TrainConfig:
    given = {"learning_rate": RATE, "epochs": EPOCHS, "step_epochs": 3, "decay": 0.25}
    return TrainConfig(schedule=name, **{**given, **more})  # type: ignore[arg-type]


def rates(name: str, **more: Any) -> list[float]:
    schedule = Schedule(config(name, **more), PER_EPOCH)
    return [schedule.rate(done) for done in range(STEPS)]


def of_torch(make: Callable[[torch.optim.Optimizer], Any]) -> list[float]:
    """The rates of a scheduler of torch that steps with every optimizer step."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    scheduler, result = make(optimizer), []
    for _ in range(STEPS):
        result.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return result


def test_choices_and_parameters_agree() -> None:
    assert set(SCHEDULES) == set(get_args(ScheduleName))


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("warmup", [0.0, 2.0, 0.5])
def test_rates_are_positive_and_at_most_the_given_one(name: str, warmup: float) -> None:
    result = rates(name, warmup_epochs=warmup)
    assert all(0 < rate <= RATE * (1 + 1e-12) for rate in result)
    assert result == rates(name, warmup_epochs=warmup)


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_warm_up_rises_in_equal_steps_to_the_schedules_start(name: str) -> None:
    result = rates(name, warmup_epochs=2.0)
    n = 2 * PER_EPOCH
    assert result[:n] == pytest.approx([RATE * (i + 1) / n for i in range(n)])
    start = Schedule(config(name), PER_EPOCH).rate(0)
    assert result[n] == pytest.approx(start)


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("warmup", [float(EPOCHS), 100.0])
def test_a_warm_up_as_long_as_the_fit_is_no_division_by_zero(name: str, warmup: float) -> None:
    assert all(math.isfinite(rate) for rate in rates(name, warmup_epochs=warmup))


def test_constant() -> None:
    assert rates("constant") == [RATE] * STEPS


def test_step_is_that_of_torch() -> None:
    wanted = of_torch(
        lambda o: torch.optim.lr_scheduler.StepLR(o, step_size=3 * PER_EPOCH, gamma=0.25)
    )
    assert rates("step") == pytest.approx(wanted)


def test_cosine_is_that_of_torch() -> None:
    wanted = of_torch(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=STEPS))
    assert rates("cosine") == pytest.approx(wanted)


def test_onecycle_is_that_of_torch() -> None:
    """torch reaches its low end with the last step, we one step after it: the closed form is
    compared at equal positions."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's momentum is cycled too, SGD has none here
        wanted = of_torch(
            lambda o: torch.optim.lr_scheduler.OneCycleLR(
                o, max_lr=RATE, total_steps=STEPS + 1, pct_start=(0.3 * STEPS + 1) / (STEPS + 1),
                cycle_momentum=False,
            )
        )  # fmt: skip
    assert rates("onecycle") == pytest.approx(wanted, rel=1e-9)


def test_cyclic_is_that_of_torch() -> None:
    wanted = of_torch(
        lambda o: torch.optim.lr_scheduler.CyclicLR(
            o, base_lr=0.25 * RATE, max_lr=RATE, step_size_up=3 * PER_EPOCH, cycle_momentum=False
        )
    )
    assert rates("cyclic") == pytest.approx(wanted)


class TestPlateau:
    def test_drops_after_so_many_epochs_without_a_better_monitor(self) -> None:
        schedule = Schedule(config("plateau", plateau_epochs=2), PER_EPOCH)
        result = []
        for better in (True, False, True, False, False, False, False, True):
            schedule.observe(better)
            result.append(schedule.rate(0))
        drop, twice = RATE * 0.25, RATE * 0.25**2
        assert result == pytest.approx([RATE, RATE, RATE, RATE, drop, drop, twice, twice])

    def test_is_that_of_torch(self) -> None:
        losses = [1.0, 0.9, 0.9, 0.95, 0.9, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9, 0.9]
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
        reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
            optimizer, factor=0.25, patience=2, threshold=0.0
        )
        # torch drops once more than `patience` epochs were no better, we after so many
        schedule = Schedule(config("plateau", plateau_epochs=3), PER_EPOCH)
        best = math.inf
        for loss in losses:
            schedule.observe(loss < best)
            best = min(best, loss)
            reference.step(loss)
            assert schedule.rate(0) == pytest.approx(optimizer.param_groups[0]["lr"])
        assert schedule.drops == 3

    @pytest.mark.parametrize("name", sorted(set(SCHEDULES) - {"plateau"}))
    def test_no_other_schedule_drops(self, name: str) -> None:
        schedule = Schedule(config(name, plateau_epochs=1), PER_EPOCH)
        before = schedule.rate(7)
        schedule.observe(False)
        assert schedule.rate(7) == before
