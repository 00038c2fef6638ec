"""The task for a user's own files."""

import json
from pathlib import Path
from typing import Any

import pytest

from aftune import tasks
from aftune.common.errors import DataError, UsageError
from aftune.tasks import Task
from aftune.tasks.jsonl import JsonlOptions

ROWS = [
    {"q": "1+1?", "a": 2, "why": "1+1=2", "n": "first"},
    {"q": "2+2?", "a": "4", "why": "2+2=4\n#### 4.0", "n": "second"},
    {"q": "3+3?", "a": "6", "why": "3+3=7\n#### 7", "n": "third"},
]
COLUMNS = {"question": "q", "answer": "a", "rationale": "why", "id": "n"}


def build(folder: Path, rows: list[Any], split: str = "train", **options: Any) -> Task:
    (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tasks.build("jsonl", folder, options=options)


def test_columns(tmp_path: Path) -> None:
    """A rationale that states no answer gets a last line; one that comes to another one stays as it is and is no reference."""
    task = build(tmp_path, ROWS, **COLUMNS)
    first, second, third = task.load("train")
    assert (first.id, first.question, first.gold_answer, first.rationale) == ("first", "1+1?", "2", "1+1=2\n#### 2")
    assert second.rationale == "2+2=4\n#### 4.0"
    assert third.rationale == "3+3=7\n#### 7"
    assert task.contradiction(third) == "the rationale comes to 7, the gold answer is 6"
    assert [task.sound_reference(problem) is None for problem in (first, second, third)] == [False, False, True]
    assert task.verdict(first, "#### 2.0").quality == 1.0


def test_defaults(tmp_path: Path) -> None:
    (problem,) = build(tmp_path, [{"question": "q", "answer": "5", "more": 1}]).load("train")
    assert (problem.id, problem.rationale) == ("jsonl/train/0", None)


@pytest.mark.parametrize("gold", ["B", "b", "pear"])
def test_choices(tmp_path: Path, gold: str) -> None:
    row = {"question": "Which?", "answer": gold, "choices": ["apple", "pear"]}
    task = build(tmp_path, [row], options="choices", answer_kind="choice")
    (problem,) = task.load("train")
    assert problem.gold_answer == "B"
    assert task.prompt(problem) == "Question: Which?\nOptions:\n(A) apple\n(B) pear\nAnswer:\n"
    assert task.verdict(problem, "The answer is (B).").quality == 1.0
    assert task.gold_response(problem) == "The answer is (B)."


@pytest.mark.parametrize(
    ("kind", "form", "gold", "response"),
    [
        ("number", None, "5", "#### 5"),
        ("number", "json", "5", '{"answer": "5"}'),
        ("math", None, r"\frac{1}{2}", r"\boxed{\frac{1}{2}}"),
        ("text", None, "Paris", "The answer is Paris."),
        ("number", "boxed", "5", r"\boxed{5}"),
    ],
)
def test_kinds_and_forms(tmp_path: Path, kind: str, form: str | None, gold: str, response: str) -> None:
    task = build(tmp_path, [{"question": "q", "answer": gold}], answer_kind=kind, form=form)
    (problem,) = task.load("train")
    assert task.gold_response(problem) == response
    assert task.verdict(problem, response).reason == "matched"


GRADER = """
from aftune.answers import Verdict

def even(problem, text):
    return int(text.split()[-1]) % 2 == 0

def unsure(problem, text):
    return Verdict(None, False, "ambiguous", "never sure")

def wrong(problem, text):
    return 1

def endless(problem, text):
    while True:
        pass
"""


def test_grader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_grader_of_a_test.py").write_text(GRADER)
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = [{"question": "q", "answer": "any"}]

    def task(name: str) -> Task:
        return build(tmp_path, rows, grader=f"own_grader_of_a_test:{name}", answer_kind="text")

    (problem,) = task("even").load("train")
    verdicts = [task("even").verdict(problem, text) for text in ("it is 4", "it is 5")]
    assert [(v.quality, v.reason, v.answer) for v in verdicts] == [(1.0, "matched", "it is 4"), (0.0, "different", "it is 5")]
    unsure = task("unsure").verdict(problem, "4")
    assert (unsure.reason, unsure.detail, unsure.undecided) == ("ambiguous", "never sure", True)
    with pytest.raises(DataError, match=r"jsonl/train/0: task\.options\.grader own_grader_of_a_test:even raised ValueError"):
        task("even").verdict(problem, "x")
    with pytest.raises(DataError, match="gave 1; expected a Verdict, True or False"):
        task("wrong").verdict(problem, "x")
    endless = build(tmp_path, rows, grader="own_grader_of_a_test:endless", answer_kind="text", grader_seconds=0.05)
    with pytest.raises(DataError, match=r"jsonl/train/0: .*:endless took longer than 0\.05 s for 'x'; mend it, or set"):
        endless.verdict(problem, "x")
    with pytest.raises(UsageError, match="has no function 'odd'"):
        task("odd")


def test_a_rationale_that_the_grader_refuses_is_no_reference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_grader_of_a_test.py").write_text(GRADER)
    monkeypatch.syspath_prepend(str(tmp_path))
    rows = [{"question": "q", "answer": "any", "why": f"it is {number}"} for number in (4, 5)]
    task = build(tmp_path, rows, grader="own_grader_of_a_test:even", answer_kind="text", rationale="why")
    assert [task.contradiction(problem) for problem in task.load("train")] == [
        None,
        "the grader own_grader_of_a_test:even rejects the rationale",
    ]


@pytest.mark.parametrize("ending", ["json", "csv", "tsv", "jsonl"])
def test_the_files_that_people_have(tmp_path: Path, ending: str) -> None:
    """A JSON array and tables, with the marks and line ends of other systems, under their own ending or that of JSON Lines."""
    rows = [{"question": "1, 1?", "answer": "2"}, {"question": 'say\n"3"', "answer": "3"}]
    delimiter = "\t" if ending == "tsv" else ","
    table = delimiter.join(("question", "answer")) + f'\r\n"1, 1?"{delimiter}2\r\n"say\n""3"""{delimiter}3\r\n'
    text = json.dumps(rows, indent=1) if ending == "json" else table if ending != "jsonl" else "\r\n".join(map(json.dumps, rows))
    for name in (f"train.{ending}", "train.jsonl"):
        folder = tmp_path / name.replace(".", "_")
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
        problems = tasks.build("jsonl", folder).load("train")
        assert [(problem.question, problem.gold_answer) for problem in problems] == [("1, 1?", "2"), ('say\n"3"', "3")]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"answr": "a"}, r"task jsonl: unknown key 'task\.options\.answr'; did you mean 'answer'\?"),
        (
            {"answer_kind": "letter"},
            r"task\.options\.answer_kind is 'letter': input should be 'number', 'math', 'choice' or 'text'",
        ),
        ({"grader": "os.system"}, r"task\.options\.grader is 'os\.system': string should match pattern"),
        ({"grader": "no_such_module_here:f"}, r"task\.options\.grader: module 'no_such_module_here' cannot be imported"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(tmp_path, [], **options)


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ({"question": "q"}, {}, r'train\.jsonl:1: there is no column "answer", only question;'),
        ({"question": "q", "answers": "1"}, {}, r'no column "answer", only question, answers; did you mean "answers"\?'),
        ({"question": "", "answer": "1"}, {}, r"train\.jsonl:1: \"question\" is empty; fill it in, or delete the line"),
        ({"question": "q", "answer": None}, {}, r"train\.jsonl:1: \"answer\" is empty; fill it in, or delete the line"),
        ({"question": "q", "answer": ["5"]}, {}, r"train\.jsonl:1: \"answer\" is \['5'\], expected a text"),
        ({"question": "q", "answer": "about five"}, {}, r"train\.jsonl:1: \"answer\" is 'about five', expected a number"),
        ({"question": "q", "answer": "C", "o": ["x", "y"]}, {"answer_kind": "choice", "options": "o"}, "expected a letter A to B"),
        (
            {"question": "q", "answer": "A", "o": "x"},
            {"answer_kind": "choice", "options": "o"},
            '"o" is not a list of 2 to 26 texts',
        ),
        (["q"], {}, r"train\.jsonl:1: record 1: expected an object"),
    ],
)
def test_bad_rows(tmp_path: Path, row: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        build(tmp_path, [row], **options).load("train")


def test_missing_things(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"task jsonl: give data=FOLDER"):
        tasks.build("jsonl").load("train")
    with pytest.raises(UsageError, match="answer_kind choice needs the column of the options"):
        build(tmp_path, [{"question": "q", "answer": "A"}], answer_kind="choice").load("train")
    with pytest.raises(DataError, match=r"holds no test\.jsonl"):
        build(tmp_path, ROWS).load("test")


def one_file(path: Path, rows: list[dict[str, Any]], **options: Any) -> Task:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tasks.build("jsonl", path, options=options)


def test_one_file_is_the_split_all(tmp_path: Path) -> None:
    task = one_file(tmp_path / "own.jsonl", [{"question": f"{n}?", "answer": n} for n in range(10)])
    assert [problem.gold_answer for problem in task.load("all[80%:90%]")] == ["8"]
    assert [problem.id for problem in task.load("all[:2]")] == ["jsonl/all/0", "jsonl/all/1"]
    assert [task.has_split(split) for split in task.split_names] == [False, False, False, True]
    assert type(task).sources(tmp_path / "own.jsonl", JsonlOptions()).files == {"all": tmp_path / "own.jsonl"}
    with pytest.raises(
        UsageError, match=r"no split 'train' in the single file .*own\.jsonl; its rows are the split all, .*all\[:80%\]"
    ):
        task.load("train[:5]")
    folder = build(tmp_path, [{"question": "q", "answer": "1"}])
    with pytest.raises(UsageError, match=r"all is the split of a single file, and data is the folder .*; name the file there"):
        folder.load("all")
    assert [folder.has_split(split) for split in folder.split_names] == [True, False, False, False]


def test_a_shuffled_file_is_cut_alike_in_any_order(tmp_path: Path) -> None:
    """Three slices hold each question once; the order of the file changes nothing but the ids of its rows, and the last tenth is
    not the file's."""
    rows = [{"question": f"What is {n}?", "answer": n} for n in range(40)]
    cut = ("all[:80%]", "all[80%:90%]", "all[90%:]")
    task, turned = (one_file(tmp_path / f"{name}.jsonl", rows[::step], shuffle=True) for name, step in (("a", 1), ("b", -1)))
    found = [[problem.question for problem in task.load(text)] for text in cut]
    assert [len(part) for part in found] == [32, 4, 4]
    assert sorted(question for part in found for question in part) == sorted(row["question"] for row in rows)
    assert [[problem.question for problem in turned.load(text)] for text in cut] == found
    assert found[2] != [row["question"] for row in rows[-4:]]


def test_options_in_columns_of_their_own(tmp_path: Path) -> None:
    """As tables have them; the last cells may be empty, not one before a filled one."""
    path = tmp_path / "own.csv"
    path.write_text("question,A,B,C,answer\nWhich?,apple,pear,,b\nWhich?,apple,,plum,A\nWhich?,apple,,,A\n")
    task = tasks.build("jsonl", path, options={"options": ["A", "B", "C"], "answer_kind": "choice"})
    first, *others = task.survey("all")
    assert (first.options, first.gold_answer) == (["apple", "pear"], "B")
    assert [str(error).partition(": ")[2] for error in others] == [
        '"B" is empty, and a later option is not; correct this line',
        "expected two or more options in A, B, C, found 1; correct this line",
    ]


@pytest.mark.parametrize(
    ("options", "gold", "expected"),
    [
        (["A)21", "B)22"], "B", ["21", "22"]),
        (["(A) red", "(B) blue"], "(B) blue", ["red", "blue"]),
        (["A) red", "blue"], "B", ["A) red", "blue"]),
        (["A minor", "B minor"], "B", ["A minor", "B minor"]),
        (["(A)", "(B)"], "B", ["(A)", "(B)"]),
    ],
)
def test_labels_of_options(tmp_path: Path, options: list[str], gold: str, expected: list[str]) -> None:
    """They go where all have one: a prompt has its own. What is no label stays."""
    row = {"question": "Which?", "answer": gold, "o": options}
    (problem,) = one_file(tmp_path / "own.jsonl", [row], options="o", answer_kind="choice").load("all")
    assert (problem.options, problem.gold_answer) == (expected, "B")


def test_a_solution_that_states_its_own_answer(tmp_path: Path) -> None:
    """As GSM8K and MATH write it: answer and rationale are one column."""
    rows = [{"question": "1+1?", "answer": "1+1=2\n#### 2"}, {"question": "2+2?", "answer": "four"}]
    task = one_file(tmp_path / "own.jsonl", rows, rationale="answer")
    problem, error = task.survey("all")
    assert (problem.gold_answer, problem.rationale) == ("2", "1+1=2\n#### 2")
    assert "\"answer\" states no answer as '#### ANSWER'; correct this line or set form" in str(error)
    boxed = one_file(
        tmp_path / "math.jsonl", [{"question": "?", "answer": r"It is $\boxed{\frac12}$."}], rationale="answer", answer_kind="math"
    )
    assert boxed.load("all")[0].gold_answer == r"\frac12"
