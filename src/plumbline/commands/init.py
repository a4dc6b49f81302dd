"""`plumbline init`: this checkout works on the user's own data.

Reads and infers first, and only then writes: the data under `data/`, expectations.yaml,
params.yaml, data.dvc. A refusal leaves everything as it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from plumbline.cell_kinds import is_unicode
from plumbline.commands.data_versions import add_data, cached_files
from plumbline.commands.inferred import columns_table, task_words
from plumbline.commands.parameters import write_parameters, write_preset
from plumbline.config import Paths, load_config
from plumbline.config.data import NAME, DataConfig, FormatConfig
from plumbline.data.canonical import Canonical, make_canonical
from plumbline.data.decide import decide, refuse_unusable
from plumbline.data.infer import Inferred, Wishes, infer
from plumbline.data.load import load_expectations
from plumbline.data.magic import has_native_cells
from plumbline.data.options import ReadingOptions
from plumbline.data.pictures import LABEL, is_image_folder
from plumbline.data.propose import diff, known, propose, to_yaml
from plumbline.data.read import otherwise_spelled, scan
from plumbline.errors import DataError, ParameterError
from plumbline.files import new_dir, new_file, write_text
from plumbline.images.cells import has_images
from plumbline.kinds import Task
from plumbline.stages import Report
from plumbline.tables import Column, refuse_no_features

SHOWN = 20  # names listed in a message


@dataclass(frozen=True, kw_only=True)
class Request:
    """What the user typed."""

    data: Path
    target: str
    test: Path | None = None
    task: Task | None = None
    positive: str | None = None
    time: str | None = None
    group: str | None = None
    id: str | None = None
    name: str | None = None
    reading: ReadingOptions = field(default_factory=ReadingOptions)
    missing: list[str] | None = None  # words for a missing cell
    preset: str | None = None  # one of `PRESETS`


def init(request: Request, paths: Paths) -> Report:
    """Make the checkout work on the user's file.

    Raises:
        DataError: the file, or what it holds, cannot be learned from; says how to fix it.
        ParameterError: an option cannot be what it is.
        StorageError: DVC refused.
    """
    _check(request)
    load_config(paths.params)  # refuses a folder that is no checkout, before anything is read
    state = paths.state / "init"
    try:
        tables, form, inferred = _read(request, state)
        files = _names(tables)
        for table, name in zip(tables, files, strict=True):
            _bring(table, paths.root / name)
    finally:
        shutil.rmtree(state, ignore_errors=True)
    config = DataConfig(
        name=_name(request.data) if request.name is None else request.name,
        path=files[0],
        test_path=files[1] if len(files) > 1 else None,
        task=inferred.expectations.task,
        target=request.target,
        positive=inferred.expectations.positive,
        time=request.time,
        group=request.group,
        id=request.id,
        format=form,
    )
    kept = _keep_before(paths)
    write_text(paths.expectations, to_yaml(inferred.expectations))
    types = {n: c.type for n, c in inferred.expectations.columns.items()}
    changed = write_parameters(paths.params, config, types, request.preset, inferred.spelled)
    _forget_others(paths, files)
    load_expectations(paths.expectations, load_config(paths.params).data)
    add_data(paths.root)
    return Report(
        rows=[
            *columns_table(inferred),
            ("", ""),
            ("task", task_words(inferred)),
            *(("read as", table.words) for table in tables),
            *_notes(tables),
            *(("params", note) for note in changed),
            *((("before", f"kept in {kept.relative_to(paths.root)}"),) if kept else ()),
            ("change it", "type, role and limits in expectations.yaml; the rest in params.yaml"),
            *_to_keep(paths, config.name),
            ("next", "plumbline repro"),
        ],
        outputs=[paths.expectations, paths.params],
    )


def _check(request: Request) -> None:
    """Refuse what params.yaml could not hold, before anything is read."""
    if request.name is not None and not re.fullmatch(NAME, request.name):
        raise ParameterError(
            "cannot be a name",
            where="--name",
            wanted="letters, digits, _ - and ., at most 80, the first a letter, a digit or _",
            got=request.name,
            hint=f"write `--name {_spelled(request.name) or _name(request.data)}`",
        )
    roles = {key: getattr(request, key) for key in ("target", "time", "group", "id")}
    for column, count in Counter(v for v in roles.values() if v is not None).items():
        if count > 1:
            raise ParameterError(
                "names one column for two roles",
                where=" and ".join(f"--{key}" for key, name in roles.items() if name == column),
                got=column,
                hint="a column has one role: leave one of them out",
            )
    for word in request.missing or []:
        if not is_unicode(word):
            raise ParameterError("is no text in UTF-8", where="--missing", got=word)


def _to_keep(paths: Paths, name: str) -> list[tuple[str, str]]:
    """The commands by which a model of these data can be rebuilt, here and elsewhere."""
    files = "params.yaml expectations.yaml data.dvc"
    inside = any((folder / ".git").exists() for folder in (paths.root, *paths.root.parents))
    begin = "" if inside else "git init && "
    return [
        ("to rebuild", f"{begin}git add {files} && git commit -m 'Use {name}'"),
        ("", "dvc push data.dvc    # your own storage: README.md, 'Where data go'"),
    ]


def set_preset(paths: Paths, name: str) -> Report:
    """Write a preset into params.yaml and leave the data as they are."""
    data = load_config(paths.params).data
    schema = load_expectations(paths.expectations, data).schema
    changed = write_preset(paths.params, name, {column.type for column in schema.features})
    load_config(paths.params)
    rows = [("params", note) for note in changed] or [("params", f"the preset {name} already")]
    return Report(rows=[*rows, ("next", "plumbline repro")], outputs=[paths.params])


def update(paths: Paths) -> Report:
    """Propose what the data at hand ask of expectations.yaml; change nothing."""
    config = load_config(paths.params).data
    current = load_expectations(paths.expectations, config)
    names = [f for f in (config.path, config.test_path) if f]
    raw, *test = _frames([(paths.root / n, config.format, n) for n in names])
    wishes = Wishes(
        target=config.target,
        task=config.task,
        positive=config.positive,
        time=config.time,
        group=config.group,
        id=config.id,
    )
    inferred = infer(
        raw,
        config.format,
        wishes,
        file=config.path,
        test=test[0] if test else None,
        test_file=config.test_path or "",
        known=known(current),
    )
    proposed = propose(current, inferred)
    if proposed == current:
        return Report(rows=[("expectations.yaml", "holds for these data; nothing to propose")])
    file = paths.root / "expectations.proposed.yaml"
    after = to_yaml(proposed)
    write_text(file, after)
    # the same form on both sides, so that the difference shows meaning and no layout
    print(diff(to_yaml(current), after))
    return Report(
        rows=[
            ("proposed", file.name),
            ("accept", f"mv {file.name} {paths.expectations.name}"),
        ],
        outputs=[file],
    )


def _read(request: Request, state: Path) -> tuple[list[Canonical], FormatConfig, Inferred]:
    """The files as every stage can read them, how, and what they hold."""
    first = make_canonical(request.data, state / "data", request.reading, target=request.target)
    tables, form = [first], first.form
    if first.test is not None:
        if request.test is not None:
            raise ParameterError(
                "the folder of images has a test part of its own",
                where="--test",
                got=str(request.test),
                hint="leave --test out, or name the folder of the training images alone",
            )
        tables.append(first.test)
    if request.missing is not None:
        form = dataclasses.replace(form, missing=request.missing)
    files = [(first.path, form, request.data.name)]
    if first.test is not None:
        files.append((first.test.path, form, first.test.name))
    if request.test is not None:
        known = scan(first.path, form, shown=request.data.name).collect_schema().names()
        columns = _text_formats(request.test, first, form) if first.form.type == "csv" else []
        other = make_canonical(
            request.test,
            state / "test",
            request.reading,
            names=known,
            like=form,
            columns=columns,
            images=_images(first, form),
        )
        if other.form.type != form.type:
            raise DataError(
                "is another kind of file than the data",
                file=request.test.name,
                wanted=first.words,
                got=other.words,
                hint="export both the same way",
            )
        left_out = _left_out(other, form, request.test.name, known)
        tables.append(dataclasses.replace(other, notes=[*other.notes, *left_out]))
        files.append((other.path, form, request.test.name))
    wishes = Wishes(
        **{
            key: getattr(request, key)
            for key in ("target", "task", "positive", "time", "group", "id")
        }
    )
    raw, *test = _frames(files)
    inferred = infer(
        raw,
        form,
        wishes,
        file=request.data.name,
        test=test[0] if test else None,
        test_file=files[1][2] if len(files) > 1 else "",
        unnamed=first.unnamed,
    )
    refuse_no_features(inferred.expectations.schema, file=request.data.name)
    return tables, form, inferred


def _images(table: Canonical, form: FormatConfig) -> list[str]:
    """The columns that hold images."""
    return [n for n, dtype in scan(table.path, form).collect_schema().items() if has_images(dtype)]


def _left_out(table: Canonical, form: FormatConfig, file: str, known: list[str]) -> list[str]:
    """The columns of a test file that the data lack, in words."""
    names = scan(table.path, form, shown=file).collect_schema().names()
    extra = [n for n in names if n not in known]
    listed = ", ".join(extra[:SHOWN]) + (" …" if len(extra) > SHOWN else "")
    return [f"left out, because the data have no such column: {listed}"] if extra else []


def _notes(tables: list[Canonical]) -> list[tuple[str, str]]:
    """What was guessed, left out or renamed; of two files, with the name of each."""
    several = len(tables) > 1
    return [
        ("note", f"{table.name}: {note}" if several else note)
        for table in tables
        for note in table.notes
    ]


def _text_formats(test: Path, data: Canonical, form: FormatConfig) -> list[Column]:
    """How the columns of the data are written, where the test file has numbers and dates that are
    no text: they say nothing of it."""
    if not has_native_cells(test):
        return []
    raw = scan(data.path, form, shown=data.name)
    words = tuple(w for w in form.missing if w)
    choices = decide(raw, words, data.name, known={}, separator=form.separator)
    return [choice.reading.column(name) for name, choice in choices.items()]


def _frames(files: list[tuple[Path, FormatConfig, str]]) -> list[pl.LazyFrame]:
    """The rows of each file, as they are; the same columns in each."""
    frames = [scan(path, form, shown=shown) for path, form, shown in files]
    refuse_unusable(frames[0].collect_schema(), files[0][2])
    first = frames[0].collect_schema().names()
    for frame, (_, _, shown) in zip(frames[1:], files[1:], strict=True):
        names = frame.collect_schema().names()
        gone = [n for n in first if n not in names]
        if gone:
            raise DataError(
                "is not in the file"
                + (f" ({len(gone)} columns of the data are missing)" if len(gone) > 1 else ""),
                file=shown,
                where=f"column '{gone[0]}'",
                wanted=", ".join(first[:SHOWN]) + (" …" if len(first) > SHOWN else ""),
                got=", ".join(names[:SHOWN]) + (" …" if len(names) > SHOWN else ""),
                hint=otherwise_spelled(gone[0], names)
                or "add the column to the file, rename one that has another name there, or "
                "remove it from the data",
            )
    return [f.select(first) for f in frames]


def _names(tables: list[Canonical]) -> list[str]:
    """The name that each table gets under data/."""
    names: list[str] = []
    for table in tables:
        name = re.sub(r"[^\w.-]+", "_", table.name)
        names.append(f"data/test_{name}" if f"data/{name}" in names else f"data/{name}")
    return names


def _bring(table: Canonical, place: Path) -> None:
    """Copy a file or a folder under data/."""
    source = table.path
    if place.exists() and place.samefile(source):
        return
    if source.is_dir():
        with new_dir(place) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
    else:
        with new_file(place) as temporary:
            shutil.copyfile(source, temporary)


def _name(path: Path) -> str:
    """A name for the data set, from its file."""
    stem = path.name.split(".")[0]
    if stem.lower() in ("train", "data", "dataset") and path.resolve().parent.name:
        stem = path.resolve().parent.name
    return _spelled(stem) or "data"


def _spelled(name: str) -> str:
    """The nearest name that a data set can have; empty where there is none."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80]


