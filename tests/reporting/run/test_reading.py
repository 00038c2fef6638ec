"""Which groups are shown, and how their candidates are."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from aftune.records import Candidate, Feedback, Group, GroupScores, Problem
from aftune.reporting import ReportData
from aftune.reporting.run.reading import choose, groups_to_read


def group(*qualities: float) -> Group:
    return Group(
        problem=Problem(id="p", task="t", question="q", gold_answer="1"),
        candidates=[Candidate(problem_id="p", index=i, text=f"c{i}") for i in range(len(qualities))],
        feedback=[Feedback(quality=quality, reason="matched" if quality else "no answer") for quality in qualities],
    )


@pytest.mark.parametrize(
    ("groups", "number", "expected"),
    [
        ([group(1, 0)] * 10, 5, [1, 3, 5, 7, 9]),
        ([group(1, 0)] * 3, 20, [0, 1, 2]),
        ([group(1, 1), group(1, 0), group(), group(0), group(0, 1)], 2, [1, 4]),
        ([group(1, 1), group(1, 0), group(), group(0), group(0, 1)], 3, [1, 4, 3]),
        ([group(1, 1), group(1, 0), group(), group(0), group(0, 1)], 9, [1, 4, 0, 3]),
        ([group(1, 0)] * 4, 0, []),
        ([], 5, []),
    ],
)
def test_mixed_groups_come_first_and_are_spread_evenly(groups: Sequence[Group], number: int, expected: list[int]) -> None:
    assert choose(groups, number) == expected


def test_candidates_stand_in_the_order_of_their_score_after(data: ReportData) -> None:
    shown = groups_to_read(data)[0]
    assert [candidate.score_after for candidate in shown.candidates] == ["−0.0287", "−0.0954", "−0.1203"]
    first, second, _ = shown.candidates
    assert (first.verdict, first.quality, first.answer, first.reason) == ("right", "", "100", "matched")
    assert (first.score_before, first.change) == ("−0.0312", "+0.0025")
    assert (first.rank_before, first.rank_after) == (2, 1)
    assert (second.verdict, second.change, second.rank_before, second.rank_after) == ("wrong", "−0.0753", 1, 2)
    assert shown.counts == "1 right, 2 wrong"
    assert shown.in_order.replace("\N{NO-BREAK SPACE}", " ") == "pairs in order 50.0 % → 100.0 %"


def test_ranking_numbers_are_no_verdicts(data: ReportData) -> None:
    scores = {name: [GroupScores(problem_id="p", scores=row)] for name, row in (("vft", [-0.1, -0.2]), ("aligned", [-0.2, -0.1]))}
    ranked = replace(data, groups=[group(3, 1)], scores=scores)
    shown = groups_to_read(ranked)[0]
    assert shown.counts == "2 candidates"
    assert [candidate.verdict for candidate in shown.candidates] == ["right", "other"]  # quality 1 after alignment first
    assert shown.candidates[1].quality == "quality 3, "


def test_without_scores_there_is_nothing_to_compare(data: ReportData) -> None:
    assert groups_to_read(replace(data, scores={"vft": data.scores["vft"]})) == []
