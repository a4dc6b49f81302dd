"""What normalize writes, from every kind of file that it reads."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import zstandard
from numpy.testing import assert_array_equal
from tests.made import write_table

from plumbline.config import Config, Paths
from plumbline.config.load import parse_config
from plumbline.errors import DataError, ParameterError
from plumbline.files import read_json, write_json
from plumbline.kinds import Part
from plumbline.preprocessing.few_rows import RowTransformer
from plumbline.preprocessing.transform import TableTransformer
from plumbline.stages import Report, normalize
from plumbline.stages.inputs import load_part, load_spec, load_table

N = 300
PARTS = {"train": Part.TRAIN, "val": Part.VAL, "test": Part.TEST}
EXPECTATIONS = """columns:
  age: {type: integer}
  income: {type: number}
  city: {type: category}
  member: {type: boolean}
  since: {type: date}
  y: {type: category, role: target, values: {only: ["no", "yes"]}}
"""


def rows() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    gap = rng.random(N) < 0.1
    return pl.DataFrame(
        {
            "age": rng.integers(18, 90, N),
            "income": [None if g else v for g, v in zip(gap, rng.lognormal(8, 1, N), strict=True)],
            "city": rng.choice(["Rome", "Oslo", "Bern"], N),
            "member": rng.random(N) < 0.5,
            "since": [f"20{k:02d}-0{1 + k % 9}-11" for k in rng.integers(10, 25, N)],
            "y": rng.choice(["no", "yes"], N),
        }
    )


def part_of() -> Any:
    """A tenth of the rows is unused, as between windows of time."""
    shares = np.repeat([Part.TRAIN, Part.VAL, Part.TEST, Part.UNUSED], [180, 50, 40, 30])
    return np.random.default_rng(1).permutation(shares).astype(np.uint8)


def checkout(
    root: Path, path: str = "data/rows.csv", dropped: dict[str, str] | None = None, **values: Any
) -> tuple[Config, Paths]:
    """Everything that normalize reads but the data."""
    paths = Paths(root)
    paths.data.mkdir(parents=True, exist_ok=True)
    paths.expectations.write_text(EXPECTATIONS)
    paths.split.mkdir(parents=True)
    index = {"row": np.arange(N, dtype=np.uint32), "part": part_of(), "fold_0": part_of()}
    pl.DataFrame(index).write_parquet(paths.split / "index.parquet")
    write_json(paths.split / "dropped.json", dropped or {})
    form = {"type": "parquet" if "parquet" in path else "csv"}
    data = {"name": "t", "path": path, "target": "y", "task": "binary", "positive": "yes"}
    raw = {"seed": 0, "data": {**data, "format": form}, "normalize": values, "tune": {"trials": 0}}
    return parse_config(raw), paths


def prepare(config: Config, paths: Paths) -> Report:
    """As validate and normalize would, one after the other."""
    write_table(config, paths)
    return normalize.run(config, paths)


def content(folder: Path) -> dict[str, bytes]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def test_what_is_written(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path)
    rows().write_csv(paths.data / "rows.csv")
    report = prepare(config, paths)
    assert dict(report.rows)["rows"] == "180 train, 50 val, 40 test"
    spec, part = load_spec(paths), part_of()
    num, cat = spec.tensors
    assert "income=missing" in num.features and "city" in cat.features
    for name, number in PARTS.items():
        examples = load_part(paths, number)
        assert_array_equal(examples.rows, np.flatnonzero(part == number))
        assert examples.inputs["num"].shape == (len(examples), len(num.features))
        assert np.isfinite(examples.inputs["num"]).all()
        labels = rows()["y"].to_numpy()[examples.rows]
        assert_array_equal(np.array(spec.classes)[examples.y], labels, err_msg=name)
    names = set(content(paths.prepared))
    arrays = ("inputs/num", "inputs/cat", "y", "rows", "weight")
    files = {f"{part}/{array}.npy" for part in PARTS for array in arrays}
    assert names == {*files, "spec.json", "preprocessor.json", "manifest.json"}


def test_again_gives_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for k in range(2):
        config, paths = checkout(tmp_path / str(k), encode="target_mean")
        rows().write_csv(paths.data / "rows.csv")
        prepare(config, paths)
        made.append(content(paths.prepared))
    assert made[0] == made[1]


def test_the_state_prepares_a_file_and_a_row_alike(tmp_path: Path) -> None:
    """What serving does: the state from its file, without the data or the parameters."""
    config, paths = checkout(tmp_path)
    rows().write_csv(paths.data / "rows.csv")
    prepare(config, paths)
    made = TableTransformer.from_json(read_json(paths.prepared / "preprocessor.json"))
    table, _ = load_table(config, paths)
    frame = table.frame.collect()
    for part in PARTS.values():
        examples = load_part(paths, part)
        for i in (0, len(examples) - 1):
            one = RowTransformer(made)(frame.row(int(examples.rows[i]), named=True))
            assert one.keys() == examples.inputs.keys()
            for name, array in examples.inputs.items():
                assert one[name].tobytes() == array[i].tobytes()
            sent = rows().row(int(examples.rows[i]), named=True)  # as JSON would carry it
            sent["age"] = float(sent["age"])
            assert RowTransformer(made)(sent)["num"].tobytes() == one["num"].tobytes()


def _csv(folder: Path) -> str:
    rows().write_csv(folder / "rows.csv")
    return "data/rows.csv"


def _gzip(folder: Path) -> str:
    with gzip.open(folder / "rows.csv.gz", "wb") as file:
        file.write(rows().write_csv().encode())
    return "data/rows.csv.gz"


def _zstd(folder: Path) -> str:
    packed = zstandard.compress(rows().write_csv().encode())
    (folder / "rows.csv.zst").write_bytes(packed)
    return "data/rows.csv.zst"


def _parquet(folder: Path) -> str:
    rows().write_parquet(folder / "rows.parquet", row_group_size=64)
    return "data/rows.parquet"


def _folder(folder: Path) -> str:
    (folder / "rows.parquet.d").mkdir()
    for k, start in enumerate(range(0, N, 90)):
        rows()[start : start + 90].write_parquet(folder / "rows.parquet.d" / f"part-{k}.parquet")
    return "data/rows.parquet.d"


FORMS: dict[str, Callable[[Path], str]] = {
    "gzip": _gzip,
    "zstd": _zstd,
    "parquet": _parquet,
    "folder": _folder,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_kind_of_file_gives_the_same_bytes(form: str, tmp_path: Path) -> None:
    made = []
    for name, write in (("plain", _csv), (form, FORMS[form])):
        (tmp_path / name / "data").mkdir(parents=True)
        path = write(tmp_path / name / "data")
        config, paths = checkout(tmp_path / name, path)
        prepare(config, paths)
        made.append(content(paths.prepared))
    assert made[0] == made[1]


def test_a_partitioned_folder(tmp_path: Path) -> None:
    """`city=Rome/…`: the column that the folders name is a column of the data."""
    (tmp_path / "data").mkdir()
    frame = rows().sort("city", maintain_order=True)
    for city in ("Bern", "Oslo", "Rome"):
        folder = tmp_path / "data" / "rows.parquet" / f"city={city}"
        folder.mkdir(parents=True)
        frame.filter(pl.col("city") == city).drop("city").write_parquet(folder / "0.parquet")
    config, paths = checkout(tmp_path, "data/rows.parquet")
    prepare(config, paths)
    train, spec = load_part(paths, Part.TRAIN), load_spec(paths)
    state = read_json(paths.prepared / "preprocessor.json")
    (city_state,) = state["preparers"]["scalars"]["categories"]
    num, cat = spec.tensors
    codes = train.inputs["cat"][:, cat.features.index("city")]
    cities = np.array(["?", *city_state["values"]])[codes]
    assert_array_equal(cities, frame["city"].to_numpy()[train.rows])
    ages = frame["age"].to_numpy()[train.rows]
    answer = train.inputs["num"][:, num.features.index("age")]
    assert np.corrcoef(ages, answer)[0, 1] > 0.99


def test_a_column_that_the_split_dropped_is_no_feature(tmp_path: Path) -> None:
    config, paths = checkout(
        tmp_path, dropped={"city": "giveaway"}, columns={"city": {"encode": "onehot"}}
    )
    rows().write_csv(paths.data / "rows.csv")
    prepare(config, paths)
    spec = load_spec(paths)
    sources = {source for tensor in spec for source in tensor.sources}
    assert "city" not in sources and "income" in sources


def test_unused_rows_may_lack_a_target(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path)
    unused = part_of() == Part.UNUSED
    frame = rows().with_columns(
        y=pl.select(pl.when(pl.Series(unused)).then(None).otherwise(rows()["y"])).to_series()
    )
    frame.write_csv(paths.data / "rows.csv")
    prepare(config, paths)
    row = int(np.flatnonzero(part_of() == Part.TRAIN)[5])
    broken = frame.with_columns(
        y=pl.Series([None if i == row else v for i, v in enumerate(frame["y"])], dtype=pl.String)
    )
    broken.write_csv(paths.data / "rows.csv")
    for encode in ("ordinal", "target_mean"):  # which reads the target when it learns
        with pytest.raises(DataError, match=rf"column 'y', row {row}"):
            prepare(config.replace({"normalize.encode": encode}), paths)


def test_a_failed_run_leaves_what_was_there(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path)
    rows().write_csv(paths.data / "rows.csv")
    prepare(config, paths)
    before = content(paths.prepared)
    rows().with_columns(y=pl.lit("perhaps")).write_csv(paths.data / "rows.csv")
    with pytest.raises(DataError, match="one of no, yes"):
        prepare(config, paths)
    assert content(paths.prepared) == before
    assert [p.name for p in paths.artifacts.iterdir() if p.name.startswith(".")] == []


def test_an_override_of_no_column_is_refused(tmp_path: Path) -> None:
    config, paths = checkout(tmp_path, columns={"incom": {"scale": "log"}})
    rows().write_csv(paths.data / "rows.csv")
    with pytest.raises(ParameterError, match=r"(?i)normalize.columns.incom.*did you mean 'income'"):
        prepare(config, paths)
