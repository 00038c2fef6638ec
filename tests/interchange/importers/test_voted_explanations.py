"""Voted explanations as groups with ranking feedback."""

import csv
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aftune.common.errors import DataError
from aftune.interchange.importers.voted_explanations import read_groups
from aftune.records import Group, read_records, write_records

TEXTS = ("A book store sells books.", "Books.", "Poems are in books.", "Because.", "It sells poems.")


def row(vote: str = "1|3", question: str = "q1", texts: Sequence[str] = TEXTS, **changes: str) -> dict[str, str]:
    values = {
        "Input.id": question,
        "Input.question": "Where can you buy poems?",
        "Input.answer_choices": "bookshelf, poetry, book store, a school, or on a train",
        "Input.gold_label": "book store",
        **{f"Input.source_sample_{n}": "greedy" if n == 2 else str(n) for n in range(1, 6)},
        **{f"Input.explanation_{n}": text for n, text in enumerate(texts, 1)},
        **{f"Input.nll_{n}": f"{n}.5" for n in range(1, 6)},
        "Answer.acceptable": vote,
    }
    return {**values, **{name.replace("__", "."): value for name, value in changes.items()}}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_group_of_a_question(tmp_path: Path) -> None:
    """Votes 1|3, 1|3|4 and 1|5: accepted by 3, 0, 2, 1 and 1 of three people; the rows need not stand together."""
    path = write(tmp_path / "f.csv", row("1|3"), row("2", "q2"), row("1|3|4"), row("1|5"))
    groups, left_out, counts = read_groups(path)
    assert [group.problem.id for group in groups] == ["commonsenseqa/q1", "commonsenseqa/q2"]
    first = groups[0]
    assert first.qualities == first.ranks == [1.0, 0.0, 2 / 3, 1 / 3, 1 / 3]
    assert [candidate.text for candidate in first.candidates] == list(TEXTS)
    assert [candidate.index for candidate in first.candidates] == [0, 1, 2, 3, 4]
    assert first.candidates[1].settings == {"source": "greedy", "votes": [0, 0, 0], "nll": 2.5}
    assert first.candidates[2].settings == {"source": "3", "votes": [1, 1, 0], "nll": 3.5}
    assert first.feedback[2].reason == "accepted by 2 of 3"
    assert first.problem.question == "Where can you buy poems?"
    assert (first.problem.gold_answer, first.problem.rationale) == ("book store", None)
    assert first.problem.options == ["bookshelf", "poetry", "book store", "a school", "on a train"]
    assert left_out == []
    assert counts == {"questions": 2, "kept": 10, "votes": 4, "votes_for_none": 0, "questions_without_three_votes": 1}


def test_missing_votes_are_counted_and_the_rest_is_used(tmp_path: Path) -> None:
    groups, _, counts = read_groups(write(tmp_path / "f.csv", row("1|3"), row("")))
    assert groups[0].qualities == [0.5, 0.0, 0.5, 0.0, 0.0]
    assert groups[0].candidates[0].settings["votes"] == [1, 0]
    assert (counts["questions_without_three_votes"], counts["votes"], counts["votes_for_none"]) == (1, 2, 1)


