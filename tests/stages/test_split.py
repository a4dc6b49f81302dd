"""split: files that later stages read, the gate, and each policy from end to end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from benchmarks.planted import PLANTS, Data
from tests.made import write_table

from plumbline.config import Config, Paths
from plumbline.config.data import FormatConfig
from plumbline.config.load import parse_config
from plumbline.data.infer import Wishes, infer
from plumbline.data.propose import to_yaml
from plumbline.errors import DataError, GateError
from plumbline.files import read_json, write_text
from plumbline.kinds import Part, Role, Task
from plumbline.leakage import LEAKAGE_CHECKS
from plumbline.stages import normalize, split
from plumbline.stages.inputs import load_spec, load_split, load_table

OFF = dict.fromkeys(LEAKAGE_CHECKS, "off")


def honest(rows: int = 300) -> Data:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(rows, 4))
    y = np.where(x[:, 0] + x[:, 1] + rng.normal(size=rows) > 0, "yes", "no")
    frame = pl.DataFrame({**{f"x{j}": x[:, j] for j in range(4)}, "y": y})
    return Data(name="made", frame=frame, target="y", task=Task.BINARY)


def checkout(
    root: Path,
    data: Data,
    *,
    test: pl.DataFrame | None = None,
    leakage: dict[str, str] | None = None,
    **settings: Any,
) -> tuple[Config, Paths]:
    """The data as a CSV, expectations inferred from it, parameters."""
    (root / "data").mkdir(parents=True, exist_ok=True)
    data.frame.write_csv(root / "data" / "rows.csv")
    if test is not None:
        test.write_csv(root / "data" / "test.csv")
    wishes = Wishes(target=data.target, task=data.task, time=data.time, group=data.group)
    raw = data.frame if test is None else pl.concat([data.frame, test])
    result = infer(raw.lazy(), FormatConfig(), wishes, file="rows.csv").expectations
    paths = Paths(root)
    write_text(paths.expectations, to_yaml(result))
    named = {"time": data.time, "group": data.group, "positive": result.positive}
    config = parse_config(
        {
            "seed": 1,
            "data": {
                "name": "made",
                "path": "data/rows.csv",
                "test_path": None if test is None else "data/test.csv",
                "target": data.target,
                "task": str(data.task),
                **{k: v for k, v in named.items() if v is not None},
            },
            "tune": {"trials": 0},
            "train": {"bag": 1},
            "split": {"folds": 3, **data.split, **settings, "leakage": leakage or {}},
        }
    )
    write_table(config, paths)
    return config, paths


def planted(kind: str, task: Task = Task.BINARY) -> Data:
    data = honest(600)
    if task == Task.REGRESSION:
        noise = 0.3 * np.random.default_rng(7).normal(size=600)
        y = np.exp(data.frame["x0"].to_numpy() + data.frame["x1"].to_numpy() + noise)
        frame = data.frame.with_columns(y=pl.Series(y))
        data = Data(name="made", frame=frame, target="y", task=task)
    leak = PLANTS[kind](data, np.random.default_rng(6))
    assert leak is not None
    return leak.data


def outputs(paths: Paths) -> dict[str, bytes]:
    files = [*paths.split.rglob("*"), *(paths.reports / "split").rglob("*")]
    files.append(paths.reports / "leakage.json")
    return {str(f.relative_to(paths.root)): f.read_bytes() for f in files if f.is_file()}


def test_writes_what_later_stages_read(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, honest())
    report = split.run(config, paths)
    assert set(outputs(paths)) == {
        "artifacts/split/index.parquet",
        "artifacts/split/summary.json",
        "artifacts/split/dropped.json",
        "artifacts/split/manifest.json",
        "reports/split/manifest.json",
        "reports/split/summary.json",
        "reports/leakage.json",
    }
    index = pl.read_parquet(paths.split / "index.parquet")
    assert index.columns == ["row", "part", "fold_0", "fold_1", "fold_2"]
    assert index["row"].to_list() == list(range(300))
    loaded = load_split(paths)
    counts = read_json(paths.split / "summary.json")["parts"]
    for part in (Part.TRAIN, Part.VAL, Part.TEST):
        assert counts[part.name.lower()]["rows"] == len(loaded.rows(part))
    assert read_json(paths.reports / "leakage.json") == {"clean": True, "findings": []}
    assert ("leakage", "clean") in report.rows


def test_the_same_seed_writes_the_same_bytes(tmp_path: Path) -> None:
    written = []
    for name in ("one", "two"):
        config, paths = checkout(tmp_path / name, honest())
        split.run(config, paths)
        written.append(outputs(paths))
    assert written[0] == written[1]


def test_a_critical_leak_stops_with_the_report_written(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, honest(), leakage=OFF)
    split.run(config, paths)
    before = outputs(paths)
    config, paths = checkout(tmp_path, planted("outcome code"))
    with pytest.raises(
        GateError, match=r"target leakage in 'k2': .*reports/leakage\.json"
    ) as error:
        split.run(config, paths)
    assert error.value.exit_code == 3
    assert "role ignore" in str(error.value)
    report = read_json(paths.reports / "leakage.json")
    assert not report["clean"]
    assert [f["columns"] for f in report["findings"]] == [["k2"]]
    assert report["findings"][0]["title"] == "target leakage"
    after = outputs(paths)
    assert after.pop("reports/leakage.json") != before.pop("reports/leakage.json")
    assert after == before  # what was there stays whole


def test_warn_goes_on_and_keeps_the_column(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, planted("outcome code"), leakage={"giveaway": "warn"})
    report = split.run(config, paths)
    (line,) = (text for name, text in report.rows if name == "leakage")
    assert line.startswith("target leakage in 'k2' (critical, policy warn): find out when 'k2'")
    assert read_json(paths.split / "dropped.json") == {}
    assert not read_json(paths.reports / "leakage.json")["clean"]


def test_off_does_not_look(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, planted("copy"), leakage={"giveaway": "off"})
    split.run(config, paths)
    assert read_json(paths.reports / "leakage.json") == {"clean": True, "findings": []}


def test_drop_takes_columns_away_and_the_graph_goes_on(tmp_path: Path) -> None:
    data = planted("sum", Task.REGRESSION)
    config, paths = checkout(tmp_path, data, leakage={"giveaway": "drop"})
    split.run(config, paths)
    dropped = read_json(paths.split / "dropped.json")
    assert set(dropped) == {"k5", "k6", "k7"}
    assert all(why.startswith("target leakage: ") for why in dropped.values())
    assert read_json(paths.reports / "leakage.json")["clean"]
    _, schema = load_table(config, paths)
    assert all(schema.column(name).role is Role.IGNORE for name in dropped)
    normalize.run(config, paths)
    (tensor,) = load_spec(paths)
    assert set(tensor.sources) == {"x0", "x1", "x2", "x3"}


@pytest.mark.parametrize(
    ("kind", "check"),
    [
        ("rows copied", "duplicates"),
        ("rows nearly copied", "near_duplicates"),
        ("groups", "groups"),
    ],
)
def test_drop_leaves_rows_out_of_training(tmp_path: Path, kind: str, check: str) -> None:
    config, paths = checkout(tmp_path, planted(kind), leakage={**OFF, check: "warn"})
    split.run(config, paths)
    before = load_split(paths)
    config, paths = checkout(tmp_path, planted(kind), leakage={**OFF, check: "drop"})
    split.run(config, paths)
    after = load_split(paths)
    gone = (before.part != after.part).nonzero()[0]
    assert len(gone)
    assert (after.part[gone] == Part.UNUSED).all()
    assert (after.folds[gone] == Part.UNUSED).all()
    assert (before.part[gone] != Part.TEST).all()
    assert read_json(paths.split / "summary.json")["unused"] == len(gone)


def test_drop_leaves_out_training_rows_that_are_too_late(tmp_path: Path) -> None:
    part = np.repeat(["train", "val", "test"], 100)
    part[[250, 299]] = "train"
    frame = honest().frame.with_columns(when=pl.Series(np.arange(300)), where=pl.Series(part))
    data = Data(name="made", frame=frame, target="y", task=Task.BINARY, time="when",
                split={"column": "where"})  # fmt: skip
    config, paths = checkout(tmp_path, data, leakage={"time_order": "drop"})
    split.run(config, paths)
    assert load_split(paths).part[[250, 299]].tolist() == [Part.UNUSED, Part.UNUSED]
    assert load_split(paths).rows(Part.TRAIN).tolist() == list(range(100))


def test_a_drop_that_would_leave_no_training_rows_is_refused(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, planted("time order"), leakage={"time_order": "drop"})
    with pytest.raises(DataError, match="training rows"):
        split.run(config, paths)


def test_nothing_left_to_learn_from_is_said(tmp_path: Path) -> None:
    data = planted("copy")
    only = Data(name="made", frame=data.frame.select("k1", "y"), target="y", task=Task.BINARY)
    config, paths = checkout(tmp_path, only, leakage={"giveaway": "drop"})
    with pytest.raises(DataError, match="no feature is left"):
        split.run(config, paths)


def test_a_supplied_test_file_is_tested_on_whole(tmp_path: Path) -> None:
    data = honest()
    config, paths = checkout(tmp_path, data, test=honest(360).frame.tail(60))
    split.run(config, paths)
    loaded = load_split(paths)
    assert loaded.rows(Part.TEST).tolist() == list(range(300, 360))
    assert set(np.unique(loaded.folds[300:])) == {Part.UNUSED}


def test_a_test_file_of_training_rows_stops(tmp_path: Path) -> None:
    data = honest()
    config, paths = checkout(
        tmp_path, data, test=data.frame.head(60), leakage={"duplicates": "fail"}
    )
    with pytest.raises(GateError, match="duplicates"):
        split.run(config, paths)


def test_the_owners_split_column_is_obeyed_and_no_feature(tmp_path: Path) -> None:
    data = honest()
    part = np.repeat(["train", "val", "test"], 100)
    frame = data.frame.with_columns(pl.Series("where", part))
    owned = Data(name="made", frame=frame, target="y", task=Task.BINARY, split={"column": "where"})
    config, paths = checkout(tmp_path, owned)
    split.run(config, paths)
    assert load_split(paths).part.tolist() == np.repeat([1, 2, 3], 100).tolist()
    assert set(read_json(paths.split / "dropped.json")) == {"where"}
    assert read_json(paths.reports / "leakage.json")["clean"]


def test_a_file_in_order_of_time_needs_no_column(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, honest(), method="time", gap=5)
    report = split.run(config, paths)
    loaded = load_split(paths)
    assert (np.diff(loaded.part[loaded.part != Part.UNUSED].astype(int)) >= 0).all()
    assert (loaded.part == Part.UNUSED).sum() == 10
    assert ("method", "time, 3 folds time_expanding") in report.rows


def test_a_table_too_large_to_hold_splits_the_same(tmp_path: Path) -> None:
    written = []
    for name, megabytes in (("held", 2048), ("streamed", 1)):
        config, paths = checkout(tmp_path / name, honest(20_000), leakage=OFF)
        split.run(config.replace({"data.max_memory_mb": megabytes}), paths)
        written.append(outputs(paths))
    assert written[0] == written[1]


def test_a_strong_measurement_is_a_warning_and_the_graph_goes_on(tmp_path: Path) -> None:
    """One length tells one of three kinds apart (ROC-AUC 0.99), and nothing else does."""
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 344)
    frame = pl.DataFrame(
        {
            "beak": np.round(38 + 9 * (kind > 0) + rng.normal(0, 2.2, 344), 1),
            "depth": np.round(17 + 0.5 * (kind == 1) + rng.normal(0, 1, 344), 1),
            "island": [f"i{v}" for v in rng.integers(0, 3, 344)],
            "y": np.array(["ash", "birch", "cedar"])[kind],
        }
    )
    config, paths = checkout(
        tmp_path, Data(name="kinds", frame=frame, target="y", task=Task.MULTICLASS)
    )
    split.run(config, paths)  # no GateError
    findings = read_json(paths.reports / "leakage.json")["findings"]
    assert all(f["severity"] == "warning" for f in findings)


def test_what_the_checks_will_look_at_is_said_beforehand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config, paths = checkout(tmp_path, honest(), leakage={"max_rows": 100})
    split.run(config, paths)
    assert "leakage checks: 100 of 180 training rows" in capsys.readouterr().err
