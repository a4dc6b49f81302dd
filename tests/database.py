"""A real PostgreSQL for a test, out of the wheel that `make stack` uses."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from pipelines.services import running, stop
from tests.made import free_port

from pipelines import postgres, stack
from plumbline.errors import StorageError


@contextmanager
def started_postgres(
    root: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[int, str]]:
    """Its port and password; the test is skipped where it is not installed.

    As root it runs as another user, who has a folder of its own: those of pytest are closed to
    others again by each pytest that starts.
    """
    try:
        postgres.programs()
    except StorageError:
        pytest.skip("no PostgreSQL (uv pip install -r requirements-stack.lock)")
    monkeypatch.setenv("PYTHONPATH", str(root))  # the folder of a test holds no pipelines
    port = free_port()
    monkeypatch.setenv(stack.POSTGRES_PORT, str(port))
    with TemporaryDirectory() as own:
        Path(own).chmod(0o755)
        try:
            yield port, stack._start_postgres(folder, Path(own) / "place", port)
        finally:
            run = folder / ".plumbline" / "run"
            assert running(run, stack.POSTGRES)
            assert stop(run, last=[stack.STORES]) == [stack.POSTGRES]
