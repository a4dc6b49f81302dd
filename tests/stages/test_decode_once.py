"""An image is decoded once to each size: `normalize` and the folds of `tune` share the pixels."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from tests.behaviour.test_no_peeking import as_bytes
from tests.behaviour.test_no_peeking_images import FOLD_OF, FOLDS, PARTS, checkout

from plumbline.images import ImageReader, ImageShape
from plumbline.kinds import ByteArray, Part
from plumbline.preprocessing.decoded import DecodedImages
from plumbline.stages import normalize, tune
from plumbline.stages.inputs import load_table
from plumbline.training.cross_validation import Fold, prepare_fold

Decoded = list[tuple[bytes, ImageShape]]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> Decoded:
    """Each cell that was decoded, with the size."""
    made: Decoded = []
    pixels = ImageReader.pixels

    def counted(reader: ImageReader, cell: Any, shape: ImageShape, where: str) -> ByteArray:
        made.append((cell, shape))
        return pixels(reader, cell, shape, where)

    monkeypatch.setattr(ImageReader, "pixels", counted)
    return made


@pytest.mark.usefixtures("one_thread")
def test_of_one_size(tmp_path: Path, decoded: Decoded) -> None:
    config, paths = checkout(tmp_path)
    normalize.run(config, paths)
    assert len(decoded) == len(PARTS) and set(Counter(decoded).values()) == {1}
    decoded.clear()
    tune.run(replace(config, tune=replace(config.tune, trials=1, epochs=1)), paths)
    assert not decoded


def test_of_sizes_of_their_own(tmp_path: Path, decoded: Decoded) -> None:
    """A fold whose training images have another size decodes them itself; it gets the examples
    that it gets without what others decoded."""
    config, paths = checkout(tmp_path, np.flatnonzero(FOLD_OF == 0))
    normalize.run(config, paths)
    decoded.clear()
    table, schema = load_table(config, paths)
    shared = tune.decoded_images(paths, schema)
    assert shared is not None

    def folds(images: DecodedImages | None) -> list[Fold]:
        training = PARTS == Part.TRAIN
        sides = [
            (np.flatnonzero(training & (k != FOLD_OF)), np.flatnonzero(training & (k == FOLD_OF)))
            for k in (0, *range(FOLDS))  # the first one twice
        ]
        return [
            prepare_fold(table, schema, config, *rows, k, decoded=images)
            for k, rows in enumerate(sides)
        ]

    ours = folds(shared)
    assert decoded and set(Counter(decoded).values()) == {1}
    for own, alone in zip(ours, folds(None), strict=True):
        assert own.spec == alone.spec
        assert as_bytes(own.train) == as_bytes(alone.train)
        assert as_bytes(own.val) == as_bytes(alone.val)
    assert len({own.spec.tensors[0].shape for own in ours}) > 1


@settings(max_examples=50)
@given(
    pieces=st.lists(st.sets(st.integers(0, 30)), max_size=4),
    rows=st.lists(st.integers(0, 30), unique=True),
)
def test_rows_get_their_own_pixels(pieces: list[set[int]], rows: list[int]) -> None:
    images, table = DecodedImages(), np.arange(1, 32, dtype=np.uint8).reshape(-1, 1, 1, 1)
    for piece in pieces:
        own = np.array(sorted(piece), dtype=np.int64)
        images.add("photo", own, table[own])
        images.add("other", own, table[own] + 100)
        images.add("photo", own, table[own].repeat(2, axis=3) + 50)
    wanted = np.array(rows, dtype=np.int64)
    out = np.zeros((len(rows), 1, 1, 1), np.uint8)
    known = images.take("photo", wanted, out)
    assert known.tolist() == [any(row in piece for piece in pieces) for row in rows]
    assert_array_equal(out[known], table[wanted[known]])
    assert not out[~known].any()
