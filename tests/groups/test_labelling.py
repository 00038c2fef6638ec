"""Groups from candidates: nothing disappears without being counted."""

import json
import random
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aftune.answers import Reading
from aftune.common.data_files import read_rows
from aftune.common.errors import DataError, RepeatedIdError, StageError
from aftune.groups.labelling import ContextCheck, label_files
from aftune.records import (
    PUBLISHED_VERDICT,
    Candidate,
    Feedback,
    Group,
    Problem,
    iter_records,
    read_records,
    write_records,
)
from aftune.tasks import Task
from aftune.tasks.arithmetic import Arithmetic

PROBLEMS = [Problem(id=f"p{n}", task="arithmetic", question="q", gold_answer=str(n)) for n in range(5)]


def candidate(problem: int, index: int, text: str, finish: str = "stop", **settings: object) -> Candidate:
    return Candidate(problem_id=f"p{problem}", index=index, text=text, finish_reason=finish, settings=settings)


CANDIDATES = [
    candidate(2, 0, "#### 9"),
    candidate(0, 0, "#### 0"),
    candidate(0, 1, "#### 7"),
    candidate(0, 2, " ####  0\n"),  # the first again, but for white space
    candidate(0, 3, "####0"),  # right too, and another text
    candidate(0, 4, "nothing"),
    candidate(0, 5, "#### 0", "length"),
    candidate(0, 6, "  \n"),
    candidate(1, 0, "#### 1"),
    candidate(9, 0, "#### 1"),
    candidate(3, 0, "", "length"),
    candidate(2, 1, "#### 0"),  # the same text as for another problem is no duplicate
]


@dataclass(frozen=True)
class Files:
    """What labelling wrote; disagreements: None where there is no such file."""

    groups: list[Group]
    left_out: list[Any]
    disagreements: list[Any] | None
    counts: dict[str, int]


Label = Callable[..., Files]


@pytest.fixture
def label(tmp_path: Path) -> Label:
    def run(
        candidates: Sequence[Candidate],
        reading: Reading = "strict",
        fits: ContextCheck = lambda problem: lambda candidate: True,
        problems: Sequence[Problem] = PROBLEMS,
    ) -> Files:
        write_records(tmp_path / "candidates.jsonl", candidates)
        folder = tmp_path / "label"
        counts = label_files(Arithmetic(), problems, tmp_path / "candidates.jsonl", folder, reading, fits)
        disagreements = folder / "disagreements.jsonl"
        assert {path.name for path in folder.iterdir()} - {disagreements.name} == {"groups.jsonl", "left_out.jsonl"}
        return Files(
            read_records(folder / "groups.jsonl", Group),
            [row for _, row in read_rows(folder / "left_out.jsonl")],
            [row for _, row in read_rows(disagreements)] if disagreements.exists() else None,
            counts,
        )

    return run


def test_groups_feedback_and_counts(label: Label) -> None:
    labelled = label(CANDIDATES)
    assert [group.problem.id for group in labelled.groups] == [f"p{n}" for n in range(5)]
    assert [[c.index for c in group.candidates] for group in labelled.groups] == [[0, 1, 3, 4], [0], [0, 1], [], []]
    assert [group.qualities for group in labelled.groups] == [[1, 0, 1, 0], [1], [0, 0], [], []]
    assert [f.reason for f in labelled.groups[0].feedback] == ["matched", "different", "matched", "no answer"]
    assert [f.answer for f in labelled.groups[0].feedback] == ["0", "7", "0", None]
    assert labelled.disagreements is None
    assert labelled.counts == {
        "candidates": 12,
        "right": 3,
        "wrong": 3,
        "no_answer": 1,
        "duplicate": 1,
        "truncated": 2,
        "empty": 1,
        "unknown_problem": 1,
        "right_strict": 4,  # with the duplicate; without what was cut off
        "right_flexible": 4,
        "readings_differ": 0,
        "groups_mixed": 1,
        "groups_with_rank_pairs": 2,  # p0, and p2: 0 is closer to 2 than 9
        "groups_all_right": 1,
        "groups_all_wrong": 1,
        "groups_empty": 2,
    }