def _keep_before(paths: Paths) -> Path | None:
    """Earlier expectations and parameters, so that an edit is never lost."""
    files = [p for p in (paths.expectations, paths.params) if p.exists()]
    if not paths.expectations.exists():
        return None
    folder = paths.state / "before-init"
    with new_dir(folder) as new:
        for file in files:
            shutil.copyfile(file, new / file.name)
    return folder


def _forget_others(paths: Paths, files: list[str]) -> None:
    """What data/ held before goes where DVC's cache has the same bytes; the rest stays."""
    wanted = {Path(f).relative_to("data").parts[0] for f in files}
    cached = cached_files(paths.root)
    for other in paths.data.iterdir():
        if other.name in wanted or not other.is_file() or other.name not in cached:
            continue
        with other.open("rb") as file:
            same = hashlib.file_digest(file, "md5").hexdigest() == cached[other.name]
        if same:
            other.unlink()


def request_of(arguments: Any) -> Request:
    """The request of parsed command-line arguments. The target of a folder of images is the name
    of the folder that each is in.

    Raises:
        ParameterError: neither a file and a target, nor --update.
    """
    given = dict(vars(arguments))
    folder = arguments.data is not None and is_image_folder(arguments.data)
    if folder:
        given["target"] = arguments.target or LABEL
    if arguments.data is None or given["target"] is None:
        raise ParameterError(
            "init needs a file and its target",
            hint="run `plumbline init --data FILE --target COLUMN`",
        )
    fields = {f.name for f in dataclasses.fields(Request)}
    own = {k: v for k, v in given.items() if k in fields}
    return Request(**own, reading=ReadingOptions.of(given))
