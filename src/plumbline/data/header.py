"""Which rows name the columns, and what the columns are called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

NUMBER = (
    r"[<>=~≤≥]*\s*[+-]?\s*[$£€¥]?\s*[+-]?(\d[\d.,' \u00a0\u202f]*|[.,]\d+)(e[+-]?\d+)?\s*[%$£€¥]?"
)
VALUE = re.compile(
    rf"({NUMBER}|\({NUMBER}\)"
    r"|\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}([T ]\d.*)?"  # a day, perhaps with a time
    r"|\d{1,2}[- /.]?[a-z]{3,9}\.?[- /.,]{0,2}\d{2,4}"
    r"|\d{1,2}:\d{2}.*|[+-]?inf(inity)?)",
    re.IGNORECASE,
)
LONGEST_VALUE = 60  # characters
MISSING = frozenset(
    (
        "",
        "na",
        "n/a",
        "#n/a",
        "nan",
        "null",
        "none",
        "nil",
        "-",
        "--",
        ".",
        "..",
        "?",
        "*",
        "missing",
    )
)
YEAR = re.compile(r"(19|20)\d\d")
RULER = re.compile(r"[-=_+:]{2,}")
SPECIAL = re.compile(r"[0-9]|[^\w\s]")


class Unclear(Exception):
    """No reading fits, or more than one. `hint` names the option that decides."""

    def __init__(self, what: str, hint: str, *, got: str = "") -> None:
        self.what, self.hint, self.got = what, hint, got
        super().__init__(what)


class Misread(Unclear):
    """The quotes or escapes of a reading are not used as such: it is no candidate."""


def is_value(cell: str) -> bool:
    """A number, an amount, a share, a day or a time: what a header is not, years apart."""
    cell = cell.strip()
    return len(cell) <= LONGEST_VALUE and VALUE.fullmatch(cell) is not None


def is_missing(cell: str) -> bool:
    """Empty, or a word that stands for nothing."""
    return cell.strip().lower() in MISSING


def is_ruler(cells: Sequence[str]) -> bool:
    """Whether a row is a line that is drawn below a header."""
    there = [c.strip() for c in cells if c.strip()]
    return bool(there) and all(map(RULER.fullmatch, there))


def is_words(cell: str) -> bool:
    """Text: what a name is, and a number or a date is not."""
    return not is_missing(cell) and not is_value(cell)


def value_columns(body: Sequence[Sequence[str]], width: int) -> list[int]:
    """The columns of which four fifths are values."""
    columns = []
    for i in range(width):
        there = [row[i] for row in body if i < len(row) and not is_missing(row[i])]
        if there and sum(map(is_value, there)) >= 0.8 * len(there):
            columns.append(i)
    return columns


def is_header(first: Sequence[str], body: Sequence[Sequence[str]], width: int) -> bool:
    """Whether a row names the columns of the rows below it.

    Raises:
        Unclear: it may be either.
    """
    cells = [*first, *[""] * (width - len(first))]
    values = value_columns(body, width)
    named = sum(1 for i in values if is_words(cells[i]))
    valued = [i for i in values if is_value(cells[i])]
    years = _steps([cells[i] for i in valued]) or _years(cells, valued, body)
    if named and (not valued or (named >= 2 and (years or named >= len(valued)))):
        return True
    unclear = Unclear(
        "cannot tell whether the first line names the columns",
        "pass --header or --no-header",
        got=", ".join(first)[:80],
    )
    if named or years:
        raise unclear
    if valued:
        return False
    shaped = _stands_out(cells, body)
    if shaped is not None:
        return shaped
    texts = [i for i in range(width) if cells[i].strip()]
    if any(cells[i].strip() == row[i].strip() for row in body for i in texts if i < len(row)):
        raise unclear
    if len(texts) < width and len(texts) < 2:
        raise unclear
    return True


def _steps(cells: list[str]) -> bool:
    """Whether whole numbers count up by one, as years do in a header."""
    if len(cells) < 3 or not all(re.fullmatch(r"\d{1,4}", c.strip()) for c in cells):
        return False
    numbers = [int(c) for c in cells]
    steps = {b - a for a, b in pairwise(numbers)}
    return len(steps) == 1 and steps <= {1, -1, 5, 10}


def _years(cells: list[str], columns: list[int], body: Sequence[Sequence[str]]) -> bool:
    """Whether a row holds years above columns that hold none."""
    for i in columns:
        below = [row[i].strip() for row in body if i < len(row) and row[i].strip()]
        if YEAR.fullmatch(cells[i].strip()) and sum(
            map(bool, map(YEAR.fullmatch, below))
        ) < 0.5 * len(below):
            return True
    return False


def _stands_out(cells: list[str], body: Sequence[Sequence[str]]) -> bool | None:
    """What columns of codes (`AB-12`) say: a header has another shape than its column."""
    alike = other = 0
    for i, cell in enumerate(cells):
        below = [row[i].strip() for row in body if i < len(row) and row[i].strip()]
        shapes = {_shape(c) for c in below}
        if len(below) < 2 or len(shapes) != 1 or not SPECIAL.search(below[0]) or not cell.strip():
            continue
        if _shape(cell.strip()) in shapes:
            alike += 1
        else:
            other += 1
    if alike and other:
        return None
    return None if alike == other else other > 0


def _shape(cell: str) -> str:
    return re.sub(r"[^\W\d]+", "a", re.sub(r"\d+", "9", cell))


def join_headers(headers: Sequence[Sequence[str]], width: int) -> tuple[list[str], bool]:
    """Names from one or several header rows, and whether rows were joined.

    The last row wins where it names every column, each otherwise; where it does not, the rows
    above it go before it, a name there holding for the empty cells to its right.
    """
    rows = [[*row, *[""] * (width - len(row))][:width] for row in headers]
    last = [_tidy(c) for c in rows[-1]]
    if len(rows) == 1 or (all(last) and len(set(last)) == len(last)):
        return last, False
    above = [_filled([_tidy(c) for c in row]) for row in rows[:-1]]
    return [" ".join(filter(None, parts)) for parts in zip(*above, last, strict=True)], True


def _tidy(cell: str) -> str:
    return " ".join(cell.split())


def _filled(row: list[str]) -> list[str]:
    out, last = [], ""
    for cell in row:
        last = cell or last
        out.append(last)
    return out


def name_columns(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """A name of its own for every column, and what was done about those that had none.

    A column without a name is `column_N` (N its place, from 0); of columns with one name the
    second is `NAME_2`.
    """
    names: list[str] = []
    taken = {name for name in given if name}
    unnamed, repeated = [], []  # what such columns are called
    used: set[str] = set()
    for i, name in enumerate(given):
        own = name or f"column_{i}"
        if own in used or (not name and own in taken):
            number = 2
            while f"{own}_{number}" in taken or f"{own}_{number}" in used:
                number += 1
            own = f"{own}_{number}"
        if not name:
            unnamed.append(own)
        elif own != name:
            repeated.append(own)
        used.add(own)
        names.append(own)
    notes = []
    if unnamed:
        verb = "is" if len(unnamed) == 1 else "are"
        notes.append(
            f"{_several(unnamed, 'column')} without a name {verb} called {_listed(unnamed)}"
        )
    if repeated:
        verb = "is" if len(repeated) == 1 else "are"
        notes.append(
            f"{_several(repeated, 'column')} with a repeated name {verb} called {_listed(repeated)}"
        )
    return names, notes


def _several(items: list[str], word: str) -> str:
    return f"{len(items)} {word}{'s' if len(items) > 1 else ''}"


def _listed(items: list[str]) -> str:
    return ", ".join(items[:5]) + (" …" if len(items) > 5 else "")
