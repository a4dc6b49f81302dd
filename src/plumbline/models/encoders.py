"""How each kind of tensor is read: as features, as tokens, or linearly. One entry per kind.

`models.inputs` joins them. B rows, F features of a tensor, W token width, T tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plumbline.config.model import ModelConfig
from plumbline.errors import ParameterError, choose, nearest
from plumbline.examples import Inputs, InputSpec, TensorSpec
from plumbline.models.embeddings import (
    NUMBER_EMBEDDINGS,
    CategoryEmbedding,
    Edges,
    LinearTokens,
    number_edges,
)
from plumbline.models.image import ImageFeatures
from plumbline.models.layers import drop_bias
from plumbline.models.text import BagOfTokens, TextFeatures

Learned = Mapping[str, Any]  # tensor name -> what its encoder learned from training rows, as JSON


def _nothing(config: ModelConfig, values: NDArray[Any]) -> None:
    return None


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """How a kind of tensor is read.

    Attributes:
        features: builds a module, (B, *shape) to (B, width); its `chunks` are the widths that
            each feature took, in order, or the one that all took together. A module that looks
            codes up in a table has the table as `lookup`: codes have no gradient, what was
            looked up has. `drop_shift`, where it has one, takes away what is added to the
            features of all rows alike; `widen`, where it has one, lets it give beside the
            features what is added to the outputs as it is, (B, outputs).
        tokens: builds a module, (B, *shape) to (B, T, W); None: the features, projected to one
            token.
        linear: builds a module, (B, *shape) to (B, outputs), linear in numbers and in one-hot
            codes; None: the features, projected.
        learn: what the modules need to know of the training rows, fit for JSON.
    """

    features: Callable[[ModelConfig, TensorSpec, Any], nn.Module]
    tokens: Callable[[ModelConfig, TensorSpec, Any, int], nn.Module] | None = None
    linear: Callable[[TensorSpec, int], nn.Module] | None = None
    learn: Callable[[ModelConfig, NDArray[Any]], Any] = _nothing


@runtime_checkable
class Shifting(Protocol):
    """Features of which a part is added to those of all rows alike."""

    def drop_shift(self) -> None: ...


@runtime_checkable
class Widening(Protocol):
    """Features with a wide part (Cheng et al. 2016, "Wide & Deep Learning for Recommender
    Systems"), which goes to the outputs past the network."""

    def widen(self, outputs: int) -> None: ...


class NumberFeatures(nn.Module):
    """Numbers as they are, then embedded ones: (B, F) to (B, width).

    A number of two values is not embedded, which in one-hot data saves most of the work, nor is a
    plain one (`TensorSpec.plain`), which is there to stay linear.
    """

    plain: Tensor
    selected: Tensor

    def __init__(self, config: ModelConfig, tensor: TensorSpec, edges: Edges | None) -> None:
        super().__init__()
        count = len(tensor.features)
        make = NUMBER_EMBEDDINGS[config.number_embedding]
        unbent = {j for j, name in enumerate(tensor.features) if name in tensor.plain}
        unbent |= {j for j in range(count) if edges is not None and len(edges[j]) == 2}
        embedded = [j for j in range(count) if j not in unbent] if make else []
        plain = sorted(unbent) if make else list(range(count))
        self.register_buffer("plain", torch.tensor(plain, dtype=torch.int64), persistent=False)
        self.register_buffer(
            "selected", torch.tensor(embedded, dtype=torch.int64), persistent=False
        )
        self.embedding: nn.Module | None = None
        if make and embedded:
            own = None if edges is None else [edges[j] for j in embedded]
            self.embedding = make(config, len(embedded), config.embedding_dim, own)
        self.all_plain, self.all_selected = len(plain) == count, len(embedded) == count
        self.chunks = [1] * len(plain) + [config.embedding_dim] * len(embedded)

    def drop_shift(self) -> None:
        linear = getattr(self.embedding, "linear0", None)  # of piecewise-linear ones
        if linear is not None:
            drop_bias(linear)

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        if not self.all_selected:
            parts.append(x if self.all_plain else x[:, self.plain])
        if self.embedding is not None:
            selected = x if self.all_selected else x[:, self.selected]
            parts.append(self.embedding(selected).flatten(1))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


class NumberTokens(nn.Module):
    """One vector per number: (B, F) to (B, F, W). A plain one (`TensorSpec.plain`) is never
    embedded, but times a vector of its own."""

    selected: Tensor
    plain: Tensor
    order: Tensor

    def __init__(
        self, config: ModelConfig, tensor: TensorSpec, edges: Edges | None, width: int
    ) -> None:
        super().__init__()
        make = NUMBER_EMBEDDINGS[config.number_embedding]
        numbers = range(len(tensor.features))
        plain = [j for j in numbers if make and tensor.features[j] in tensor.plain]
        selected = [j for j in numbers if j not in set(plain)]
        where = {"selected": selected, "plain": plain, "order": np.argsort([*selected, *plain])}
        for name, columns in where.items():
            indices = torch.as_tensor(np.asarray(columns, dtype=np.int64))
            self.register_buffer(name, indices, persistent=False)
        self.embedding: nn.Module | None = None
        if selected:
            own = None if edges is None else [edges[j] for j in selected]
            self.embedding = (
                make(config, len(selected), width, own)
                if make
                else LinearTokens(len(selected), width)
            )
        self.linear = LinearTokens(len(plain), width) if plain else None

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        if self.embedding is not None:
            parts.append(self.embedding(x if self.linear is None else x[:, self.selected]))
        if self.linear is not None:
            parts.append(self.linear(x if self.embedding is None else x[:, self.plain]))
        return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)[:, self.order]


