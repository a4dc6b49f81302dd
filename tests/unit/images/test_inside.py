"""Any way that stays in the folder leads to the file; any other is refused, whatever its form."""

from __future__ import annotations

from pathlib import Path

import pytest

from plumbline.errors import DataError
from plumbline.images.inside import read_inside


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Beside a file that no cell may read; links lead there, into the folder, and to nothing."""
    made = tmp_path / "data"
    (made / "猫" / "b").mkdir(parents=True)
    (made / "猫" / "b" / "a 1.png").write_bytes(b"in")
    (tmp_path / "out.png").write_bytes(b"out")
    (made / "near").symlink_to("猫", target_is_directory=True)
    (made / "same.png").symlink_to(made / "猫" / "b" / "a 1.png")
    (made / "away").symlink_to("..", target_is_directory=True)
    (made / "away.png").symlink_to("../out.png")
    (made / "nothing.png").symlink_to("gone.png")
    return made


@pytest.mark.parametrize(
    "cell",
    [
        "猫/b/a 1.png",
        "./猫//b/a 1.png",
        "猫/../猫/b/a 1.png",
        "near/b/a 1.png",
        "near/b/../b/a 1.png",
        "same.png",
        "away/data/猫/b/a 1.png",
        "FOLDER/猫/b/a 1.png",
    ],
)
def test_a_way_that_ends_in_the_folder_is_followed(cell: str, folder: Path) -> None:
    assert read_inside(folder, cell.replace("FOLDER", str(folder)), "row 1") == b"in"


@pytest.mark.parametrize(
    "cell", ["../out.png", "away.png", "away/out.png", "猫/../../out.png", "near/../away/out.png"]
)
def test_a_way_out_of_the_folder_is_refused(cell: str, folder: Path) -> None:
    with pytest.raises(DataError, match=r"row 1: the path leads out of the data folder"):
        read_inside(folder, cell, "row 1")


@pytest.mark.parametrize("cell", ["gone.png", "猫/gone.png", "gone/a.png", "nothing.png"])
def test_no_file_is_an_error_of_its_own(cell: str, folder: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_inside(folder, cell, "row 1")


@pytest.mark.parametrize(
    ("cell", "message"),
    [("猫", "not a file"), ("", "not a file"), ("猫/b/a 1.png/c", "cannot be read: Not a dir")],
)
def test_what_is_no_file_is_refused(cell: str, message: str, folder: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_inside(folder, cell, "row 1")
