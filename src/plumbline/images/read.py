"""One image, from a file in the folder of the data or from the bytes of a cell, to pixels.

A file is somebody else's: it is opened only inside the folder, read by the decoders of a few
formats, and refused by its header where its pixels would not fit into memory.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from plumbline.errors import DataError
from plumbline.images.inside import SMALLER, read_inside
from plumbline.kinds import ByteArray

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")  # as Pillow names them
MOST_PIXELS = 89_478_485  # above it Pillow, too, takes a file for a decompression bomb
LARGE_PIXELS = 2**24  # images of more are decoded one at a time, whatever the threads
WANTED = "PNG, JPEG, WebP, BMP, GIF or TIFF"
ORIENTATION = 0x0112  # EXIF
METADATA = ("exif", "Raw profile type exif", "xmp", "XML:com.adobe.xmp")  # where it may be
TURNS = {  # EXIF orientation -> what makes it upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = (5, 6, 7, 8)  # orientations in which height and width change places
GRAY_MODES = ("1", "L", "LA", "La", "I", "F")
_one_large = threading.Lock()
Cell = str | bytes | None  # a path, the bytes of an image, or missing


@dataclass(frozen=True, kw_only=True)
class ImageShape:
    """Channels (1 gray, 3 red, green and blue), height and width in pixels."""

    channels: int
    height: int
    width: int

    def __iter__(self) -> Iterator[int]:
        return iter((self.channels, self.height, self.width))


SMALLEST = ImageShape(channels=3, height=8, width=8)  # which asks least of a decoder


class ImageReader:
    """Reads the image that a cell names or holds.

    Args:
        folder: that of the data file. Paths are relative to it, and no file outside is read.
            None: cells hold the bytes of an image, and no file is read.
        most_pixels: an image of more is refused.
    """

    def __init__(self, folder: Path | None, most_pixels: int = MOST_PIXELS) -> None:
        self.folder = folder and folder.resolve()
        self._most_pixels = most_pixels

    def shape(self, cell: str | bytes, where: str) -> ImageShape:
        """The upright image's own shape, by the file's header alone.

        Raises:
            DataError: as `pixels`, of what the header shows.
        """
        with self._opened(cell, where) as image:
            width, height = _upright_size(image)
            return ImageShape(channels=1 if _is_gray(image) else 3, height=height, width=width)

    def words(self, content: bytes) -> str:
        """The image's format, width and height, by the header alone; else why it is none."""
        try:
            with self._opened(content, "") as image:
                width, height = _upright_size(image)
                return f"{image.format} {width} × {height}"
        except DataError as error:
            return error.what

    def pixels(self, cell: str | bytes, shape: ImageShape, where: str) -> ByteArray:
        """The first frame, upright, over white, resized with antialiasing: (c, h, w).

        Channels of 16 bits are cut to the upper 8. Height and width are stretched apart where
        the image has other proportions.

        Args:
            where: row and column, for messages.

        Raises:
            DataError: the file is missing or outside the folder, is not of one of `FORMATS`, is
                cut or broken, has too many pixels or channels of 32 bits.
        """
        with self._opened(cell, where) as image:
            large = image.size[0] * image.size[1] > LARGE_PIXELS
            with _one_large if large else nullcontext():
                return _pixels(image, shape)

    def content(self, cell: str, where: str) -> bytes | None:
        """The bytes of the file that a cell names; None where there is no such file.

        Raises:
            DataError: the file is outside the folder, cannot be read, or has over `MOST_BYTES`.
        """
        if self.folder is None:
            raise DataError(
                "no files are read here",
                file=cell,
                where=where,
                wanted="the bytes of an image",
                got="a path",
            )
        try:
            return read_inside(self.folder, cell, where)
        except FileNotFoundError:
            return None

    def problem(self, content: bytes) -> str | None:
        """Why the bytes are no image that can be read; None where they are one."""
        try:
            self.pixels(content, SMALLEST, "")
        except DataError as error:
            return error.what
        return None

    @contextmanager
    def _opened(self, cell: str | bytes, where: str) -> Iterator[Image.Image]:
        file = cell if isinstance(cell, str) else None
        content = self._content(cell, where)
        try:
            with Image.open(BytesIO(content), formats=FORMATS) as image:
                _check_size(*image.size, self._most_pixels)
                yield image
        except _Unreadable as error:
            raise DataError(
                str(error), file=file, where=where, wanted=error.wanted, hint=error.hint
            ) from None
        except UnidentifiedImageError:
            raise _unknown(content, file, where) from None
        except (Image.DecompressionBombError, Image.DecompressionBombWarning):
            raise DataError(TOO_LARGE, file=file, where=where, wanted=_MOST, hint=SMALLER) from None
        except MemoryError:
            raise
        except Exception as error:  # decoders raise anything on a broken file
            raise DataError(
                f"the image is cut or broken: {_reason(error)}",
                file=file,
                where=where,
                hint="write the file again, or clear the cell",
            ) from None

    def _content(self, cell: str | bytes, where: str) -> bytes:
        if isinstance(cell, bytes):
            if not cell:
                raise DataError("the image has no bytes", where=where, hint="clear the cell")
            return cell
        content = self.content(cell, where)
        if content is None:
            raise DataError(
                "no such file",
                file=cell,
                where=where,
                wanted="a path relative to the data file",
                hint="add the file, or clear the cell",
            )
        if not content:
            raise DataError(
                "the file is empty", file=cell, where=where, hint="write the file again"
            )
        return content


