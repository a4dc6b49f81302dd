"""Columns become numbers; everything is learned from training rows."""

from __future__ import annotations

from contextlib import ExitStack

import numpy as np

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.examples import TensorSpec
from plumbline.files import write_json
from plumbline.kinds import Part
from plumbline.manifest import sealed_dir
from plumbline.preprocessing.arrays import ExamplesWriter
from plumbline.preprocessing.frames import take_rows
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages import Report
from plumbline.stages.inputs import load_split, load_table

PARTS = (Part.TRAIN, Part.VAL, Part.TEST)


def run(config: Config, paths: Paths) -> Report:
    """Read data and split; write the prepared examples, their spec, the fitted transformer."""
    table, schema = load_table(config, paths)
    part = load_split(paths).part
    transformer = TableTransformer(
        schema, config.normalize, max_memory_mb=config.data.max_memory_mb
    )
    fitted = np.flatnonzero(part == Part.TRAIN)
    transformer.fit(take_rows(table, fitted), config.seed, fitted)

    # unused rows (a gap between windows, say) may lack what training rows must have
    rows = np.flatnonzero(part != Part.UNUSED)
    used = take_rows(table, rows)
    with sealed_dir(paths.prepared) as folder:
        with ExitStack() as stack:
            writers = {
                p: stack.enter_context(ExamplesWriter(folder / p.name.lower())) for p in PARTS
            }
            training = part[rows] == Part.TRAIN
            for batch in transformer.transform_batches(used, rows, training=training):
                for p, writer in writers.items():
                    writer.append(batch.take(part[batch.rows] == p))
        write_json(folder / artifacts.INPUT_SPEC, transformer.spec_.to_json())
        write_json(folder / artifacts.PREPROCESSOR, transformer.to_json())

    spec = transformer.spec_
    counts = {p: int((part == p).sum()) for p in PARTS}
    lines = [
        ("rows", ", ".join(f"{n} {p.name.lower()}" for p, n in counts.items())),
        *((tensor.kind, _described(tensor)) for tensor in spec),
    ]
    lines += [("dropped", f"{name}: {why}") for name, why in transformer.dropped_.items()]
    return Report(rows=lines, outputs=[paths.prepared / artifacts.PREPROCESSOR])


def _described(tensor: TensorSpec) -> str:
    codes = f" ({sum(tensor.cardinalities):,} codes)" if tensor.cardinalities else ""
    return f"{len(tensor.features):,}{codes}"
