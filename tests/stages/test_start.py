"""Fits that start from a fitted network: a folder's or the registry's, through the stages."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from safetensors.numpy import load_file
from tests.made import RUNTIME, SHORT, SMALL, outputs, write_table

from plumbline import artifacts
from plumbline.commands.repro import _say_what_moved
from plumbline.config import Config, Paths, load_config
from plumbline.config.load import parse_config
from plumbline.errors import DataError, ParameterError, UserError
from plumbline.files import read_json, write_json
from plumbline.kinds import Part
from plumbline.stages import normalize, start_source, train, tune
from plumbline.store import tracking
from plumbline.store.lineage import data_hash, rows_hash, split_hash, split_tags
from plumbline.tables import SplitIndex

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of mlflow's own imports
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # mlflow leaves its SQLite pool open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
ROWS = 300
EXPECTATIONS = """columns:
  review: {type: text}
  price: {type: number}
  y: {type: category, role: target, values: {only: [%s]}}
"""
TEXT = "input.encoders.text_0"
TABLE = f"{TEXT}.lookup.table.weight"


def rows(classes: tuple[str, str], words: range, seed: int) -> pl.DataFrame:
    """The class is in the words: even ones speak for the second."""
    rng = np.random.default_rng(seed)
    drawn = rng.choice(np.asarray(words), (ROWS, 6))
    second = (drawn % 2 == 0).sum(axis=1) >= 3
    return pl.DataFrame(
        {
            "review": [" ".join(f"w{k}" for k in one) for one in drawn],
            "price": rng.normal(size=ROWS),
            "y": np.where(second, classes[1], classes[0]),
        }
    )


def checkout(
    root: Path,
    classes: tuple[str, str] = ("bad", "good"),
    words: range = range(40),
    seed: int = 0,
    **sections: dict[str, Any],
) -> Paths:
    """What normalize reads, and params.yaml."""
    paths = Paths(root)
    paths.data.mkdir(parents=True)
    paths.split.mkdir(parents=True)
    paths.expectations.write_text(EXPECTATIONS % ", ".join(classes))
    rows(classes, words, seed).write_csv(paths.data / "rows.csv")
    part = np.repeat([Part.TRAIN, Part.VAL, Part.TEST], [180, 60, 60]).astype(np.uint8)
    split = {"row": np.arange(ROWS, dtype=np.uint32), "part": part}
    folds = np.where(np.arange(ROWS) < 120, Part.TRAIN, Part.VAL).astype(np.uint8)
    pl.DataFrame({**split, "fold_0": folds}).write_parquet(paths.split / "index.parquet")
    write_json(paths.split / "dropped.json", {})
    data = {"name": "t", "path": "data/rows.csv", "target": "y", "task": "binary"}
    raw = {
        "seed": 0,
        "data": {**data, "positive": classes[1]},
        "model": {"name": "mlp", **SMALL, **sections.get("model", {})},
        "normalize": sections.get("normalize", {}),
        "tune": {"trials": 0, **sections.get("tune", {})},
        "train": {**SHORT, "epochs": 8, "patience": 0, **sections.get("train", {})},
        "runtime": RUNTIME,
    }
    paths.params.write_text(yaml.safe_dump(raw, sort_keys=False))
    write_table(load_config(paths.params), paths)
    return paths


def fit(paths: Paths) -> Config:
    config = load_config(paths.params)
    normalize.run(config, paths)
    train.run(config, paths)
    return config


def summary(paths: Paths) -> Any:
    return json.loads((paths.root / artifacts.TrainingSummary.FILE).read_text())


def weights(folder: Path) -> dict[str, Any]:
    return dict(load_file(folder / "weights.safetensors"))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Paths:
    """A fitted network."""
    paths = checkout(tmp_path_factory.mktemp("source"))
    fit(paths)
    return paths


class TestFolder:
    def test_it_begins_with_its_tensors_and_says_which(self, tmp_path: Path, source: Paths) -> None:
        paths = checkout(
            tmp_path,
            ("cold", "warm"),
            range(20, 60),
            1,
            model={"start_from": str(source.model)},
            train={"freeze": {"review": "all"}, "epochs": 1},
        )
        fit(paths)
        start = summary(paths)["start"]
        answers = ("head.weight", "head.bias", f"{TEXT}.lookup.wide.weight", f"{TEXT}.wide_bias")
        assert start["left"] == dict.fromkeys(answers, "answers other classes there")
        assert start["source"] == str(source.model) and start["freeze"] == {"review": "all"}
        record = artifacts.read(artifacts.StartSource, paths.root)
        assert (
            record.sha256 == read_json(source.model / "model.json")["sha256"]["weights.safetensors"]
        )
        # tokens of both vocabularies have the vectors that they had, frozen
        ours, theirs = weights(paths.model)[TABLE], weights(source.model)[TABLE]
        assert start["taken"][TABLE] == "22 of 42 rows"
        matched = sum((row == theirs).all(axis=1).any() for row in ours)
        assert matched >= 22

    def test_the_tokenizer_comes_along(self, tmp_path: Path, source: Paths) -> None:
        paths = checkout(
            tmp_path,
            ("cold", "warm"),
            range(20, 60),
            1,
            model={"start_from": str(source.model)},
            normalize={"from_start": ["text"]},
        )
        fit(paths)
        ours, theirs = (
            read_json(p.prepared / "preprocessor.json")["preparers"] for p in (paths, source)
        )
        assert ours["text"] == theirs["text"] and ours["scalars"] != theirs["scalars"]
        assert summary(paths)["start"]["taken"][TABLE] == "whole"
        first = outputs(paths)
        fit(paths)
        assert outputs(paths) == first

    def test_numbers_and_categories_come_along(self, tmp_path: Path, source: Paths) -> None:
        keep = {"from_start": ["text", "scalars"]}
        model = {"start_from": str(source.model)}
        paths = checkout(tmp_path, seed=1, model=model, normalize=keep)
        normalize.run(load_config(paths.params), paths)
        ours, theirs = (read_json(p.prepared / "preprocessor.json") for p in (paths, source))
        assert ours["preparers"] == theirs["preparers"]

    def test_every_fold_of_the_search_begins_with_it(self, tmp_path: Path, source: Paths) -> None:
        """At a rate at which nothing is learned: what a fold scores is the start network's."""
        space = {
            "train.learning_rate": {"type": "float", "low": 1e-9, "high": 2e-9},
            "train.weight_decay": {"type": "float", "low": 0.0, "high": 1e-9},
        }
        search = {"trials": 1, "space": space, "epochs": 1}
        narrow = {"text": {"wide": False}}  # which would begin with what a linear model learned
        scores = []
        for name, model in (("with", {"start_from": str(source.model)}), ("without", narrow)):
            paths = checkout(tmp_path / name, seed=1, model=model, tune=search)
            config = load_config(paths.params)
            normalize.run(config, paths)
            tune.run(config, paths)
            scores.append(artifacts.read(artifacts.TunedValues, paths.root).score or 0)
        assert scores[0] > 0.85 > 0.7 > scores[1]

    def test_nothing_of_it_where_it_is_not_asked_for(self, tmp_path: Path, source: Paths) -> None:
        """The same bytes, whatever lies around."""
        paths = checkout(tmp_path)
        fit(paths)
        assert outputs(paths) == outputs(source)
        assert summary(paths)["start"] is None

    def test_another_start_is_another_fit(self, tmp_path: Path, source: Paths) -> None:
        """A changed parameter without normalize does not fit on the old one."""
        paths = checkout(tmp_path, model={"start_from": str(source.model)})
        config = load_config(paths.params)
        normalize.run(config, paths)
        with pytest.raises(DataError, match=r"holds another network than params\.yaml"):
            train.run(config.replace({"model.start_from": "elsewhere"}), paths)


