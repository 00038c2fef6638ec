"""`aftune init`: what it finds in a file, the settings that it chooses, and the recipe that it writes."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from aftune.common.errors import DataError, UsageError
from aftune.common.yaml_text import parse_yaml
from aftune.pipeline import runner
from aftune.pipeline.begin.file import columns_of
from aftune.pipeline.begin.look import Lengths
from aftune.pipeline.begin.settings import settings_for
from aftune.pipeline.begin.write import Begun, begin, scalar
from aftune.recipe import load_recipe, with_settings
from aftune.records import Problem, read_records

SHORT = Lengths(longest_prompt=30, longest=40, usual=36, context=1024, too_long=0, exact=True, chat=False)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def rows_of(kind: str, number: int = 20) -> list[dict[str, Any]]:
    if kind == "number":
        return [{"problem": f"{n} + 1?", "target": n + 1, "solution": f"{n} + 1 = {n + 1}"} for n in range(number)]
    if kind == "text":
        return [{"question": f"Who is no. {n}?", "answer": f"Ann B{n}", "why": f"It says so: Ann B{n}."} for n in range(number)]
    if kind == "math":
        return [{"problem": f"Half of {n}?", "solution": rf"It is $\boxed{{\frac{{{n}}}{{2}}}}$."} for n in range(number)]
    fruit = ("pear", "plum", "fig")
    return [
        {
            "question": f"Which is no. {n}?",
            **dict(zip("ABC", fruit, strict=True)),
            "answer": "ABC"[n % 3],
            "rationale": f"{n}: it is.",
        }
        for n in range(number)
    ]


def write_file(path: Path, rows: list[dict[str, Any]]) -> Path:
    if path.suffix == ".csv":
        with open(path, "w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, list(rows[0]))
            table.writeheader()
            table.writerows(rows)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def begun(path: Path, model: str = "bundled", **given: str) -> Begun:
    return begin(Path("."), path, columns_of(path, given).columns, model)


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
@pytest.mark.parametrize("kind", ["number", "text", "choice", "math"])
def test_the_recipe_of_each_kind_prepares_a_run(kind: str, ending: str) -> None:
    """60, 20 and 20 of 100 of twenty questions; each is in one split."""
    found = begun(write_file(Path(f"own.{ending}"), rows_of(kind)))
    assert (found.recipe, found.bad_lines, len(found.looked.problems)) == (Path("own.yaml"), None, 20)
    recipe = with_settings(load_recipe(found.recipe), {"model.precision": "float32"}, "")
    assert (recipe.run_dir, recipe.task.options["answer_kind"]) == (Path("runs/own"), kind)
    runner.run_stages(recipe, only="prepare", report=lambda line: None)
    splits = {name: read_records(recipe.run_dir / "prepare" / f"{name}.jsonl", Problem) for name in ("train", "validation", "test")}
    assert [len(problems) for problems in splits.values()] == [12, 4, 4]
    questions = [problem.question for problems in splits.values() for problem in problems]
    assert sorted(questions) == sorted(problem.question for problem in found.looked.problems)
    assert found.extras == (["math"] if kind == "math" else [])
    if kind == "choice":
        assert splits["test"][0].options == ["pear", "plum", "fig"]


def test_every_setting_has_a_comment() -> None:
    text = begun(write_file(Path("own.csv"), rows_of("choice")), "somebody/some-7B-Instruct").recipe.read_text()
    settings = [line for line in text.splitlines() if not line.startswith("#") and ": " in line]
    assert len(settings) > 25
    assert [line for line in settings if " # " not in line] == []
    assert load_recipe(Path("own.yaml")).adapter.kind == "lora"
    assert load_recipe(Path("own.yaml")).prompt.instruction == "Think step by step, and end with: The answer is (LETTER)."
    assert "pip install 'aftune[peft]'" in text


def test_rows_that_cannot_be_read_are_counted_and_listed() -> None:
    path = Path("own.jsonl")
    write_file(path, [*rows_of("number", 10), {"problem": "1?", "target": "ten-ish", "solution": "s"}, *rows_of("number", 10)[:1]])
    with open(path, "a") as file:
        file.write('{"problem": "2?", "target"\n["no object"]\n')
    found = begun(path)
    assert len(found.looked.problems) == 11
    assert found.bad_lines == Path("own-bad-lines.txt")
    lines = found.bad_lines.read_text().splitlines()
    assert lines == found.looked.bad
    assert [line.partition(": ")[0] for line in lines] == ["own.jsonl:11", "own.jsonl:13", "own.jsonl:14"]
    assert "\"target\" is 'ten-ish', expected a number" in lines[0]
    assert (
        "# When this was written, 11 questions could be read; 3 rows could not, and a run stops there: own-bad-lines.txt."
        in found.recipe.read_text()
    )
    write_file(path, rows_of("number"))
    assert begin(Path("."), path, columns_of(path, {}).columns, force=True).bad_lines is None
    assert not Path("own-bad-lines.txt").exists()


def test_a_recipe_that_is_there_stays() -> None:
    path = write_file(Path("own.jsonl"), rows_of("number"))
    Path("own.yaml").write_text("mine")
    with pytest.raises(UsageError, match=r"own\.yaml: is there already; give --force to overwrite it, or another folder"):
        begun(path)
    assert Path("own.yaml").read_text() == "mine"
    assert begin(Path("sub"), path, columns_of(path, {}).columns).recipe == Path("sub/own.yaml")


@pytest.mark.parametrize(
    ("rows", "given", "message"),
    [
        (rows_of("number", 9), {}, "9 questions are too few for three splits; give 10 or more"),
        (
            [{"question": "q", "answer": "a"}],
            {},
            r"no column looks like the rationales; name it with --rationale COLUMN\. .*: aftune benchmark MODEL jsonl data=",
        ),
        ([{"q": "q", "solution": "s"}], {"answer": "b"}, r"--answer: own\.jsonl has no column 'b', only q, solution"),
        (rows_of("choice"), {"options": "A,D"}, r"--options: own\.jsonl has no column 'D', only question, A, B, C, answer"),
        (rows_of("text"), {"kind": "choice"}, "no column looks like the options of a choice; name it with --options COLUMN"),
        (rows_of("text"), {"kind": "letter"}, "--kind: 'letter' is no kind of answers; give number, choice, math, text"),
    ],
)
def test_what_cannot_be_begun(rows: list[dict[str, Any]], given: dict[str, str], message: str) -> None:
    path = write_file(Path("own.jsonl"), rows)
    with pytest.raises(UsageError, match=message):
        begun(path, **given)
    assert not Path("own.yaml").exists()


def test_no_row_that_can_be_read() -> None:
    path = write_file(Path("own.jsonl"), rows_of("text"))
    with pytest.raises(DataError, match=r"no row can be read as a question; the first: own\.jsonl:1: \"answer\" is 'Ann B0'"):
        begun(path, kind="number")
    with pytest.raises(DataError, match=r"none\.jsonl: no such file"):
        begun(Path("none.jsonl"))
    path.write_text("not json\n")
    with pytest.raises(DataError, match=r"own\.jsonl:1: not valid JSON"):
        begun(path)
    with pytest.raises(UsageError, match=r"\.: is a folder, expected one file"):
        begun(Path("."))


@pytest.mark.parametrize(
    ("number", "train", "num_train", "epochs", "batch_size", "num_candidates"),
    [
        (60, "all[:60%]", 36, 23, 4, 12),  # 36 / 24 is 1: the smallest batch; 200 steps of 4 are 22.2 times 36
        (15, "all[:60%]", 9, 40, 4, 12),  # 200 steps would be 89 epochs
        (750, "all[:80%]", 600, 6, 16, 8),  # 600 / 24 is 25, and 16 the power of two below
        (12_000, "all[:-2000]", 10_000, 3, 128, 6),  # 416: the largest batch
    ],
)
def test_settings_follow_the_number_of_questions(
    number: int, train: str, num_train: int, epochs: int, batch_size: int, num_candidates: int
) -> None:
    """The toy takes more epochs of few questions than another model."""
    found = settings_for(number, SHORT, toy=True)
    assert settings_for(number, SHORT, toy=False).sft_epochs == (8 if num_train < 200 else 5 if num_train < 2000 else 3)
    assert (found.train, found.num_train) == (train, num_train)
    assert (found.sft_epochs, found.batch_size, found.num_candidates) == (epochs, batch_size, num_candidates)


@pytest.mark.parametrize(
    ("longest_prompt", "longest", "usual", "context", "expected"),
    [
        (30, 40, 36, 1024, 64),  # 50, in whole sixteens
        (30, 900, 36, 1024, 80),  # an outlier: twice what is usual, 72
        (980, 40, 36, 1024, 44),  # what the context leaves
        (30, 3, 3, None, 32),
    ],
)
def test_room_for_responses(longest_prompt: int, longest: int, usual: int, context: int | None, expected: int) -> None:
    lengths = Lengths(longest_prompt, longest, usual, context, too_long=0, exact=True, chat=False)
    assert settings_for(100, lengths, toy=True).max_new_tokens == expected


def test_questions_that_do_not_fit_the_context() -> None:
    """The bundled model takes 1,024 tokens."""
    rows = rows_of("number")
    rows[3]["solution"] = "1 + 1 = 2, " * 400 + "\n#### 4"
    found = begun(write_file(Path("own.jsonl"), rows))
    assert (found.lengths.too_long, found.lengths.context) == (1, 1024)
    assert load_recipe(found.recipe).task.skip_too_long


@pytest.mark.parametrize("value", ["a", "No", "null", "1e3", "x: y", "a #b", "è\n'\"", "~", "", "two words", ["A", "no"], "./x y"])
def test_any_name_is_written_such_that_it_is_read_again(value: str | list[str]) -> None:
    assert parse_yaml(f"key: {scalar(value)} # comment")["key"] == value
