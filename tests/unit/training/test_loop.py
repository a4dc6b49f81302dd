"""The loop: what a step does, when it stops, what it gives back, and what it refuses."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.made import as_tensors, made_examples, made_spec, short_fit, small_model
from torch import nn

from plumbline.config.model import TrainConfig
from plumbline.errors import DataError, ParameterError
from plumbline.examples import Examples
from plumbline.kinds import Task
from plumbline.models import build_model, learn_inputs
from plumbline.models.target import TargetTransform
from plumbline.training import epoch
from plumbline.training.distributed import SINGLE_PROCESS, World
from plumbline.training.divergence import DivergedError
from plumbline.training.loop import (
    Fitted,
    evaluate_rows,
    fit,
    predict,
    train_epoch,
)
from plumbline.training.optim import EMA
from plumbline.training.setup import prepare

pytestmark = pytest.mark.usefixtures("one_thread")
SPEC = made_spec(Task.MULTICLASS)
TRAIN, VAL = made_examples(SPEC, 70, 1), made_examples(SPEC, 31, 2)


def network(**more: Any) -> nn.Module:
    return build_model(small_model(**{"dropout": 0.0, **more}), SPEC, seed=0)


def fitted(
    config: TrainConfig, train: Examples = TRAIN, val: Examples = VAL, **more: Any
) -> Fitted:
    return fit(network(), train, val, SPEC.task, config, seed=0, **more)


def after_one_epoch(config: TrainConfig, train: Examples = TRAIN) -> nn.Module:
    model = network()
    job, run = prepare(
        model, train, VAL, SPEC.task, config, seed=0, target=None, world=SINGLE_PROCESS
    )
    train_epoch(job, run)
    return model


def difference(one: nn.Module, other: nn.Module) -> float:
    """The largest over all weights."""
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return max((a - b).abs().max().item() for a, b in pairs)


class TestSteps:
    def test_an_epoch_is_plain_torch(self) -> None:
        """Against the loop that every torch tutorial shows, clipping included."""
        config = short_fit(clip_norm=0.3, weight_decay=0.01)
        reference = network()
        decayed = [p for p in reference.parameters() if p.ndim == 2 and len(p) != 7]
        rest = [p for p in reference.parameters() if not any(p is d for d in decayed)]
        optimizer = torch.optim.AdamW(
            [{"params": decayed, "weight_decay": 0.01}, {"params": rest, "weight_decay": 0.0}],
            lr=0.01,
        )
        order = np.random.default_rng([0, 0]).permutation(70)
        for start in range(0, 70, 16):
            rows = TRAIN.take(order[start : start + 16])
            output = reference(**as_tensors(rows.inputs))[:, 0]
            optimizer.zero_grad()
            nn.functional.cross_entropy(output, torch.from_numpy(rows.y)).backward()
            nn.utils.clip_grad_norm_(reference.parameters(), 0.3)
            optimizer.step()
        assert difference(after_one_epoch(config), reference) < 1e-6

    def test_accumulated_batches_equal_a_larger_one(self) -> None:
        large = after_one_epoch(short_fit(batch_size=48))
        assert difference(after_one_epoch(short_fit(batch_size=16, accumulate=3)), large) < 1e-6
        assert difference(after_one_epoch(short_fit(batch_size=16)), large) > 1e-3

    def test_batch_size_0_is_all_rows_in_one_step(self) -> None:
        whole = after_one_epoch(short_fit(batch_size=0))
        assert difference(whole, after_one_epoch(short_fit(batch_size=70))) == 0
        assert difference(whole, after_one_epoch(short_fit(batch_size=100_000))) == 0

    def test_steps_laid_out_in_pieces_are_the_same(self, monkeypatch: pytest.MonkeyPatch) -> None:
        config = short_fit(batch_size=8, accumulate=2)
        whole = after_one_epoch(config)
        monkeypatch.setattr(epoch, "STEPS_AHEAD", 2)
        assert difference(after_one_epoch(config), whole) == 0

    def test_clipping_bounds_the_step(self) -> None:
        start = network()
        config = short_fit(optimizer="sgd", momentum=0.0, learning_rate=1.0, batch_size=0)
        moved = after_one_epoch(replace(config, clip_norm=0.01))
        pairs = zip(moved.parameters(), start.parameters(), strict=True)
        norm = math.sqrt(sum((a - b).square().sum().item() for a, b in pairs))
        assert norm == pytest.approx(0.01, rel=1e-3)

    def test_a_row_of_weight_two_is_a_row_twice(self) -> None:
        twice = TRAIN.take(np.concatenate([np.arange(70), [5]]))
        weight = np.ones(70, dtype=np.float32)
        weight[5] = 2
        config = short_fit(batch_size=0)
        weighed = after_one_epoch(config, replace(TRAIN, weight=weight))
        assert difference(weighed, after_one_epoch(config, twice)) < 1e-6

    def test_a_row_of_weight_zero_counts_for_nothing(self) -> None:
        weight = np.ones(70, dtype=np.float32)
        weight[60:] = 0
        config = short_fit(batch_size=0)
        without = after_one_epoch(config, TRAIN.take(slice(0, 60)))
        assert difference(after_one_epoch(config, replace(TRAIN, weight=weight)), without) < 1e-6

    def test_class_weights_weigh_the_classes(self) -> None:
        config = short_fit(batch_size=0, class_weights=[1.0, 2.0, 0.5])
        weight = np.array([1.0, 2.0, 0.5], dtype=np.float32)[TRAIN.y]
        wanted = after_one_epoch(short_fit(batch_size=0), replace(TRAIN, weight=weight))
        assert difference(after_one_epoch(config), wanted) == 0

    def test_l1_makes_weights_small(self) -> None:
        def size(config: TrainConfig) -> float:
            model = after_one_epoch(config)
            return sum(p.abs().sum().item() for p in model.hidden.parameters())  # type: ignore[union-attr]

        sgd = {"optimizer": "sgd", "batch_size": 2, "clip_norm": None}
        assert size(short_fit(l1=0.1, **sgd)) < 0.5 * size(short_fit(**sgd))

    def test_the_reported_training_loss_is_the_weighted_mean_over_rows(self) -> None:
        """With a rate too small to move anything it is the loss of the first weights."""
        weight = np.random.default_rng(0).random(70).astype(np.float32)
        rows = replace(TRAIN, weight=weight)
        result = fitted(short_fit(epochs=1, learning_rate=1e-12), rows, rows).history[0]
        with torch.no_grad():
            output = network().eval()(**as_tensors(rows.inputs))[:, 0]
        lost = nn.functional.cross_entropy(output, torch.from_numpy(rows.y), reduction="none")
        wanted = float((lost.numpy() * weight).sum() / weight.sum())
        assert result["train_loss"] == pytest.approx(wanted, rel=1e-5)
        assert result["val_loss"] == pytest.approx(wanted, rel=1e-5)


class TestOneSeed:
    def test_the_same_seed_gives_the_same_bytes(self) -> None:
        def run() -> Fitted:
            model = network(dropout=0.3)
            return fit(model, TRAIN, VAL, SPEC.task, short_fit(), seed=5)

        one, other = run(), run()
        assert one.history == other.history
        for key, value in one.weights.items():
            assert torch.equal(value, other.weights[key]), key

    def test_another_seed_gives_another_order(self) -> None:
        one = fit(network(), TRAIN, VAL, SPEC.task, short_fit(), seed=5)
        other = fit(network(), TRAIN, VAL, SPEC.task, short_fit(), seed=6)
        assert one.history != other.history


class TestStopping:
    def scores(self, *values: float) -> Any:
        given = iter([*values, *[0.0] * 100])
        return lambda y, prediction: next(given)

    def test_patience_counts_epochs_without_a_better_score(self) -> None:
        result = fitted(
            short_fit(epochs=50, patience=3), score=self.scores(0.5, 0.6, 0.6, 0.7, 0.7, 0.6, 0.1)
        )
        assert (result.best_epoch, len(result.history)) == (4, 7)
        assert result.stopped_early and result.best_score == 0.7 and result.monitor == "score"

    def test_no_patience_goes_to_the_end(self) -> None:
        result = fitted(short_fit(epochs=9, patience=0), score=self.scores(0.9))
        assert (result.best_epoch, len(result.history), result.stopped_early) == (1, 9, False)

    def test_a_score_may_be_better_when_smaller(self) -> None:
        result = fitted(
            short_fit(epochs=4, patience=0),
            score=self.scores(0.5, 0.2, 0.3, 0.4),
            greater_is_better=False,
        )
        assert (result.best_epoch, result.best_score) == (2, 0.2)

    def test_without_a_score_the_loss_is_watched(self) -> None:
        result = fitted(short_fit(epochs=6))
        losses = [row["val_loss"] for row in result.history]
        assert result.monitor == "loss" and result.best_epoch == 1 + int(np.argmin(losses))
        assert result.best_score == min(losses) and "val_score" not in result.history[0]

    def test_a_score_that_is_no_number_gives_way_to_the_loss(self) -> None:
        result = fitted(short_fit(epochs=3), score=self.scores(math.nan, 0.9, 0.1))
        assert result.monitor == "loss"
        assert result.best_score == min(row["val_loss"] for row in result.history)

    def test_a_score_that_is_no_number_later_is_no_better_one(self) -> None:
        result = fitted(short_fit(epochs=3), score=self.scores(0.5, math.nan, 0.4))
        assert (result.best_epoch, result.monitor) == (1, "score")

    def test_the_best_epochs_weights_come_back(self) -> None:
        result = fitted(short_fit(epochs=4, patience=0), score=self.scores(0.1, 0.9, 0.2, 0.3))
        two = fitted(short_fit(epochs=2, patience=0), score=self.scores(0.1, 0.9))
        for key, value in result.model.state_dict().items():
            assert torch.equal(value, two.weights[key]) and torch.equal(value, result.weights[key])
        assert not result.model.training

    def test_the_last_epochs_weights_may_be_kept_instead(self) -> None:
        config = short_fit(epochs=9, patience=2, keep="last")
        result = fitted(config, score=self.scores(0.1, 0.9, 0.2, 0.3))
        assert (result.best_epoch, len(result.history), result.best_score) == (4, 4, 0.3)
        assert result.stopped_early
        four = fitted(short_fit(epochs=4, patience=0), score=self.scores(0.1, 0.2, 0.3, 0.4))
        for key, value in result.weights.items():
            assert torch.equal(value, four.weights[key])

    def test_who_is_told_may_stop_the_fit(self) -> None:
        answer: list[int] = []

        def stop(epoch: int, row: dict[str, float]) -> None:
            answer.append(epoch)
            if epoch == 2:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            fitted(short_fit(epochs=9), on_epoch=stop)
        assert answer == [1, 2]

    def test_plateau_lowers_the_rate(self) -> None:
        config = short_fit(epochs=6, schedule="plateau", plateau_epochs=2, decay=0.5, patience=0)
        result = fitted(config, score=self.scores(0.9))
        rates = [row["learning_rate"] for row in result.history]
        assert rates == pytest.approx([0.01, 0.01, 0.01, 0.005, 0.005, 0.0025])


class TestAverage:
    def test_what_is_validated_and_kept_is_the_average(self) -> None:
        config = short_fit(epochs=1, average=0.99, batch_size=0)
        start, plain = network(), after_one_epoch(replace(config, average=0.0))
        result = fitted(config)
        # after one step the decay is (1 + 0) / (10 + 0)
        for key, value in result.weights.items():
            wanted = 0.1 * start.state_dict()[key] + 0.9 * plain.state_dict()[key]
            torch.testing.assert_close(value, wanted, atol=1e-7, rtol=1e-5)

    def test_running_statistics_belong_to_the_weights(self) -> None:
        """Averaged weights with the statistics of the last ones would be another model."""
        config = small_model("mlp", normalization="batch", number_embedding="piecewise_linear")
        model = build_model(config, SPEC, learn_inputs(config, SPEC, TRAIN.inputs), seed=0)
        average = EMA(model, 0.99)
        before = {k: t.clone() for k, t in model.state_dict().items()}
        with torch.no_grad():
            for name, tensor in model.state_dict().items():
                if tensor.is_floating_point() and "input" not in name:
                    tensor.add_(1.0)
        average.update()  # after one step the decay is 0.1
        moved = {k: t.clone() for k, t in model.state_dict().items()}
        with average.applied():
            statistics = 0
            for key, value in model.state_dict().items():
                wanted = 0.9 if value.is_floating_point() and "input" not in key else 0.0
                torch.testing.assert_close(value, before[key] + value.new_tensor(wanted))
                statistics += "running" in key
            assert statistics
        for key, value in model.state_dict().items():
            assert torch.equal(value, moved[key])


class TestPrediction:
    def test_losses_and_predictions_do_not_depend_on_the_chunks(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        result = fitted(short_fit())
        whole = predict(result.model, VAL, SPEC.task, short_fit())
        monkeypatch.setattr("plumbline.training.loop.EVAL_ROWS", 7)
        parts = predict(result.model, VAL, SPEC.task, short_fit())
        assert whole.shape == (31, 3)
        np.testing.assert_allclose(parts, whole, atol=1e-6)
        np.testing.assert_allclose(whole.sum(axis=1), 1, atol=1e-6)

    @pytest.mark.parametrize("kind", ["none", "standard", "log", "quantile"])
    def test_a_regressions_values_are_in_the_targets_units(self, kind: str) -> None:
        spec = made_spec(Task.REGRESSION)
        train, val = made_examples(spec, 200, 1), made_examples(spec, 200, 2)
        target = TargetTransform.fit(train.y, kind)
        model = build_model(small_model(dropout=0.0), spec, seed=0)
        config = short_fit(epochs=30, learning_rate=0.03)

        def rmse(y: Any, prediction: Any) -> float:
            return float(np.sqrt(np.square(y - prediction[:, 0]).mean()))

        result = fit(
            model, train, val, spec.task, config, seed=0, target=target, score=rmse,
            greater_is_better=False,
        )  # fmt: skip
        value = rmse(val.y, predict(result.model, val, spec.task, config, target=target))
        if kind == "standard":
            assert value == pytest.approx(result.best_score, rel=1e-6)
        assert value < 0.5 * val.y.std()

    def test_validation_rows_change_no_weight(self) -> None:
        one = fitted(short_fit(patience=0, epochs=2), score=lambda y, p: 0.5)
        other_rows = made_examples(SPEC, 99, 7)
        other = fitted(short_fit(patience=0, epochs=2), val=other_rows, score=lambda y, p: 0.5)
        for key, value in one.weights.items():
            assert torch.equal(value, other.weights[key])

    def test_evaluation_leaves_no_gradient_and_does_not_train(self) -> None:
        model = network()
        before = copy.deepcopy(model.state_dict())
        job, _ = prepare(
            model, TRAIN, VAL, SPEC.task, short_fit(), seed=0, target=None, world=SINGLE_PROCESS
        )
        prediction, losses = evaluate_rows(model, job.val, SPEC.task, short_fit())
        assert prediction.shape == (31, 3) and losses.shape == (31,)
        assert not losses.requires_grad
        for key, value in model.state_dict().items():
            assert torch.equal(value, before[key])


class TestRefusals:
    @pytest.mark.parametrize(
        ("settings", "change", "first", "words"),
        [
            (
                {"optimizer": "sgd", "learning_rate": 1e6, "clip_norm": None},
                {},
                "train.learning_rate",
                ["et it to 0.001 (it is 1e+06)", "train.clip_norm"],
            ),
            (
                {"learning_rate": 1e-3},
                {"y": 1e25},
                "train.target_transform",
                ["training rows", "1e+25", "huber"],
            ),
            (
                {"learning_rate": 1e-3},
                {"num": 1e38},
                "normalize.scale",
                ["training rows", "1e+38", "normalize.clip"],
            ),
            ({"learning_rate": 1e-3}, {"num": math.nan}, "normalize.scale", ["up to nan"]),
            (
                {"learning_rate": 1e-3, "precision": "fp16"},
                {"y": math.inf},
                "train.target_transform",
                ["inf", "train.precision: fp16"],
            ),
            (
                {"optimizer": "sgd", "learning_rate": 1.0, "weight_decay": 1000.0, "epochs": 60},
                {},
                "train.weight_decay",
                ["is 1e+03", "below 1;", "train.learning_rate"],
            ),
        ],
    )
    def test_a_loss_that_left_the_numbers_names_what_can_have_done_it(
        self, settings: dict[str, Any], change: dict[str, float], first: str, words: list[str]
    ) -> None:
        spec = made_spec(Task.REGRESSION)
        rows = made_examples(spec, 70)
        for name, value in change.items():
            changed = {"y": rows.y, **rows.inputs}[name]
            changed.reshape(70, -1)[3, 0] = value
        model = build_model(small_model(), spec, seed=0)
        with pytest.raises(DivergedError, match="no longer a finite number") as caught:
            fit(model, rows, rows, spec.task, short_fit(**settings), seed=0)
        message = str(caught.value)
        assert caught.value.where == first
        assert all(word in message for word in words), message
        assert ("train.learning_rate" in message) == (settings["learning_rate"] > 1e-3)

    def test_validation_rows_alone_are_told_from_training_rows(self) -> None:
        spec = made_spec(Task.REGRESSION)
        train, val = made_examples(spec, 70, 1), made_examples(spec, 31, 2)
        val.y[0] = 1e30
        config = short_fit()
        target = TargetTransform.fit(train.y, "standard")
        with pytest.raises(DivergedError, match=r"train\.target_transform.*validation rows"):
            fit(
                build_model(small_model(), spec, seed=0),
                train,
                val,
                spec.task,
                config,
                seed=0,
                target=target,
            )

    @pytest.mark.parametrize("part", ["train", "validation"])
    def test_no_rows(self, part: str) -> None:
        none = TRAIN.take(slice(0, 0))
        rows = {"train": none} if part == "train" else {"val": none}
        with pytest.raises(DataError, match=f"no {part} rows"):
            fitted(short_fit(), **rows)

    def test_batches_of_one_row_with_batch_normalization(self) -> None:
        model = network(normalization="batch")
        with pytest.raises(ParameterError, match=r"train\.batch_size") as caught:
            fit(model, TRAIN, VAL, SPEC.task, short_fit(batch_size=1), seed=0)
        assert "model.normalization to layer" in str(caught.value)


class TestOddRows:
    @pytest.mark.parametrize("normalization", ["none", "batch", "layer"])
    def test_a_last_batch_of_one_row(self, normalization: str) -> None:
        rows = TRAIN.take(slice(0, 65))  # 4 batches of 16 and a single row
        model = network(normalization=normalization)
        result = fit(model, rows, VAL, SPEC.task, short_fit(), seed=0)
        assert all(bool(t.isfinite().all()) for t in result.weights.values())

    @pytest.mark.parametrize("loss", ["cross_entropy", "focal", "hinge"])
    @pytest.mark.parametrize("weights", ["none", "balanced"])
    def test_a_class_absent_from_batches_and_from_training(self, loss: str, weights: str) -> None:
        rows = TRAIN.take(np.flatnonzero(TRAIN.y != 1))
        config = short_fit(batch_size=2, loss=loss, class_weights=weights, epochs=5)
        result = fitted(config, rows)
        prediction = predict(result.model, VAL, SPEC.task, config)
        assert np.isfinite(prediction).all()
        if loss != "hinge":  # which asks for order, not for probabilities
            assert prediction[:, 1].mean() < prediction[:, [0, 2]].mean()

    def test_one_row(self) -> None:
        result = fitted(short_fit(), TRAIN.take(slice(0, 1)), VAL.take(slice(0, 1)))
        assert len(result.history) == 3

    def test_a_column_of_a_million_categories(self) -> None:
        spec = made_spec(Task.BINARY, cardinalities=(1_000_001,))
        rows = made_examples(spec, 64)
        model = build_model(small_model(category_dim=4), spec, seed=0)
        result = fit(model, rows, rows, spec.task, short_fit(epochs=2), seed=0)
        assert result.history[1]["train_loss"] < result.history[0]["train_loss"]

    def test_an_unlearnable_target_stays_at_chance(self) -> None:
        rng = np.random.default_rng(0)
        train = replace(TRAIN, y=rng.integers(0, 3, 70))
        val = replace(VAL, y=rng.integers(0, 3, 31))
        result = fitted(short_fit(epochs=30, patience=4), train, val)
        assert result.stopped_early
        assert result.history[result.best_epoch - 1]["val_loss"] > 0.9 * math.log(3)


class TestPrecision:
    @pytest.mark.parametrize("precision", ["bf16", "fp16"])
    def test_half_precision_learns_as_much(self, precision: str) -> None:
        full = fitted(short_fit(epochs=8))
        half = fitted(short_fit(epochs=8, precision=precision))
        assert half.history[-1]["val_loss"] == pytest.approx(full.history[-1]["val_loss"], rel=0.05)
        assert all(t.dtype == torch.float32 for t in half.weights.values())

    def test_fp16_survives_an_overflow_by_scaling(self) -> None:
        """Gradients that overflow at the first scale are skipped, and the scale lowered."""
        config = short_fit(precision="fp16", epochs=2)
        model = network()
        huge = replace(TRAIN, inputs={**TRAIN.inputs, "num": TRAIN.inputs["num"] * 100})
        job, run = prepare(
            model, huge, VAL, SPEC.task, config, seed=0, target=None, world=SINGLE_PROCESS
        )
        before = run.scaler.get_scale()
        train_epoch(job, run)
        assert run.scaler.get_scale() < before
        assert all(bool(p.isfinite().all()) for p in model.parameters())


class TestCompile:
    # of torch's own code, where it hides the second one in its own way
    @pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
    @pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")
    def test_learns_the_same(self) -> None:
        def run(world: World) -> list[dict[str, float]]:
            model = network(dropout=0.3, normalization="batch")
            return fit(model, TRAIN, VAL, SPEC.task, short_fit(), seed=0, world=world).history

        compiled, eager = run(World(compile=True)), run(World())
        for ours, wanted in zip(compiled, eager, strict=True):
            assert ours == pytest.approx(wanted, rel=1e-4)

    def test_without_a_compiler_says_so(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CXX", "no-such-compiler")
        with pytest.raises(ParameterError, match=r"runtime\.compile.*no-such-compiler"):
            fitted(short_fit(), world=World(compile=True))
