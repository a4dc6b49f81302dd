"""Separator, quote and escape of a text table: candidates by CleverCSV, and a strict parser."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import clevercsv
from clevercsv.consistency import ConsistencyDetector
from clevercsv.dialect import SimpleDialect
from clevercsv.potential_dialects import get_dialects

from plumbline.data.header import Unclear
from plumbline.data.options import BLANKS, NONE, ReadingOptions

SEPARATORS = [",", "\t", ";", "|", " ", ":", "^", "~", "\x01", "\x1f"]
LONG = 100  # characters of a word or sentence that CleverCSV sees
LARGEST_CELL = 1 << 24  # characters; a stray quote may swallow the rest of a file
FEWEST_LINES = 10  # of a row that is taken for several: fewer may be so by chance
MOST_OTHERS = 0.05  # of such lines have quoted separators, and seem to have more cells
Row = tuple[int, list[str]]  # the line that it begins in, its cells


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How a line is cut into cells. `trim` drops blanks before a cell, so that a quote may stand
    behind them; with a blank as the separator, several are one."""

    separator: str
    quote: str | None = '"'
    escape: str | None = None
    trim: bool = False

    @property
    def aligned(self) -> bool:
        return self.separator == " " and self.trim


SWALLOWED = "rows in a cell"


class BrokenQuotes(Exception):
    """A quoted cell that does not end, or goes on behind its closing quote; the line in which it
    begins, and the one in which that is noticed."""

    def __init__(self, line: int, last: int, reason: str) -> None:
        self.line, self.last, self.reason = line, last, reason
        super().__init__(reason)


class _Fresh:
    """Hands lines to the parser; where a row begins, comment lines are left out."""

    def __init__(self, lines: Iterable[str], comment: str | None, aligned: bool) -> None:
        self.lines, self.comment, self.aligned = iter(lines), comment, aligned
        self.fresh, self.left_out = True, 0
        self.row: list[str] = []  # the lines of the present one

    def __iter__(self) -> _Fresh:
        return self

    def __next__(self) -> str:
        line = next(self.lines)
        while self.fresh and self.comment and line.lstrip().startswith(self.comment):
            self.left_out += 1
            line = next(self.lines)
        if self.fresh and self.aligned:
            line = line.strip().replace("\t", " ")
        if self.fresh:
            self.row = []
        self.row.append(line)
        self.fresh = False
        return line


def rows(
    lines: Iterable[str],
    dialect: Dialect,
    *,
    comment: str | None = None,
    first: int = 1,
    trusted: bool = False,
) -> Iterator[Row]:
    """Cut lines into rows; `first` is the number of the first line.

    Args:
        trusted: whether whatever stands in quotes is one cell.

    Raises:
        BrokenQuotes: quotes that are not used right, or that hold rows of the table.
    """
    csv.field_size_limit(LARGEST_CELL)
    quoting: Literal[0, 3] = 3 if dialect.quote is None else 0  # QUOTE_NONE, QUOTE_MINIMAL
    fresh = _Fresh(lines, comment, dialect.aligned)
    reader = csv.reader(
        fresh,
        delimiter=dialect.separator,
        quotechar=dialect.quote or '"',
        quoting=quoting,
        escapechar=dialect.escape,
        skipinitialspace=dialect.trim,
        strict=True,
    )
    begun = 0
    while True:
        fresh.fresh = True
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            line = first + begun + fresh.left_out
            opened, last = line + _opened(fresh.row, dialect), line + len(fresh.row) - 1
            raise BrokenQuotes(opened, last, str(error)) from None
        line = first + begun + fresh.left_out
        if (
            len(fresh.row) >= FEWEST_LINES
            and not trusted
            and _are_rows(fresh.row, len(row), dialect)
        ):
            last = line + len(fresh.row) - 1
            raise BrokenQuotes(line + _opened(fresh.row, dialect), last, SWALLOWED)
        yield line, row
        begun = reader.line_num


def _are_rows(lines: Sequence[str], width: int, dialect: Dialect) -> bool:
    """Whether the lines of a row are rows of as many cells themselves. Those of a quoted text are
    not: its first and last share the cells of the row."""
    if width == 1:
        return False
    others = sum(1 for line in lines[1:-1] if line.count(dialect.separator) != width - 1)
    ends = all(line.count(dialect.separator) == width - 1 for line in (lines[0], lines[-1]))
    return ends and others <= MOST_OTHERS * len(lines)


