"""The network that fits start from, as `normalize` left it in artifacts/start."""

from __future__ import annotations

from typing import Any

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.errors import DataError
from plumbline.examples import InputSpec
from plumbline.files import read_json
from plumbline.models.bag import first_weights
from plumbline.models.embeddings import choose_embedding
from plumbline.preprocessing.states import state_of_one
from plumbline.preprocessing.transform import TableTransformer
from plumbline.store.bundle_files import WEIGHTS, read_metadata, read_weights
from plumbline.training.transfer import Start

HINT = "run `dvc repro normalize --force`"


def with_number_embedding(config: Config, paths: Paths, rows: int) -> Config:
    """The parameters with what `model.number_embedding: auto` means: what the network has that fits
    start from, else what suits so many training rows."""
    if config.model.number_embedding != "auto":
        return config
    start = load_start(config, paths)
    name = start[0].model["number_embedding"] if start else choose_embedding("auto", rows)
    return config.replace({"model.number_embedding": name})


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
    preprocessor = state_of_one(read_json(folder / artifacts.PREPROCESSOR))
    weights, learned = read_weights(folder / WEIGHTS, HINT), metadata["learned"]
    if spec.networks:  # of a bag its first network
        weights = first_weights(weights)
        learned = {own: learned[name] for own, name in spec.names_of_network(0).items()}
        spec = spec.of_network(0)
    start = Start(
        source=record.source or address,
        model=metadata["model"],
        spec=spec,
        learned=learned,
        weights=weights,
        labels=TableTransformer.from_json(preprocessor).labels(),
    )
    return start, preprocessor
