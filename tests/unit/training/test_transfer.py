"""Tensors of a fitted network for another: those that mean the same, and no others."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.made import made_examples, made_spec, short_fit, small_model, text_tensor

from plumbline.config.model import ModelConfig, TextEncoderConfig
from plumbline.errors import ParameterError
from plumbline.examples import InputSpec, TargetSpec
from plumbline.kinds import Task
from plumbline.models import MODELS, build_model
from plumbline.preprocessing.preparer import Labels
from plumbline.training.build import fit_fresh
from plumbline.training.transfer import Start, Transfer, take_tensors

pytestmark = pytest.mark.usefixtures("one_thread")
SPEC = made_spec(Task.MULTICLASS, texts=1)
TRAIN, VAL = made_examples(SPEC, 60, 1), made_examples(SPEC, 31, 2)


def labels_of(spec: InputSpec, *, first: int = 0) -> Labels:
    """Tokens are numbered from `first` on."""
    labels: Labels = {}
    for tensor in spec:
        if tensor.kind == "text":
            own = [str(first + k) for k in range(tensor.details["tokens"] - 2)]
            labels[tensor.name] = [("", token) for token in ("[PAD]", "[UNK]", *own)]
        elif tensor.kind == "categories":
            labels[tensor.name] = [
                (name, None if k == 0 else str(k))
                for name, size in zip(tensor.features, tensor.cardinalities, strict=True)
                for k in range(size)
            ]
    return labels


def start_of(config: ModelConfig, spec: InputSpec = SPEC, seed: int = 7, **more: Any) -> Start:
    """A network with tensors of its own; not fitted, which nobody can tell."""
    model = build_model(config, spec, seed=seed)
    return Start(
        source="the start",
        model=dataclasses.asdict(config),
        spec=spec,
        learned={},
        weights={name: t.numpy() for name, t in model.state_dict().items()},
        labels=labels_of(spec),
        own_labels=more.pop("own_labels", labels_of(spec)),
    )


def taken(start: Start, config: ModelConfig, spec: InputSpec) -> tuple[Transfer, dict[str, Any]]:
    model = build_model(config, spec, seed=0)
    transfer = take_tensors(start, model, config, spec, {})
    return transfer, {name: t.numpy() for name, t in model.state_dict().items()}


def renamed(spec: InputSpec, kind: str, features: tuple[str, ...]) -> InputSpec:
    tensors = tuple(
        replace(t, features=features, sources=features) if t.kind == kind else t for t in spec
    )
    return replace(spec, tensors=tensors)


@pytest.mark.parametrize("name", MODELS)
class TestFamilies:
    def test_the_same_network_is_taken_whole(self, name: str) -> None:
        config = small_model(name)
        start = start_of(config)
        transfer, now = taken(start, config, SPEC)
        assert not transfer.left
        assert all(np.array_equal(now[key], start.weights[key]) for key in now)

    def test_other_columns_or_classes_in_the_same_shape_are_not(self, name: str) -> None:
        """What is taken must give the same features: of the same columns, whatever their order."""
        config = small_model(name)
        start = start_of(config)
        turned = renamed(SPEC, "numbers", ("n2", "n0", "n1"))
        for key, why in taken(start, config, turned)[0].left.items():
            assert "input.encoders.num" in key or why == "reads other features there", key
        other = replace(SPEC, target=TargetSpec(task=Task.MULTICLASS, classes=("a", "b", "d")))
        if name == "perceptron":  # its encoders give the classes
            with pytest.raises(ParameterError, match="answers other classes there"):
                taken(start, config, other)
            return
        transfer = taken(start, config, other)[0]
        assert transfer.left and transfer.taken
        left = {key for key in transfer.left if key.split(".")[0] not in {"head", "heads"}}
        assert {key.partition(".wide")[2] for key in left} == {".weight", "_bias"}, left

    def test_whatever_follows_the_inputs_is_known_to_do_so(self, name: str) -> None:
        """A tensor whose shape changes with one more column reads the columns."""
        for depth in {0, 2} if name != "ft_transformer" else {2}:
            config = small_model(name, depth=depth)
            wider = made_spec(Task.MULTICLASS, numbers=4, texts=1)
            one, other = (build_model(config, spec, seed=0) for spec in (SPEC, wider))
            shapes = {key: t.shape for key, t in other.state_dict().items()}
            changed = {k for k, t in one.state_dict().items() if t.shape != shapes.get(k)}
            inside = {key for key in changed if key.startswith("input.encoders.")}
            assert changed - inside == set(getattr(one, "reads_input", ())), depth


class TestMeaning:
    def test_rows_of_a_table_follow_their_tokens(self) -> None:
        """As many tokens, but others: a table of the same shape."""
        config = small_model("mlp")
        own = {**labels_of(SPEC), "text_0": labels_of(SPEC, first=20)["text_0"]}
        start = start_of(config, own_labels=own)
        fresh = build_model(config, SPEC, seed=0).state_dict()
        transfer, now = taken(start, config, SPEC)
        key = "input.encoders.text_0.lookup.table.weight"
        assert transfer.taken[key] == "10 of 30 rows"
        there = {label: row for row, label in enumerate(start.labels["text_0"])}
        for row, label in enumerate(own["text_0"]):
            wanted = start.weights[key][there[label]] if label in there else fresh[key][row]
            assert np.array_equal(now[key][row], wanted), label

    def test_categories_follow_their_values_though_columns_differ(self) -> None:
        config = small_model("mlp")
        spec = renamed(SPEC, "categories", ("c1", "c9"))  # c1 has four values here, three there
        start = start_of(config, own_labels=labels_of(spec))
        transfer, now = taken(start, config, spec)
        key = "input.encoders.cat.lookup.table.weight"
        assert transfer.taken[key] == "3 of 7 rows"
        assert np.array_equal(now[key][:3], start.weights[key][4:])
        assert transfer.left["hidden.0.weight"] == "reads other features there"

    def test_a_text_is_paired_by_its_column_else_by_its_place(self) -> None:
        config = small_model("mlp")
        two = replace(SPEC, tensors=(text_tensor(0), text_tensor(1)))
        start = start_of(config, two)
        swapped = tuple(
            replace(t, sources=other.sources, features=other.features)
            for t, other in zip(two.tensors, reversed(two.tensors), strict=True)
        )
        _, now = taken(start, config, replace(two, tensors=swapped))
        key = "input.encoders.text_{}.lookup.table.weight"
        assert np.array_equal(now[key.format(0)], start.weights[key.format(1)])
        review = replace(text_tensor(0), sources=("review",) * 6)
        _, now = taken(start, config, replace(two, tensors=(review,)))
        assert np.array_equal(now[key.format(0)], start.weights[key.format(0)])

    def test_other_sizes_are_left_with_both_shapes(self) -> None:
        start = start_of(small_model("mlp", width=8))
        transfer, _ = taken(start, small_model("mlp"), SPEC)
        assert transfer.left["head.weight"] == "has another shape there (3x16 and 3x8)"
        assert transfer.taken["input.encoders.cat.lookup.table.weight"] == "whole"

    def test_nothing_that_fits_is_an_error_that_names_the_keys(self) -> None:
        numbers = made_spec(Task.MULTICLASS, cardinalities=())
        start = start_of(small_model("mlp", width=8), numbers)
        with pytest.raises(ParameterError, match=r"no tensor of the start.*model.width 16 instead"):
            taken(start, small_model("mlp"), numbers)

    def test_what_encoders_learned_belongs_to_their_weights(self) -> None:
        """Bins of the start network's rows, not of these."""
        spec = made_spec(Task.MULTICLASS)
        config = small_model("mlp", number_embedding="piecewise_linear")
        rows = made_examples(spec, 200, 5)
        fit = fit_fresh(config, short_fit(epochs=1), spec, rows, VAL_NUMBERS, seed=0)
        start = Start(
            source="the start",
            model=dataclasses.asdict(config),
            spec=spec,
            learned=fit.learned,
            weights={name: t.numpy() for name, t in fit.fitted.weights.items()},
            labels=labels_of(spec),
            own_labels=labels_of(spec),
        )
        far = replace(rows, inputs={**rows.inputs, "num": rows.inputs["num"] * 3 + 1})
        again = fit_fresh(config, short_fit(epochs=1), spec, far, VAL_NUMBERS, seed=0, start=start)
        assert again.learned == fit.learned
        assert again.transfer is not None and not again.transfer.left


