"""Shared fixtures: where real data sets are, when they are at hand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# the same cases in every run, so that a failure is of the change at hand; `make soak` draws others
# no deadline: a busy machine is no failure
settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.register_profile("random", print_blob=True, deadline=None)
settings.load_profile("repeatable")

# the longest, which wait for no other
FIRST = ("test_own_data.py", "test_graph.py")


def keep_to_own_cores() -> None:
    """One worker of several computes on its share of the cores, and so does what it starts: threads
    of all workers on all cores wait for each other at every step."""
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[number % len(cores) :: workers])


keep_to_own_cores()  # before a library counts the cores
# as the command line does: OpenMP's threads do not spin; read when torch is imported
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
ROOT = Path(__file__).resolve().parents[1]
REAL_DATA = Path(os.environ.get("PLUMBLINE_TEST_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def committed_lock(root: Path) -> str:
    """dvc.lock as it is committed with the sample's outputs: `make repro` writes another."""
    show = ["git", "show", "HEAD:dvc.lock"]
    return subprocess.run(show, cwd=root, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; the test is skipped where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip(f"no real data sets at {REAL_DATA} (set PLUMBLINE_TEST_DATA)")
    return REAL_DATA


@pytest.fixture
def one_thread() -> Iterator[None]:
    """torch on one thread: small work gains nothing from more, and loses on a busy machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The long ones first, so that no worker ends alone; soak tests only when asked for."""
    first = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda i: (first.get(i.path.name, len(first)), "e2e" not in i.path.parts))
    if config.getoption("-m"):  # make soak, pytest -m soak
        return
    soak = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=soak)
    items[:] = [item for item in items if not item.get_closest_marker("soak")]
