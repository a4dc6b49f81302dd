"""Any image that a cell names or holds becomes pixels, or is refused in words by row."""

from __future__ import annotations

import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from PIL import Image

from plumbline.errors import DataError
from plumbline.images import FORMATS, ImageReader, ImageShape

WHERE = "column 'photo', row 7"
MODES = {  # format -> the modes that Pillow writes of it
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK", "YCbCr"),
    "WEBP": ("RGB", "RGBA"),
    "BMP": ("1", "L", "P", "RGB"),
    "GIF": ("L", "P", "RGB"),
    "TIFF": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16"),
}
CASES = [(name, mode) for name, modes in MODES.items() for mode in modes]
each = pytest.mark.parametrize(("format_", "mode"), CASES)
tolerant = pytest.mark.filterwarnings("ignore:.*EXIF:UserWarning", "ignore::UserWarning:PIL")
GRAY = ("1", "L", "LA", "I;16")
RED, BLUE = (220, 40, 40), (30, 60, 200)


def of_color(mode: str, color: tuple[int, int, int], size: tuple[int, int]) -> Image.Image:
    if mode == "I;16":
        gray = np.asarray(Image.new("RGB", size, color).convert("L")).astype(np.uint16)
        return Image.fromarray(gray * 257)
    return Image.new("RGB", size, color).convert(mode)


def written(image: Image.Image, format_: str, **options: Any) -> bytes:
    out = BytesIO()
    if format_ in ("JPEG", "WEBP"):
        options = {"quality": 95, **options}
    image.save(out, format_, **options)
    return out.getvalue()


def shape(channels: int = 3, height: int = 4, width: int = 4) -> ImageShape:
    return ImageShape(channels=channels, height=height, width=width)


@pytest.fixture
def reader(tmp_path: Path) -> ImageReader:
    return ImageReader(tmp_path)


def test_the_cases_are_of_every_format() -> None:
    assert tuple(MODES) == FORMATS


@each
@pytest.mark.parametrize("channels", [1, 3])
def test_a_color_is_that_of_the_file(
    format_: str, mode: str, channels: int, reader: ImageReader
) -> None:
    color = (0, 0, 0) if mode == "1" else RED  # of one bit
    cell = written(of_color(mode, color, (33, 20)), format_)
    pixels = reader.pixels(cell, shape(channels, 5, 9), WHERE)
    assert pixels.shape == (channels, 5, 9) and pixels.dtype == np.uint8
    gray = channels == 1 or mode in GRAY
    luma = np.asarray(Image.new("RGB", (1, 1), color).convert("L"))[0, 0]
    wanted = np.full(channels, luma) if gray else np.array(color)
    assert np.abs(pixels.astype(int) - wanted[:, None, None]).max() <= 4


@settings(max_examples=60, deadline=None)
@given(
    case=st.sampled_from(CASES),
    size=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    wanted=st.builds(shape, st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 40)),
)
def test_any_size_becomes_any_other(
    case: tuple[str, str], size: tuple[int, int], wanted: ImageShape
) -> None:
    format_, mode = case
    cell = written(of_color(mode, BLUE, size), format_)
    reader = ImageReader(Path())
    own = reader.shape(cell, WHERE)
    assert (own.width, own.height) == size
    assert own.channels == (1 if mode in GRAY else 3)
    pixels = reader.pixels(cell, wanted, WHERE)
    assert pixels.shape == tuple(wanted)
    assert np.ptp(pixels, axis=(1, 2)).max() <= (255 if mode in ("1", "P") else 6)  # dithered


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_16_bits_are_scaled_to_8(format_: str, reader: ImageReader) -> None:
    values = np.array([[0, 255, 256, 257], [1000, 32768, 65000, 65535]], dtype=np.uint16)
    pixels = reader.pixels(written(Image.fromarray(values), format_), shape(1, 2, 4), WHERE)
    assert_array_equal(pixels[0], values >> 8)


