"""Text files: bad lines are named, whole files are written or none."""

import math
import os
from pathlib import Path
from typing import Any

import pytest

from aftune.common.data_files import read_rows
from aftune.common.errors import DataError
from aftune.common.json_text import write_json
from aftune.common.text_files import drop_partial_line, text_lines, write_lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": 1}\n{"a": \n', r"f\.jsonl:2: not valid JSON at column 7; "),
        (b'{"a": 1}\n\n{"a": "unfin', r"f\.jsonl:3: not valid JSON at column \d+, the line is cut off"),
        (b"nonsense\n", r"f\.jsonl:1: not valid JSON at column 1; "),
        (b'{"a": 1}\n{"a": 2}\n{"a": "\xff"}\n{"a": 4}\n', r"f\.jsonl:3: not UTF-8 text"),
        (b'{"a": "\xe9"}\n', r"f\.jsonl:1: not UTF-8 text"),
    ],
)
def test_bad_lines_are_named(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        list(read_rows(path))


def test_bad_byte_far_down_a_large_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    lines = [b'{"n": %d}\n' % n for n in range(20_000)]
    lines[12_344] = b'{"n": "\xff"}\n'
    path.write_bytes(b"".join(lines))
    with pytest.raises(DataError, match=r"f\.jsonl:12345: not UTF-8 text"):
        list(read_rows(path))


def test_lines_before_a_bad_one_are_read_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"a": 1}\r\n   \n[2]\n{')
    seen = []
    with pytest.raises(DataError):
        seen.extend(read_rows(path))
    lines = iter(read_rows(path))
    assert [next(lines), next(lines)] == [(f"{path}:1", {"a": 1}), (f"{path}:3", [2])]


def test_old_file_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    write_lines(path, ["old"])

    def breaks_off():
        yield "new"
        raise OSError("No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_lines(path, breaks_off())
    assert path.read_text() == "old\n"
    write_lines(path, ["new", "é"])
    assert path.read_bytes() == "new\né\n".encode()
    assert os.listdir(tmp_path) == ["f.jsonl"]


def test_old_file_stays_when_the_process_ends_before_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f.json"
    write_json(path, {"a": 1})

    def dies(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", dies)
    with pytest.raises(KeyboardInterrupt):
        write_json(path, {"a": 2})
    assert path.read_text() == '{\n  "a": 1\n}\n'


def test_json_without_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "f.json", {"a": math.nan})
    assert not (tmp_path / "f.json").exists()


def test_partial_line_is_dropped_at_any_cut(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    whole = '{"a": 1}\n{"é": "日本"}\n{"b": 2}\n'.encode()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        drop_partial_line(path)
        assert path.read_bytes() == b"".join(line for line in whole[:cut].splitlines(keepends=True) if line.endswith(b"\n"))
    drop_partial_line(tmp_path / "nowhere.jsonl")
    assert not (tmp_path / "nowhere.jsonl").exists()


@pytest.mark.parametrize("length", [1, 2**16 - 1, 2**16, 2**16 + 1, 200_000])
def test_partial_line_of_any_length_is_dropped(tmp_path: Path, length: int) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b"first\n" + b"x" * length)
    drop_partial_line(path)
    assert path.read_bytes() == b"first\n"
    path.write_bytes(b"x" * length)
    drop_partial_line(path)
    assert path.read_bytes() == b""


def test_a_line_without_end_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ten bytes at most, here; the newline counts."""
    monkeypatch.setattr("aftune.common.text_files._LONGEST", 10)
    path = tmp_path / "f.txt"
    path.write_text("123456789\n123456789\n")
    assert len(list(text_lines(path))) == 2
    path.write_text("123456789\n" + 1000 * "x")
    with pytest.raises(DataError, match=r"f\.txt:2: a line of more than 10 bytes; is this the right file\?"):
        list(text_lines(path))
