"""params.yaml written by init reads as what was written."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from plumbline.commands.image_settings import of_images
from plumbline.commands.parameters import AUGMENTED, write_parameters, write_preset
from plumbline.config import load_config
from plumbline.config.presets import PRESETS, SPACE, preset_values
from plumbline.kinds import ColumnType, Task
from plumbline.training.augment import AUGMENTATIONS


def changed_by(*others: ColumnType) -> list[str]:
    """What init sets for images and others, a target of classes, and does not stand there by
    default."""
    settings = of_images([ColumnType.IMAGE, *others], classes=True)
    return [one.key for one in settings if one.value != one.default]


BOOLEAN = ("yes", "No", "on", "y", "null", "~", "true")
NUMERIC = ("12:30", "1_000", "0o17", "0x1f", "1e3", "1.5", "2020-01-01")
MARKED = ("=1+1", "- a", "a: b", "#1", 'a"b', "a'b", "a\\b", " a", "名前", "[x]")


@pytest.mark.parametrize("word", [*BOOLEAN, *NUMERIC, *MARKED])
def test_a_text_stays_a_text(root: Path, tmp_path: Path, word: str) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    before = load_config(file).data
    form = replace(before.format, missing=[word, "NA", "no"])
    data = replace(before, target=word or "x", positive=word, format=form)
    write_parameters(file, data, {"a": ColumnType.NUMBER})
    assert load_config(file).data == data
    assert "# the column to predict" in file.read_text(encoding="utf-8")


def test_what_named_columns_of_the_earlier_data_is_said_in_one_line(
    root: Path, tmp_path: Path
) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    before = load_config(file).data
    (line,) = write_parameters(file, replace(before, name="shop"), {"a": ColumnType.NUMBER})
    assert line == (
        "normalize.columns: left out area_error, smoothness_mean (columns of breast-cancer)"
    )
    assert write_parameters(file, replace(before, name="shop"), {"a": ColumnType.NUMBER}) == []


def test_what_images_need_is_set_once_and_what_the_owner_set_stays(
    root: Path, tmp_path: Path
) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    data = replace(load_config(file).data, target="label")
    alone = {"photo": ColumnType.IMAGE, "label": ColumnType.CATEGORY}
    lines = write_parameters(file, data, {**alone, "size": ColumnType.NUMBER})
    changed = changed_by(ColumnType.NUMBER)
    assert [line.split(" set to ")[0] for line in lines if " set to " in line][3:] == changed
    config = load_config(file)
    assert config.tune.trials == 0 and config.train.batch_size == 32
    assert config.train.augment.shift == 0.1 and config.model.name == "mlp"
    assert config.model.depth == 1 and config.model.text.wide
    lines = write_parameters(file, data, alone)
    assert [line.split(": ")[0] for line in lines] == [
        "model.depth set to 0",
        "train.keep set to last",
    ]
    file.write_text(file.read_text(encoding="utf-8").replace("batch_size: 32", "batch_size: 8"))
    assert write_parameters(file, data, alone) == []
    assert load_config(file).train.batch_size == 8
    columns = {**alone, "size": ColumnType.NUMBER, "note": ColumnType.TEXT}
    lines = write_parameters(file, data, columns)
    assert [line.split(": ")[0] for line in lines] == [
        "model.depth set to 1",
        "train.keep set to best",
        "model.text.wide set to false",
    ]
    assert not load_config(file).model.text.wide
    assert write_parameters(file, data, columns) == []


def test_images_of_numbers_are_not_mixed(root: Path, tmp_path: Path) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    data = replace(load_config(file).data, target="angle")
    columns = {"photo": ColumnType.IMAGE, "angle": ColumnType.NUMBER}
    write_parameters(file, data, columns)
    assert load_config(file).train.augment.mixup == 0.2
    (line,) = write_parameters(file, replace(data, task=Task.REGRESSION, positive=None), columns)
    assert line == "train.augment.mixup set back to 0.0: the target is a number"
    assert load_config(file).train.keep == "last"


@pytest.mark.parametrize("beside", [(), (ColumnType.NUMBER,), (ColumnType.TEXT,)])
@pytest.mark.parametrize("kind", [ColumnType.NUMBER, ColumnType.TEXT])
def test_what_images_needed_does_not_stay_for_data_without_any(
    root: Path, tmp_path: Path, kind: ColumnType, beside: tuple[ColumnType, ...]
) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    before = load_config(file)
    data = replace(before.data, target="label")
    target = {"label": ColumnType.CATEGORY}
    others = {f"other_{k}": own for k, own in enumerate(beside)}
    write_parameters(file, data, {"photo": ColumnType.IMAGE, **others, **target})
    said = write_parameters(file, data, {"a": kind, **target})
    config = load_config(file)
    assert (config.train, config.tune, config.model) == (before.train, before.tune, before.model)
    assert [line.split(" set back to ")[0] for line in said] == [
        "train.augment.shift",
        "tune.trials",
        "train.batch_size",
        *changed_by(*beside),
    ]


def test_no_augmentation_stays_on_that_the_new_data_have_no_cells_for(
    root: Path, tmp_path: Path
) -> None:
    alone = {
        name: next(iter(one.changes))
        for name, one in AUGMENTATIONS.items()
        if len(one.changes) == 1
    }
    for kind, names in AUGMENTED.items():
        assert sorted(names) == sorted(name for name, of in alone.items() if of == kind)
        text = (root / "params.yaml").read_text(encoding="utf-8")
        for name in names:
            text = text.replace(f"    {name}: 0.0", f"    {name}: 0.2")
        file = tmp_path / "params.yaml"
        file.write_text(text, encoding="utf-8")
        data = load_config(file).data
        write_parameters(file, data, {"a": kind})
        assert all(getattr(load_config(file).train.augment, name) for name in names)
        write_parameters(file, data, {"a": ColumnType.NUMBER})
        assert not any(getattr(load_config(file).train.augment, name) for name in names)


def test_texts_whose_spelling_matters_are_read_by_their_characters(
    root: Path, tmp_path: Path
) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    data = replace(load_config(file).data, target="y")
    columns = {"seq": ColumnType.TEXT, "x: 1": ColumnType.TEXT, "y": ColumnType.CATEGORY}
    changed = write_parameters(file, data, columns, spelled=["seq", "x: 1"])
    config = load_config(file)
    for name in ("seq", "x: 1"):
        assert config.normalize.columns[name].tokenizer == "characters"
        assert config.model.text.columns[name].encoder == "cnn"
    assert sum("comes twice" in line for line in changed) == 4
    assert not any(
        "comes twice" in c for c in write_parameters(file, data, columns, spelled=["seq"])
    )
    write_parameters(file, data, {"x": ColumnType.NUMBER, "y": ColumnType.CATEGORY})
    assert not load_config(file).normalize.columns and not load_config(file).model.text.columns


NUMBERS = {ColumnType.NUMBER}


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_says_what_it_changes_and_good_takes_all_of_it_back(
    root: Path, tmp_path: Path, name: str
) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    shipped = file.read_text(encoding="utf-8")
    changed = write_preset(file, name, NUMBERS)
    config = load_config(file)
    assert len(changed) == len(PRESETS[name]) + (len(SPACE) if name == "best" else 0)
    for key, value in PRESETS[name].items():
        assert any(line.startswith(f"{key} set to {value}") for line in changed)
        section, own = key.split(".")
        assert value == "tuned" or getattr(getattr(config, section), own) == value
    assert write_preset(file, name, NUMBERS) == []
    if name == "best":
        assert set(SPACE) <= set(config.tuned)
    write_preset(file, "good", NUMBERS)
    assert load_config(file) == load_config(root / "params.yaml")
    assert file.read_text(encoding="utf-8").split() == shipped.split()


def test_a_preset_wins_over_what_init_sets_for_images(root: Path, tmp_path: Path) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    data = replace(load_config(file).data, target="label")
    columns = {"photo": ColumnType.IMAGE, "label": ColumnType.CATEGORY}
    write_parameters(file, data, columns, "best")
    assert load_config(file).tune.trials == PRESETS["best"]["tune.trials"]
    assert load_config(file).train.batch_size == 32
    write_parameters(file, data, columns)
    assert load_config(file).tune.trials == 0


@pytest.mark.parametrize("depth", [0, 1])
@pytest.mark.parametrize("name", [name for name in PRESETS if name != "good"])
def test_no_preset_counts_epochs_or_layers_of_images(
    root: Path, tmp_path: Path, name: str, depth: int
) -> None:
    file = Path(shutil.copyfile(root / "params.yaml", tmp_path / "params.yaml"))
    data = replace(load_config(file).data, target="label")
    columns = {"photo": ColumnType.IMAGE, "label": ColumnType.CATEGORY}
    if depth:
        columns["size"] = ColumnType.NUMBER
    write_parameters(file, data, columns, name)
    config = load_config(file)
    assert (config.train.epochs, config.train.patience, config.model.depth) == ("auto", 0, depth)
    written = file.read_text(encoding="utf-8")
    assert write_preset(file, name, set(columns.values())) == []
    write_parameters(file, data, columns)
    write_preset(file, name, set(columns.values()))  # `init --preset` alone, later
    assert file.read_text(encoding="utf-8") == written
    assert config.train.bag == PRESETS[name]["train.bag"] and not set(SPACE) & set(config.tuned)
    assert not set(SPACE) & set(config.tune.space)


def test_the_docs_show_what_each_preset_sets(root: Path) -> None:
    text = (root / "docs" / "training.md").read_text(encoding="utf-8")
    each = [preset_values(name) for name in PRESETS]
    for key in each[0]:
        assert f"| `{key}` | " + " | ".join(str(own[key]) for own in each) + " |" in text
