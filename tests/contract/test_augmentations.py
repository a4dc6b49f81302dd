"""Every augmentation: training rows alone, by (seed, epoch, row), whatever the batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from tests.made import (
    as_tensors,
    image_tensor,
    made_examples,
    made_images,
    made_spec,
    short_fit,
    small_model,
    spec_of,
)
from torch import Tensor, nn

from plumbline.config.build import build
from plumbline.config.model import AugmentConfig, TextEncoderConfig, TrainConfig
from plumbline.errors import ParameterError
from plumbline.examples import Examples, InputSpec, TargetSpec, TensorSpec
from plumbline.kinds import TASKS, Task
from plumbline.models import build_model
from plumbline.training.augment import AUGMENTATIONS, Augmentation, Augmenter, choose_augmentations
from plumbline.training.batches import epoch_order
from plumbline.training.build import fit_fresh
from plumbline.training.objectives import OBJECTIVES, Targets
from plumbline.training.row_random import RowRandom
from plumbline.training.sources import UNLIMITED, open_source

pytestmark = pytest.mark.usefixtures("one_thread")
CPU = torch.device("cpu")
SPEC = made_spec(Task.MULTICLASS)
ROWS = 60
TRAIN, VAL = made_examples(SPEC, ROWS, 1), made_examples(SPEC, 31, 2)
TEXT_SPEC = made_spec(Task.MULTICLASS, numbers=0, cardinalities=(), texts=1)
TEXT_TRAIN = made_examples(TEXT_SPEC, ROWS, 1)
IMAGE_SPEC = made_spec(Task.MULTICLASS, numbers=0, cardinalities=(), images=1)
IMAGE_TRAIN = made_examples(IMAGE_SPEC, ROWS, 1)
OF_KIND = {"text": (TEXT_SPEC, TEXT_TRAIN), "image": (IMAGE_SPEC, IMAGE_TRAIN)}
ONLY = {  # for tensors of one kind
    name: kind
    for name, own in AUGMENTATIONS.items()
    for kind in OF_KIND
    if set(own.changes) == {kind}
}
STRENGTH = {name: 45.0 if name == "rotate" else 0.5 for name in AUGMENTATIONS}
each = pytest.mark.parametrize("name", AUGMENTATIONS)


def augmenter(seed: int = 0, spec: InputSpec | None = None, **strengths: float) -> Augmenter:
    """Of texts or images, where they are for those alone."""
    spec = spec or next((OF_KIND[ONLY[n]][0] for n in strengths if n in ONLY), SPEC)
    result = choose_augmentations(AugmentConfig(**strengths), spec, seed)
    assert result is not None
    return result


def changed(
    augmenter: Augmenter,
    order: Tensor,
    *,
    epoch: int = 0,
    size: int = 16,
    limit: int = UNLIMITED,
    examples: Examples | None = None,
) -> dict[str, Tensor]:
    """All rows of an epoch, back in the order in which they lie, read in batches of a size."""
    own = {id(spec): rows for spec, rows in OF_KIND.values()}
    examples = examples or own.get(id(augmenter.spec), TRAIN)
    source = open_source(examples.inputs, CPU, limit)
    bounds = [(a, min(a + size, len(order))) for a in range(0, len(order), size)]
    partners = augmenter.partners(epoch, order)
    batches = list(augmenter.read(source, bounds, epoch, order, partners))
    back = torch.argsort(order)
    return {n: torch.cat([batch[n] for batch in batches])[back] for n in batches[0]}


def equal(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[n], other[n]) for n in one)


def test_each_has_its_parameter() -> None:
    assert [f.name for f in dataclasses.fields(AugmentConfig)] == list(AUGMENTATIONS)
    assert choose_augmentations(AugmentConfig(), SPEC, 0) is None


@each
def test_rows_do_not_depend_on_batches_order_or_source(name: str) -> None:
    own, order = augmenter(**{name: STRENGTH[name]}), epoch_order(0, 0, ROWS)
    whole = changed(own, order, size=ROWS)
    for size in (1, 7):
        assert equal(changed(own, order, size=size), whole)
    assert equal(changed(own, epoch_order(9, 9, ROWS)), whole)
    assert equal(changed(own, order, limit=0), whole)


@each
def test_epoch_and_seed_decide(name: str) -> None:
    own, order = augmenter(**{name: STRENGTH[name]}), torch.arange(ROWS)
    first = changed(own, order)
    assert equal(changed(augmenter(**{name: STRENGTH[name]}), order), first)
    assert not equal(changed(own, order, epoch=1), first)
    assert not equal(changed(augmenter(seed=1, **{name: STRENGTH[name]}), order), first)


@each
def test_shapes_and_types_stay_and_rows_are_not_written_to(name: str) -> None:
    own = augmenter(**{name: STRENGTH[name]})
    rows = (OF_KIND[ONLY[name]][1] if name in ONLY else TRAIN).inputs
    before = as_tensors(rows)
    made = changed(own, torch.arange(ROWS))
    for tensor in own.spec:
        assert made[tensor.name].dtype == before[tensor.name].dtype
        assert made[tensor.name].shape == before[tensor.name].shape
    assert not equal(made, before)
    assert equal(as_tensors(rows), before)


@each
def test_copies_of_a_row_are_changed_apart(name: str) -> None:
    """As resampling makes them, all with the same row number."""
    own = augmenter(**{name: STRENGTH[name]})
    copies = made_examples(own.spec, ROWS, 1).take(np.array([0, 7] * 20))
    made = changed(own, torch.arange(40), examples=copies)
    different = [len(torch.unique(made[own.spec.names[0]][k::2], dim=0)) for k in range(2)]
    assert max(different) > (1 if name == "flip" else 5)  # flipped or not


def history(
    config: TrainConfig, task: Task = Task.MULTICLASS, *, texts: int = 0, images: int = 0
) -> list[dict[str, float]]:
    spec = made_spec(task, texts=texts, images=images)
    train, val = made_examples(spec, ROWS, 1), made_examples(spec, 31, 2)
    # an encoder whose tokens begin at full size, so that a changed one is seen in the loss
    model = small_model("mlp", dropout=0.0, text=TextEncoderConfig(encoder="cnn", dropout=0.0))
    return fit_fresh(model, config, spec, train, val, seed=0).fitted.history


@each
@pytest.mark.parametrize("task", list(TASKS))
def test_training_rows_alone_are_changed(name: str, task: Task) -> None:
    """With a rate too small to move anything, losses are those of the first weights."""
    still = short_fit(epochs=2, learning_rate=1e-12)
    (first, second), (plain, _) = (
        history(
            replace(still, augment=AugmentConfig(**{name: strength})),
            task,
            texts=int(ONLY.get(name) == "text"),
            images=int(ONLY.get(name) == "image"),
        )
        for strength in (STRENGTH[name], 0.0)
    )
    assert first["val_loss"] == pytest.approx(plain["val_loss"], rel=1e-6)
    assert first["train_loss"] != pytest.approx(plain["train_loss"], rel=1e-5)
    assert first["train_loss"] != pytest.approx(second["train_loss"], rel=1e-5)


def test_off_is_the_fit_without() -> None:
    assert history(short_fit(augment=AugmentConfig(noise=0.0, mixup=0.0))) == history(short_fit())


class TestTokens:
    """Padding is no token: it is neither masked nor moved before a token."""

    IDS = torch.tensor([[5, 6, 7, 8, 9, 4], [3, 2, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0]])

    def change(self, name: str, strength: float) -> Tensor:
        rows = RowRandom(seed=0, epoch=0, purpose=name, rows=torch.arange(3))
        return AUGMENTATIONS[name].changes["text"](self.IDS, TEXT_SPEC.tensors[0], strength, rows)

    def test_masked_tokens_are_unknown_in_their_places(self) -> None:
        made = self.change("mask_tokens", 0.5)
        kept = made == self.IDS
        assert (made[~kept] == 1).all() and 0 < (~kept).sum() < 8
        assert ((made == 0) == (self.IDS == 0)).all()

    def test_dropped_tokens_leave_the_others_in_order(self) -> None:
        made = self.change("drop_tokens", 0.5)
        for before, after in zip(self.IDS.tolist(), made.tolist(), strict=True):
            kept = [i for i in after if i]
            assert after == kept + [0] * (6 - len(kept))
            remaining = iter(i for i in before if i)
            assert all(i in remaining for i in kept)
        assert 0 < (made != 0).sum() < 8


class TestImages:
    SPEC = image_tensor(shape=(3, 12, 9))
    ROWS = torch.from_numpy(made_images(SPEC, 50))
    OWN = tuple(name for name, kind in ONLY.items() if kind == "image")

    def change(self, name: str, strength: float, rows: Tensor | None = None) -> Tensor:
        rows = self.ROWS if rows is None else rows
        random = RowRandom(seed=0, epoch=0, purpose=name, rows=torch.arange(len(rows)))
        return AUGMENTATIONS[name].changes["image"](rows, self.SPEC, strength, random)

    @pytest.mark.parametrize("name", OWN)
    def test_a_missing_image_stays_missing_and_no_other_becomes_so(self, name: str) -> None:
        dark = torch.zeros_like(self.ROWS)
        dark[1:, 0, 0, 0] = 1
        for rows in (self.ROWS, dark):
            made = self.change(name, 0.9, rows)
            assert torch.equal((made != 0).flatten(1).any(1), (rows != 0).flatten(1).any(1))

    @pytest.mark.parametrize("name", OWN)
    def test_a_plain_image_keeps_its_color_but_where_it_is_meant_to_change(self, name: str) -> None:
        plain = torch.full((20, 3, 12, 9), 77, dtype=torch.uint8)
        made = self.change(name, 0.5, plain)
        assert bool((made == 77).all()) == (name not in ("recolor", "erase"))

    def test_a_shift_moves_by_whole_pixels_and_repeats_the_edge(self) -> None:
        made = self.change("shift", 0.25)
        moves = set()
        for before, after in zip(self.ROWS.numpy(), made.numpy(), strict=True):
            padded = np.pad(before, ((0, 0), (3, 3), (3, 3)), mode="edge")
            fits = {
                (dy, dx)
                for dy in range(-3, 4)
                for dx in range(-2, 3)
                if (padded[:, 3 - dy : 15 - dy, 3 - dx : 12 - dx] == after).all()
            }
            assert fits
            moves |= fits if len(fits) == 1 else set()
        assert {dy for dy, _ in moves} == set(range(-3, 4))
        assert {dx for _, dx in moves} == set(range(-2, 3))

    def test_a_half_turn_is_one(self) -> None:
        """Angles are even over the range: of 180 degrees some are near it."""
        row = self.ROWS[:1].expand(400, -1, -1, -1)
        made = self.change("rotate", 180.0, row).float()
        turned = self.ROWS[:1].flip(2, 3).float()
        assert (made - turned).abs().mean((1, 2, 3)).min() < 20
        assert (made - self.ROWS[:1].float()).abs().mean((1, 2, 3)).min() < 20

    def test_a_rectangle_is_erased_to_the_mean_color(self) -> None:
        made = self.change("erase", 0.5)
        erased = (made != self.ROWS).any(1)
        assert (made.permute(0, 2, 3, 1)[erased] == 120).all()
        share = erased.float().mean((1, 2))
        assert 0.35 < share.max() <= 0.6 and share.min() < 0.1

    def test_a_paste_is_of_the_other_image_for_the_share_that_is_not_the_own(self) -> None:
        spec = made_spec(Task.BINARY, numbers=0, cardinalities=(), images=1)
        rows = made_examples(spec, 200)
        own, order = augmenter(spec=spec, cutmix=1.0), torch.arange(200)
        partners = own.partners(0, order)
        assert partners is not None
        before = torch.from_numpy(rows.inputs["image_0"])
        other = before[partners.rows]
        made = changed(own, order, examples=rows)["image_0"]
        assert ((made == before) | (made == other)).all()
        there = (before != 0).flatten(1).any(1) & (other != 0).flatten(1).any(1)
        there &= partners.rows != order
        pasted = (made != before).any(1).float().mean((1, 2))[there]
        assert (pasted - (1 - partners.share[there])).abs().mean() < 0.05


class TestNoise:
    def test_it_is_normal_in_units_of_the_scaled_numbers(self) -> None:
        spec = made_spec(numbers=5)
        rows = made_examples(spec, 4000)
        own = augmenter(spec=spec, noise=0.25)
        made = changed(own, torch.arange(4000), size=500, examples=rows)["num"].numpy()
        noise = (made - rows.inputs["num"]) / 0.25
        assert stats.kstest(noise.ravel(), "norm").pvalue > 0.001
        correlation = np.corrcoef(noise.T) - np.eye(5)
        assert np.abs(correlation).max() < 0.06

    def test_features_of_one_column_move_together(self) -> None:
        spec = spec_of(
            task=Task.BINARY,
            num_names=("a", "a linear", "b"),
            num_sources=("a", "a", "b"),
            classes=("no", "yes"),
        )
        own, rows = augmenter(spec=spec, noise=1.0), made_examples(spec, 30)
        noise = (
            changed(own, torch.arange(30), examples=rows)["num"] - as_tensors(rows.inputs)["num"]
        )
        assert torch.allclose(noise[:, 0], noise[:, 1], atol=1e-6)
        assert not torch.allclose(noise[:, 0], noise[:, 2], atol=1e-2)


class TestMixup:
    def test_rows_lie_between_two_with_codes_of_either(self) -> None:
        own, order = augmenter(mixup=1.0), torch.arange(ROWS)
        partners = own.partners(0, order)
        assert partners is not None
        made, before = changed(own, order), as_tensors(TRAIN.inputs)
        kept = partners.share.float()[:, None]
        num = kept * before["num"] + (1 - kept) * before["num"][partners.rows]
        assert torch.equal(made["num"], num)
        either = (made["cat"] == before["cat"]) | (made["cat"] == before["cat"][partners.rows])
        assert bool(either.all())

    @pytest.mark.parametrize("alpha", [1e-4, 0.2, 1.0, 8.0, 100.0])
    def test_shares_are_the_larger_part_of_a_beta(self, alpha: float) -> None:
        partners = augmenter(mixup=alpha).partners(0, torch.arange(5000))
        assert partners is not None
        share = partners.share.numpy()
        assert share.min() >= 0.5 and share.max() <= 1
        drawn = np.random.default_rng(0).beta(alpha, alpha, 5000)
        assert stats.ks_2samp(share, np.maximum(drawn, 1 - drawn), method="asymp").pvalue > 0.001
        assert stats.kstest(partners.rows.numpy() / 5000, "uniform").pvalue > 0.001

    def test_the_loss_is_of_both_targets_with_the_weight_of_each(self) -> None:
        """One step over all rows, by hand; a weight of zero counts for nothing on either side."""
        weight = np.random.default_rng(0).random(ROWS).astype(np.float32)
        weight[:20] = 0
        rows, own = replace(TRAIN, weight=weight), augmenter(mixup=1.0)
        config = short_fit(
            epochs=1, learning_rate=1e-12, batch_size=0, augment=AugmentConfig(mixup=1.0)
        )
        model = small_model("mlp", dropout=0.0)
        train_loss = fit_fresh(model, config, SPEC, rows, VAL, seed=0).fitted.history[0][
            "train_loss"
        ]
        order = torch.arange(ROWS)
        partners = own.partners(0, order)
        assert partners is not None
        with torch.no_grad():
            output = build_model(model, SPEC, seed=0).eval()(**changed(own, order))[:, 0]
        y, w = torch.from_numpy(rows.y), torch.from_numpy(weight)
        one, other = (
            nn.functional.cross_entropy(output, target, reduction="none")
            for target in (y, y[partners.rows])
        )
        w1, w2 = partners.share * w, (1 - partners.share) * w[partners.rows]
        wanted = ((w1 * one).sum() + (w2 * other).sum()) / (w1.sum() + w2.sum())
        assert train_loss == pytest.approx(wanted.item(), rel=1e-5)


class TestObjectives:
    def test_mixed_with_nothing_of_the_other_is_plain(self) -> None:
        y, weight = torch.tensor([0, 1, 2]), torch.tensor([1.0, 2.0, 0.5])
        output = torch.randn(3, 1, 3, generator=torch.Generator().manual_seed(0))

        def loss(output: Tensor, y: Tensor) -> Tensor:
            return nn.functional.cross_entropy(output[:, 0], y, reduction="none")

        both = Targets(y=y, weight=weight, other_y=y.flip(0), other_weight=torch.zeros(3))
        mixed = OBJECTIVES["mixed"](lambda _: output, {}, both, loss)
        plain = OBJECTIVES["plain"](lambda _: output, {}, Targets(y=y, weight=weight), loss)
        assert mixed == plain
        part = both.take(1, 3)
        assert part.other_y is not None and part.other_y.tolist() == [1, 0]
        assert part.total_weight.tolist() == [2.0, 0.5]


class TestOtherKinds:
    """What a new kind of tensor has to bring."""

    SOUNDS = InputSpec(
        tensors=(replace(image_tensor(shape=(1, 2, 2)), name="sound", kind="sound"),),
        target=TargetSpec(task=Task.BINARY, classes=("no", "yes")),
    )

    @each
    def test_what_cannot_be_changed_is_refused(self, name: str) -> None:
        with pytest.raises(ParameterError) as caught:
            augmenter(spec=self.SOUNDS, **{name: 0.1})
        assert caught.value.where == f"train.augment.{name}"
        assert "Set it to 0" in str(caught.value)

    def test_a_kind_that_cannot_be_mixed_is_refused_by_column(self) -> None:
        both = replace(SPEC, tensors=(*SPEC.tensors, *self.SOUNDS.tensors))
        with pytest.raises(ParameterError, match="mixup cannot mix the sound of column 'i0'"):
            augmenter(spec=both, mixup=0.2)
        assert augmenter(spec=both, noise=0.2).strengths == {"noise": 0.2}

    def test_two_that_mix_rows_are_refused(self) -> None:
        with pytest.raises(ParameterError, match=r"cutmix: mixup and cutmix both mix rows"):
            augmenter(spec=IMAGE_SPEC, mixup=0.2, cutmix=0.2)

    def test_it_is_added_by_an_entry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def flip(x: Tensor, tensor: TensorSpec, strength: float, random: RowRandom) -> Tensor:
            mirrored = random.uniform(1)[:, 0] < strength
            return torch.where(mirrored[:, None, None, None], x.flip(-1), x)

        changes: dict[str, Any] = {**AUGMENTATIONS["noise"].changes, "sound": flip}
        monkeypatch.setitem(AUGMENTATIONS, "noise", Augmentation(changes=changes))
        images = np.arange(4 * ROWS, dtype=np.uint8).reshape(ROWS, 1, 2, 2)
        rows = replace(TRAIN, inputs={"sound": images})
        made = changed(augmenter(spec=self.SOUNDS, noise=0.5), torch.arange(ROWS), examples=rows)
        whole = torch.from_numpy(images)
        flipped = (made["sound"] == whole.flip(-1)).all(dim=(1, 2, 3))
        assert made["sound"].dtype == torch.uint8
        assert torch.equal(made["sound"][~flipped], whole[~flipped])
        assert 10 < int(flipped.sum()) < 50


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"noise": -0.1}, r"train\.augment\.noise: .*greater than or equal to 0"),
        ({"noise": 11}, r"train\.augment\.noise: .*less than or equal to 10"),
        ({"mixup": 101}, r"train\.augment\.mixup: .*less than or equal to 100"),
        ({"mixup": "much"}, r"train\.augment\.mixup: .*a valid number"),
        ({"mixups": 0.2}, r"train\.augment\.mixups: unknown key.*mixup"),
        ("noise", r"train\.augment: "),
    ],
)
def test_wrong_values_are_refused(given: Any, message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        build(TrainConfig, {"augment": given}, "train")


class TestRowRandom:
    def random(self, rows: Tensor, seed: int = 0, epoch: int = 0, purpose: str = "x") -> RowRandom:
        return RowRandom(seed=seed, epoch=epoch, purpose=purpose, rows=rows)

    def test_bits_are_even(self) -> None:
        bits = self.random(torch.arange(2000)).bits(10)
        for place in range(64):
            assert ((bits >> place) & 1).double().mean().item() == pytest.approx(0.5, abs=0.015)
        assert len(torch.unique(bits)) == bits.numel()

    def test_each_key_has_numbers_of_its_own(self) -> None:
        rows = torch.arange(100)
        keys = [self.random(rows), self.random(rows + 100)]
        keys += [
            self.random(rows, seed=1),
            self.random(rows, epoch=1),
            self.random(rows, purpose="y"),
        ]
        drawn = torch.cat([key.uniform(3) for key in keys])
        assert len(torch.unique(drawn)) == drawn.numel()
        assert drawn.min() >= 0 and drawn.max() < 1

    @pytest.mark.parametrize("count", [1, 2, 5])
    def test_a_row_has_the_same_numbers_beside_others(self, count: int) -> None:
        rows = torch.tensor([5, 1_000_000_007, 0, 3])
        whole = self.random(rows).normal(count)
        assert whole.shape == (4, count) and whole.dtype == torch.float32
        for place in range(4):
            assert torch.equal(self.random(rows[place : place + 1]).normal(count)[0], whole[place])