def _opened(row: Sequence[str], dialect: Dialect) -> int:
    """In which of the lines of a row, from 0, its last quoted cell begins."""
    quote, escape, last = dialect.quote, dialect.escape, 0
    begins, quoted, skip = True, False, False  # a cell begins; within quotes; the next is escaped
    for number, line in enumerate(row):
        for place, character in enumerate(line):
            if skip:
                skip = False
            elif character == escape:
                skip, begins = True, False
            elif quoted and character == quote:
                doubled = line[place + 1 : place + 2] == quote
                skip, quoted = doubled, doubled
            elif begins and character == quote:
                last, quoted, begins = number, True, False
            elif not quoted:
                blank = dialect.trim and begins and character == " "
                begins = blank or character == dialect.separator
    return last


def rank_dialects(text: str, options: ReadingOptions) -> list[tuple[float, Dialect]]:
    """Ways to cut a text, the most consistent first (van den Burg et al. 2019, CleverCSV)."""
    given = options.separator
    separators = SEPARATORS if given is None else [" " if given == BLANKS else given]
    text = _shortened(text)
    clevercsv.field_size_limit(len(text) + 1)
    candidates = [
        d for d in get_dialects(text, delimiters=separators) if d.delimiter and _allowed(d, options)
    ]
    if not candidates and given is not None:
        candidates = [SimpleDialect(separators[0], "", "")]
    scores = ConsistencyDetector(skip=False).compute_consistency_scores(text, candidates)
    ranked: dict[Dialect, float] = {}
    for d, score in scores.items():
        for trim in _trims(text, d, given):
            quote = d.quotechar or (None if options.quote == NONE else options.quote)
            one = Dialect(
                separator=str(d.delimiter),
                quote=quote,
                escape=_given(options.escape) or d.escapechar or None,
                trim=trim,
            )
            ranked[one] = max(ranked.get(one, 0.0), float(score.Q or 0.0))
    return sorted(((score, d) for d, score in ranked.items()), key=lambda pair: -pair[0])


def _shortened(text: str) -> str:
    """Long stretches without a mark, and long quoted cells, cut: CleverCSV's patterns take a time
    that grows with the square of a cell's length."""
    text = re.sub(rf"([^\s,;|:^~\x01\x1f\"'\\]{{{LONG}}})[^\s,;|:^~\x01\x1f\"'\\]+", r"\1", text)
    return re.sub(rf"([^\r\n\t,;|\x01\x1f\"'\\]{{{LONG}}})[^\r\n\t,;|\x01\x1f\"'\\]+", r"\1", text)


def _given(value: str | None) -> str | None:
    return None if value == NONE else value


def _allowed(d: SimpleDialect, options: ReadingOptions) -> bool:
    quotes = ("", '"', "'") if options.quote is None else ("", _given(options.quote) or "")
    escapes = ("", "\\") if options.escape is None else ("", _given(options.escape) or "")
    return d.quotechar in quotes and d.escapechar in escapes


def _trims(text: str, d: SimpleDialect, given: str | None) -> tuple[bool, ...]:
    """Whether blanks before a cell are part of it."""
    if d.delimiter == " ":
        return (False,) if given == " " else (True,)
    if d.quotechar and re.search(f"{re.escape(str(d.delimiter))} +{d.quotechar}", text):
        return (True, False)
    return (False,)


def escapes_ordinary(text: str, dialect: Dialect) -> bool:
    """Whether the escape stands before a character that needs none, as in `C:\\new`."""
    escape = re.escape(dialect.escape or "\\")
    special = re.escape(f"{dialect.separator}{dialect.quote or ''}") + escape + r"\n\r"
    return re.search(rf"(?<!{escape})(?:{escape}{escape})*{escape}[^{special}]", text) is not None


class Broken(Unclear):
    """Quotes that are not used right, as the user is told. `unfinished`: the last is not closed."""

    unfinished = False


def broken_quotes(broken: BrokenQuotes) -> Broken:
    """The same, as the user is told it."""
    unfinished = "end of data" in broken.reason
    what = (
        "a quoted cell begins and does not end"
        if unfinished
        else "a quoted cell is larger than 16 MB: a stray quote swallowed rows"
        if "limit" in broken.reason
        else f"a quoted cell ends in line {broken.last}, and all lines between look like rows"
        if broken.reason == SWALLOWED
        else "characters follow a closing quote"
        if broken.line == broken.last
        else f"a quoted cell begins and is closed in line {broken.last}, where characters follow"
    )
    hint = (
        "remove the quote, or pass --quote none if quotes mean nothing, or --quote '\"' if this is "
        "one cell"
        if broken.reason == SWALLOWED
        else "the file may be cut there; correct the quote, or pass --quote none if quotes mean "
        "nothing, or --escape '\\' if they are escaped so"
    )
    reason = Broken(f"line {broken.line}: {what}", hint)
    reason.unfinished = unfinished
    return reason
