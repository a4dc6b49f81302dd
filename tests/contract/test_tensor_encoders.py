"""Every kind of tensor is read by an encoder that keeps the contract of `Encoder`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from tests.made import as_tensors, made_examples, made_spec, small_model
from torch import Tensor, nn

from plumbline.errors import ParameterError
from plumbline.evaluation.masker import MASKERS
from plumbline.examples import Inputs, TensorSpec
from plumbline.models import build_model, learn_inputs
from plumbline.models.embeddings import NUMBER_EMBEDDINGS
from plumbline.models.encoders import ENCODERS, encoder_of
from plumbline.models.inputs import FlatInput

SPEC = made_spec(numbers=3, cardinalities=(4, 3), texts=1, images=1)
ROWS = made_examples(SPEC, 50).inputs
CASES = [(t, e) for t in SPEC for e in NUMBER_EMBEDDINGS]
WIDTH = 8

each = pytest.mark.parametrize(
    ("tensor", "embedding"), CASES, ids=[f"{t.kind}-{e}" for t, e in CASES]
)


def learned(tensor: TensorSpec, embedding: str, inputs: Inputs = ROWS) -> Any:
    config = small_model(number_embedding=embedding)
    return encoder_of(tensor).learn(config, inputs[tensor.name])


def modules(tensor: TensorSpec, embedding: str, seed: int = 0) -> dict[str, nn.Module]:
    """All that the encoder builds, by what it is for."""
    encoder, config = encoder_of(tensor), small_model(number_embedding=embedding)
    own = learned(tensor, embedding)
    torch.manual_seed(seed)
    made = {"features": encoder.features(config, tensor, own)}
    if encoder.tokens is not None:
        made["tokens"] = encoder.tokens(config, tensor, own, WIDTH)
    if encoder.linear is not None:
        made["linear"] = encoder.linear(tensor, 5)
    return made


def given(tensor: TensorSpec) -> Tensor:
    return as_tensors(ROWS)[tensor.name]


def test_the_cases_are_of_every_kind() -> None:
    """A new kind is made by `made_spec`, so that these tests are of it, too."""
    assert set(ENCODERS) == {tensor.kind for tensor in SPEC} == set(MASKERS)


def test_an_unknown_kind_is_refused_by_name() -> None:
    odd = TensorSpec(
        name="t", kind="number", dtype="float32", shape=(1,), features=("a",), sources=("a",)
    )
    with pytest.raises(ParameterError, match=r"kind of tensor t.*number"):
        encoder_of(odd)


@each
def test_features_have_the_width_that_their_chunks_say(tensor: TensorSpec, embedding: str) -> None:
    made = modules(tensor, embedding)["features"]
    assert made(given(tensor)).shape == (50, sum(made.chunks))  # type: ignore[arg-type]
    together = tensor.kind in ("text", "image")  # of which no feature has a width of its own
    assert len(made.chunks) == (1 if together else len(tensor.features))  # type: ignore[arg-type]


@each
def test_tokens_are_vectors_of_the_width_asked_for(tensor: TensorSpec, embedding: str) -> None:
    made = modules(tensor, embedding)
    if "tokens" in made:
        rows, count, width = made["tokens"](given(tensor)).shape
        assert (rows, width) == (50, WIDTH) and count >= 1


@each
def test_linear_means_linear(tensor: TensorSpec, embedding: str) -> None:
    """In numbers; of codes each adds what it adds, whatever the others are."""
    made = modules(tensor, embedding)
    if "linear" not in made:
        return
    a, b = given(tensor)[:25], given(tensor)[25:]
    out = made["linear"]
    assert out(a).shape == (25, 5)
    mixed, other = a.clone(), b.clone()
    mixed[:, 0], other[:, 0] = b[:, 0], a[:, 0]
    torch.testing.assert_close(out(mixed) + out(other), out(a) + out(b))
    if a.is_floating_point():
        torch.testing.assert_close(out(2 * a + b), 2 * out(a) + out(b))


@each
def test_the_same_seed_gives_the_same_weights(tensor: TensorSpec, embedding: str) -> None:
    first, again = modules(tensor, embedding, 3), modules(tensor, embedding, 3)
    other = modules(tensor, embedding, 4)
    for purpose, module in first.items():
        states = [m[purpose].state_dict() for m in (first, again, other)]
        assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
        drawn = dict(module.named_parameters())  # none where numbers pass as they are
        differ = [not torch.equal(states[0][key], states[2][key]) for key in drawn]
        assert any(differ) or not drawn


@each
def test_what_is_learned_goes_through_json(tensor: TensorSpec, embedding: str) -> None:
    own = learned(tensor, embedding)
    assert json.loads(json.dumps(own, allow_nan=False)) == own


def test_each_tensor_learns_of_its_own_rows_alone() -> None:
    config = small_model(number_embedding="piecewise_linear")
    result = learn_inputs(config, SPEC, ROWS)
    assert tuple(result) == SPEC.names
    other = made_examples(SPEC, 50, seed=9).inputs
    changed = learn_inputs(config, SPEC, {**ROWS, "cat": other["cat"]})
    assert changed["num"] == result["num"]
    assert learn_inputs(config, SPEC, other)["num"] != result["num"]


def encoders(module: nn.Module) -> Iterator[str]:
    for name, own in module.named_modules():
        if isinstance(own, nn.ModuleDict):
            yield from (f"{name}.{key}" for key in own)


@pytest.mark.parametrize("name", ["perceptron", "mlp", "ft_transformer"])
def test_a_model_reads_tensors_in_any_order_of_the_call(name: str) -> None:
    """One encoder per tensor, found by its name."""
    model = build_model(small_model(name), SPEC, seed=0).eval()
    assert [path.rpartition(".")[2] for path in encoders(model)] == list(SPEC.names)
    x = as_tensors(ROWS)
    assert torch.equal(model(**x), model(**dict(reversed(x.items()))))


def test_features_stand_in_the_order_of_the_tensors() -> None:
    torch.manual_seed(0)
    flat = FlatInput(small_model(), SPEC, {})
    out, _ = flat(as_tensors(ROWS))
    assert flat.chunks[:5] == [1, 1, 1, 3, 3] and flat.width == sum(flat.chunks)
    np.testing.assert_array_equal(out[:, :3].detach().numpy(), ROWS["num"])
