"""params.yaml rewritten in place: comments and layout stay."""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString
from yaml import safe_dump

from plumbline.commands.image_settings import (
    ALL,
    FOR_IMAGES,
    IMAGE_CLASSES,
    Setting,
    kept_from_presets,
    of_images,
)
from plumbline.config.data import DataConfig
from plumbline.config.presets import PRESETS, SPACE, preset_values
from plumbline.files import write_text
from plumbline.kinds import ColumnType, Task

# keys of train.augment that change cells of one type alone
AUGMENTED: dict[ColumnType, tuple[str, ...]] = {
    ColumnType.TEXT: ("mask_tokens", "drop_tokens"),
    ColumnType.IMAGE: ("flip", "shift", "rotate", "zoom", "recolor", "erase"),
}


def write_parameters(
    path: Path,
    data: DataConfig,
    columns: Mapping[str, ColumnType],
    preset: str | None = None,
    spelled: Collection[str] = (),
) -> list[str]:
    """Write the `data` section; set back what was about other data. Says what was set back.

    Args:
        columns: name -> type of the columns of the new data.
        preset: one of `PRESETS`, written as well.
        spelled: text columns whose spelling matters, as their words are of one row each.
    """
    document = _read(path)
    earlier = str(document["data"]["name"])
    section = dataclasses.asdict(data)
    for key, value in section.items():
        if key == "format":
            for name, inner in value.items():
                if isinstance(inner, list):  # in place, which keeps it on one line
                    document["data"]["format"][name][:] = [_quoted(one) for one in inner]
                else:
                    document["data"]["format"][name] = _quoted(inner)
        elif key != "max_memory_mb":
            document["data"][key] = _quoted(value)
    changed = _set_back(document, data.task, columns, earlier)
    features = {kind for name, kind in columns.items() if name != data.target}
    changed += _without_types(document, features)
    changed += _by_characters(document, spelled)
    decided: Collection[str] = ()
    images = ColumnType.IMAGE in features
    if preset is not None:
        changed += _apply_preset(document, preset, for_tables=not images)
        decided = PRESETS[preset]
    if images:
        changed += _set(document, *(s for s in FOR_IMAGES if s.key not in decided))
        changed += _set(document, *of_images(features, classes=data.task.has_classes))
    if images and not data.task.has_classes:
        changed += _set_back_settings(document, IMAGE_CLASSES, "the target is a number")
    _write(path, document)
    return changed


def write_preset(path: Path, name: str, features: Collection[ColumnType]) -> list[str]:
    """Write one of `PRESETS`, as far as it is for features of these types; says what changed."""
    document = _read(path)
    changed = _apply_preset(document, name, for_tables=ColumnType.IMAGE not in features)
    _write(path, document)
    return changed


def _apply_preset(document: Any, name: str, *, for_tables: bool = True) -> list[str]:
    """Write a preset into params.yaml as loaded, without what counts layers and epochs of tables
    unless it is for some; says what changed."""
    changed = []
    for key, value in preset_values(name).items():
        section, own = key.split(".")
        if not for_tables and (key in SPACE or key in kept_from_presets()):
            continue
        if document[section][own] != value:
            document[section][own] = _flow(value)
            changed.append(f"{key} set to {value}: preset {name}")
    space = document["tune"]["space"]
    for key, values in SPACE.items():
        if name == "best" and key not in space and for_tables:
            space[key] = _flow(values)
            changed.append(f"tune.space searches {key}: preset {name}")
        elif name != "best" and space.get(key) == values:
            del space[key]
            changed.append(f"tune.space searches {key} no more: preset {name}")
    return changed


def _flow(value: Any) -> Any:
    """As YAML on one line."""
    if isinstance(value, Mapping):
        mapping = CommentedMap({key: _flow(own) for key, own in value.items()})
        mapping.fa.set_flow_style()
        return mapping
    if isinstance(value, list):
        sequence = CommentedSeq(value)
        sequence.fa.set_flow_style()
        return sequence
    return value


