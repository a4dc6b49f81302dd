"""A version as the defaults make one of a small table: a bag of five networks, with scores that say
how unlike the training rows a row is. The networks are not fitted: that changes no time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.predict import TRAINING_ROWS, raw_schema, write_version
from plumbline.config.data import NormalizeConfig
from plumbline.config.model import ModelConfig
from plumbline.evaluation.out_of_distribution import AUTO, fit_distance, fit_ranges, sample_rows
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.inference.out_of_distribution import OutOfDistribution
from plumbline.models import build_model
from plumbline.models.bag import make_bag
from plumbline.preprocessing.bagged import BaggedTransformer
from plumbline.preprocessing.transform import TableTransformer

NETWORKS = 5


def make_bagged_version(folder: Path) -> None:
    """The files of a version in `folder/bagged`, of the first rows of `folder/rows.parquet`."""
    raw = pl.read_parquet(folder / "rows.parquet", n_rows=TRAINING_ROWS)
    schema = raw_schema(raw.schema)
    folds = np.arange(len(raw)) % NETWORKS
    fitted = [
        TableTransformer(schema, NormalizeConfig()).fit(raw.filter(folds != k).lazy(), seed=0)
        for k in range(NETWORKS)
    ]
    transformer = BaggedTransformer(fitted)
    config = ModelConfig(number_embedding="periodic")  # as `auto` has it for so many rows
    networks = [build_model(config, own.spec_, seed=k) for k, own in enumerate(fitted)]
    spec = transformer.spec_
    bag = make_bag(networks, spec, None)
    version = folder / "bagged"
    graph = write_version(version, bag, spec, transformer.to_json(), temperature=1.1)
    Decision(temperature=1.1, conformal={"method": "lac", "minimum_probability": 0.4}).write(
        version
    )
    some = sample_rows(len(raw), 0)
    inputs = transformer.transform_frame(raw[some], some).inputs
    features = np.concatenate([f for _, f in OnnxPredictor(graph).with_features(inputs)])
    classes = (raw["y"].cast(pl.String) == schema.classes[1]).to_numpy()[some].astype(np.int64)
    arrays, unit = fit_distance(AUTO, features, classes, 0)
    OutOfDistribution(
        method=AUTO,
        arrays=arrays,
        unit=unit,
        ranges=fit_ranges(raw.lazy(), schema.features),
        share=0.01,
        threshold=2.0,
    ).write(version)
