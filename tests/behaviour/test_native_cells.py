"""Numbers and dates that are no text in their file arrive as the same values, or are refused."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import polars.testing
import pytest
import xlsxwriter
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.behaviour.test_formats import number_formats, numbers, written_number

from plumbline import cli
from plumbline.cells import typed
from plumbline.config import load_config
from plumbline.config.data import DataConfig, FormatConfig
from plumbline.data.canonical import make_canonical
from plumbline.data.load import load_expectations
from plumbline.data.read import open_table, scan
from plumbline.kinds import ColumnType
from plumbline.preprocessing.row import RowReader
from plumbline.tables import CellFormat, Column

Rows = Sequence[Sequence[Any]]


@pytest.fixture(autouse=True)
def _no_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC takes seconds, and has tests of its own."""
    monkeypatch.setattr("plumbline.commands.init.add_data", lambda root: None)
    monkeypatch.setattr("plumbline.commands.ingest.add_data", lambda root: None)


def write_workbook(path: Path, names: Sequence[str], rows: Rows) -> Path:
    options = {"default_date_format": "yyyy-mm-dd hh:mm:ss"}
    with xlsxwriter.Workbook(path, options) as book:
        sheet = book.add_worksheet()
        for i, row in enumerate([names, *rows]):
            for j, value in enumerate(row):
                if value is not None:
                    sheet.write(i, j, float(value) if isinstance(value, Decimal) else value)
    return path


def write_json(path: Path, names: Sequence[str], rows: Rows) -> Path:
    def text(value: Any) -> Any:
        if isinstance(value, Decimal):
            return float(value)
        return value.isoformat() if isinstance(value, dt.date) else value

    lines = [
        json.dumps({n: text(v) for n, v in zip(names, row, strict=True)}, ensure_ascii=False)
        for row in rows
    ]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_parquet(path: Path, names: Sequence[str], rows: Rows) -> Path:
    plain = [[float(v) if isinstance(v, Decimal) else v for v in row] for row in rows]
    pl.DataFrame(plain, schema=list(names), orient="row").write_parquet(path)
    return path


WRITERS: dict[str, Callable[[Path, Sequence[str], Rows], Path]] = {
    ".xlsx": write_workbook,
    ".jsonl": write_json,
    ".parquet": write_parquet,
}


def write_csv(path: Path, names: Sequence[str], rows: Rows, separator: str = ",") -> Path:
    pl.DataFrame(list(rows), schema=list(names), orient="row").cast(pl.String).write_csv(
        path, separator=separator
    )
    return path


def typed_data() -> pl.DataFrame:
    root = Path.cwd()
    config: DataConfig = load_config(root / "params.yaml").data
    schema = load_expectations(root / "expectations.yaml", config).schema
    return open_table(config, schema, root).frame.collect()


def start(file: Path, *more: str) -> int:
    return cli.main(["init", "--data", str(file), "--target", "y", *more])


