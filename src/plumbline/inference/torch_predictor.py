"""A torch module, asked in batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from plumbline.examples import Inputs
from plumbline.inference import batches
from plumbline.inference.decision import Decision
from plumbline.kinds import DoubleArray, Task
from plumbline.models import to_prediction
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

    @torch.no_grad()
    def __call__(self, inputs: Inputs) -> DoubleArray:
        parts = []
        for batch in batches(inputs):
            output = self._model(**{name: torch.tensor(array) for name, array in batch.items()})
            parts.append(to_prediction(output, self._task).double().numpy())
        prediction = np.concatenate(parts)
        if self._target is not None:
            prediction = self._target.inverse(prediction)
        return self._decision.apply(prediction) if self._decision else prediction
