"""Decoding and resizing image files beside a torch DataLoader of two workers and Pillow.

Half of the files are PNG, half JPEG, with what photographs have: smooth shapes and some noise. Both
fill one mapped file of bytes, (n, 3, 64, 64); rounds alternate. The pixels are compared, too.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from benchmarks.result import Figure, Result, Table, times
from plumbline.images import ImageReader, read_images
from plumbline.kinds import ByteArray

FILES, QUICK_FILES, ROUNDS = 10_000, 1_000, 3
SIZE = 64  # pixels, of what is made
KINDS = {"photographs of 500 × 375": (500, 375), "pictures of 96 × 96": (96, 96)}
DIFFERENT = 40  # the files repeat
BATCH, WORKERS = 256, 2


def run(files: int = FILES) -> Result:
    """Time both on files of either size, in turns."""
    figures, rows = [], []
    for words, size in KINDS.items():
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            names = write_images(folder, files, size)
            seconds: dict[str, list[float]] = {way: [] for way in WAYS}
            made = {way: mapped(folder / f"{way}.npy", files) for way in WAYS}
            for _ in range(ROUNDS):
                for way, work in WAYS.items():
                    begun = time.perf_counter()
                    work(folder, names, made[way])
                    seconds[way].append(time.perf_counter() - begun)
            ours, theirs = made.values()
            difference = float(np.abs(ours[:256].astype(float) - theirs[:256]).mean())
        best = {way: min(values) for way, values in seconds.items()}
        ratio = best["DataLoader"] / best["plumbline"]
        figures.append(times(f"{words}: files per second beside the DataLoader", ratio, 2))
        figures.append(
            Figure(
                name=f"{words}: mean difference of the pixels", reached=difference, unit="of 255"
            )
        )
        rows += [[words, way, f"{files / best[way]:,.0f}"] for way in WAYS]
    return Result(
        title="Reading images",
        figures=figures,
        tables=[
            Table(
                title=f"{files:,} files, half PNG and half JPEG, to {SIZE} × {SIZE}",
                columns=["", "", "files per second"],
                rows=rows,
            )
        ],
        notes=[
            f"least of {ROUNDS} rounds in turns; {DIFFERENT} images of each size, repeated",
            "a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, where that is twice the "
            "size wanted or more; a PNG has to be decoded whole",
        ],
    )


def write_images(folder: Path, files: int, size: tuple[int, int]) -> list[str]:
    """Files in turns of both formats; their names."""
    rng = np.random.default_rng(0)
    width, height = size
    contents = []
    for j in range(DIFFERENT):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(float)
        noisy = smooth + rng.normal(0, 4, (height, width, 3))
        path = folder / f"one.{('png', 'jpg')[j % 2]}"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        contents.append(path.read_bytes())
    names = []
    for j in range(files):
        names.append(f"{j:05d}.{('png', 'jpg')[j % 2]}")
        (folder / names[-1]).write_bytes(contents[j % DIFFERENT])
    return names


def mapped(path: Path, files: int) -> ByteArray:
    """A file of pixels to fill."""
    made: ByteArray = open_memmap(path, "w+", np.uint8, (files, 3, SIZE, SIZE))
    return made


def ours(folder: Path, names: list[str], out: ByteArray) -> None:
    """Threads."""
    read_images(ImageReader(folder), names, out, "row {}".format)


class Files(Dataset[torch.Tensor]):
    """As the tutorials have it."""

    def __init__(self, folder: Path, names: list[str]) -> None:
        self.folder, self.names = folder, names

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.folder / self.names[index]) as image:
            small = image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        return torch.from_numpy(np.array(small).transpose(2, 0, 1))


def peer(folder: Path, names: list[str], out: ByteArray) -> None:
    """Worker processes."""
    start = 0
    for batch in DataLoader(Files(folder, names), batch_size=BATCH, num_workers=WORKERS):
        out[start : start + len(batch)] = batch.numpy()
        start += len(batch)


WAYS: dict[str, Callable[[Path, list[str], ByteArray], None]] = {
    "plumbline": ours,
    "DataLoader": peer,
}


def main() -> None:
    """`python -m benchmarks.images --quick` tries it on fewer files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_FILES:,} files")
    files = QUICK_FILES if parser.parse_args().quick else FILES
    from benchmarks.__main__ import markdown

    print(markdown({**dataclasses.asdict(run(files)), "date": "a try", "machine": "this one"}))


if __name__ == "__main__":
    main()
