"""Several processes that begin at a database with nothing in it, at the same moment."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import optuna
import pytest
from tests.database import started_postgres

from pipelines import postgres
from plumbline.store.tracking import experiment, open_store
from plumbline.training.trial_storage import opened

PROCESSES = 3
# of a name: the address
NewDatabase = Callable[[str], str]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def new_database(
    request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[NewDatabase]:
    folder = tmp_path_factory.mktemp("databases")
    if request.param == "sqlite":
        yield lambda name: f"sqlite:///{folder / name}.db"
        return
    with (
        pytest.MonkeyPatch.context() as patch,
        started_postgres(root, folder, patch) as (port, password),
    ):

        def made(name: str) -> str:
            postgres.make_databases(port, password, name)
            return f"postgresql+psycopg2://{postgres.USER}:{password}@127.0.0.1:{port}/{name}"

        yield made


def open_trials(address: str) -> None:
    with opened(address, Path("no journal"), "key") as storage:
        optuna.create_study(study_name="one", storage=storage, load_if_exists=True)


def open_tracking(address: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        experiment(open_store(Path.cwd()), "one")


def begin(work: Callable[[str], None], addresses: list[str], barrier: Barrier) -> None:
    for address in addresses:
        barrier.wait(60)
        work(address)


@pytest.mark.parametrize(("work", "times"), [(open_trials, 6), (open_tracking, 1)])
def test_all_who_begin_at_once_have_the_store(
    new_database: NewDatabase, work: Callable[[str], None], times: int
) -> None:
    """Optuna's tables are made so soon that not every time two are at it."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    addresses = [new_database(f"{work.__name__}{number}") for number in range(times)]
    arguments = (work, addresses, barrier)
    processes = [context.Process(target=begin, args=arguments) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * PROCESSES
