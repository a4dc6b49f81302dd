"""The rows above a table's first: how many of them name its columns, and what they say."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from plumbline.data.dialect import Row
from plumbline.data.header import (
    Unclear,
    is_header,
    is_missing,
    is_words,
    join_headers,
    value_columns,
)
from plumbline.data.options import ReadingOptions

TYPES = 500  # rows that tell the columns' types
MOST_HEADERS = 2  # rows of names that are found without being told


def lacks_a_name(rows: Sequence[Row], first: int, last: int, width: int) -> bool:
    """Whether the row above the table names all columns but one, as R writes row names."""
    if first == 0 or width < 3 or len(rows[first - 1][1]) != width - 1:
        return False
    body = [cells for _, cells in rows[first : last + 1]]
    if not all(map(is_words, rows[first - 1][1])):
        return False
    try:
        return len(body) < 2 or not is_header(body[0], body[1 : TYPES + 1], width)
    except Unclear:
        return True


def refuse_unless_numbered(body: Sequence[Sequence[str]], width: int) -> None:
    """Rows that hold one cell more than the header begin with a name or number of the row."""
    firsts = [cells[0].strip() for cells in body[1:]]
    words = all(map(is_words, firsts)) and len(set(firsts)) == len(firsts)
    if words or firsts == [str(i) for i in range(1, len(firsts) + 1)]:
        return
    raise Unclear(
        f"the header has {width - 1} names, the rows {width} cells",
        "add the missing name, or correct the rows (a decimal comma in a file that is "
        "separated by commas, a separator at the end)",
        got=", ".join(body[0])[:80],
    )


def count_headers(
    rows: Sequence[Row],
    body: Sequence[Sequence[str]],
    first: int,
    width: int,
    options: ReadingOptions,
    *,
    known: bool,
) -> int:
    """How many rows name the columns."""
    if options.header is False:
        return 0
    if options.header_lines is not None:
        return options.header_lines
    below = [cells for cells in body[1 : TYPES + 1] if cells != body[0]]
    shift = [""] if len(body[0]) == width - 1 else []
    unknown = not known and options.header is None and below
    if unknown and not is_header([*shift, *body[0]], below, width):
        return 0
    if unknown:
        _refuse_unnamed([*shift, *body[0]], below)
    values = value_columns(below[MOST_HEADERS - 1 :], width)
    count = 1
    while values and count < len(body) - 1 and _names_all(body[count], values):
        count += 1
    if count > MOST_HEADERS:
        raise Unclear(
            f"{count} rows of words are above the first values",
            "pass --skip N and --header-lines N",
        )
    return count


def _refuse_unnamed(header: Sequence[str], below: Sequence[Sequence[str]]) -> None:
    """A header that leaves columns of values without a name may be a title above the names."""
    bare = [i for i, name in enumerate(header) if i and not name.strip()]
    used = [i for i in bare if any(i < len(cells) and cells[i].strip() for cells in below)]
    if len(used) > 1 and not _names_all(below[0], used):
        raise Unclear(
            f"the header leaves {len(used)} columns without a name",
            "pass --header-lines N if more lines name the columns, or --header if none does",
            got=", ".join(header)[:80],
        )


def _names_all(cells: Sequence[str], values: Sequence[int]) -> bool:
    return all(i < len(cells) and is_words(cells[i]) for i in values)


def names_of(
    header: list[list[str]], width: int, target: str | None, known: Collection[str]
) -> tuple[list[str], bool]:
    """Names from the header rows; of two rows the one that holds a known name, if one does."""
    best = join_headers(header, width)
    wanted = set(known) or ({target.strip()} if target else set())
    if len(header) == 1 or not wanted or wanted & set(best[0]):
        return best
    for row in reversed(header):
        alone = join_headers([row], width)
        if wanted & set(alone[0]):
            return alone
    return best


def is_second_header(cells: Sequence[str], values: Sequence[int]) -> bool:
    """Whether a row behind a blank line begins another table: words where values were."""
    there = [c for c in cells if not is_missing(c)]
    if len(there) < 2 or not all(map(is_words, there)):
        return False
    return all(is_missing(cells[i]) or is_words(cells[i]) for i in values if i < len(cells))
