"""JSON documents of a run."""

from pathlib import Path

import pytest

from aftune.common.errors import DataError
from aftune.common.json_text import read_json, write_json


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    assert read_json(path, missing=[]) == []
    write_json(path, {"a": [1, "é"]})
    assert read_json(path) == {"a": [1, "é"]}
    assert read_json(path, object_hook=lambda values: list(values)) == ["a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"a": ', r"a\.json: not valid JSON at line 1, column 7; put back the file that was written, or make it again"),
        (b"\xff", r"a\.json: not UTF-8 text; put back"),
        (b"[" * 100_000, r"a\.json: JSON that is nested too deeply; put back"),
    ],
)
def test_a_damaged_document_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        read_json(path)
