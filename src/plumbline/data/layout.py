"""How a text file is laid out: found out, or taken from options, or refused with the option.

CleverCSV ranks the ways to cut a file into cells. A way counts if the strict parser can follow it
through and finds a table; where two ways that count differ, the file is refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

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
from plumbline.data.find_table import Found, filled, find_table
from plumbline.data.header import Misread, Unclear
from plumbline.data.lines import find_encoding, open_lines
from plumbline.data.opened import Opened
from plumbline.data.options import ReadingOptions
from plumbline.errors import DataError

LINES = 2000  # lines looked at first
CHARACTERS = 1 << 20  # and about as many characters
FEWEST = 50  # but so many lines in any case
RANKED = 1 << 16  # characters that CleverCSV looks at
NEAR = 0.7  # of the best score: a reading that is as good counts as another
FAR = 0.1  # of the score: a better separator that failed is no reason to cut at blanks
WEAK = frozenset((" ", ":", "^", "~", "\x01", "\x1f"))  # separate words as well as cells
SEPARATORS = {
    ",": "commas",
    "\t": "tabs",
    ";": "semicolons",
    "|": "bars",
    " ": "blanks",
    ":": "colons",
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How a text file is laid out; `table` is what its first rows showed."""

    encoding: str
    dialect: Dialect
    table: Found
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


@dataclass(frozen=True, kw_only=True)
class _Reading:
    score: float
    dialect: Dialect
    sample: list[Row]
    found: Found


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
    readings: list[_Reading] = []
    refused: list[tuple[float, Dialect, Unclear]] = []
    for score, dialect in rank_dialects(_ranked_part(lines), options):
        try:
            sample = _sample(lines, dialect, options, complete)
            _refuse_misused(text, sample, dialect, options)
            found = find_table(sample, options, complete=complete, target=target, names=names)
            readings.append(_Reading(score=score, dialect=dialect, sample=sample, found=found))
        except Misread:
            continue
        except Unclear as reason:
            refused.append((score, dialect, reason))
    best = _choose(readings, options)
    for score, dialect, why in refused:
        if _may_be(score, dialect, why, best) and not _weak(dialect, options):
            raise why
    if best is None:
        raise refused[0][2] if refused else _one_column(lines)
    notes = []
    dialect = best.dialect
    if options.quote is None:
        notes += _note_quotes(best)
        if dialect.quote is None and '"' not in text:
            dialect = replace(dialect, quote='"')  # which lines further down may use
    return Layout(encoding=encoding, dialect=dialect, table=best.found, notes=notes)


def _may_be(score: float, dialect: Dialect, why: Unclear, best: _Reading | None) -> bool:
    """Whether a reading that was refused may still be the right one."""
    if best is None:
        return True
    if dialect.separator != best.dialect.separator:
        return score > best.score * (FAR if best.dialect.separator in WEAK else 1 / NEAR)
    # with quotes as mere characters a file seems to hold a table where it does not
    if best.dialect.quote is not None or dialect.quote != '"':
        return False
    return not isinstance(why, Broken) or why.unfinished


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
    parser = rows(lines, dialect, comment=options.comment, first=first)
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


def _choose(readings: list[_Reading], options: ReadingOptions) -> _Reading | None:
    """The best reading, if no other that differs is as good.

    Raises:
        Unclear: two fit.
    """
    readings = [r for r in readings if r.found.width > 1]
    strong = [r for r in readings if not _weak(r.dialect, options)]
    by_separator = [
        _choose_quote([r for r in readings if r.dialect.separator == s], options)
        for s in dict.fromkeys(r.dialect.separator for r in readings)
    ]
    ranked = sorted(by_separator, key=lambda r: -r.score)
    if not ranked:
        return None
    best = ranked[0]
    if _weak(best.dialect, options) and strong:
        raise _two_ways(ranked)
    if _weak(best.dialect, options) and not _convincing(best):
        return None
    for other in ranked[1:]:
        if _weak(other.dialect, options) and _cuts_numbers(best, other):
            raise _two_ways([best, other])
        if other.score >= NEAR * best.score and not _weak(other.dialect, options):
            raise _two_ways([best, other])
    return best


def _convincing(reading: _Reading) -> bool:
    """Whether a character that separates words as well separates cells here."""
    found = reading.found
    return bool(found.values) and (found.headers > 0 or reading.dialect.separator == " ")


