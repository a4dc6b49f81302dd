"""Whether a model fits into memory, asked before anything is allocated."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import torch

from plumbline.config.model import ModelConfig, TrainConfig
from plumbline.errors import ParameterError
from plumbline.examples import InputSpec
from plumbline.models import count_weights
from plumbline.models.encoders import Learned

LIMITS = (  # of a container: version 2 and 1 of control groups
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)
MOMENTS = {"sgd": 1, "adam": 2, "adamw": 2, "rmsprop": 2, "adagrad": 1}  # numbers per weight
PROCESS_BYTES = 256 << 20  # of a process that has imported torch, at least
EXHAUSTED = ("can't allocate memory", "cannot allocate memory", "out of memory", "bad_alloc")


def refuse_too_large(
    model: ModelConfig,
    config: TrainConfig,
    spec: InputSpec,
    learned: Learned,
    device: torch.device,
) -> None:
    """Hold the weights that a model will have against the memory at hand.

    Raises:
        ParameterError: weights, gradients, the optimizer's state and the best weights so far
            need more than there is.
    """
    weights = count_weights(model, spec, learned)
    copies = 3 + MOMENTS[config.optimizer] + bool(config.average)
    needed, available = 4 * weights * copies, available_bytes(device)
    if needed > available:
        raise ParameterError(
            f"the model does not fit into memory: {weights:,} weights need "
            f"{needed / 2**30:,.1f} GiB to be trained",
            file="params.yaml",
            where=", ".join(_sizes(model, spec, learned)),
            wanted=f"at most {available / 2**30:.1f} GiB, what is free",
            hint="lower them",
        )


def fitting_processes() -> int:
    """How many processes fit into memory, by what torch alone needs in each; at least 1."""
    return max(1, available_bytes(torch.device("cpu")) // PROCESS_BYTES)


def processes_for(wanted: int, what: str) -> int:
    """Of the processes wanted as many as fit into memory; says so where they are fewer.

    Args:
        what: they fit, in the plural.
    """
    fitting = min(wanted, fitting_processes())
    if fitting < wanted:
        how = "one after the other" if fitting == 1 else f"{fitting} at a time"
        free = f"{available_bytes(torch.device('cpu')) / 2**20:,.0f} MiB"
        print(
            f"{what} are fitted {how}, not {wanted}: {free} of memory are free, and each process "
            f"takes {PROCESS_BYTES >> 20} MiB at least",
            file=sys.stderr,
            flush=True,
        )
    return fitting


def refuse_too_many(processes: int, key: str) -> None:
    """Hold what each process needs for torch alone against the memory at hand.

    Raises:
        ParameterError: names `key`, which asks for so many.
    """
    fitting = fitting_processes()
    if processes > fitting:
        raise ParameterError(
            "more processes than fit into memory",
            file="params.yaml",
            where=key,
            wanted=f"at most {fitting}",
            got=processes,
            hint="lower it",
        )


@contextlib.contextmanager
def within_memory(model: ModelConfig, spec: InputSpec, learned: Learned) -> Iterator[None]:
    """Turn a refused allocation into a message.

    Raises:
        ParameterError: memory ran out; names what makes a fit large.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not ran_out(error):
            raise
        raise ParameterError(
            "memory ran out in training",
            file="params.yaml",
            where=", ".join(("train.batch_size", *_sizes(model, spec, learned))),
            hint="lower them",
        ) from None


def ran_out(error: BaseException) -> bool:
    """Whether an error says that an allocation was refused."""
    return isinstance(error, MemoryError) or any(w in str(error).lower() for w in EXHAUSTED)


def available_bytes(device: torch.device) -> int:
    """Memory that can still be had on a device, within the limit of a container."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    free = int(psutil.virtual_memory().available)
    for limit, used in LIMITS:
        with contextlib.suppress(OSError, ValueError):  # no such limit, or `max`
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
    return free


def _sizes(model: ModelConfig, spec: InputSpec, learned: Learned) -> list[str]:
    """The keys that make this model large: half of any of them would make it smaller."""
    weights = count_weights(model, spec, learned)
    keys = []
    for field in dataclasses.fields(ModelConfig):
        size = getattr(model, field.name)
        if not isinstance(size, int) or size < 1:
            continue
        with contextlib.suppress(ValueError):  # not every model can be had at half of every size
            half: dict[str, Any] = {field.name: size // 2}
            if count_weights(dataclasses.replace(model, **half), spec, learned) < weights:
                keys.append(f"model.{field.name}")
    return keys or ["model.name"]