def test_empty_and_repeated_explanations_are_listed(tmp_path: Path) -> None:
    """Of three people: 1 and 3 the same text with 2 votes each; 2 empty; 4 and 5 the same text with 3 and 1."""
    texts = ("So it is.", " ", "So  it is.", "No.", "No.")
    votes = ("1|3|4", "1|4|5", "3|4")
    groups, left_out, counts = read_groups(write(tmp_path / "f.csv", *(row(vote, texts=texts) for vote in votes)))
    assert [candidate.index for candidate in groups[0].candidates] == [0]
    assert groups[0].qualities == [2 / 3]
    assert left_out == [
        {"problem_id": "commonsenseqa/q1", "index": 1, "reason": "empty", "votes": [0, 0, 0], "text": ""},
        {"problem_id": "commonsenseqa/q1", "index": 2, "reason": "duplicate", "votes": [1, 0, 1], "text": "So  it is."},
        {"problem_id": "commonsenseqa/q1", "index": 3, "reason": "contradiction", "votes": [1, 1, 1], "text": "No."},
        {"problem_id": "commonsenseqa/q1", "index": 4, "reason": "contradiction", "votes": [0, 1, 0], "text": "No."},
    ]
    assert (counts["kept"], counts["empty"], counts["duplicate"], counts["contradiction"]) == (1, 1, 1, 2)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (row("1|6"), r"f\.csv:3: Answer\.acceptable is '1\|6', expected numbers from 1 to 5 joined by \|"),
        (row("one"), r"f\.csv:3: Answer\.acceptable is 'one'"),
        (row(Input__explanation_2="Another."), r"f\.csv:3: Input\.explanation_2 is not the same as in an earlier row of q1"),
        (row(Input__question=" "), r"f\.csv:3: Input\.question is empty"),
        (row(Input__gold_label="library"), r"f\.csv:3: Input\.gold_label 'library' is not one of 'bookshelf, "),
        (row(Input__nll_4="nan"), r"f\.csv:3: Input\.nll_4 is not a finite number"),
        (row(Input__answer_choices="x, " * 26 + "or book store"), r"f\.csv:3: Input\.answer_choices are more than 26"),
        (row("9" * 5000), r"f\.csv:3: Answer\.acceptable is '9{79}, expected numbers"),
        (
            row(Input__answer_choices="x" * 5000),
            r"f\.csv:3: Input\.gold_label 'book store' is not one of 'x{299}; correct this row",
        ),
        (row(Input__nll_4=""), r"f\.csv:3: Input\.nll_4 is not a finite number"),
    ],
)
def test_bad_rows_are_named(tmp_path: Path, bad: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_groups(write(tmp_path / "f.csv", row(), bad))


def test_bad_files_are_named(tmp_path: Path) -> None:
    path = write(tmp_path / "f.csv", row())
    whole = path.read_text()
    path.write_text(whole + "one,two\n")
    with pytest.raises(DataError, match=r"f\.csv:3: expected 20 fields"):
        read_groups(path)
    path.write_text(whole.rstrip() + ",more\n")
    with pytest.raises(DataError, match=r"f\.csv:2: expected 20 fields"):
        read_groups(path)
    path.write_text(whole + 'q1,"never closed\n')
    with pytest.raises(DataError, match=r"f\.csv:3: not valid CSV \(unexpected end of data\)"):
        read_groups(path)
    path.write_text(whole.splitlines()[0] + "\n")
    with pytest.raises(DataError, match=r"f\.csv: the file holds no votes"):
        read_groups(path)
    path.write_text(whole.replace("Input.nll_3", "nll_3"))
    with pytest.raises(DataError, match=r"f\.csv:1: there is no column Input\.nll_3"):
        read_groups(path)
    path.write_text(whole.replace("Input.source_sample_3", "Input.id"))
    with pytest.raises(DataError, match=r"f\.csv:1: two columns are called 'Input\.id'; get the file again"):
        read_groups(path)
    path.write_text("")
    with pytest.raises(DataError, match=r"f\.csv:1: there is no column Input\.id"):
        read_groups(path)
    path.write_bytes(whole.replace("Books.", "caf\xe9").encode("latin-1"))
    with pytest.raises(DataError, match=r"f\.csv:2: not UTF-8 text"):
        read_groups(path)
    with pytest.raises(DataError, match=r"nowhere\.csv: no such file"):
        read_groups(tmp_path / "nowhere.csv")


@pytest.mark.parametrize(
    ("name", "expected", "levels", "sums"),
    [
        (
            "train",
            {"questions": 991, "kept": 4948, "votes": 2973, "votes_for_none": 73, "empty": 5, "duplicate": 2},
            {1: 12, 2: 253, 3: 549, 4: 177},
            {0: 1032, 1: 1169, 2: 1326, 3: 1421},
        ),
        (
            "test",
            {"questions": 250, "kept": 1249, "votes": 750, "votes_for_none": 20, "duplicate": 1},
            {1: 2, 2: 73, 3: 118, 4: 57},
            {0: 298, 1: 227, 2: 327, 3: 397},
        ),
    ],
)
def test_real_files(
    data_dir: Path, tmp_path: Path, name: str, expected: dict[str, int], levels: dict[int, int], sums: dict[int, int]
) -> None:
    """Numbers from the files themselves; the five empty explanations have no vote, repeated ones have the same votes."""
    path = data_dir / "candidates" / "few_shot_explanations" / f"commonsenseqa_{name}.csv"
    groups, left_out, counts = read_groups(path)
    assert counts == {**expected, "questions_without_three_votes": 0}
    assert len(left_out) + counts["kept"] == 5 * counts["questions"]
    assert Counter(sum(candidate.settings["votes"]) for group in groups for candidate in group.candidates) == sums
    assert Counter(len(set(group.ranks)) for group in groups) == levels
    assert all(group.problem.gold_answer in (group.problem.options or ()) for group in groups)
    assert {len(group.problem.options or ()) for group in groups} == {5}
    assert all(row["votes"] == [0, 0, 0] for row in left_out if row["reason"] == "empty")
    write_records(tmp_path / "groups.jsonl", groups)
    assert read_records(tmp_path / "groups.jsonl", Group) == groups
