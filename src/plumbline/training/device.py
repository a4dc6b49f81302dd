"""Which device, how many threads, and torch's switches for repeatable results."""

from __future__ import annotations

import os

import torch

from plumbline.config.runtime import RuntimeConfig
from plumbline.errors import ParameterError


def choose_device(config: RuntimeConfig, local_rank: int = 0) -> torch.device:
    """The device of a process: its own GPU, or the CPU.

    Raises:
        ParameterError: `cuda` is asked for and there is none, or fewer than processes.
    """
    if config.device == "cpu" or (config.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ParameterError(
            "no CUDA device is at hand",
            file="params.yaml",
            where="runtime.device",
            hint="set it to auto or cpu, or install a CUDA build of torch",
        )
    if local_rank >= torch.cuda.device_count():
        raise ParameterError(
            "more processes than GPUs on this machine",
            file="params.yaml",
            where="runtime.processes",
            wanted=f"at most {torch.cuda.device_count()}",
            got=local_rank + 1,
            hint="lower it, or set runtime.device to cpu",
        )
    return torch.device("cuda", local_rank)


def set_up(device: torch.device, threads: int) -> None:
    """Make this process repeatable, and give it `threads` CPU threads.

    Sums over rows are split between threads, so other thread counts give other last bits.
    """
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    # filling fresh memory costs time and guards nothing here
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    if device.type == "cuda":
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.backends.cudnn.benchmark = False
        torch.cuda.set_device(device)


def device_name(device: torch.device) -> str:
    """`cpu`, or what the GPU is called."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
