"""What a section of the page is made of. The template knows one way to show each block."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from markupsafe import Markup

State = Literal["good", "warn", "bad", "info"]


@dataclass(frozen=True, kw_only=True)
class Status:
    """A judgement: never a color alone, always an icon and a word."""

    state: State
    word: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Note:
    """A paragraph that needs attention, with its status."""

    kind: ClassVar[str] = "note"
    status: Status
    text: str


@dataclass(frozen=True)
class Metadata:
    """Short figures side by side: (label, value)."""

    kind: ClassVar[str] = "metadata"
    items: Sequence[tuple[str, str | Status]]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A drawing and its caption. A wide one takes both columns."""

    svg: Markup
    caption: str
    wide: bool = False

    @property
    def scrolls(self) -> bool:
        """Whether it is wider than a phone."""
        return "min-width" in self.svg


@dataclass(frozen=True)
class Figures:
    """Drawings side by side where there is room."""

    kind: ClassVar[str] = "figures"
    figures: Sequence[Figure]


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell of a table. `name`: a text from outside, in whatever direction it is written;
    `code`: and to be read letter by letter."""

    text: str
    number: bool = False
    name: bool = False
    code: bool = False
    strong: bool = False
    muted: bool = False
    status: Status | None = None


@dataclass(frozen=True, kw_only=True)
class Grid:
    """A table. `columns` are its headings; what was cut off is said in `more`."""

    kind: ClassVar[str] = "grid"
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    more: str = ""
    folded: bool = False  # shown when opened
    total: int = 0  # rows that there are, where not all are shown


@dataclass(frozen=True, kw_only=True)
class Word:
    """A piece of a colored text. `tint`: the class of its color, "" for none; `hint` is shown on
    pointing; `joined`: no space before it."""

    text: str
    tint: str = ""
    hint: str = ""
    joined: bool = False


@dataclass(frozen=True, kw_only=True)
class ColoredText:
    """A text whose words are colored, its caption, and the same text colored in other ways, by
    what these are called (folded)."""

    kind: ClassVar[str] = "colored"
    words: Sequence[Word]
    caption: str
    others: Sequence[tuple[str, Sequence[Word]]] = ()


@dataclass(frozen=True, kw_only=True)
class Tile:
    """Pictures of one thing, those of several columns side by side, with a line each of text
    below."""

    svgs: Sequence[Markup]
    texts: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Tiles side by side and the caption of all."""

    kind: ClassVar[str] = "pictures"
    tiles: Sequence[Tile]
    caption: str


@dataclass(frozen=True)
class Legend:
    """What the colors of texts mean: (class of a color, words); the first and the last are ends of
    a scale."""

    kind: ClassVar[str] = "legend"
    items: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Item:
    """One of a list of things found: its title, status, and texts (label, text)."""

    title: str
    status: Status | None = None
    aside: str = ""
    texts: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Items:
    """Things found, one under the other."""

    kind: ClassVar[str] = "items"
    items: Sequence[Item]
    more: str = ""


@dataclass(frozen=True)
class Links:
    """Pages beside this one: (address relative to reports/, words)."""

    kind: ClassVar[str] = "links"
    links: Sequence[tuple[str, str]]


Block = Text | Note | Metadata | Figures | Grid | ColoredText | Pictures | Legend | Items | Links


@dataclass(frozen=True, kw_only=True)
class Subsection:
    """A piece of a section: what it says (`lead`), how to read it, what there is to see, and
    the files that it is made from (relative to reports/), so that the page can say which of
    them are missing."""

    title: str = ""
    lead: str = ""
    read: str
    blocks: Sequence[Block]
    files: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Section:
    """A numbered section. `status` is shown beside its title and in the contents, where
    `short` stands for a title that is a sentence."""

    id: str
    title: str
    parts: Sequence[Subsection]
    status: Status | None = None
    short: str = ""


def name(text: str) -> Cell:
    """A cell that holds a text from outside."""
    return Cell(text=text, name=True)


def figure_cell(text: str, *, strong: bool = False) -> Cell:
    """A cell that holds a number."""
    return Cell(text=text, number=True, strong=strong)


def passed(state: bool | None, good: str = "passed", bad: str = "failed") -> Status:
    """The status of a gate; None where nothing is known."""
    if state is None:
        return Status(state="info", word="not known")
    return Status(state="good", word=good) if state else Status(state="bad", word=bad)
