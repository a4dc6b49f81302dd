"""What `init` sets in params.yaml for images, which the defaults for tables do not suit."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from plumbline.config.model import ModelConfig, TextEncoderConfig, TrainConfig, TuneConfig
from plumbline.kinds import ColumnType


class Setting(NamedTuple):
    """What init sets: a key, its value, what stands there by default, whether what stands there is
    left alone, and why."""

    keys: tuple[str, ...]
    value: Any
    default: Any
    stays: Callable[[Any], bool]
    why: str

    @property
    def key(self) -> str:
        return ".".join(self.keys)


def _is_small(batch_size: Any) -> bool:
    return isinstance(batch_size, int) and 0 < batch_size <= 32


# where a column holds images
FOR_IMAGES = (
    Setting(
        ("tune", "trials"),
        0,
        TuneConfig().trials,
        lambda v: v == 0,
        "fits of images take long; set it to search",
    ),
    Setting(
        ("train", "batch_size"),
        32,
        TrainConfig().batch_size,
        _is_small,
        "images need more and smaller steps",
    ),
    Setting(
        ("train", "augment", "shift"), 0.1, 0.0, bool, "an image moved a little shows the same"
    ),
)
# the same: all of one recipe, whatever a preset has for tables
IMAGE_RECIPE = (
    Setting(
        ("model", "name"),
        "mlp",
        "tabm_mini",
        lambda v: v in ("perceptron", "mlp", "resmlp"),
        "the image encoder leaves an ensemble of layers nothing to do",
    ),
    Setting(
        ("tune", "space", "train.learning_rate", "high"),
        2e-3,
        4.5e-3,
        lambda v: v <= 2e-3,
        "convolutions want smaller steps (tuned without trials is the center: 0.001)",
    ),
    Setting(
        ("train", "schedule"),
        "cosine",
        TrainConfig().schedule,
        lambda v: v != TrainConfig().schedule,
        "a rate that falls to 0 ends in better weights than any epoch before",
    ),
    Setting(
        ("train", "epochs"),
        "auto",
        "auto",
        lambda v: v == "auto",
        "by the number of images: 100 of 200, 10 of 20,000",
    ),
    Setting(("tune", "epochs"), "auto", "auto", lambda v: v == "auto", "as train.epochs"),
    Setting(
        ("train", "patience"), 0, TrainConfig().patience, lambda v: v == 0, "the rate falls to 0"
    ),
)
# and the target is a class: the mean of two numbers is that of neither image
IMAGE_CLASSES = (
    Setting(("train", "augment", "mixup"), 0.2, 0.0, bool, "mixed images are not learned by heart"),
)
# and there is nothing but images
IMAGES_ALONE = (
    Setting(
        ("model", "depth"),
        0,
        ModelConfig().depth,
        lambda v: v == 0,
        "layers between the image encoder and the head slow its start",
    ),
    Setting(
        ("train", "keep"),
        "last",
        TrainConfig().keep,
        lambda v: v == "last",
        "few validation images choose an epoch by chance",
    ),
)
# and there are other columns
IMAGES_BESIDE = (
    Setting(
        ("model", "depth"),
        1,
        ModelConfig().depth,
        lambda v: v == 1,
        "more layers between the image encoder and the head slow its start",
    ),
    Setting(
        ("train", "keep"),
        TrainConfig().keep,
        TrainConfig().keep,
        lambda v: v == TrainConfig().keep,
        "other columns are learned by heart sooner than images",
    ),
)
# and texts among them
IMAGES_BESIDE_TEXTS = (
    Setting(
        ("model", "text", "wide"),
        False,
        TextEncoderConfig().wide,
        lambda v: v is False,
        "a linear model of the texts leaves the image encoder too little to learn from",
    ),
)
ALL = (
    *FOR_IMAGES,
    *IMAGE_RECIPE,
    *IMAGE_CLASSES,
    *IMAGES_ALONE,
    *IMAGES_BESIDE,
    *IMAGES_BESIDE_TEXTS,
)


def kept_from_presets() -> set[str]:
    """Keys that no preset sets where a column holds images: it has them for tables."""
    return {one.key for one in ALL} - {one.key for one in FOR_IMAGES}


def of_images(features: Collection[ColumnType], *, classes: bool) -> tuple[Setting, ...]:
    """What is set for features of these types beside `FOR_IMAGES`; nothing where none is an image.

    Args:
        classes: whether the target is a class.
    """
    if ColumnType.IMAGE not in features:
        return ()
    beside = set(features) - {ColumnType.IMAGE}
    return (
        *IMAGE_RECIPE,
        *(IMAGE_CLASSES if classes else ()),
        *(IMAGES_BESIDE if beside else IMAGES_ALONE),
        *(IMAGES_BESIDE_TEXTS if ColumnType.TEXT in beside else ()),
    )
