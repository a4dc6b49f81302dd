"""What a stage reads is what other stages wrote, and stays so until it has written its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from plumbline.errors import DataError
from plumbline.files import before_replacing, read_yaml, remove_stale, sha256
from plumbline.manifest import check_beside, check_dir

SMALL = 1_000_000  # bytes; larger files are known by size and time of change instead of content
SHOWS_DAMAGE = ("report",)  # stages that say themselves what is missing or broken


@dataclass(frozen=True, kw_only=True)
class Watch:
    """A stage's inputs as they were when it began: a mark per file, and its parameters."""

    stage: str
    root: Path
    deps: tuple[str, ...]
    outs: tuple[str, ...]
    params: tuple[str, ...]
    before: Mapping[str, Any]

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Within it no output of the stage is replaced once an input has changed.

        Raises:
            DataError: an input changed since `begin`; names it.
        """
        outs = {self.root / out for out in self.outs}
        with before_replacing(lambda path: self.check() if path in outs else None):
            yield
        self.check()

    def check(self) -> None:
        """Hold the inputs against what they were."""
        now = _marks(self.root, self.deps, self.params)
        for name in sorted(self.before.keys() | now.keys()):
            if self.before.get(name) != now.get(name):
                raise DataError(
                    f"changed while stage '{self.stage}' ran",
                    file=name,
                    hint="previous outputs are kept; run again: dvc repro",
                )


def begin(stage: str, root: Path, *, check: bool = True) -> Watch:
    """Check what the stage reads, and remember it; remove what killed runs of it left.

    Args:
        check: False in a process whose launching stage has done so. Else the caller holds the
            stage's lock.

    Raises:
        DataError: an output of an earlier stage is missing or is not what that stage wrote.
    """
    graph = graph_of(root)
    own = graph.get(stage, {})
    deps = tuple(str(dep) for dep in own.get("deps", ()))
    if check:
        for out in outs_of(own):
            remove_stale(root / out)
        if stage not in SHOWS_DAMAGE:
            _check_inputs(root, graph, deps)
    params = tuple(key for key in own.get("params", ()) if isinstance(key, str))
    return Watch(
        stage=stage,
        root=root,
        deps=deps,
        outs=tuple(outs_of(own)),
        params=params,
        before=_marks(root, deps, params),
    )


def graph_of(root: Path) -> dict[str, Any]:
    """The stages of dvc.yaml, as they are written there."""
    try:
        content = read_yaml(root / "dvc.yaml")
        return dict(content["stages"])
    except FileNotFoundError:  # stages run by hand in a folder without a graph
        return {}
    except (yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"not a graph of stages: {error}", file="dvc.yaml") from None


def outs_of(stage: Mapping[str, Any]) -> list[str]:
    """What a stage writes."""
    listed = [*stage.get("outs", ()), *stage.get("metrics", ())]
    return [out if isinstance(out, str) else next(iter(out)) for out in listed]


def _check_inputs(root: Path, graph: Mapping[str, Any], deps: tuple[str, ...]) -> None:
    makers = {out: name for name, stage in graph.items() for out in outs_of(stage)}
    for dep in deps:
        if dep not in makers:
            continue
        maker = makers[dep]
        hint = f"`dvc repro {maker}` makes it again (with --force if DVC sees no change)"
        if Path(dep).suffix:  # listed by the folder that its stage writes last
            folders = [out for out in outs_of(graph[maker]) if not Path(out).suffix]
            check_beside(root, dep, folders[-1] if folders else None, hint)
        else:
            check_dir(root, dep, hint)


def _marks(root: Path, deps: tuple[str, ...], params: tuple[str, ...]) -> dict[str, Any]:
    marks: dict[str, Any] = {}
    for dep in deps:
        place = root / dep
        files = place.rglob("*") if place.is_dir() else [place]
        for file in files:
            if "__pycache__" in file.parts or not file.is_file():
                continue
            with contextlib.suppress(FileNotFoundError):
                marks[file.relative_to(root).as_posix()] = _mark(file)
    try:
        values = read_yaml(root / "params.yaml")
    except (OSError, ValueError, yaml.YAMLError):
        values = None
    for key in params:
        marks[f"params.yaml: {key}"] = value_at(values, key)
    return marks


def _mark(file: Path) -> Any:
    about = file.stat()
    return sha256(file) if about.st_size <= SMALL else (about.st_size, about.st_mtime_ns)


def value_at(values: Any, key: str) -> Any:
    """The value of a dotted key of params.yaml; None where it is not there."""
    for part in key.split("."):
        values = values.get(part) if isinstance(values, dict) else None
    return values
