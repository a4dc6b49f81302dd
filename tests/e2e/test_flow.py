"""The graph as a Prefect flow run, on a machine where Prefect never ran."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from pathlib import Path

import pytest
import yaml
from tests.e2e.conftest import run

from plumbline.results import metric_rows

pytestmark = pytest.mark.e2e
FLOW = ("python", "-m", "pipelines.dev_servers", "flow")


def set_parameter(folder: Path, section: str, key: str, value: object) -> None:
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params[section][key] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def task_states(folder: Path) -> dict[str, str]:
    """State of each task of the newest flow run, out of Prefect's database."""
    with sqlite3.connect(folder / ".plumbline" / "prefect" / "prefect.db") as database:
        (newest,) = database.execute(
            "SELECT id FROM flow_run ORDER BY created DESC LIMIT 1"
        ).fetchone()
        return dict(
            database.execute(
                "SELECT name, state_name FROM task_run WHERE flow_run_id = ?", (newest,)
            )
        )


def artifacts(folder: Path) -> dict[str, str]:
    """Newest content of each artifact by key."""
    with sqlite3.connect(folder / ".plumbline" / "prefect" / "prefect.db") as database:
        return dict(database.execute("SELECT key, data FROM artifact ORDER BY created"))


def forget_data(folder: Path) -> None:
    """As in a fresh clone: the data are in the remote alone."""
    cache, (out,) = folder / ".dvc" / "cache" / "files" / "md5", data_outs(folder)
    listing = cache / out["md5"][:2] / out["md5"][2:]
    for name in [out["md5"], *(entry["md5"] for entry in json.loads(listing.read_text()))]:
        (cache / name[:2] / name[2:]).unlink()
    shutil.rmtree(folder / "data")


def data_outs(folder: Path) -> list[dict[str, str]]:
    result: list[dict[str, str]] = yaml.safe_load((folder / "data.dvc").read_text())["outs"]
    return result


def test_the_flow_runs_what_changed_and_leaves_dvc_content(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    forget_data(copy)
    set_parameter(copy, "report", "title", "By Prefect")
    (copy / "reports" / "parity.json").unlink()  # explain, drift and export are side by side
    done = run(copy, *FLOW)
    assert "Finished in state Completed('ran export, report')" in done.stdout + done.stderr
    states = task_states(copy)
    assert states.pop("data") == "Completed"  # fetched
    ran = {name for name, state in states.items() if state == "Completed"}
    assert ran == {"export", "report"}
    assert {state for name, state in states.items() if name not in ran} == {"Cached"}
    assert "up to date" in run(copy, "dvc", "status").stdout
    assert "By Prefect" in (copy / "reports" / "index.html").read_text()
    assert not (tmp_path / "home" / ".prefect").exists()

    shown = artifacts(copy)
    header, rows = metric_rows(copy)
    first = json.loads(json.loads(shown["metrics"]))[0]
    assert first == dict(zip(header, rows[0], strict=True))
    assert first["test rows"] == "ROC AUC *"
    assert "gradient boosting" in first
    assert f"`{copy / 'reports' / 'index.html'}`" in shown["result"]
    assert "file:" not in shown["result"] and "](" not in shown["result"]
    for words in ("**decision**: ", "**leakage**: clean"):
        assert words in shown["result"], words
    assert "|" not in shown["result"]  # Prefect's interface cuts long cells of a table


def test_a_gate_stops_the_flow_at_once_and_says_why(copy: Path) -> None:
    text = (copy / "expectations.yaml").read_text()
    (copy / "expectations.yaml").write_text(text.replace("rows: {min: 284", "rows: {min: 100000"))
    done = run(copy, *FLOW, "split", code=3)
    assert "plumbline: stage 'validate':" in done.stderr
    assert "Traceback" not in done.stderr
    assert (
        done.stdout.count("Running stage 'validate'")
        + done.stderr.count("Running stage 'validate'")
        == 1
    )
    states = task_states(copy)
    assert states["validate"] == "Gate"
    assert states["split"] == "Skipped"
    answer = done.stdout + done.stderr
    assert sum("| ERROR" in line for line in answer.splitlines()) == 1
    (run_name,) = set(re.findall(r"Flow run '([^']+)' - Beginning", answer))
    assert re.fullmatch(r"breast-cancer \d{4}-\d\d-\d\d \d\d:\d\d split", run_name)
    assert "reports/validation" in artifacts(copy)["gate-validate"]


def test_a_user_s_mistake_is_told_once(copy: Path) -> None:
    set_parameter(copy, "split", "test_share", -0.2)
    done = run(copy, *FLOW, code=2)
    (answer,) = [line for line in done.stderr.splitlines() if line.startswith("plumbline: ")]
    assert "split.test_share" in answer and "Traceback" not in done.stderr
    assert "did you mean 'train'" in run(copy, *FLOW, "trian", code=2).stderr.lower()
