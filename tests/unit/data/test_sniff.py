"""How a file is written is found out, or the file is refused with what to do."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from plumbline.data.sniff import sniff
from plumbline.errors import DataError, ParameterError

ROWS = [("age", "city", "y"), ("31", "Ulm", "a"), ("45", "Bonn", "b"), ("28", "Kiel", "a")]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def table(separator: str = ",", rows: list[tuple[str, ...]] = ROWS) -> str:
    return "".join(separator.join(row) + "\n" for row in rows)


@pytest.mark.parametrize("separator", [",", "\t", ";", "|"])
def test_the_separator_and_the_header_are_found(tmp_path: Path, separator: str) -> None:
    found = sniff(write(tmp_path / "a.csv", table(separator)), target="y")
    assert found.form.separator == separator
    assert found.form.header


def test_lines_of_values_are_no_header(tmp_path: Path) -> None:
    found = sniff(write(tmp_path / "a.csv", table(rows=ROWS[1:])), target="column_2")
    assert not found.form.header
    assert "column_0" in found.notes[0]


def test_a_header_that_cannot_be_told_is_asked_for(tmp_path: Path) -> None:
    file = write(tmp_path / "a.csv", "a,b\nc,b\na,d\n")
    with pytest.raises(DataError, match="--no-header"):
        sniff(file, target="z")
    assert not sniff(file, target="z", header=False).form.header


@pytest.mark.parametrize(
    ("encoding", "name"), [("utf-8-sig", "utf-8-sig"), ("utf-16", "utf-16"), ("utf-8", "utf-8")]
)
def test_marked_encodings_are_found(tmp_path: Path, encoding: str, name: str) -> None:
    assert sniff(write(tmp_path / "a.csv", table(), encoding), target="y").encoding == name


def test_an_encoding_is_guessed_only_where_one_fits(tmp_path: Path) -> None:
    german = table(rows=[*ROWS, *[("40", "Köln Münster Düsseldorf", "a")] * 9])
    found = sniff(write(tmp_path / "a.csv", german, "cp1252"), target="y").encoding
    assert german.encode("cp1252").decode(found) == german
    polish = german.replace("Köln", "Łódź żółć")
    found = sniff(write(tmp_path / "b.csv", polish, "cp1250"), target="y").encoding
    assert polish.encode("cp1250").decode(found) == polish
    either = write(tmp_path / "c.csv", german.replace("Köln", "naïve"), "cp1252")
    with pytest.raises(DataError, match=r"cannot be told.*naïve"):
        sniff(either, target="y")
    assert sniff(either, target="y", encoding="cp1252").encoding == "cp1252"


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParameterError, match="no such encoding"):
        sniff(write(tmp_path / "a.csv", table()), target="y", encoding="klingon")


def test_stray_quotes_are_ordinary_characters(tmp_path: Path) -> None:
    rows = [("ham", 'he said "no'), ("spam", '"win" now'), ("ham", "ok"), ("ham", "12")] * 5
    found = sniff(write(tmp_path / "a.tsv", table("\t", rows)), target="column_0", header=False)
    assert found.form.quote is None


def test_quoted_fields_may_hold_separators_and_line_ends(tmp_path: Path) -> None:
    text = 'a,b,y\n1,"x, ""y""\nz",k\n2,w,l\n3,v,k\n'
    found = sniff(write(tmp_path / "a.csv", text), target="y")
    assert (found.form.separator, found.form.quote) == (",", '"')


def test_gzip_is_read_through(tmp_path: Path) -> None:
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(table().encode()))
    assert sniff(path, target="y").form.header


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a,b,y\n", "no rows"),
        (b"PK\x03\x04rest", "Excel"),
        (b"\xd0\xcf\x11\xe0rest", "Excel"),
        (b"one\ntwo\nthree\n", "no separator"),
        (b"a,b\x00,y\n1,2,3\n", "NUL"),
        (b"title\na,b,y\n1,2,3\n4,5,6\n", "line 1 has 1 field"),
        (b"a,b,y\n1,2,3\n4,5,6\n7,8", "may be cut"),
    ],
)
def test_refusals_name_the_file_and_the_mend(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as refused:
        sniff(path, target="y")
    assert "mine.csv" in str(refused.value)


def test_real_files(real_data: Path) -> None:
    ames = sniff(real_data / "ames_housing" / "AmesHousing.txt", target="SalePrice")
    assert (ames.form.separator, ames.form.header) == ("\t", True)
    spam = sniff(real_data / "sms_spam" / "SMSSpamCollection", target="column_0")
    assert (spam.form.quote, spam.form.header) == (None, False)
    with pytest.raises(DataError, match="line 1 has 1 field"):
        sniff(real_data / "adult" / "adult.test", target="column_14")
