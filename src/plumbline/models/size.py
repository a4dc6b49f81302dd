"""How many weights a model has, told before it is built."""

from __future__ import annotations

from collections.abc import Callable

from plumbline.config.model import ModelConfig
from plumbline.models.embeddings import Edges
from plumbline.tables import InputSpec

Count = Callable[[ModelConfig, InputSpec, int], int]


def count_weights(config: ModelConfig, spec: InputSpec, edges: Edges | None = None) -> int:
    """At least so many weights: of the matrices and tables, not of biases, scales and norms."""
    return COUNTS[config.name](config, spec, _flat_width(config, spec, edges))


def _flat_width(config: ModelConfig, spec: InputSpec, edges: Edges | None) -> int:
    """The numbers per row that `FlatInput` gives."""
    columns = enumerate(spec.num_names)
    plain = sum(
        n in spec.num_plain or (edges is not None and len(edges[j]) == 2) for j, n in columns
    )
    embedded = 0 if config.number_embedding == "none" else len(spec.num_names) - plain
    plain = len(spec.num_names) - embedded
    return plain + embedded * config.embedding_dim + len(spec.cat_names) * config.category_dim


def _tables(config: ModelConfig, spec: InputSpec, width: int) -> int:
    return sum(spec.cardinalities) * width


def _perceptron(config: ModelConfig, spec: InputSpec, flat: int) -> int:
    return (len(spec.num_names) + sum(spec.cardinalities)) * spec.n_outputs


def _mlp(config: ModelConfig, spec: InputSpec, flat: int) -> int:
    hidden = flat * config.width + (config.depth - 1) * config.width**2 if config.depth else 0
    last = config.width if config.depth else flat
    return _tables(config, spec, config.category_dim) + hidden + last * spec.n_outputs


def _resmlp(config: ModelConfig, spec: InputSpec, flat: int) -> int:
    blocks = config.depth * 4 * config.width**2
    ends = (flat + spec.n_outputs) * config.width
    return _tables(config, spec, config.category_dim) + blocks + ends


def _ft_transformer(config: ModelConfig, spec: InputSpec, flat: int) -> int:
    width, hidden = config.token_width, max(config.token_width * 4 // 3, 1)
    block = 4 * width**2 + 3 * width * hidden  # attention; gated feed-forward
    ends = (len(spec.num_names) + spec.n_outputs) * width
    return _tables(config, spec, width) + config.depth * block + ends


def _tabm_mini(config: ModelConfig, spec: InputSpec, flat: int) -> int:
    last = config.width if config.depth else flat
    heads = (config.members - 1) * last * spec.n_outputs  # beside the one of an MLP
    return _mlp(config, spec, flat) + heads


def _tabm(config: ModelConfig, spec: InputSpec, flat: int) -> int:
    scales = config.depth * config.members * config.width * 2  # of outputs, and biases
    return _tabm_mini(config, spec, flat) + scales


COUNTS: dict[str, Count] = {
    "perceptron": _perceptron,
    "mlp": _mlp,
    "resmlp": _resmlp,
    "ft_transformer": _ft_transformer,
    "tabm": _tabm,
    "tabm_mini": _tabm_mini,
}
