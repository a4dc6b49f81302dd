"""The error tree. The exit code of the process is the code of the error.

PlumblineError            1   a defect of ours
├── UserError (ValueError)  2   the user can fix it; printed without a traceback
│   ├── ParameterError          a key of params.yaml, or a command-line argument
│   ├── DataError               a file, a column, a row
│   └── StorageError            disk, lock, database or server in the way
└── GateError               3   a gate said no; the report says why
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from plumbline.address import shown

T = TypeVar("T")
LISTED = 30  # valid names listed in a message


class PlumblineError(Exception):
    """Base of everything raised on purpose."""

    exit_code = 1


class UserError(PlumblineError, ValueError):
    """A mistake the user can fix: says where, what was wanted, what came, and the fix.

    Args:
        what: what is wrong, one clause.
        file: the file it is wrong in.
        where: column, key or row inside the file.
        wanted: what would have been right.
        got: what came; long values are cut.
        hint: what to do about it, in the imperative.
    """

    exit_code = 2

    def __init__(
        self,
        what: str,
        *,
        file: str | Path | None = None,
        where: str | None = None,
        wanted: str | None = None,
        got: object = None,
        hint: str | None = None,
    ) -> None:
        self.what, self.file, self.where = what, file, where
        self.wanted, self.got, self.hint = wanted, got, hint
        super().__init__(self._message())

    def _message(self) -> str:
        place = ": ".join(str(p) for p in (self.file, self.where) if p is not None)
        text = f"{place}: {self.what}" if place else self.what
        details = []
        if self.wanted is not None:
            details.append(f"wanted {self.wanted}")
        if self.got is not None:
            details.append(f"got {shorten(self.got)}")
        if details:
            text += f" ({', '.join(details)})"
        if self.hint:
            hint = self.hint[0].upper() + self.hint[1:]
            text += f". {hint}" if hint[-1] in ".?!" else f". {hint}."
        return shown(text)


class ParameterError(UserError):
    """A wrong key or value in params.yaml, or a wrong argument."""


class DataError(UserError):
    """A wrong file, column or row."""


class StorageError(UserError):
    """Something outside refused: a full disk, a lock, a database, a server."""


class PlumblineWarning(UserWarning):
    """Something the user should know though the work goes on; one line on stderr."""


class GateError(PlumblineError):
    """A gate said no. `report` is the path of the file that says why."""

    exit_code = 3

    def __init__(self, what: str, *, report: str | Path, hint: str | None = None) -> None:
        self.report = report
        text = f"{what} See {report}."
        super().__init__(f"{text} {hint.rstrip('.')}." if hint else text)


def shorten(value: object, limit: int = 120) -> str:
    """`repr` of a value in at most `limit` characters, in one line, control characters escaped."""
    text = repr(value) if isinstance(value, str) else " ".join(str(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(name: str, valid: Iterable[str]) -> str:
    """A hint for a misspelt name: the nearest valid one, or all of them."""
    names = sorted(valid)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return f"valid names: {', '.join(n[:40] for n in names[:LISTED])}{more}"


def choose(choices: Mapping[str, T], name: str, key: str) -> T:
    """Look a choice up by name.

    Raises:
        ParameterError: the name is not among the choices; names the nearest.
    """
    try:
        return choices[name]
    except KeyError:
        raise ParameterError(
            f"'{name}' is not one of {', '.join(sorted(choices))}",
            file="params.yaml",
            where=key,
            hint=nearest(name, choices),
        ) from None
