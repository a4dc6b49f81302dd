"""Every architecture with every number embedding keeps the contract of `plumbline.models`."""

from __future__ import annotations

import dataclasses
from typing import Any, get_args

import pytest
import torch
from tests.made import as_tensors, made_examples, made_spec, small_model, spec_of

from plumbline.config.image import ImageEncoderConfig
from plumbline.config.model import (
    Activation,
    Initialization,
    ModelConfig,
    ModelName,
    Normalization,
    NumberEmbedding,
    TargetTransform,
    TextEncoderConfig,
)
from plumbline.errors import DataError
from plumbline.examples import InputSpec
from plumbline.kinds import Task
from plumbline.models import MODELS, build_model, learn_inputs, to_prediction
from plumbline.models.embeddings import NUMBER_EMBEDDINGS
from plumbline.models.layers import (
    ACTIVATIONS,
    INITIALIZERS,
    NORMALIZATIONS,
    SampleDropout,
)
from plumbline.models.target import TARGET_TRANSFORMS

SMALL = {
    "width": 16,
    "token_width": 16,
    "depth": 2,
    "heads": 4,
    "members": 3,
    "embedding_dim": 4,
    "category_dim": 3,
}


def spec(numbers: int = 3, categories: int = 2, task: Task = Task.MULTICLASS) -> InputSpec:
    return spec_of(
        task=task,
        num_names=tuple(f"n{i}" for i in range(numbers)),
        cat_names=tuple(f"c{i}" for i in range(categories)),
        cardinalities=tuple(range(3, 3 + categories)),
        classes=("a", "b", "c") if task == Task.MULTICLASS else (),
    )


def rows(spec: InputSpec, n: int = 7) -> dict[str, torch.Tensor]:
    return as_tensors(made_examples(spec, n).inputs)


def make(name: str, embedding: str, of: InputSpec, **more: object) -> torch.nn.Module:
    config = ModelConfig(name=name, number_embedding=embedding, **{**SMALL, **more})  # type: ignore[arg-type]
    learned = learn_inputs(config, of, made_examples(of, 200).inputs)
    return build_model(config, of, learned, seed=1)


def test_choices_and_parameters_agree() -> None:
    assert set(MODELS) == set(get_args(ModelName))
    assert set(NUMBER_EMBEDDINGS) == set(get_args(NumberEmbedding))
    assert set(ACTIVATIONS) == set(get_args(Activation))
    assert set(INITIALIZERS) == set(get_args(Initialization))
    assert set(NORMALIZATIONS) == set(get_args(Normalization))
    assert set(TARGET_TRANSFORMS) | {"auto"} == set(get_args(TargetTransform))


EVERY = [(m, e) for m in MODELS for e in NUMBER_EMBEDDINGS]


@pytest.mark.parametrize(("name", "embedding"), EVERY)
@pytest.mark.parametrize(("numbers", "categories"), [(3, 2), (0, 2), (3, 0), (1, 1)])
@pytest.mark.parametrize("task", [Task.MULTICLASS, Task.REGRESSION])
def test_shapes(name: str, embedding: str, numbers: int, categories: int, task: Task) -> None:
    of = spec(numbers, categories, task)
    model = make(name, embedding, of).eval()
    for n in (7, 1):
        out = model(**rows(of, n))
        assert out.shape == (n, 3 if name.startswith("tabm") else 1, of.n_outputs)
        assert out.dtype == torch.float32 and bool(out.isfinite().all())
    prediction = to_prediction(out, task)
    assert prediction.shape == (1, of.n_outputs)
    if task.has_classes:
        assert prediction.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("name", sorted(set(MODELS) - {"perceptron"}))
@pytest.mark.parametrize("embedding", ["periodic", "piecewise_linear"])
def test_an_uncurved_channel_is_not_embedded(name: str, embedding: str) -> None:
    """The network's first layer is linear in it: doubled twice, it moves by the same again."""
    num, cat = spec().tensors
    num = dataclasses.replace(num, plain=("n1",))
    of = dataclasses.replace(spec(), tensors=(num, cat))
    model = make(name, embedding, of).eval()
    given = rows(of, 5)
    shift = 10 * torch.tensor([0.0, 1.0, 0.0])
    at = [
        model.input({**given, "num": given["num"] + k * shift})[0]  # type: ignore[operator]
        for k in range(3)
    ]
    torch.testing.assert_close(at[1] - at[0], at[2] - at[1], rtol=1e-4, atol=1e-4)
    assert not torch.allclose(at[0], at[1])
    if name == "ft_transformer":  # tokens keep the order of the columns
        moved = (at[1] - at[0]).abs().sum(dim=(0, 2)) > 1e-6
        assert moved.tolist() == [False, True, False, False, False]


