"""The fitted model on disk: weights as safetensors, the rest as JSON, everything hashed.

`model.json` names the architecture, what its inputs hold, the target's transform, and the hashes
of the other files and of itself; no pickle is written or read.
"""

from __future__ import annotations

import dataclasses
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
from plumbline.models.bag import Bag, make_bag
from plumbline.models.target import TargetTransform
from plumbline.store.bundle_files import FORMAT, HINT, METADATA, WEIGHTS, own_hash, read_metadata


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """A fitted model, ready to predict. `target` is None where the model gives values in the
    target's units, as a bag does. `metadata` is model.json, `preprocessor` the state of the
    transformer that made its inputs."""

    model: nn.Module
    config: ModelConfig
    spec: InputSpec
    target: TargetTransform | None
    metadata: dict[str, Any]
    preprocessor: dict[str, Any]

    def members(self) -> list[TorchPredictor]:
        """Asks each network of a bag by itself, with the tensors of the whole bag."""
        assert isinstance(self.model, Bag)
        return [TorchPredictor(member, self.spec.task) for member in self.model.members]

    def predictor(self, decision: Decision | None = None) -> TorchPredictor:
        """Asks the model; without a decision its probabilities are not calibrated."""
        return TorchPredictor(self.model, self.spec.task, target=self.target, decision=decision)

    def feature_count(self) -> int:
        """How many features of the network `TorchPredictor.with_features` gives for a row."""
        (_, features), *_ = self.predictor().with_features(self.spec.empty(1))
        return int(features.shape[1])


def save_bundle(
    folder: Path,
    *,
    weights: dict[str, Tensor],
    config: ModelConfig,
    spec: InputSpec,
    learned: Mapping[str, Any],
    target: TargetTransform | Sequence[TargetTransform] | None,
    preprocessor: dict[str, Any],
    metadata: dict[str, Any],
) -> None:
    """Write a bundle into a folder that exists; atomicity is the caller's.

    Args:
        learned: what the encoders learned from training rows, by tensor.
        target: how the target was scaled; of a bag for each network.
        metadata: more for model.json (epochs, seed, values the tuner found), fit for JSON.
    """
    config = dataclasses.replace(config, start_from=None)  # how the weights came about is no part
    save_file({k: v.contiguous() for k, v in weights.items()}, folder / WEIGHTS)
    write_json(folder / PREPROCESSOR, preprocessor)
    whole = {
        "format": FORMAT,
        "model": dataclasses.asdict(config),
        "spec": spec.to_json(),
        "learned": dict(learned),
        "target": _target_json(target),
        **metadata,
        "sha256": {name: sha256(folder / name) for name in (WEIGHTS, PREPROCESSOR)},
    }
    write_json(folder / METADATA, {**whole, "own_sha256": own_hash(whole)})


def load_bundle(folder: Path) -> Bundle:
    """Read a bundle; its hashes and shapes are checked.

    Raises:
        DataError: a file is missing, broken or other than the one that was saved; says which.
    """
    metadata = read_metadata(folder, HINT)
    config = build(ModelConfig, _model(metadata), file=str(folder / METADATA))
    spec = InputSpec.from_json(metadata["spec"])
    if spec.networks:
        model, target = _build_bag(config, spec, metadata), None
    else:
        model = build_model(config, spec, metadata["learned"], seed=0)
        target = TargetTransform.from_json(metadata["target"]) if metadata["target"] else None
    _load_weights(model, folder / WEIGHTS)
    return Bundle(
        model=model.eval(),
        config=config,
        spec=spec,
        target=target,
        metadata=metadata,
        preprocessor=read_json(folder / PREPROCESSOR),
    )


def _model(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The section `model`. Where texts have no key `wide`, the program knew no wide part."""
    model = dict(metadata["model"])
    return {**model, "text": {"wide": False, **model.get("text", {})}}


def _target_json(target: TargetTransform | Sequence[TargetTransform] | None) -> Any:
    if target is None or isinstance(target, TargetTransform):
        return target.to_json() if target else None
    return [own.to_json() for own in target]


def _build_bag(config: ModelConfig, spec: InputSpec, metadata: Mapping[str, Any]) -> nn.Module:
    networks = []
    for number in range(spec.networks):
        names = spec.names_of_network(number)
        learned = {own: metadata["learned"][name] for own, name in names.items()}
        networks.append(build_model(config, spec.of_network(number), learned, seed=0))
    targets = metadata["target"] and [TargetTransform.from_json(t) for t in metadata["target"]]
    return make_bag(networks, spec, targets)


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
