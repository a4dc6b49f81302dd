"""What the verdict says of constructed curves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.made import made_examples, made_spec, short_fit

from plumbline.examples import Examples
from plumbline.kinds import Task
from plumbline.models.target import TargetTransform
from plumbline.training.batches import Rows
from plumbline.training.curve import constant_loss, learning_curve
from plumbline.training.diagnosis import SIGMAS, Diagnosis, Point, curve_json, diagnose

CPU = torch.device("cpu")


def point(rows: int, mean: float, spread: float = 0.1, n: int = 400) -> Point:
    """Losses of validation rows with this mean, each row's own part the same at every point."""
    own = np.random.default_rng(0).normal(0, spread, n)
    return Point(rows=rows, losses=mean + own - own.mean())


def verdict(
    train: float, val: float, *, curve: list[Point] | None = None, **more: Any
) -> Diagnosis:
    """Losses as shares of a constant's, which loses 0.7."""
    falls = more.pop("history", [1.0, 0.8, *[val] * 8])
    monitored = more.pop("monitored", falls)
    given: dict[str, Any] = {
        "best_epoch": 5,
        "stopped_early": True,
        "steps": 100,
        "constant_loss": 0.7,
        "train_constant_loss": 0.7,
        **more,
    }
    return diagnose(
        history=[{"val_loss": 0.7 * loss} for loss in falls],
        monitored=monitored,
        train_loss=0.7 * train,
        curve=curve or [point(1000, 0.7 * val)],
        **given,
    )


def course(shape: str, noise: float, seed: int) -> list[float]:
    """Validation losses of 30 epochs."""
    epoch = np.arange(30)
    fall = 0.6 + 0.4 * np.exp(-epoch / 3)
    past = np.maximum(0, epoch - 12)
    losses = {
        "falling": 1.0 - 0.015 * epoch,
        "plateau": fall,
        "best at the end": np.where(epoch < 27, fall, 0.5),
        "rise": fall + 0.06 * past,
        "rise from the first epoch": 0.6 + 0.04 * epoch,
        "slow rise": fall + 0.015 * past,
    }[shape]
    return list(losses + np.random.default_rng(seed).normal(0, noise, len(epoch)))


