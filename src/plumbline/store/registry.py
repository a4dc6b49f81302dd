"""Model versions in MLflow, each with all that is needed to use it, and two aliases."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime as dt
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import mlflow
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.models import Model

from plumbline.store.tracking import BUNDLE, SHOWN_DECISION, Store, storage, unless_present

CHAMPION, CHALLENGER = "champion", "challenger"
DECISION, SETTLED = "plumbline.decision", "plumbline.settled"
ALIASES = "`champion` is the version to use, `challenger` the newest that is not the champion."
CARD = "reports/card.md"  # among the artifacts of a run
MOST_CHARACTERS = 5000  # of a description; SQLite holds more, PostgreSQL refuses it
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


@dataclass(frozen=True, kw_only=True)
class Version:
    """A registered version, as much of it as is used here."""

    model: str
    number: str
    run_id: str
    tags: Mapping[str, str]
    created: dt.datetime  # UTC

    @property
    def decision(self) -> dict[str, Any] | None:
        """What the gate said of it, if it was asked."""
        text = self.tags.get(DECISION)
        return json.loads(text) if text else None


class Flavor(Protocol):
    """What MLflow logs: it writes itself into a folder, and adds how it is loaded."""

    def save_model(self, path: str, mlflow_model: Model) -> None: ...


def log_model(store: Store, run_id: str, model: Flavor) -> str:
    """Log a model into a run, and finish the run; gives the model's URI."""
    with storage(store.uri), _quiet(), mlflow.start_run(run_id=run_id):
        info = Model.log(artifact_path=None, flavor=model, name="model", flavor_name="plumbline")
    return str(info.model_uri)


def model_of_run(store: Store, run_id: str) -> str:
    """The URI of the model that a finished run holds."""
    with storage(store.uri):
        (model,) = store.client.get_run(run_id).outputs.model_outputs
    return f"models:/{model.model_id}"


def add_version(
    store: Store, model: str, uri: str, run_id: str, card: str, tags: Mapping[str, str]
) -> Version:
    """A new version of a registered model, which is made if there is none. Its description is the
    card, or what of it MLflow's database holds; the run has it whole."""
    with storage(store.uri):
        store.client.log_text(run_id, card, CARD)
        with unless_present():
            store.client.create_registered_model(model, description=ALIASES)
        made = store.client.create_model_version(
            model,
            source=uri,
            run_id=run_id,
            model_id=uri.removeprefix("models:/"),
            tags=dict(tags),
            description=_description(card),
        )
    return _version_of(made)


def update_version(store: Store, which: Version, card: str, tags: Mapping[str, str]) -> Version:
    """The version with another card and other values of tags."""
    with storage(store.uri):
        store.client.log_text(which.run_id, card, CARD)
        description = _description(card)
        store.client.update_model_version(which.model, which.number, description=description)
        for name, value in tags.items():
            store.client.set_model_version_tag(which.model, which.number, name, value)
    return dataclasses.replace(which, tags={**which.tags, **tags})


