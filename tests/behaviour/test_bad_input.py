"""Wrong input ends with one message that names place and mend, code 2 or 3, nothing lost."""

from __future__ import annotations

import errno
import hashlib
import random
import shutil
from pathlib import Path

import pytest
import yaml

from plumbline import cli

HEADER = ["age", "income", "city", "bought"]


def rows(n: int = 60) -> list[list[str]]:
    rng = random.Random(0)
    return [
        [str(rng.randint(18, 90)), f"{rng.random() * 1e5:.2f}", rng.choice("ABC"), "ny"[i % 2]]
        for i in range(n)
    ]


def write(path: Path, body: list[list[str]], header: list[str] | None = None) -> Path:
    lines = [",".join(r) for r in [header or HEADER, *body]]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def state(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and not {".plumbline", ".dvc"} & set(p.relative_to(folder).parts)
    }


def refused(
    capsys: pytest.CaptureFixture[str], *words: str, command: list[str], code: int = 2
) -> str:
    """Run a command that must be refused; the message holds these words."""
    capsys.readouterr()
    assert cli.main(command) == code
    text = capsys.readouterr().err
    assert text.startswith("plumbline: ") and "Traceback" not in text
    assert len(text.strip().splitlines()) == 1, text
    for word in words:
        assert word in text, text
    return text


def init(file: Path, target: str = "bought", *more: str) -> list[str]:
    return ["init", "--data", str(file), "--target", target, *more]


@pytest.fixture
def good(checkout: Path, tmp_path: Path) -> Path:
    """The checkout, set up on a good file."""
    assert cli.main(init(write(tmp_path / "shop.csv", rows()))) == 0
    return checkout


def test_no_such_file(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = state(checkout)
    refused(capsys, "absent.csv", "no such file", command=init(checkout / "absent.csv"))
    assert state(checkout) == before


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["shop.csv", "empty"]),
        (",".join(HEADER) + "\n", ["shop.csv", "no rows"]),
    ],
)
def test_broken_tables(
    checkout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    content: str,
    words: list[str],
) -> None:
    before = state(checkout)
    file = tmp_path / "shop.csv"
    file.write_text(content)
    refused(capsys, *words, command=init(file))
    assert state(checkout) == before


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (["y"] * 60, ["'bought'", "constant"]),
        ([""] * 60, ["'bought'", "no values"]),
        (["y"] * 59 + ["n"], ["'bought'", "class 'n' has one row"]),
    ],
)
def test_targets_that_cannot_be_learned(
    checkout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    values: list[str],
    words: list[str],
) -> None:
    before = state(checkout)
    body = [[*r[:3], v] for r, v in zip(rows(), values, strict=True)]
    refused(capsys, "shop.csv", *words, command=init(write(tmp_path / "shop.csv", body)))
    assert state(checkout) == before


