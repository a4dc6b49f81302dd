"""The parts of a network that a user can name: encoders by kind and by column, backbone, head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import nn

from plumbline.examples import InputSpec
from plumbline.models.inputs import LinearInput

BACKBONE, HEAD = "backbone", "head"
INPUT = "input"  # a model's first layer; its last is one of
LAST = ("head", "heads")


@dataclass(frozen=True, kw_only=True)
class ModelPart:
    """Modules of a network and the names of its parameters in and beside them."""

    modules: tuple[nn.Module, ...]
    parameters: frozenset[str]


Parts = Mapping[str, ModelPart]  # wide ones first: what is said of a later one goes before


def parts_of(model: nn.Module, spec: InputSpec) -> Parts:
    """The parts of a model that was built for `spec`, those that have parameters.

    `numbers`, `categories`, `text` …: the encoders of a kind; `head`: the last layer; `backbone`:
    all between. Then by its name each column that has an encoder of its own, unless a part is
    called so.
    """
    columns = {t.name: t.sources[0] for t in spec if len(set(t.sources)) == 1}
    kinds = dict.fromkeys(t.kind for t in spec)
    groups = {kind: [encoder_prefix(t.name) for t in spec.of_kind(kind)] for kind in kinds}
    encoders = [prefix for prefixes in groups.values() for prefix in prefixes]
    head = [f"{name}." for name, _ in model.named_children() if name in LAST]
    if is_linear(model):
        head.append(f"{INPUT}.bias")
    names = [name for name, _ in model.named_parameters()]
    inner = [name for name in names if not name.startswith((*encoders, *head))]
    parts = {kind: _part(model, names, prefixes) for kind, prefixes in groups.items()}
    between = [m for name, m in model.named_children() if name not in (INPUT, *LAST)]
    parts[BACKBONE] = ModelPart(modules=tuple(between), parameters=frozenset(inner))
    parts[HEAD] = _part(model, names, head)
    for tensor, column in columns.items():
        parts.setdefault(column, _part(model, names, [encoder_prefix(tensor)]))
    return {name: part for name, part in parts.items() if part.parameters}


def encoder_prefix(tensor: str) -> str:
    """What the names of a tensor's encoder begin with."""
    return f"{INPUT}.encoders.{tensor}."


def is_linear(model: nn.Module) -> bool:
    """Whether the encoders give the outputs themselves."""
    return isinstance(getattr(model, INPUT, None), LinearInput)


def _part(model: nn.Module, names: list[str], prefixes: list[str]) -> ModelPart:
    return ModelPart(
        modules=tuple(_modules(model, prefixes)),
        parameters=frozenset(name for name in names if name.startswith(tuple(prefixes))),
    )


def _modules(model: nn.Module, prefixes: list[str]) -> Iterator[nn.Module]:
    """The modules below each prefix that ends in a dot."""
    for prefix in prefixes:
        if prefix.endswith("."):
            yield model.get_submodule(prefix.removesuffix("."))