class _Unreadable(Exception):
    def __init__(self, what: str, wanted: str, hint: str) -> None:
        super().__init__(what)
        self.wanted, self.hint = wanted, hint


TOO_LARGE = "the image has too many pixels"
_MOST = f"at most {MOST_PIXELS:,} pixels"


def _check_size(width: int, height: int, most: int) -> None:
    if width * height > most:
        what = f"{TOO_LARGE}: {width:,} × {height:,}"
        raise _Unreadable(what, f"at most {most:,} pixels", SMALLER)
    if width < 1 or height < 1:
        what = f"the image has no pixels: {width} × {height}"
        raise _Unreadable(what, "at least one pixel", "write the file again, or clear the cell")


def _unknown(content: bytes, file: str | None, where: str) -> DataError:
    return DataError(
        f"not an image that can be read: it begins with {content[:12]!r}",
        file=file,
        where=where,
        wanted=WANTED,
        hint="convert the image, or clear the cell",
    )


def _reason(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text[0].lower() + text[1:]


def _orientation(image: Image.Image) -> int:
    if not any(key in image.info for key in METADATA):
        return 1
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # broken metadata of a good image
        return 1


def _upright_size(image: Image.Image) -> tuple[int, int]:
    """Width and height."""
    width, height = image.size
    if _orientation(image) in SIDEWAYS and image.format != "TIFF":  # Pillow turns TIFF itself
        return height, width
    return width, height


def _is_gray(image: Image.Image) -> bool:
    if image.mode == "P":
        colors = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
        return bool((colors == colors[:, :1]).all())
    return image.mode in GRAY_MODES or image.mode.startswith("I;16")


def _pixels(image: Image.Image, shape: ImageShape) -> ByteArray:
    channels, height, width = shape
    if image.format in ("JPEG", "MPO"):
        # a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where that is twice what is wanted
        most = 2 * max(height, width)
        image.draft("L" if channels == 1 else "RGB", (most, most))
    image.load()
    turn = _orientation(image)
    upright = _flat(image, "L" if channels == 1 else "RGB")
    size = (height, width) if turn in SIDEWAYS else (width, height)
    if upright.size != size:
        upright = upright.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    if turn in TURNS:
        upright = upright.transpose(TURNS[turn])
    values = np.asarray(upright)
    return values[None] if channels == 1 else values.transpose(2, 0, 1)


def _flat(image: Image.Image, mode: str) -> Image.Image:
    """8 bits per channel, without transparency."""
    if image.mode.startswith("I;16"):
        # the upper byte, which is what Pillow reads of colors of 16 bits
        upper = (np.asarray(image) >> 8).astype(np.uint8)
        return Image.fromarray(upper).convert(mode)
    if image.mode in ("I", "F"):
        raise _Unreadable(
            "the image has 32 bits per channel, whose range is not known",
            "8 or 16 bits per channel",
            "convert the image",
        )
    if image.has_transparency_data:
        own = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, own)
    return image if image.mode == mode else image.convert(mode)
