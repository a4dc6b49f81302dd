"""The words of a text, explained: cut as the model reads them, and the words that count first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from tests.made import small_model, spec_of

from plumbline.config.model import TextEncoderConfig
from plumbline.evaluation.cell_parts import CellExplanation, explain_cells, faithfulness_of
from plumbline.evaluation.explanation import Case
from plumbline.evaluation.explanation_budget import CellEffort
from plumbline.evaluation.masker import Masker
from plumbline.evaluation.text_parts import (
    MOST_PARTS,
    OpenText,
    cuts,
    open_text,
)
from plumbline.examples import PADDING, UNKNOWN, TensorSpec
from plumbline.inference.torch_predictor import TorchPredictor
from plumbline.kinds import Task
from plumbline.models import build_model
from plumbline.models.deployed import Deployed
from plumbline.preprocessing.tokenizer import METHODS, TextTokenizer

TEXTS = [
    "WIN a free prize! call now",
    "are you coming home for lunch",
    "free entry, call 08712-460-324 to claim £1000",
    "ok see you later then",
    "今日は free 晴れ",
]
LENGTH = 16  # tokens of a text that is explained
HOSTILE = (
    "<script>alert(1)</script> \u202eevil\u202c שלום עולם 👨‍👩‍👧 ﬁne e\u0301\x00x [PAD] \t end"
)


def fitted(method: str, length: int = 60) -> TextTokenizer:
    tokenizer = TextTokenizer.fit(
        [*TEXTS, HOSTILE] * 3, method=method, lowercase=True, most_tokens=400, most_length=length
    )
    tokenizer.length = length
    return tokenizer


def opened(
    tokenizer: TextTokenizer, text: str | None, position: int = 0, *, cut: bool = False
) -> OpenText | None:
    own = {"text_0": tokenizer([text])[0]}
    return open_text("t", position, text, {"text_0": tokenizer}, own, cut=cut)


def whole(*arguments: Any, cut: bool = False) -> OpenText:
    cell = opened(*arguments, cut=cut)
    assert cell is not None
    return cell


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("text", [*TEXTS, HOSTILE])
def test_a_part_that_is_cut_out_leaves_the_text_without_it(method: str, text: str) -> None:
    tokenizer = fitted(method, length=150)
    cell, own = whole(tokenizer, text, cut=True), tokenizer([text])
    count = len(cell.parts)
    assert 1 < count <= MOST_PARTS
    assert "".join(p.text for p in cell.parts).replace(" ", "") == "".join(text.split())
    for k, part in enumerate(cell.parts):
        present = np.arange(count)[None] != k
        rest = cell.parts[k + 1].start if k + 1 < count else len(text)
        mixed = cell.maskers["text_0"].mix(present, own, cell.absent["text_0"])
        assert_array_equal(mixed, tokenizer([text[: part.start] + text[rest:]]))


@pytest.mark.parametrize("cut", [True, False])
def test_networks_that_read_other_tokens_have_the_same_words(cut: bool) -> None:
    """A word that one of them does not reach is left out of the other alone."""
    text = "free entry, call 08712-460-324 to claim ok"
    tokenizers = {"text_0_1": fitted("words", length=3), "text_0_2": fitted("characters")}
    own = {name: tokenizer([text])[0] for name, tokenizer in tokenizers.items()}
    cell = open_text("t", 0, text, tokenizers, own, cut=cut)
    assert cell is not None and cell.read == len(text)
    names = {masker.names for masker in cell.maskers.values()}
    assert names == {tuple(map(str, range(len(cell.parts))))}
    present = np.arange(len(cell.parts))[None] != len(cell.parts) - 1
    mixed = {n: m.mix(present, own[n][None], own[n][None])[0] for n, m in cell.maskers.items()}
    assert_array_equal(mixed["text_0_1"], own["text_0_1"])
    assert not np.array_equal(mixed["text_0_2"], own["text_0_2"])
    nothing = {n: m.mix(~present, own[n][None], own[n][None])[0] for n, m in cell.maskers.items()}
    assert set(nothing["text_0_1"].tolist()) <= {UNKNOWN, PADDING}


def test_long_and_empty_texts_are_bounded() -> None:
    tokenizer = fitted("words")
    long = whole(tokenizer, "free prize call now " * 100_000)
    assert len(long.parts) == MOST_PARTS and long.read < 400 < long.size
    assert {len(part.text.split()) for part in long.parts} == {2}
    assert len(whole(tokenizer, "x" * 1_000_000).parts[0].text) < 400
    for text in (None, "", " \n"):
        assert opened(tokenizer, text) is None


def case(encoder: str, model: str, texts: list[str]) -> tuple[Case, TextTokenizer]:
    """A model whose answer is moved by `free`, and by what else chance gave it."""
    tokenizer = fitted("words", length=LENGTH)
    spec = spec_of(task=Task.BINARY, num_names=("n0",), classes=("no", "yes"))
    text = TensorSpec(
        name="text_0",
        kind="text",
        dtype="int64",
        shape=(LENGTH,),
        features=tuple(f"t[{k}]" for k in range(LENGTH)),
        sources=("t",) * LENGTH,
        details={"tokens": tokenizer.tokens},
    )
    spec = replace(spec, tensors=(*spec.tensors, text))
    own = TextEncoderConfig(encoder=encoder, embedding_dim=8, width=8, heads=2)  # type: ignore[arg-type]
    network = build_model(small_model(model, text=own), spec, seed=0)
    free = tokenizer(["free"])[0, 0]
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.mul_(1.5)
            if name.endswith(("lookup.table.weight", "text_0.lookup.weight")):
                parameter.mul_(0.5 / parameter.abs().max())  # however small they begin
                parameter[int(free)] *= 8
    rng = np.random.default_rng(0)
    inputs: dict[str, Any] = {
        "num": rng.normal(size=(len(texts), 1)).astype(np.float32),
        "text_0": tokenizer(texts),
    }
    return Case(
        predict=TorchPredictor(network.eval(), spec.task),
        deployed=Deployed(network, spec.task, None, 1.0).eval(),
        architecture=network,
        masker=Masker.of(spec),
        rows=inputs,
        numbers=np.arange(len(texts)),
        background=inputs,
        outputs=np.ones(len(texts), dtype=np.int64),
        of="probability",
        classes=("no", "yes"),
        picks=(),
        seed=0,
    ), tokenizer


def explained(encoder: str, model: str = "mlp") -> list[CellExplanation[OpenText]]:
    texts = [text for text in TEXTS if "free" in text] * 2
    made, tokenizer = case(encoder, model, texts)
    cells = [whole(tokenizer, text, i) for i, text in enumerate(texts)]
    return explain_cells(made, cells, CellEffort(rows=len(texts), pairs=4, samples=150))


@pytest.mark.parametrize(
    ("encoder", "model"),
    [("mean", "mlp"), ("gru", "mlp"), ("transformer", "ft_transformer"), ("mean", "perceptron")],
)
def test_values_add_up_and_the_word_that_counts_comes_first(encoder: str, model: str) -> None:
    result = explained(encoder, model)
    methods = {"shap", "lime", "integrated_gradients", "saliency"}
    attends = encoder == "transformer"
    first = dict.fromkeys(result[0].values, 0)
    for each in result:
        assert set(each.values) == methods | ({"attention"} if attends else set())
        assert_allclose(each.values["shap"].sum(), each.prediction - each.base, atol=1e-9)
        for method, values in each.values.items():
            word = each.cell.parts[int(np.abs(values).argmax())].text
            first[method] += "free" in word
        if attends:
            assert_allclose(each.values["attention"].sum(), 1, atol=1e-5)
    tested = faithfulness_of(result)["t"]
    assert set(tested) == set(first) and tested["shap"].rows == len(result)
    if not attends:  # it normalizes the length of vectors
        assert first["shap"] == len(result) and first["lime"] == len(result)
        assert tested["shap"].verdict == "faithful"


def test_integrated_gradients_add_up() -> None:
    for each in explained("mean"):
        assert_allclose(
            each.values["integrated_gradients"].sum(), each.prediction - each.base, atol=0.02
        )


def test_the_same_seed_gives_the_same_values() -> None:
    for a, b in zip(explained("mean"), explained("mean"), strict=True):
        for method in a.values:
            assert_array_equal(a.values[method], b.values[method])
            assert_array_equal(a.areas[method], b.areas[method])


def test_tokens_are_where_they_stand() -> None:
    tokenizer = fitted("wordpiece")
    ids, spans = tokenizer.spans(TEXTS[0])
    own = tokenizer([TEXTS[0]])[0]
    assert_array_equal(ids, own[own != PADDING])
    assert [TEXTS[0][a:b] for a, b in spans.tolist()][:2] == ["WIN", "a"]


def test_an_absent_word_is_unknown_where_the_model_knows_what_that_means() -> None:
    ids = np.full((10, 20), 5)
    assert cuts(ids) and cuts(np.zeros((3, 4), dtype=np.int64))
    ids[0, :4] = UNKNOWN
    assert not cuts(ids)
    tokenizer = fitted("words")
    cell = whole(tokenizer, "free neverseen prize!")
    assert [part.known for part in cell.parts] == [True, False, True]
    assert_array_equal(cell.absent["text_0"][0, :5], [UNKNOWN] * 4 + [PADDING])