VAL_NUMBERS = made_examples(made_spec(Task.MULTICLASS), 31, 2)


class TestFreeze:
    CONFIG = small_model("mlp", depth=2, normalization="batch", dropout=0.3)

    def fit(self, **how: Any) -> tuple[Start, dict[str, Any]]:
        start = start_of(self.CONFIG)
        fit = fit_fresh(self.CONFIG, short_fit(**how), SPEC, TRAIN, VAL, seed=3, start=start)
        return start, {name: t.numpy() for name, t in fit.fitted.weights.items()}

    @pytest.mark.parametrize("part", ["numbers", "categories", "text", "t0", "backbone", "head"])
    def test_a_frozen_part_stays_to_the_byte(self, part: str) -> None:
        """Running statistics too."""
        prefixes = {
            "numbers": ("input.encoders.num.",),
            "categories": ("input.encoders.cat.",),
            "text": ("input.encoders.text_0.",),
            "t0": ("input.encoders.text_0.",),
            "backbone": ("hidden.",),
            "head": ("head.",),
        }
        if part == "numbers":  # as they are, without a tensor of their own
            with pytest.raises(ParameterError, match="is no part of this network"):
                self.fit(freeze={part: "all"})
            return
        start, now = self.fit(freeze={part: "all"}, weight_decay=0.1, l1=0.01)
        for name, value in now.items():
            inside = name.startswith(prefixes[part])
            assert np.array_equal(value, start.weights[name]) == inside, name

    def test_it_is_unfrozen_at_its_epoch(self) -> None:
        for epochs in (2, 3):
            start, now = self.fit(freeze={"text": 2}, epochs=epochs, monitor="loss")
            key = "input.encoders.text_0.body.out.weight"
            assert np.array_equal(now[key], start.weights[key]) == (epochs == 2)

    def test_a_column_goes_before_its_kind(self) -> None:
        start, now = self.fit(freeze={"text": "all", "t0": 1}, epochs=2)
        key = "input.encoders.text_0.body.out.weight"
        assert not np.array_equal(now[key], start.weights[key])

    @pytest.mark.parametrize("key", ["freeze", "rates"])
    def test_an_unknown_part_is_answered_with_those_there_are(self, key: str) -> None:
        with pytest.raises(ParameterError) as refused:
            self.fit(**{key: {"txt": 2}})
        assert f"train.{key}.txt" in str(refused.value)
        assert "valid names: categories, text, backbone, head, t0" in str(refused.value)

    def test_a_freeze_of_everything_is_refused(self) -> None:
        parts = {"categories": "all", "text": 1, "backbone": 3, "head": 2}
        with pytest.raises(ParameterError, match="every part of the network is frozen"):
            self.fit(freeze=parts)

    def test_a_part_that_was_not_taken_cannot_be_frozen(self) -> None:
        other = replace(SPEC, target=TargetSpec(task=Task.MULTICLASS, classes=("a", "b", "d")))
        how = short_fit(freeze={"head": 2})
        with pytest.raises(ParameterError, match=r"freeze.head.*answers other classes there"):
            fit_fresh(self.CONFIG, how, other, TRAIN, VAL, seed=0, start=start_of(self.CONFIG))


