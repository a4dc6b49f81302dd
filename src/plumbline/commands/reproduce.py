"""`plumbline reproduce NAME@ALIAS`: rebuild a registered version and say whether it is the same."""

from __future__ import annotations

import re
from pathlib import Path

from plumbline.commands.rebuilding import (
    bring_data,
    check_out,
    find_commit,
    other_files,
    run_stages,
)
from plumbline.config import Paths, load_config
from plumbline.errors import DataError, GateError, ParameterError, StorageError
from plumbline.files import exclusive, scratch, write_json
from plumbline.stages import Report
from plumbline.store.bundle_files import WEIGHTS
from plumbline.store.fitted import fit_of, libraries, processor
from plumbline.store.lineage import UNKNOWN
from plumbline.store.recorded import (
    RebuildComparison,
    Recorded,
    compare,
    environment_notes,
    rebuilt,
    recorded,
)
from plumbline.store.registry import Version, names_of, version_at
from plumbline.store.tracking import Store, existing_store

ADDRESS = re.compile(r"(?:models:/)?([^/@]+)(?:@([^/@]+)|/(\d+))?")
FILE = "reproduced.json"  # in .plumbline/
SHOWN = 8
UNEXPLAINED = (
    "none of what is recorded differs: a library that is not recorded, or a step that does not "
    "repeat on this machine; run it again to tell"
)


def reproduce(address: str | None, paths: Paths, *, commit: str | None = None) -> Report:
    """Rebuild a version in a folder of its own and hold weights and metrics against it.

    Args:
        address: `NAME@ALIAS` or `NAME/N`; None: the champion of `data.name`.
        commit: rebuild this commit with its own data in place of the version's.

    Raises:
        DataError, StorageError: it cannot be rebuilt; says how to fix that.
    """
    store = existing_store(paths.home)
    version = _version(store, address or load_config(paths.params).data.name)
    name = f"{version.model} version {version.number}"
    original = recorded(store, version)
    if commit is None:
        _refuse(name, version, original)
    target = find_commit(paths.root, commit or original.lineage["git_commit"])
    with (
        exclusive(paths.locks / "reproduce", "'plumbline reproduce'"),
        scratch(paths.state / "reproduce") as place,
    ):
        print(f"rebuilding {name} from commit {target[:12]}", flush=True)
        here = {"libraries": libraries(), "processor": processor()}
        for note in environment_notes(original, here):
            print(f"differs from the machine that fitted it: {note}", flush=True)
        checkout = check_out(paths.root, target, place)
        data = original.lineage.get("data", UNKNOWN)
        bring_data(paths.root, checkout, data if commit is None else None)
        other_data = other_files(paths.root, checkout, data)
        _run(checkout, paths, store, original, name)
        inside = Paths(checkout)
        machine = fit_of(inside.state, inside.model / WEIGHTS)
        again = rebuilt(checkout, inside.model, {**here, **machine})
        comparison = compare(original, again, other_data)
    write_json(paths.state / FILE, _json(version, target, comparison))
    return _report(name, target, original, again, comparison)


def refuse_difference(paths: Paths, report: Report) -> None:
    """End with the code of a gate where a rebuild was not the same.

    Raises:
        GateError: it was not; names the most likely cause.
    """
    rows = dict(report.rows)
    if "most likely cause" in rows:
        raise GateError(
            f"reproduce: {rows['version']} is not the same when it is rebuilt. "
            f"Most likely cause: {rows['most likely cause']}.",
            report=(paths.state / FILE).relative_to(paths.root),
        )


def _version(store: Store, address: str) -> Version:
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise ParameterError(
            "is not the address of a registered version",
            where="reproduce",
            wanted="NAME@ALIAS or NAME/N",
            got=address,
        )
    name, alias, number = match.groups()
    alias = alias or (None if number else "champion")
    version = version_at(store, name, alias=alias, number=number)
    if version is None:
        there = names_of(store, name)
        raise ParameterError(
            "no such version in the registry",
            where="reproduce",
            got=address,
            hint=f"there are {', '.join(f'{name}{one}' for one in there[:10])}"
            if there
            else f"there is no registered model '{name}'; MLFLOW_TRACKING_URI names the registry",
        )
    return version


def _refuse(name: str, version: Version, original: Recorded) -> None:
    """Say why a version cannot be rebuilt from its commit, before anything is run.

    Raises:
        DataError: something that it was made from was never kept.
    """
    lineage = original.lineage
    if lineage.get("git_commit", UNKNOWN) == UNKNOWN or lineage.get("data", UNKNOWN) == UNKNOWN:
        raise DataError(
            "cannot be rebuilt: it was registered without a git commit or without data under DVC",
            file=name,
            hint="run `git init`, `dvc add data`, commit both, then `plumbline repro --force`",
        )
    if lineage.get("git_dirty") != "false":
        why = lineage.get("rebuildable", "").removeprefix("no: ")
        raise DataError(
            "cannot be rebuilt: it was made from changes that were not committed"
            + (f" ({why})" if why.startswith("not committed") else ""),
            file=name,
            hint="commit them; then `plumbline reproduce "
            f"{version.model}/{version.number} --commit HEAD` tells whether that commit makes it",
        )


def _run(checkout: Path, paths: Paths, store: Store, original: Recorded, name: str) -> None:
    """Run the stages; nothing of them reaches the user's registry, from which only the network that
    a fit starts from may be read."""
    own = f"sqlite:///{checkout / 'mlflow' / 'mlflow.db'}"
    registry = store.uri if "version" in original.lineage.get("start", "") else own
    ended = run_stages(checkout, {"MLFLOW_TRACKING_URI": registry})
    if ended is not None and ended.code:
        where = str(checkout.relative_to(paths.root))
        message = ended.message.replace(f"{where}/", "")
        raise StorageError(
            f"cannot be rebuilt: the stage '{ended.stage}' stopped: {message}", file=name
        )


def _report(
    name: str, commit: str, before: Recorded, after: Recorded, comparison: RebuildComparison
) -> Report:
    rows = [("version", name), ("rebuilt from", f"commit {commit[:12]}")]
    for what, same in comparison.same.items():
        old, new = (one.lineage.get(what, UNKNOWN)[:12] for one in (before, after))
        rows.append((what, f"the same ({new})" if same else f"differs: {old} → {new}"))
    for metric, then, now in comparison.metrics[:SHOWN]:
        rows.append((metric, f"{then} → {now}"))
    if len(comparison.metrics) > SHOWN:
        rows.append(("", f"and {len(comparison.metrics) - SHOWN} more metrics"))
    if all(comparison.same.values()):
        rows.append(("result", "the same, bit for bit"))
        rows += [("differs all the same", cause) for cause in comparison.causes[:SHOWN]]
        return Report(rows=rows)
    first, *others = comparison.causes or [UNEXPLAINED]
    rows.append(("result", "not the same"))
    if comparison.stage is not None:
        rows.append(("first difference", f"in the outputs of stage '{comparison.stage}'"))
    rows.append(("most likely cause", first))
    return Report(rows=[*rows, *(("also differs", cause) for cause in others[:SHOWN])])


def _json(version: Version, commit: str, comparison: RebuildComparison) -> dict[str, object]:
    return {
        "model": version.model,
        "version": version.number,
        "commit": commit,
        "same": dict(comparison.same),
        "stage": comparison.stage,
        "causes": comparison.causes,
        "metrics": {name: [old, new] for name, old, new in comparison.metrics},
    }
