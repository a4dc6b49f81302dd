"""How the pixels of an image become features: what all image encoders share, and which there are.

Bytes become numbers, standardized by the training rows' statistics. A missing image is zeros, in
bytes; its features are zeros, and a mark beside them says so.

B rows, C channels, H height, W width.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from plumbline.config.image import ImageEncoderConfig
from plumbline.config.model import ModelConfig
from plumbline.errors import choose
from plumbline.examples import TensorSpec
from plumbline.models.image_cnn import ImageCNN, ImageResNet
from plumbline.models.image_vit import ImageViT
from plumbline.models.layers import DropoutContext, SampleDropout, drop_bias

Build = Callable[[ImageEncoderConfig, tuple[int, int, int]], nn.Module]

# each takes standardized pixels (B, C, H, W) and gives (B, width)
IMAGE_ENCODERS: dict[str, Build] = {"cnn": ImageCNN, "resnet": ImageResNet, "vit": ImageViT}


class Standardize(nn.Module):
    """Bytes (B, C, H, W) to numbers of mean 0 and deviation 1, and marks (B, 1): 1 for an image,
    0 for a missing one, whose numbers are 0."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, tensor: TensorSpec) -> None:
        super().__init__()
        for name in ("mean", "deviation"):
            values = torch.tensor(tensor.details[name], dtype=torch.float32)
            self.register_buffer(name, values.view(-1, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        values = x.to(torch.float32)
        marks = (values.amax((1, 2, 3)) > 0).to(torch.float32)[:, None]  # (B, 1)
        return (values - self.mean) / self.deviation * marks[..., None, None], marks


class ImageFeatures(nn.Module):
    """The features of one image: (B, C, H, W) bytes, or numbers in their place, to (B, width + 1):
    the mark last, and zeros before it where the image is missing. The mark is 1 for an image and 0
    for a missing one; after `drop_shift` it is the other way round, so that in a batch without
    missing images it is no number that all rows have in common."""

    def __init__(self, config: ModelConfig, tensor: TensorSpec, learned: None = None) -> None:
        super().__init__()
        own = config.image.of(tensor.sources[0])
        build = choose(IMAGE_ENCODERS, own.encoder, "model.image.encoder")
        channels, height, width = tensor.shape
        assert channels is not None and height is not None and width is not None
        self.standardize = Standardize(tensor)
        self.body = build(own, (channels, height, width))
        # the model that this becomes part of puts its own context here
        self.dropout = SampleDropout(own.dropout, DropoutContext(seed=0))
        self.chunks = [own.width + 1]
        self.marks_missing = False

    def drop_shift(self) -> None:
        drop_bias(list(self.body.children())[-1])  # of the layer at its end
        self.marks_missing = True

    def forward(self, x: Tensor) -> Tensor:
        values, marks = self.standardize(x)
        # not what the body makes of a plain image, which normalization blows up out of rounding
        features = self.dropout(self.body(values) * marks)
        return torch.cat([features, 1 - marks if self.marks_missing else marks], dim=1)

    def attention_map(self, x: Tensor) -> Tensor | None:
        """How much attention each pixel gets, (B, H · W); None where the encoder has none."""
        attend = getattr(self.body, "attention_map", None)
        if attend is None:
            return None
        values, _ = self.standardize(x)
        attended: Tensor = attend(values).flatten(1)
        return attended
