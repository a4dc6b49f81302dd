"""What `plumbline doctor` says of the services that `make deploy`, `make ui` and `make stack`
started: records, logs and ends are in `.plumbline/run/`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from plumbline.commands.doctor import Examination, good, idle, wrong
from plumbline.config import Paths
from plumbline.numbers import plural

LATELY, OFTEN = 3600.0, 3  # seconds, and how many ends in them are no accident


def check_services(paths: Paths) -> Sequence[Examination]:
    """They run, and do not end by themselves again and again."""
    folder = paths.state / "run"
    alive: list[str] = []
    ended: list[str] = []
    results: list[Examination] = []
    for name, record in _written(folder):
        if not _lives(record):
            ended.append(name)
            continue
        ends = _ends(folder / f"{name}.ends")
        words = f"{name} ended {_times(ends)}" if ends else name
        log = f".plumbline/run/{name}.log"
        if len(ends) >= OFTEN:
            results += wrong(f"{words}; it is started again each time. {log} says why it ends")
        else:
            alive.append(f"{words} and was started again ({log})" if ends else words)
    if ended:
        results += wrong(
            f"ended by themselves: {', '.join(ended)}. Logs are in .plumbline/run/. Nobody watches "
            "what may still run of them: make stack (or make deploy, make ui) starts it again"
        )
    if alive:
        results = [*good(", ".join(alive)), *results]
    return results or idle("none was started: make deploy, make stack")


def living(paths: Paths) -> dict[str, int | None]:
    """The services of this checkout that live, and their ports."""
    return {n: record["port"] for n, record in _written(paths.state / "run") if _lives(record)}


def _times(ends: Sequence[Mapping[str, Any]]) -> str:
    last = ends[-1]
    clock = time.strftime("%H:%M:%S", time.localtime(last["time"]))
    if len(ends) == 1:
        return f"{last['how']} at {clock}"
    return f"{plural(len(ends), 'time')} within the last hour, last {last['how']} at {clock}"


def _ends(file: Path) -> list[dict[str, Any]]:
    """Those of the last hour."""
    try:
        ends = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return [one for one in ends if time.time() - one["time"] < LATELY and one["how"]]
    except (OSError, ValueError, LookupError, TypeError):
        return []


def _written(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for file in sorted(folder.glob("*.json")):
        try:
            record = json.loads(file.read_text(encoding="utf-8"))
            if record.keys() >= {"pid", "created", "port"}:
                yield file.stem, record
        except (OSError, ValueError, AttributeError):
            continue


def _lives(record: Mapping[str, Any]) -> bool:
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["created"]) < 1
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
