"""MMLU: subjects, examples in the prompt, leaks, and the real files."""

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aftune import tasks
from aftune.common.errors import DataError, UsageError
from aftune.evaluation.letters import letter_prompter
from aftune.pipeline.context import make_prompter
from aftune.prompts.formats import ALPACA_PREAMBLE
from aftune.recipe import PromptSection
from aftune.tasks.mmlu import Mmlu, MmluOptions

OPTIONS = ["one", "two", "three", "four"]


def write(folder: Path, split: str, subject: str, *questions: str, gold: str = "B") -> None:
    (folder / split).mkdir(exist_ok=True)
    with open(folder / split / f"{subject}_{split}.csv", "w", newline="") as file:
        csv.writer(file).writerows([question, *OPTIONS, gold] for question in questions)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "dev", "high_school_art", "d0?", "d1?", "t1?", "v0?")
    write(tmp_path, "dev", "law", "l?")
    write(tmp_path, "val", "high_school_art", "v0?", "t0?")
    write(tmp_path, "test", "high_school_art", "t0?", "t1?\nmore", "t0?")
    write(tmp_path, "test", "law", "t1?")
    return tmp_path


def test_splits_share_no_question(folder: Path) -> None:
    task = tasks.build("mmlu", folder)
    assert {split: [p.id for p in task.load(split)] for split in task.split_names} == {
        "dev": ["mmlu/dev/high_school_art/0", "mmlu/dev/high_school_art/1", "mmlu/dev/law/0"],
        "validation": ["mmlu/validation/high_school_art/0"],
        "test": [*(f"mmlu/test/high_school_art/{n}" for n in range(3)), "mmlu/test/law/0"],
    }
    assert {left.id: left.reason for split in task.split_names for left in task.left_out(split)} == {
        "mmlu/dev/high_school_art/2": "the same question is in test",
        "mmlu/dev/high_school_art/3": "the same question is in validation",
        "mmlu/validation/high_school_art/1": "the same question is in test",
    }


def test_prompts_of_every_style(folder: Path, tokenizer: Any) -> None:
    task = Mmlu(folder, options=MmluOptions(shots=1))
    problem = task.load("test")[1]
    assert problem.metadata == {"subject": "high_school_art"}

    def asked(style: Any) -> Any:
        return make_prompter(tokenizer, task, PromptSection(style=style), []).conversation(problem)

    heading = "The following are multiple choice questions (with answers) about high school art."
    options = "Options:\n(A) one\n(B) two\n(C) three\n(D) four"
    assert asked("plain") == (
        f"{heading}\n\nQuestion: d0?\n{options}\nAnswer:\nThe answer is (B).\n\nQuestion: t1?\nmore\n{options}\nAnswer:\n"
    )
    assert asked("alpaca") == (
        f"{ALPACA_PREAMBLE[0]}\n\n{heading}\n\n### Instruction:\nd0?\n{options}\n\n### Response:\nThe answer is (B).\n\n"
        f"### Instruction:\nt1?\nmore\n{options}\n\n### Response:\n"
    )
    letters = "A. one\nB. two\nC. three\nD. four\nAnswer:"
    assert letter_prompter(tokenizer, task).conversation(problem) == f"{heading}\n\nd0?\n{letters} B\n\nt1?\nmore\n{letters}"
    task = Mmlu(folder, options=MmluOptions(shots=0))
    assert letter_prompter(tokenizer, task).conversation(problem) == f"{heading}\n\nt1?\nmore\n{letters}"


def test_a_problem_is_no_example_of_itself(folder: Path, tokenizer: Any) -> None:
    task = Mmlu(folder)
    prompter = make_prompter(tokenizer, task, PromptSection(), [])
    assert [str(prompter.conversation(problem)).count("Question: d0?") for problem in task.load("dev")] == [1, 1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shot": 1}, r"task mmlu: unknown key 'task\.options\.shot'; did you mean 'shots'\? allowed here: shots"),
        ({"shots": 6}, r"task\.options\.shots is 6: input should be less than or equal to 5"),
        ({"shots": "2"}, r"task\.options\.shots is '2': input should be a valid integer"),
    ],
)
def test_wrong_options(folder: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        tasks.build("mmlu", folder, options=options)


def test_task_without_options() -> None:
    with pytest.raises(UsageError, match=r"task sequences: unknown key 'task\.options\.shots'; allowed here: none, remove it"):
        tasks.build("sequences", options={"shots": 1})


def test_bad_files(folder: Path) -> None:
    (folder / "test" / "law_test.csv").write_text('q,1,2,3,4,A\n"two\nlines",1,2,3,4\n')
    with pytest.raises(DataError, match=r"law_test\.csv:2: 5 fields, expected question"):
        Mmlu(folder).load("test")
    (folder / "test" / "law_test.csv").write_text("q,1,2,3,4,E\n")
    with pytest.raises(DataError, match=r"law_test\.csv:1: the answer is 'E', expected a letter A to D"):
        Mmlu(folder).load("test")
    with pytest.raises(DataError, match=r"test holds no files \*_test\.csv"):
        Mmlu(folder / "dev").load("dev")


def test_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    def rows(task: str, name: str, config: str, split: str) -> list[tuple[str, Any]]:
        assert (task, name, config) == ("mmlu", "cais/mmlu", "all")
        row = {"question": f"{split}?", "subject": "law", "choices": OPTIONS, "answer": 2}
        return [("hub", row), ("hub", {**row, "subject": "art"})]

    monkeypatch.setattr("aftune.tasks.mmlu.hub_rows", rows)
    problems = Mmlu().load("test")
    assert [(p.id, p.gold_answer) for p in problems] == [("mmlu/test/law/0", "C"), ("mmlu/test/art/0", "C")]


def test_real_files(data_dir: Path) -> None:
    """57 subjects. 5 questions of dev and 28 of validation are in test, one of dev is in validation."""
    task = Mmlu(data_dir / "mmlu")
    problems = {split: task.load(split) for split in task.split_names}
    assert {split: len(found) for split, found in problems.items()} == {"dev": 279, "validation": 1503, "test": 14042}
    assert [Counter(left.reason.rpartition(" ")[2] for left in task.left_out(split)) for split in task.split_names] == [
        {"test": 5, "validation": 1},
        {"test": 28},
        {},
    ]
    assert len({p.metadata["subject"] for p in problems["test"]}) == 57
    assert sum("\n" in p.question for p in problems["test"]) == 824
    for reading in ("strict", "flexible"):
        assert all(task.verdict(p, task.gold_response(p), reading).quality for found in problems.values() for p in found)
