"""The tests that need a GPU, folds side by side on it, and the speed of training: eager and
compiled, fp32 and bf16.

`python -m benchmarks gpu` publishes it; `python -m benchmarks.gpu --device cpu` tries the script
on a CPU, with few networks, and prints. Nothing begins that would not end within `SECONDS` or so:
what there is no time for is left out and listed. While the tests run, other processes compile the
networks, so that the measured ones find them in torch's cache.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from benchmarks import folds
from benchmarks.fits import NETWORKS, examples, our_loop
from benchmarks.quality import DATA
from benchmarks.result import Figure, Result, Table
from plumbline.config.model import Precision
from plumbline.training.device import set_up
from plumbline.training.distributed import World

ROOT = Path(__file__).resolve().parents[1]
TESTS = "tests/behaviour/test_gpu.py"
SECONDS = 480.0  # of everything
TEST_SECONDS = 200.0  # of the tests, at most
COMPILING = 12.0  # seconds kept for one that is compiled, mostly beforehand
ROUNDS = 3
SCALE = 4  # rows on a GPU per row on two cores
TRIED = ("mlp", "image, cnn", "text, mean")  # on a CPU
PRECISIONS: tuple[Precision, ...] = ("fp32", "bf16")
WAYS = tuple((precision, how) for how in (False, True) for precision in PRECISIONS)
NO_GPU = (
    "no GPU is at hand (torch sees no CUDA device), so there is nothing to publish.\n"
    "Fix: run it on a machine with one; `python -m benchmarks.gpu --device cpu` tries the script"
)

OUTCOME = re.compile(r"\b(PASSED|FAILED|ERROR|SKIPPED) \S+?::(.+)")
Outcome = tuple[str, str]  # of a test


def run(device: str = "cuda") -> Result:
    """Test, then measure every network until the time is over."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit(NO_GPU)
    end = time.monotonic() + SECONDS
    with compiling(device):
        tests = run_tests(device)
    of_folds: list[Figure] = []
    tables: list[Table] = []
    if (DATA / "adult" / "train.csv").exists():
        of_folds, table = folds.on_device(device)
        tables.append(table)
    speeds, left_out = measure(torch.device(device), end)
    passed = sum(outcome == "passed" for _, outcome in tests)
    card = torch.cuda.get_device_name() if device == "cuda" else "a CPU, to try the script"
    return Result(
        title="GPU",
        figures=[
            Figure(
                name=f"tests that passed on {card}",
                reached=passed,
                unit=f"of {len(tests)}",
                target="all",
                holds=passed == len(tests) > 0,
            ),
            *of_folds,
        ],
        tables=[
            Table(
                title=f"Rows per second in training, {card}",
                columns=["network", *(_words(*way) for way in WAYS)],
                rows=[
                    [name, *(f"{own[way]:,.0f}" if way in own else "–" for way in WAYS)]
                    for name, own in speeds.items()
                ],
            ),
            *tables,
            Table(
                title="Tests",
                columns=["test", ""],
                rows=[list(own) for own in tests],
            ),
        ],
        notes=[
            f"torch {torch.__version__}, CUDA {torch.version.cuda}; medians of {ROUNDS} epochs "
            "after one that is not counted; the networks are those of Training, 256 rows per step",
            *(
                [f"left out, for want of time where nothing else stands: {'; '.join(left_out)}"]
                if left_out
                else []
            ),
        ],
    )


