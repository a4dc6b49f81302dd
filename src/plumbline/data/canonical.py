"""A file as its owner has it becomes one that every stage reads alike.

That is CSV in UTF-8 with a header in its first line, names of their own, `"` quotes (doubled
inside), nothing above, between or below the rows; or Parquet. A file that is so already is used
as it lies; another is rewritten. Either way what polars reads from it is compared with what the
strict parser read from the owner's file, cell by cell.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path

import polars as pl

from plumbline.config.data import FormatConfig
from plumbline.data.body import Body
from plumbline.data.header import Unclear, name_columns
from plumbline.data.json_lines import open_json
from plumbline.data.layout import open_text
from plumbline.data.magic import FileKind, kind_of, refuse_types
from plumbline.data.native import AsText, rewrite_native
from plumbline.data.opened import Opened
from plumbline.data.options import ReadingOptions
from plumbline.data.pictures import IMAGE, LABEL, embed, open_folder, path_columns
from plumbline.data.read import scan
from plumbline.data.workbook import open_workbook
from plumbline.errors import DataError
from plumbline.files import new_file
from plumbline.numbers import plural
from plumbline.tables import Column

COMPARED = 200_000  # cells compared at once
PARQUET = FormatConfig(type="parquet")


@dataclass(frozen=True, kw_only=True)
class Canonical:
    """A table that every stage reads alike: `path`, to be read by `form`.

    `name` is what the file is to be called, `words` say how the owner's file is laid out, `notes`
    what was guessed, left out or renamed, `unnamed` the columns that its header leaves without a
    name. `test` is the test part of a folder of images. `misfits` says of rows that do not fit
    the table why: they are empty.
    """

    path: Path
    name: str
    form: FormatConfig
    words: str
    notes: list[str] = field(default_factory=list)
    unnamed: tuple[str, ...] = ()
    test: Canonical | None = None
    misfits: Mapping[int, Unclear] = field(default_factory=dict)


def make_canonical(
    source: Path,
    folder: Path,
    options: ReadingOptions | None = None,
    *,
    target: str | None = None,
    names: Collection[str] = (),
    like: FormatConfig | None = None,
    columns: Collection[Column] = (),
    as_text: AsText | None = None,
    images: Collection[str] | None = None,
    max_memory_mb: int = 2048,
) -> Canonical:
    """Find out how a file is laid out, and rewrite it into `folder` unless it is plain already.

    Args:
        like: the format of the data that it goes with; a text table gets its separator.
        target: the target's name, which tells the header.
        names: the columns' names, where they are known: they tell the header.
        columns: how the data that it goes with are written, so that its numbers and dates are
            written alike where they are no text in it.
        as_text: see `rewrite_native`.
        images: the columns that name image files; None: find out.

    Raises:
        DataError: no table, damaged, or more than one reading of it fits.
        ParameterError: an option that this kind of file does not have.
    """
    options = options or ReadingOptions()
    kind = kind_of(source, options)
    if kind is FileKind.PARQUET:
        refuse_types(source)
        table = Canonical(path=source, name=source.name, form=PARQUET, words="Parquet")
        return _with_images(table, source, folder, images, max_memory_mb)
    if kind is FileKind.IMAGES:
        return _of_folder(source, folder, max_memory_mb)
    try:
        opened = _OPEN[kind](source, options, target, names)
        table = _canonical(source, folder, opened, options, like, columns, as_text)
        return _with_images(table, source, folder, images, max_memory_mb)
    except Unclear as reason:
        raise DataError(
            reason.what, file=source.name, got=reason.got or None, hint=reason.hint
        ) from None


def _with_images(
    table: Canonical,
    source: Path,
    folder: Path,
    images: Collection[str] | None,
    max_memory_mb: int,
) -> Canonical:
    """The table with the image files that a column names in its cells; the same where none does."""
    base = source if source.is_dir() else source.parent
    raw = scan(table.path, table.form, shown=source.name)
    if images is None:
        named, absent = path_columns(raw, base, source.name)
        notes = [
            f"the cells of '{column}' end as the names of image files do, and none of the first is "
            "in the folder of the data: read as text"
            for column in absent
        ]
        table = replace(table, notes=[*table.notes, *notes])
    else:
        texts = [name for name, dtype in raw.collect_schema().items() if dtype == pl.String]
        named = [name for name in images if name in texts]
    if not named:
        return table
    name = f"{_stem(table.name)}.parquet"
    place = folder / f"images-{name}"
    place.parent.mkdir(parents=True, exist_ok=True)
    notes = embed(raw, named, base, place, file=source.name, max_memory_mb=max_memory_mb)
    listed = ", ".join(f"'{column}'" for column in named)
    words = f"{table.words}; the image files that {listed} names are in the data"
    notes = [*table.notes, *notes]
    return replace(table, path=place, name=name, form=PARQUET, words=words, notes=notes)


def _of_folder(source: Path, folder: Path, max_memory_mb: int) -> Canonical:
    held = open_folder(source)
    folder.mkdir(parents=True, exist_ok=True)

    def part(rows: pl.DataFrame, name: str, notes: list[str]) -> Canonical:
        place = folder / name
        more = embed(
            rows.lazy(), [IMAGE], source, place, file=source.name, max_memory_mb=max_memory_mb
        )
        count = rows[LABEL].n_unique()
        words = f"{len(rows):,} images in the folders of {plural(count, 'class', 'classes')}"
        notes = [*notes, *more]
        return Canonical(path=place, name=name, form=PARQUET, words=words, notes=notes)

    name = source.resolve().name
    test = None if held.test is None else part(held.test, f"{name}_test.parquet", [])
    return replace(part(held.data, f"{name}.parquet", held.notes), test=test)


_OPEN = {FileKind.TEXT: open_text, FileKind.EXCEL: open_workbook, FileKind.JSON: open_json}


def _canonical(
    source: Path,
    folder: Path,
    opened: Opened,
    options: ReadingOptions,
    like: FormatConfig | None,
    columns: Collection[Column],
    as_text: AsText | None,
) -> Canonical:
    table = opened.table
    separator = like.separator if like and like.type == "csv" else None
    fixed = options.skip is not None

    def body() -> Body:
        keep = options.keep_misfits
        return Body(opened.again(), table, pad=options.pad, fixed=fixed, keep=keep)

    first = body()
    for _ in first:
        pass
    if first.rows == 0:
        raise DataError(
            "has a header and no rows" if table.headers else "has no rows",
            file=source.name,
            hint="add rows below the header",
        )
    kept = max(first.used, _named(table.given))
    names, renamed = name_columns(table.given[:kept])
    given = zip(names, table.given, strict=False)
    unnamed = tuple(n for n, own in given if not own) if table.headers else ()
    notes = [*opened.notes, *table.notes, *(renamed if table.headers else []), *first.notes]
    if kept < table.width:
        notes.append("the lines end in a separator; the empty column behind it is left out")
    plain = opened.plain and separator in (None, opened.separator)
    if plain and list(table.header[:1]) == [tuple(names)] and not first.changed:
        form = FormatConfig(separator=opened.separator)
        if _differs(source, form, names, body()) is None:
            return Canonical(
                path=source,
                name=source.name,
                form=form,
                words=opened.words,
                notes=notes,
                unnamed=unnamed,
            )
    name = f"{_stem(source.name)}.csv"
    place = folder / name
    form = FormatConfig(separator=separator or ",")
    try:
        _write(names, rewrite_native(body(), names, columns, as_text), form, place)
    except UnicodeEncodeError as error:
        raise DataError(f"holds half a character: {error}", file=source.name) from None
    wrong = _differs(place, form, names, rewrite_native(body(), names, columns, as_text))
    if wrong is not None:
        raise DataError(
            f"does not read back as it was read, from row {wrong:,} on",
            file=source.name,
            hint="look for a character that CSV cannot hold; export the file as Parquet",
        )
    return Canonical(
        path=place,
        name=name,
        form=form,
        words=opened.words,
        notes=notes,
        unnamed=unnamed,
        misfits=first.misfits,
    )


def _named(given: list[str]) -> int:
    count = len(given)
    while count > 1 and not given[count - 1]:
        count -= 1
    return count


def _stem(name: str) -> str:
    for ending in (".gz", ".zst", ".zstd"):
        name = name.removesuffix(ending)
    stem, dot, ending = name.rpartition(".")
    return stem if dot and stem and ending.isalnum() and len(ending) < 8 else name


def _write(names: list[str], rows: Iterable[list[str]], form: FormatConfig, place: Path) -> None:
    width = len(names)
    with (
        new_file(place) as temporary,
        temporary.open("w", encoding="utf-8", newline="") as out,
    ):
        writer = csv.writer(out, delimiter=form.separator, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(cells[:width] for cells in rows)


def _differs(
    path: Path, form: FormatConfig, names: list[str], rows: Iterable[list[str]]
) -> int | None:
    """The first row of a batch that polars reads otherwise than the strict parser; None: none.

    Memory holds a batch at a time.
    """
    width = len(names)
    expected: Iterator[list[str]] = iter(rows)
    done = 0
    try:
        frame = scan(path, form)
        if frame.collect_schema().names() != names:
            return 0
        for batch in frame.collect_batches(
            chunk_size=max(COMPARED // width, 1), maintain_order=True
        ):
            mine = list(islice(expected, batch.height))
            columns = [[cells[i] for cells in mine] for i in range(width)]
            for column, name in zip(columns, names, strict=True):
                if batch[name].fill_null("").to_list() != column:
                    return done
            done += batch.height
    except (DataError, pl.exceptions.PolarsError):
        return done
    return done if next(expected, None) is not None else None
