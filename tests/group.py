"""Work done by a group of processes, as torch's launcher starts them but without its cost."""

from __future__ import annotations

import multiprocessing
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from plumbline.training.device import set_up
from plumbline.training.distributed import World, leave


def in_group(
    size: int, folder: Path, work: Callable[..., Any], *arguments: Any, device: str = "cpu"
) -> list[Any]:
    """`work(world, *arguments)` in `size` processes; what each returned, by rank.

    `work` is a function of a module; warnings are errors in it. On a CPU by Gloo, else by NCCL.
    """
    context = multiprocessing.get_context("spawn")
    answers: multiprocessing.queues.Queue[tuple[int, Any, str]] = context.Queue()
    meeting = folder / f"meeting-{size}"
    meeting.unlink(missing_ok=True)
    group = [
        context.Process(
            target=_member, args=(rank, size, device, meeting, answers, work, arguments)
        )
        for rank in range(size)
    ]
    for process in group:
        process.start()
    try:
        reply = [answers.get(timeout=240) for _ in group]
    finally:
        for process in group:
            process.join(timeout=20)
            process.kill()
    errors = [error for _, _, error in reply if error]
    assert not errors, "\n".join(errors)
    return [answer for _, answer, _ in sorted(reply, key=lambda reply: reply[0])]


def _member(
    rank: int,
    size: int,
    name: str,
    meeting: Path,
    answers: Any,
    work: Callable[..., Any],
    arguments: Any,
) -> None:
    try:
        device = torch.device(name, None if name == "cpu" else rank)
        set_up(device, 1)
        warnings.simplefilter("error")
        # the loop makes no in-place change to what a model returns
        warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view")
        dist.init_process_group(
            "gloo" if name == "cpu" else "nccl",
            init_method=f"file://{meeting}",
            rank=rank,
            world_size=size,
            device_id=None if name == "cpu" else device,
        )
        answer, error = work(World(rank=rank, size=size, device=device), *arguments), ""
        leave()
    except BaseException:
        answer, error = None, f"rank {rank}: {traceback.format_exc()}"
    answers.put((rank, answer, error))
