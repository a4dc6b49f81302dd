"""A stage whose inputs are not there: which file, and what makes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from plumbline import cli
from plumbline.missing import explain_missing

GRAPH: dict[str, Any] = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "dvc.yaml").read_text()
)["stages"]
INPUTS = [
    (name, dep)
    for name, stage in GRAPH.items()
    for dep in stage["deps"]
    if not dep.startswith("src/")
]
MAKERS = {
    out if isinstance(out, str) else next(iter(out)): name
    for name, stage in GRAPH.items()
    for kind in ("outs", "metrics")
    for out in stage.get(kind, [])
}


def lay_out(root: Path, folder: Path, without: str) -> None:
    """A checkout in which something lies at every input but one."""
    for name in ("dvc.yaml", "params.yaml"):
        (folder / name).write_text((root / name).read_text())
    for _, dep in INPUTS:
        if dep == without:
            continue
        file = folder / dep if Path(dep).suffix else folder / dep / "anything"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("{}")


@pytest.mark.parametrize(("stage", "dep"), INPUTS)
@pytest.mark.parametrize("empty", [False, True])
def test_the_message_names_the_file_and_what_makes_it(
    stage: str,
    dep: str,
    empty: bool,
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lay_out(root, tmp_path, without=dep)
    if empty and not Path(dep).suffix:
        (tmp_path / dep).mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert cli.main([stage]) == 2
    answer = capsys.readouterr().err
    assert answer.startswith(f"plumbline: {dep}: not there") and answer.count("\n") == 1
    maker = MAKERS.get(dep)
    wanted = f"`dvc repro {maker}`" if maker else {"data": "dvc pull data.dvc"}.get(dep, "init")
    assert wanted in answer


def test_a_file_gone_from_inside_an_input_is_no_traceback(
    root: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    lay_out(root, tmp_path, without="")
    monkeypatch.chdir(tmp_path)

    def load(_name: str) -> Any:
        return lambda *_: Path("artifacts/split/index.parquet").read_bytes()

    monkeypatch.setattr("plumbline.commands.stage.load_stage", load)
    assert cli.main(["validate"]) == 2
    answer = capsys.readouterr().err
    assert "artifacts/split/index.parquet: not there: the stage 'split' writes it" in answer


def test_a_file_that_no_stage_makes_is_a_defect(root: Path, tmp_path: Path) -> None:
    lay_out(root, tmp_path, without="")
    assert explain_missing(tmp_path / "artifacts" / "unknown.json", tmp_path) is None
    assert explain_missing(Path("/nowhere/else"), tmp_path) is None
    assert "dvc pull" in str(explain_missing(tmp_path / "data" / "a.csv", tmp_path))
