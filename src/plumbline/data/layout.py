"""How a text file is laid out: found out, or taken from options, or refused with the option.

CleverCSV ranks the ways to cut a file into cells. A way counts if the strict parser can follow it
through and finds a table; where two ways that count differ, the file is refused.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

from plumbline.data.ambiguity import (
    NEAR,
    SEPARATORS,
    WEAK,
    LayoutCandidate,
    choose,
    is_weak,
    note_quotes,
)
from plumbline.data.dialect import (
    Broken,
    BrokenQuotes,
    Dialect,
    Row,
    broken_quotes,
    escapes_ordinary,
    rank_dialects,
    rows,
)
from plumbline.data.find_table import TableShape, filled, find_table
from plumbline.data.header import Misread, Unclear
from plumbline.data.lines import find_encoding, open_lines
from plumbline.data.opened import Opened
from plumbline.data.options import ReadingOptions
from plumbline.errors import DataError

LINES = 2000  # lines looked at first
CHARACTERS = 1 << 20  # and about as many characters
FEWEST = 50  # but so many lines in any case
RANKED = 1 << 16  # characters that CleverCSV looks at
# a quoted cell with line ends; the text may end within it
MANY_LINES = re.compile(
    r'(?<![^,;\t|^~\x01\x1f\n])"(?:[^"\n]++|"")*+\n(?:[^"]++|"")*+(?:"(?=[,;\t|^~\x01\x1f\r\n]|\Z)|\Z)'
)
FAR = 0.1  # of the score: a better separator that failed is no reason to cut at blanks


Refused = tuple[float, Dialect, Unclear]  # CleverCSV's score, a way to cut, and what is wrong


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a text file is laid out; `table` is what its first rows showed."""

    encoding: str
    dialect: Dialect
    table: TableShape
    notes: list[str] = field(default_factory=list)

    @property
    def words(self) -> str:
        d, table = self.dialect, self.table
        text = f"CSV separated by {SEPARATORS.get(d.separator, repr(d.separator))}"
        if d.quote is None:
            text += ", quotes mean nothing"
        elif d.quote != '"':
            text += f", quoted by {d.quote}"
        if d.escape:
            text += f", escaped by {d.escape}"
        if table.headers == 0:
            text += ", no header"
        elif table.headers == 1:
            text += f", header in line {table.line}"
        else:
            text += f", {table.headers} header lines from line {table.line}"
        return f"{text}, {self.encoding}"


def find_layout(
    path: Path,
    options: ReadingOptions,
    *,
    target: str | None = None,
    names: Collection[str] = (),
) -> Layout:
    """Look at the first lines of a text file.

    Raises:
        DataError: it is empty, or its encoding cannot be told.
        Unclear: it holds no table, or more than one reading of it fits.
    """
    encoding = options.encoding or find_encoding(path)
    lines, complete = _first_lines(path, encoding, options)
    if not any(line.strip() for line in lines):
        raise DataError("is empty", file=path.name, wanted="a header and rows")
    text = "".join(lines)
    readings: list[LayoutCandidate] = []
    refused: list[Refused] = []
    ranked = _ranked_part(_with_short_cells(text, options).splitlines(keepends=True))
    for score, dialect in rank_dialects(ranked, options):
        try:
            sample = _sample(lines, dialect, options, complete)
            _refuse_misused(text, sample, dialect, options)
            located = find_table(sample, options, complete=complete, target=target, names=names)
            readings.append(
                LayoutCandidate(score=score, dialect=dialect, sample=sample, table=located)
            )
        except Misread:
            continue
        except Unclear as reason:
            refused.append((score, dialect, reason))
    best = choose(readings, options)
    refused = [one for one in refused if not _is_explained(one, refused, text)]
    for score, dialect, why in refused:
        if _may_be(score, dialect, why, best) and not is_weak(dialect, options):
            raise why
    if best is None:
        raise refused[0][2] if refused else _one_column(lines, names)
    notes = []
    dialect = best.dialect
    if options.quote is None:
        notes += note_quotes(best)
        if dialect.quote is None and '"' not in text:
            dialect = replace(dialect, quote='"')  # which lines further down may use
    return Layout(encoding=encoding, dialect=dialect, table=best.table, notes=notes)


def _may_be(score: float, dialect: Dialect, why: Unclear, best: LayoutCandidate | None) -> bool:
    """Whether a reading that was refused may still be the right one."""
    if best is None:
        return True
    if dialect.separator != best.dialect.separator:
        return score > best.score * (FAR if best.dialect.separator in WEAK else 1 / NEAR)
    # with quotes as mere characters a file seems to hold a table where it does not
    if best.dialect.quote is not None or dialect.quote != '"':
        return False
    return not isinstance(why, Broken) or why.unfinished


