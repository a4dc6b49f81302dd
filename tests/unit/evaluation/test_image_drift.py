"""Images drift by what describes them."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageEnhance, ImageFilter

from plumbline.evaluation import image_drift
from plumbline.evaluation.drift import ColumnDrift, ColumnPair, compare
from plumbline.evaluation.image_drift import DESCRIPTORS, image_descriptors, measure_images
from plumbline.evaluation.text_drift import combine
from plumbline.kinds import ColumnType


def pictures(seed: int, count: int = 80) -> list[Image.Image]:
    """Blobs of a color each."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(count):
        rough = rng.integers(20, 200, (6, 5, 3)).astype(np.uint8)
        sides = int(rng.integers(40, 60)), int(rng.integers(40, 60))
        made.append(Image.fromarray(rough).resize(sides, Image.Resampling.BILINEAR))
    return made


def cells(images: list[Image.Image]) -> list[bytes | None]:
    contents: list[bytes | None] = []
    for picture in images:
        content = BytesIO()
        picture.save(content, "PNG")
        contents.append(content.getvalue())
    return contents


def measured(contents: list[bytes | None]) -> pl.DataFrame:
    frame = pl.LazyFrame({"photo": contents}, schema={"photo": pl.Binary})
    measures = image_descriptors("photo").items()
    return measure_images(frame, ["photo"]).select(e.alias(n) for n, e in measures).collect()


def verdict(before: list[bytes | None], after: list[bytes | None]) -> ColumnDrift:
    reference, current = measured(before), measured(after)
    pairs = {
        name: ColumnPair(type=ColumnType.NUMBER, reference=reference[name], current=current[name])
        for name in reference.columns
    }
    return combine(compare(pairs, method="auto", threshold=None)[0])


def test_the_descriptors_of_an_image() -> None:
    plain = Image.new("RGB", (64, 16), (255, 0, 0))
    frame = measured([*cells([plain, Image.new("L", (8, 8), 51)]), None])
    red, gray, missing = frame.rows(named=True)
    assert list(red) == list(DESCRIPTORS)
    assert red["brightness"] == pytest.approx(1 / 3) and red["saturation"] == 1
    assert red["contrast"] == pytest.approx(0) and red["detail"] == 0
    assert (red["width"], red["height"]) == (6, 4)
    assert gray["brightness"] == pytest.approx(0.2) and gray["saturation"] == 0
    assert set(missing.values()) == {None}


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "brightness": lambda x: ImageEnhance.Brightness(x).enhance(0.6),
    "contrast": lambda x: ImageEnhance.Contrast(x).enhance(0.5),
    "saturation": lambda x: ImageEnhance.Color(x).enhance(0.2),
    "detail": lambda x: x.filter(ImageFilter.BoxBlur(6)),
    "width": lambda x: x.resize((x.width * 2, x.height)),
    "height": lambda x: x.resize((x.width, x.height * 2)),
}


@pytest.mark.parametrize("descriptor", list(CHANGES))
def test_what_changed_is_said(descriptor: str) -> None:
    drift = verdict(cells(pictures(0)), cells([CHANGES[descriptor](p) for p in pictures(1)]))
    assert drift.drifted and drift.parts[descriptor].drifted


def test_nothing_changed() -> None:
    drift = verdict(cells(pictures(2)), cells(pictures(3)))
    assert not drift.drifted and set(drift.parts) == set(DESCRIPTORS)


def test_each_image_is_decoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    numbers = image_drift._numbers
    monkeypatch.setattr(
        image_drift,
        "_numbers",
        lambda pixels, shapes: (seen.append(len(pixels)), numbers(pixels, shapes))[1],
    )
    measured(cells(pictures(0, 10)))
    assert sum(seen) == 10
