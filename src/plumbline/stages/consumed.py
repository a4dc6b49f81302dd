"""A stage run alone: the parameters that earlier stages read are those of now, or it says so.

DVC runs every stage again that a changed parameter concerns; a stage's own command runs that stage
alone. The parameters that made an output are in dvc.lock, or, where its stage ran alone last, in a
note beside the state.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from plumbline.config import Paths
from plumbline.errors import ParameterError
from plumbline.files import read_json, write_json
from plumbline.manifest import MANIFEST
from plumbline.stages.watch import SHOWS_DAMAGE, graph_of, outs_of, value_at

# what they found may be used with other settings, though it was not searched with them
ADVISES = ("tune",)
CANNOT_MATTER = ("data.max_memory_mb",)  # the same results, whatever it is
SHOWN = 3


def is_alone() -> bool:
    """Whether DVC does not run this stage, which has run what it needs."""
    return "DVC_STAGE" not in os.environ


def refuse_changed(stage: str, paths: Paths) -> None:
    """Hold params.yaml against what the outputs of earlier stages were made with.

    Raises:
        ParameterError: a parameter is another one now; names it, its stage and what to run.
    """
    if not is_alone():
        return
    graph, lock = graph_of(paths.root), _lock(paths.root)
    values = _read(paths.params)
    changed = {
        maker: differing
        for maker in _before(graph, stage)
        if (differing := list(_changed(_made_with(maker, graph[maker], lock, paths), values)))
    }
    for maker, differing in changed.items():
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
    """Note what a stage was run with; not where DVC runs it, whose lock will say."""
    file = _note(stage, paths)
    if not is_alone():
        file.unlink(missing_ok=True)
        return
    own = graph_of(paths.root).get(stage, {})
    values = _read(paths.params)
    keys = [key for key in own.get("params", ()) if isinstance(key, str)]
    write_json(
        file,
        {
            "params": {key: value_at(values, key) for key in keys},
            "outs": _digest(own, paths.root),
            "lock": _fingerprint(_lock(paths.root).get(stage)),
        },
    )


def _made_with(
    stage: str, own: Mapping[str, Any], lock: Mapping[str, Any], paths: Paths
) -> Mapping[str, Any]:
    """The parameters that a stage's outputs were made with: those of its note, as long as the
    outputs are the noted ones and DVC has not run or restored it since; else those of dvc.lock."""
    entry = lock.get(stage)
    try:
        note = read_json(_note(stage, paths))
        current = (note["outs"], note["lock"]) == (_digest(own, paths.root), _fingerprint(entry))
        if current:
            return dict(note["params"])
    except (OSError, ValueError, KeyError, TypeError):
        pass  # none, or cut: as if DVC had run the stage
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


def _fingerprint(entry: Any) -> str:
    return hashlib.sha256(json.dumps(entry, sort_keys=True, default=str).encode()).hexdigest()