def test_no_column_to_learn_from(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = state(checkout)
    body = [[f"k{i}", "ny"[i % 2]] for i in range(60)]
    file = write(tmp_path / "shop.csv", body, ["shop_id", "bought"])
    words = ["shop.csv", "no column is left to learn", "'shop_id' has role id"]
    refused(capsys, *words, command=init(file))
    assert state(checkout) == before


def test_the_target_is_no_column(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "shop.csv", rows())
    refused(capsys, "--target", "'bougt'", "'bought'", command=init(file, "bougt"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--name", "forbes 2000"], ["--name", "'forbes 2000'", "`--name forbes-2000`"]),
        (["--name", "中文 x"], ["--name", "`--name 中文-x`"]),
        (["--name", "x\n"], ["--name", "`--name x`"]),
        (["--name", ""], ["--name", "`--name shop`"]),
        (["--time", "bought"], ["--target and --time", "'bought'", "one column for two roles"]),
        (["--group", "age", "--id", "age"], ["--group and --id", "'age'"]),
        (["--missing", "\udcff"], ["--missing", "UTF-8"]),
    ],
)
def test_options_that_params_yaml_cannot_hold(
    checkout: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    words: list[str],
) -> None:
    before = state(checkout)
    refused(capsys, *words, command=init(write(tmp_path / "shop.csv", rows()), "bought", *options))
    assert state(checkout) == before


def test_truncated_real_files(
    checkout: Path, real_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = real_data / "corrupt_real_files"
    before = state(checkout)
    (workbook,) = folder.glob("*.xls")
    refused(capsys, workbook.name, "Excel", command=init(workbook))
    (cut,) = folder.glob("*.parquet")
    refused(capsys, cut.name, "'Class'", "missing in 1 row", command=init(cut, "Class"))
    assert state(checkout) == before


def test_a_file_cut_in_a_line(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "shop.csv", rows())
    file.write_bytes(file.read_bytes()[:-8])
    refused(capsys, "shop.csv", "line 61", "cut", command=init(file))


def test_text_in_a_number_column_stops_validation_by_row(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = rows()
    body[17][1] = "much"
    assert cli.main(init(write(tmp_path / "shop.csv", body))) == 0
    refused(
        capsys,
        "data/shop.csv",
        "column 'income'",
        "row 17",
        "'much'",
        "reports/validation/index.html",
        command=["validate"],
        code=3,
    )
    assert not (checkout / "artifacts").exists()


def test_a_value_outside_the_expectations(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate"]) == 0
    body = rows()
    body[5][0] = "4000"
    write(good / "data" / "shop.csv", body)
    refused(capsys, "column 'age'", "row 5", "'4000'", command=["validate"], code=3)
    page = good / "reports" / "index.html"
    assert "The latest run was stopped by a gate" in page.read_text()
    assert "row 5" in page.read_text()
    write(good / "data" / "shop.csv", rows())
    assert cli.main(["validate"]) == 0
    assert "The latest run was stopped by a gate" not in page.read_text()


def test_a_class_that_lost_its_rows(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = [[*r[:3], "y"] for r in rows()]
    write(good / "data" / "shop.csv", body)
    refused(capsys, "column 'bought'", "constant", command=["validate"], code=3)


def test_a_column_that_is_gone(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = [[r[0], *r[2:]] for r in rows()]
    write(good / "data" / "shop.csv", body, header=[HEADER[0], *HEADER[2:]])
    refused(capsys, "data/shop.csv", "column 'income'", command=["validate"])


def test_data_that_are_gone(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(good / "data")
    refused(capsys, "data: not there", "dvc pull", command=["validate"])


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("split", "test_share", -0.2, ["split.test_share", "greater than 0", "-0.2"]),
        ("train", "learning_rat", 0.1, ["train.learning_rat", "'learning_rate'"]),
        ("model", "name", "mlpp", ["model.name", "'mlp'"]),
        ("data", "target", "bougt", ["data.target", "'bought'"]),
    ],
)
def test_wrong_parameters(
    good: Path,
    capsys: pytest.CaptureFixture[str],
    section: str,
    key: str,
    value: object,
    words: list[str],
) -> None:
    file = good / "params.yaml"
    params = yaml.safe_load(file.read_text())
    params[section][key] = value
    file.write_text(yaml.safe_dump(params))
    refused(capsys, "params.yaml", *words, command=["validate"])


def test_a_full_disk(
    good: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cli.main(["validate"]) == 0
    before = state(good)

    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_bytes", full)
    refused(capsys, "No space left on device", "Free disk space", command=["validate"])
    monkeypatch.undo()
    assert state(good) == before


def test_data_with_strange_names_and_formulas_come_through(
    checkout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    body = [
        [r[0], r[1], "=cmd|' /C calc'!A0" if i % 3 else "<script>", r[3]]
        for i, r in enumerate(rows())
    ]
    file = write(tmp_path / "数据 (1).csv", body, header=["年齢", "=1+1", "שם", "bought"])
    assert cli.main(init(file)) == 0
    assert cli.main(["validate"]) == 0
    assert "<script>" not in (checkout / "reports/validation/index.html").read_text()


def test_init_keeps_earlier_edits(good: Path, tmp_path: Path) -> None:
    edited = (good / "expectations.yaml").read_text() + "# mine\n"
    (good / "expectations.yaml").write_text(edited)
    assert cli.main(init(write(tmp_path / "other.csv", rows(80)))) == 0
    assert (good / ".plumbline/before-init/expectations.yaml").read_text() == edited
    assert sorted(p.name for p in (good / "data").iterdir()) == ["other.csv"]


def test_update_proposes_and_changes_nothing(
    good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (good / "expectations.yaml").read_bytes()
    assert cli.main(["init", "--update"]) == 0
    assert "nothing to propose" in capsys.readouterr().out
    body = rows()
    body[3][0] = "500"
    write(good / "data" / "shop.csv", body)
    assert cli.main(["init", "--update"]) == 0
    text = capsys.readouterr().out
    assert "-    range: {min: 0.0" in text and "+    range: {min: 0.0, max: 741" in text
    assert (good / "expectations.yaml").read_bytes() == before
    (good / "expectations.proposed.yaml").replace(good / "expectations.yaml")
    assert cli.main(["validate"]) == 0


def test_a_file_where_a_folder_belongs(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["validate"]) == 0
    for place in ("artifacts", "reports", ".plumbline"):
        shutil.rmtree(good / place, ignore_errors=True)
        (good / place).write_text("mine", encoding="utf-8")
        capsys.readouterr()
        assert cli.main(["validate"]) == 2
        text = capsys.readouterr().err.splitlines()[-1]
        assert f"plumbline: {place}: is not a folder" in text and "Move it away" in text
        assert (good / place).read_text(encoding="utf-8") == "mine"
        (good / place).unlink()


@pytest.mark.parametrize("place", ["params.yaml", "dvc.yaml"])
def test_a_folder_where_a_file_belongs(
    checkout: Path, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / place).unlink()
    (checkout / place).mkdir()
    refused(capsys, f"{place}: is not a file", command=["validate"])
