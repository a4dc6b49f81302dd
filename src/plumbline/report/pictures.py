"""Pictures of the data, and heat maps over them, as SVG that holds the pixels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from plumbline.report.read import listed, pick, real, whole
from plumbline.report.tints import tint

MOST_CHARACTERS = 100_000  # of a picture
PICTURE = re.compile(r"data:image/png;base64,[A-Za-z0-9+/]+={0,2}")
COARSE = 48  # pixels a side, up to which they are shown as squares


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Pixels as a data URI, with their size."""

    uri: str
    height: int
    width: int


def read_picture(value: Any) -> Picture | None:
    """What a stage wrote of a picture; None where it is not that."""
    uri, height, width = (
        pick(value, "picture"),
        whole(pick(value, "height")),
        whole(pick(value, "width")),
    )
    if not isinstance(uri, str) or len(uri) > MOST_CHARACTERS or not PICTURE.fullmatch(uri):
        return None
    if not height or not width or min(height, width) < 1 or max(height, width) > 10_000:
        return None
    return Picture(uri=uri, height=height, width=width)


def plain(picture: Picture, alt: str, key: str = "") -> Markup:
    """The picture; drawn again under its `key`."""
    image = Markup('<image{} href="{}" width="{}" height="{}"{}/>').format(
        Markup(' id="{}"').format(key) if key else "",
        picture.uri,
        picture.width,
        picture.height,
        Markup(' class="coarse"') if max(picture.width, picture.height) <= COARSE else "",
    )
    return _svg(picture, alt, image)


def heat(
    picture: Picture,
    key: str,
    alt: str,
    edges: tuple[Sequence[int], Sequence[int]],
    values: Sequence[Sequence[float]],
) -> Markup:
    """Patches colored over the gray picture that was drawn under `key`; faint ones have none."""
    largest = max((abs(v) for row in values for v in row), default=0.0)
    down, across = edges
    marks = [Markup('<use href="#{}" class="under"/>').format(key)]
    for i, row in enumerate(values):
        for j, value in enumerate(row):
            color = tint(value, largest)
            if color:
                x, y, w, h = across[j], down[i], across[j + 1] - across[j], down[i + 1] - down[i]
                marks.append(
                    Markup('<rect class="heat {}" x="{}" y="{}" width="{}" height="{}"/>').format(
                        color, x, y, w, h
                    )
                )
    return _svg(picture, alt, Markup("").join(marks))


def _svg(picture: Picture, alt: str, content: Markup) -> Markup:
    return Markup('<svg role="img" aria-label="{}" viewBox="0 0 {} {}">{}</svg>').format(
        alt, picture.width, picture.height, content
    )


def read_values(value: Any, rows: int, columns: int) -> list[list[float]] | None:
    """Values of patches, by row and column; None where they are not as many."""
    made = [
        [float(number) for v in listed(row) if (number := real(v)) is not None]
        for row in listed(value)
    ]
    return made if len(made) == rows and all(len(row) == columns for row in made) else None