def test_everything_left_out_is_listed_with_its_reason(label: Label) -> None:
    assert [(row["problem_id"], row["index"], row["reason"]) for row in label(CANDIDATES).left_out] == [
        ("p0", 2, "duplicate"),
        ("p0", 5, "truncated"),
        ("p0", 6, "empty"),
        ("p3", 0, "truncated"),
        ("p9", 0, "unknown problem"),
    ]


def test_reading_is_handed_on(label: Label) -> None:
    candidates = [candidate(3, 0, "The answer is 3."), candidate(3, 1, "It is 3")]
    strict, flexible = label(candidates, "strict").counts, label(candidates, "flexible").counts
    assert (strict["no_answer"], flexible["right"]) == (2, 2)
    for counts in (strict, flexible):
        assert [counts[key] for key in ("right_strict", "right_flexible", "readings_differ")] == [0, 2, 2]


class Slow(Arithmetic):
    """Comparing with the answer 77 takes too long."""

    def verdict(self, problem: Problem, text: str, reading: Reading = "strict") -> Feedback:
        if "77" in text:
            return Feedback(answer="77", quality=0.0, reason="timed out", detail="no end")
        return super().verdict(problem, text, reading)


class InThreads(Arithmetic):
    judging_threads = 3  # type: ignore[assignment]


def test_threads_that_judge_change_no_file(tmp_path: Path) -> None:
    write_records(
        tmp_path / "candidates.jsonl",
        [candidate(problem, index, f"#### {index}") for problem in range(len(PROBLEMS)) for index in range(5)],
    )
    written = []
    for task in (Arithmetic(), InThreads()):
        folder = tmp_path / type(task).__name__
        folder.mkdir()
        counts = label_files(task, PROBLEMS, tmp_path / "candidates.jsonl", folder, "strict")
        written.append((counts, {path.name: path.read_text() for path in folder.iterdir()}))
    assert written[0] == written[1]
    assert written[0][0]["right"] > 0


def test_a_verdict_that_is_no_evidence_leaves_the_group(tmp_path: Path) -> None:
    """Ambiguous and timed out are no negatives, and no duplicates of each other; no answer is one."""
    texts = ["#### 3 or 4", "#### 3", "#### 3  or 4", "#### 77", "nothing", "#### 3\n", "#### 3 or 5"]
    candidates = [candidate(3, index, text) for index, text in enumerate(texts)]
    candidates.append(candidate(3, 7, "#### 3 or 4", "length"))
    write_records(tmp_path / "candidates.jsonl", candidates)
    counts = label_files(Slow(), PROBLEMS, tmp_path / "candidates.jsonl", tmp_path, "strict")
    (group,) = [group for group in read_records(tmp_path / "groups.jsonl", Group) if group.candidates]
    assert [(c.index, f.reason) for c, f in zip(group.candidates, group.feedback, strict=True)] == [
        (1, "matched"),
        (4, "no answer"),
    ]
    left_out = [row for _, row in read_rows(tmp_path / "left_out.jsonl")]
    assert [(row["index"], row["reason"], row.get("detail", "").strip()) for row in left_out] == [
        (0, "ambiguous", "3 or 4"),
        (2, "ambiguous", "3  or 4"),
        (3, "timed out", "no end"),
        (5, "duplicate", ""),
        (6, "ambiguous", "3 or 5"),
        (7, "truncated", ""),
    ]
    assert {key: counts[key] for key in ("right", "no_answer", "ambiguous", "timed_out", "duplicate", "truncated")} == {
        "right": 1,
        "no_answer": 1,
        "ambiguous": 3,
        "timed_out": 1,
        "duplicate": 1,
        "truncated": 1,
    }
    assert counts["groups_mixed"] == 1


