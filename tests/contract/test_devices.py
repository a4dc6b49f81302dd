"""Whatever a fit computes lies where its rows lie.

torch's `meta` device stands for a GPU: it computes shapes alone, and refuses tensors that lie
elsewhere as a GPU does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.behaviour.test_gpu import NETWORKS
from tests.made import made_examples, made_spec
from torch import Tensor

from plumbline.config.model import TrainConfig
from plumbline.examples import InputSpec
from plumbline.kinds import Task
from plumbline.models import build_on_meta, learn_inputs
from plumbline.training.augment import AUGMENTATIONS
from plumbline.training.losses import LOSSES
from plumbline.training.row_random import RowRandom

META = torch.device("meta")
ROWS = 8


def batch(spec: InputSpec) -> dict[str, Tensor]:
    return {
        t.name: torch.zeros(ROWS, *t.shape, dtype=getattr(torch, t.dtype), device=META)
        for t in spec
    }


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_augmentations(name: str) -> None:
    spec, own = made_spec(Task.BINARY, texts=1, images=1), AUGMENTATIONS[name]
    random = RowRandom(seed=0, epoch=0, purpose=name, rows=torch.arange(ROWS, device=META))
    inputs, tried = batch(spec), 0
    for t in spec:
        x = inputs[t.name]
        if change := own.changes.get(t.kind):
            assert change(x, t, 0.3, random).device == META
            tried += 1
        if own.share and (mix := own.mixes.get(t.kind)):
            share = own.share(0.3, random.uniform(1)[:, 0])
            assert mix(x, x, share, random).device == META
            tried += 1
    assert tried


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name: str) -> None:
    classes = 1 if name in ("mse", "mae", "huber") else 3
    output = torch.zeros(ROWS, 2, classes, device=META)
    y = torch.zeros(ROWS, dtype=torch.float32 if classes == 1 else torch.int64, device=META)
    config = TrainConfig(label_smoothing=0.1 if name == "cross_entropy" else 0.0)
    assert LOSSES[name](output, y, config).device == META


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("embedding", ["none", "piecewise_linear", "periodic"])
def test_networks(name: str, embedding: str) -> None:
    kind = name.split(",")[0]
    cells: dict[str, Any] = {"texts": kind == "text", "images": kind == "image"}
    spec = made_spec(Task.MULTICLASS, **cells)
    config = replace(NETWORKS[name], number_embedding=embedding)
    learned = learn_inputs(config, spec, made_examples(spec, 40).inputs)
    model = build_on_meta(config, spec, learned).train()
    assert model(**batch(spec)).device == META