def _yaml() -> Any:
    yaml: Any = YAML()
    yaml.width = 10**6
    yaml.preserve_quotes = True
    yaml.representer.add_representer(
        type(None), lambda r, _: r.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml


def _read(path: Path) -> Any:
    return _yaml().load(path.read_text(encoding="utf-8"))


def _write(path: Path, document: Any) -> None:
    text = io.StringIO()
    _yaml().dump(document, text)
    write_text(path, text.getvalue())


def _set(document: Any, *wanted: Setting) -> list[str]:
    """Set what does not stay; says what was set, and why."""
    changed = []
    for own in wanted:
        section = _section(document, own)
        if section is not None and not own.stays(section[own.keys[-1]]):
            section[own.keys[-1]] = own.value
            changed.append(f"{own.key} set to {_shown(own.value)}: {own.why}")
    return changed


def _section(document: Any, setting: Setting) -> Any:
    """Where its key stands; None where there is no such key (a dimension that is not searched)."""
    section = document
    for key in setting.keys[:-1]:
        section = section.get(key, {})
    return section if setting.keys[-1] in section else None


def _by_characters(document: Any, columns: Collection[str]) -> list[str]:
    """Read texts by their characters, in order, unless the owner has set something else."""
    changed = []
    for name in columns:
        for section, path, own in (
            (document["normalize"], "normalize", {"tokenizer": "characters"}),
            (document["model"]["text"], "model.text", {"encoder": "cnn"}),
        ):
            (key,) = own
            of_column = section["columns"].setdefault(_quoted(name), _flow({}))
            if key not in of_column:
                of_column[key] = own[key]
                words = f"{path}.columns.{name}.{key} set to {own[key]}"
                changed.append(f"{words}: hardly a word of it comes twice")
    return changed


def _without_types(document: Any, features: Collection[ColumnType]) -> list[str]:
    """Turn off what changes cells that the new data do not have; where that is images, what init
    set for them goes back to the defaults. Says what."""
    changed, augment = [], document["train"]["augment"]
    for kind, names in AUGMENTED.items():
        on = [name for name in names if augment.get(name)]
        if kind in features or not on:
            continue
        for name in on:
            augment[name] = 0.0
            changed.append(f"train.augment.{name} set back to 0: no feature is of type {kind}")
        if kind is ColumnType.IMAGE:
            changed += _set_back_settings(document, ALL, "no feature is of type image")
    return changed


def _shown(value: Any) -> str:
    """As YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _set_back_settings(document: Any, settings: Iterable[Setting], why: str) -> list[str]:
    """Put defaults where what init set for images still stands; says where."""
    changed = []
    for own in settings:
        section = _section(document, own)
        if section is None or own.value == own.default or section[own.keys[-1]] != own.value:
            continue
        section[own.keys[-1]] = own.default
        changed.append(f"{own.key} set back to {_shown(own.default)}: {why}")
    return changed


def _quoted(value: Any) -> Any:
    """A text in quotes where it would be read as something else: `yes`, `12:30`, `1_000` are
    texts for the YAML 1.2 that is written here, not for the 1.1 that readers know."""
    if not isinstance(value, str):
        return value
    text = str(value)  # of an enumeration too
    plain = safe_dump(text, width=10**6).startswith(text)
    return text if plain else DoubleQuotedScalarString(text)


def _set_back(document: Any, task: Task, columns: Collection[str], earlier: str) -> list[str]:
    """Values that name columns or classes of earlier data, or do not fit the task.

    Args:
        earlier: what the earlier data were called.
    """
    changed = _without_others(document["normalize"], "normalize", columns, earlier)
    for kind in ("text", "image"):
        section = document["model"].get(kind, {})
        changed += _without_others(section, f"model.{kind}", columns, earlier)
    metrics, losses = task.spec.metrics, task.spec.losses
    wanted: list[tuple[tuple[str, str], Any, Callable[[Any], bool]]] = [
        (("evaluate", "slices"), "auto", lambda v: v == "auto" or set(v) <= set(columns)),
        (("evaluate", "metric"), "auto", lambda v: v == "auto" or v in metrics),
        (("tune", "metric"), "auto", lambda v: v == "auto" or v in metrics),
        (("register", "metric"), "auto", lambda v: v == "auto" or v in metrics),
        (("train", "monitor"), "auto", lambda v: v in ("auto", "loss") or v in metrics),
        (("train", "loss"), "auto", lambda v: v == "auto" or v in losses),
        (("train", "class_weights"), "none", lambda v: v == "none" or task.has_classes),
        (("evaluate", "threshold"), "none", lambda v: v == "none" or task.spec.has_positive),
    ]
    for (top, key), value, fits in wanted:
        if key in document[top] and not fits(document[top][key]):
            document[top][key] = value
            changed.append(f"{top}.{key} set back to {value}: it was about other data")
    split = document["split"]
    if split["column"] is not None and split["column"] not in columns:
        split["column"] = None
        split["method"] = "auto" if split["method"] == "predefined" else split["method"]
        changed.append("split.column set back to null: no such column")
    return changed


def _without_others(section: Any, key: str, columns: Collection[str], earlier: str) -> list[str]:
    """Leave what names other columns out of the `columns` of a section; says what."""
    own = section.get("columns", {})
    gone = [name for name in own if name not in columns]
    for name in gone:
        del own[name]
    if not gone:
        return []
    if not own:
        _empty(section, "columns")
    listed = ", ".join(map(str, gone[:5])) + (" …" if len(gone) > 5 else "")
    return [f"{key}.columns: left out {listed} (columns of {earlier})"]


def _empty(parent: Any, key: str) -> None:
    """`key: {}`, with the comment that stood behind the key."""
    tokens = parent.ca.items.pop(key, None) or []
    empty = [
        t for token in tokens if token for t in (token if isinstance(token, list) else [token])
    ]
    parent[key] = CommentedMap()
    parent[key].fa.set_flow_style()
    if empty:
        parent.yaml_add_eol_comment(empty[0].value.strip().removeprefix("# "), key)
