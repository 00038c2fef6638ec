"""A run over two tasks, evaluated on each: figures by task that add up to the whole."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import small_run
from aftune import tasks
from aftune.cli.run_views import print_results
from aftune.common.errors import DataError
from aftune.evaluation.accuracy import accuracy_metrics
from aftune.evaluation.assessment import assessment_metrics
from aftune.pipeline import runner
from aftune.pipeline.compare.results import gather, write
from aftune.pipeline.compare.runs import comparison, run
from aftune.pipeline.context import Context
from aftune.pipeline.directory.run_directory import RunDirectory
from aftune.pipeline.stages.prepare import prepare
from aftune.records import Candidate, Feedback, Group, GroupScores, JudgedResponse, Problem, read_records

pytestmark = pytest.mark.xdist_group("multitask")  # its fixtures are slow to make, so one process runs it all

NAMES = ["arithmetic", "sequences"]
MIXTURE = {"name": "mixture", "parts": [{"name": name} for name in NAMES], "train": "train[:24]", "test": "test[:14]"}
SETTINGS: dict[str, Any] = {
    "task": MIXTURE,
    "sft": {"batch_size": 8},
    "sample": {"max_new_tokens": 64, "batch_size": 24},
    "align": {"batch_size": 8},
    # Six candidates: of two a problem, none of so small a model may be right and wrong.
    "evaluate": {"num_candidates": 6, "temperature": 1.0, "max_new_tokens": 64, "batch_size": 24},
}


def problem(number: int, task: str) -> Problem:
    return Problem(id=f"p{number}", task=task, question="q", gold_answer="1")


def verdict(number: int, right: bool) -> JudgedResponse:
    return JudgedResponse(problem_id=f"p{number}", text="#### 1", right=right, reason="matched", finish_reason="stop")


def group(number: int, task: str, qualities: Sequence[float]) -> Group:
    candidates = [Candidate(problem_id=f"p{number}", index=index, text="c") for index in range(len(qualities))]
    feedback = [Feedback(quality=quality, reason="r") for quality in qualities]
    return Group(problem=problem(number, task), candidates=candidates, feedback=feedback)


def by_task(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name.endswith("_by_task")}


def test_hand_worked_accuracy_by_task() -> None:
    """Task a: 2 of 3 right, task b: 1 of 1; in whatever order the problems stand."""
    rows = [("a", True), ("b", True), ("a", False), ("a", True)]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        problems = [problem(number, rows[number][0]) for number in order]
        metrics = accuracy_metrics(problems, [verdict(number, rows[number][1]) for number in order])
        assert metrics["accuracy"] == 0.75
        assert metrics["accuracy_by_task"] == {"a": 2 / 3, "b": 1.0}
        assert metrics["num_problems_by_task"] == {"a": 3, "b": 1}
        alone = accuracy_metrics([problem(n, "a") for n in (0, 2, 3)], [verdict(n, rows[n][1]) for n in (0, 2, 3)])
        assert metrics["accuracy_ci95_by_task"]["a"] == alone["accuracy_ci95"]
        assert by_task(alone) == {}


def test_hand_worked_assessment_by_task() -> None:
    """a: pairs in order 1 of 2 and 1 of 1, mean 0.75; b: 0 of 1; c: none to compare. Together (0.5 + 1 + 0) / 3."""
    groups = [group(0, "a", [1, 0, 0]), group(1, "b", [0, 1]), group(2, "a", [1, 0]), group(3, "c", [1, 1])]
    scores = [[-0.2, -0.1, -0.3], [-0.1, -0.2], [-0.1, -0.2], [-0.1, -0.2]]
    rows = [GroupScores(problem_id=f"p{number}", scores=row) for number, row in enumerate(scores)]
    metrics = assessment_metrics(groups, rows)
    assert metrics["assessment_accuracy"] == pytest.approx(0.5)
    assert metrics["assessment_accuracy_by_task"] == {"a": 0.75, "b": 0.0, "c": None}
    assert metrics["num_assessed_problems_by_task"] == {"a": 2, "b": 1, "c": 0}
    alone = assessment_metrics(groups[::2], rows[::2])
    assert metrics["assessment_accuracy_ci95_by_task"]["a"] == alone["assessment_accuracy_ci95"]
    assert metrics["assessment_accuracy_ci95_by_task"]["c"] is None
    assert by_task(assessment_metrics([groups[0], groups[2]], [rows[0], rows[2]])) == {}
    assert metrics["assessment_accuracy_by_task"] == assessment_metrics(groups[::-1], rows[::-1])["assessment_accuracy_by_task"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "two"
    runner.run_stages(small_run.recipe(folder, **SETTINGS), report=lambda line: None)
    return folder


def test_figures_by_task_add_up_to_the_whole(finished: Path) -> None:
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["task"] == "arithmetic + sequences"
    problems = read_records(finished / "prepare" / "test.jsonl", Problem)
    assert sorted({item.task for item in problems}) == NAMES
    for name, result in metrics["results"].items():
        verdicts = read_records(finished / "evaluate" / name / "verdicts.jsonl", JudgedResponse)
        own = {task: [v.right for p, v in zip(problems, verdicts, strict=True) if p.task == task] for task in NAMES}
        assert result["accuracy_by_task"] == {task: sum(right) / len(right) for task, right in own.items()}
        assert result["num_problems_by_task"] == dict.fromkeys(NAMES, 7)
        whole = sum(result["accuracy_by_task"][task] * result["num_problems_by_task"][task] for task in NAMES)
        assert whole / result["num_problems"] == pytest.approx(result["accuracy"])
        assessed = result["num_assessed_problems_by_task"]
        assert sum(assessed.values()) == result["num_assessed_problems"] > 0
        shares = [result["assessment_accuracy_by_task"][task] * number for task, number in assessed.items() if number]
        assert sum(shares) / sum(assessed.values()) == pytest.approx(result["assessment_accuracy"])


def test_every_stage_knows_the_task_of_a_problem(finished: Path) -> None:
    """Splits are even, and feedback is what each task alone says of the candidates."""
    for split, number in (("train", 12), ("validation", 2), ("test", 7)):
        ids = [item.id for item in read_records(finished / "prepare" / f"{split}.jsonl", Problem)]
        assert sorted(ids) == sorted(f"{name}/{split}/{place}" for name in NAMES for place in range(number))
    alone = {name: tasks.build(name) for name in NAMES}
    for path in (finished / "label" / "groups.jsonl", finished / "evaluate" / "groups.jsonl"):
        for item in read_records(path, Group):
            for candidate, feedback in zip(item.candidates, item.feedback, strict=True):
                assert feedback.quality == alone[item.problem.task].verdict(item.problem, candidate.text).quality
                assert feedback.rank == alone[item.problem.task].rank(item.problem, candidate.text)


def test_terminal_and_page_show_each_task(finished: Path) -> None:
    text = io.StringIO()
    print_results(small_run.recipe(finished, **SETTINGS), Console(file=text, width=100))
    lines = text.getvalue().splitlines()
    assert lines[1].strip() == "arithmetic + sequences, seed 0"
    assert [line.split()[0] for line in lines if line.strip().startswith(("arithmetic (7)", "sequences (7)"))] == NAMES
    page = (finished / "report.html").read_text(encoding="utf-8")
    assert "<h3>By task</h3>" in page
    assert page.count(">arithmetic (n = 7)<") == 1  # problems; of candidates fewer can be assessed
    assert "<h1>arithmetic + sequences, bundled base model</h1>" in page


def test_comparison_has_a_column_for_each_task(tmp_path: Path) -> None:
    wanted = comparison(small_run.recipe(tmp_path, **SETTINGS | {"sft": {"num_epochs": 1}}), ["vft", "vft-steps"], 1)
    assert run(wanted, 1, lambda line: None) == []
    results = gather(wanted)
    write(wanted, results)
    rows = list(csv.DictReader((tmp_path / "compare.csv").open()))
    assert [row["method"] for row in rows] == ["vft", "vft-steps"]
    for row in rows:
        assert (row["num_problems.arithmetic"], row["num_problems.sequences"]) == ("7", "7")
        mean = (float(row["accuracy.arithmetic"]) + float(row["accuracy.sequences"])) / 2
        assert mean == pytest.approx(float(row["accuracy"]))
        assert "assessment_accuracy.arithmetic" in row
        assert not [name for name in row if "by_task" in name]
    (method, _) = results["methods"]
    assert method["metrics"]["accuracy.sequences"]["values"] == [float(rows[0]["accuracy.sequences"])]
    assert results["task"] == "arithmetic + sequences"


def test_a_task_of_which_nothing_is_left_is_an_error(tmp_path: Path) -> None:
    """Otherwise it would be missing among the figures without a word."""
    for split, question in (("train", "long " * 3000), ("test", "short")):
        lines = [json.dumps({"question": f"{question} {number}", "answer": "#### 1"}) + "\n" for number in range(2)]
        (tmp_path / f"{split}.jsonl").write_text("".join(lines))
    parts = [{"name": "sequences"}, {"name": "gsm8k", "train": "train", "validation": "test[:1]", "test": "test[1:]"}]
    slices = {"train": "train[-4:]", "validation": "validation[-2:]", "test": "test[-2:]"}
    task = {"name": "mixture", "parts": [{**parts[0], **slices}, parts[1]], "skip_too_long": True}
    recipe = small_run.Recipe.model_validate({"run_dir": str(tmp_path / "run"), "data": str(tmp_path), "task": task})
    with pytest.raises(
        DataError, match=r"task\.train: no problem of task gsm8k is left; .*gsm8k/train/1: the question has [\d,]+ tokens"
    ):
        prepare(Context(recipe, RunDirectory(recipe.run_dir)))