def _is_explained(own: Refused, refused: Sequence[Refused], text: str) -> bool:
    """Whether rows do not fit since quotes are taken for characters, which by the same separator
    are quotes but for one that is not closed."""
    _, dialect, _ = own
    if dialect.quote is not None:
        return False
    broken = [
        other
        for _, other, why in refused
        if isinstance(why, Broken) and other.separator == dialect.separator and other.quote == '"'
    ]
    between = rf'(?:^|{re.escape(dialect.separator)})"[^"\r\n]*{re.escape(dialect.separator)}'
    needed = rf'{between}[^"\r\n]*"(?={re.escape(dialect.separator)}|\r|\n|$)'
    return bool(broken) and re.search(needed, text, re.MULTILINE) is not None


def _first_lines(path: Path, encoding: str, options: ReadingOptions) -> tuple[list[str], bool]:
    """The first lines behind those skipped, and whether they are all."""
    lines: list[str] = []
    size = 0
    with open_lines(path, encoding, footer=options.footer) as source:
        for line in islice(source, options.skip or 0, None):
            if len(lines) >= FEWEST and (size >= CHARACTERS or len(lines) >= LINES):
                return lines, False
            lines.append(line)
            size += len(line)
    return lines, True


def _with_short_cells(text: str, options: ReadingOptions) -> str:
    """The text with quoted cells of many lines cut: CleverCSV compares lines, and those of a
    document are no rows."""
    if options.quote not in (None, '"'):
        return text
    short = MANY_LINES.sub('"cell"', text)
    return short if short.count("\n") >= FEWEST else text


def _ranked_part(lines: list[str]) -> str:
    """Whole lines for CleverCSV, the last third of them from the end of the sample."""
    if sum(map(len, lines)) <= RANKED:
        return "".join(lines)
    head: list[str] = []
    size = 0
    for line in lines:
        if size > RANKED and len(head) > 5:
            break
        head.append(line)
        size += len(line)
    return "".join(head)


def _sample(
    lines: list[str], dialect: Dialect, options: ReadingOptions, complete: bool
) -> list[Row]:
    first = 1 + (options.skip or 0)
    sample: list[Row] = []
    parser = rows(
        lines,
        dialect,
        comment=options.comment,
        first=first,
        trusted=options.quote is not None,
    )
    try:
        sample.extend(parser)
    except BrokenQuotes as broken:
        if not complete and "end of data" in broken.reason:
            return sample
        raise broken_quotes(broken) from None
    return sample


def _refuse_misused(
    text: str, sample: list[Row], dialect: Dialect, options: ReadingOptions
) -> None:
    """A reading in which quotes or escapes would not mean what it takes them for."""
    if dialect.escape and options.escape is None and escapes_ordinary(text, dialect):
        raise Misread("a backslash stands before characters that need none", "")
    if dialect.quote == "'" and options.quote is None:
        marks = dialect.separator, "\n", "\r"
        needed = any(mark in cell for _, cells in sample for cell in cells for mark in marks)
        filled_rows = sum(1 for _, cells in sample if filled(cells))
        if not needed and text.count("'") < 2 * max(1, filled_rows - 2):
            raise Misread("apostrophes are no quotes here", "")


def _one_column(lines: list[str], names: Collection[str]) -> Unclear:
    why = "a table of one column has nothing to learn from"
    if names:
        why = f"its columns are to be {', '.join(list(names)[:3])}" + " …" * (len(names) > 3)
    return Unclear(
        "no separator found: every line is one field",
        f"pass --separator; check that it is a table ({why})",
        got=lines[0].strip()[:80],
    )


def open_text(
    path: Path, options: ReadingOptions, target: str | None, names: Collection[str]
) -> Opened:
    """A text file as a table and its rows.

    Raises:
        DataError, Unclear: as `find_layout`.
    """
    layout = find_layout(path, options, target=target, names=names)
    start = layout.table.line - 1

    def again() -> Iterator[Row]:
        with open_lines(path, layout.encoding, footer=options.footer) as source:
            yield from rows(
                islice(source, start, None),
                layout.dialect,
                comment=options.comment,
                first=start + 1,
                trusted=options.quote is not None,
            )

    dialect = layout.dialect
    return Opened(
        table=layout.table,
        again=again,
        words=layout.words,
        notes=layout.notes,
        plain=layout.encoding == "utf-8"
        and start == 0
        and options.footer == 0
        and options.comment is None
        and dialect.escape is None
        and not dialect.trim,
        separator=dialect.separator,
    )
