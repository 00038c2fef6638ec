"""The generated task: every reference is true, step by step, and everything follows from the seed."""

import random
import re
from fractions import Fraction

import pytest

from aftune import tasks
from aftune.answers import extract_number
from aftune.common.errors import UsageError
from aftune.tasks.arithmetic import PLANS, WORDINGS, Arithmetic, Story, make_story, solve, valid_plans

EQUATION = re.compile(r"\d[\d+\-*/]*=-?\d+")


def value_of(expression: str) -> Fraction:
    """Of numbers joined by + - * /, products first. Raises ValueError for anything else."""
    tokens = re.findall(r"\d+|[-+*/]", expression)
    if "".join(tokens) != expression or len(tokens) % 2 == 0:
        raise ValueError(expression)
    terms = [Fraction(tokens[0])]
    for operator, number in zip(tokens[1::2], tokens[2::2], strict=True):
        if operator == "*":
            terms[-1] *= int(number)
        elif operator == "/":
            terms[-1] /= int(number)
        else:
            terms.append(Fraction(number) if operator == "+" else -Fraction(number))
    return sum(terms, Fraction(0))


def equations(text: str) -> list[tuple[str, int]]:
    """All (left side, right side) of a solution; a line without an equation, the last one apart, is an error."""
    found = []
    *steps, final = text.splitlines()
    assert final.startswith("#### ")
    for line in steps:
        matches = EQUATION.findall(line)
        assert len(matches) == 1, line
        left, _, right = matches[0].partition("=")
        found.append((left, int(right)))
    return found


def stories(num: int = 300) -> list[tuple[int, Story]]:
    return [(n, make_story(random.Random(f"{seed}"), n)) for seed, n in ((s, 1 + s % 6) for s in range(num))]


def test_tokenizer_of_this_test() -> None:
    assert value_of("3+4*2-6/4") == Fraction(19, 2)
    assert value_of("10-3-2") == 5
    for wrong in ("3+", "+3", "3**4", "a+b", "3 4"):
        with pytest.raises(ValueError, match=re.escape(wrong)):
            value_of(wrong)


def test_every_equation_of_every_solution_is_true() -> None:
    num_equations = 0
    for _, story in stories():
        for plan in valid_plans(story):
            for wording in range(len(WORDINGS)):
                for one_line in (False, True):
                    text = solve(story, plan, wording, one_line)
                    for left, right in equations(text):
                        assert value_of(left) == right, text
                        num_equations += 1
                    assert extract_number(text, "strict") == str(story.answer)
    assert num_equations > 5000


def test_number_of_operations_is_the_one_asked_for() -> None:
    """In one-operation-a-line solutions each line is one; in one-line solutions fewer lines have as many operations."""
    for num_operations, story in stories():
        for plan in valid_plans(story):
            apart = equations(solve(story, plan, 0, False))
            assert [len(re.findall(r"[-+*/]", left)) for left, _ in apart] == [1] * num_operations
            joined = equations(solve(story, plan, 0, True))
            assert sum(len(re.findall(r"[-+*/]", left)) for left, _ in joined) == num_operations
            assert len(joined) <= len(apart)


def test_numbers_of_the_question_are_enough() -> None:
    """Each number in a solution stands in the question or was computed before."""
    for _, story in stories():
        for plan in valid_plans(story):
            known = {int(n) for n in re.findall(r"\d+", story.question)}
            for left, right in equations(solve(story, plan, 0, False)):
                assert {int(n) for n in re.findall(r"\d+", left)} <= known, (story.question, plan, left)
                known.add(right)


def test_most_problems_have_several_different_chains() -> None:
    """Every listed plan gives a chain of its own, even in the same words; wordings and densities come on top."""
    usual = [story for n, story in stories(600) if n in (3, 4, 5)]
    assert all(valid_plans(story)[0] == PLANS[0] and set(valid_plans(story)) <= set(PLANS) for story in usual)
    listed = [len(valid_plans(story)) for story in usual]
    chains = [len({solve(story, plan, 0, False) for plan in valid_plans(story)}) for story in usual]
    assert chains == listed
    assert sum(n > 1 for n in chains) / len(usual) > 0.7
    assert max(chains) == 3


