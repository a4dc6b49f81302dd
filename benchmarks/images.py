"""Decoding and resizing image files beside a torch DataLoader of two workers and Pillow.

Half of the files are PNG, half JPEG, with what photographs have: smooth shapes and some noise. Both
fill one mapped file of bytes, (n, 3, 64, 64); rounds alternate. The pixels are compared, too.
The DataLoader decodes in full.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil  # type: ignore[import-untyped]
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
FORMATS = {"png": "PNG", "jpg": "JPEG"}
DIFFERENT = 20  # the files repeat
BATCH, WORKERS = 256, 2


def run(files: int = FILES) -> Result:
    """Time both on files of either size and format, in turns; half of the files are of each."""
    figures, rows = [], []
    for words, size in KINDS.items():
        both = dict.fromkeys(WAYS, 0.0)
        for suffix, name in FORMATS.items():
            with tempfile.TemporaryDirectory() as folder:
                names = write_images(Path(folder), files // 2, size, suffix)
                taken, mean, most = measure(Path(folder), names)
            for way, own in taken.items():
                both[way] += own.seconds
                row = [f"{words}, {name}", way, f"{len(names) / own.seconds:,.0f}"]
                rows.append([*row, f"{own.processor / len(names) * 1000:.2f}"])
            ratio = taken["DataLoader"].seconds / taken["plumbline"].seconds
            what = f"{words}, {name}"
            figures += [
                Figure(
                    name=f"{what}: files per second beside the DataLoader", reached=ratio, unit="×"
                ),
                Figure(name=f"{what}: mean difference of pixels", reached=mean, unit="of 255"),
                Figure(name=f"{what}: largest difference", reached=most, unit="of 255"),
            ]
        ratio = both["DataLoader"] / both["plumbline"]
        figures.append(times(f"{words}, all: files per second beside the DataLoader", ratio, 2))
    return Result(
        title="Reading images",
        figures=figures,
        tables=[
            Table(
                title=f"{files:,} files of each size, half PNG and half JPEG, to {SIZE} × {SIZE}",
                columns=["", "", "files per second", "processor, ms per file"],
                rows=rows,
            )
        ],
        notes=[
            f"least of {ROUNDS} rounds in turns; {DIFFERENT} images of each size and format, "
            "repeated. Processes that we start for small images start in the first round and go "
            "on; the DataLoader starts its own in each round",
            "a large JPEG is decoded at 1/2, 1/4 or 1/8 of its size, where that is twice the "
            "size wanted or more; the difference is from an image that was decoded in full and "
            "resized as the DataLoader does",
            "where the time goes, measured on a core: of a picture of 96 × 96 Pillow's decoder and "
            "resizing take 0.10 ms (JPEG) or 0.29 (PNG) of the DataLoader's 0.19 or 0.37; of a "
            "photograph as PNG 3.5 of 3.7. Both sides run this code, so twice as fast cannot be "
            "reached with Pillow. What is ours beside it takes 0.03 ms",
            "other decoders with the same pixels, tried in place of Pillow's: pyspng (7 MB) needs "
            "half of the time for a PNG and keeps Python's lock, so threads gained nothing; "
            "simplejpeg (1 MB) needs a third of the time for a small JPEG and made 1.2 × the "
            "DataLoader of it, as processes do; libspng in imagecodecs brings 80 MB",
        ],
    )


@dataclass(frozen=True)
class Taken:
    """Seconds of the clock, and of all processors."""

    seconds: float
    processor: float


def measure(folder: Path, names: list[str]) -> tuple[dict[str, Taken], float, float]:
    """The quickest round of each way, and how far apart their pixels are: mean and most."""
    taken: dict[str, list[Taken]] = {way: [] for way in WAYS}
    made = {way: mapped(folder / f"{way}.npy", len(names)) for way in WAYS}
    for _ in range(ROUNDS):
        for way, work in WAYS.items():
            begun, processor = time.perf_counter(), _processor_seconds()
            work(folder, names, made[way])
            seconds = time.perf_counter() - begun
            taken[way].append(Taken(seconds, _processor_seconds() - processor))
    ours, theirs = (made[way][: 2 * DIFFERENT].astype(np.float64) for way in WAYS)
    apart = np.abs(ours - theirs)
    best = {way: min(own, key=lambda one: one.seconds) for way, own in taken.items()}
    return best, float(apart.mean()), float(apart.max())


def _processor_seconds() -> float:
    """Of this process and of those that it started, those that ended included."""
    own = psutil.Process()
    times_ = [own.cpu_times(), *(child.cpu_times() for child in own.children())]
    ended = times_[0].children_user + times_[0].children_system
    return float(ended + sum(each.user + each.system for each in times_))


def write_images(folder: Path, files: int, size: tuple[int, int], suffix: str) -> list[str]:
    """Files of a format; their names."""
    rng = np.random.default_rng(0)
    width, height = size
    contents = []
    for _ in range(DIFFERENT):
        coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8))
        smooth = np.asarray(coarse.resize(size, Image.Resampling.BICUBIC)).astype(float)
        noisy = smooth + rng.normal(0, 4, (height, width, 3))
        path = folder / f"one.{suffix}"
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(path, quality=90)
        contents.append(path.read_bytes())
    names = [f"{j:05d}.{suffix}" for j in range(files)]
    for j, name in enumerate(names):
        (folder / name).write_bytes(contents[j % DIFFERENT])
    return names


def mapped(path: Path, files: int) -> ByteArray:
    """A file of pixels to fill."""
    made: ByteArray = open_memmap(path, "w+", np.uint8, (files, 3, SIZE, SIZE))
    return made


def ours(folder: Path, names: list[str], out: ByteArray) -> None:
    """Threads, then processes where those pay."""
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
