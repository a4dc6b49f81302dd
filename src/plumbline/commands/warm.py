"""A second version from the rows that were appended last, whose fit starts from the network of the
champion that served them. The gate decides between it and the one that was fitted anew.

It is an experiment of DVC in a temporary workspace: the checkout, whose params.yaml says how the
first was fitted, stays as it is, and `dvc exp apply` brings the second into it.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from plumbline.commands.repro import run_dvc
from plumbline.config import Config, Paths, load_config
from plumbline.errors import ParameterError
from plumbline.retraining_state import read_state
from plumbline.stages import Report

KEY = "retrain.warm"


def check_settings(config: Config) -> None:
    """Raises ParameterError where the comparison would favor the second: its network has seen the
    older rows, and test rows may be among them."""
    if config.retrain.warm and config.register.recent_rows is None:
        raise ParameterError(
            "wants a comparison on rows that the champion has not seen",
            file="params.yaml",
            where=KEY,
            got=True,
            hint="set register.recent_rows to about as many rows as are appended, or this to false",
        )


def champion_number(config: Config, paths: Paths) -> str | None:
    """The champion of the checkout's data; None without one.

    Raises:
        StorageError: the registry does not answer.
    """
    from plumbline.store import registry  # MLflow takes seconds to import
    from plumbline.store.tracking import open_store

    champion = registry.champion(open_store(paths.home), config.data.name)
    return None if champion is None else champion.number


def fit_from_champion(paths: Paths) -> tuple[int, Report]:
    """Fit and register the second version; the exit code of the stage that failed, and what came
    of it.

    Raises:
        StorageError: DVC itself failed; it has said why.
    """
    config = load_config(paths.params)
    state = read_state(paths.root / config.monitor.folder)
    number = state.get("champion")
    if number is None:
        return 0, Report(rows=[("from the champion", "there was none to start from")])
    address = f"models:/{config.data.name}/{number}"
    name = f"from-champion-{number}-{state['begun'].replace(':', '').partition('+')[0]}"
    quoted = address.replace("'", "\\'")  # as Hydra, which reads it, wants
    settings = ["--temp", "--force", "--name", name, "--set-param", f"model.start_from='{quoted}'"]
    with tempfile.TemporaryDirectory() as folder:
        ended = run_dvc(
            paths.root, settings, {}, Path(folder) / "outcome.json", command=("exp", "run")
        )
    if ended is not None and ended.code:
        return ended.code, Report(rows=[("from the champion", ended.message)])
    return 0, Report(rows=[("from", address), *_decided(config, paths), ("experiment", name)])


def _decided(config: Config, paths: Paths) -> list[tuple[str, str]]:
    from plumbline.store import registry
    from plumbline.store.tracking import open_store

    newest = registry.versions_of(open_store(paths.home), config.data.name)[0]
    decision = newest.decision or {"decision": "unknown", "reasons": ()}
    return [
        ("from the champion", f"{newest.model} version {newest.number}: {decision['decision']}"),
        *(("", str(reason)) for reason in decision["reasons"]),
    ]
