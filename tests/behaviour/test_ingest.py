"""New rows become a new data version, or nothing changes; a killed run is ended by the next."""

from __future__ import annotations

import gzip
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from plumbline import cli
from plumbline.commands import ingest
from plumbline.data.checks import run_checks

HEADER = "age,income,city,bought"


def lines(n: int, seed: int = 0) -> list[str]:
    rng = random.Random(seed)
    return [
        f"{rng.randint(18, 90)},{rng.randint(1, 99999)}.5,{rng.choice('ABC')},{'ny'[i % 2]}"
        for i in range(n)
    ]


def write(path: Path, body: list[str]) -> Path:
    path.write_text("\n".join([HEADER, *body]) + "\n")
    return path


def data(checkout: Path) -> list[str]:
    return (checkout / "data" / "shop.csv").read_text().splitlines()[1:]


def version(checkout: Path) -> str:
    (out,) = yaml.safe_load((checkout / "data.dvc").read_text())["outs"]
    return str(out["md5"])


@pytest.fixture
def shop(checkout: Path, tmp_path: Path) -> Path:
    file = write(tmp_path / "shop.csv", lines(60))
    assert cli.main(["init", "--data", str(file), "--target", "bought"]) == 0
    return checkout


def test_rows_are_appended_as_a_new_version(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = version(shop)
    new = write(tmp_path / "new.csv", lines(10, seed=1))
    assert cli.main(["ingest", str(new)]) == 0
    assert "60 + 10 = 70" in capsys.readouterr().out
    assert data(shop) == lines(60) + lines(10, seed=1)
    assert version(shop) != before
    assert cli.main(["validate"]) == 0


def test_columns_may_stand_in_another_order_and_layout(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.csv"
    new.write_text("bought;income;age;city;more\ny;1234.50;30;B;x\nn;7.25;41;A;x\n")
    assert cli.main(["ingest", str(new)]) == 0
    assert data(shop)[-2:] == ["30,1234.50,B,y", "41,7.25,A,n"]
    assert "what the data have no column for: more" in capsys.readouterr().out


def test_bad_rows_stop_it_or_go_aside(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = write(tmp_path / "new.csv", [*lines(5, seed=1), "4000,1.0,A,y", "30,much,B,n"])
    before = (data(shop), version(shop))
    assert cli.main(["ingest", str(new)]) == 3
    text = capsys.readouterr().err
    assert "2 of 7 rows" in text and "column 'age'" in text and "--quarantine" in text
    assert (data(shop), version(shop)) == before
    assert cli.main(["ingest", str(new), "--quarantine"]) == 0
    assert data(shop) == lines(60) + lines(5, seed=1)
    (aside,) = (shop / ".plumbline" / "quarantine").iterdir()
    listed = pl.read_csv(aside, infer_schema=False)
    assert listed["row"].to_list() == ["5", "6"]
    assert "income" in listed["reason"][1]


def test_a_target_may_grow_and_a_number_of_another_kind_stops_it(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it grows by is what a retraining is for; a range that the owner wrote holds as it is."""
    file = write(tmp_path / "shop.csv", lines(60))
    assert cli.main(["init", "--data", str(file), "--target", "income"]) == 0
    highest = max(float(line.split(",")[1]) for line in lines(60))
    grown = write(tmp_path / "grown.csv", [f"30,{4 * highest:.1f},A,y", "31,100.5,B,n"])
    odd = write(tmp_path / "odd.csv", [f"30,{1000 * highest:.1f},A,y", "31,101.5,B,n"])
    assert cli.main(["ingest", str(grown)]) == 0 and len(data(checkout)) == 62
    capsys.readouterr()
    assert cli.main(["ingest", str(odd)]) == 3 and len(data(checkout)) == 62
    assert "If they are right, widen columns.income.range in expectations.yaml" in " ".join(
        capsys.readouterr().err.split()
    )
    own = checkout / "expectations.yaml"
    written = yaml.safe_load(own.read_text())
    written["columns"]["income"]["range"]["max"] = 5 * highest
    own.write_text(yaml.safe_dump(written, sort_keys=False))
    assert cli.main(["ingest", str(write(tmp_path / "b.csv", [f"9,{6 * highest:.1f},A,y"]))]) == 3


def test_new_rows_are_checked_within_the_memory_that_is_allowed(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []

    def spy(*arguments: Any, max_memory_mb: int) -> Any:
        given.append(max_memory_mb)
        return run_checks(*arguments, max_memory_mb=max_memory_mb)

    monkeypatch.setattr(ingest, "run_checks", spy)
    params = shop / "params.yaml"
    text = params.read_text()
    params.write_text(re.sub(r"max_memory_mb: \d+", "max_memory_mb: 7", text))
    assert cli.main(["ingest", str(write(tmp_path / "new.csv", lines(10, seed=1)))]) == 0
    assert given == [7]


def test_the_same_file_is_not_appended_twice(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = write(tmp_path / "new.csv", lines(10, seed=1))
    assert cli.main(["ingest", str(new)]) == 0
    assert cli.main(["ingest", str(new)]) == 2
    assert "the data have them all" in capsys.readouterr().err
    assert cli.main(["ingest", str(new), "--again"]) == 0
    assert len(data(shop)) == 80


def test_drift_is_told_at_a_glance(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    moved = [f"{80 + i % 10},{i * 10.5:.2f},C,{'ny'[i % 2]}" for i in range(120)]
    assert cli.main(["ingest", str(write(tmp_path / "new.csv", moved))]) == 0
    text = capsys.readouterr().out
    assert "  age" in text and "much" in text


@pytest.mark.parametrize(("factor", "alarm"), [(1, False), (0.001, True)])
def test_a_few_rows_in_another_unit_are_a_warning(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], factor: float, alarm: bool
) -> None:
    """A thousandth passes every range that begins at zero."""
    rows = [line.split(",") for line in lines(12, seed=3)]
    scaled = [f"{age},{float(income) * factor:.6f},{city},{y}" for age, income, city, y in rows]
    assert cli.main(["ingest", str(write(tmp_path / "new.csv", scaled))]) == 0
    text = capsys.readouterr().out
    assert ("another unit?" in text) is alarm


def test_a_column_that_is_gone(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = tmp_path / "new.csv"
    new.write_text("age,city,bought\n30,A,y\n31,B,n\n")
    assert cli.main(["ingest", str(new)]) == 2
    assert "'income'" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".csv.gz", ".parquet"])
def test_other_formats(checkout: Path, tmp_path: Path, suffix: str) -> None:
    def make(name: str, body: list[str]) -> Path:
        plain = write(tmp_path / "plain.csv", body)
        path = tmp_path / f"{name}{suffix}"
        if suffix == ".parquet":
            pl.read_csv(plain).write_parquet(path)
        else:
            path.write_bytes(gzip.compress(plain.read_bytes()))
        return path

    assert cli.main(["init", "--data", str(make("shop", lines(60))), "--target", "bought"]) == 0
    assert cli.main(["ingest", str(make("new", lines(10, seed=1)))]) == 0
    place = checkout / "data" / f"shop{suffix}"
    result = pl.read_parquet(place) if suffix == ".parquet" else pl.read_csv(place)
    assert len(result) == 70
    assert result["income"].sum() == pytest.approx(
        sum(float(line.split(",")[1]) for line in lines(60) + lines(10, seed=1))
    )


def killed_and_finished(shop: Path, new: Path, seconds: float) -> None:
    """Kill an ingest after some time; what is there is old or new, and the next run ends right."""
    process = subprocess.Popen(
        [sys.executable, "-m", "plumbline", "ingest", str(new)],
        cwd=shop,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=os.environ,
    )
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()
    old, both = lines(60), lines(60) + lines(10, seed=1)
    assert data(shop) in (old, both)
    code = cli.main(["ingest", str(new)])
    assert code in (0, 2)  # 2: the killed run had ended all its work
    assert data(shop) == both
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "status", "data.dvc"],
        cwd=shop,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "up to date" in done.stdout
    assert not (shop / ".plumbline" / "ingest" / "pending.json").exists()


def test_killed_at_random(shop: Path, tmp_path: Path) -> None:
    killed_and_finished(shop, write(tmp_path / "new.csv", lines(10, seed=1)), 7.0)


@pytest.mark.soak
@pytest.mark.parametrize("moment", range(20))
def test_killed_at_twenty_moments(shop: Path, tmp_path: Path, moment: int) -> None:
    seconds = random.Random(moment).uniform(0.2, 12.0)
    killed_and_finished(shop, write(tmp_path / "new.csv", lines(10, seed=1)), seconds)


def test_killed_between_data_and_version(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from plumbline.commands import ingest as module

    def killed(root: Path) -> None:
        raise KeyboardInterrupt

    new = write(tmp_path / "new.csv", lines(10, seed=1))
    before = version(shop)
    with monkeypatch.context() as patch:
        patch.setattr(module, "add_data", killed)
        assert cli.main(["ingest", str(new)]) == 130
    assert version(shop) == before and len(data(shop)) == 70
    assert cli.main(["ingest", str(new)]) == 0
    assert version(shop) != before and len(data(shop)) == 70
