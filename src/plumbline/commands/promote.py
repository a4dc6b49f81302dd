"""A person moves the champion: `plumbline promote`, `plumbline rollback`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from plumbline.config import Paths, load_config
from plumbline.errors import ParameterError, StorageError
from plumbline.files import exclusive, read_json, write_json
from plumbline.numbers import plural
from plumbline.stages import Report
from plumbline.stages.champion import Unfit, contract_of
from plumbline.stages.promotion import ask_server
from plumbline.store import moves, registry
from plumbline.store.fitted import person
from plumbline.store.moves import Approval, Move
from plumbline.store.registry import Version
from plumbline.store.tracking import Store, existing_store

MOST_CHARACTERS = 2000  # of a reason


def promote(which: str, reason: str, paths: Paths) -> Report:
    """Make a version the champion, or record an approval where more people are needed.

    Args:
        which: a version's number, or an alias.

    Raises:
        ParameterError: no such version, or no reason.
        StorageError: MLflow does not answer, or has lost the version's files.
        GateError: the server does not answer with the version as it should.
    """
    why, config = _checked(reason), load_config(paths.params)
    with exclusive(paths.locks / "champion", "'plumbline promote' or 'plumbline rollback'"):
        store = existing_store(paths.home)
        noticed = moves.notice(store, config.data.name)
        version = _version(store, config.data.name, which)
        current = registry.champion(store, version.model)
        if current is not None and current.number == version.number:
            text = f"{_named(version)} is the champion; nothing changed"
            if noticed is None:
                return Report(rows=[("champion", text)], outputs=[])
            return _report(text, noticed, paths)
        _check_files(store, version)
        asks = config.register.ask_server
        server = [("server", ask_server(store, version, config, paths))] if asks else []
        who, given = person(paths.root), list[Approval]()
        if config.register.approvals > 1:
            given, before = moves.approve(store, version, who=who, why=why)
            missing = config.register.approvals - len(given)
            if missing > 0:
                return _wait(version, given, before, missing, [*server, *_noticed(noticed)])
        move = moves.move_champion(store, version, how="promote", who=who, why=why, approvals=given)
        note_history(store, version.model, paths)
    return _report(_moved(version, move), noticed, paths, server)


def rollback(reason: str, paths: Paths) -> Report:
    """Make the version champion that was before the present one; one person may do it.

    Raises:
        ParameterError: no reason, or there is no former champion.
        StorageError: MLflow does not answer, or has lost the version's files.
    """
    why, config = _checked(reason), load_config(paths.params)
    model = config.data.name
    with exclusive(paths.locks / "champion", "'plumbline promote' or 'plumbline rollback'"):
        store = existing_store(paths.home)
        noticed = moves.notice(store, model)
        if noticed is not None and noticed.how == "rollback":  # killed half-way; now complete
            note_history(store, model, paths)
            return _report(f"the interrupted rollback is complete: {model}", noticed, paths)
        existing = {one.number for one in registry.versions_of(store, model)}
        number = moves.former_champion(moves.moves_of(store, model), existing)
        if number is None:
            raise ParameterError(
                f"model '{model}' has no former champion",
                hint="`plumbline versions` lists what there is; "
                "`plumbline promote VERSION --reason TEXT` takes any version",
            )
        version = _version(store, model, number)
        _check_files(store, version)
        who = person(paths.root)
        move = moves.move_champion(store, version, how="rollback", who=who, why=why)
        note_history(store, model, paths)
    return _report(_moved(version, move), noticed, paths)


def note_history(store: Store, model: str, paths: Paths) -> None:
    """Write the history into the stage's output that DVC does not cache, so that the next
    `plumbline repro` brings the page up to date."""
    file = paths.root / "mlflow" / "registered.json"
    try:
        content = read_json(file)
        if content["model"] != model:
            return
    except (OSError, ValueError, KeyError, TypeError):
        return
    history = [dataclasses.asdict(move) for move in moves.moves_of(store, model)]
    write_json(file, {**content, "history": history})


def _checked(reason: str) -> str:
    why = " ".join(reason.split())
    if not why or len(why) > MOST_CHARACTERS:
        raise ParameterError(
            "the reason is kept with the version",
            where="--reason",
            wanted=f"1 to {MOST_CHARACTERS:,} characters",
            got=f"{len(why):,}" if why else "none",
            hint='for example --reason "fewer false alarms in May"',
        )
    return why


def _version(store: Store, model: str, which: str) -> Version:
    name = which.removeprefix("@").removeprefix("/")
    version = registry.version_at(store, model, number=name)
    if version is None and not name.isdigit():
        version = registry.version_at(store, model, alias=name)
    if version is None:
        names = registry.names_of(store, model)
        raise ParameterError(
            f"model '{model}' has no version '{name}'",
            wanted=", ".join(n.removeprefix("/") for n in names[:10]) or "a registered version",
            got=which,
            hint="`plumbline versions` lists what there is",
        )
    return version


def _check_files(store: Store, version: Version) -> None:
    try:
        contract_of(registry.files_of(store, version))
    except Unfit as why:
        raise StorageError(
            f"{_named(version)} cannot become champion: {why}",
            hint="`plumbline versions` lists the others; the champion has not moved",
        ) from None


def _wait(
    version: Version,
    given: list[Approval],
    before: Approval | None,
    missing: int,
    more: list[tuple[str, str]],
) -> Report:
    """What is missing; `before`: the approval that the same person had given."""
    people = plural(missing, "more person", "more people")
    rows = [
        ("approved", f"{_named(version)}, by {', '.join(one.who for one in given)}"),
        *([("", f"you approved it already, {_when(before)}: {before.why}")] if before else []),
        ("missing", f"{people} (register.approvals); the champion has not moved"),
        ("", f"they run `plumbline promote {version.number} --reason TEXT`"),
    ]
    return Report(rows=[*rows, *more], outputs=[])


def _when(approval: Approval) -> str:
    return f"{approval.when[:16].replace('T', ' ')} UTC"


def _moved(version: Version, move: Move | None) -> str:
    before = f", before: version {move.before}" if move and move.before else ""
    return f"{_named(version)}{before}"


def _report(
    text: str, noticed: Move | None, paths: Paths, more: Sequence[tuple[str, str]] = ()
) -> Report:
    rows = [("champion", text), *more, *_noticed(noticed)]
    if (paths.root / "mlflow" / "registered.json").exists():
        rows.append(("", "`plumbline repro` brings the page up to date"))
    return Report(rows=rows, outputs=[])


def _noticed(move: Move | None) -> list[tuple[str, str]]:
    return [("noticed", moves.describe(move))] if move else []


def _named(version: Version) -> str:
    return f"{version.model} version {version.number}"
