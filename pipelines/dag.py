"""dvc.yaml -> which stage needs which, and which may run side by side. Runs nothing."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from plumbline.errors import ParameterError, nearest

Graph = Mapping[str, tuple[str, ...]]
OUTPUTS = ("outs", "metrics", "plots")
# they make other stages out of one, or move its paths; DVC understands them, this reader does not
FOREIGN = ("foreach", "matrix", "do", "wdir")


def load_graph(path: Path) -> Graph:
    """Stages of a dvc.yaml, in file order, each with the stages it needs, in file order.

    Raises:
        ParameterError: the file is missing or not YAML, a stage uses what this reader does not
            follow, two stages write the same path, or the stages form a cycle.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParameterError(
            "no such file", file=path, hint="run from the root of the checkout"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParameterError(f"not readable as YAML: {error}", file=path) from None
    stages = content.get("stages") if isinstance(content, dict) else None
    if not isinstance(stages, dict) or not all(isinstance(s, dict) for s in stages.values()):
        raise ParameterError("wanted a mapping of stages", file=path, where="stages")
    return build_graph(stages)


def build_graph(stages: Mapping[str, Mapping[str, Any]]) -> Graph:
    """Join stages where a dependency is, contains, or lies in what another stage writes.

    Raises:
        ParameterError: see `load_graph`.
    """
    for name, stage in stages.items():
        for key in FOREIGN:
            if key in stage:
                raise ParameterError(
                    f"'{key}' is not followed by the flow",
                    file="dvc.yaml",
                    where=f"stages.{name}",
                    hint="write the stages out, with paths relative to dvc.yaml",
                )
    written = {name: _outputs(stage) for name, stage in stages.items()}
    _refuse_shared(written)
    graph = {
        name: tuple(
            other
            for other, outputs in written.items()
            if any(_meet(path, out) for path in _paths(stage.get("deps", ())) for out in outputs)
        )
        for name, stage in stages.items()
    }
    waves(graph)
    return graph


def waves(graph: Graph) -> tuple[tuple[str, ...], ...]:
    """Stages in rounds: each needs only stages of earlier rounds; file order inside a round.

    Raises:
        ParameterError: the stages form a cycle, or one needs a stage that is not there.
    """
    for name, needed in graph.items():
        for other in needed:
            if other not in graph:
                raise ParameterError(
                    f"needs '{other}', which is no stage",
                    file="dvc.yaml",
                    where=f"stages.{name}",
                    hint=nearest(other, graph),
                )
    sorter = graphlib.TopologicalSorter(graph)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise ParameterError(
            f"the stages form a cycle: {circle}", file="dvc.yaml", where="stages"
        ) from None
    order = list(graph)
    rounds = []
    while sorter.is_active():
        ready = tuple(sorted(sorter.get_ready(), key=order.index))
        rounds.append(ready)
        sorter.done(*ready)
    return tuple(rounds)


def select(graph: Graph, targets: Iterable[str]) -> Graph:
    """The targets and all they need, in the graph's order; everything without targets.

    Raises:
        ParameterError: a target is no stage; names the nearest.
    """
    wanted: set[str] = set()
    rest = list(targets)
    if not rest:
        return graph
    while rest:
        name = rest.pop()
        if name not in graph:
            raise ParameterError(
                f"'{name}' is no stage", file="dvc.yaml", where="targets", hint=nearest(name, graph)
            )
        if name not in wanted:
            wanted.add(name)
            rest.extend(graph[name])
    return {name: needed for name, needed in graph.items() if name in wanted}


def _outputs(stage: Mapping[str, Any]) -> list[PurePosixPath]:
    return [path for kind in OUTPUTS for path in _paths(stage.get(kind, ()))]


def _paths(entries: Iterable[Any]) -> list[PurePosixPath]:
    """Paths of a list whose entries are `path` or `{path: options}`."""
    return [
        PurePosixPath(entry if isinstance(entry, str) else next(iter(entry))) for entry in entries
    ]


def _meet(one: PurePosixPath, other: PurePosixPath) -> bool:
    """Equal, or one is a folder that holds the other."""
    return one == other or one in other.parents or other in one.parents


def _refuse_shared(written: Mapping[str, list[PurePosixPath]]) -> None:
    flat = [(path, name) for name, paths in written.items() for path in paths]
    for position, (path, name) in enumerate(flat):
        for other_path, other in flat[position + 1 :]:
            if _meet(path, other_path):
                raise ParameterError(
                    f"'{name}' and '{other}' both write {max(path, other_path, key=str)}",
                    file="dvc.yaml",
                    where=f"stages.{other}",
                )
