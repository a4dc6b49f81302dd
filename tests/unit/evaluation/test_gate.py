"""The gate: significant gain, no slice much worse, a person where asked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from plumbline.evaluation.gate import (
    BY_HAND,
    Candidate,
    GateDecision,
    GateResult,
    Rules,
    accept_first,
    decide_version,
)
from plumbline.evaluation.slices import Slice
from plumbline.kinds import DoubleArray, IntArray

N = 600
RULES = Rules(metric="roc_auc", significance=0.05, max_slice_loss=0.05, by_hand=False)


def labels(seed: int = 0) -> IntArray:
    return np.random.default_rng(seed).integers(0, 2, N)


def model(y: IntArray, noise: float, seed: int) -> Candidate:
    """Probabilities that know the truth up to noise."""
    z = (2 * y - 1) + noise * np.random.default_rng(seed).normal(size=len(y))
    p = 1 / (1 + np.exp(-z))
    return Candidate(prediction=np.stack([1 - p, p], axis=1))


def half(name: str, first: bool) -> Slice:
    rows = np.arange(N // 2) if first else np.arange(N // 2, N)
    return Slice(column="side", value=name, rows=rows)


def decide(new: Candidate, old: Candidate, *slices: Slice, rules: Rules = RULES) -> GateResult:
    return decide_version(labels(), new, old, slices, rules, seed=0)


def test_a_clear_gain_is_promoted_and_says_how_much() -> None:
    y = labels()
    result = decide(model(y, 1.0, 1), model(y, 4.0, 2), half("left", True))
    assert result.decision is GateDecision.PROMOTE
    assert "ROC AUC changes by +0." in result.reasons[0] and "600 test rows" in result.reasons[0]
    assert "no slice loses more than 0.05 (1 compared)" in result.reasons


def test_the_same_model_is_held() -> None:
    one = model(labels(), 2.0, 1)
    result = decide(one, one)
    assert result.decision is GateDecision.HOLD
    assert "it is not better than the champion" in result.reasons


def test_a_worse_model_is_held() -> None:
    y = labels()
    assert decide(model(y, 4.0, 2), model(y, 1.0, 1)).decision is GateDecision.HOLD


def test_a_gain_within_noise_is_held() -> None:
    y = labels()
    old = model(y, 2.0, 1)
    nudged = old.prediction.copy()
    wrong = np.flatnonzero(nudged.argmax(axis=1) != y)[:1]
    nudged[wrong] = nudged[wrong][:, ::-1]
    result = decide(Candidate(prediction=nudged), old)
    assert result.decision is GateDecision.HOLD
    assert "the gain may be chance: p is not below 0.05" in result.reasons


def test_a_slice_that_loses_too_much_holds_a_better_model() -> None:
    y = labels()
    old, new = model(y, 3.0, 2), model(y, 0.5, 1).prediction
    bad = np.arange(60)
    new[bad] = new[bad][:, ::-1]  # wrong on a tenth, much better elsewhere
    small = Slice(column="region", value="north", rows=bad)
    result = decide(Candidate(prediction=new), old, half("right", False), small)
    assert result.decision is GateDecision.HOLD
    assert "the gain is significant" in result.reasons
    assert any("where region is north" in reason for reason in result.reasons)
    assert not any("right" in reason for reason in result.reasons)
    allowed = replace(RULES, max_slice_loss=1.0)
    assert (
        decide(Candidate(prediction=new), old, small, rules=allowed).decision
        is GateDecision.PROMOTE
    )


def test_a_slice_where_the_metric_is_undefined_is_no_loss() -> None:
    y = labels()
    ones = Slice(column="class", value="1", rows=np.flatnonzero(y == 1))
    assert decide(model(y, 1.0, 1), model(y, 4.0, 2), ones).decision is GateDecision.PROMOTE


@pytest.mark.parametrize("metric", ["log_loss", "brier"])
def test_where_less_is_better(metric: str) -> None:
    y, rules = labels(), replace(RULES, metric=metric)
    good, bad = model(y, 0.5, 1), model(y, 3.0, 2)
    assert decide(good, bad, rules=rules).decision is GateDecision.PROMOTE
    assert decide(bad, good, rules=rules).decision is GateDecision.HOLD


def values(error: float, seed: int) -> tuple[DoubleArray, Candidate]:
    rng = np.random.default_rng(0)
    y = rng.normal(size=N) * 1e5
    return y, Candidate(
        prediction=(y + error * np.random.default_rng(seed).normal(size=N))[:, None]
    )


def test_errors_in_units_of_the_target_lose_by_share() -> None:
    rules = replace(RULES, metric="rmse")
    y, new = values(1000.0, 1)
    _, old = values(2000.0, 2)
    spoilt = new.prediction.copy()
    spoilt[:50] = y[:50, None] + (old.prediction[:50] - y[:50, None]) * 1.04  # 4 % worse
    slices = [Slice(column="region", value="north", rows=np.arange(50))]
    assert (
        decide_version(y, Candidate(prediction=spoilt), old, slices, rules, 0).decision == "promote"
    )
    spoilt[:50] = y[:50, None] + (old.prediction[:50] - y[:50, None]) * 1.06
    result = decide_version(y, Candidate(prediction=spoilt), old, slices, rules, 0)
    assert result.decision is GateDecision.HOLD
    assert "loses 0.06 where region is north" in result.reasons


def test_thresholds_count_for_metrics_of_labels() -> None:
    y, rules = labels(), replace(RULES, metric="f1")
    shifted = model(y, 1.0, 1).prediction / 4  # every positive probability below 0.25
    old = Candidate(prediction=np.stack([1 - shifted[:, 1], shifted[:, 1]], axis=1))
    new = replace(old, threshold=0.125)
    assert decide(new, old, rules=rules).decision is GateDecision.PROMOTE


def test_a_person_decides_where_asked() -> None:
    y, rules = labels(), replace(RULES, by_hand=True)
    better = decide(model(y, 1.0, 1), model(y, 4.0, 2), rules=rules)
    assert (better.decision, better.reasons[-1]) == (GateDecision.REVIEW, BY_HAND)
    assert decide(model(y, 4.0, 2), model(y, 1.0, 1), rules=rules).decision is GateDecision.HOLD
    assert accept_first(rules).decision is GateDecision.REVIEW


def test_no_champion() -> None:
    assert accept_first(RULES).to_json() == {
        "decision": "first",
        "reasons": ["there was no champion"],
    }


def test_an_undefined_metric_is_for_a_person() -> None:
    y = np.ones(N, dtype=np.int64)
    result = decide_version(y, model(y, 1.0, 1), model(y, 2.0, 2), [], RULES, 0)
    assert result.decision is GateDecision.REVIEW
    assert "ROC AUC is not defined on the 600 test rows" in result.reasons


def test_the_same_seed_gives_the_same_words() -> None:
    y = labels()
    new, old = model(y, 2.0, 1), model(y, 2.2, 2)
    assert decide(new, old) == decide(new, old)
