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

import polars as pl

from plumbline import artifacts
from plumbline.address import shown
from plumbline.config import Config, Paths
from plumbline.evaluation.gate import GateDecision, GateResult, Rules, accept_first, decide_version
from plumbline.evaluation.slices import Slice
from plumbline.files import read_json, write_json, write_text
from plumbline.inference import decision
from plumbline.kinds import ColumnType, Part
from plumbline.preprocessing.frames import take_rows
from plumbline.report.page import render
from plumbline.report.read import Reports
from plumbline.stages import STAGES, Report
from plumbline.stages.champion import (
    Unfit,
    contract_of,
    measure_costs,
    present_candidate,
    registered_candidate,
)
from plumbline.stages.inputs import (
    load_part,
    load_spec,
    load_split,
    load_table,
    resolve_metric,
)
from plumbline.stages.sliced import slice_rows
from plumbline.store import moves, registry, tracking
from plumbline.store.card import CardSource, decision_words, model_card, run_name, run_note
from plumbline.store.content import flatten, read_content
from plumbline.store.lineage import NAMES, fingerprint, lineage, split_hash
from plumbline.store.raw_model import RawModel
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
from plumbline.store.registry import CHALLENGER, Version
from plumbline.store.tracking import Content, Store

SPLIT = "plumbline.split"
EXAMPLE_ROWS, EXAMPLE_FROM = 2, 20  # test rows that a version keeps; of the first so many
MISSING_LAST = 2**40  # bytes: rows that lack an image are the last to be an example
BEFORE = STAGES[: STAGES.index("register")]
BECOMES_CHAMPION = (GateDecision.FIRST, GateDecision.PROMOTE)


def run(config: Config, paths: Paths) -> Report:
    """Register what was trained, unless it is; let the gate decide, unless it has."""
    store = tracking.open_store(paths.home)
    noticed = moves.notice(store, config.data.name)
    version = _version(store, config, paths)
    decided = _decide(store, version, config, paths)
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
    contract = read_json(paths.onnx / artifacts.CONTRACT)
    made_from = _made_from(config, paths)
    if config.register.require_clean:
        refuse_unclean(made_from)
    if run_id is None:
        run_id = tracking.begin_run(store, where, key, f"unfinished {key[:8]}")
        tracking.fill_run(store, where, run_id, _content(config, paths, made_from))
        uri = _log_model(store, run_id, config, paths)
    else:  # killed just before the version
        uri = registry.model_of_run(store, run_id)
    card = _card(config, paths, contract, made_from)
    tags = {f"plumbline.{name}": value for name, value in made_from.items()}
    tags = {tracking.SHOWN_DECISION: "none yet", **tags}  # MLflow shows them in this order
    tags |= {tracking.KEY: key, SPLIT: _split_hash(paths)}
    return registry.add_version(store, config.data.name, uri, run_id, card, tags)


