"""Intervals cover as often as they say, and the same seed gives the same ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from plumbline.evaluation.intervals import BLOCK, intervals, paired_difference, weights
from plumbline.evaluation.metrics import all_scores, score
from plumbline.kinds import TASKS, Task


def binary(n: int, seed: int, strength: float = 1.5) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n)
    p = 1 / (1 + np.exp(-(strength * (y - 0.5) + rng.normal(size=n))))
    return y, np.stack([1 - p, p], axis=1)


def test_weights_are_counts_of_rows_drawn_with_replacement() -> None:
    blocks = list(weights(7, 500, seed=3))
    drawn = np.concatenate(blocks)
    assert drawn.shape == (500, 7)
    assert (drawn.sum(axis=1) == 7).all()
    assert drawn.mean() == 1
    assert drawn.var() == pytest.approx(6 / 7, rel=0.1)  # of a binomial(7, 1/7)


def test_blocks_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(weights(11, 50, seed=0)))
    monkeypatch.setattr("plumbline.evaluation.intervals.BLOCK", 30)
    blocks = list(weights(11, 50, seed=0))
    assert len(blocks) > 1
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    assert BLOCK > 30


def test_threads_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    y, p = binary(500, 0)
    monkeypatch.setattr("plumbline.evaluation.intervals.BLOCK", 1500)
    made = []
    for cores in (1, 4):
        monkeypatch.setattr("os.sched_getaffinity", lambda _, cores=cores: set(range(cores)))
        made.append(intervals(y, p, Task.BINARY, resamples=50))
    assert made[0] == made[1]


def test_resamples_are_metrics_of_resampled_rows() -> None:
    y, p = binary(40, 0)
    rows = [np.repeat(np.arange(40), w.astype(int)) for w in np.concatenate([*weights(40, 200, 5)])]
    by_hand = [score("roc_auc", y[r], p[r], Task.BINARY) for r in rows]
    low, high = intervals(y, p, Task.BINARY, resamples=200, seed=5)["roc_auc"]
    assert [low, high] == pytest.approx(np.percentile(by_hand, [2.5, 97.5]))


@pytest.mark.parametrize("task", list(TASKS))
def test_every_metric_has_an_interval_around_it(task: Task) -> None:
    rng = np.random.default_rng(0)
    y, p = binary(300, 1)
    if task == Task.MULTICLASS:
        y, p = rng.integers(0, 5, 300), rng.dirichlet(np.ones(5), 300)
    if task == Task.REGRESSION:
        y = rng.normal(size=300)
        p = (y + rng.normal(size=300))[:, None]
    points = all_scores(y, p, task)
    result = intervals(y, p, task, resamples=200, seed=0)
    assert set(result) == set(points) == set(task.spec.metrics)
    for name, (low, high) in result.items():
        assert low <= points[name] <= high
        assert low < high


def test_the_same_seed_gives_the_same_interval() -> None:
    y, p = binary(100, 2)
    first, again, other = (
        intervals(y, p, Task.BINARY, resamples=100, seed=seed) for seed in (1, 1, 2)
    )
    assert first == again
    assert first["roc_auc"] != other["roc_auc"]


def test_about_95_in_100_intervals_hold_the_truth() -> None:
    truth = score("roc_auc", *binary(200_000, 0), Task.BINARY)
    accuracy = score("accuracy", *binary(200_000, 0), Task.BINARY)
    hits = {"roc_auc": 0, "accuracy": 0}
    for seed in range(200):
        result = intervals(*binary(150, 1000 + seed), Task.BINARY, resamples=200, seed=seed)
        for name, value in (("roc_auc", truth), ("accuracy", accuracy)):
            hits[name] += result[name][0] <= value <= result[name][1]
    for name in hits:
        assert 0.88 <= hits[name] / 200 <= 0.99, hits


def test_the_calibration_error_of_a_calibrated_model_is_not_called_significant() -> None:
    rng = np.random.default_rng(0)
    p = rng.random(2000)
    y = (rng.random(2000) < p).astype(int)
    low, _ = intervals(y, np.stack([1 - p, p], axis=1), Task.BINARY, resamples=300, seed=0)["ece"]
    assert low < 0.01


def test_parts_of_hardly_any_rows() -> None:
    p = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert intervals(np.array([1]), p[:1], Task.BINARY) == {}
    two = intervals(np.array([0, 1]), p, Task.BINARY, resamples=200)
    # half of the draws of two rows hold one class only, so that its order is hardly ever defined
    assert two["accuracy"] == (1.0, 1.0)
    one_class = intervals(np.array([0, 0]), p, Task.BINARY, resamples=50)
    assert "roc_auc" not in one_class and "accuracy" in one_class


def test_a_paired_difference_sees_what_separate_intervals_do_not() -> None:
    y, p = binary(400, 3)
    rng = np.random.default_rng(0)
    worse = np.clip(p[:, 1] + rng.normal(scale=0.08, size=400), 0, 1)
    q = np.stack([1 - worse, worse], axis=1)
    of_p, of_q = (intervals(y, x, Task.BINARY, resamples=300)["roc_auc"] for x in (p, q))
    assert of_p[0] < of_q[1]  # they overlap
    result = paired_difference("roc_auc", y, p, q, resamples=300)
    assert result is not None
    assert result.verdict == "better" and result.p_value < 0.05
    assert result.low <= result.difference <= result.high
    back = paired_difference("roc_auc", y, q, p, resamples=300)
    assert back is not None
    assert back.verdict == "worse" and back.difference == -result.difference


def test_less_is_better_turns_the_verdict() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=200)
    near, far = (y[:, None] + s * rng.normal(size=(200, 1)) for s in (0.1, 1.0))
    result = paired_difference("rmse", y, near, far, resamples=200)
    assert result is not None
    assert result.difference < 0 and result.verdict == "better"
    assert result.p_value == pytest.approx(2 / 201)


def test_equal_predictions_are_within_noise() -> None:
    y, p = binary(50, 4)
    result = paired_difference("accuracy", y, p, p.copy(), resamples=100)
    assert result is not None
    assert (result.difference, result.p_value, result.verdict) == (0, 1, "within noise")


def test_the_p_value_is_uniform_where_there_is_no_difference() -> None:
    low = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        y = rng.normal(size=100)
        a, b = (y[:, None] + rng.normal(size=(100, 1)) for _ in range(2))
        result = paired_difference("mae", y, a, b, resamples=200, seed=seed)
        assert result is not None
        low += result.p_value < 0.05
    assert low / 150 < 0.12


def test_an_undefined_metric_has_no_difference() -> None:
    p = np.full((10, 2), 0.5)
    assert paired_difference("roc_auc", np.zeros(10), p, p) is None
    assert paired_difference("accuracy", np.zeros(1), p[:1], p[:1]) is None


def test_the_paired_thresholds_are_those_of_each() -> None:
    y = np.array([0, 1] * 20)
    p = np.stack([1 - (u := np.tile([0.2, 0.4], 20)), u], axis=1)
    result = paired_difference("accuracy", y, p, p, thresholds=(0.3, None), resamples=50)
    assert result is not None
    assert result.difference == 0.5
