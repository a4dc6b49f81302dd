"""A module by torch.compile."""

from __future__ import annotations

import os
import shutil
import warnings

import torch
from torch import nn

from plumbline.errors import ParameterError
from plumbline.models.layers import SampleDropout


def compiled(forward: nn.Module, device: torch.device) -> nn.Module:
    """By torch.compile, which on a CPU writes C++."""
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise ParameterError(
            f"torch.compile needs a C++ compiler on a CPU, and there is no {compiler}",
            file="params.yaml",
            where="runtime.compile",
            hint="set it to false, or install one",
        )
    for module in forward.modules():
        if isinstance(module, SampleDropout):
            eager = torch.compiler.disable(module.mask)  # type: ignore[no-untyped-call]
            module.mask = eager  # type: ignore[method-assign]
    # fp32 is meant where it is asked for
    warnings.filterwarnings("ignore", message="TensorFloat32 tensor cores", category=UserWarning)
    made: nn.Module = torch.compile(forward)  # type: ignore[assignment]
    return made
