"""`plumbline predict`: files of every kind, in pieces, resumed, with what cannot be read listed."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal
from tests.version import ROWS, Version, as_text, png

from plumbline import cli
from plumbline.commands import predict_pieces
from plumbline.commands.predict import predict
from plumbline.config import Paths
from plumbline.errors import DataError, ParameterError
from plumbline.inference.rows import RowPredictor
from plumbline.kinds import Task
from plumbline.stages import Report

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return Version(tmp_path_factory.mktemp("version") / "v", Task.BINARY)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Seven rows a piece, so that a small table has many; polars reads as before afterwards."""
    monkeypatch.setattr(predict_pieces.Pieces, "size", 7)
    with pl.Config():
        yield


def run(version: Version, source: Path, output: Path, **more: object) -> Report:
    return predict(source, output, Paths(output.parent), model=str(version.folder), **more)  # type: ignore[arg-type]


def with_photos(version: Version, folder: Path) -> pl.DataFrame:
    """The rows as text, their images as files in a folder."""
    (folder / "photos").mkdir(parents=True)
    names = []
    for i, content in enumerate(version.rows["photo"]):
        names.append(None if content is None else f"photos/{i}.png")
        if content is not None:
            (folder / "photos" / f"{i}.png").write_bytes(content)
    return as_text(version.rows).with_columns(pl.Series("photo", names))


