"""GSM8K from its original files."""

import json
from pathlib import Path

import pytest

from aftune import tasks
from aftune.common.errors import DataError, UsageError
from aftune.tasks.gsm8k import Gsm8k

ROW = {"question": " How many?\n", "answer": "48/2 = <<48/2=24>>24\nSo 1,000+24 = <<1000+24=1024>>1,024.\n#### 1,024"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.jsonl").write_text("".join(json.dumps({**ROW, "question": f"Question {n}?"}) + "\n" for n in range(10)))
    (tmp_path / "test.jsonl").write_text(json.dumps(ROW) + "\n")
    return tmp_path


def test_problem_of_a_row(folder: Path) -> None:
    (problem,) = tasks.build("gsm8k", folder).load("test")
    assert problem.id == "gsm8k/test/0"
    assert problem.question == "How many?"
    assert problem.gold_answer == "1,024"
    assert problem.rationale == "48/2 = 24\nSo 1,000+24 = 1,024.\n#### 1,024"


def test_prompt_and_verdicts(folder: Path) -> None:
    task = Gsm8k(folder)
    (problem,) = task.load("test")
    assert task.prompt(problem) == "Question: How many?\nAnswer:\n"
    assert task.verdict(problem, "so\n#### 1024").quality == 1.0
    assert task.verdict(problem, "#### 1024.0").quality == 1.0
    assert task.verdict(problem, "#### 24").reason == "different"
    assert task.verdict(problem, "A: 1024").reason == "no answer"
    assert task.verdict(problem, "A: 1024", "flexible").quality == 1.0


def test_slices_keep_ids(folder: Path) -> None:
    assert [p.id for p in Gsm8k(folder).load("train[-3:]")] == ["gsm8k/train/7", "gsm8k/train/8", "gsm8k/train/9"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"question": "q", "answer": "#### 3', r"train\.jsonl:4: not valid JSON at column \d+; correct"),
        ('["q", "a"]', r"train\.jsonl:4: expected an object"),
        ('{"question": "q"}', r'train\.jsonl:4: expected an object with the texts "question" and "answer"'),
        ('{"question": "q", "answer": null}', r"train\.jsonl:4: expected an object"),
        ('{"question": "q", "answer": "It is 3."}', r'train\.jsonl:4: no gold answer: "answer" has no number after "####"'),
        ('{"question": "q", "answer": "#### three"}', r"train\.jsonl:4: no gold answer"),
        ('{"question": " ", "answer": "#### 3"}', r'train\.jsonl:4: "question" is empty'),
    ],
)
def test_bad_lines_are_named(folder: Path, line: str, message: str) -> None:
    path = folder / "train.jsonl"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:3], line, *lines[3:]]) + "\n")
    with pytest.raises(DataError, match=message):
        Gsm8k(folder).load("train")


def test_bytes_that_are_not_utf8_are_named(folder: Path) -> None:
    path = folder / "test.jsonl"
    path.write_bytes(path.read_bytes() + '{"question": "café", "answer": "#### 3"}\n'.encode("latin-1"))
    with pytest.raises(DataError, match=r"test\.jsonl:2: not UTF-8"):
        Gsm8k(folder).load("test")


def test_missing_things(folder: Path, tmp_path: Path) -> None:
    (folder / "train.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"train\.jsonl: the file is empty"):
        Gsm8k(folder).load("train")
    (folder / "test.jsonl").unlink()
    with pytest.raises(DataError, match=r"holds no test\.jsonl or test\.json or test\.csv or test\.tsv \(it has train\.jsonl\)"):
        Gsm8k(folder).load("test")
    with pytest.raises(DataError, match=r"nowhere: no such file or folder"):
        Gsm8k(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"train\[5:5\] holds no problems"):
        tasks.build("arithmetic").load("train[5:5]")
    with pytest.raises(UsageError, match="no split 'validation'; it has train, test"):
        Gsm8k(folder).load("validation")
    with pytest.raises(UsageError, match="no task 'gsm9k'; there are arithmetic, sequences, gsm8k, gsm8k_rank"):
        tasks.build("gsm9k")


@pytest.mark.parametrize(("split", "size"), [("train", 7473), ("test", 1319)])
def test_real_references_are_all_accepted(data_dir: Path, split: str, size: int) -> None:
    task = Gsm8k(data_dir / "gsm8k")
    problems = task.load(split)
    assert len(problems) == size == Gsm8k.published_sizes[split]
    for reading in ("strict", "flexible"):
        rejected = [p.id for p in problems if task.verdict(p, task.reference_response(p), reading).quality != 1.0]
        assert rejected == []
    assert sum("," in p.gold_answer for p in problems) == {"train": 79, "test": 14}[split]
    assert sum(p.gold_answer.startswith("-") for p in problems) == {"train": 3, "test": 2}[split]
    assert not any("<<" in p.rationale for p in problems)