def test_many_comparisons_that_timed_out_stop_the_stage(tmp_path: Path) -> None:
    """Five of fifty are too few, six of fifty too many; nothing is written then."""
    right = [candidate(3, index, f"{'x ' * index}#### 3") for index in range(44)]
    for slow, stops in ((5, False), (6, True)):
        late = [candidate(3, 44 + index, f"{'y ' * index}#### 77") for index in range(slow)]
        folder = tmp_path / str(slow)
        folder.mkdir()
        write_records(folder / "candidates.jsonl", [*right, *late, *([candidate(3, 99, "#### 4")] if not stops else [])])
        if not stops:
            assert label_files(Slow(), PROBLEMS, folder / "candidates.jsonl", folder, "strict")["timed_out"] == 5
            continue
        with pytest.raises(StageError, match="6 of 50 comparisons of answers timed out, each twice; expected a tenth at most"):
            label_files(Slow(), PROBLEMS, folder / "candidates.jsonl", folder, "strict")
        assert not (folder / "groups.jsonl").exists()


def test_published_verdicts_are_compared(label: Label) -> None:
    candidates = [
        candidate(1, 0, "#### 1", **{PUBLISHED_VERDICT: True}),
        candidate(1, 1, "#### 2", **{PUBLISHED_VERDICT: True}),
        candidate(1, 2, "#### 3", "length", **{PUBLISHED_VERDICT: False}),
        candidate(1, 3, "#### 4"),
    ]
    labelled = label(candidates)
    assert labelled.counts["published_verdicts"] == 3
    assert labelled.counts["published_agree"] == 2
    assert labelled.disagreements == [{"problem_id": "p1", "index": 1, "published": True, "answer": "2", "text": "#### 2"}]
    assert label(candidates[:1]).disagreements == []


def test_published_verdicts_that_contradict_each_other_are_listed(label: Label) -> None:
    """The first candidate stays, with our verdict; the others say the opposite of, the same as, or nothing about the text."""
    labelled = label(
        [
            candidate(1, 0, "#### 1"),  # no published verdict
            candidate(1, 1, "####  1", **{PUBLISHED_VERDICT: True}),  # the text's first one
            candidate(1, 2, "#### 1", **{PUBLISHED_VERDICT: False}),
            candidate(1, 3, "#### 1 ", **{PUBLISHED_VERDICT: True}),
            candidate(1, 4, "#### 1"),
            candidate(1, 5, "#### 1", "length", **{PUBLISHED_VERDICT: False}),  # another reason comes first
            candidate(2, 0, "#### 1", **{PUBLISHED_VERDICT: False}),  # of another problem
        ]
    )
    assert [[c.index for c in group.candidates] for group in labelled.groups[1:3]] == [[0], [0]]
    assert labelled.groups[1].qualities == [1.0]
    assert [(row["index"], row["reason"]) for row in labelled.left_out] == [
        (1, "duplicate"),
        (2, "contradiction"),
        (3, "duplicate"),
        (4, "duplicate"),
        (5, "truncated"),
    ]
    assert labelled.left_out[1]["labels"] == [
        {"index": 0, "quality": 1.0, "published": True},
        {"index": 2, "quality": 1.0, "published": False},
    ]
    assert (labelled.counts["contradiction"], labelled.counts["duplicate"]) == (1, 3)
    assert [row["index"] for row in labelled.disagreements or ()] == [2, 5]


def test_our_verdicts_of_one_text_contradict_where_lines_break(label: Label) -> None:
    """`#### apples 1` gives the answer 1; with a line break in it the answer's line holds no number."""
    labelled = label([candidate(1, 0, "#### apples\n1"), candidate(1, 1, "#### apples 1"), candidate(1, 2, "####\napples 1")])
    assert [c.index for c in labelled.groups[1].candidates] == [0]
    assert labelled.groups[1].feedback[0].reason == "no answer"
    assert [row["labels"] for row in labelled.left_out] == [
        [{"index": 0, "quality": 0.0, "published": None}, {"index": index, "quality": 1.0, "published": None}] for index in (1, 2)
    ]
    assert labelled.counts["contradiction"] == 2


def test_ranks_are_given_where_the_task_knows_them(label: Label) -> None:
    """Reference results 3 and 6. Of p1 two wrong candidates differ in rank; of p2 there is one; p3 has none at all."""
    problems = [
        Problem(id=f"p{n}", task="arithmetic", question="q", gold_answer="6", rationale="1+2=3\n3+3=6\n#### 6") for n in (1, 2, 3)
    ]
    candidates = [candidate(1, 0, "1+2=3\n#### 12"), candidate(1, 1, "nothing"), candidate(2, 0, "#### 6")]
    labelled = label(candidates, problems=problems)
    assert [group.ranks for group in labelled.groups] == [[pytest.approx((1 + 0.45) / 3), 0.0], [2.0], []]
    assert [group.qualities for group in labelled.groups] == [[0.0, 0.0], [1.0], []]
    assert labelled.counts["groups_with_rank_pairs"] == 1
    assert labelled.counts["groups_all_wrong"] == 1