def png_of_16_bit_colors(values: Any) -> bytes:
    """Pillow writes none."""
    height, width, _ = values.shape

    def chunk(name: bytes, body: bytes) -> bytes:
        check = zlib.crc32(name + body)
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)

    lines = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_colors_of_16_bits_are_scaled_to_8(reader: ImageReader) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (3, 5, 3))
    pixels = reader.pixels(png_of_16_bit_colors(values), shape(3, 3, 5), WHERE)
    assert_array_equal(pixels, values.transpose(2, 0, 1) >> 8)


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_is_white(format_: str, reader: ImageReader) -> None:
    values = np.zeros((8, 8, 4), np.uint8)
    values[:4, :, :] = (*RED, 255)
    values[4:, :, 3] = 128  # half black
    values[:, 4:, 3] = 0
    options = {"lossless": True} if format_ == "WEBP" else {}
    pixels = reader.pixels(written(Image.fromarray(values), format_, **options), shape(), WHERE)
    assert_array_equal(pixels[:, 0, 0], RED)
    assert (np.abs(pixels[:, 3, 0].astype(int) - 127) <= 1).all()
    assert (pixels[:, :, 3] == 255).all()


def test_a_transparent_color_of_a_palette_is_white(reader: ImageReader) -> None:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([*RED, *BLUE])
    for format_ in ("PNG", "GIF"):
        pixels = reader.pixels(written(image, format_, transparency=1), shape(), WHERE)
        assert (pixels == 255).all()
        assert_array_equal(reader.pixels(written(image, format_), shape(), WHERE)[:, 0, 0], BLUE)


def test_a_gif_is_its_first_frame(reader: ImageReader) -> None:
    first, second = (of_color("RGB", color, (6, 6)) for color in (RED, BLUE))
    cell = written(first, "GIF", save_all=True, append_images=[second])
    assert_array_equal(reader.pixels(cell, shape(), WHERE)[:, 1, 1], RED)


