"""Prepared examples in .npy files: written in pieces, read memory-mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from tests.made import examples_of

from plumbline.errors import DataError
from plumbline.examples import Examples
from plumbline.preprocessing.arrays import (
    BESIDE,
    INPUTS,
    ExamplesWriter,
    read_examples,
    write_examples,
)

NAMES = ("num", "cat")


def make(n: int, numbers: int = 3, codes: int = 2) -> Examples:
    rng = np.random.default_rng(n)
    return examples_of(
        num=rng.normal(size=(n, numbers)).astype(np.float32),
        cat=rng.integers(0, 9, (n, codes)),
        y=rng.integers(0, 2, n),
        rows=np.arange(n),
        weight=np.ones(n, dtype=np.float32),
    )


def all_arrays(examples: Examples) -> dict[str, Any]:
    """By file."""
    inputs = {f"{INPUTS}/{name}.npy": array for name, array in examples.inputs.items()}
    return {**inputs, **{f"{name}.npy": getattr(examples, name) for name in BESIDE}}


@pytest.mark.parametrize(("n", "numbers", "codes"), [(7, 3, 2), (5, 0, 2), (5, 2, 0), (0, 3, 2)])
def test_what_is_written_is_read(n: int, numbers: int, codes: int, tmp_path: Path) -> None:
    made = make(n, numbers, codes)
    write_examples(tmp_path / "part", made)
    result = read_examples(tmp_path / "part", list(made.inputs))
    assert result.inputs.keys() == made.inputs.keys()
    for name, wanted in all_arrays(made).items():
        got = all_arrays(result)[name]
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        assert_array_equal(got, wanted)


def test_pieces_make_the_same_bytes_as_the_whole(tmp_path: Path) -> None:
    made = make(100)
    write_examples(tmp_path / "whole", made)
    with ExamplesWriter(tmp_path / "pieces") as writer:
        for start, stop in ((0, 1), (1, 1), (1, 64), (64, 100)):
            writer.append(made.take(slice(start, stop)))
    for file, wanted in all_arrays(made).items():
        pieces, whole = ((tmp_path / k / file).read_bytes() for k in ("pieces", "whole"))
        assert pieces == whole
        assert_array_equal(np.load(tmp_path / "whole" / file), wanted)


def test_arrays_are_mapped_and_read_only(tmp_path: Path) -> None:
    write_examples(tmp_path, make(50))
    result = read_examples(tmp_path, NAMES)
    assert isinstance(result.inputs["num"], np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        result.inputs["num"][0, 0] = 1
    assert len(result.take(np.array([3, 1]))) == 2


def test_a_missing_or_cut_file_is_named(tmp_path: Path) -> None:
    write_examples(tmp_path, make(50))
    file = tmp_path / INPUTS / "num.npy"
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match=r"num.npy: not a whole .npy file.*dvc repro normalize"):
        read_examples(tmp_path, NAMES)
    file.unlink()
    with pytest.raises(DataError, match=r"num.npy: no such file"):
        read_examples(tmp_path, NAMES)


def test_a_write_that_was_broken_off_is_no_whole_file(tmp_path: Path) -> None:
    """The header comes last."""
    writer = ExamplesWriter(tmp_path)
    writer.append(make(50))
    for column in (*writer._inputs.values(), *writer._beside.values()):
        column._file.close()
    with pytest.raises(DataError, match=r"not a whole .npy file"):
        read_examples(tmp_path, NAMES)
