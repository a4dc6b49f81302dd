"""A version scores raw rows as the stage does; a version without scores answers without."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from tests.version import Version, as_text

from plumbline.errors import DataError
from plumbline.evaluation.out_of_distribution import find_threshold, fit_distance, fit_ranges
from plumbline.files import read_json, write_json
from plumbline.inference.out_of_distribution import FILE, FLAG, SCORE, OutOfDistribution
from plumbline.inference.rows import RowPredictor
from plumbline.kinds import Task

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Version:
    return Version(tmp_path_factory.mktemp("version"), Task.BINARY)


@pytest.fixture(scope="module")
def fitted(plain: Version) -> OutOfDistribution:
    ((_, features),) = plain.torch.with_features(plain.examples.inputs)
    arrays, unit = fit_distance("mahalanobis", features, plain.examples.y, seed=0)
    ranges = fit_ranges(plain.rows.lazy(), plain.schema.features)
    made = OutOfDistribution(
        method="mahalanobis", arrays=arrays, unit=unit, ranges=ranges, share=0.1
    )
    scores = made.scores(made.distances(features), plain.rows)
    return replace(made, threshold=find_threshold(scores, 0.1))


@pytest.fixture(scope="module")
def scored(
    plain: Version, fitted: OutOfDistribution, tmp_path_factory: pytest.TempPathFactory
) -> RowPredictor:
    folder = tmp_path_factory.mktemp("scored") / "version"
    shutil.copytree(plain.folder, folder)
    fitted.write(folder / "extra_files")
    return RowPredictor.load(folder)


def test_raw_rows_are_scored_beside_the_same_prediction(
    plain: Version, fitted: OutOfDistribution, scored: RowPredictor
) -> None:
    without = plain.predictor.predict(plain.rows)
    for rows in (plain.rows, as_text(plain.rows)):
        result = scored.predict(rows)
        assert result.columns == [*without.columns, SCORE, FLAG]
        assert_frame_equal(result.drop(SCORE, FLAG), without)
        ((_, features),) = plain.torch.with_features(plain.examples.inputs)
        expected = fitted.scores(fitted.distances(features), plain.rows)
        np.testing.assert_allclose(result[SCORE], expected, rtol=1e-3, atol=1e-3)
        assert result[FLAG].sum() == pytest.approx(0.1 * len(rows), abs=1)
    assert scored.key != plain.predictor.key
    assert scored.predict(plain.rows.head(0)).schema[FLAG] == pl.Boolean


def test_a_row_outside_is_flagged_and_one_that_cannot_be_read_has_no_score(
    plain: Version, scored: RowPredictor
) -> None:
    usual = int(np.argmin(scored.predict(plain.rows)[SCORE]))
    row = as_text(plain.rows[usual])
    rows = pl.concat(
        [
            row,
            row.with_columns(price=pl.lit("999.999,00 €")),
            row.with_columns(day=pl.lit(None, pl.String), count=pl.lit("40000")),
            row.with_columns(price=pl.lit("cheap")),
        ]
    )
    table, problems = scored.predict_readable(rows)
    assert table[FLAG].to_list() == [False, True, True, None]
    assert problems["row"].to_list() == [3] and table[SCORE].null_count() == 1


def test_what_is_not_known_here_is_refused(
    plain: Version, scored: RowPredictor, tmp_path: Path
) -> None:
    folder = tmp_path / "version"
    shutil.copytree(plain.folder, folder)
    place = folder / "extra_files" / FILE
    place.write_text("{")
    with pytest.raises(DataError, match=f"{FILE}: cannot be read"):
        RowPredictor.load(folder)
    write_json(place, {"format": 1, "method": "dreams"})
    with pytest.raises(DataError, match="method dreams"):
        RowPredictor.load(folder)
    assert isinstance(read_json(place), dict)
