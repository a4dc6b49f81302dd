"""Gradients by what a model reads, against finite differences."""

from __future__ import annotations

import pytest
import torch
from tests.made import as_tensors, made_examples, made_spec, small_model
from torch import Tensor, nn

from plumbline.kinds import Task
from plumbline.models import MODELS, build_model, learn_inputs
from plumbline.models.deployed import Deployed
from plumbline.models.embeddings import CategoryEmbedding
from plumbline.models.input_gradients import InputGradients

pytestmark = pytest.mark.usefixtures("one_thread")
SPEC = made_spec(Task.MULTICLASS)
ROWS = made_examples(SPEC, 6, 1).inputs
OUTPUTS = torch.tensor([0, 1, 2, 0, 1, 2])
STEP = 1e-5


def deployed(name: str, embedding: str = "periodic") -> Deployed:
    config = small_model(name, activation="tanh", number_embedding=embedding, dropout=0.0)
    learned = learn_inputs(config, SPEC, made_examples(SPEC, 80, 2).inputs)
    return Deployed(build_model(config, SPEC, learned, seed=0), SPEC.task, None, 1.3).eval()


def selected(model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
    answers: Tensor = model(**inputs).gather(1, OUTPUTS[:, None])[:, 0]
    return answers


@pytest.mark.parametrize("name", list(MODELS))
def test_numbers(name: str) -> None:
    model = deployed(name).double()
    network, inputs = InputGradients(model), as_tensors(ROWS)
    inputs["num"] = inputs["num"].double()
    represented = {**network.represent(ROWS), "num": inputs["num"]}
    result = network.gradients(represented, OUTPUTS)["num"]
    with torch.no_grad():
        for column in range(3):
            shift = torch.zeros(3, dtype=torch.float64)
            shift[column] = STEP
            ends = [
                selected(model, {**inputs, "num": inputs["num"] + sign * shift}) for sign in (1, -1)
            ]
            slope = (ends[0] - ends[1]) / (2 * STEP)
            torch.testing.assert_close(result[:, column], slope, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("name", list(MODELS))
def test_what_codes_were_looked_up_as(name: str) -> None:
    """Moved in the table itself, for one row at a time."""
    model = deployed(name).double()
    network = InputGradients(model)
    represented = {**network.represent(ROWS), "num": as_tensors(ROWS)["num"].double()}
    assert represented["cat"].shape[:2] == (6, 2) and represented["cat"].ndim == 3
    result = network.gradients(represented, OUTPUTS)["cat"]
    (table,) = [m for m in model.modules() if isinstance(m, CategoryEmbedding)]
    codes = as_tensors(ROWS)["cat"] + table.offsets
    weight = table.table.weight
    with torch.no_grad():
        for row, column, number in ((0, 0, 0), (3, 1, 1), (5, 0, 2)):
            one = {k: v[row : row + 1] for k, v in as_tensors(ROWS).items()}
            one["num"] = one["num"].double()
            ends = []
            for sign in (1, -2, 1):  # there, on the other side, and back
                weight[codes[row, column], number] += sign * STEP
                ends.append(model(**one)[0, OUTPUTS[row]])
            slope = (ends[0] - ends[1]) / (2 * STEP)
            torch.testing.assert_close(result[row, column, number], slope, rtol=1e-4, atol=1e-8)


def test_a_tensor_that_changes_nothing_has_gradients_of_zero() -> None:
    model = deployed("perceptron")
    for name, parameter in model.named_parameters():
        if ".num." in name:
            nn.init.zeros_(parameter)
    network = InputGradients(model)
    result = network.gradients(network.represent(ROWS), OUTPUTS)
    assert not result["num"].any() and bool(result["cat"].any())


def test_nothing_is_left_behind() -> None:
    model = deployed("mlp")
    network = InputGradients(model)
    network.gradients(network.represent(ROWS), OUTPUTS)
    assert all(not module._forward_hooks for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())
