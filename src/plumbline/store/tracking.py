"""Runs in MLflow: where the store is, one run per training, everything in few calls.

The store is `mlflow/` in the checkout (SQLite) unless MLFLOW_TRACKING_URI names another. A URI
may hold a password: it is shown only through `address.shown`.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# before mlflow is imported: it starts its telemetry then
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
# a server's client prints two addresses for each run that it ends
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# a server that is away is to be told in seconds; the defaults try for minutes
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

import mlflow
import requests
import sqlalchemy
from mlflow.entities import Dataset, DatasetInput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from plumbline.address import hidden, is_whole, shown
from plumbline.database import alone
from plumbline.errors import StorageError
from plumbline.store.moved import follow_move

LOCK_SECONDS = 30.0  # how long to wait for another process that writes the SQLite file
PROBE_SECONDS = 10
BATCH = {"metrics": 1000, "params": 100, "tags": 100}  # MLflow's limits per call
PARAM_CHARS = 6000
KEY = "plumbline.key"
BUNDLE = "bundle"  # folder of the fitted model among a run's artifacts
SHOWN_DECISION = "decision"  # in words, for people
KIND = "plumbline.kind"  # training, trial or baseline
# else MLflow asks what the experiment is of, and shows it among those of language models
EXPERIMENT = {"mlflow.experimentKind": "custom_model_development"}
NAME, NOTE, PARENT = "mlflow.runName", "mlflow.note.content", "mlflow.parentRunId"


@dataclass(frozen=True, kw_only=True)
class Store:
    """An MLflow that answered. `artifacts` is the folder new experiments write to, or None where
    the server decides."""

    uri: str
    client: MlflowClient
    artifacts: Path | None


@dataclass(frozen=True, kw_only=True)
class ChildRun:
    """A run below a training's: a trial of the tuner, or a baseline. `kind` becomes a tag."""

    name: str
    kind: str
    metrics: Mapping[str, float]
    params: Mapping[str, Any] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Content:
    """What goes into one run.

    `curves`: (key, step, value). `files`: (path, folder among the artifacts).
    """

    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    curves: Sequence[tuple[str, int, float]]
    tags: Mapping[str, str]
    dataset: Mapping[str, str]
    files: Sequence[tuple[Path, str]]
    children: Sequence[ChildRun]


def open_store(root: Path) -> Store:
    """The store that MLFLOW_TRACKING_URI names, or the one in the checkout, made if need be.

    Raises:
        StorageError: it does not answer, or another process holds it too long.
    """
    for name in ("mlflow", "alembic", "sqlalchemy"):
        logging.getLogger(name).setLevel(logging.ERROR)
    folder = root / "mlflow"
    named = os.environ.get("MLFLOW_TRACKING_URI", "")
    uri = named or f"sqlite:///{folder / 'mlflow.db'}"
    server = uri.startswith(("http://", "https://"))
    if not named:
        folder.mkdir(exist_ok=True)
    else:
        _check(named)
    _probe(uri)
    with storage(uri), contextlib.nullcontext() if server else alone(uri):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        if not named:  # set_tracking_uri leaves it there, for the next who asks
            os.environ.pop("MLFLOW_TRACKING_URI", None)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)  # makes the tables, or finds that it cannot
        if not named:
            follow_move(folder, uri, LOCK_SECONDS)
    return Store(uri=uri, client=client, artifacts=None if server else folder / "artifacts")


