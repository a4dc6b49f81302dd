"""Training rows changed anew in each epoch, by (seed, epoch, row). One entry per augmentation.

B rows of a batch, F features.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from plumbline.config.model import AugmentConfig
from plumbline.errors import ParameterError
from plumbline.examples import PADDING, UNKNOWN, InputSpec, TensorSpec
from plumbline.kinds import DoubleArray
from plumbline.training import augment_image
from plumbline.training.row_random import RowRandom
from plumbline.training.sources import Batch, BatchSource, Bounds

Change = Callable[[Tensor, TensorSpec, float, RowRandom], Tensor]
Mix = Callable[[Tensor, Tensor, Tensor, RowRandom], Tensor]
QUANTILES = 1 << 12  # of the distribution of shares


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """One way to change rows; its strength is `train.augment.NAME`, 0: off.

    Attributes:
        changes: by kind of tensor: (B, *shape), its spec, the strength and random numbers of the
            rows, to the same shape and type.
        mixes: by kind of tensor: own rows, other rows and the share (B,) of the own, to the same
            shape and type. Every tensor needs one, since the target is mixed too.
        share: where rows are mixed: the strength and uniform numbers (B,) to the share, (B,)
            float64, that a row keeps of itself.
    """

    changes: Mapping[str, Change] = field(default_factory=dict)
    mixes: Mapping[str, Mix] = field(default_factory=dict)
    share: Callable[[float, Tensor], Tensor] | None = None


def add_noise(x: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
    """Normal noise of the deviation `strength`; the features made from one column get the same."""
    columns, feature_column = _columns(tensor.sources, x.device)
    return x + strength * random.normal(columns)[:, feature_column]


def interpolate(own: Tensor, other: Tensor, share: Tensor, random: RowRandom) -> Tensor:
    """On the line between two rows."""
    kept = share.to(own.dtype).view(-1, *[1] * (own.ndim - 1))
    return kept * own + (1 - kept) * other


def pick_either(own: Tensor, other: Tensor, share: Tensor, random: RowRandom) -> Tensor:
    """Each code from one row or the other: nothing lies between two codes."""
    return torch.where(random.uniform(own.shape[1]) < share[:, None], own, other)


def mask_tokens(ids: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
    """Each token is unknown with the probability `strength`."""
    masked = (random.uniform(ids.shape[1]) < strength) & (ids != PADDING)
    return torch.where(masked, UNKNOWN, ids)


def drop_tokens(ids: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
    """Each token is left out with the probability `strength`, and those behind it move up (Wei and
    Zou 2019, "EDA", random deletion)."""
    kept = (random.uniform(ids.shape[1]) >= strength) & (ids != PADDING)
    order = torch.argsort((~kept).long(), dim=1, stable=True)
    return torch.where(kept, ids, PADDING).gather(1, order)


def pick_text(own: Tensor, other: Tensor, share: Tensor, random: RowRandom) -> Tensor:
    """The whole text of one row or the other: half of each is a text of neither."""
    return torch.where(random.uniform(1) < share[:, None], own, other)


def beta_share(strength: float, uniform: Tensor) -> Tensor:
    """The larger part of a Beta(strength, strength) division (Zhang et al. 2018)."""
    table = torch.from_numpy(_beta_quantiles(strength)).to(uniform.device)
    place = uniform * (QUANTILES - 1)
    below = place.long()
    return table[below] + (place - below) * (table[below + 1] - table[below])


MIXES: dict[str, Mix] = {"numbers": interpolate, "categories": pick_either, "text": pick_text}
AUGMENTATIONS: dict[str, Augmentation] = {
    "noise": Augmentation(changes={"numbers": add_noise}),
    "mixup": Augmentation(mixes={**MIXES, "image": augment_image.blend}, share=beta_share),
    "mask_tokens": Augmentation(changes={"text": mask_tokens}),
    "drop_tokens": Augmentation(changes={"text": drop_tokens}),
    "flip": Augmentation(changes={"image": augment_image.flip}),
    "shift": Augmentation(changes={"image": augment_image.shift}),
    "rotate": Augmentation(changes={"image": augment_image.rotate}),
    "zoom": Augmentation(changes={"image": augment_image.zoom}),
    "recolor": Augmentation(changes={"image": augment_image.recolor}),
    "erase": Augmentation(changes={"image": augment_image.erase}),
    "cutmix": Augmentation(mixes={**MIXES, "image": augment_image.paste}, share=beta_share),
}


@dataclass(frozen=True, kw_only=True)
class Partners:
    """The rows that those of an epoch are mixed with, (n,), and the share of themselves that
    they keep, (n,) float64."""

    rows: Tensor
    share: Tensor


@dataclass(frozen=True, kw_only=True)
class Augmenter:
    """The augmentations of a fit."""

    strengths: Mapping[str, float]  # of those that are on
    spec: InputSpec
    seed: int

    @property
    def mixing(self) -> str | None:
        """The one that mixes rows."""
        return next((n for n in self.strengths if AUGMENTATIONS[n].share is not None), None)

    def partners(self, epoch: int, order: Tensor) -> Partners | None:
        """For each row of `order` (n,) any row of the n, where rows are mixed."""
        name = self.mixing
        share = AUGMENTATIONS[name].share if name else None
        if name is None or share is None:
            return None
        uniform = self._random(epoch, f"{name} partners", order).uniform(2)  # (n, 2)
        rows = (uniform[:, 0] * len(order)).long()
        return Partners(rows=rows, share=share(self.strengths[name], uniform[:, 1]))

    def read(
        self,
        source: BatchSource,
        bounds: Sequence[Bounds],
        epoch: int,
        order: Tensor,
        partners: Partners | None,
    ) -> Iterator[Batch]:
        """What `source.read` gives, changed."""
        others = None if partners is None else source.read(bounds, partners.rows)
        for (start, stop), own in zip(bounds, source.read(bounds, order), strict=True):
            rows, batch = order[start:stop], own
            if partners is not None and others is not None:
                batch = self._mix(own, next(others), partners.share[start:stop], epoch, rows)
            yield self._change(batch, epoch, rows)

    def _mix(self, own: Batch, other: Batch, share: Tensor, epoch: int, rows: Tensor) -> Batch:
        name = self.mixing
        assert name is not None
        mixes = AUGMENTATIONS[name].mixes
        return {
            t.name: mixes[t.kind](
                own[t.name], other[t.name], share, self._random(epoch, f"{name} {t.name}", rows)
            )
            for t in self.spec
        }

    def _change(self, batch: Batch, epoch: int, rows: Tensor) -> Batch:
        batch = dict(batch)
        for name, strength in self.strengths.items():
            for t in self.spec:
                change = AUGMENTATIONS[name].changes.get(t.kind)
                if change is not None:
                    random = self._random(epoch, f"{name} {t.name}", rows)
                    batch[t.name] = change(batch[t.name], t, strength, random)
        return batch

    def _random(self, epoch: int, purpose: str, rows: Tensor) -> RowRandom:
        return RowRandom(seed=self.seed, epoch=epoch, purpose=purpose, rows=rows)


def choose_augmentations(config: AugmentConfig, spec: InputSpec, seed: int) -> Augmenter | None:
    """The augmentations of the parameters; None where all are off.

    Raises:
        ParameterError: one changes no tensor of the rows, or cannot mix one of them; two mix rows.
    """
    strengths = {name: getattr(config, name) for name in AUGMENTATIONS}
    strengths = {name: strength for name, strength in strengths.items() if strength}
    mixing = [name for name in strengths if AUGMENTATIONS[name].share is not None]
    if len(mixing) > 1:
        raise ParameterError(
            f"{' and '.join(mixing)} both mix rows",
            file="params.yaml",
            where=f"train.augment.{mixing[1]}",
            hint="set one of them to 0",
        )
    for name in strengths:
        _refuse_unfit(name, AUGMENTATIONS[name], spec)
    return Augmenter(strengths=strengths, spec=spec, seed=seed) if strengths else None


def _refuse_unfit(name: str, augmentation: Augmentation, spec: InputSpec) -> None:
    kinds = {*augmentation.changes, *augmentation.mixes}
    if not any(tensor.kind in kinds for tensor in spec):
        raise ParameterError(
            f"{name} changes {' and '.join(sorted(kinds))}, and the prepared rows have none",
            file="params.yaml",
            where=f"train.augment.{name}",
            hint="set it to 0",
        )
    if augmentation.share is None:
        return
    for tensor in spec:
        if tensor.kind not in augmentation.mixes:
            raise ParameterError(
                f"{name} cannot mix the {tensor.kind} of column '{tensor.sources[0]}'",
                file="params.yaml",
                where=f"train.augment.{name}",
                wanted=f"columns of {' and '.join(sorted(augmentation.mixes))} alone",
                hint="set it to 0",
            )


@functools.lru_cache(maxsize=64)
def _columns(sources: tuple[str, ...], device: torch.device) -> tuple[int, Tensor]:
    """How many columns features were made from, and which each was made from, (F,)."""
    number = {name: i for i, name in enumerate(dict.fromkeys(sources))}
    return len(number), torch.tensor([number[name] for name in sources], device=device)


@functools.lru_cache(maxsize=8)
def _beta_quantiles(strength: float) -> DoubleArray:
    """Quantiles of the larger part of a Beta(strength, strength) division, (QUANTILES,)."""
    from scipy.special import betaincinv

    levels = 0.5 + 0.5 * np.linspace(0, 1, QUANTILES)
    return np.asarray(betaincinv(strength, strength, levels), dtype=np.float64)
