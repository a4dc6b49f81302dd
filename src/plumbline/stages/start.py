"""The network that fits start from, as `normalize` left it in artifacts/start."""

from __future__ import annotations

from typing import Any

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.errors import DataError
from plumbline.examples import InputSpec
from plumbline.files import read_json
from plumbline.preprocessing.transform import TableTransformer
from plumbline.store.bundle_files import WEIGHTS, read_metadata, read_weights
from plumbline.training.transfer import Start

HINT = "run `dvc repro normalize --force`"


def load_start(config: Config, paths: Paths) -> tuple[Start, dict[str, Any]] | None:
    """The network of `model.start_from` and the state of its transformer; None without one.

    Raises:
        DataError: what lies in artifacts/start is another one, or broken.
    """
    address = config.model.start_from
    if address is None:
        return None
    record = artifacts.read(artifacts.StartSource, paths.root)
    if record.address != address:
        raise DataError(
            "holds another network than params.yaml names",
            file=artifacts.StartSource.FILE,
            wanted=address,
            got=record.address,
            hint=HINT,
        )
    folder = paths.start / artifacts.START_BUNDLE
    metadata = read_metadata(folder, HINT)
    spec = InputSpec.from_json(metadata["spec"])
    if spec.networks:
        raise DataError(
            f"is a bag of {spec.networks} networks, and a fit starts from a single one",
            file="params.yaml",
            where="model.start_from",
            got=address,
            hint="name a model that was fitted with train.bag: 1",
        )
    preprocessor: dict[str, Any] = read_json(folder / artifacts.PREPROCESSOR)
    start = Start(
        source=record.source or address,
        model=metadata["model"],
        spec=spec,
        learned=metadata["learned"],
        weights=read_weights(folder / WEIGHTS, HINT),
        labels=TableTransformer.from_json(preprocessor).labels(),
    )
    return start, preprocessor
