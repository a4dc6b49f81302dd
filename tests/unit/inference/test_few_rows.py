"""Few rows are answered without a frame as they are in one: by a network, and by a bag."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.made import small_model
from tests.unit.inference.test_rows import random_cell
from tests.version import ALL_BUT_IMAGES, ROWS, Version, as_text

from plumbline.config.data import NormalizeConfig
from plumbline.evaluation.out_of_distribution import fit_distance, fit_ranges
from plumbline.export.onnx_graph import to_onnx
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.inference.out_of_distribution import OutOfDistribution
from plumbline.inference.rows import RowPredictor
from plumbline.inference.version_files import VersionFiles
from plumbline.kinds import Task
from plumbline.models import build_model
from plumbline.models.bag import make_bag
from plumbline.models.target import TargetTransform
from plumbline.preprocessing.bagged import BaggedTransformer
from plumbline.preprocessing.transform import TableTransformer
from plumbline.serving.served import Served

pytestmark = pytest.mark.usefixtures("one_thread")
NETWORKS = 3
ENCODED = ("ordinal", "onehot", "target_mean")  # of each network, so that their tensors differ


def bagged(version: Version, task: Task) -> RowPredictor:
    """The version's rows, answered by a bag whose networks prepare them in ways of their own."""
    rows, numbers = version.rows, np.arange(ROWS)
    fitted = [
        TableTransformer(version.schema, NormalizeConfig(scale=scale, encode=encode)).fit(
            rows.filter(numbers % NETWORKS != k).lazy(), seed=0
        )
        for k, (scale, encode) in enumerate(zip(("auto", "quantile", "log"), ENCODED, strict=True))
    ]
    transformer = BaggedTransformer(fitted)
    targets = None
    if not task.has_classes:
        y = rows["y"].to_numpy().astype(np.float32)
        targets = [TargetTransform.fit(y * (k + 1), "standard") for k in range(NETWORKS)]
    networks = [build_model(small_model(), own.spec_, seed=k) for k, own in enumerate(fitted)]
    bag = make_bag(networks, transformer.spec_, targets)
    graph = to_onnx(bag, transformer.spec_, target=None, temperature=1.0, opset=18, metadata={})
    inputs = transformer.transform_frame(rows, numbers).inputs
    features = np.concatenate([f for _, f in OnnxPredictor(graph).with_features(inputs)])
    arrays, unit = fit_distance("neighbors", features, None, 0)
    files = replace(
        VersionFiles.read(version.folder),
        graph=graph,
        preprocessor=transformer.to_json(),
        out_of_distribution=OutOfDistribution(
            method="neighbors",
            arrays=arrays,
            unit=unit,
            ranges=fit_ranges(rows.lazy(), version.schema.features),
            share=0.01,
            threshold=1.5,
        ),
    )
    return RowPredictor(files)


@pytest.fixture(scope="module", params=[Task.BINARY, Task.REGRESSION])
def predictors(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Version, Sequence[RowPredictor]]:
    version = Version(tmp_path_factory.mktemp("version"), request.param, only=ALL_BUT_IMAGES)
    return version, (version.predictor, bagged(version, request.param))


def short(predictor: RowPredictor, rows: Sequence[dict[str, Any]]) -> Any:
    assert predictor.few is not None
    return predictor.few.predict([predictor.few.read(row) for row in rows])


@pytest.mark.parametrize("form", ["typed", "text"])
def test_they_are_answered_as_in_a_table(
    predictors: tuple[Version, Sequence[RowPredictor]], form: str
) -> None:
    version, both = predictors
    given = version.rows if form == "typed" else as_text(version.rows)
    for predictor in both:
        for start in (0, 1, 30):
            some = given[start : start + 20].drop("y", "id")
            expected = predictor.predict(some).to_dicts()
            answers = short(predictor, some.to_dicts())
            assert [list(one) for one in answers] == [list(one) for one in expected]
            for one, other in zip(answers, expected, strict=True):
                for name, value in one.items():
                    if isinstance(value, float):  # a product of matrices of other sizes
                        assert value == pytest.approx(other[name], rel=1e-5, abs=1e-5), name
                    else:
                        assert value == other[name], name


def test_one_row_is_answered_to_the_bit(
    predictors: tuple[Version, Sequence[RowPredictor]],
) -> None:
    version, both = predictors
    for predictor in both:
        for number in range(0, ROWS, 7):
            one = version.rows[number : number + 1].drop("y", "id")
            assert short(predictor, one.to_dicts()) == predictor.predict(one).to_dicts()


def test_whatever_is_written_in_a_cell_means_the_same(
    predictors: tuple[Version, Sequence[RowPredictor]],
) -> None:
    """Or is refused by both."""
    version, (_, predictor) = predictors
    names, r, refused = [c.name for c in predictor.columns], random.Random(1), 0
    for number in range(150):
        row = as_text(version.rows[number % ROWS : number % ROWS + 1]).select(names).to_dicts()[0]
        row |= {name: random_cell(r) for name in r.sample(names, 2)}
        table, problems = predictor.predict_readable(pl.DataFrame([row], infer_schema_length=1))
        try:
            answers = short(predictor, [row])
        except ValueError:
            assert len(problems), row
            refused += 1
            continue
        assert answers == table.to_dicts() and not len(problems), row
    assert 20 < refused < 130


def test_a_row_of_which_the_model_makes_no_number_goes_the_long_way(tmp_path: Path) -> None:
    version = Version(tmp_path, Task.REGRESSION, only="price", scale=1e6)
    served = Served.load(version.folder, None)
    predictions = served.predict([{"price": 1.0}, {"price": 1e308}])
    assert predictions.cells is None and [cell.row for cell in predictions.wrong] == [1]
    assert served.predict([{"price": 1.0}]).cells == [[1.0]]
