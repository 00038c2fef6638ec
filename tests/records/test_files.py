"""Records and their files."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from aftune.common.errors import DataError
from aftune.records import (
    Candidate,
    Feedback,
    Group,
    Problem,
    iter_records,
    parse_record,
    read_records,
    write_records,
)

TEXT = st.text(max_size=30)
SOME_TEXT = st.text(min_size=1, max_size=30)
JSON = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT | st.none(),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(TEXT, children, max_size=3),
    max_leaves=5,
)
PROBLEMS = st.builds(
    Problem,
    id=SOME_TEXT,
    task=TEXT,
    question=SOME_TEXT,
    gold_answer=SOME_TEXT,
    rationale=st.none() | TEXT,
    options=st.none() | st.lists(TEXT, max_size=3),
    metadata=st.dictionaries(TEXT, JSON, max_size=3),
)
CANDIDATES = st.builds(
    Candidate,
    problem_id=TEXT,
    index=st.integers(0, 100),
    text=TEXT,
    token_ids=st.none() | st.lists(st.integers(0, 2**31), max_size=5),
    finish_reason=st.sampled_from(["stop", "length"]),
    seed=st.none() | st.integers(0, 2**63 - 1),
    settings=st.dictionaries(TEXT, JSON, max_size=3),
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
FEEDBACK = st.builds(Feedback, answer=st.none() | TEXT, quality=FINITE, reason=TEXT, rank=st.none() | FINITE)
GROUPS = st.lists(st.tuples(CANDIDATES, FEEDBACK), max_size=4).flatmap(
    lambda pairs: st.builds(
        Group, problem=PROBLEMS, candidates=st.just([c for c, _ in pairs]), feedback=st.just([f for _, f in pairs])
    )
)


@pytest.mark.parametrize(
    ("kind", "strategy"), [(Problem, PROBLEMS), (Candidate, CANDIDATES), (Feedback, FEEDBACK), (Group, GROUPS)]
)
def test_round_trip(kind: Any, strategy: Any, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("records") / "records.jsonl"

    @given(st.lists(strategy, min_size=1, max_size=3))
    def run(records: list[Any]) -> None:
        write_records(path, records)
        assert read_records(path, kind) == records
        assert len(path.read_bytes().splitlines()) == len(records)  # one line each, whatever separators the texts hold

    run()


def problem(**changes: Any) -> dict[str, Any]:
    return {"schema_version": 1, "id": "a", "task": "t", "question": "q", "gold_answer": "1", **changes}


def test_schema_version_is_written_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    write_records(path, [Problem(id="a", task="t", question="q", gold_answer="1")])
    assert path.read_text() == '{"schema_version":1,"id":"a","task":"t","question":"q","gold_answer":"1","metadata":{}}\n'
    path.write_text(path.read_text() + path.read_text().replace('"schema_version":1', '"schema_version":2'))
    with pytest.raises(DataError, match=r"problems\.jsonl:2: Problem\.schema_version is 2: input should be 1"):
        read_records(path, Problem)


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (Problem, problem(colour="red"), r"x:1: unknown key 'Problem\.colour'; allowed here: gold_answer, id, "),
        (Problem, problem(question=""), r"x:1: Problem\.question is '': string should have at least 1 character"),
        (Problem, {"id": "a", "task": "t", "question": "q"}, r"x:1: key 'Problem\.gold_answer' is missing; add it"),
        (Problem, [1, 2], r"x:1: Problem is \[.*\]: input should be a valid dictionary"),
        (
            Candidate,
            {"problem_id": "a", "index": -1, "text": ""},
            r"x:1: Candidate\.index is -1: input should be greater",
        ),
        (
            Candidate,
            {"problem_id": "a", "index": 0, "text": "", "finish_reason": "eos"},
            r"Candidate\.finish_reason is 'eos': .*'stop' or 'length'",
        ),
        (Feedback, {"quality": math.nan, "reason": ""}, r"quality is nan, expected a finite number"),
        (Feedback, {"quality": math.inf, "reason": ""}, r"quality is inf, expected a finite number"),
        (Feedback, {"quality": 1, "reason": "", "rank": -math.inf}, r"rank is -inf, expected a finite number"),
        (
            Group,
            {"problem": problem(), "candidates": [{"problem_id": "a", "index": 0, "text": "t"}], "feedback": []},
            r"1 candidate, but feedback for 0",
        ),
    ],
)
def test_what_does_not_fit_is_named(kind: Any, value: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse_record(value, kind, "x:1")


def test_nan_in_a_file_is_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    path.write_text('{"quality": 1, "reason": ""}\n\n{"quality": NaN, "reason": ""}\n')
    with pytest.raises(DataError, match=r"feedback\.jsonl:3: .*quality is nan"):
        read_records(path, Feedback)


def test_quality_that_is_not_finite_cannot_be_made() -> None:
    with pytest.raises(ValidationError, match="finite"):
        Feedback(quality=math.nan, reason="")


@pytest.mark.parametrize("content", ["", "\n  \n"])
def test_empty_file_is_an_error(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=r"f\.jsonl: the file is empty, expected one Problem per line"):
        read_records(path, Problem)


def test_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere\.jsonl: no such file"):
        read_records(tmp_path / "nowhere.jsonl", Problem)


def test_records_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"quality": 1, "reason": "a"}\n{"quality": 1}\n')
    records = iter_records(path, Feedback)
    assert next(records).reason == "a"
    with pytest.raises(DataError, match=r"f\.jsonl:2: key 'Feedback\.reason' is missing; add it"):
        next(records)


@pytest.mark.parametrize(
    ("qualities", "expected"), [([], False), ([1], False), ([1, 1], False), ([1, 0], True), ([0.2, 0.3, 0.2], True)]
)
def test_has_pairs(qualities: list[float], expected: Any) -> None:
    candidates = [Candidate(problem_id="a", index=n, text="") for n in range(len(qualities))]
    feedback = [Feedback(quality=quality, reason="") for quality in qualities]
    group = Group(problem=Problem(**problem()), candidates=candidates, feedback=feedback)
    assert group.has_pairs is expected
    assert group.qualities == qualities


def test_ranks_are_optional_in_files(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    path.write_text('{"quality": 1, "reason": "a"}\n{"quality": 0, "reason": "b", "rank": 0.25}\n')
    assert [feedback.rank for feedback in read_records(path, Feedback)] == [None, 0.25]
    write_records(path, read_records(path, Feedback))
    assert ['"rank"' in line for line in path.read_text().splitlines()] == [False, True]


def test_ranks_of_a_group() -> None:
    candidates = [Candidate(problem_id="a", index=5 + n, text="") for n in range(3)]
    feedback = [Feedback(quality=0, reason="", rank=rank) for rank in (0.5, 0.0, 2.0)]
    ranked = Group(problem=Problem(**problem()), candidates=candidates, feedback=feedback)
    assert ranked.ranks == [0.5, 0.0, 2.0]
    assert Group(problem=Problem(**problem()), candidates=[], feedback=[]).ranks == []
    feedback[1] = Feedback(quality=0, reason="")
    with pytest.raises(DataError, match=r"a: candidate 6 has no rank; label the candidates again .* or use binary feedback"):
        _ = Group(problem=Problem(**problem()), candidates=candidates, feedback=feedback).ranks


def test_free_fields_may_hold_nan_and_infinity(tmp_path: Path) -> None:
    """pydantic writes null for them unless told otherwise, and null is another value."""
    path = tmp_path / "c.jsonl"
    settings = {"nll": math.nan, "most": math.inf, "inner": [-math.inf, None]}
    write_records(path, [Candidate(problem_id="a", index=0, text="t", settings=settings)])
    [read] = read_records(path, Candidate)
    assert repr(read.settings) == repr(settings)


def test_messages_have_a_bounded_length() -> None:
    unknown = {"x" * 3000: 1} | {f"key{n}": n for n in range(50)}
    with pytest.raises(DataError, match=r"unknown key 'Problem\.x{92}\.\.\.'; .*; wrong too: 'Problem\.key") as caught:
        parse_record(problem(**unknown), Problem, "x:1")
    assert len(str(caught.value)) < 1000


def test_nesting_that_could_not_be_written_again(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    for depth in (50, 150, 190, 250):
        path.write_text(json.dumps(problem(metadata={"a": nested(depth)})) + "\n")
        if depth < 200:
            write_records(tmp_path / "again.jsonl", read_records(path, Problem))
        else:
            with pytest.raises(DataError, match=r"p\.jsonl:1: JSON that is nested more than 100 levels deep"):
                read_records(path, Problem)


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value
