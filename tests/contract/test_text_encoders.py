"""Every text encoder, with every kind of positions, keeps the contract of `TEXT_ENCODERS`."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from tests.made import as_tensors, made_examples, made_spec, made_texts, small_model, text_tensor

from plumbline.config.model import ModelConfig, Positions, TextColumnConfig, TextEncoderName
from plumbline.errors import ParameterError
from plumbline.evaluation.gradients import integrated_gradients, saliency
from plumbline.evaluation.masker import Masker
from plumbline.examples import take_inputs
from plumbline.export.onnx_graph import to_onnx
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.models import MODELS, build_model
from plumbline.models.deployed import Deployed
from plumbline.models.text import TEXT_ENCODERS, TextFeatures

TENSOR = text_tensor(length=9)
CASES = [(e, "sinusoidal") for e in TEXT_ENCODERS if e != "transformer"]
CASES += [("transformer", p) for p in get_args(Positions)]
each = pytest.mark.parametrize(("encoder", "positions"), CASES)
SIZES: dict[str, Any] = {"embedding_dim": 6, "width": 8, "heads": 2, "depth": 2, "dropout": 0.0}


def config(encoder: str, positions: str, name: str = "mlp", **more: Any) -> ModelConfig:
    text = {**SIZES, "encoder": encoder, "positions": positions, **more}
    return small_model(name, text=text)


def features(encoder: str, positions: str, *, length: int = 9, seed: int = 0) -> TextFeatures:
    torch.manual_seed(seed)
    tensor = text_tensor(length=length)
    return TextFeatures(config(encoder, positions), tensor, None).eval()


def widened(encoder: str, positions: str, *, length: int = 9) -> TextFeatures:
    """With a wide part of three outputs that says something."""
    made = features(encoder, positions, length=length)
    made.widen(3)
    rng = np.random.default_rng(0)
    made.set_wide(rng.normal(size=(made.tokens, 3)), rng.normal(size=3))
    return made


def ids(n: int = 40, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(made_texts(TENSOR, n, seed))


def test_choices_and_parameters_agree() -> None:
    assert set(TEXT_ENCODERS) == set(get_args(TextEncoderName))


@each
def test_any_text_has_finite_features(encoder: str, positions: str) -> None:
    """The empty one too, which is all padding."""
    made, texts = features(encoder, positions), ids()
    assert (texts == 0).all(1).any() and (texts != 0).all(1).any()
    out = made(texts)
    assert out.shape == (40, 8) == (40, sum(made.chunks)) and torch.isfinite(out).all()
    torch.testing.assert_close(made(texts[3:4]), out[3:4], atol=1e-5, rtol=1e-4)


@each
def test_more_padding_changes_nothing(encoder: str, positions: str) -> None:
    short, long = features(encoder, positions), features(encoder, positions, length=15)
    state = long.state_dict()
    for key, value in short.state_dict().items():
        state[key][: len(value)] = value  # a learned position more is none of these texts'
    long.load_state_dict(state)
    padded = torch.nn.functional.pad(ids(), (0, 6))
    torch.testing.assert_close(short(ids()), long(padded), atol=1e-5, rtol=1e-4)
    with torch.no_grad():
        short.lookup.table.weight[0] = 5.0  # what padding is looked up as is nobody's business
    torch.testing.assert_close(short(ids()), long(padded), atol=1e-5, rtol=1e-4)


@each
def test_the_wide_part_sees_tokens_alone(encoder: str, positions: str) -> None:
    """Neither padding nor the order; and the features beside it are what they were."""
    made, longer = widened(encoder, positions), widened(encoder, positions, length=15)
    features_too, wide = made(ids())
    assert wide.shape == (40, 3) and torch.isfinite(wide).all()
    torch.testing.assert_close(features_too, features(encoder, positions)(ids()))
    padded = torch.nn.functional.pad(ids(), (0, 6))
    torch.testing.assert_close(longer(padded)[1], wide)
    torch.testing.assert_close(made(ids().flip(1))[1], wide)
    (features_too.sum() + wide.square().sum()).backward()
    assert made.lookup.wide is not None and made.lookup.wide.weight.grad is not None
    assert (made.lookup.wide.weight.grad[0] == 0).all() and made.lookup.wide.weight.grad.any()


@each
def test_the_order_of_words_counts_where_it_is_said_to(encoder: str, positions: str) -> None:
    made = features(encoder, positions)
    one = torch.tensor([[3, 4, 5, 6, 0, 0, 0, 0, 0]])
    other = torch.tensor([[6, 3, 5, 4, 0, 0, 0, 0, 0]])
    same = torch.allclose(made(one), made(other), atol=1e-6)
    assert same == (encoder == "mean")


@each
def test_the_same_seed_gives_the_same_bytes(encoder: str, positions: str) -> None:
    spec = made_spec(texts=1)
    models = [build_model(config(encoder, positions), spec, seed=s) for s in (3, 3, 4)]
    first, again, other = (m.state_dict() for m in models)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first if "text_0" in key)


@each
def test_every_weight_learns_and_padding_does_not(encoder: str, positions: str) -> None:
    made = features(encoder, positions).train()
    made(ids()).square().sum().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None and weight.grad.abs().sum() > 0, name
    assert (made.lookup.table.weight.grad[0] == 0).all()


@each
def test_dropout_follows_the_row_and_the_step(encoder: str, positions: str) -> None:
    """The model's own context reaches it: rows of two processes are those of one."""
    spec, rows = made_spec(texts=1), as_tensors(made_examples(made_spec(texts=1), 8).inputs)
    model = build_model(config(encoder, positions, dropout=0.5), spec, seed=0).train()
    whole = model(**rows)
    noise = model.noise
    noise.start, noise.stop, noise.total = 4, 8, 8
    half = model(**{name: array[4:] for name, array in rows.items()})
    torch.testing.assert_close(half, whole[4:], atol=1e-5, rtol=1e-4)
    noise.step = 1
    assert not torch.allclose(model(**{name: array[4:] for name, array in rows.items()}), half)