@pytest.mark.parametrize(("name", "embedding"), EVERY)
def test_the_same_seed_gives_the_same_weights_and_leaves_torch_alone(
    name: str, embedding: str
) -> None:
    state = torch.random.get_rng_state()
    first, second = make(name, embedding, spec()), make(name, embedding, spec())
    assert torch.equal(torch.random.get_rng_state(), state)
    for key, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[key])


@pytest.mark.parametrize(("name", "embedding"), EVERY)
@pytest.mark.parametrize("normalization", list(NORMALIZATIONS))
def test_gradients_reach_every_parameter(name: str, embedding: str, normalization: str) -> None:
    model = make(name, embedding, spec(), normalization=normalization, activation="gelu")
    model.train()
    model(**rows(spec(), 64)).square().sum().backward()
    for key, parameter in model.named_parameters():
        assert parameter.grad is not None, key
        # an embedding's unseen rows have no gradient; all others do
        assert parameter.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", list(MODELS))
def test_dropout_masks_do_not_depend_on_the_number_of_processes(name: str) -> None:
    model = make(name, "none", spec(), dropout=0.5).train()
    given = rows(spec(), 10)
    noise = model.noise
    noise.step, noise.start, noise.stop, noise.total = 5, 0, 10, 10  # type: ignore[union-attr]
    whole = model(**given)
    parts = []
    for start, stop in ((0, 3), (3, 10)):
        noise.start, noise.stop = start, stop  # type: ignore[union-attr]
        parts.append(model(**{tensor: values[start:stop] for tensor, values in given.items()}))
    torch.testing.assert_close(torch.cat(parts), whole)
    noise.step, noise.start, noise.stop = 6, 0, 10  # type: ignore[union-attr]
    drops = any(isinstance(module, SampleDropout) for module in model.modules())
    assert torch.allclose(model(**given), whole) is not drops


@pytest.mark.parametrize("name", list(MODELS))
@pytest.mark.parametrize("initialization", sorted(set(INITIALIZERS) - {"zero"}))
def test_initializations(name: str, initialization: str) -> None:
    model = make(name, "none", spec(), initialization=initialization).eval()
    assert bool(model(**rows(spec())).isfinite().all())


def test_zero_initialization_warns() -> None:
    with pytest.warns(UserWarning, match=r"model\.initialization is zero"):
        make("mlp", "none", spec(), initialization="zero")


def test_no_feature_is_refused() -> None:
    with pytest.raises(DataError, match="no feature"):
        make("mlp", "none", spec(0, 0))


@pytest.mark.parametrize("name", ["mlp", "resmlp", "tabm", "tabm_mini"])
@pytest.mark.parametrize(
    ("text", "image"),
    [("mean", "cnn"), ("cnn", "resnet"), ("transformer", "vit"), ("gru", "cnn")],
)
def test_before_batch_normalization_no_slope_is_rounding_alone(
    name: str, text: str, image: str
) -> None:
    """Adam would make full steps of it, others with two processes than with one."""
    more: dict[str, Any] = {
        "normalization": "batch",
        "number_embedding": "piecewise_linear",
        "text": TextEncoderConfig(encoder=text, width=8, heads=2, dropout=0.0),  # type: ignore[arg-type]
        "image": ImageEncoderConfig(encoder=image, width=8, heads=2, dropout=0.0),  # type: ignore[arg-type]
    }
    of = made_spec(texts=1, images=1)
    inputs = made_examples(of, 40).inputs
    inputs["image_0"][2] = 1  # every row has an image
    config = small_model(name, **more)
    model = build_model(config, of, learn_inputs(config, of, inputs), seed=1).train()
    (model(**as_tensors(inputs)) * torch.randn(40, 1, 1)).mean().backward()  # type: ignore[no-untyped-call]
    slopes = {
        key: weight.grad.abs().amax(0)  # of a matrix: by the input that it multiplies
        for key, weight in model.named_parameters()
        if weight.grad is not None
    }
    rounding = 1e-6 * max(slope.max().item() for slope in slopes.values())
    small = [key for key, own in slopes.items() if bool(((own > 0) & (own < rounding)).any())]
    assert small == []
