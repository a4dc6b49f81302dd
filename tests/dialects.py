"""Made tables written in made dialects: what was written is known, so a reading can be judged."""

from __future__ import annotations

import random
from dataclasses import dataclass

WORDS = ("Ulm", "red", "Ann Lee", "n/a text", "Köln", "x-ray", "東京", "it's", "5 kg", "a.b")
NAMES = ("age", "price", "city", "Net weight", "x_1", "größe", "Column (%)", "code", "day", "id2")


@dataclass(frozen=True)
class Made:
    """A file, and the table that was written into it; `names` None: no header."""

    content: bytes
    names: list[str] | None
    rows: list[list[str]]
    words: str


def cell(r: random.Random, kind: str, separator: str, quote: str | None) -> str:
    """One cell of a column's kind."""
    if r.random() < 0.05 and kind != "key":
        return ""
    if kind in ("whole", "key"):
        return str(r.randint(0, 9999))
    if kind == "float":
        return f"{r.gauss(10, 5):.3f}"
    if kind == "comma":
        return f"{r.gauss(10, 5):.2f}".replace(".", ",")
    if kind == "money":
        return f"${r.randint(1, 9)},{r.randint(0, 999):03d}.{r.randint(0, 99):02d}"
    if kind == "day":
        return f"{r.randint(2000, 2024)}-{r.randint(1, 12):02d}-{r.randint(1, 28):02d}"
    if kind == "time":
        return f"2024-01-0{r.randint(1, 9)} {r.randint(0, 23):02d}:{r.randint(0, 59):02d}"
    if kind == "class":
        return r.choice(("yes", "no"))
    if kind == "code":
        return f"{r.choice('ABC')}-{r.randint(100, 999)}"
    if kind == "name":
        return f"{r.choice(('Doe', 'Roe', 'Poe'))}, Mr. {r.choice(('John', 'Max'))}"
    if kind == "wild":
        parts = [r.choice(WORDS), r.choice((separator, ";", ",", " ", "\u2028", "\x0b", "\x85"))]
        if quote is not None:
            parts.append(r.choice(("\n", "\r\n", quote, quote * 2, " ")))
        parts.append(r.choice(WORDS))
        return "".join(parts)
    return r.choice(WORDS)


KINDS = ("whole", "float", "comma", "money", "day", "time", "class", "code", "name", "wild", "word")


def make(r: random.Random) -> Made:
    """A table and its file, by chance."""
    separator = r.choice(",,,\t\t;;;||")
    quote = r.choice(('"', '"', '"', "'", None))
    escape = r.choice((None, None, "\\")) if quote else None
    end = r.choice(("\n", "\n", "\r\n", "\r"))
    encoding = r.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16"))
    width, height = r.randint(2, 8), r.choice((3, 5, 12, 40))
    kinds = ["key", *r.choices(KINDS, k=width - 1)]
    r.shuffle(kinds)
    rows = [[cell(r, k, separator, quote) for k in kinds] for _ in range(height)]
    if quote is None:
        bad = (separator, "\n", "\r", '"')
        rows = [["".join(ch for ch in c if ch not in bad) for c in row] for row in rows]
    if end == "\r":
        rows = [[c.replace("\n", " ").replace("\r", " ") for c in row] for row in rows]
    names = r.sample(NAMES, width)
    header = r.random() < 0.85
    everything = r.random() < 0.2
    trailing = separator if r.random() < 0.15 else ""
    blanks = r.random() < 0.15

    def written(value: str) -> str:
        if quote is None:
            return value
        special = (separator, quote, "\n", "\r", *((escape,) if escape else ()))
        if value.startswith(("'", '"')) or everything or any(s in value for s in special):
            inner = value.replace(escape, escape * 2) if escape else value
            inner = inner.replace(quote, (escape or quote) + quote)
            return quote + inner + quote
        return value

    lines: list[str] = []
    preamble = r.choice((0, 0, 0, 1, 3))
    if preamble:
        lines += ["Report of sales", "Made in 2024", "All of them"][:preamble]
        lines += [""] * r.randint(0, 1)
    if header:
        lines.append(separator.join(map(written, names)) + trailing)
    for row in rows:
        lines.append(separator.join(map(written, row)) + trailing)
        if blanks and r.random() < 0.2:
            lines.append("")
    if r.random() < 0.1:
        lines += ["", "Source: the office"]
    text = end.join(lines) + (end if r.random() < 0.8 else "")
    words = (
        f"separator {separator!r} quote {quote!r} escape {escape!r} end {end!r} {encoding} "
        f"preamble {preamble} header {header} all quoted {everything} trailing {trailing!r} "
        f"blanks {blanks} {kinds}"
    )
    return Made(text.encode(encoding), names if header else None, rows, words)
