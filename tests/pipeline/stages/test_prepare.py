"""The problems of each split: what stays, what is left out and why."""

import json
from pathlib import Path
from typing import Any

import pytest

from aftune.common.errors import DataError, RepeatedIdError
from aftune.pipeline.context import Context
from aftune.pipeline.directory.changes import setting_changes, what_matters
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.registry import PREPARE
from aftune.pipeline.stages.prepare import prepare
from aftune.recipe import Recipe
from aftune.records import Problem, read_records, with_unique_ids


def context(tmp_path: Path, train: list[str], test: list[str], prompt: Any = None, **task: Any) -> Context:
    """A run of GSM8K with these questions; the last training question is the validation split."""
    for split, questions in (("train", train), ("test", test)):
        rows = [{"question": question, "answer": f"#### {n}"} for n, question in enumerate(questions)]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    splits = {"train": "train[:-1]", "validation": "train[-1:]", "test": "test"}
    recipe = Recipe.model_validate(
        {"run_dir": tmp_path / "run", "data": tmp_path, "task": {"name": "gsm8k", **splits, **task}, "prompt": prompt or {}}
    )
    return Context(recipe, RunDirectory(recipe.run_dir))


def ids(prepared: Context, split: str) -> list[str]:
    return [problem.id for problem in read_records(prepared.folder("prepare") / f"{split}.jsonl", Problem)]


def test_a_question_stays_in_the_split_where_it_is_measured(tmp_path: Path) -> None:
    prepared = context(tmp_path, ["a", "b c", "v", "a", "w", "v"], ["b  c", "t", "t"])
    assert prepare(prepared) == {"train": 3, "validation": 1, "test": 3, "left_out": 2}
    assert ids(prepared, "train") == ["gsm8k/train/0", "gsm8k/train/3", "gsm8k/train/4"]
    assert ids(prepared, "validation") == ["gsm8k/train/5"]
    assert ids(prepared, "test") == ["gsm8k/test/0", "gsm8k/test/1", "gsm8k/test/2"]  # its own repetitions stay
    assert json.loads((prepared.folder("prepare") / "left_out.json").read_text()) == [
        {"split": "train", "id": "gsm8k/train/1", "reason": "gsm8k/train/1: the same question is in test", "what": "problem"},
        {"split": "train", "id": "gsm8k/train/2", "reason": "gsm8k/train/2: the same question is in validation", "what": "problem"},
    ]


def test_a_problem_longer_than_the_context_is_an_error_or_left_out(tmp_path: Path) -> None:
    train = ["a", "long " * 3000, "v"]
    with pytest.raises(DataError, match=r"gsm8k/train/1: the question has [\d,]+ tokens, .*set task.skip_too_long=true"):
        prepare(context(tmp_path, train, ["t"]))
    prepared = context(tmp_path, train, ["t"], skip_too_long=True)
    assert prepare(prepared) == {"train": 1, "validation": 1, "test": 1, "left_out": 1}
    assert ids(prepared, "train") == ["gsm8k/train/0"]


def test_a_split_without_problems_is_an_error_and_writes_no_file(tmp_path: Path) -> None:
    prepared = context(tmp_path, ["t", "v"], ["t"])
    with pytest.raises(DataError, match=r"task\.train: no problem of train\[:-1\] is left; .*the same question is in test"):
        prepare(prepared)
    assert not (prepared.folder("prepare") / "train.jsonl").exists()


def test_what_the_task_leaves_out_is_listed_once_and_options_belong_to_a_question(tmp_path: Path) -> None:
    """Train and validation are slices of one split: its second row, whose rationale names another option, is listed once. The
    test question is the first training question with other options."""

    def row(options: list[str], rationale: str) -> str:
        return json.dumps({"question": "Which?", "options": options, "rationale": rationale, "correct": "A"}) + "\n"

    good, bad = "Answer: A", "Answer: B"
    (tmp_path / "train.json").write_text(row(["A)1", "B)2"], good) + row(["A)1", "B)3"], bad) + row(["A)1", "B)4"], good))
    (tmp_path / "test.json").write_text(row(["A)5", "B)6"], bad))
    splits = {"train": "train[:1]", "validation": "train[1:]", "test": "test"}
    recipe = Recipe.model_validate({"run_dir": tmp_path / "run", "data": tmp_path, "task": {"name": "aqua", **splits}})
    prepared = Context(recipe, RunDirectory(recipe.run_dir))
    with pytest.raises(DataError, match=r"aqua: train\[1:\] holds no problems"):
        prepare(prepared)  # the same words as the test question's: a leak
    (tmp_path / "test.json").write_text(row(["A)5", "B)6"], bad).replace("Which", "What"))
    prepared = Context(recipe, RunDirectory(recipe.run_dir))
    assert prepare(prepared) == {"train": 1, "validation": 1, "test": 1, "left_out": 1, "references_left_out": 1}
    left = json.loads((prepared.folder("prepare") / "left_out.json").read_text())
    assert [(row["split"], row["id"], row["what"]) for row in left] == [
        ("test", "aqua/test/0", "rationale"),
        ("train", "aqua/train/1", "problem"),
    ]


