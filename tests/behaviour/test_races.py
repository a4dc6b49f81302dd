"""Data that are replaced under a running stage: refused, waited for, or noticed; never unseen."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from plumbline import cli
from plumbline.files import exclusive

# `plumbline validate` with a stage that counts rows, and where told so waits before it writes
STAGE = """
import sys
from plumbline import cli
from plumbline.commands import stage
from plumbline.files import write_json
from plumbline.manifest import sealed_dir
from plumbline.stages import Report

def run(config, paths):
    rows = len((paths.root / config.data.path).read_text().splitlines()) - 1
    if sys.argv[1:]:
        print("has read", flush=True)
        sys.stdin.readline()
    with sealed_dir(paths.reports / "validation") as folder:
        write_json(folder / "result.json", {"rows": rows})
    return Report(rows=[])

stage.load_stage = lambda name: run
sys.exit(cli.main(["validate"]))
"""


@pytest.fixture
def shop(checkout: Path) -> Path:
    (checkout / "data").mkdir()
    (checkout / "data" / "breast_cancer.csv").write_text("diagnosis\n" + "benign\n" * 60)
    return checkout


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", STAGE, *arguments],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def running(folder: Path) -> Iterator[Callable[[], tuple[int, str]]]:
    """A stage in another process, in the middle of its work; gives what ends it."""
    process = start(folder, "slowly")
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "has read\n"

        def end() -> tuple[int, str]:
            _, answer = process.communicate("go on\n", timeout=120)
            return process.returncode, answer

        yield end
    finally:
        process.kill()
        process.communicate()


def rows(folder: Path) -> int:
    return int(json.loads((folder / "reports" / "validation" / "result.json").read_text())["rows"])


COMMANDS = {
    "ingest": ["ingest", "new.csv"],
    "init": ["init", "--data", "new.csv", "--target", "diagnosis"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_do_not_replace_data_that_a_stage_reads(
    shop: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (shop / "new.csv").write_text("diagnosis\nbenign\nmalignant\n")
    before = {f: f.read_bytes() for f in shop.rglob("*.*") if f.is_file()}
    with running(shop) as end:
        assert cli.main(COMMANDS[command]) == 2
        text = capsys.readouterr().err
        assert "stage 'validate'" in text and "Wait until it has ended" in text
        assert {f: f.read_bytes() for f in before} == before
        assert end() == (0, "")
    assert rows(shop) == 60


@pytest.mark.parametrize("what", ["data/breast_cancer.csv", "expectations.yaml", "params.yaml"])
def test_a_stage_notices_that_its_inputs_are_others(shop: Path, what: str) -> None:
    """By whatever hand: an editor, a copy, a checkout."""
    with running(shop) as end:
        assert end() == (0, "")
    report = shop / "reports" / "validation" / "result.json"
    before = (report.read_bytes(), report.stat().st_mtime_ns)
    with running(shop) as end:
        file = shop / what
        if what == "params.yaml":
            values = yaml.safe_load(file.read_text())
            values["validate"]["max_failing_rows"] = 7
            file.write_text(yaml.safe_dump(values))
        else:
            file.write_bytes(file.read_bytes().replace(b"benign", b"bening"))
        code, text = end()
    assert code == 2
    assert what in text and "changed while stage 'validate' ran" in text and "dvc repro" in text
    assert (report.read_bytes(), report.stat().st_mtime_ns) == before
    assert not list(report.parent.parent.glob(".*"))  # nor is anything left beside it


def test_what_a_stage_does_not_read_may_change(shop: Path) -> None:
    with running(shop) as end:
        values = yaml.safe_load((shop / "params.yaml").read_text())
        values["report"]["title"] = "another"
        (shop / "params.yaml").write_text(yaml.safe_dump(values))
        file = shop / "data" / "breast_cancer.csv"
        shutil.copy(file, shop / "copy")
        (shop / "copy").replace(file)  # the same content in another file
        assert end() == (0, "")


def test_a_stage_waits_for_the_command_that_replaces_its_data(shop: Path) -> None:
    with exclusive(shop / ".plumbline" / "locks" / "data", "'plumbline ingest'"):
        process = start(shop)
        assert process.stderr is not None
        assert f"waiting for process {os.getpid()}" in process.stderr.readline()
        (shop / "data" / "breast_cancer.csv").write_text("diagnosis\n" + "benign\n" * 80)
    process.communicate(timeout=120)
    assert process.returncode == 0
    assert rows(shop) == 80


def test_what_a_killed_stage_left_is_gone_after_the_next(shop: Path) -> None:
    left = shop / "reports" / ".validation.abcdefgh.tmp"
    left.mkdir(parents=True)
    with running(shop) as end:
        assert end() == (0, "")
    assert not left.exists()


def test_dvc_holds_the_data_until_it_has_recorded_them(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Between the end of a stage and the hash that DVC takes of what it read."""
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    lock = {"read": {str(shop / "data"): [{"pid": sleeper.pid, "cmd": "dvc repro"}]}, "write": {}}
    (shop / ".dvc" / "tmp").mkdir(exist_ok=True)
    (shop / ".dvc" / "tmp" / "rwlock").write_text(json.dumps(lock))
    assert cli.main(["ingest", "absent.csv"]) == 2
    assert f"process {sleeper.pid}" in capsys.readouterr().err
    sleeper.communicate(b"\n")
    left = shop / "data" / ".breast_cancer.csv.abcdefgh.tmp"
    left.touch()
    assert cli.main(["ingest", "absent.csv"]) == 2
    assert not left.exists()
    assert "process" not in capsys.readouterr().err  # nobody is in its way any more
