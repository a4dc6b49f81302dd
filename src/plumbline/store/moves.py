"""Who moved the alias `champion`, when, why and from which version: tags that stay.

A move is written on the version as begun, then the alias is set, and `challenger` after it, then
the move is written on the registered model and, as done, on the version. So a process that is
killed in between leaves either nothing (the alias has not moved) or a move that the next command
completes. The record on the registered model is the history: it stays when a version is deleted.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from plumbline.store import registry, tracking
from plumbline.store.card import with_champion
from plumbline.store.registry import Version
from plumbline.store.tracking import Store
from plumbline.words import MOVE_WORDS, UNKNOWN, champion_words, move_words

MOVE, APPROVAL = "plumbline.champion.", "plumbline.approval."  # and the time
KEY = "%Y%m%dT%H%M%S.%fZ"
SHOWN = "champion"  # tag in words, for people

How = Literal["gate", "promote", "rollback", "by hand"]


@dataclass(frozen=True, kw_only=True)
class Move:
    """The alias `champion` moved from version `before` to `after`; None: no version had it.

    `when`: UTC, ISO 8601; of a move `by hand` when it was noticed. `approvals`: of the others who
    had approved it, `who`, `when` and `why` each.
    """

    when: str
    how: How
    who: str
    why: str
    before: str | None
    after: str | None
    approvals: Sequence[Mapping[str, str]] = ()

    @property
    def key(self) -> str:
        return dt.datetime.fromisoformat(self.when).strftime(KEY)


@dataclass(frozen=True, kw_only=True)
class Approval:
    """Somebody's consent that a version becomes champion."""

    when: str
    who: str
    why: str


def moves_of(store: Store, model: str) -> list[Move]:
    """The history of the alias `champion`, the oldest move first."""
    tags = registry.model_tags(store, model)
    return [_move(tags[key]) for key in sorted(tags) if key.startswith(MOVE)]


def notice(store: Store, model: str) -> Move | None:
    """Record a move that is not in the history: one that was begun here and whose process was
    killed, or one that somebody made in MLflow. Returns it; None where there is none.

    A model that was registered before there was a history gets its first entry.
    """
    history, current = moves_of(store, model), registry.champion(store, model)
    last = history[-1] if history else None
    before, after = last.after if last else None, current.number if current else None
    if before == after:
        return _complete(store, current, last) if current and last else None
    begun = _begun(current, last) if current else None
    if begun is not None and current is not None:
        _record(store, model, begun, current)
        return begun
    why = "the alias was set in MLflow" if current else "the alias or its version was deleted"
    noticed = Move(when=_now(last), how="by hand", who=UNKNOWN, why=why, before=before, after=after)
    if last is None and current is not None and current.decision is not None:
        why = "registered before moves were recorded"
        noticed = dataclasses.replace(noticed, how="gate", why=why)
    _record(store, model, noticed, current)
    return noticed


def move_champion(
    store: Store,
    version: Version,
    *,
    how: How,
    who: str,
    why: str,
    approvals: Sequence[Approval] = (),
) -> Move | None:
    """Set the alias `champion` on a version and record it; None where the version has it.

    Call `notice` first.
    """
    history, current = moves_of(store, version.model), registry.champion(store, version.model)
    if current is not None and current.number == version.number:
        return None
    last = history[-1] if history else None
    move = Move(
        when=_now(last),
        how=how,
        who=who,
        why=why,
        before=current.number if current else None,
        after=version.number,
        approvals=[dataclasses.asdict(one) for one in approvals if one.who != who],
    )
    registry.set_version_tag(store, version, MOVE + move.key, _text(move, begun=True))
    registry.set_alias(store, version, registry.CHAMPION)
    _record(store, version.model, move, version)
    return move


def approve(
    store: Store, version: Version, *, who: str, why: str
) -> tuple[list[Approval], Approval | None]:
    """Record somebody's approval of a version, unless they have approved it; returns all that
    count, and theirs from before."""
    history = moves_of(store, version.model)
    last = history[-1] if history else None
    given = approvals_of(version, last)
    before = next((one for one in given if _same(one.who, who)), None)
    if before is None:
        made = Approval(when=_now(last), who=who, why=why)
        key = dt.datetime.fromisoformat(made.when).strftime(KEY)
        text = json.dumps(dataclasses.asdict(made), ensure_ascii=False)
        registry.set_version_tag(store, version, APPROVAL + key, text)
        given.append(made)
    return given, before


