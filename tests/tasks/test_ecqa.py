"""ECQA: ids, explanations and CommonsenseQA's questions joined, without the leaks between its splits."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aftune.common.errors import DataError, UsageError
from aftune.tasks.ecqa import Ecqa, parse_row

WORDS = ["bank", "mall", "shop"]


def question(number: str, gold: str = "B") -> dict[str, Any]:
    choices = [{"label": label, "text": text} for label, text in zip("ABC", WORDS, strict=True)]
    return {"id": number, "answerKey": gold, "question": {"stem": f"Where is {number}?", "choices": choices}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Train a to e, of which b is in val, c in test and d in both; e has no explanation. Val b, d, f; test c, d."""
    (tmp_path / "cqa").mkdir()
    for name, numbers in (("train_rand_split", "abcd"), ("dev_rand_split", "ef")):
        lines = "".join(json.dumps(question(number)) + "\n" for number in numbers)
        (tmp_path / "cqa" / f"{name}.jsonl").write_text(lines)
    for name, numbers in (("train", "abcde"), ("val", "bdf"), ("test", "cd")):
        (tmp_path / f"{name}_ids.txt").write_text("\n".join(numbers) + "\n")
    explained = [{"id": n, "positives": [], "negatives": [], "explanation": f"Why {n}."} for n in "abcdf"]
    (tmp_path / "ecqa.jsonl").write_text("".join(json.dumps(row) + "\n" for row in explained))
    return tmp_path


def test_splits_share_no_question(folder: Path) -> None:
    task = Ecqa(folder)
    ids = {split: [p.id.rpartition("/")[2] for p in task.load(split)] for split in task.split_names}
    assert ids == {"train": ["a"], "validation": ["b", "f"], "test": ["c", "d"]}
    assert {left.id: left.reason for left in task.left_out("train")} == {
        "ecqa/train/b": "the same id is in validation",
        "ecqa/train/c": "the same id is in test",
        "ecqa/train/d": "the same id is in test",
        "ecqa/train/e": "no explanation",
    }
    assert [left.id for left in task.left_out("validation")] == ["ecqa/validation/d"]


def test_problem(folder: Path) -> None:
    task = Ecqa(folder)
    (problem,) = task.load("train")
    assert (problem.id, problem.question, problem.gold_answer, problem.options) == ("ecqa/train/a", "Where is a?", "B", WORDS)
    assert problem.rationale == "Why a.\nThe answer is (B)."
    assert task.verdict(problem, problem.rationale).quality == 1.0
    assert task.verdict(problem, "The answer is (A).").reason == "different"
    assert task.verdict(problem, "It is the mall", "flexible").quality == 1.0


def test_table_of_flan_has_explanations_without_ids(folder: Path) -> None:
    (folder / "ecqa.jsonl").unlink()
    options = r"\nOptions:\n- bank\n- mall\n- shop" + "\tmall\t"
    (folder / "flan_train.tsv").write_text(f"Where is  a?{options}Facts of a.\n")
    assert [p.rationale for p in Ecqa(folder).load("train")] == ["Facts of a.\nThe answer is (B)."]
    (folder / "flan_train.tsv").write_text(f"Where is z?{options}Facts of z.\n")
    with pytest.raises(DataError, match=r"flan_train\.tsv:1: no question of CommonsenseQA has this text"):
        Ecqa(folder).load("train")


def test_questions_of_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (folder / "cqa").iterdir():
        path.unlink()

    def rows(task: str, name: str, config: str | None, split: str) -> list[tuple[str, Any]]:
        assert (task, name, config) == ("ecqa", "tau/commonsense_qa", None)
        choices = {"label": ["A", "B", "C"], "text": WORDS}
        numbers = {"train": "abcd", "validation": "ef"}[split]
        return [("hub", {"id": n, "question": f"Where is {n}?", "choices": choices, "answerKey": "B"}) for n in numbers]

    monkeypatch.setattr("aftune.tasks.ecqa.hub_rows", rows)
    assert [p.rationale for p in Ecqa(folder).load("train")] == ["Why a.\nThe answer is (B)."]


def test_errors(folder: Path) -> None:
    with pytest.raises(UsageError, match="ECQA's ids and explanations are not on the Hub; give data=FOLDER"):
        Ecqa().load("train")
    with pytest.raises(DataError, match="\"answerKey\" is 'D', expected one of A, B, C"):
        parse_row(question("a", "D"), "f:1")
    with pytest.raises(DataError, match="f:1: expected a question with its choices"):
        parse_row({"id": "a", "question": {"stem": "s"}}, "f:1")
    (folder / "test_ids.txt").write_text("c\nunknown\n")
    with pytest.raises(DataError, match=r"test_ids\.txt:2: unknown is not an id"):
        Ecqa(folder).load("test")


def test_real_files(data_dir: Path) -> None:
    """Of 7,598 training ids 32 are in test (7 of them in validation too) and 486 have no explanation: 7,080 are left."""
    task = Ecqa(data_dir)
    problems = {split: task.load(split) for split in task.split_names}
    assert {split: len(found) for split, found in problems.items()} == {"train": 7080, "validation": 1079, "test": 2194}
    for split, expected in (
        ("train", {"no explanation": 486, "the same id is in test": 32}),
        ("validation", {"the same id is in test": 11}),
        ("test", {}),
    ):
        left_out = task.left_out(split)
        assert Counter(left.reason for left in left_out) == expected
        assert len(left_out) + len(problems[split]) == Ecqa.published_sizes[split]
    for reading in ("strict", "flexible"):
        assert all(task.verdict(p, task.gold_response(p), reading).quality for found in problems.values() for p in found)
    assert all(task.verdict(p, p.rationale).quality for p in problems["train"])
