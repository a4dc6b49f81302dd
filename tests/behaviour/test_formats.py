"""A table in any format, and new rows in it: the values that were meant come out, or it is said."""

from __future__ import annotations

import datetime as dt
import string
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from plumbline import cli
from plumbline.commands.append import append_rows
from plumbline.config.data import DataConfig, FormatConfig
from plumbline.data.infer import Inferred, Wishes, infer
from plumbline.data.read import conform, scan
from plumbline.data.source import open_source
from plumbline.errors import DataError
from plumbline.kinds import Task
from plumbline.tables import CellFormat, Schema

ROWS, NEW = 60, 12
PATTERNS = (
    *("%Y-%m-%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%y", "%m/%d/%y", "%d-%b-%y"),
    *("%B %d, %Y", "%Y%m%d", "%d/%m/%Y %H:%M", "%m/%d/%Y %I:%M %p", "%Y-%m-%dT%H:%M:%SZ"),
    *("%Y-%m-%d %H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S+0000"),
)


@st.composite
def number_formats(draw: Any) -> CellFormat:
    decimal, thousands = draw(
        st.sampled_from(
            [(".", None), (".", ","), (",", None), (",", "."), (".", " "), (",", " "), (".", "'")]
        )
    )
    unit = draw(st.sampled_from([None, None, "$", "€", "%", "EUR"]))
    return CellFormat(
        decimal=decimal,
        thousands=thousands,
        unit=unit,
        parentheses=draw(st.booleans()),
        minus=draw(st.sampled_from(["-", "−", "behind"])),
    )


def written_number(value: Decimal, form: CellFormat) -> str:
    shown = value * 100 if form.unit == "%" else value
    text = f"{abs(shown):,f}".replace(",", "g").replace(".", form.decimal)
    text = text.replace("g", {" ": "\u202f", None: ""}.get(form.thousands, form.thousands or ""))
    if form.unit is not None:
        text = f"{form.unit}{text}" if form.unit == "$" else f"{text} {form.unit}"
    if value >= 0:
        return text
    if form.parentheses:
        return f"({text})"
    return f"{text}-" if form.minus == "behind" else f"{form.minus}{text}"


numbers = st.decimals(-(10**6), 10**7, places=3, allow_nan=False, allow_infinity=False)
words = st.text(
    st.sampled_from(string.ascii_letters + string.digits + " \"',;\n\t-äß€→'"),
    min_size=1,
    max_size=9,
).filter(lambda t: t.strip() == t)


@st.composite
def tables(draw: Any) -> tuple[dict[str, list[str]], dict[str, list[Any]], str]:
    """Cells of ROWS + NEW rows, what they mean, and a separator."""
    rows = ROWS + NEW
    cells: dict[str, list[str]] = {"y": [["no", "yes"][i % 2] for i in range(rows)]}
    meant: dict[str, list[Any]] = {}
    separator = draw(st.sampled_from([",", ";", "\t"]))
    for i in range(draw(st.integers(1, 3))):
        form = draw(number_formats())
        some = draw(st.lists(numbers, min_size=12, max_size=12))
        values = [some[k * 5 % 12] + k for k in range(rows)]
        cells[f"n{i}"] = [written_number(v, form) for v in values]
        meant[f"n{i}"] = [float(v) for v in values]
    for i in range(draw(st.integers(0, 2))):
        pattern = draw(st.sampled_from(PATTERNS))
        first = draw(st.datetimes(dt.datetime(1971, 1, 1), dt.datetime(2060, 1, 1)))
        step = dt.timedelta(hours=draw(st.sampled_from([1, 24, 31, 24 * 31])))
        days = [first + k * step for k in range(rows)]
        cells[f"d{i}"] = [f"{day:{pattern}}" for day in days]
        naive = pattern.replace("+0000", "")
        meant[f"d{i}"] = [dt.datetime.strptime(f"{d:{naive}}", naive) for d in days]
    codes = draw(st.lists(words, min_size=3, max_size=6))
    cells["c"] = [codes[k % len(codes)] for k in range(rows)]
    codes = [f"0{k}" for k in range(7)]
    cells["zip"] = [codes[k % 7] for k in range(rows)]
    meant["zip"] = cells["zip"]
    long = [str(10**19 + k) for k in range(9)]
    cells["long"] = [long[k % 9] for k in range(rows)]
    meant["long"] = cells["long"]
    return cells, meant, separator


def write(path: Path, cells: dict[str, list[str]], rows: slice, separator: str) -> None:
    frame = pl.DataFrame({name: column[rows] for name, column in cells.items()})
    frame.write_csv(path, separator=separator)


def agree(frame: pl.DataFrame, meant: dict[str, list[Any]], rows: slice, result: Inferred) -> None:
    for name, values in meant.items():
        read = frame[name].to_list()
        if read != values[rows]:
            note = result.notes.get(name, "")
            text = "read as" in note or "as in the other dates" in note
            assert text, (name, note, read[:5], values[rows][:5])


