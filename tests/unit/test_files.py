from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plumbline.files import (
    new_dir,
    new_file,
    read_json,
    read_yaml,
    remove_stale,
    sha256,
    write_json,
    write_text,
)


def entries(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_a_failed_write_leaves_the_old_file_and_no_litter(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(ValueError), new_file(path) as temporary:
        temporary.write_text("half")
        raise ValueError
    assert read_json(path) == {"old": 1}
    assert entries(tmp_path) == ["a.json"]


def test_a_failed_folder_leaves_the_old_one_whole(tmp_path: Path) -> None:
    with new_dir(tmp_path / "out") as folder:
        (folder / "a").write_text("1")
    with pytest.raises(RuntimeError), new_dir(tmp_path / "out") as folder:
        (folder / "b").write_text("2")
        raise RuntimeError
    assert entries(tmp_path) == ["out"]
    assert entries(tmp_path / "out") == ["a"]


def test_a_new_folder_replaces_the_old_one_whole(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with new_dir(tmp_path / "out") as folder:
            (folder / name).write_text(name)
    assert entries(tmp_path / "out") == ["b"]
    assert entries(tmp_path) == ["out"]


def test_killed_between_the_renames_the_old_folder_comes_back(tmp_path: Path) -> None:
    (tmp_path / ".out.old").mkdir()
    (tmp_path / ".out.old" / "a").write_text("1")
    with pytest.raises(RuntimeError), new_dir(tmp_path / "out"):
        raise RuntimeError
    assert entries(tmp_path / "out") == ["a"]


def test_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert entries(tmp_path) == []


def test_a_list_of_numbers_takes_one_line(tmp_path: Path) -> None:
    content = {
        "numbers": [1, -2.5, 1e-7, 3e300],
        "none": [],
        "rest": [[0.5, 1], ["[\n 1,\n 2\n]", "a"], [1, None], [1, {"b": [2]}], [True, 1]],
    }
    write_json(tmp_path / "a.json", content)
    text = (tmp_path / "a.json").read_text()
    assert read_json(tmp_path / "a.json") == content
    assert '  "numbers": [1, -2.5, 1e-07, 3e+300],\n  "none": [],' in text
    assert '    [0.5, 1],\n    [\n      "[\\n 1,\\n 2\\n]",\n' in text


def test_sha256(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "abc")
    assert sha256(tmp_path / "a").startswith("ba7816bf")


WRITER = """
import sys
from pathlib import Path
from plumbline.files import new_dir
for i in range(10**6):
    with new_dir(Path(sys.argv[1])) as folder:
        for name in "abcdef":
            (folder / name).write_text(str(i))
"""


@pytest.mark.parametrize("trial", range(3))
def test_killed_at_any_moment_the_folder_is_whole(tmp_path: Path, trial: int) -> None:
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(out)])
    while not out.exists():
        time.sleep(0.01)
    time.sleep(0.05 + 0.03 * trial)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    folder = out if out.exists() else tmp_path / ".out.old"
    assert len({(folder / name).read_text() for name in "abcdef"}) == 1


def test_what_killed_processes_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from plumbline.files import new_dir, new_file\n"
        "place = Path(sys.argv[1])\n"
        "with new_dir(place / 'folder') as d, new_file(place / 'file.csv'):\n"
        "    (d / 'a').touch(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert len(entries(tmp_path)) == 2
    others = [".folder.tmp", ".folder2.abcdefgh.tmp", "folder.abcdefgh.tmp", ".file.csv.swp"]
    for name in others:
        (tmp_path / name).touch()
    for name in ("folder", "file.csv"):
        remove_stale(tmp_path / name)
    assert entries(tmp_path) == sorted(others)


def test_an_old_folder_is_put_back_not_removed(tmp_path: Path) -> None:
    (tmp_path / ".folder.old").mkdir()
    (tmp_path / ".folder.old" / "a").touch()
    remove_stale(tmp_path / "folder")
    assert entries(tmp_path / "folder") == ["a"] and entries(tmp_path) == ["folder"]


def test_yaml_that_was_read_is_read_as_it_is_by_then(tmp_path: Path) -> None:
    """What one reader does to its copy is not seen by the next."""
    file = tmp_path / "params.yaml"
    file.write_text("a: [1]\n")
    read_yaml(file)["a"].append(2)
    assert read_yaml(file) == {"a": [1]}
    file.write_text("a: [3]\n")
    assert read_yaml(file) == {"a": [3]}
