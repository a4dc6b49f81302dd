"""New rows of columns of every type: they are checked, compared and appended."""

from __future__ import annotations

import io
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from plumbline import cli
from plumbline.config import load_config
from plumbline.data.load import load_expectations
from plumbline.tables import IMAGE_CELL

OLD, NEW = 130, 110
WORDS = ["soft", "red", "shoes", "for", "rainy", "days", "and", "long", "walks"]


def picture(seed: int, *, light: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 100, (8, 9, 3)) + light
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(content, "PNG")
    return content.getvalue()


def items(
    folder: Path, form: str, rows: int, seed: int, *, light: int = 0, broken: int = 0
) -> Path:
    """A table with a column of every type, the photos as paths or as bytes; the last ones are cut
    in the middle, and some cells are empty."""
    rng = np.random.default_rng(seed)
    photos: list[bytes | None] = [picture(1000 * seed + i, light=light) for i in range(rows)]
    for i in range(rows - broken, rows):
        photos[i] = picture(i)[:60]
    photos[1] = None
    table = pl.DataFrame(
        {
            "price": np.round(rng.normal(50, 9, rows), 2),
            "pieces": rng.integers(1, 99, rows),
            "gift": rng.random(rows) < 0.5,
            "brand": rng.choice(["Acme", "Bolt", "Café"], rows),
            "bought": pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 12, 31), eager=True)
            .sample(rows, seed=seed)
            .dt.to_string(),
            "note": [" ".join([*rng.permutation(WORDS), str(seed), str(i)]) for i in range(rows)],
            "returned": rng.choice(["no", "yes"], rows),
        }
    ).with_columns(note=pl.when(pl.int_range(pl.len()) != 2).then("note"))
    folder.mkdir()
    if form == "bytes":
        dates = pl.col("bought").str.to_datetime("%Y-%m-%d", time_unit="ns")
        table = table.with_columns(dates, photo=pl.Series(photos, dtype=pl.Binary))
        table.write_parquet(folder / "items.parquet")
        return folder / "items.parquet"
    names = [None if content is None else f"{i}.png" for i, content in enumerate(photos)]
    for name, content in zip(names, photos, strict=True):
        if name is not None and content is not None:
            (folder / name).write_bytes(content)
    table.with_columns(photo=pl.Series(names, dtype=pl.String)).write_csv(folder / "items.csv")
    return folder / "items.csv"


def by_class(
    folder: Path, form: str, rows: int, seed: int, *, light: int = 0, broken: int = 0
) -> Path:
    """Images in the folders of their classes; the last ones are cut in the middle."""
    for i in range(rows):
        content = picture(1000 * seed + i, light=light)
        place = folder / ["cat", "dog"][i % 2]
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{seed}_{i}.png").write_bytes(content[:60] if i >= rows - broken else content)
    return folder


def photos_of(data: Path) -> list[bytes | None]:
    frame = pl.read_parquet(data)
    cells = frame["photo" if "photo" in frame.columns else "image"]
    return list(cells.struct.field("bytes") if isinstance(cells.dtype, pl.Struct) else cells)


