"""Who is champion: the gate is asked about a version, and what it says is done and kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.errors import GateError
from plumbline.evaluation.gate import GateDecision, GateResult, Rules, accept_first, decide_version
from plumbline.evaluation.slices import Slice
from plumbline.examples import Examples
from plumbline.kinds import Part
from plumbline.stages.champion import (
    Unfit,
    contract_of,
    measure_costs,
    present_candidate,
    registered_candidate,
)
from plumbline.stages.inputs import load_part, load_spec, load_table, resolve_metric
from plumbline.stages.server_check import check_server
from plumbline.stages.sliced import slice_rows
from plumbline.store import moves, registry, tracking
from plumbline.store.fitted import person
from plumbline.store.lineage import same_test_rows
from plumbline.store.registry import Version
from plumbline.store.tracking import Store

NOT_SERVED = "not promoted: the server does not answer with it"
BECOMES_CHAMPION = (GateDecision.FIRST, GateDecision.PROMOTE)


def decide(store: Store, version: Version, config: Config, paths: Paths) -> Mapping[str, Any]:
    """What the gate says, or said: of the same version, champion and rules it says the same."""
    rules = _rules(config, paths)
    while True:
        current = registry.champion(store, version.model)
        known = _known(store, version, current, rules, config.register.recent_rows)
        settled = known is not None and version.tags.get(registry.SETTLED) == "true"
        decided = known or _ask_gate(store, version, current, rules, config, paths)
        if _number(registry.champion(store, version.model)) == _number(current):
            break  # else another version became champion meanwhile: compare with that one
    if known is None:
        if decided["decision"] in BECOMES_CHAMPION:
            decided = {**decided, **_server_answer(store, version, config, paths)}
        registry.write_decision(store, version, decided)
    if not settled and decided["decision"] in BECOMES_CHAMPION:
        who, why = person(paths.root), "; ".join(decided["reasons"])
        moves.move_champion(store, version, how="gate", who=who, why=why)
    registry.place_challenger(store, version.model)
    if not settled:
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
    store: Store,
    version: Version,
    current: Version | None,
    rules: Rules,
    recent_rows: int | None,
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
    now = {
        "against": _number(current),
        "rules": dataclasses.asdict(rules),
        "recent_rows": recent_rows,
    }
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
    return {
        **result.to_json(),
        "against": against,
        "rules": dataclasses.asdict(rules),
        "recent_rows": config.register.recent_rows,
    }


def _server_answer(store: Store, version: Version, config: Config, paths: Paths) -> dict[str, str]:
    """What became of asking the server, where that is wanted; nothing is decided where it fails, so
    that the next run asks again.

    Raises:
        GateError: it does not answer as it should.
    """
    if not config.register.ask_server:
        return {}
    try:
        return {"server": ask_server(store, version, config, paths)}
    except GateError:
        registry.show_decision(store, version, NOT_SERVED)
        raise


def ask_server(store: Store, version: Version, config: Config, paths: Paths) -> str:
    """Start the real server with a version and ask it.

    Raises:
        GateError: it does not answer as it should.
    """
    folder = registry.files_of(store, version)
    assert folder is not None  # looked at before
    return check_server(folder, f"{version.model} version {version.number}", config, paths)


def _number(version: Version | None) -> str | None:
    return None if version is None else version.number


def _compare(
    store: Store, version: Version, baseline: Version, rules: Rules, config: Config, paths: Paths
) -> GateResult:
    """Score both on the same test rows; a person decides where that cannot be done."""
    test = _compared_rows(config, paths)
    name = f"version {baseline.number}"
    if not len(test):
        reason = (
            f"none of the test rows is among the last {config.register.recent_rows:,} rows of the "
            "data (register.recent_rows)"
        )
        return GateResult(decision=GateDecision.REVIEW, reasons=(reason,))
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
    result = decide_version(test.y, new, old, _slices(config, paths, test), rules, config.seed)
    reasons = [f"champion is {name}"]
    if config.register.recent_rows is not None:
        reasons.append(
            f"compared on the test rows among the last {config.register.recent_rows:,} rows"
        )
    if not same_test_rows(baseline.tags, paths.root, paths.split / artifacts.SPLIT_INDEX):
        reasons.append(
            "the champion was trained on another split and may have seen some of these rows: "
            "its score may be too good"
        )
    return dataclasses.replace(result, reasons=(*reasons, *result.reasons))


def _compared_rows(config: Config, paths: Paths) -> Examples:
    """The test rows, or those among the newest rows of the data, which `ingest` puts at its end."""
    test, recent = load_part(paths, Part.TEST), config.register.recent_rows
    if recent is None:
        return test
    table, _ = load_table(config, paths)
    return test.take(np.asarray(test.rows) >= table.rows - table.test_rows - recent)


def _slices(config: Config, paths: Paths, test: Examples) -> list[Slice]:
    """The slices that the evaluate stage showed, as positions in the rows that are compared."""
    shown_slices = artifacts.read(artifacts.SliceScores, paths.root).slices
    columns = list(dict.fromkeys(one["column"] for one in shown_slices))
    wanted = {(one["column"], one["value"]) for one in shown_slices}
    if not columns:
        return []
    table, schema = load_table(config, paths)
    train = load_part(paths, Part.TRAIN)
    smallest = config.evaluate.min_slice_rows
    slices = slice_rows(table, schema, columns, train, test, auto=False, min_rows=smallest)
    return [one for one in slices if (one.column, one.value) in wanted]
