"""The learning-rate range test: which rate it proposes, and that it fits nothing else."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from tests.made import made_examples, made_spec, short_fit, small_model

from plumbline.kinds import TASKS, Task
from plumbline.models import build_model
from plumbline.models.target import TargetTransform
from plumbline.training.loop import fit
from plumbline.training.lr_finder import HIGH, LOW, STEPS, Sweep, read_sweep, sweep, sweep_csv

pytestmark = pytest.mark.usefixtures("one_thread")
RATES = np.geomspace(LOW, HIGH, STEPS)


def curve(fall: float, rise: float) -> np.ndarray:
    """A loss that falls most steeply at `fall` and explodes at `rise`."""
    x = np.log10(RATES)
    return 1 - 0.6 / (1 + np.exp(-4 * (x - np.log10(fall)))) + np.exp(5 * (x - np.log10(rise)))


@pytest.mark.parametrize("fall", [1e-4, 1e-3, 1e-2])
def test_proposes_the_steepest_fall(fall: float) -> None:
    result = read_sweep(RATES, curve(fall, 50 * fall))
    # smoothing looks back, so the steepest fall comes a little late
    assert fall < result.proposal < 4 * fall


def test_what_comes_after_the_explosion_is_left_out() -> None:
    losses = curve(1e-3, 1e-2)
    losses[100:] = np.nan
    result = read_sweep(RATES, losses)
    assert len(result.rates) == len(result.losses) < 100
    assert np.isfinite(result.losses).all() and result.proposal < 5e-3


def test_a_loss_that_only_rises_keeps_the_rate_low() -> None:
    assert read_sweep(RATES, np.linspace(1, 3, STEPS)).proposal == LOW


@pytest.mark.parametrize("task", list(TASKS))
@pytest.mark.parametrize("rows", [30, 400])
def test_the_proposed_rate_trains_well(task: Task, rows: int) -> None:
    spec = made_spec(task)
    train, val = made_examples(spec, rows, 1), made_examples(spec, 100, 2)
    model = build_model(small_model(dropout=0.0), spec, seed=0)
    target = None if task.has_classes else TargetTransform.fit(train.y, "standard")
    result = sweep(model, train, spec.task, short_fit(), seed=0, target=target)
    assert 1e-5 < result.proposal < 0.5
    rate = short_fit(learning_rate=result.proposal, epochs=20)
    again = build_model(small_model(dropout=0.0), spec, seed=0)
    fitted = fit(again, train, val, task, rate, seed=0, target=target)
    losses = [row["val_loss"] for row in fitted.history]
    assert min(losses) < 0.9 * losses[0]


def test_is_the_same_each_time() -> None:
    spec = made_spec()

    def run() -> Sweep:
        model = build_model(small_model(), spec, seed=0)
        return sweep(model, made_examples(spec, 50), spec.task, short_fit(accumulate=2), seed=0)

    one, other = run(), run()
    assert np.array_equal(one.losses, other.losses) and one.proposal == other.proposal
    assert sweep_csv(one) == sweep_csv(other)


def test_the_table_holds_the_sweep_exactly() -> None:
    result = read_sweep(RATES, curve(1e-3, 1e-1))
    table = pl.read_csv(io.StringIO(sweep_csv(result)))
    assert table.columns == ["learning_rate", "loss"]
    assert np.array_equal(table["learning_rate"], result.rates)
    assert np.array_equal(table["loss"], result.losses)
