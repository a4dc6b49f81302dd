"""What an encoder made of a text or an image is used again, and predictions stay what they are."""

from __future__ import annotations

import numpy as np
import pytest
from tests.made import made_images, made_spec, made_texts, small_model, tensor

from plumbline.evaluation import distinct
from plumbline.evaluation.distinct import encoded_once
from plumbline.evaluation.explanation_budget import operations
from plumbline.examples import take_inputs
from plumbline.inference.torch_predictor import TorchPredictor
from plumbline.kinds import Task
from plumbline.models import build_model
from plumbline.models.image import Standardize
from plumbline.models.input_gradients import encoders_of


@pytest.mark.parametrize("name", ["mlp", "ft_transformer"])
@pytest.mark.parametrize("kept", [3, 4096])
def test_each_cell_is_encoded_once(name: str, kept: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distinct, "KEPT", kept)
    spec = made_spec(texts=1, images=1)
    model = build_model(small_model(name=name), spec, seed=0)
    predict = TorchPredictor(model, Task.BINARY)
    rng, place = np.random.default_rng(0), np.arange(60) % 5
    rows = {
        "num": rng.normal(size=(60, 3)).astype(np.float32),
        "cat": rng.integers(0, 3, (60, 2)),
        "text_0": made_texts(tensor(spec, "text_0"), 5)[place],
        "image_0": made_images(tensor(spec, "image_0"), 5)[place],
    }
    encoded: list[int] = []
    (inside,) = (m for m in encoders_of(model)["image_0"].modules() if isinstance(m, Standardize))
    inside.register_forward_hook(lambda module, given, out: encoded.append(len(out[0])))
    plain = predict(rows)
    with encoded_once(model, spec):
        first, again = predict(rows), predict(take_inputs(rows, slice(7, 19)))
    np.testing.assert_allclose(first, plain, atol=1e-6)
    np.testing.assert_allclose(again, plain[7:19], atol=1e-6)
    assert encoded == ([60, 5] if kept > 5 else [60, 5, 5])
    np.testing.assert_array_equal(predict(rows), plain)  # as before
    assert encoded[-1] == 60


def test_what_is_encoded_once_costs_a_row_nothing() -> None:
    spec = made_spec(texts=1, images=1)
    model = build_model(small_model(), spec, seed=0)
    whole, images, none = (operations(model, spec, k) for k in (("text", "image"), ("image",), ()))
    assert whole > images > none > 1