class TestFit:
    def test_a_fit_that_patience_ended_after_few_steps_is_said_to_be_short(self) -> None:
        result = verdict(0.2, 0.6, steps=6)
        assert result.fit == "over-fitting" and result.few_steps is not None
        assert result.text[0].endswith(result.few_steps) and "dropout" not in result.text[0]
        assert "after 60 steps" in result.few_steps
        assert "train.epochs: 167 and train.patience: 0" in result.few_steps

    @pytest.mark.parametrize("shape", ["falling", "plateau", "best at the end"])
    @pytest.mark.parametrize("noise", [0.0, 0.005, 0.05])
    def test_more_steps_are_advised_where_the_monitor_had_not_risen(
        self, shape: str, noise: float
    ) -> None:
        for seed in range(20):
            ended = verdict(0.2, 0.6, steps=6, history=course(shape, noise, seed))
            assert ended.few_steps is not None, seed
            assert ended.text[0].startswith("Over-fitting so far: ")

    @pytest.mark.parametrize("shape", ["rise", "rise from the first epoch", "slow rise"])
    @pytest.mark.parametrize("noise", [0.0, 0.005, 0.02])
    def test_they_are_not_where_it_had_clearly_risen(self, shape: str, noise: float) -> None:
        for seed in range(20):
            ended = verdict(0.2, 0.6, steps=6, history=course(shape, noise, seed))
            assert ended.few_steps is None, seed
            assert ended.text[0].startswith("Over-fitting: ") and "dropout" in ended.text[0]

    def test_what_patience_watched_decides_and_not_the_loss_beside_it(self) -> None:
        risen, level = course("rise", 0.0, 0), course("plateau", 0.0, 0)
        score = [1 - value for value in level]
        ended = verdict(0.2, 0.6, steps=6, history=risen, monitored=[-s for s in score])
        assert ended.few_steps is not None
        assert verdict(0.2, 0.6, steps=6, history=level, monitored=risen).few_steps is None

    @pytest.mark.parametrize("losses", [[1.0], [1.0, 0.9], [0.6] * 3])
    def test_two_epochs_or_a_loss_that_never_moves_have_not_risen(
        self, losses: list[float]
    ) -> None:
        assert verdict(0.2, 0.6, steps=6, history=losses, best_epoch=1).few_steps is not None

    @pytest.mark.parametrize("more", [{"steps": 100}, {"steps": 6, "stopped_early": False}])
    def test_one_of_many_steps_or_of_all_its_epochs_is_not(self, more: dict[str, Any]) -> None:
        assert verdict(0.2, 0.6, **more).few_steps is None

    def test_balanced(self) -> None:
        result = verdict(0.50, 0.53)
        assert result.fit == "balanced"
        assert result.text[0].startswith(
            "Balanced: training loss 50%, validation loss 53% of a constant prediction's"
        )
        assert result.numbers["gap"] == pytest.approx(0.03)

    def test_over_fitting(self) -> None:
        result = verdict(0.20, 0.53)
        assert result.fit == "over-fitting" and "dropout or weight decay" in result.text[0]

    @pytest.mark.parametrize("gain", [0.0, 0.1])
    def test_over_fitting_asks_for_more_rows_only_where_they_may_help(self, gain: float) -> None:
        curve = [point(500, 0.371 + gain), point(1000, 0.371)]
        result = verdict(0.20, 0.53, curve=curve)
        assert ("or more rows" in result.text[0]) == (result.more_rows == "would help")
        assert result.more_rows == ("would help" if gain else "would not help")

    def test_over_fitting_worse_than_a_constant(self) -> None:
        result = verdict(0.95, 1.01)
        assert result.fit == "over-fitting" and "does not hold on other rows" in result.text[0]

    def test_nothing_learned(self) -> None:
        result = verdict(0.99, 1.0)
        assert result.fit == "nothing learned" and "features may say nothing" in result.text[0]

    def test_nothing_learned_in_too_few_epochs(self) -> None:
        result = verdict(0.99, 1.0, history=[1.0], best_epoch=1, stopped_early=False)
        assert result.fit == "nothing learned" and "raise train.epochs" in result.text[0]

    def test_a_kept_last_epoch_is_not_for_that_the_best(self) -> None:
        risen = {"history": [0.99, 1.0, 1.1], "best_epoch": 3, "stopped_early": False}
        result = verdict(0.99, 1.1, **risen)
        assert result.fit == "nothing learned" and "was the best" not in result.text[0]

    def test_under_fitting_is_still_falling_in_the_last_epochs(self) -> None:
        falling = list(np.linspace(1.0, 0.5, 10))
        result = verdict(0.49, 0.5, history=falling, best_epoch=10, stopped_early=False)
        assert result.fit == "under-fitting" and "Raise train.epochs" in result.text[0]

    @pytest.mark.parametrize("more", [{"best_epoch": 9}, {"stopped_early": True}])
    def test_no_under_fitting_where_the_fit_was_over(self, more: dict[str, Any]) -> None:
        falling = list(np.linspace(1.0, 0.5, 10))
        given = {"best_epoch": 10, "stopped_early": False, **more}
        assert verdict(0.49, 0.5, history=falling, **given).fit == "balanced"

    def test_one_epoch(self) -> None:
        result = verdict(0.5, 0.5, history=[0.5], best_epoch=1, stopped_early=False)
        assert result.fit == "balanced" and result.numbers["still_falling"] == 0

    def test_training_rows_with_outliers_have_a_constant_of_their_own(self) -> None:
        """Half of its loss is gone, though it is more than the constant loses elsewhere."""
        result = verdict(1.5, 0.8, train_constant_loss=2.1)
        assert result.fit == "over-fitting"
        assert "training loss 50%, validation loss 80%" in result.text[0]

    def test_a_constant_that_loses_nothing_is_no_division_by_zero(self) -> None:
        result = verdict(0.0, 0.0, constant_loss=0.0, train_constant_loss=0.0)
        assert all(np.isfinite(value) for value in result.numbers.values())


