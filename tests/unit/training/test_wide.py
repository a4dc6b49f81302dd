"""The wide part of texts begins at what scikit-learn finds, on training rows alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from tests.made import as_tensors, made_spec, short_fit, small_model, text_tensor

from plumbline.config.model import TextEncoderConfig
from plumbline.examples import Examples, InputSpec, TargetSpec
from plumbline.kinds import Task
from plumbline.models import MODELS, build_model
from plumbline.models.target import TargetTransform
from plumbline.training.build import fit_fresh
from plumbline.training.loop import predict
from plumbline.training.wide import begin_wide, token_counts

WORDS, LENGTH = 60, 12
CLASSES = tuple("abcdefgh")


def texts(tensors: int, rows: int, seed: int) -> dict[str, Any]:
    """Tokens drawn, some of them more often than others, with padding of any length after them."""
    rng = np.random.default_rng(seed)
    made = {}
    for j in range(tensors):
        ids = np.minimum(rng.geometric(0.05, (rows, LENGTH)) + 1, WORDS - 1)
        ids[np.arange(LENGTH) >= rng.integers(0, LENGTH + 1, (rows, 1))] = 0
        made[f"text_{j}"] = ids.astype(np.int64)
    return made


def spec_of_texts(task: Task, tensors: int = 1, classes: tuple[str, ...] = CLASSES) -> InputSpec:
    made = tuple(
        replace(text_tensor(j, length=LENGTH), details={"tokens": WORDS}) for j in range(tensors)
    )
    return InputSpec(
        tensors=made, target=TargetSpec(task=task, classes=classes if task.has_classes else ())
    )


def examples(inputs: dict[str, Any], y: Any) -> Examples:
    n = len(y)
    return Examples(inputs=inputs, y=y, rows=np.arange(n), weight=np.ones(n, dtype=np.float32))


def features(inputs: dict[str, Any], rare: dict[str, Any] | None = None) -> tuple[Any, Any]:
    """What a linear model reads, dense; and how rare each token is among the rows given first."""
    blocks, kept = [], {}
    for name, ids in inputs.items():
        counts = token_counts(ids, WORDS).toarray()
        own = np.log((1 + len(ids)) / (1 + (counts > 0).sum(0))) + 1
        square = (counts * own**2).sum() / counts.sum()
        kept[name] = own / np.sqrt(square) if rare is None else rare[name]
        blocks.append(counts / np.sqrt(np.maximum(counts.sum(1, keepdims=True), 1)) * kept[name])
    return np.hstack(blocks), kept


def silenced(model: torch.nn.Module) -> torch.nn.Module:
    """The deep part says nothing."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.startswith(("head", "heads")):
                weight.zero_()
    return model.eval()


@pytest.mark.parametrize("name", [name for name in MODELS if name != "perceptron"])
@pytest.mark.parametrize("tensors", [1, 2])
def test_it_answers_as_logistic_regression(name: str, tensors: int) -> None:
    spec = spec_of_texts(Task.MULTICLASS, tensors)
    inputs, other = texts(tensors, 300, 1), texts(tensors, 50, 2)
    y = np.random.default_rng(3).integers(0, len(CLASSES), 300)
    model = silenced(build_model(small_model(name), spec, seed=0))
    begin_wide(model, spec, examples(inputs, y), None, seed=0)
    known, rare = features(inputs)
    theirs = LogisticRegression().fit(known, y).predict_proba(features(other, rare)[0])
    with torch.no_grad():
        ours = torch.softmax(model(**as_tensors(other)), -1).mean(1).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_two_classes_and_a_class_without_rows() -> None:
    inputs, y = texts(1, 200, 1), np.random.default_rng(0).integers(0, 2, 200)
    known, _ = features(inputs)
    theirs = LogisticRegression().fit(known, y).predict_proba(known)
    for classes in (("a", "b"), ("a", "b", "never")):
        task = Task.BINARY if len(classes) == 2 else Task.MULTICLASS
        spec = spec_of_texts(task, classes=classes)
        model = silenced(build_model(small_model(), spec, seed=0))
        begin_wide(model, spec, examples(inputs, y), None, seed=0)
        with torch.no_grad():
            ours = torch.softmax(model(**as_tensors(inputs))[:, 0], -1).numpy()
        np.testing.assert_allclose(ours[:, 1] / ours[:, :2].sum(1), theirs[:, 1], atol=1e-4)
        assert np.isfinite(ours).all()


