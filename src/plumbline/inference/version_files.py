"""The files of a version, as the registry keeps them: model.onnx and what is needed to use it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import yaml

from plumbline.artifacts import CONTRACT, GRAPH, PREPROCESSOR
from plumbline.errors import DataError, UserError
from plumbline.files import read_json
from plumbline.inference import decision, out_of_distribution
from plumbline.inference.decision import Decision
from plumbline.inference.out_of_distribution import OutOfDistribution

EXTRA = "extra_files"  # beside the graph, in MLflow's layout
EXPECTATIONS = "expectations.yaml"
SIGNATURE = "MLmodel"
HINT = "fetch the version again, or register the model again (`plumbline register`)"


@dataclass(frozen=True, kw_only=True)
class VersionFiles:
    """What a version's files say.

    Attributes:
        graph: bytes of model.onnx.
        contract: contract.json; `sha256` is of the graph.
        preprocessor: state of the `TableTransformer`.
        columns: names of all columns of the training data, also of those that are no features.
        optional: the columns that rows may lack: they had missing cells in training rows.
        out_of_distribution: None: the version was registered without.
    """

    graph: bytes
    contract: Mapping[str, Any]
    preprocessor: Mapping[str, Any]
    decision: Decision
    columns: frozenset[str]
    optional: frozenset[str] = frozenset()
    out_of_distribution: OutOfDistribution | None = None

    @property
    def key(self) -> str:
        """Hash of all that a prediction depends on."""
        decided = {f.name: getattr(self.decision, f.name) for f in fields(self.decision)}
        own = self.out_of_distribution
        parts = [self.contract["sha256"], self.preprocessor, decided, own and own.to_json()]
        rest = json.dumps(parts)
        return hashlib.sha256(rest.encode()).hexdigest()

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a folder that holds them side by side, or all but the graph in `extra_files/`.

        Raises:
            DataError: a file is missing or broken, or the graph is not the one that was exported.
        """
        if not folder.is_dir():
            raise DataError("no such folder", file=folder, wanted="the files of a version")
        contract = _parsed(_place(folder, CONTRACT), read_json)
        graph = _parsed(_place(folder, GRAPH), Path.read_bytes)
        if hashlib.sha256(graph).hexdigest() != contract.get("sha256"):
            raise DataError(
                "is not the graph that was exported: its hash is not that of contract.json",
                file=_place(folder, GRAPH),
                hint=HINT,
            )
        place = _place(folder, decision.FILE)
        return cls(
            graph=graph,
            contract=contract,
            preprocessor=_parsed(_place(folder, PREPROCESSOR), read_json),
            decision=_parsed(place, lambda file: Decision.read(file.parent)),
            columns=_columns(_place(folder, EXPECTATIONS)),
            optional=_optional(folder / SIGNATURE),
            out_of_distribution=_scores(_place(folder, out_of_distribution.FILE)),
        )


def _place(folder: Path, name: str) -> Path:
    beside = folder / name
    return beside if beside.exists() else folder / EXTRA / name


def _parsed(path: Path, read: Callable[[Path], Any]) -> Any:
    try:
        return read(path)
    except FileNotFoundError:
        raise DataError(
            "no such file",
            file=path.name if path.parent.name == EXTRA else path,
            wanted=f"the files of a version in {path.parent.parent}"
            if path.parent.name == EXTRA
            else None,
            hint=HINT,
        ) from None
    except UserError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"cannot be read: {error}", file=path, hint=HINT) from None


def _scores(path: Path) -> OutOfDistribution | None:
    """Versions of before have no such file, nor has one whose `method` was `off`."""
    if not path.exists():
        return None
    read: OutOfDistribution = _parsed(path, lambda file: OutOfDistribution.read(file.parent))
    return read


def _columns(path: Path) -> frozenset[str]:
    """The columns of expectations.yaml; versions of before may have none beside them."""
    if not path.exists():
        return frozenset()
    try:
        names = yaml.safe_load(path.read_text(encoding="utf-8"))["columns"]
        return frozenset(map(str, names))
    except (OSError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
        raise DataError(f"cannot be read: {error}", file=path, hint=HINT) from None


def _optional(path: Path) -> frozenset[str]:
    """The inputs that the signature does not require; none where there is no signature."""
    if not path.exists():
        return frozenset()
    try:
        signature = yaml.safe_load(path.read_text(encoding="utf-8")).get("signature") or {}
        inputs = json.loads(signature.get("inputs") or "[]")
        return frozenset(str(one["name"]) for one in inputs if one.get("required") is False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        raise DataError(f"cannot be read: {error}", file=path, hint=HINT) from None
