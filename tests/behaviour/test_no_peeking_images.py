"""Nothing is learned from the pixels of rows that are held out.

Held-out images become larger, colored and wild: the size, the channels, the statistics and the
weights stay the same to the byte.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.behaviour.test_no_peeking import as_bytes, content
from tests.made import SMALL, write_table

from plumbline.config import Config, Paths
from plumbline.config.load import parse_config
from plumbline.files import write_json
from plumbline.kinds import Part
from plumbline.stages import normalize, train
from plumbline.stages.inputs import load_part, load_table
from plumbline.training.cross_validation import prepare_fold

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS, FOLDS = 90, 3
PARTS = np.random.default_rng(0).permutation(
    np.repeat([Part.TRAIN, Part.VAL, Part.TEST], [60, 15, 15])
)
FOLD_OF = np.random.default_rng(1).integers(0, FOLDS, ROWS)


def image(rng: np.random.Generator, *, wild: bool) -> bytes:
    """A gray PNG of about 12 × 10, or a colored one five times as large."""
    shape = (48, 60, 3) if wild else (10 + int(rng.integers(3)), 12)
    file = BytesIO()
    Image.fromarray(rng.integers(0, 256 if wild else 120, shape).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def checkout(folder: Path, hit: Any = None) -> tuple[Config, Paths]:
    """A checkout in which the split has run; the images of the rows `hit` are wild or gone."""
    paths = Paths(folder)
    paths.data.mkdir(parents=True)
    photos = [image(np.random.default_rng(j), wild=False) for j in range(ROWS)]
    for j in () if hit is None else hit:
        photos[j] = None if j % 4 == 0 else image(np.random.default_rng(j), wild=True)
    labels = np.random.default_rng(2).choice(["no", "yes"], ROWS)
    columns = {"photo": photos, "y": labels.tolist()}
    pl.DataFrame(columns, schema={"photo": pl.Binary, "y": pl.String}).write_parquet(
        paths.data / "rows.parquet"
    )
    paths.expectations.write_text(
        "columns:\n  photo: {type: image}\n"
        "  y: {type: category, role: target, values: {only: ['no', 'yes']}}\n"
    )
    fold = {
        f"fold_{k}": np.where(
            PARTS != Part.TRAIN, Part.UNUSED, np.where(k == FOLD_OF, Part.VAL, Part.TRAIN)
        ).astype(np.uint8)
        for k in range(FOLDS)
    }
    paths.split.mkdir(parents=True)
    index = {"row": np.arange(ROWS, dtype=np.uint32), "part": PARTS.astype(np.uint8), **fold}
    pl.DataFrame(index).write_parquet(paths.split / "index.parquet")
    write_json(paths.split / "dropped.json", {})
    data = {"name": "t", "path": "data/rows.parquet", "target": "y", "task": "binary"}
    config = parse_config(
        {
            "seed": 0,
            "data": {**data, "positive": "yes", "format": {"type": "parquet"}},
            "model": {**SMALL, "name": "mlp", "image": {"encoder": "cnn", "width": 8}},
            "tune": {"trials": 0},
            "train": {"epochs": 1, "learning_rate": 0.01, "learning_curve": []},
            "runtime": {"threads": 1, "device": "cpu"},
        }
    )
    write_table(config, paths)
    return config, paths


def test_what_is_fitted_does_not_see_held_out_images(tmp_path: Path) -> None:
    """After one epoch there is no epoch to choose, so validation rows do not matter either."""
    prepared, models = [], []
    for name, hit in {"before": None, "after": np.flatnonzero(PARTS != Part.TRAIN)}.items():
        config, paths = checkout(tmp_path / name, hit)
        normalize.run(config, paths)
        train.run(config, paths)
        prepared.append(content(paths.prepared))
        models.append(content(paths.model))
    before, after = prepared
    for file in before:
        held_out = file in ("val/inputs/image_0.npy", "test/inputs/image_0.npy")
        assert (before[file] != after[file]) == held_out, file
    assert "weights.safetensors" in models[0]
    assert models[0] == models[1]


def test_a_training_image_is_seen(tmp_path: Path) -> None:
    """The proof can fail."""
    states = []
    for name, hit in {"before": None, "after": np.flatnonzero(PARTS == Part.TRAIN)[3:4]}.items():
        config, paths = checkout(tmp_path / name, hit)
        normalize.run(config, paths)
        states.append(content(paths.prepared, "preprocessor.json"))
    assert states[0] != states[1]


def test_a_fold_does_not_see_the_images_that_it_is_scored_on(tmp_path: Path) -> None:
    """Each fold has a size and statistics of its own."""
    held = np.flatnonzero((PARTS != Part.TRAIN) | (FOLD_OF == 0))
    fitted = np.flatnonzero((PARTS == Part.TRAIN) & (FOLD_OF != 0))
    scored = np.flatnonzero((PARTS == Part.TRAIN) & (FOLD_OF == 0))
    made = []
    for name, hit in {"before": None, "after": held}.items():
        config, paths = checkout(tmp_path / name, hit)
        normalize.run(config, paths)
        table, schema = load_table(config, paths)
        made.append(prepare_fold(table, schema, config, fitted, scored, 0))
        whole = load_part(paths, Part.TRAIN)
    first, second = made
    assert first.spec == second.spec
    assert as_bytes(first.train) == as_bytes(second.train)
    assert as_bytes(first.val) != as_bytes(second.val)
    # the rule for all training rows, among them those that the fold is scored on, says otherwise
    assert whole.inputs["image_0"].shape[1:] != second.train.inputs["image_0"].shape[1:]
