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
from typing import Any

from plumbline.config import Paths, load_config
from plumbline.errors import PlumblineError, StorageError
from plumbline.files import exclusive, write_json
from plumbline.kinds import Task
from plumbline.stages import STAGES, Report, load_stage


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code (see `plumbline.errors`)."""
    arguments = _parser().parse_args(argv)
    warnings.filterwarnings("ignore")  # of libraries; to a user they mean nothing
    try:
        arguments.function(arguments)
    except PlumblineError as error:
        return _say(error)
    except KeyboardInterrupt:
        print("interrupted; earlier outputs are whole", file=sys.stderr)
        return 130
    except Exception as error:
        outside = _outside(error)
        if outside is None:
            raise
        return _say(outside)
    return 0


FULL = ("no space left on device", "disk quota exceeded", "database or disk is full")
REFUSED = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG)


def _outside(error: BaseException | None) -> StorageError | None:
    """The machine's refusal behind an error (a full disk, say), however a library wrapped it."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in REFUSED:
            what, file = error.strerror, error.filename
        elif any(words in str(error).lower() for words in FULL):
            what, file = "No space left on device", None
        else:
            error = error.__cause__ or error.__context__
            continue
        return StorageError(
            f"cannot write: {what}",
            file=file,
            mend="free space or mend the rights, then run again; earlier outputs are whole",
        )
    return None


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
    _add_init(commands)
    _add_ingest(commands)
    return parser


def _add_init(commands: Any) -> None:
    init = commands.add_parser("init", help="make this checkout work on your own data")
    init.set_defaults(function=_init)
    init.add_argument("--data", type=Path, help="CSV, TSV (also .gz, .zst), Parquet file or folder")
    init.add_argument("--target", help="the column to predict")
    init.add_argument("--test", type=Path, help="a held-out file, used as the test part whole")
    init.add_argument("--task", type=Task, choices=list(Task), help="inferred if left out")
    init.add_argument("--positive", help="the class that counts as positive")
    init.add_argument("--time", help="column that orders the rows; they are split by time")
    init.add_argument("--group", help="column whose rows must stay on one side")
    init.add_argument("--id", help="column that only names the row")
    init.add_argument("--name", help="name of the data set and of the registered model")
    init.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line names the columns (column_0, … if not)",
    )
    init.add_argument("--encoding", help="encoding of the text, found out if left out")
    init.add_argument(
        "--missing",
        nargs="*",
        metavar="WORD",
        help="the words for a missing cell, beside an empty one (else NA NaN nan null ?)",
    )
    init.add_argument(
        "--update", action="store_true", help="propose changes to expectations.yaml, write none"
    )


def _add_ingest(commands: Any) -> None:
    ingest = commands.add_parser("ingest", help="append validated rows as a new data version")
    ingest.set_defaults(function=_ingest)
    ingest.add_argument("file", type=Path, help="CSV, TSV (also .gz, .zst) or Parquet")
    ingest.add_argument(
        "--quarantine", action="store_true", help="put bad rows aside and append the others"
    )
    ingest.add_argument(
        "--again", action="store_true", help="append rows that the data already hold"
    )


def _ingest(arguments: argparse.Namespace) -> None:
    from plumbline.commands.ingest import ingest

    begun = time.perf_counter()
    paths = Paths(Path.cwd())
    with exclusive(paths.state / "locks" / "ingest", "'plumbline ingest'"):
        report = ingest(
            arguments.file, paths, quarantine=arguments.quarantine, again=arguments.again
        )
    print_report("ingest", report, time.perf_counter() - begun)


def _init(arguments: argparse.Namespace) -> None:
    from plumbline.commands import init

    begun = time.perf_counter()
    paths = Paths(Path.cwd())
    with exclusive(paths.state / "locks" / "init", "'plumbline init'"):
        if arguments.update:
            report = init.update(paths)
        else:
            report = init.init(init.request_of(arguments), paths)
    print_report("init", report, time.perf_counter() - begun)


def _stage(arguments: argparse.Namespace) -> None:
    """Run one stage in the current folder and leave its timing for `make bench`."""
    # OpenMP's threads spin while they wait for each other, which on a machine with other work
    # made training five times slower; read when torch and scikit-learn are imported
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
    begun = time.perf_counter()
    paths = Paths(Path.cwd())
    config = load_config(paths.params)
    name = arguments.stage
    if "RANK" in os.environ:  # a process of a group that its launcher's stage already guards
        load_stage(name)(config, paths)
        return
    with exclusive(paths.state / "locks" / name, f"stage '{name}'"):
        run = load_stage(name)
        imported = time.perf_counter()
        report = run(config, paths)
    ended = time.perf_counter()
    seconds = {"imports": imported - begun, "work": ended - imported}
    with contextlib.suppress(OSError):
        write_json(paths.state / "timings" / f"{name}.json", seconds)
    print_report(name, report, ended - begun)


def print_report(title: str, report: Report, seconds: float) -> None:
    """Print a result table and where to look next."""
    width = max((len(label) for label, _ in report.rows), default=0)
    print(f"── {title} · {seconds:.1f} s")
    for label, value in report.rows:
        print(f"  {label:<{width}}  {value}")
    here = Path.cwd()
    for path in report.look:
        print(f"  → {path.relative_to(here) if path.is_relative_to(here) else path}")
