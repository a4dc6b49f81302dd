"""The fits of a bag: each network on all rows of training and validation but one fold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from torch import Tensor

from plumbline.examples import Examples, InputSpec
from plumbline.models.bag import bag_weights
from plumbline.models.target import TargetTransform
from plumbline.tables import SplitIndex
from plumbline.training.build import FreshFit
from plumbline.training.checkpoint import Checkpoints
from plumbline.training.cross_validation import Fold


def network_fold(
    train: Examples, val: Examples, spec: InputSpec, split: SplitIndex, network: int
) -> Fold:
    """What one network is fitted on and stopped by, with the tensors that are its own.

    Args:
        train, val: prepared for all networks, with `spec`.
    """
    names = spec.names_of_network(network)
    rows = Examples.concatenate([train.renamed(names), val.renamed(names)])
    rows = rows.take(np.argsort(rows.rows, kind="stable"))
    assert split.bag is not None
    held_out = split.bag[rows.rows] == network
    return Fold(train=rows.take(~held_out), val=rows.take(held_out), spec=spec.of_network(network))


def network_seed(seed: int, network: int) -> int:
    """The seed of one network of a bag; the first has that of a single fit."""
    if network == 0:
        return seed
    return int(np.random.SeedSequence([seed, 6, network]).generate_state(1)[0])


def network_checkpoints(checkpoints: Checkpoints, network: int) -> Checkpoints:
    """Those of one network; a finished one's are kept until all are."""
    return replace(checkpoints, folder=checkpoints.folder / f"network_{network + 1}")


@dataclass(frozen=True, kw_only=True)
class Whole:
    """What is stored of a model that was fitted once, or of a bag of fits."""

    weights: dict[str, Tensor]
    learned: dict[str, Any]
    target: TargetTransform | Sequence[TargetTransform] | None

    @classmethod
    def of(cls, fits: Sequence[FreshFit], spec: InputSpec) -> Whole:
        """Args: spec: of the bag, or of the one network."""
        if not spec.networks:
            (fit,) = fits
            return cls(weights=fit.fitted.weights, learned=fit.learned, target=fit.target)
        targets = [fit.target for fit in fits if fit.target is not None] or None
        learned = {
            name: fit.learned[own]
            for network, fit in enumerate(fits)
            for own, name in spec.names_of_network(network).items()
        }
        weights = bag_weights([fit.fitted.weights for fit in fits], targets)
        return cls(weights=weights, learned=learned, target=targets)
