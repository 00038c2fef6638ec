"""One model on one task, by generation and by letters."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from typer.testing import CliRunner

from aftune.cli.main import app
from aftune.common.data_files import read_rows
from aftune.common.errors import AftuneError, DataError, UsageError
from aftune.evaluation.greedy import greedy_right
from aftune.evaluation.letters import letter_accuracy
from aftune.models.loading import load_model, load_tokenizer
from aftune.pipeline.benchmark import benchmark
from aftune.prompts.prompter import Prompter
from aftune.recipe import ModelSection
from aftune.sampling import SamplingSettings, TransformersEngine
from aftune.sampling.transformers.next_token import TokenChoice
from aftune.tasks import build
from aftune.tasks.mmlu import Mmlu


@pytest.fixture
def mmlu(tmp_path: Path) -> Path:
    """Two subjects, a question of the first does not fit the bundled model's context with its example."""
    for split in ("dev", "val", "test"):
        (tmp_path / split).mkdir()
        for subject, number in (("art", 3), ("law", 1)):
            with open(tmp_path / split / f"{subject}_{split}.csv", "w", newline="") as file:
                rows = [[f"{split} {subject} {n}?", str(n), "2", "3", "4", "ABCD"[n]] for n in range(number)]
                csv.writer(file).writerows(rows)
    return tmp_path


def test_generation_is_greedy_accuracy(tmp_path: Path) -> None:
    settings = ["model.device=cpu", "model.precision=float32", "evaluate.max_new_tokens=60"]
    metrics = benchmark("bundled", "arithmetic", tmp_path / "b", settings, split="test[3:15]")
    task, tokenizer = build("arithmetic"), load_tokenizer("bundled")
    model = load_model("bundled", ModelSection(device="cpu", precision="float32"))
    problems = task.load("test[3:15]")
    greedy = SamplingSettings(max_new_tokens=60, temperature=0.0)
    right = greedy_right(TransformersEngine(model, tokenizer, 8), Prompter(tokenizer), task, problems, greedy, "validation")
    assert metrics["accuracy"] == sum(right) / 12
    rows = [row for _, row in read_rows(tmp_path / "b" / "verdicts.jsonl")]
    assert [row["problem_id"] for row in rows] == [problem.id for problem in problems]
    for reading in ("strict", "flexible"):
        verdicts = [task.verdict(problem, row["text"], reading).quality for problem, row in zip(problems, rows, strict=True)]
        assert metrics["accuracy_by_reading"][reading] == pytest.approx(sum(verdicts) / 12)
    assert json.loads((tmp_path / "b" / "metrics.json").read_text())["accuracy"] == metrics["accuracy"]
    for harmless in ([], ["evaluate.batch_size=3", "model.attention=eager"]):
        assert benchmark("bundled", "arithmetic", tmp_path / "b", [*settings, *harmless], split="test[3:15]") == metrics
    with pytest.raises(UsageError, match=r"holds another benchmark \(task\.test: .*3:15\] -> .*3:16\]\); choose a new folder"):
        benchmark("bundled", "arithmetic", tmp_path / "b", settings, split="test[3:16]")


