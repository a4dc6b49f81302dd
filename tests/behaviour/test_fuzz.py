"""Damaged files: a clear refusal or a right result, never a traceback or a silent wrong read.

Each damage knows what a right reading of its file is: the rows as they were, some of the rows, or
the rows with cells that are found out as unreadable. Anything else that is not refused is wrong.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl
import pytest

from plumbline.cells import unreadable
from plumbline.data.canonical import make_canonical
from plumbline.data.expectations import Expectations
from plumbline.data.infer import Wishes, infer
from plumbline.data.read import conform, scan
from plumbline.errors import PlumblineError
from plumbline.kinds import ColumnType

ROWS = 120
Grid = list[list[str]]  # header and rows


@dataclass(frozen=True)
class Real:
    """The head of a real table, and what a right reading of it is."""

    name: str
    target: str
    grid: Grid
    expectations: Expectations
    frame: pl.DataFrame


@dataclass(frozen=True)
class Damaged:
    """A damaged file. `right` says whether a reading of it is; None: it must be refused."""

    content: bytes
    right: Callable[[pl.DataFrame, set[int]], bool] | None
    target: str | None = None
    may_refuse: bool = field(default=True)


def text(grid: Grid, separator: str = ",", end: str = "\n", *, quote_all: bool = False) -> str:
    out = io.StringIO()
    if quote_all:
        csv.writer(out, delimiter=separator, quoting=csv.QUOTE_ALL).writerows(grid)
    else:
        csv.writer(out, delimiter=separator, lineterminator=end).writerows(grid)
    return out.getvalue()


def read(path: Path, real: Real, target: str) -> tuple[pl.DataFrame, set[int]]:
    """What the pipeline makes of a file: typed rows, and those with a cell that is unreadable."""
    table = make_canonical(path, path.parent / "plain", target=target)
    raw = scan(table.path, table.form)
    infer(raw, table.form, Wishes(target=target), file=path.name)
    schema = real.expectations.schema
    frame = conform(raw, schema, path.name).collect()
    dtypes = raw.collect_schema()
    flags = raw.select(unreadable(c, dtypes[c.name]).alias(c.name) for c in schema.columns)
    bad = flags.collect().with_row_index("row").filter(pl.any_horizontal(pl.exclude("row")))
    return frame, set(bad["row"].to_list())


def load(name: str, target: str, grid: Grid, folder: Path) -> Real:
    path = folder / f"{name}.csv"
    path.write_text(text(grid), encoding="utf-8")
    table = make_canonical(path, folder / "plain", target=target)
    raw = scan(table.path, table.form)
    result = infer(raw, table.form, Wishes(target=target), file=path.name).expectations
    frame = conform(raw, result.schema, path.name).collect()
    return Real(name, target, grid, result, frame)


SOURCES = [
    ("adult/train.csv", ",", "income"),
    ("ames_housing/AmesHousing.txt", "\t", "SalePrice"),
    ("bike_sharing/hour.csv", ",", "cnt"),
    ("creditcard_fraud_sample/creditcard_sample.csv", ",", "Class"),
    ("weather_nebraska/weather.csv", ",", "target"),
    ("ett/ETTh1.csv", ",", "OT"),
]


@pytest.fixture(scope="module")
def reals(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Real]:
    result = []
    for file, separator, target in SOURCES:
        with (real_data / file).open(encoding="utf-8", newline="") as opened:
            rows = list(csv.reader(opened, delimiter=separator))
        position = rows[0].index(target)
        by_value = {row[position]: row for row in rows[1:]}
        few = [rows[0], *(list(by_value.values()) * 3 if len(by_value) < 9 else []), *rows[1:]]
        folder = tmp_path_factory.mktemp("real")
        result.append(load(file.split("/")[0], target, few[: ROWS + 1], folder))
    return result


def same(real: Real) -> Callable[[pl.DataFrame, set[int]], bool]:
    return lambda frame, bad: not bad and frame.equals(real.frame)


def cut(real: Real, rng: random.Random) -> Damaged:
    content = text(real.grid).encode()
    end = rng.randrange(len(content) // 3, len(content))
    whole = content[:end].count(b"\n") - 1

    def right(frame: pl.DataFrame, bad: set[int]) -> bool:
        # a last line of all its fields cannot be told from a whole one
        known = frame.head(whole).equals(real.frame.head(whole))
        return known and len(frame) <= whole + 1

    return Damaged(content[:end], right)


def encoded(real: Real, rng: random.Random) -> Damaged:
    encoding = rng.choice(["utf-8-sig", "utf-16", "utf-32", "cp1252", "utf-16-le"])
    return Damaged(text(real.grid).encode(encoding), same(real))


def foreign_text(real: Real, rng: random.Random) -> Damaged:
    """Letters beyond ASCII in a text column, in an encoding without a mark."""
    places = columns(real, ColumnType.CATEGORY, ColumnType.TEXT)
    if not places:
        return encoded(real, rng)
    grid, place = copy(real), rng.choice(places)
    words = {
        "cp1252": "Füße café naïve Ærø",
        "cp1251": "Привет мир это текст",
        "gb18030": "数据很重要的表",
    }
    encoding, word = rng.choice(sorted(words.items()))
    for row in grid[1::2]:
        row[place] = word
    name = real.grid[0][place]

    def right(frame: pl.DataFrame, bad: set[int]) -> bool:
        return frame[name][0] == word and frame.drop(name).equals(real.frame.drop(name))

    return Damaged(text(grid).encode(encoding), right)


def renamed(real: Real, rng: random.Random) -> Damaged:
    grid = copy(real)
    grid[0][rng.randrange(len(grid[0]))] += "_new"
    return Damaged(text(grid).encode(), None)


def swapped(real: Real, rng: random.Random) -> Damaged:
    order = list(range(len(real.grid[0])))
    rng.shuffle(order)
    return Damaged(text([[row[i] for i in order] for row in real.grid]).encode(), same(real))


def twice(real: Real, rng: random.Random) -> Damaged:
    """A name given twice: the second column gets a name of its own."""
    grid = [[*row, row[rng.randrange(1)]] for row in real.grid]
    return Damaged(text(grid).encode(), same(real), may_refuse=False)


def replaced(real: Real, rng: random.Random) -> Damaged:
    """A word in a column of numbers: found out by its row."""
    places = columns(real, ColumnType.NUMBER, ColumnType.INTEGER)
    grid, place, row = copy(real), rng.choice(places), rng.randrange(1, ROWS)
    word = rng.choice(["oops", "#REF!", "12abc", "=SUM(A1:A9)", "１２", "--5", "0x1F", "1e"])
    grid[row][place] = word
    return Damaged(text(grid).encode(), lambda frame, bad: row - 1 in bad)


def quoted(real: Real, rng: random.Random) -> Damaged:
    return Damaged(text(real.grid, quote_all=True).encode(), same(real), may_refuse=False)


def stray_quote(real: Real, rng: random.Random) -> Damaged:
    places = columns(real, ColumnType.CATEGORY, ColumnType.TEXT)
    lines = text(real.grid).splitlines()
    row = rng.randrange(1, len(lines) - 1)
    cells = lines[row].split(",")
    place = rng.choice(places) if places else rng.randrange(len(cells))
    if place >= len(cells):
        place = 0
    cells[place] = rng.choice(['"', '5" pipe', 'a "b', '"open'])
    lines[row] = ",".join(cells)

    def right(frame: pl.DataFrame, bad: set[int]) -> bool:
        keep = [i for i in range(len(real.frame)) if i != row - 1]
        return len(frame) == len(real.frame) and frame[keep].equals(real.frame[keep])

    return Damaged(("\n".join(lines) + "\n").encode(), right)


def nul(real: Real, rng: random.Random) -> Damaged:
    content = bytearray(text(real.grid).encode())
    content[rng.randrange(len(content))] = 0
    return Damaged(bytes(content), None)


def line_ends(real: Real, rng: random.Random) -> Damaged:
    lines = text(real.grid).splitlines()
    mixed = "".join(line + rng.choice(["\n", "\r\n"]) for line in lines)
    return Damaged(mixed.encode(), same(real))


def old_line_ends(real: Real, rng: random.Random) -> Damaged:
    return Damaged(text(real.grid, end="\r").encode(), same(real))


def blank_lines(real: Real, rng: random.Random) -> Damaged:
    lines = text(real.grid).splitlines()
    lines.insert(rng.randrange(1, len(lines)), "")
    return Damaged(("\n".join(lines) + "\n\n").encode(), same(real))


def enormous(real: Real, rng: random.Random) -> Damaged:
    places = columns(real, ColumnType.CATEGORY, ColumnType.TEXT) or [0]
    grid, place, row = copy(real), rng.choice(places), rng.randrange(1, ROWS)
    grid[row][place] = "x" * rng.choice([200_000, 3_000_000])
    name = real.grid[0][place]

    def right(frame: pl.DataFrame, bad: set[int]) -> bool:
        others = frame.drop(name).equals(real.frame.drop(name))
        return others and (row - 1 in bad or len(str(frame[name][row - 1])) >= 200_000)

    return Damaged(text(grid).encode(), right)


def formula(real: Real, rng: random.Random) -> Damaged:
    places = columns(real, ColumnType.CATEGORY, ColumnType.TEXT)
    if not places:
        return replaced(real, rng)
    grid, place, row = copy(real), rng.choice(places), rng.randrange(1, ROWS)
    cell = rng.choice(["=1+1", "@SUM(1)", "=cmd|' /C calc'!A0", "+1+1", '=HYPERLINK("x","y")'])
    grid[row][place] = cell
    name = real.grid[0][place]
    return Damaged(text(grid).encode(), lambda frame, bad: frame[name][row - 1] == cell)


def foreign_name(real: Real, rng: random.Random) -> Damaged:
    """The target under another name: found under it, and the rest as it was."""
    grid = copy(real)
    name = rng.choice(["שם העמודה", "目标 (y)", "=1+1", "<script>", "a\u202eb", "‏اسم", "🎯"])
    place = grid[0].index(real.target)
    extra = [*grid[0], name]
    rows = [[*row, row[place]] for row in grid[1:]]
    return Damaged(text([extra, *rows]).encode(), same(real), target=name)


def ragged(real: Real, rng: random.Random) -> Damaged:
    grid = copy(real)
    row = rng.randrange(1, len(grid))
    grid[row] = grid[row][:-2] if rng.random() < 0.5 else [*grid[row], "extra"]
    return Damaged(text(grid).encode(), None)


def titled(real: Real, rng: random.Random) -> Damaged:
    return Damaged(("A table of things\n" + text(real.grid)).encode(), same(real), may_refuse=False)


def separated(real: Real, rng: random.Random) -> Damaged:
    return Damaged(text(real.grid, separator=rng.choice(";|\t")).encode(), same(real))


def copy(real: Real) -> Grid:
    return [list(row) for row in real.grid]


def columns(real: Real, *kinds: ColumnType) -> list[int]:
    """Positions of columns of some types, the target left out."""
    own = real.expectations.columns
    return [i for i, n in enumerate(real.grid[0]) if own[n].type in kinds and n != real.target]


DAMAGES = (
    cut,
    encoded,
    foreign_text,
    renamed,
    swapped,
    twice,
    replaced,
    quoted,
    stray_quote,
    nul,
    line_ends,
    old_line_ends,
    blank_lines,
    enormous,
    formula,
    foreign_name,
    ragged,
    titled,
    separated,
)


def score(
    real: Real, damage: Callable[[Real, random.Random], Damaged], seed: int, path: Path
) -> str:
    """`refused` or `right`; fails where it is neither."""
    made = damage(real, random.Random(f"{real.name} {damage.__name__} {seed}"))
    path.write_bytes(made.content)
    try:
        frame, bad = read(path, real, made.target or real.target)
    except PlumblineError as refusal:
        text = str(refusal)
        assert made.may_refuse, text
        assert len(text) < 2000 and "\x00" not in text
        assert path.name in text or "--" in text, text
        return "refused"
    assert made.right is not None, "was to be refused"
    assert made.right(frame, bad), "read wrongly"
    return "right"


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
def test_damaged_files(
    reals: list[Real], damage: Callable[[Real, random.Random], Damaged], tmp_path: Path
) -> None:
    for real in reals[:3]:
        score(real, damage, 0, tmp_path / "mine.csv")


@pytest.mark.soak
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda d: d.__name__)
@pytest.mark.parametrize("seed", range(1, 6))
def test_damaged_files_in_full(
    reals: list[Real],
    damage: Callable[[Real, random.Random], Damaged],
    seed: int,
    tmp_path: Path,
) -> None:
    for real in reals:
        score(real, damage, seed, tmp_path / "mine.csv")
