"""People's own files: what is read, and what is said of the rest."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from aftune.common.data_files import read_rows, scan_rows
from aftune.common.errors import DataError

ROWS = [{"a": 1, "b": "x,y"}, {"a": 2, "b": "é\n"}]


def rows(path: Path) -> list[tuple[str, Any]]:
    return [(place.removeprefix(f"{path}:"), row) for place, row in scan_rows(path)]


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_and_line_ends(tmp_path: Path, mark: bytes, end: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(mark + "".join(json.dumps(row) + end for row in ROWS).encode())
    assert rows(path) == [("1", ROWS[0]), ("2", ROWS[1])]
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert rows(path) == [("1", ROWS[0]), ("2", ROWS[1])]


@pytest.mark.parametrize(("indent", "places"), [(None, ["1: record 1", "1: record 2"]), (1, ["2: record 1", "6: record 2"])])
def test_array(tmp_path: Path, indent: int | None, places: list[str]) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(json.dumps(ROWS, indent=indent))
    assert rows(path) == list(zip(places, ROWS, strict=True))
    path.write_text("[ ]\n")
    assert rows(path) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.csv", 'a,b\n1,"x,y"\n\n2,"é\n"\n3,\n'),
        ("f.jsonl", 'a;b\r\n1;x,y\r\n\r\n2;"é\n"\r\n3;\r\n'),
        ("f.tsv", 'a\tb\n1\tx,y\n\n2\t"é\n"\n3\t\n'),
    ],
)
def test_tables(tmp_path: Path, name: str, text: str) -> None:
    """Cells are texts, empty ones nothing; a row that has several lines stands where it begins."""
    path = tmp_path / name
    path.write_bytes(text.encode())
    expected = [("2", {"a": "1", "b": "x,y"}), ("4", {"a": "2", "b": "é\n"}), ("6", {"a": "3", "b": None})]
    assert rows(path) == expected


def test_a_table_of_one_column_is_one_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_text("question\n1 + 1?\n")
    assert rows(path) == [("2", {"question": "1 + 1?"})]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("q".encode("utf-16"), r"f\.jsonl: UTF-16 text, expected UTF-8 text; save the file as UTF-8"),
        ("q".encode("utf-32"), r"f\.jsonl: UTF-32 text, expected UTF-8 text; save the file as UTF-8"),
        (b'{"a": 1}\n' + '{"a": 2}'.encode("utf-16-le"), r"f\.jsonl:2: holds zero bytes, as UTF-16 text does"),
        (b"PK\x03\x04rest", r"f\.jsonl: a zip archive or an Excel workbook, expected UTF-8 text; unpack or convert it"),
        (b"PAR1rest", r"f\.jsonl: a Parquet file, expected UTF-8 text; unpack or convert it"),
        (b"\x1f\x8bbroken", r"f\.jsonl: not a complete gzip archive"),
        (b'{\n "a": 1\n}\n', r"f\.jsonl:1: an object that continues on the next line; write each object on its own line"),
        (b'[{"a": 1}, {"a": ]', r"f\.jsonl: not valid JSON at line 1, column 18, in record 2 of an array"),
        (b'[{"a": 1}\n{"a": 2}]', r"f\.jsonl:2: the array breaks off after record 1"),
        (b'[{"a": 1}', r"f\.jsonl:1: the array breaks off after record 1"),
        (b"[1]\n[2]", r"f\.jsonl:2: more follows the array; expected one array of objects, or one object per line"),
        (b"[" * 100_000, r"f\.jsonl: JSON that is nested too deeply, in record 1 of an array"),
        (b'[{"a": ' + b"9" * 5000 + b"}]", r"f\.jsonl: JSON with an integer of more than 4,300 digits, in record 1"),
        (b'{"a": ' + b"9" * 5000 + b"}", r"f\.jsonl:1: JSON with an integer of more than 4,300 digits; correct"),
        (b'{"a": ' + b"[" * 100_000, r"f\.jsonl:1: JSON that is nested too deeply; correct"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", r"f\.jsonl:1: JSON that is nested more than 100 levels deep; correct"),
        (b'[{"a": ' + b"[" * 100 + b"]" * 100 + b"}]", r"f\.jsonl:1: record 1: JSON that is nested more than 100 levels deep"),
        (b'{"a": "\\uDC00"}', r"f\.jsonl:1: \\udc00 is half of a surrogate pair"),
        (b'{"a": {"\\ud800": 1}}', r"f\.jsonl:1: \\ud800 is half of a surrogate pair"),
        (b'["\\uDC00"]', r"f\.jsonl:1: record 1: \\udc00 is half of a surrogate pair"),
        (b'question": "a, b", "answer": "c"}\n', r"f\.jsonl:1: not valid JSON at column 1"),
        (b"a,b\n1,2,3\n", r"f\.jsonl:2: 3 fields, expected 2 as in the first line \(a, b\)"),
        (b'a,b\n1,"2" 3\n', r"f\.jsonl:2: not valid CSV"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b, a\n1,2,3\n", r"f\.csv:1: 2 columns are called 'a'; give each a name of its own, or remove it"),
        ("a,,\n1,2,3\n", r"f\.csv:1: 2 columns have no name"),
        (f"{'a' * 2000},b\n1\n", r"f\.csv:2: 1 field, expected 2 as in the first line \(a{300}\.\.\.\)"),
    ],
)
def test_columns_that_a_row_cannot_have(tmp_path: Path, content: str, message: str) -> None:
    """Of two columns with one name, only the second would be left."""
    path = tmp_path / "f.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(path))


def test_json_that_is_wide_and_not_deep(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"a": [' + "[], " * 500 + '[]], "b": ' + "[" * 99 + "]" * 99 + "}\n")
    [(_, row)] = rows(path)
    assert len(row["a"]) == 501


def test_rows_after_a_bad_one_are_read(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_text('{"a": 1}\n{"a"\n{"a": 3}\n')
    assert [place if isinstance(row, DataError) else row["a"] for place, row in rows(path)] == [1, "2", 3]
    path.write_text('a,b\n1,2\n3\n"4"x,4\n5,6\n')
    assert [place if isinstance(row, DataError) else row["a"] for place, row in rows(path)] == ["1", "3", "4", "5"]
    path.write_text('[{"a": 1},\n{"a": "\\ud800"},\n{"a": 3}]')
    assert [place if isinstance(row, DataError) else row["a"] for place, row in rows(path)] == [1, "2: record 2", 3]
