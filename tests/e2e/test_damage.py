"""A file that is damaged between two stages stops whoever reads it, and is named."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from plumbline import cli
from plumbline.errors import DataError
from plumbline.stages.watch import begin

pytestmark = pytest.mark.e2e


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes() or b"\0")
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def truncate(file: Path) -> None:
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])


DAMAGES: dict[str, Callable[[Path], None]] = {
    "a changed byte": flip,
    "cut": truncate,
    "deleted": Path.unlink,
}
# that file is nobody's input: the page says itself what is missing or broken
FREE = {"report"}


def outs(stage: dict[str, list[object]]) -> list[str]:
    listed = [*stage.get("outs", []), *stage.get("metrics", [])]
    return [out if isinstance(out, str) else str(next(iter(out))) for out in listed]  # type: ignore[call-overload]


@contextmanager
def damaged(file: Path, damage: Callable[[Path], None], kept: Path) -> Iterator[None]:
    shutil.copy2(file, kept)
    try:
        damage(file)
        yield
    finally:
        shutil.copy2(kept, file)


@pytest.mark.parametrize("kind", DAMAGES)
def test_no_stage_reads_a_damaged_file(
    copy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    graph = yaml.safe_load((copy / "dvc.yaml").read_text())["stages"]
    makers = {out: name for name, stage in graph.items() for out in outs(stage)}
    monkeypatch.chdir(copy)
    tried = 0
    for out, maker in makers.items():
        readers = [n for n, s in graph.items() if out in s["deps"] and n not in FREE]
        files = [f for f in (copy / out).rglob("*") if f.is_file()] or [copy / out]
        for file in files if readers else []:
            if kind == "cut" and file.stat().st_size == 0:
                continue
            with damaged(file, DAMAGES[kind], tmp_path / "kept"):
                # of a damaged list of files, the list or a file that it names wrongly
                named = file.name if file.name != "manifest.json" else out
                for reader in readers:
                    with pytest.raises(DataError) as refused:
                        begin(reader, copy)
                    text = str(refused.value)
                    assert named in text and f"dvc repro {maker}" in text, (reader, text)
                if not tried:
                    assert cli.main(readers[:1]) == 2
                    assert capsys.readouterr().err == f"plumbline: {text}\n"
                tried += 1
    assert tried > 40
