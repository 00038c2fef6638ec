"""The problems of each split: what stays, what is left out and why."""

import json
from pathlib import Path
from typing import Any

import pytest

from aftune.errors import DataError
from aftune.pipeline.changes import setting_changes, what_matters
from aftune.pipeline.context import Context
from aftune.pipeline.prepare import prepare
from aftune.pipeline.run_directory import RunDirectory
from aftune.pipeline.stages import PREPARE
from aftune.recipe import Recipe
from aftune.records import Problem, read_records


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
        {"split": "train", "id": "gsm8k/train/1", "reason": "gsm8k/train/1: the same question is in test"},
        {"split": "train", "id": "gsm8k/train/2", "reason": "gsm8k/train/2: the same question is in validation"},
    ]


def test_a_problem_longer_than_the_context_is_an_error_or_left_out(tmp_path: Path) -> None:
    train = ["a", "long " * 3000, "v"]
    with pytest.raises(DataError, match=r"gsm8k/train/1: the question is [\d,]+ tokens, .*set task.skip_too_long=true"):
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
    (left,) = json.loads((prepared.folder("prepare") / "left_out.json").read_text())
    assert (left["split"], left["id"]) == ("train", "aqua/train/1")


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
    with pytest.raises(DataError, match=r"prompt.few_shot is 4, .*; task.train has 4 that are not held out"):
        prepare(context(tmp_path, train, ["t"], prompt={"few_shot": 4}))


def test_default_prompt_leaves_finished_runs_as_they_are(tmp_path: Path) -> None:
    """Those from before there was a choice."""
    settings = what_matters(PREPARE.settings(context(tmp_path, ["a", "v"], ["t"]).recipe))
    before = {key: value for key, value in settings.items() if key != "prompt"}
    assert setting_changes(before, settings) == []
    other = what_matters(PREPARE.settings(context(tmp_path, ["a", "v"], ["t"], prompt={"style": "alpaca"}).recipe))
    assert setting_changes(before, other) == setting_changes(settings, other) == ["prompt.style: plain -> alpaca"]
