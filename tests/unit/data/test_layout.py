"""How a file is laid out is found out, or the file is refused with what to do."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumbline.data.canonical import Canonical, make_canonical
from plumbline.data.options import ReadingOptions
from plumbline.data.read import scan
from plumbline.errors import DataError, ParameterError

ROWS = [("age", "city", "y"), ("31", "Ulm", "a"), ("45", "Bonn", "b"), ("28", "Kiel", "a")]
Grid = list[list[str]]


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


def table(separator: str = ",", rows: list[tuple[str, ...]] = ROWS) -> str:
    return "".join(separator.join(row) + "\n" for row in rows)


def grid(result: Canonical) -> Grid:
    """The header and the rows as every stage reads them."""
    frame = scan(result.path, result.form).collect()
    return [frame.columns, *[[cell or "" for cell in row] for row in frame.rows()]]


def read(path: Path, text: str, *, target: str | None = None, **options: object) -> Grid:
    file = write(path / "mine.csv", text)
    query = ReadingOptions.of(options)
    return grid(make_canonical(file, path / "plain", query, target=target))


def notes(path: Path, text: str, **options: object) -> str:
    file = write(path / "mine.csv", text)
    return "; ".join(make_canonical(file, path / "plain", ReadingOptions.of(options)).notes)


EXPECTED = [list(row) for row in ROWS]


@pytest.mark.parametrize("separator", [",", "\t", ";", "|", "~", "^"])
def test_the_separator_is_found(tmp_path: Path, separator: str) -> None:
    assert read(tmp_path, table(separator)) == EXPECTED


def test_a_plain_file_is_used_as_it_lies(tmp_path: Path) -> None:
    for separator in ",;\t":
        file = write(tmp_path / "a.csv", table(separator))
        result = make_canonical(file, tmp_path / "plain", target="y")
        assert result.path == file
        assert result.form.separator == separator
    packed = tmp_path / "a.csv.gz"
    packed.write_bytes(gzip.compress(table().encode()))
    assert make_canonical(packed, tmp_path / "plain").path == packed


def test_several_blanks_separate_aligned_columns(tmp_path: Path) -> None:
    text = "age   income  y\n31      1200  a\n45     12000  b\n 8         0  a\n"
    rows = [["age", "income", "y"], ["31", "1200", "a"], ["45", "12000", "b"], ["8", "0", "a"]]
    assert read(tmp_path, text) == rows
    assert read(tmp_path, text, separator="blanks") == rows


@pytest.mark.parametrize(
    "above",
    [
        "Report\n",
        "Report\n\n",
        "Report of 2024,,\nall cities,,\n,,\n",
        "# a\n# b,c\n",
        "a: 1\nb: 2\n\n",
    ],
)
def test_titles_above_the_header_are_left_out(tmp_path: Path, above: str) -> None:
    assert read(tmp_path, above + table()) == EXPECTED
    assert "above the table are left out" in notes(tmp_path, above + table())
    assert read(tmp_path, above + table(), target="y") == EXPECTED


def test_lines_skipped_by_hand(tmp_path: Path) -> None:
    text = "x,y,z\n1,2,3\n" + table()
    assert read(tmp_path, text, skip=2, header=True) == EXPECTED


def test_separators_at_the_ends_of_lines(tmp_path: Path) -> None:
    text = "".join(line + ",\n" for line in table().splitlines())
    assert read(tmp_path, text) == EXPECTED
    assert "end in a separator" in notes(tmp_path, text)
    head, *body = table().splitlines()
    assert read(tmp_path, "\n".join([head, *(line + "," for line in body)])) == EXPECTED


def test_a_value_far_down_in_the_column_behind_the_last_separator(tmp_path: Path) -> None:
    body = ["a,b,", *[f"{i},{i / 7:.3f}," for i in range(5000)], "1,2,late"]
    result = read(tmp_path, "\n".join(body) + "\n")
    assert result[0] == ["a", "b", "column_2"]
    assert result[-1] == ["1", "2", "late"]


def test_columns_without_a_name_and_names_given_twice(tmp_path: Path) -> None:
    text = ",x,x,y,x_2\n0,1,2,a,5\n1,3,4,b,5\n"
    assert read(tmp_path, text)[0] == ["column_0", "x", "x_3", "y", "x_2"]
    answer = notes(tmp_path, text)
    assert "1 column without a name is called column_0" in answer
    assert "1 column with a repeated name is called x_3" in answer


def test_a_header_with_one_name_less_as_r_writes_it(tmp_path: Path) -> None:
    text = '"mpg","cyl"\n"Mazda RX4",21,6\n"Datsun 710",22.8,4\n"Valiant",18.1,6\n'
    assert read(tmp_path, text)[0] == ["column_0", "mpg", "cyl"]
    assert "one name less" in notes(tmp_path, text)
    with pytest.raises(DataError, match="2 names, the rows 3 cells"):
        read(tmp_path, "price,sold\n1,5,3\n2,5,4\n1,5,9\n")  # a decimal comma, not quoted


def test_blank_lines_and_repeated_headers_are_left_out(tmp_path: Path) -> None:
    head, *body = table().splitlines()
    text = "\n".join(["", head, body[0], "", ",,", body[1], head, body[2], "", ""])
    assert read(tmp_path, text) == EXPECTED
    assert "blank lines left out" in notes(tmp_path, text)
    assert "repeat" in notes(tmp_path, text)


@pytest.mark.parametrize(
    "below", ["\nSource: the office\n", "Source: the office\n", "\n\nNote 1\nNote 2\n"]
)
def test_notes_below_the_table_are_left_out(tmp_path: Path, below: str) -> None:
    assert read(tmp_path, table() + below) == EXPECTED
    assert "below the table left out" in notes(tmp_path, table() + below)


def test_totals_and_padded_notes_are_kept_and_said(tmp_path: Path) -> None:
    text = table() + "Total,3,\n"
    assert read(tmp_path, text) == [*EXPECTED, ["Total", "3", ""]]
    assert "looks like a total" in notes(tmp_path, text)
    assert read(tmp_path, text, footer=1) == EXPECTED
    text = table() + ",,\nAll from the office,,\n"
    assert "a first cell alone, as in line 6" in notes(tmp_path, text)


def test_headers_of_two_lines(tmp_path: Path) -> None:
    body = "7.1,5.6,7.3,5.5\n7.2,4.7,7.5,4.8\n"
    joined = read(tmp_path, "north,,south,\nX,Y,X,Y\n" + body)
    assert joined[0] == ["north X", "north Y", "south X", "south Y"]
    last = "time,speed,mass,size\ns,m/s,kg,m\n"
    assert read(tmp_path, last + body)[0] == ["s", "m/s", "kg", "m"]
    assert "2 header lines" in notes(tmp_path, last + body)
    assert read(tmp_path, last + body, target="mass")[0] == ["time", "speed", "mass", "size"]
    assert len(read(tmp_path, last + body, target="mass")) == 3
    assert read(tmp_path, last + body, header_lines=1)[1] == ["s", "m/s", "kg", "m"]


def test_headers_of_numbers(tmp_path: Path) -> None:
    text = "country,1990,1991,1992\nA,1.5,2.5,3.5\nB,4.5,5.5,6.5\n"
    with pytest.raises(DataError, match="--no-header"):
        read(tmp_path, text)
    assert read(tmp_path, text, target="1991")[0] == ["country", "1990", "1991", "1992"]
    assert read(tmp_path, text, header=True)[0] == ["country", "1990", "1991", "1992"]
    assert len(read(tmp_path, text, header=False)) == 4


def test_tables_of_text(tmp_path: Path) -> None:
    text = "name,town\nAnn,Ulm\nBob,Kiel\nCid,Ulm\n"
    assert read(tmp_path, text)[0] == ["name", "town"]
    with pytest.raises(DataError, match="--no-header"):
        read(tmp_path, "a,b\nc,b\na,d\n")
    assert read(tmp_path, "a,b\nc,b\na,d\n", header=False)[0] == ["column_0", "column_1"]
    codes = "AB-1,x\nAB-2,y\nCD-3,x\nEF-4,y\n"
    assert read(tmp_path, codes)[0] == ["column_0", "column_1"]


def test_lines_of_values_are_no_header(tmp_path: Path) -> None:
    assert read(tmp_path, table(rows=ROWS[1:]))[0] == ["column_0", "column_1", "column_2"]
    assert "column_0" in notes(tmp_path, table(rows=ROWS[1:]))


def test_the_word_of_the_target_in_a_row_makes_no_header_of_it(tmp_path: Path) -> None:
    text = "Age,Bought\n31,no\n45,bought\n28,no\n"
    assert read(tmp_path, text, target="bought")[0] == ["Age", "Bought"]


def test_a_quoted_column_that_always_holds_a_comma(tmp_path: Path) -> None:
    rows = "".join(f'{i},"Doe, Mr. John {i}",{i % 2}\n' for i in range(30))
    result = read(tmp_path, "id,name,y\n" + rows)
    assert result[0] == ["id", "name", "y"]
    assert result[3] == ["2", "Doe, Mr. John 2", "0"]


def test_quotes_doubled_escaped_single_and_spaced(tmp_path: Path) -> None:
    expected = [["a", "b", "y"], ["1", 'x, "y"\nz', "k"], ["2", "w", "l"], ["3", "v, u", "k"]]
    doubled = 'a,b,y\n1,"x, ""y""\nz",k\n2,w,l\n3,"v, u",k\n'
    assert read(tmp_path, doubled) == expected
    escaped = 'a,b,y\n1,"x, \\"y\\"\nz",k\n2,w,l\n3,"v, u",k\n'
    assert read(tmp_path, escaped) == expected
    assert read(tmp_path, escaped, escape="\\") == expected
    single = "a,b,y\n1,'x, \"y\"\nz','k'\n2,'w','l'\n3,'v, u','k'\n"
    assert read(tmp_path, single) == expected
    spaced = 'a, b, y\n1, "x, ""y""\nz", k\n2, w, l\n3, "v, u", k\n'
    assert read(tmp_path, spaced) == expected


def test_stray_quotes_are_ordinary_characters(tmp_path: Path) -> None:
    rows = [("ham", 'he said "no'), ("spam", '"win" now'), ("ham", "ok"), ("ham", "12")] * 5
    result = read(tmp_path, table("\t", rows), header=False)
    assert result[1:3] == [["ham", 'he said "no'], ["spam", '"win" now']]


def test_quotes_that_may_swallow_line_ends_are_asked_about(tmp_path: Path) -> None:
    text = 'a,b\n1,"x\n2,y"\n3,z\n4,w\n'
    with pytest.raises(DataError, match="--quote none"):
        read(tmp_path, text)
    assert read(tmp_path, text, quote="none")[1] == ["1", '"x']
    assert read(tmp_path, text, quote='"')[1] == ["1", "x\n2,y"]


@pytest.mark.parametrize("rows", [60, 3000])  # more lines than are looked at first
@pytest.mark.parametrize(
    ("before", "name", "words"),
    [
        ('"Bonn, Mitte"', '"Ulm', "a quoted cell begins and is closed in line 42"),
        ('"Bonn, Mitte"', '"Ulm"x', "characters follow a closing quote"),
        ("Bonn", '"Ulm', "a quoted cell begins and does not end"),
        ('"Bonn, Mitte"', '"two\nlines","Ulm', "a quoted cell begins and is closed in line 43"),
    ],
)
def test_a_quote_that_is_not_closed_is_named_by_the_line_in_which_it_opens(
    tmp_path: Path, rows: int, before: str, name: str, words: str
) -> None:
    """Not by a line whose quotes are right, nor by the one in which its row begins."""
    lines = [f"{i},{before},{i % 7}" for i in range(rows)]
    lines[39] = f"39,{name},4"
    with pytest.raises(DataError) as caught:
        read(tmp_path, "age,city,y\n" + "\n".join(lines) + "\n")
    opens = 41 + name.count("\n")
    assert str(caught.value).startswith(f"mine.csv: line {opens}: {words}"), str(caught.value)


@pytest.mark.parametrize("odd", ["\u2028", "\x85", "\x0b", "\x0c", "\x1c"])
def test_only_line_ends_end_a_line(tmp_path: Path, odd: str) -> None:
    rows = [*ROWS, ("50", f"St. {odd} Gallen", "b")]
    assert read(tmp_path, table(rows=rows)) == [list(row) for row in rows]


@pytest.mark.parametrize("before", ["", "\n", "\r\n"])
def test_the_end_of_file_mark_of_dos_is_no_cell(tmp_path: Path, before: str) -> None:
    assert read(tmp_path, table().rstrip("\n") + before + "\x1a") == EXPECTED
    rows = [*EXPECTED[:-1], [*EXPECTED[-1][:-1], "a\x1ab"]]  # within a cell it is a character
    assert read(tmp_path, "\n".join(map(",".join, rows)) + "\n") == rows


def test_old_and_mixed_line_ends(tmp_path: Path) -> None:
    assert read(tmp_path, table().replace("\n", "\r")) == EXPECTED
    assert read(tmp_path, table().replace("\n", "\r\n")) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
def test_marked_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    rows = [*ROWS, ("50", "Köln 東京", "b")]
    file = write(tmp_path / "a.csv", table(rows=rows), encoding)
    assert grid(make_canonical(file, tmp_path / "plain")) == [list(row) for row in rows]


def test_an_encoding_is_guessed_only_where_one_fits(tmp_path: Path) -> None:
    german = table(rows=[*ROWS, *[("40", "Köln Münster Düsseldorf", "a")] * 9])
    file = write(tmp_path / "a.csv", german, "cp1252")
    assert grid(make_canonical(file, tmp_path / "plain"))[-1][1] == "Köln Münster Düsseldorf"
    either = write(tmp_path / "c.csv", german.replace("Köln", "naïve"), "cp1252")
    with pytest.raises(DataError, match=r"cannot be determined.*naïve"):
        make_canonical(either, tmp_path / "plain")
    query = ReadingOptions(encoding="cp1252")
    assert "naïve" in grid(make_canonical(either, tmp_path / "plain", query))[-1][1]


def test_comment_lines_are_left_out_where_rows_begin(tmp_path: Path) -> None:
    text = '# made today\na,b\n1,"x\n# y"\n# 2,z\n3,"v, w"\n'
    assert read(tmp_path, text, comment="#")[1:] == [["1", "x\n# y"], ["3", "v, w"]]


def test_short_rows_are_refused_or_filled(tmp_path: Path) -> None:
    text = "a,b,c\n1,2,3\n4,5\n6\n7,8,9\n"
    with pytest.raises(DataError, match=r"line 3 has 2 fields, the table 3.*--pad"):
        read(tmp_path, text)
    assert read(tmp_path, text, pad=True)[2:4] == [["4", "5", ""], ["6", "", ""]]
    assert "2 short rows" in notes(tmp_path, text, pad=True)


def test_very_wide_files(tmp_path: Path) -> None:
    names = [f"c{i}" for i in range(5_000)]
    rows = [names, *[[str(i % 7) for i in range(5_000)] for _ in range(3)]]
    text = "".join(",".join(row) + "\n" for row in rows)
    assert read(tmp_path, text) == rows


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("a,b,y\n", "no rows"),
        ("one\ntwo\nthree\n", "no separator"),
        ("a,b\x00,y\n1,2,3\n", "NUL"),
        ("a,b,y\n1,2,3\n4,5,6\n7,8", r"line 4 has 2 fields.*cut"),
        ('a,b,y\n1,2,3\n4,5,"6\n7,8,9\n', r"line 3: a quoted cell begins.*cut"),
        ('a,b,y\n1,"2"x,3\n4,"5, 6",7\n', r"line 2: characters follow.*--quote none"),
        ("x,y\n1,2\n3,4\n5,6\n\nname,town,zip\nAnn,Ulm,3\nBob,Kiel,4\nCid,Ulm,5\n", r"line \d+"),
        ("x,y\n1,2\n3,4\n\nname,town\nAnn,Ulm\nBob,Kiel\n", r"line 5.*another table.*--skip 4"),
        ("Sales of 2024\n1,2\n3,4\n5,6\n", "--no-header"),
        ("a b,1;5\nc d,2;6\ne f,3;7\n", "--separator"),
    ],
)
def test_refusals_name_the_file_and_what_to_do(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError, match=words) as refused:
        read(tmp_path, text)
    assert "mine.csv" in str(refused.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Men,,Women,\n2001,2011,2001,2011\n12,13,14,15\n22,23,24,25\n", "--header-lines"),
        ("Region,2001,2011\nNorth,12,13\nSouth,14,15\n", "--header"),
        ("Region,2001\nNorth,12\nSouth,14\n", "--header"),
        ("1,5 2,5\n3,5 4,5\n5,5 6,5\n", "--separator"),
        ("value\n1,5\n2,5\n3,5\n", "--no-header"),
        ("2024-01-01 10:00:00 INFO up\n2024-01-01 10:00:01 WARN slow disk\n", "--separator"),
        ("POINT(1.5 2.5)\nPOINT(3.5 4.5)\nPOINT(5.5 6.5)\n", "--separator"),
        ("Ann,Ulm,red\nBob,Kiel,blue\nCid,Ulm,red\n", "--no-header"),
    ],
)
def test_what_seems_a_table_and_may_be_another_is_asked_about(
    tmp_path: Path, text: str, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        read(tmp_path, text)


def test_lines_drawn_below_a_header_are_left_out(tmp_path: Path) -> None:
    head, *body = table("|").splitlines()
    assert read(tmp_path, "\n".join([head, "---|:---|:-:", *body])) == EXPECTED


def test_a_line_far_down_that_does_not_fit_is_named(tmp_path: Path) -> None:
    body = "".join(f"{i},{i * 2}\n" for i in range(30_000))
    with pytest.raises(DataError, match="line 30002 has 3 fields"):
        read(tmp_path, "a,b\n" + body + "1,2,3\n" + body)
    with pytest.raises(DataError, match="line 30002: a quoted cell begins"):
        read(tmp_path, "a,b\n" + body + '1,"2\n' + body)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"separator": "ab"}, "--separator"),
        ({"quote": "x"}, "--quote"),
        ({"escape": ",,"}, "--escape"),
        ({"separator": ";", "comment": ";"}, "--comment"),
        ({"skip": -1}, "--skip"),
        ({"encoding": "klingon"}, "no such encoding"),
        ({"header": False, "header_lines": 2}, "contradict"),
        ({"sheet": "x"}, "--sheet"),
    ],
)
def test_impossible_options_are_refused(
    tmp_path: Path, options: dict[str, object], words: str
) -> None:
    with pytest.raises(ParameterError, match=words):
        read(tmp_path, table(), **options)


def test_real_files(real_data: Path, tmp_path: Path) -> None:
    ames = real_data / "ames_housing" / "AmesHousing.txt"
    assert make_canonical(ames, tmp_path, target="SalePrice").path == ames
    spam = make_canonical(real_data / "sms_spam" / "SMSSpamCollection", tmp_path, target="column_0")
    assert scan(spam.path, spam.form).collect().shape == (5574, 2)
    adult = make_canonical(real_data / "adult" / "adult.test", tmp_path, target="column_14")
    assert scan(adult.path, adult.form).collect().shape == (16281, 15)


@pytest.mark.parametrize("piece", ["x", "7", "word ", "a sentence, with commas. ", "l'été; "])
def test_a_cell_of_many_characters_costs_no_more_than_its_length(
    tmp_path: Path, piece: str
) -> None:
    cell = (piece * 200_000)[:200_000].strip()
    rows = [["id", "text", "y"], ["1", cell, "a"], ["2", "Ulm", "b"], ["3", "Kiel, x", "a"]]
    text = "".join(",".join(f'"{c}"' for c in row) + "\n" for row in rows)
    assert read(tmp_path, text) == rows


def long_rows(count: int, documents: list[str]) -> list[tuple[str, ...]]:
    short = [(str(i), "some" + ", words" * (i % 3), f"note {i}", "ab"[i % 2]) for i in range(count)]
    return [("id", "a", "text", "y"), *short, *[("7", "x", d, "a") for d in documents], *short]


WORDS = st.lists(
    st.sampled_from(["if", "the", "x,", "a,b,", "say", '"so"', "end.", "f(a, b);", "e.g.", "你好"]),
    max_size=12,
).map(" ".join)
PROGRAMS = [Path(module.__file__).read_text(encoding="utf-8") for module in (csv, gzip, tempfile)]
DOCUMENTS = {
    "prose": st.lists(WORDS, min_size=2, max_size=300).map("\n".join),
    "a poem": st.just("\n".join(["a poem, of lines"] * 200)),
    "programs": st.sampled_from(PROGRAMS),
    "pieces of programs": st.tuples(
        st.sampled_from(PROGRAMS), st.integers(0, 9000), st.integers(10, 9000)
    ).map(lambda cut: cut[0][cut[1] : cut[1] + cut[2]]),
}


@pytest.mark.parametrize("kind", DOCUMENTS)
@settings(max_examples=15, deadline=None)
@given(data=st.data(), separator=st.sampled_from([",", "\t"]), before=st.integers(60, 90))
def test_documents_of_many_lines_are_cells(
    kind: str, data: st.DataObject, separator: str, before: int
) -> None:
    documents = data.draw(st.lists(DOCUMENTS[kind].filter(str.strip), min_size=1, max_size=4))
    rows = long_rows(before, documents)
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    with tempfile.TemporaryDirectory() as folder:
        assert read(Path(folder), out.getvalue(), target="y") == [list(row) for row in rows]


@pytest.mark.parametrize("between", [8, 30, 700, 5000])  # lines; the first 2,000 are looked at
@pytest.mark.parametrize("before", [5, 3000])
def test_rows_that_two_stray_quotes_swallow_are_refused(
    tmp_path: Path, between: int, before: int
) -> None:
    rows = [f"{i},word {i},note {i},{'ab'[i % 2]}" for i in range(before + between + 50)]
    rows[before] = f'{before},"24 inches,note,a'
    rows[before + between + 1] = f'{before},24",note,b'
    text = "id,a,text,y\n" + "\n".join(rows) + "\n"
    expected = [line.split(",") for line in text.splitlines()]
    try:
        assert read(tmp_path, text, target="y") == expected
    except DataError as error:
        words = str(error)
        assert f"line {before + 2}:" in words and "look like rows" in words, words
        assert "--quote none" in words
    assert read(tmp_path, text, target="y", quote="none") == expected
    kept = read(tmp_path, text, target="y", quote='"')  # whoever says so means it
    assert len(kept) == len(expected) - between - 1
