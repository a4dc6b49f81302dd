"""The threshold is the best there is on the rows it was chosen on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.errors import ParameterError
from plumbline.evaluation.metrics import METRICS, score
from plumbline.evaluation.threshold import RULES, choose_threshold, cost_per_row
from plumbline.kinds import Task

EQUAL = {"fp": 1.0, "fn": 1.0}


def rows(n: int, seed: int = 0, share: float = 0.1) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < share).astype(np.int64)
    p = 1 / (1 + np.exp(-(2 * y - 3 + rng.normal(size=n))))
    return y, np.stack([1 - p, p], axis=1)


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([r for r in RULES if r not in ("none", "cost")]))
def test_no_other_threshold_is_better(seed: int, rule: str) -> None:
    y, p = rows(60, seed, 0.4)
    t = choose_threshold(y, p, rule, EQUAL)
    if t is None:
        assert len(np.unique(y)) == 1
        return
    best = score(rule, y, p, Task.BINARY, t)
    inner = np.sort(p[:, 1])[1:]  # at least one row on either side
    assert best >= max(score(rule, y, p, Task.BINARY, float(v)) for v in inner) - 1e-9


def test_a_rare_class_gets_a_lower_threshold_and_a_better_f1() -> None:
    y, p = rows(3000)
    t = choose_threshold(y, p, "f1", EQUAL)
    assert t is not None and 0 < t < 0.5
    new_y, new_p = rows(3000, seed=1)
    assert score("f1", new_y, new_p, Task.BINARY, t) > score("f1", new_y, new_p, Task.BINARY)


def test_a_dear_miss_lowers_the_threshold() -> None:
    rng = np.random.default_rng(0)
    u = rng.random(5000)
    y = (rng.random(5000) < u).astype(np.int64)  # calibrated: the best is fp / (fp + fn)
    p = np.stack([1 - u, u], axis=1)
    dear, cheap = (choose_threshold(y, p, "cost", {"fp": 1.0, "fn": fn}) for fn in (9.0, 1.0))
    assert dear == pytest.approx(0.1, abs=0.05)
    assert cheap == pytest.approx(0.5, abs=0.1)
    costs = {"fp": 1.0, "fn": 9.0}
    assert cost_per_row(y, p, dear, costs) < cost_per_row(y, p, None, costs)


def test_cost_counts_both_mistakes() -> None:
    y = np.array([0, 0, 1, 1])
    p = np.stack([1 - (u := np.array([0.9, 0.1, 0.1, 0.9])), u], axis=1)
    assert cost_per_row(y, p, None, {"fp": 2.0, "fn": 10.0}) == (2 + 10) / 4


def test_of_equally_good_ones_the_nearest_to_a_half() -> None:
    y = np.array([0, 0, 1, 1])
    p = np.stack([1 - (u := np.array([0.1, 0.3, 0.9, 0.95])), u], axis=1)
    assert choose_threshold(y, p, "accuracy", EQUAL) == pytest.approx(0.6)


@pytest.mark.parametrize("rule", [r for r in RULES if r != "none"])
def test_one_class_or_one_probability_has_no_threshold(rule: str) -> None:
    p = rows(10)[1]
    assert choose_threshold(np.zeros(10, dtype=np.int64), p, rule, EQUAL) is None
    assert choose_threshold(np.array([0, 1] * 5), np.full((10, 2), 0.5), rule, EQUAL) is None
    assert choose_threshold(np.zeros(0, dtype=np.int64), np.zeros((0, 2)), rule, EQUAL) is None


def test_none_is_none() -> None:
    assert choose_threshold(*rows(100), "none", EQUAL) is None


def test_many_rows_are_searched_as_well_as_few() -> None:
    y, p = rows(20_000)
    t = choose_threshold(y, p, "f1", EQUAL)
    result = score("f1", y, p, Task.BINARY, t)
    best = max(score("f1", y, p, Task.BINARY, float(v)) for v in np.linspace(0.02, 0.98, 193))
    assert result > best - 0.002


def test_a_metric_without_threshold_is_refused() -> None:
    assert "roc_auc" in METRICS
    with pytest.raises(ParameterError, match=r"evaluate.threshold.*roc_auc"):
        choose_threshold(*rows(10), "roc_auc", EQUAL)


@pytest.mark.parametrize("costs", [{"fp": 1.0}, {"fp": 1.0, "fn": -1.0}, {"FP": 1.0, "FN": 1.0}])
def test_wrong_costs_are_refused(costs: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=r"evaluate.costs"):
        choose_threshold(*rows(10), "cost", costs)