def run_tests(device: str) -> list[Outcome]:
    """`TESTS` by pytest: name and outcome of each, and of what the time was too short for."""
    path = os.pathsep.join((str(ROOT / "src"), str(ROOT)))
    environment = {**os.environ, "PLUMBLINE_TEST_DEVICE": device, "PYTHONPATH": path}
    workers = str(max(1, _threads() // 4))  # others compile meanwhile
    command = [sys.executable, "-m", "pytest", "-v", "-n", workers, "--durations=8", TESTS]
    with tempfile.TemporaryFile("w+") as output:
        late = False
        try:
            subprocess.run(
                command,
                cwd=ROOT,
                env=environment,
                stdout=output,
                check=False,
                timeout=TEST_SECONDS,
            )
        except subprocess.TimeoutExpired:
            late = True
        output.seek(0)
        text = output.read()
    print(text, flush=True)
    own = text.partition("short test summary")[0]  # where failures are named once more
    outcomes = [(name.strip(), outcome.lower()) for outcome, name in OUTCOME.findall(own)]
    return outcomes + [("the rest", f"not done in {TEST_SECONDS:.0f} s")] * late


@contextlib.contextmanager
def compiling(device: str) -> Iterator[None]:
    """Meanwhile, compile every network in other processes, for torch's cache on disk."""
    environment = {**os.environ, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
    started: list[subprocess.Popen[bytes]] = []
    ended = False

    def compile_one(name: str, precision: Precision) -> None:
        if ended:
            return
        command = [sys.executable, "-m", "benchmarks.gpu", "--device", device]
        process = subprocess.Popen(
            [*command, "--compile", name, precision],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        process.wait()

    with ThreadPoolExecutor(max(1, _threads() // 2)) as pool:
        for precision in PRECISIONS:
            for name in _names(device):
                pool.submit(compile_one, name, precision)
        try:
            yield
        finally:
            ended = True
            for process in started:
                process.kill()


Speeds = dict[str, dict[tuple[str, bool], float]]


def measure(device: torch.device, end: float) -> tuple[Speeds, list[str]]:
    """Rows per second by network and way, the quick ways first; and what was left out."""
    set_up(torch.device("cuda", 0) if device.type == "cuda" else device, _threads())
    names = _names(device.type)
    speeds: Speeds = {name: {} for name in names}
    left_out = []
    for precision, compiled in WAYS:
        for name in names:
            if time.monotonic() + (COMPILING if compiled else 5.0) > end:
                left_out.append(f"{name} {_words(precision, compiled)}")
                continue
            try:
                speed = _speed(name, device, precision, compiled=compiled)
            except RuntimeError as error:  # the others are measured all the same
                failed = str(error).strip().splitlines()[0]
                left_out.append(f"{name} {_words(precision, compiled)}, which failed: {failed}")
                continue
            speeds[name][precision, compiled] = speed
            print(f"{name}, {_words(precision, compiled)}: {speed:,.0f} rows/s", flush=True)
    return speeds, left_out


def _speed(
    name: str,
    device: torch.device,
    precision: Precision,
    *,
    compiled: bool,
    rounds: int = ROUNDS,
) -> float:
    torch._dynamo.reset()
    on_gpu = device.type == "cuda"
    count = NETWORKS[name].rows * SCALE if on_gpu else 512
    world = World(device=device, compile=compiled)
    epoch = our_loop(name, world, examples(name, count), precision=precision)
    epoch()
    return count / statistics.median(epoch() for _ in range(rounds if on_gpu else 1))


def _names(device: str) -> list[str]:
    return list(NETWORKS) if device == "cuda" else list(TRIED)


def _threads() -> int:
    return len(os.sched_getaffinity(0))


def _words(precision: str, compiled: bool) -> str:
    return f"{'compiled' if compiled else 'eager'} {precision}"


def main() -> None:
    """Print, and publish nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cuda")
    parser.add_argument(
        "--compile", nargs=2, metavar=("NETWORK", "PRECISION"), help="nothing but this"
    )
    given = parser.parse_args()
    if given.compile:
        name, precision = given.compile
        device = torch.device("cuda:0" if given.device == "cuda" else given.device)
        set_up(device, 1)
        _speed(name, device, precision, compiled=True, rounds=1)
        return
    result = run(given.device)
    from benchmarks.__main__ import machine, markdown

    print(markdown({**dataclasses.asdict(result), "date": "a try", "machine": machine()}))


if __name__ == "__main__":
    main()
