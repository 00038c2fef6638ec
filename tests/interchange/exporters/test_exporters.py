"""Groups and verdicts in other programs' forms, and back."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from aftune.common.data_files import read_rows
from aftune.common.errors import AftuneError, DataError, UsageError
from aftune.interchange.exporters import export_groups, samples
from aftune.interchange.exporters.preference_pairs import pairs_of
from aftune.interchange.importers import import_candidates
from aftune.pipeline.export import export
from aftune.prompts.formats import plain_prompt
from aftune.recipe import ImportSection
from aftune.records import Candidate, Feedback, Group, JudgedResponse, Problem, write_records


def group(name: str, qualities: Sequence[float], ranks: Sequence[float] | None = None) -> Group:
    problem = Problem(id=name, task="t", question=f"Question of {name}?", gold_answer="1", rationale="r")
    return Group(
        problem=problem,
        candidates=[Candidate(problem_id=name, index=i, text=f"{name}{i}") for i in range(len(qualities))],
        feedback=[
            Feedback(quality=quality, reason="", answer="1", rank=None if ranks is None else ranks[i])
            for i, quality in enumerate(qualities)
        ],
    )


def pairs(made: Group, **options: Any) -> list[tuple[str, str]]:
    return [(pair["chosen"], pair["rejected"]) for pair in pairs_of(made, plain_prompt, **options)]


def test_pairs_of_a_group() -> None:
    """Right are a0 and a2, wrong a1 and a3: four pairs. By rank a2 > a0 = a1 > a3: (a0, a3), (a1, a3), and a2 with all three."""
    made = group("a", [1, 0, 1, 0], [0.5, 0.5, 2.0, 0.1])
    assert pairs(made) == [("a0", "a1"), ("a0", "a3"), ("a2", "a1"), ("a2", "a3")]
    assert pairs(made, pairs="one") == [("a0", "a1")]
    ranked = [("a0", "a3"), ("a1", "a3"), ("a2", "a0"), ("a2", "a1"), ("a2", "a3")]
    assert pairs(made, use_ranks=True) == ranked
    assert pairs(made, use_ranks=True, pairs="one") == [("a2", "a3")]
    assert pairs(group("b", [1, 1])) == pairs(group("b", [1, 1]), pairs="one") == pairs(group("b", [])) == []
    with pytest.raises(UsageError, match="--pairs is 'some', expected all or one"):
        pairs(made, pairs="some")
    with pytest.raises(DataError, match="a: candidate 0 has no rank"):
        pairs(group("a", [1, 0]), use_ranks=True)


def test_pairs_of_a_conversation() -> None:
    messages = [{"role": "user", "content": "q"}]
    (pair,) = pairs_of(group("a", [0, 1]), lambda problem: messages)
    assert pair == {
        "prompt": messages,
        "chosen": [{"role": "assistant", "content": "a1"}],
        "rejected": [{"role": "assistant", "content": "a0"}],
    }


def test_a_file_of_groups_as_pairs(tmp_path: Path) -> None:
    source, out = tmp_path / "groups.jsonl", tmp_path / "pairs.jsonl"
    write_records(source, [group("a", [0, 1]), group("b", [1, 1]), group("c", [])])
    assert export(source, "preference-pairs", out) == {"groups": 3, "pairs": 1, "groups_without_pairs": 2}
    assert [row for _, row in read_rows(out)] == [
        {"prompt": "Question: Question of a?\nAnswer:\n", "chosen": "a1", "rejected": "a0"}
    ]
    write_records(source, [group("b", [1, 1])])
    with pytest.raises(DataError, match=r"no group \(1 in all\) has both a better and a worse candidate"):
        export(source, "preference-pairs", tmp_path / "none.jsonl")
    assert not (tmp_path / "none.jsonl").exists()


def test_samples_come_back_as_candidates(tmp_path: Path) -> None:
    """Written for lm-evaluation-harness's readers and read by our importer: the same texts for the same problems."""
    problems = [group(name, []).problem for name in "ab"]
    verdicts = [
        JudgedResponse(problem_id="a", text="x\n#### 1", answer="1", right=True, reason="matched", finish_reason="stop"),
        JudgedResponse(
            problem_id="b",
            text="y 2",
            right=False,
            reason="no answer",
            finish_reason="length",
            answer_by_reading={"strict": None, "flexible": "2"},
            right_by_reading={"strict": False, "flexible": True},
        ),
    ]
    path = tmp_path / "samples_t.jsonl"
    assert samples.write(path, problems, verdicts, plain_prompt) == {"samples": 2}
    first, second = [row for _, row in read_rows(path)]
    assert first["arguments"] == {"gen_args_0": {"arg_0": plain_prompt(problems[0]), "arg_1": {"do_sample": False}}}
    assert (first["doc_id"], first["target"], first["resps"], first["filtered_resps"]) == (0, "1", [["x\n#### 1"]], ["1"])
    assert [row["exact_match"] for row in (first, second)] == [1.0, 0.0]
    assert second["filtered_resps"] == [""]
    assert second["answer_by_reading"] == {"strict": None, "flexible": "2"}
    assert second["right_by_reading"] == {"strict": False, "flexible": True}
    assert not {"answer_by_reading", "right_by_reading"} & first.keys()
    imported = import_candidates(ImportSection(format="lm_eval", path=path), None, problems)
    assert [(c.problem_id, c.index, c.text) for c in imported.candidates] == [("a", 0, "x\n#### 1"), ("b", 0, "y 2")]
    assert imported.left_out == []


