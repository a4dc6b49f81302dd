"""Tensors of a fitted network for one that is about to be fitted, by name, shape and meaning.

Two tensors of one name and shape may still mean different things: another token in each row of a
table, another column behind each number, other classes. Those are not taken; of a table of tokens
or categories the rows that both networks know are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plumbline.config.model import ModelConfig, TrainConfig
from plumbline.errors import ParameterError
from plumbline.examples import InputSpec, TensorSpec
from plumbline.models.parts import LAST, Parts, encoder_prefix, is_linear
from plumbline.preprocessing.preparer import Labels

LOOKUP = ".lookup."  # in the names of tables that codes are looked up in (`Encoder.features`)
WIDE = ".wide"  # in the names of weights that go straight to the outputs
SHOWN = 3  # names of tensors per reason
OF_COLUMNS = ("numbers", "categories")  # kinds of tensors whose features are columns
# keys of `model` that say how numbers enter the network
NUMBERS = ("number_embedding", "embedding_dim", "frequencies", "bins")


@dataclass(frozen=True, kw_only=True)
class Start:
    """A fitted network that others start from.

    Attributes:
        source: what it is, in words.
        model: its section `model`.
        learned: what its encoders learned from its training rows, by tensor.
        labels: what its codes stand for; `own_labels`, those of the network to be fitted.
    """

    source: str
    model: Mapping[str, Any]
    spec: InputSpec
    learned: Mapping[str, Any]
    weights: Mapping[str, NDArray[Any]]
    labels: Labels
    own_labels: Labels = field(default_factory=dict)

    def with_labels(self, own: Labels) -> Start:
        """The same for rows prepared by another transformer."""
        return dataclasses.replace(self, own_labels=own)


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What was taken, `name` -> how, and what was not, `name` -> why; names of tensors."""

    taken: Mapping[str, str]
    left: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        return {"taken": dict(self.taken), "left": dict(self.left)}


def start_learned(
    start: Start, config: ModelConfig, spec: InputSpec, learned: Mapping[str, Any]
) -> dict[str, Any]:
    """What encoders learned from training rows; of tensors that mean the same in both networks what
    the start network's learned, as its weights belong to it."""
    same = all(start.model.get(key) == getattr(config, key) for key in NUMBERS)
    pairs = _paired(start.spec, spec)
    result = dict(learned)
    for tensor in spec:
        other = pairs.get(tensor.name)
        if same and other and _means_the_same(tensor, other) and other.name in start.learned:
            result[tensor.name] = start.learned[other.name]
    return result


def take_tensors(
    start: Start, model: nn.Module, config: ModelConfig, spec: InputSpec, learned: Mapping[str, Any]
) -> Transfer:
    """Copy into a fresh model what the start network has for it.

    Raises:
        ParameterError: nothing fits.
    """
    pairs = _paired(start.spec, spec)
    same_inputs = _same_inputs(start, spec, pairs, learned)
    taken: dict[str, str] = {}
    left: dict[str, str] = {}
    with torch.no_grad():
        for name, own in model.state_dict().items():
            tensor, other, source = _names(name, spec, pairs)
            why = _refusal(start, model, spec, name, tensor, other, same_inputs)
            if why is None and source not in start.weights:
                why = "the start network has no such tensor"
            if why is not None:
                left[name] = why
                continue
            got = torch.from_numpy(start.weights[source])
            how = _copy(start, name, own, got, tensor, other)
            if isinstance(how, _Left):
                left[name] = how.why
            else:
                taken[name] = how
    shapes = {name: own.ndim for name, own in model.state_dict().items()}
    if not any(shapes[name] >= 2 for name in taken):  # biases alone say nothing
        raise ParameterError(
            f"no tensor of {start.source} fits this network",
            file="params.yaml",
            where="model.start_from",
            got=_differences(start, config) or next(iter(left.values()), None),
            hint="give model the values of the network that it starts from",
        )
    return Transfer(taken=taken, left=left)


def check_frozen(config: TrainConfig, parts: Parts, transfer: Transfer) -> None:
    """Refuse to freeze a part that would stay as it was drawn at random.

    Raises:
        ParameterError: names the part and why nothing was taken.
    """
    for part in config.freeze:
        own = parts[part].parameters if part in parts else frozenset()
        if own and not own & transfer.taken.keys():
            raise ParameterError(
                "is frozen, and no tensor of it comes from the network to start from",
                file="params.yaml",
                where=f"train.freeze.{part}",
                got=transfer.left[min(own)],
                hint="take it out of train.freeze",
            )


def reasons(left: Mapping[str, str]) -> list[str]:
    """Why tensors were not taken, a line per reason, with the names of a few."""
    names: dict[str, list[str]] = {}
    for name, why in left.items():
        names.setdefault(why, []).append(name)
    return [
        f"{', '.join(own[:SHOWN])}{', …' if len(own) > SHOWN else ''}: {why}"
        for why, own in names.items()
    ]


