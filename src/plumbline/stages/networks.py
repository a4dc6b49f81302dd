"""The fits that make the model: one, or one for each network of a bag.

On a processor the networks of a bag are fitted side by side, each on its share of the cores. Small
networks hardly gain from a second thread, so two of them on two cores take little more than half
the time of one after the other. (A GPU serves one process at a time: there nothing is gained.)
Each leaves the checkpoint of its finished fit; this process then goes through all of them in order.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.runtime import count_threads
from plumbline.examples import Examples, InputSpec
from plumbline.files import read_json
from plumbline.kinds import Part
from plumbline.preprocessing.balance import resample
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages.criterion import criterion_of
from plumbline.stages.inputs import load_part, load_spec, load_split, refuse_unfit, resolve_monitor
from plumbline.stages.start import load_start
from plumbline.training.bag import network_checkpoints, network_fold, network_seed
from plumbline.training.build import FreshFit, fit_fresh
from plumbline.training.checkpoint import Checkpoints
from plumbline.training.criteria import Criterion
from plumbline.training.cross_validation import Fold
from plumbline.training.distributed import World
from plumbline.training.divergence import DivergedError
from plumbline.training.fold_processes import FoldProcesses, Outcome, Turn
from plumbline.training.memory import processes_for
from plumbline.training.progress import BagBar, ProgressBar


@dataclass(frozen=True, kw_only=True)
class NetworkFit:
    """One fit, and how many rows it was fitted on and stopped by."""

    fresh: FreshFit
    rows: int
    held_out: int


def load_fold(config: Config, paths: Paths, spec: InputSpec, network: int = 0) -> Fold:
    """What the model is fitted on and stopped by; of a bag what one of its networks is."""
    train, val = load_part(paths, Part.TRAIN), load_part(paths, Part.VAL)
    if spec.networks:
        fold = network_fold(train, val, spec, load_split(paths), network)
    else:
        start = None
        if got := load_start(config, paths):
            state = read_json(paths.prepared / artifacts.PREPROCESSOR)
            start = got[0].with_labels(TableTransformer.from_json(state).labels())
        fold = Fold(train=train, val=val, spec=spec, start=start)
    refuse_unfit(fold.train, fold.spec, "training")
    refuse_unfit(fold.val, fold.spec, "validation")
    return fold


def balanced(config: Config, fold: Fold) -> Examples:
    """The rows that the fit sees."""
    return resample(fold.train, fold.spec, config.normalize.balance, config.seed)


def monitor_of(config: Config, spec: InputSpec) -> Criterion | None:
    """What early stopping watches; None: the validation loss."""
    name = resolve_monitor(config, spec)
    return None if name == "loss" else criterion_of(name)


def fit_networks(
    config: Config,
    paths: Paths,
    spec: InputSpec,
    first: Fold,
    world: World,
    checkpoints: Checkpoints,
) -> list[NetworkFit]:
    """Fit the network, or each network of the bag.

    Args:
        first: `load_fold` of the first.
    """
    if not spec.networks:
        return [_fit(config, first, config.seed, world, checkpoints)]
    threads = torch.get_num_threads()
    sharing = _sharing(config, spec, world)
    count = processes_for(sharing, "networks")
    torch.set_num_threads(max(1, threads // sharing))  # whatever the memory: the same sums
    if count > 1:
        _fit_side_by_side(config, paths, spec.networks, world, checkpoints, count)
    fits = []
    for network in range(spec.networks):
        fold = load_fold(config, paths, spec, network) if network else first
        if world.is_main and count == 1:
            print(f"network {network + 1} of {spec.networks}", file=sys.stderr, flush=True)
        own_checkpoints = network_checkpoints(checkpoints, network)
        seed = network_seed(config.seed, network)
        fits.append(_fit(config, fold, seed, world, own_checkpoints, shown=count == 1))
    torch.set_num_threads(threads)
    return fits


def _fit_side_by_side(
    config: Config,
    paths: Paths,
    networks: int,
    world: World,
    checkpoints: Checkpoints,
    count: int,
) -> None:
    """Leave the checkpoint of each finished fit, of those made here and of those made in `count`
    - 1 processes beside this one."""
    share = dataclasses.replace(world, resident_bytes=world.resident_bytes // count)
    given = [(paths, checkpoints, network) for network in range(networks)]
    threads = torch.get_num_threads()
    beside = FoldProcesses(fit_beside, given, share, count=count - 1, threads=threads)
    turn, left = Turn(config, networks), networks
    ended: list[tuple[int, Outcome]]
    bar = BagBar(networks=networks, epochs=config.train.most_epochs)
    with beside as others, bar, others.helping(turn):
        while left:
            if (network := turn.take()) is not None:

                def on_epoch(epoch: int, row: dict[str, float], network: int = network) -> None:
                    bar((network, epoch))

                ended = [(network, _fit_alone(config, *given[network], share, on_epoch))]
            else:
                ended = [outcome for outcome in (turn.wait(),) if outcome is not None]
            for network, outcome in (*ended, *turn.arrived()):
                if isinstance(outcome, DivergedError):
                    raise outcome
                left -= 1
                bar((network, None))


def _sharing(config: Config, spec: InputSpec, world: World) -> int:
    """How many networks share the cores."""
    if world.size > 1 or world.device.type != "cpu":
        return 1
    return min(spec.networks, count_threads(config.runtime, 1))


def fit_beside(
    config: Config,
    given: tuple[Paths, Checkpoints, int],
    world: World,
    after_epoch: Callable[[], None],
) -> float:
    """In a process beside: fit one network of a bag, whose checkpoint is the result."""
    return _fit_alone(config, *given, world, lambda epoch, row: after_epoch())


def _fit_alone(
    config: Config,
    paths: Paths,
    checkpoints: Checkpoints,
    network: int,
    world: World,
    on_epoch: Callable[[int, dict[str, float]], None],
) -> float:
    fit = _fit(
        config,
        load_fold(config, paths, load_spec(paths), network),
        network_seed(config.seed, network),
        world,
        network_checkpoints(checkpoints, network),
        shown=False,
        on_epoch=on_epoch,
    )
    return fit.fresh.fitted.best_score


def _fit(
    config: Config,
    fold: Fold,
    seed: int,
    world: World,
    checkpoints: Checkpoints,
    *,
    shown: bool = True,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> NetworkFit:
    train, criterion = balanced(config, fold), monitor_of(config, fold.spec)
    stopping: dict[str, Any] = criterion.stopping(fold.spec.task) if criterion else {}
    bar = ProgressBar(
        epochs=config.train.most_epochs,
        rows=len(train),
        metric=criterion.name if criterion else None,
        enabled=world.is_main and shown,
    )
    with bar:
        fresh = fit_fresh(
            config.model,
            config.train,
            fold.spec,
            train,
            fold.val,
            seed=seed,
            start=fold.start,
            **stopping,
            world=world,
            checkpoints=checkpoints,
            on_epoch=on_epoch or bar,
            on_step=bar.within,
        )
    return NetworkFit(fresh=fresh, rows=len(fold.train), held_out=len(fold.val))
