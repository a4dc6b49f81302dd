"""What the owner says of a file's layout; what is left out is found out."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, fields
from typing import Any

from plumbline.errors import ParameterError

SEPARATOR_NAMES = {
    "comma": ",",
    "tab": "\t",
    "\\t": "\t",
    "semicolon": ";",
    "bar": "|",
    "pipe": "|",
    "space": " ",
    "colon": ":",
}
BLANKS = "blanks"  # a separator: one blank or several, as in tables that are aligned
NONE = "none"


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """Options of `init`, `ingest` and `preview`; None: find out.

    `quote` and `escape` may be "none". `header_lines` is 0 where no line names the columns.
    `pad` fills rows that are too short with missing cells. `keep_misfits` keeps rows that have
    another number of cells than the table as empty ones, which are listed; no one gives it:
    `predict` sets it.
    """

    separator: str | None = None
    quote: str | None = None
    escape: str | None = None
    skip: int | None = None
    header: bool | None = None
    header_lines: int | None = None
    footer: int = 0
    comment: str | None = None
    encoding: str | None = None
    sheet: str | None = None
    pad: bool = False
    keep_misfits: bool = False

    def __post_init__(self) -> None:
        if self.separator is not None:
            separator = SEPARATOR_NAMES.get(self.separator.lower(), self.separator)
            object.__setattr__(self, "separator", separator)
            if separator != BLANKS and (len(separator) != 1 or separator in "\"'\r\n\0"):
                raise ParameterError(
                    "is no separator",
                    where="--separator",
                    wanted=f"one character, or {', '.join(sorted(SEPARATOR_NAMES))}, {BLANKS}",
                    got=self.separator,
                )
        for key in ("quote", "escape", "comment"):
            self._check_character(key, getattr(self, key))
        for key in ("skip", "footer", "header_lines"):
            value = getattr(self, key)
            if value is not None and value < 0:
                raise ParameterError(
                    "is negative",
                    where=f"--{key.replace('_', '-')}",
                    wanted="a number of lines",
                    got=value,
                )
        if self.header is False and self.header_lines:
            raise ParameterError("--no-header and --header-lines contradict each other")
        if self.header is None and self.header_lines is not None:
            object.__setattr__(self, "header", self.header_lines > 0)
        if self.encoding is not None:
            try:
                codecs.lookup(self.encoding)
            except LookupError:
                raise ParameterError(
                    "no such encoding", where="--encoding", got=self.encoding
                ) from None

    def _check_character(self, key: str, value: str | None) -> None:
        if value is None or (value == NONE and key != "comment"):
            return
        allowed = key != "quote" or value in ('"', "'", "`")
        if len(value) != 1 or value in "\r\n\0 " or value == self.separator or not allowed:
            wanted = {
                "quote": "\", ' or ` (not the separator), or none",
                "escape": "one character (not the separator), or none",
                "comment": "one character (not the separator)",
            }
            raise ParameterError("is not possible", where=f"--{key}", wanted=wanted[key], got=value)
        if key == "escape" and value == self.quote:
            object.__setattr__(self, "escape", NONE)  # a doubled quote needs no escape

    @classmethod
    def of(cls, arguments: dict[str, Any]) -> ReadingOptions:
        """The options among parsed command-line arguments."""
        names = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in arguments.items() if k in names and v is not None})

    @property
    def of_text(self) -> list[str]:
        """The names of options given that only a text table has."""
        default = ReadingOptions()
        names = [f.name for f in fields(self) if f.name not in ("sheet", "keep_misfits")]
        return [n for n in names if getattr(self, n) != getattr(default, n)]