def existing_store(root: Path) -> Store:
    """As `open_store`, but an SQLite file that is not there is not made.

    Raises:
        StorageError: there is none, or it does not answer.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "")
    file = Path(uri.removeprefix("sqlite:///")) if uri else root / "mlflow" / "mlflow.db"
    if (not uri or uri.startswith("sqlite:///")) and not file.exists():
        raise StorageError(
            "no version is registered yet, or the file was removed",
            file=file.relative_to(root) if file.is_relative_to(root) else file,
            hint="run `plumbline repro`, from the root of the checkout",
        )
    return open_store(root)


@contextlib.contextmanager
def storage(uri: str) -> Iterator[None]:
    """Turn what MLflow raises when its store refuses into one message.

    Raises:
        StorageError: names the store, without credentials.
    """
    try:
        yield
    except (
        MlflowException,
        sqlalchemy.exc.SQLAlchemyError,
        requests.exceptions.RequestException,
        ImportError,
    ) as error:
        if getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE":
            raise  # a defect of ours
        raise _refusal(uri, str(error)) from None


@contextlib.contextmanager
def unless_present() -> Iterator[None]:
    """Let pass that what is to be made exists: another process may have made it meanwhile."""
    try:
        yield
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def experiment(store: Store, name: str) -> str:
    """The id of an experiment, made if there is none; brought back if it was deleted."""
    with storage(store.uri):
        existing = store.client.get_experiment_by_name(name)
        if existing is None:
            place = store.artifacts.as_uri() if store.artifacts else None
            with unless_present():
                store.client.create_experiment(name, artifact_location=place, tags=EXPERIMENT)
            existing = store.client.get_experiment_by_name(name)
            assert existing is not None
        if existing.lifecycle_stage == "deleted":
            store.client.restore_experiment(existing.experiment_id)
        return str(existing.experiment_id)


def finished_run(store: Store, experiment_id: str, key: str) -> str | None:
    """The id of the latest run that was finished under a key; half-made ones are deleted."""
    with storage(store.uri):
        runs = store.client.search_runs([experiment_id], f"tags.`{KEY}` = '{key}'")
        finished = [run.info.run_id for run in runs if run.info.status == "FINISHED"]
        for run in runs:
            if run.info.status != "FINISHED":
                parent = f"tags.`{PARENT}` = '{run.info.run_id}'"
                for child in store.client.search_runs([experiment_id], parent):
                    store.client.delete_run(child.info.run_id)
                store.client.delete_run(run.info.run_id)
    return finished[0] if finished else None  # MLflow gives the latest first


def begin_run(store: Store, experiment_id: str, key: str, name: str) -> str:
    """A run that counts only once it is finished: by `registry.log_model`, its last content."""
    with storage(store.uri):
        run = store.client.create_run(
            experiment_id,
            run_name=name,
            tags={SHOWN_DECISION: "none yet", KEY: key, KIND: "training"},
        )
        return str(run.info.run_id)


def fill_run(store: Store, experiment_id: str, run_id: str, content: Content) -> None:
    """Write everything into a run: numbers in batches, files, data set, trials as children."""
    now = int(time.time() * 1000)
    with storage(store.uri):
        _log(
            store.client,
            run_id,
            metrics=[Metric(key, value, now, 0) for key, value in content.metrics.items()]
            + [Metric(key, value, now, step) for key, step, value in content.curves],
            params=_params(content.params),
            tags=[RunTag(key, value) for key, value in content.tags.items()],
        )
        store.client.log_inputs(run_id, [DatasetInput(dataset=Dataset(**content.dataset))])
        for path, folder in content.files:
            store.client.log_artifact(run_id, str(path), folder or None)
        for child in content.children:
            tags = {PARENT: run_id, KIND: child.kind, **child.tags}
            made = store.client.create_run(experiment_id, run_name=child.name, tags=tags)
            _log(
                store.client,
                made.info.run_id,
                metrics=[Metric(key, value, now, 0) for key, value in child.metrics.items()],
                params=_params(child.params),
            )
            store.client.set_terminated(made.info.run_id)


def describe_run(store: Store, run_id: str, name: str, note: str, tags: Mapping[str, str]) -> None:
    """Name a run and describe it, in Markdown; what stands there already is not written again."""
    wanted = {NAME: name, NOTE: note, **tags}
    with storage(store.uri):
        present = store.client.get_run(run_id).data.tags
        changed = [RunTag(k, v) for k, v in wanted.items() if present.get(k) != v]
        if changed:
            store.client.log_batch(run_id, tags=changed)


def note_of(store: Store, run_id: str) -> str | None:
    """The description of a run; None: it has none, or was deleted."""
    with storage(store.uri):
        try:
            run = store.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
        note: str | None = run.data.tags.get(NOTE)
        return note if run.info.lifecycle_stage == "active" else None


def set_note(store: Store, run_id: str, note: str) -> None:
    """Describe a run, in Markdown."""
    with storage(store.uri):
        store.client.set_tag(run_id, NOTE, note)


def add_file(store: Store, run_id: str, path: Path, folder: str) -> None:
    """Put a file among the artifacts of a run, in place of an earlier one."""
    with storage(store.uri):
        store.client.log_artifact(run_id, str(path), folder)


def _params(values: Mapping[str, Any]) -> list[Param]:
    return [
        Param(key, (value if isinstance(value, str) else json.dumps(value))[:PARAM_CHARS])
        for key, value in values.items()
    ]


def _log(client: MlflowClient, run_id: str, **entries: list[Any]) -> None:
    """`log_batch`, within MLflow's limits per call."""
    for kind, values in entries.items():
        for start in range(0, len(values), BATCH[kind]):
            client.log_batch(run_id, **{kind: values[start : start + BATCH[kind]]})


def _check(uri: str) -> None:
    if not is_whole(uri):
        raise StorageError(
            "is not an address that reads in one way",
            file="MLFLOW_TRACKING_URI",
            hint="percent-encode user and password (%40 for @, %2F for /, %20 for a blank), or "
            "give them in MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )


def _probe(uri: str) -> None:
    """Find out soon whether the store answers; MLflow itself tries for minutes."""
    if uri.startswith(("http://", "https://")):
        parts = urlsplit(uri)
        bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        try:
            urllib.request.urlopen(f"{bare.rstrip('/')}/health", timeout=PROBE_SECONDS).close()
        except urllib.error.HTTPError:
            return  # it answers; whether it lets us in shows at the first call
        except (OSError, ValueError) as error:
            raise _refusal(uri, str(error)) from None
    elif uri.startswith("sqlite:///"):
        try:
            with contextlib.closing(
                sqlite3.connect(uri.removeprefix("sqlite:///"), timeout=LOCK_SECONDS)
            ) as database:
                database.execute("BEGIN IMMEDIATE")
                database.execute("CREATE TABLE probe (x)")  # BEGIN alone passes if read-only
                database.rollback()
        except sqlite3.Error as error:
            raise _refusal(uri, str(error)) from None


def _refusal(uri: str, message: str) -> StorageError:
    first = hidden(message, uri).strip().splitlines()[0] if message.strip() else "no answer"
    if "locked" in message:
        return StorageError(
            "another process writes to MLflow's database",
            file=shown(uri),
            hint="wait until it has ended (another training, the MLflow UI), then run again",
        )
    if "readonly" in message or "read-only" in message:
        return StorageError(
            "MLflow's database is read-only",
            file=shown(uri),
            hint="make the file and its folder writable (chmod u+w), then run again",
        )
    named = "MLFLOW_TRACKING_URI" in os.environ
    return StorageError(
        f"MLflow refused or did not answer: {first}",
        file=shown(uri),
        hint="start it, or fix or unset MLFLOW_TRACKING_URI"
        if named
        else "fix the file or move the folder mlflow/ away; a new one is made",
    )
