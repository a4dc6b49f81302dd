"""Which preparer reads which type of cell. One more type is one more entry in each dict."""

from __future__ import annotations

from plumbline.kinds import ColumnType
from plumbline.preprocessing.image import ImagePreparer
from plumbline.preprocessing.preparer import Given, Preparer
from plumbline.preprocessing.scalars import ScalarPreparer
from plumbline.preprocessing.text import TextPreparer
from plumbline.tables import Column

PREPARERS: dict[str, type[Preparer]] = {
    "scalars": ScalarPreparer,
    "text": TextPreparer,
    "image": ImagePreparer,
}
PREPARER_OF: dict[ColumnType, str] = {
    **dict.fromkeys(ColumnType, "scalars"),
    ColumnType.TEXT: "text",
    ColumnType.IMAGE: "image",
}


def columns_by_preparer(columns: tuple[Column, ...]) -> dict[str, tuple[Column, ...]]:
    """The columns that each preparer reads, in the order of `PREPARERS`."""
    return {
        name: own
        for name in PREPARERS
        if (own := tuple(c for c in columns if PREPARER_OF[c.type] == name))
    }


__all__ = ["PREPARERS", "PREPARER_OF", "Given", "Preparer", "columns_by_preparer"]
