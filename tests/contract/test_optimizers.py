"""Every optimizer steps as torch's plain one does; decay, L1, clipping and averaging by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch
from tests.made import made_spec, small_model
from torch import Tensor, nn

from plumbline.config.model import ModelName, OptimizerName, TrainConfig
from plumbline.kinds import Task
from plumbline.models import build_model
from plumbline.training.optim import (
    EMA,
    OPTIMIZERS,
    add_l1,
    decayed_names,
    make_optimizer,
    set_rate,
)

pytestmark = pytest.mark.usefixtures("one_thread")

RATE, DECAY, MOMENTUM = 0.01, 0.1, 0.8
Groups = list[dict[str, Any]]

# torch's plain loops over parameters, which its tests hold against the papers
REFERENCES: dict[str, Callable[[Groups], torch.optim.Optimizer]] = {
    "sgd": lambda g: torch.optim.SGD(g, lr=RATE, momentum=MOMENTUM, foreach=False),
    "adam": lambda g: torch.optim.Adam(g, lr=RATE, foreach=False),
    "adamw": lambda g: torch.optim.AdamW(g, lr=RATE, foreach=False),
    "rmsprop": lambda g: torch.optim.RMSprop(g, lr=RATE, momentum=MOMENTUM, foreach=False),
    "adagrad": lambda g: torch.optim.Adagrad(g, lr=RATE, foreach=False),
}


def config(name: str, **more: Any) -> TrainConfig:
    return TrainConfig(
        optimizer=name,  # type: ignore[arg-type]
        learning_rate=RATE,
        weight_decay=DECAY,
        momentum=MOMENTUM,
        **more,
    )


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 2))


def slopes(model: nn.Module, step: int) -> None:
    generator = torch.Generator().manual_seed(step)
    for parameter in model.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_choices_and_parameters_agree() -> None:
    assert set(OPTIMIZERS) == set(get_args(OptimizerName)) == set(REFERENCES)


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_steps_are_those_of_torch_and_decay_spares_biases_and_norms(name: str) -> None:
    ours, theirs = network(), network()
    optimizer = make_optimizer(ours, config(name), decayed_names(ours))
    reference = REFERENCES[name](
        [
            {"params": [theirs[0].weight, theirs[3].weight], "weight_decay": DECAY},
            {
                "params": [theirs[0].bias, theirs[1].weight, theirs[1].bias, theirs[3].bias],
                "weight_decay": 0.0,
            },
        ]
    )
    for step in range(5):
        for model, stepper in ((ours, optimizer), (theirs, reference)):
            slopes(model, step)
            stepper.step()
    for (key, value), wanted in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(value, wanted, msg=lambda text, key=key: f"{key}: {text}")


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_the_rate_can_be_set_between_steps(name: str) -> None:
    model = network()
    optimizer = make_optimizer(model, config(name), decayed_names(model))
    before = copy.deepcopy(model.state_dict())
    set_rate(optimizer, 0.0)
    slopes(model, 0)
    optimizer.step()
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key]), key
    set_rate(optimizer, RATE)
    slopes(model, 1)
    optimizer.step()
    assert not torch.equal(model[0].weight, before["0.weight"])


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_state_saved_and_loaded_steps_on_alike(name: str) -> None:
    ours = network()
    optimizer = make_optimizer(ours, config(name), decayed_names(ours))
    slopes(ours, 0)
    optimizer.step()
    other = copy.deepcopy(ours)
    resumed = make_optimizer(other, config(name), decayed_names(other))
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for model, stepper in ((ours, optimizer), (other, resumed)):
        slopes(model, 1)
        stepper.step()
    for key, value in ours.state_dict().items():
        assert torch.equal(value, other.state_dict()[key]), key


@pytest.mark.parametrize("name", get_args(ModelName))
def test_only_matrices_of_layers_are_decayed(name: str) -> None:
    model = build_model(
        small_model(name, number_embedding="periodic", normalization="layer"),
        made_spec(Task.MULTICLASS),
        seed=0,
    )
    decayed = decayed_names(model)
    last = ("heads.weight", "head.weight", "input.encoders.num.weight")  # of a perceptron the only
    assert any(key.endswith(last) for key in decayed)
    parameters = dict(model.named_parameters())
    for key in decayed:
        assert key.endswith("weight") and parameters[key].ndim >= 2, key
    spared = {"norm", "norm_1", "norm_2", "categories", "table", "periodic", "r", "s"}
    assert not [key for key in decayed if spared & set(key.split("."))]


def test_l1_adds_its_slope() -> None:
    weight = nn.Parameter(torch.tensor([[2.0, -3.0, 0.0]]))
    frozen = nn.Parameter(torch.ones(1))  # no gradient: left alone
    ((weight * torch.tensor([1.0, 1.0, 1.0])).sum()).backward()
    add_l1([weight, frozen], 0.5)
    assert weight.grad is not None
    assert weight.grad.tolist() == [[1.5, 0.5, 1.0]]
    assert frozen.grad is None


class TestAverage:
    def weights(self, model: nn.Module) -> list[Tensor]:
        return [p.detach().clone() for p in model.parameters()]

    def test_follows_the_closed_form(self) -> None:
        model = network()
        average = EMA(model, 0.7)
        wanted = self.weights(model)
        for step in range(30):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.1 * (step + 1))
            average.update()
            decay = min(0.7, (1 + step) / (10 + step))
            wanted = [
                decay * a + (1 - decay) * w
                for a, w in zip(wanted, self.weights(model), strict=True)
            ]
        for result, expected in zip(average.tensors, wanted, strict=True):
            torch.testing.assert_close(result, expected)

    def test_is_in_the_model_inside_the_block_only(self) -> None:
        model = network()
        average = EMA(model, 0.9)
        own = self.weights(model)
        for tensor in average.tensors:
            tensor.fill_(3.0)
        with pytest.raises(KeyError), average.applied():  # left by an error too
            assert all(bool((p == 3).all()) for p in model.parameters())
            raise KeyError
        for result, wanted in zip(model.parameters(), own, strict=True):
            assert torch.equal(result, wanted)

    def test_off_costs_nothing(self) -> None:
        model = network()
        average = EMA(model, 0.0)
        average.update()
        with average.applied():
            assert average.tensors == [] and average.steps == 0
