"""Explanations from inside: gradients reach categories, and the parts add up."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from tests.made import as_tensors, made_examples, spec_of

from plumbline.config.model import ModelConfig
from plumbline.evaluation.explanation_budget import one_thread, operations
from plumbline.evaluation.gradients import attention, integrated_gradients, saliency
from plumbline.evaluation.masker import Masker
from plumbline.examples import Inputs, InputSpec
from plumbline.kinds import Task
from plumbline.models import MODELS, build_model
from plumbline.models.deployed import Deployed
from plumbline.models.embeddings import CategoryEmbedding

SMALL: dict[str, Any] = {
    "width": 16,
    "depth": 2,
    "heads": 4,
    "members": 3,
    "category_dim": 3,
    "token_width": 16,
    "number_embedding": "none",
}
OUTPUTS = np.array([0, 1, 2, 0, 1, 2])


def spec(numbers: int = 3, categories: int = 2) -> InputSpec:
    names = tuple(f"n{i}" for i in range(numbers)), tuple(f"c{i}" for i in range(categories))
    return spec_of(
        task=Task.MULTICLASS,
        num_names=names[0],
        cat_names=names[1],
        cardinalities=tuple(range(3, 3 + categories)),
        classes=("a", "b", "c"),
    )


def inputs(of: InputSpec, n: int, seed: int) -> Inputs:
    made = dict(made_examples(of, n, seed).inputs)
    if "cat" in made:
        # not the unknown slot, which is zero in a fresh model: layer normalization jumps there
        made["cat"] = np.clip(made["cat"], 1, None)
    return made


def deployed(name: str, of: InputSpec) -> Deployed:
    config = ModelConfig(name=name, activation="tanh", **SMALL)  # type: ignore[arg-type]
    model = build_model(config, of, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)  # a fresh model says nearly the same of every row
    return Deployed(model, of.task, None, 1.3).eval()


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize(("numbers", "categories"), [(3, 2), (0, 2), (3, 0)])
def test_integrated_gradients_add_up(name: str, numbers: int, categories: int) -> None:
    of = spec(numbers, categories)
    model, masker = deployed(name, of), Masker.of(of)
    rows, background = inputs(of, 6, 1), inputs(of, 1, 2)
    values = integrated_gradients(model, rows, background, masker, OUTPUTS)
    assert values.shape == (6, numbers + categories)
    with torch.no_grad():
        own, base = (model(**as_tensors(x)).double().numpy() for x in (rows, background))
    # one background row is its own mean, so the path begins at its prediction
    wanted = own[np.arange(6), OUTPUTS] - base[0, OUTPUTS]
    np.testing.assert_allclose(values.sum(1), wanted, atol=5e-3)
    if categories:
        assert np.abs(values[:, numbers:]).max() > 1e-4  # categories have a part in it


@pytest.mark.parametrize("name", list(MODELS))
def test_saliency_is_the_gradient_times_the_deviation(name: str) -> None:
    of = spec()
    model, masker = deployed(name, of), Masker.of(of)
    rows, background = inputs(of, 6, 1), inputs(of, 50, 2)
    values = saliency(model, rows, background, masker, OUTPUTS)
    assert values.shape == (6, 5) and (values >= 0).all() and (values > 0).any(0).all()
    step = 1e-2
    with torch.no_grad():
        moved = []
        for sign in (1, -1):
            given = as_tensors(rows)
            given["num"][:, 0] += sign * step
            moved.append(model(**given).double().numpy())
    slope = ((moved[0] - moved[1]) / (2 * step))[np.arange(6), OUTPUTS]
    wanted = np.abs(slope) * background["num"][:, 0].std()
    np.testing.assert_allclose(values[:, 0], wanted, rtol=0.05, atol=1e-4)


def test_the_model_is_left_as_it_was() -> None:
    of = spec()
    model = deployed("mlp", of)
    rows = inputs(of, 6, 1)
    before = model(**as_tensors(rows))
    saliency(model, rows, rows, Masker.of(of), OUTPUTS)
    assert torch.equal(model(**as_tensors(rows)), before)
    tables = [m for m in model.modules() if isinstance(m, CategoryEmbedding)]
    assert len(tables) == 1 and not tables[0]._forward_hooks
    assert all(p.grad is None for p in model.parameters())


def test_attention_where_there_is_one() -> None:
    of = spec()
    rows, masker = inputs(of, 6, 1), Masker.of(of)
    looked = attention(deployed("ft_transformer", of).model, rows, masker)
    assert looked is not None and looked.shape == (6, 5)
    assert (looked > 0).all() and (looked.sum(1) < 1).all()  # the rest is the class token's own
    assert attention(deployed("mlp", of).model, rows, masker) is None


def test_operations_count_tokens_and_members() -> None:
    of = spec()
    cost = {name: operations(deployed(name, of).model, of) for name in MODELS}
    assert cost["perceptron"] < cost["mlp"] < cost["tabm"] < cost["ft_transformer"]
    # 9 inputs, two layers of 16, three outputs; two operations per weight
    weights = (9 * 16 + 16) + (16 * 16 + 16) + (16 * 3 + 3)
    assert cost["mlp"] == pytest.approx(2 * weights, abs=1)


def test_one_thread_is_given_back() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with pytest.raises(ZeroDivisionError), one_thread():
            assert torch.get_num_threads() == 1
            1 / 0  # noqa: B018
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
