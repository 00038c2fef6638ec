"""Examples of a prompt: which are chosen."""

import random

import pytest

from aftune import tasks
from aftune.records import Problem
from aftune.tasks.few_shot import choose_examples

TASK = tasks.build("arithmetic")


def problem(number: int, question: str | None = None, rationale: str | None = "r") -> Problem:
    return Problem(id=f"p{number}", task="t", question=question or f"Question {number}?", gold_answer="1", rationale=rationale)


def test_examples_follow_from_the_seed_and_not_from_the_order() -> None:
    problems = [problem(number) for number in range(50)]
    chosen = choose_examples(TASK, problems, 3, 0)
    assert len({one.id for one in chosen}) == 4  # one more than are shown
    random.Random(1).shuffle(problems)
    assert choose_examples(TASK, problems, 3, 0) == chosen
    assert choose_examples(TASK, problems, 3, 1) != chosen
    assert choose_examples(TASK, problems, 2, 0) == chosen[:3]


def test_examples_have_a_response_are_not_held_out_and_differ() -> None:
    """Of six problems one has no reference, one is held out, one asks the same as another: three are left."""
    problems = [problem(0), problem(1, rationale=None), problem(2), problem(3, "Question  0?"), problem(4), problem(5)]
    chosen = choose_examples(TASK, problems, 5, 0, [problem(9, "Question 5?")])
    assert sorted(one.id for one in chosen) == ["p0", "p2", "p4"]


@pytest.mark.parametrize("number", [0, 1])
def test_fewer_problems_than_wanted(number: int) -> None:
    assert choose_examples(TASK, [], number, 0) == []
