"""register: the run and the model version in MLflow, and who is champion.

Everything is keyed by a hash of what the stages wrote. Done again, it finds what it made; after a
kill it clears what is half made; on a machine with an empty store it makes all of it anew.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from plumbline import artifacts
from plumbline.address import shown
from plumbline.config import Config, Paths
from plumbline.files import write_json, write_text
from plumbline.report.page import render
from plumbline.report.read import Reports
from plumbline.stages import STAGES, Report
from plumbline.stages.champion import Unfit, contract_of
from plumbline.stages.promotion import decide
from plumbline.stages.version_content import raw_model, run_content, version_card
from plumbline.store import moves, registry, tracking
from plumbline.store.card import decision_words, run_name, run_note
from plumbline.store.lineage import NAMES, fingerprint, lineage, split_tags
from plumbline.store.rebuildable import (
    KEY as REBUILDABLE,
)
from plumbline.store.rebuildable import (
    YES,
    are_unchanged,
    rebuild_record,
    rebuild_rows,
    refuse_unclean,
)
from plumbline.store.registry import Version
from plumbline.store.tracking import Store
from plumbline.words import champion_words

BEFORE = STAGES[: STAGES.index("register")]


def run(config: Config, paths: Paths) -> Report:
    """Register what was trained, unless it is; let the gate decide, unless it has."""
    store = tracking.open_store(paths.home)
    noticed = moves.notice(store, config.data.name)
    version = _version(store, config, paths)
    decided = decide(store, version, config, paths)
    _describe(store, version, decided, paths)
    aliases = registry.aliases_of(store, version.model).get(version.number, [])
    result = artifacts.Registered(
        model=version.model,
        version=version.number,
        run_id=version.run_id,
        decision=decided["decision"],
        reasons=decided["reasons"],
        alias=", ".join(aliases),
        lineage={
            n: version.tags[f"plumbline.{n}"] for n in NAMES if f"plumbline.{n}" in version.tags
        },
        history=[dataclasses.asdict(move) for move in moves.moves_of(store, version.model)],
        server=decided.get("server", ""),
    )
    write_json(paths.root / "mlflow" / "registered.json", artifacts.to_json(result))
    report = artifacts.write(result, paths.reports)
    _add_page(store, version, config, paths)
    return Report(
        rows=[
            ("store", shown(store.uri)),
            ("version", f"{version.model} {version.number}"),
            ("decision", str(decided["decision"])),
            *(("", reason) for reason in decided["reasons"]),
            *([("server", result.server)] if result.server else []),
            *([("noticed", moves.describe(noticed))] if noticed else []),
            *rebuild_rows(result.lineage),
        ],
        outputs=[report],
    )


def _version(store: Store, config: Config, paths: Paths) -> Version:
    """The version made from these files; what is missing of run and version is made now."""
    inputs = [paths.model, paths.decision, paths.onnx, paths.prepared / artifacts.PREPROCESSOR]
    inputs += [paths.reports / n for n in ("tuning", "training", "evaluation", "explain", "drift")]
    key = fingerprint(paths.root, [*inputs, paths.reports / artifacts.METRICS])
    where = tracking.experiment(store, config.register.experiment or config.data.name)
    run_id = tracking.finished_run(store, where, key)
    version = registry.version_of_run(store, config.data.name, run_id) if run_id else None
    if version is not None:
        if _is_whole(store, version):
            return _up_to_date(store, version, config, paths)
        run_id = None  # made again, as a version of its own
    made_from = _made_from(config, paths)
    if config.register.require_clean:
        refuse_unclean(made_from)
    if run_id is None:
        run_id = tracking.begin_run(store, where, key, f"unfinished {key[:8]}")
        tracking.fill_run(store, where, run_id, run_content(config, paths, made_from))
        uri = registry.log_model(store, run_id, raw_model(config, paths))
    else:  # killed just before the version
        uri = registry.model_of_run(store, run_id)
    card = version_card(config, paths, made_from)
    tags = {f"plumbline.{name}": value for name, value in made_from.items()}
    tags = {tracking.SHOWN_DECISION: "none yet", **tags}  # MLflow shows them in this order
    tags |= {tracking.KEY: key, **split_tags(paths.root, paths.split / artifacts.SPLIT_INDEX)}
    return registry.add_version(store, config.data.name, uri, run_id, card, tags)


def _describe(store: Store, version: Version, decided: Mapping[str, Any], paths: Paths) -> None:
    """Name the run by version, model and score; its description starts with the verdict."""
    comparison = artifacts.read(artifacts.Comparison, paths.root)
    metrics = artifacts.read(artifacts.Metrics, paths.root)
    model = artifacts.read(artifacts.TrainingSummary, paths.root).model
    words = decision_words(decided["decision"])
    history = [dataclasses.asdict(move) for move in moves.moves_of(store, version.model)]
    tracking.describe_run(
        store,
        version.run_id,
        run_name(version.number, model, comparison, metrics),
        run_note(
            comparison,
            decided["decision"],
            decided["reasons"],
            champion_words(version.number, history),
        ),
        {tracking.SHOWN_DECISION: words},
    )
    registry.show_decision(store, version, words)


def _add_page(store: Store, version: Version, config: Config, paths: Paths) -> None:
    """Put the page, as the next stage will write it, among the artifacts of the run."""
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, artifacts.PAGE)
        write_text(page, render(config, Reports(paths.reports)))
        tracking.add_file(store, version.run_id, page, "reports")


def _up_to_date(store: Store, version: Version, config: Config, paths: Paths) -> Version:
    """A version whose lineage names what has been committed and pushed since it was registered."""
    if version.tags.get(f"plumbline.{REBUILDABLE}", YES) == YES:
        return version
    now = _made_from(config, paths)
    same = all(version.tags.get(f"plumbline.{n}") == now[n] for n in ("data", "params", "model"))
    if not same or now[REBUILDABLE] != YES or not are_unchanged(paths.root, BEFORE):
        return version
    card = version_card(config, paths, now)
    tags = {f"plumbline.{name}": value for name, value in now.items()}
    return registry.update_version(store, version, card, tags)


def _made_from(config: Config, paths: Paths) -> dict[str, str]:
    """What it takes to rebuild the model, and to tell whether the rebuild is the same."""
    hashes = lineage(paths.root, paths.model)
    record = rebuild_record(paths.root, paths.state, paths.model, hashes["data"])
    return {**hashes, **_start(config, paths), **record}


def _start(config: Config, paths: Paths) -> dict[str, str]:
    """The network that the fit started from, where there is one."""
    if config.model.start_from is None:
        return {}
    start = artifacts.read(artifacts.TrainingSummary, paths.root).start or {}
    return {"start": f"{start.get('source')}, SHA-256 {start.get('sha256')}"}


def _is_whole(store: Store, version: Version) -> bool:
    """Whether MLflow still has the model of a version, as it was exported."""
    try:
        contract_of(registry.files_of(store, version))
    except Unfit:
        return False
    return True
