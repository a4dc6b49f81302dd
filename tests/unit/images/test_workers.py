"""Processes read what threads read, to the byte, and one that is killed ends in words."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from plumbline.errors import DataError, UserError
from plumbline.images import ImageReader, read_images
from plumbline.images.many import AT_ONCE
from plumbline.images.read import LARGE_PIXELS
from plumbline.images.workers import MOST, ImageWorkers, SharedWorkers, WorkerEndedError

COUNT = 3 * AT_ONCE + 5
FORMATS = ("png", "jpg", "webp")


def where(position: int) -> str:
    return f"column 'photo', row {position}"


def started() -> SharedWorkers:
    made = SharedWorkers()
    made.took(1.0, 90_000, 2)
    return made


@pytest.fixture(scope="module")
def workers() -> Iterator[SharedWorkers]:
    made = started()
    own = made.get()
    assert own is not None and len(own.processes) == 2
    yield made
    assert made.get() is own  # which read all the time
    own.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for name in names():
        size = (*rng.integers(3, 40, 2), 3)
        Image.fromarray(rng.integers(0, 255, size, dtype=np.uint8)).save(made / name)
    return made


def names() -> list[str | bytes | None]:
    return [f"{j}.{FORMATS[j % 3]}" for j in range(COUNT)]


def read(
    folder: Path | None,
    cells: list[str | bytes | None],
    workers: SharedWorkers | None,
    threads: int = 2,
    channels: int = 3,
) -> np.ndarray:
    out = np.full((len(cells), channels, 9, 7), 99, np.uint8)
    read_images(ImageReader(folder), cells, out, where, threads, workers)
    return out


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_processes_read_what_threads_read(
    folder: Path, channels: int, threads: int, workers: SharedWorkers
) -> None:
    cells = names()
    cells[4], cells[5] = None, (folder / "2.webp").read_bytes()
    alone = read(folder, cells, None, 1, channels)
    assert not alone[4].any() and alone[5].any()
    assert_array_equal(read(folder, cells, workers, threads, channels), alone)
    contents = [cell and (folder / str(cell)).read_bytes() for cell in names()]
    assert_array_equal(read(None, contents, workers, threads), read(folder, names(), None))


def test_the_first_that_cannot_be_read_is_named(folder: Path, workers: SharedWorkers) -> None:
    cells = names()
    for bad in (COUNT - 1, AT_ONCE + 3):
        cells[bad] = b"no image"
        with pytest.raises(DataError, match=rf"^column 'photo', row {bad}: not an image"):
            read(folder, cells, workers)


def test_what_is_large_or_worth_a_warning_is_left_to_this_process(workers: SharedWorkers) -> None:
    """Of two entries of metadata one is there: the image lies on its side."""
    large, odd = BytesIO(), BytesIO()
    Image.new("L", (LARGE_PIXELS // 4096 + 1, 4096), 7).save(large, "PNG")
    exif = struct.pack("<HHHII", 2, 0x0112, 3, 1, 6)
    half = Image.fromarray(np.repeat(np.uint8([[0], [255]]), 8, 1).repeat(4, 0))
    half.save(odd, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0" + exif)
    with pytest.warns(UserWarning, match="EXIF"):
        pixels = read(None, [large.getvalue(), odd.getvalue()], workers, channels=1)
    assert (pixels[0] == 7).all()
    assert pixels[1, 0, 0, 0] > 200 and pixels[1, 0, 0, -1] < 50  # turned to the right


def test_a_killed_process_ends_in_words_and_threads_go_on(folder: Path) -> None:
    shared = started()
    workers = shared.get()
    assert workers is not None
    for process in workers.processes:
        os.kill(process, signal.SIGKILL)
    with pytest.raises(UserError, match=r"row 0 to .*row 31: .* ended: killed by signal 9"):
        read(folder, names(), shared)
    assert shared.get() is None
    assert_array_equal(read(folder, names(), shared), read(folder, names(), None))
    workers.close()


@pytest.mark.parametrize(
    ("seconds", "images", "threads"),
    [(0.4, 9_000, 8), (9.0, 90_000, 1), (90.0, 90_000, 2), (90.0, 90_000, 8)],
    ids=["too few", "one core", "two cores are busy", "eight cores are busy"],
)
def test_threads_read_where_processes_do_not_pay(seconds: float, images: int, threads: int) -> None:
    shared = SharedWorkers()
    shared.took(seconds, images, threads)
    assert shared.get() is None


@pytest.mark.parametrize(("seconds", "threads"), [(1.0, 2), (3.0, 4)])
def test_processes_start_when_small_images_have_taken_a_while(seconds: float, threads: int) -> None:
    shared = SharedWorkers()
    shared.took(seconds, 9_000, threads)
    workers = shared.get()
    assert workers is not None and len(workers.processes) == threads <= MOST
    shared.drop()
    shared.took(9.0, 90_000, 2)
    assert shared.get() is None
    workers.close()


def test_where_none_can_start_threads_do_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/gone/python")
    shared = SharedWorkers()
    shared.took(9.0, 90_000, 2)
    assert shared.get() is None
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(WorkerEndedError, match="exit code 1"):
        ImageWorkers(1)


def test_they_end_with_a_process_that_is_killed() -> None:
    code = """
        import time
        from plumbline.images.workers import ImageWorkers
        print(*ImageWorkers(2).processes, flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        started = [int(own) for own in process.stdout.readline().split()]
        process.kill()
    assert len(started) == 2
    until = time.monotonic() + 20
    while any(_runs(own) for own in started) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(_runs(own) for own in started)


def _runs(process: int) -> bool:
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_a_process_that_reads_imports_little() -> None:
    code = "import sys, plumbline.images.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "polars", "pandas", "scipy"} & set(done.stdout.split())
