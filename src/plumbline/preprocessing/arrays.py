"""Examples on disk: one .npy per tensor, written in pieces, read memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import numpy as np
from numpy.typing import NDArray

from plumbline.errors import DataError
from plumbline.examples import Examples

BESIDE = ("y", "rows", "weight")  # the inputs, which have a folder of their own
INPUTS = "inputs"


def write_examples(folder: Path, examples: Examples) -> None:
    """Write examples into a folder, which is made if need be. Atomicity is the caller's."""
    with ExamplesWriter(folder) as writer:
        writer.append(examples)


def read_examples(folder: Path, names: Sequence[str]) -> Examples:
    """Examples that `write_examples` wrote, memory-mapped and read-only.

    Args:
        names: of the tensors.

    Raises:
        DataError: a file is missing, or is not a whole .npy file.
    """
    return Examples(
        inputs={name: _read(folder / INPUTS / f"{name}.npy") for name in names},
        **{name: _read(folder / f"{name}.npy") for name in BESIDE},
    )


def _read(path: Path) -> NDArray[Any]:
    hint = "run the stage that writes it again: dvc repro normalize --force"
    try:
        # an empty file cannot be mapped, and an array without elements has no bytes
        array: NDArray[Any] = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise DataError("no such file", file=path, hint=hint) from None
    except ValueError as error:
        try:
            array = np.load(path)
        except ValueError:
            raise DataError(f"not a whole .npy file: {error}", file=path, hint=hint) from None
    return array


class ExamplesWriter:
    """Appends batches of `Examples` to the .npy files of a folder; lengths are set at the end.

    Plain sequential writes instead of a writable memory map: mapped pages count as memory
    of the process, and the part may be larger than memory.
    """

    def __init__(self, folder: Path) -> None:
        (folder / INPUTS).mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._inputs: dict[str, _ColumnFile] = {}
        self._beside = {name: _ColumnFile(folder / f"{name}.npy") for name in BESIDE}

    def append(self, examples: Examples) -> None:
        """Add rows; tensors, dtypes and shapes must be those of the first batch."""
        for name, array in examples.inputs.items():
            if name not in self._inputs:
                self._inputs[name] = _ColumnFile(self._folder / INPUTS / f"{name}.npy")
            self._inputs[name].append(array)
        for name, column in self._beside.items():
            column.append(getattr(examples, name))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for column in (*self._inputs.values(), *self._beside.values()):
            column.close()


class _ColumnFile:
    """One growing .npy file. The header is written last, into room kept for it."""

    HEADER = 128  # bytes; a multiple of 64, as the format wants

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("wb")
        self._file.write(b"\0" * self.HEADER)
        self._rows = 0
        self._dtype: np.dtype[Any] | None = None
        self._tail: tuple[int, ...] = ()

    def append(self, array: NDArray[Any]) -> None:
        if self._dtype is None:
            self._dtype, self._tail = array.dtype, array.shape[1:]
        assert (array.dtype, array.shape[1:]) == (self._dtype, self._tail)
        self._file.write(np.ascontiguousarray(array).data)
        self._rows += len(array)

    def close(self) -> None:
        with self._file:
            if self._dtype is None:
                return
            shape = (self._rows, *self._tail)
            text = repr(
                {
                    "descr": np.lib.format.dtype_to_descr(self._dtype),
                    "fortran_order": False,
                    "shape": shape,
                }
            )
            magic = np.lib.format.magic(1, 0)
            length = self.HEADER - len(magic) - 2
            self._file.seek(0)
            self._file.write(magic + length.to_bytes(2, "little"))
            self._file.write(text.encode("latin1").ljust(length - 1) + b"\n")
