"""Sequences and look-ups over files of records that are not held in memory."""

import pickle
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

from aftune.common.errors import DataError, RepeatedIdError
from aftune.records import Candidate, Feedback, Problem, read_records, write_records
from aftune.records.large_files import CandidateFile, RecordFile

PROBLEMS = [Problem(id=f"p{n}", task="t", question="é日本\u2028 " + "x" * (37 * n % 300), gold_answer=str(n)) for n in range(100)]


@pytest.fixture
def problems(tmp_path: Path) -> RecordFile[Problem]:
    write_records(tmp_path / "f.jsonl", PROBLEMS)
    return RecordFile(tmp_path / "f.jsonl", Problem)


def line(n: int) -> bytes:
    return f'{{"id": "é{n}", "task": "t", "question": "q", "gold_answer": "{n}"}}'.encode()


def test_is_the_list_of_its_records(problems: RecordFile[Problem]) -> None:
    assert len(problems) == 100
    assert list(problems) == PROBLEMS
    assert [problems[place] for place in (99, 0, 50, -1, -100)] == [PROBLEMS[place] for place in (99, 0, 50, -1, -100)]
    assert problems[10:20] == PROBLEMS[10:20]
    assert problems[95:200:3] == PROBLEMS[95::3]
    assert list(reversed(problems)) == PROBLEMS[::-1]
    for place in (100, -101):
        with pytest.raises(IndexError):
            problems[place]


def test_several_readers_at_once(problems: RecordFile[Problem]) -> None:
    assert [(a, b, problems[-1]) for a, b in zip(problems, problems, strict=True)] == [(p, p, PROBLEMS[-1]) for p in PROBLEMS]


def test_survives_pickling(problems: RecordFile[Problem]) -> None:
    assert list(pickle.loads(pickle.dumps(problems))) == PROBLEMS


def _read_back(problems: RecordFile[Problem], places: list[int]) -> list[str]:
    return [problems[place].id for place in places]


def test_processes_that_share_it_do_not_disturb_each_other(problems: RecordFile[Problem]) -> None:
    with get_context("fork").Pool(2) as pool:
        orders = [list(range(100)), list(range(99, -1, -1))] * 10
        answers = pool.starmap(_read_back, [(problems, order) for order in orders])
    assert answers == [[f"p{place}" for place in order] for order in orders]


def _same(items: list[Any]) -> list[Any]:
    return items


def test_workers_of_a_loader_read_it(problems: RecordFile[Problem]) -> None:
    loader = DataLoader(problems, batch_size=7, num_workers=2, collate_fn=_same)  # type: ignore[arg-type]
    assert [problem for batch in loader for problem in batch] == PROBLEMS


@pytest.mark.parametrize(
    "content",
    [
        line(0) + b"\n" + line(1) + b"\n" + line(2) + b"\n",
        line(0) + b"\n" + line(1) + b"\n" + line(2),
        line(0) + b"\r\n" + line(1) + b"\r\n" + line(2) + b"\r\n",
        b"\n  \n" + line(0) + b"\n\n\r\n" + line(1) + "\n\u00a0\u2003\n".encode() + line(2) + b"\n \n\n",
        b"  " + line(0) + b"  \n\t" + line(1) + b"\n" + line(2) + b"\n\n",
    ],
)
def test_line_ends_and_blank_lines_are_those_of_reading_all(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(content)
    problems = RecordFile(path, Problem)
    assert [problems[place].gold_answer for place in range(len(problems))] == ["0", "1", "2"]
    assert list(problems) == read_records(path, Problem) == problems[:]


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (b'{"id":', r"f\.jsonl:4: not valid JSON at column 7; correct or remove this line"),
        (b'{"id": "a", "task": "t", "question": "q"}', r"f\.jsonl:4: key 'Problem\.gold_answer' is missing; add it"),
        (b"[1]", r"f\.jsonl:4: Problem is \[.*\]: input should be a valid dictionary"),
    ],
)
def test_a_bad_line_is_named_when_it_is_asked_for(tmp_path: Path, bad: bytes, message: str) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(line(0) + b"\n\n" + line(1) + b"\n" + bad + b"\n" + line(2) + b"\n")
    problems = RecordFile(path, Problem)
    assert [problems[place].gold_answer for place in (0, 1, 3)] == ["0", "1", "2"]
    for ask in (lambda: problems[2], lambda: problems[1:], lambda: list(problems), lambda: read_records(path, Problem)):
        with pytest.raises(DataError, match=message):
            ask()


