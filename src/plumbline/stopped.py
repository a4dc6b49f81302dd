"""The gate that stopped the latest run: noted beside the outputs until its stage passes."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from plumbline.files import write_json

FILE = "stopped.json"  # in .plumbline/


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The stage whose gate said no, its message, and when."""

    stage: str
    message: str
    at: str


def note_stopped(state: Path, stopped: Stopped) -> None:
    """Note a gate's refusal."""
    write_json(state / FILE, asdict(stopped))


def read_stopped(state: Path) -> Stopped | None:
    """The gate that stopped the latest run; None where none did."""
    try:
        return Stopped(**json.loads((state / FILE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def forget_stopped(state: Path) -> None:
    """The gate has passed."""
    (state / FILE).unlink(missing_ok=True)
