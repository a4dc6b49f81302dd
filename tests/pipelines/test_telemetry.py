"""What we start tells nobody outside that it was used."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.watch import watch

from plumbline import telemetry

CI = ("CI", "GITHUB_ACTIONS", "JENKINS_URL", "PYTEST_CURRENT_TEST")  # libraries keep quiet there
# what a stage does with the libraries that keep statistics
STAGE = """
from plumbline import cli, telemetry
try:
    cli.main(['--version'])
except SystemExit:
    pass
telemetry.turn_off()
import evidently, great_expectations, mlflow, optuna
mlflow.set_tracking_uri('sqlite:///store.db')
mlflow.create_experiment('x')
great_expectations.get_context(mode='ephemeral')
"""


def variables(root: Path, folder: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in (*CI, *telemetry.OFF)}
    path = os.pathsep.join([str(folder), str(root / "src"), str(root)])
    return {**kept, "PYTHONPATH": path}


def test_the_watch_sees_a_question(root: Path, tmp_path: Path) -> None:
    hosts = watch(tmp_path / "watch")
    code = "import urllib.request; urllib.request.urlopen('http://stats.example.org')"
    subprocess.run(
        [sys.executable, "-c", code],
        env=variables(root, tmp_path / "watch"),
        capture_output=True,
        check=False,
    )
    assert hosts.read_text().splitlines() == ["stats.example.org"]


@pytest.mark.e2e
def test_a_flow_and_its_stages_ask_nobody(root: Path, toy: Path, tmp_path: Path) -> None:
    hosts = watch(tmp_path / "watch")
    (toy / "stage.py").write_text(STAGE)
    (toy / "dvc.yaml").write_text(
        f'stages:\n  one: {{cmd: "{sys.executable} stage.py && echo a > a", outs: [a]}}\n'
    )
    done = subprocess.run(
        [sys.executable, "-m", "pipelines.dev_servers", "flow", "--no-pull"],
        cwd=toy,
        env=variables(root, tmp_path / "watch"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert hosts.read_text() == ""


def test_every_library_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in telemetry.OFF:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")  # the user's own choice is kept
    telemetry.turn_off()
    from mlflow.telemetry.utils import is_telemetry_disabled
    from prefect._internal.analytics.enabled import is_telemetry_enabled
    from prefect.settings.context import get_current_settings

    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"
    assert is_telemetry_disabled() and not is_telemetry_enabled()
    assert os.environ["DVC_NO_ANALYTICS"] and os.environ["GX_ANALYTICS_ENABLED"] == "false"
    assert get_current_settings().__class__().server.analytics_enabled is False


SESSION = """
from onnx import TensorProto, helper
from plumbline.inference.onnx_predictor import open_session
x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 1]) for n in "xy")
graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "g", [x], [y])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
open_session(model.SerializeToString())
"""


def test_onnx_runtime_keeps_no_file_of_events(root: Path, tmp_path: Path) -> None:
    """Also where no command of ours set the switch: MLflow loads a version in any process."""
    home = tmp_path / "home"
    home.mkdir()
    places = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    own = {**variables(root, tmp_path), **places}
    subprocess.run([sys.executable, "-c", SESSION], env=own, check=True)
    assert not [path for path in home.rglob("*") if "onnx" in path.name.lower()]
