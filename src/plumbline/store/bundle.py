"""The fitted model on disk: weights as safetensors, the rest as JSON, everything hashed.

`model.json` names the architecture, what its inputs hold, the target's transform, and the hashes
of the other files and of itself; no pickle is written or read.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from plumbline.artifacts import PREPROCESSOR
from plumbline.config.build import build
from plumbline.config.model import ModelConfig
from plumbline.errors import DataError
from plumbline.examples import InputSpec
from plumbline.files import read_json, sha256, write_json
from plumbline.inference.decision import Decision
from plumbline.inference.torch_predictor import TorchPredictor
from plumbline.models import build_model
from plumbline.models.target import TargetTransform

FORMAT = 3
PARTS = ("model", "spec", "learned", "target", "sha256", "own_sha256")  # besides the format
WEIGHTS, METADATA = "weights.safetensors", "model.json"
HINT = "run `dvc checkout`, or `dvc repro train`"


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A fitted model, ready to predict. `metadata` is model.json, `preprocessor` the state of the
    transformer that made its inputs."""

    model: nn.Module
    config: ModelConfig
    spec: InputSpec
    target: TargetTransform | None
    metadata: dict[str, Any]
    preprocessor: dict[str, Any]

    def predictor(self, decision: Decision | None = None) -> TorchPredictor:
        """Asks the model; without a decision its probabilities are not calibrated."""
        return TorchPredictor(self.model, self.spec.task, target=self.target, decision=decision)


def save_bundle(
    folder: Path,
    *,
    weights: dict[str, Tensor],
    config: ModelConfig,
    spec: InputSpec,
    learned: Mapping[str, Any],
    target: TargetTransform | None,
    preprocessor: dict[str, Any],
    metadata: dict[str, Any],
) -> None:
    """Write a bundle into a folder that exists; atomicity is the caller's.

    Args:
        learned: what the encoders learned from training rows, by tensor.
        metadata: more for model.json (epochs, seed, values the tuner found), fit for JSON.
    """
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / WEIGHTS)
    write_json(folder / PREPROCESSOR, preprocessor)
    whole = {
        "format": FORMAT,
        "model": dataclasses.asdict(config),
        "spec": spec.to_json(),
        "learned": dict(learned),
        "target": target.to_json() if target else None,
        **metadata,
        "sha256": {name: sha256(folder / name) for name in (WEIGHTS, PREPROCESSOR)},
    }
    write_json(folder / METADATA, {**whole, "own_sha256": own_hash(whole)})


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle; its hashes and shapes are checked.

    Raises:
        DataError: a file is missing, broken or other than the one that was saved; says which.
    """
    metadata = _metadata(folder)
    for name, saved in metadata["sha256"].items():
        _need(folder / name)
        digest = sha256(folder / name)
        if digest != saved:
            raise DataError(
                "is not the file that was saved with the model",
                file=folder / name,
                wanted=f"SHA-256 {saved[:12]}…",
                got=f"{digest[:12]}…",
                hint=HINT,
            )
    config = build(ModelConfig, metadata["model"], file=str(folder / METADATA))
    spec = InputSpec.from_json(metadata["spec"])
    model = build_model(config, spec, metadata["learned"], seed=0)
    _load_weights(model, folder / WEIGHTS)
    return Bundle(
        model=model.eval(),
        config=config,
        spec=spec,
        target=TargetTransform.from_json(metadata["target"]) if metadata["target"] else None,
        metadata=metadata,
        preprocessor=read_json(folder / PREPROCESSOR),
    )


def _metadata(folder: Path) -> dict[str, Any]:
    path = folder / METADATA
    _need(path)
    try:
        metadata = read_json(path)
    except ValueError as error:  # no JSON, or no UTF-8
        raise DataError(f"not a model description: {error}", file=path, hint=HINT) from None
    if _lacks(metadata, ["format"]):
        raise DataError("not a model description: it has no format", file=path, hint=HINT)
    if metadata["format"] != FORMAT:
        raise DataError(
            "written in a format that this version does not read",
            file=path,
            wanted=f"format {FORMAT}",
            got=metadata["format"],
            hint="use the version of plumbline that wrote it, or train again",
        )
    lacks = _lacks(metadata, PARTS) or _lacks(metadata["sha256"], [WEIGHTS, PREPROCESSOR])
    if lacks:
        raise DataError(f"not a model description: it has no {lacks}", file=path, hint=HINT)
    if own_hash(metadata) != metadata["own_sha256"]:
        raise DataError("has been changed since it was saved with the model", file=path, hint=HINT)
    return dict(metadata)


def own_hash(metadata: dict[str, Any]) -> str:
    """The SHA-256 of all but itself, however it is laid out."""
    content = {key: value for key, value in metadata.items() if key != "own_sha256"}
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _lacks(metadata: Any, keys: Sequence[str]) -> str | None:
    """The first of the keys that is absent."""
    return next(
        (key for key in keys if not isinstance(metadata, dict) or key not in metadata), None
    )


def _need(path: Path) -> None:
    if not path.is_file():
        raise DataError("no such file", file=path, hint=HINT)


def _load_weights(model: nn.Module, path: Path) -> None:
    try:
        weights = load_file(path)
    except SafetensorError as error:
        raise DataError(f"not a safetensors file: {error}", file=path, hint=HINT) from None
    own = {name: tuple(t.shape) for name, t in model.state_dict().items()}
    got = {name: tuple(t.shape) for name, t in weights.items()}
    for name in sorted(own.keys() | got.keys()):
        if own.get(name) == got.get(name):
            continue
        what = "has another shape than the architecture of model.json"
        if name not in got:
            what = "is not in the file, but in the architecture of model.json"
        elif name not in own:
            what = "is not in the architecture of model.json"
        raise DataError(
            what,
            file=path,
            where=f"tensor '{name}'",
            wanted=str(own[name]) if name in own else None,
            got=got.get(name),
            hint=HINT,
        )
    model.load_state_dict(weights)