def edit(checkout: Path, column: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Change what expectations.yaml says of a column."""
    path = checkout / "expectations.yaml"
    known = yaml.safe_load(path.read_text())
    known["columns"][column] = change(known["columns"][column])
    path.write_text(yaml.safe_dump(known, allow_unicode=True))


DAYS = [dt.date(2023, 1, 3) + dt.timedelta(days=11 * i) for i in range(60)]
NEW_DAYS = [dt.date(2024, 2, 5), dt.date(2024, 5, 2), dt.date(2024, 12, 31)]


def us_table(tmp_path: Path, pattern: str = "%m/%d/%Y") -> Path:
    rows = [[f"{d:{pattern}}", str(i % 7), "ny"[i % 2]] for i, d in enumerate(DAYS)]
    return write_csv(tmp_path / "shop.csv", ["day", "x", "y"], rows)


@pytest.mark.parametrize(
    ("ending", "pattern"),
    [
        (".xlsx", "%m/%d/%Y"),
        (".xlsx", "%d.%m.%y"),
        (".jsonl", "%B %d, %Y"),
        (".jsonl", "%m/%d/%Y %H:%M"),
        (".parquet", "%m/%d/%Y"),
    ],
)
def test_native_days_are_written_in_the_pattern_of_the_data(
    checkout: Path, tmp_path: Path, ending: str, pattern: str
) -> None:
    assert start(us_table(tmp_path, pattern)) == 0
    new = [[d, i, "ny"[i % 2]] for i, d in enumerate(NEW_DAYS)]
    file = WRITERS[ending](tmp_path / f"week{ending}", ["day", "x", "y"], new)
    assert cli.main(["ingest", str(file)]) == 0
    result = (checkout / "data" / "shop.csv").read_text().splitlines()[-3:]
    assert [line.rsplit(",", 2)[0].strip('"') for line in result] == [
        f"{d:{pattern}}" for d in NEW_DAYS
    ]


@pytest.mark.parametrize("ending", WRITERS)
def test_a_time_of_day_that_the_pattern_would_lose_is_refused(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], ending: str
) -> None:
    assert start(us_table(tmp_path)) == 0
    before = (checkout / "data" / "shop.csv").read_bytes()
    new = [[dt.datetime(2024, 2, 5, 10, 30), 1, "n"], [dt.datetime(2024, 2, 6), 2, "y"]]
    file = WRITERS[ending](tmp_path / f"week{ending}", ["day", "x", "y"], new)
    assert cli.main(["ingest", str(file)]) in (2, 3)
    text = capsys.readouterr().err
    assert "column 'day'" in text and "2024-02-05" in text and "10:30" in text
    assert (checkout / "data" / "shop.csv").read_bytes() == before


def test_a_pattern_of_year_day_month_takes_a_workbooks_day_for_that_day(
    checkout: Path, tmp_path: Path
) -> None:
    """`2024-05-02` is 5 February there; a native 2 May must not become that."""
    assert start(us_table(tmp_path, "%Y-%d-%m")) == 0
    edit(checkout, "day", lambda _: {"type": "date", "format": {"date": "%Y-%d-%m"}})
    file = write_workbook(tmp_path / "new.xlsx", ["day", "x", "y"], [[NEW_DAYS[1], 1, "n"]])
    assert cli.main(["ingest", str(file)]) == 0
    assert typed_data()["day"][-1] == dt.datetime(2024, 5, 2)
    texts = [["2024-05-02", 1, "n"], ["2024-31-12", 1, "n"]]  # as the data have them: text
    assert (
        cli.main(["ingest", str(write_json(tmp_path / "a.jsonl", ["day", "x", "y"], texts))]) == 0
    )
    assert typed_data()["day"].to_list()[-2:] == [
        dt.datetime(2024, 2, 5),
        dt.datetime(2024, 12, 31),
    ]


NUMBERS = [Decimal("1.703"), Decimal("-1234.5"), Decimal("0.125"), Decimal(12345678), Decimal(0)]
GERMAN = [f"{1 + i}.{i:03},5" for i in range(60)]
FORMATS = {
    "german": (GERMAN, ";"),
    "percent": ([f"{i}.5%" for i in range(60)], ","),
    "dollars": ([f"$ ({i + 1},033.66)" if i % 3 else f"$ {i + 1},000.00" for i in range(60)], ";"),
    "swiss": ([f"CHF {i + 1}'000.50" for i in range(60)], ","),
}


@pytest.mark.parametrize(
    ("ending", "form"),
    [(".xlsx", "german"), (".jsonl", "percent"), (".jsonl", "dollars"), (".xlsx", "swiss")],
)
def test_native_numbers_arrive_in_a_column_of_any_format(
    checkout: Path, tmp_path: Path, ending: str, form: str
) -> None:
    """1.703 in a workbook is no 1703, whatever the data write between digits."""
    texts, separator = FORMATS[form]
    rows = [[text, "ny"[i % 2]] for i, text in enumerate(texts)]
    assert start(write_csv(tmp_path / "shop.csv", ["x", "y"], rows, separator)) == 0
    edit(checkout, "x", lambda own: {k: v for k, v in own.items() if k != "range"})
    new = [[n, "ny"[i % 2]] for i, n in enumerate(NUMBERS)]
    file = WRITERS[ending](tmp_path / f"new{ending}", ["x", "y"], new)
    assert cli.main(["ingest", str(file)]) == 0
    assert typed_data()["x"].to_list()[-5:] == [float(n) for n in NUMBERS]


@pytest.mark.parametrize("ending", [".xlsx", ".jsonl"])
def test_a_test_file_of_native_cells_is_read_with_text_data(
    checkout: Path, tmp_path: Path, ending: str
) -> None:
    rows = [[f"{d:%m/%d/%Y}", GERMAN[i], "ny"[i % 2]] for i, d in enumerate(DAYS)]
    data = write_csv(tmp_path / "shop.csv", ["day", "x", "y"], rows, ";")
    new = [[d, n, "ny"[i % 2]] for i, (d, n) in enumerate(zip(NEW_DAYS, NUMBERS, strict=False))]
    test = WRITERS[ending](tmp_path / f"held{ending}", ["day", "x", "y"], new)
    assert start(data, "--test", str(test)) == 0
    result = typed_data()[-3:]
    assert result["day"].to_list() == [dt.datetime(d.year, d.month, d.day) for d in NEW_DAYS]
    assert result["x"].to_list() == [float(n) for n in NUMBERS[:3]]


RESOLUTION = {
    **dict.fromkeys(("%m/%d/%Y", "%d.%m.%y", "%B %d, %Y", "%Y%m%d"), dt.timedelta(days=1)),
    "%m/%d/%Y %H:%M": dt.timedelta(minutes=1),
    "%d/%m/%Y %I:%M:%S %p": dt.timedelta(seconds=1),
    None: dt.timedelta(seconds=1),
}
moments = st.builds(
    lambda day, seconds: dt.datetime(1971, 1, 1) + day * dt.timedelta(days=1) + seconds,
    st.integers(0, 32_000),
    st.sampled_from([0, 0, 3600, 60 * 754, 86_399]).map(lambda s: dt.timedelta(seconds=s)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    form=number_formats(),
    pattern=st.sampled_from(list(RESOLUTION)),
    values=st.lists(st.tuples(numbers, moments), min_size=1, max_size=4),
    ending=st.sampled_from([*WRITERS, ".csv"]),
)
def test_a_value_arrives_whatever_brings_it(
    tmp_path_factory: pytest.TempPathFactory,
    form: CellFormat,
    pattern: str | None,
    values: list[tuple[Decimal, dt.datetime]],
    ending: str,
) -> None:
    """In a file of any kind, or a row; a moment that the pattern would cut is refused."""
    folder = tmp_path_factory.mktemp("native")
    x = Column(name="x", type=ColumnType.NUMBER, format=form)
    day = Column(name="day", type=ColumnType.DATE, format=CellFormat(date=pattern))
    file = folder / f"new{ending}"
    if ending == ".csv":
        written = pattern or "%Y-%m-%d %H:%M:%S"
        texts = [[written_number(v, form), f"{m:{written}}"] for v, m in values]
        write_csv(file, ["x", "day"], texts, ";")
    else:
        WRITERS[ending](file, ["x", "day"], values)
    like = FormatConfig(separator=";")
    table = make_canonical(file, folder / "own", names=["x", "day"], columns=[x, day], like=like)
    raw = scan(table.path, table.form)
    dtypes = raw.collect_schema()
    read = raw.select(typed(c, dtypes[c.name]) for c in (x, day)).collect()
    assert read["x"].to_list() == [float(v) for v, _ in values]
    fits = [not (m - dt.datetime(1971, 1, 1)) % RESOLUTION[pattern] for _, m in values]
    if ending == ".csv":
        cut = [m - (m - dt.datetime(1971, 1, 1)) % RESOLUTION[pattern] for _, m in values]
        assert read["day"].to_list() == cut
    elif ending == ".parquet":  # its cells are no text: `append_rows` refuses what does not fit
        assert read["day"].to_list() == [m for _, m in values]
    else:
        wanted = [m if fit else None for fit, (_, m) in zip(fits, values, strict=True)]
        assert read["day"].to_list() == wanted
    reader, epoch = RowReader([x, day]), dt.datetime(1970, 1, 1)
    for value, moment in values:
        row = {"x": float(value), "day": moment}
        assert reader(row) == [float(value), (moment - epoch) / dt.timedelta(microseconds=1)]


# -- Parquet


def test_times_and_durations_of_parquet_are_seconds(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = [dt.time(i % 24, i, 1, 250_000) for i in range(60)]
    spans = [dt.timedelta(minutes=i, milliseconds=-3) for i in range(60)]
    frame = pl.DataFrame({"clock": clock, "span": spans, "y": ["n", "y"] * 30})
    for unit in ("ns", "us", "ms"):
        frame = frame.with_columns(pl.col("span").cast(pl.Duration(unit)).alias(unit))
    frame.write_parquet(tmp_path / "shop.parquet")
    assert start(tmp_path / "shop.parquet") == 0
    text = capsys.readouterr().out
    assert "times of day as seconds since midnight" in text and "durations in seconds" in text
    more = frame.head(4).with_columns(span=pl.col("span") + pl.duration(microseconds=1))
    more.write_parquet(tmp_path / "new.parquet")
    assert cli.main(["ingest", str(tmp_path / "new.parquet")]) == 0
    result = typed_data()
    assert result["clock"].to_list()[:60] == [
        3600 * t.hour + 60 * t.minute + t.second + t.microsecond / 1e6 for t in clock
    ]
    for name in ("span", "ns", "us", "ms"):
        assert result[name].to_list()[:60] == [s.total_seconds() for s in spans]
    assert result["span"].to_list()[60:] == [
        (s + dt.timedelta(microseconds=1)).total_seconds() for s in spans[:4]
    ]
    assert pl.read_parquet(checkout / "data" / "shop.parquet").equals(pl.concat([frame, more]))


LARGE = {
    "u64": ([2**63 + i % 9 for i in range(60)], pl.UInt64()),
    "i128": ([-(2**64) - i % 9 for i in range(60)], pl.Int128()),
    "decimal": ([Decimal(10) ** 25 + i % 9 for i in range(60)], pl.Decimal(38, 0)),
}


@pytest.mark.parametrize("kind", LARGE)
def test_whole_numbers_beyond_64_bits_keep_every_digit(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    values, dtype = LARGE[kind]
    frame = pl.DataFrame({"x": pl.Series(values, dtype=dtype), "y": ["n", "y"] * 30})
    frame.write_parquet(tmp_path / "shop.parquet")
    assert start(tmp_path / "shop.parquet") == 0
    assert "60 numbers of more than 64 bits: codes, kept as text" in capsys.readouterr().out
    assert typed_data()["x"].to_list() == [str(v) for v in values]


def test_numbers_of_any_parquet_type_keep_their_values(checkout: Path, tmp_path: Path) -> None:
    whole = [2**53 + 1 + i for i in range(60)]
    frame = pl.DataFrame(
        {
            "u64": pl.Series(whole, dtype=pl.UInt64),
            "i128": pl.Series(whole, dtype=pl.Int128),
            "dec0": pl.Series([Decimal(v) for v in whole], dtype=pl.Decimal(38, 0)),
            "dec2": pl.Series([Decimal(v) / 100 for v in range(60)], dtype=pl.Decimal(38, 2)),
            "f16": pl.Series([v / 8 for v in range(60)], dtype=pl.Float16),
            "y": ["n", "y"] * 30,
        }
    )
    frame.write_parquet(tmp_path / "shop.parquet")
    assert start(tmp_path / "shop.parquet") == 0
    result = typed_data()
    for name in ("u64", "i128", "dec0"):
        assert result[name].to_list() == whole
    assert result["dec2"].to_list() == [v / 100 for v in range(60)]
    assert result["f16"].to_list() == [v / 8 for v in range(60)]


# -- messages


def test_messages_name_the_users_file_and_no_copy_of_ours(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(us_table(tmp_path)) == 0
    capsys.readouterr()
    bare = tmp_path / "bare.csv"
    bare.write_text("02/05/2024,1,n\n02/06/2024,2,y\n")
    assert cli.main(["ingest", str(bare), "--no-header"]) == 2
    text = capsys.readouterr().err
    assert "bare.csv" in text and ".plumbline" not in text


def test_a_test_file_that_lacks_columns_is_refused_with_the_fix(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    test = tmp_path / "held.csv"
    test.write_text("Day,y\n02/05/2024,n\n02/06/2024,y\n")
    assert start(us_table(tmp_path), "--test", str(test)) == 2
    text = capsys.readouterr().err
    assert "held.csv: column 'day': is not in the file (2 columns of the data are missing" in text
    assert "wanted day, x, y, got 'Day, y'" in text and "Rename its column 'Day' to 'day'" in text
    test.write_text("when,y\n02/05/2024,n\n02/06/2024,y\n")
    assert start(us_table(tmp_path), "--test", str(test)) == 2
    assert "Add the column" in capsys.readouterr().err


def test_the_cell_that_is_no_number_is_shown(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [str(i * 1.5) for i in range(60)]
    cells[41] = "a\x1b[31m" + "b" * 100
    rows = [[cell, "ny"[i % 2]] for i, cell in enumerate(cells)]
    assert start(write_csv(tmp_path / "shop.csv", ["x", "y"], rows)) == 0
    text = capsys.readouterr().out
    assert r"1 cell is not a number ('a\x1b[31mbbb" in text and "in row 41, counted from 0" in text
    assert "\x1b" not in text and "b" * 41 not in text


# -- times of day and durations of workbooks


CLOCK = [dt.time(i % 24, i, 1, 250_000) for i in range(60)]
SPANS = [dt.timedelta(minutes=17 * i + 1) for i in range(60)]


def clock_table(rows: int = 60) -> list[list[Any]]:
    return [[c, s, "ny"[i % 2]] for i, (c, s) in enumerate(zip(CLOCK, SPANS, strict=True))][:rows]


def write_clocks(path: Path, rows: Rows) -> Path:
    with xlsxwriter.Workbook(path) as book:
        clock = book.add_format({"num_format": "hh:mm:ss.000"})
        span = book.add_format({"num_format": "[h]:mm:ss"})
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["clock", "span", "y"])
        for i, (time, length, y) in enumerate(rows, start=1):
            sheet.write_datetime(i, 0, time, clock)
            sheet.write_datetime(i, 1, length, span)
            sheet.write(i, 2, y)
    return path


def test_times_of_day_of_a_workbook_are_the_seconds_that_parquet_gives(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_parquet(tmp_path / "shop.parquet", ["clock", "span", "y"], clock_table())
    assert start(tmp_path / "shop.parquet") == 0
    expected = typed_data()
    assert start(write_clocks(tmp_path / "shop.xlsx", clock_table())) == 0
    assert "times of day and durations in seconds: clock, span" in capsys.readouterr().out
    pl.testing.assert_frame_equal(typed_data(), expected, check_dtypes=False)
    assert cli.main(["ingest", str(write_clocks(tmp_path / "new.xlsx", clock_table(4)))]) == 2
    new = [[time, length + dt.timedelta(seconds=1), y] for time, length, y in clock_table(4)]
    assert cli.main(["ingest", str(write_clocks(tmp_path / "new.xlsx", new))]) == 0
    assert typed_data()["clock"].to_list()[60:] == expected["clock"].to_list()[:4]


def test_times_of_day_of_a_workbook_go_to_a_column_of_clock_texts_as_such(
    checkout: Path, tmp_path: Path
) -> None:
    rows = [
        [c.replace(microsecond=0).isoformat(), i % 9, y]
        for i, (c, _, y) in enumerate(clock_table())
    ]
    assert start(write_csv(tmp_path / "shop.csv", ["clock", "span", "y"], rows)) == 0
    new = [
        [c.replace(microsecond=0), dt.timedelta(seconds=i), y]
        for i, (c, _, y) in enumerate(clock_table(4))
    ]
    assert cli.main(["ingest", str(write_clocks(tmp_path / "new.xlsx", new)), "--again"]) == 0
    added = (checkout / "data" / "shop.csv").read_text().splitlines()[-4:]
    assert added == [f"{rows[i][0]},{i},{rows[i][2]}" for i in range(4)]


def test_times_of_day_that_name_columns_stay_as_they_are(tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        clock = book.add_format({"num_format": "hh:mm"})
        sheet = book.add_worksheet()
        sheet.write(0, 0, "y")
        for j in range(1, 4):
            sheet.write_datetime(0, j, dt.time(7 + j), clock)
        for i in range(1, 9):
            sheet.write_row(i, 0, ["ny"[i % 2], i, 2 * i, 3 * i])
    table = make_canonical(tmp_path / "a.xlsx", tmp_path / "out", target="y")
    names = scan(table.path, table.form).collect_schema().names()
    assert names == ["y", "08:00:00", "09:00:00", "10:00:00"]
