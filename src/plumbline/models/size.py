"""What a network takes, counted without building it: the same on every machine, unlike seconds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from plumbline.config.model import ModelConfig, Size
from plumbline.examples import InputSpec
from plumbline.models import build_on_meta, count_weights
from plumbline.models.encoders import Learned


def count_multiply_adds(
    config: ModelConfig, spec: InputSpec, learned: Learned, inputs: Mapping[str, Any]
) -> int:
    """Multiplications with an addition in one forward pass of one row; what latency goes by.

    Counted are matrix products, convolutions and attention, as `torch.utils.flop_counter` does.
    On the meta device, where attention and recurrent layers are not fused: the counter does not
    see inside fused ones.

    Args:
        inputs: tensors of a row or more, (n, *shape).
    """
    network = build_on_meta(config, spec, learned).eval()
    row = {name: torch.as_tensor(values[:1]).to("meta") for name, values in inputs.items()}
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(**row)
    return int(counter.get_total_flops()) // 2


Count = Callable[[ModelConfig, InputSpec, Learned, Mapping[str, Any]], int]
SIZES: dict[Size, Count] = {
    "parameters": lambda config, spec, learned, inputs: count_weights(config, spec, learned),
    "multiply_adds": count_multiply_adds,
}