Break = Callable[[Path], object]
BROKEN: dict[str, tuple[Break, str]] = {
    "no folder": (shutil.rmtree, r"model.start_from: no such folder"),
    "truncated": (
        lambda f: (f / "weights.safetensors").write_bytes(
            (f / "weights.safetensors").read_bytes()[:-100]
        ),
        "is not the file that was saved with the model",
    ),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "no such file"),
    "no preprocessor": (lambda f: (f / "preprocessor.json").unlink(), "no such file"),
    "no description": (lambda f: (f / "model.json").write_text("{}"), "it has no format"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_folder_that_holds_no_network(tmp_path: Path, source: Paths, how: str) -> None:
    folder = tmp_path / "start"
    shutil.copytree(source.model, folder)
    paths = checkout(tmp_path / "checkout", model={"start_from": str(folder)})
    config = load_config(paths.params)
    normalize.run(config, paths)
    before = (paths.root / artifacts.StartSource.FILE).read_bytes()
    damage, message = BROKEN[how]
    damage(folder)
    with pytest.raises(UserError, match=message):
        normalize.run(config, paths)
    assert (paths.root / artifacts.StartSource.FILE).read_bytes() == before


@pytest.mark.parametrize("section", ["normalize", "train"])
def test_what_needs_a_start_network_is_refused_without_one(section: str) -> None:
    data = {"name": "t", "path": "data/rows.csv", "target": "y", "task": "binary"}
    more = {"normalize": {"from_start": ["text"]}, "train": {"freeze": {"text": 2}}}
    raw = {"seed": 0, "data": data, "tune": {"trials": 0}, section: more[section]}
    with pytest.raises(ParameterError, match=r"needs a network to start from.*model\.start_from"):
        parse_config(raw)


def test_preprocessing_of_other_columns_does_not_come_along(tmp_path: Path, source: Paths) -> None:
    paths = checkout(
        tmp_path, model={"start_from": str(source.model)}, normalize={"from_start": ["text"]}
    )
    table = read_json(paths.table / "table.json")
    for column in table["columns"]:
        if column["name"] == "price":
            column["type"] = "text"
    write_json(paths.table / "table.json", table)
    with pytest.raises(ParameterError, match=r"from_start.*other columns.*price"):
        normalize.run(load_config(paths.params), paths)


class TestRegistry:
    @pytest.fixture
    def store(self, tmp_path: Path, source: Paths, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Two versions of the same network, of which the first is champion."""
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'store.db'}")
        opened = tracking.open_store(tmp_path)
        client = opened.client
        where = client.create_experiment("e", artifact_location=(tmp_path / "kept").as_uri())
        client.create_registered_model("reviews")
        tags = {
            "plumbline.data": data_hash(source.root),
            "plumbline.split": split_hash(source.root, source.split / "index.parquet"),
        }
        for _ in range(2):
            run = client.create_run(where)
            for file in source.model.iterdir():
                client.log_artifact(run.info.run_id, str(file), "bundle")
            client.create_model_version(
                "reviews", f"{run.info.artifact_uri}/bundle", run.info.run_id, tags=tags
            )
        client.set_registered_model_alias("reviews", "champion", "1")
        return client

    def test_a_version_by_its_alias_and_what_happens_when_it_moves(
        self, tmp_path: Path, store: Any, source: Paths, capsys: pytest.CaptureFixture[str]
    ) -> None:
        model = {"start_from": "models:/reviews@champion"}
        paths = checkout(tmp_path / "checkout", seed=1, model=model)
        fit(paths)
        record = artifacts.read(artifacts.StartSource, paths.root)
        assert (record.source, record.version) == ("reviews version 1", "1")
        assert record.leak is None  # of other data nothing is known
        assert not summary(paths)["start"]["left"]
        _say_what_moved(paths.root)
        assert capsys.readouterr().err == ""
        store.set_registered_model_alias("reviews", "champion", "2")
        _say_what_moved(paths.root)
        note = capsys.readouterr().err
        assert "models:/reviews@champion, is reviews version 2 now" in note
        assert "dvc repro --force --single-item normalize" in note

    @pytest.mark.parametrize(
        ("address", "message"),
        [
            ("models:/reviews@best", r"no such version.*models:/reviews@champion, models:/rev"),
            ("models:/reviews/9", r"no such version.*models:/reviews/2, models:/reviews/1"),
            ("models:/nobody@champion", "There is no registered model 'nobody'"),
            ("models:/reviews", "wanted models:/NAME@ALIAS or models:/NAME/VERSION"),
        ],
    )
    def test_no_such_version(self, tmp_path: Path, store: Any, address: str, message: str) -> None:
        paths = checkout(tmp_path / "checkout", model={"start_from": address})
        with pytest.raises(ParameterError, match=message):
            normalize.run(load_config(paths.params), paths)

    @pytest.mark.parametrize(
        ("tags", "leak"),
        [
            ({}, None),  # of a version that does not name its rows: the whole split is the same
            ({"split": "another"}, "same data with another split"),
            ({"split": "another", "test_rows": "own", "val_rows": "own"}, None),  # other folds
            ({"split": "another", "test_rows": "own", "val_rows": "bag"}, "validation rows here"),
            ({"split": "another", "test_rows": "own", "val_rows": "0"}, "validation rows here"),
            ({"split": "another", "test_rows": "0", "val_rows": "own"}, "test rows here may be"),
        ],
    )
    def test_rows_that_the_start_network_was_fitted_on_are_a_leak(
        self,
        tmp_path: Path,
        store: Any,
        source: Paths,
        monkeypatch: pytest.MonkeyPatch,
        tags: dict[str, str],
        leak: str | None,
    ) -> None:
        monkeypatch.setattr("plumbline.stages.start_source.data_hash", lambda root: "same")
        index = source.split / artifacts.SPLIT_INDEX
        own = {"test_rows": Part.TEST, "val_rows": Part.VAL}
        for name, value in {"data": "same", **tags}.items():
            kept = rows_hash(index, own[name]) if value == "own" else value
            store.set_model_version_tag("reviews", "2", f"plumbline.{name}", kept)
        paths = checkout(tmp_path / "here", model={"start_from": "models:/reviews/2"})
        folder = tmp_path / "start"
        folder.mkdir()
        leaked = start_source.fetch(load_config(paths.params), paths, folder).leak
        assert leaked is None if leak is None else leak in str(leaked)


def test_a_bag_or_other_folds_do_not_change_which_rows_are_test_rows(tmp_path: Path) -> None:
    part = np.array([1, 2, 3, 1, 3], dtype=np.uint8)
    kept = []
    for name, folds, bag in (("a", 1, None), ("b", 2, None), ("c", 2, part)):
        folder = tmp_path / name
        folder.mkdir()
        index = SplitIndex(part=part, folds=np.ones((5, folds), dtype=np.uint8), bag=bag)
        artifacts.write_split(index, folder)
        kept.append(split_tags(tmp_path, folder / artifacts.SPLIT_INDEX))
    plain, folded, bagged = kept
    assert plain["plumbline.split"] != folded["plumbline.split"]
    assert plain["plumbline.val_rows"] == folded["plumbline.val_rows"]
    assert bagged["plumbline.val_rows"] == "bag"
    assert len({one["plumbline.test_rows"] for one in kept}) == 1
