"""What a version keeps for its rebuild, and the same of a rebuild: held against each other."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plumbline import artifacts
from plumbline.files import sha256
from plumbline.store.bundle_files import WEIGHTS
from plumbline.store.content import flat_metrics, flatten
from plumbline.store.fitted import other_versions
from plumbline.store.lineage import UNKNOWN, lineage
from plumbline.store.registry import Version, file_of_run
from plumbline.store.tracking import Store, storage

LAST = "evaluate"  # the stage that ends a rebuild: it writes the metrics
MACHINE = ("processor", "device", "threads")
SHOWN = 8
OWN, BEFORE, UNRELATED = range(3)  # ranks of causes by what a stage depends on


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """`lineage` by name; `metrics` as in MLflow; `stages`: of dvc.lock, in order."""

    lineage: Mapping[str, str]
    metrics: Mapping[str, float]
    stages: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class RebuildComparison:
    """`same`: weights and metrics, bit for bit. `metrics`: (name, before, after) of those that
    differ. `stage`: the first whose outputs differ, where that is known. `causes`: what differs of
    what it was made from, the most likely cause first."""

    same: Mapping[str, bool]
    metrics: list[tuple[str, float | None, float | None]]
    stage: str | None
    causes: list[str]


def recorded(store: Store, which: Version) -> Recorded:
    """What MLflow keeps of a version."""
    prefix = "plumbline."
    tags = {k.removeprefix(prefix): v for k, v in which.tags.items() if k.startswith(prefix)}
    with storage(store.uri):
        metrics = dict(store.client.get_run(which.run_id).data.metrics)
    with tempfile.TemporaryDirectory() as folder:
        lock = file_of_run(store, which, "dvc.lock", Path(folder))
        stages = _stages(lock) if lock is not None else {}
    return Recorded(lineage=tags, metrics=metrics, stages=stages)


def rebuilt(root: Path, model: Path, machine: Mapping[str, str]) -> Recorded:
    """The same of a checkout in which the stages have run.

    Args:
        machine: processor, device, threads and libraries of the fit.
    """
    files = {"weights": model / WEIGHTS, "metrics": root / artifacts.Metrics.FILE}
    hashes = {name: sha256(file) for name, file in files.items()}
    metrics = artifacts.read(artifacts.Metrics, root)
    return Recorded(
        lineage={**lineage(root, model), **_start(root), **machine, **hashes},
        metrics=flat_metrics(metrics, next(iter(metrics.test), "")),
        stages=_stages(root / "dvc.lock"),
    )


def _start(root: Path) -> dict[str, str]:
    """The network that the fit started from, as `register` names it."""
    if not (root / artifacts.StartSource.FILE).is_file():
        return {}
    start = artifacts.read(artifacts.StartSource, root)
    return {} if start.source is None else {"start": f"{start.source}, SHA-256 {start.sha256}"}


def compare(before: Recorded, after: Recorded, data: list[str]) -> RebuildComparison:
    """Whether a rebuild gave the same, and if not, why.

    Args:
        data: the files of the data that differ, where they are known.
    """
    names = ("weights" if "weights" in before.lineage else "model", "metrics")
    same = {name: before.lineage.get(name) == after.lineage.get(name) for name in names}
    if "metrics" not in before.lineage:  # registered before its hash was kept
        same["metrics"] = not _other_metrics(before, after)
    stage = _first_other(before, after)
    return RebuildComparison(
        same=same,
        metrics=_other_metrics(before, after),
        stage=stage,
        causes=_causes(before, after, data, stage),
    )


def _other_metrics(
    before: Recorded, after: Recorded
) -> list[tuple[str, float | None, float | None]]:
    """The metrics that a rebuild gave with other values."""
    names = sorted(after.metrics.keys() | {k for k in before.metrics if k in after.metrics})
    pairs = [(name, before.metrics.get(name), after.metrics.get(name)) for name in names]
    return [(name, old, new) for name, old, new in pairs if old != new]


def _first_other(before: Recorded, after: Recorded) -> str | None:
    for name, stage in after.stages.items():
        old = before.stages.get(name)
        if old is not None and _hashes(old, "outs") != _hashes(stage, "outs"):
            return name
        if name == LAST:
            break
    return None


def _causes(before: Recorded, after: Recorded, data: list[str], stage: str | None) -> list[str]:
    """What differs and can matter, in words; first what the stage whose outputs differ first
    depends on itself, then by way of the stages before it."""
    ranks = _ranks(after.stages, stage)
    causes = [
        (f"parameter {text}", ranks.get(text.partition(":")[0], UNRELATED))
        for text in other_parameters(before.stages, after.stages)
    ]
    inputs = dict(_inputs(before.stages))
    others = [path for path, md5 in _inputs(after.stages) if inputs.get(path, md5) != md5]
    if data or "data" in others:
        causes.append((f"data: {_some(data)}" if data else "data", ranks.get("data", UNRELATED)))
    causes += [
        (f"file {path}", ranks.get(path, UNRELATED))
        for path in others
        if path not in ("data",) and not _is_code(path)
    ]
    code = [path for path in others if _is_code(path)]
    if code:
        causes.append((f"code: {_some(code)}", min(ranks.get(path, UNRELATED) for path in code)))
    start = before.lineage.get("start"), after.lineage.get("start")
    if None not in start and start[0] != start[1]:
        own = ranks.get("model.start_from", UNRELATED)
        causes.append((f"the network that the fit started from: {start[0]} → {start[1]}", own))
    causes += [(f"library {text}", BEFORE) for text in _other_libraries(before, after)]
    for name in MACHINE:
        old, new = before.lineage.get(name), after.lineage.get(name)
        if old is not None and old != new:
            causes.append((f"{name} {old} → {new}", BEFORE))
    if stage is not None:
        causes = [cause for cause in causes if cause[1] < UNRELATED]
    return [text for text, _ in sorted(causes, key=lambda cause: cause[1])]


def _ranks(stages: Mapping[str, Any], stage: str | None) -> dict[str, int]:
    """How near a parameter or file is to a stage, for those that it depends on."""
    ranks: dict[str, int] = {}
    left = [] if stage is None else [stage]
    visited = set(left)
    for name in left:  # which grows
        rank = OWN if name == stage else BEFORE
        given = stages[name].get("params", {}).get("params.yaml", {})
        deps = _hashes(stages[name], "deps")
        for key in [*(key for key, _ in flatten(given)), *deps]:
            ranks.setdefault(key, rank)
        makers = [n for n, one in stages.items() if deps.keys() & _hashes(one, "outs").keys()]
        left += [maker for maker in makers if maker not in visited]
        visited.update(makers)
    return ranks


def other_parameters(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The parameters of params.yaml that differ between two dvc.lock, with their values."""
    old, new = _parameters(before), _parameters(after)
    return [
        f"{key}: {_value(old[key])} → {_value(new[key])}"
        for key in sorted(old.keys() & new.keys())
        if old[key] != new[key]
    ]


