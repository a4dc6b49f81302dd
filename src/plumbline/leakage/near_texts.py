"""Almost equal texts in two parts: edited, cut or quoted copies.

A text is the set of its pairs of neighboring words (Broder 1997, "On the resemblance and
containment of documents"); two are near where most of their pairs are the same. Candidates share a
band of hashes (MinHash and locality-sensitive hashing: Leskovec, Rajaraman and Ullman, "Mining of
Massive Datasets", chapter 3), and are then compared.

Messages made from a template (`your code is 1234`) are near each other and are no copies: what is
edited keeps its numbers, so texts of which each has a number that the other lacks are left out, and
so is a text that has more neighbors than a copy has.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from plumbline.kinds import ColumnType, IntArray, Part
from plumbline.leakage.across import FEW, FEW_SHARE, MANY
from plumbline.leakage.finding import Evidence, Finding, sample
from plumbline.preprocessing.duplicates import plain
from plumbline.tables import ROW, internal

SIMILAR = 0.7  # of the pairs of words of two texts, the share that both have (Jaccard): copies
RELATED = 0.5  # the same of texts that may be of one template
LEAST_WORDS = 8  # shorter texts are alike by chance
MOST_COPIES = 5  # training texts that are related to a copy; more are of a template
HELD, TRAIN = 20_000, 1_000_000  # texts looked at, at most
READ = 2_000  # characters of a text
AT_ONCE = 5_000  # training texts
BANDS, IN_BAND = 10, 3  # texts that are 0.7 similar share a band with probability 0.985
CANDIDATES = 60  # training texts that a held-out one is compared with, about
# scripts without spaces between words: a character is a word
UNPARTED = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
WORD = rf"[{UNPARTED}]|[[\p{{L}}\p{{M}}\p{{N}}]--[{UNPARTED}]]+"
TEXT, HELD_ROW, PAIR, BAND, NUMBERS, SIZE, COPY = (
    internal(name) for name in ("text", "held", "pair", "band", "numbers", "size", "copy")
)


@dataclass(frozen=True, kw_only=True)
class TextSets:
    """Texts as sets. By row: `texts` the numbers in it, and how many pairs of words it has;
    `pairs` the hashes of these; `bands` the hashes of its bands."""

    texts: pl.DataFrame
    pairs: pl.DataFrame
    bands: pl.DataFrame


def near_texts(evidence: Evidence) -> Sequence[Finding]:
    """Held-out rows with a text that nearly equals that of a training row, per text column."""
    columns = [c.name for c in evidence.schema.features if c.type is ColumnType.TEXT]
    findings = [_near(evidence, name) for name in columns]
    return [finding for finding in findings if finding is not None]


def _near(evidence: Evidence, name: str) -> Finding | None:
    held_out = np.flatnonzero(np.isin(evidence.part, (Part.VAL, Part.TEST)))
    train = np.flatnonzero(evidence.part == Part.TRAIN)
    held, trained = sample(held_out, HELD, evidence.seed), sample(train, TRAIN, evidence.seed)
    sets = text_sets(pl.concat([_empty(), *_read(evidence, name, held)]))
    pairs = _other_rows(evidence, search(sets, map(text_sets, _read(evidence, name, trained))))
    rows, originals = (
        pairs[side].unique().sort().to_numpy().astype(np.int64) for side in (HELD_ROW, ROW)
    )
    share = len(rows) / max(1, len(held))
    if len(rows) < FEW and share <= FEW_SHARE:
        return None
    looked = [
        f"{len(own):,} of {len(whole):,} {what} rows"
        for own, whole, what in ((held, held_out, "held-out"), (trained, train, "training"))
        if len(own) < len(whole)
    ]
    sampled = f" of {' and '.join(looked)} looked at" if looked else ""
    return Finding(
        check="near_duplicates",
        columns=(name,),
        rows=rows,
        detail=f"{len(rows)} held-out rows{sampled} ({share:.2%}) have a text in '{name}' that "
        f"nearly equals one of {len(originals)} training rows: {SIMILAR:.0%} or more of the pairs "
        f"of words are the same, and few other training texts are like it",
        severity="critical" if share > MANY else "warning",
        hint="find out whether texts were copied, quoted or edited before the split; name what "
        "they share in data.group, or set split.leakage.near_duplicates: drop to leave the "
        "training copies out",
        drop_rows=originals,
    )


def _empty() -> pl.DataFrame:
    return pl.DataFrame(schema={ROW: pl.UInt32, TEXT: pl.String})


def _read(evidence: Evidence, name: str, rows: IntArray) -> Iterator[pl.DataFrame]:
    """The texts of some rows, in batches: row, text."""
    keep = np.zeros(evidence.table.rows, dtype=bool)
    keep[rows] = True
    flag = pl.LazyFrame({TEXT: keep})
    frame = pl.concat([evidence.table.frame.select(name), flag], how="horizontal")
    frame = frame.with_row_index(ROW).filter(pl.col(TEXT) & pl.col(name).is_not_null())
    yield from frame.select(ROW, pl.col(name).alias(TEXT)).collect_batches(
        chunk_size=AT_ONCE, maintain_order=True, engine="streaming"
    )


def text_sets(frame: pl.DataFrame) -> TextSets:
    """Texts (row, text) as sets; those of few words are left out."""
    text = pl.col(TEXT).str.head(READ).str.to_lowercase()
    words = (
        frame.select(ROW, text.str.extract_all(WORD))
        .filter(pl.col(TEXT).list.len() >= LEAST_WORDS)
        .explode(TEXT)
    )
    following = pl.struct(pl.col(TEXT), pl.col(TEXT).shift(-1).alias(PAIR)).hash(0)
    same_row = pl.col(ROW) == pl.col(ROW).shift(-1)
    pairs = words.select(ROW, following.alias(PAIR), same_row.alias(COPY)).filter(COPY)
    pairs = pairs.select(ROW, PAIR).unique(maintain_order=True)
    sizes = pairs.group_by(ROW, maintain_order=True).agg(pl.len().cast(pl.Int64).alias(SIZE))
    numbers = text.str.extract_all(r"\p{N}+").list.unique().alias(NUMBERS)
    count = BANDS * IN_BAND
    hashes = pairs.group_by(ROW, maintain_order=True).agg(
        pl.col(PAIR).hash(k).min().alias(str(k)) for k in range(count)
    )
    bands = [
        hashes.select(
            ROW,
            pl.struct(pl.lit(first), *(str(k) for k in range(first, first + IN_BAND)))
            .hash(0)
            .alias(BAND),
        )
        for first in range(0, count, IN_BAND)
    ]
    texts = sizes.join(frame.select(ROW, numbers), on=ROW)
    return TextSets(texts=texts, pairs=pairs, bands=pl.concat(bands))


def search(held: TextSets, batches: Iterator[TextSets]) -> pl.DataFrame:
    """Pairs of a held-out row and a training row whose texts are copies. Memory does not grow with
    the training rows: who has too many neighbors is looked for no more."""
    index = held.bands.rename({ROW: HELD_ROW})
    near: list[pl.DataFrame] = []
    tried = pl.DataFrame(schema={HELD_ROW: pl.UInt32, SIZE: pl.UInt32})
    for own in batches:
        bands = own.bands.join(index, on=BAND, how="semi")
        nth = pl.int_range(pl.len()).over(BAND)
        bands = bands.filter(nth <= MOST_COPIES)  # one more tells a template
        candidates = index.join(bands, on=BAND).select(HELD_ROW, ROW).unique(maintain_order=True)
        if not len(candidates):
            continue
        near.append(_compare(held, own, candidates))
        counts = candidates.group_by(HELD_ROW).agg(pl.len().alias(SIZE))
        tried = pl.concat([tried, counts]).group_by(HELD_ROW).agg(pl.col(SIZE).sum())
        done = [tried.filter(pl.col(SIZE) > CANDIDATES), _crowded(pl.concat(near))]
        index = index.join(pl.concat(d.select(HELD_ROW) for d in done), on=HELD_ROW, how="anti")
    if not near:
        return pl.DataFrame(schema={HELD_ROW: pl.UInt32, ROW: pl.UInt32})
    pairs = pl.concat(near)
    return pairs.join(_crowded(pairs), on=HELD_ROW, how="anti").filter(COPY).drop(COPY)


def _crowded(near: pl.DataFrame) -> pl.DataFrame:
    """Held-out rows with more neighbors than copies are."""
    counts = near.group_by(HELD_ROW).agg(pl.len().alias(SIZE))
    return counts.filter(pl.col(SIZE) > MOST_COPIES).select(HELD_ROW)


def _compare(held: TextSets, own: TextSets, candidates: pl.DataFrame) -> pl.DataFrame:
    """The candidates that are related, and whether each is a copy."""
    both = (
        candidates.join(held.pairs.rename({ROW: HELD_ROW}), on=HELD_ROW)
        .join(own.pairs, on=[ROW, PAIR])
        .group_by(HELD_ROW, ROW, maintain_order=True)
        .agg(pl.len().cast(pl.Int64).alias(PAIR))
        .join(held.texts.rename({ROW: HELD_ROW}), on=HELD_ROW)
        .join(own.texts, on=ROW, suffix=" own")
    )
    either = pl.col(SIZE) + pl.col(f"{SIZE} own") - pl.col(PAIR)
    related = both.filter(pl.col(PAIR) >= RELATED * either)
    one, other = pl.col(NUMBERS).list, pl.col(f"{NUMBERS} own").list
    lacks = [one.set_difference(f"{NUMBERS} own").list, other.set_difference(NUMBERS).list]
    consistent = (lacks[0].len() == 0) | (lacks[1].len() == 0)
    return related.select(
        HELD_ROW, ROW, ((pl.col(PAIR) >= SIMILAR * either) & consistent).alias(COPY)
    )


def _other_rows(evidence: Evidence, pairs: pl.DataFrame) -> pl.DataFrame:
    """Without rows that are equal in every feature: the check `duplicates` reports them."""
    frame = evidence.table.frame.with_row_index(ROW)
    rows = pl.concat([pairs[HELD_ROW].alias(ROW), pairs[ROW]]).unique().to_frame()
    features = pl.struct(plain(frame.collect_schema(), evidence.features)).hash(0)
    known = (
        frame.join(rows.lazy(), on=ROW, how="semi")
        .select(ROW, features.alias(PAIR))
        .collect(engine="streaming")
    )
    own = pairs.join(known, on=ROW).join(known, left_on=HELD_ROW, right_on=ROW, suffix=" held")
    return own.filter(pl.col(PAIR) != pl.col(f"{PAIR} held")).select(HELD_ROW, ROW)