def expected(version: Version) -> pl.DataFrame:
    """The table of predictions, by the predictor on typed rows."""
    table = version.predictor.predict(version.rows)
    before = [pl.Series("row", range(ROWS)), version.rows["id"]]
    name = f"sha256:{version.predictor.sha256[:16]}"
    return pl.DataFrame([*before, *table]).with_columns(version=pl.lit(name))


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet", "xlsx"])
def test_files_of_every_kind_are_predicted_alike(
    version: Version, tmp_path: Path, kind: str
) -> None:
    source, rows = tmp_path / "in" / f"new.{kind}", with_photos(version, tmp_path / "in")
    if kind == "parquet":
        version.rows.write_parquet(source)
    elif kind == "xlsx":
        own = ("price", "count", "member", "day")  # in types of a workbook
        rows.with_columns(version.rows[name] for name in own).write_excel(source)
    elif kind == "jsonl":
        rows.with_columns(version.rows["count"], version.rows["member"]).write_ndjson(source)
    else:
        rows.write_csv(source, separator=";" if kind == "csv" else "\t")
    report = run(version, source, tmp_path / "out.parquet")
    assert_frame_equal(pl.read_parquet(tmp_path / "out.parquet"), expected(version))
    assert dict(report.rows)["rows"] == f"{ROWS}" and report.outputs == [tmp_path / "out.parquet"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in", "out.parquet"]
    run(version, source, tmp_path / "out.csv")
    written = pl.read_csv(tmp_path / "out.csv")
    sets = expected(version)["prediction_set"].list.eval('"' + pl.element() + '"').list.join(", ")
    assert written["prediction_set"].to_list() == [f"[{own}]" for own in sets]
    assert_frame_equal(
        written.drop("prediction_set"), expected(version).drop("prediction_set"), abs_tol=1e-12
    )


def test_a_folder_says_which_file_a_row_is_of(version: Version, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    rows = with_photos(version, folder)
    rows[:20].write_csv(folder / "a.csv")
    version.rows[20:].write_parquet(folder / "b.parquet")
    run(version, folder, tmp_path / "out.parquet")
    result = pl.read_parquet(tmp_path / "out.parquet")
    assert result["file"].to_list() == ["a.csv"] * 20 + ["b.parquet"] * (ROWS - 20)
    assert result["row"].to_list() == [*range(20), *range(ROWS - 20)]
    assert_frame_equal(result.drop("file", "row"), expected(version).drop("row"))


def spoil(folder: Path, whole: bytes) -> None:
    """Files beside the data: damaged ones, and some that are no data by their names."""
    (folder / "cut.parquet").write_bytes(whole[:200])
    (folder / "empty.csv").touch()
    (folder / "prose.txt").write_text("not a table\nat all\n")
    (folder / "_SUCCESS").touch()
    (folder / ".part.crc").write_bytes(b"crc")
    (folder / "notes.md").write_text("# Notes\n")
    (folder / "_temporary").mkdir()
    (folder / "_temporary" / "half.parquet").write_bytes(whole)


def test_a_file_that_cannot_be_read_is_listed_and_stops_no_other(
    version: Version, tmp_path: Path
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.parquet"
    with_photos(version, folder)[:20].write_csv(folder / "a.csv")
    version.rows[20:].write_parquet(folder / "b.parquet")
    spoil(folder, (folder / "b.parquet").read_bytes())
    report = run(version, folder, output)
    result = pl.read_parquet(output)
    assert result["file"].to_list() == ["a.csv"] * 20 + ["b.parquet"] * (ROWS - 20)
    assert_frame_equal(result.drop("file", "row"), expected(version).drop("row"))
    listing = tmp_path / "out.parquet.unreadable.csv"
    listed = pl.read_csv(listing)
    assert listed["file"].to_list() == ["cut.parquet", "empty.csv", "prose.txt"]
    assert listed.select("row", "column", "value").null_count().row(0) == (3, 3, 3)
    assert "parquet" in listed["reason"][0] and listed["reason"][1] == "is empty"
    assert report.outputs == [output, listing]
    said = dict(report.rows)["passed over"]
    assert all(name in said for name in (".part.crc", "_SUCCESS", "notes.md"))
    whole = output.read_bytes(), listing.read_bytes()
    output.unlink()
    patch = killed_at(version.rows["price"][34])
    with pytest.raises(Killed):
        run(version, folder, output)
    patch.undo()
    assert "resumed" in dict(run(version, folder, output).rows)
    assert (output.read_bytes(), listing.read_bytes()) == whole


def test_a_folder_of_parts_is_read_without_the_part_that_is_cut(
    version: Version, tmp_path: Path
) -> None:
    folder, output = tmp_path / "in", tmp_path / "out.parquet"
    rows = version.rows.drop("maker")
    for maker, part in (("A", rows[:20]), ("B", rows[20:])):
        (folder / f"maker={maker}").mkdir(parents=True)
        part.write_parquet(folder / f"maker={maker}" / "0.parquet")
    (folder / "_SUCCESS").touch()
    report = run(version, folder, output)  # one table
    assert "file" not in pl.read_parquet_schema(output)
    assert dict(report.rows)["passed over"].startswith("_SUCCESS")
    whole = pl.read_parquet(output)
    cut = folder / "maker=A" / "0.parquet"
    cut.write_bytes(cut.read_bytes()[:200])
    report = run(version, folder, output)
    assert dict(report.rows)["not read"].startswith("maker=A/0.parquet: cannot be read")
    assert_frame_equal(
        pl.read_parquet(output).drop("file", "row"), whole[20:].drop("row"), abs_tol=1e-6
    )


def damage_page(file: Path) -> None:
    """Bytes of the page of `price` are others; the end, with the schema, is whole."""
    whole = bytearray(file.read_bytes())
    column = pq.ParquetFile(file).metadata.row_group(0).column(1)
    start = column.data_page_offset + 40
    whole[start : start + 60] = bytes(60)
    file.write_bytes(whole)


@pytest.mark.parametrize("is_mixed", [True, False])
def test_a_file_with_a_damaged_page_is_listed_and_stops_no_other(
    version: Version, tmp_path: Path, is_mixed: bool
) -> None:
    """Beside other kinds of files, or as a part of a table of Parquet files; found when its rows
    are read, long after the first rows were predicted."""
    folder, output = tmp_path / "in", tmp_path / "out.parquet"
    folder.mkdir()
    rows = version.rows
    rows[:20].write_parquet(folder / "a.parquet")
    rows[20:40].write_parquet(folder / "b.parquet")
    rows[40:].write_parquet(folder / "c.parquet")
    if is_mixed:
        rows.drop("photo").with_columns(photo=None)[:5].write_ndjson(folder / "d.jsonl")
    damage_page(folder / "b.parquet")
    report = run(version, folder, output)
    result = pl.read_parquet(output).filter(pl.col("file") != "d.jsonl")
    assert result["file"].to_list() == ["a.parquet"] * 20 + ["c.parquet"] * (ROWS - 40)
    assert result["row"].to_list() == [*range(20), *range(ROWS - 40)]
    whole = pl.concat([expected(version)[:20], expected(version)[40:]])
    assert_frame_equal(result.drop("file", "row"), whole.drop("row"), abs_tol=1e-6)
    (listed,) = pl.read_csv(f"{output}.unreadable.csv").to_dicts()
    assert listed["file"] == "b.parquet" and "cannot be read" in listed["reason"]
    said = dict(report.rows)
    assert said["not read"].startswith("b.parquet: cannot be read")
    assert said["rows"] == str(len(pl.read_parquet(output)))
    assert not list(tmp_path.glob(".*"))
    first = output.read_bytes()
    output.unlink()
    patch = killed_at(rows["price"][47])
    with pytest.raises(Killed):
        run(version, folder, output)
    patch.undo()
    run(version, folder, output)
    assert output.read_bytes() == first


def test_a_damaged_page_is_the_message_where_no_other_file_is_left(
    version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.parquet", "b.parquet"):
        version.rows.write_parquet(folder / name)
        damage_page(folder / name)
    more = ["--output", str(tmp_path / "out.csv"), "--model", str(version.folder)]
    assert cli.main(["predict", str(folder / "a.parquet"), *more]) == 2
    assert "a.parquet: cannot be read" in capsys.readouterr().err
    assert cli.main(["predict", str(folder), *more]) == 2
    assert "none of its 2 files can be read" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("out*")) and not list(tmp_path.glob(".*"))


def test_where_no_file_can_be_read_the_message_says_why(
    version: Version, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    version.rows.write_parquet(tmp_path / "whole.parquet")
    cut = (tmp_path / "whole.parquet").read_bytes()[:200]
    folder = tmp_path / "in"
    folder.mkdir()
    more = ["--output", str(tmp_path / "out.csv"), "--model", str(version.folder)]

    def message(source: Path) -> str:
        assert cli.main(["predict", str(source), *more]) == 2
        return " ".join(capsys.readouterr().err.split())

    (folder / "_SUCCESS").touch()
    assert "without a file that is read" in message(folder) and not list(tmp_path.glob("out*"))
    (folder / "cut.parquet").write_bytes(cut)
    text = message(folder)
    assert "cut.parquet: cannot be read" in text and "params.yaml" not in text
    (folder / "again.parquet").write_bytes(cut)
    assert "none of its 2 files can be read" in message(folder)
    (tmp_path / "notes.md").write_text("# Notes\n\nof June\n")
    text = message(tmp_path / "notes.md")
    assert "its columns are to be id, price, count …" in text and "learn from" not in text


def test_images_alone_are_rows_where_the_model_reads_one_image(tmp_path: Path) -> None:
    version = Version(tmp_path / "v", Task.MULTICLASS, only="photo")
    (tmp_path / "new" / "more").mkdir(parents=True)
    for i, name in enumerate(["b.png", "more/a.png", "c.png"]):
        (tmp_path / "new" / name).write_bytes(png(i + 1) if i < 2 else b"<html>")
    (tmp_path / "new" / "notes.txt").write_text("taken in June\nby hand\n")
    (tmp_path / "new" / "list.csv").write_text("name,size\nb.png,3\n")
    report = run(version, tmp_path / "new", tmp_path / "out.parquet")
    assert dict(report.rows)["passed over"].startswith("list.csv, notes.txt")
    result = pl.read_parquet(tmp_path / "out.parquet")
    assert result["file"].to_list() == ["b.png", "c.png", "more/a.png"]
    assert result["predicted"].is_null().to_list() == [False, True, False]
    listed = pl.read_csv(tmp_path / "out.parquet.unreadable.csv")
    assert listed.select("file", "row", "column", "value").row(0) == ("c.png", 1, "photo", "c.png")
    assert dict(report.rows)["rows"] == "3, 1 could not be read"


def test_a_csv_file_of_the_only_column_has_no_separator_to_find(tmp_path: Path) -> None:
    """As pandas writes it: a cell with a comma, a quote or a line break is quoted."""
    version = Version(tmp_path / "v", Task.MULTICLASS, only="note")
    notes = ["one word", "a, comma", 'a "quote"', "two\nlines", "four more words here"]
    pl.DataFrame({"note": notes}).write_csv(tmp_path / "new.csv")
    pl.DataFrame({"note": notes}).write_parquet(tmp_path / "new.parquet")
    made = []
    for source in ("new.csv", "new.parquet"):
        run(version, tmp_path / source, tmp_path / f"{source}.out.parquet")
        made.append(pl.read_parquet(tmp_path / f"{source}.out.parquet"))
    assert len(made[0]) == len(notes)
    assert_frame_equal(made[0], made[1])


def test_a_row_that_cannot_be_read_is_listed_and_stops_no_other(
    version: Version, tmp_path: Path
) -> None:
    rows = with_photos(version, tmp_path)
    prices = rows["price"].to_list()
    prices[3], prices[30] = "cheap", "12,5,3"
    rows.with_columns(pl.Series("price", prices)).write_csv(tmp_path / "new.csv")
    output = tmp_path / "out.csv"
    report = run(version, tmp_path / "new.csv", output)
    listing = tmp_path / "out.csv.unreadable.csv"
    assert pl.read_csv(listing).rows() == [
        (3, "price", "cheap", "is not a number, decimal: ',', thousands: '.', unit: '€'"),
        (30, "price", "12,5,3", "is not a number, decimal: ',', thousands: '.', unit: '€'"),
    ]
    assert report.outputs == [output, listing]
    result = pl.read_csv(output)
    assert result["predicted"].is_null().arg_true().to_list() == [3, 30]
    rows.write_csv(tmp_path / "new.csv")
    run(version, tmp_path / "new.csv", output)
    assert not listing.exists()  # it would be about other rows


def test_a_row_of_another_width_is_listed_and_stops_no_other(
    version: Version, tmp_path: Path
) -> None:
    with_photos(version, tmp_path).write_csv(tmp_path / "new.csv")
    lines = (tmp_path / "new.csv").read_text().splitlines()
    lines[4] += ",more,"  # row 3
    lines[31] = "k30,12"
    lines.insert(40, "a note, half way")  # row 39
    (tmp_path / "new.csv").write_text("\n".join(lines))
    report = run(version, tmp_path / "new.csv", tmp_path / "out.parquet")
    assert dict(report.rows)["rows"] == f"{ROWS + 1}, 3 could not be read"
    listed = pl.read_csv(tmp_path / "out.parquet.unreadable.csv")
    assert listed["row"].to_list() == [3, 30, 39] and listed["column"].null_count() == 3
    assert listed["value"][1] == "k30 · 12"
    assert listed["reason"].to_list() == [
        f"line {line} has {count} fields, the table 9"
        for line, count in ((5, 11), (32, 2), (41, 2))
    ]
    result = pl.read_parquet(tmp_path / "out.parquet")
    assert result["predicted"].is_null().arg_true().to_list() == [3, 30, 39]
    others = [*range(3), *range(4, 30), *range(31, 39), *range(40, ROWS + 1)]
    wanted = expected(version)[[*range(3), *range(4, 30), *range(31, ROWS)]]
    assert_frame_equal(result[others].drop("row"), wanted.drop("row"))


def test_no_cell_of_a_csv_file_is_a_formula(version: Version, tmp_path: Path) -> None:
    ids = ["=1+cmd|' /C calc'!A0", "+49 123", "-5", "-2+3", "@x", "\t=1", "+", "a=b", "+1.5e3"]
    rows = version.rows[: len(ids)].with_columns(pl.Series("id", ids))
    rows = rows.with_columns(price=pl.Series(["=2+5"] + [None] * (len(ids) - 1)))
    rows.write_parquet(tmp_path / "new.parquet")
    run(version, tmp_path / "new.parquet", tmp_path / "out.csv")
    written = pl.read_csv(tmp_path / "out.csv")["id"].to_list()
    assert written == [f"'{one}" if i in (0, 1, 3, 4, 5) else one for i, one in enumerate(ids)]
    assert pl.read_csv(tmp_path / "out.csv.unreadable.csv")["value"].to_list() == ["'=2+5"]
    run(version, tmp_path / "new.parquet", tmp_path / "out.parquet")
    assert pl.read_parquet(tmp_path / "out.parquet")["id"].to_list() == ids  # as they are


class Killed(BaseException):
    pass


def killed_at(price: object) -> pytest.MonkeyPatch:
    """A process that is killed while it predicts the piece whose first row has a price."""
    own = RowPredictor.predict_readable

    def until(self: RowPredictor, frame: pl.DataFrame, **more: Any) -> Any:
        if frame["price"][0] == price:
            raise Killed
        return own(self, frame, **more)

    patch = pytest.MonkeyPatch()
    patch.setattr(RowPredictor, "predict_readable", until)
    return patch


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_killed_run_is_resumed_and_ends_in_the_same_bytes(
    version: Version, tmp_path: Path, ending: str
) -> None:
    rows = with_photos(version, tmp_path)
    rows = rows.with_columns(
        price=pl.when(pl.int_range(ROWS) == 2).then(pl.lit("x")).otherwise("price")
    )
    rows.write_csv(tmp_path / "new.csv")
    whole, output = tmp_path / f"whole.{ending}", tmp_path / f"out.{ending}"
    run(version, tmp_path / "new.csv", whole)
    patch = killed_at(rows["price"][21])
    with pytest.raises(Killed):
        run(version, tmp_path / "new.csv", output)
    patch.undo()
    assert not output.exists()
    (tmp_path / f".{output.name}.abcdefgh.tmp").write_text("what a killed write leaves")
    report = run(version, tmp_path / "new.csv", output)
    assert dict(report.rows)["resumed"].startswith("21 rows")
    assert output.read_bytes() == whole.read_bytes()
    listings = [tmp_path / f"{path.name}.unreadable.csv" for path in (output, whole)]
    assert listings[0].read_bytes() == listings[1].read_bytes()
    assert not list(tmp_path.glob(".out*"))


ENDED = """
import os, signal, sys
from plumbline import cli
from plumbline.commands import predict_pieces
from plumbline.inference.rows import RowPredictor

own = RowPredictor.predict_readable

def until(self, frame, **more):
    if frame["price"][0] == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
    return own(self, frame, **more)

predict_pieces.Pieces.size = 7
RowPredictor.predict_readable = until
cli.main(sys.argv[2:])
"""


def test_a_process_that_the_system_killed_is_resumed(version: Version, tmp_path: Path) -> None:
    rows = with_photos(version, tmp_path)
    source, output = tmp_path / "new.csv", tmp_path / "out.csv"
    rows.write_csv(source)
    command = ["predict", str(source), "--output", str(output), "--model", str(version.folder)]
    price = rows["price"][49]
    ended = subprocess.run(
        [sys.executable, "-c", ENDED, price, *command], cwd=tmp_path, check=False
    )
    assert ended.returncode == -signal.SIGKILL and not output.exists()
    report = run(version, source, output)
    assert "rows were finished by an interrupted run" in dict(report.rows)["resumed"]
    run(version, source, tmp_path / "whole.csv")
    assert output.read_bytes() == (tmp_path / "whole.csv").read_bytes()
    assert not list(tmp_path.glob(".out*"))


def test_a_changed_input_starts_anew(version: Version, tmp_path: Path) -> None:
    source, output = tmp_path / "new.parquet", tmp_path / "out.parquet"
    version.rows.write_parquet(source)
    patch = killed_at(version.rows["price"][21])
    with pytest.raises(Killed):
        run(version, source, output)
    patch.undo()
    rows = version.rows.reverse()
    rows.write_parquet(source)
    report = run(version, source, output)
    assert "resumed" not in dict(report.rows)
    result = pl.read_parquet(output).select(version.predictor.predict(rows[:1]).columns)
    assert_frame_equal(result, version.predictor.predict(rows))


def test_what_the_user_must_fix_is_one_message(
    version: Version,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    source = tmp_path / "new.parquet"
    version.rows.drop("maker").write_parquet(source)
    with pytest.raises(DataError, match=r"new\.parquet: column 'maker': no such column"):
        run(version, source, tmp_path / "out.csv")
    version.rows.with_columns(color=pl.lit("red")).write_parquet(source)
    with pytest.raises(DataError, match="column 'color'"):
        run(version, source, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()
    run(version, source, tmp_path / "out.csv", extra="ignore")
    with pytest.raises(ParameterError, match="--output"):
        run(version, source, tmp_path / "out.txt")
    with pytest.raises(ParameterError, match="lies inside"):
        run(version, tmp_path, tmp_path / "out.csv")
    version.rows.with_columns(price=pl.lit("?!")).write_parquet(source)
    with pytest.raises(DataError, match="no row could be predicted"):
        run(version, source, tmp_path / "none.csv")
    for arguments, words in (
        (["absent.csv", "--model", str(version.folder)], "no such file"),
        (["new.parquet"], "no model is named"),
        (["new.parquet", "--model", "absent/"], "no such folder"),
        (["new.parquet", "--model", "models:/shop@champion"], "there is no registry here"),
    ):
        assert cli.main(["predict", *arguments, "--output", "out.csv"]) == 2
        assert words in capsys.readouterr().err