def test_a_wrong_gold_answer_is_not_trained_in(tmp_path: Path) -> None:
    """A training problem whose rationale comes to another answer goes, a held-out one stays without it; each is listed."""
    rows = [
        {"question": "8 + 8?", "answer": "9999", "why": "8 + 8 = 16"},
        {"question": "8 + 9?", "answer": "17", "why": "8 + 9 = 17"},
        {"question": "8 + 7?", "answer": "3", "why": "So the answer is 15."},
    ]
    for split, chosen in (("train", rows), ("test", rows[1:])):
        questions = ({**row, "question": f"{split}: {row['question']}"} for row in chosen)
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in questions))
    (tmp_path / "validation.jsonl").write_text(json.dumps(rows[1] | {"question": "v"}) + "\n")
    options = {"name": "jsonl", "train": "train", "validation": "validation", "test": "test", "options": {"rationale": "why"}}
    recipe = Recipe.model_validate({"run_dir": tmp_path / "run", "data": tmp_path, "task": options})
    prepared = Context(recipe, RunDirectory(recipe.run_dir))
    assert prepare(prepared) == {
        "train": 1,
        "validation": 1,
        "test": 2,
        "left_out": 2,
        "references_left_out": 1,
        "contradictions": 3,
    }
    assert [problem.rationale for problem in prepared.problems("train")] == ["8 + 9 = 17\n#### 17"]
    assert [problem.rationale for problem in prepared.problems("test")] == ["8 + 9 = 17\n#### 17", None]
    assert json.loads((prepared.folder("prepare") / "left_out.json").read_text()) == [
        {"split": "test", "id": "jsonl/test/1", "what": "rationale", "reason": "the rationale comes to 15, the gold answer is 3"},
        {
            "split": "train",
            "id": "jsonl/train/0",
            "what": "problem",
            "reason": "the rationale comes to 16, the gold answer is 9999",
        },
        {"split": "train", "id": "jsonl/train/2", "what": "problem", "reason": "the rationale comes to 15, the gold answer is 3"},
    ]


def test_two_problems_of_one_id_are_an_error(tmp_path: Path) -> None:
    """Within a file with both places; between the parts of a mixture with their numbers."""
    rows = [{"question": f"{name}?", "answer": "1", "id": name} for name in "abca"]
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[: 4 if split == "test" else 3]))
    options = {"name": "jsonl", "train": "train", "validation": "validation", "test": "test", "options": {"id": "id"}}
    recipe = Recipe.model_validate({"run_dir": tmp_path / "run", "data": tmp_path, "task": options})
    with pytest.raises(
        RepeatedIdError, match=r"test\.jsonl:4: the id 'a' is that of \S*test\.jsonl:1 too; give each question an id"
    ):
        prepare(Context(recipe, RunDirectory(recipe.run_dir)))
    problems = [Problem(id=name, task="t", question=name, gold_answer="1") for name in "aba"]
    with pytest.raises(RepeatedIdError, match=r"here: problems 1 and 3 have the same id 'a'"):
        list(with_unique_ids(problems, "here"))


def test_examples_are_training_problems_and_stay_in_training(tmp_path: Path) -> None:
    """Of six training questions one is in the test set and one in validation: four can be shown, so at most three are."""
    train = ["a", "b", "t", "c", "d", "v", "v"]
    prepared = context(tmp_path, train, ["t"], prompt={"few_shot": 3})
    assert prepare(prepared)["train"] == 4
    examples = read_records(prepared.folder("prepare") / "examples.jsonl", Problem)
    assert sorted(problem.question for problem in examples) == ["a", "b", "c", "d"]
    assert sorted(ids(prepared, "train")) == sorted(problem.id for problem in examples)
    shown = prepared.tokenizer.decode(prepared.prompter(prepared.problems("test")[0]))
    assert shown == "<s>" + "".join(
        f"Question: {problem.question}\nAnswer:\n{problem.rationale}\n\n" for problem in examples[:3]
    ) + ("Question: t\nAnswer:\n")
    for problem in prepared.problems("train"):
        assert prepared.tokenizer.decode(prepared.prompter(problem)).count(f"Question: {problem.question}\n") == 1
    with pytest.raises(DataError, match=r"prompt.few_shot is 4, .*; without those held out, task.train has 4"):
        prepare(context(tmp_path, train, ["t"], prompt={"few_shot": 4}))


def test_default_prompt_leaves_finished_runs_as_they_are(tmp_path: Path) -> None:
    """Those from before there was a choice."""
    settings = what_matters(PREPARE.settings(context(tmp_path, ["a", "v"], ["t"]).recipe))
    before = {key: value for key, value in settings.items() if key != "prompt"}
    assert setting_changes(before, settings) == []
    other = what_matters(PREPARE.settings(context(tmp_path, ["a", "v"], ["t"], prompt={"style": "alpaca"}).recipe))
    assert setting_changes(before, other) == setting_changes(settings, other) == ["prompt.style: plain -> alpaca"]
