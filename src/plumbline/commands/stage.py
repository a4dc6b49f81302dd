"""One stage, guarded against others at work: what `dvc.yaml` calls."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from plumbline import outcome
from plumbline.config import Config, Paths, load_config
from plumbline.errors import GateError, UserError
from plumbline.files import exclusive, shared, write_json
from plumbline.missing import refuse_missing
from plumbline.results import summary
from plumbline.stages import STAGES, load_stage, print_report
from plumbline.stages.consumed import note_made, refuse_changed
from plumbline.stages.watch import begin
from plumbline.stopped import Stopped, forget_stopped, note_stopped, read_stopped
from plumbline.training.launched import is_launched


def run_stage(name: str) -> None:
    """Run one stage in the current folder and leave its timing for `make bench`."""
    # OpenMP's threads spin while they wait for each other, which on a machine with other work
    # made training five times slower; read when torch and scikit-learn are imported
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    begun = time.perf_counter()
    paths = Paths(Path.cwd())
    config = load_config(paths.params)
    if is_launched():  # a process of a group that its launcher's stage already guards
        with begin(name, paths.root, check=False).writing():
            load_stage(name)(config, paths)
        return
    with shared(paths.locks / "data", _waits), exclusive(paths.locks / name, f"stage '{name}'"):
        refuse_missing(name, paths.root)
        refuse_changed(name, paths)
        watch = begin(name, paths.root)
        config = load_config(paths.params)  # again: it may have waited
        run = load_stage(name)
        imported = time.perf_counter()
        try:
            with watch.writing():
                report = run(config, paths)
        except GateError as error:
            at = f"{datetime.now(UTC):%Y-%m-%d %H:%M UTC}"
            note_stopped(paths.state, Stopped(stage=name, message=str(error), at=at))
            _renew_page(config, paths)
            raise
        note_made(name, paths)
        stopped = read_stopped(paths.state)
        if stopped is not None and stopped.stage == name:
            forget_stopped(paths.state)
            _renew_page(config, paths)
    ended = time.perf_counter()
    seconds = {"imports": imported - begun, "work": ended - imported}
    with contextlib.suppress(OSError):
        write_json(paths.state / "timings" / f"{name}.json", seconds)
    print_report(name, report, ended - begun)
    if name == STAGES[-1] and not outcome.is_watched():  # `dvc repro` by hand ends here
        with contextlib.suppress(UserError):
            print(f"\n{summary(paths.root)}\n")


def _renew_page(config: Config, paths: Paths) -> None:
    """Let the page say first that a gate stopped the run, or no longer say it."""
    with contextlib.suppress(OSError):
        load_stage("report")(config, paths)


def _waits(process: str) -> None:
    print(f"waiting for process {process}, which replaces the data", file=sys.stderr)
