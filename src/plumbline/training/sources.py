"""Where batches come from: tensors that are resident, or files that are read ahead.

Both give the same bytes for the same order of rows, in one process or several: each process
asks for its own share of every batch.
"""

from __future__ import annotations

import mmap
import warnings
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plumbline.config.runtime import BatchesFrom
from plumbline.examples import Inputs, count_rows
from plumbline.kinds import IntArray
from plumbline.training.memory import available_bytes

GATHERED_BYTES = 4 << 20  # of rows gathered at once: what a core's cache may hold
AHEAD = 2  # gathered pieces that wait for their use
AROUND_BYTES = 64 << 10  # that Linux maps around a page which is touched
UNLIMITED = 1 << 62
CPU = torch.device("cpu")

Bounds = tuple[int, int]
Batch = dict[str, Tensor]


class BatchSource(Protocol):
    """The tensors of rows, wherever they lie."""

    def __len__(self) -> int: ...

    def read(self, bounds: Sequence[Bounds], order: Tensor | None = None) -> Iterator[Batch]:
        """The tensors on the device, (B, *shape) each, of the rows at [start, stop) of `order`
        (n,), for each of `bounds` in turn. Without an order: of the rows as they lie."""


@dataclass(frozen=True, kw_only=True)
class ResidentSource:
    """Tensors on the device. On a CPU a memory map stays one, shared by all processes."""

    inputs: dict[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))

    def read(self, bounds: Sequence[Bounds], order: Tensor | None = None) -> Iterator[Batch]:
        """Many batches are gathered at once, which costs a tenth of one by one."""
        if order is None:
            for start, stop in bounds:
                yield {name: t[start:stop] for name, t in self.inputs.items()}
            return
        for some in _together(bounds, self.inputs.values()):
            index = torch.cat([order[start:stop] for start, stop in some])
            yield from _apart({n: t.index_select(0, index) for n, t in self.inputs.items()}, some)


@dataclass(frozen=True, kw_only=True)
class FileSource:
    """Memory-mapped arrays, read by a thread while the device computes.

    At most `AHEAD` + 1 pieces of `GATHERED_BYTES`, or of one batch where that is larger, are in
    the process's own memory. Pages of the files are the system's cache.
    """

    arrays: Inputs
    device: torch.device

    def __len__(self) -> int:
        return count_rows(self.arrays)

    def read(self, bounds: Sequence[Bounds], order: Tensor | None = None) -> Iterator[Batch]:
        index: IntArray | None = None if order is None else order.cpu().numpy()
        pages = _Pages(self.arrays)
        waiting: deque[tuple[Sequence[Bounds], Future[Batch]]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="batches") as thread:
            try:
                for some in _together(bounds, self.arrays.values()):
                    waiting.append((some, thread.submit(self._gather, some, index, pages)))
                    if len(waiting) > AHEAD:
                        yield from self._give(*waiting.popleft())
                while waiting:
                    yield from self._give(*waiting.popleft())
            finally:  # of a fit that was ended within an epoch
                thread.shutdown(wait=True, cancel_futures=True)

    def _gather(
        self, some: Sequence[Bounds], index: IntArray | None, pages: _Pages
    ) -> dict[str, Tensor]:
        """The rows of some batches, one after the other."""
        rows = sum(stop - start for start, stop in some)
        gathered = {}
        for name, array in self.arrays.items():
            out = self._empty((rows, *array.shape[1:]), array.dtype)
            if index is None:
                begun = 0
                for start, stop in some:
                    out.numpy()[begun : (begun := begun + stop - start)] = array[start:stop]
            else:
                taken = np.concatenate([index[start:stop] for start, stop in some])
                np.take(array, taken, axis=0, out=out.numpy(), mode="clip")
            gathered[name] = out
        pages.touched(rows)
        return gathered

    def _empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Tensor:
        kind = torch.from_numpy(np.empty(0, dtype)).dtype
        return torch.empty(shape, dtype=kind, pin_memory=self.device.type == "cuda")

    def _give(self, some: Sequence[Bounds], gathered: Future[Batch]) -> Iterator[Batch]:
        tensors = gathered.result()
        yield from _apart(
            {name: t.to(self.device, non_blocking=True) for name, t in tensors.items()}, some
        )


class _Pages:
    """The mapped pages of files, given back before they take half of the memory that is free.

    To read a page that was given back costs microseconds, of which narrow rows feel each: files
    that fit stay mapped.
    """

    def __init__(self, arrays: Inputs) -> None:
        self._most = available_bytes(CPU) // 2
        too_large = input_bytes(arrays) > self._most and hasattr(mmap, "MADV_DONTNEED")
        maps = [_map_under(array) for array in arrays.values()] if too_large else []
        self._maps = [mapped for mapped in maps if mapped is not None]
        self._row = sum(AROUND_BYTES + array[:1].nbytes for array in arrays.values())
        self._touched = 0

    def touched(self, rows: int) -> None:
        self._touched += rows * self._row
        if self._maps and self._touched > self._most:
            self._touched = 0
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)


def _map_under(array: Any) -> mmap.mmap | None:
    """The memory map that an array is a view of."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array


def open_source(inputs: Inputs, device: torch.device, resident_bytes: int) -> BatchSource:
    """Resident tensors where they take at most `resident_bytes`, files otherwise."""
    if input_bytes(inputs) > resident_bytes:
        return FileSource(arrays=inputs, device=device)
    return ResidentSource(inputs={name: resident(array, device) for name, array in inputs.items()})


def most_resident_bytes(batches: BatchesFrom, max_memory_mb: int, device: torch.device) -> int:
    """How much of a part's tensors may be resident, by `runtime.batches`: where it is `auto`,
    half of `data.max_memory_mb` on a CPU, and half of what is free on a GPU."""
    if batches != "auto":
        return UNLIMITED if batches == "memory" else 0
    if device.type == "cuda":
        return available_bytes(device) // 2
    return max_memory_mb * 2**19


def input_bytes(inputs: Inputs) -> int:
    """What the tensors take."""
    return sum(array.nbytes for array in inputs.values())


def resident(array: NDArray[Any], device: torch.device) -> Tensor:
    """An array as a tensor on the device, without a copy where it lies there already."""
    with warnings.catch_warnings():
        # a read-only map is what we want: nothing here writes to rows
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array)).to(device)


def _together(
    bounds: Sequence[Bounds], tensors: Iterable[Tensor | NDArray[Any]]
) -> Iterator[Sequence[Bounds]]:
    """The batches in groups that are gathered at once."""
    most = max((stop - start for start, stop in bounds), default=0)
    row = sum(t[:1].nbytes for t in tensors)
    size = max(1, GATHERED_BYTES // max(1, most * row))
    for first in range(0, len(bounds), size):
        yield bounds[first : first + size]


def _apart(gathered: Batch, some: Sequence[Bounds]) -> Iterator[Batch]:
    """The batches that were gathered together."""
    sizes = [stop - start for start, stop in some]
    parts = {name: torch.split(tensor, sizes) for name, tensor in gathered.items()}
    for number in range(len(some)):
        yield {name: batches[number] for name, batches in parts.items()}