def test_half_a_surrogate_pair_is_named_by_line(tmp_path: Path) -> None:
    """As Python's json module writes it; no file could hold it as UTF-8 again."""
    path = tmp_path / "f.jsonl"
    path.write_text('{"quality": 0, "reason": "\\ud83d\\ude00"}\n{"quality": 1, "reason": "\\uD800"}\n')
    file = RecordFile(path, Feedback)
    assert file[0].reason == "\U0001f600"
    with pytest.raises(DataError, match=r"f\.jsonl:2: \\ud800 is half of a surrogate pair"):
        _ = file[1]


@pytest.mark.parametrize(("kind", "open_file"), [("Problem", lambda path: RecordFile(path, Problem)), ("Candidate", CandidateFile)])
def test_files_without_records_are_errors(tmp_path: Path, kind: str, open_file: Callable[[Path], object]) -> None:
    path = tmp_path / "f.jsonl"
    with pytest.raises(DataError, match=r"f\.jsonl: no such file"):
        open_file(path)
    for content in (b"", b"\n  \r\n"):
        path.write_bytes(content)
        with pytest.raises(DataError, match=rf"f\.jsonl: the file is empty, expected one {kind} per line"):
            open_file(path)
    path.write_bytes(b"{}\n\xff\n" if kind == "Problem" else b'{"problem_id": "a"}\n\xff\n')
    with pytest.raises(DataError, match=r"f\.jsonl:2: not UTF-8 text"):
        open_file(path)


def candidates(path: Path, owners: str) -> CandidateFile:
    """A file with a candidate for each letter of `owners`, its index the place in the file."""
    write_records(path, [Candidate(problem_id=owner, index=place, text="t") for place, owner in enumerate(owners)])
    return CandidateFile(path)


def places(found: list[Candidate]) -> str:
    return " ".join(f"{one.problem_id}{one.index}" for one in found)


def test_candidates_of_a_problem_wherever_they_stand(tmp_path: Path) -> None:
    file = candidates(tmp_path / "c.jsonl", "bbaacabb")
    assert len(file) == 8
    assert places(file.take("a")) == "a2 a3 a5"
    assert places(file.take("b")) == "b0 b1 b6 b7"
    assert file.take("d") == []
    with pytest.raises(RepeatedIdError, match=r"c\.jsonl: two problems have the id 'a'"):
        file.take("a")
    assert [places(found) for found in file.rest()] == ["c4"]
    assert list(file.rest()) == []


def test_the_rest_stands_in_the_order_of_first_appearance(tmp_path: Path) -> None:
    file = candidates(tmp_path / "c.jsonl", "dabacbdx")
    assert places(file.take("a")) == "a1 a3"
    assert [places(found) for found in file.rest()] == ["d0 d6", "b2 b5", "c4", "x7"]


def test_ids_of_one_hash_stay_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aftune.records.large_files.hash", lambda text: 7, raising=False)
    file = candidates(tmp_path / "c.jsonl", "abbac")
    assert places(file.take("b")) == "b1 b2"
    assert file.take("x") == []
    assert [places(found) for found in file.rest()] == ["a0 a3", "c4"]


def test_a_bad_candidate_among_good_ones_is_named(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_text('{"problem_id":"a","index":0,"text":"t"}\n\n{"problem_id":"a","index":0,"text":7}\n')
    file = CandidateFile(path)
    with pytest.raises(DataError, match=r"c\.jsonl:3: Candidate\.text is 7: input should be a valid string"):
        file.take("a")
