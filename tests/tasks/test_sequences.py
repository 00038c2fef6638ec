"""The generated sequences: every reference is true, there is one answer, and no sequence stands in two splits."""

import random
import re

import pytest

from aftune import tasks
from aftune.tasks.sequences import LARGEST, RULES, WORDINGS, Sequences, make_sequence, solve, split_of

EQUATION = re.compile(r"(\d+)([-+])(\d+)=(\d+)")
SPLITS = Sequences.split_names


def terms_of(question: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", question)]


def check_chain(terms: list[int], text: str, answer: int) -> None:
    """Every line but the last is one true equation, of numbers that were shown or computed before; the last one is the answer."""
    *lines, final = text.splitlines()
    known = set(terms)
    for line in lines:
        ((a, sign, b, result),) = EQUATION.findall(line)
        assert {int(a), int(b)} <= known, (terms, text)
        assert int(result) == (int(a) + int(b) if sign == "+" else int(a) - int(b)), (terms, text)
        known.add(int(result))
    assert final == f"#### {answer}"
    assert answer in known


@pytest.mark.parametrize(
    ("rule", "terms", "answer"),
    [
        ("equal steps", [3, 7, 11, 15], 19),
        ("equal steps", [20, 15, 10, 7], None),
        ("two steps", [3, 8, 6, 11], 9),  # +5, -2, +5
        ("two steps", [3, 8, 6, 11, 9], 14),
        ("two steps", [3, 8, 6, 12], None),
        ("growing steps", [5, 7, 11, 17], 25),  # +2, +4, +6
        ("growing steps", [5, 7, 11, 18], None),
        ("sums", [2, 5, 7, 12], 19),
        ("sums", [2, 5, 7, 13], None),
    ],
)
def test_rules(rule: str, terms: list[int], answer: int | None) -> None:
    assert RULES[rule](terms) == answer


def test_chains_by_hand() -> None:
    assert solve([3, 8, 6, 11], "two steps", 1) == "8-3=5\n8-6=2\n11-6=5\n11-2=9\n#### 9"
    steps = "".join(f"We compute {e}.\n" for e in ("7-5=2", "11-7=4", "17-11=6", "6-4=2", "6+2=8"))
    assert solve([5, 7, 11, 17], "growing steps", 0) == f"{steps}So the answer is 17+8=25.\n#### 25"
    assert solve([2, 5, 7, 12], "sums", 1) == "2+5=7\n5+7=12\n7+12=19\n#### 19"
    with pytest.raises(ValueError, match="does not follow the rule 'sums'"):
        solve([1, 2, 4, 8], "sums", 0)


@pytest.mark.parametrize("split", SPLITS)
def test_references_are_accepted_and_true(split: str) -> None:
    task = Sequences(seed=3)
    for place, problem in enumerate(task.problems(split, 0, 400)):
        feedback = task.verdict(problem, task.reference_response(problem))
        assert (feedback.quality, feedback.answer, feedback.reason) == (1.0, problem.gold_answer, "matched")
        assert task.rank(problem, problem.rationale) == 2.0
        assert problem.metadata == {"rule": list(RULES)[place % 4]}
        assert problem.task == task.name == "sequences"
        terms = terms_of(problem.question)
        assert len(terms) in (4, 5)
        assert all(1 <= number <= LARGEST for number in [*terms, int(problem.gold_answer)])
        check_chain(terms, problem.rationale, int(problem.gold_answer))


def test_every_wording_is_true_and_every_rule_that_fits_gives_the_same_answer() -> None:
    num_fitting = 0
    for number in range(400):
        rule = list(RULES)[number % 4]
        terms = make_sequence(random.Random(number), rule, "train")
        answers = {name: answer for name, continues in RULES.items() if (answer := continues(terms)) is not None}
        assert set(answers.values()) == {answers[rule]}
        num_fitting += len(answers)
        for wording in range(len(WORDINGS)):
            check_chain(terms, solve(terms, rule, wording), answers[rule])
    assert num_fitting > 450  # equal steps are two equal steps too


def test_no_sequence_in_two_splits_whatever_the_seed() -> None:
    found = {
        split: {tuple(terms_of(p.question)) for seed in (0, 1) for p in Sequences(seed=seed).problems(split, 0, 800)}
        for split in SPLITS
    }
    for split, sequences in found.items():
        assert all(split_of(terms) == split for terms in sequences)
        assert len(sequences) > 800
    assert not found["train"] & found["test"]
    assert not found["train"] & found["validation"]
    assert not found["validation"] & found["test"]


def test_wrong_answers_are_rejected_and_ranked_by_what_they_show() -> None:
    """The reference's results are 4 and 19: an answer of 20 has closeness 0.9 / (1 + 1/19) = 0.855, of (results + c) / 3."""
    task = Sequences()
    problem = next(task.problems("test", 0, 1)).model_copy(
        update={
            "question": "What comes next: 3, 7, 11, 15?",
            "gold_answer": "19",
            "rationale": solve([3, 7, 11, 15], "equal steps", 0),
        }
    )
    assert task.verdict(problem, "15+5=20\n#### 20").quality == 0.0
    assert task.verdict(problem, "The next one is 19.").reason == "no answer"
    assert task.verdict(problem, "The next one is 19.", "flexible").quality == 1.0
    assert task.rank(problem, "#### 20") == pytest.approx(0.855 / 3)
    assert task.rank(problem, "7-3=4\n#### 20") == pytest.approx(1.855 / 3)
    assert task.rank(problem, "#### 19") == 2.0


def test_same_seed_same_problems_whatever_the_slice() -> None:
    task = tasks.build("sequences", seed=5)
    whole = task.load("validation[:100]")
    assert task.load("validation[40:60]") == whole[40:60]
    assert [p.id for p in whole[:2]] == ["sequences/validation/0", "sequences/validation/1"]
    assert tasks.build("sequences", seed=5).load("validation[:100]") == whole
    other = tasks.build("sequences", seed=6).load("validation[:100]")
    assert sum(ours.question != theirs.question for ours, theirs in zip(whole, other, strict=True)) > 95