class TestMoreRows:
    def test_would_help(self) -> None:
        result = verdict(0.5, 0.5, curve=[point(250, 0.45), point(500, 0.40), point(1000, 0.35)])
        assert result.more_rows == "would help"
        assert result.text[1].startswith(
            "More rows would help: from 500 to 1,000 training rows the validation loss fell by 7.1%"
        )

    def test_would_not_help(self) -> None:
        result = verdict(0.5, 0.5, curve=[point(500, 0.3505), point(1000, 0.35)])
        assert result.more_rows == "would not help"

    def test_fewer_rows_doing_better_says_no(self) -> None:
        result = verdict(0.5, 0.5, curve=[point(500, 0.34), point(1000, 0.35)])
        assert result.more_rows == "would not help" and "rose by 1.4% ±" in result.text[1]

    def test_inside_the_noise(self) -> None:
        noisy = Point(rows=1000, losses=0.35 + np.random.default_rng(1).normal(0, 0.5, 60))
        result = verdict(0.5, 0.5, curve=[point(500, 0.36, n=60), noisy])
        assert result.more_rows == "unknown" and "is within noise" in result.text[1]

    def test_no_curve(self) -> None:
        result = verdict(0.5, 0.5)
        assert result.more_rows == "unknown" and "train.learning_curve" in result.text[1]

    def test_one_validation_row(self) -> None:
        points = [Point(rows=n, losses=np.array([loss])) for n, loss in ((5, 0.4), (10, 0.35))]
        assert verdict(0.5, 0.5, curve=points).numbers["gain_std_error"] == 0


class TestCurve:
    def test_its_intervals_are_what_the_verdict_goes_by(self) -> None:
        rng = np.random.default_rng(2)
        own = rng.normal(0, 1.0, 300)  # large, and the same in every fit: it decides nothing
        curve = [
            Point(rows=n, losses=loss + own + rng.normal(0, 0.02, 300))
            for n, loss in ((250, 0.5), (500, 0.4), (1000, 0.35))
        ]
        first, second, last = curve_json(curve)
        result = verdict(0.5, 0.5, curve=curve).numbers
        assert [p["rows"] for p in (first, second, last)] == [250, 500, 1000]
        assert last["low"] == last["val_loss"] == last["high"]
        for point in (first, second):
            middle = (point["low"] + point["high"]) / 2
            assert middle == pytest.approx(point["val_loss"])
        half = (second["high"] - second["low"]) / 2
        assert half == pytest.approx(SIGMAS * result["gain_std_error"] * 0.7)
        assert second["low"] > last["val_loss"]  # as the verdict: more rows would help

    def test_one_validation_row_has_no_width(self) -> None:
        points = curve_json([Point(rows=n, losses=np.array([0.4])) for n in (5, 10)])
        assert all(p["low"] == p["val_loss"] == p["high"] for p in points)


class TestConstant:
    def test_classes_lose_the_entropy_of_their_shares(self) -> None:
        made = made_examples(made_spec(Task.MULTICLASS), 300)
        rows = Rows.of(made, Task.MULTICLASS, CPU)
        shares = np.bincount(made.y) / 300
        result = constant_loss(rows, rows, Task.MULTICLASS, short_fit(), 3)
        assert result == pytest.approx(-(shares * np.log(shares)).sum(), rel=1e-5)

    def test_a_class_that_only_validation_has_is_finite(self) -> None:
        made = made_examples(made_spec(Task.MULTICLASS), 300)
        train = Rows.of(made.take(made.y != 1), Task.MULTICLASS, CPU)
        val = Rows.of(made, Task.MULTICLASS, CPU)
        assert np.isfinite(constant_loss(train, val, Task.MULTICLASS, short_fit(), 3))

    @pytest.mark.parametrize("loss", ["mse", "mae"])
    def test_values_lose_what_their_mean_or_median_loses(self, loss: str) -> None:
        made = made_examples(made_spec(Task.REGRESSION), 301)
        target = TargetTransform.fit(made.y, "standard")
        rows = Rows.of(made, Task.REGRESSION, CPU, target=target)
        z = target.forward(made.y)
        wanted = z.var() if loss == "mse" else np.abs(z - np.median(z)).mean()
        result = constant_loss(rows, rows, Task.REGRESSION, short_fit(loss=loss), 1)
        assert result == pytest.approx(wanted, rel=1e-5)


def test_a_learning_curve_keeps_the_steps_per_epoch() -> None:
    made = made_examples(made_spec(), 200)
    values: list[tuple[int, int]] = []

    def fit_rows(rows: Examples, config: Any) -> Any:
        values.append((len(rows), config.batch_size))
        assert sorted(rows.rows.tolist()) == rows.rows.tolist()
        return np.zeros(3)

    config = short_fit(learning_curve=[0.5, 0.1], batch_size=32)
    points = learning_curve(fit_rows, made, config, seed=0)
    assert values == [(20, 3), (100, 16)] and [p.rows for p in points] == [20, 100]

    values.clear()
    for batch in (0, 1, 2, 3):  # all rows; single rows; never one row where two were asked for
        learning_curve(fit_rows, made, short_fit(learning_curve=[0.1], batch_size=batch), seed=0)
    assert [size for _, size in values] == [0, 1, 2, 2]
