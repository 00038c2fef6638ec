"""OpenAI's published solutions as candidates."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from aftune.common.data_files import read_rows
from aftune.common.errors import DataError
from aftune.groups.labelling import label_files
from aftune.interchange.importers import import_candidates
from aftune.interchange.importers.gsm8k_solutions import KINDS
from aftune.recipe import ImportSection
from aftune.records import PUBLISHED_VERDICT, Candidate, Group, Problem, read_records, write_records
from aftune.tasks.gsm8k import Gsm8k

PROBLEMS = [Problem(id="p0", task="gsm8k", question="How  many\ncats?", gold_answer="3", rationale="#### 3")]


def read(path: Path, problems: list[Problem]) -> list[Candidate]:
    return import_candidates(ImportSection(format="gsm8k_solutions", path=path), None, problems).candidates


def row(question: str = "How many cats?", **changes: object) -> dict[str, object]:
    solutions = {kind: {"solution": f" 1+{n}={n + 1}\nA: {n + 1}\n", "is_correct": n == 2} for n, kind in enumerate(KINDS)}
    return {"question": question, "ground_truth": "A: 3", **solutions, **changes}


def write(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in rows))
    return path


def test_four_candidates_a_question(tmp_path: Path) -> None:
    path = write(tmp_path / "f.jsonl", row("Another?"), row(**{KINDS[1]: {"solution": "on and on", "is_correct": False}}))
    candidates = read(path, PROBLEMS)
    assert [(c.problem_id, c.index, c.text, c.finish_reason) for c in candidates] == [
        ("p0", 0, "1+0=1\nA: 1", "stop"),
        ("p0", 1, "on and on", "length"),
        ("p0", 2, "1+2=3\nA: 3", "stop"),
        ("p0", 3, "1+3=4\nA: 4", "stop"),
    ]
    assert [c.settings for c in candidates] == [{"model": kind, PUBLISHED_VERDICT: n == 2} for n, kind in enumerate(KINDS)]


@pytest.mark.parametrize(
    "bad", [{"question": "q"}, [1], row(**{KINDS[3]: None}), row(**{KINDS[0]: {"solution": "x"}}), row(question=7)]
)
def test_bad_records_are_named(tmp_path: Path, bad: Any) -> None:
    path = write(tmp_path / "f.jsonl", row(), bad)
    with pytest.raises(DataError, match=r"f\.jsonl:2: expected question and 6b_finetuning, .* each with solution and is_correct"):
        read(path, PROBLEMS)


@pytest.mark.parametrize("verdict", ["false", 0, None, []])
def test_a_verdict_is_true_or_false(tmp_path: Path, verdict: Any) -> None:
    """The text "false" is true in Python."""
    path = write(tmp_path / "f.jsonl", row(), row(**{KINDS[1]: {"solution": "x", "is_correct": verdict}}))
    with pytest.raises(DataError, match=rf"f\.jsonl:2: is_correct of {KINDS[1]} is .*, expected true or false; correct this line"):
        read(path, PROBLEMS)


def test_path_is_looked_for_in_the_data_folder(tmp_path: Path) -> None:
    write(tmp_path / "f.jsonl", row())
    section = ImportSection(format="gsm8k_solutions", path=Path("f.jsonl"))
    assert len(import_candidates(section, tmp_path, PROBLEMS).candidates) == 4
    with pytest.raises(DataError, match=r"f\.jsonl: no such file"):
        import_candidates(section, tmp_path / "elsewhere", PROBLEMS)


def test_file_without_candidates_for_the_problems_is_an_error(tmp_path: Path) -> None:
    write(tmp_path / "f.jsonl", row("Another?"))
    with pytest.raises(DataError, match=r"holds no candidate for any of the problems \(1 in all\)"):
        import_candidates(ImportSection(format="gsm8k_solutions", path=tmp_path / "f.jsonl"), None, PROBLEMS)


def test_all_published_verdicts_are_reproduced(data_dir: Path, tmp_path: Path) -> None:
    """5,276 solutions, judged by the flexible reading; numbers from the file itself."""
    task = Gsm8k(data_dir / "gsm8k")
    problems = task.load("test")
    candidates = read(data_dir / "gsm8k" / "example_model_solutions.jsonl", problems)
    assert len(candidates) == 5276
    assert Counter(c.settings["model"] for c in candidates if c.settings[PUBLISHED_VERDICT]) == {
        "6b_finetuning": 286,
        "6b_verification": 515,
        "175b_finetuning": 458,
        "175b_verification": 742,
    }
    write_records(tmp_path / "candidates.jsonl", candidates)
    counts = label_files(task, problems, tmp_path / "candidates.jsonl", tmp_path, "flexible")
    groups = read_records(tmp_path / "groups.jsonl", Group)
    left_out = [row for _, row in read_rows(tmp_path / "left_out.jsonl")]
    assert (tmp_path / "disagreements.jsonl").read_text() == ""
    assert counts["published_verdicts"] == counts["published_agree"] == 5276
    assert counts["truncated"] == 11
    kept = {(c.problem_id, c.index) for group in groups for c in group.candidates}
    left = {(row["problem_id"], row["index"]) for row in left_out}
    assert kept | left == {(c.problem_id, c.index) for c in candidates}
    assert len(kept) + len(left_out) == 5276
    for group in groups:
        for candidate, feedback in zip(group.candidates, group.feedback, strict=True):
            assert feedback.quality == float(candidate.settings[PUBLISHED_VERDICT])
    mixed = {c.problem_id for c in candidates if c.settings[PUBLISHED_VERDICT]} & {
        c.problem_id for c in candidates if not c.settings[PUBLISHED_VERDICT]
    }
    assert len(mixed) == 731
    assert {g.problem.id for g in groups if g.has_pairs} <= mixed