def _describe(store: Store, version: Version, decided: Mapping[str, Any], paths: Paths) -> None:
    """Name the run by version, model and score; its description starts with the verdict."""
    comparison = artifacts.read(artifacts.Comparison, paths.root)
    metrics = artifacts.read(artifacts.Metrics, paths.root)
    model = artifacts.read(artifacts.TrainingSummary, paths.root).model
    words = decision_words(decided["decision"])
    tracking.describe_run(
        store,
        version.run_id,
        run_name(version.number, model, comparison, metrics),
        run_note(comparison, decided["decision"], decided["reasons"]),
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
    card = _card(config, paths, read_json(paths.onnx / artifacts.CONTRACT), now)
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


def _content(config: Config, paths: Paths, made_from: Mapping[str, str]) -> Content:
    folders = ("split", "tuning", "training", "evaluation", "explain", "drift")
    files = [(paths.reports / name, f"reports/{name}") for name in folders]
    files += [(paths.reports / f"{n}.json", "reports") for n in ("metrics", "leakage", "parity")]
    validation = (artifacts.VALIDATION, artifacts.VALIDATION_PAGE, artifacts.COLUMNS)
    files += [(paths.reports / name, "reports/validation") for name in validation]
    files += [(paths.params, ""), (paths.expectations, "")]
    lock = paths.root / "dvc.lock"
    return read_content(
        paths.root,
        _params_used(config, paths),
        made_from,
        {"name": config.data.name, "path": config.data.path},
        [*files, (lock, "")] if lock.exists() else files,
        paths.model,
        artifacts.read(artifacts.Comparison, paths.root).metric,
    )


def _log_model(store: Store, run_id: str, config: Config, paths: Paths) -> str:
    table, schema = load_table(config, paths)
    split, names = load_split(paths), [column.name for column in schema.features]
    train = take_rows(table, split.rows(Part.TRAIN)).select(pl.col(names).null_count())
    gaps = train.collect(engine="streaming").row(0, named=True)
    test = take_rows(table, split.rows(Part.TEST)[:EXAMPLE_FROM]).select(names)
    example = test.collect(engine="streaming")
    images = [c.name for c in schema.features if c.type is ColumnType.IMAGE]
    if images:  # an example is text; large images make it large
        sizes = pl.sum_horizontal(pl.col(images).bin.size().cast(pl.Int64).fill_null(MISSING_LAST))
        example = example.sort(sizes, maintain_order=True)
    model = RawModel(
        graph=paths.onnx / artifacts.GRAPH,
        files=[
            paths.onnx / artifacts.CONTRACT,
            paths.model / artifacts.PREPROCESSOR,
            paths.decision / decision.FILE,
            paths.expectations,
        ],
        gaps={name for name, count in gaps.items() if count},
        example=example[:EXAMPLE_ROWS],
    )
    return registry.log_model(store, run_id, model)


def _decide(store: Store, version: Version, config: Config, paths: Paths) -> Mapping[str, Any]:
    """What the gate says, or said: of the same version, champion and rules it says the same."""
    rules = _rules(config, paths)
    while True:
        current = registry.champion(store, version.model)
        known = _known(store, version, current, rules)
        settled = known is not None and version.tags.get(registry.SETTLED) == "true"
        decided = known or _ask_gate(store, version, current, rules, config, paths)
        if _number(registry.champion(store, version.model)) == _number(current):
            break  # else another version became champion meanwhile: compare with that one
    if known is None:
        registry.write_decision(store, version, decided)
    if not settled:
        if decided["decision"] in BECOMES_CHAMPION:
            who, why = moves.person(paths.root), "; ".join(decided["reasons"])
            moves.move_champion(store, version, how="gate", who=who, why=why)
        elif _number(current) != version.number:
            registry.set_alias(store, version, CHALLENGER)
        registry.settle(store, version)
    return decided


def _rules(config: Config, paths: Paths) -> Rules:
    spec, settings = load_spec(paths), config.register
    own = settings.metric != "auto"
    wanted = settings.metric if own else config.evaluate.metric
    return Rules(
        metric=resolve_metric(wanted, spec.task, "register.metric" if own else "evaluate.metric"),
        significance=settings.significance,
        max_slice_loss=settings.max_slice_loss,
        by_hand=settings.promote == "review" or settings.approvals > 1,
        benefit=settings.benefit,
        min_benefit=settings.min_benefit,
        margin=settings.margin,
    )


def _known(
    store: Store, version: Version, current: Version | None, rules: Rules
) -> dict[str, Any] | None:
    """What the gate said of the version, where that still holds: it is the champion, or champion
    and rules are the same, or a person moved the champion away from it."""
    known = version.decision
    if known is None:
        return None
    if _number(current) == version.number:
        return known
    history = moves.moves_of(store, version.model)
    by_person = bool(history) and history[-1].how != "gate"
    if by_person and any(move.after == version.number for move in history):
        return known
    now = {"against": _number(current), "rules": dataclasses.asdict(rules)}
    return known if all(known.get(name) == value for name, value in now.items()) else None


def _ask_gate(
    store: Store,
    version: Version,
    current: Version | None,
    rules: Rules,
    config: Config,
    paths: Paths,
) -> dict[str, Any]:
    """Ask the gate; the answer is kept with what it depended on."""
    if current is not None and current.number != version.number:
        result = _compare(store, version, current, rules, config, paths)
        against = current.number
    else:
        former = [m.after for m in moves.moves_of(store, version.model) if m.after is not None]
        gone = former[-1] if former and current is None else None
        result, against = accept_first(rules, former=gone), None
    return {**result.to_json(), "against": against, "rules": dataclasses.asdict(rules)}


def _number(version: Version | None) -> str | None:
    return None if version is None else version.number


def _compare(
    store: Store, version: Version, baseline: Version, rules: Rules, config: Config, paths: Paths
) -> GateResult:
    """Score both on the same test rows; a person decides where that cannot be done."""
    test = load_part(paths, Part.TEST)
    name = f"version {baseline.number}"
    folder = registry.files_of(store, baseline)
    try:
        contract_of(folder)
        assert folder is not None
        champion = registered_candidate(folder, config, paths, test)
    except Unfit as why:
        if baseline.tags.get(tracking.KEY) == version.tags.get(tracking.KEY) and not rules.by_hand:
            reason = f"takes the place of {name}, the same model: {why}"
            return GateResult(decision=GateDecision.PROMOTE, reasons=(reason,))
        reason = f"the champion, {name}, cannot be scored on these rows: {why}"
        return GateResult(decision=GateDecision.REVIEW, reasons=(reason,))
    scored = present_candidate(paths, test)
    new, old = scored.candidate, champion.candidate
    if rules.benefit is not None:
        new, old = measure_costs(rules.benefit, scored, champion)
    result = decide_version(test.y, new, old, _slices(config, paths), rules, config.seed)
    reasons = [f"champion is {name}"]
    if baseline.tags.get(SPLIT) != _split_hash(paths):
        reasons.append(
            "the champion was trained on another split and may have seen some of these rows: "
            "its score may be too good"
        )
    return dataclasses.replace(result, reasons=(*reasons, *result.reasons))


def _slices(config: Config, paths: Paths) -> list[Slice]:
    """The slices that the evaluate stage showed, as positions in the test rows."""
    shown_slices = artifacts.read(artifacts.SliceScores, paths.root).slices
    columns = list(dict.fromkeys(one["column"] for one in shown_slices))
    wanted = {(one["column"], one["value"]) for one in shown_slices}
    if not columns:
        return []
    table, schema = load_table(config, paths)
    train, test = load_part(paths, Part.TRAIN), load_part(paths, Part.TEST)
    smallest = config.evaluate.min_slice_rows
    slices = slice_rows(table, schema, columns, train, test, auto=False, min_rows=smallest)
    return [one for one in slices if (one.column, one.value) in wanted]


def _params_used(config: Config, paths: Paths) -> dict[str, Any]:
    """params.yaml, with the values that the tuner found where it says `tuned`."""
    values = artifacts.read(artifacts.TuningSummary, paths.root).values
    flat = dict(flatten(dataclasses.asdict(config)))
    # the owner's words are in the card: they explain no difference between two runs
    flat = {key: value for key, value in flat.items() if not key.startswith("register.card.")}
    return {**flat, **{key: values[key] for key in config.tuned if key in values}}


def _card(
    config: Config, paths: Paths, contract: Mapping[str, Any], made_from: Mapping[str, str]
) -> str:
    root = paths.root
    source = CardSource(
        name=config.data.name,
        target=config.data.target,
        owner=config.register.card,
        contract=contract,
        split=read_json(paths.split / artifacts.SPLIT_SUMMARY),
        architecture=artifacts.read(artifacts.Architecture, root),
        training=artifacts.read(artifacts.TrainingSummary, root),
        metrics=artifacts.read(artifacts.Metrics, root),
        comparison=artifacts.read(artifacts.Comparison, root),
        slices=artifacts.read(artifacts.SliceScores, root),
        leakage=artifacts.read(artifacts.LeakageResult, root),
        drift=artifacts.read(artifacts.DriftResult, root),
        lineage=made_from,
    )
    return model_card(source)


def _split_hash(paths: Paths) -> str:
    return split_hash(paths.root, paths.split / artifacts.SPLIT_INDEX)
