"""Image columns become bytes whose size and statistics follow from training rows alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from plumbline.config.data import NormalizeConfig
from plumbline.errors import DataError
from plumbline.images import ImageShape
from plumbline.kinds import ColumnType, Role, Task
from plumbline.preprocessing import image
from plumbline.preprocessing.image import ImagePreparer, common_shape
from plumbline.preprocessing.preparer import Given
from plumbline.tables import Column, Schema

PHOTO = Column(name="photo", type=ColumnType.TEXT)
SCHEMA = Schema(
    columns=(PHOTO, Column(name="y", type=ColumnType.NUMBER, role=Role.TARGET)),
    task=Task.REGRESSION,
)
COUNT = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files 0.png, 1.png … of about 20 × 10, and a black one."""
    made = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for j in range(COUNT):
        values = rng.integers(0, 256, (10 + j % 3, 20, 3), dtype=np.uint8)
        Image.fromarray(values).save(made / f"{j}.png")
    Image.new("RGB", (20, 10)).save(made / "black.png")
    (made / "bad.png").write_text("no picture")
    return made


def prepared(folder: Path | None) -> Given:
    return Given(
        schema=SCHEMA,
        columns=(PHOTO,),
        config=NormalizeConfig(),
        batch_rows=16,
        max_memory_mb=64,
        folder=folder,
    )


def fitted(folder: Path | None, cells: list[Any], batch: int = 1000) -> ImagePreparer:
    made = ImagePreparer(prepared(folder))
    made.begin(0)
    frame = pl.DataFrame({"photo": cells})
    read = frame.select(made.reads(frame.lazy()))
    rows = np.arange(len(cells)) + 100
    for start in range(0, len(cells), batch):
        made.observe(read[start : start + batch], rows[start : start + batch])
    made.finish(frame.lazy(), rows)
    return made


def apply(made: ImagePreparer, cells: list[Any]) -> Any:
    rows = np.arange(len(cells))
    return made.apply(pl.DataFrame({"photo": cells}), rows, None)["image_0"]


def of_row(made: ImagePreparer, cell: Any) -> Any:
    return ImagePreparer.few_rows([made])({"photo": [cell]})[0]["image_0"]


def names(count: int = COUNT) -> list[Any]:
    return [f"{j}.png" for j in range(count)]


def test_the_tensor_is_described(folder: Path) -> None:
    made = fitted(folder, [*names(), None])
    (tensor,) = made.tensors_
    assert (tensor.name, tensor.kind, tensor.dtype) == ("image_0", "image", "uint8")
    assert tensor.shape == (3, 11, 20) and set(tensor.sources) == {"photo"}
    pixels = apply(made, names())
    assert pixels.shape == (COUNT, 3, 11, 20) and pixels.dtype == np.uint8
    assert_allclose(tensor.details["mean"], pixels.mean((0, 2, 3)), rtol=1e-9)
    assert_allclose(tensor.details["deviation"], pixels.std((0, 2, 3)), rtol=1e-9)


def test_a_missing_image_is_told_from_a_black_one(folder: Path) -> None:
    made = fitted(folder, names())
    missing, black = apply(made, [None, "black.png"])
    assert (missing == 0).all() and (black == 1).all()


@settings(max_examples=25, deadline=None)
@given(cells=st.lists(st.sampled_from([*names(6), None, "black.png", b""]), max_size=5))
def test_a_row_alone_is_the_row_of_the_file(folder: Path, cells: list[Any]) -> None:
    """By its path or by its bytes; and after the state went through JSON."""
    cells = [None if cell == b"" else cell for cell in cells]
    made = fitted(folder, names(6))
    again = ImagePreparer.from_json(prepared(folder), json.loads(json.dumps(made.to_json())))
    assert again.tensors_ == made.tensors_
    together = made.apply(
        pl.DataFrame({"photo": cells}, schema={"photo": pl.String}), np.arange(len(cells)), None
    )["image_0"]
    for row, cell in enumerate(cells):
        content = None if cell is None else (folder / cell).read_bytes()
        for own in (made, again):
            for value in (cell, content):
                assert_array_equal(of_row(own, value)[0], together[row])
    assert (of_row(made, None) == 0).all()


def test_batches_change_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor where the sample is smaller than the rows."""
    monkeypatch.setattr(image, "MOST_SAMPLED", 12)
    states = [fitted(folder, [*names(), None], batch).to_json() for batch in (1, 7, 1000)]
    assert states[0] == states[1] == states[2]
    assert states[0] != fitted(folder, names()[::-1]).to_json()


def test_bytes_and_paths_are_learned_alike(folder: Path) -> None:
    contents = [(folder / name).read_bytes() for name in names()]
    assert fitted(None, contents).to_json() == fitted(folder, names()).to_json()
    with pytest.raises(DataError, match=r"column 'photo'.*no files are read here"):
        of_row(fitted(None, contents), "0.png")


@pytest.mark.parametrize(
    ("cells", "reason"),
    [([None, None], "no image in"), (["0.png", "0.png"], "one image in all"), ([], "no image in")],
)
def test_a_column_that_says_nothing_is_dropped(folder: Path, cells: Any, reason: str) -> None:
    made = ImagePreparer(prepared(folder))
    made.begin(0)
    made.observe(pl.DataFrame({"photo": cells}), np.arange(len(cells)))
    made.finish(pl.LazyFrame(), None)
    assert made.tensors_ == () and made.dropped_["photo"].startswith(reason)
    assert made.apply(pl.DataFrame({"photo": cells}), np.arange(len(cells)), None) == {}


def test_an_image_that_cannot_be_read_is_named(folder: Path) -> None:
    with pytest.raises(DataError, match=r"^bad.png: column 'photo', row 102: not an image"):
        fitted(folder, ["0.png", "1.png", "bad.png"])
    made = fitted(folder, names())
    with pytest.raises(DataError, match=r"^gone.png: column 'photo', row 1: no such file"):
        apply(made, ["0.png", "gone.png"])
    with pytest.raises(DataError, match=r"^gone.png: column 'photo': no such file"):
        of_row(made, "gone.png")


def shapes(*sizes: tuple[int, int], channels: int = 3) -> list[ImageShape]:
    return [ImageShape(channels=channels, height=h, width=w) for h, w in sizes]


@pytest.mark.parametrize(
    ("own", "images", "wanted"),
    [
        (shapes((28, 28), channels=1), 60_000, (1, 28, 28)),  # small ones are as they are
        (shapes((1, 1)), 10, (3, 1, 1)),
        (shapes((480, 480)), 100, (3, 64, 64)),
        (shapes((480, 480)), 5_000, (3, 96, 96)),
        (shapes((480, 480)), 50_000, (3, 128, 128)),
        (shapes((300, 600)), 100, (3, 48, 88)),
        (shapes((10, 10_000)), 100, (3, 48, 88)),  # a strip
        ([*shapes((32, 32), channels=1), *shapes((32, 32))], 100, (3, 32, 32)),
    ],
)
def test_the_size_follows_from_images_and_rows(own: Any, images: int, wanted: Any) -> None:
    assert tuple(common_shape(own, images)) == wanted
