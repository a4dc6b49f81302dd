"""`plumbline init`: this checkout works on the user's own data.

Reads and infers first, and only then writes: the data under `data/`, expectations.yaml,
params.yaml, data.dvc. A refusal leaves everything as it was.
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from plumbline.commands.parameters import write_parameters
from plumbline.commands.told import columns_table, task_words
from plumbline.commands.versions import add_data, cached_files
from plumbline.config import Paths, load_config
from plumbline.config.data import DataConfig, FormatConfig
from plumbline.data.infer import Inferred, Wishes, infer
from plumbline.data.load import load_expectations
from plumbline.data.propose import diff, known, propose, to_yaml
from plumbline.data.read import scan
from plumbline.data.sniff import Sniffed, sniff
from plumbline.data.transcode import in_utf8, transcode
from plumbline.errors import DataError, ParameterError
from plumbline.files import new_dir, new_file, write_text
from plumbline.kinds import Task
from plumbline.stages import Report

STATE = Path(".plumbline") / "init"


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
    header: bool | None = None
    encoding: str | None = None
    missing: list[str] | None = None  # words for a missing cell


def init(request: Request, paths: Paths) -> Report:
    """Make the checkout work on the user's file.

    Raises:
        DataError: the file, or what it holds, cannot be learnt from; says how to mend it.
        StorageError: DVC refused.
    """
    load_config(paths.params)  # refuses a folder that is no checkout, before anything is read
    read, inferred = _read(request)
    written = read[request.data]
    names = _names(read)
    for source, name in names.items():
        _bring(source, paths.root / name, read[source])
    files = list(names.values())
    config = DataConfig(
        name=request.name or _name(request.data),
        path=files[0],
        test_path=files[1] if len(files) > 1 else None,
        task=inferred.expectations.task,
        target=request.target,
        positive=inferred.expectations.positive,
        time=request.time,
        group=request.group,
        id=request.id,
        format=written.form,
    )
    kept = _keep_before(paths)
    write_text(paths.expectations, to_yaml(inferred.expectations))
    changed = write_parameters(paths.params, config, inferred.expectations.columns)
    _forget_others(paths, files)
    load_expectations(paths.expectations, load_config(paths.params).data)
    add_data(paths.root)
    return Report(
        rows=[
            *columns_table(inferred),
            ("", ""),
            ("task", task_words(inferred)),
            ("written", _format(written)),
            *(("note", note) for note in written.notes),
            *(("params", note) for note in changed),
            *((("before", f"kept in {kept.relative_to(paths.root)}"),) if kept else ()),
            ("change it", "type, role and limits in expectations.yaml; the rest in params.yaml"),
            ("next", "plumbline repro"),
        ],
        look=[paths.expectations, paths.params],
    )


def update(paths: Paths) -> Report:
    """Propose what the data at hand ask of expectations.yaml; change nothing."""
    config = load_config(paths.params).data
    current = load_expectations(paths.expectations, config)
    names = [f for f in (config.path, config.test_path) if f]
    raw, *test = _frames(
        {paths.root / n: Sniffed(form=config.format) for n in names}, config.format
    )
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
        look=[file],
    )


def _read(request: Request) -> tuple[dict[Path, Sniffed], Inferred]:
    """How the file is written, and what it holds, the test file included."""
    written = sniff(
        request.data, target=request.target, header=request.header, encoding=request.encoding
    )
    files = {request.data: written}
    if request.test is not None:
        other = sniff(
            request.test,
            target=request.target,
            header=written.form.header,
            encoding=request.encoding,
        )
        if _layout(other.form) != _layout(written.form):
            raise DataError(
                "is written in another way than the data",
                file=request.test.name,
                wanted=_format(written),
                got=_format(other),
                mend="export both the same way",
            )
        files[request.test] = other
    wishes = Wishes(
        **{
            key: getattr(request, key)
            for key in ("target", "task", "positive", "time", "group", "id")
        }
    )
    form = written.form
    if request.missing is not None:
        form = dataclasses.replace(form, missing=request.missing)
        files[request.data] = dataclasses.replace(written, form=form)
    raw, *test = _frames(files, form)
    return files, infer(
        raw,
        form,
        wishes,
        file=request.data.name,
        test=test[0] if test else None,
        test_file=request.test.name if request.test else "",
    )


def _layout(form: FormatConfig) -> tuple[Any, ...]:
    return form.type, form.separator, form.header


def _frames(files: dict[Path, Sniffed], form: FormatConfig) -> list[pl.LazyFrame]:
    """The rows of each file, as they are; the same columns in each."""
    frames = [
        scan(in_utf8(file, written, STATE / f"{file.name}.utf-8"), form, shown=file.name)
        for file, written in files.items()
    ]
    first = frames[0].collect_schema().names()
    for frame, file in zip(frames[1:], list(files)[1:], strict=True):
        names = frame.collect_schema().names()
        gone = [n for n in first if n not in names]
        if gone:
            raise DataError(
                "lacks a column of the data", file=file.name, where=f"column '{gone[0]}'"
            )
    return [f.select(first) for f in frames]


def _names(read: dict[Path, Sniffed]) -> dict[Path, str]:
    """Each file and the name that it gets under data/."""
    names: dict[Path, str] = {}
    for file, written in read.items():
        name = re.sub(r"[^\w.-]+", "_", file.name)
        if not written.plain:
            name = name.removesuffix(".gz").removesuffix(".zst")
        if f"data/{name}" in names.values():
            name = f"test_{name}"
        names[file] = f"data/{name}"
    return names


def _bring(source: Path, place: Path, written: Sniffed) -> None:
    """Copy a file or a folder under data/, in UTF-8."""
    if place.exists() and place.samefile(source):
        return
    if source.is_dir():
        with new_dir(place) as folder:
            shutil.copytree(source, folder, dirs_exist_ok=True)
    elif not written.plain:
        transcode(source, place, written.encoding)
    else:
        with new_file(place) as temporary:
            shutil.copyfile(source, temporary)


def _name(path: Path) -> str:
    """A name for the data set, from its file."""
    stem = path.name.split(".")[0]
    if stem.lower() in ("train", "data", "dataset") and path.resolve().parent.name:
        stem = path.resolve().parent.name
    return re.sub(r"[^\w.-]+", "-", stem).strip("-.")[:80] or "data"


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


def _format(written: Sniffed) -> str:
    form = written.form
    if form.type == "parquet":
        return "Parquet"
    names = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}
    words = f"CSV separated by {names.get(form.separator, repr(form.separator))}"
    words += ", first line names the columns" if form.header else ", no header"
    return words + f", {written.encoding}"


def request_of(arguments: Any) -> Request:
    """The request of parsed command-line arguments.

    Raises:
        ParameterError: neither a file and a target, nor --update.
    """
    if arguments.data is None or arguments.target is None:
        raise ParameterError(
            "init needs a file and its target",
            mend="plumbline init --data FILE --target COLUMN",
        )
    fields = {f.name for f in dataclasses.fields(Request)}
    return Request(**{k: v for k, v in vars(arguments).items() if k in fields})
