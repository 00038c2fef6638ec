"""Groups to read: a fixed choice from the test set, each candidate with its verdict and its scores before and after."""

from collections.abc import Sequence
from dataclasses import dataclass

from aftune.common.wording import counted
from aftune.evaluation.assessment import assessment_accuracy
from aftune.recipe.names import start_name
from aftune.records import Feedback, Group
from aftune.reporting.choosing import spread
from aftune.reporting.formatting import percent, score
from aftune.reporting.run.data import ReportData

AFTER = "aligned"


@dataclass(frozen=True)
class CandidateToRead:
    """A candidate with its verdict in words: the quality if it comes from a ranking, the answer that was read, and the reason.
    `rank_before` and `rank_after` count from 1, the best score first."""

    text: str
    verdict: str  # right, wrong or other
    quality: str
    answer: str | None
    reason: str
    score_before: str
    score_after: str
    change: str
    rises: bool
    rank_before: int
    rank_after: int


@dataclass(frozen=True)
class GroupToRead:
    """A group; `in_order` says what share of its pairs is in order, if it has pairs."""

    problem_id: str
    question: str
    options: list[str]
    gold_answer: str
    reference: str | None
    counts: str
    in_order: str
    candidates: list[CandidateToRead]


def groups_to_read(data: ReportData) -> list[GroupToRead]:
    start = start_name(data.recipe)
    if not {start, AFTER} <= data.scores.keys():
        return []
    places = choose(data.groups, data.recipe.report.num_groups)
    before, after = data.scores[start], data.scores[AFTER]
    return [_group(data.groups[place], before[place].scores, after[place].scores) for place in places]


def choose(groups: Sequence[Group], number: int) -> list[int]:
    """Places of the groups to read: mixed ones, spread evenly over the test set, then others with candidates, likewise."""
    mixed: list[int] = []
    others: list[int] = []
    for place, group in enumerate(groups):
        if group.candidates:
            (mixed if group.has_pairs else others).append(place)
    chosen = spread(mixed, number)
    return chosen + spread(others, number - len(chosen))


def _group(group: Group, before: Sequence[float], after: Sequence[float]) -> GroupToRead:
    problem = group.problem
    ranks_before, ranks_after = _ranks(before), _ranks(after)
    order = sorted(range(len(group.candidates)), key=lambda place: ranks_after[place])
    return GroupToRead(
        problem_id=problem.id,
        question=problem.question,
        options=list(problem.options or ()),
        gold_answer=problem.gold_answer,
        reference=problem.rationale,
        counts=_counts(group),
        in_order=_in_order(group, before, after),
        candidates=[
            CandidateToRead(
                text=group.candidates[place].text,
                verdict=_verdict(group.feedback[place]),
                quality=_quality(group.feedback[place]),
                answer=group.feedback[place].answer,
                reason=group.feedback[place].reason,
                score_before=score(before[place]),
                score_after=score(after[place]),
                change=score(after[place] - before[place], sign=True),
                rises=after[place] >= before[place],
                rank_before=ranks_before[place],
                rank_after=ranks_after[place],
            )
            for place in order
        ],
    )


def _ranks(scores: Sequence[float]) -> list[int]:
    order = sorted(range(len(scores)), key=lambda place: -scores[place])
    return [order.index(place) + 1 for place in range(len(scores))]


def _verdict(feedback: Feedback) -> str:
    return {1.0: "right", 0.0: "wrong"}.get(feedback.quality, "other")


def _quality(feedback: Feedback) -> str:
    return f"quality {feedback.quality:g}, " if _verdict(feedback) == "other" else ""


def _counts(group: Group) -> str:
    verdicts = [_verdict(feedback) for feedback in group.feedback]
    if "other" in verdicts:
        return counted(len(verdicts), "candidate")
    return f"{verdicts.count('right')} right, {verdicts.count('wrong')} wrong"


def _in_order(group: Group, before: Sequence[float], after: Sequence[float]) -> str:
    shares = assessment_accuracy(before, group.qualities), assessment_accuracy(after, group.qualities)
    return "" if None in shares else f"pairs in order {percent(shares[0])} → {percent(shares[1])}"
