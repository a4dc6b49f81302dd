"""The rows of a table, one by one, to the file's end: each fits, is said, or is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from plumbline.data.dialect import BrokenQuotes, Row, broken_quotes
from plumbline.data.find_table import TableShape, filled, ragged
from plumbline.data.header import Unclear, is_ruler, is_value, is_words
from plumbline.data.header_rows import is_second_header

MOST_NOTES = 100  # lines below a table
RULERS = ("", "--", "==", "__", "++", "::", "-:", ":-", "+-")  # how a row of dashes begins
TOTAL = re.compile(r"(grand |sub-?)?(total|sum|summe|gesamt|insgesamt)s?\b", re.IGNORECASE)
NOTE = re.compile(
    r"(source|note|notes|footnote|quelle|legend|total|end)\b|[*#†‡©(\[]|--", re.IGNORECASE
)


class Body:
    """Iterate to get the rows, each of the table's width. What was left out or odd is counted.

    Args:
        keep: a row that does not fit becomes an empty one, and `misfits` says why by its number.

    Raises, when iterated:
        Unclear: a row that does not fit, or another table.
    """

    def __init__(
        self, source: Iterable[Row], table: TableShape, *, pad: bool, fixed: bool, keep: bool
    ) -> None:
        self.source, self.table, self.pad, self.fixed = source, table, pad, fixed
        self.keep = keep
        self.misfits: dict[int, Unclear] = {}
        self.rows = self.blank = self.repeated = self.padded = self.longer = 0
        self.used = 0  # columns that are not empty at the end
        self.below: list[Row] = []
        self.thin: list[int] = []
        self.total: tuple[int, str] | None = None

    def __iter__(self) -> Iterator[list[str]]:
        table = self.table
        width, header = table.width, [list(h) for h in table.header]
        skip = table.headers
        gap = False
        longest = 0
        try:
            for line, cells in self.source:
                if not any(map(str.strip, cells)):
                    self.blank += 1
                    gap = True
                    continue
                if cells[0][:2] in RULERS and is_ruler(cells):
                    self.blank += 1
                    continue
                if skip:
                    skip -= 1
                    continue
                if len(cells) != width:
                    fits, fitted = self._fit(line, cells, gap, longest)
                    if not fits:
                        yield from self._misfit([*self.below, (line, cells)], (line, cells))
                    if fitted is None:
                        continue
                    cells = fitted
                if self.below:
                    yield from self._misfit(self.below, self.below[0])
                if cells in header:
                    self.repeated += 1
                    gap = False
                    continue
                if gap:
                    self._behind_blank(line, cells)
                    gap = False
                if self.used < width:
                    self.used = max(self.used, filled(cells))
                self._profile(line, cells)
                self.rows += 1
                longest = max(longest, len(cells[0]))
                yield cells
        except BrokenQuotes as broken:
            raise broken_quotes(broken) from None
        yield from self._end()

    def _misfit(self, rows: list[Row], named: Row) -> Iterator[list[str]]:
        """Rows that do not fit: refused, by one of them, or kept as empty ones."""
        if not self.keep:
            raise ragged(named, self.table.width)
        self.below = []
        for row in rows:
            self.misfits[self.rows] = ragged(row, self.table.width)
            self.rows += 1
            yield [""] * self.table.width

    def _fit(
        self, line: int, cells: list[str], gap: bool, longest: int
    ) -> tuple[bool, list[str] | None]:
        """Whether a row of another number of cells may be there, and how it is made to fit; None:
        it stands below the table."""
        width = self.table.width
        if len(cells) > width and filled(cells) <= width:
            self.longer += 1
            return True, cells[:width]
        note = self.below or gap or self._is_note(cells, longest)
        if len(cells) < width and not note and self.pad:
            self.padded += 1
            return True, [*cells, *[""] * (width - len(cells))]
        if len(cells) < width and note and len(self.below) < MOST_NOTES:
            if not self.below and gap and self.pad and not self._is_note(cells, longest):
                self.padded += 1
                return True, [*cells, *[""] * (width - len(cells))]
            self.below.append((line, cells))
            return True, None
        return False, None

    def _is_note(self, cells: list[str], longest: int) -> bool:
        """Whether a short row is a note and no row that was cut."""
        first = cells[0].strip()
        alone = filled(cells) == 1 and " " in first and len(first) > longest
        return is_words(first) and bool(NOTE.match(first) or (alone and self.table.width > 2))

    def _behind_blank(self, line: int, cells: list[str]) -> None:
        table = self.table
        certain = bool(table.values)
        if is_second_header(cells, table.values) and (certain or not self.fixed):
            raise Unclear(
                f"line {line}, behind a blank line, looks like the header of another table",
                f"pass --skip {line - 1} --header to read from there; for what is above, give "
                "the table a file of its own"
                + ("" if certain else f", or pass --skip {table.line - 1} --header to read both"),
                got=", ".join(c for c in cells if c.strip())[:80],
            )

    def _profile(self, line: int, cells: list[str]) -> None:
        """Note rows that may be no examples."""
        first = cells[0].strip()
        self.total = (line, first) if TOTAL.match(first) else None
        if first and len(cells) > 2 and not any(map(str.strip, cells[1:])) and not is_value(first):
            self.thin.append(line)

    def _end(self) -> Iterator[list[str]]:
        for line, cells in self.below:
            if any(is_value(c) for c in cells[1:]) and not NOTE.match(cells[0].strip()):
                yield from self._misfit(self.below, (line, cells))
                return

    @property
    def changed(self) -> bool:
        """Whether the rows are not all that the file holds, as it holds them."""
        left = (self.blank, self.repeated, self.below, self.longer, self.padded, self.misfits)
        return any(left)

    @property
    def notes(self) -> list[str]:
        """What was left out or filled, and rows that may be no examples."""
        notes = []
        if self.blank:
            notes.append(f"{self.blank:,} blank line{_s(self.blank)} left out")
        if self.repeated:
            notes.append(
                f"{self.repeated:,} line{_s(self.repeated)} that repeat the header left out"
            )
        if self.below:
            line, cells = self.below[0]
            shown = " ".join(c.strip() for c in cells if c.strip())[:50]
            notes.append(
                f"{len(self.below)} line{_s(len(self.below))} below the table left out, "
                f"from line {line} ('{shown}' …)"
            )
        if self.longer:
            notes.append(
                f"{self.longer:,} row{_s(self.longer)} end in separators too many: left out"
            )
        if self.padded:
            notes.append(f"{self.padded:,} short row{_s(self.padded)} filled with missing cells")
        if self.thin:
            many = len(self.thin)
            notes.append(
                f"{many:,} row{_s(many)} with a first cell alone, as in line {self.thin[0]}: kept; "
                "if they are titles or notes remove them (--footer N for the file's last lines)"
            )
        if self.total:
            notes.append(
                f"the last row, line {self.total[0]}, looks like a total ('{self.total[1][:30]}'): "
                "kept; --footer N leaves out the file's last lines"
            )
        return notes


def _s(count: int) -> str:
    return "s" if count != 1 else ""
