"""Prepared arrays in .npy files: written in pieces, read memory-mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from plumbline.errors import DataError
from plumbline.preprocessing.arrays import NAMES, ArraysWriter, read_arrays, write_arrays
from plumbline.tables import Arrays


def make(n: int, numbers: int = 3, codes: int = 2) -> Arrays:
    rng = np.random.default_rng(n)
    return Arrays(
        num=rng.normal(size=(n, numbers)).astype(np.float32),
        cat=rng.integers(0, 9, (n, codes)),
        y=rng.integers(0, 2, n),
        rows=np.arange(n),
        weight=np.ones(n, dtype=np.float32),
    )


@pytest.mark.parametrize(("n", "numbers", "codes"), [(7, 3, 2), (5, 0, 2), (5, 2, 0), (0, 3, 2)])
def test_what_is_written_is_read(n: int, numbers: int, codes: int, tmp_path: Path) -> None:
    arrays = make(n, numbers, codes)
    write_arrays(tmp_path / "part", arrays)
    found = read_arrays(tmp_path / "part")
    for name in NAMES:
        wanted, got = getattr(arrays, name), getattr(found, name)
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape)
        assert_array_equal(got, wanted)


def test_pieces_make_the_same_bytes_as_the_whole(tmp_path: Path) -> None:
    arrays = make(100)
    write_arrays(tmp_path / "whole", arrays)
    with ArraysWriter(tmp_path / "pieces") as writer:
        for start, stop in ((0, 1), (1, 1), (1, 64), (64, 100)):
            writer.append(arrays.take(slice(start, stop)))
    for name in NAMES:
        pieces, whole = ((tmp_path / k / f"{name}.npy").read_bytes() for k in ("pieces", "whole"))
        assert pieces == whole
        assert_array_equal(np.load(tmp_path / "whole" / f"{name}.npy"), getattr(arrays, name))


def test_arrays_are_mapped_and_read_only(tmp_path: Path) -> None:
    write_arrays(tmp_path, make(50))
    found = read_arrays(tmp_path)
    assert isinstance(found.num, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found.num[0, 0] = 1
    assert len(found.take(np.array([3, 1]))) == 2


def test_a_missing_or_cut_file_is_named(tmp_path: Path) -> None:
    write_arrays(tmp_path, make(50))
    whole = (tmp_path / "num.npy").read_bytes()
    (tmp_path / "num.npy").write_bytes(whole[:300])
    with pytest.raises(DataError, match=r"num.npy: not a whole .npy file.*dvc repro normalize"):
        read_arrays(tmp_path)
    (tmp_path / "num.npy").unlink()
    with pytest.raises(DataError, match=r"num.npy: no such file"):
        read_arrays(tmp_path)


def test_a_write_that_was_broken_off_is_no_whole_file(tmp_path: Path) -> None:
    """The header comes last."""
    writer = ArraysWriter(tmp_path)
    writer.append(make(50))
    for column in writer._columns.values():
        column._file.close()
    with pytest.raises(DataError, match=r"not a whole .npy file"):
        read_arrays(tmp_path)