class CategoryFeatures(nn.Module):
    """Embedded codes side by side: (B, F) to (B, width)."""

    def __init__(self, config: ModelConfig, tensor: TensorSpec, learned: None) -> None:
        super().__init__()
        self.lookup = CategoryEmbedding(tensor.cardinalities, config.category_dim)
        self.chunks = [config.category_dim] * len(tensor.features)

    def forward(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.lookup(x)
        return embedded.flatten(1)


class CategoryTokens(nn.Module):
    """One vector per code: (B, F) to (B, F, W)."""

    def __init__(self, config: ModelConfig, tensor: TensorSpec, learned: None, width: int) -> None:
        super().__init__()
        self.lookup = CategoryEmbedding(tensor.cardinalities, width)

    def forward(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.lookup(x)
        return embedded


class CategoryLinear(nn.Module):
    """A weight per code and output, added up: (B, F) to (B, outputs)."""

    def __init__(self, tensor: TensorSpec, outputs: int) -> None:
        super().__init__()
        self.lookup = CategoryEmbedding(tensor.cardinalities, outputs)

    def forward(self, x: Tensor) -> Tensor:
        added: Tensor = self.lookup(x).sum(1)
        return added


def _linear_numbers(tensor: TensorSpec, outputs: int) -> nn.Module:
    return nn.Linear(len(tensor.features), outputs, bias=False)


ENCODERS: dict[str, Encoder] = {
    "numbers": Encoder(
        features=NumberFeatures, tokens=NumberTokens, linear=_linear_numbers, learn=number_edges
    ),
    "categories": Encoder(features=CategoryFeatures, tokens=CategoryTokens, linear=CategoryLinear),
    "text": Encoder(features=TextFeatures, linear=BagOfTokens),
    "image": Encoder(features=ImageFeatures),
}


def check_encoded_columns(config: ModelConfig, spec: InputSpec) -> None:
    """Refuse encoders of columns that are not of their kind among the features.

    Raises:
        ParameterError: names the first.
    """
    given: dict[str, Iterable[str]] = {"text": config.text.columns, "image": config.image.columns}
    for kind, named in given.items():
        names = {tensor.sources[0] for tensor in spec.of_kind(kind)}
        for name in named:
            if name not in names:
                raise ParameterError(
                    f"not a column of type {kind} that the network reads",
                    file="params.yaml",
                    where=f"model.{kind}.columns.{name}",
                    hint=nearest(name, names) if names else f"no feature is of type {kind}",
                )


def encoder_of(tensor: TensorSpec) -> Encoder:
    """The encoder of a tensor's kind."""
    return choose(ENCODERS, tensor.kind, f"the kind of tensor {tensor.name}")


def learn_inputs(config: ModelConfig, spec: InputSpec, inputs: Inputs) -> dict[str, Any]:
    """What the encoders learn from training rows alone; fit for JSON."""
    return {t.name: encoder_of(t).learn(config, inputs[t.name]) for t in spec}
