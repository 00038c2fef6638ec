"""Progress in a file: what another terminal reads of it, how seldom it is written, and that work never ends for its sake."""

import json
import time
from pathlib import Path

import pytest

from aftune.common import progress_record
from aftune.common.progress import progress_bar
from aftune.common.progress_record import Record, read_record, recording


def test_a_bar_is_recorded_within_the_block_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.json"
    monkeypatch.setattr(progress_record, "_EVERY", 0.0)
    with progress_bar("before", 5, "steps") as update:
        update(1)
        assert not path.exists()
    with recording(path, "sft"):
        record = read_record(path)
        assert record is not None
        assert (record.stage, record.total) == ("sft", 0)
        with progress_bar("sft", 10, "steps", 2) as update:
            update(7)
            record = read_record(path)
            assert record is not None
            assert (record.stage, record.title, record.unit) == ("sft", "sft", "steps")
            assert (record.first, record.done, record.total) == (2, 7, 10)
    assert not path.exists()
    with progress_bar("after", 5, "steps") as update:
        update(1)
    assert list(tmp_path.iterdir()) == []


def test_it_stays_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "progress.json"
    with pytest.raises(ValueError, match="broken"), recording(path, "align"), progress_bar("align", 4, "steps"):
        raise ValueError("broken")
    record = read_record(path)
    assert record is not None
    assert (record.stage, record.total) == ("align", 4)


def test_it_is_written_every_two_seconds_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand updates over 5 s: the beginning of the block and of the bar, and what comes after 2 and 4 s."""
    now, written = [100.0], []
    monkeypatch.setattr(progress_record.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(progress_record, "_write", lambda path, record: written.append(record.done))
    with recording(tmp_path / "progress.json", "sample"), progress_record.recorded("sample", 1000, "candidates", 0) as note:
        for count in range(1, 1001):
            now[0] = 100 + count / 200
            note(count)
    assert written == [0, 0, 400, 800]


def test_the_time_left_goes_on_at_the_rate_so_far() -> None:
    """30 done of 40 to do in 60 s: the other 10 take 20 s, of which 5 have passed since."""
    now = time.time()
    record = Record("sample", now - 65, now - 5, "sample", "candidates", first=10, done=40, total=50)
    assert record.left == pytest.approx(15, abs=0.5)
    assert Record("sample", now, now, "sample", "candidates", 10, 10, 50).left is None
    assert Record("sample", now - 900, now - 800, "sample", "candidates", 0, 40, 50).left == 0
    assert Record("sample", now - 2, now, "sample", "candidates", 0, 1, 200).left is None  # too soon to tell


def test_a_bar_within_another_is_a_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Validation within the steps of training: the steps stay what is told, and the part goes when it ends, also by an error."""
    path = tmp_path / "progress.json"
    monkeypatch.setattr(progress_record, "_EVERY", 0.0)

    def told() -> tuple[str, int, str]:
        record = read_record(path)
        assert record is not None
        return record.title, record.done, record.part

    def train() -> None:
        with recording(path, "sft"), progress_bar("sft", 72, "steps") as update:
            update(18)
            with progress_bar("validation", 12, "problems") as validated:
                assert told() == ("sft", 18, "validation: 0 of 12 problems")
                validated(4)
                assert told() == ("sft", 18, "validation: 4 of 12 problems")
            assert told() == ("sft", 18, "")
            update(19)
            with progress_bar("validation", 12, "problems"):
                raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        train()
    assert told() == ("sft", 19, "")


def test_work_goes_on_where_nothing_can_be_written(tmp_path: Path) -> None:
    with recording(tmp_path / "no" / "such" / "progress.json", "sft"), progress_bar("sft", 3, "steps") as update:
        update(3)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["", "[]", "{", '{"stage": "sft"}', json.dumps({"stage": "sft", "of": "another aftune"})])
def test_what_is_no_record_is_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "progress.json"
    path.write_text(text)
    assert read_record(path) is None
    assert read_record(tmp_path / "missing.json") is None
