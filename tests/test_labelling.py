"""Groups from candidates: nothing disappears without being counted."""

from aftune.labelling import label_candidates
from aftune.records import PUBLISHED_VERDICT, Candidate, Problem
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


def test_groups_feedback_and_counts() -> None:
    labelled = label_candidates(Arithmetic(), PROBLEMS, CANDIDATES, "strict")
    assert [group.problem.id for group in labelled.groups] == [f"p{n}" for n in range(5)]
    assert [[c.index for c in group.candidates] for group in labelled.groups] == [[0, 1, 3, 4], [0], [0, 1], [], []]
    assert [group.qualities for group in labelled.groups] == [[1, 0, 1, 0], [1], [0, 0], [], []]
    assert [f.reason for f in labelled.groups[0].feedback] == ["matched", "different", "matched", "no answer"]
    assert [f.answer for f in labelled.groups[0].feedback] == ["0", "7", "0", None]
    assert labelled.counts == {
        "candidates": 12,
        "right": 3,
        "wrong": 3,
        "no_answer": 1,
        "duplicate": 1,
        "truncated": 2,
        "empty": 1,
        "unknown_problem": 1,
        "groups_mixed": 1,
        "groups_all_right": 1,
        "groups_all_wrong": 1,
        "groups_empty": 2,
    }


def test_everything_left_out_is_listed_with_its_reason() -> None:
    left_out = label_candidates(Arithmetic(), PROBLEMS, CANDIDATES, "strict").left_out
    assert [(row["problem_id"], row["index"], row["reason"]) for row in left_out] == [
        ("p0", 2, "duplicate"),
        ("p0", 5, "truncated"),
        ("p0", 6, "empty"),
        ("p3", 0, "truncated"),
        ("p9", 0, "unknown problem"),
    ]


def test_reading_is_handed_on() -> None:
    candidates = [candidate(3, 0, "The answer is 3."), candidate(3, 1, "It is 3")]
    assert label_candidates(Arithmetic(), PROBLEMS, candidates, "strict").counts["no_answer"] == 2
    assert label_candidates(Arithmetic(), PROBLEMS, candidates, "flexible").counts["right"] == 2


def test_published_verdicts_are_compared() -> None:
    candidates = [
        candidate(1, 0, "#### 1", **{PUBLISHED_VERDICT: True}),
        candidate(1, 1, "#### 2", **{PUBLISHED_VERDICT: True}),
        candidate(1, 2, "#### 3", "length", **{PUBLISHED_VERDICT: False}),
        candidate(1, 3, "#### 4"),
    ]
    labelled = label_candidates(Arithmetic(), PROBLEMS, candidates, "strict")
    assert labelled.counts["published_verdicts"] == 3
    assert labelled.counts["published_agree"] == 2
    assert labelled.disagreements == [{"problem_id": "p1", "index": 1, "published": True, "answer": "2", "text": "#### 2"}]


def test_candidates_that_do_not_fit_are_left_out_and_listed() -> None:
    long = candidate(1, 1, "1+0=1\n" * 50 + "#### 1")
    labelled = label_candidates(
        Arithmetic(), PROBLEMS, [candidate(1, 0, "#### 1"), long], "strict", lambda problem, c: len(c.text) < 100
    )
    assert [c.index for c in labelled.groups[1].candidates] == [0]
    assert labelled.counts["too_long"] == 1
    assert [(row["index"], row["reason"]) for row in labelled.left_out] == [(1, "too_long")]
