"""On a GPU a fit is what it is on a CPU: each network, half precision, compiled, NCCL, in shards.

Skipped without a GPU; `PLUMBLINE_TEST_DEVICE=cpu` runs the same on a CPU, to try the tests.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from tests.group import in_group
from tests.made import (
    curves,
    made_checkout,
    made_examples,
    made_spec,
    plumbline,
    short_fit,
    small_model,
)
from tests.stages import test_bag

from plumbline.config.image import ImageEncoderConfig, ImageEncoderName
from plumbline.config.model import (
    AugmentConfig,
    ModelConfig,
    ModelName,
    TextEncoderConfig,
    TextEncoderName,
)
from plumbline.kinds import Task
from plumbline.training.build import fit_fresh
from plumbline.training.device import set_up
from plumbline.training.distributed import SINGLE_PROCESS, World

AUGMENTED = AugmentConfig(
    flip=0.5, shift=0.1, rotate=10, zoom=0.1, recolor=0.2, erase=0.2, mask_tokens=0.1, mixup=0.2
)
FREE: dict[str, Any] = {"dropout": 0.0}  # a device has random numbers of its own for masks
CELL: dict[str, Any] = {**FREE, "width": 16, "heads": 2}
NETWORKS: dict[str, ModelConfig] = {
    **{name: small_model(name, **FREE) for name in get_args(ModelName)},
    **{
        f"image, {name}": small_model("mlp", **FREE, image=ImageEncoderConfig(encoder=name, **CELL))
        for name in get_args(ImageEncoderName)
    },
    **{
        f"text, {name}": small_model("mlp", **FREE, text=TextEncoderConfig(encoder=name, **CELL))
        for name in get_args(TextEncoderName)
    },
}
NEAR = 5e-3  # convolutions on a GPU round as TF32
SOME = ("ft_transformer", "tabm", "image, resnet", "image, vit", "text, gru", "text, transformer")


class Several(int):
    """One process that goes the ways of several: what it compares itself with is less."""

    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        return False

    def __gt__(self, other: int) -> bool:
        return True


@pytest.fixture(scope="module")
def device() -> torch.device:
    name = "cuda" if torch.cuda.is_available() else os.environ.get("PLUMBLINE_TEST_DEVICE")
    if name is None:
        pytest.skip("no GPU is at hand")
    return torch.device(name, 0 if name == "cuda" else None)


@pytest.fixture(autouse=True)
def repeatable(device: torch.device) -> Any:
    threads = torch.get_num_threads()
    set_up(device, 1)
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


def fit(name: str, world: World, **more: Any) -> dict[str, Any]:
    kind = name.split(",")[0]
    spec = made_spec(Task.MULTICLASS, texts=kind == "text", images=kind == "image")
    train, val = made_examples(spec, 70, 1), made_examples(spec, 31, 2)
    config = short_fit(**{"learning_rate": 1e-3, **more})
    fitted = fit_fresh(NETWORKS[name], config, spec, train, val, seed=3, world=world).fitted
    weights = {key: tensor.numpy() for key, tensor in fitted.weights.items()}
    return {"history": fitted.history, "weights": weights}


def assert_near(ours: list[dict[str, float]], wanted: list[dict[str, float]], rel: float) -> None:
    assert len(ours) == len(wanted)
    for own, other in zip(ours, wanted, strict=True):
        assert own == pytest.approx(other, rel=rel)


@pytest.mark.parametrize("name", list(NETWORKS))
def test_the_loss_curve_is_that_of_a_cpu_and_repeats(name: str, device: torch.device) -> None:
    world = World(device=device)
    ours, again = fit(name, world), fit(name, world)
    assert_near(ours["history"], fit(name, SINGLE_PROCESS)["history"], NEAR)
    assert ours["history"] == again["history"]
    for key, weight in ours["weights"].items():
        assert np.array_equal(weight, again["weights"][key]), key


@pytest.mark.parametrize("name", ["image, cnn", "text, mean"])
def test_augmented_rows(name: str, device: torch.device) -> None:
    """What is drawn follows the rows, not the device."""
    kind = name.split(",")[0]
    keys = {"image": ("flip", "shift", "rotate", "zoom", "recolor", "erase"), "text": ()}[kind]
    own = {key: getattr(AUGMENTED, key) for key in keys} or {"mask_tokens": 0.1}
    augment = AugmentConfig(mixup=0.2, **own)
    ours = fit(name, World(device=device), augment=augment)
    assert_near(ours["history"], fit(name, SINGLE_PROCESS, augment=augment)["history"], 1e-2)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", SOME)
def test_half_precision(name: str, precision: str, device: torch.device) -> None:
    world = World(device=device)
    ours = fit(name, world, precision=precision)
    assert_near(ours["history"], fit(name, world)["history"], 0.1)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch's own compiler
@pytest.mark.parametrize("name", ["mlp", "image, cnn"])
def test_compiled(name: str, device: torch.device) -> None:
    torch._dynamo.reset()
    ours = fit(name, World(device=device, compile=True))
    assert_near(ours["history"], fit(name, World(device=device))["history"], NEAR)


def fit_some(world: World) -> dict[str, Any]:
    """By the collective operations of the group, gradients or parameters spread over it."""
    world = replace(world, size=Several(1))
    return {
        f"{name}, shard {shard}": fit(name, replace(world, shard=shard))
        for name in ("mlp", "image, cnn", "text, mean")
        for shard in (False, True)
    }


def test_a_group_of_one_process(tmp_path: Path, device: torch.device) -> None:
    """NCCL on a GPU: DistributedDataParallel, FSDP2, sums and copies."""
    (results,) = in_group(1, tmp_path, fit_some, device=device.type)
    for name, result in results.items():
        alone = fit(name.rsplit(",", 1)[0], World(device=device))
        assert_near(result["history"], alone["history"], NEAR)


def test_the_stage_by_the_launcher(tmp_path: Path, device: torch.device) -> None:
    spec, seen = made_spec(Task.MULTICLASS, texts=1, images=1), []
    for engine in ("process", "launcher"):
        runtime = {"device": device.type, "engine": engine}
        paths = made_checkout(tmp_path / engine, spec, runtime=runtime)
        done = plumbline(paths.root, "train")
        assert done.returncode == 0, done.stderr
        seen.append(curves(paths))
    assert_near(*seen, rel=1e-6)


def test_a_bag_from_the_split_to_the_weights(tmp_path: Path, device: torch.device) -> None:
    files = []
    for name in ("one", "again"):
        runtime = {"threads": 1, "device": device.type}
        _, paths = test_bag.fitted(tmp_path / name, runtime=runtime)
        files.append((paths.model / "weights.safetensors").read_bytes())
    assert files[0] == files[1]
