"""The graph of every network, whatever reads its columns, tells what torch computes."""

from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
import torch
from tests.made import as_tensors, made_examples, made_spec, small_model

from plumbline.artifacts import to_json
from plumbline.config.image import ImageColumnConfig, ImageEncoderConfig
from plumbline.config.model import ModelConfig, TextColumnConfig, TextEncoderConfig
from plumbline.examples import InputSpec
from plumbline.models import MODELS, build_model, build_on_meta, learn_inputs
from plumbline.models.architecture import describe
from plumbline.models.embeddings import NUMBER_EMBEDDINGS
from plumbline.models.image import IMAGE_ENCODERS
from plumbline.models.layers import NORMALIZATIONS
from plumbline.models.text import TEXT_ENCODERS

# a column per encoder
SPEC = made_spec(texts=len(TEXT_ENCODERS), images=len(IMAGE_ENCODERS))
ROWS = made_examples(SPEC, 40).inputs
CASES = [
    (name, embedding, list(NORMALIZATIONS)[i % len(NORMALIZATIONS)])
    for i, (name, embedding) in enumerate(product(MODELS, NUMBER_EMBEDDINGS))
]


def config_of(name: str, embedding: str, normalization: str, depth: int) -> ModelConfig:
    texts = {f"t{i}": TextColumnConfig(encoder=own) for i, own in enumerate(TEXT_ENCODERS)}  # type: ignore[arg-type]
    images = {f"i{i}": ImageColumnConfig(encoder=own) for i, own in enumerate(IMAGE_ENCODERS)}  # type: ignore[arg-type]
    return small_model(
        name,
        number_embedding=embedding,
        normalization=normalization,
        depth=depth,
        text=TextEncoderConfig(width=8, embedding_dim=6, heads=2, depth=2, columns=texts),
        image=ImageEncoderConfig(width=8, columns=images),
    )


def record(config: ModelConfig, spec: InputSpec = SPEC) -> dict[str, Any]:
    """The record as its file holds it."""
    learned = learn_inputs(config, spec, made_examples(spec, 40).inputs)
    made = to_json(describe(build_on_meta(config, spec, learned), spec))
    read: dict[str, Any] = json.loads(json.dumps(made))
    return read


def given_by(model: torch.nn.Module) -> tuple[dict[str, list[int]], list[int]]:
    """The shape of what each module of a real network gives, by path; and that of its output."""
    shapes: dict[str, list[int]] = {}

    def note(path: str) -> Any:
        def hook(module: object, given: object, result: Any) -> None:
            first = result if isinstance(result, torch.Tensor) else result[0]
            shapes[path] = list(first.shape[1:])

        return hook

    for path, module in model.named_modules():
        module.register_forward_hook(note(path))
    return shapes, list(model.eval()(**as_tensors(ROWS)).shape[1:])


@pytest.mark.parametrize(("name", "embedding", "normalization"), CASES)
def test_the_parts_are_those_of_the_network(name: str, embedding: str, normalization: str) -> None:
    config = config_of(name, embedding, normalization, depth=4)
    made = record(config)
    model = build_model(config, SPEC, learn_inputs(config, SPEC, ROWS), seed=0)
    weights = dict(model.named_parameters())
    total = sum(weight.numel() for weight in weights.values())
    shapes, output = given_by(model)

    assert made["parameters"] == made["trainable"] == total
    assert sum(part["parameters"] * part["repeats"] for part in made["parts"]) == total
    for part in made["parts"]:
        layers = part["layers"]
        assert sum(one["parameters"] * one["repeats"] for one in layers) == part["parameters"]
        for layer in layers:
            is_weight = layer["module"] == "Parameter"
            known = list(weights[layer["path"]].shape) if is_weight else shapes.get(layer["path"])
            assert layer["shape"] == known, layer
    reads = [part["reads"] for part in made["parts"] if part["role"] == "encoder"]
    assert reads == [tensor["name"] for tensor in made["tensors"]] == list(SPEC.names)
    assert made["output"] == output and made["prediction"] == output[-1:]
    # the last part gives what the network gives, members aside
    assert made["parts"][-1]["shape"][-1:] == output[-1:]


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"perceptron"}))
def test_equal_blocks_are_one_part(name: str) -> None:
    parts = record(config_of(name, "none", "layer", depth=6))["parts"]
    blocks = [part for part in parts if part["role"] == "backbone"]
    assert sum(part["repeats"] for part in blocks) in (6, 7)  # resmlp has a layer before
    assert max(part["repeats"] for part in blocks) >= 4
    assert len(blocks) <= 3


def test_what_is_frozen_is_not_trainable() -> None:
    spec = made_spec(texts=1)
    model = build_on_meta(small_model(), spec)
    model.get_submodule("input.encoders.text_0").requires_grad_(False)
    made = to_json(describe(model, spec))
    frozen = {
        part["reads"]: part["trainable"] for part in made["parts"] if part["role"] == "encoder"
    }
    assert frozen["text_0"] == 0 and frozen["cat"] > 0
    text = next(part for part in made["parts"] if part["reads"] == "text_0")
    assert made["trainable"] == made["parameters"] - text["parameters"]
