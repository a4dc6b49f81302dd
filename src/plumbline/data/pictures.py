"""Images beside the data file become cells of it: a Parquet file that needs no other.

A column of paths is read into bytes once, by `init` and `ingest`; so a version of the data is
whole, and no later stage opens a file that a cell names. A folder of images by class is a table of
two columns.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import polars as pl

from plumbline.data.parquet_folder import parts_of
from plumbline.data.read import readable
from plumbline.data.rows import sink_rows
from plumbline.errors import DataError
from plumbline.images import ImageReader
from plumbline.images.cells import has_images, image_bytes
from plumbline.images.files import FilesRead, read_files
from plumbline.numbers import plural
from plumbline.tables import IMAGE_CELL, MISSING, rows_at_once

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff")
NAMED = rf"(?i)^\s*\S.*({'|'.join(ending.replace('.', '[.]') for ending in ENDINGS)})\s*$"
MOST = 0.9  # of the cells of a column of paths end like an image's name
SHOWN = 5  # names of files
TRIED = 100  # paths of which one must lead to a file
IMAGE, LABEL = "image", "label"  # the columns of a folder
TEST_FOLDERS = ("test", "testing")
TRAINING_FOLDERS = ("train", "training", "val", "valid", "validation")


def refuse_other_bytes(raw: pl.LazyFrame, file: str) -> None:
    """Columns of bytes of which none is an image.

    Raises:
        DataError: names the first column.
    """
    reader = ImageReader(None)
    for name, dtype in raw.collect_schema().items():
        if not has_images(dtype):
            continue
        content = image_bytes(name, dtype)
        with readable(file):
            cells = raw.select(content.drop_nulls().head(TRIED)).collect()[name].to_list()
        if cells and all(reader.problem(cell) for cell in cells):
            raise DataError(
                f"cells of type {dtype} cannot be read",
                file=file,
                where=f"column '{name}'",
                wanted="one number, text, date, truth value or image in a cell",
                hint="remove the column, or write its parts as columns of their own",
            )


def path_columns(raw: pl.LazyFrame, folder: Path, file: str) -> tuple[list[str], list[str]]:
    """The text columns whose cells name image files: those whose files are there, and those of
    which none of the first is."""
    texts = [name for name, dtype in raw.collect_schema().items() if dtype == pl.String]
    filled = [
        pl.col(name).filter(~pl.col(name).str.strip_chars().is_in(["", *MISSING])) for name in texts
    ]
    if not texts:
        return [], []
    with readable(file):
        shares = raw.select(cells.str.contains(NAMED).mean() for cells in filled).collect(
            engine="streaming"
        )
        named = [name for name in texts if (shares[name][0] or 0.0) >= MOST]
        if not named:
            return [], []
        tried = raw.select(
            pl.col(name).filter(pl.col(name).str.contains(NAMED)).head(TRIED).implode()
            for name in named
        ).collect(engine="streaming")
    there = [name for name in named if any(_is_file(folder, cell) for cell in tried[name][0])]
    return there, [name for name in named if name not in there]


def _is_file(folder: Path, cell: str) -> bool:
    try:
        return (folder / cell.strip()).is_file()
    except (OSError, ValueError):
        return False


def embed(
    raw: pl.LazyFrame,
    columns: Collection[str],
    folder: Path,
    place: Path,
    *,
    file: str,
    max_memory_mb: int,
) -> list[str]:
    """Write the rows as Parquet with the images that these columns name; returns notes.

    A file that is missing or is no image stays a cell with its path, which validation refuses by
    row.

    Raises:
        DataError: a path leads out of the folder, or a file cannot be read.
    """
    outcome = FilesRead()
    read = partial(read_files, ImageReader(folder), outcome)
    names = raw.collect_schema().names()
    cells = [
        pl.col(name).map_batches(read, return_dtype=IMAGE_CELL, is_elementwise=True)
        if name in columns
        else pl.col(name)
        for name in names
    ]
    size = rows_at_once(len(names), max_memory_mb, len(columns))
    with readable(file), pl.Config() as own:
        own.set_streaming_chunk_size(size)
        sink_rows(raw, place, max_memory_mb, len(columns), cells)
    if outcome.refusals:
        place.unlink()
        raise min(outcome.refusals.values(), key=str)
    if not outcome.missing:
        return []
    count = len(outcome.missing)
    return [
        f"{plural(count, 'image file')} {'is' if count == 1 else 'are'} not there (such as "
        f"'{min(outcome.missing)}'): validation will refuse the rows"
    ]


@dataclass(frozen=True, kw_only=True)
class ImageFolder:
    """A folder of images by class: the rows of its data and of its test part, as paths relative
    to the folder, and what was left out."""

    folder: Path
    data: pl.DataFrame
    test: pl.DataFrame | None
    notes: list[str]


def is_image_folder(path: Path) -> bool:
    """Whether a folder holds images by class: `CLASS/*`, or `{train,test}/CLASS/*`."""
    return path.is_dir() and not parts_of(path) and any(_is_image(file) for file in _files(path))


def open_folder(path: Path) -> ImageFolder:
    """The images of a folder, by class, sorted by name.

    Raises:
        DataError: images lie beside the folders of the classes, or a part has none.
    """
    parts = {p.name.lower(): p for p in sorted(path.iterdir()) if p.is_dir() and not _hidden(p)}
    test = [p for name, p in parts.items() if name in TEST_FOLDERS]
    training = [p for name, p in parts.items() if name in TRAINING_FOLDERS]
    notes: list[str] = []
    if test and not training:
        raise DataError(
            f"has a folder '{test[0].name}' and none to train on",
            file=path.name,
            wanted="train/CLASS/* beside it",
        )
    if training and len(training) + len(test) < len(parts):
        others = [p.name for p in parts.values() if p not in training and p not in test]
        raise DataError(
            "has folders beside those of its parts",
            file=path.name,
            wanted="train/CLASS/* and test/CLASS/*, or CLASS/*",
            got=", ".join(others),
            hint="move the folder away",
        )
    if len(training) > 1:
        names = " and ".join(f"{p.name}/" for p in training)
        notes.append(f"{names} are the data together; the split makes its own parts")
    data = _table(path, training or [path], notes)
    tested = _table(path, test, notes) if test else None
    return ImageFolder(folder=path, data=data, test=tested, notes=notes)


def _table(root: Path, parts: Sequence[Path], notes: list[str]) -> pl.DataFrame:
    rows: list[tuple[str, str]] = []
    others: list[str] = []
    for part in parts:
        for file in _files(part):
            inside = file.relative_to(part).parts
            if not _is_image(file):
                others.append(file.relative_to(root).as_posix())
            elif len(inside) < 2:
                raise DataError(
                    "an image lies beside the folders of the classes",
                    file=file.relative_to(root),
                    wanted=f"{part.name}/CLASS/{file.name}",
                    hint="put it into the folder of its class, or away",
                )
            else:
                rows.append((file.relative_to(root).as_posix(), inside[0]))
    if not rows:
        raise DataError(
            "has no images",
            file=parts[0].relative_to(root.parent),
            wanted=f"CLASS/*{ENDINGS[0]}",
        )
    if others:
        more = ", …" if len(others) > SHOWN else ""
        notes.append(
            f"{plural(len(others), 'file')} of other kinds left out "
            f"({', '.join(sorted(others)[:SHOWN])}{more})"
        )
    rows.sort()
    schema = {IMAGE: pl.String, LABEL: pl.String}
    return pl.DataFrame(rows, schema=schema, orient="row")


def _files(path: Path) -> Iterator[Path]:
    for folder, inside, files in os.walk(path):
        inside[:] = sorted(name for name in inside if not name.startswith("."))
        yield from (Path(folder) / name for name in sorted(files) if not name.startswith("."))


def _is_image(file: Path) -> bool:
    return file.suffix.lower() in ENDINGS


def _hidden(path: Path) -> bool:
    return path.name.startswith(".")