def _cuts_numbers(best: _Reading, other: _Reading) -> bool:
    """Whether another separator stands inside every cell of a column, and cuts all rows into
    numbers: `1,5 2,5` is two numbers, or three cells."""
    if len(other.found.values) < other.found.width:
        return False
    body = [cells for line, cells in best.sample if line > best.found.line and filled(cells)]
    return any(
        all(other.dialect.separator in cells[i].strip() for cells in body if i < len(cells))
        for i in range(best.found.width)
    )


def _weak(dialect: Dialect, options: ReadingOptions) -> bool:
    return options.separator is None and dialect.separator in WEAK


def _two_ways(readings: list[_Reading]) -> Unclear:
    shown = [
        f"by {SEPARATORS.get(r.dialect.separator, repr(r.dialect.separator))}: "
        f"{r.found.width} columns"
        for r in readings[:3]
    ]
    return Unclear(
        "which character separates the cells cannot be told",
        "pass --separator",
        got="; ".join(shown),
    )


def _choose_quote(readings: list[_Reading], options: ReadingOptions) -> _Reading:
    """Of readings by one separator the one whose quotes are right."""
    plain = [r for r in readings if r.dialect.quote is None]
    quoted = [r for r in readings if r.dialect.quote is not None]
    if not quoted:
        return plain[0]
    wrapped = {id(r): _left_in_quotes(r) for r in quoted}
    best = min(quoted, key=lambda r: (len(wrapped[id(r)]), r.dialect.quote != '"', -r.score))
    escaped = [r for r in quoted if r.dialect.quote == best.dialect.quote]
    if len({r.dialect.escape for r in escaped}) > 1 and _differ(escaped):
        raise Unclear("a backslash may or may not escape a character", "pass --escape")
    if plain and best.dialect.quote == "'" and plain[0].found.width != best.found.width:
        raise Unclear("apostrophes may be quotes", 'pass --quote "\'" or --quote none')
    if plain and options.quote is None and _has_breaks(best) and _splits_quotes(plain[0], best):
        raise Unclear(
            "quotes may hold line ends, or mean nothing: both readings fit",
            "pass --quote '\"' or --quote none",
        )
    return best


def _left_in_quotes(reading: _Reading, quote: str | None = None) -> list[str]:
    """Cells that still stand in quotes, of the other kind if none is named."""
    quote = quote or ('"' if reading.dialect.quote == "'" else "'")
    cells = (c for _, row in reading.sample for c in map(str.strip, row))
    return [c for c in cells if len(c) > 1 and c[0] == quote and c[-1] == quote]


def _note_quotes(reading: _Reading) -> list[str]:
    """What is said of quotes that are taken for characters.

    Raises:
        Unclear: they hold doubled or escaped ones, as quotes do.
    """
    notes = []
    for quote in {'"', "'"} - {reading.dialect.quote}:
        left = _left_in_quotes(reading, quote)
        if any(quote * 2 in c[1:-1] or f"\\{quote}" in c[1:-1] for c in left):
            raise Unclear(
                f"cells stand in {quote}, which may be quotes or characters",
                f'pass --quote "{quote}" (and --escape) or --quote none'
                if quote == "'"
                else "pass --quote '\"' (and --escape) or --quote none",
                got=left[0][:80],
            )
        if left:
            notes.append(
                f"{len(left)} cells stand in {quote}, which is kept as a character "
                f"({left[0][:30]}; --quote decides)"
            )
    return notes


def _splits_quotes(plain: _Reading, quoted: _Reading) -> bool:
    """Whether cells that begin or end with a quote are mostly not those that do both, and yet
    every row fits."""
    if any(
        len(cells) != plain.found.width
        for line, cells in plain.sample
        if line >= plain.found.line and filled(cells)
    ):
        return False
    quote = quoted.dialect.quote or '"'
    ends = [
        (c.startswith(quote), c.endswith(quote) and len(c) > 1)
        for _, cells in plain.sample
        for c in map(str.strip, cells)
    ]
    return sum(1 for a, b in ends if a != b) > sum(1 for a, b in ends if a and b)


def _differ(readings: list[_Reading]) -> bool:
    return any(r.sample != readings[0].sample for r in readings[1:])


def _has_breaks(reading: _Reading) -> bool:
    return any("\n" in c or "\r" in c for _, cells in reading.sample for c in cells)


def _one_column(lines: list[str]) -> Unclear:
    return Unclear(
        "no separator found: every line is one field",
        "pass --separator; check that it is a table (a table of one column has nothing to "
        "learn from)",
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
            )

    dialect = layout.dialect
    return Opened(
        found=layout.table,
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
