"""Two processes do what one does: the same loss curve for every family, and a dead one restarts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from tests.group import in_group
from tests.made import made_examples, made_spec, short_fit, small_model

from plumbline.config.image import ImageEncoderConfig
from plumbline.config.model import (
    AugmentConfig,
    ModelConfig,
    ModelName,
    TextEncoderConfig,
    TrainConfig,
)
from plumbline.kinds import Task
from plumbline.training.build import fit_fresh
from plumbline.training.distributed import SINGLE_PROCESS, World

pytestmark = pytest.mark.usefixtures("one_thread")

Case = tuple[Task, ModelConfig, TrainConfig]
DROPPED = {"dropout": 0.3, "depth": 2}

CASES: dict[str, Case] = {
    **{
        name: (Task.MULTICLASS, small_model(name, **DROPPED), short_fit())
        for name in get_args(ModelName)
    },
    **{
        f"{name}, batch norm": (
            Task.BINARY,
            small_model(name, normalization="batch", **DROPPED),
            # a last batch of one row, which joins the batch before it
            short_fit(batch_size=23, schedule="onecycle"),
        )
        for name in ("mlp", "resmlp", "tabm", "tabm_mini")
    },
    "regression": (
        Task.REGRESSION,
        small_model("mlp", number_embedding="piecewise_linear"),
        short_fit(target_transform="quantile", loss="huber", optimizer="sgd"),
    ),
    "everything at once": (
        Task.MULTICLASS,
        small_model("tabm", number_embedding="periodic", normalization="layer", **DROPPED),
        short_fit(
            accumulate=3,
            average=0.9,
            l1=1e-3,
            clip_norm=0.5,
            class_weights="balanced",
            label_smoothing=0.1,
            warmup_epochs=1.0,
            schedule="cosine",
            weight_decay=0.1,
        ),
    ),
    **{
        f"{name}, sharded": (
            Task.MULTICLASS,
            # large enough for shards of their own; a low rate, or rounding grows by chaos
            small_model(name, **{**DROPPED, "width": 256, "token_width": 256}),
            short_fit(
                average=0.9,
                clip_norm=0.5,
                l1=1e-3,
                optimizer=optimizer,
                learning_rate=1e-3,
            ),
        )
        for name, optimizer in [
            ("perceptron", "adagrad"),
            ("mlp", "sgd"),
            ("resmlp", "adam"),
            ("ft_transformer", "adamw"),
            ("tabm", "rmsprop"),
            ("tabm_mini", "adamw"),
        ]
    },
    "sharded, batches of one row": (
        Task.BINARY,
        small_model("mlp", **DROPPED),
        short_fit(batch_size=1),
    ),
    "batches of one row": (Task.BINARY, small_model("mlp", **DROPPED), short_fit(batch_size=1)),
    "augmented": (
        Task.REGRESSION,
        small_model("mlp", **DROPPED),
        short_fit(augment=AugmentConfig(noise=0.3, mixup=0.4), accumulate=2),
    ),
    "augmented, batch norm": (
        Task.MULTICLASS,
        small_model("resmlp", normalization="batch", **DROPPED),
        short_fit(augment=AugmentConfig(mixup=1.0), batch_size=23, class_weights="balanced"),
    ),
    **{
        f"frozen, then not{more}": (
            Task.BINARY,
            small_model("mlp", normalization="batch", **DROPPED),
            short_fit(freeze={"backbone": 1, "categories": 2}, rates={"head": 0.5}, epochs=4),
        )
        for more in ("", ", sharded")
    },
    "bf16": (Task.BINARY, small_model("mlp", **DROPPED), short_fit(precision="bf16")),
    **{
        f"images and texts, {name}": (
            Task.MULTICLASS,
            small_model(
                "mlp",
                image=ImageEncoderConfig(encoder=image, width=width, heads=2),
                text=TextEncoderConfig(encoder=text, embedding_dim=8, width=width, heads=2),
                **DROPPED,
                **more,
            ),
            short_fit(
                augment=AugmentConfig(shift=0.2, erase=0.3, mask_tokens=0.2, mixup=0.4),
                # a low rate where rounding grows by chaos
                **({"learning_rate": 1e-3} if image == "resnet" else {}),
            ),
        )
        for name, image, text, width, more in (
            ("cnn and mean", "cnn", "mean", 8, {}),
            ("cnn and mean, batch norm", "cnn", "mean", 8, {"normalization": "batch"}),
            ("resnet and gru", "resnet", "gru", 8, {}),
            ("vit and transformer", "vit", "transformer", 8, {}),
            ("sharded", "cnn", "cnn", 64, {}),
        )
    },
}


def fit_case(world: World, name: str) -> dict[str, Any]:
    task, model, config = CASES[name]
    more = {"texts": 1, "images": 1} if name.startswith("images and texts") else {}
    spec = made_spec(task, **more)
    train, val = made_examples(spec, 70, 1), made_examples(spec, 31, 2)
    fitted = fit_fresh(model, config, spec, train, val, seed=3, world=world).fitted
    weights = {name: tensor.numpy() for name, tensor in fitted.weights.items()}
    return {"history": fitted.history, "weights": weights, "best": fitted.best_epoch}


def fit_cases(world: World) -> dict[str, dict[str, Any]]:
    return {name: fit_case(replace(world, shard="sharded" in name), name) for name in CASES}


@pytest.fixture(scope="module")
def by_two(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, Any]]]:
    return in_group(2, tmp_path_factory.mktemp("two"), fit_cases)


@pytest.mark.parametrize("name", list(CASES))
def test_two_processes_have_the_loss_curve_of_one(
    name: str, by_two: list[dict[str, dict[str, Any]]]
) -> None:
    alone = fit_case(SINGLE_PROCESS, name)
    first, second = (result[name] for result in by_two)
    assert first["history"] == second["history"]
    assert first["best"] == alone["best"]
    # half precision rounds the sums of two parts otherwise than the sum of all
    tolerance = {"rel": 5e-3} if CASES[name][2].precision == "bf16" else {"rel": 1e-4}
    for ours, wanted in zip(first["history"], alone["history"], strict=True):
        assert ours == pytest.approx(wanted, **tolerance)
    for key, weight in first["weights"].items():
        assert np.array_equal(weight, second["weights"][key]), key
