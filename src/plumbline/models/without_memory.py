"""A model is built without the memory of its weights, so that they can be counted first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

MAKERS = (torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.randint)


class WithoutMemory(TorchFunctionMode):
    """New tensors lie on the meta device, but for those that are given their values
    (`torch.tensor`): libraries look at the edges of bins, say."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        more = dict(kwargs or {})
        if func in MAKERS:
            more["device"] = "meta"
        return func(*args, **more)
