"""A version's files answer the user's own columns as the graph of stages does."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from numpy.testing import assert_allclose
from polars.testing import assert_frame_equal
from tests.version import CONFORMAL, LABELS, ROWS, Version, as_text, png

from plumbline.config.data import DataConfig, FormatConfig
from plumbline.data.read import conform, scan
from plumbline.data.source import open_source
from plumbline.errors import DataError
from plumbline.inference.rows import RowPredictor
from plumbline.kinds import Role, Task

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> dict[Task, Version]:
    root = tmp_path_factory.mktemp("versions")
    return {task: Version(root / str(task), task) for task in LABELS}


@pytest.fixture
def version(versions: dict[Task, Version]) -> Version:
    return versions[Task.BINARY]


def test_a_column_that_had_gaps_may_be_left_out(version: Version, tmp_path: Path) -> None:
    shutil.copytree(version.folder, tmp_path / "v")
    inputs = [{"name": n, "type": "double", "required": n != "price"} for n in ("price", "count")]
    signature = {"signature": {"inputs": json.dumps(inputs)}}
    (tmp_path / "v" / "MLmodel").write_text(yaml.safe_dump(signature))
    predictor = RowPredictor.load(tmp_path / "v")
    rows = version.rows[:5]
    empty = rows.with_columns(pl.lit(None).alias("price"))
    assert_frame_equal(predictor.predict(rows.drop("price")), version.predictor.predict(empty))
    for lacking, other in (("count", predictor), ("price", version.predictor)):
        with pytest.raises(DataError, match=f"column '{lacking}': no such column"):
            other.predict(rows.drop(lacking))


def test_it_answers_without_scipy(version: Version, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)  # every import of it fails
    assert len(RowPredictor.load(version.folder).predict(version.rows)) == ROWS


@pytest.mark.parametrize("task", list(LABELS))
@pytest.mark.parametrize("form", ["typed", "text"])
def test_raw_rows_are_predicted_as_prepared_ones(
    versions: dict[Task, Version], task: Task, form: str
) -> None:
    own = versions[task]
    given = (own.rows if form == "typed" else as_text(own.rows)).drop("y")
    result = own.predictor.predict(given)
    expected = own.torch(own.examples.inputs)
    if not task.has_classes:
        assert result.columns == ["predicted", "low", "high"]
        assert_allclose(result["predicted"], expected[:, 0], rtol=1e-6, atol=1e-6)
        assert_allclose(result["high"] - result["low"], 5.0)
        return
    labels = LABELS[task]
    assert result.columns == ["predicted", *(f"p_{c}" for c in labels), "prediction_set"]
    assert_allclose(result.select(f"p_{c}" for c in labels).to_numpy(), expected, atol=1e-6)
    least = CONFORMAL[task]["minimum_probability"]
    for predicted, p, inside in zip(
        result["predicted"], expected, result["prediction_set"].to_list(), strict=True
    ):
        best = labels[int(p.argmax())]
        assert predicted == (best if len(labels) > 2 else labels[int(p[1] >= 0.47)])
        assert inside == [c for c, value in zip(labels, p, strict=True) if value >= least] or (
            inside == [best]
        )
    assert any(len(inside) > 1 for inside in result["prediction_set"].to_list())


def test_columns_may_stand_in_another_order_and_what_is_not_read_may_stay_away(
    version: Version,
) -> None:
    rows = version.rows
    result = version.predictor.predict(rows.select(reversed(rows.columns)))
    assert_frame_equal(result, version.predictor.predict(rows.drop("id", "y")))
    with_dropped = rows.with_columns(dropped=pl.lit("was in the training data"))
    assert_frame_equal(result, version.predictor.predict(with_dropped))
    assert version.predictor.predict(rows.head(0)).shape == (0, 4)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda f: f.drop("maker"), ["column 'maker'", "no such column"]),
        (lambda f: f.rename({"maker": "Makr"}), ["column 'maker'", "did you mean 'Makr'"]),
        (lambda f: f.with_columns(color=pl.lit("red")), ["column 'color'", "not a column"]),
        (lambda f: f.with_columns(cuont=pl.lit(1)), ["'cuont'", "did you mean 'count'"]),
        (lambda f: f.with_columns(price=pl.lit("cheap")), ["'price'", "row 0", "a number"]),
        (lambda f: f.with_columns(count=pl.lit(1.5)), ["'count'", "row 0", "a whole number"]),
        (lambda f: f.with_columns(day=pl.lit("2024-02-30")), ["'day'", "a date"]),
        (lambda f: f.with_columns(price=pl.col("day")), ["'price'", "a number"]),
        (lambda f: f.with_columns(price=pl.lit([[1.0, 2.0]])), ["'price'", "List(Float64)"]),
        (lambda f: f.with_columns(photo=pl.lit(b"<html>")), ["'photo'", "not an image"]),
        (lambda f: f.with_columns(photo=pl.lit("a.png")), ["'photo'", "image_folder"]),
        (lambda f: f.with_columns(photo=pl.lit(3)), ["'photo'", "Int32"]),
    ],
)
def test_what_does_not_fit_is_refused_by_name(
    version: Version, change: Any, words: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        version.predictor.predict(change(version.rows))
    message = str(caught.value)
    assert all(word.lower() in message.lower() for word in words), message


def test_unknown_columns_may_be_ignored(version: Version) -> None:
    more = version.rows.with_columns(color=pl.lit("red"), nested=pl.lit([[1]]))
    result = version.predictor.predict(more, extra="ignore")
    assert_frame_equal(result, version.predictor.predict(version.rows))


def test_images_are_read_from_a_folder_and_none_outside(version: Version, tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.png").write_bytes(png(i + 1))
    rows = version.rows[1:4]
    named = rows.with_columns(photo=pl.Series(["0.png", " 1.png", "2.png"]))
    result = version.predictor.predict(named, image_folder=tmp_path)
    assert_frame_equal(result, version.predictor.predict(rows))
    table, problems = version.predictor.predict_readable(
        named.with_columns(photo=pl.Series(["0.png", "gone.png", ""])), image_folder=tmp_path
    )
    assert problems.rows() == [(1, "photo", "gone.png", "no such file")]
    assert table["predicted"].is_null().to_list() == [False, True, False]
    with pytest.raises(DataError, match="leads out of"):
        version.predictor.predict(
            named.with_columns(photo=pl.lit("../0.png")), image_folder=tmp_path
        )


def test_a_row_that_cannot_be_read_stops_no_other(version: Version) -> None:
    text = as_text(version.rows)
    price, photo = text["price"].to_list(), text["photo"].to_list()
    price[4], photo[6], photo[4] = "12 or so", b"<html>", b"none"
    bad = text.with_columns(pl.Series("price", price), pl.Series("photo", photo))
    table, problems = version.predictor.predict_readable(bad)
    assert problems.select("row", "column").rows() == [(4, "photo"), (4, "price"), (6, "photo")]
    assert problems["value"].to_list()[1] == "12 or so"
    rest = [i for i in range(ROWS) if i not in (4, 6)]
    assert_frame_equal(table[rest], version.predictor.predict(version.rows)[rest])
    assert table[[4, 6]].null_count().row(0) == (2, 2, 2, 2)


@pytest.mark.parametrize("task", list(LABELS))
def test_a_row_of_which_the_model_makes_no_number_has_no_prediction(
    tmp_path: Path, task: Task
) -> None:
    own = Version(tmp_path / "v", task, scale=1e6)
    huge = own.rows.head(3).with_columns(pl.Series("price", [1.0, 1e308, None]))
    table, problems = own.predictor.predict_readable(huge)
    assert table["predicted"].is_null().to_list() == [False, True, False]
    assert problems.rows() == [
        (1, "price", "1e+308", "is so large that the model makes no number of the row")
    ]


def random_cell(r: random.Random) -> str:
    """What may stand in a cell of any column: right, nearly right, or of another kind."""
    number = r.choice([f"{r.randint(-9999, 9999)}", f"{r.random() * 100:.3f}", "1e3", "1.0", "07"])
    day = f"{r.randint(1, 31):02d}/{r.randint(1, 12):02d}/20{r.randint(0, 99):02d}"
    pieces = [number, number.replace(".", ","), "1.234,5", "1,234.5", day, day.replace("/", "-")]
    pieces += ["yes", "False", "T", "A", "b", "", "-", "NA", "?", "nan", "inf", "red shoes", "€"]
    text = r.choice(pieces)
    return r.choice([text, text, f" {text}", f"{text} €", f"€{text}", f"({text})", text + "\u00a0"])


def test_the_text_of_a_cell_means_what_validation_reads_in_it(
    version: Version, tmp_path: Path
) -> None:
    """By any column of text: the same value where it can be read, the same refusal where not."""
    r, schema = random.Random(0), version.schema
    names = [c.name for c in schema.columns if c.role is Role.FEATURE and c.name != "photo"]
    count = 400
    cells = {name: [""] * count for name in names}
    for i in range(count):
        cells[names[i % len(names)]][i] = random_cell(r)
    frame = pl.DataFrame({**cells, "y": ["no", "yes"] * (count // 2)})
    frame.write_csv(tmp_path / "new.csv")
    own = replace(schema, columns=tuple(schema.column(name) for name in (*names, "y")))
    config = DataConfig(name="new", path="new.csv", task=Task.BINARY, target="y", positive="yes")
    source = open_source(config, own, tmp_path)
    flags = source.frame.select(source.unreadable[name].alias(name) for name in names).collect()
    blank = pl.lit(None, pl.Binary).alias("photo")
    table, problems = version.predictor.predict_readable(frame.with_columns(blank))
    refused = set(problems.select("row", "column").rows())
    assert refused == {(i, n) for n in names for i in flags[n].arg_true().to_list()}
    assert 0 < len({row for row, _ in refused}) < count
    raw = scan(tmp_path / "new.csv", FormatConfig(), shown="new.csv")
    values = conform(raw, own, "new.csv").collect().with_columns(blank)
    good = [i for i in range(count) if i not in {row for row, _ in refused}]
    inputs = version.transformer.transform(values[good].lazy(), np.array(good)).inputs
    expected = version.torch(inputs)
    assert_allclose(table[good].select("p_no", "p_yes").to_numpy(), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["contract.json", "preprocessor.json", "decision.json"])
def test_a_version_that_lacks_a_file_is_refused(
    version: Version, tmp_path: Path, name: str
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(version.folder, copy)
    (copy / "extra_files" / name).write_text("{")
    with pytest.raises(DataError, match=f"{name}: cannot be read"):
        RowPredictor.load(copy)
    (copy / "extra_files" / name).unlink()
    with pytest.raises(DataError, match=f"{name}: no such file"):
        RowPredictor.load(copy)


def test_files_may_lie_side_by_side_and_the_graph_is_held_against_its_hash(
    version: Version, tmp_path: Path
) -> None:
    for file in [*(version.folder / "extra_files").iterdir(), version.folder / "model.onnx"]:
        shutil.copy(file, tmp_path)
    result = RowPredictor.load(tmp_path).predict(version.rows)
    assert_frame_equal(result, version.predictor.predict(version.rows))
    with (tmp_path / "model.onnx").open("ab") as graph:
        graph.write(b"\0")
    with pytest.raises(DataError, match="not the graph that was exported"):
        RowPredictor.load(tmp_path)


HEAVY = "torch mlflow great_expectations prefect sklearn pandas pyarrow onnx dvc fastapi optuna"


def test_it_needs_nothing_heavy(version: Version) -> None:
    code = (
        "import sys; from plumbline.inference.rows import RowPredictor; import polars as pl\n"
        f"predictor = RowPredictor.load({str(version.folder)!r})\n"
        "columns = [c.name for c in predictor.columns]\n"
        "row = pl.DataFrame({c: [None] for c in columns})\n"
        "assert predictor.predict(row)['predicted'][0] in ('no', 'yes')\n"
        f"print(*set({HEAVY.split()!r}) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
