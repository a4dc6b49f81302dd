"""The verdict says plainly whether the deep model is better, level or worse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from plumbline.config.evaluation import EvaluateConfig
from plumbline.errors import ParameterError
from plumbline.evaluation.decision import Decision, PartPredictions, decide
from plumbline.evaluation.intervals import Difference
from plumbline.evaluation.verdict import compare, error_reduction
from plumbline.kinds import Task


def predictions(noise: float, n: int = 400, decision: Decision = Decision()) -> PartPredictions:  # noqa: B008
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, n)
    u = 1 / (1 + np.exp(-(2 * y - 1 + noise * np.random.default_rng(1).normal(size=n))))
    return PartPredictions(
        task=Task.BINARY,
        y=y,
        rows=np.arange(n),
        prediction=np.stack([1 - u, u], axis=1),
        decision=decision,
    )


def verdict(
    model: PartPredictions, metric: str = "roc_auc", **others: PartPredictions
) -> dict[str, Any]:
    return compare(model, others, metric, resamples=200, seed=0)


def test_better_than_all_outperforms_and_says_by_how_much() -> None:
    result = verdict(predictions(0.5), linear=predictions(2.0), gradient_boosting=predictions(3.0))
    assert result["outperforms_baselines"] is True and result["best_baseline"] == "linear"
    entry = result["baselines"]["linear"]
    low, high = entry["ci95"]
    assert result["text"] == (
        "The deep model is better than the linear model and gradient boosting. Against the linear "
        f"model: difference in ROC AUC {entry['difference']:+.3f} (95% interval {low:+.3f} to "
        f"{high:+.3f})."
    )
    assert entry["verdict"] == "better" and entry["p_value"] < 0.05 and low > 0
    assert entry["text"].startswith(
        "The deep model is better than the linear model: difference in ROC AUC +"
    )
    assert entry["error_reduction"] == pytest.approx(entry["difference"] / (1 - entry["score"]))
    assert entry["small"] is False


def test_level_with_one_is_not_better() -> None:
    result = verdict(predictions(1.0), majority=predictions(9.0), linear=predictions(1.0))
    assert result["outperforms_baselines"] is False
    assert result["text"].startswith(
        "The deep model is not significantly better than a simpler baseline (the linear model)"
    )
    assert result["baselines"]["majority"]["verdict"] == "better"


def test_of_several_baselines_none_is_called_the_simpler_one() -> None:
    level = verdict(predictions(1.0), boosting=predictions(1.0), linear=predictions(1.0))["text"]
    assert "better than simpler baselines (" in level and ": prefer one of them. Ag" in level
    worse = verdict(predictions(9.0), boosting=predictions(0.5), linear=predictions(0.4))["text"]
    assert "worse than simpler baselines (" in worse and ": use one of them, " in worse


def test_worse_than_one_says_which_to_use() -> None:
    result = verdict(
        predictions(3.0), "log_loss", linear=predictions(0.5), majority=predictions(3.0)
    )
    assert result["outperforms_baselines"] is False and result["best_baseline"] == "linear"
    assert (
        "significantly worse than a simpler baseline (the linear model): use that" in result["text"]
    )
    entry = result["baselines"]["linear"]
    assert entry["difference"] > 0  # a loss: more is worse
    assert entry["error_reduction"] == pytest.approx(-entry["difference"] / entry["score"])


@pytest.mark.parametrize("metric", ["roc_auc", "log_loss"])
def test_a_significant_gain_may_be_small_in_practice(metric: str) -> None:
    better = predictions(2.0, n=40_000)
    worse = replace(better, prediction=predictions(2.02, n=40_000).prediction)
    result = verdict(better, metric, linear=worse)
    entry = result["baselines"]["linear"]
    assert result["outperforms_baselines"] is True and entry["verdict"] == "better"
    assert entry["small"] is True and 0 < entry["error_reduction"] < 0.05
    assert "small in practice" in result["text"]


def test_a_baseline_without_error_leaves_none_to_remove() -> None:
    gap = Difference(difference=-0.1, low=-0.2, high=-0.05, p_value=0.01, greater_is_better=True)
    assert error_reduction(1.0, gap) is None
    assert error_reduction(0.9, gap) == pytest.approx(-1.0)
    loss = Difference(difference=-2.0, low=-3.0, high=-1.0, p_value=0.01, greater_is_better=False)
    assert error_reduction(8.0, loss) == pytest.approx(0.25)


def test_nothing_to_compare_is_not_known() -> None:
    assert verdict(predictions(1.0))["outperforms_baselines"] is None
    model = predictions(1.0)
    one = PartPredictions(
        task=Task.BINARY,
        y=np.zeros(400),
        rows=model.rows,
        prediction=model.prediction,
        decision=Decision(),
    )
    result = verdict(one, linear=one)
    assert result["outperforms_baselines"] is None and "ROC AUC is undefined" in result["text"]
    assert result["baselines"]["linear"]["verdict"] == "unknown"
    assert result["best_baseline"] is None


def test_thresholds_are_each_ones_own() -> None:
    low = predictions(1.0, decision=Decision(threshold=0.01))
    result = verdict(predictions(1.0), "accuracy", linear=low)
    assert result["baselines"]["linear"]["verdict"] == "better"


def test_decisions_come_from_the_rows_given() -> None:
    rows = predictions(1.0)
    sharp = rows.prediction**4
    sharp /= sharp.sum(axis=1, keepdims=True)
    plain = EvaluateConfig(calibrate=False)
    assert decide(rows.y, sharp, Task.BINARY, plain) == Decision()
    result = decide(rows.y, sharp, Task.BINARY, EvaluateConfig(threshold="f1"))
    assert result.temperature > 1 and result.threshold is not None
    assert not np.allclose(result.apply(sharp), sharp)
    values = np.ones((400, 1))
    regression = decide(np.zeros(400), values, Task.REGRESSION, EvaluateConfig())
    assert regression == Decision() and regression.apply(values) is values


def test_a_threshold_for_more_classes_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"evaluate.threshold: a multiclass task has no"):
        decide(np.zeros(3), np.full((3, 3), 1 / 3), Task.MULTICLASS, EvaluateConfig(threshold="f1"))