def approvals_of(version: Version, last: Move | None) -> list[Approval]:
    """Approvals by different people since the champion last moved: who approved a version
    against another champion has not compared it with this one."""
    given: list[Approval] = []
    for key in sorted(version.tags):
        if key.startswith(APPROVAL) and (last is None or key > APPROVAL + last.key):
            one = Approval(**json.loads(version.tags[key]))
            if not any(_same(one.who, other.who) for other in given):
                given.append(one)
    return given


def former_champion(history: Sequence[Move], existing: Collection[str]) -> str | None:
    """The existing version that was champion before the present one; a rollback undoes a move, so
    that the next one goes back further."""
    stack: list[str] = []
    for move in history:
        if move.after is None:
            continue
        if move.how == "rollback" and move.after in stack:
            while stack[-1] != move.after:
                stack.pop()
        elif not stack or stack[-1] != move.after:
            stack.append(move.after)
    current = history[-1].after if history else None
    former = [number for number in stack if number in existing and number != current]
    return former[-1] if former else None


def describe(move: Move) -> str:
    """A move in a sentence."""
    before, after = (f"version {n}" if n else "no version" for n in (move.before, move.after))
    who = "" if move.who == UNKNOWN else f", {move.who}"
    return f"champion: {before} → {after} ({MOVE_WORDS[move.how]}{who}): {move.why}"


def _begun(version: Version, last: Move | None) -> Move | None:
    """The latest move to a version that was begun after the last in the history, from there."""
    after = MOVE + last.key if last else ""
    for key in sorted(version.tags, reverse=True):
        if key.startswith(MOVE) and key > after and json.loads(version.tags[key]).get("begun"):
            move = _move(version.tags[key])
            return move if move.before == (last.after if last else None) else None
    return None


def _complete(store: Store, version: Version, last: Move) -> Move | None:
    """The last move, if all that its process had left to do was to note on the version that it is
    done, which is done now."""
    key = MOVE + last.key
    if not json.loads(version.tags.get(key, "{}")).get("begun"):
        return None
    _show(store, version.model, last)
    registry.set_version_tag(store, version, key, _text(last))
    return last


def _record(store: Store, model: str, move: Move, version: Version | None) -> None:
    registry.place_challenger(store, model)
    registry.set_model_tag(store, model, MOVE + move.key, _text(move))
    _show(store, model, move)
    if version is not None:
        registry.set_version_tag(store, version, MOVE + move.key, _text(move))


def _show(store: Store, model: str, move: Move) -> None:
    """Tag both versions in words, and say it in the descriptions of their runs: MLflow shows the
    gate's decision beside it, which may differ."""
    words = move_words(dataclasses.asdict(move))
    history = [dataclasses.asdict(one) for one in moves_of(store, model)]
    then = f"then version {move.after}" if move.after else "then none"
    for number, text in (
        (move.before, f"until {words}; {then}"),
        (move.after, f"since {words}"),
    ):
        which = registry.version_at(store, model, number=number) if number else None
        if which is not None:
            registry.set_version_tag(store, which, SHOWN, text)
            note = tracking.note_of(store, which.run_id)
            if note is not None:
                text_now = with_champion(note, champion_words(which.number, history))
                tracking.set_note(store, which.run_id, text_now)


def _now(last: Move | None) -> str:
    """The present time, or just after the last move where this machine's clock is behind."""
    now = dt.datetime.now(dt.UTC)
    if last is not None:
        now = max(now, dt.datetime.fromisoformat(last.when) + dt.timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds")


def _text(move: Move, *, begun: bool = False) -> str:
    content = {**dataclasses.asdict(move), **({"begun": True} if begun else {})}
    return json.dumps(content, ensure_ascii=False)


def _move(text: str) -> Move:
    content: dict[str, Any] = json.loads(text)
    content.pop("begun", None)
    return Move(**content)


def _same(one: str, other: str) -> bool:
    return " ".join(one.split()).casefold() == " ".join(other.split()).casefold()