def test_task_without_ranking_leaves_ranks_out(tmp_path: Path) -> None:
    class Plain(Arithmetic):
        rank = Task.rank

    write_records(tmp_path / "candidates.jsonl", CANDIDATES)
    counts = label_files(Plain(), PROBLEMS, tmp_path / "candidates.jsonl", tmp_path, "strict")
    assert "groups_with_rank_pairs" not in counts
    assert '"rank"' not in (tmp_path / "groups.jsonl").read_text()


def test_candidates_that_do_not_fit_are_left_out_and_listed(label: Label) -> None:
    long = candidate(1, 1, "1+0=1\n" * 50 + "#### 1")
    room = {"p1": 100}
    labelled = label([candidate(1, 0, "#### 1"), long], fits=lambda problem: lambda c: len(c.text) < room.get(problem.id, 0))
    assert [c.index for c in labelled.groups[1].candidates] == [0]
    assert labelled.counts["too_long"] == 1
    assert [(row["index"], row["reason"]) for row in labelled.left_out] == [(1, "too_long")]


def random_candidates(rng: random.Random) -> list[Candidate]:
    """Of ten problems, five of them unknown, in runs or wildly mixed."""
    texts = ["#### 0", "#### 1", "#### 2", "nothing", " ", "####  1"]
    run = rng.choice([1, 3])
    return [
        Candidate(
            problem_id=f"p{problem}",
            index=index,
            text=rng.choice(texts),
            finish_reason=rng.choice(["stop", "stop", "length"]),
            settings=rng.choice([{}, {PUBLISHED_VERDICT: rng.random() < 0.5}]),
        )
        for problem in rng.choices(range(10), k=rng.randint(1, 12))
        for index in range(run)
    ]


def in_memory(candidates: Sequence[Candidate]) -> tuple[list[tuple[str, list[int]]], list[tuple[str, int, str]], Counter[str]]:
    """Kept indices by problem, what was left out, and the counts of candidates: all candidates held and looked through."""
    task, groups, left_out, counts = Arithmetic(), [], [], Counter(candidates=len(candidates))
    for problem in PROBLEMS:
        kept: list[Candidate] = []
        usable: list[Candidate] = []  # with the duplicates
        for one in (c for c in candidates if c.problem_id == problem.id):
            feedback = task.verdict(problem, one.text, "strict")
            if one.finish_reason == "length":
                reason = "truncated"
            elif not one.text.strip():
                reason = "empty"
            elif one.text.split() in [other.text.split() for other in kept]:
                known = [o.settings[PUBLISHED_VERDICT] for o in usable if o.text.split() == one.text.split() and o.settings]
                mine = one.settings.get(PUBLISHED_VERDICT)
                reason = "contradiction" if known and mine is not None and mine != known[0] else "duplicate"
                usable.append(one)
            else:
                kept.append(one)
                usable.append(one)
                counts["right" if feedback.quality else "wrong" if feedback.answer else "no_answer"] += 1
                continue
            counts[reason] += 1
            left_out.append((problem.id, one.index, reason))
        groups.append((problem.id, [one.index for one in kept]))
    known = {problem.id for problem in PROBLEMS}
    for unknown in dict.fromkeys(c.problem_id for c in candidates if c.problem_id not in known):
        orphans = [c for c in candidates if c.problem_id == unknown]
        counts["unknown_problem"] += len(orphans)
        left_out += [(unknown, c.index, "unknown problem") for c in orphans]
    return groups, left_out, counts