ROTATIONS = {  # EXIF orientation -> what a viewer does to the stored pixels (h, w, c)
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", ROTATIONS)
def test_an_image_is_upright(format_: str, orientation: int, reader: ImageReader) -> None:
    """A corner of each color; sideways ones have another shape."""
    stored = np.zeros((16, 32, 3), np.uint8)
    stored[:8, :16], stored[8:, 16:], stored[8:, :16] = RED, BLUE, 255
    image = Image.fromarray(stored)
    exif = image.getexif()
    exif[0x0112] = orientation
    options = {"lossless": True} if format_ == "WEBP" else {}
    options |= {"subsampling": 0} if format_ == "JPEG" else {}
    cell = written(image, format_, exif=exif, **options)
    wanted = ROTATIONS[orientation](stored)  # type: ignore[no-untyped-call]
    height, width = wanted.shape[:2]
    assert reader.shape(cell, WHERE) == shape(3, height, width)
    pixels = reader.pixels(cell, shape(3, height, width), WHERE).transpose(1, 2, 0)
    assert np.abs(pixels.astype(int) - wanted).max() <= 4


@tolerant
def test_broken_metadata_does_not_spoil_an_image(reader: ImageReader) -> None:
    cell = written(of_color("RGB", RED, (6, 6)), "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.abs(reader.pixels(cell, shape(), WHERE)[:, 0, 0].astype(int) - RED).max() <= 4


@pytest.mark.parametrize("format_", ["PNG", "JPEG"])
def test_shrinking_takes_the_mean(format_: str, reader: ImageReader) -> None:
    """Without antialiasing a fine grid would become black, white or a pattern."""
    grid = (np.indices((512, 512)).sum(0) % 2 * 255).astype(np.uint8)
    cell = written(Image.fromarray(grid), format_)
    pixels = reader.pixels(cell, shape(1, 8, 8), WHERE)
    assert np.abs(pixels.astype(int) - 127).max() <= 3


def test_a_path_is_relative_to_the_data(tmp_path: Path, reader: ImageReader) -> None:
    (tmp_path / "图片" / "b").mkdir(parents=True)
    of_color("RGB", RED, (3, 3)).save(tmp_path / "图片" / "b" / "红 1.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "图片" / "b" / "红 1.png")
    for cell in ("图片/b/红 1.png", "图片/../图片/b/红 1.png", "link.png"):
        assert_array_equal(reader.pixels(cell, shape(), WHERE)[:, 0, 0], RED)


def outside(tmp_path: Path) -> ImageReader:
    """Images outside, and ways to them."""
    folder = tmp_path / "data"
    folder.mkdir()
    of_color("RGB", RED, (3, 3)).save(tmp_path / "out.png")
    (folder / "link.png").symlink_to(tmp_path / "out.png")
    (folder / "up").symlink_to(tmp_path, target_is_directory=True)
    return ImageReader(folder)


@pytest.mark.parametrize("cell", ["../out.png", "link.png", "up/out.png", "ROOT/out.png", "/"])
def test_no_file_outside_the_folder_is_read(cell: str, tmp_path: Path) -> None:
    reader = outside(tmp_path)
    cell = cell.replace("ROOT", str(tmp_path))
    for read in (lambda: reader.pixels(cell, shape(), WHERE), lambda: reader.shape(cell, WHERE)):
        with pytest.raises(DataError, match=r"row 7: the path leads out of the data folder"):
            read()


def cut(format_: str) -> bytes:
    rng = np.random.default_rng(1)
    image = Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8))
    whole = written(image, format_)
    return whole[: len(whole) // 2]


def bomb(width: int, height: int) -> bytes:
    whole = bytearray(written(Image.new("L", (1, 1)), "BMP"))
    whole[18:26] = struct.pack("<ii", width, height)
    return bytes(whole)


REFUSED = {
    "missing.png": (None, "no such file.*Add the file, or clear the cell"),
    "text.png": (b"no picture at all", "not an image.*begins with b'no picture a'.*wanted PNG"),
    "empty.png": (b"", "the file is empty"),
    "bomb.bmp": (bomb(20_000, 20_000), "too many pixels.*at most 89,478,485"),
    "big.bmp": (bomb(10_000, 9_000), "too many pixels: 10,000 × 9,000"),
    "nothing.bmp": (bomb(0, 5), "no pixels|not an image"),
    "float.tif": (written(Image.new("F", (3, 3)), "TIFF"), "32 bits per channel"),
    "icon.png": (written(Image.new("L", (16, 16)), "ICO"), "not an image.*wanted PNG"),
    **{f"cut.{name.lower()}": (cut(name), "cut or broken|not an image") for name in FORMATS},
}


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_by_row(
    name: str, tmp_path: Path, reader: ImageReader
) -> None:
    content, message = REFUSED[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=rf"^{name}: column 'photo', row 7: .*({message})"):
        reader.pixels(name, shape(), WHERE)
    if content:
        with pytest.raises(DataError, match=rf"^column 'photo', row 7: .*({message})"):
            reader.pixels(content, shape(), WHERE)


def test_a_cell_without_bytes_is_refused(reader: ImageReader) -> None:
    with pytest.raises(DataError, match=r"row 7: the image has no bytes"):
        reader.pixels(b"", shape(), WHERE)


def test_without_a_folder_only_bytes_are_read(tmp_path: Path) -> None:
    of_color("RGB", RED, (3, 3)).save(tmp_path / "a.png")
    reader = ImageReader(None)
    with pytest.raises(DataError, match=r"row 7: no files are read here .wanted the bytes"):
        reader.pixels(str(tmp_path / "a.png"), shape(), WHERE)
    cell = (tmp_path / "a.png").read_bytes()
    assert_array_equal(reader.pixels(cell, shape(), WHERE)[:, 0, 0], RED)


def test_what_is_no_file_is_refused(tmp_path: Path, reader: ImageReader) -> None:
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")  # opening it would wait for ever
    (tmp_path / "loop.png").symlink_to("loop.png")
    cells = ("folder.png", "pipe.png", "", "loop.png", "a\0b.png", "x" * 5000, "\ud800.png")
    for cell in cells:
        with pytest.raises(DataError, match=r"row 7: (not a file|cannot be read|no such file)"):
            reader.pixels(cell, shape(), WHERE)


@tolerant
@settings(max_examples=150, deadline=None)
@given(
    case=st.sampled_from(CASES),
    at=st.floats(0, 1),
    change=st.binary(max_size=6),
    cut_there=st.booleans(),
)
def test_a_damaged_file_is_read_or_refused(
    case: tuple[str, str], at: float, change: bytes, cut_there: bool
) -> None:
    """Never another error."""
    format_, mode = case
    whole = written(of_color(mode, BLUE, (12, 9)), format_)
    place = int(at * len(whole))
    damaged = whole[:place] + change + (b"" if cut_there else whole[place + len(change) :])
    reader = ImageReader(Path())
    try:
        assert reader.pixels(damaged, shape(), WHERE).shape == (3, 4, 4)
        reader.shape(damaged, WHERE)
    except DataError as error:
        assert "row 7" in str(error)
