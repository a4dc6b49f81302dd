"""A table of numbers, categories, texts and images goes from the owner's file to the page."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from plumbline.commands.init import Request, init
from plumbline.commands.predict import predict
from plumbline.config import Paths
from plumbline.config.load import load_config
from plumbline.errors import GateError
from plumbline.export.weights_file import read_graph
from plumbline.files import read_json
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.preprocessing.arrays import read_examples
from plumbline.preprocessing.few_rows import RowTransformer
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages import STAGES, load_stage
from plumbline.store.bundle import load_bundle

pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of mlflow's own imports
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROWS = 240
SMALL: dict[str, Any] = {
    "name": "mlp",
    "width": 16,
    "depth": 1,
    "image": {"encoder": "cnn", "width": 16},
    "text": {"embedding_dim": 8, "width": 8},
}


@pytest.fixture(autouse=True, scope="module")
def alone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setattr("plumbline.commands.init.add_data", lambda root: None)
        patch.setattr("plumbline.commands.init.cached_files", lambda root: {})
        yield


def products(root: Path) -> Path:
    """Cheap ones are dark in their photo; the other columns help a little. Some cells are empty."""
    rng = np.random.default_rng(0)
    cheap = rng.random(ROWS) < 0.5
    (root / "photos").mkdir(parents=True)
    photos = []
    for i in range(ROWS):
        pixels = rng.integers(0, 120, (12, 10, 3)) + (0 if cheap[i] else 100)
        name = f"photos/商品{i}.{'png' if i % 2 else 'jpg'}"
        Image.fromarray(pixels.astype(np.uint8)).save(root / name)
        photos.append(name if i % 29 else "")
    words = [rng.permutation(["soft", "red", "shoes", "for", "rainy", "days"]) for _ in range(ROWS)]
    pl.DataFrame(
        {
            "weight": rng.normal(size=ROWS) + 0.5 * cheap,
            "maker": rng.choice(["Acme", "Bolt", "Café"], ROWS),
            "description": [" ".join([*w, str(i)]) for i, w in enumerate(words)],
            "photo": photos,
            "cheap": np.where(cheap, "yes", "no"),
        }
    ).write_csv(root / "products.csv")
    return root / "products.csv"


def checkout(root: Path, source: Path, shipped: Path) -> Paths:
    """`plumbline init` on the file, and parameters that fit in a moment."""
    paths = Paths(root)
    params = yaml.safe_load((shipped / "params.yaml").read_text())
    params["model"] |= SMALL
    params["tune"]["trials"] = 0
    params["train"] |= {
        "epochs": 8,
        "batch_size": 32,
        "learning_rate": 0.005,
        "learning_curve": [],
        "bag": 1,
    }
    params["train"]["augment"] |= {"shift": 0.1, "mask_tokens": 0.1}
    params["evaluate"]["bootstrap"] = 50
    params["explain"] |= {"rows": 6, "background": 8, "lime_rows": 1, "faithfulness_rows": 3}
    root.mkdir(exist_ok=True)
    paths.params.write_text(yaml.safe_dump(params, sort_keys=False))
    init(Request(data=source, target="cheap"), paths)
    return paths


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with products.csv and its photos."""
    return products(tmp_path_factory.mktemp("products") / "shop").parent


@pytest.fixture(scope="module")
def finished(shop: Path, root: Path) -> Paths:
    """A checkout in which every stage has run; tests only read it."""
    paths = checkout(shop.parent / "project", shop / "products.csv", root)
    config = load_config(paths.params)
    for stage in STAGES:
        load_stage(stage)(config, paths)
    return paths


