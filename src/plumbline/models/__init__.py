"""The architectures, and how one is built.

A model takes the tensors of its `InputSpec` by name, (B, *shape) each, and gives (B, K, outputs):
K ensemble members (1 for most), one logit per class or one value.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from plumbline.config.model import ModelConfig
from plumbline.errors import DataError
from plumbline.examples import InputSpec
from plumbline.kinds import Task
from plumbline.models.encoders import Learned, check_encoded_columns, learn_inputs
from plumbline.models.ft_transformer import FTTransformer
from plumbline.models.layers import DropoutContext, initialize, number_dropouts
from plumbline.models.mlp import MLP, Perceptron, ResidualMLP
from plumbline.models.tabm import TabM, TabMMini
from plumbline.models.without_memory import WithoutMemory

MODELS: dict[str, Callable[[ModelConfig, InputSpec, Learned, DropoutContext], nn.Module]] = {
    "perceptron": Perceptron,
    "mlp": MLP,
    "resmlp": ResidualMLP,
    "ft_transformer": FTTransformer,
    "tabm": TabM,
    "tabm_mini": TabMMini,
}

__all__ = [
    "MODELS",
    "TO_PREDICTION",
    "build_model",
    "build_on_meta",
    "count_weights",
    "learn_inputs",
    "to_prediction",
]


def build_model(
    config: ModelConfig, spec: InputSpec, learned: Learned | None = None, *, seed: int
) -> nn.Module:
    """A fresh model on the CPU; the same seed gives the same weights, and torch's own random
    state stays as it was. `model.noise` says which rows dropout draws its masks for.

    Args:
        learned: what the encoders learned from training rows (`learn_inputs`).

    Raises:
        DataError: there is no feature.
        ParameterError: an encoder is for a column that is not of its type.
    """
    if not spec.tensors:
        raise DataError(
            "no feature is left to learn from",
            file="expectations.yaml",
            hint="give at least one column the role feature",
        )
    check_encoded_columns(config, spec)
    noise = DropoutContext(seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[config.name](config, spec, learned or {}, noise)
        initialize(model, config.initialization)
    number_dropouts(model, noise)
    model.noise = noise  # type: ignore[assignment]
    return model


def build_on_meta(
    config: ModelConfig, spec: InputSpec, learned: Learned | None = None
) -> nn.Module:
    """A model on the meta device: all shapes, and no memory taken."""
    with torch.random.fork_rng(devices=[]), WithoutMemory():
        model = MODELS[config.name](config, spec, learned or {}, DropoutContext(seed=0))
    return model.to("meta")


def count_weights(config: ModelConfig, spec: InputSpec, learned: Learned | None = None) -> int:
    """How many weights a model has, without the memory that building it would take."""
    return sum(p.numel() for p in build_on_meta(config, spec, learned).parameters())


def _probabilities(output: Tensor) -> Tensor:
    return torch.softmax(output, dim=-1).mean(1)


def _values(output: Tensor) -> Tensor:
    return output.mean(1)


# (B, K, outputs) to (B, C): probabilities of the classes, or values
TO_PREDICTION: dict[Task, Callable[[Tensor], Tensor]] = {
    Task.BINARY: _probabilities,
    Task.MULTICLASS: _probabilities,
    Task.REGRESSION: _values,
}


def to_prediction(output: Tensor, task: Task) -> Tensor:
    """(B, K, outputs) to probabilities (B, classes) or values (B, C): the mean over members."""
    return TO_PREDICTION[task](output)