def append(place: Path, new: Path, schema: Schema, form: FormatConfig) -> None:
    config = DataConfig(
        name="x", path=str(new), target="y", task=Task.BINARY, positive="yes", format=form
    )
    source = open_source(config, schema, place.parent)
    names = [c.name for c in schema.columns]
    bad = source.frame.select(pl.any_horizontal(source.unreadable.values()).any()).collect().item()
    if bad:
        raise DataError("is refused by row")
    rows = source.frame.select(names).collect()
    cells = source.written.select(n for n in names if n in source.texts).collect()
    append_rows(place, rows, cells, schema, form, lambda _: None)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables())
def test_what_was_meant_comes_out(tmp_path_factory: pytest.TempPathFactory, made: Any) -> None:
    cells, meant, separator = made
    folder = tmp_path_factory.mktemp("formats")
    place, new = folder / "a.csv", folder / "new.csv"
    old, others = slice(0, ROWS), slice(ROWS, ROWS + NEW)
    write(place, cells, old, separator)
    write(new, cells, others, separator)
    form = FormatConfig(separator=separator)
    result = infer(scan(place, form), form, Wishes(target="y"), file="a.csv")
    schema = result.expectations.schema
    agree(conform(scan(place, form), schema, "a.csv").collect(), meant, old, result)
    before = place.read_bytes()
    try:
        append(place, new, schema, form)
    except DataError:
        assert place.read_bytes() == before
        reject()
    read = conform(scan(place, form), schema, "a.csv").collect()
    agree(read[:ROWS], meant, old, result)
    agree(read[ROWS:], meant, others, result)


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(tables(), st.data())
def test_native_rows_are_written_in_the_format_of_the_data(
    tmp_path_factory: pytest.TempPathFactory, made: Any, data: Any
) -> None:
    """Rows of a Parquet file behind those of a CSV: the same values, or a refusal."""
    cells, _, separator = made
    folder = tmp_path_factory.mktemp("formats")
    place = folder / "a.csv"
    write(place, cells, slice(0, ROWS), separator)
    form = FormatConfig(separator=separator)
    schema = infer(scan(place, form), form, Wishes(target="y"), file="a.csv").expectations.schema
    rows = conform(scan(place, form), schema, "a.csv").collect().head(NEW)
    exact = [data.draw(st.floats(allow_nan=False, allow_infinity=False)) for _ in range(NEW)]
    if schema.column("n0").dtype == pl.Float64:
        rows = rows.with_columns(n0=pl.Series(exact, dtype=pl.Float64))
    append_rows(place, rows, pl.DataFrame(), schema, form, lambda _: None)
    read = conform(scan(place, form), schema, "a.csv").collect()
    assert read[ROWS:].equals(rows)


# -- the command


def start(checkout: Path, tmp_path: Path, lines: list[str]) -> None:
    file = tmp_path / "shop.csv"
    file.write_text("\n".join(lines) + "\n")
    assert cli.main(["init", "--data", str(file), "--target", "y"]) == 0


def lines_of(checkout: Path) -> list[str]:
    return (checkout / "data" / "shop.csv").read_text().splitlines()


def test_a_week_of_us_dates_is_appended_as_that_week(checkout: Path, tmp_path: Path) -> None:
    days = [dt.date(2023, 6, 1) + dt.timedelta(days=i) for i in range(120)]
    body = [f"{d:%m/%d/%Y},{i % 9},{'ny'[i % 2]}" for i, d in enumerate(days)]
    start(checkout, tmp_path, ["day,x,y", *body])
    new = tmp_path / "week.csv"
    week = [f"02/{i:02}/2024,{i},{'ny'[i % 2]}" for i in range(1, 8)]
    new.write_text("\n".join(["day,x,y", *week]) + "\n")
    assert cli.main(["ingest", str(new)]) == 0
    assert lines_of(checkout) == ["day,x,y", *body, *week]
    assert "date: '%m/%d/%Y'" in (checkout / "expectations.yaml").read_text()


def test_digits_grouped_by_points_stay_so(checkout: Path, tmp_path: Path) -> None:
    body = [f"{1 + i}.{i:03},5;{'ny'[i % 2]}" for i in range(60)]
    start(checkout, tmp_path, ["x;y", *body])
    new = tmp_path / "new.csv"
    new.write_text("x;y\n1.703;n\n2.000;y\n")
    assert cli.main(["ingest", str(new)]) == 0
    assert lines_of(checkout)[-2:] == ["1.703;n", "2.000;y"]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("1.5", "1,5", "not a number"),
        ("2024-01-05", "05.01.2024", "not a date"),
        ("12.5%", "0.125", "not a number, unit: '%'"),
    ],
)
def test_rows_in_another_format_are_refused(
    checkout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    words: str,
) -> None:
    body = [f'"{old}";{i % 7};{"ny"[i % 2]}' for i in range(60)]
    start(checkout, tmp_path, ["x;z;y", *body])
    file = tmp_path / "new.csv"
    file.write_text(f"x;z;y\n{new};1;n\n{new};2;y\n")
    assert cli.main(["ingest", str(file)]) == 3
    text = capsys.readouterr().err
    assert "column 'x'" in text and words in text and new in text
    assert len(lines_of(checkout)) == 61
