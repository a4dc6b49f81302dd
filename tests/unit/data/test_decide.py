"""How each column's cells are written, decided over all rows; what was open is said."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest

from plumbline.cells import typed, unreadable
from plumbline.config.data import FormatConfig
from plumbline.data.infer import Inferred, Wishes, infer
from plumbline.errors import DataError
from plumbline.kinds import ColumnType, Role, Task
from plumbline.preprocessing.row import RowReader
from plumbline.tables import CellFormat, Column

N = 60
TIMES = N // 20


def raw_table(columns: dict[str, Sequence[object]]) -> pl.LazyFrame:
    named = {n: [None if v is None else str(v) for v in c] for n, c in columns.items()}
    size = len(next(iter(named.values())))
    named = {"y": [["no", "yes"][i % 2] for i in range(size)], **named}
    return pl.LazyFrame(named, schema=dict.fromkeys(named, pl.String))


def inferred(separator: str = ",", **columns: Sequence[object]) -> Inferred:
    form = FormatConfig(separator=separator)
    return infer(raw_table(columns), form, Wishes(target="y"), file="a.csv")


def column(cells: Sequence[object], separator: str = ",", **others: Sequence[object]) -> Column:
    return inferred(separator, x=cells, **others).expectations.schema.column("x")


def note(cells: Sequence[object], separator: str = ",", **others: Sequence[object]) -> str:
    return inferred(separator, x=cells, **others).notes.get("x", "")


def inferred_target(cells: Sequence[object]) -> Inferred:
    raw = raw_table({"x": range(len(cells)), "t": [str(c) for c in cells]})
    return infer(raw, FormatConfig(), Wishes(target="t"), file="a.csv")


def days(first: dt.date, count: int, pattern: str, step: int = 1) -> list[str]:
    return [f"{first + dt.timedelta(days=i * step):{pattern}}" for i in range(count)]


@pytest.mark.parametrize(
    ("cells", "form"),
    [
        (["1.5", "2"], CellFormat()),
        (["1,5", "2", "1.234,5"], CellFormat(decimal=",", thousands=".")),
        (["1,5", "22,25"], CellFormat(decimal=",")),
        (["1,234.5", "7"], CellFormat(thousands=",")),
        (["1,234,567", "7"], CellFormat(thousands=",")),
        (["1\u202f234,5", "7,25"], CellFormat(decimal=",", thousands=" ")),
        (["1\u00a0234.5", "7.25"], CellFormat(thousands=" ")),
        (["1\u2009234", "7"], CellFormat(thousands=" ")),
        (["$ (1,033.66)", "$ 7.00"], CellFormat(thousands=",", unit="$", parentheses=True)),
        (["($1,033.66)", "$7.00"], CellFormat(thousands=",", unit="$", parentheses=True)),
        (["(12 %)", "7.5 %"], CellFormat(unit="%", parentheses=True)),
        (["1,033.66-", "7.00"], CellFormat(thousands=",", minus="behind")),
        (["12,50- €", "7 €", "12 €-"], CellFormat(decimal=",", unit="€", minus="behind")),
        (["\u22121.5", "2"], CellFormat(minus="−")),
        (["\u2212$1,033", "$7"], CellFormat(thousands=",", unit="$", minus="−")),
        (["USD 12", "USD 7"], CellFormat(unit="USD")),
        (["12 €", "7 €"], CellFormat(unit="€")),
        (["12 SEK", "7 SEK"], CellFormat(unit="SEK")),
        (["1\u00a0234", "7"], CellFormat(thousands=" ")),
        (["1'234.50", "7"], CellFormat(thousands="'")),
        (["$1,234.50", "$7"], CellFormat(thousands=",", unit="$")),
        (["12.5%", "7 %"], CellFormat(unit="%")),
        (["1.234,50 €", "7,00 €"], CellFormat(decimal=",", thousands=".", unit="€")),
        (["(1,234)", "7"], CellFormat(thousands=",", parentheses=True)),
    ],
)
def test_numbers_are_read_as_they_are_written(cells: list[str], form: CellFormat) -> None:
    result = column(cells * 30)
    assert result.type in (ColumnType.NUMBER, ColumnType.INTEGER)
    assert result.format == form


@pytest.mark.parametrize(
    ("cell", "form", "value"),
    [
        ("$ (1,033.66)", CellFormat(thousands=",", unit="$", parentheses=True), -1033.66),
        ("($ 5)", CellFormat(unit="$", parentheses=True), -5.0),
        ("(5) €", CellFormat(unit="€", parentheses=True), -5.0),
        ("(5)", CellFormat(unit="%", parentheses=True), None),
        ("(12.5)%", CellFormat(unit="%", parentheses=True), -0.125),
        ("$ (-5)", CellFormat(unit="$", parentheses=True), None),
        ("1,033.66-", CellFormat(thousands=",", minus="behind"), -1033.66),
        ("-7", CellFormat(minus="behind"), -7.0),
        ("-7-", CellFormat(minus="behind"), None),
        ("7-", CellFormat(), None),
        ("7,5- €", CellFormat(decimal=",", unit="€", minus="behind"), -7.5),
        ("\u22121e-3", CellFormat(minus="−"), -0.001),
        ("-3", CellFormat(minus="−"), -3.0),
        ("\u22123", CellFormat(), None),
    ],
)
def test_negative_numbers_are_negative(cell: str, form: CellFormat, value: float | None) -> None:
    own = Column(name="x", type=ColumnType.NUMBER, format=form)
    frame = pl.DataFrame({"x": [cell]})
    assert frame.select(typed(own, pl.String())).item() == value
    read = RowReader([own])
    if value is None:
        with pytest.raises(DataError):
            read({"x": cell})
    else:
        assert read({"x": cell}) == [value]


def test_a_format_that_first_shows_far_below_the_top_counts_too() -> None:
    rows = ["7"] * 30_000
    rows[17_345] = "1.234,5"
    rows[23_456] = "0,5"
    assert column(rows).format == CellFormat(decimal=",", thousands=".")


def test_the_other_columns_tell_what_a_point_means() -> None:
    open_cells = ["1.703", "2.100"] * 30
    assert column(open_cells).format == CellFormat()
    assert "'1.703' read as 1.703; if it is 1703" in note(open_cells)
    answer = column(open_cells, ";", z=["1.234,5", "0,25"] * 30)
    assert answer.format == CellFormat(decimal=",", thousands=".")


def test_commas_before_three_digits_are_said_where_nothing_tells() -> None:
    cells = ["1,234", "5,678"] * 30
    assert column(cells).format == CellFormat(thousands=",")
    assert column(cells, ";").format == CellFormat(decimal=",")
    assert "decimal" in note(cells) and "thousands" in note(cells, ";")


@pytest.mark.parametrize("mark", [",", "."])
@pytest.mark.parametrize("whole", ["0", "-0", "00"])
def test_digits_behind_a_zero_are_no_group(mark: str, whole: str) -> None:
    """`0,892` is never 892, whatever stands in the other cells and columns."""
    cells = [f"{whole}{mark}892", f"1{mark}234"] * 30
    result = inferred(x=cells, z=["1,234.5", "2"] * 30)
    x = result.expectations.schema.column("x")
    assert x.format == CellFormat(decimal=mark)
    assert result.profiles["x"].high == pytest.approx(1.234)
    assert "if it is" not in result.notes.get("x", "")


def test_a_group_behind_a_zero_is_refused_where_digits_are_grouped() -> None:
    grouped = Column(name="x", type=ColumnType.NUMBER, format=CellFormat(thousands=","))
    cells = pl.LazyFrame({"x": ["1,234", "0,892", "-0,892"]})
    bad = cells.select(unreadable(grouped, pl.String())).collect()["x"].to_list()
    assert bad == [False, True, True]


@pytest.mark.parametrize(
    ("cells", "others"),
    [(["1.234", "5.678"], ["3,5", "0,25"]), (["1,234", "5,678"], ["1,234.5", "0.25"])],
)
def test_what_the_other_columns_tell_is_said(cells: list[str], others: list[str]) -> None:
    text = note(cells * 30, ";", z=others * 30)
    assert f"'{cells[0]}' read as 1234 as in the other columns; if it is 1.234" in text


def test_decimal_comma_beside_decimal_point() -> None:
    result = inferred(x=["1,5", "22,25"] * 30, z=["1.5", "22.25"] * 30).expectations.schema
    assert result.column("x").format == CellFormat(decimal=",")
    assert result.column("z").format == CellFormat()


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (["07", "7", "12"], "begin with a zero"),
        (["01234", "90210", "10001"], "begin with a zero"),
        (["12345678901234567890", "12345678901234567891"], "more than 18 digits"),
    ],
)
def test_codes_of_digits_are_no_numbers(cells: list[str], text: str) -> None:
    cells = cells * (N // len(cells))
    assert column(cells).type is ColumnType.CATEGORY
    assert text in note(cells)


@pytest.mark.parametrize("other", ["K1A 0B1", "V57", "2A"])
def test_a_few_codes_with_letters_keep_the_zeros_of_the_others(other: str) -> None:
    cells = ["02134", "90210"] * 30 + [other]
    assert column(cells).type is ColumnType.CATEGORY
    assert "begin with a zero" in note(cells)


def test_numbers_with_a_fraction_and_a_zero_in_front_are_said() -> None:
    cells = ["038.9", "250.01"] * 30
    assert column(cells).type is ColumnType.NUMBER
    assert "30 cells with a zero in front ('038.9') read as numbers" in note(cells)
    assert note(["0.9", "250.01"] * 30) == ""


def test_what_only_looks_like_numbers_is_said() -> None:
    assert "<0.5" in note(["<0.5", "0.7", "1.2", "<0.1"] * 15)
    assert "unit: km" in note([f"{i} km" for i in range(N)])


@pytest.mark.parametrize("cell", ["inf", "-inf", "Infinity", "1e400"])
def test_infinite_numbers_are_missing_and_said(cell: str) -> None:
    result = inferred(x=[*range(N - 2), cell, cell])
    assert result.expectations.columns["x"].type in (ColumnType.NUMBER, ColumnType.INTEGER)
    assert result.profiles["x"].missing == 2
    assert "2 infinite values taken as missing" in result.notes["x"]


@pytest.mark.parametrize("cell", ["inf", "-Inf", "Infinity"])
@pytest.mark.parametrize("before", [0, 10])
def test_an_infinite_target_is_refused(cell: str, before: int) -> None:
    cells = [*([""] * before), *(i * 1.5 for i in range(N - before - 1)), cell]
    raw = raw_table({"x": range(N), "t": cells})
    with pytest.raises(DataError, match=rf"row {N - 1}: the target is infinite \('{cell}'\)"):
        infer(raw, FormatConfig(), Wishes(target="t"), file="a.csv")


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        ([*range(N - 3), "", "", ""], "below the table, pass --footer 3"),
        (["", *range(N - 1)], "belongs to the header, pass --header-lines 2"),
    ],
)
def test_rows_without_a_target_at_an_end_may_be_no_rows(cells: list[object], text: str) -> None:
    assert text in inferred_target(cells).notes["t"]
    note = inferred_target([*range(N // 2), "", *range(N // 2)]).notes["t"]
    assert f"missing in 1 row, which are left out (row {N // 2}, counted from 0)" in note
    assert "--footer" not in note and "--header-lines" not in note


def test_a_last_row_that_was_cut_is_refused() -> None:
    whole = {"x": list(range(N)), "z": [*range(N - 1), ""], "t": [*range(N - 1), ""]}
    with pytest.raises(DataError, match=r"1 row, the last, and with it 1 column .*'z'.* cut"):
        infer(raw_table(whole), FormatConfig(), Wishes(target="t"), file="a.csv")
    word = whole | {"z": [*range(N - 1), "NA"]}  # nothing that is written was cut
    infer(raw_table(word), FormatConfig(), Wishes(target="t"), file="a.csv")
    whole["z"][3] = ""  # others lack it too
    infer(raw_table(whole), FormatConfig(), Wishes(target="t"), file="a.csv")


def test_a_target_with_gaps_may_have_as_many_again() -> None:
    missing = inferred_target([*range(N - 6), *[""] * 6]).expectations.columns["t"].missing
    assert missing is not None and missing.max == 0.17 and missing.severity == "critical"


def test_whole_numbers_of_which_some_have_a_letter_are_codes() -> None:
    codes = [*range(100, 140), *range(100, 140), *(f"{i}a" for i in range(100, 106)), "b12", "c7"]
    result = inferred(x=codes)
    assert result.expectations.columns["x"].type is ColumnType.CATEGORY
    assert "8 cells have a letter beside digits ('100a'): codes" in result.notes["x"]
    for others in (["12O"], ["12k", "13k", "5m"], ["x", "y", "z"], ["12a"] * 4):  # no codes
        assert inferred(x=[*range(100), *others]).expectations.columns["x"].type in (
            ColumnType.NUMBER,
            ColumnType.INTEGER,
        )
    fractions = [*(i / 7 for i in range(100)), "1a", "2b", "3c"]
    assert inferred(x=fractions).expectations.columns["x"].type is ColumnType.NUMBER


# -- words for missing


def test_a_word_for_missing_belongs_to_its_column() -> None:
    result = inferred(
        x=["-", *range(N - 1)],
        z=["none", *[i / 2 for i in range(N - 1)]],
        c=["none", "-", "a"] * 20,
    )
    schema = result.expectations.schema
    assert "-" in (schema.column("x").format.missing or ())
    assert schema.column("c").format == CellFormat()
    assert result.profiles["c"].missing == 0 and result.profiles["c"].values == ("-", "a", "none")
    assert "1 × '-' taken as missing" in result.notes["x"]


@pytest.mark.parametrize("word", ["n.a.", ":", "suppressed"])
def test_an_unknown_word_among_numbers_comes_with_the_way_to_make_it_missing(word: str) -> None:
    text = note([word, "1.5", "2.5", word, "3.5"] * 12)
    assert f"36 of 60 cells are numbers, others not ('{word}')" in text
    assert f"set type: number, format: {{missing: ['{word}']}}" in text
    assert "missing" not in note(["1x", "1.5", "2.5", "2y", "3.5"] * 12)


def test_a_class_of_that_name_stays() -> None:
    raw = pl.LazyFrame({"y": ["none", "some", "-"] * 20, "x": ["none", *map(str, range(59))]})
    result = infer(raw, FormatConfig(), Wishes(target="y"), file="a.csv").expectations
    assert set(result.schema.classes) == {"none", "some", "-"}


def test_default_words_in_a_category_are_said_and_can_be_kept() -> None:
    cells = ["NA", "EU", "AS"] * 20
    result = inferred(x=cells)
    assert result.profiles["x"].missing == 20
    assert "20 × 'NA' taken as missing; format: {missing: []} keeps them" in result.notes["x"]
    form = FormatConfig(missing=[])
    kept = infer(raw_table({"x": cells}), form, Wishes(target="y"), file="a.csv")
    assert kept.profiles["x"].missing == 0


def test_a_word_that_may_be_a_class_or_a_missing_target_is_asked_about() -> None:
    cells = ["NA", "EU", "AS"] * 20
    table = raw_table({"x": cells})
    with pytest.raises(DataError, match=r"'NA' in 20 rows .* may be a class.*--missing 'NA'"):
        infer(table, FormatConfig(), Wishes(target="x"), file="a.csv")
    said = infer(table, FormatConfig(missing=["NA"]), Wishes(target="x"), file="a.csv")
    assert said.expectations.schema.classes == ("AS", "EU")
    assert "missing in 20 rows, which are left out" in said.notes["x"]
    kept = infer(table, FormatConfig(missing=[]), Wishes(target="x"), file="a.csv")
    assert set(kept.expectations.schema.classes) == {"AS", "EU", "NA"}


def test_a_word_that_is_missing_among_numbers_is_missing_in_the_target() -> None:
    table = raw_table({"x": ["NA", "EU", "AS"] * 20, "z": ["NA", *range(59)]})
    result = infer(table, FormatConfig(), Wishes(target="x"), file="a.csv")
    assert result.expectations.schema.classes == ("AS", "EU")


def test_a_rare_word_is_missing_in_the_target() -> None:
    table = raw_table({"x": ["NA", *["EU", "AS"] * 30]})
    result = infer(table, FormatConfig(), Wishes(target="x"), file="a.csv")
    assert result.expectations.schema.classes == ("AS", "EU")


# -- dates


def test_us_dates_in_time_order_are_decided_by_all_rows() -> None:
    cells = days(dt.date(2023, 1, 1), 400, "%m/%d/%Y")
    assert column(cells).format.date == "%m/%d/%Y"
    assert column(days(dt.date(2023, 1, 1), 400, "%d/%m/%Y")).format.date == "%d/%m/%Y"


def test_each_date_column_has_its_own_pattern() -> None:
    result = inferred(
        x=days(dt.date(2023, 1, 1), N, "%d.%m.%Y"),
        z=days(dt.date(2023, 1, 1), N, "%m/%d/%Y"),
        w=days(dt.date(2023, 1, 1), N, "%d-%b-%y"),
        v=days(dt.date(2023, 1, 1), N, "%Y-%m-%d"),
    ).expectations.schema
    patterns = [result.column(name).format.date for name in "xzwv"]
    assert patterns == ["%d.%m.%Y", "%m/%d/%Y", "%d-%b-%y", None]
    assert {result.column(name).type for name in "xzwv"} == {ColumnType.DATE}


def test_day_and_month_that_both_fit() -> None:
    """The other dates tell, then the order of the rows; else a rule, said with the way out."""
    either = ["02/05/2024", "11/03/2024", "07/08/2024"] * TIMES * 7
    assert column(either[:N]).format.date == "%m/%d/%Y"
    text = note(either[:N])
    assert "'02/05/2024' read as 2024-02-05; if it is 2024-05-02" in text
    assert "date: '%d/%m/%Y'" in text
    sure = days(dt.date(2024, 1, 1), N, "%d/%m/%Y")
    assert column(either[:N], z=sure).format.date == "%d/%m/%Y"
    assert "as in the other dates" in note(either[:N], z=sure)
    rising = [f"{1 + i // 12:02}/{1 + i % 12:02}/2024" for i in range(N)]
    assert column(rising).format.date == "%m/%d/%Y"
    falling = [f"{1 + i % 12:02}/{1 + i // 12:02}/2024" for i in range(N)]
    assert column(falling).format.date == "%d/%m/%Y"
    assert "order of time" in note(falling)


def test_a_test_file_tells_what_the_data_leave_open() -> None:
    either = ["02/05/2024", "11/03/2024", "07/08/2024"] * 20
    test = raw_table({"x": ["25/12/2024", "03/04/2024"] * 5})
    wishes = Wishes(target="y")
    result = infer(raw_table({"x": either}), FormatConfig(), wishes, file="a.csv", test=test)
    assert result.expectations.schema.column("x").format.date == "%d/%m/%Y"


@pytest.mark.parametrize(
    "cells",
    [
        ["2024-05-01T12:00:00Z", "2024-05-01T14:00:00+02:00"],
        ["2024-05-01 12:00Z", "2024-05-01 07:30-0430"],
        ["2024-05-01T12:00:00.000Z", "2024-05-01T12:00:00"],
    ],
)
def test_zones_become_utc(cells: list[str]) -> None:
    from plumbline.cells import typed

    result = column(cells * 30)
    assert result.type is ColumnType.DATE and result.format == CellFormat()
    read = raw_table({"x": cells}).select(typed(result, pl.String())).collect()["x"]
    assert set(read) == {dt.datetime(2024, 5, 1, 12)}
    assert "UTC" in note(cells * 30)


def test_compact_dates_and_numbers_of_eight_digits() -> None:
    assert column(days(dt.date(2023, 1, 1), N, "%Y%m%d")).type is ColumnType.DATE
    assert column([20000000 + i * 1234567 for i in range(N)]).type is ColumnType.INTEGER


# -- classes


@pytest.mark.parametrize(
    ("cells", "classes"),
    [
        (["Yes", "yes", "Yes", "YES", "no", "No", "no", "NO"], {"Yes", "no"}),
        (["1", "1.0", "1", "0", "0.0", "0"], {"0", "1"}),
        (["a", "A", "b", "B", "c", "C"], {"a", "A", "b", "B", "c", "C"}),
        (["07", "7", "07", "7"], {"07", "7"}),
    ],
)
def test_spellings_of_one_class(cells: list[str], classes: set[str]) -> None:
    raw = pl.LazyFrame({"y": cells * 12, "x": [str(i) for i in range(len(cells) * 12)]})
    result = infer(raw, FormatConfig(), Wishes(target="y", task=None), file="a.csv")
    assert set(result.expectations.schema.classes) == classes
    assert result.expectations.schema.column("y").role is Role.TARGET
    if len(classes) == 2 and len(set(cells)) > 2:
        assert result.expectations.task == Task.BINARY


@pytest.mark.parametrize(
    ("data", "test"),
    [(["0", "1"], ["0.0", "1.0"]), (["no", "yes"], ["NO", "Yes"]), (["no", "yes"], ["0", "1"])],
)
def test_a_test_file_may_spell_classes_otherwise(data: list[str], test: list[str]) -> None:
    from plumbline.cells import typed

    mine = pl.LazyFrame({"y": data * 30, "x": [str(i % 7) for i in range(60)]})
    other = pl.LazyFrame({"y": test * 10, "x": [str(i % 7) for i in range(20)]})
    result = infer(mine, FormatConfig(), Wishes(target="y"), file="a.csv", test=other)
    target = result.expectations.schema.column("y")
    assert set(result.expectations.schema.classes) == set(data)
    read = other.select(typed(target, pl.String())).collect()["y"].to_list()
    assert read == data * 10


def test_classes_that_only_the_test_file_has_are_refused() -> None:
    mine = pl.LazyFrame({"y": ["a", "b"] * 30, "x": [str(i % 7) for i in range(60)]})
    other = pl.LazyFrame({"y": ["a", "c"] * 10, "x": [str(i % 7) for i in range(20)]})
    with pytest.raises(DataError, match="class 'c' is not in the data"):
        infer(mine, FormatConfig(), Wishes(target="y"), file="a.csv", test=other)


@pytest.mark.parametrize(
    ("data", "test"), [("1.5", "1,5"), ("2024-01-05", "05.01.2024"), ("$5", "€5")]
)
def test_a_test_file_is_read_as_the_data_are(data: str, test: str) -> None:
    mine = raw_table({"x": [data] * N})
    other = raw_table({"x": [test] * 20})
    with pytest.raises(DataError, match="column 'x': 20 cells are not written as in the data"):
        infer(mine, FormatConfig(), Wishes(target="y"), file="a.csv", test=other)


# -- Parquet


def test_native_types() -> None:
    from plumbline.cells import typed

    moment = dt.datetime(2024, 5, 1, 14, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    columns: dict[str, pl.Series] = {
        "span": pl.Series([dt.timedelta(minutes=1), None]),
        "clock": pl.Series([dt.time(1, 0), dt.time(2, 0)]),
        "zoned": pl.Series([moment, moment], dtype=pl.Datetime("ms", "UTC")),
        "whole": pl.Series([1, 2], dtype=pl.UInt64),
        "exact": pl.Series(["1.5", "2.5"]).cast(pl.Decimal(10, 2)),
        "sort": pl.Series(["a", "b"], dtype=pl.Categorical),
    }
    raw = pl.DataFrame({**columns, "y": ["no", "yes"]}).lazy()
    raw = pl.concat([raw] * 30)
    schema = infer(raw, FormatConfig(), Wishes(target="y"), file="a.parquet").expectations.schema
    dtypes = raw.collect_schema()
    read = raw.select(typed(c, dtypes[c.name]) for c in schema.columns).head(2).collect()
    assert read["span"].to_list() == [60.0, None]
    assert read["clock"].to_list() == [3600.0, 7200.0]
    assert read["zoned"].to_list() == [dt.datetime(2024, 5, 1, 12)] * 2
    assert read["exact"].to_list() == [1.5, 2.5] and read["sort"].to_list() == ["a", "b"]
    assert schema.column("whole").type is ColumnType.INTEGER


@pytest.mark.parametrize("cells", [[[1], [2]], [{"a": 1}, {"a": 2}], [b"a", b"b"]])
def test_nested_cells_are_refused_by_column(cells: list[Any]) -> None:
    raw = pl.DataFrame({"x": cells * 30, "y": ["no", "yes"] * 30}).lazy()
    with pytest.raises(DataError, match=r"column 'x': cells of type"):
        infer(raw, FormatConfig(), Wishes(target="y"), file="a.parquet")


@pytest.mark.parametrize("name", ["*", "^a$", "^.*$", "\ue000row"])
def test_names_that_mean_something_else_are_refused(name: str) -> None:
    raw = pl.LazyFrame({"y": ["no", "yes"] * 30, name: ["1", "2"] * 30})
    with pytest.raises(DataError, match="Rename the column"):
        infer(raw, FormatConfig(), Wishes(target="y"), file="a.csv")


def test_rules_need_evidence_in_the_format_of_the_data() -> None:
    """On decimal commas a rule that half of the rows break was once proposed."""
    low = [f"{i},5" for i in range(N)]
    high = [f"{i + (1 if i % 2 else -1)},25" for i in range(N)]
    assert inferred(";", t_min=low, t_max=high).expectations.rules == []
    above = [f"{i + 1},25" for i in range(N)]
    (rule,) = inferred(";", t_min=low, t_max=above).expectations.rules
    assert (rule.left, rule.right) == ("t_max", "t_min")
    few = [None] * (N - 5)
    assert inferred(";", t_min=[*low[:5], *few], t_max=[*above[:5], *few]).expectations.rules == []


def test_what_grows_gets_no_range() -> None:
    shuffled = [(i * 37) % 101 + 1000 for i in range(N)]
    result = inferred(order_id=shuffled, number=shuffled, step=range(N), x=[1.5, 2.5] * 30)
    columns = result.expectations.columns
    assert [columns[n].range is None for n in ("order_id", "number", "step", "x")] == [
        True,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("mark", ["-", "/", "."])
def test_two_digit_years_in_front_are_told_by_the_order_of_rows(mark: str) -> None:
    """22-03-24 is a day of March in two ways; in order of time it is one alone."""
    pattern = f"%y{mark}%m{mark}%d"
    cells = days(dt.date(2022, 3, 1), 200, pattern, step=4)
    result = inferred(x=cells)
    assert result.expectations.columns["x"].format == CellFormat(date=pattern)
    assert "order of time" in result.notes["x"]


def test_two_digit_years_that_nothing_tells_are_said() -> None:
    cells = [f"{22 + i % 8}-03-{1 + i * 7 % 28:02d}" for i in range(100)]
    assert "%y-%m-%d" in note(cells)


def test_a_date_is_no_target() -> None:
    with pytest.raises(DataError, match=r"column 't': a date is neither a class nor a number"):
        inferred_target(days(dt.date(2023, 1, 1), 84, "%Y-%m-%d") * 3)


@pytest.mark.parametrize("seconds", ["", ":00"])
@pytest.mark.parametrize("step", [1, 5])
def test_times_of_day_that_are_text_are_said(seconds: str, step: int) -> None:
    """As few values, and as very many."""

    def said(mark: str) -> str:
        cells = [f"{i // 60:02}{mark}{i % 60:02}{seconds}" for i in range(0, 1440, step)] * 2
        return note(cells, y=[i % 2 for i in range(len(cells))])

    assert "times of day" in said(":") and "times of day" not in said("-")
