"""Which of several readings of a file is right: the best, unless another fits as well."""

from __future__ import annotations

from dataclasses import dataclass

from plumbline.data.dialect import Dialect, Row
from plumbline.data.find_table import TableShape, filled
from plumbline.data.header import Unclear
from plumbline.data.options import ReadingOptions

NEAR = 0.7  # of the best score: a reading that is as good counts as another
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
class LayoutCandidate:
    """A dialect, CleverCSV's score of it, and the table that it gives."""

    score: float
    dialect: Dialect
    sample: list[Row]
    table: TableShape


def choose(readings: list[LayoutCandidate], options: ReadingOptions) -> LayoutCandidate | None:
    """The best reading, if no other that differs is as good.

    Raises:
        Unclear: two fit.
    """
    readings = [r for r in readings if r.table.width > 1]
    strong = [r for r in readings if not is_weak(r.dialect, options)]
    by_separator = [
        _choose_quote([r for r in readings if r.dialect.separator == s], options)
        for s in dict.fromkeys(r.dialect.separator for r in readings)
    ]
    ranked = sorted(by_separator, key=lambda r: -r.score)
    if not ranked:
        return None
    best = ranked[0]
    if is_weak(best.dialect, options) and strong:
        raise _two_ways(ranked)
    if is_weak(best.dialect, options) and not _convincing(best):
        return None
    for other in ranked[1:]:
        if is_weak(other.dialect, options) and _cuts_numbers(best, other):
            raise _two_ways([best, other])
        if other.score >= NEAR * best.score and not is_weak(other.dialect, options):
            raise _two_ways([best, other])
    return best


def _convincing(reading: LayoutCandidate) -> bool:
    """Whether a character that separates words as well separates cells here."""
    table = reading.table
    return bool(table.values) and (table.headers > 0 or reading.dialect.separator == " ")


def _cuts_numbers(best: LayoutCandidate, other: LayoutCandidate) -> bool:
    """Whether another separator stands inside every cell of a column, and cuts all rows into
    numbers: `1,5 2,5` is two numbers, or three cells."""
    if len(other.table.values) < other.table.width:
        return False
    body = [cells for line, cells in best.sample if line > best.table.line and filled(cells)]
    return any(
        all(other.dialect.separator in cells[i].strip() for cells in body if i < len(cells))
        for i in range(best.table.width)
    )


def is_weak(dialect: Dialect, options: ReadingOptions) -> bool:
    """Whether the separator, found out and not given, separates words as well."""
    return options.separator is None and dialect.separator in WEAK


def _two_ways(readings: list[LayoutCandidate]) -> Unclear:
    shown = [
        f"by {SEPARATORS.get(r.dialect.separator, repr(r.dialect.separator))}: "
        f"{r.table.width} columns"
        for r in readings[:3]
    ]
    return Unclear(
        "which character separates the cells cannot be determined",
        "pass --separator",
        got="; ".join(shown),
    )


def _choose_quote(readings: list[LayoutCandidate], options: ReadingOptions) -> LayoutCandidate:
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
    if plain and best.dialect.quote == "'" and plain[0].table.width != best.table.width:
        raise Unclear("apostrophes may be quotes", 'pass --quote "\'" or --quote none')
    if plain and options.quote is None and _has_breaks(best) and _splits_quotes(plain[0], best):
        raise Unclear(
            "quotes may hold line ends, or mean nothing: both readings fit",
            "pass --quote '\"' or --quote none",
        )
    return best


def _left_in_quotes(reading: LayoutCandidate, quote: str | None = None) -> list[str]:
    """Cells that still stand in quotes, of the other kind if none is named."""
    quote = quote or ('"' if reading.dialect.quote == "'" else "'")
    cells = (c for _, row in reading.sample for c in map(str.strip, row))
    return [c for c in cells if len(c) > 1 and c[0] == quote and c[-1] == quote]


def note_quotes(reading: LayoutCandidate) -> list[str]:
    """What is said of quotes that are taken for characters.

    Raises:
        Unclear: they hold doubled or escaped ones, as quotes do.
    """
    notes = []
    for quote in {'"', "'"} - {reading.dialect.quote}:
        left = _left_in_quotes(reading, quote)
        if any(quote * 2 in c[1:-1] or f"\\{quote}" in c[1:-1] for c in left):
            raise Unclear(
                f"cells are in {quote}, which may be quotes or characters",
                f'pass --quote "{quote}" (and --escape) or --quote none'
                if quote == "'"
                else "pass --quote '\"' (and --escape) or --quote none",
                got=left[0][:80],
            )
        if left:
            notes.append(
                f"{len(left)} cells are in {quote}, which is kept as a character "
                f"({left[0][:30]}; --quote decides)"
            )
    return notes


def _splits_quotes(plain: LayoutCandidate, quoted: LayoutCandidate) -> bool:
    """Whether cells that begin or end with a quote are mostly not those that do both, and yet
    every row fits."""
    if any(
        len(cells) != plain.table.width
        for line, cells in plain.sample
        if line >= plain.table.line and filled(cells)
    ):
        return False
    quote = quoted.dialect.quote or '"'
    ends = [
        (c.startswith(quote), c.endswith(quote) and len(c) > 1)
        for _, cells in plain.sample
        for c in map(str.strip, cells)
    ]
    return sum(1 for a, b in ends if a != b) > sum(1 for a, b in ends if a and b)


def _differ(readings: list[LayoutCandidate]) -> bool:
    return any(r.sample != readings[0].sample for r in readings[1:])


def _has_breaks(reading: LayoutCandidate) -> bool:
    return any("\n" in c or "\r" in c for _, cells in reading.sample for c in cells)
