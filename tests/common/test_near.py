"""A path that may have been meant."""

from pathlib import Path

import pytest

from aftune.common.errors import DataError
from aftune.common.near import near
from aftune.common.text_files import text_lines


def test_the_nearest_name_in_the_same_folder(tmp_path: Path) -> None:
    for name in ("questions.csv", "notes.txt"):
        (tmp_path / name).touch()
    assert near(tmp_path / "qestions.csv") == f"did you mean '{tmp_path / 'questions.csv'}'?"
    assert near(tmp_path / "recipe.yaml") == ""
    assert near(tmp_path / "nowhere" / "questions.csv") == ""


def test_a_file_that_is_not_there_names_one_that_is(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").touch()
    with pytest.raises(DataError, match=r"owm\.jsonl: no such file; did you mean '.*own\.jsonl'\?"):
        list(text_lines(tmp_path / "owm.jsonl"))
    with pytest.raises(DataError, match=r"other\.csv: no such file; check the path; where a run writes it, run that stage"):
        list(text_lines(tmp_path / "other.csv"))
