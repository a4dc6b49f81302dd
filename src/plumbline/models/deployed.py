"""A fitted model with what comes after it, as one torch module: what is served."""

from __future__ import annotations

from torch import Tensor, nn, softmax

from plumbline.kinds import Task
from plumbline.models import to_prediction
from plumbline.models.penultimate import output_and_features
from plumbline.models.target import InverseTarget, TargetTransform

TINY = 1e-38  # below it float32 loses digits


class Deployed(nn.Module):
    """The tensors of the model, by name, to calibrated probabilities (N, C), or to values (N, C) in
    the target's units.

    Args:
        target: how the target was scaled, None where it was not.
        temperature: of the calibration, T > 0; 1 changes nothing.
    """

    def __init__(
        self, model: nn.Module, task: Task, target: TargetTransform | None, temperature: float
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.inverse = InverseTarget(target) if target is not None else None
        self.temperature = temperature if task.has_classes else 1.0

    def forward(self, **inputs: Tensor) -> Tensor:
        return self._prediction(self.model(**inputs))

    def with_features(self, **inputs: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` gives, and the network's features (N, D)."""
        output, features = output_and_features(self.model, inputs)
        return self._prediction(output), features

    def _prediction(self, output: Tensor) -> Tensor:
        prediction = to_prediction(output, self.task)
        if self.inverse is not None:
            prediction = self.inverse(prediction)
        if self.temperature == 1.0:
            return prediction
        # p ** (1 / T), normalized, by way of logarithms so that a small T does not underflow
        return softmax(prediction.clamp_min(TINY).log() / self.temperature, dim=-1)
