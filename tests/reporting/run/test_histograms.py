"""Histograms: the same bins before and after, nothing lost."""

from dataclasses import replace

import numpy as np
import pytest

from aftune.records import Group, GroupScores
from aftune.reporting import ReportData
from aftune.reporting.run.histograms import histograms
from aftune.reporting.run.plots import score_figures


def test_counts_medians_and_axes(data: ReportData) -> None:
    pair = histograms(data)
    assert pair is not None
    before, after = pair
    assert before.counts == after.counts == {"right": 4, "wrong": 5}
    assert before.medians == pytest.approx({"right": -0.0273, "wrong": -0.0333})
    assert after.medians["wrong"] == pytest.approx(-0.0789)
    assert (before.edges == after.edges).all()


def test_every_candidate_is_in_a_bar(data: ReportData) -> None:
    """Also those below the axis: they count in the leftmost bar."""
    count = 1000
    group = data.groups[0]
    large = Group(
        problem=group.problem,
        candidates=[group.candidates[0]] * count,
        feedback=[group.feedback[0]] * (count - 5) + [group.feedback[1]] * 5,
    )
    scores = [GroupScores(problem_id=group.problem.id, scores=[*np.linspace(-0.2, -0.01, count - 5), *[-7.0] * 5])]
    pair = histograms(replace(data, groups=[large], scores={"vft": scores, "aligned": scores}))
    assert pair is not None
    assert pair[0].edges[0] > -0.21
    assert pair[0].edges[-1] == pytest.approx(-0.01)
    assert pair[0].shares["right"].sum() == pytest.approx(1)
    assert pair[0].shares["wrong"][0] == 1


def large(group: Group, number: int) -> Group:
    """A group with the first candidate of another so many times."""
    return Group(problem=group.problem, candidates=[group.candidates[0]] * number, feedback=[group.feedback[0]] * number)


def test_equal_scores_have_an_axis(data: ReportData) -> None:
    scores = [GroupScores(problem_id="test/1", scores=[-0.5] * 4)]
    pair = histograms(replace(data, groups=[large(data.groups[1], 4)], scores={"vft": scores, "aligned": scores}))
    assert pair is not None
    assert set(pair[0].shares) == {"right"}
    assert pair[0].shares["right"].sum() == pytest.approx(1)


def test_a_few_candidates_are_no_distribution(data: ReportData) -> None:
    scores = [GroupScores(problem_id="test/1", scores=[-0.5] * 3)]
    assert histograms(replace(data, groups=[large(data.groups[1], 3)], scores={"vft": scores, "aligned": scores})) is None


def test_a_verdict_without_bars_is_told(data: ReportData) -> None:
    scores = [GroupScores(problem_id="test/1", scores=[-0.5] * 4)]
    few = replace(data, groups=[large(data.groups[1], 4)], scores={"vft": scores, "aligned": scores})
    assert [figure.caption for figure in score_figures(few)] == [
        "Medians: right −0.5000. Fewer than 4 wrong candidates: no bars."
    ] * 2
