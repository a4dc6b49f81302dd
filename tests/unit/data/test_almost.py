"""Notes on columns that are nearly dates, and on numbers with a power of ten."""

from __future__ import annotations

import datetime as dt
from itertools import combinations

import polars as pl
import pytest

from plumbline.config.data import FormatConfig
from plumbline.data.infer import Inferred, Wishes, infer
from plumbline.kinds import ColumnType

DAYS = [dt.date(2023, 1, 13) + dt.timedelta(days=i) for i in range(60)]
PATTERNS = ["%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y", "%b %d, %Y", "%d-%b-%y", "%d/%m/%Y %H:%M"]


def inferred(cells: list[str], separator: str = ",") -> Inferred:
    frame = pl.LazyFrame({"x": cells, "y": [["no", "yes"][i % 2] for i in range(len(cells))]})
    return infer(frame, FormatConfig(separator=separator), Wishes(target="y"), file="a.csv")


@pytest.mark.parametrize("pair", list(combinations(PATTERNS, 2)))
@pytest.mark.parametrize("every", [2, 5])
def test_dates_of_two_formats_are_said_with_an_example_of_each(
    pair: tuple[str, str], every: int
) -> None:
    cells = [f"{day:{pair[i % every == 0]}}" for i, day in enumerate(DAYS)]
    result = inferred(cells)
    assert result.expectations.columns["x"].type is ColumnType.TEXT
    assert "dates in several formats" in result.notes["x"]
    assert f"'{cells[0]}'" in result.notes["x"]
    assert f"'{cells[1]}'" in result.notes["x"]


@pytest.mark.parametrize(
    ("pattern", "date"), [("%Y-%m-%d", ""), ("%d.%m.%Y", "date: '%d.%m.%Y', ")]
)
def test_a_word_among_dates_is_said_with_the_format_that_makes_it_missing(
    pattern: str, date: str
) -> None:
    cells = ["open" if i % 5 == 0 else f"{day:{pattern}}" for i, day in enumerate(DAYS)]
    assert f"type: date, format: {{{date}missing: ['open']}}" in inferred(cells).notes["x"]


@pytest.mark.parametrize("cell", ["10.0.{}.1", "v1.2.{}", "1-2-{}00", "{}/7 of 1/2/3", "A {} b"])
def test_what_is_no_date_is_not_taken_for_one(cell: str) -> None:
    note = inferred([cell.format(i % 40) for i in range(60)]).notes.get("x", "")
    assert "date" not in note


@pytest.mark.parametrize("decimal", [".", ","])
def test_powers_of_ten_are_no_grouped_digits(decimal: str) -> None:
    values = [(i + 1) * 1.234 * 10.0 ** (i % 9 - 4) for i in range(60)]
    cells = [f"{value:.3e}".replace(".", decimal) for value in values]
    result = inferred(cells, separator=";")
    column = result.expectations.columns["x"]
    assert column.type is ColumnType.NUMBER
    assert (column.format.decimal if column.format else ".") == decimal
    assert "read as" not in result.notes.get("x", "")
    assert result.profiles["x"].high == pytest.approx(max(values), rel=1e-3)
