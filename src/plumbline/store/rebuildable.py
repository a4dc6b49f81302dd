"""Whether a version can be rebuilt from what git and DVC keep of it, and what it takes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from plumbline import artifacts
from plumbline.errors import GateError
from plumbline.files import sha256
from plumbline.store.bundle_files import WEIGHTS
from plumbline.store.fitted import fit_of
from plumbline.store.lineage import UNKNOWN, uncommitted

YES = "yes"
KEY = "rebuildable"
ANSWER_SECONDS = 60  # for the DVC remote
SHOWN = 5
FIX = "commit it with git (data.dvc too), run `dvc push`, then `plumbline register`"


def rebuild_record(root: Path, state: Path, model: Path, data: str) -> dict[str, str]:
    """What a rebuild is held against, how the fit was made, and whether it can be rebuilt.

    Args:
        state: the folder `.plumbline`.
        model: the folder of the bundle.
        data: DVC's hash of the data, or unknown.

    Returns:
        `weights` and `metrics`, SHA-256 of their files; `fitted.FIT`, where the model was fitted
        here; `rebuildable`: yes, or what is in the way, in words.
    """
    files = {"weights": model / WEIGHTS, "metrics": root / artifacts.Metrics.FILE}
    hashes = {name: sha256(file) if file.is_file() else UNKNOWN for name, file in files.items()}
    return {**hashes, **fit_of(state, files["weights"]), KEY: rebuildable(root, data)}


def rebuildable(root: Path, data: str) -> str:
    """`yes`; or `no: …`, `not known: …` with the reasons."""
    changed = uncommitted(root)
    if changed is None:
        return "no: there is no git commit"
    reasons = []
    if changed:
        more = f" and {len(changed) - SHOWN} more files" if len(changed) > SHOWN else ""
        reasons.append(f"not committed: {', '.join(changed[:SHOWN])}{more}")
    if data == UNKNOWN:
        reasons.append("the data are not under DVC")
    else:
        pushed = _is_pushed(root)
        if pushed is None and not reasons:
            return "not known: the DVC remote did not answer whether it has the data"
        if pushed is False:
            reasons.append("the data were never pushed to a DVC remote")
    return f"no: {'; '.join(reasons)}" if reasons else YES


def _is_pushed(root: Path) -> bool | None:
    """Whether the DVC remote has the data; None where it does not answer. Without a remote, no."""
    if not (root / "data.dvc").is_file():
        return False
    command = [sys.executable, "-m", "dvc", "status", "--cloud", "--json", "data.dvc"]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            capture_output=True,
            text=True,
            check=False,
            timeout=ANSWER_SECONDS,
        )
        if "no remote specified" in done.stderr:
            return False
        return not {"new", "missing"} & set(json.loads(done.stdout).values())
    except (OSError, subprocess.TimeoutExpired, ValueError, AttributeError, TypeError):
        return None


def are_unchanged(root: Path, stages: Sequence[str]) -> bool:
    """Whether DVC sees each stage as it ran: the files at hand are then what it was made from."""
    command = [sys.executable, "-m", "dvc", "status", "--json", *stages]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return done.returncode == 0 and done.stdout.strip() == "{}"


def refuse_unclean(lineage: Mapping[str, str]) -> None:
    """The gate of `register.require_clean`.

    Raises:
        GateError: the version could not be rebuilt; nothing is registered.
    """
    state = lineage[KEY]
    if state.startswith("no:"):
        raise GateError(
            f"register.require_clean: this version could not be rebuilt ({state[4:]}). "
            "Nothing was registered.",
            report="docs/rebuild.md",
            hint=f"{FIX[0].upper()}{FIX[1:]}",
        )


def rebuild_rows(lineage: Mapping[str, str]) -> list[tuple[str, str]]:
    """What the stage prints of it: a warning and its fix, or nothing."""
    state = lineage.get(KEY, YES)
    if state == YES:
        return []
    fix = f"; {FIX}" if state.startswith("no:") else ""
    return [("warning", f"can be rebuilt: {state}{fix}")]