def test_stop_strings_of_examples_and_both_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A model that answers and then goes on with a question of its own: the greedy response is cut before that."""
    whole = "2+5=7.\nThe answer is 7.\n\nQuestion: How many?\nAnswer:\nThe answer is 9."
    written = [*load_tokenizer("bundled")(whole, add_special_tokens=False)["input_ids"], 2]
    steps: list[int] = []

    def writing(self: Any, logits_N_V: torch.Tensor, uniforms_N: torch.Tensor) -> torch.Tensor:
        steps.append(written[len(steps)])
        return torch.full((len(logits_N_V),), steps[-1])

    monkeypatch.setattr(TokenChoice, "__call__", writing)
    settings = ["model.device=cpu", "model.precision=float32", "evaluate.max_new_tokens=60"]
    expected = {
        "prompt.few_shot=1": ("2+5=7.\nThe answer is 7.", None, "7"),
        "prompt.few_shot=0": (whole, None, "7"),
        'evaluate.stop=["\\nThe", "\\n\\n"]': ("2+5=7.", None, "7"),
    }
    for number, (setting, (text, strict, flexible)) in enumerate(expected.items()):
        steps.clear()
        folder = tmp_path / str(number)
        benchmark("bundled", "arithmetic", folder, [*settings, setting], split="test[:3]")
        rows = [row for _, row in read_rows(folder / "verdicts.jsonl")]
        assert [(row["text"], row["finish_reason"]) for row in rows] == [(text, "stop")] * 3
        assert [row["answer_by_reading"] for row in rows] == [{"strict": strict, "flexible": flexible}] * 3
        assert [row.get("answer") for row in rows] == [strict] * 3


def test_letters_and_means_over_subjects(mmlu: Path, tmp_path: Path) -> None:
    settings = ["model.device=cpu", "model.precision=float32", f"data={mmlu}", "task.options.shots=1"]
    metrics = benchmark("bundled", "mmlu", tmp_path / "letters", settings, letters=True)
    model, tokenizer = load_model("bundled", ModelSection(device="cpu", precision="float32")), load_tokenizer("bundled")
    task = build("mmlu", mmlu, options={"shots": 1})
    assert isinstance(task, Mmlu)
    expected = letter_accuracy(model, tokenizer, task, task.load("test"))
    assert (metrics["accuracy"], metrics["subject_accuracy"]) == (expected.accuracy, expected.subject_accuracy)
    letters = [row["letter"] for _, row in read_rows(tmp_path / "letters" / "letters.jsonl")]
    assert letters == expected.chosen
    generated = benchmark("bundled", "mmlu", tmp_path / "text", [*settings, "evaluate.max_new_tokens=4"])
    assert set(generated["accuracy_by_subject"]) == {"art", "law"}
    assert generated["subject_accuracy"] == pytest.approx(sum(generated["accuracy_by_subject"].values()) / 2)


def test_questions_that_do_not_fit(tmp_path: Path) -> None:
    for split, questions in (("train", ["a", "b", "c"]), ("test", ["t", "long " * 3000])):
        rows = ({"question": question, "answer": "#### 1"} for question in questions)
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = ["model.device=cpu", "model.precision=float32", f"data={tmp_path}", "evaluate.max_new_tokens=2", "prompt.few_shot=2"]
    with pytest.raises(DataError, match=r"gsm8k/test/1: the question has .*; use fewer examples, .* task\.skip_too_long=true"):
        benchmark("bundled", "gsm8k", tmp_path / "a", settings)
    metrics = benchmark("bundled", "gsm8k", tmp_path / "b", [*settings, "task.skip_too_long=true"])
    assert metrics["num_problems"] == 1
    assert len(list(read_rows(tmp_path / "b" / "prepare" / "examples.jsonl"))) == 3


def test_letters_of_own_questions(tmp_path: Path) -> None:
    """Own questions with options are asked for a letter as those of any other task."""
    rows = [{"question": f"What is {n} + {n}?", "a": str(2 * n), "b": str(n), "c": "7", "answer": "A"} for n in range(1, 5)]
    path = tmp_path / "test.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    columns = "task.options={question: question, answer: answer, answer_kind: choice, options: [a, b, c]}"
    settings = ["model.device=cpu", "model.precision=float32", f"data={tmp_path}"]
    metrics = benchmark("bundled", "jsonl", tmp_path / "letters", [*settings, columns], letters=True)
    letters = [row["letter"] for _, row in read_rows(tmp_path / "letters" / "letters.jsonl")]
    assert len(letters) == 4
    assert set(letters) <= set("ABC")
    assert metrics["accuracy"] == letters.count("A") / 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["bundled", "arithmetic", "--letters"],
            "--letters: the answers of task arithmetic are not letters of options; leave --letters out",
        ),
        (["bundled", "gsm9k"], "there is no task 'gsm9k'"),
        (["bundled", "arithmetic", "--split", "dev"], "no split 'dev'"),
        (["bundled", "arithmetic", "task.name=gsm8k"], "leave model.name and task.name out"),
        (["bundled", "sequences", "task.options.shots=1"], "allowed here: none, remove it"),
    ],
)
def test_what_cannot_be_measured_is_said_before_anything_is_written(arguments: list[str], message: str, tmp_path: Path) -> None:
    result: Any = CliRunner().invoke(app, ["benchmark", *arguments, "--out", str(tmp_path / "b")])
    assert result.exit_code == 2
    assert message in result.stderr
    assert not (tmp_path / "b").exists()


def test_command_prints_the_figures(tmp_path: Path) -> None:
    arguments = ["bundled", "arithmetic", "--split", "test[:4]", "--out", str(tmp_path / "b"), "evaluate.max_new_tokens=60"]
    result = CliRunner().invoke(app, ["benchmark", *arguments])
    assert result.exit_code == 0, result.output
    assert "on 4 questions" in result.output
    assert "strict reading" in result.output


def test_a_model_that_is_not_there_takes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(AftuneError, match=r"model\.name"):
        benchmark(str(tmp_path / "none"), "arithmetic", tmp_path / "b", split="test[:2]")
    assert not (tmp_path / "b" / "benchmark.json").exists()
