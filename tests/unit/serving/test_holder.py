"""Another version takes over if it answers its own example; else the old one goes on."""

from __future__ import annotations

import itertools
import json
import shutil
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]
import pytest
from tests.version import Version

from plumbline.errors import DataError, StorageError
from plumbline.kinds import Task
from plumbline.serving.holder import Fetched, Holder
from plumbline.serving.measures import Measures
from plumbline.serving.memory import give_memory_back
from plumbline.serving.served import Served

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = tmp_path_factory.mktemp("version") / "one"
    return Version(own, Task.REGRESSION, only="price").folder


class Registry:
    """Gives whatever it was last set to."""

    def __init__(self, folder: Path) -> None:
        self.now: Fetched | Exception | None = Fetched(folder=folder, version="made/1")

    def __call__(self) -> Fetched | None:
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


def damaged(folder: Path, place: Path, name: str, content: bytes) -> Fetched:
    shutil.copytree(folder, place)
    (place / name).write_bytes(content)
    return Fetched(folder=place, version="made/2")


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("model.onnx", b"cut", "its hash"),
        ("extra_files/preprocessor.json", b"{", "preprocessor.json"),
        ("extra_files/preprocessor.json", b'{"format": 3}', "cannot be loaded"),
        ("input_example.json", b'[{"price": "cheap"}]', "a number"),
        ("input_example.json", b"[1]", "input_example.json"),
        ("MLmodel", b"signature: 1", "MLmodel"),
    ],
)
def test_a_version_that_does_not_answer_is_refused_and_the_old_one_goes_on(
    folder: Path, tmp_path: Path, name: str, content: bytes, words: str
) -> None:
    registry, measures = Registry(folder), Measures()
    holder = Holder(Fetched(folder=folder, version="made/1"), measures=measures, fetch=registry)
    first = holder.current
    registry.now = damaged(folder, tmp_path / "two", name, content)
    for _ in range(2):  # it is tried once
        holder.check()
    assert holder.current is first
    assert words in str(holder.state()["problem"])
    assert 'plumbline_version_swaps_total{result="refused"} 1.0' in measures.page().decode()
    registry.now = Fetched(folder=folder, version="made/3")
    holder.check()
    assert holder.state()["version"] == "made/3" and holder.state()["problem"] is None
    registry.now = Fetched(folder=folder, version="made/1")  # rolled back
    holder.check()
    assert holder.state()["version"] == "made/1"
    with pytest.raises(DataError):
        Holder(damaged(folder, tmp_path / "three", name, content), measures=Measures())


def test_a_registry_that_is_away_changes_nothing(folder: Path) -> None:
    registry = Registry(folder)
    holder = Holder(Fetched(folder=folder, version="made/1"), measures=Measures(), fetch=registry)
    first = holder.current
    registry.now = StorageError("does not answer")
    holder.check()
    assert holder.current is first and "does not answer" in str(holder.state()["problem"])
    registry.now = None  # nothing has changed since
    holder.check()
    assert holder.current is first


def test_versions_that_were_replaced_leave_nothing_in_memory(folder: Path, tmp_path: Path) -> None:
    large = tmp_path / "large"  # some megabytes, and quickly asked
    shutil.copytree(folder, large)
    example = [{"price": number} for number in range(20_000)]
    (large / "input_example.json").write_text(json.dumps(example))
    names = (f"made/{number}" for number in itertools.count(1))
    holder = Holder(
        Fetched(folder=large, version=next(names)),
        measures=Measures(),
        fetch=lambda: Fetched(folder=large, version=next(names)),  # another whenever it is asked
        poll_seconds=0.01,
    )
    holder.start()
    swap(holder, 3)
    before = resident()
    swap(holder, 20)
    grown = resident() - before
    holder.close()
    before = resident()
    kept = [Served.load(large, f"kept/{number}") for number in range(5)]
    assert grown < resident() - before, "20 changes took the memory of 5 versions"
    assert len(kept) == 5


def swap(holder: Holder, changes: int) -> None:
    """Wait for so many changes of the version."""
    last = int(holder.current.version.partition("/")[2]) + changes
    end = time.monotonic() + 60
    while int(holder.current.version.partition("/")[2]) < last:
        assert time.monotonic() < end
        time.sleep(0.01)


def resident() -> int:
    """Bytes, without what is free."""
    give_memory_back()
    return int(psutil.Process().memory_info().rss)
