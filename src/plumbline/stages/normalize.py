"""Columns become numbers; everything is learned from training rows."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.examples import TensorSpec
from plumbline.files import read_json, write_json
from plumbline.kinds import Part
from plumbline.manifest import sealed_dir
from plumbline.preprocessing.arrays import ExamplesWriter
from plumbline.preprocessing.bagged import BaggedTransformer
from plumbline.preprocessing.decoded import DecodedImages
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.states import state_of_one
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages import Report
from plumbline.stages.inputs import load_split, load_table

PARTS = (Part.TRAIN, Part.VAL, Part.TEST)


def run(config: Config, paths: Paths) -> Report:
    """Read data and split; write the prepared examples, their spec, the fitted transformer, and
    the network that fits start from."""
    with sealed_dir(paths.start) as folder:
        start = _fetch_start(config, paths, folder)
        kept = None
        if config.normalize.from_start:
            bundle = folder / artifacts.START_BUNDLE
            kept = state_of_one(read_json(bundle / artifacts.PREPROCESSOR))
        lines = _prepare(config, paths, kept)
    if start.source is not None:
        lines.append(("start from", start.source))
        lines += [("taken from it", name) for name in config.normalize.from_start]
        lines += [("warning", start.leak)] if start.leak else []
    return Report(rows=lines, outputs=[paths.prepared / artifacts.PREPROCESSOR])


def _fetch_start(config: Config, paths: Paths, folder: Path) -> artifacts.StartSource:
    """Bring the network that fits start from, so that all stages have the same one."""
    record = artifacts.StartSource(address=None)
    if config.model.start_from is not None:
        from plumbline.stages.start_source import fetch  # MLflow takes seconds to import

        record = fetch(config, paths, folder)
    artifacts.write(record, folder)
    return record


def _prepare(config: Config, paths: Paths, kept: dict[str, Any] | None) -> list[tuple[str, str]]:
    """Fit the transformer and write what it makes of all rows; what it was, in words."""
    table, schema = load_table(config, paths)
    split = load_split(paths)
    part = split.part
    folds = range(split.networks)
    fitted = [split.rows(Part.TRAIN) if split.bag is None else split.bag_fold(k)[0] for k in folds]
    decoded = DecodedImages()
    transformers = [
        TableTransformer(
            schema,
            config.normalize,
            max_memory_mb=config.data.max_memory_mb,
            kept=kept,
            decoded=decoded,  # what the statistics come from is decoded once
        ).fit(take_rows(table, own), config.seed, own)
        for own in fitted
    ]

    # unused rows (a gap between windows, say) may lack what training rows must have
    rows = np.flatnonzero(part != Part.UNUSED)
    used = take_rows(table, rows)
    with sealed_dir(paths.prepared) as folder:
        with ExitStack() as stack:
            writers = {
                p: stack.enter_context(ExamplesWriter(folder / p.name.lower())) for p in PARTS
            }
            training = [np.isin(rows, own) for own in fitted]
            transformer: TableTransformer | BaggedTransformer
            if split.bag is None:
                (transformer,) = transformers
                made = transformer.transform_batches(used, rows, training=training[0])
            else:
                transformer = BaggedTransformer(transformers)
                made = transformer.transform_batches(used, rows, training)
            for batch in made:
                for p, writer in writers.items():
                    writer.append(batch.take(part[batch.rows] == p))
        write_json(folder / artifacts.INPUT_SPEC, transformer.spec_.to_json())
        write_json(folder / artifacts.PREPROCESSOR, transformer.to_json())

    counts = {p: int((part == p).sum()) for p in PARTS}
    bag = f"fitted {split.networks} times, each without one fold of the bag"
    return [
        ("rows", ", ".join(f"{n} {p.name.lower()}" for p, n in counts.items())),
        *([] if split.bag is None else [("prepared", bag)]),
        *((tensor.kind, _described(tensor)) for tensor in transformers[0].spec_),
        *(("dropped", f"{name}: {why}") for name, why in transformer.dropped_.items()),
    ]


def _described(tensor: TensorSpec) -> str:
    codes = f" ({sum(tensor.cardinalities):,} codes)" if tensor.cardinalities else ""
    return f"{len(tensor.features):,}{codes}"
