"""A bag whose networks read texts and images: a tokenizer and pixel statistics for each."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.made import SMALL, write_table

from plumbline import artifacts
from plumbline.config import Config, Paths
from plumbline.config.load import parse_config
from plumbline.export.weights_file import read_graph
from plumbline.files import read_json
from plumbline.inference.decision import Decision
from plumbline.inference.onnx_predictor import OnnxPredictor
from plumbline.kinds import Part
from plumbline.preprocessing.bagged import load_transformer
from plumbline.preprocessing.frames import take_rows
from plumbline.stages import drift, evaluate, explain, export, normalize, split, train
from plumbline.stages.inputs import load_part, load_split, load_table
from plumbline.store.bundle import load_bundle

pytestmark = pytest.mark.usefixtures("one_thread")
ROWS, NETWORKS = 240, 2
Checkout = tuple[Config, Paths]


def photo(rng: np.random.Generator, *, bright: bool) -> bytes:
    file = BytesIO()
    pixels = rng.integers(120 if bright else 0, 256 if bright else 120, (16, 12))
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def made(root: Path) -> Checkout:
    """A note and a photo that both say something of `y`; some of either are missing."""
    paths, rng = Paths(root), np.random.default_rng(0)
    paths.data.mkdir(parents=True)
    y = rng.integers(0, 2, ROWS)
    words = rng.choice(["late", "warm", "blue", "tall", "kind"], (ROWS, 4))
    ends = np.where(y == 1, "free prize", "see you")
    notes = [" ".join([*own, end]) for own, end in zip(words, ends, strict=True)]
    photos = [photo(rng, bright=bool(k)) for k in y]
    columns = {
        "x": rng.normal(size=ROWS),
        "note": [None if j % 9 == 0 else note for j, note in enumerate(notes)],
        "photo": [None if j % 7 == 0 else own for j, own in enumerate(photos)],
        "y": np.where(y == 1, "yes", "no").tolist(),
    }
    pl.DataFrame(columns, schema_overrides={"photo": pl.Binary}).write_parquet(
        paths.data / "rows.parquet"
    )
    paths.expectations.write_text(
        "columns:\n  x: {type: number}\n  note: {type: text}\n  photo: {type: image}\n"
        "  y: {type: category, role: target, values: {only: ['no', 'yes']}}\n"
    )
    data = {"name": "t", "path": "data/rows.parquet", "target": "y", "task": "binary"}
    config = parse_config(
        {
            "seed": 0,
            "data": {**data, "positive": "yes", "format": {"type": "parquet"}},
            "model": {**SMALL, "name": "mlp", "image": {"encoder": "cnn", "width": 8}},
            "tune": {"trials": 0},
            "train": {
                "bag": NETWORKS,
                "epochs": 6,
                "learning_rate": 0.01,
                "weight_decay": 0.0,
                "learning_curve": [],
            },
            "evaluate": {"bootstrap": 20, "baselines": ["linear"]},
            "explain": {"rows": 12, "background": 10, "lime_samples": 60, "cell_rows": 4},
            "runtime": {"threads": 1},
        }
    )
    write_table(config, paths)
    return config, paths


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    config, paths = made(tmp_path_factory.mktemp("cells"))
    for stage in (split, normalize, train, evaluate, explain, drift, export):
        stage.run(config, paths)
    return config, paths


def test_the_graph_says_what_the_networks_say_together(bag: Checkout) -> None:
    config, paths = bag
    bundle, test = load_bundle(paths.model), load_part(paths, Part.TEST)
    assert bundle.spec.networks == NETWORKS
    assert {"text_0_1", "text_0_2", "image_0_1", "image_0_2"} <= set(bundle.spec.names)
    each = np.stack([member(test.inputs) for member in bundle.members()])
    graph = OnnxPredictor(read_graph(paths.onnx / artifacts.GRAPH))
    decision = Decision.read(paths.decision)
    assert np.allclose(graph(test.inputs), decision.apply(each.mean(0)), atol=1e-4)
    evaluated = pl.read_parquet(paths.reports / artifacts.PREDICTIONS)
    of_test = evaluated.filter(pl.col("part").cast(pl.String) == "test").select(pl.col("^p_.*$"))
    assert np.array_equal(of_test.to_numpy(), graph(test.inputs))
    table, _ = load_table(config, paths)
    rows = np.array(test.rows)
    transformer = load_transformer(read_json(paths.model / artifacts.PREPROCESSOR))
    again = transformer.transform(take_rows(table, rows), rows)
    assert all(np.array_equal(again.inputs[k], test.inputs[k]) for k in test.inputs)


def test_words_and_patches_are_players_of_all_networks_at_once(bag: Checkout) -> None:
    """What they are worth adds up to what the whole bag predicts."""
    _, paths = bag
    words = artifacts.read(artifacts.WordExplanations, paths.root)
    patches = artifacts.read(artifacts.PatchExplanations, paths.root)
    assert words.columns == ["note"] and patches.columns == ["photo"]
    assert words.rows and patches.rows
    for row in words.rows:
        gained = sum(word["shap"] for word in row["words"])
        assert gained == pytest.approx(row["prediction"] - row["without_words"], abs=1e-6)
        assert len(row["words"]) == 6
    for row in patches.rows:
        gained = np.sum(row["patches"]["shap"])
        assert gained == pytest.approx(row["prediction"] - row["without_patches"], abs=1e-6)
    # the words that decide come first
    first = [max(row["words"], key=lambda word: abs(word["shap"]))["text"] for row in words.rows]
    assert sum(word in ("free", "prize", "see", "you") for word in first) > len(first) / 2


def test_pictures_are_shown_once_and_drift_knows_the_words(bag: Checkout) -> None:
    _, paths = bag
    mistakes = artifacts.read(artifacts.Mistakes, paths.root)
    assert mistakes.columns == ["photo"]
    assert all(len(row["pictures"]) == 1 for row in mistakes.rows)
    columns = artifacts.read(artifacts.DriftResult, paths.root).columns
    assert {"x", "note", "photo"} <= set(columns)


def test_held_out_cells_change_nothing_of_what_a_network_reads(tmp_path: Path) -> None:
    """Texts and images of the rows held out from the first network become others: its tokenizer
    and pixel statistics stay to the byte, those of the second do not."""
    config, paths = made(tmp_path)
    split.run(config, paths), normalize.run(config, paths)
    before = read_json(paths.prepared / artifacts.PREPROCESSOR)["networks"]
    changed = load_table(config, paths)[0].frame.collect()
    hit = pl.Series(np.isin(np.arange(ROWS), load_split(paths).bag_fold(0)[1]))
    white = BytesIO()
    Image.new("RGB", (40, 50), "white").save(white, "PNG")
    changed.with_columns(
        note=pl.when(hit).then(pl.lit("all other words indeed")).otherwise("note"),
        photo=pl.when(hit).then(pl.lit(white.getvalue())).otherwise("photo"),
    ).write_parquet(paths.data / "rows.parquet")
    write_table(config, paths)
    normalize.run(config, paths)
    after = read_json(paths.prepared / artifacts.PREPROCESSOR)["networks"]
    assert after[0] == before[0]
    assert after[1] != before[1]
