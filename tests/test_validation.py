"""`aftune validate` and `aftune tasks`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aftune import tasks
from aftune.answers import Reading
from aftune.cli import app
from aftune.records import Feedback, Problem
from aftune.tasks.gsm8k import Gsm8k
from aftune.validation import validate

RUNNER = CliRunner()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rows = {"train": ["a", "b", "a", "t"], "test": ["t", "u"]}
    for split, questions in rows.items():
        lines = (json.dumps({"question": f"{name} ?", "answer": "1+1=2\n#### 2"}) for name in questions)
        (tmp_path / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_repetitions_and_overlap(folder: Path) -> None:
    found = validate(tasks.build("gsm8k", folder), lambda problem: "long" if problem.question == "u ?" else None)
    assert found.usable
    assert [(s.split, s.problems, s.references, dict(s.findings)) for s in found.splits] == [
        ("train", 4, 4, {"duplicate": 1, "overlap": 1}),
        ("test", 2, 2, {"too_long": 1}),
    ]
    assert [(row["id"], row["kind"], row["reason"]) for row in found.findings] == [
        ("gsm8k/test/1", "too_long", "long"),
        ("gsm8k/train/2", "duplicate", "the same question as gsm8k/train/0"),
        ("gsm8k/train/3", "overlap", "the same question as gsm8k/test/0"),
    ]


def test_gold_answers_and_references_that_the_verifier_refuses(folder: Path) -> None:
    class Strict(Gsm8k):
        def verdict(self, problem: Problem, text: str, reading: Reading = "strict") -> Feedback:
            return Feedback(quality=0.0, reason="different", answer="3")

    found = validate(Strict(folder))
    assert not found.usable
    assert [s.findings["gold"] for s in found.splits] == [4, 2]
    assert [s.findings["reference"] for s in found.splits] == [4, 2]
    assert found.findings[0]["reason"] == "strict reading: different: '#### 2'"


def test_command(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "found.jsonl"
    result = RUNNER.invoke(app, ["validate", "gsm8k", f"data={folder}", "model.name=bundled", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["kind"] for line in out.read_text().splitlines()] == ["duplicate", "overlap"]
    (folder / "test.jsonl").write_text('{"question": "q", "answer": "none"}\n')
    result = RUNNER.invoke(app, ["validate", "gsm8k", f"data={folder}", "--out", str(out)])
    assert result.exit_code == 1
    assert "unreadable" in out.read_text()
    for arguments in (["gsm9k"], ["gsm8k", "task.options.shots=1"], ["gsm8k", "dta=x"]):
        assert RUNNER.invoke(app, ["validate", *arguments, "--out", str(out)]).exit_code == 2


def test_list_of_tasks() -> None:
    result = RUNNER.invoke(app, ["tasks"])
    assert result.exit_code == 0
    for task in tasks.TASKS.values():
        assert task.name in result.output
        assert task.source
        assert set(task.published_sizes) in (set(), set(task.split_names))
