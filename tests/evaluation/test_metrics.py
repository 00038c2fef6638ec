"""What is measured of a model, from groups, scores and verdicts: by hand."""

import math
from typing import Any

import pytest

from aftune.common.errors import DataError
from aftune.evaluation.accuracy import accuracy_metrics
from aftune.evaluation.assessment import assessment_metrics
from aftune.evaluation.perplexity import reference_metrics
from aftune.evaluation.statistics import proportion_interval
from aftune.evaluation.voting import voting_metrics
from aftune.records import Candidate, Feedback, Group, GroupScores, JudgedResponse, Problem, Votes


def problem(number: int, **metadata: Any) -> Problem:
    return Problem(id=f"p{number}", task="t", question="q", gold_answer="7", metadata=metadata)


def verdict(number: int, text: str, right: bool, finish: Any = "stop") -> JudgedResponse:
    reason = "matched" if right else "different" if text else "no answer"
    return JudgedResponse(problem_id=f"p{number}", text=text, right=right, reason=reason, finish_reason=finish)


def votes(answers: list[str | None], right: list[bool], scores: list[float]) -> Votes:
    return Votes(problem_id="p", answers=answers, right=right, scores=scores)


def group(number: int, qualities: list[float]) -> Group:
    return Group(
        problem=problem(number),
        candidates=[Candidate(problem_id=f"p{number}", index=index, text="x") for index in range(len(qualities))],
        feedback=[Feedback(quality=quality, reason="") for quality in qualities],
    )


def test_votes_by_hand() -> None:
    """First: 7 has two of three votes and is right; weighted, 2 e^-1 = .74 loses to e^-.1 = .90; the best score is 5, wrong.
    Second: 3 wins every vote and is wrong. Third: 4 is the only answer and right; the best score has none.

    pass@1 is the mean of 2/3, 0 and 1/3, pass@2 that of 1 - C(1,2) / C(3,2) = 1, 0 and 1 - C(2,2) / C(3,2) = 2/3; of 3 samples
    there is no pass@4.
    """
    metrics = voting_metrics(
        [
            votes(["7", "7.0", "5"], [True, True, False], [-1.0, -1.0, -0.1]),
            votes([None, "3", "3"], [False, False, False], [-0.1, -0.2, -0.3]),
            votes(["4", None, None], [True, False, False], [-2.0, -0.5, -3.0]),
        ]
    )
    shares = {"vote_accuracy": 2 / 3, "weighted_vote_accuracy": 1 / 3, "best_of_k_accuracy": 0.0}
    expected = {"num_votes": 3, **shares, "pass_at_1": 1 / 3, "pass_at_2": 5 / 9}
    assert {name: metrics[name] for name in expected} == pytest.approx(expected)
    for name, share in shares.items():
        assert metrics[f"{name}_ci95"] == proportion_interval(round(3 * share), 3)
    assert set(metrics) == {*expected, *(f"{name}_ci95" for name in shares)}


@pytest.mark.parametrize(("number", "ks"), [(1, [1]), (2, [1, 2]), (3, [1, 2]), (4, [1, 2, 4]), (7, [1, 2, 4]), (8, [1, 2, 4, 8])])
def test_pass_at_powers_of_two(number: int, ks: list[int]) -> None:
    """One right of n: k / n."""
    metrics = voting_metrics([votes([f"{n}" for n in range(number)], [n == 0 for n in range(number)], [-1.0] * number)])
    assert {name: value for name, value in metrics.items() if name.startswith("pass")} == pytest.approx(
        {f"pass_at_{k}": k / number for k in ks}
    )


def test_a_problem_without_any_answer_is_wrong() -> None:
    metrics = voting_metrics([votes([None, None], [False, False], [-1.0, -2.0])])
    names = ("vote_accuracy", "weighted_vote_accuracy", "best_of_k_accuracy", "pass_at_2")
    assert [metrics[name] for name in names] == [0.0] * 4


