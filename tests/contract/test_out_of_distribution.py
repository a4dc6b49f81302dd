"""Every method: finite whatever the features, small where rows belong, the same again from JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import polars as pl
import pytest

from plumbline.config.evaluation import OutOfDistributionConfig
from plumbline.evaluation.out_of_distribution import (
    FITS,
    MOST_DIRECTIONS,
    MOST_REFERENCES,
    fit_distance,
    fit_ranges,
)
from plumbline.inference.feature_distances import DISTANCES
from plumbline.inference.out_of_distribution import FILE, FLAG, OutOfDistribution
from plumbline.kinds import ColumnType
from plumbline.tables import Column

OF_FEATURES = [name for name in DISTANCES if name != "ranges"]


def made(n: int, seed: int, width: int = 9) -> Any:
    """Features along three directions, two classes apart."""
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(99).normal(size=(3, width))
    classes = rng.integers(0, 2, n)
    return (rng.normal(size=(n, 3)) @ mix + 4 * classes[:, None]).astype(np.float32), classes


def test_the_parameters_list_every_method() -> None:
    methods = get_args(get_type_hints(OutOfDistributionConfig)["method"])
    assert methods == ("auto", *DISTANCES, "off")
    assert list(FITS) == list(DISTANCES)


@pytest.mark.parametrize("method", OF_FEATURES)
@pytest.mark.parametrize("with_classes", [True, False])
def test_rows_elsewhere_are_farther_and_of_training_rows_99_percent_are_within_1(
    method: str, with_classes: bool
) -> None:
    features, classes = made(500, 0)
    arrays, unit = fit_distance(method, features, classes if with_classes else None, seed=0)
    own, more = (DISTANCES[method](arrays)(x) / unit for x in (features, made(500, 1)[0]))
    assert np.mean(own <= 1) == pytest.approx(0.99, abs=0.003)
    assert np.mean(more <= 1) > 0.9
    # far in a direction that training rows hardly have, and far along the others
    rng = np.random.default_rng(5)
    for away in (rng.normal(size=features.shape), 20 + 0 * features):
        far = DISTANCES[method](arrays)((features + away).astype(np.float32)) / unit
        assert np.median(far) > 1.5


EXTREMES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "one row": lambda: (np.ones((1, 4), np.float32), np.zeros(1, int)),
    "five rows": lambda: made(5, 0, 200),
    "constant": lambda: (np.full((50, 4), 3.0, np.float32), np.arange(50) % 2),
    "one class": lambda: (made(50, 0)[0], np.zeros(50, int)),
    "a class of one row": lambda: (made(50, 0)[0], np.arange(50) == 3),
    "huge": lambda: (made(50, 0)[0] * np.float32(1e18), made(50, 0)[1]),
    "one feature": lambda: (made(50, 0)[0][:, :1], made(50, 0)[1]),
}


@pytest.mark.parametrize("method", DISTANCES)
@pytest.mark.parametrize("extreme", EXTREMES)
def test_a_distance_is_finite(method: str, extreme: str) -> None:
    features, classes = EXTREMES[extreme]()
    arrays, unit = fit_distance(method, features, np.asarray(classes, dtype=np.int64), seed=0)
    assert all(np.isfinite(array).all() for array in arrays.values()) and unit > 0
    other = features.copy()
    other[0] = np.resize([np.nan, np.inf, -np.inf, 3e38], features.shape[1])
    for rows in (features, other):
        distances = DISTANCES[method](arrays)(rows) / unit
        assert distances.shape == (len(rows),) and np.isfinite(distances).all()
        assert (distances >= 0).all()


@pytest.mark.parametrize("method", DISTANCES)
def test_state_is_bounded_and_comes_back(method: str, tmp_path: Path) -> None:
    features, classes = made(3000, 0, 300)
    rng = np.random.default_rng(0)
    features += rng.normal(size=features.shape).astype(np.float32)
    arrays, unit = fit_distance(method, features, classes, seed=0)
    most = max(300 * MOST_DIRECTIONS, MOST_REFERENCES * (MOST_DIRECTIONS + 1))
    assert all(array.size <= most for array in arrays.values())
    again, _ = fit_distance(method, features, classes, seed=0)
    assert all((again[name] == array).all() for name, array in arrays.items())
    frame = pl.DataFrame({"x": [1.0, 2.0, None], "c": ["a", "b", "a"]})
    columns = [
        Column(name="x", type=ColumnType.NUMBER),
        Column(name="c", type=ColumnType.CATEGORY),
    ]
    fitted = OutOfDistribution(
        method=method,
        arrays=arrays,
        unit=unit,
        ranges=fit_ranges(frame.lazy(), columns),
        share=0.01,
        threshold=1.25,
    )
    fitted.write(tmp_path)
    read = OutOfDistribution.read(tmp_path)
    first = (tmp_path / FILE).read_bytes()
    read.write(tmp_path)
    assert (tmp_path / FILE).read_bytes() == first
    rows = pl.DataFrame({"x": [5.0] * 3000, "c": ["z"] * 3000})
    both = [one.scores(one.distances(features), rows) for one in (fitted, read)]
    np.testing.assert_array_equal(both[0], both[1])


def test_without_columns_the_distance_is_the_score() -> None:
    """A model of images alone."""
    features, classes = made(50, 0)
    arrays, unit = fit_distance("neighbors", features, classes, seed=0)
    fitted = OutOfDistribution(
        method="neighbors",
        arrays=arrays,
        unit=unit,
        ranges=fit_ranges(pl.LazyFrame({"photo": [b""]}), []),
        share=0.01,
    )
    distances = fitted.distances(features)
    assert fitted.scores(distances, pl.DataFrame({"photo": [b""] * 50})) is distances
    assert fitted.columns(distances)[FLAG].null_count() == 50
