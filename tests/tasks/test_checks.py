"""`aftune validate` and `aftune tasks`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aftune import tasks
from aftune.answers import Reading
from aftune.cli.main import app
from aftune.records import Feedback, Problem
from aftune.tasks.checks import validate
from aftune.tasks.gsm8k import Gsm8k

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
    assert [s.findings["rationale"] for s in found.splits] == [4, 2]
    assert found.findings[0]["reason"] == "strict reading: different: '#### 2'"


def test_it_goes_on_after_bad_rows(tmp_path: Path) -> None:
    """Ten bad rows of every kind take one run: a line for each, and all that is good is checked."""
    good = {"question": "q", "answer": "1+1=2\n#### 2"}
    bad = [
        "{",
        '{"question": "q"',
        '{"question": "q"}',
        '{"question": "", "answer": "#### 2"}',
        '{"question": "q", "answer": "2"}',
        '{"question": "\\ud800", "answer": "#### 2"}',
        '{"question": "q", "answer": ' + "9" * 5000 + "}",
        '{"question": "q", "answer": ' + "[" * 100_000,
        "[1]",
        "nonsense",
    ]
    lines = [json.dumps(good | {"question": "first"}), *bad[1:], json.dumps(good | {"question": "last"})]
    (tmp_path / "train.jsonl").write_text("\n".join(lines) + "\n")
    found = validate(tasks.build("gsm8k", tmp_path))
    assert not found.usable
    (train,) = found.splits
    assert (train.split, train.problems, train.findings["unreadable"]) == ("train", 2, 9)
    reasons = [row["reason"].partition("train.jsonl:")[2] for row in found.findings]
    for reason, expected in zip(
        reasons,
        [
            "2: not valid JSON at column 17",
            '3: expected an object with the texts "question" and "answer"',
            '4: "question" is empty',
            '5: no gold answer: "answer" has no number',
            "6: \\ud800 is half of a surrogate pair",
            "7: JSON with an integer of more than 4,300 digits",
            "8: JSON that is nested too deeply",
            "9: expected an object",
            "10: not valid JSON at column 1",
        ],
        strict=True,
    ):
        assert reason.startswith(expected)


def test_repeated_ids_and_contradictions(tmp_path: Path) -> None:
    rows = [
        {"q": "a?", "n": "a", "a": 9999, "why": "8 + 8 = 16"},
        {"q": "b?", "n": "b", "a": 16, "why": "8 + 8 = 16"},
        {"q": "c?", "n": "a", "a": 16, "why": "8 + 8 = 16"},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = {"question": "q", "answer": "a", "rationale": "why", "id": "n"}
    found = validate(tasks.build("jsonl", tmp_path, options=options))
    assert not found.usable
    (train,) = found.splits
    assert (train.problems, train.references, dict(train.findings)) == (2, 1, {"contradiction": 1, "repeated_id": 1})
    assert [(row["id"], row["kind"], row["reason"].replace(f"{tmp_path}/", "")) for row in found.findings] == [
        ("a", "contradiction", "the rationale comes to 16, the gold answer is 9999"),
        (
            "jsonl/train",
            "repeated_id",
            "train.jsonl:3: the id 'a' is that of train.jsonl:1 too; give each question an id of its own, or name no column of ids",
        ),
    ]


def test_command_with_a_recipe(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own tasks, data, options and model; findings of all parts in one file."""
    monkeypatch.chdir(tmp_path)
    other = tmp_path / "own"
    other.mkdir()
    (other / "train.jsonl").write_text('{"q": "1?", "answer": "1"}\n{"q": "1?", "answer": "x"}\n')
    parts = [
        f"{{name: gsm8k, data: {folder}, train: train, validation: train, test: test}}",
        f"{{name: jsonl, data: {other}, train: train, validation: train, test: train, options: {{question: q}}}}",
    ]
    Path("mine.yaml").write_text(f"run_dir: runs/mine\ntask: {{name: mixture, parts: [{', '.join(parts)}]}}\n")
    result = RUNNER.invoke(app, ["validate", "mine.yaml"])
    assert result.exit_code == 1, result.output
    assert "train.jsonl:2: \"answer\" is 'x', expected a number" in result.output
    findings = [json.loads(line) for line in Path("mine-findings.jsonl").read_text().splitlines()]
    assert [(row["split"], row["kind"]) for row in findings] == [
        ("train", "duplicate"),
        ("train", "overlap"),
        ("train", "unreadable"),
    ]
    assert not Path("runs").exists()
    result = RUNNER.invoke(app, ["validate", "missing.yaml"])
    assert result.exit_code == 2
    assert "missing.yaml: no such recipe file" in result.output


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


def test_command_shows_what_was_found_and_rows_alike_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt column is a fault of each row, and is told once; findings of which there are none have no line."""
    rows = [{"question": f"{n}?", "answer": n} for n in range(5)]
    monkeypatch.chdir(tmp_path)
    data, out = Path("own.jsonl"), "found.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in [*rows, {"question": "6?", "answer": "six"}]))
    misspelt = RUNNER.invoke(app, ["validate", "jsonl", f"data={data}", "task.options.answer=anwser", "--out", out])
    assert misspelt.output.count('there is no column "anwser"') == 1
    assert "and 5 more rows: own.jsonl:2, own.jsonl:3" in misspelt.output
    lines = {line.split("  ")[0].strip() for line in misspelt.output.splitlines()}
    assert {"problems", "cannot be read"} <= lines
    assert not {"repeated ids", "gold answer refused", "repeated questions"} & lines
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sound = RUNNER.invoke(app, ["validate", "jsonl", f"data={data}"])
    assert sound.exit_code == 0
    assert "No findings: all 5 problems can be used." in sound.output
    assert "cannot be read  " not in sound.output


def test_list_of_tasks() -> None:
    result = RUNNER.invoke(app, ["tasks"])
    assert result.exit_code == 0
    for task in tasks.TASKS.values():
        assert task.name in result.output
        assert task.source
        assert set(task.published_sizes) in (set(), set(task.split_names))
