"""The files of a fitted model, read without torch: names, format, hashes, and the tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from plumbline.artifacts import PREPROCESSOR
from plumbline.errors import DataError
from plumbline.files import read_json, sha256

FORMAT = 3
PARTS = ("model", "spec", "learned", "target", "sha256", "own_sha256")  # besides the format
WEIGHTS, METADATA = "weights.safetensors", "model.json"
HINT = "run `dvc checkout`, or `dvc repro train`"


def read_metadata(folder: Path, hint: str) -> dict[str, Any]:
    """What model.json says; the files that it names are held against their hashes.

    Args:
        hint: what to do where a file is not as it was saved.

    Raises:
        DataError: a file is missing, broken or other than the one that was saved; says which.
    """
    metadata = _described(folder, hint)
    for name, saved in metadata["sha256"].items():
        _need(folder / name, hint)
        digest = sha256(folder / name)
        if digest != saved:
            raise DataError(
                "is not the file that was saved with the model",
                file=folder / name,
                wanted=f"SHA-256 {saved[:12]}…",
                got=f"{digest[:12]}…",
                hint=hint,
            )
    return metadata


def _described(folder: Path, hint: str) -> dict[str, Any]:
    path = folder / METADATA
    _need(path, hint)
    try:
        metadata = read_json(path)
    except ValueError as error:  # no JSON, or no UTF-8
        raise DataError(f"not a model description: {error}", file=path, hint=hint) from None
    if _lacks(metadata, ["format"]):
        raise DataError("not a model description: it has no format", file=path, hint=hint)
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
        raise DataError(f"not a model description: it has no {lacks}", file=path, hint=hint)
    if own_hash(metadata) != metadata["own_sha256"]:
        raise DataError("has been changed since it was saved with the model", file=path, hint=hint)
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


def _need(path: Path, hint: str) -> None:
    if not path.is_file():
        raise DataError("no such file", file=path, hint=hint)


def read_weights(path: Path, hint: str) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file, by name.

    Raises:
        DataError: it is none, or holds a number that is not finite.
    """
    try:
        weights: dict[str, NDArray[Any]] = load_file(path)
    except SafetensorError as error:
        raise DataError(f"not a safetensors file: {error}", file=path, hint=hint) from None
    for name, tensor in weights.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise DataError(
                "holds a number that is not finite", file=path, where=f"tensor '{name}'", hint=hint
            )
    return weights
