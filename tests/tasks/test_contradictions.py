"""Rationales that come to another answer than the gold one."""

from pathlib import Path

import pytest

from aftune import tasks
from aftune.answers import CHOICE, MATH, NUMBER, TEXT, AnswerKind
from aftune.records import Problem
from aftune.tasks.base import with_answer
from aftune.tasks.contradictions import contradiction


def found(kind: AnswerKind, rationale: str, gold: str, options: list[str] | None = None) -> str | None:
    problem = Problem(id="p", task="t", question="q", gold_answer=gold, options=options)
    return contradiction(kind, problem, rationale)


@pytest.mark.parametrize(
    ("kind", "rationale", "gold", "answer"),
    [
        (NUMBER, "8 + 8 = 16", "9999", "16"),
        (NUMBER, "8 + 8 = 16\n#### 9999", "9999", "16"),
        (NUMBER, "8 + 8 = 16\n#### 16", "9999", "16"),
        (NUMBER, "x + 3 = 8\nx = 5 apples.", "7", "5"),
        (NUMBER, "So the answer is 16.", "9999", "16"),
        (MATH, "8 + 8 = 16", "9999", "16"),
        (MATH, r"We get \boxed{16}.", "9999", "16"),
        (TEXT, "The answer is Rome.", "Paris", "Rome"),
        (TEXT, "8 + 8 = 16", "9999", "16"),  # numbers among words
        (CHOICE, "The answer is (B).", "A", "B"),
    ],
)
def test_what_is_sure(kind: AnswerKind, rationale: str, gold: str, answer: str) -> None:
    assert found(kind, rationale, gold, ["x", "y"]) == f"the rationale comes to {answer}, the gold answer is {gold}"


@pytest.mark.parametrize(
    ("kind", "rationale", "gold"),
    [
        (NUMBER, "8 + 8 = 16", "16"),
        (NUMBER, "8 + 8 = 16.\n#### 16.0", "16"),
        (NUMBER, "It costs 100 / 400 = $0.25", "25"),  # cents
        (NUMBER, "10 - 26 = -16 degrees lower", "16"),
        (NUMBER, "100 / 7 = 14.2857 boxes", "15"),
        (NUMBER, "The height is 16 * 2 = 32 feet, which it has after three days.", "3"),
        (NUMBER, "She has 16 apples left on day 3.", "9999"),  # nothing is calculated here
        (NUMBER, "They had answers totaling 1800+1400= 3200", "3200"),
        (MATH, "So x = 3 and the angle is right.", "9"),  # a step
        (MATH, "Thus x = 3\n\\boxed{9}", "9"),
        (CHOICE, "A dog is no cat (B), as everyone knows.", "A"),
        (TEXT, "1 + 1 = 2", "Paris"),
    ],
)
def test_what_is_not_sure(kind: AnswerKind, rationale: str, gold: str) -> None:
    assert found(kind, rationale, gold, ["x", "y"]) is None


def test_the_gold_answer_is_written_only_below_what_does_not_contradict_it() -> None:
    problem = Problem(id="p", task="t", question="q", gold_answer="9999")
    assert with_answer(NUMBER, problem, "8 + 8 = 16") == "8 + 8 = 16"
    assert with_answer(NUMBER, problem, "10000 - 1 = 9999") == "10000 - 1 = 9999\n#### 9999"
    assert with_answer(NUMBER, problem, "#### 9,999") == "#### 9,999"


# Each of these was looked at: the working of the published reference does come to another number than its last line.
REAL = {
    ("gsm8k", "train"): [356, 786, 1154, 2770, 3334, 4796, 5350, 6157, 6760, 7182, 7444],
    ("gsm8k", "test"): [1038],
    ("aqua", "train"): [],
    ("aqua", "validation"): [],
    ("aqua", "test"): [],
    ("ecqa", "train"): [],
    ("ecqa", "test"): [],
}


@pytest.mark.parametrize(("name", "split"), REAL)
def test_real_sets(data_dir: Path, name: str, split: str) -> None:
    task = tasks.build(name, data_dir if name == "ecqa" else data_dir / name)
    contradicted = [problem.id for problem in task.load(split) if task.contradiction(problem)]
    assert contradicted == [f"{name}/{split}/{number}" for number in REAL[name, split]]


@pytest.mark.parametrize("name", ["arithmetic", "sequences"])
def test_generated_references_are_sound(name: str) -> None:
    task = tasks.build(name)
    assert [problem.id for problem in task.load("train[:1000]") if task.contradiction(problem)] == []
