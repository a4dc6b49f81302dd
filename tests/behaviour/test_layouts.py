"""Files as people have them, through `preview`, `init` and `ingest`."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter

from plumbline import cli
from plumbline.config import load_config

HEADER = ["age", "income", "city", "bought"]


def rows(count: int, seed: int = 0) -> list[list[str]]:
    r = random.Random(seed)
    return [
        [str(r.randint(18, 80)), f"{r.uniform(900, 5000):.2f}", r.choice("ABC"), r.choice("yn")]
        for _ in range(count)
    ]


def data(root: Path, *, test: bool = False) -> list[list[str]]:
    config = load_config(root / "params.yaml").data
    place = root / ((config.test_path if test else None) or config.path)
    with place.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def messy(path: Path, body: list[list[str]], header: list[str] | None = HEADER) -> Path:
    """Semicolons, a title, single quotes, blank lines, separators at the ends, a note below."""
    lines = ["Shop report 2024", ""]
    lines += [";".join(header) + ";"] if header else []
    lines += [";".join([*row[:2], f"'{row[2]}; x'", f"'{row[3]}'"]) + ";" for row in body]
    lines += ["", "Source: the shop"]
    path.write_bytes("\r\n".join(lines).encode("utf-16"))
    return path


def as_read(body: list[list[str]]) -> list[list[str]]:
    return [[*row[:2], f"{row[2]}; x", row[3]] for row in body]


def test_a_messy_file_is_made_plain_and_so_are_new_rows(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = messy(tmp_path / "shop.txt", rows(60))
    assert cli.main(["init", "--data", str(file), "--target", "bought"]) == 0
    out = capsys.readouterr().out
    assert "above the table are left out" in out
    assert "CSV separated by semicolons, quoted by '" in out
    assert data(checkout) == [HEADER, *as_read(rows(60))]
    assert not (checkout / ".plumbline" / "init").exists()
    assert cli.main(["validate"]) == 0
    new = messy(tmp_path / "new.txt", rows(5, seed=1))
    assert cli.main(["ingest", str(new)]) == 0
    assert data(checkout)[-5:] == as_read(rows(5, seed=1))
    text = messy(tmp_path / "odd.txt", rows(5, seed=2)).read_bytes().decode("utf-16")
    (tmp_path / "odd.txt").write_text("a;b\n1;2\n" + text, encoding="utf-8")
    assert cli.main(["ingest", str(tmp_path / "odd.txt")]) == 0
    assert data(checkout)[-5:] == as_read(rows(5, seed=2))


def test_data_without_a_header_take_new_rows_without_one(checkout: Path, tmp_path: Path) -> None:
    def plain(name: str, body: list[list[str]]) -> Path:
        (tmp_path / name).write_text("".join(",".join(row) + "\n" for row in body))
        return tmp_path / name

    assert cli.main(["init", "--data", str(plain("a.csv", rows(60))), "--target", "column_3"]) == 0
    assert cli.main(["ingest", str(plain("b.csv", rows(4, seed=1)))]) == 0
    assert data(checkout)[-4:] == rows(4, seed=1)
    assert data(checkout)[0] == ["column_0", "column_1", "column_2", "column_3"]
    narrow = plain("c.csv", [row[:3] for row in rows(4, seed=2)])
    assert cli.main(["ingest", str(narrow)]) == 2


def test_the_test_file_has_a_layout_of_its_own(checkout: Path, tmp_path: Path) -> None:
    with xlsxwriter.Workbook(tmp_path / "shop.xlsx") as book:
        sheet = book.add_worksheet()
        for i, row in enumerate([HEADER, *rows(60)]):
            sheet.write_row(i, 0, row)
    test = messy(tmp_path / "shop.csv", rows(20, seed=1))
    command = ["init", "--data", str(tmp_path / "shop.xlsx"), "--target", "bought"]
    assert cli.main([*command, "--test", str(test)]) == 0
    config = load_config(checkout / "params.yaml").data
    assert (config.path, config.test_path) == ("data/shop.csv", "data/test_shop.csv")
    assert data(checkout, test=True) == [HEADER, *as_read(rows(20, seed=1))]


def test_preview_shows_and_writes_the_table(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(p.name for p in checkout.iterdir())
    file = messy(tmp_path / "shop.txt", rows(60))
    for name in ("out.csv", "out.parquet"):
        assert cli.main(["preview", str(file), "--output", str(tmp_path / name)]) == 0
    out = capsys.readouterr().out
    assert "60 rows, 4 columns" in out
    assert "header in line 3, utf-16" in out
    assert "row 5" in out
    assert pl.read_csv(tmp_path / "out.csv", infer_schema=False).rows() == [
        tuple(row) for row in as_read(rows(60))
    ]
    assert pl.read_parquet(tmp_path / "out.parquet").shape == (60, 4)
    assert sorted(p.name for p in checkout.iterdir()) == before
    assert cli.main(["preview", str(file), "--output", str(tmp_path / "out.txt")]) == 2
    assert cli.main(["preview", str(tmp_path / "absent.csv")]) == 2
    assert "Traceback" not in capsys.readouterr().err
