"""Where trials are kept: a journal file, or a database that machines share. What a process that
died was at is not lost."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import optuna
import psutil  # type: ignore[import-untyped]
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, OptunaError, UpdateFinishedTrialError
from optuna.storages import BaseStorage, JournalStorage, RetryHeartbeatStaleTrialCallback
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState

from plumbline.address import hidden, is_whole, shown
from plumbline.database import alone
from plumbline.errors import StorageError

STUDY = "plumbline-"
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)
PROCESS = "process"  # of a trial: which process is at it
HEARTBEAT = 60  # seconds between two signs of life of a trial on another machine
SAME = 5.0  # seconds: a process begun so near is the same, though the clock was set meanwhile


@contextmanager
def opened(address: str | None, folder: Path, key: str) -> Iterator[BaseStorage]:
    """The journal of this search, or the database that machines share.

    Raises:
        StorageError: the database cannot be used.
    """
    if address is None:
        folder.mkdir(parents=True, exist_ok=True)
        yield _journal(folder / f"{key}.log")
        return
    try:
        if not is_whole(address):
            raise ValueError("not an address that reads in one way: percent-encode the password")
        with alone(address):
            storage = _database(address)
    except (
        ImportError,
        ValueError,
        OptunaError,
        sqlalchemy.exc.SQLAlchemyError,
    ) as error:
        raise StorageError(
            f"the tuning storage cannot be used: {type(error).__name__}: "
            f"{hidden(str(error), address).splitlines()[0][:200]}",
            file="params.yaml",
            where="tune.storage",
            got=shown(address),
            hint="start the database, or set tune.storage to null",
        ) from None
    yield storage


def ended(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count."""
    return study.get_trials(deepcopy=False, states=ENDED)


def mark(trial: Trial) -> None:
    """Note that this process is at a trial."""
    trial.set_user_attr(PROCESS, _process())


def repeat_abandoned(study: optuna.Study) -> None:
    """Let the values of trials be tried again whose process on this machine has died."""
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        place, pid, begun = trial.user_attrs.get(PROCESS, (None, 0, 0.0))
        if place != _place() or _is_alive(pid, begun):
            continue
        with suppress(ValueError, UpdateFinishedTrialError):  # another did
            study.tell(trial.number, state=TrialState.FAIL)
            study.enqueue_trial(trial.params)


def forget_unfinished(folder: Path, key: str) -> None:
    """Write the journal of a search anew without trials that died with their process; to be called
    while no process is at it.

    Trials are drawn by their number, so what is left must look as if there had been no other.
    """
    journal = folder / f"{key}.log"
    if not journal.exists():
        return
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        old = optuna.load_study(study_name=STUDY + key, storage=_journal(journal))
    except KeyError:  # killed before the study was made
        journal.unlink()
        return
    if all(trial.state in ENDED for trial in old.get_trials(deepcopy=False)):
        return
    fresh = journal.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    study = optuna.create_study(
        study_name=STUDY + key, storage=_journal(fresh), directions=old.directions
    )
    study.add_trials(ended(old))
    fresh.replace(journal)


def _journal(path: Path) -> BaseStorage:
    return JournalStorage(JournalFileBackend(str(path)))


def _database(address: str) -> BaseStorage:
    if address.startswith("sqlite"):  # on this machine alone
        return optuna.storages.RDBStorage(address)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # its arguments may change
        return optuna.storages.RDBStorage(
            address,
            heartbeat_interval=HEARTBEAT,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )


def _process() -> tuple[str, int, float]:
    return _place(), os.getpid(), psutil.Process().create_time()


def _place() -> str:
    """Where process numbers mean something: this machine, or this container on it."""
    place = socket.gethostname()
    with suppress(OSError):
        place += str(Path("/proc/self/ns/pid").readlink())
    return place


def _is_alive(pid: int, begun: float) -> bool:
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - begun) < SAME
        return bool(same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
