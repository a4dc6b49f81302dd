"""How images become features."""

from __future__ import annotations

import dataclasses
from typing import Literal, Self

from pydantic import Field

from plumbline.config.section import ShareOrZero, section

ImageEncoderName = Literal["cnn", "resnet", "vit"]
ImagePool = Literal["max", "average"]


@section
class ImageColumnConfig:
    """What the encoder of one image column does otherwise than `model.image` says."""

    encoder: ImageEncoderName | None = None
    width: int | None = Field(default=None, ge=1, le=4096)
    depth: int | None = Field(default=None, ge=1, le=100)
    heads: int | None = Field(default=None, ge=1, le=256)
    patch: int | None = Field(default=None, ge=1, le=1024)
    pool: ImagePool | None = None
    dropout: ShareOrZero | None = None


@section
class ImageEncoderConfig:
    """How the pixels of an image become features. `columns` overrides by name.

    `depth` and `patch`: None follows from the size of the images.
    """

    encoder: ImageEncoderName = "cnn"
    width: int = Field(default=128, ge=1, le=4096)
    depth: int | None = Field(default=None, ge=1, le=100)
    heads: int = Field(default=4, ge=1, le=256)
    patch: int | None = Field(default=None, ge=1, le=1024)
    pool: ImagePool = "max"
    dropout: ShareOrZero = 0.1
    columns: dict[str, ImageColumnConfig] = Field(default_factory=dict)

    def of(self, column: str) -> Self:
        """The section as it holds for one column."""
        own = self.columns.get(column, ImageColumnConfig())
        given = {f.name: getattr(own, f.name) for f in dataclasses.fields(ImageColumnConfig)}
        return dataclasses.replace(self, **{k: v for k, v in given.items() if v is not None})