def test_it_goes_through_every_stage(shop: Path, finished: Paths) -> None:
    paths = finished
    types = {
        name: column["type"]
        for name, column in yaml.safe_load(paths.expectations.read_text())["columns"].items()
    }
    assert types == {
        "weight": "number",
        "maker": "category",
        "description": "text",
        "photo": "image",
        "cheap": "category",
    }
    config = load_config(paths.params)
    spec = {tensor["name"]: tensor for tensor in read_json(paths.prepared / "spec.json")["tensors"]}
    assert set(spec) == {"num", "cat", "text_0", "image_0"}
    assert spec["image_0"]["shape"] == [3, 12, 10]
    assert read_json(paths.reports / "metrics.json")["test"]["accuracy"] > 0.9
    importance = read_json(paths.reports / "explain" / "importance.json")
    assert next(iter(importance["columns"])) == "photo"
    for name, column, parts in (("words", "description", 30), ("patches", "photo", 56)):
        opened = read_json(paths.reports / "explain" / f"{name}.json")
        assert opened["columns"] == [column] == list(opened["faithfulness"])
        values = opened["rows"][0][name]
        count = len(values) if name == "words" else np.asarray(values["shap"]).size
        assert 1 < count <= parts
    mistakes = read_json(paths.reports / "evaluation" / "mistakes.json")
    assert mistakes["columns"] == ["photo"]
    photos = pl.read_csv(shop / "products.csv")["photo"].to_list()
    assert all(row["names"] == [photos[row["row"]]] for row in mistakes["rows"])
    assert read_json(paths.reports / "register.json")["decision"] == "first"
    page = (paths.reports / "index.html").read_text()
    assert "photo" in page and "description" in page

    # a row that is given is the row of the file, in the model and in the graph
    transformer = TableTransformer.from_json(read_json(paths.model / "preprocessor.json"))
    bundle = load_bundle(paths.model)
    train_rows = read_examples(paths.prepared / "train", bundle.spec.names)
    graph = OnnxPredictor(read_graph(paths.onnx / "model.onnx"))
    frame = pl.read_parquet(paths.root / config.data.path)
    for position in (0, 5):
        row = frame.row(int(train_rows.rows[position]), named=True)
        row["photo"] = row["photo"] and row["photo"]["bytes"]
        one = RowTransformer(transformer)(row)
        for name, array in one.items():
            assert_array_equal(array[0], train_rows.inputs[name][position])
        decision = Decision.read(paths.decision)
        assert_allclose(graph(one), bundle.predictor(decision)(one), atol=1e-5)

    check_raw_rows(shop / "products.csv", paths)


def check_raw_rows(source: Path, paths: Paths) -> None:
    """The champion predicts the owner's file as the stage evaluate did."""
    output = source.parent.parent / "predictions.parquet"
    predict(source, output, paths)
    result = pl.read_parquet(output)
    assert result["version"].unique().to_list() == ["products/1"]
    expected = pl.read_parquet(paths.reports / "evaluation" / "predictions.parquet")
    own = result[expected["row"].to_list()]
    assert own["predicted"].to_list() == expected["predicted"].to_list()
    for name in ("p_no", "p_yes"):
        assert_allclose(own[name], expected[name], atol=1e-6)


def fresh_environment(folder: Path, requirements: Path) -> Path:
    """The interpreter of an environment that holds what is required and nothing else."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    links = os.environ.get("UV_FIND_LINKS", os.environ.get("PIP_FIND_LINKS", ""))
    variables = {**os.environ, "UV_FIND_LINKS": links}
    python = folder / "bin" / "python"
    venv = [uv, "venv", "-q", "--python", sys.executable, str(folder)]
    subprocess.run(venv, env=variables, check=True)
    install = [uv, "pip", "install", "-q", "--python", str(python)]
    one = [*install, "--dry-run", f"numpy=={np.__version__}"]
    index = subprocess.run(one, env=variables, capture_output=True, text=True, check=False)
    if index.returncode:
        pytest.skip(f"no package index that answers: {index.stderr.strip()[-300:]}")
    subprocess.run([*install, "-r", str(requirements)], env=variables, check=True)
    return python


ASK = """
import json, sys
import mlflow, pandas as pd

