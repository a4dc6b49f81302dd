"""A torch module, asked in batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from plumbline.examples import Inputs
from plumbline.inference import Featured, batches
from plumbline.inference.decision import Decision
from plumbline.kinds import DoubleArray, Task
from plumbline.models import to_prediction
from plumbline.models.penultimate import output_and_features
from plumbline.models.target import TargetTransform


class TorchPredictor:
    """Tensors (n, *shape) to probabilities (n, C), or values (n, C) in the target's units."""

    def __init__(
        self,
        model: nn.Module,
        task: Task,
        *,
        target: TargetTransform | None = None,
        decision: Decision | None = None,
    ) -> None:
        """Args:
        target: how the target was scaled; None: it was not.
        decision: calibrates probabilities; None: as the model gives them.
        """
        self._model, self._task, self._target = model.eval(), task, target
        self._decision = decision if task.has_classes else None

    def __call__(self, inputs: Inputs) -> DoubleArray:
        return np.concatenate([prediction for prediction, _ in self.with_features(inputs)])

    def with_features(self, inputs: Inputs) -> Featured:
        """Predictions and features, a batch at a time."""
        for batch in batches(inputs):
            tensors = {name: torch.tensor(array) for name, array in batch.items()}
            with torch.no_grad():
                output, features = output_and_features(self._model, tensors)
                prediction = to_prediction(output, self._task).double().numpy()
            yield self._decided(prediction), features.numpy()

    def _decided(self, prediction: DoubleArray) -> DoubleArray:
        if self._target is not None:
            prediction = self._target.inverse(prediction)
        return self._decision.apply(prediction) if self._decision else prediction
