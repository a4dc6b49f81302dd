"""Every image encoder keeps the contract of `IMAGE_ENCODERS`."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tests.made import image_tensor, made_images
from torch import Tensor

from plumbline.config.image import (
    ImageColumnConfig,
    ImageEncoderConfig,
    ImageEncoderName,
    ImagePool,
)
from plumbline.config.model import ModelConfig
from plumbline.errors import ParameterError
from plumbline.examples import InputSpec, TargetSpec
from plumbline.export.onnx_graph import to_onnx
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import Task
from plumbline.models.deployed import Deployed
from plumbline.models.image import IMAGE_ENCODERS, ImageFeatures
from plumbline.models.image_cnn import POOLS

CASES = [("cnn", "max"), ("cnn", "average"), ("resnet", "max"), ("vit", "max")]
each = pytest.mark.parametrize(("encoder", "pool"), CASES)
SHAPE = (3, 18, 13)


def features(
    encoder: str, pool: str, shape: tuple[int, int, int] = SHAPE, *, seed: int = 0, **more: Any
) -> ImageFeatures:
    sizes: Any = {"width": 16, "heads": 2, "dropout": 0.0, **more}
    image = ImageEncoderConfig(encoder=encoder, pool=pool, **sizes)  # type: ignore[arg-type]
    torch.manual_seed(seed)
    return ImageFeatures(ModelConfig(image=image), image_tensor(shape=shape)).eval()


def images(n: int = 12, shape: tuple[int, int, int] = SHAPE) -> Tensor:
    """The third is missing."""
    return torch.from_numpy(made_images(image_tensor(shape=shape), n))


def test_choices_and_parameters_agree() -> None:
    assert set(IMAGE_ENCODERS) == set(get_args(ImageEncoderName)) == {e for e, _ in CASES}
    assert set(POOLS) == set(get_args(ImagePool)) == {p for _, p in CASES}


@each
@pytest.mark.parametrize("shape", [SHAPE, (1, 28, 28), (3, 1, 1), (3, 64, 40), (1, 2, 33)])
def test_any_image_has_finite_features(
    encoder: str, pool: str, shape: tuple[int, int, int]
) -> None:
    """A row's own, whatever its batch."""
    made, rows = features(encoder, pool, shape), images(5, shape)
    out = made(rows)
    assert out.shape == (5, 17) == (5, sum(made.chunks)) and torch.isfinite(out).all()
    torch.testing.assert_close(made(rows[3:4]), out[3:4], atol=1e-5, rtol=1e-4)


@each
def test_a_missing_image_is_marked_and_has_no_features(encoder: str, pool: str) -> None:
    out = features(encoder, pool)(images())
    assert out[:, -1].tolist() == [1, 1, 0, *[1] * 9]
    assert not out[2, :-1].any() and out[0, :-1].any()


@each
def test_where_things_are_counts(encoder: str, pool: str) -> None:
    made, rows = features(encoder, pool), images(1)
    assert not torch.allclose(made(rows), made(rows.flip(3)), atol=1e-4)


@each
def test_the_same_seed_gives_the_same_bytes(encoder: str, pool: str) -> None:
    first, again, other = (features(encoder, pool, seed=s).state_dict() for s in (3, 3, 4))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


@each
def test_state_is_all_that_it_learned(encoder: str, pool: str) -> None:
    made, fresh = features(encoder, pool, seed=1), features(encoder, pool, seed=2)
    fresh.load_state_dict(made.state_dict())
    assert torch.equal(made(images()), fresh(images()))


@each
def test_every_weight_learns(encoder: str, pool: str) -> None:
    made = features(encoder, pool).train()
    weights = torch.randn(17, generator=torch.Generator().manual_seed(0))
    (made(images()) * weights).square().sum().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name


@each
def test_it_learns_from_the_target(encoder: str, pool: str) -> None:
    """A bright half, above or below."""
    made = features(encoder, pool).train()
    rng = np.random.default_rng(1)
    y = rng.integers(0, 2, 64)
    rows = rng.integers(0, 120, (64, *SHAPE), dtype=np.uint8)
    rows[y == 1, :, :9] += 100
    rows[y == 0, :, 9:] += 100
    head = torch.nn.Linear(17, 2)
    optimizer = torch.optim.AdamW([*made.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(40):
        loss = torch.nn.functional.cross_entropy(
            head(made(torch.from_numpy(rows))), torch.from_numpy(y)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


@each
def test_dropout_follows_the_row_and_the_step(encoder: str, pool: str) -> None:
    made, rows = features(encoder, pool, dropout=0.5).train(), images(8)
    whole = made(rows)
    noise = made.dropout.noise
    noise.start, noise.stop, noise.total = 4, 8, 8
    half = made(rows[4:])
    torch.testing.assert_close(half, whole[4:], atol=1e-5, rtol=1e-4)
    noise.step = 1
    assert not torch.allclose(made(rows[4:]), half)


class Alone(torch.nn.Module):
    """An encoder and nothing else but a linear layer: (B, C, H, W) to (B, 1, 2)."""

    def __init__(self, made: ImageFeatures) -> None:
        super().__init__()
        self.made, self.head = made, torch.nn.Linear(sum(made.chunks), 2)

    def forward(self, image_0: Tensor) -> Tensor:
        out: Tensor = self.head(self.made(image_0))[:, None]
        return out


@each
def test_the_exported_graph_gives_the_same(encoder: str, pool: str) -> None:
    model, rows = Alone(features(encoder, pool)).eval(), images()
    target = TargetSpec(task=Task.BINARY, classes=("no", "yes"))
    spec = InputSpec(tensors=(image_tensor(shape=SHAPE),), target=target)
    graph = OnnxPredictor(to_onnx(model, spec, target=None, temperature=1.3, opset=18, metadata={}))
    with torch.no_grad():
        wanted = Deployed(model, spec.task, None, 1.3).eval()(image_0=rows).numpy()
    assert_allclose(graph({"image_0": rows.numpy()}), wanted, atol=1e-5)
    assert_allclose(graph({"image_0": rows[:1].numpy()}), wanted[:1], atol=1e-5)


def test_a_column_has_its_own_encoder_where_it_is_given_one() -> None:
    own = {"i0": ImageColumnConfig(encoder="resnet", width=10)}
    made = ImageFeatures(
        ModelConfig(image=ImageEncoderConfig(columns=own)), image_tensor(shape=SHAPE)
    )
    assert type(made.body).__name__ == "ImageResNet" and made.chunks == [11]
    other = ImageFeatures(
        ModelConfig(image=ImageEncoderConfig(columns={"other": own["i0"]})),
        image_tensor(shape=SHAPE),
    )
    assert type(other.body).__name__ == "ImageCNN" and other.chunks == [129]


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"model.image.width.*multiple of 3"):
        features("vit", "max", heads=3)


@pytest.mark.parametrize("shape", [SHAPE, (1, 28, 28), (3, 7, 5)])
def test_attention_is_shared_by_the_pixels_of_each_patch(shape: tuple[int, int, int]) -> None:
    made, rows = features("vit", "max", shape, patch=4), images(5, shape)
    paid = made.attention_map(rows)
    assert paid is not None and paid.shape == (5, shape[1] * shape[2]) and (paid >= 0).all()
    assert (paid.sum(1) < 1).all() and (paid.sum(1) > 0.5).all()  # the rest: the class token
    first = paid.reshape(5, *shape[1:])[:, :4, :4].flatten(1)
    assert_allclose(first.detach(), first[:, :1].expand_as(first).detach())
    assert features("cnn", "max").attention_map(images()) is None
