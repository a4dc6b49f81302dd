"""Where in the rows of a file its table is: what stands above it, its header, its width."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

from plumbline.data.dialect import Row
from plumbline.data.header import (
    Unclear,
    is_ruler,
    is_value,
    is_words,
    value_columns,
)
from plumbline.data.header_rows import (
    TYPES,
    count_headers,
    lacks_a_name,
    names_of,
    refuse_unless_numbered,
)
from plumbline.data.options import ReadingOptions

SOUGHT = 50  # rows among which a named header is sought


@dataclass(frozen=True, kw_only=True)
class TableShape:
    """A table in a sample of rows. `line` is the first of its header, or of its rows.

    `given` has a name per column, "" where there is none; `width` counts the cells of a row.
    `values` are columns of numbers or dates.
    """

    line: int
    headers: int
    header: tuple[tuple[str, ...], ...]  # as the rows are
    given: list[str]
    width: int
    values: tuple[int, ...]
    notes: list[str] = field(default_factory=list)


def filled(cells: Sequence[str]) -> int:
    """How many cells there are up to the last that is not blank."""
    n = len(cells)
    while n and not cells[n - 1].strip():
        n -= 1
    return n


def find_table(
    sample: Sequence[Row],
    options: ReadingOptions,
    *,
    complete: bool,
    target: str | None = None,
    names: Collection[str] = (),
) -> TableShape:
    """Find the table in the first rows of a file.

    Args:
        complete: whether the sample is the whole file.
        target: a column's name, which tells its header.
        names: the names of the columns, where the data at hand know them.

    Raises:
        Unclear: no table, several, or more than one reading of it.
    """
    rows = [row for row in sample if filled(row[1]) and not is_ruler(row[1])]
    if not rows:
        raise Unclear("holds no row", "add a header and rows")
    fixed = options.skip is not None
    at = 0 if fixed else _named_row(rows, target, names)
    named = names or ([target] if target else [])
    if at is None and named and all(re.fullmatch(r"column_\d+", n) for n in named):
        options = replace(options, header=False)
    width, first, last = _widest_run(rows, at, options)
    if at is not None and not fixed and not names and not _may_name(rows, at, width):
        at = None
        width, first, last = _widest_run(rows, at, options)
    if at is not None:
        first = at
        if options.header is not False:
            width = max(width, filled(rows[at][1]))
    _refuse_ragged(rows, width, range(at or 0, first), last, complete)
    if at is None and options.header_lines is None:
        first = _below_titles(rows, width, first, last)
        if options.header is None and lacks_a_name(rows, first, last, width):
            first -= 1
    body = [cells for _, cells in rows[first : last + 1]]
    if options.keep_misfits:
        body = [cells for i, cells in enumerate(body) if i == 0 or _fits(cells, width)]
    headers = count_headers(rows, body, first, width, options, known=at is not None and not fixed)
    shifted = headers > 0 and len(body[0]) == width - 1 and any(map(_full(width), body[1:]))
    if shifted:
        refuse_unless_numbered(body, width)
    if at is None:
        _refuse_odd_above(rows[:first], named=headers > 0 or options.header is False)
    if options.header is False and names and width != len(names):
        raise Unclear(
            f"has {width} columns and no header, the data have {len(names)}",
            "add the header of the data",
        )
    return _result(rows, body, first, headers, width, shifted, target, names, options)


def _named_row(rows: Sequence[Row], target: str | None, names: Collection[str]) -> int | None:
    """The row that holds the names that are known, or the target's."""
    wanted = set(names)
    for i, (_, cells) in enumerate(rows[:SOUGHT]):
        own = {" ".join(c.split()) for c in cells}
        if wanted and len(wanted & own) >= max(1, 0.6 * len(wanted)):
            return i
        if not wanted and target and target.strip() in own and filled(cells) > 1:
            return i
    return None


def _may_name(rows: Sequence[Row], at: int, width: int) -> bool:
    """Whether the row that holds the target's name is no row of values further down."""
    if len(rows[at][1]) < width - 1:
        return False
    above = [cells for _, cells in rows[:at] if _fits(cells, width) and _filled_cells(cells) > 1]
    return not above or (len(above) == 1 and not any(map(is_value, above[0])))


def _filled_cells(cells: Sequence[str]) -> int:
    return sum(1 for c in cells if c.strip())


def _fits(cells: Sequence[str], width: int) -> bool:
    return len(cells) == width or (len(cells) > width and filled(cells) <= width)


def _widest_run(
    rows: Sequence[Row], at: int | None, options: ReadingOptions
) -> tuple[int, int, int]:
    """The number of cells that most rows in a row have; the first and last of these rows."""
    if options.pad:
        width = max(filled(cells) for _, cells in rows[at or 0 :])
        return width, at or 0, len(rows) - 1
    if options.keep_misfits and at is not None:
        common = Counter(len(cells) for _, cells in rows[at:]).most_common(1)
        return common[0][0], at, len(rows) - 1
    best = (0, 0, 0, 0)
    for width in {len(cells) for _, cells in rows[at or 0 :]}:
        begun = None
        for i in range(at or 0, len(rows) + 1):
            if i < len(rows) and _fits(rows[i][1], width):
                begun = i if begun is None else begun
            elif begun is not None:
                best = max(best, (i - begun, width, -begun, i - 1))
                begun = None
    _, width, begun_, last = best
    return width, -begun_, last