model = mlflow.pyfunc.load_model("models:/products@champion")
rows = pd.read_csv("products.csv")
model.predict(rows).to_json(sys.argv[1], orient="records")
assert len(model.predict(json.load(open(sys.argv[2]))["inputs"])) == 2
messages = []
for other in (
    rows.assign(color="red"), rows.assign(weight="heavy"), rows.drop(columns="maker"),
    rows.assign(photo="photos/none.png"), rows.assign(maker=3), rows.assign(description=True),
    rows.assign(weight=pd.Timestamp("2024-05-02")), rows.assign(photo=7),
):
    try:
        model.predict(other)
    except mlflow.exceptions.MlflowException as error:
        messages.append(str(error))
print(json.dumps([messages, sorted(sys.modules)]))
"""


@pytest.mark.e2e
def test_the_version_answers_raw_rows_in_a_fresh_environment(
    shop: Path, finished: Paths, tmp_path: Path
) -> None:
    version = next((finished.root / "mlflow").rglob("MLmodel")).parent
    python = fresh_environment(tmp_path / "fresh", version / "requirements.txt")
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTHON"))}
    variables["MLFLOW_TRACKING_URI"] = f"sqlite:///{finished.root / 'mlflow' / 'mlflow.db'}"
    example = version / "serving_input_example.json"
    assert all(row["photo"] for row in json.loads(example.read_text())["inputs"])
    ask = [str(python), "-c", ASK, str(tmp_path / "predicted.json"), str(example)]
    done = subprocess.run(ask, cwd=shop, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    messages, modules = json.loads(done.stdout.splitlines()[-1])
    assert not {"plumbline", "torch", "great_expectations", "prefect"} & set(modules)
    wanted = pl.read_parquet(finished.reports / "evaluation" / "predictions.parquet")
    predicted = pl.read_json(tmp_path / "predicted.json")[wanted["row"].to_list()]
    assert predicted["predicted"].equals(wanted["predicted"])
    for name in ("p_no", "p_yes"):
        assert_allclose(predicted[name], wanted[name], atol=1e-6)
    for message, part in zip(
        messages,
        (
            "column 'color': is not a column of the training data",
            "column 'weight', row 0: is not a number",
            "column 'maker': no such column",
            "photos/none.png: column 'photo', row 0: no such file",
            "column 'maker', row 0: holds cells of type Int64 (wanted text, such as '",
            "column 'description', row 0: holds cells of type Boolean (wanted text, got True)",
            "column 'weight', row 0: holds cells of type Datetime",
            "column 'photo', row 0: a value of another kind (wanted the bytes of an image",
        ),
        strict=True,
    ):
        assert part in message


def test_what_is_no_image_stops_validation_by_row(tmp_path: Path, root: Path) -> None:
    source = products(tmp_path / "shop")
    (tmp_path / "shop" / "photos" / "商品7.png").write_bytes(b"<html>not found</html>")
    (tmp_path / "shop" / "photos" / "商品9.png").unlink()
    paths = checkout(tmp_path / "project", source, root)
    with pytest.raises(GateError) as caught:
        load_stage("validate")(load_config(paths.params), paths)
    message = str(caught.value)
    assert "column 'photo'" in message and "2 values are not an image that can be read" in message
    assert "Replace the files" in message
    assert "first in row 7" in message and "商品7.png (not an image" in message
    failing = pl.read_parquet(paths.reports / "validation" / "failing_rows.parquet")
    assert failing["row"].to_list() == [7, 9]
    assert "no such file" in failing["value"][1]


def test_what_is_no_image_in_a_parquet_file_is_no_file(tmp_path: Path, root: Path) -> None:
    source = products(tmp_path / "shop")
    table = pl.read_csv(source)
    photos = [(tmp_path / "shop" / n).read_bytes() if n else None for n in table["photo"]]
    photos[7] = photos[7][:40] if photos[7] else None
    table.with_columns(photo=pl.Series(photos, dtype=pl.Binary)).write_parquet(
        tmp_path / "shop.parquet"
    )
    paths = checkout(tmp_path / "project", tmp_path / "shop.parquet", root)
    with pytest.raises(GateError) as caught:
        load_stage("validate")(load_config(paths.params), paths)
    message = str(caught.value)
    assert "first in row 7: " in message and "40 bytes (" in message
    assert (
        "Write whole images into the cells" in message and "file" not in message.split("Write")[1]
    )