def _description(card: str) -> str:
    """The card, or its first sections, as many as fit."""
    if len(card) <= MOST_CHARACTERS:
        return card
    rest = f"\n\nThe rest is in `{CARD}` among the artifacts of the run."
    kept = card[: MOST_CHARACTERS - len(rest)]
    borders = (kept.rfind(mark) for mark in ("\n## ", "\n", " "))
    border = next((place for place in borders if place > len(kept) // 2), len(kept))
    return kept[:border].rstrip() + rest


def file_of_run(store: Store, which: Version, name: str, folder: Path) -> Path | None:
    """Copy a file or folder among the artifacts of a version's run.

    None where the store answers, but has it no more.
    """
    with storage(store.uri), _quiet():
        try:
            got = mlflow.artifacts.download_artifacts(
                run_id=which.run_id,
                artifact_path=name,
                dst_path=str(folder),
                tracking_uri=store.uri,
            )
        except MlflowException as error:
            if error.error_code in ABSENT or "No such artifact" in str(error):
                return None
            raise
        except OSError:
            return None
    return Path(got)


def version_of_run(store: Store, model: str, run_id: str) -> Version | None:
    """The version that was made from a run, with its tags."""
    with storage(store.uri):
        versions = store.client.search_model_versions(f"name='{_quoted(model)}'")
        mine = [one for one in versions if one.run_id == run_id]
    return _version_of(max(mine, key=lambda one: int(one.version))) if mine else None


def champion(store: Store, model: str) -> Version | None:
    """The version that has the alias `champion`."""
    return version_at(store, model, alias=CHAMPION)


def version_at(
    store: Store, model: str, *, alias: str | None = None, number: str | None = None
) -> Version | None:
    """The version that has an alias, or a number; None where there is none."""
    with storage(store.uri):
        try:
            if alias is not None:
                return _version_of(store.client.get_model_version_by_alias(model, alias))
            return _version_of(store.client.get_model_version(model, str(number)))
        except MlflowException as error:
            if error.error_code in ABSENT:
                return None
            raise


def names_of(store: Store, model: str) -> list[str]:
    """Aliases and numbers under which a registered model has versions; empty where it has none."""
    with storage(store.uri):
        try:
            aliases = store.client.get_registered_model(model).aliases
        except MlflowException as error:
            if error.error_code in ABSENT:
                return []
            raise
        versions = store.client.search_model_versions(f"name='{_quoted(model)}'")
    numbers = sorted((int(one.version) for one in versions), reverse=True)
    return [*(f"@{alias}" for alias in sorted(aliases)), *(f"/{number}" for number in numbers)]


def fetch_bundle(store: Store, which: Version, folder: Path) -> Path | None:
    """Copy the fitted model of a version into a folder: weights as safetensors, the rest as JSON.

    None where the store answers, but has the files no more.
    """
    return file_of_run(store, which, BUNDLE, folder)


def files_of(store: Store, which: Version) -> Path | None:
    """The folder of a version's model: MLmodel, model.onnx, extra_files/; fetched if remote.

    None where the store answers, but has the files no more.
    """
    uri = f"models:/{which.model}/{which.number}"
    with storage(store.uri), _quiet():
        try:
            folder = mlflow.artifacts.download_artifacts(artifact_uri=uri, tracking_uri=store.uri)
        except MlflowException as error:
            if error.error_code in ABSENT or "No such artifact" in str(error):
                return None
            raise
    return Path(folder)


def write_decision(store: Store, which: Version, decision: Mapping[str, Any]) -> None:
    """Keep what the gate said with the version; its aliases are not moved yet."""
    with storage(store.uri):
        text = json.dumps(dict(decision), ensure_ascii=False)
        store.client.set_model_version_tag(which.model, which.number, DECISION, text)
        store.client.set_model_version_tag(which.model, which.number, SETTLED, "false")


def show_decision(store: Store, which: Version, words: str) -> None:
    """Tag a version with the decision in words, for people who read MLflow's pages."""
    if which.tags.get(SHOWN_DECISION) != words:
        with storage(store.uri):
            store.client.set_model_version_tag(which.model, which.number, SHOWN_DECISION, words)


def settle(store: Store, which: Version) -> None:
    """Note that the aliases are as the decision wants them."""
    set_version_tag(store, which, SETTLED, "true")


def set_alias(store: Store, which: Version, alias: str) -> None:
    """Move an alias to a version."""
    with storage(store.uri):
        store.client.set_registered_model_alias(which.model, alias, which.number)


def place_challenger(store: Store, model: str) -> None:
    """Set the alias `challenger` on the newest version that is not the champion; where there is
    no other version, none has it."""
    first, present = champion(store, model), version_at(store, model, alias=CHALLENGER)
    others = (
        one for one in versions_of(store, model) if first is None or one.number != first.number
    )
    newest = next(others, None)
    if newest is None and present is not None:
        with storage(store.uri):
            store.client.delete_registered_model_alias(model, CHALLENGER)
    elif newest is not None and (present is None or present.number != newest.number):
        set_alias(store, newest, CHALLENGER)


def set_version_tag(store: Store, which: Version, key: str, value: str) -> None:
    """Tag a version."""
    with storage(store.uri):
        store.client.set_model_version_tag(which.model, which.number, key, value)


def set_model_tag(store: Store, model: str, key: str, value: str) -> None:
    """Tag a registered model."""
    with storage(store.uri):
        store.client.set_registered_model_tag(model, key, value)


def model_tags(store: Store, model: str) -> dict[str, str]:
    """The tags of a registered model; none where there is no such model."""
    with storage(store.uri):
        try:
            return dict(store.client.get_registered_model(model).tags)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return {}
            raise


def aliases_of(store: Store, model: str) -> dict[str, list[str]]:
    """The aliases of each version that has some, by number."""
    names: dict[str, list[str]] = {}
    with storage(store.uri):
        for alias, number in store.client.get_registered_model(model).aliases.items():
            names.setdefault(str(number), []).append(alias)
    return {number: sorted(aliases) for number, aliases in names.items()}


def versions_of(store: Store, model: str) -> list[Version]:
    """Every version of a registered model with its tags, the newest first."""
    with storage(store.uri):
        versions = store.client.search_model_versions(f"name='{_quoted(model)}'")
    return sorted(map(_version_of, versions), key=lambda one: -int(one.number))


def metrics_of(store: Store, which: Version) -> tuple[dict[str, float], str]:
    """The metrics of the run that a version was made from, and who ran it; empty where the run
    is gone."""
    with storage(store.uri):
        try:
            run = store.client.get_run(which.run_id)
        except MlflowException as error:
            if error.error_code in ABSENT:
                return {}, ""
            raise
    return dict(run.data.metrics), str(run.data.tags.get("mlflow.user", ""))


def _version_of(version: ModelVersion) -> Version:
    return Version(
        model=str(version.name),
        number=str(version.version),
        run_id=str(version.run_id),
        tags=dict(version.tags),
        created=dt.datetime.fromtimestamp(version.creation_timestamp / 1000, dt.UTC),
    )


def _quoted(name: str) -> str:
    return name.replace("'", "''")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without MLflow's progress bars and its warnings to developers."""
    before = os.environ.get("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR")
    os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        if before is None:
            del os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"]
        else:
            os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = before
