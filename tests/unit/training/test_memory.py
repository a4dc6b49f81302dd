"""A model too large for memory is refused before it is made, by the keys that make it large."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.made import made_examples, made_spec, short_fit, small_model

from plumbline.config.runtime import RuntimeConfig
from plumbline.errors import ParameterError
from plumbline.kinds import Task
from plumbline.models import MODELS, build_model, count_weights, learn_inputs
from plumbline.training import launch, memory
from plumbline.training.build import fit_fresh

SPEC = made_spec(Task.MULTICLASS, numbers=5, cardinalities=(40, 3))
ROWS = made_examples(SPEC, 40)


@pytest.mark.parametrize("embedding", ["none", "periodic", "piecewise_linear"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("depth", [1, 3])
def test_the_count_is_that_of_the_model(name: str, embedding: str, depth: int) -> None:
    config = small_model(
        name, depth=depth, width=64, token_width=64, number_embedding=embedding, category_dim=9
    )
    learned = learn_inputs(config, SPEC, ROWS.inputs)
    model = build_model(config, SPEC, learned, seed=0)
    state = torch.random.get_rng_state()
    assert count_weights(config, SPEC, learned) == sum(p.numel() for p in model.parameters())
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "sizes", "keys"),
    [
        ("mlp", {"width": 16_384, "depth": 100}, ["model.width", "model.depth"]),
        ("resmlp", {"width": 16_384, "depth": 100}, ["model.width", "model.depth"]),
        ("ft_transformer", {"token_width": 4096, "depth": 100}, ["model.token_width"]),
        ("tabm", {"width": 16_384, "depth": 100, "members": 256}, ["model.members"]),
        ("tabm_mini", {"width": 16_384, "depth": 100}, ["model.members", "model.width"]),
    ],
)
def test_a_model_too_large_is_refused_before_it_is_made(
    name: str, sizes: dict[str, Any], keys: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "available_bytes", lambda device: 16 * 2**30)
    with pytest.raises(ParameterError, match="does not fit into memory") as caught:
        fit_fresh(small_model(name, **sizes), short_fit(), SPEC, ROWS, ROWS, seed=0)
    message = str(caught.value)
    assert all(key in message for key in keys) and "16.0 GiB" in message


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB"),
    ],
)
def test_a_refused_allocation_names_what_makes_a_fit_large(error: Exception) -> None:
    def refuse(*_: Any) -> None:
        raise error

    with pytest.raises(ParameterError, match=r"train\.batch_size, model\.width, model\.depth"):
        fit_fresh(small_model(), short_fit(), SPEC, ROWS, ROWS, seed=0, on_epoch=refuse)


def test_more_processes_than_fit_are_refused_before_one_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def started(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(memory, "available_bytes", lambda device: 2 * 2**30)
    monkeypatch.setattr(launch.subprocess, "run", started)
    wanted = r"params\.yaml: runtime\.processes: .*wanted at most 8, got 1024"
    with pytest.raises(ParameterError, match=wanted):
        launch.launch("train", tmp_path, RuntimeConfig(processes=1024), lambda: None)
    memory.refuse_too_many(8, "tune.workers")
    monkeypatch.setattr(memory, "available_bytes", lambda device: 0)
    memory.refuse_too_many(1, "tune.workers")  # one is what runs without


def test_other_errors_stay_as_they_are() -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("something else")

    with pytest.raises(RuntimeError, match="something else"):
        fit_fresh(small_model(), short_fit(), SPEC, ROWS, ROWS, seed=0, on_epoch=fail)


def test_memory_at_hand_is_a_number_of_bytes() -> None:
    assert 2**20 < memory.available_bytes(torch.device("cpu")) < 2**50
