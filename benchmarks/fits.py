"""What the training benchmarks fit: networks by name, rows for them, and the seconds of an epoch.

Each network reads one kind of cell: numbers through a family of networks, or an image or text
through an encoder with a small `mlp` behind it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plumbline.config.model import Precision

BATCH, RATE, SEED = 256, 1e-3, 0
COLUMNS = 108  # numbers
PIXELS = (3, 64, 64)  # the largest that data of less than 5,000 images get
LENGTH, TOKENS = 64, 10_000  # of texts
TENSORS = {"numbers": "num", "image": "image_0", "text": "text_0"}  # by kind

Epoch = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network of the benchmark.

    Attributes:
        rows: of an epoch on two cores; about as long for each.
        kind: of the cells that it reads.
        model: parameters, as the section `model` has them.
    """

    rows: int
    kind: str = "numbers"
    model: dict[str, Any] = field(default_factory=dict)


def _numbers(name: str, rows: int, **more: Any) -> Network:
    return Network(rows=rows, model={"name": name, "number_embedding": "none", **FREE, **more})


def _cells(kind: str, encoder: str, rows: int) -> Network:
    own = {"encoder": encoder, "dropout": 0.0}
    model = {"name": "mlp", "width": 128, "depth": 1, **FREE, kind: own}
    return Network(rows=rows, kind=kind, model=model)


FREE: dict[str, Any] = {"dropout": 0.0}
FAMILIES = {
    "mlp": _numbers("mlp", 40_000, width=256, depth=2),
    "tabm": _numbers("tabm", 10_240, width=256, depth=2, members=8),
    "ft_transformer": _numbers("ft_transformer", 1_536, token_width=64, depth=1, heads=8),
}
MORE_FAMILIES = {
    "perceptron": _numbers("perceptron", 40_000),
    "resmlp": _numbers("resmlp", 20_480, width=256, depth=2),
    "tabm_mini": _numbers("tabm_mini", 10_240, width=256, depth=2, members=8),
}
IMAGES = {
    "image, cnn": _cells("image", "cnn", 1_024),
    "image, resnet": _cells("image", "resnet", 512),
    "image, vit": _cells("image", "vit", 1_024),
}
TEXTS = {
    "text, mean": _cells("text", "mean", 10_240),
    "text, cnn": _cells("text", "cnn", 2_560),
    "text, rnn": _cells("text", "rnn", 2_560),
    "text, lstm": _cells("text", "lstm", 1_536),
    "text, gru": _cells("text", "gru", 1_536),
    "text, transformer": _cells("text", "transformer", 1_536),
}
NETWORKS = {**FAMILIES, **MORE_FAMILIES, **IMAGES, **TEXTS}


def spec_of(kind: str) -> Any:
    """What a network of a kind reads: one tensor, two classes."""
    from plumbline.examples import InputSpec, TargetSpec, TensorSpec
    from plumbline.kinds import Task

    numbers = tuple(f"n{i}" for i in range(COLUMNS))
    tensors: dict[str, dict[str, Any]] = {
        "numbers": {"dtype": "float32", "shape": (COLUMNS,), "features": numbers},
        "image": {
            "dtype": "uint8",
            "shape": PIXELS,
            "features": ("i[0]", "i[1]", "i[2]"),
            "details": {"mean": [127.5] * 3, "deviation": [73.9] * 3},
        },
        "text": {
            "dtype": "int64",
            "shape": (LENGTH,),
            "features": tuple(f"t[{i}]" for i in range(LENGTH)),
            "details": {"tokens": TOKENS},
        },
    }
    own = tensors[kind]
    tensor = TensorSpec(name=TENSORS[kind], kind=kind, sources=own["features"], **own)
    target = TargetSpec(task=Task.BINARY, classes=("no", "yes"))
    return InputSpec(tensors=(tensor,), target=target)


def examples(name: str, rows: int) -> Any:
    """Random rows of what a network reads; two classes."""
    import numpy as np

    from plumbline.examples import Examples

    rng = np.random.default_rng(SEED)
    draw: dict[str, Callable[[], np.ndarray[Any, Any]]] = {
        "numbers": lambda: rng.normal(size=(rows, COLUMNS)).astype(np.float32),
        "image": lambda: rng.integers(1, 256, (rows, *PIXELS), dtype=np.uint8),
        "text": lambda: rng.integers(1, TOKENS, (rows, LENGTH)),
    }
    kind = NETWORKS[name].kind
    made = draw[kind]()
    first = made.reshape(rows, -1)[:, :5].astype(np.float64).sum(1)
    return Examples(
        inputs={TENSORS[kind]: made},
        y=(first > np.median(first)).astype(np.int64),
        rows=np.arange(rows),
        weight=np.ones(rows, dtype=np.float32),
    )


def network(name: str) -> Any:
    """The model."""
    from plumbline.config.build import build
    from plumbline.config.model import ModelConfig
    from plumbline.models import build_model

    own = NETWORKS[name]
    config = build(ModelConfig, own.model, "model")
    return build_model(config, spec_of(own.kind), seed=SEED)


def our_loop(
    name: str, world: Any = None, rows: Any = None, *, precision: Precision = "fp32"
) -> Epoch:
    """Seconds of an epoch of `plumbline.training.loop`."""
    from plumbline.config.model import TrainConfig
    from plumbline.kinds import Task
    from plumbline.training.distributed import SINGLE_PROCESS
    from plumbline.training.loop import train_epoch
    from plumbline.training.setup import prepare

    made = rows or examples(name, NETWORKS[name].rows)
    config = TrainConfig(
        batch_size=BATCH,
        epochs=100,
        learning_rate=RATE,
        clip_norm=None,
        precision=precision,
    )
    world = world or SINGLE_PROCESS
    job, state = prepare(
        network(name),
        made,
        made.take(slice(0, 10)),
        Task.BINARY,
        config,
        seed=SEED,
        target=None,
        world=world,
    )

    def epoch() -> float:
        state.progress.step = 0
        begun = time.perf_counter()
        train_epoch(job, state)
        state.losses.sum().item()  # waits for the device
        return time.perf_counter() - begun

    return epoch


def fixed_batch(name: str) -> Epoch:
    """Seconds of as many steps on one resident batch: no more than the model costs."""
    import torch

    model, made = network(name), examples(name, BATCH)
    inputs = {key: torch.from_numpy(array) for key, array in made.inputs.items()}
    y = torch.from_numpy(made.y)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0, fused=True)
    steps = NETWORKS[name].rows / BATCH

    def epoch() -> float:
        model.train()
        begun = time.perf_counter()
        for _ in range(round(steps)):
            loss = member_loss(model(**inputs), y)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        return (time.perf_counter() - begun) * steps / round(steps)

    return epoch


def member_loss(output: Any, y: Any) -> Any:
    """Cross-entropy, the mean over members (B, K, 2)."""
    import torch

    members = output.shape[1]
    return torch.nn.functional.cross_entropy(output.flatten(0, 1), y.repeat_interleave(members))
