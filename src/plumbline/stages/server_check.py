"""Before a version becomes champion the real server is started with it, asked, and ended."""

from __future__ import annotations

import dataclasses
import os
import secrets
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import yaml

import plumbline
from plumbline.config import Config, Paths
from plumbline.errors import GateError
from plumbline.files import write_json
from plumbline.numbers import number, plural
from plumbline.stages.server_questions import Dialog, ServerFault, ask_all

RESULT = "server_check.json"
START_SECONDS, SPARE_SECONDS = 120.0, 30.0
TAIL = 2000  # characters of the server's standard error that are kept
TOKEN, LOG_KEY = "PLUMBLINE_SERVE_TOKEN", "PLUMBLINE_SERVE_LOG_KEY"
ERRORS, LOG = "stderr.txt", "log"


def check_server(folder: Path, name: str, config: Config, paths: Paths) -> str:
    """Serve a version under the settings of section `serve`, with a log of its own, and ask it the
    registered example, edge rows and bad rows.

    Args:
        folder: of the version's files.
        name: of the version.

    Returns:
        What was done, in words.

    Raises:
        GateError: the server does not start, answers what it should not, or does not end.
    """
    begun, problem = time.perf_counter(), None
    with tempfile.TemporaryDirectory() as temporary:
        place, dialog = Path(temporary), Dialog()
        try:
            with _started(folder.absolute(), config, place, dialog):
                ask_all(dialog, config.serve.max_rows)
            if config.serve.log.enabled and not list((place / LOG).rglob("*.parquet")):
                raise ServerFault("the log of requests was not written")
        except ServerFault as fault:
            problem = str(fault)
        except OSError as error:
            problem = f"the server went away: {error}"
        errors = (place / ERRORS).read_text(encoding="utf-8", errors="replace")
    result = {
        "version": name,
        "problem": problem,
        "seconds": round(time.perf_counter() - begun, 2),
        "exchanges": [dataclasses.asdict(one) for one in dialog.exchanges],
        "stderr": errors[-TAIL:],
    }
    write_json(paths.state / RESULT, result)
    if problem is not None:
        raise GateError(
            f"{name} does not become champion. The server was started with it, and "
            f"{problem.rstrip('.')}.",
            report=(paths.state / RESULT).relative_to(paths.root),
            hint="Fix the cause and run this again; with register.ask_server: false no server is "
            "asked",
        )
    assert dialog.row_seconds is not None
    one_row = f"one row in {number(1000 * dialog.row_seconds, 2)} ms"
    requests = plural(len(dialog.exchanges), "request")
    return f"answers with it ({one_row} over HTTP; {requests}, {result['seconds']} s)"


@contextmanager
def _started(folder: Path, config: Config, place: Path, dialog: Dialog) -> Iterator[None]:
    """The server in a process of its own; ended when the block ends.

    Raises:
        ServerFault: it does not start, or does not end well.
    """
    (place / "params.yaml").write_text(_params(config), encoding="utf-8")
    package = str(Path(plumbline.__file__).absolute().parents[1])
    token = secrets.token_urlsafe(24)
    variables = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [package, os.environ.get("PYTHONPATH")])),
        TOKEN: token,
        LOG_KEY: os.environ.get(LOG_KEY) or secrets.token_urlsafe(24),
    }
    command = [sys.executable, "-m", "plumbline", "serve", "--model", str(folder)]
    with (place / ERRORS).open("wb") as errors:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", "0"],
            cwd=place,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
        )
    assert process.stdout is not None
    try:
        dialog.open(_port(process.stdout, place / ERRORS), token)
        yield
        process.send_signal(signal.SIGTERM)
        wait = config.serve.shutdown_seconds + SPARE_SECONDS
        try:
            code = process.wait(wait)
        except subprocess.TimeoutExpired:
            raise ServerFault(f"it did not end within {wait:g} s of SIGTERM") from None
        if code:
            raise ServerFault(f"it ended with exit code {code}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _params(config: Config) -> str:
    """A params.yaml with the settings of section `serve`, but for the log's place and the rate."""
    data = config.data
    log = dataclasses.replace(config.serve.log, folder=LOG)
    serve = dataclasses.replace(config.serve, log=log, rate_per_second=0.0)
    content = {
        "seed": config.seed,
        "data": {
            "name": data.name,
            "path": data.path,
            "target": data.target,
            "task": str(data.task),
        },
        "tune": {"trials": 0},
        "serve": dataclasses.asdict(serve),
    }
    return yaml.safe_dump(content, allow_unicode=True)


def _port(output: IO[bytes], errors: Path) -> int:
    """Where the server listens, by its first line.

    Raises:
        ServerFault: it says nothing in time, or ends.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        ready = selector.select(START_SECONDS)
    line = output.readline().decode() if ready else ""
    if not line:
        last = errors.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        why = last[-1] if last else f"nothing came within {START_SECONDS:g} s"
        raise ServerFault(f"it does not start: {why}")
    return int(line.split(" on http://")[1].split()[0].rpartition(":")[2])