@pytest.mark.parametrize("form", ["paths", "bytes", "folder"])
def test_columns_of_every_type(
    checkout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    made = by_class if form == "folder" else items
    target = [] if form == "folder" else ["--target", "returned"]
    old = made(tmp_path / "old", form, OLD, 1)
    assert cli.main(["init", "--data", str(old), *target]) == 0
    capsys.readouterr()

    alike = made(tmp_path / "new", form, NEW, 2, light=120)
    assert cli.main(["ingest", str(alike)]) == 0
    told = capsys.readouterr().out
    assert f"{OLD} + {NEW} = {OLD + NEW}" in told
    name = "image" if form == "folder" else "photo"
    (line,) = [row for row in told.splitlines() if f"{name}: " in row]
    assert "brightness" in line and "much" in line and "PNG" not in told
    (data,) = (checkout / "data").glob("*.parquet")
    contents = photos_of(data)
    assert len(contents) == OLD + NEW and picture(2000, light=120) in contents
    if form != "bytes":  # the old row and the new one that name the same file have each its own
        paths = pl.read_parquet(data)[name].struct.field("path").to_list()
        first = {"paths": "0.png", "folder": "cat/2_0.png"}[form]
        assert paths.index(first, OLD) >= OLD
        assert contents[paths.index(first, OLD)] == picture(2000, light=120)
    assert cli.main(["ingest", str(alike)]) == 2
    assert "the data have them all" in capsys.readouterr().err

    bad = made(tmp_path / "bad", form, 8, 3, broken=2)
    assert cli.main(["ingest", str(bad)]) == 3
    told = capsys.readouterr().err
    assert "2 of 8 rows" in told and f"column '{name}'" in told and "cut or broken" in told
    assert "Replace these images" in told
    assert photos_of(data) == contents
    assert cli.main(["ingest", str(bad), "--quarantine"]) == 0
    assert photos_of(data)[: OLD + NEW] == contents and len(photos_of(data)) == OLD + NEW + 6
    (aside,) = (checkout / ".plumbline" / "quarantine").iterdir()
    listed = pl.read_csv(aside, infer_schema=False)
    assert len(listed) == 2 and f"{name}: " in listed["reason"][0]
    assert cli.main(["validate"]) == 0


def test_a_folder_with_a_test_part_is_none_of_new_rows(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["init", "--data", str(by_class(tmp_path / "old", "folder", 60, 1))]) == 0
    for part in ("train", "test"):
        by_class(tmp_path / "new" / part, "folder", 8, 2)
    assert cli.main(["ingest", str(tmp_path / "new")]) == 2
    assert "test part" in capsys.readouterr().err
    assert cli.main(["ingest", str(tmp_path / "new" / "train")]) == 0


@pytest.mark.parametrize(("form", "shown"), [("paths", "0.png"), ("bytes", "PNG 9 × 8")])
def test_preview_shows_what_a_column_is(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    form: str,
    shown: str,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    file = items(tmp_path / "old", form, 12, 1)
    output = tmp_path / "shown.parquet"
    assert cli.main(["preview", str(file), "--output", str(output)]) == 0
    told = capsys.readouterr().out
    assert re.search(rf"photo +image +1 empty +{re.escape(shown)}", told)
    assert re.search(r"bought +date +2024-\d\d-\d\d\n", told) and "00:00" not in told
    assert re.search(r"price +number ", told) and re.search(r"note +category +1 empty ", told)
    assert re.search(r"pieces +integer ", told) and re.search(r"gift +boolean ", told)
    assert re.search(r"brand +category ", told)
    assert "struct" not in told and "\\x89" not in told and "b'" not in told
    assert len(photos_of(output)) == 12
    assert cli.main(["preview", str(file), "--output", str(tmp_path / "shown.csv")]) == 2
    assert "column 'photo'" in capsys.readouterr().err
    assert not (tmp_path / "shown.csv").exists()


def test_preview_says_the_types_that_init_infers(
    checkout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    file = items(tmp_path / "old", "paths", 60, 1)
    days = pl.col("bought").str.to_date()
    pl.read_csv(file).with_columns(
        german=days.dt.to_string("%d.%m.%Y"),
        eight=days.dt.to_string("%Y%m%d"),
        moment=pl.format("{} 08:30:00", "bought"),
        clock=pl.format("1{}:30", pl.int_range(pl.len()) % 10),
        code=pl.format("A-{}", pl.int_range(pl.len()) // 2),
        number=pl.format("{},5 €", pl.col("pieces")),
    ).drop("photo").write_csv(file)
    assert cli.main(["preview", str(file)]) == 0
    told = capsys.readouterr().out
    assert "eight digits taken as YYYYMMDD" in told
    assert cli.main(["init", "--data", str(file), "--target", "returned"]) == 0
    inferred = load_expectations(
        checkout / "expectations.yaml", load_config(checkout / "params.yaml").data
    ).columns
    _, _, listed = told.partition("  size ")
    shown = {n: re.search(rf"\n +{n} +(\w+) ", listed) for n in inferred if n != "returned"}
    assert {n: found and found[1] for n, found in shown.items()} == {
        n: str(inferred[n].type) for n in shown
    }
    assert {"date", "integer", "number", "boolean", "category", "text"} == {
        found[1] for found in shown.values() if found
    }


def test_preview_refuses_what_init_refuses(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "odd.parquet"
    pl.DataFrame({"*": [1, 2], "name": ["a", "b"]}).write_parquet(file)
    assert cli.main(["init", "--data", str(file), "--target", "name"]) == 2
    refused = capsys.readouterr().err
    assert cli.main(["preview", str(file)]) == 2
    assert capsys.readouterr().err == refused and "column '*'" in refused


def parts(folder: Path, rows: int, seed: int, *, grades: tuple[str, ...] = ("low", "high")) -> Path:
    """Rows as other software writes Parquet: with narrow types, and images beside their paths."""
    folder.mkdir(exist_ok=True)
    start = pl.date(2024, 1, 1)
    frame = pl.select(
        day=pl.date_range(start, start + pl.duration(days=rows - 1)),
        pieces=(pl.int_range(rows) % 90).cast(pl.Int8),
        brand=pl.Series(["Acme", "Bolt"] * (rows // 2), dtype=pl.Categorical),
        grade=pl.Series([grades[i % len(grades)] for i in range(rows)], dtype=pl.Enum(grades)),
        photo=pl.Series(
            [{"bytes": picture(100 * seed + i), "path": f"{seed}/{i}.png"} for i in range(rows)],
            dtype=IMAGE_CELL,
        ),
        returned=pl.Series(["no", "yes"] * (rows // 2)),
    )
    file = folder / f"part-{seed}.parquet"
    frame.write_parquet(file)
    return file


def test_a_part_of_a_folder_has_the_types_of_the_others(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was written as the pipeline types the rows, after which the folder could not be read."""
    for seed in (1, 2):
        parts(tmp_path / "items", 40, seed)
    assert cli.main(["init", "--data", str(tmp_path / "items"), "--target", "returned"]) == 0
    data = checkout / "data" / "items"
    types = pl.read_parquet_schema(data / "part-1.parquet")
    assert cli.main(["ingest", str(parts(tmp_path / "new", 20, 3))]) == 0
    (added,) = data.glob("zz-ingested-*")
    assert pl.read_parquet_schema(added) == types
    assert pl.read_parquet(added)["photo"].struct.field("path")[0] == "3/0.png"
    assert len(pl.read_parquet(data)) == 100
    assert cli.main(["validate"]) == 0

    capsys.readouterr()
    other = parts(tmp_path / "other", 20, 4, grades=("low", "high", "none"))
    kept = sorted(data.iterdir())
    assert cli.main(["ingest", str(other), "--quarantine"]) in (2, 3)
    assert "column 'grade'" in capsys.readouterr().err
    assert sorted(data.iterdir()) == kept and cli.main(["validate"]) == 0


@pytest.mark.parametrize(
    ("true", "false", "pattern"),
    [
        ("yes", "no", "%Y-%m-%d"),
        ("Y", "N", "%Y/%m/%d"),
        ("True", "False", "%d.%m.%Y"),
        ("1", "0", "%Y%m%d"),
        ("true", "false", "%Y-%m-%d %H:%M:%S"),
    ],
)
def test_typed_rows_are_spelled_as_the_data_are(
    checkout: Path, tmp_path: Path, true: str, false: str, pattern: str
) -> None:
    """Rows of the service's log (`retrain`) and of Parquet files have truth values and moments:
    beside `yes` and `2024-05-01` stood `true` and `2024-05-01 00:00:00`."""
    rows = 60
    frame = pl.select(
        gift=pl.int_range(rows) % 3 == 0,
        day=pl.datetime_range(
            pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 1) + pl.duration(days=rows - 1)
        ),
        price=pl.int_range(rows) * 0.7,
        y=pl.Series(["a", "b"] * (rows // 2)),
    )
    text = frame.with_columns(
        pl.when("gift").then(pl.lit(true)).otherwise(pl.lit(false)).alias("gift"),
        pl.col("day").dt.to_string(pattern),
    )
    file, new = tmp_path / "shop.csv", tmp_path / "new.parquet"
    text.head(40).write_csv(file)
    frame.tail(20).write_parquet(new)
    assert cli.main(["init", "--data", str(file), "--target", "y"]) == 0
    assert cli.main(["ingest", str(new)]) == 0
    data = pl.read_csv(checkout / "data" / "shop.csv", infer_schema=False)
    assert data["gift"].to_list() == text["gift"].to_list()
    assert data["day"].to_list() == text["day"].to_list()


def test_a_word_that_the_data_have_not_is_the_opposite_of_the_other(
    checkout: Path, tmp_path: Path
) -> None:
    file, new = tmp_path / "shop.csv", tmp_path / "new.parquet"
    frame = pl.DataFrame({"x": [i * 0.3 for i in range(60)], "y": ["a", "b"] * 30})
    gift = pl.Series("gift", ["Yes", None] * 30)
    frame.with_columns(gift).write_csv(file)
    frame.with_columns(pl.col("x") + 0.1, gift=pl.Series([True, False] * 30)).write_parquet(new)
    assert cli.main(["init", "--data", str(file), "--target", "y"]) == 0
    assert cli.main(["ingest", str(new)]) == 0
    data = pl.read_csv(checkout / "data" / "shop.csv", infer_schema=False)
    assert data["gift"].to_list()[60:] == ["Yes", "No"] * 30
