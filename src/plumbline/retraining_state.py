"""How the last retraining began and ended: `retraining.json`, for people and the cool-down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plumbline.files import read_json, write_json

FILE = "retraining.json"  # in the folder of the monitor's history
RUNNING = "running"
MOST_ATTEMPTS = 3  # what is killed each time (out of memory, say) is given up


def read_state(folder: Path) -> dict[str, Any]:
    """`begun`, `rows`, `policy`, `attempts`, `outcome`, `message` of the last, and `champion` where
    a second fit starts from one; empty where there was none, or the file is broken."""
    try:
        state = read_json(folder / FILE)
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def note_begun(folder: Path, begun: str, rows: int, policy: str, champion: str | None) -> None:
    """Rows are part of the data, and training is to come.

    Args:
        champion: the version that a second fit is to start from, if one is wanted.
    """
    before = read_state(folder)  # of a killed one, `note_again` has counted this attempt
    attempts = before.get("attempts", 1) if before.get("outcome") == RUNNING else 1
    state: dict[str, Any] = {"begun": begun, "rows": rows, "policy": policy, "attempts": attempts}
    if champion is not None:
        state["champion"] = champion
    write_json(folder / FILE, {**state, "outcome": RUNNING, "message": ""})


def note_again(folder: Path) -> bool:
    """Whether the last was killed before it ended, and may be tried again; notes that it is.

    Whoever trains holds the lock of `plumbline retrain`, as must who asks this: so nobody is at it.
    """
    state = read_state(folder)
    attempts = state.get("attempts", 1)
    if state.get("outcome") != RUNNING or attempts >= MOST_ATTEMPTS:
        return False
    write_json(folder / FILE, {**state, "attempts": attempts + 1})
    return True


def note_outcome(folder: Path, outcome: str, message: str) -> None:
    """Keep how the last retraining ended: `done` or `failed`."""
    write_json(folder / FILE, {**read_state(folder), "outcome": outcome, "message": message})