def environment_notes(before: Recorded, after: Mapping[str, str]) -> list[str]:
    """What differs between the machine that fitted a version and this one, before a rebuild."""
    if "libraries" not in before.lineage:
        return ["the versions of libraries were not recorded"]
    now = Recorded(lineage=after, metrics={}, stages={})
    return [f"library {text}" for text in _other_libraries(before, now)] + [
        f"{name} {before.lineage[name]} → {after[name]}"
        for name in MACHINE
        if name in after and before.lineage.get(name, after[name]) != after[name]
    ]


def _other_libraries(before: Recorded, after: Recorded) -> list[str]:
    then, now = (one.lineage.get("libraries", "") for one in (before, after))
    return other_versions(then, now) if then and now else []


def _stages(lock: Path) -> dict[str, Any]:
    try:
        stages = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]
        return {name: dict(stage) for name, stage in stages.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError):
        return {}


def _inputs(stages: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Path and hash of what no stage makes: data, code, expectations.yaml."""
    made = {path for stage in stages.values() for path in _hashes(stage, "outs")}
    for name, stage in stages.items():
        yield from ((p, h) for p, h in _hashes(stage, "deps").items() if p not in made)
        if name == LAST:
            return


def _hashes(stage: Mapping[str, Any], kind: str) -> dict[str, str]:
    return {str(one["path"]): str(one.get("md5", UNKNOWN)) for one in stage.get(kind, ())}


def _parameters(stages: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, stage in stages.items():
        values |= dict(flatten(stage.get("params", {}).get("params.yaml", {})))
        if name == LAST:
            break
    return values


def _is_code(path: str) -> bool:
    return path.endswith(".py") or path.startswith("src/")


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:80]


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
