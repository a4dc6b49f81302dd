"""The part on images, patch by patch: heat maps over the pictures of single rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plumbline.numbers import aligned, number
from plumbline.report.about import About
from plumbline.report.blocks import Grid, Pictures, Subsection, Tile, figure_cell
from plumbline.report.pictures import Picture, heat, plain, read_picture, read_values
from plumbline.report.read import Reports, entries, listed, pick, whole
from plumbline.report.sections.colored import CELLS, PATCHES, cell_caption, cell_name, cells_part
from plumbline.report.sections.methods import explained_output, method_label, method_name

TOP = 10  # patches of an image that are listed
METHODS, MOST_EDGES = 6, 100
Values = list[list[float]]  # by row and column of patches


@dataclass(frozen=True, kw_only=True)
class ImageCell:
    """An explained image that can be shown; `values` by method."""

    row: Any
    picture: Picture
    edges: tuple[list[int], list[int]]
    values: dict[str, Values]


def patches_part(reports: Reports, about: About) -> list[Subsection]:
    """Nothing where the model reads no image."""
    content = reports.json(PATCHES.file)
    cells = [cell for row in listed(pick(content, "rows")) if (cell := _cell(row)) is not None]
    read = (
        f"A patch's value is what it adds to {explained_output(about)}, compared with the same "
        "picture in which it shows the mean of the training images; the rest of the row stays as "
        "it is. The SHAP values of a picture add up to the difference between the row's prediction "
        "and the prediction without any of its patches. The deletion test replaces the patches "
        "that a method ranks first and compares with patches replaced in random order."
    )
    return cells_part(
        reports,
        about,
        PATCHES,
        title="Images, patch by patch",
        read=read,
        drawn=[
            [_pictures(cell, about, f"picture-{i}"), _table(cell)]
            for i, cell in enumerate(cells[:CELLS])
        ],
        cells=len(cells),
    )


def _cell(row: Any) -> ImageCell | None:
    picture = read_picture(row)
    down, across = _edges(pick(row, "down")), _edges(pick(row, "across"))
    if picture is None or not all(1 < len(edges) <= MOST_EDGES for edges in (down, across)):
        return None
    values = {
        method: made
        for method, own in entries(pick(row, "patches"))
        if (made := read_values(own, len(down) - 1, len(across) - 1)) is not None
    }
    if not values:
        return None
    return ImageCell(row=row, picture=picture, edges=(down, across), values=values)


def _edges(value: Any) -> list[int]:
    return [edge for each in listed(value) if (edge := whole(each)) is not None]


def _pictures(cell: ImageCell, about: About, key: str) -> Pictures:
    """The picture, and beside it a heat map by each method."""
    own = f"{cell_name(cell.row, PATCHES)}: the picture as the model reads it"
    tiles = [Tile(svgs=[plain(cell.picture, own, key)], texts=["the picture"])]
    for method, values in list(cell.values.items())[:METHODS]:
        drawn = heat(cell.picture, key, _alt(cell, method, values), cell.edges, values)
        tiles.append(Tile(svgs=[drawn], texts=[method_label(method)]))
    first = next(iter(cell.values))
    largest = max(abs(v) for row in cell.values[first] for v in row)
    return Pictures(tiles=tiles, caption=cell_caption(cell.row, about, PATCHES, first, largest))


def _alt(cell: ImageCell, method: str, values: Values) -> str:
    """What a heat map shows, in words: where the largest values are."""
    flat = [(v, i, j) for i, row in enumerate(values) for j, v in enumerate(row)]
    high, low = max(flat), min(flat)
    text = (
        f"{cell_name(cell.row, PATCHES)}, heat map by {method_name(method)}: largest {_place(high)}"
    )
    return text if low[0] >= 0 else f"{text}, lowest {_place(low)}"


def _place(one: tuple[float, int, int]) -> str:
    value, i, j = one
    return f"{number(value, 2)} in row {i + 1}, column {j + 1} of the patches"


def _table(cell: ImageCell) -> Grid:
    """The most important patches with the values of all methods."""
    methods = list(cell.values)[:METHODS]
    first = cell.values[methods[0]]
    places = [(i, j) for i, row in enumerate(first) for j in range(len(row))]
    top = sorted(places, key=lambda at: -abs(first[at[0]][at[1]]))[:TOP]
    columns = [aligned([cell.values[m][i][j] for i, j in top]) for m in methods]
    return Grid(
        caption=f"Patches of row {number(whole(pick(cell.row, 'row')))}",
        columns=["row of patches", "column of patches", *(method_name(m) for m in methods)],
        rows=[
            [
                figure_cell(f"{i + 1}"),
                figure_cell(f"{j + 1}"),
                *(figure_cell(column[k]) for column in columns),
            ]
            for k, (i, j) in enumerate(top)
        ],
        more=f"The first {TOP} of {len(places)}; all are in reports/{PATCHES.file}."
        if len(places) > TOP
        else "",
        folded=True,
        total=len(places),
    )