def test_dataset_has_a_row_for_each_group(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets", reason="the datasets package is not installed")
    groups = [group("a", [1, 0]), group("b", [])]
    assert export_groups("dataset", groups, plain_prompt, tmp_path / "d") == {"groups": 2}
    loaded = datasets.load_from_disk(str(tmp_path / "d"))
    assert loaded["problem_id"][:] == ["a", "b"]
    assert loaded[0]["responses"] == ["a0", "a1"]
    assert loaded[0]["qualities"] == [1.0, 0.0]
    assert loaded[0]["prompt"] == "Question: Question of a?\nAnswer:\n"
    with pytest.raises(UsageError, match="already exists; choose a new folder"):
        export_groups("dataset", groups, plain_prompt, tmp_path / "d")


def test_dataset_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(AftuneError, match=r"needs datasets, not installed here; pip install 'aftune\[hub\]'"):
        export_groups("dataset", [group("a", [1, 0])], plain_prompt, tmp_path / "d")


def test_what_cannot_be_exported_is_named(tmp_path: Path) -> None:
    source = tmp_path / "groups.jsonl"
    write_records(source, [group("a", [0, 1])])
    for arguments, message in (
        ((source, "parquet"), "--to is 'parquet', expected one of preference-pairs, dataset, samples"),
        ((source, "samples"), "--to samples needs a run directory"),
        ((tmp_path, "samples"), r"is not a run directory \(recipe.yaml is missing\)"),
    ):
        with pytest.raises(UsageError, match=message):
            export(*arguments, tmp_path / "out")
    with pytest.raises(DataError, match="no such file"):
        export(tmp_path / "nothing.jsonl", "preference-pairs", tmp_path / "out")


def test_real_votes_as_pairs(data_dir: Path, tmp_path: Path) -> None:
    path = next(iter(sorted(data_dir.rglob("commonsenseqa_test.csv"))), None)
    if path is None:
        pytest.skip("commonsenseqa_test.csv is not in AFT_DATA_DIR")
    counts = export(path, "preference-pairs", tmp_path / "pairs.jsonl", form="voted_explanations")
    assert counts["pairs"] == len((tmp_path / "pairs.jsonl").read_text().splitlines())
    assert counts["pairs"] > counts["groups"] - counts["groups_without_pairs"] > 0
    assert set(json.loads((tmp_path / "pairs.jsonl").read_text().partition("\n")[0])) == {"prompt", "chosen", "rejected"}
