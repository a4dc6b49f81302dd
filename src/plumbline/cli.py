"""The command line: `plumbline STAGE`, `plumbline init`. Errors become one message and a code."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from plumbline.config import Paths, load_config
from plumbline.errors import PlumblineError, StorageError
from plumbline.files import write_json
from plumbline.stages import STAGES, Report, load_stage


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code (see `plumbline.errors`)."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.function(arguments)
    except PlumblineError as error:
        return _say(error)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES):
            return _say(
                StorageError(
                    f"cannot write: {error.strerror}",
                    file=error.filename,
                    mend="free space or mend the rights, then run again; earlier outputs are whole",
                )
            )
        raise
    except KeyboardInterrupt:
        print("interrupted; earlier outputs are whole", file=sys.stderr)
        return 130
    return 0


def _say(error: PlumblineError) -> int:
    print(f"plumbline: {error}", file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="plumbline",
        description="Turns a data set into a deep model that its owner can defend.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name in STAGES:
        stage = commands.add_parser(name, help=f"run the stage '{name}' of dvc.yaml")
        stage.set_defaults(function=_stage, stage=name)
    return parser


def _stage(arguments: argparse.Namespace) -> None:
    """Run one stage in the current folder and leave its timing for `make bench`."""
    warnings.filterwarnings("ignore")  # of libraries, for the user; tests make them errors
    begun = time.perf_counter()
    paths = Paths(Path.cwd())
    config = load_config(paths.params)
    run = load_stage(arguments.stage)
    imported = time.perf_counter()
    report = run(config, paths)
    ended = time.perf_counter()
    if int(os.environ.get("RANK", "0")) == 0:
        seconds = {"imports": imported - begun, "work": ended - imported}
        with contextlib.suppress(OSError):
            write_json(paths.state / "timings" / f"{arguments.stage}.json", seconds)
        print_report(arguments.stage, report, ended - begun)


def print_report(title: str, report: Report, seconds: float) -> None:
    """Print a result table and where to look next."""
    width = max((len(label) for label, _ in report.rows), default=0)
    print(f"── {title} · {seconds:.1f} s")
    for label, value in report.rows:
        print(f"  {label:<{width}}  {value}")
    here = Path.cwd()
    for path in report.look:
        print(f"  → {path.relative_to(here) if path.is_relative_to(here) else path}")
