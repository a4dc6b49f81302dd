"""tune with two workers, over its journal and over PostgreSQL, one of them killed in its trial."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from tests.database import started_postgres
from tests.stages.test_tune_objectives import SPACE, checkout, written

from pipelines import postgres
from plumbline.config.load import TUNE_STORAGE
from plumbline.database import alone
from plumbline.files import read_json
from plumbline.stages import tune

TRIALS = 4


@pytest.fixture(params=["journal", "postgresql"])
def address(
    request: pytest.FixtureRequest, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str | None]:
    if request.param == "journal":
        yield None
        return
    with started_postgres(root, tmp_path, monkeypatch) as (port, password):
        postgres.make_databases(port, password, "tune")
        whole = f"postgresql+psycopg2://{postgres.USER}:{password}@127.0.0.1:{port}/tune"
        monkeypatch.setenv(TUNE_STORAGE, whole)
        yield whole


def trials_of(storage: BaseStorage) -> list[FrozenTrial]:
    names = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=names[0], storage=storage).trials if names else []


def test_the_trial_of_a_killed_worker_is_done_by_another(
    address: str | None, tmp_path: Path
) -> None:
    """It is the default point's, which is nowhere else proposed."""
    config, paths = checkout(
        tmp_path / "checkout", workers=2, trials=TRIALS, epochs=150, pruner="none"
    )
    config = config.replace({"train.patience": 0})

    def opened() -> BaseStorage | None:
        if address is not None:
            with alone(address):
                return RDBStorage(address)
        journals = list((paths.state / "tuning").glob("*.log"))
        return JournalStorage(JournalFileBackend(str(journals[0]))) if journals else None

    def kill() -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            storage = opened()
            for trial in trials_of(storage) if storage else ():
                at_it = trial.state is TrialState.RUNNING and len(trial.params) == len(SPACE)
                if trial.number == 0 and at_it:
                    worker = trial.user_attrs["process"][1]
                    assert worker != os.getpid(), "no worker was there when the search began"
                    os.kill(worker, signal.SIGKILL)
                    return
            time.sleep(0.02)
        raise AssertionError("no trial was run by a worker")

    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(kill)
        tune.run(config, paths)
        killed.result()
    best, trials = written(paths)
    assert best["trials"] == len(trials) == TRIALS
    center = {key: config.tune.space[key].center for key in SPACE}
    values = [{key: float(trial[key]) for key in SPACE} for trial in trials]
    assert values.count(center) == 1  # done again, once
    assert read_json(paths.reports / "tuning" / "summary.json")["gain_over_default"]
    if address is not None:
        ended = [trial.state for trial in trials_of(RDBStorage(address))]
        assert ended.count(TrialState.COMPLETE) == TRIALS and TrialState.FAIL in ended
        assert TrialState.RUNNING not in ended
