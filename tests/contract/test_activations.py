"""Activations, initializations and normalizations are what their names say."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from tests.made import made_spec, small_model
from torch import Tensor, nn

from plumbline.kinds import Task
from plumbline.models import build_model
from plumbline.models.layers import ACTIVATIONS, INITIALIZERS, NORMALIZATIONS, initialize

pytestmark = pytest.mark.usefixtures("one_thread")

X = torch.linspace(-6, 6, 97, dtype=torch.float64)
FORMULAS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": lambda x: torch.where(x > 0, x, 0.0),
    "leaky_relu": lambda x: torch.where(x > 0, x, 0.01 * x),
    "gelu": lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2))),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "tanh": lambda x: (torch.exp(2 * x) - 1) / (torch.exp(2 * x) + 1),
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
}


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_an_activation_is_its_formula(name: str) -> None:
    torch.testing.assert_close(ACTIVATIONS[name]()(X), FORMULAS[name](X))


@pytest.mark.parametrize("name", list(ACTIVATIONS))
def test_an_activation_has_the_right_slope(name: str) -> None:
    x = (X + 0.01).requires_grad_()  # beside the kinks
    assert torch.autograd.gradcheck(ACTIVATIONS[name](), (x,))


def deviation(name: str, fan_in: int, fan_out: int) -> float:
    """Standard deviation of a weight, by the papers."""
    return {
        "xavier": math.sqrt(2 / (fan_in + fan_out)),  # Glorot and Bengio 2010, equation 16
        "he": math.sqrt(2 / fan_in),  # He et al. 2015, equation 10
        "normal": 0.02,
        "orthogonal": math.sqrt(1 / max(fan_in, fan_out)),  # of a row of an orthogonal matrix
        "zero": 0.0,
        "default": math.sqrt(1 / (3 * fan_in)),  # torch: uniform in ± 1 / sqrt(fan_in)
    }[name]


@pytest.mark.filterwarnings("ignore:model.initialization is zero:UserWarning")
@pytest.mark.parametrize("name", list(INITIALIZERS))
@pytest.mark.parametrize(("fan_in", "fan_out"), [(300, 200), (120, 240)])
def test_an_initialization_has_its_spread(name: str, fan_in: int, fan_out: int) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(fan_in, fan_out)
    initialize(layer, name)
    assert layer.weight.std().item() == pytest.approx(deviation(name, fan_in, fan_out), rel=0.02)
    assert layer.weight.mean().item() == pytest.approx(0, abs=0.002)
    if name != "default":
        assert not layer.bias.any()


def test_orthogonal_is_orthogonal() -> None:
    layer = nn.Linear(30, 20)
    initialize(layer, "orthogonal")
    torch.testing.assert_close(layer.weight @ layer.weight.T, torch.eye(20), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["mlp", "resmlp", "ft_transformer", "tabm", "tabm_mini"])
def test_an_initialization_reaches_every_linear_layer(name: str) -> None:
    model = build_model(
        small_model(name, initialization="normal", width=64, depth=2),
        made_spec(Task.MULTICLASS, numbers=40),
        seed=0,
    )
    weights = {
        key: p
        for key, p in model.named_parameters()
        if key.endswith("weight") and p.numel() > 500 and not key.startswith("input.")
    }
    assert weights
    for key, weight in weights.items():
        assert weight.std().item() == pytest.approx(0.02, rel=0.15), key


@pytest.mark.parametrize("shape", [(32, 8), (32, 3, 8)])
@pytest.mark.parametrize("name", list(NORMALIZATIONS))
def test_a_normalization_normalizes(name: str, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = 5 + 3 * torch.randn(shape)
    out = NORMALIZATIONS[name](8)(x)
    assert out.shape == x.shape
    if name == "none":
        assert torch.equal(out, x)
        return
    over = -1 if name == "layer" else tuple(range(len(shape) - 1))
    mean, var = out.mean(over), out.var(over, correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-5, rtol=0)
    torch.testing.assert_close(var, torch.ones_like(var), atol=1e-3, rtol=0)
