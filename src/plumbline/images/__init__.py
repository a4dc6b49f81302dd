"""Image cells to pixels: one at a time, or many at once into one array."""

from __future__ import annotations

from plumbline.images.draw import as_data_uri
from plumbline.images.many import find_broken, read_images
from plumbline.images.read import FORMATS, MOST_PIXELS, ImageReader, ImageShape

__all__ = [
    "FORMATS",
    "MOST_PIXELS",
    "ImageReader",
    "ImageShape",
    "as_data_uri",
    "find_broken",
    "read_images",
]