@pytest.mark.parametrize("seed", range(60))
def test_any_order_of_candidates_gives_what_holding_them_all_would(label: Label, seed: int) -> None:
    candidates = random_candidates(random.Random(seed))
    labelled = label(candidates)
    groups, left_out, counts = in_memory(candidates)
    assert [(group.problem.id, [c.index for c in group.candidates]) for group in labelled.groups] == groups
    assert [(row["problem_id"], row["index"], row["reason"]) for row in labelled.left_out] == left_out
    ours = {
        key: value for key, value in labelled.counts.items() if not key.startswith(("groups_", "published_", "right_", "readings_"))
    }
    assert ours == counts
    published = sum(PUBLISHED_VERDICT in c.settings for c in candidates if c.problem_id in {p.id for p in PROBLEMS})
    assert labelled.counts.get("published_verdicts", 0) == published
    assert len(labelled.disagreements or ()) == published - labelled.counts.get("published_agree", 0)


def test_two_problems_of_one_id_are_an_error(label: Label) -> None:
    """The second would have no candidates, and nobody would notice."""
    with pytest.raises(RepeatedIdError, match="two problems have the id 'p1'"):
        label([candidate(1, 0, "#### 1")], problems=[PROBLEMS[1], PROBLEMS[1]])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"index": 0, "text": "t"}', r"candidates\.jsonl:3: key 'Candidate\.problem_id' is missing; add it"),
        (
            '{"problem_id": "p1", "index": -1, "text": "t"}',
            r"candidates\.jsonl:3: Candidate\.index is -1: input should be greater",
        ),
        ('{"problem_id": "p1", "index": 0', r"candidates\.jsonl:3: not valid JSON at column 32, the line is cut off"),
    ],
)
def test_a_bad_line_is_named_and_leaves_the_old_groups(tmp_path: Path, line: str, message: str) -> None:
    good = json.dumps({"problem_id": "p1", "index": 0, "text": "#### 1"})
    (tmp_path / "candidates.jsonl").write_text(f"{good}\n\n{line}")
    (tmp_path / "groups.jsonl").write_text("old")
    with pytest.raises(DataError, match=message):
        label_files(Arithmetic(), PROBLEMS, tmp_path / "candidates.jsonl", tmp_path, "strict")
    assert (tmp_path / "groups.jsonl").read_text() == "old"


def peak_bytes(folder: Path, num_problems: int) -> int:
    """Most memory that Python objects take while problems with four candidates each are labelled."""

    def problems() -> Iterator[Problem]:
        return (Problem(id=f"p{n}", task="arithmetic", question="q" * 500, gold_answer=str(n)) for n in range(num_problems))

    texts = ["x" * 500, "#### 1", "#### 2", "#### 2"]
    write_records(folder / "problems.jsonl", problems())
    write_records(
        folder / "candidates.jsonl",
        (Candidate(problem_id=p.id, index=i, text=text) for p in problems() for i, text in enumerate(texts)),
    )
    tracemalloc.start()
    label_files(
        Arithmetic(), iter_records(folder / "problems.jsonl", Problem), folder / "candidates.jsonl", folder / "label", "strict"
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(1 for _ in iter_records(folder / "label" / "groups.jsonl", Group)) == num_problems
    return peak


def test_memory_does_not_grow_with_the_number_of_problems(tmp_path: Path) -> None:
    peak_bytes(tmp_path, 10)  # what is made once
    few, many = (peak_bytes(tmp_path, number) for number in (250, 1000))
    assert many < 1.5 * few
    assert (many - few) / 750 < 60  # bytes a problem: its place in the file and a hash of its id


def test_a_source_of_which_nothing_is_kept_is_named(tmp_path: Path) -> None:
    """Two sources, one of which only says what the trained model said first."""
    other = candidate(1, 1, "#### 1").model_copy(update={"source": "copier"})
    third = candidate(1, 2, "#### 2").model_copy(update={"source": "hosted"})
    write_records(tmp_path / "candidates.jsonl", [candidate(1, 0, "#### 1"), other, third])
    counts = label_files(Arithmetic(), PROBLEMS[1:2], tmp_path / "candidates.jsonl", tmp_path / "label", "strict")
    assert {name: count for name, count in counts.items() if "from_" in name} == {
        "from_copier": 0,
        "right_from_copier": 0,
        "from_hosted": 1,
        "right_from_hosted": 0,
    }
