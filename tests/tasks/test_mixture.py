"""A mixture is its parts: problems, prompts, verdicts and ranks are exactly those of each part alone."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aftune import tasks
from aftune.answers import Reading
from aftune.common.errors import DataError, UsageError
from aftune.records import Feedback, Problem
from aftune.tasks import Mixture, Task
from aftune.tasks.arithmetic import Arithmetic
from aftune.tasks.gsm8k import Gsm8k, Gsm8kRank
from aftune.tasks.mixture import Part
from aftune.tasks.sequences import Sequences

SLICES = {"train": "train[:30]", "validation": "validation[:4]", "test": "test[10:22]"}


class Letters(Task):
    """Asks in words of its own, takes the last letter for the answer, and knows no ranking."""

    name = "letters"
    version = 1
    split_names = ("train", "validation", "test")
    prompt_template = "Letter? {question} "

    def split_size(self, split: str) -> int:
        return 26

    def problems(self, split: str, start: int, stop: int) -> Iterator[Problem]:
        for index in range(start, stop):
            letter = chr(ord("a") + index)
            yield Problem(id=f"letters/{split}/{index}", task=self.name, question=f"{split} {index}", gold_answer=letter)

    def question_text(self, problem: Problem) -> str:
        return f"Letter {problem.question}"

    def heading(self, problem: Problem) -> str:
        return "Letters."

    def examples(self, problem: Problem) -> list[Problem]:
        return list(self.problems("train", 0, 2))

    def verdict(self, problem: Problem, text: str, reading: Reading = "strict") -> Feedback:
        return Feedback(answer=text[-1:] or None, quality=float(text[-1:] == problem.gold_answer), reason="letter")


def parts(*chosen: Task, **slices: str) -> list[Part]:
    return [Part(f"task.parts.{place}", task, {**SLICES, **slices}) for place, task in enumerate(chosen)]


@pytest.fixture
def gsm8k(tmp_path: Path) -> Gsm8k:
    for split, number in (("train", 12), ("test", 5)):
        rows = [{"question": f"{split} {n}?", "answer": f"{n}+1={n + 1}\n#### {n + 1}"} for n in range(number)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return Gsm8k(tmp_path)


@pytest.mark.parametrize("split", Mixture.split_names)
def test_each_part_s_problems_are_those_of_the_part_alone(split: str, gsm8k: Gsm8k) -> None:
    own = {"train": "train[:-2]", "validation": "train[-2:]", "test": "test[1:]"}
    mixture = Mixture([*parts(Arithmetic(seed=3), Sequences(seed=3)), Part("task.parts.2", gsm8k, own)])
    problems = mixture.load(split)
    assert len(problems) == mixture.split_size(split)
    for part in mixture.parts:
        alone = part.task.load(part.slices[split])
        assert alone
        assert [problem for problem in problems if problem.task == part.task.name] == alone
    assert {problem.task for problem in problems} == {"arithmetic", "sequences", "gsm8k"}


def test_prompts_references_verdicts_and_ranks_are_those_of_the_part_alone() -> None:
    chosen = [Arithmetic(seed=1), Sequences(seed=1), Letters()]
    mixture = Mixture(parts(*chosen, test="test[:9]"))
    by_name = {task.name: task for task in chosen}
    texts = ["", "#### 12", "b", "It is 12.", "3+4=7\n#### 7"]
    for problem in mixture.load("test"):
        alone = by_name[problem.task]
        assert mixture.prompt(problem) == alone.prompt(problem)
        assert mixture.question_text(problem) == alone.question_text(problem)
        assert mixture.heading(problem) == alone.heading(problem)
        assert mixture.examples(problem) == alone.examples(problem)
        assert mixture.example_response(problem) == alone.example_response(problem)
        assert mixture.reference_response(problem) == alone.reference_response(problem)
        for text in [*texts, problem.rationale or problem.gold_answer]:
            for reading in ("strict", "flexible"):
                assert mixture.verdict(problem, text, reading) == alone.verdict(problem, text, reading)
                assert mixture.rank(problem, text, reading) == alone.rank(problem, text, reading)
        assert mixture.gold_response(problem) == alone.gold_response(problem)
    assert mixture.prompt(next(Letters().problems("test", 0, 1))) == "Letter? Letter test 0 "


def test_hand_worked_order() -> None:
    """Four and two problems: places 1/8, 3/8, 5/8, 7/8 and 1/4, 3/4 give A B A A B A."""
    pair = parts(Arithmetic(), Sequences())
    mixture = Mixture([Part("a", pair[0].task, {"train": "train[:4]"}), Part("b", pair[1].task, {"train": "train[:2]"})])
    assert [problem.task[0] for problem in mixture.load("train")] == list("asaasa")


@given(st.lists(st.integers(1, 25), min_size=1, max_size=2), st.integers(0, 60), st.integers(0, 60))
def test_a_slice_of_a_mixture_is_that_stretch_of_the_whole_and_evenly_mixed(sizes: list[int], start: int, stop: int) -> None:
    chosen = [Letters(), Sequences()][: len(sizes)]
    mixture = Mixture([Part(task.name, task, {"train": f"train[:{size}]"}) for task, size in zip(chosen, sizes, strict=True)])
    whole = list(mixture.problems("train", 0, sum(sizes)))
    start, stop = min(start, sum(sizes)), min(stop, sum(sizes))
    assert list(mixture.problems("train", start, max(start, stop))) == whole[start:stop]
    for task, size in zip(chosen, sizes, strict=True):
        for length in range(len(whole) + 1):
            number = sum(problem.task == task.name for problem in whole[:length])
            assert abs(number - length * size / sum(sizes)) <= 1


def test_feedback_is_ranking_only_where_all_parts_say_so(gsm8k: Gsm8k) -> None:
    ranked = Gsm8kRank(gsm8k.data)
    assert Mixture(parts(ranked)).default_feedback == "ranking"
    assert Mixture(parts(ranked, Arithmetic())).default_feedback == "binary"
    assert Mixture(parts(Arithmetic(), Sequences())).default_feedback == Mixture.default_feedback == "binary"


def test_a_part_whose_problems_carry_the_name_of_another_task(gsm8k: Gsm8k) -> None:
    ranked = Gsm8kRank(gsm8k.data)
    mixture = Mixture(parts(ranked, Sequences(), train="train[:5]"))
    problem = next(problem for problem in mixture.load("train") if problem.task == "gsm8k")
    assert mixture.rank(problem, problem.rationale or "") == 2.0


def test_what_is_no_mixture(gsm8k: Gsm8k) -> None:
    with pytest.raises(UsageError, match=r"task\.parts: a mixture needs parts"):
        Mixture([])
    with pytest.raises(UsageError, match=r"task\.parts\.1\.name: arithmetic has the same problems as task\.parts\.0, arithmetic"):
        Mixture(parts(Arithmetic(seed=1), Arithmetic(seed=2)))
    with pytest.raises(UsageError, match=r"task\.parts\.2\.name: gsm8k_rank has the same problems as task\.parts\.0, gsm8k"):
        Mixture(parts(gsm8k, Sequences(), Gsm8kRank(gsm8k.data)))
    with pytest.raises(UsageError, match=r"task\.parts\.0\.name: a mixture cannot be part of a mixture"):
        Mixture(parts(Mixture(parts(Arithmetic()))))


def test_problems_and_slices_that_no_part_has() -> None:
    mixture = Mixture(parts(Arithmetic(), Sequences(), test="test[7:7]"))
    with pytest.raises(DataError, match=r"task\.parts\.0\.test: test\[7:7\] of arithmetic holds no problems"):
        mixture.load("test")
    stranger = Letters().load("train[:1]")[0]
    with pytest.raises(DataError, match="letters/train/0: its task is 'letters', but the parts are arithmetic, sequences"):
        mixture.prompt(stranger)
    with pytest.raises(UsageError, match="task mixture has no split 'dev'"):
        mixture.load("dev")


def test_every_generated_task_carries_its_own_name() -> None:
    for name, task in tasks.TASKS.items():
        if task.generated:
            (problem,) = tasks.build(name).load("train[:1]")
            assert problem.task == task.problem_task() == name
