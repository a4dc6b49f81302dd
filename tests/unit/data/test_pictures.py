"""Image files become cells of the data; what cannot is refused, or left for validation to name."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from plumbline.config.data import DataConfig, FormatConfig
from plumbline.data.canonical import make_canonical
from plumbline.data.pictures import open_folder
from plumbline.data.source import open_source
from plumbline.errors import DataError
from plumbline.kinds import ColumnType, Role, Task
from plumbline.tables import IMAGE_CELL, Column, Schema

SCHEMA = Schema(
    columns=(
        Column(name="photo", type=ColumnType.IMAGE),
        Column(name="y", type=ColumnType.CATEGORY, role=Role.TARGET, labels=("a", "b")),
    ),
    task=Task.BINARY,
    classes=("a", "b"),
)


def png(color: int, size: tuple[int, int] = (6, 5)) -> bytes:
    content = BytesIO()
    Image.new("L", size, color).save(content, "PNG")
    return content.getvalue()


def folder_of(root: Path, names: dict[str, bytes]) -> Path:
    for name, content in names.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def table_of(root: Path, cells: list[str], name: str = "t.csv") -> Path:
    lines = "".join(f"{cell},{'ab'[i % 2]}\n" for i, cell in enumerate(cells))
    (root / name).write_text("photo,y\n" + lines)
    return root / name


def test_paths_are_read_into_cells_and_the_path_is_kept(tmp_path: Path) -> None:
    names = {f"bilder/图{i}.png": png(i) for i in range(8)}
    folder_of(tmp_path, names)
    source = table_of(tmp_path, [*names, "", "NA"])
    table = make_canonical(source, tmp_path / "state")
    frame = pl.read_parquet(table.path)
    assert table.form.type == "parquet" and table.name == "t.parquet"
    assert frame.schema["photo"] == IMAGE_CELL and frame.schema["y"] == pl.String
    cells = frame["photo"].to_list()
    assert [cell and cell["bytes"] for cell in cells] == [*names.values(), None, None]
    assert [cell["path"] for cell in cells[:8]] == list(names)


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    names = {f"i{i}.png": png(i) for i in range(300)}
    folder_of(tmp_path, names)
    source = table_of(tmp_path, list(names))
    one, other = (make_canonical(source, tmp_path / name) for name in ("one", "two"))
    assert one.path.read_bytes() == other.path.read_bytes()


@pytest.mark.parametrize("cells", [["x.png"] * 4, ["i0.png", "b", "c", "d"], ["1", "2", "3", "4"]])
def test_texts_that_name_no_file_stay_texts(tmp_path: Path, cells: list[str]) -> None:
    folder_of(tmp_path, {"i0.png": png(1)})
    table = make_canonical(table_of(tmp_path, cells), tmp_path / "s")
    assert table.form.type == "csv"
    words = [note for note in table.notes if "end as the names of image files do" in note]
    assert len(words) == (cells[0] == "x.png")  # the wrong folder would be a model without images


@pytest.mark.parametrize("how", ["link", "dots", "root"])
def test_a_path_out_of_the_folder_is_refused(tmp_path: Path, how: str) -> None:
    outside = folder_of(tmp_path / "outside", {"secret.png": png(9)}) / "secret.png"
    root = folder_of(tmp_path / "data", {f"i{i}.png": png(i) for i in range(9)})
    (root / "link.png").symlink_to(outside)
    path = {"link": "link.png", "dots": "../outside/secret.png", "root": str(outside)}[how]
    source = table_of(root, [*(f"i{i}.png" for i in range(9)), path])
    with pytest.raises(DataError, match=r"leads out of the data folder"):
        make_canonical(source, tmp_path / "state")
    assert not list((tmp_path / "state").rglob("*.parquet"))


def test_what_is_no_image_is_left_to_validation_with_its_reason(tmp_path: Path) -> None:
    whole = {f"i{i}.png": png(i) for i in range(40)}
    noise = BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60), np.uint8)).save(
        noise, "PNG"
    )
    broken = {"cut.png": noise.getvalue()[:-900], "text.png": b"hello", "empty.png": b""}
    folder_of(tmp_path, {**whole, **broken})
    cells = [*whole, *broken, "gone.png", ""]
    table = make_canonical(table_of(tmp_path, cells), tmp_path / "state")
    assert any("1 image file is not there (such as 'gone.png')" in note for note in table.notes)
    config = DataConfig(
        name="t",
        path=str(table.path),
        target="y",
        task=Task.BINARY,
        positive="b",
        format=FormatConfig(type="parquet"),
    )
    source = open_source(config, SCHEMA, tmp_path, into=tmp_path)
    bad = source.frame.select(source.unreadable["photo"]).collect().to_series()
    assert bad.arg_true().to_list() == [40, 41, 42, 43]
    shown = source.cells("photo", [0, 40, 41, 42, 43, 44])
    assert shown[0] == "i0.png" and shown[5] is None
    reasons = ["cut or broken", "not an image", "no bytes", "no such file"]
    for cell, name, reason in zip(shown[1:5], [*broken, "gone.png"], reasons, strict=True):
        assert cell is not None and cell.startswith(f"{name} (") and reason in cell


class TestFolders:
    def test_classes_are_folders_and_parts_stay_apart(self, tmp_path: Path) -> None:
        names = {
            f"{part}/{c}/{i}.png": png(i)
            for part in ("train", "test")
            for c in "猫犬"
            for i in range(4)
        }
        names |= {"train/猫/.DS_Store": b"x", "train/猫/notes.txt": b"x"}
        root = folder_of(tmp_path / "pets", names)
        held = open_folder(root)
        assert held.data["label"].to_list() == ["犬"] * 4 + ["猫"] * 4
        assert held.test is not None and len(held.test) == 8
        assert held.notes == ["1 file of other kinds left out (train/猫/notes.txt)"]
        table = make_canonical(root, tmp_path / "state")
        assert table.name == "pets.parquet" and table.test is not None
        frame = pl.read_parquet(table.test.path)
        assert frame["image"].struct.field("bytes").to_list()[:4] == [png(i) for i in range(4)]

    @pytest.mark.parametrize(
        ("names", "message"),
        [
            (["a/1.png", "2.png"], "lies beside the folders of the classes"),
            (["test/a/1.png"], "none to train on"),
            (["train/a/1.png", "other/b/1.png"], "has folders beside those of its parts"),
            (["train/a/1.png", "test/readme.txt"], "has no images"),
        ],
    )
    def test_other_layouts_are_refused(
        self, tmp_path: Path, names: list[str], message: str
    ) -> None:
        root = folder_of(tmp_path / "pets", {name: png(1) for name in names})
        with pytest.raises(DataError, match=message):
            open_folder(root)


def test_images_of_other_libraries_are_read_as_they_lie(tmp_path: Path) -> None:
    """Bytes, or bytes and a path in either order, with more beside them."""
    contents = [png(int(i)) for i in np.arange(6)]
    for name, cells in {
        "plain": pl.Series(contents),
        "struct": pl.Series([{"path": None, "bytes": c, "size": 3} for c in contents]),
    }.items():
        frame = pl.DataFrame({"photo": cells, "y": list("ababab")})
        frame.write_parquet(tmp_path / f"{name}.parquet")
        config = DataConfig(
            name="t",
            path=f"{name}.parquet",
            target="y",
            task=Task.BINARY,
            positive="b",
            format=FormatConfig(type="parquet"),
        )
        source = open_source(config, SCHEMA, tmp_path)
        assert source.frame.collect()["photo"].to_list() == contents
