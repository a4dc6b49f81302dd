"""Every loss against a reference implementation, and the weights of classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.metrics import hinge_loss
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from plumbline.config.model import LossName, TrainConfig
from plumbline.errors import ParameterError
from plumbline.kinds import TASKS, Task
from plumbline.training.losses import (
    LOSSES,
    choose_loss,
    class_weights,
)

pytestmark = pytest.mark.usefixtures("one_thread")

ROWS, MEMBERS, CLASSES = 12, 3, 4
Reference = Callable[[Tensor, Tensor, TrainConfig], Tensor]  # (B, C) or (B, 1), (B,) to (B,)


def reference_focal(logits: Tensor, y: Tensor, config: TrainConfig) -> Tensor:
    """Lin et al. 2017, equation 4, row by row."""
    p = torch.softmax(logits, dim=1)
    rows = [p[i, label] for i, label in enumerate(y.tolist())]
    return torch.stack([-((1 - p_t) ** config.focal_gamma) * torch.log(p_t) for p_t in rows])


def reference_hinge(logits: Tensor, y: Tensor, config: TrainConfig) -> Tensor:
    """scikit-learn's multi-class hinge (Crammer and Singer), one row at a time."""
    labels = list(range(logits.shape[1]))
    return torch.tensor(
        [
            hinge_loss([label], row[None].numpy(), labels=labels)
            for row, label in zip(logits, y.tolist(), strict=True)
        ],
        dtype=logits.dtype,
    )


REFERENCES: dict[str, Reference] = {
    "cross_entropy": lambda o, y, c: F.cross_entropy(
        o, y, reduction="none", label_smoothing=c.label_smoothing
    ),
    "focal": reference_focal,
    "hinge": reference_hinge,
    "mse": lambda o, y, c: F.mse_loss(o[:, 0], y, reduction="none"),
    "mae": lambda o, y, c: F.l1_loss(o[:, 0], y, reduction="none"),
    "huber": lambda o, y, c: F.huber_loss(o[:, 0], y, reduction="none", delta=c.huber_delta),
}
SETTINGS = [
    TrainConfig(),
    TrainConfig(label_smoothing=0.1, focal_gamma=0.5, huber_delta=0.3),
]


OF_CLASSES = Task.MULTICLASS.spec.losses


def sample(name: str, members: int = MEMBERS) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    outputs = CLASSES if name in OF_CLASSES else 1
    output = 2 * torch.randn(
        ROWS, members, outputs, generator=generator, dtype=torch.float64
    )  # (B, K, C)
    if name in OF_CLASSES:
        # the last class never occurs: a class absent from a batch is nothing special
        return output, torch.randint(0, CLASSES - 1, (ROWS,), generator=generator)
    return output, torch.randn(ROWS, generator=generator, dtype=torch.float64)


def test_choices_and_parameters_agree() -> None:
    assert set(LOSSES) | {"auto"} == set(get_args(LossName))
    assert set(REFERENCES) == set(LOSSES)


@pytest.mark.parametrize("config", SETTINGS, ids=["defaults", "others"])
@pytest.mark.parametrize("name", list(LOSSES))
def test_a_loss_is_its_reference_averaged_over_members(name: str, config: TrainConfig) -> None:
    output, y = sample(name)
    loss = LOSSES[name](output, y, config)
    members = [REFERENCES[name](output[:, k], y, config) for k in range(MEMBERS)]
    assert loss.shape == (ROWS,)
    torch.testing.assert_close(loss, torch.stack(members).mean(0))


@pytest.mark.parametrize("config", SETTINGS, ids=["defaults", "others"])
@pytest.mark.parametrize("name", list(LOSSES))
def test_the_slope_is_right(name: str, config: TrainConfig) -> None:
    output, y = sample(name)
    output.requires_grad_()
    assert torch.autograd.gradcheck(lambda o: LOSSES[name](o, y, config).sum(), (output,))


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("scale", [0.0, 1e4])
def test_value_and_slope_stay_finite_at_the_ends(name: str, scale: float) -> None:
    """Sure and right, sure and wrong, all alike: the power of the focal loss has an infinite
    slope at p = 1 for gamma below 1."""
    output, y = sample(name)
    output = (scale * output.sign()).float().requires_grad_()
    y = y if y.dtype == torch.int64 else y.float()
    loss = LOSSES[name](output, y, TrainConfig(focal_gamma=0.5))
    assert bool((loss >= 0).all()) and bool(loss.isfinite().all())
    loss.sum().backward()
    assert output.grad is not None and bool(output.grad.isfinite().all())


def test_focal_with_gamma_zero_is_cross_entropy() -> None:
    output, y = sample("focal")
    torch.testing.assert_close(
        LOSSES["focal"](output, y, TrainConfig(focal_gamma=0.0)),
        LOSSES["cross_entropy"](output, y, TrainConfig()),
    )


@pytest.mark.parametrize("task", list(TASKS))
def test_auto_follows_the_task(task: Task) -> None:
    wanted = "cross_entropy" if task.has_classes else "mse"
    assert choose_loss(TrainConfig(), task) is LOSSES[wanted]


@pytest.mark.parametrize("name", list(LOSSES))
def test_a_loss_of_the_other_kind_of_task_is_refused(name: str) -> None:
    task = Task.REGRESSION if name in OF_CLASSES else Task.BINARY
    with pytest.raises(ParameterError) as caught:
        choose_loss(TrainConfig(loss=name), task)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "params.yaml: train.loss" in message and f"'{name}'" in message
    assert all(other in message for other in task.spec.losses)


class TestClassWeights:
    y: Any = np.array([0, 0, 0, 0, 0, 1, 1, 2], dtype=np.int64)

    def test_none_weighs_nothing(self) -> None:
        assert class_weights(TrainConfig(), Task.MULTICLASS, self.y, 3) is None

    def test_balanced_is_that_of_scikit_learn(self) -> None:
        config = TrainConfig(class_weights="balanced")
        wanted = compute_class_weight("balanced", classes=np.arange(3), y=self.y)
        result = class_weights(config, Task.MULTICLASS, self.y, 3)
        assert result is not None
        np.testing.assert_allclose(result, wanted, rtol=1e-6)

    def test_a_class_without_rows_does_not_move_the_others(self) -> None:
        config = TrainConfig(class_weights="balanced")
        three = class_weights(config, Task.MULTICLASS, self.y, 3)
        four = class_weights(config, Task.MULTICLASS, self.y, 4)
        assert three is not None and four is not None
        np.testing.assert_allclose(four[:3], three)
        assert np.isfinite(four).all()

    def test_a_list_is_taken_as_it_is(self) -> None:
        config = TrainConfig(class_weights=[1.0, 2.0, 3.5])
        result = class_weights(config, Task.MULTICLASS, self.y, 3)
        assert result is not None and result.tolist() == [1.0, 2.0, 3.5]

    @pytest.mark.parametrize(
        ("given", "task", "wanted"),
        [
            ([1.0, 2.0], Task.MULTICLASS, "3, one per class"),
            ("balanced", Task.REGRESSION, "Set it to none"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, given: Any, task: Task, wanted: str) -> None:
        config = TrainConfig(class_weights=given)
        with pytest.raises(ParameterError, match=r"params\.yaml: train\.class_weights") as caught:
            class_weights(config, task, self.y, 3)
        assert wanted in str(caught.value)
