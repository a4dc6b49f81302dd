"""How a command ended, for the program that started it: DVC hides exit codes, and a code does not
say whether to try again.

The program names a file in PLUMBLINE_OUTCOME. Every command writes it when it begins and when
it ends, so that a stage that was killed has left its name.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from plumbline.files import write_json

VARIABLE = "PLUMBLINE_OUTCOME"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Exit code and message of a command or stage; see `plumbline.errors` for the codes.

    `storage`: a disk, lock or server was in the way, which may answer later (StorageError).
    """

    stage: str
    code: int
    message: str = ""
    storage: bool = False


def is_watched() -> bool:
    """Whether a program waits for the outcome."""
    return VARIABLE in os.environ


def leave_outcome(outcome: Outcome) -> None:
    """Write the file that PLUMBLINE_OUTCOME names, if it names one."""
    if is_watched():
        write_json(Path(os.environ[VARIABLE]), asdict(outcome))


def begin(stage: str) -> None:
    """What is left of a stage that is killed."""
    message = f"'{stage}' was killed (out of memory, perhaps): it left no message"
    leave_outcome(Outcome(stage=stage, code=1, message=message))


def read_outcome(path: Path) -> Outcome | None:
    """The outcome of the last stage that began, or None where none did."""
    try:
        return Outcome(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
