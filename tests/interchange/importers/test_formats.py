"""Candidates from files that other programs write."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aftune.common.errors import DataError, RepeatedIdError, UsageError
from aftune.interchange.importers import FORMATS, import_candidates, import_groups
from aftune.interchange.importers.responses import Imported, Response, Row, match
from aftune.recipe import ImportSection, load_recipe
from aftune.records import Problem

PROBLEMS = [
    Problem(id="p/0", task="t", question="How  many\ncats?", gold_answer="3"),
    Problem(id="p/1", task="t", question="How many dogs?", gold_answer="4"),
]


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Imported]:
    """Imports rows written as JSON Lines."""

    def run(form: str, *rows: Any, **columns: str) -> Imported:
        path = tmp_path / "file.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        section = ImportSection.model_validate({"format": form, "path": path, "columns": columns})
        return import_candidates(section, None, PROBLEMS)

    return run


def brief(imported: Imported) -> list[tuple[Any, ...]]:
    return [(c.problem_id, c.index, c.text, c.finish_reason) for c in imported.candidates]


def left_out(imported: Imported) -> list[dict[str, Any]]:
    return [row | {"place": row["place"].rpartition("/")[2]} for row in imported.left_out]


def test_rows_find_their_problem_by_id_then_by_question() -> None:
    """An id wins; an unknown id with a known question is found by that; numbers go on where a problem comes again."""
    rows = [
        Row("f:1", [Response("a")], "p/1", "How many cats?"),
        Row("f:2", [Response("b"), Response("c", "length")], "elsewhere/7", " How many cats? "),
        Row("f:3", [Response("d")], None, "How many cats?"),
        Row("f:4", [Response("e")], "p/9", "How many eggs?"),
        Row("f:5", [Response("f", unusable="no text")], "p/0"),
    ]
    imported = match(rows, PROBLEMS)
    assert brief(imported) == [
        ("p/1", 0, "a", "stop"),
        ("p/0", 0, "b", "stop"),
        ("p/0", 1, "c", "length"),
        ("p/0", 2, "d", "stop"),
    ]
    assert imported.left_out == [
        {"place": "f:4", "reason": "fits no problem", "problem_id": "p/9", "question": "How many eggs?"},
        {"place": "f:5", "reason": "no text", "problem_id": "p/0", "text": "f"},
    ]
    with pytest.raises(DataError, match="f:2: p/0 already has a candidate 3"):
        match([Row("f:1", [Response("a", index=3)], "p/0"), Row("f:2", [Response("b", index=3)], "p/0")], PROBLEMS)


def test_two_problems_of_one_id_are_an_error() -> None:
    with pytest.raises(RepeatedIdError, match="problems 1 and 3 have the same id 'p/0'"):
        match([], [*PROBLEMS, PROBLEMS[0].model_copy(update={"question": "Another?"})])


def test_a_table_of_responses(tmp_path: Path) -> None:
    """Empty cells say nothing; numbers are digits there."""
    path = tmp_path / "file.csv"
    path.write_text('problem_id,question,text,index\np/0,,"a, b",2\n,How many dogs?,c,\n')
    imported = import_candidates(ImportSection(format="json_lines", path=path), None, PROBLEMS)
    assert brief(imported) == [("p/0", 2, "a, b", "stop"), ("p/1", 0, "c", "stop")]


def test_an_array_of_responses(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps([{"problem_id": "p/0", "text": "a"}, {"problem_id": "p/1", "text": "b"}], indent=1))
    imported = import_candidates(ImportSection(format="json_lines", path=path), None, PROBLEMS)
    assert brief(imported) == [("p/0", 0, "a", "stop"), ("p/1", 0, "b", "stop")]


def test_json_lines(read: Callable[..., Imported]) -> None:
    imported = read(
        "json_lines",
        {"problem_id": "p/0", "text": "a", "index": 4, "finish_reason": "length"},
        {"problem_id": "p/0", "text": "b"},
        {"question": "How many dogs?", "text": "c", "finish_reason": None},
        {"problem_id": "p/2", "text": "d"},
    )
    assert brief(imported) == [("p/0", 4, "a", "length"), ("p/0", 5, "b", "stop"), ("p/1", 0, "c", "stop")]
    assert left_out(imported) == [{"place": "file.jsonl:4", "reason": "fits no problem", "problem_id": "p/2"}]
    named = read("json_lines", {"q": "How many cats?", "answer": "x"}, question="q", text="answer")
    assert brief(named) == [("p/0", 0, "x", "stop")]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1], "there is no text in column 'text'"),
        ({"problem_id": "p/0"}, "there is no text in column 'text'; correct this line or set candidates.columns.text"),
        ({"text": "a"}, "neither 'problem_id' nor 'question'"),
        ({"problem_id": "p/0", "text": "a", "index": -1}, "index is -1, expected a whole number from 0 to 999,999,999"),
        ({"problem_id": "p/0", "text": "a", "index": True}, "index is True"),
        ({"problem_id": "p/0", "text": "a", "index": "first"}, "index is 'first', expected a whole number from 0 to 999,999,999"),
        ({"problem_id": "p/0", "text": "a", "index": 10**400}, "index is 1000"),
        ({"problem_id": "p/0", "text": "a", "index": [1]}, r"index is \[1\], expected a whole number"),
        ({"problem_id": "p/0", "text": "a", "finish_reason": "eos"}, "finish_reason is 'eos', expected stop or length"),
    ],
)
def test_bad_json_lines_are_named(read: Callable[..., Imported], row: Any, message: str) -> None:
    with pytest.raises(DataError, match=rf"file\.jsonl:2: {message}"):
        read("json_lines", {"problem_id": "p/0", "text": "a"}, row)


def batch(custom_id: str, *choices: tuple[str | None, str], **changes: Any) -> dict[str, Any]:
    made = [
        {"index": index, "message": {"role": "assistant", "content": text}, "finish_reason": finish}
        for index, (text, finish) in enumerate(choices)
    ]
    response = {"status_code": 200, "request_id": "r", "body": {"model": "m", "choices": made}}
    return {"id": "vllm-1", "custom_id": custom_id, "response": response, "error": None} | changes


def test_openai_batch(read: Callable[..., Imported]) -> None:
    imported = read(
        "openai_batch",
        batch("p/0", ("a", "stop"), ("b", "length"), ("c", "content_filter"), (None, "tool_calls")),
        batch("p/1#0", ("d", "stop")),
        batch("p/1#1", ("e", "stop")),
        batch("p/1", response=None, error={"message": "too long"}),
        batch("p/3#0", ("f", "stop")),
    )
    assert brief(imported) == [
        ("p/0", 0, "a", "stop"),
        ("p/0", 1, "b", "length"),
        ("p/1", 0, "d", "stop"),
        ("p/1", 1, "e", "stop"),
    ]
    assert imported.candidates[0].settings == {"model": "m"}
    assert [(row["place"], row["reason"]) for row in left_out(imported)] == [
        ("file.jsonl:1", "finish_reason content_filter, no usable text"),
        ("file.jsonl:1", "finish_reason tool_calls, no usable text"),
        ("file.jsonl:4", "the request failed: {'message': 'too long'}"),
        ("file.jsonl:5", "fits no problem"),
    ]


@pytest.mark.parametrize("index", ["first", 1.5, [1], -1])
def test_a_bad_index_of_a_batch_is_named(read: Callable[..., Imported], index: Any) -> None:
    row = batch("p/0", ("a", "stop"))
    row["response"]["body"]["choices"][0]["index"] = index
    with pytest.raises(DataError, match=r"file\.jsonl:1: index is .*, expected a whole number from 0 to 999,999,999; "):
        read("openai_batch", row)


@pytest.mark.parametrize("row", [[1], {"custom_id": "p/0", "response": {"body": {}}}, {"response": {}}])
def test_bad_batch_lines_are_named(read: Callable[..., Imported], row: Any) -> None:
    with pytest.raises(DataError, match=r"file\.jsonl:2: expected custom_id and response\.body\.choices"):
        read("openai_batch", batch("p/0", ("a", "stop")), row)


def sample(doc_id: Any, question: str, resps: Any, **changes: Any) -> dict[str, Any]:
    doc = {"question": question, "answer": "#### 3"}
    return {"doc_id": doc_id, "doc": doc, "target": "3", "arguments": {}, "resps": resps, "filtered_resps": ["3"]} | changes


def test_lm_eval_samples(read: Callable[..., Imported]) -> None:
    """A document has a line for each filter (here two), which repeat its responses."""
    imported = read(
        "lm_eval",
        sample(0, "How many cats?", [["a", "b"]], filter="strict-match"),
        sample(1, "How many dogs?", [["c"]], filter="strict-match"),
        sample(0, "How many cats?", [["a", "b"]], filter="flexible-extract"),
        sample(1, "How many dogs?", [["c"]], filter="flexible-extract"),
        sample(2, "How many eggs?", [["d"]], filter="strict-match"),
        sample(3, "How many dogs?", [[[-1.5, False]]], filter="strict-match"),
    )
    assert brief(imported) == [("p/0", 0, "a", "stop"), ("p/0", 1, "b", "stop"), ("p/1", 0, "c", "stop")]
    assert [row["reason"] for row in imported.left_out] == ["fits no problem", "log-likelihoods, no text"]
    with pytest.raises(DataError, match=r"file\.jsonl:1: expected doc and resps; write the file with lm_eval --log_samples"):
        read("lm_eval", {"doc": {}})
    with pytest.raises(DataError, match=r"file\.jsonl:2: doc_id 0 has another doc or other resps in a line above"):
        read("lm_eval", *(sample(0, "How many cats?", [[text]], filter=name) for text, name in (("a", "x"), ("b", "y"))))
    with pytest.raises(DataError, match=r"file\.jsonl:1: doc_id is \[1\], expected a number; correct this line"):
        read("lm_eval", sample([1], "How many cats?", [["a"]]))


def zeroeval(question: str, *outputs: str) -> dict[str, Any]:
    configs = {"engine": "vllm", "temperature": 0.0, "top_p": 1.0}
    return {"id": "x-#0", "question": question, "output": list(outputs), "generator": "some/model", "configs": configs}


def test_zeroeval_folder_of_several_models(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps([zeroeval("How many cats?", "b")]))
    with gzip.open(tmp_path / "a.json.gz", "wt") as file:
        json.dump([zeroeval("How many cats?", "a"), zeroeval("How many eggs?", "e")], file)
    imported = import_candidates(ImportSection(format="zeroeval", path=tmp_path), None, PROBLEMS)
    assert brief(imported) == [("p/0", 0, "a", "stop"), ("p/0", 1, "b", "stop")]
    assert imported.candidates[0].settings == {"model": "some/model", "temperature": 0.0, "top_p": 1.0}
    assert left_out(imported) == [
        {"place": "a.json.gz:1: record 2", "reason": "fits no problem", "problem_id": "x-#0", "question": "How many eggs?"}
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"1: an object that continues on the next line"),
        ("{}", "1: expected an object with question and output"),
        ('[{"question": "q"}]', "1: record 1: output is not a list"),
        ("[1]", "1: record 1: expected an object with question and output"),
    ],
)
def test_bad_zeroeval_files_are_named(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(DataError, match=rf"x\.json:{message}"):
        import_candidates(ImportSection(format="zeroeval", path=path), None, PROBLEMS)
    (tmp_path / "x.json.gz").write_bytes(b"no gzip")
    with pytest.raises(DataError, match=r"x\.json\.gz:1: not valid JSON at column 1"):
        import_candidates(ImportSection(format="zeroeval", path=tmp_path / "x.json.gz"), None, PROBLEMS)


def test_recipe_takes_every_format_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    path.write_text("run_dir: x\ncandidates: {format: json_lines, path: f.jsonl, columns: {text: answer}}\n")
    for name in FORMATS:
        section = load_recipe(path, [f"candidates.format={name}"]).candidates
        assert section is not None
        assert (section.format, section.columns.text) == (name, "answer")
    with pytest.raises(UsageError, match=r"candidates\.format is 'nonsense'"):
        load_recipe(path, ["candidates.format=nonsense"])
    with pytest.raises(UsageError, match="there is no group format 'nonsense', expected one of voted_explanations"):
        import_groups("nonsense", path)


def test_real_zeroeval_files_belong_to_gsm8k(data_dir: Path) -> None:
    """Four models on all 1,319 questions of the test set; every row fits a problem."""
    from aftune.tasks.gsm8k import Gsm8k

    folder = data_dir / "candidates" / "zeroeval_gsm"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not there")
    problems = Gsm8k(data_dir / "gsm8k").load("test")
    imported = import_candidates(ImportSection(format="zeroeval", path=folder), None, problems)
    assert imported.left_out == []
    assert len(imported.candidates) == 4 * 1319
    assert {c.index for c in imported.candidates} == {0, 1, 2, 3}
    assert len({c.settings["model"] for c in imported.candidates}) == 4


def test_a_question_that_several_problems_ask_is_no_name_for_one_of_them() -> None:
    """The same words with other options are another problem; with the same ones any of them is right."""
    options = (["a", "b"], ["a", "c"], None, None)
    questions = ("Which?", "Which?", "How many?", "How many?")
    problems = [
        Problem(id=str(n), task="t", question=question, gold_answer="A", options=chosen)
        for n, (question, chosen) in enumerate(zip(questions, options, strict=True))
    ]
    rows = [
        Row("f:1", [Response("x")], question="Which?"),
        Row("f:2", [Response("y")], problem_id="1", question="Which?"),
        Row("f:3", [Response("z")], question="How  many?"),
    ]
    imported = match(rows, problems)
    assert [(candidate.problem_id, candidate.text) for candidate in imported.candidates] == [("1", "y"), ("2", "z")]
    assert imported.left_out == [{"place": "f:1", "reason": "fits several problems: name it by id", "question": "Which?"}]


def test_rows_without_responses_are_listed(read: Callable[..., Imported]) -> None:
    rows = {
        "lm_eval": (sample(0, "How many cats?", []), sample(1, "How many dogs?", [["a"]])),
        "zeroeval": (zeroeval("How many cats?"), zeroeval("How many dogs?", "a")),
        "openai_batch": (batch("p/0"), batch("p/1", ("a", "stop"))),
    }
    for form, given in rows.items():
        imported = read(form, *given)
        assert brief(imported) == [("p/1", 0, "a", "stop")]
        assert left_out(imported) == [{"place": "file.jsonl:1", "reason": "no responses", "problem_id": "p/0"}]


def test_long_values_are_cut_short(read: Callable[..., Imported]) -> None:
    with pytest.raises(DataError, match=r"file\.jsonl:1: finish_reason is 'x{79}, expected stop or length"):
        read("json_lines", {"problem_id": "p/0", "text": "a", "finish_reason": "x" * 5000})
    failed = batch("p/0", response=None, error={"message": "y\n" * 5000})
    imported = read("openai_batch", failed, batch("p/1", ("a", "stop"), ("b", "z" * 5000)))
    assert all(len(row["reason"]) < 400 and len(row["reason"].splitlines()) == 1 for row in imported.left_out)