def test_perplexity_of_references_by_hand() -> None:
    """3 nats over 4 tokens and 2 over 6: exp(5 / 10); a problem without a reference is none of them."""
    rows = [
        GroupScores(problem_id="a", scores=[-1.0], reference_logprob=-3.0, reference_length=4),
        GroupScores(problem_id="b", scores=[]),
        GroupScores(problem_id="c", reference_logprob=-2.0, reference_length=6),
    ]
    metrics = reference_metrics(rows)
    assert metrics["reference_perplexity"] == pytest.approx(math.exp(0.5))
    low, high = metrics["reference_perplexity_ci95"]
    assert math.exp(2 / 6) - 1e-9 <= low <= math.exp(0.5) <= high <= math.exp(3 / 4) + 1e-9
    assert reference_metrics(rows[1:2]) == reference_metrics([]) == {}


def test_accuracy_by_hand() -> None:
    """2 of 4 right. Words: 5, 1, 0 and 2. `a b c d e` has two 4-grams, both new; no text repeats itself."""
    problems = [problem(0, num_operations=2), problem(1, num_operations=2), problem(2, num_operations=10), problem(3)]
    verdicts = [
        verdict(0, "a b c d e", True),
        verdict(1, "a", False),
        verdict(2, "", False, "length"),
        verdict(3, "a b", True, "length"),
    ]
    assert accuracy_metrics(problems, verdicts) == {
        "accuracy": 0.5,
        "accuracy_ci95": proportion_interval(2, 4),
        "num_problems": 4,
        "reasons": {"different": 1, "matched": 2, "no answer": 1},
        "num_truncated": 2,
        "repetition": 0.0,
        "mean_words": 2.0,
        "accuracy_by_num_operations": {"10": 0.0, "2": 0.5},
    }


def test_repetition_is_of_single_texts() -> None:
    """`a a a a a a` has three 4-grams of which one is new: 2/3; the other text has none that repeats: mean 1/3. Without operations
    there is no table of them."""
    metrics = accuracy_metrics([problem(0), problem(1)], [verdict(0, "a a a a a a", False), verdict(1, "a a a a", False)])
    assert metrics["repetition"] == pytest.approx(1 / 3)
    assert "accuracy_by_num_operations" not in metrics
    with pytest.raises(ValueError, match="longer"):
        accuracy_metrics([problem(0)], [verdict(0, "a", True), verdict(1, "a", True)])


def test_assessment_by_hand() -> None:
    """First group: right -.1 and -.4, wrong -.2: one of two pairs in order. Second: its pair in order. The third has none and
    counts for nothing. Shares .5 and 1; mean right score -(.1 + .4 + .3) / 3, mean wrong -(.2 + .5) / 2."""
    groups = [group(0, [1, 1, 0]), group(1, [0, 1]), group(2, [1, 1])]
    rows = [GroupScores(problem_id=f"p{n}", scores=scores) for n, scores in enumerate([[-0.1, -0.4, -0.2], [-0.5, -0.3], [-9, -9]])]
    metrics = assessment_metrics(groups, rows)
    assert metrics["assessment_accuracy"] == pytest.approx(0.75)
    assert metrics["num_assessed_problems"] == 2
    assert metrics["score_right"] == pytest.approx(-0.8 / 3)
    assert metrics["score_wrong"] == pytest.approx(-0.35)
    low, high = metrics["assessment_accuracy_ci95"]
    assert 0 <= low < 0.75 < high <= 1
    assert assessment_metrics(groups[2:], rows[2:]) == {
        "assessment_accuracy": None,
        "assessment_accuracy_ci95": None,
        "num_assessed_problems": 0,
        "score_right": None,
        "score_wrong": None,
    }


def test_log_probabilities_that_are_not_finite_name_the_problem(make_llama: Any, tokenizer: Any) -> None:
    """A model that training has ruined; the error comes before a file is written that nobody can read."""
    import torch

    from aftune.prompts.encoding import EncodedGroup
    from aftune.scoring import score_groups

    model = make_llama()
    with torch.no_grad():
        model.lm_head.weight.fill_(float("nan"))
    message = r"p7: the model gives log-probabilities that are not finite: its weight lm_head.weight holds 18432 of 18432 values"
    with pytest.raises(DataError, match=message):
        list(score_groups(model, [EncodedGroup("p7", [1], [[5, 2]], [True], [None])]))