def _refuse_ragged(
    rows: Sequence[Row], width: int, before: range, last: int, complete: bool
) -> None:
    """Rows of another width may stand above the table (titles) or below it (notes) only."""
    fitting = [i for i in before if _fits(rows[i][1], width)]
    if len(fitting) > 1 and width > 1:
        odd = next((i for i in range(fitting[0], before.stop) if i not in fitting), before.stop)
        raise ragged(rows[odd], width)
    below = rows[last + 1 :]
    if any(not complete or filled(c) > width or _fits(c, width) for _, c in below):
        raise ragged(below[0], width)


def ragged(row: Row, width: int) -> Unclear:
    """Why a row of another number of cells is refused."""
    line, cells = row
    count = len(cells)
    hint = (
        "the file may be cut there, or a separator or quote be stray; --pad fills short rows "
        "with missing cells, --skip N and --footer N leave out lines above and below the table"
        if count < width
        else "correct the line (a stray separator or quote), or pass --separator, --quote or "
        "--skip N, the number of lines above the table"
    )
    if cells[0].lstrip().startswith(("#", "//", ";", "%")):
        mark = cells[0].lstrip()[0]
        hint = f"if it is a comment, pass --comment '{mark}'; else {hint}"
    return Unclear(
        f"line {line} has {count} field{'s' if count != 1 else ''}, the table {width}",
        hint,
        got=" · ".join(cells)[:80],
    )


def _below_titles(rows: Sequence[Row], width: int, first: int, last: int) -> int:
    """Leave out rows at the top that hold one text and are padded with separators."""
    used = max((filled(cells) for _, cells in rows[first + 1 : last + 1]), default=0)
    while first < last and used > 1 and width > 1:
        cells = [c for c in rows[first][1] if c.strip()]
        thin = len(cells) == 1 and is_words(cells[0])
        below = sum(1 for c in rows[first + 1][1] if c.strip())
        if not thin or (below < 2 and first + 1 == last) or (width == 2 and below < 2):
            break
        first += 1
    return first


def _full(width: int) -> Callable[[Sequence[str]], bool]:
    return lambda cells: filled(cells) == width


def _refuse_odd_above(above: Sequence[Row], *, named: bool) -> None:
    """What stands above is left out only where it is plainly not part of the table."""
    if not above:
        return
    comments = all(cells[0].lstrip().startswith(("#", "%", "//")) for _, cells in above)
    end = above[-1][0]
    if not named and not comments:
        raise Unclear(
            f"what is in lines 1 to {end} is neither a header nor a row of the table",
            "pass --skip N, the number of lines above the header (with --header) or above the "
            "first row (with --no-header), or --separator",
            got=" · ".join(above[-1][1])[:80],
        )
    wide = [row for row in above if filled(row[1]) > 2]
    values = [row for row in above if len(row[1]) > 1 and all(map(is_value, row[1]))]
    if not comments and (len(wide) > 2 or values):
        line = (wide or values)[0][0]
        raise Unclear(
            f"two tables: one begins in line {line}, another behind line {end}",
            f"pass --skip {end} (with --header or --no-header) to read the lower one; the upper "
            f"one needs a file of its own, or --skip {line - 1} --header",
        )


def _result(
    rows: Sequence[Row],
    body: list[list[str]],
    first: int,
    headers: int,
    width: int,
    shifted: bool,
    target: str | None,
    known: Collection[str],
    options: ReadingOptions,
) -> TableShape:
    header = [["", *row] for row in body[:headers]] if shifted else body[:headers]
    below = body[headers:]
    notes = []
    line = rows[first][0]
    above = rows[:first]
    if above or (line > 1 and options.skip is None):
        shown = " ".join(c.strip() for c in above[0][1] if c.strip())[:50] if above else "blank"
        notes.append(f"lines 1 to {line - 1} above the table are left out ('{shown}' …)")
    given = [""] * width
    if headers:
        given, joined = names_of(header, width, target, known)
        if headers > 1:
            how = "are joined" if joined else "are above the values; the last names the columns"
            notes.append(f"{headers} header lines {how}: {', '.join(given[:3])} …")
        if shifted:
            notes.append("the header has one name less than the rows: the first column has none")
    else:
        notes.append("no line names the columns, so they are column_0, column_1, …")
    return TableShape(
        line=line,
        headers=headers,
        header=tuple(tuple(rows[first + i][1]) for i in range(headers)),
        given=given,
        width=width,
        values=tuple(value_columns(below[:TYPES], width)),
        notes=notes,
    )
