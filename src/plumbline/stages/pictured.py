"""The worst mistakes as pictures, as the evaluate stage writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plumbline.artifacts import Mistakes
from plumbline.data.rows import image_names
from plumbline.evaluation.decision import PartPredictions
from plumbline.evaluation.mistakes import describe_mistake, worst_mistakes
from plumbline.examples import Inputs, InputSpec, TensorSpec
from plumbline.images import as_data_uri
from plumbline.kinds import ByteArray

MOST_COLUMNS = 3  # of images
MOST_PICTURES = 24
MOST_SIDE = 64  # pixels


def picture_mistakes(
    spec: InputSpec, inputs: Inputs, predictions: PartPredictions, table: Path
) -> Mistakes:
    """Of the test rows, `inputs` are their tensors. No rows where the model reads no image.

    Args:
        table: the folder of the typed rows, where the names of the images are.
    """
    tensors = [t for t in spec.of_kind("image") if not t.network]  # of a bag the first network's
    shown = tensors[:MOST_COLUMNS]
    count = MOST_PICTURES // len(shown) if shown else 0
    positions, mistakes = worst_mistakes(predictions, count)
    rows = predictions.rows[positions].tolist()
    names = [image_names(table, tensor.sources[0], rows) for tensor in shown]
    return Mistakes(
        columns=[tensor.sources[0] for tensor in shown],
        others=[tensor.sources[0] for tensor in tensors[MOST_COLUMNS:]],
        mistakes=mistakes,
        rows=[
            {
                **describe_mistake(predictions, position, spec.classes),
                "pictures": [_picture(tensor, inputs[tensor.name][position]) for tensor in shown],
                "names": [own[number] for own in names],
            }
            for number, position in enumerate(positions.tolist())
        ],
    )


def _picture(tensor: TensorSpec, pixels: ByteArray) -> dict[str, Any] | None:
    """None: the image is missing."""
    if not pixels.any():
        return None
    height, width = tensor.empty(1).shape[2:]
    return {"height": height, "width": width, "picture": as_data_uri(pixels, MOST_SIDE)}