@each
def test_gradients_over_tokens_add_up_to_the_prediction(encoder: str, positions: str) -> None:
    """From one row to another: what is a token and what is padding is part of the path."""
    spec = made_spec(texts=1)
    rows = made_examples(spec, 12, 5).inputs
    model = build_model(config(encoder, positions), spec, seed=1).eval()
    deployed = Deployed(model, spec.task, None, 1.0).eval()
    base, outputs = take_inputs(rows, slice(1)), np.ones(12, dtype=np.int64)
    amounts = integrated_gradients(deployed, rows, base, Masker.of(spec), outputs)
    with torch.no_grad():
        said = deployed(**as_tensors(rows))[:, 1].double().numpy()
    assert_allclose(amounts.sum(1), said - said[0], atol=0.02)
    text = Masker.of(spec).names.index("t0")
    assert np.abs(saliency(deployed, rows, rows, Masker.of(spec), outputs))[:, text].max() > 0


@each
def test_the_exported_graph_says_the_same(encoder: str, positions: str) -> None:
    names = list(MODELS)
    name = names[CASES.index((encoder, positions)) % len(names)]  # architectures taken in turn
    spec = made_spec(numbers=1, cardinalities=(), texts=1)
    model = build_model(config(encoder, positions, name, depth=1), spec, seed=1).eval()
    graph = OnnxPredictor(to_onnx(model, spec, target=None, temperature=1.3, opset=18, metadata={}))
    rows = made_examples(spec, 20).inputs
    with torch.no_grad():
        said = Deployed(model, spec.task, None, 1.3).eval()(**as_tensors(rows)).numpy()
    assert_allclose(graph(rows), said, atol=1e-5)
    assert_allclose(graph(take_inputs(rows, slice(1))), said[:1], atol=1e-5)


@pytest.mark.parametrize("name", list(MODELS))
def test_every_architecture_reads_texts_alone_and_beside_columns(name: str) -> None:
    for spec in (made_spec(numbers=0, cardinalities=(), texts=2), made_spec(texts=1)):
        model = build_model(config("mean", "sinusoidal", name), spec, seed=0)
        out = model(**as_tensors(made_examples(spec, 7).inputs))
        assert out.shape[::2] == (7, 2) and torch.isfinite(out).all()


def test_a_column_has_its_own_encoder_where_it_is_given_one() -> None:
    own = {"t1": TextColumnConfig(encoder="gru", width=10)}
    spec = made_spec(numbers=0, cardinalities=(), texts=2)
    model = build_model(config("mean", "sinusoidal", columns=own), spec, seed=0)
    kinds = [type(m.body).__name__ for m in model.modules() if isinstance(m, TextFeatures)]
    assert kinds == ["TextMean", "GRU"]
    assert model.input.width == 18


@pytest.mark.parametrize(
    ("positions", "wanted"), [("rotary", "multiple of 6"), ("learned", "multiple of 3")]
)
def test_a_width_that_heads_do_not_divide_is_refused(positions: str, wanted: str) -> None:
    with pytest.raises(ParameterError, match=rf"model.text.width.*{wanted}"):
        TextFeatures(config("transformer", positions, heads=3), TENSOR, None)


@pytest.mark.parametrize(
    ("texts", "name", "hint"),
    [(1, "t00", "Did you mean 't0'"), (0, "t0", "[Nn]o feature is of type text")],
)
def test_an_encoder_for_a_column_that_is_no_text_is_refused(
    texts: int, name: str, hint: str
) -> None:
    own = {name: TextColumnConfig(encoder="cnn")}
    with pytest.raises(ParameterError, match=rf"model.text.columns.{name}.*{hint}"):
        build_model(config("mean", "sinusoidal", columns=own), made_spec(texts=texts), seed=0)
