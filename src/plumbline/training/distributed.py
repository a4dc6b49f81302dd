"""One process or many: who this process is, what its share is, and what all of them agree on.

The global batch and the order of samples do not depend on the number of processes: every
process knows the whole order and takes its contiguous share of each batch. So a run may stop on
two processes and go on with one.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

from plumbline.config.runtime import RuntimeConfig, count_threads
from plumbline.training.device import choose_device, set_up
from plumbline.training.launch import die_with_parent
from plumbline.training.launched import is_launched
from plumbline.training.sources import UNLIMITED, most_resident_bytes

CPU = torch.device("cpu")
TIMEOUT = timedelta(minutes=10)
HANDED_BYTES = 64 << 20  # of a file handed out at once
EXCHANGED = 4  # at most so many processes send their gradients to each other directly


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among all, and how it works. The default is a single one on the CPU.

    Attributes:
        shard: parameters are spread over the processes.
        compile: the model is compiled by torch.
        resident_bytes: a part whose tensors take more is read from its files, batch by batch.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = CPU
    shard: bool = False
    compile: bool = False
    resident_bytes: int = UNLIMITED

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def share(self, start: int, stop: int) -> tuple[int, int]:
        """This process's contiguous part of the rows [start, stop); parts differ by one row
        at most."""
        n = stop - start
        return start + n * self.rank // self.size, start + n * (self.rank + 1) // self.size

    def sum(self, values: Tensor) -> Tensor:
        """The sum over processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def gather(self, mine: Tensor, n: int) -> Tensor:
        """Rows [0, n) of everyone's `share(0, n)`, in order, each row once."""
        if self.size == 1:
            return mine
        most = -(-n // self.size)
        padded = mine.new_zeros(most, *mine.shape[1:])
        padded[: len(mine)] = mine
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        dist.all_gather(parts, padded)
        counts = [n * (r + 1) // self.size - n * r // self.size for r in range(self.size)]
        return torch.cat([part[:count] for part, count in zip(parts, counts, strict=True)])

    def broadcast(self, *values: float) -> tuple[float, ...]:
        """The first process's numbers, so that all decide the same."""
        if self.size == 1:
            return values
        shared = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.broadcast(shared, src=0)
        return tuple(shared.tolist())

    def broadcast_bytes(self, content: bytes | None) -> bytes | None:
        """The first process's bytes, on all: files need to lie on its machine only."""
        if self.size == 1:
            return content
        (length,) = self.broadcast(-1 if content is None else len(content))
        if length < 0:
            return None
        shared = bytearray(int(length) if content is None else content)
        whole = torch.frombuffer(shared, dtype=torch.uint8) if shared else torch.empty(0)
        for piece in torch.split(whole, HANDED_BYTES):  # no device needs room for the whole
            there = piece.to(self.device)
            dist.broadcast(there, src=0)
            piece.copy_(there)
        return bytes(shared)


SINGLE_PROCESS = World()


@contextlib.contextmanager
def join(config: RuntimeConfig, max_memory_mb: int) -> Iterator[World]:
    """Be one of the processes that the launcher started (NCCL on GPUs, Gloo on CPUs), or alone.

    Args:
        max_memory_mb: `data.max_memory_mb`, of which the rows may take a part.
    """
    if not is_launched():
        device = choose_device(config)
        set_up(device, count_threads(config, 1))
        yield _world(config, max_memory_mb, device)
        return
    die_with_parent()
    device = choose_device(config, int(os.environ["LOCAL_RANK"]))
    set_up(device, count_threads(config, int(os.environ["LOCAL_WORLD_SIZE"])))
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(
        backend,
        timeout=TIMEOUT,
        store=_meeting(),
        rank=int(os.environ["RANK"]),
        world_size=int(os.environ["WORLD_SIZE"]),
        device_id=device if device.type == "cuda" else None,
    )
    try:
        world = _world(config, max_memory_mb, device)
        yield replace(world, rank=dist.get_rank(), size=dist.get_world_size())
    finally:
        leave()


def _world(config: RuntimeConfig, max_memory_mb: int, device: torch.device) -> World:
    """A single process that works as the parameters say."""
    return World(
        device=device,
        shard=config.shard,
        compile=config.compile,
        resident_bytes=most_resident_bytes(config.batches, max_memory_mb, device),
    )


def leave() -> None:
    """Be in the group no more; the process is about to end.

    A Gloo group is kept instead of destroyed: torch 2.13 joins the group's thread while it holds
    Python's lock, which the thread needs to let go of its last work, and both wait for ever.
    """
    if dist.get_backend() == "gloo":
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(dist.group.WORLD))
    else:
        dist.destroy_process_group()


def _meeting() -> Any:
    """The store in which the processes tell each other their addresses.

    One that the launcher hosts outlives a restart of the group (torch 2.13): without a prefix of
    its own, a group would find addresses of the dead one, and hang or die in its turn.
    """
    hosted = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
    store = dist.TCPStore(  # type: ignore[attr-defined]
        os.environ["MASTER_ADDR"],
        int(os.environ["MASTER_PORT"]),
        is_master=not hosted and os.environ["RANK"] == "0",
        timeout=TIMEOUT,
    )
    if not hosted:
        return store
    start = os.environ["TORCHELASTIC_RESTART_COUNT"]
    return dist.PrefixStore(f"start-{start}", store)  # type: ignore[attr-defined]


def place(model: nn.Module, world: World) -> None:
    """Bring a model onto the device.

    With `world.shard` the parameters of `model` themselves become shards (FSDP2), which every
    later look at them has to expect. They come to the device part by part, so that it never
    holds the whole.
    """
    if world.size > 1 and world.shard:
        mesh = dist.device_mesh.init_device_mesh(world.device.type, (world.size,))
        for unit in _units(model):
            fully_shard(unit, mesh=mesh)
        fully_shard(model, mesh=mesh)
    model.to(world.device)


def wrap(model: nn.Module, world: World) -> nn.Module:
    """The module to call in training, of a model in its place: it adds up gradients over processes,
    those of the parameters that have one now."""
    if world.size == 1 or world.shard:
        return model
    forward = DistributedDataParallel(
        model, forward_sync_buffers=False, gradient_as_bucket_view=True
    )
    if dist.get_backend() == "gloo" and world.size <= EXCHANGED:
        # a lambda: DDP refuses annotations that are not evaluated
        forward.register_comm_hook(world, lambda world, bucket: _exchange(world, bucket))
    return forward


def _exchange(world: World, bucket: Any) -> torch.futures.Future[Tensor]:
    """The mean of a bucket of gradients (n,) over few processes: each sends its own to all, in
    one go. Gloo's all-reduce passes pieces around a ring, and waits at each; this takes a third
    of its time between two processes. Added up in the order of ranks, the sum is the same on all.
    """
    mine = bucket.buffer()
    everyone = torch.empty(world.size, len(mine), dtype=mine.dtype)
    dist.all_to_all_single(everyone, mine.expand(world.size, -1).contiguous())
    torch.sum(everyone, dim=0, out=mine).div_(world.size)
    done: torch.futures.Future[Tensor] = torch.futures.Future()
    done.set_result(mine)
    return done


def _units(module: nn.Module) -> Iterator[nn.Module]:
    """The parts whose parameters are gathered together, each worth a gather of its own: blocks,
    large layers and tables. At most one of them is whole on a device at a time."""
    for child in module.children():
        if isinstance(child, (nn.Sequential, nn.ModuleList)):
            yield from _units(child)
        elif sum(p.numel() for p in child.parameters()) >= 1 << 16:
            yield child
