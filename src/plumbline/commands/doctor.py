"""What is wrong with this machine or checkout, in words that name the fix: `plumbline doctor`."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from plumbline.config import Paths
from plumbline.errors import PlumblineError
from plumbline.numbers import plural


class State(StrEnum):
    """What a check says."""

    GOOD = "ok"
    IDLE = "-"  # nothing to check: it does not run, or there is none yet
    WRONG = "WRONG"


@dataclass(frozen=True, kw_only=True)
class Examination:
    """One line. `words`: what there is, or what is wrong and the fix."""

    state: State
    words: str


def good(words: str) -> list[Examination]:
    """All is well."""
    return [Examination(state=State.GOOD, words=words)]


def idle(words: str) -> list[Examination]:
    """There is nothing to check."""
    return [Examination(state=State.IDLE, words=words)]


def wrong(words: str) -> list[Examination]:
    """Something is to be fixed."""
    return [Examination(state=State.WRONG, words=words)]


Check = Callable[[Paths], Sequence[Examination]]
NAME, STATE = 13, 7  # characters


def doctor(paths: Paths, width: int) -> tuple[str, int]:
    """All checks as text of at most `width` characters a line, and how many things are wrong.

    No check stops another, and none changes anything.
    """
    from plumbline.commands.doctor_checks import CHECKS

    lines, wrong = [], 0
    for name, check in CHECKS.items():
        shown = name
        for result in _results(check, paths):
            wrong += result.state is State.WRONG
            lines += _lines(shown, result, width)
            shown = ""
    problems = plural(wrong, "thing is", "things are")
    lines += ["", f"{problems} wrong" if wrong else "nothing is wrong"]
    return "\n".join(lines), wrong


def _results(check: Check, paths: Paths) -> Sequence[Examination]:
    try:
        return check(paths)
    except PlumblineError as error:
        return [Examination(state=State.WRONG, words=str(error))]
    except Exception as error:  # what is checked may be broken in any way
        return [Examination(state=State.WRONG, words=f"{type(error).__name__}: {error}")]


def _lines(name: str, result: Examination, width: int) -> list[str]:
    before = f"{name:<{NAME}}{result.state:<{STATE}}"
    first, *more = textwrap.wrap(
        result.words,
        max(width - len(before), 30),
        break_on_hyphens=False,
        break_long_words=False,
    ) or [""]
    return [f"{before}{first}".rstrip(), *(" " * len(before) + line for line in more)]