@dataclass(frozen=True)
class _Left:
    why: str


def _paired(there: InputSpec, here: InputSpec) -> dict[str, TensorSpec]:
    """The start network's tensor for each of ours: of the same kind and columns, else, where
    neither has another partner, of the same name."""
    pairs: dict[str, TensorSpec] = {}
    for tensor in here:
        for other in there.of_kind(tensor.kind):
            if set(other.sources) == set(tensor.sources):
                pairs[tensor.name] = other
    used = {other.name for other in pairs.values()}
    for tensor in here:
        for other in there.of_kind(tensor.kind):
            if tensor.name not in pairs and other.name == tensor.name and other.name not in used:
                pairs[tensor.name] = other
    return pairs


def _means_the_same(tensor: TensorSpec, other: TensorSpec) -> bool:
    """Whether the features are the same columns in the same order. A column with a tensor of its
    own may have another name: its features are tokens or pixels."""
    if tensor.kind not in OF_COLUMNS and len({*tensor.sources}) == len({*other.sources}) == 1:
        return True
    return (tensor.features, tensor.plain) == (other.features, other.plain)


def _same_inputs(
    start: Start, spec: InputSpec, pairs: Mapping[str, TensorSpec], learned: Mapping[str, Any]
) -> bool:
    """Whether the features of all encoders are the same, side by side."""
    return [pairs.get(t.name) for t in spec] == list(start.spec) and all(
        _means_the_same(t, pairs[t.name])
        and learned.get(t.name) == start.learned.get(pairs[t.name].name)
        for t in spec
    )


def _names(
    name: str, spec: InputSpec, pairs: Mapping[str, TensorSpec]
) -> tuple[TensorSpec | None, TensorSpec | None, str]:
    """The input that a tensor of the network belongs to, the start network's input for it, and
    the tensor's name there."""
    for tensor in spec:
        prefix = encoder_prefix(tensor.name)
        if name.startswith(prefix):
            other = pairs.get(tensor.name)
            there = name if other is None else encoder_prefix(other.name) + name[len(prefix) :]
            return tensor, other, there
    return None, None, name


def _refusal(
    start: Start,
    model: nn.Module,
    spec: InputSpec,
    name: str,
    tensor: TensorSpec | None,
    other: TensorSpec | None,
    same_inputs: bool,
) -> str | None:
    """Why a tensor is not taken whatever its shape; None where its shape decides."""
    if tensor is not None and other is None:
        return f"the start network reads no {tensor.kind}"
    if is_linear(model) or name.split(".")[0] in LAST or WIDE in name:
        if start.spec.task != spec.task:
            return "answers another task there"
        if start.spec.classes != spec.classes:
            return "answers other classes there"
    reads = getattr(model, "reads_input", ())
    if name in reads and not same_inputs:
        return "reads other features there"
    if tensor is None or other is None or LOOKUP in name:
        return None
    return None if _means_the_same(tensor, other) else "reads other columns there"


def _copy(
    start: Start,
    name: str,
    own: Tensor,
    got: Tensor,
    tensor: TensorSpec | None,
    other: TensorSpec | None,
) -> str | _Left:
    """Copy a tensor, or the rows of a table that both networks know; says how."""
    if tensor is not None and other is not None and LOOKUP in name:
        here = start.own_labels.get(tensor.name, [])
        there = start.labels.get(other.name, [])
        if len(own) != len(here) or len(got) != len(there):
            return _Left("what its rows stand for is not known")
        if here != there and own.shape[1:] == got.shape[1:]:
            return _copy_rows(own, got, here, there)
    if own.shape != got.shape:
        shapes = " and ".join("x".join(map(str, t.shape)) or "1" for t in (own, got))
        return _Left(f"has another shape there ({shapes})")
    own.copy_(got)
    return "whole"


def _copy_rows(
    own: Tensor,
    got: Tensor,
    here: Sequence[tuple[str, str | None]],
    there: Sequence[tuple[str, str | None]],
) -> str | _Left:
    row = {label: number for number, label in enumerate(there)}
    known = [(number, row[label]) for number, label in enumerate(here) if label in row]
    if not known:
        return _Left("no row stands for the same there")
    to, of = torch.tensor(known).T
    own[to] = got[of].to(own.dtype)
    return f"{len(known):,} of {len(here):,} rows"


def _differences(start: Start, config: ModelConfig) -> str:
    """The keys of `model` that differ."""
    own = dataclasses.asdict(config)
    keys = [k for k, v in own.items() if k in start.model and start.model[k] != v]
    keys = [key for key in keys if key not in ("start_from", "dropout")]
    return ", ".join(f"model.{key} {own[key]} instead of {start.model[key]}" for key in keys)
