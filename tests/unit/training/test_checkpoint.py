"""A fit cut anywhere and gone on with ends in the same bytes as one that was not."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors import safe_open
from tests.group import in_group
from tests.made import made_examples, made_spec, short_fit, small_model

from plumbline.config.model import ModelConfig, OptimizerName, TrainConfig
from plumbline.kinds import Task
from plumbline.models import build_model
from plumbline.models.parts import parts_of
from plumbline.training.checkpoint import FILE, Checkpoints, Progress, Run, fingerprint
from plumbline.training.distributed import SINGLE_PROCESS, World
from plumbline.training.loop import Fitted, fit

pytestmark = pytest.mark.usefixtures("one_thread")
SPEC = made_spec(Task.MULTICLASS)
TRAIN, VAL = made_examples(SPEC, 70, 1), made_examples(SPEC, 31, 2)
MODEL = small_model("tabm", dropout=0.3, depth=2, normalization="batch")


class KilledError(Exception):
    """Stands for a kill: nothing is written after it."""


class Killing(Checkpoints):
    """Checkpoints of a process that dies right after writing the n-th one."""

    def __init__(self, of: Checkpoints, after: int) -> None:
        super().__init__(folder=of.folder, every_epochs=of.every_epochs, every_steps=of.every_steps)
        object.__setattr__(self, "left", itertools.count(after, -1))

    left: Any

    def save(self, run: Run, world: World) -> None:
        super().save(run, world)
        if next(self.left) == 1:
            raise KilledError


WIDE = small_model("tabm_mini", dropout=0.3, depth=2, width=256)  # shards of its own
LONG = short_fit(epochs=4, average=0.9, learning_rate=1e-3)


def run(
    config: TrainConfig,
    checkpoints: Checkpoints | None,
    model: ModelConfig = MODEL,
    world: World = SINGLE_PROCESS,
) -> Fitted:
    def score(y: Any, prediction: Any) -> float:
        return float((prediction.argmax(1) == y).mean())

    network = build_model(model, SPEC, seed=0)
    return fit(
        network,
        TRAIN,
        VAL,
        SPEC.task,
        config,
        seed=4,
        score=score,
        world=world,
        checkpoints=checkpoints,
        parts=parts_of(network, SPEC),
    )


def assert_same(result: Fitted, wanted: Fitted) -> None:
    assert result.history == wanted.history
    assert (result.best_epoch, result.best_score) == (wanted.best_epoch, wanted.best_score)
    assert result.stopped_early == wanted.stopped_early
    for key, value in wanted.weights.items():
        assert torch.equal(result.weights[key], value), key


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_cut_after_every_checkpoint(tmp_path: Path, optimizer: str) -> None:
    """At the end of epochs and within them, with everything on that moves."""
    config = short_fit(
        optimizer=optimizer,
        average=0.9,
        schedule="plateau",
        plateau_epochs=1,
        decay=0.5,
        patience=2,
        epochs=4,
        accumulate=2,
    )
    wanted = run(config, None)
    checkpoints = Checkpoints(folder=tmp_path / "key", every_steps=2)
    for after in itertools.count(1):
        try:
            result = run(config, Killing(checkpoints, after))
        except KilledError:
            assert_same(run(config, checkpoints), wanted)
            checkpoints.remove()
            continue
        assert_same(result, wanted)  # checkpoints themselves change nothing
        break
    assert after > 4  # one per epoch, and one within each


def test_cut_while_parts_are_frozen_and_unfrozen(tmp_path: Path) -> None:
    config = short_fit(freeze={"backbone": 1, "categories": 2}, rates={"head": 0.5}, average=0.9)
    wanted = run(config, None)
    checkpoints = Checkpoints(folder=tmp_path / "key", every_steps=3)
    for after in range(1, 7):
        with pytest.raises(KilledError):
            run(config, Killing(checkpoints, after))
        assert_same(run(config, checkpoints), wanted)
        checkpoints.remove()


def test_cut_again_and_again(tmp_path: Path) -> None:
    config = short_fit(epochs=3, precision="bf16", schedule="onecycle")
    checkpoints = Checkpoints(folder=tmp_path / "key", every_steps=1)
    cuts = 0
    while True:
        try:
            result = run(config, Killing(checkpoints, 2))
        except KilledError:
            cuts += 1
            continue
        break
    assert cuts > 5
    assert_same(result, run(config, None))


def cut_in_shards(world: World, folder: Path) -> None:
    """Two epochs of shards, then a kill: each process ends after the second checkpoint."""
    with contextlib.suppress(KilledError):
        run(LONG, Killing(Checkpoints(folder=folder), 2), WIDE, replace(world, shard=True))
        raise AssertionError("nobody was killed")


def go_on(world: World, config: TrainConfig, folder: Path) -> list[dict[str, float]]:
    return run(config, Checkpoints(folder=folder), WIDE, world).history


def go_on_in_shards(world: World, folder: Path) -> list[dict[str, float]]:
    return go_on(replace(world, shard=True), LONG, folder)


def test_shards_go_on_whole_and_the_other_way_round(tmp_path: Path) -> None:
    """A checkpoint of two processes with shards is one for a process alone, and for two again."""
    in_group(2, tmp_path, cut_in_shards, tmp_path / "key")
    shutil.copytree(tmp_path / "key", tmp_path / "copy")
    by_two, _ = in_group(2, tmp_path, go_on_in_shards, tmp_path / "key")
    alone = go_on(SINGLE_PROCESS, LONG, tmp_path / "copy")
    unbroken = run(LONG, None, WIDE).history
    assert len(alone) == LONG.epochs
    assert alone[:2] == by_two[:2]  # the epochs before the cut are those of the group
    for ours, theirs, wanted in zip(alone, by_two, unbroken, strict=True):
        assert ours == pytest.approx(wanted, rel=1e-4)
        assert theirs == pytest.approx(wanted, rel=1e-4)


def test_fp16s_scale_goes_on(tmp_path: Path) -> None:
    config = short_fit(epochs=3, precision="fp16")
    checkpoints = Checkpoints(folder=tmp_path / "key")
    with pytest.raises(KilledError):
        run(config, Killing(checkpoints, 1))
    assert_same(run(config, checkpoints), run(config, None))


def test_a_finished_fit_is_not_done_again(tmp_path: Path) -> None:
    checkpoints = Checkpoints(folder=tmp_path / "key")
    wanted = run(short_fit(), checkpoints)
    answer: list[int] = []
    network = build_model(MODEL, SPEC, seed=0)
    again = fit(
        network,
        TRAIN,
        VAL,
        SPEC.task,
        short_fit(),
        seed=4,
        checkpoints=checkpoints,
        on_epoch=lambda epoch, row: answer.append(epoch),
    )
    assert answer == []
    assert_same(again, wanted)


@pytest.mark.parametrize(
    "content", [b"", b"junk", b"\xff" * 100, (20).to_bytes(8, "little") + b"{" * 20]
)
def test_a_broken_checkpoint_is_none(tmp_path: Path, content: bytes) -> None:
    checkpoints = Checkpoints(folder=tmp_path / "key")
    checkpoints.folder.mkdir()
    (checkpoints.folder / FILE).write_bytes(content)
    assert_same(run(short_fit(), checkpoints), run(short_fit(), None))


def test_a_checkpoint_holds_no_pickle(tmp_path: Path) -> None:
    checkpoints = Checkpoints(folder=tmp_path / "key")
    run(short_fit(), checkpoints)
    with safe_open(checkpoints.folder / FILE, "pt") as file:
        assert {"losses", "rng.cpu"} < set(file.keys())
        assert set(file.metadata()) == {"metadata"}
    assert [p.name for p in checkpoints.folder.iterdir()] == [FILE]


class TestFolders:
    def test_other_inputs_checkpoints_are_removed(self, tmp_path: Path) -> None:
        mine, other = (Checkpoints(folder=tmp_path / name) for name in ("mine", "other"))
        for one in (mine, other):
            one.folder.mkdir()
            (one.folder / FILE).touch()
        mine.clean_siblings()
        assert [p.name for p in tmp_path.iterdir()] == ["mine"]
        mine.remove()
        mine.remove()
        assert not list(tmp_path.iterdir())

    def test_nothing_there_is_fine(self, tmp_path: Path) -> None:
        Checkpoints(folder=tmp_path / "none" / "mine").clean_siblings()

    def test_the_key_follows_content_and_files(self, tmp_path: Path) -> None:
        one, other = tmp_path / "one", tmp_path / "other"
        one.write_bytes(b"1")
        other.write_bytes(b"2")
        key = fingerprint({"a": 1}, [one, other])
        assert key == fingerprint({"a": 1}, [other, one])
        assert key != fingerprint({"a": 2}, [one, other])
        assert key != fingerprint({"a": 1}, [one])
        other.write_bytes(b"3")
        assert key != fingerprint({"a": 1}, [one, other])


class TestProgress:
    @pytest.mark.parametrize(
        ("every_epochs", "every_steps", "wanted"),
        [
            (1, 0, [(1, 0), (2, 0), (3, 0)]),
            (2, 0, [(2, 0), (3, 0)]),  # the last epoch always
            (1, 2, [(0, 2), (1, 0), (1, 2), (2, 0), (2, 2), (3, 0)]),
        ],
    )
    def test_when_a_checkpoint_is_due(
        self, every_epochs: int, every_steps: int, wanted: list[tuple[int, int]]
    ) -> None:
        checkpoints = Checkpoints(
            folder=Path("unused"), every_epochs=every_epochs, every_steps=every_steps
        )
        progress, result = Progress(), []
        for epoch, step in [(e, s) for e in range(3) for s in (1, 2, 3, 4)]:
            progress = replace(progress, epoch=epoch, step=step)
            if step == 4:
                progress = replace(progress, epoch=epoch + 1, step=0, done=epoch == 2)
            if checkpoints.due(progress) and (progress.step or step == 4):
                result.append((progress.epoch, progress.step))
        assert result == wanted
