"""Resident tensors and files that are read ahead give the same batches."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.made import as_tensors

from plumbline.config.runtime import RuntimeConfig
from plumbline.examples import Examples
from plumbline.preprocessing.arrays import read_examples, write_examples
from plumbline.training import sources
from plumbline.training.batches import epoch_order
from plumbline.training.distributed import World, join
from plumbline.training.sources import (
    BatchSource,
    FileSource,
    ResidentSource,
    most_resident_bytes,
    open_source,
)

CPU = torch.device("cpu")
ROWS = 50
Open = Callable[[Examples], BatchSource]
SOURCES: dict[str, Open] = {
    "resident": lambda examples: open_source(examples.inputs, CPU, sources.UNLIMITED),
    "files": lambda examples: open_source(examples.inputs, CPU, 0),
}
every_source = pytest.mark.parametrize("open_", SOURCES.values(), ids=SOURCES.keys())


@pytest.fixture
def examples(tmp_path: Path) -> Examples:
    """A tensor of each shape and type that rows may have, memory-mapped."""
    rng = np.random.default_rng(0)
    inputs = {
        "num": rng.normal(size=(ROWS, 3)).astype(np.float32),
        "cat": rng.integers(0, 9, (ROWS, 2)),
        "image": rng.integers(0, 256, (ROWS, 3, 4, 4), dtype=np.uint8),
        "mask": rng.random((ROWS, 5)) < 0.5,
    }
    beside = {"y": np.arange(ROWS), "rows": np.arange(ROWS)}
    write_examples(
        tmp_path, Examples(inputs=inputs, **beside, weight=np.ones(ROWS, dtype=np.float32))
    )
    return read_examples(tmp_path, tuple(inputs))


@every_source
@pytest.mark.parametrize("gathered", [1, 300, 1 << 20])
@pytest.mark.parametrize("ordered", [True, False])
def test_batches_are_the_rows_asked_for(
    open_: Open, gathered: int, ordered: bool, examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "GATHERED_BYTES", gathered)
    monkeypatch.setattr(sources, "available_bytes", lambda device: 1000)  # pages are given back
    source = open_(examples)
    assert len(source) == ROWS
    order = epoch_order(0, 0, ROWS) if ordered else None
    lie = torch.arange(ROWS) if order is None else order
    bounds = [(0, 8), (8, 16), (20, 20), (30, 31), (31, 50)]  # not all of them, one of no rows
    batches = list(source.read(bounds, order))
    assert len(batches) == len(bounds)
    whole = as_tensors(examples.inputs)
    for batch, (start, stop) in zip(batches, bounds, strict=True):
        assert batch.keys() == whole.keys()
        for name, tensor in whole.items():
            assert batch[name].dtype == tensor.dtype  # an image stays bytes
            assert torch.equal(batch[name], tensor[lie[start:stop]])
    assert list(source.read([], order)) == []


@every_source
def test_reading_may_end_early(open_: Open, examples: Examples) -> None:
    """As it does when a fit is ended within an epoch; no thread is left behind."""
    before = threading.active_count()
    batches = open_(examples).read([(i, i + 1) for i in range(ROWS)], epoch_order(0, 0, ROWS))
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_an_error_of_the_reading_thread_comes_through(
    examples: Examples, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(FileSource, "_gather", refuse)
    with pytest.raises(OSError, match="the disk is gone"):
        list(SOURCES["files"](examples).read([(0, 5)]))


def test_size_and_the_parameter_decide(examples: Examples) -> None:
    size = sources.input_bytes(examples.inputs)
    assert isinstance(open_source(examples.inputs, CPU, size), ResidentSource)
    assert isinstance(open_source(examples.inputs, CPU, size - 1), FileSource)
    assert most_resident_bytes("auto", 2048, CPU) == 1 << 30
    assert most_resident_bytes("files", 2048, CPU) == 0
    assert most_resident_bytes("memory", 1, CPU) == sources.UNLIMITED


def test_a_process_works_as_the_parameters_say(one_thread: None) -> None:
    config = RuntimeConfig(shard=True, compile=True, batches="files", device="cpu", threads=1)
    with join(config, 2048) as world:
        assert world == World(shard=True, compile=True, resident_bytes=0)
