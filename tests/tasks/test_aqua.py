"""AQuA: rationales that lead to their gold letter, leaks, and the real files."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aftune import tasks
from aftune.common.errors import DataError
from aftune.records import Problem
from aftune.tasks.aqua import Aqua, leads_to, parse_row

OPTIONS = ["A)21", "B)30", "C).31", "D) 32", "E)E)None of these"]


def row(question: str = "How many?", rationale: str = "So 32.\nAnswer: D", correct: str = "D", **more: Any) -> dict[str, Any]:
    return {"question": question, "options": OPTIONS, "rationale": rationale, "correct": correct, **more}


def write(folder: Path, name: str, *rows: dict[str, Any]) -> None:
    (folder / name).write_text("".join(json.dumps(item) + "\n" for item in rows))


def problem(gold: str = "D") -> Problem:
    return parse_row(row(correct=gold), "f:1", "p")[0]


def test_labels_leave_the_options() -> None:
    assert problem().options == ["21", "30", "31", "32", "None of these"]


@pytest.mark.parametrize(
    ("rationale", "outcome"),
    [
        ("So 32.\nAnswer: D", "matched"),
        ("20+12 = 32\nCorrect answer - D", "matched"),
        ("20+12 = 32\nANSWER D", "matched"),
        ("D is the correct choice", "matched"),
        ("it is so\nD", "matched"),
        ("20+12 = 32\nCORRECT OPTION:OPTION D", "matched"),
        ("20+12 = 32", "matched"),  # only the value
        ("the answer is D, since 20+12 = 32", "matched"),  # the letter first
        ("20+12 = 32\nAnswer B", "different"),
        ("So it is 30.", "different"),
        ("It is easy to see.", "no answer"),
        ("", "no answer"),
    ],
)
def test_leads_to_the_gold_letter(rationale: str, outcome: str) -> None:
    assert leads_to(rationale, problem()) == outcome


@pytest.mark.parametrize(
    ("rationale", "reference"),
    [
        ("20+12 = 32\nAnswer: D", "20+12 = 32\nThe answer is (D)."),
        ("20+12 = 32. Hence the correct answer is D.", "20+12 = 32.\nThe answer is (D)."),
        ("20+12 = 32", "20+12 = 32\nThe answer is (D)."),
        ("Answer: D", "Answer: D\nThe answer is (D)."),  # nothing else is there
    ],
)
def test_reference_ends_in_the_format_that_is_asked_for(tmp_path: Path, rationale: str, reference: str) -> None:
    write(tmp_path, "train.json", row(rationale=rationale))
    task = Aqua(tmp_path)
    (found,) = task.load("train")
    assert found.rationale == reference
    assert task.verdict(found, reference).reason == "matched"
    assert task.prompt(found) == ("Question: How many?\nOptions:\n(A) 21\n(B) 30\n(C) 31\n(D) 32\n(E) None of these\nAnswer:\n")


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    write(tmp_path, "train.json", row("one?"), row("Two ?"), row("three?", "So B.\nAnswer: B"))
    write(tmp_path, "dev.json", row("two?"), row("four?", "So B.\nAnswer: B"))
    write(tmp_path, "test.json", row("five?"))
    task = tasks.build("aqua", tmp_path)
    assert [p.question for p in task.load("train")] == ["one?"]
    assert task.split_size("train") == 1
    assert [(left.id, left.reason, left.what) for left in task.left_out("train")] == [
        ("aqua/train/1", "the same question is in validation", "problem"),
        ("aqua/train/2", "the rationale does not lead to the gold letter (different)", "problem"),
    ]
    assert [p.rationale for p in task.load("validation")] == ["So 32.\nThe answer is (D).", None]
    assert [(left.id, left.what) for left in task.left_out("validation")] == [("aqua/validation/1", "rationale")]


def test_table_of_flan(tmp_path: Path) -> None:
    line = r"How many?\nOptions:\n(A) 21\n(B) 30" + "\t(B)\t" + r"3*10 = 30\nSo 30"
    (tmp_path / "flan_train.tsv").write_text(line + "\n")
    (found,) = Aqua(tmp_path).load("train")
    assert (found.options, found.gold_answer, found.rationale) == (["21", "30"], "B", "3*10 = 30\nSo 30\nThe answer is (B).")
    (tmp_path / "flan_train.tsv").write_text("only one field\n")
    with pytest.raises(DataError, match=r"flan_train\.tsv:1: 1 field, expected"):
        Aqua(tmp_path).load("train")


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"question": "q"}, 'expected an object with the texts "question", "rationale" and "correct"'),
        (row(options=["A)1"]), '"options" is not a list of 2 to 26 texts'),
        (row(options=[str(n) for n in range(27)]), '"options" is not a list of 2 to 26 texts'),
        (row(correct="F"), "\"correct\" is 'F', expected a letter A to E"),
        (row(question=" "), '"question" is empty'),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, bad: dict[str, Any], message: str) -> None:
    write(tmp_path, "test.json", row(), bad)
    with pytest.raises(DataError, match=rf"test\.json:2: {message}"):
        Aqua(tmp_path).load("test")


def test_from_the_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def rows(*arguments: Any) -> list[tuple[str, Any]]:
        asked.append(arguments)
        return [("hub:0", row(f"of {arguments[-1]}?"))]

    monkeypatch.setattr("aftune.tasks.aqua.hub_rows", rows)
    task = Aqua()
    assert [p.question for p in task.load("train")] == ["of train?"]
    assert sorted(asked) == [("aqua", "deepmind/aqua_rat", "raw", split) for split in ("test", "train", "validation")]


def test_real_files(data_dir: Path) -> None:
    """All 508 gold letters are accepted; 7 of the 508 rationales do not lead to theirs; 479 rows of FLAN's 2,728 are left out."""
    task = Aqua(data_dir / "aqua")
    for split, without in (("validation", 2), ("test", 5)):
        problems = task.load(split)
        assert len(problems) == 254 == Aqua.published_sizes[split]
        for reading in ("strict", "flexible"):
            assert all(task.verdict(p, task.gold_response(p), reading).quality for p in problems)
        assert sum(p.rationale is None for p in problems) == without == len(task.left_out(split))
    train = task.load("train")
    assert len(train) == 2249 == task.split_size("train")
    assert all(task.verdict(p, p.rationale).quality for p in train)
    assert Counter(left.reason.rpartition("letter ")[2] for left in task.left_out("train")) == {
        "(no answer)": 375,
        "(different)": 69,
        "(ambiguous)": 31,
        "the same question is in validation": 4,
    }
