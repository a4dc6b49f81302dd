"""The patches of an image, explained: cut by its size, and the patches that count first."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from tests.made import image_tensor, small_model

from plumbline.config.image import ImageEncoderConfig
from plumbline.evaluation import gradients
from plumbline.evaluation.cell_parts import CellExplanation, explain_cells, faithfulness_of
from plumbline.evaluation.explanation import Case, explain
from plumbline.evaluation.explanation_budget import CellEffort, activation_bytes, operations
from plumbline.evaluation.gradients import integrated_gradients, saliency
from plumbline.evaluation.image_parts import (
    OpenImage,
    absent_image,
    count_patches,
    open_image,
    patch_edges,
)
from plumbline.evaluation.masker import Masker
from plumbline.examples import InputSpec, TargetSpec
from plumbline.inference.torch_predictor import TorchPredictor
from plumbline.kinds import Task
from plumbline.models import build_model
from plumbline.models.deployed import Deployed

SIDE, SQUARE = 14, 4  # pixels; a patch has two
MODELS = [("cnn", "mlp"), ("resnet", "perceptron"), ("vit", "ft_transformer")]


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((28, 28), (7, 7)),
        ((64, 64), (7, 7)),
        ((45, 90), (5, 10)),
        ((1, 1), (1, 1)),
        ((1, 9), (1, 9)),
    ],
)
def test_patches_follow_from_the_size(shape: tuple[int, int], wanted: tuple[int, int]) -> None:
    edges = patch_edges(*shape)
    assert tuple(len(each) - 1 for each in edges) == wanted
    assert count_patches(*shape) == wanted[0] * wanted[1]
    for each, length in zip(edges, shape, strict=True):
        assert each[0] == 0 and each[-1] == length and all(np.diff(each) > 0)


def test_an_absent_patch_shows_the_mean_and_no_image_is_missing_for_it() -> None:
    images = np.zeros((3, 1, 14, 14), dtype=np.uint8)
    images[0], images[1, :, 3:] = 100, 50  # the third is missing
    absent = absent_image(images)
    assert absent[0, 0, 0] == 50 and absent[0, 5, 0] == 75
    black = np.zeros((1, 14, 14), dtype=np.uint8)
    black[0, 0, 0] = 200
    cell = open_image("i", 0, {"image_0": black}, {"image_0": absent_image(images[2:])})
    assert cell is not None
    present = np.ones((1, 49), dtype=bool)
    present[0, 0] = False
    assert cell.maskers["image_0"].mix(present, black[None], cell.absent["image_0"]).any()
    assert open_image("i", 2, {"image_0": images[2]}, {"image_0": absent}) is None


def test_networks_that_read_other_sizes_have_the_same_patches() -> None:
    own = {"a": np.full((1, 28, 14), 9, np.uint8), "b": np.full((1, 56, 32), 9, np.uint8)}
    absent = {name: np.ones_like(pixels) for name, pixels in own.items()}
    cell = open_image("i", 0, own, absent)
    assert cell is not None
    down, across = (len(each) - 1 for each in cell.edges)
    present = np.ones((1, down * across), dtype=bool)
    present[0, across + 1] = False  # second row, second column
    for name, masker in cell.maskers.items():
        mixed = masker.mix(present, own[name][None], cell.absent[name])[0, 0]
        rows, columns = np.nonzero(mixed == 1)
        height, width = mixed.shape
        share = len(rows) / mixed.size * down * across
        assert share == pytest.approx(1, abs=0.4)
        assert rows.mean() / height == pytest.approx(1.5 / down, abs=0.05)
        assert columns.mean() / width == pytest.approx(1.5 / across, abs=0.08)


def made(n: int, seed: int) -> tuple[Any, Any, Any]:
    """Dark noise; in some there is a bright square. Its place (n, 2) is in pixels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(1, 60, (n, 1, SIDE, SIDE), dtype=np.uint8)
    y = np.arange(n) % 2
    places = 2 * rng.integers(0, (SIDE - SQUARE) // 2 + 1, (n, 2))
    for i, (down, across) in enumerate(places.tolist()):
        if y[i]:
            images[i, 0, down : down + SQUARE, across : across + SQUARE] = 230
    return images, y, places


@cache
def case(encoder: str, model: str, steps: int = 20, n: int = 4) -> tuple[Case, Any]:
    """A network that has learned to see the square, and where it is in the explained rows."""
    tensor = image_tensor(shape=(1, SIDE, SIDE))
    target = TargetSpec(task=Task.BINARY, classes=("no", "yes"))
    spec = InputSpec(tensors=(tensor,), target=target)
    image = ImageEncoderConfig(encoder=encoder, width=16, heads=2, dropout=0.0)  # type: ignore[arg-type]
    network = build_model(small_model(model, image=image, dropout=0.0), spec, seed=0)
    images, y, _ = made(256, 0)
    optimizer = torch.optim.AdamW(network.parameters(), lr=5e-3)
    for step in range(steps):
        some = slice(step % 4 * 64, step % 4 * 64 + 64)
        output = network(image_0=torch.from_numpy(images[some]))  # (B, K, C)
        truth = torch.from_numpy(y[some]).float()[:, None].expand(output.shape[:2])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(output[..., -1], truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    images, y, places = made(2 * n, 1)
    return Case(
        predict=TorchPredictor(network.eval(), spec.task),
        deployed=Deployed(network, spec.task, None, 1.0).eval(),
        architecture=network,
        masker=Masker.of(spec),
        rows={"image_0": images[y == 1]},
        numbers=np.arange(n),
        background={"image_0": made(20, 2)[0]},
        outputs=np.ones(n, dtype=np.int64),
        of="probability",
        classes=("no", "yes"),
        picks=(),
        seed=0,
    ), places[y == 1]


def explained(own: Case) -> list[CellExplanation[OpenImage]]:
    absent, rows = {"image_0": absent_image(own.background["image_0"])}, own.rows["image_0"]
    cells = [open_image("i", i, {"image_0": row}, absent) for i, row in enumerate(rows)]
    effort = CellEffort(rows=len(rows), pairs=2, samples=100)
    return explain_cells(own, [cell for cell in cells if cell is not None], effort)


@pytest.mark.parametrize(("encoder", "model"), MODELS)
def test_every_method_has_values_that_add_up(encoder: str, model: str) -> None:
    result = explained(case(encoder, model, 0, 2)[0])
    wanted = {"shap", "lime", "integrated_gradients", "saliency"}
    assert len(result) == 2
    for each in result:
        assert set(each.values) == wanted | ({"attention"} if encoder == "vit" else set())
        assert all(values.shape == (49,) for values in each.values.values())
        assert all(np.isfinite(values).all() for values in each.values.values())
        assert_allclose(each.values["shap"].sum(), each.prediction - each.base, atol=1e-9)
        if encoder == "vit":
            assert 0 < each.values["attention"].sum() <= 1
    tested = faithfulness_of(result)["i"]
    assert set(tested) == set(result[0].values) and tested["shap"].rows == 2


def test_the_patches_that_count_come_first() -> None:
    own, places = case("cnn", "mlp")
    result = explained(own)
    for each, (down, across) in zip(result, places.tolist(), strict=True):
        assert each.prediction > 0.8 > 0.4 > each.base
        for method in ("shap", "lime", "integrated_gradients"):
            row, column = divmod(int(each.values[method].argmax()), 7)
            assert down - 1 <= 2 * row < down + SQUARE + 1, method
            assert across - 1 <= 2 * column < across + SQUARE + 1, method
        assert_allclose(
            each.values["integrated_gradients"].sum(), each.prediction - each.base, atol=0.05
        )
    tested = faithfulness_of(result)["i"]
    for method in ("shap", "lime"):  # of few rows, which show it only where all agree
        assert tested[method].area > tested[method].random > tested[method].reversed, method


def test_passes_with_gradients_take_as_many_rows_as_fit_into_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    own, _ = case("cnn", "mlp", 0)
    sizes: list[int] = []
    network = own.deployed
    handle = network.register_forward_pre_hook(
        lambda module, given, named: sizes.append(len(named["image_0"])), with_kwargs=True
    )
    arguments = (network, own.rows, own.background, own.masker, own.outputs)
    whole = integrated_gradients(*arguments), saliency(*arguments)
    assert max(sizes) == 4
    monkeypatch.setattr(gradients, "MEMORY", 3 * activation_bytes(network, own.rows))
    sizes.clear()
    parts = integrated_gradients(*arguments), saliency(*arguments)
    handle.remove()
    assert max(sizes) == 3
    assert_allclose(parts, whole, atol=1e-5)


def test_the_same_seed_gives_the_same_values() -> None:
    own, _ = case("cnn", "mlp", 0, 2)
    for a, b in zip(explained(own), explained(own), strict=True):
        for method in a.values:
            assert_array_equal(a.values[method], b.values[method])


def test_a_single_column_has_values_and_no_ranking_to_test() -> None:
    own, _ = case("cnn", "mlp", 0, 2)
    result = explain(own, pairs=1, lime_samples=20, faithfulness_rows=2)
    assert set(result.ranking("integrated_gradients")) == {"i0"}
    assert result.faithfulness == {}


def test_a_weight_costs_as_often_as_it_is_used() -> None:
    spec = InputSpec(
        tensors=(image_tensor(shape=(1, 8, 8)),),
        target=TargetSpec(task=Task.BINARY, classes=("no", "yes")),
    )

    class Network(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.part = torch.nn.Conv2d(1, 3, 3, padding=1, bias=False)
            self.last = torch.nn.LSTM(8, 4, bias=False)

        def forward(self, image_0: torch.Tensor) -> torch.Tensor:
            self.part(image_0.float())
            out: torch.Tensor = self.last(image_0[:, 0].float().transpose(0, 1))[0]
            return out

    weights = sum(p.numel() for p in torch.nn.LSTM(8, 4, bias=False).parameters())
    assert operations(Network(), spec) == 1 + 2 * (27 * 64 + weights * 8)
