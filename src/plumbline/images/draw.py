"""Pixels as pictures that a page can hold."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import Image

from plumbline.kinds import ByteArray

PNG_URI = "data:image/png;base64,"


def as_data_uri(pixels: ByteArray, most_side: int) -> str:
    """Pixels (C, H, W), one or three channels, as a PNG of at most so many pixels a side. It holds
    the pixels alone: nothing of the file that they came from."""
    channels = np.ascontiguousarray(pixels.transpose(1, 2, 0))
    image = Image.fromarray(channels[:, :, 0] if len(pixels) == 1 else channels)
    if max(image.size) > most_side:
        image.thumbnail((most_side, most_side), Image.Resampling.BILINEAR)
    out = BytesIO()
    image.save(out, "PNG", optimize=True)
    return PNG_URI + base64.b64encode(out.getvalue()).decode("ascii")
