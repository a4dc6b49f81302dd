"""Where every file lives, relative to the root of the checkout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TEMPORARY = (".dvc", "tmp", "exps")  # where DVC keeps the workspaces of experiments


@dataclass(frozen=True)
class Paths:
    """The files that stages read and write. `state` holds what DVC must not know of."""

    root: Path

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def expectations(self) -> Path:
        return self.root / "expectations.yaml"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def table(self) -> Path:
        return self.artifacts / "table"

    @property
    def split(self) -> Path:
        return self.artifacts / "split"

    @property
    def prepared(self) -> Path:
        return self.artifacts / "prepared"

    @property
    def start(self) -> Path:
        return self.artifacts / "start"

    @property
    def tuning(self) -> Path:
        return self.artifacts / "tuning"

    @property
    def model(self) -> Path:
        return self.artifacts / "model"

    @property
    def decision(self) -> Path:
        return self.artifacts / "decision"

    @property
    def onnx(self) -> Path:
        return self.artifacts / "onnx"

    @property
    def reports(self) -> Path:
        return self.root / "reports"

    @property
    def home(self) -> Path:
        """The checkout that owns the MLflow store: `root`, or for an experiment in a temporary
        workspace of DVC (`dvc exp run --temp`, `--queue`) the checkout that started it."""
        for folder in self.root.absolute().parents:
            if folder.parts[-3:] == TEMPORARY:
                return folder.parents[2]
        return self.root

    @property
    def state(self) -> Path:
        """Working state outside DVC: checkpoints, tuning journals, timings."""
        return self.root / ".plumbline"

    @property
    def locks(self) -> Path:
        """A lock file per command and stage, and `data` for who reads or replaces the data."""
        return self.state / "locks"