def test_a_regression_begins_at_ridge_in_the_units_of_the_loss() -> None:
    """Its penalty is as large as the noise of the target asks for."""
    spec = spec_of_texts(Task.REGRESSION)
    inputs, rng = texts(1, 400, 1), np.random.default_rng(0)
    known, _ = features(inputs)
    signal, noise = known @ rng.normal(0, 3.0, WORDS), rng.normal(size=len(known))
    matched = []
    for level in (0.0, 30.0):
        y = 1e6 + signal + level * noise
        target = TargetTransform.fit(y, "standard")
        model = silenced(build_model(small_model(), spec, seed=0))
        begin_wide(model, spec, examples(inputs, y), target, seed=0)
        with torch.no_grad():
            ours = model(**as_tensors(inputs))[:, 0, 0].numpy()
        theirs = {
            p: Ridge(p).fit(known, target.forward(y)).predict(known) for p in (1.0, 10.0, 1e2, 1e3)
        }
        matched += [p for p, own in theirs.items() if np.allclose(ours, own, atol=1e-4)]
    easy, noisy = matched
    assert easy == 1.0 < noisy


@pytest.mark.parametrize("what", ["no text", "not wanted", "one class", "too many weights"])
def test_nothing_changes_where_there_is_nothing_to_begin(
    what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = made_spec(Task.MULTICLASS) if what == "no text" else spec_of_texts(Task.MULTICLASS)
    if what == "too many weights":
        monkeypatch.setattr("plumbline.models.text.MOST_WIDE_WEIGHTS", WORDS * len(CLASSES) - 1)
    config = small_model(text=TextEncoderConfig(wide=what != "not wanted"))
    model = build_model(config, spec, seed=0)
    before = {name: t.clone() for name, t in model.state_dict().items()}
    y = np.full(40, 2) if what == "one class" else np.arange(40) % 3
    inputs = spec.empty(40) if what == "no text" else texts(1, 40, 0)
    begin_wide(model, spec, examples(inputs, y), None, seed=0)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())
    assert any("wide" in name for name in before) == (what == "one class")


def test_many_rows_are_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("plumbline.training.wide.MOST_ROWS", 100)
    spec, inputs = spec_of_texts(Task.MULTICLASS), texts(1, 300, 1)
    rows = examples(inputs, np.random.default_rng(3).integers(0, len(CLASSES), 300))
    made = []
    for seed in (0, 0, 1):
        model = build_model(small_model(), spec, seed=0)
        begin_wide(model, spec, rows, None, seed=seed)
        made.append(model.state_dict()["input.encoders.text_0.lookup.wide.weight"])
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])


def test_few_texts_of_many_classes() -> None:
    """Each class has its own frequencies of the words: what two lines of scikit-learn learn of 120
    texts, the network does, too."""
    spec, topics = spec_of_texts(Task.MULTICLASS), np.random.default_rng(0)
    often = topics.dirichlet(np.full(WORDS - 2, 0.3), len(CLASSES))
    parts = {}
    for part, rows, seed in (("train", 120, 1), ("val", 60, 2), ("test", 400, 3)):
        rng = np.random.default_rng(seed)
        y = rng.integers(0, len(CLASSES), rows)
        drawn = np.stack([rng.choice(WORDS - 2, LENGTH, p=often[own]) for own in y]) + 2
        common = rng.integers(2, WORDS, drawn.shape)
        ids = np.where(rng.random(drawn.shape) < 0.5, common, drawn)
        parts[part] = examples({"text_0": ids}, y)
    known, rare = features(parts["train"].inputs)
    linear = LogisticRegression().fit(known, parts["train"].y)
    peer = linear.score(features(parts["test"].inputs, rare)[0], parts["test"].y)
    scores = {}
    for wide in (True, False):
        config = small_model(text=TextEncoderConfig(wide=wide))
        how = short_fit(epochs=20)
        fit = fit_fresh(config, how, spec, parts["train"], parts["val"], seed=0)
        answer = predict(fit.fitted.model, parts["test"], spec.task, how, target=None)
        scores[wide] = float((answer.argmax(1) == parts["test"].y).mean())
    assert scores[True] >= peer - 0.02 > 0.4, peer
    assert scores[True] > scores[False] + 0.1