def test_counts_stay_within_bounds_and_divisions_come_out_even() -> None:
    for _, story in stories():
        count = 0
        for event in story.events:
            count += event.sign * event.amount
            assert 1 <= count <= 300
        assert count == story.total
        operator, number = story.last
        assert operator != "/" or story.total % number == 0
        assert story.answer > 0


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_references_are_accepted_and_true(split: str) -> None:
    task = Arithmetic(seed=3)
    for problem in task.problems(split, 0, 300):
        feedback = task.verdict(problem, task.reference_response(problem))
        assert (feedback.quality, feedback.answer, feedback.reason) == (1.0, problem.gold_answer, "matched")
        assert all(value_of(left) == right for left, right in equations(problem.rationale))
        operations = sum(len(re.findall(r"[-+*/]", left)) for left, _ in equations(problem.rationale))
        assert operations == problem.metadata["num_operations"]


def test_wrong_answers_are_rejected() -> None:
    task = Arithmetic()
    problem = next(task.problems("test", 0, 1))
    right = int(problem.gold_answer)
    assert task.verdict(problem, f"#### {right + 1}").quality == 0.0
    assert task.verdict(problem, f"#### -{right}").reason == "different"
    assert task.verdict(problem, f"It is {right}.").reason == "no answer"
    assert task.verdict(problem, f"It is {right}.", "flexible").quality == 1.0


def test_same_seed_same_problems() -> None:
    first, second, other = (list(Arithmetic(seed=seed).problems("train", 0, 60)) for seed in (1, 1, 2))
    assert first == second
    assert not {p.question for p in first} & {p.question for p in other}


def test_a_problem_does_not_depend_on_the_slice() -> None:
    task = tasks.build("arithmetic", seed=5)
    whole = task.load("validation[:100]")
    assert task.load("validation[40:60]") == whole[40:60]
    assert [p.id for p in whole[:2]] == ["arithmetic/validation/0", "arithmetic/validation/1"]
    assert task.load("validation[-1:]")[0].id == "arithmetic/validation/4999"


def test_splits_differ_and_operations_take_turns() -> None:
    task = Arithmetic()
    train, test = (list(task.problems(split, 0, 300)) for split in ("train", "test"))
    assert len({p.question for p in train}) == 300
    assert not {p.question for p in train} & {p.question for p in test}
    assert [p.metadata["num_operations"] for p in train[:6]] == [3, 4, 5, 3, 4, 5]
    one_line = [any(len(re.findall(r"[-+*/]", left)) > 1 for left, _ in equations(p.rationale)) for p in train]
    assert 0.2 < sum(one_line) / len(one_line) < 0.45


def test_other_numbers_of_operations() -> None:
    task = tasks.build("arithmetic", None, 0, {"operations": [1, 2, 3]})
    problems = list(task.load("train[:300]"))
    assert [problem.metadata["num_operations"] for problem in problems[:6]] == [1, 2, 3, 1, 2, 3]
    assert len({problem.question for problem in problems}) == 300
    for problem in problems:
        assert task.verdict(problem, problem.rationale or "").quality == 1
    default = list(Arithmetic().problems("train", 0, 9))
    assert list(tasks.build("arithmetic", None, 0, {"operations": [3, 4, 5]}).load("train[:9]")) == default


@pytest.mark.parametrize("value", [[], [0], [9], ["1"], 3])
def test_impossible_numbers_of_operations(value: object) -> None:
    with pytest.raises(UsageError, match=r"task arithmetic: .*task\.options\.operations"):
        tasks.build("arithmetic", None, 0, {"operations": value})
