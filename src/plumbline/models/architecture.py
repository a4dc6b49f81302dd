"""A network as a graph of parts: the shape of what each gives, and its parameters.

Shapes are those of a forward pass on the meta device, which computes nothing and takes no memory.
They are without the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from plumbline.artifacts import Architecture
from plumbline.examples import InputSpec, TensorSpec

ROWS = 3  # of the forward pass
CONTAINERS = (nn.Sequential, nn.ModuleList)
Shape = tuple[int, ...]
Named = tuple[str, nn.Module]  # a module with its path in the network


@dataclass(frozen=True, kw_only=True)
class LayerRecord:
    """A module that has none inside, or a weight that lies beside modules (`Parameter`, whose
    shape is the weight's). `shape` None: nothing calls it as a module. Counts are of one of the
    `repeats`."""

    path: str
    module: str
    shape: Shape | None
    parameters: int
    trainable: int
    repeats: int = 1


@dataclass(frozen=True, kw_only=True)
class ArchitecturePart:
    """One box of the graph.

    Attributes:
        role: `encoder`, `weight` (of the network itself), `backbone` or `head`.
        reads: the tensor that an encoder reads; empty for other parts.
        steps: classes of the modules inside, in order.
        parameters, trainable: of one of the `repeats`.
        layers: what has weights or computes; their parameters sum to the part's.
    """

    path: str
    role: str
    reads: str = ""
    steps: tuple[str, ...]
    shape: Shape | None
    parameters: int
    trainable: int
    repeats: int = 1
    layers: tuple[LayerRecord, ...]


Item = TypeVar("Item")


def describe(model: nn.Module, spec: InputSpec) -> Architecture:
    """The graph of a model on the meta device. What requires no gradient is not trainable."""
    shapes, output = _forward(model, spec)
    return Architecture(
        task=str(spec.task),
        parameters=_count([model]),
        trainable=_count([model], trainable=True),
        tensors=[_tensor(tensor) for tensor in spec],
        parts=[asdict(part) for part in _Reader(shapes).parts(model)],
        output=output,
        prediction=(spec.target.n_predicted,),
    )


def _tensor(tensor: TensorSpec) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "kind": tensor.kind,
        "dtype": tensor.dtype,
        "shape": tensor.shape,
        "columns": tuple(dict.fromkeys(tensor.sources)),
    }


@torch.no_grad()
def _forward(model: nn.Module, spec: InputSpec) -> tuple[dict[nn.Module, Shape], Shape]:
    """The shape of what each module gave, and that of the output."""
    shapes: dict[nn.Module, Shape] = {}

    def note(module: nn.Module, given: object, result: Any) -> None:
        tensor = result if isinstance(result, Tensor) else result[0]  # of a recurrent layer
        shapes[module] = tuple(tensor.shape[1:])

    handles = [module.register_forward_hook(note) for module in model.modules()]
    rows = {name: torch.from_numpy(array).to("meta") for name, array in spec.empty(ROWS).items()}
    try:
        output: Tensor = model.eval()(**rows)
    finally:
        for handle in handles:
            handle.remove()
    return shapes, tuple(output.shape[1:])


@dataclass(frozen=True)
class _Reader:
    """Takes a network apart, given the shape of what each module gave."""

    shapes: dict[nn.Module, Shape]

    def parts(self, model: nn.Module) -> Iterator[ArchitecturePart]:
        """In the order of the forward pass: encoders, the network's own weights, the blocks, and
        as one part what follows the last block."""
        children = list(model.named_children())
        (at,) = [i for i, (_, child) in enumerate(children) if hasattr(child, "encoders")]
        path, entry = children.pop(at)
        assert isinstance(entry.encoders, nn.ModuleDict)
        for name, encoder in entry.encoders.items():
            yield self._part([(f"{path}.encoders.{name}", encoder)], "encoder", reads=name)
        for weight in (*_own_weights(path, entry), *_own_weights("", model)):
            yield _weight(weight)
        blocks = [i for i, (_, child) in enumerate(children) if isinstance(child, CONTAINERS)]
        after = max(blocks, default=-1) + 1
        for name, child in children[:after]:
            parts = [self._part(group, "backbone") for group in _groups(name, child)]
            for part, repeats in _runs(parts, _without_paths):
                yield replace(part, repeats=repeats)
        if children[after:]:
            yield self._part(children[after:], "head")

    def _part(self, modules: Sequence[Named], role: str, reads: str = "") -> ArchitecturePart:
        """Modules that are called one after the other, as one part."""
        own = [module for _, module in modules]
        called = [self.shapes[module] for module in own if module in self.shapes]
        weighty = [path for path, module in modules if _count([module])]
        return ArchitecturePart(
            path=(weighty or [modules[0][0]])[-1 if role == "head" else 0],
            role=role,
            reads=reads,
            steps=tuple(step for module in own for step in _steps(module)),
            shape=called[-1] if called else None,
            parameters=_count(own),
            trainable=_count(own, trainable=True),
            layers=tuple(layer for one in modules for layer in self._layers(*one)),
        )

    def _layers(self, path: str, module: nn.Module) -> list[LayerRecord]:
        """The layers inside a module, in order; those of equal blocks once."""
        children = list(module.named_children())
        if isinstance(module, nn.Identity):
            return []
        if not children:
            return [
                LayerRecord(
                    path=path,
                    module=type(module).__name__,
                    shape=self.shapes.get(module),
                    parameters=_count([module]),
                    trainable=_count([module], trainable=True),
                )
            ]
        layers = _own_weights(path, module)
        blocks = [self._layers(f"{path}.{name}", child) for name, child in children]
        for block, repeats in _runs(blocks, lambda own: [replace(one, path="") for one in own]):
            layers += [replace(one, repeats=one.repeats * repeats) for one in block]
        return layers


def _count(modules: Sequence[nn.Module], *, trainable: bool = False) -> int:
    whole = nn.ModuleList(modules)  # which counts shared parameters once
    return sum(p.numel() for p in whole.parameters() if p.requires_grad or not trainable)


def _own_weights(path: str, module: nn.Module) -> list[LayerRecord]:
    """The parameters of a module that are of none inside it."""
    return [
        LayerRecord(
            path=f"{path}.{name}" if path else name,
            module="Parameter",
            shape=tuple(weight.shape),
            parameters=weight.numel(),
            trainable=weight.numel() if weight.requires_grad else 0,
        )
        for name, weight in module.named_parameters(recurse=False)
    ]


def _weight(layer: LayerRecord) -> ArchitecturePart:
    return ArchitecturePart(
        path=layer.path,
        role="weight",
        steps=(layer.module,),
        shape=layer.shape,
        parameters=layer.parameters,
        trainable=layer.trainable,
        layers=(layer,),
    )


def _groups(path: str, module: nn.Module) -> list[list[Named]]:
    """The blocks of a container: a new one begins where the class of its first module is again."""
    if not isinstance(module, CONTAINERS):
        return [[(path, module)]]
    groups: list[list[Named]] = []
    for name, child in module.named_children():
        if not groups or type(child) is type(groups[0][0][1]):
            groups.append([])
        groups[-1].append((f"{path}.{name}", child))
    return groups


def _steps(module: nn.Module) -> list[str]:
    """The classes of the modules inside, containers opened; its own where it has none."""
    inside = list(_opened(module.children()))
    return [type(one).__name__ for one in inside or _opened([module])]


def _opened(modules: Iterable[nn.Module]) -> Iterator[nn.Module]:
    """The modules, those in containers one by one, without what changes nothing."""
    for module in modules:
        if isinstance(module, CONTAINERS):
            yield from _opened(module.children())
        elif not isinstance(module, nn.Identity):
            yield module


def _runs(items: Sequence[Item], content: Callable[[Item], object]) -> Iterator[tuple[Item, int]]:
    """The first of neighbors with the same content, and how many they are."""
    for _, run in groupby(items, key=content):
        first, *others = run
        yield first, 1 + len(others)


def _without_paths(part: ArchitecturePart) -> ArchitecturePart:
    layers = tuple(replace(layer, path="") for layer in part.layers)
    return replace(part, path="", layers=layers)