class TestRates:
    def test_a_factor_of_one_changes_no_byte(self) -> None:
        config = small_model("tabm", dropout=0.2)
        plain = {"weight_decay": 0.1, "schedule": "cosine", "average": 0.9}
        ones = {"numbers": 1.0, "backbone": 1.0}
        spec = made_spec(Task.MULTICLASS)
        rows = made_examples(spec, 60, 1)
        one, other = (
            fit_fresh(config, short_fit(**plain, rates=r), spec, rows, VAL_NUMBERS, seed=0).fitted
            for r in ({}, ones if config.number_embedding != "none" else {"backbone": 1.0})
        )
        assert one.history == other.history
        assert all(torch.equal(t, other.weights[name]) for name, t in one.weights.items())

    def test_a_step_is_as_many_times_longer(self) -> None:
        config = small_model("mlp", depth=1, text=TextEncoderConfig(wide=False))
        how = {"optimizer": "sgd", "momentum": 0.0, "batch_size": 0, "epochs": 1, "clip_norm": None}
        before = build_model(config, SPEC, seed=0).state_dict()
        moved = []
        for rates in ({}, {"head": 0.5, "text": 3.0}):
            fit = fit_fresh(config, short_fit(**how, rates=rates), SPEC, TRAIN, VAL, seed=0)
            moved.append({k: t - before[k] for k, t in fit.fitted.weights.items()})
        for name, step in moved[0].items():
            text = name.startswith("input.encoders.text_0.")
            factor = 0.5 if name.startswith("head.") else 3.0 if text else 1.0
            torch.testing.assert_close(moved[1][name], factor * step, rtol=1e-3, atol=1e-6)
