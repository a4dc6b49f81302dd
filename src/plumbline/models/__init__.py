"""The architectures, and how one is built.

A model maps numbers (B, N) float32 and category codes (B, C) int64 to (B, K, outputs): K ensemble
members (1 for most), one logit per class or one value.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from plumbline.config.model import ModelConfig
from plumbline.errors import DataError
from plumbline.kinds import Task
from plumbline.models.embeddings import Edges, number_edges
from plumbline.models.ft_transformer import FTTransformer
from plumbline.models.layers import BatchNoise, initialise, number_dropouts
from plumbline.models.mlp import MLP, Perceptron, ResidualMLP
from plumbline.models.tabm import TabM, TabMMini
from plumbline.tables import InputSpec

MODELS: dict[str, Callable[[ModelConfig, InputSpec, Edges | None, BatchNoise], nn.Module]] = {
    "perceptron": Perceptron,
    "mlp": MLP,
    "resmlp": ResidualMLP,
    "ft_transformer": FTTransformer,
    "tabm": TabM,
    "tabm_mini": TabMMini,
}

__all__ = ["MODELS", "build_model", "number_edges", "to_prediction"]


def build_model(
    config: ModelConfig, spec: InputSpec, edges: Edges | None = None, *, seed: int
) -> nn.Module:
    """A fresh model on the CPU; the same seed gives the same weights, and torch's own random
    state stays as it was. `model.noise` says which rows dropout draws its masks for.

    Args:
        edges: bin edges of each number column (`number_edges`), where the embedding needs them.

    Raises:
        DataError: there is no feature.
    """
    if not spec.num_names and not spec.cat_names:
        raise DataError(
            "no feature is left to learn from",
            file="expectations.yaml",
            mend="give at least one column the role feature",
        )
    noise = BatchNoise(seed=seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MODELS[config.name](config, spec, edges, noise)
        initialise(model, config.initialisation)
    number_dropouts(model)
    model.noise = noise  # type: ignore[assignment]
    return model


def to_prediction(output: Tensor, task: Task) -> Tensor:
    """(B, K, outputs) to probabilities (B, classes) or values (B, 1): the mean over members."""
    if task.is_classification:
        return torch.softmax(output, dim=-1).mean(1)
    return output.mean(1)
