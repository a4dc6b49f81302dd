"""A stage run alone: the parameters that earlier stages read are those of now, or it says so.

DVC runs every stage again that a changed parameter concerns; a stage's own command runs that stage
alone. The parameters that made an output are in a note beside the state, or, where DVC brought the
output from elsewhere, in dvc.lock.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from plumbline.config import Paths
from plumbline.errors import DataError, ParameterError
from plumbline.files import read_json, write_json
from plumbline.manifest import MANIFEST
from plumbline.stages.watch import SHOWS_DAMAGE, graph_of, outs_of, value_at

# what they found may be used with other settings, though it was not searched with them
ADVISES = ("tune",)
DEALS = "split"  # which rows a part has: what was made of other parts is not to be used
MOST_NOTED = 10  # sets of parameters by which a stage made the same outputs
CANNOT_MATTER = ("data.max_memory_mb",)  # the same results, whatever it is
SHOWN = 3


def is_alone() -> bool:
    """Whether DVC does not run this stage, which has run what it needs."""
    return "DVC_STAGE" not in os.environ


def refuse_changed(stage: str, paths: Paths) -> None:
    """Hold params.yaml against what the outputs of earlier stages were made with.

    Raises:
        ParameterError: a parameter is another one now; names it, its stage and what to run.
        DataError: what this one reads was made of another split.
    """
    if not is_alone():
        return
    graph = graph_of(paths.root)
    _note_what_dvc_brought(graph, paths)
    values = _read(paths.params)
    for maker in _before(graph, stage):
        made = _made(maker, graph, paths)
        every = [list(_changed(one["params"], values)) for one in made]
        fitting = [one for one, differing in zip(made, every, strict=True) if not differing]
        if fitting or not made:
            _refuse_of_another_split(stage, maker, fitting, graph, paths)
            continue
        differing = every[-1]
        key, old, new = differing[0]
        more = ", ".join(other for other, _, _ in differing[1 : 1 + SHOWN])
        others = f" (so have {more}{' …' if len(differing) > 1 + SHOWN else ''})" if more else ""
        what = f"has changed since stage '{maker}' ran, whose output this one reads{others}"
        if maker in ADVISES or stage in SHOWS_DAMAGE:
            print(f"note: {key} {what}: {old} → {new}; `dvc repro {stage}`", file=sys.stderr)
            continue
        raise ParameterError(
            what,
            file="params.yaml",
            where=key,
            wanted=old,
            got=new,
            hint=f"run `dvc repro {stage}` (that stage and what it needs), or set it back",
        )


def note_made(stage: str, paths: Paths) -> None:
    """Note what a stage was run with, and of which split; where it has made the same outputs
    before, beside what it was run with then."""
    graph = graph_of(paths.root)
    values = _read(paths.params)
    keys = graph.get(stage, {}).get("params", ())
    params = {key: value_at(values, key) for key in keys if isinstance(key, str)}
    _add(stage, params, graph, paths)


def _note_what_dvc_brought(graph: Mapping[str, Any], paths: Paths) -> None:
    """Note outputs that were pulled or restored as what dvc.lock has them for."""
    lock = _lock(paths.root)
    for stage, own in graph.items():
        present = all((paths.root / out).exists() for out in outs_of(own))
        params = _locked(lock.get(stage))
        if present and params and not _made(stage, graph, paths):
            _add(stage, params, graph, paths)


def _add(stage: str, params: Mapping[str, Any], graph: Mapping[str, Any], paths: Paths) -> None:
    """Add to the ways in which a stage's present outputs were made."""
    dealt = _digest(graph[DEALS], paths.root) if DEALS in _before(graph, stage) else None
    new = {"params": dict(params), "split": dealt}
    made = [one for one in _made(stage, graph, paths) if one != new]
    content = {
        "outs": _digest(graph.get(stage, {}), paths.root),
        "made": [*made, new][-MOST_NOTED:],
    }
    write_json(_note(stage, paths), content)


def _refuse_of_another_split(
    stage: str,
    maker: str,
    made: Sequence[Mapping[str, Any]],
    graph: Mapping[str, Any],
    paths: Paths,
) -> None:
    """Raises DataError where in each of these ways a stage made its outputs of another split."""
    if not made or any(one["split"] is None for one in made):
        return
    now = _digest(graph[DEALS], paths.root)
    if any(one["split"] == now for one in made):
        return
    what = f"what stage '{maker}' made, which this one reads, is of rows in other parts"
    if maker in ADVISES or stage in SHOWS_DAMAGE:
        print(f"note: {what}; `dvc repro {stage}`", file=sys.stderr)
        return
    raise DataError(
        f"stage '{DEALS}' has run since: {what}",
        file="artifacts/split",
        hint=f"run `dvc repro {stage}` (that stage and what it needs), or `plumbline {maker}`",
    )


def _made(stage: str, graph: Mapping[str, Any], paths: Paths) -> list[dict[str, Any]]:
    """The ways in which a stage's outputs were made, the latest last: parameters and split; none
    where nothing is noted of these outputs."""
    try:
        note = read_json(_note(stage, paths))
        if note["outs"] != _digest(graph.get(stage, {}), paths.root):
            return []
        return [{"params": dict(one["params"]), "split": one["split"]} for one in note["made"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []  # none, or cut


def _locked(entry: Any) -> dict[str, Any]:
    """The parameters of a stage in dvc.lock."""
    try:
        return dict((entry or {})["params"]["params.yaml"])
    except (KeyError, TypeError, ValueError):
        return {}


def _changed(made: Mapping[str, Any], values: Any) -> Iterator[tuple[str, Any, Any]]:
    """Key, old and new value of each parameter that differs."""
    for key, old in made.items():
        yield from _differences(key, old, value_at(values, key))


def _differences(key: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if key in CANNOT_MATTER or old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _differences(f"{key}.{name}", old.get(name), new.get(name))
    else:
        yield key, old, new


def _before(graph: Mapping[str, Any], stage: str) -> list[str]:
    """The stages whose outputs a stage reads, or those that it reads need, in the graph's order."""
    makers = {out: name for name, own in graph.items() for out in outs_of(own)}
    needed, left = set[str](), [stage]
    for name in left:  # which grows
        new = {makers[d] for d in graph.get(name, {}).get("deps", ()) if d in makers} - needed
        needed |= new
        left += sorted(new)
    return [name for name in graph if name in needed]


def _note(stage: str, paths: Paths) -> Path:
    return paths.state / "made" / f"{stage}.json"


def _digest(own: Mapping[str, Any], root: Path) -> str:
    """Names the outputs of a stage: files by their bytes, folders by their manifest."""
    digest = hashlib.sha256()
    for out in outs_of(own):
        file = root / out / MANIFEST if (root / out).is_dir() else root / out
        digest.update(file.read_bytes() if file.is_file() else b"-")
    return digest.hexdigest()


def _lock(root: Path) -> dict[str, Any]:
    try:
        return dict(_read(root / "dvc.lock")["stages"])
    except (OSError, ValueError, KeyError, TypeError, YAMLError):
        return {}


def _read(file: Path) -> Any:
    """As DVC reads YAML, to which 1e-05 is a number."""
    return YAML(typ="safe").load(file.read_text(encoding="utf-8"))
