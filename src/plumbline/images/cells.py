"""Images as cells of a Parquet file: bytes, or bytes with the path that they were read from."""

from __future__ import annotations

import re

import polars as pl

from plumbline.images.many import find_broken
from plumbline.images.read import ImageReader

SIZE = r"^\d+ bytes\b"


def has_images(dtype: pl.DataType) -> bool:
    """Whether the cells of a Parquet column may be images: bytes, or `tables.IMAGE_CELL` as other
    libraries write it, too."""
    if isinstance(dtype, pl.Struct):
        return any(field.name == "bytes" and field.dtype == pl.Binary for field in dtype.fields)
    return dtype == pl.Binary


def image_bytes(name: str, dtype: pl.DataType) -> pl.Expr:
    """The bytes of an image, whatever they hold; no text is one."""
    if isinstance(dtype, pl.Struct):
        return pl.col(name).struct.field("bytes").alias(name)
    return pl.col(name) if dtype == pl.Binary else pl.lit(None, dtype=pl.Binary).alias(name)


def image_text(name: str, dtype: pl.DataType) -> pl.Expr:
    """The path of an image, else its size; null where the cell is missing."""
    content = image_bytes(name, dtype)
    size = pl.when(content.is_not_null()).then(pl.format("{} bytes", content.bin.size()))
    if isinstance(dtype, pl.Struct) and any(field.name == "path" for field in dtype.fields):
        path = pl.col(name).struct.field("path").cast(pl.String)
        return pl.coalesce(path, size).alias(name)
    return size.alias(name)


def is_path(text: str) -> bool:
    """Whether the text of an image (`image_text`) is a path, not the size of bytes."""
    return not re.match(SIZE, text)


def path_of(name: str) -> pl.Expr:
    """The path among texts of images (`image_text`); null where the size of bytes stands."""
    return pl.when(~pl.col(name).str.contains(SIZE)).then(pl.col(name))


def image_words(name: str, dtype: pl.DataType) -> pl.Expr:
    """The path of an image, else its format and size in pixels; null where the cell is missing."""
    words = image_bytes(name, dtype).map_batches(
        _words, return_dtype=pl.String, is_elementwise=True
    )
    if isinstance(dtype, pl.Struct) and any(field.name == "path" for field in dtype.fields):
        return pl.coalesce(pl.col(name).struct.field("path").cast(pl.String), words).alias(name)
    return words.alias(name)


def broken_image(name: str, dtype: pl.DataType) -> pl.Expr:
    """Whether a cell is there and holds no image that can be read."""
    content = image_bytes(name, dtype)
    broken = content.map_batches(_find_broken, return_dtype=pl.Boolean, is_elementwise=True)
    return broken | (content.is_null() & image_text(name, dtype).is_not_null())


def _find_broken(contents: pl.Series) -> pl.Series:
    return pl.Series(contents.name, find_broken(contents.to_list()), dtype=pl.Boolean)


def _words(contents: pl.Series) -> pl.Series:
    reader = ImageReader(None)
    words = [None if content is None else reader.words(content) for content in contents.to_list()]
    return pl.Series(contents.name, words, dtype=pl.String)
