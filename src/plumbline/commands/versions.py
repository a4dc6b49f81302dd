"""What is registered, and who made it champion: `plumbline versions`."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence

from plumbline.commands.promote import note_history
from plumbline.config import Paths, load_config
from plumbline.numbers import NOTHING
from plumbline.results import table
from plumbline.store import moves, registry
from plumbline.store.moves import Move
from plumbline.store.registry import Version
from plumbline.store.tracking import Store, existing_store
from plumbline.words import MOVE_WORDS, UNKNOWN, metric_interval, metric_label, metric_value

HASH = 8  # characters of a hash that are shown
COLUMNS = ("version", "alias", "gate", "test rows", "data", "commit", "registered", "by")


def versions(paths: Paths, width: int) -> str:
    """Every version, the newest first, and the history of the champion, in `width` characters.

    Raises:
        StorageError: nothing is registered yet, or MLflow does not answer.
    """
    model = load_config(paths.params).data.name
    store = existing_store(paths.home)
    noticed = moves.notice(store, model)
    if noticed:
        note_history(store, model, paths)
    listed, history = registry.versions_of(store, model), moves.moves_of(store, model)
    if not listed:
        return f"{model}: no version is registered yet"
    aliases = registry.aliases_of(store, model)
    rows = [_row(store, one, aliases, history) for one in listed]
    parts = [f"{model}, newest version first", _fit(COLUMNS, rows, width)]
    if history:
        parts += ["champion, latest move first", _history(history[::-1], width)]
    return "\n\n".join(parts)


def _row(
    store: Store, version: Version, aliases: Mapping[str, Sequence[str]], history: Sequence[Move]
) -> list[str]:
    decided, tags = version.decision or {}, version.tags
    metric = decided.get("rules", {}).get("metric")
    metrics, user = registry.metrics_of(store, version)
    decision = str(decided.get("decision", NOTHING))
    last = history[-1] if history else None
    if last is None or last.after != version.number:
        approvals = moves.approvals_of(version, last)
        decision += "".join(f", approved by {one.who}: {one.why}" for one in approvals)
    return [
        version.number,
        ", ".join(aliases.get(version.number, [])) or NOTHING,
        decision,
        _score(metric, metrics),
        tags.get("plumbline.data", NOTHING)[:HASH],
        tags.get("plumbline.git_commit", NOTHING)[:HASH],
        f"{version.created:%Y-%m-%d %H:%M}",
        tags.get("plumbline.user") or user or NOTHING,
    ]


def _score(metric: str | None, metrics: Mapping[str, float]) -> str:
    """The metric of the gate on test rows, with its interval."""
    if metric is None or f"test/{metric}" not in metrics:
        return NOTHING
    text = f"{metric_label(metric)} {metric_value(metric, metrics[f'test/{metric}'])}"
    ends = [metrics.get(f"test_ci95_{end}/{metric}") for end in ("low", "high")]
    return text if None in ends else f"{text} ({metric_interval(metric, *ends)})"


def _fit(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """A table, or where it is wider than the terminal a block per row."""
    text = table(columns, rows)
    if max(map(len, text.splitlines())) <= width:
        return text
    label = max(map(len, columns)) + 2
    blocks = []
    for row in rows:
        lines: list[str] = []
        for column, value in zip(columns, row, strict=True):
            lines += textwrap.wrap(
                value, width, initial_indent=f"{column:<{label}}", subsequent_indent=" " * label
            )
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _history(history: Sequence[Move], width: int) -> str:
    """Who moved the champion: two lines and more per move, whatever the width."""
    lines = []
    for move in history:
        before, after = move.before or NOTHING, move.after or NOTHING
        who = "" if move.who == UNKNOWN else f", {move.who}"
        approved = "".join(f", approved by {one['who']}" for one in move.approvals)
        when, how = move.when[:16].replace("T", " "), MOVE_WORDS[move.how]
        lines += textwrap.wrap(f"{when}  {before} → {after}  {how}{who}{approved}", width)
        for why in (move.why, *(f"{one['who']}: {one['why']}" for one in move.approvals)):
            lines += textwrap.wrap(why, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)
