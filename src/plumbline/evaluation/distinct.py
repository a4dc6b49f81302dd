"""Each text and image is encoded once, however many rows hold it.

Explanations ask about hundreds of thousands of rows that are mixed from few: each holds its row's
own image or that of a background row. To encode an image costs many times what the rest of the
network does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b

import torch
from torch import Tensor, nn

from plumbline.examples import InputSpec
from plumbline.models.input_gradients import encoders_of

KINDS = ("text", "image")
KEPT = 4096  # cells of a tensor whose features are kept


@contextmanager
def encoded_once(model: nn.Module, spec: InputSpec) -> Iterator[None]:
    """Passes without gradients encode a text or an image that was encoded before no more.

    Args:
        model: in evaluation mode; a row's features do not depend on other rows then.
    """
    encoders = encoders_of(model)
    own = [encoders[tensor.name] for tensor in spec if tensor.kind in KINDS]
    for encoder in own:
        vars(encoder)["forward"] = _Once(encoder.forward)
    try:
        yield
    finally:
        for encoder in own:
            del vars(encoder)["forward"]


Encoded = Tensor | tuple[Tensor, ...]  # (n, *features), and beside them a wide part


class _Once:
    """An encoder, (n, *shape) to what it gives, and what it gave by the content of a cell."""

    def __init__(self, encode: Callable[[Tensor], Encoded]) -> None:
        self._encode = encode
        self._kept: dict[bytes, tuple[Tensor, ...]] = {}

    def __call__(self, cells: Tensor) -> Encoded:
        if torch.is_grad_enabled() or len(cells) == 0:
            return self._encode(cells)
        keys = [blake2b(cell, digest_size=16).digest() for cell in cells.contiguous().numpy()]
        new = {key: i for i, key in enumerate(keys) if key not in self._kept}
        if len(self._kept) + len(new) > KEPT:
            self._kept.clear()
            new = {key: i for i, key in enumerate(keys)}
        if new:
            encoded = self._encode(cells[list(new.values())])
            parts = (encoded,) if isinstance(encoded, Tensor) else encoded
            self._kept.update(zip(new, zip(*parts, strict=True), strict=True))
        of_parts = zip(*(self._kept[key] for key in keys), strict=True)
        first, *others = (torch.stack(own) for own in of_parts)
        return (first, *others) if others else first
